import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// What the disk does, to a daemon as it runs.
@Suite(.serialized) struct DiskFaultTests {
  private let log = "scoped.sqlite-wal"

  struct Fault: Sendable, CustomStringConvertible {
    let number: Int32
    let reason: String
    /// How many writes go well before.
    let after: Int

    var description: String { "\(reason) after \(after)" }
  }

  static let faults = [
    Fault(number: EIO, reason: "io", after: 0), Fault(number: EIO, reason: "io", after: 3),
    Fault(number: EROFS, reason: "read_only", after: 0), Fault(number: EROFS, reason: "read_only", after: 2),
    Fault(number: ENOSPC, reason: "disk_full", after: 1), Fault(number: EDQUOT, reason: "disk_full", after: 3),
  ]

  /// Changes are refused, each with its reason, without a line of the log for each; checks go on; when the disk is well
  /// again, so is the daemon. A restart finds what was acknowledged, and nothing else.
  @Test(arguments: faults) func aWriteThatFailsRefusesTheChange(fault: Fault) throws {
    let disk = try DiskFault(in: TemporaryFolder())
    let daemon = try ProcessDaemon(in: disk.folder, environment: disk.environment)
    let client = try daemon.client("c")
    try client.applyAll(smallCompany(), to: "c")
    disk.set(.write, of: log, after: fault.after, failing: .max, errno: fault.number)
    for number in 0..<200 {
      let error = try #require(refusal { try put("lost\(number)", client) })
      #expect(error.reason == fault.reason && error.isFromDaemon, "\(error)")
      #expect(!error.message.contains("INSERT") && !error.message.contains("COMMIT TRANSACTION"), "\(error)")
    }
    #expect(disk.met(.write) >= 200)
    #expect(client.check("user:u0", "queue:q").verdict == .deny)
    #expect(try client.health().isWritable == false)
    disk.lift(.write)
    try put("kept", client)
    #expect(try client.health().isWritable)
    daemon.killNow()
    let lines = daemon.log.split(separator: "\n")
    #expect((1...20).contains(lines.count { $0.contains("changes are refused") }), "one a window, not one a change")
    #expect(!daemon.log.contains("INSERT INTO"))
    let again = try ProcessDaemon(in: disk.folder)
    let users = Set(try users(of: again))
    #expect(users.contains("kept") && !users.contains { $0.hasPrefix("lost") })
    #expect(again.stop() == 0)
  }

  /// Batches that share a commit are tried one by one when it fails; the log has a line for all of them.
  @Test func changesRefusedTogetherAreLoggedTogether() throws {
    let disk = try DiskFault(in: TemporaryFolder())
    let daemon = try ProcessDaemon(in: disk.folder, environment: disk.environment)
    let client = try daemon.client("c")
    try client.applyAll(smallCompany(), to: "c")
    disk.set(.write, of: log, after: 0, failing: .max, errno: ENOSPC)
    let connection = try RawConnection(daemon.address)
    let count = 200
    connection.send(
      (1...count).flatMap { number in
        let user = Proto.bytes(1, Array("lost\(number)".utf8))
        var request = RawRequest(company: "c", call: 16, Proto.message(1, Proto.message(4, user)))
        request.id = UInt64(number)
        return RawConnection.frame(request.packed)
      })
    for _ in 1...count {
      guard case .message(let message) = connection.receive() else { throw TestFailure("no answer") }
      #expect(try RawResponse(message).reason == "disk_full")
    }
    #expect(daemon.logs("changes are refused"))
    daemon.killNow()
    let counts = daemon.log.matches(of: /count=([0-9]+).*changes are refused/).compactMap { Int($0.1) }
    #expect(counts.contains { $0 > 1 } && counts.count <= 20, "\(daemon.log)")
  }

  /// A part of an import is no change, and is refused like one.
  @Test func aPartThatCanNotBeKeptIsRefusedAsAChangeIs() throws {
    let disk = try DiskFault(in: TemporaryFolder())
    let daemon = try ProcessDaemon(in: disk.folder, environment: disk.environment)
    let client = try daemon.client("c")
    try client.applyAll(smallCompany() + [.object("list:l")], to: "c")
    disk.set(.write, of: log, after: 0, failing: .max, errno: ENOSPC)
    let number = Proto.message(5, Proto.bytes(1, Array("4930123456".utf8)))
    let part = Proto.bytes(2, [0x6C]) + Proto.bytes(3, [0x6B]) + Proto.number(4, 1) + number
    let connection = try RawConnection(daemon.address)
    let refused = try connection.ask(RawRequest(company: "c", call: 43, part))
    #expect(refused.reason == "disk_full" && refused.message.hasPrefix("nothing was changed"), "\(refused.message)")
    #expect(daemon.logs("changes are refused") && !daemon.log.contains("can't be read"))
    #expect(try !client.health().isWritable)
    disk.lift(.write)
    #expect(try connection.ask(RawRequest(company: "c", call: 43, part)).code == 0)
    #expect(try client.health().isWritable)
    #expect(daemon.stop() == 0)
  }

  /// Nobody waits for the write-ahead log to be moved into the database, unless there is never a moment's rest.
  @Test func theWriteAheadLogIsMovedWhenNothingIsToBeDone() async throws {
    try await withDaemon(adjust: {
      $0.store.checkpointPages = 4
      $0.store.checkpointPagesAtMost = 1_000_000
    }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      try daemon.client().applyAll([.putGroup(Group(id: "g", name: "in the database file"))], to: "c")
      let file = URL(fileURLWithPath: daemon.folder.file("data/scoped.sqlite"))
      try await waitUntil { try Data(contentsOf: file).range(of: Data("in the database file".utf8)) != nil }
    }
  }

  @Test func aSyncThatFailsEndsTheProcess() throws {
    let disk = try DiskFault(in: TemporaryFolder())
    let daemon = try ProcessDaemon(in: disk.folder, environment: disk.environment)
    let client = try daemon.client("c")
    try client.applyAll(smallCompany(), to: "c")
    disk.set(.sync, of: log, after: 0, errno: EIO)
    #expect(refusal { try put("unknown", client) }?.isFromDaemon == false)
    try #require(daemon.ends())
    #expect(daemon.wait() == 70)
    #expect(daemon.log.contains("the disk failed under a commit"))
  }

  /// What could not be read once may be read the next time: it is never called damaged.
  @Test func aPassingReadErrorIsNotDamage() throws {
    let disk = try DiskFault(in: TemporaryFolder())
    let first = try ProcessDaemon(in: disk.folder)
    try first.client().applyAll(smallCompany(users: 400), to: "c")
    #expect(first.stop() == 0)
    var (refused, served) = (0, 0)
    for number in stride(from: 0, to: 40, by: 3) {
      disk.set(.read, of: "scoped.sqlite", after: number, errno: EIO)
      do {
        let daemon = try ProcessDaemon(in: disk.folder, environment: disk.environment)
        let client = try daemon.client("c")
        let answer = client.check("user:u0", "queue:q")
        if answer.verdict == .unavailable { #expect(client.check("user:u0", "queue:q").verdict == .deny) }
        #expect(try client.health().companiesUnreadable == 0)
        #expect(!daemon.log.contains("damaged:") && !daemon.log.contains("restore a backup"), "\(daemon.log)")
        if disk.met(.read) == 1 { served += 1 }
        #expect(daemon.stop() == 0)
      } catch let error as TestFailure {
        refused += 1
        #expect(error.description.contains("look at the disk"), "\(error)")
        #expect(!error.description.contains("backup") && !error.description.contains("SELECT"), "\(error)")
      }
    }
    #expect(refused > 0 && refused + served > 5, "\(refused) starts refused, \(served) served after the error")
  }

  // MARK: - The folder

  @Test func aFolderThatIsMovedAwayTakesNoChange() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    let (client, data) = (try daemon.client("c"), daemon.folder.file("data"))
    try client.applyAll(smallCompany(), to: "c")
    rename(data, data + ".old")
    mkdir(data, 0o700)
    try await waitUntil { try !client.health().isWritable }
    let error = try #require(refusal { try put("lost", client) })
    #expect(error.reason == "data_replaced" && error.message.contains("put back the files"), "\(error)")
    #expect(client.check("user:u0", "queue:q").verdict == .deny)
    #expect(daemon.logs("changes are refused"))
    rmdir(data)
    rename(data + ".old", data)
    try await waitUntil { try client.health().isWritable }
    try put("kept", client)
    #expect(daemon.stop() == 0)
  }

  /// Found before anybody tries a change, and said.
  @Test(.enabled(if: canMount, "file systems can be mounted"), arguments: [true, false])
  func aReadOnlyFileSystemIsServed(afterCrash: Bool) throws {
    let first = try ProcessDaemon(in: TemporaryFolder())
    try first.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
    try first.client().applyAll([.removeMember(project: "p", .user("u0"))], to: "c")
    if afterCrash { first.killNow() } else { #expect(first.stop() == 0) }
    try withReadOnly(first.folder.file("data")) {
      let daemon = try ProcessDaemon(in: first.folder)
      let client = try daemon.client("c")
      #expect(client.check("user:u0", "queue:q").verdict == .deny, "what was taken away stays away")
      #expect(try client.health().isWritable == false)
      let error = try #require(refusal { try put("lost", client) })
      #expect(error.reason == "read_only" && error.message.contains("mount its file system writable"), "\(error)")
      #expect(daemon.logs("changes are refused"))
      #expect(daemon.stop() == 0)
    }
    let again = try ProcessDaemon(in: first.folder)
    try put("kept", try again.client("c"))
    #expect(again.stop() == 0)
  }

  private func put(_ user: String, _ client: Client) throws {
    let id = Name(stringLiteral: user)
    _ = try client.apply([.putUser(User(id: id, name: id), roles: [])], to: "c", timeoutMilliseconds: .anHour)
  }

  private func refusal(_ body: () throws -> Void) -> ClientError? {
    do { try body() } catch { return (error as? RefusedApply)?.error }
    return nil
  }

  private func users(of daemon: ProcessDaemon) throws -> [String] {
    var users: [String] = []
    _ = try daemon.client("c").export("c", timeoutMilliseconds: .anHour) { changes in
      for change in changes {
        if case .putUser(let user, roles: _, projects: _) = change { users.append(user.id.text) }
      }
    }
    return users
  }
}
