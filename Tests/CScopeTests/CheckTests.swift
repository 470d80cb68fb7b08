import CScope
import ScopeTesting
import Testing

@Suite struct CheckTests {
  @Test(arguments: [FakeDaemon.Transport.unix, .tcp])
  func allowsWhatTheDaemonAllows(_ transport: FakeDaemon.Transport) {
    let daemon = FakeDaemon(transport) { [checkReply(to: $0.id, project: "clinic", group: "team-a")] }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let answer = client.check("user:1001", "sip_provider:x")
    #expect(answer.allowed)
    #expect(answer.verdict == SCOPE_ALLOW)
    #expect(answer.reason == SCOPE_REASON_SHARED_PROJECT)
    #expect(answer.reasonText == "shared_project")
    #expect(answer.revision == 7)
    #expect(answer.project == "clinic")
    #expect(answer.group == "team-a")
    #expect(answer.error.status == SCOPE_STATUS_OK)
    #expect(answer.error.message == "")
    #expect(daemon.questions.map(\.subject) == ["1:1001"])
    #expect(daemon.questions.map(\.object) == ["18:x"])
    #expect(daemon.questions.map(\.company) == ["acme"])
  }

  @Test func deniesWhatTheDaemonDenies() {
    let daemon = FakeDaemon {
      [checkReply(to: $0.id, decision: Decision.deny, reason: Reason.noSharedProject, project: "")]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let answer = client.check()
    #expect(!answer.allowed)
    #expect(answer.verdict == SCOPE_DENY)
    #expect(answer.reasonText == "no_shared_project")
    #expect(answer.error.status == SCOPE_STATUS_OK)
    #expect(client.counters.deny == 1)
  }

  @Test func connectsOnceAndCountsWhatHappened() {
    let daemon = FakeDaemon { question in
      question.object == "16:support"
        ? [checkReply(to: question.id)]
        : [checkReply(to: question.id, decision: Decision.deny, reason: Reason.noSharedProject)]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    for _ in 0..<3 { #expect(client.check().allowed) }
    #expect(client.check("user:1", "queue:other").verdict == SCOPE_DENY)
    #expect(client.check("user:1", "nothing:other").verdict == SCOPE_UNAVAILABLE)
    #expect(daemon.connectionCount == 1)
    #expect(Set(daemon.questions.map(\.id)).count == 4)
    let counters = client.counters
    #expect(counters.calls == 5)
    #expect(counters.allow == 3)
    #expect(counters.deny == 1)
    #expect(counters.unavailable == 1)
    #expect(counters.reconnects == 0)
  }

  @Test func sendsRightCompanyRevisionAndTimeout() {
    let daemon = FakeDaemon { [checkReply(to: $0.id)] }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    var checked = scope_answer()
    #expect(scope_check_right(client.handle, "user:1", "queue:a:b", "report.agents", &checked))
    "other".withCString {
      var options = scope_call_options(company: $0, timeout_ms: 5000, min_revision: 42)
      #expect(scope_check_with(client.handle, &options, "user:1", "queue:a", nil, &checked))
    }
    let asked = daemon.questions
    #expect(asked.map(\.right) == ["report.agents", ""])
    #expect(asked.map(\.object) == ["16:a:b", "16:a"])
    #expect(asked.map(\.company) == ["acme", "other"])
    #expect(asked.map(\.minRevision) == [0, 42])
    #expect((5001...UInt32.anHour).contains(asked[0].timeoutMilliseconds))
    #expect((1...5000).contains(asked[1].timeoutMilliseconds))
  }

  @Test(arguments: [
    ("user", "queue:a"), ("user:", "queue:a"), (":1", "queue:a"), ("pilot:1", "queue:a"),
    ("User:1", "queue:a"), ("unspecified:1", "queue:a"), ("", "queue:a"), ("user:1", "support"),
    ("user:1", "queue:" + String(repeating: "q", count: 129)),
  ])
  func refusesMalformedRefsWithoutAsking(_ subject: String, _ object: String) {
    let daemon = FakeDaemon { [checkReply(to: $0.id)] }
    defer { daemon.stop() }
    let answer = Client(daemon.address).check(subject, object)
    #expect(answer.verdict == SCOPE_UNAVAILABLE)
    #expect(answer.error.status == SCOPE_STATUS_INVALID_ARGUMENT)
    #expect(answer.error.reason == "bad_argument")
    #expect(!answer.error.requestSent)
    #expect(daemon.connectionCount == 0)
  }

  @Test func takesIdsOf128Bytes() {
    let id = String(repeating: "q", count: 128)
    let daemon = FakeDaemon { [checkReply(to: $0.id, project: id, group: id)] }
    defer { daemon.stop() }
    let answer = Client(daemon.address).check("user:1", "queue:" + id)
    #expect(answer.allowed)
    #expect(answer.project == id)
    #expect(answer.group == id)
  }

  @Test func refusesACheckWithoutCompanyOrRight() {
    let daemon = FakeDaemon { [checkReply(to: $0.id)] }
    defer { daemon.stop() }
    let client = Client(daemon.address, company: nil)
    #expect(client.check().error.reason == "bad_argument")
    var checked = scope_answer()
    let other = Client(daemon.address)
    #expect(!scope_check_right(other.handle, "user:1", "queue:a", "", &checked))
    #expect(checked.verdict == SCOPE_UNAVAILABLE)
    #expect(!scope_check_right(other.handle, "user:1", "queue:a", nil, &checked))
    #expect(daemon.connectionCount == 0)
  }

  /// The answers are never another thread's, with fewer connections than threads and with as many.
  @Test(arguments: [1, 2, 4] as [UInt32]) func servesThreads(_ connections: UInt32) async {
    let daemon = FakeDaemon { question in
      let same = question.subject.dropFirst(2) == question.object.dropFirst(3)
      return [
        same
          ? checkReply(to: question.id, project: String(question.subject.dropFirst(2)))
          : checkReply(to: question.id, decision: Decision.deny, reason: Reason.noSharedProject)
      ]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.connections = connections }
    let wrong = await withTaskGroup(of: Int.self) { group in
      for thread in 0..<4 {
        group.addTask { askManyTimes(client, thread) }
      }
      return await group.reduce(0, +)
    }
    #expect(wrong == 0)
    #expect((1...Int(connections)).contains(daemon.connectionCount))
    #expect(client.counters.calls == 800)
    #expect(client.counters.allow == 400)
  }
}

/// How many of 200 answers were not those to the question asked.
private func askManyTimes(_ client: Client, _ thread: Int) -> Int {
  var wrong = 0
  for i in 0..<100 {
    let allowed = client.check("user:\(thread)-\(i)", "queue:\(thread)-\(i)")
    if !allowed.allowed || allowed.project != "\(thread)-\(i)" { wrong += 1 }
    if client.check("user:\(thread)-\(i)", "queue:x").verdict != SCOPE_DENY { wrong += 1 }
  }
  return wrong
}
