import CScope
import Testing

@Suite struct FilterTests {
  @Test func marksTheVisibleOnesInTheOrderAsked() {
    let daemon = FakeDaemon { [bitmap(of: $0)] }
    defer { daemon.stop() }
    let ids = ["see-1", "not", "see-2", "not", "see-1", "x", "y", "z", "see-9"]
    let filtered = filter(Client(daemon.address), ids, project: "clinic")
    #expect(filtered.complete)
    #expect(filtered.visible == [1, 0, 1, 0, 1, 0, 0, 0, 1])
    #expect(filtered.result.rows == 4)
    #expect(filtered.result.revision == 7)
    let asked = daemon.questions[0]
    #expect(asked.ids == ids)
    #expect(asked.subject == "20:d1")
    #expect(asked.types == [21])
    #expect(asked.project == "clinic")
  }

  @Test func splitsMoreIdsThanOneRequestTakes() {
    let daemon = FakeDaemon { [bitmap(of: $0, revision: $0.ids.count == 65_536 ? 9 : 10)] }
    defer { daemon.stop() }
    let ids = (0..<150_000).map { $0 % 3 == 0 ? "see-\($0)" : "\($0)" }
    let filtered = filter(Client(daemon.address), ids)
    #expect(filtered.complete)
    #expect(filtered.visible == ids.map { $0.hasPrefix("see") ? 1 : 0 })
    #expect(daemon.questions.map(\.ids.count) == [65_536, 65_536, 18_928])
    #expect(filtered.result.rows == 50_000)
    #expect(filtered.result.revision == 9)
    #expect(filtered.result.revision_last == 10)
  }

  @Test func splitsWhatWouldBeTooLongAFrame() {
    let daemon = FakeDaemon { [bitmap(of: $0)] }
    defer { daemon.stop() }
    let tail = String(repeating: "x", count: 119)
    let ids = (0..<65_000).map { ($0 % 2 == 0 ? "see" : "not") + "\(100_000 + $0)" + tail }
    #expect(ids.allSatisfy { $0.utf8.count == 128 })
    let filtered = filter(Client(daemon.address), ids)
    #expect(filtered.complete)
    #expect(filtered.visible == ids.map { $0.hasPrefix("see") ? 1 : 0 })
    #expect(daemon.questions.count == 3)
    #expect(daemon.questions.flatMap(\.ids) == ids)
  }

  @Test func aFailureInALaterPartLeavesNothingVisible() {
    let daemon = FakeDaemon { question in
      question.ids.count == 65_536 ? [bitmap(of: question)] : [failure(to: question.id, code: 14)]
    }
    defer { daemon.stop() }
    let filtered = filter(Client(daemon.address), (0..<70_000).map { "see-\($0)" })
    #expect(!filtered.complete)
    #expect(filtered.visible.allSatisfy { $0 == 0 })
    #expect(filtered.result.rows == 0)
    #expect(filtered.result.error.status == SCOPE_STATUS_UNAVAILABLE)
  }

  @Test(arguments: 0..<6)
  func believesNoBitmapThatDoesNotFit(_ lie: Int) {
    let daemon = FakeDaemon { question in
      let parts: [Message] = [
        Message(),  // no bitmap
        Message().data(2, [1]).number(3, 1),  // too short for nine
        Message().data(2, [1, 0, 0]).number(3, 1),  // too long
        Message().data(2, [0xff, 1]).number(3, 8),  // another count
        Message().text(1, "see").number(3, 1),  // ids in place of bits
        Message().data(2, [1, 0]),  // no count
      ]
      return [response(to: question.id).message(Field.filterObjects, parts[lie])]
    }
    defer { daemon.stop() }
    let filtered = filter(Client(daemon.address), Array(repeating: "a", count: 9))
    #expect(!filtered.complete)
    #expect(filtered.visible == Array(repeating: 0, count: 9))
    #expect(Failure(filtered.result.error).reason == "bad_reply")
  }

  @Test func refusesBadIdsAndTypesWithoutAsking() {
    let client = Client("unix:/nonexistent/s")
    for ids in [["a", ""], ["a", String(repeating: "b", count: 129)]] {
      #expect(Failure(filter(client, ids).result.error).reason == "bad_argument")
    }
    #expect(Failure(filter(client, ["a"], type: "car").result.error).reason == "bad_argument")
    #expect(Failure(filter(client, ["a"]).result.error).reason == "connect_failed")
  }

  @Test func noIdsNeedNoDaemon() {
    #expect(filter(Client("unix:/nonexistent/s"), []).complete)
  }
}

private func bitmap(of question: Question, revision: UInt64 = 7) -> Message {
  var bits = [UInt8](repeating: 0, count: (question.ids.count + 7) / 8)
  var visible: UInt64 = 0
  for (i, id) in question.ids.enumerated() where id.hasPrefix("see") {
    bits[i / 8] |= 1 << (i % 8)
    visible += 1
  }
  return response(to: question.id, revision: revision)
    .message(Field.filterObjects, Message().data(2, bits).number(3, visible))
}

private func filter(
  _ client: Client, _ ids: [String], type: String = "list", project: String? = nil
) -> (complete: Bool, visible: [UInt8], result: scope_result) {
  var visible = [UInt8](repeating: 0xff, count: ids.count)
  var result = scope_result()
  let complete = withCStrings(ids) { ids in
    withOptionalCString(project) {
      scope_filter(client.handle, nil, "dialer:d1", type, ids, ids.count, $0, &visible, &result)
    }
  }
  return (complete, visible, result)
}
