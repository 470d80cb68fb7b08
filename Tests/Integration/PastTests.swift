import ScopeClient
import ScopeModel
import ScopeTesting
import Synchronization
import Testing

/// Questions as of an earlier time, against what was answered then.
@Suite struct Past {
  /// Every kind of question that can be asked as of another time.
  private func questions(_ walker: RandomCompany, _ random: inout SeededRandom) -> [RawRequest] {
    let users = walker.users.map { Array($0.text.utf8) }
    let objects = walker.objects
    func ref(_ object: ObjectRef) -> (UInt64, [UInt8]) { (UInt64(object.type.number), Array(object.id.text.utf8)) }
    let (user, object, project) = (random.pick(users), random.pick(objects), random.pick(walker.projects))
    let projectID = Array(project.text.utf8)
    let checks = (0..<40).flatMap { _ in
      Proto.message(1, RawRequest.check((1, random.pick(users)), ref(random.pick(objects))))
    }
    let check = RawRequest.check((1, user), ref(object), right: Array("projects.list".utf8))
    let filter =
      Proto.number(1, 1) + Proto.bytes(2, user) + Proto.number(3, UInt64(object.type.number))
      + objects.filter { $0.type == object.type }.flatMap { Proto.message(4, Array($0.id.text.utf8)) }
    let subject = Proto.number(1, 1) + Proto.bytes(2, user)
    let thing = Proto.number(1, UInt64(object.type.number)) + Proto.bytes(2, Array(object.id.text.utf8))
    let rights = RandomCompany.rights.flatMap { Proto.message(2, Array($0.text.utf8)) }
    let calls: [(Int, [UInt8])] = [
      (11, check), (12, checks), (13, Proto.bytes(1, user)), (14, filter), (15, subject),
      (19, Proto.message(1, check)), (20, thing), (21, subject + Proto.bytes(4, projectID)),
      (24, Proto.bytes(1, user) + rights), (25, Proto.number(5, random.below(2) == 0 ? 2 : 1)),
      (25, Proto.bytes(3, projectID)), (26, Proto.bytes(1, user)), (27, []), (28, []), (29, Proto.bytes(1, projectID)),
      (30, thing), (31, []), (32, []), (13, Proto.number(2, 1)), (36, []),
    ]
    return calls.map { RawRequest(company: "company", call: $0.0, $0.1) }
  }

  private func time(of revision: UInt64, _ client: Client) throws -> Int64 {
    var time: Int64 = 0
    try client.changes(LogFilter()) { record in
      time = record.timeMicroseconds
      return record.revision < revision
    }
    return time
  }

  @Test("1,000 revisions: every question as of then is answered byte by byte as it was then")
  func recorded() async throws {
    try await withDaemon { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      let client = try daemon.client("company")
      var walker = RandomCompany(seed: 19, mode: .enhanced)
      var random = SeededRandom(seed: 91)
      try client.applyAll(walker.changes, to: "company")
      var recorded: [(revision: UInt64, request: RawRequest, answer: [[UInt8]])] = []
      var revision: UInt64 = 1
      while revision < 1_001 {
        let change = walker.nextChange()
        guard let outcome = try? walker.apply([change]), !outcome.edits.isEmpty else { continue }
        revision = try client.apply([change], to: "company", timeoutMilliseconds: .anHour).revision
        for request in random.pick(6, of: questions(walker, &random)) {
          recorded.append((revision, request, try connection.askForParts(request)))
        }
      }
      #expect(Set(recorded.map(\.revision)).count == 1_000)
      for (revision, request, answer) in random.pick(recorded.count, of: recorded) {
        var past = request
        past.atRevision = revision
        #expect(try connection.askForParts(past) == answer, "revision \(revision), call \(request.call!.field)")
      }
    }
  }

  @Test func aTimeIsTheLastRevisionNotAfterIt() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      try client.applyAll([.addMember(project: "p", .user("u0"))], to: "c")
      try client.applyAll([.removeMember(project: "p", .user("u0"))], to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      let second = try time(of: 2, client)
      func decision(at time: Int64) throws -> (UInt32, UInt64) {
        var request = RawRequest.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))
        request.atTimeMicroseconds = time
        let response = try connection.ask(request)
        #expect(response.code == 0, "\(response.message)")
        return (response.decision, response.revision)
      }
      #expect(try decision(at: second) == (1, 2))
      #expect(try decision(at: second - 1) == (2, 1))
      #expect(try decision(at: try time(of: 3, client)) == (2, 3))
      let first = try decision(at: 1)
      #expect(first == (2, 0), "long before the company was there")
    }
  }

  /// Whichever way the clock is set, the log's time goes on, and what was so as of a time is what the log has up to it.
  @Test func timeGoesOnThoughTheClockBeSetBack() async throws {
    let clock = Mutex<Int64>(1_000_000_000_000)
    func step(_ seconds: Int64) { clock.withLock { $0 += seconds * 1_000_000 } }
    let folder = TemporaryFolder()
    var steps: [Int64] = [0, 60, -3_600, 1, 1, 7_200, -1, 30, -86_400]
    func run(_ body: (Client, RawConnection) throws -> Void) async throws {
      let daemon = try await TestDaemon(in: folder) { $0.store.clock = { clock.withLock { $0 } } }
      do { try body(try daemon.client("c"), try RawConnection(daemon.address(.unix))) } catch {
        try? await daemon.stop()
        throw error
      }
      try await daemon.stop()
    }
    try await run { client, _ in
      try client.applyAll(smallCompany(), to: "c")
      for seconds in steps {
        step(seconds)
        try client.applyAll(
          [.putGroup(Group(id: "g", name: Name(stringLiteral: "after \(clock.withLock { $0 })")))], to: "c")
      }
    }
    // A day behind what the log has: the next start goes on from there.
    steps.append(10)
    step(10)
    try await run { client, connection in
      try client.applyAll([.putGroup(Group(id: "g", name: "last"))], to: "c")
      func log(_ adjust: (inout LogFilter) -> Void = { _ in }) throws -> [LogRecord] {
        var (filter, records) = (LogFilter(), [LogRecord]())
        adjust(&filter)
        try client.changes(filter) { record in
          records.append(record)
          return true
        }
        return records
      }
      let records = try log()
      #expect(records.count >= steps.count)
      #expect(zip(records, records.dropFirst()).allSatisfy { $0.timeMicroseconds <= $1.timeMicroseconds })
      let last = try #require(records.last).timeMicroseconds
      #expect(last == records.map(\.timeMicroseconds).max() && last > clock.withLock { $0 })
      func answer(at time: Int64) throws -> RawResponse {
        var request = RawRequest.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))
        request.atTimeMicroseconds = time
        return try connection.ask(request)
      }
      for time in Set(records.flatMap { [$0.timeMicroseconds - 1, $0.timeMicroseconds] }) {
        let until = try log { $0.untilMicroseconds = time + 1 }
        let since = try log { $0.sinceMicroseconds = time + 1 }
        #expect(try answer(at: time).revision == until.last?.revision ?? 0)
        #expect((until + since).map(\.revision) == records.map(\.revision))
      }
      #expect(try answer(at: last + 1).reason == "time_not_reached", "the clock says that it is long ago")
      clock.withLock { $0 = last + 1_000_000 }
      #expect(try answer(at: last + 1_000_000).code == 0)
      #expect(try answer(at: last + 1_000_001).reason == "time_not_reached")
      #expect(try answer(at: .max).reason == "time_not_reached")
    }
  }

  /// However many questions wait for the past of one company.
  @Test func oneCompanysPastDoesNotDelayAnothers() async throws {
    let gate = Gate(closed: ["slow"])
    try await withDaemon(adjust: { $0.loading.beforeGoingBack = gate.pass }) { daemon in
      defer { gate.openAll() }
      for company: Name in ["slow", "other"] { try daemon.client().applyAll(smallCompany(), to: company) }
      @Sendable func request(_ company: String) -> RawRequest {
        var request = RawRequest.canSee(company, (1, Array("u0".utf8)), (16, Array("q".utf8)))
        request.atRevision = 2
        request.timeoutMilliseconds = 60_000
        return request
      }
      let slow = try (0..<8).map { _ in
        let connection = try RawConnection(daemon.address(.unix))
        connection.send(RawConnection.frame(request("slow").packed))
        return connection
      }
      try await onThread { gate.waitUntilHeld("slow") }
      let other = try RawConnection(daemon.address(.unix))
      #expect(try await onThread { try other.ask(request("other")) }.code == 0)
      #expect(gate.order == ["slow", "other"], "one thread is the slow one's")
      gate.openAll()
      for connection in slow {
        guard case .message(let answer) = connection.receive(within: 120) else { throw TestFailure("no answer") }
        #expect(try RawResponse(answer).code == 0)
      }
    }
  }

  @Test func aRemovedCompanyIsStillThereInThePast() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
      try client.applyAll([.removeCompany], to: "c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      let reasons = try (1...3).map { (revision: UInt64) in
        var request = RawRequest.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))
        request.atRevision = revision
        return try connection.ask(request).decisionReason
      }
      #expect(reasons == [Reason.sharedProject, .unknownCompany, .unknownSubject].map { UInt32($0.rawValue) })
    }
  }

  @Test func whatCannotBeAskedIsRefused() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [] }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      func reason(
        _ transport: Transport = .unix, call: Int = 24, _ message: [UInt8] = [], _ adjust: (inout RawRequest) -> Void
      ) throws -> String {
        var request = RawRequest(company: "c", call: call, message)
        adjust(&request)
        return try RawConnection(daemon.address(transport)).ask(request).reason
      }
      #expect(try reason { $0.atRevision = 2 } == "revision_not_reached")
      #expect(try reason(.tcp) { $0.atRevision = 1 } == "log_not_shown")
      for call in [16, 17, 18, 22, 23, 33, 34, 35] {
        #expect(try reason(call: call) { $0.atRevision = 1 } == "at_not_possible", "call \(call)")
      }
      let both = try reason { request in
        request.atRevision = 1
        request.atTimeMicroseconds = 1
      }
      #expect(both == "two_times")
    }
  }

  @Test func moreRowsThanAllowedAreTooFarBack() async throws {
    try await withDaemon(adjust: { $0.limits.pastEdits = 40 }) { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      for step in 0..<100 {
        let member = Member.user("u0")
        let change: Change = step % 2 == 0 ? .addMember(project: "p", member) : .removeMember(project: "p", member)
        try client.applyAll([change], to: "c")
      }
      let connection = try RawConnection(daemon.address(.unix))
      func ask(_ revision: UInt64) throws -> RawResponse {
        var request = RawRequest.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))
        request.atRevision = revision
        return try connection.ask(request)
      }
      let (near, far) = (try ask(80), try ask(50))
      #expect(near.decision == 1 || near.decision == 2)
      #expect(far.code == 8 && far.reason == "too_far_back")
      #expect(try connection.ask(.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))).code == 0)
    }
  }
}
