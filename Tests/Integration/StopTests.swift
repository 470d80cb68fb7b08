import Foundation
import ScopeClient
import ScopeModel
import ScopeProtocol
import ScopeTesting
import Testing

/// SIGTERM while something that takes long is under way, whatever it is.
@Suite(.serialized) struct StoppingAmidWork {
  enum Work: String, CaseIterable {
    case logPages, verify, exports, previews, earlierTimes, changes, largeChanges, numbers, numberPages
    case coldCompanies, listings, largeFrames, watches, all
  }

  private static let users = 6_000

  /// One folder for all: each daemon must leave it as the next can use it.
  private static let folder = Result { try filled() }

  /// A company whose log is long for its size, one with a list of numbers, and many small ones.
  private static func filled() throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder)
    let client = try daemon.client()
    try client.applyAll(smallCompany(), to: "c")
    for round in 0..<4 { try client.applyAll(renamed(round), to: "c") }
    try client.applyAll(
      [.setPurpose(list: "l", .calling), .place(ObjectRef(ObjectType(name: "list")!, "l"), project: "p")], to: "c")
    for number in 0..<120 { try client.applyAll(smallCompany(), to: Name(stringLiteral: "cold\(number)")) }
    let wire = WireCaller(daemon.address, company: "c")
    for start in 0..<4 { try wire.add((0..<4_000).map { NumberRow("49\(100_000_000 + 4_000 * start + $0)") }, to: "l") }
    guard daemon.stop() == 0 else { throw TestFailure("the folder could not be filled: \(daemon.log)") }
    return folder
  }

  private static func renamed(_ round: Int) -> [Change] {
    (0..<users).map { number in
      .putUser(User(id: Name(stringLiteral: "w\(number)"), name: Name(stringLiteral: "\(number).\(round)")), roles: [])
    }
  }

  /// On one connection each.
  private static func requests(_ work: Work) -> [[RawRequest]] {
    switch work {
    case .logPages: [repeated(250, 22, Proto.bytes(8, Array("user:nobody".utf8)))]
    case .verify: [repeated(12, 23, [])]
    case .exports: [repeated(60, 18, [])]
    case .previews: [repeated(200, 33, putUsers(100, of: "preview"))]
    case .earlierTimes: [earlier(8)]
    case .changes: (0..<4).map { repeated(250, 16, putUsers(1, of: "w\($0)")) }
    case .largeChanges: (0..<4).map { repeated(8, 16, putUsers(1_000, of: "w\($0)")) }
    case .numbers: (0..<4).map { repeated(12, 41, addNumbers(60, from: $0 * 1_000)) }
    case .numberPages: [repeated(200, 38, Proto.number(1, 3) + Proto.bytes(2, [0x70]) + Proto.bytes(3, [0x6C]))]
    case .coldCompanies: [(0..<240).map { RawRequest.canSee("cold\($0 % 120)", userU1, queueQ) }]
    case .listings: (0..<2).map { _ in repeated(20, 25, Proto.bytes(1, Array("5".utf8))) }
    case .largeFrames: (0..<12).map { _ in repeated(2, 14, largeFilter) }
    case .watches: [repeated(16, 34, [])]
    case .all: Work.allCases.filter { $0 != .all && $0 != .largeFrames }.flatMap(requests)
    }
  }

  private static func repeated(_ count: Int, _ call: Int, _ message: [UInt8]) -> [RawRequest] {
    Array(repeating: RawRequest(company: "c", call: call, message), count: count)
  }

  private static func earlier(_ count: Int) -> [RawRequest] {
    (0..<count).map { number in
      var request = RawRequest.canSee("c", userU1, queueQ)
      request.atRevision = UInt64(2 + number)
      return request
    }
  }

  private static func putUsers(_ count: Int, of prefix: String) -> [UInt8] {
    (0..<count).flatMap { number in
      let put =
        Proto.bytes(1, Array("\(prefix)\(number)".utf8)) + Proto.bytes(2, Array("\(UInt64.random(in: 0...999))".utf8))
      return Proto.message(1, Proto.message(4, put))
    }
  }

  private static func addNumbers(_ count: Int, from start: Int) -> [UInt8] {
    let rows = (start..<start + count).map { Proto.bytes(1, Array("48\(100_000_000 + $0 * 7)".utf8)) }
    return Proto.bytes(2, [0x6C]) + rows.flatMap { Proto.message(3, $0) }
  }

  private static let largeFilter =
    Proto.number(1, 1) + Proto.bytes(2, userU1.1) + Proto.number(3, 16)
    + (0..<30_000).flatMap { Proto.message(4, Array("queue-\($0)".utf8)) }

  /// Every question has one last answer: its own, or that the daemon stops.
  @Test(arguments: Work.allCases) func endsInGoodOrder(_ work: Work) async throws {
    let daemon = try ProcessDaemon(in: try Self.folder.get())
    let asked = Self.requests(work)
    let connections = try asked.map { requests in try ask(requests, daemon) }
    daemon.signal(SIGTERM)
    let faults = try await onThread {
      try zip(connections, asked).flatMap { connection, requests in try problems(requests.count, on: connection) }
    }
    #expect(faults.isEmpty, "\(faults.count), the first: \(faults.prefix(3))")
    #expect(daemon.wait() == 0, "\(daemon.log)")
    for word in ["atal error", "rash", "SIG", "precondition"] { #expect(!daemon.log.contains(word), "\(daemon.log)") }
  }

  /// Clients that have begun something and go on with it no more.
  @Test func endsWithHalfAFrameAndHalfAConversation() async throws {
    let daemon = try ProcessDaemon(
      in: TemporaryFolder(), arguments: ["--fastagi", "127.0.0.1:0", "--fastagi-timeout", "60000"])
    let port = try #require(daemon.ready.split(separator: ":").last.flatMap { UInt16($0.prefix { $0.isNumber }) })
    let (half, channel) = (try RawConnection(daemon.address), try RawConnection("fastagi:\(port)"))
    #expect(try half.ask(RawRequest(call: 17)).code == 0)
    half.send([0, 0, 1, 0, 1, 2, 3])
    channel.send(AsteriskEnvironment(script: "can-see", arguments: ["c", "user:1", "queue:q"]).bytes)
    #expect(channel.receiveLine() != .nothing, "the conversation has begun")
    #expect(daemon.stop() == 0, "\(daemon.log)")
  }

  /// A commit that the disk never ends: the process ends all the same, and what was acknowledged is there.
  @Test func endsAlthoughTheDiskHangs() async throws {
    let folder = TemporaryFolder()
    let (shim, sign) = (folder.file("stuck_disk.so"), folder.file("stuck"))
    let source = packageFolder.appendingPathComponent("Tests/Integration/Programs/stuck_disk.c").path
    let built = try run(URL(fileURLWithPath: "/usr/bin/cc"), ["-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl"])
    try #require(built.status == 0, "\(built.errors)")
    let daemon = try ProcessDaemon(in: folder, environment: ["LD_PRELOAD": shim, "STUCK_DISK": sign])
    try daemon.client().applyAll(smallCompany(), to: "c")
    try #require(FileManager.default.createFile(atPath: sign, contents: nil))
    let connection = try RawConnection(daemon.address)
    connection.sendFrame(RawRequest(company: "c", call: 16, Self.putUsers(1, of: "lost")).packed)
    #expect(try connection.ask(RawRequest(call: 17)).code == 0, "checks go on")
    #expect(daemon.stop() == 75)
    #expect(daemon.log.contains("cut off"), "\(daemon.log)")
    let again = try ProcessDaemon(in: folder)
    #expect(try again.client("c").check("user:u0", "queue:q").verdict == .deny)
    #expect(again.stop() == 0)
  }

  /// Sends all, and returns when the daemon has all of it.
  private func ask(_ requests: [RawRequest], _ daemon: ProcessDaemon) throws -> RawConnection {
    let connection = try RawConnection(daemon.address)
    guard try connection.ask(RawRequest(call: 17)).code == 0 else { throw TestFailure("not accepted") }
    let frames = requests.enumerated().flatMap { index, request in
      var request = request
      request.id = UInt64(index + 1)
      request.timeoutMilliseconds = .anHour
      return RawConnection.frame(request.packed)
    }
    if !connection.send(frames) { throw TestFailure("the daemon has hung up before it was told to stop") }
    return connection
  }
}

/// Reads until the daemon has closed the connection; returns what is wrong with the answers.
private func problems(_ count: Int, on connection: RawConnection) throws -> [String] {
  var (answered, faults): (Set<UInt64>, [String]) = ([], [])
  while true {
    guard case .message(let message) = connection.receive() else { break }
    let response = try RawResponse(message)
    if response.more && response.code == 0 { continue }
    if !answered.insert(response.id).inserted { faults.append("\(response.id) is answered twice") }
    if response.code == 0 || ["stopping", "verify_under_way"].contains(response.reason) { continue }
    faults.append("\(response.id): \(response.code) \(response.reason): \(response.message)")
  }
  return faults + (1...UInt64(count)).filter { !answered.contains($0) }.map { "\($0) is not answered" }
}

/// The signals come through, whatever the process that started the daemon has done to them.
@Suite struct SignalsToStop {
  @Test(arguments: [SIGTERM, SIGINT]) func areTakenWhereTheyWereBlocked(signal: Int32) throws {
    let daemon = try ProcessDaemon(
      in: TemporaryFolder(), launcher: ["/usr/bin/env", "--block-signal=TERM,INT,ALRM"])
    daemon.signal(signal)
    #expect(daemon.wait() == 0, "\(daemon.log)")
  }
}

/// The file of a Unix socket belongs to whoever it leads to.
@Suite struct SocketFiles {
  private func inode(_ path: String) -> UInt64? {
    var status = stat()
    return lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  private func isAnswered(at path: String) -> Bool {
    (try? Client("unix:\(path)", timeoutMilliseconds: .anHour).health()) != nil
  }

  /// A successor takes the path over in one step, while its predecessor runs; that one stops later.
  @Test func aSuccessorKeepsItsSocket() async throws {
    let folder = TemporaryFolder()
    let old = try ProcessDaemon(in: folder)
    let new = try ProcessDaemon(in: TemporaryFolder())
    #expect(rename(new.folder.file("socket"), folder.file("socket")) == 0)
    try await waitUntil { old.log.contains("another process is already serving") }
    let taken = inode(folder.file("socket"))
    #expect(old.stop() == 0)
    #expect(inode(folder.file("socket")) == taken && isAnswered(at: folder.file("socket")))
    #expect(new.stop() == 0)
  }

  /// The predecessor of one that was killed takes its place again.
  @Test func aDeadSuccessorIsReplaced() async throws {
    let folder = TemporaryFolder()
    let old = try ProcessDaemon(in: folder)
    let new = try ProcessDaemon(in: TemporaryFolder())
    new.killNow()
    #expect(rename(new.folder.file("socket"), folder.file("socket")) == 0)
    try await waitUntil { isAnswered(at: folder.file("socket")) }
    #expect(old.logs("has been created again"))
    #expect(old.stop() == 0 && inode(folder.file("socket")) == nil)
  }

  @Test func aRemovedSocketIsMadeAgain() async throws {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder, arguments: ["--socket-mode", "600"])
    let client = try daemon.client()
    _ = try client.health()
    for _ in 0..<3 {
      #expect(unlink(folder.file("socket")) == 0)
      try await waitUntil { isAnswered(at: folder.file("socket")) }
      var status = stat()
      #expect(lstat(folder.file("socket"), &status) == 0 && status.st_mode & 0o777 == 0o600)
    }
    #expect(try client.health().isReady, "connections stay")
    #expect(daemon.stop() == 0 && inode(folder.file("socket")) == nil)
  }

  /// What is no socket is somebody's file.
  @Test func anotherFileIsLeftAlone() async throws {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder)
    try "mine".write(toFile: folder.file("mine"), atomically: false, encoding: .utf8)
    #expect(rename(folder.file("mine"), folder.file("socket")) == 0)
    try await waitUntil { daemon.log.contains("is not a socket; it is left alone") }
    #expect(daemon.stop() == 0)
    #expect(try String(contentsOfFile: folder.file("socket"), encoding: .utf8) == "mine")
  }

  /// The kernel names the path that it was bound at, by which clean-ups tell what is in use.
  @Test func itIsBoundWhereItIs() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    // Read to its end, since the table says that it is empty. While others open and close sockets it may lack some, and
    // not all of their names are text.
    try await waitUntil {
      let bound = (try? FileHandle(forReadingAtPath: "/proc/net/unix")?.readToEnd()) ?? Data()
      return bound.firstRange(of: Data(" \(daemon.folder.file("socket"))\n".utf8)) != nil
    }
    #expect(daemon.stop() == 0)
  }

  /// Whoever rotates logs, or closes a terminal, ends nothing.
  @Test func aHangupIsIgnored() throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    for _ in 0..<20 {
      kill(daemon.processIdentifier, SIGHUP)
      #expect(try daemon.client().health().isReady)
    }
    #expect(daemon.isRunning && daemon.stop() == 0)
  }
}
