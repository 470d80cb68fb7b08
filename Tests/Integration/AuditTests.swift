import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

private let queue = ObjectRef(ObjectType(name: "queue")!, "q")

@Suite struct Audit {
  private func log(_ client: Client, _ adjust: (inout LogFilter) -> Void = { _ in }) throws -> [LogRecord] {
    var filter = LogFilter()
    adjust(&filter)
    var records: [LogRecord] = []
    try client.changes(filter) {
      records.append($0)
      return true
    }
    return records
  }

  @Test func tellsWhoChangedWhatAndWhatItWas() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      let before = Int64(Date().timeIntervalSince1970 * 1e6)
      try client.applyAll(
        smallCompany() + [
          .putUser(User(id: "boss", name: "Boss"), roles: ["admin"]), .putProject(Project(id: "r", name: "Other")),
        ], to: "c")
      try client.applyAll(smallCompany(), to: "d")
      _ = try client.apply([.move(queue, from: "p", to: "r")], to: "c", actor: "boss", timeoutMilliseconds: .anHour)
      _ = try client.apply(
        [.putObject(Object(queue, name: "Renamed"))], to: "c", actor: "boss", timeoutMilliseconds: .anHour)
      let all = try log(client)
      #expect(all.map(\.revision) == [1, 3, 4], "another company's change is not told")
      #expect(all.map(\.actor) == ["", "boss", "boss"])
      #expect(all.allSatisfy { $0.caller == "uid:\(getuid())" && $0.hash.count == 32 })
      #expect(all.allSatisfy { $0.timeMicroseconds >= before })
      #expect(all[1].edits.map(\.before) == [["placement", "queue", "q", "p"], []])
      #expect(all[1].edits.map(\.after) == [[], ["placement", "queue", "q", "r"]])
      #expect(all[2].edits.first?.before == ["object", "queue", "q", "Queue", "custom"])
      #expect(all[2].edits.first?.after == ["object", "queue", "q", "Renamed", "custom"])
      #expect(try log(client) { $0.newestFirst = true }.map(\.revision) == [4, 3, 1])
      #expect(try log(client) { $0.actor = "boss" }.map(\.revision) == [3, 4])
      #expect(try log(client) { $0.about = "project:r" }.map(\.revision) == [1, 3])
      #expect(try log(client) { $0.about = "user:u1" }.map(\.revision) == [1])
      #expect(try log(client) { $0.about = "queue:q" }.map(\.revision) == [1, 3, 4])
      #expect(try log(client) { $0.caller = "tcp" }.isEmpty)
      #expect(try log(client) { $0.sinceMicroseconds = all[1].timeMicroseconds }.map(\.revision) == [3, 4])
      #expect(try log(client) { $0.untilMicroseconds = all[1].timeMicroseconds }.map(\.revision) == [1])
      for wrong in ["clinic", "thing:x", "user:"] {
        #expect(throws: ClientError.self) { try log(client) { $0.about = wrong } }
      }
    }
  }

  /// Pages and parts together give every record once, with all its edits, in either order.
  @Test func isPagedWithoutLossOrRepetition() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      let users = (0..<5_000).map { number -> Change in
        let id = Name(stringLiteral: "user-\(number)")
        return .putUser(User(id: id, name: id), roles: [])
      }
      try client.applyAll(users, to: "c")
      for number in 0..<350 { try client.applyAll([.removeUser(Name(stringLiteral: "user-\(number)"))], to: "c") }
      for newestFirst in [false, true] {
        let records = try log(client) { $0.newestFirst = newestFirst }
        let expected = Array(1...352 as ClosedRange<UInt64>)
        #expect(records.map(\.revision) == (newestFirst ? expected.reversed() : expected))
        #expect(records.first { $0.revision == 2 }?.edits.count == 5_000)
      }
      #expect(try log(client) { $0.about = "user:user-349" }.map(\.revision) == [2, 352])
    }
  }

  /// Records of few edits may still say much of who gained what.
  @Test func partsFitAFrame() async throws {
    try await withDaemon { daemon in
      func long(_ number: Int, _ letter: String) -> Name {
        Name(stringLiteral: String("\(number)" + String(repeating: letter, count: 128)).prefix(128).description)
      }
      let client = try daemon.client("c")
      let users = (0..<20).map { Change.putUser(User(id: long($0, "u"), name: long($0, "n")), roles: []) }
      try client.applyAll([.putCompany(.simple)] + users, to: "c")
      for number in 0..<450 {
        let ref = ObjectRef(ObjectType(name: "notification_template")!, long(number, "o"))
        try client.applyAll([.putObject(Object(ref, name: long(number, "m")))], to: "c")
      }
      let connection = try RawConnection(daemon.address(.unix))
      let parts = try connection.askForParts(RawRequest(company: "c", call: 22, Proto.number(3, 1_000)))
      #expect(parts.map(\.count).max()! < 4 << 20)
      #expect(parts.map(\.count).reduce(0, +) > 4 << 20, "else nothing is shown")
      #expect(try log(client).count == 451)
    }
  }

  @Test func isNotShownOverTCP() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [] }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      for call in [22, 23] {
        let connection = try RawConnection(daemon.address(.tcp))
        let response = try connection.ask(RawRequest(company: "c", call: call))
        #expect(response.code == 7 && response.reason == "log_not_shown")
      }
    }
  }

  @Test func verifyFindsAllSound() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      try daemon.client().applyAll([.removeProject("clinic"), .setMode(.simple)], to: "nordlicht")
      let report = try daemon.client().verify()
      #expect(report.isSound && report.problems.isEmpty && report.companies == 2 && report.facts > 1_000)
      #expect(report.revision == 3)
      let last = try #require(try log(daemon.client("nordlicht")).last)
      #expect(report.headHash == last.hash)
    }
  }

  /// A change that comes after a verification has begun does not wait for its end.
  @Test func changesGoOnWhileTheStoreIsVerified() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      let connection = try RawConnection(daemon.address(.unix))
      var verify = RawRequest(call: 23)
      verify.id = 1
      let group = Proto.message(1, Proto.message(6, Proto.bytes(1, Array("new".utf8))))
      var apply = RawRequest(company: "nordlicht", call: 16, group)
      apply.id = 2
      connection.send(RawConnection.frame(verify.packed) + RawConnection.frame(apply.packed))
      var answers: [RawResponse] = []
      for _ in 0..<2 {
        guard case .message(let message) = connection.receive() else { throw TestFailure("no answer") }
        answers.append(try RawResponse(message))
      }
      #expect(answers.map(\.id) == [2, 1] && answers.map(\.code) == [0, 0], "\(answers)")
      // And only one at a time.
      connection.send(RawConnection.frame(verify.packed) + RawConnection.frame(verify.packed))
      var reasons: Set<String> = []
      for _ in 0..<2 {
        guard case .message(let message) = connection.receive() else { throw TestFailure("no answer") }
        reasons.insert(try RawResponse(message).reason)
      }
      #expect(reasons == ["", "verify_under_way"])
      #expect(try daemon.client().verify().isSound)
    }
  }

  /// A row altered behind the daemon's back is found, and named.
  @Test func verifyFindsAnAlteredRow() async throws {
    let folder = TemporaryFolder()
    let first = try await TestDaemon(in: folder)
    try first.client().applyAll(smallCompany(), to: "c")
    try await first.stop()
    let sql = "INSERT INTO project_users VALUES ('c', 'p', 'u3')"
    let altered = try run(URL(fileURLWithPath: "/usr/bin/sqlite3"), [folder.file("data/scoped.sqlite"), sql])
    #expect(altered.status == 0, "\(altered)")
    let second = try await TestDaemon(in: folder)
    let report = try second.client().verify()
    #expect(!report.isSound)
    #expect(report.problems.contains { $0.contains("project_user") && $0.contains("u3") }, "\(report.problems)")
    try await second.stop()
  }

  @Test func readsAsSentences() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(
        smallCompany() + [
          .putUser(User(id: "boss", name: "Boss"), roles: ["admin"]), .putProject(Project(id: "r", name: "Other")),
        ], to: "c")
      _ = try client.apply([.move(queue, from: "p", to: "r")], to: "c", actor: "boss", timeoutMilliseconds: .anHour)
      let environment = ["SCOPED_ADDRESS": daemon.address(.unix), "SCOPED_COMPANY": "c"]
      func scopectl(_ arguments: String...) async throws -> Run {
        try await onThread { try run(builtProduct("scopectl"), arguments, environment: environment) }
      }
      let newest = try await scopectl("log", "-n", "1")
      #expect(newest.status == 0)
      let words =
        #/\d\d:\d\d user:boss moved queue:q from p to r, caller uid:\d+, r2\n(    access: .*\n)?/#
      #expect(newest.output.wholeMatch(of: words) != nil, "\(newest)")
      #expect(newest.errors == "")
      let full = try await scopectl("log", "-n", "2", "--full-time", "--since", "2h")
      #expect(full.output.firstMatch(of: #/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d user:boss /#) != nil, "\(full)")
      let oldest = try await scopectl("log", "--oldest", "--about", "queue:q")
      #expect(
        oldest.output.contains(" platform made ") && oldest.output.contains(" edits, caller uid:\(getuid()), r1\n")
          && oldest.output.contains("\n    created the company in enhanced mode\n"), "\(oldest)")
      #expect(oldest.output.contains("more; --json shows all"))
      let json = try await scopectl("log", "--json", "--actor", "boss")
      let gone = #"{"kind":"placement","before":{"object":"queue:q","project":"project:p"},"after":null}"#
      #expect(json.output.contains(gone), "\(json)")
      #expect(try await scopectl("log", "--since", "yesterday", "--json").output.split(separator: "\n").count == 2)
      #expect(try await scopectl("log", "--since", "yesteryear").errors.contains("'yesteryear' is no time; write "))
      #expect(try await scopectl("log", "--kind", "placment").status == 64)
      for kind in FactKind.allCases { #expect(try await scopectl("log", "--kind", kind.rawValue).status == 0) }
      for number in 0..<25 {
        try client.applyAll([.putGroup(Group(id: Name(stringLiteral: "g\(number)"), name: "G"))], to: "c")
      }
      let first = try await scopectl("log")
      #expect(first.output.split(separator: "\n").filter { !$0.hasPrefix(" ") }.count == 20)
      #expect(first.errors.hasPrefix("scopectl: 7 more; --number 27 shows them"))
      let all = try await scopectl("log", "--json")
      #expect(all.output.split(separator: "\n").count == 27 && all.errors == "")
      #expect(try await scopectl("log", "--until", "2020-01-01").output.isEmpty)
      let verify = try await scopectl("verify")
      #expect(verify.status == 0 && verify.output.hasPrefix("sound: 1 companies, "))
    }
  }
}
