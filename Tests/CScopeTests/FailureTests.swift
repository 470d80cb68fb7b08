import CScope
import Foundation
import ScopeTesting
import Testing

/// Whatever goes wrong is "unavailable", in time, and never "allow" or "deny".
@Suite struct FailureTests {
  /// Replies that a correct daemon never sends, each built from the request's id.
  static let lies: [(String, @Sendable (UInt64) -> [UInt8])] = [
    ("another id", { checkReply(to: $0 + 1).frame }),
    ("an older id", { checkReply(to: $0 - 1).frame }),
    ("id 0 and OK", { _ in checkReply(to: 0).frame }),
    ("an empty frame", { _ in Message.length(0) }),
    ("no result", { response(to: $0).frame }),
    ("another call's result", { response(to: $0).message(Field.health, Message()).frame }),
    ("an empty answer", { response(to: $0).message(Field.canSee, Message()).frame }),
    ("no decision", { checkReply(to: $0, decision: 0).frame }),
    ("an unknown decision", { checkReply(to: $0, decision: 3).frame }),
    ("no reason", { checkReply(to: $0, reason: 0).frame }),
    ("an unknown reason", { checkReply(to: $0, reason: 99).frame }),
    ("allow with a reason to deny", { checkReply(to: $0, reason: Reason.noSharedProject).frame }),
    ("deny with a reason to allow", { checkReply(to: $0, decision: Decision.deny).frame }),
    ("a project with NUL", { checkReply(to: $0, project: "a\0b").frame }),
    ("a project of 129 bytes", { checkReply(to: $0, project: String(repeating: "p", count: 129)).frame }),
    ("a group of 129 bytes", { checkReply(to: $0, group: String(repeating: "g", count: 129)).frame }),
    (
      "more to come",
      {
        response(to: $0, more: true)
          .message(Field.canSee, Message().number(1, Decision.allow).number(2, Reason.seeAll)).frame
      }
    ),
    ("garbage", { _ in Message.length(5) + [0xff, 0xff, 0xff, 0xff, 0xff] }),
    (
      "a text where a number belongs",
      {
        response(to: $0).message(Field.canSee, Message().text(1, "allow")).frame
      }
    ),
    ("a frame beyond the limit", { _ in Message.length(4_259_841) }),
    ("the longest length there is", { _ in Message.length(UInt32.max) }),
  ]

  @Test(arguments: lies.indices)
  func believesNoLie(_ index: Int) {
    let (name, lie) = Self.lies[index]
    let daemon = FakeDaemon { connection, number in
      guard let question = connection.readQuestion() else { return }
      connection.send(number == 0 ? lie(question.id) : checkReply(to: question.id).frame)
      connection.awaitEnd()
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let refused = client.check()
    expectUnavailable(refused, "bad_reply", SCOPE_STATUS_INTERNAL, name)
    #expect(refused.error.requestSent)
    // The connection that lied is not used again.
    #expect(client.check().allowed, "\(name)")
    #expect(daemon.connectionCount == 2, "\(name)")
  }

  @Test(arguments: [UInt64(1), 3, 4, 7, 8, 12, 13, 14, 16, 17, 4711])
  func reportsTheDaemonsErrors(_ code: UInt64) {
    let daemon = FakeDaemon { [failure(to: $0.id, code: code, reason: "some_code", message: "a\nb")] }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.breaker_failures = 1 }
    for _ in 0..<3 {
      let answer = client.check()
      #expect(answer.verdict == SCOPE_UNAVAILABLE)
      #expect(answer.reasonText == "unavailable")
      #expect(answer.error.status == scope_status(rawValue: code <= 16 ? UInt32(code) : 2))
      #expect(answer.error.fromDaemon)
      #expect(answer.error.reason == "some_code")
      #expect(answer.error.message == "a?b")
    }
    // An error is an answer of a daemon that lives: neither connection nor breaker minds.
    #expect(daemon.connectionCount == 1)
    #expect(client.counters.timeouts == 0)
  }

  @Test func anErrorWithAnAllowInsideIsNoAllow() {
    let daemon = FakeDaemon { question in
      let allow = Message().number(1, Decision.allow).number(2, Reason.seeAll)
      return [failure(to: question.id, code: 14).message(Field.canSee, allow)]
    }
    defer { daemon.stop() }
    expectUnavailable(Client(daemon.address).check(), "why", SCOPE_STATUS_UNAVAILABLE)
  }

  @Test func reportsAnErrorForARequestThatCouldNotBeRead() {
    let daemon = FakeDaemon { connection, _ in
      guard connection.readQuestion() != nil else { return }
      connection.send(failure(to: 0, code: 3, reason: "unreadable").frame)
    }
    defer { daemon.stop() }
    let answer = Client(daemon.address).check()
    expectUnavailable(answer, "unreadable", SCOPE_STATUS_INVALID_ARGUMENT)
    #expect(answer.error.fromDaemon)
  }

  @Test func leavesAConnectionWhoseErrorIsNotTheEnd() {
    for isLast in [true, false] {
      let daemon = FakeDaemon { connection, number in
        guard let question = connection.readQuestion() else { return }
        let error = isLast ? failure(to: 0, code: 3) : failure(to: question.id, code: 3).number(6, 1)
        connection.send(number == 0 ? error.frame : checkReply(to: question.id).frame)
        connection.awaitEnd()
      }
      defer { daemon.stop() }
      let client = Client(daemon.address)
      expectUnavailable(client.check(), "why", SCOPE_STATUS_INVALID_ARGUMENT)
      #expect(client.check("user:2").allowed)
      #expect(daemon.connectionCount == 2)
    }
  }

  @Test func cutsLongWordsBetweenCharacters() {
    let daemon = FakeDaemon {
      [failure(to: $0.id, code: 14, message: "x" + String(repeating: "é", count: 500))]
    }
    defer { daemon.stop() }
    let message = Client(daemon.address).check().error.message
    #expect(message == "x" + String(repeating: "é", count: 127))
  }

  @Test func givesUpAtTheDeadline() {
    let isSilent = Locked(true)
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      if !isSilent.withLock({ $0 }) { connection.send(checkReply(to: question.id).frame) }
      connection.awaitEnd()  // returns when the client closed, so it does
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.timeout_ms = 0 }  // the default
    var asked: UInt64 = 0
    let isSent = comesAbout {  // a busy machine may use up the time before that
      let answer = client.check()
      expectUnavailable(answer, "timeout", SCOPE_STATUS_DEADLINE_EXCEEDED)
      asked += 1
      return answer.error.requestSent
    }
    #expect(isSent && client.counters.timeouts == asked)
    #expect(comesAbout { !daemon.questions.isEmpty })
    #expect((1...50).contains(daemon.questions[0].timeoutMilliseconds))
    // The late answer could only come on the old connection.
    isSilent.withLock { $0 = false }
    let connections = daemon.connectionCount
    var patient = scope_call_options(company: nil, timeout_ms: .anHour, min_revision: 0)
    var second = scope_answer()
    #expect(scope_check_with(client.handle, &patient, "user:1", "queue:a", nil, &second))
    #expect(daemon.connectionCount == connections + 1)
  }

  @Test(arguments: [0, 1, 3, 4, 5, 11])
  func reportsAConnectionCutInsideAReply(_ bytes: Int) {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      connection.send(Array(checkReply(to: question.id).frame.prefix(bytes)))
    }
    defer { daemon.stop() }
    expectUnavailable(Client(daemon.address).check(), "connection_lost", SCOPE_STATUS_UNAVAILABLE)
    #expect(daemon.connectionCount == 1, "a fresh connection is not tried twice")
  }

  @Test func waitsForAReplyInPieces() {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      for byte in checkReply(to: question.id).frame { connection.send([byte]) }
      connection.awaitEnd()
    }
    defer { daemon.stop() }
    #expect(Client(daemon.address).check().allowed)
  }

  @Test func aHalfReplyThatStopsIsATimeout() {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      connection.send(Array(checkReply(to: question.id).frame.dropLast()))
      connection.awaitEnd()
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.timeout_ms = 50 }
    expectUnavailable(client.check(), "timeout", SCOPE_STATUS_DEADLINE_EXCEEDED)
  }

  @Test func reportsADaemonThatClosesAtOnce() {
    let daemon = FakeDaemon { _, _ in }
    defer { daemon.stop() }
    expectUnavailable(Client(daemon.address).check(), "connection_lost", SCOPE_STATUS_UNAVAILABLE)
  }

  @Test func readsWhyADaemonRefusesTheConnection() {
    let daemon = FakeDaemon { connection, _ in
      connection.send(failure(to: 0, code: 8, reason: "too_many_connections").frame)
    }
    defer { daemon.stop() }
    let answer = Client(daemon.address).check()
    // Depending on who is first, the words are there or the connection is gone.
    #expect(["too_many_connections", "connection_lost"].contains(answer.error.reason))
    #expect(answer.verdict == SCOPE_UNAVAILABLE)
  }

  @Test(arguments: ["unix:/nonexistent/scoped.sock", "tcp:127.0.0.1:1"])
  func reportsADaemonThatIsNotThere(_ address: String) {
    let answer = Client(address).check()
    expectUnavailable(answer, "connect_failed", SCOPE_STATUS_UNAVAILABLE)
    #expect(!answer.error.requestSent)
    #expect(answer.error.message.contains(address.hasPrefix("tcp") ? "refused" : "No such file"))
  }

  @Test func doesNotWaitForAFullBacklog() {
    let directory = makeDirectory()
    let path = directory + "/s"
    let listener = listenUnix(path, backlog: 0)
    var fillers: [Int32] = []
    var refusal: Int32 = 0
    while refusal == 0 {  // until one more would have to wait
      let filler = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
      fillers.append(filler)
      refusal = withUnixAddress(path) { connect(filler, $0, $1) == 0 ? 0 : errno }
    }
    defer {
      (fillers + [listener]).forEach { _ = close($0) }
      try? FileManager.default.removeItem(atPath: directory)
    }
    #expect(refusal == EAGAIN)
    let client = Client(path) { $0.timeout_ms = 600_000 }
    expectUnavailable(client.check(), "connect_failed", SCOPE_STATUS_UNAVAILABLE)
  }

  /// A TCP connection that nobody takes up is waited for, until the deadline.
  @Test func waitsNoLongerThanTheDeadlineToConnect() {
    let listener = listenTCP(backlog: 0)
    let port = localPort(listener)
    let fillers = (0..<8).map { _ in connectTCP(port) }  // more than the backlog takes
    defer { (fillers + [listener]).forEach { _ = close($0) } }
    let client = Client("tcp:127.0.0.1:\(port)") { $0.timeout_ms = 50 }
    let answer = client.check()
    expectUnavailable(answer, "timeout", SCOPE_STATUS_DEADLINE_EXCEEDED)
    #expect(!answer.error.requestSent)
    #expect(client.counters.timeouts == 1)
  }

  /// Each byte comes in time, the whole never does.
  @Test func aReplyThatDripsDoesNotMoveTheDeadline() {
    let daemon = FakeDaemon { connection, _ in
      guard connection.readQuestion() != nil else { return }
      connection.send(Message.length(4000))
      for _ in 0..<4000 where !connection.hasEnded(within: 5) { connection.send([8]) }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.timeout_ms = 100 }
    expectUnavailable(client.check(), "timeout", SCOPE_STATUS_DEADLINE_EXCEEDED)
  }

  @Test func answersAfterARestartWithoutAnError() {
    let daemon = FakeDaemon { connection, number in
      // The first connection ends behind its first answer, as when the daemon restarts.
      while let question = connection.readQuestion() {
        connection.send(checkReply(to: question.id).frame)
        if number == 0 { return }
      }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    for _ in 0..<3 { #expect(client.check().allowed) }
    #expect(daemon.connectionCount == 2)
    #expect(client.counters.reconnects == 1)
    #expect(client.counters.unavailable == 0)
  }

  @Test func sendsASecondTimeOnlyOnce() {
    let daemon = FakeDaemon { connection, number in
      guard let question = connection.readQuestion() else { return }
      if number > 0 { return }  // dies over every question from the second connection on
      connection.send(checkReply(to: question.id).frame)
      _ = connection.readQuestion()
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    #expect(client.check().allowed)
    expectUnavailable(client.check(), "connection_lost", SCOPE_STATUS_UNAVAILABLE)
    #expect(daemon.connectionCount == 2)
    #expect(daemon.questions.count == 3)
    #expect(daemon.questions[1].id == daemon.questions[2].id)
  }

  @Test func breakerOpensSkipsAndCloses() {
    let healthy = Locked(false)
    let daemon = FakeDaemon { connection, _ in
      while let question = connection.readQuestion() {
        guard healthy.withLock({ $0 }) else { return }
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.breaker_failures = 3
      $0.breaker_open_ms = 3_600_000
    }
    for _ in 0..<3 { #expect(client.check().error.reason == "connection_lost") }
    for _ in 0..<5 {
      expectUnavailable(client.check(), "breaker_open", SCOPE_STATUS_UNAVAILABLE)
    }
    #expect(daemon.connectionCount == 3)
    #expect(client.counters.breaker_skips == 5)
    #expect(client.counters.unavailable == 8)
    healthy.withLock { $0 = true }
    #expect(client.check().error.reason == "breaker_open", "an hour has not passed")
  }

  @Test func breakerLetsACallTryAgain() {
    let healthy = Locked(false)
    let daemon = FakeDaemon { connection, _ in
      while let question = connection.readQuestion() {
        guard healthy.withLock({ $0 }) else { return }
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.breaker_failures = 2
      $0.breaker_open_ms = 20
    }
    for _ in 0..<2 { #expect(client.check().error.reason == "connection_lost") }
    // Open and over, it takes one failure to open it again, not two.
    let tried = comesAbout { client.check().error.reason == "connection_lost" }
    #expect(tried)
    #expect(comesAbout { client.check().error.reason == "breaker_open" })
    healthy.withLock { $0 = true }
    #expect(comesAbout { client.check().allowed })
    #expect(client.check().allowed)
  }

  /// Eight calls that one stall fails are one failure for the breaker, and not enough to open it.
  @Test func aStallCountsOnce() {
    let gone = DispatchSemaphore(value: 0)
    let daemon = FakeDaemon { connection, number in
      guard connection.readQuestion() != nil, number < 8 else { return }
      gone.wait()
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.timeout_ms = 600_000
      $0.breaker_failures = 2
      $0.breaker_open_ms = 3_600_000
      $0.connections = 8
    }
    let reasons = startThreads(8) { client.check().error.reason }
    #expect(comesAbout { daemon.questions.count == 8 })
    for _ in 0..<8 { gone.signal() }
    #expect(comesAbout { reasons.withLock { $0 == Array(repeating: "connection_lost", count: 8) } })
    #expect(client.check().error.reason == "connection_lost", "tried: the second failure")
    #expect(client.check().error.reason == "breaker_open")
  }

  /// A call that hangs holds up none on the handle's other connections.
  @Test func callsRunBesideEachOther() {
    let goOn = DispatchSemaphore(value: 0)
    let daemon = FakeDaemon { connection, number in
      while let question = connection.readQuestion() {
        if number == 0 { goOn.wait() }
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.timeout_ms = 600_000
      $0.connections = 2
    }
    let first = startThreads(1) { client.check().allowed }
    #expect(comesAbout { daemon.questions.count == 1 })
    for _ in 0..<20 { #expect(client.check().allowed) }
    #expect(daemon.connectionCount == 2 && client.counters.reconnects == 0)
    goOn.signal()
    #expect(comesAbout { first.withLock { $0 == [true] } })
  }

  /// Where all connections are taken, a call waits until its time is over. That is no failure of the daemon's.
  @Test func waitingForAConnectionDoesNotOpenTheBreaker() {
    let release = DispatchSemaphore(value: 0)
    let daemon = FakeDaemon { connection, _ in
      while let question = connection.readQuestion() {
        release.wait()
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.timeout_ms = 600_000
      $0.breaker_failures = 1
      $0.breaker_open_ms = 3_600_000
      $0.connections = 2
    }
    let held = startThreads(2) { client.check().allowed }
    #expect(comesAbout { daemon.questions.count == 2 })
    var short = scope_call_options(company: nil, timeout_ms: 5, min_revision: 0)
    var checked = scope_answer()
    for _ in 0..<3 {
      #expect(!scope_check_with(client.handle, &short, "user:1", "queue:a", nil, &checked))
      #expect(Failure(checked.error).message == "other threads used the handle's connections until the deadline")
    }
    for _ in 0..<3 { release.signal() }
    #expect(comesAbout { held.withLock { $0 == [true, true] } })
    #expect(client.check().allowed)
    #expect(client.counters.breaker_skips == 0)
  }

  @Test(arguments: [0, 1, 64] as [UInt32]) func takesSoManyConnections(_ count: UInt32) {
    #expect(Client("unix:/none") { $0.connections = count }.check().error.reason == "connect_failed")
  }

  /// Of threads that wait for a connection, one tries and opens the breaker for the others.
  @Test func thoseWhoWaitFindTheBreakerOpen() async {
    let hangUp = DispatchSemaphore(value: 0)
    let daemon = FakeDaemon { connection, _ in
      guard connection.readQuestion() != nil else { return }
      hangUp.wait()
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.timeout_ms = 600_000
      $0.breaker_failures = 1
      $0.breaker_open_ms = 3_600_000
      $0.connections = 1
    }
    let reasons = await withTaskGroup(of: String.self) { group in
      for _ in 0..<4 { group.addTask { await inThread { client.check().error.reason } } }
      group.addTask {
        await inThread {
          #expect(comesAbout { client.counters.calls == 4 && daemon.questions.count == 1 })
          hangUp.signal()
          return ""
        }
      }
      return await group.reduce(into: []) { $0.append($1) }.filter { !$0.isEmpty }.sorted()
    }
    #expect(reasons == ["breaker_open", "breaker_open", "breaker_open", "connection_lost"])
    #expect(daemon.connectionCount == 1)
  }

  @Test func aSuccessBetweenFailuresKeepsTheBreakerClosed() {
    let daemon = FakeDaemon { connection, number in
      guard let question = connection.readQuestion(), number % 2 == 1 else { return }
      connection.send(checkReply(to: question.id).frame)
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) {
      $0.breaker_failures = 2
      $0.breaker_open_ms = 3_600_000
    }
    // Every connection serves one question, the odd ones well. A dead one is replaced, and then the
    // even one fails.
    for _ in 0..<4 {
      #expect(client.check().error.reason == "connection_lost")
      #expect(client.check().allowed)
    }
  }

  @Test func backoffKeepsFromConnectingAgainAtOnce() {
    let client = Client("unix:/nonexistent/scoped.sock") {
      $0.backoff_min_ms = 3_600_000
      $0.backoff_max_ms = 3_600_000
      $0.breaker_failures = 2
    }
    #expect(client.check().error.reason == "connect_failed")
    for _ in 0..<5 {
      expectUnavailable(client.check(), "connect_backoff", SCOPE_STATUS_UNAVAILABLE)
    }
    #expect(client.counters.breaker_skips == 0, "what was not tried is no failure")
  }

  @Test func backoffEnds() {
    let directory = makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let client = Client(directory + "/s") {
      $0.backoff_min_ms = 1
      $0.backoff_max_ms = 20
    }
    #expect(client.check().error.reason == "connect_failed")
    let listener = listenUnix(directory + "/s", backlog: 8)
    defer { close(listener) }
    // Nobody accepts, so a connection ends in a timeout: the proof that it was tried.
    var short = scope_call_options(company: nil, timeout_ms: 10, min_revision: 0)
    var checked = scope_answer()
    #expect(
      comesAbout {
        _ = scope_check_with(client.handle, &short, "user:1", "queue:a", nil, &checked)
        return checked.error.status == SCOPE_STATUS_DEADLINE_EXCEEDED
      })
  }

  @Test func waitingForTheHandleCountsAgainstTheDeadline() {
    let asked = Locked(false)
    let daemon = FakeDaemon { connection, _ in
      guard connection.readQuestion() != nil else { return }
      asked.withLock { $0 = true }
      connection.awaitEnd()
    }
    let client = Client(daemon.address) {
      $0.timeout_ms = 600_000
      $0.connections = 1
    }
    let first = Locked<String?>(nil)
    Thread.detachNewThread {
      let reason = client.check().error.reason
      first.withLock { $0 = reason }
    }
    #expect(comesAbout { asked.withLock { $0 } })
    var short = scope_call_options(company: nil, timeout_ms: 30, min_revision: 0)
    var checked = scope_answer()
    #expect(!scope_check_with(client.handle, &short, "user:1", "queue:a", nil, &checked))
    #expect(checked.error.status == SCOPE_STATUS_DEADLINE_EXCEEDED)
    #expect(!checked.error.request_sent)
    daemon.stop()  // wakes the first
    #expect(comesAbout { first.withLock { $0 == "connection_lost" } })
  }
}

func expectUnavailable(
  _ answer: Answer, _ reason: String, _ status: scope_status, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let comment = Comment(rawValue: "\(what): \(answer)")
  #expect(!answer.allowed, comment, sourceLocation: sourceLocation)
  #expect(answer.verdict == SCOPE_UNAVAILABLE, comment, sourceLocation: sourceLocation)
  #expect(answer.reason == SCOPE_REASON_NONE, comment, sourceLocation: sourceLocation)
  #expect(answer.reasonText == "unavailable", comment, sourceLocation: sourceLocation)
  #expect(answer.project == "" && answer.group == "", comment, sourceLocation: sourceLocation)
  #expect(answer.revision == 0, comment, sourceLocation: sourceLocation)
  #expect(answer.error.reason == reason, comment, sourceLocation: sourceLocation)
  #expect(answer.error.status == status, comment, sourceLocation: sourceLocation)
  #expect(!answer.error.message.isEmpty, comment, sourceLocation: sourceLocation)
}

/// Runs what blocks on a thread of its own.
func inThread<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
  await withCheckedContinuation { continuation in
    Thread.detachNewThread { continuation.resume(returning: body()) }
  }
}

/// Starts threads, not tasks: tests that block take the pool's. What they gave is in the result.
func startThreads<T: Sendable>(_ count: Int, _ body: @escaping @Sendable () -> T) -> Locked<[T]> {
  let results = Locked<[T]>([])
  for _ in 0..<count {
    Thread.detachNewThread {
      let result = body()
      results.withLock { $0.append(result) }
    }
  }
  return results
}
