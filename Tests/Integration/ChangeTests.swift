import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

private let queue = ObjectRef(ObjectType(name: "queue")!, "q")

@Suite struct Batches {
  @Test func areAllOrNothingAndNameTheChangeAtFault() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      let before = try client.export("c", timeoutMilliseconds: .anHour) { _ in }
      do throws(RefusedApply) {
        _ = try client.apply(
          [.addMember(project: "p", .user("u0")), .removeUser("u1"), .removeUser("nobody")], to: "c",
          timeoutMilliseconds: .anHour)
        Issue.record("applied")
      } catch {
        #expect(error.position == 3)
        #expect(error.error.reason == "unknown_user")
        #expect(error.error.message.contains("'nobody'"))
      }
      #expect(client.check("user:u0", "queue:q").verdict == .deny)
      #expect(try client.export("c", timeoutMilliseconds: .anHour) { _ in } == before)
    }
  }

  @Test func underOneKeyAreAppliedOnce() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      let add: [Change] = [.addMember(project: "p", .user("u0"))]
      let first = try client.apply(add, to: "c", idempotencyKey: "k", timeoutMilliseconds: .anHour)
      try client.applyAll([.removeMember(project: "p", .user("u0"))], to: "c")
      let again = try client.apply(add, to: "c", idempotencyKey: "k", timeoutMilliseconds: .anHour)
      #expect(again.isRepeated && again.revision == first.revision && again.edits == 1)
      #expect(client.check("user:u0", "queue:q").verdict == .deny, "it was not applied again")
      do throws(RefusedApply) {
        _ = try client.apply([.removeUser("u0")], to: "c", idempotencyKey: "k", timeoutMilliseconds: .anHour)
        Issue.record("applied")
      } catch {
        #expect(error.error.reason == "idempotency_key_reused")
      }
    }
  }

  @Test func thatChangeNothingLeaveNoTraceAndUseUpNoKey() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
      let add: [Change] = [.addMember(project: "p", .user("u0"))]
      for _ in 0..<2 {
        let nothing = try client.apply(add, to: "c", idempotencyKey: "k", timeoutMilliseconds: .anHour)
        #expect(nothing.edits == 0 && nothing.revision == 1 && !nothing.isRepeated)
      }
      try client.applyAll([.removeMember(project: "p", .user("u0"))], to: "c")
      let made = try client.apply(add, to: "c", idempotencyKey: "k", timeoutMilliseconds: 20_000)
      #expect(made.edits == 1 && made.revision == 3 && !made.isRepeated)
      #expect(try client.apply(add, to: "c", idempotencyKey: "k", timeoutMilliseconds: 20_000).isRepeated)
      var revisions: [UInt64] = []
      try client.changes(LogFilter()) { record in
        revisions.append(record.revision)
        return true
      }
      #expect(revisions == [1, 2, 3])
    }
  }

  @Test func afterAnotherChangeAreRefusedWhereARevisionIsExpected() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      let seen = client.check("user:u0", "queue:q").revision
      // Another company's change is none of this one's.
      try client.applyAll(smallCompany(), to: "d")
      _ = try client.apply([.removeUser("u1")], to: "c", expectedRevision: seen, timeoutMilliseconds: .anHour)
      let newest = try client.companyFacts().revision
      do throws(RefusedApply) {
        _ = try client.apply([.removeUser("u2")], to: "c", expectedRevision: newest + 1, timeoutMilliseconds: .anHour)
        Issue.record("a revision that is not there yet was expected")
      } catch {
        #expect(error.error.reason == "revision_mismatch" && error.error.message.contains("the newest is \(newest)"))
      }
      do throws(RefusedApply) {
        _ = try client.apply([.removeUser("u2")], to: "c", expectedRevision: seen, timeoutMilliseconds: .anHour)
        Issue.record("applied")
      } catch {
        #expect(error.error.reason == "revision_mismatch")
      }
    }
  }

  @Test func ofAnActorNeedItsRightsAndReach() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(
        smallCompany() + [
          .putRole("lead", rights: ["projects.manage_access"]),
          .putUser(User(id: "lead", name: "Lead"), roles: ["lead"]),
          .putUser(User(id: "gone", name: "Gone", isBlocked: true), roles: ["admin"]),
        ], to: "c")
      func reason(_ actor: String) -> String {
        do throws(RefusedApply) {
          _ = try client.apply(
            [.addMember(project: "p", .user("u0"))], to: "c", actor: actor, timeoutMilliseconds: .anHour)
          return "applied"
        } catch {
          return error.error.reason
        }
      }
      #expect(reason("u1") == "right_missing")
      #expect(reason("nobody") == "unknown_actor")
      #expect(reason("gone") == "actor_blocked")
      #expect(reason("lead") == "project_out_of_reach")
      try client.applyAll([.addMember(project: "p", .user("lead"))], to: "c")
      #expect(reason("lead") == "applied")
    }
  }

  /// A change that waited longer than it may is not begun; one whose time passes meanwhile is "maybe". Either way
  /// the answer comes, and it is no refusal by the rules.
  @Test func thatTakeTooLongAreSaidToHave() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      func put(_ id: UInt64, _ users: Range<Int>, timeout: UInt32) -> [UInt8] {
        let changes = users.flatMap { Proto.message(1, Proto.message(4, Proto.bytes(1, Array("\(id)-\($0)".utf8)))) }
        var request = RawRequest(company: "c", call: 16, changes)
        (request.id, request.timeoutMilliseconds) = (id, timeout)
        return request.packed
      }
      for id in 1...6 as ClosedRange<UInt64> { connection.sendFrame(put(id, 0..<4_000, timeout: .anHour)) }
      connection.sendFrame(put(7, 0..<1, timeout: 1))
      var answers: [UInt64: RawResponse] = [:]
      while answers.count < 7 {
        let response = try connection.response()
        answers[response.id] = response
      }
      let late = try #require(answers[7])
      #expect(late.code == 4 && ["deadline_exceeded", "not_begun"].contains(late.reason), "\(late)")
      #expect(answers.values.count { $0.code == 0 } == 6)
      if late.reason == "not_begun" {
        #expect(try daemon.client("c").check("user:7-0", "contact_field:name").reason == "unknown_subject")
      }
    }
  }

  @Test func sayWhatIsWorthALook() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      let field = ObjectRef(.contactField, "note")
      try client.applyAll(
        smallCompany() + [
          .putProject(Project(id: "r", name: "Other")), .putObject(Object(field, name: "Note")),
          .place(field, project: "p"),
        ], to: "c")
      let result = try client.apply([.place(field, project: "r")], to: "c", timeoutMilliseconds: .anHour)
      #expect(result.warnings.map(\.reason) == ["field_shared"])
      #expect(result.warnings.first?.projects == ["p", "r"])
    }
  }

  /// However much is worth a look, the answer to an applied change says that it is applied, and fits a frame.
  @Test func withVeryManyWarningsAreAnswered() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      let users = (0..<5_000).map { Name(stringLiteral: "user-with-a-rather-long-id-\($0)") }
      var setup: [Change] = [.putCompany(.simple), .putGroup(Group(id: "all", name: "All"))]
      for user in users {
        setup += [.putUser(User(id: user, name: user), roles: []), .addToGroup(group: "all", user: user)]
      }
      try client.applyAll(setup + [.setMode(.enhanced), .putProject(Project(id: "p", name: "P"))], to: "c")
      let result = try client.apply([.addMember(project: "p", .group("all"))], to: "c", timeoutMilliseconds: .anHour)
      #expect(result.edits == 1)
      #expect(result.warnings.count == 200 && result.warnings.allSatisfy { $0.reason == "still_in_default" })
    }
  }

  @Test func areNotTakenOverTCPUnlessAllowed() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [] }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      #expect(try daemon.client("c", over: .tcp).check("user:u0", "queue:q").verdict == .deny)
      #expect(throws: TestFailure.self) { try daemon.client(over: .tcp).applyAll([.removeUser("u0")], to: "c") }
    }
  }

  @Test func anActorIsToldNothingOfWhatItDoesNotSee() async throws {
    try await withDaemon { daemon in
      let schedule = ObjectRef(ObjectType(name: "schedule")!, "s")
      let changes: [Change] =
        smallCompany() + [
          .addMember(project: "p", .user("u0")), .putRole("staff", rights: [Right.manageCompany]),
          .putProject(Project(id: "r", name: "r")),
          .putUser(User(id: "clerk", name: "C"), roles: ["staff"], projects: ["r"]),
          .putObject(Object(schedule, name: "Hours"), projects: ["r"]), .setMode(.simple),
        ]
      let client = try daemon.client("c")
      try client.applyAll(changes, to: "c")
      // In simple mode all see all. Now u0 loses two, the three in Default two each, the clerk the queue and the list.
      let separate = Change.setMode(.enhanced)
      let told = try client.preview([separate], of: "c", actor: "clerk", timeoutMilliseconds: .anHour)
      #expect(told.access?.lost == 10 && told.access?.gained == 0)
      #expect(
        told.access?.first.map(\.object.id) == ["s", "s", "s", "s"], "the queue and the list are not the clerk's")
      #expect(told.access?.isComplete == false)
      let applied = try client.apply([separate], to: "c", actor: "clerk", timeoutMilliseconds: .anHour)
      #expect(applied.access?.first.map(\.object.id) == ["s", "s", "s", "s"])
      var logged: [String] = []
      try client.changes(LogFilter()) { record in
        logged = record.access?.first.map(\.object.id) ?? []
        return true
      }
      #expect(logged.count == 10 && Set(logged) == ["l", "q", "s"], "the log keeps all")
    }
  }

  @Test func actingAsThePlatformIsAScopeOfItsOwn() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [.write] }) { daemon in
      let changes = smallCompany() + [.putUser(User(id: "boss", name: "Boss"), roles: ["admin"])]
      try daemon.client().applyAll(changes, to: "c")
      let client = try daemon.client("c", over: .tcp)
      func reason(actor: String) -> String? {
        do throws(RefusedApply) {
          _ = try client.apply(
            [.addMember(project: "p", .user("u0"))], to: "c", actor: actor, timeoutMilliseconds: .anHour)
          return nil
        } catch {
          return error.error.reason
        }
      }
      #expect(reason(actor: "") == "platform_not_allowed")
      #expect(reason(actor: "u1") == "right_missing")
      #expect(reason(actor: "boss") == nil)
      let preview = try RawConnection(daemon.address(.tcp)).ask(RawRequest(company: "c", call: 33))
      #expect(preview.reason == "platform_not_allowed")
    }
    try await withDaemon(adjust: { $0.tcpScopes = [.platform] }) { daemon in
      let client = try daemon.client("c", over: .tcp)
      try client.applyAll(smallCompany() + [.putUser(User(id: "boss", name: "Boss"), roles: ["admin"])], to: "c")
      do throws(RefusedApply) {
        _ = try client.apply([.removeUser("u0")], to: "c", actor: "boss", timeoutMilliseconds: .anHour)
        Issue.record("applied")
      } catch {
        #expect(error.error.reason == "changes_not_allowed")
      }
    }
  }

  @Test func ofTenThousandChangesAreOneCommit() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      let users = (0..<10_000).map { number -> Change in
        let id = Name(stringLiteral: "user-\(number)")
        return .putUser(User(id: id, name: id), roles: [])
      }
      let result = try client.apply(users, to: "c", timeoutMilliseconds: .anHour)
      #expect(result.edits == 10_000)
      #expect(result.revision == 2)
      do throws(RefusedApply) {
        _ = try client.apply(users + users.prefix(1), to: "c", timeoutMilliseconds: .anHour)
        Issue.record("applied")
      } catch {
        #expect(error.error.reason == "too_many")
      }
    }
  }
}

@Suite struct Visibility {
  /// Many writers, each with a project and a user of its own, and many checkers that watch them all over
  /// other connections: once a change is acknowledged, no check that begins later misses it.
  @Test func ofAnAcknowledgedChangeIsImmediateOnEveryConnection() async throws {
    try await withDaemon { daemon in
      let writers = 8
      let rounds = 60
      try daemon.client().applyAll(smallCompany(users: writers), to: "c")
      let board = Board(writers)
      let mistakes = try await withThrowingTaskGroup(of: [String].self) { group in
        for writer in 0..<writers {
          group.addTask { try await onThread { try write(daemon, writer, rounds, board) } }
        }
        for seed in 1...8 as ClosedRange<UInt64> {
          group.addTask { try await onThread { try watch(daemon, writers, seed, board) } }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      #expect(mistakes == [])
      #expect(board.checks > 1_000)
    }
  }

  /// The comparison must be able to fail: against a board that runs ahead of the daemon it does.
  @Test func wouldBeNoticedIfItWereLate() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(users: 1), to: "c")
      let board = Board(1)
      board.begin(0)
      board.acknowledge(0, isMember: true, revision: 1_000)
      board.finish()
      #expect(try check(try daemon.client("c"), 0, board) != nil)
    }
  }
}

/// What has been acknowledged, by whom. A writer's state is nil while a change is under way.
private final class Board: Sendable {
  private struct State {
    var members: [Bool?]
    /// Counts each writer's changes, so that one that began and ended in between is noticed.
    var turns: [Int]
    var revision: UInt64 = 0
    var running: Int
    var checks = 0
  }

  private let state: NIOLockedValueBox<State>

  init(_ writers: Int) {
    state = NIOLockedValueBox(
      State(
        members: .init(repeating: false, count: writers), turns: .init(repeating: 0, count: writers), running: writers))
  }

  func begin(_ writer: Int) {
    state.withLockedValue {
      $0.members[writer] = nil
      $0.turns[writer] += 1
    }
  }

  func acknowledge(_ writer: Int, isMember: Bool, revision: UInt64) {
    state.withLockedValue {
      $0.members[writer] = isMember
      $0.revision = max($0.revision, revision)
    }
  }

  func finish() { state.withLockedValue { $0.running -= 1 } }

  var isRunning: Bool { state.withLockedValue { $0.running > 0 } }
  var checks: Int { state.withLockedValue { $0.checks } }

  func look(_ writer: Int) -> (isMember: Bool?, turn: Int, revision: UInt64) {
    state.withLockedValue {
      $0.checks += 1
      return ($0.members[writer], $0.turns[writer], $0.revision)
    }
  }
}

private func write(_ daemon: TestDaemon, _ writer: Int, _ rounds: Int, _ board: Board) throws -> [String] {
  defer { board.finish() }
  let client = try daemon.client("c")
  let member = Member.user(Name(stringLiteral: "u\(writer)"))
  for round in 0..<rounds {
    let isMember = round % 2 == 0
    board.begin(writer)
    let change = isMember ? Change.addMember(project: "p", member) : .removeMember(project: "p", member)
    do throws(RefusedApply) {
      let result = try client.apply([change], to: "c", timeoutMilliseconds: .anHour)
      board.acknowledge(writer, isMember: isMember, revision: result.revision)
    } catch {
      return ["writer \(writer): \(error.error)"]
    }
  }
  return []
}

private func watch(_ daemon: TestDaemon, _ writers: Int, _ seed: UInt64, _ board: Board) throws -> [String] {
  var random = SeededRandom(seed: seed)
  let client = try daemon.client("c")
  var mistakes: [String] = []
  while board.isRunning {
    if let mistake = try check(client, Int.random(in: 0..<writers, using: &random), board) { mistakes.append(mistake) }
  }
  return mistakes
}

/// One check of one writer's user against what was acknowledged before it began.
private func check(_ client: Client, _ writer: Int, _ board: Board) throws -> String? {
  let before = board.look(writer)
  let answer = client.check("user:u\(writer)", "queue:q")
  let after = board.look(writer)
  if answer.verdict == .unavailable { return "unavailable: \(answer.error!)" }
  if answer.revision < before.revision {
    return "revision \(answer.revision) after \(before.revision) was acknowledged"
  }
  guard let isMember = before.isMember, after.turn == before.turn else { return nil }
  return (answer.verdict == .allow) == isMember
    ? nil : "user u\(writer): \(answer.verdict) though member is \(isMember)"
}

@Suite(.serialized) struct Durability {
  /// Kills the daemon at random moments under writes; what was acknowledged is there after each restart.
  @Test func ofAcknowledgedChangesOutlivesKill9() async throws {
    let folder = TemporaryFolder()
    let seed = UInt64.random(in: 1...1_000_000)
    var random = SeededRandom(seed: seed)
    var acknowledged: [Name] = []
    for round in 0..<12 {
      let daemon = try ProcessDaemon(in: folder)
      try expectAll(acknowledged, in: daemon, "seed \(seed), round \(round)")
      if round == 0 { try daemon.client().applyAll([.putCompany(.enhanced)], to: "c") }
      let wanted = Int.random(in: 0...60, using: &random)
      let (killed, written) = (NIOLockedValueBox(false), NIOLockedValueBox([Name]()))
      let address = daemon.address
      async let writer: Void = onThread { writeUsers(address, round, killed, written) }
      try await waitUntil("\(wanted) users") { written.withLockedValue { $0.count } >= wanted }
      daemon.killNow()
      killed.withLockedValue { $0 = true }
      try await writer
      acknowledged += written.withLockedValue { $0 }
    }
    let last = try ProcessDaemon(in: folder)
    try expectAll(acknowledged, in: last, "seed \(seed), at the end")
    #expect(last.stop() == 0)
    #expect(acknowledged.count > 100)
  }

  private func expectAll(_ users: [Name], in daemon: ProcessDaemon, _ place: String) throws {
    let client = try daemon.client("c")
    for user in users where client.check("user:\(user)", "contact_field:name").verdict != .allow {
      Issue.record("\(place): \(user) was acknowledged and is lost")
    }
  }

  @Test func ofASecondDaemonOnTheSameFolderIsRefused() throws {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder)
    let second = try run(
      builtProduct("scoped"), ["--data", folder.file("data"), "--socket", folder.file("other")])
    #expect(second.status == 69)
    #expect(second.errors.contains("\(daemon.processIdentifier)"), "names the process: \(second.errors)")
    let third = try run(
      builtProduct("scoped"), ["--data", folder.file("data2"), "--create", "--socket", folder.file("socket")])
    #expect(third.status == 73)
    #expect(third.errors.contains("already serving"), "\(third.errors)")
    #expect(try daemon.client().health().isReady, "the first goes on")
    #expect(daemon.stop() == 0)
    #expect(!FileManager.default.fileExists(atPath: folder.file("socket")))
  }
}

private func writeUsers(
  _ address: String, _ round: Int, _ killed: NIOLockedValueBox<Bool>, _ written: NIOLockedValueBox<[Name]>
) {
  guard let client = try? Client(address, timeoutMilliseconds: .anHour) else { return }
  var number = 0
  while !killed.withLockedValue({ $0 }) {
    let user = Name(stringLiteral: "r\(round)-\(number)")
    guard
      (try? client.apply([.putUser(User(id: user, name: user), roles: [])], to: "c", timeoutMilliseconds: .anHour))
        != nil
    else { return }
    written.withLockedValue { $0.append(user) }
    number += 1
  }
}
