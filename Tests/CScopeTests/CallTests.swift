import CScope
import Foundation
import ScopeTesting
import Testing

@Suite struct CallTests {
  @Test func handsOverEveryResponseAsItCame() {
    let daemon = FakeDaemon { question in
      [
        response(to: question.id, revision: 3, more: true),
        response(to: question.id, revision: 4).message(Field.health, Message().number(1, 1)),
      ]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let id = scope_next_id(client.handle)
    let call = send(client, id, Message().number(1, id).message(Field.health, Message()))
    #expect(call.complete)
    #expect(
      call.responses == [
        response(to: id, revision: 3, more: true).bytes,
        response(to: id, revision: 4).message(Field.health, Message().number(1, 1)).bytes,
      ])
    #expect(call.result.rows == 2)
    #expect(call.result.revision == 3)
    #expect(call.result.revision_last == 4)
    #expect(daemon.questions.map(\.id) == [id])
  }

  @Test func handsOverTheDaemonsErrorsToo() {
    let daemon = FakeDaemon { [failure(to: $0.id, code: 9, reason: "exclusive").number(7, 2)] }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let call = send(client, 300, apply(300))
    #expect(!call.complete)
    #expect(call.responses == [failure(to: 300, code: 9, reason: "exclusive").number(7, 2).bytes])
    #expect(call.result.error.status == SCOPE_STATUS_FAILED_PRECONDITION)
    #expect(call.result.error.from_daemon)
    #expect(Failure(call.result.error).reason == "exclusive")
  }

  @Test(arguments: [UInt64(0), 5, 128])
  func refusesARequestUnderAnotherId(_ id: UInt64) {
    let daemon = FakeDaemon { [response(to: $0.id)] }
    defer { daemon.stop() }
    let call = send(Client(daemon.address), id, apply(4))
    #expect(Failure(call.result.error).reason == "bad_argument")
    #expect(daemon.connectionCount == 0)
  }

  @Test func refusesARequestBeyondTheLimit() {
    let request = Message().number(1, 1).data(Field.apply, [UInt8](repeating: 0, count: 4_194_304))
    let call = send(Client("unix:/nonexistent/s"), 1, request)
    #expect(Failure(call.result.error).reason == "too_large")
  }

  @Test func sendsTheLongestRequest() {
    let daemon = FakeDaemon { [response(to: $0.id)] }
    defer { daemon.stop() }
    // An unknown field of five bytes of tag and length, which the daemon passes over.
    let filler = [UInt8](repeating: 0, count: Int(SCOPE_REQUEST_BYTES) - 2 - 6)
    let request = Message().number(1, 1).data(100, filler)
    #expect(request.bytes.count == Int(SCOPE_REQUEST_BYTES))
    #expect(send(Client(daemon.address), 1, request).complete)
  }

  /// The daemon takes a change, dies without an answer, and is there again.
  @Test func neverSendsAChangeTwice() {
    let daemon = FakeDaemon { connection, number in
      guard let first = connection.readQuestion() else { return }
      connection.send(response(to: first.id).message(Field.apply, Message()).frame)
      if number == 0 { _ = connection.readQuestion() } else { connection.awaitEnd() }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    #expect(send(client, 1, apply(1)).complete)
    let lost = send(client, 2, apply(2))
    #expect(!lost.complete)
    #expect(Failure(lost.result.error).reason == "connection_lost")
    #expect(lost.result.error.request_sent, "it may have been applied")
    #expect(daemon.questions.map(\.id) == [1, 2])
    #expect(send(client, 3, apply(3)).complete)
    #expect(daemon.questions.map(\.id) == [1, 2, 3])
  }

  @Test func sendsAReadTwiceIfItMay() {
    let daemon = FakeDaemon { connection, number in
      guard let first = connection.readQuestion() else { return }
      connection.send(response(to: first.id).message(Field.health, Message()).frame)
      if number == 0 { _ = connection.readQuestion() } else { connection.awaitEnd() }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    #expect(send(client, 1, apply(1)).complete)
    #expect(send(client, 2, apply(2), flags: UInt32(SCOPE_CALL_RESENDABLE)).complete)
    #expect(daemon.questions.map(\.id) == [1, 2, 2])
  }

  /// A change is not written into a connection that the daemon has closed, so it is not lost either.
  @Test func sendsAChangeOverANewConnectionAfterARestart() {
    let daemon = FakeDaemon { connection, number in
      guard let question = connection.readQuestion() else { return }
      connection.send(response(to: question.id).message(Field.apply, Message()).frame)
      if number > 0 { connection.awaitEnd() }
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    #expect(send(client, 1, apply(1)).complete)
    #expect(comesAbout { daemon.hasClosed(0) })
    #expect(send(client, 2, apply(2)).complete)
    #expect(daemon.questions.map(\.id) == [1, 2])
  }

  @Test func saysWhetherAChangeMayHaveBeenApplied() {
    let silent = FakeDaemon { connection, _ in connection.awaitEnd() }
    defer { silent.stop() }
    var options = scope_call_options(company: nil, timeout_ms: 30, min_revision: 0)
    let isSent = comesAbout {  // a busy machine may use up the time before that
      let timedOut = send(Client(silent.address), 1, apply(1), options: &options)
      #expect(Failure(timedOut.result.error).reason == "timeout")
      return timedOut.result.error.request_sent
    }
    #expect(isSent)
    let absent = send(Client("unix:/nonexistent/s"), 1, apply(1))
    #expect(!absent.result.error.request_sent)
  }

  /// A daemon that reads nothing: the request does not fit into the socket, and did not leave whole.
  @Test func aRequestThatDoesNotLeaveInTimeWasNotSent() {
    let daemon = FakeDaemon { connection, _ in connection.awaitHangUp() }
    defer { daemon.stop() }
    let request = Message().number(1, 1).data(100, [UInt8](repeating: 0, count: 4_000_000))
    var options = scope_call_options(company: nil, timeout_ms: 30, min_revision: 0)
    let call = send(Client(daemon.address), 1, request, options: &options)
    #expect(Failure(call.result.error).reason == "timeout")
    #expect(!call.result.error.request_sent)
  }

  /// Each response comes within the deadline of the one before; all of them take longer.
  @Test(arguments: [true, false])
  func aStreamLastsAsLongAsResponsesKeepComing(_ streams: Bool) {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      for number in 1...6 {
        usleep(900_000)
        connection.send(response(to: question.id, more: number < 6).frame)
      }
      connection.awaitEnd()
    }
    defer { daemon.stop() }
    var options = scope_call_options(company: nil, timeout_ms: 4_000, min_revision: 0)
    let flags = streams ? UInt32(SCOPE_CALL_STREAM) : 0
    let call = send(Client(daemon.address), 1, apply(1), flags: flags, options: &options)
    #expect(call.complete == streams)
    #expect(streams ? call.responses.count == 6 : Failure(call.result.error).reason == "timeout")
  }

  /// Silence longer than the deadline ends a stream too.
  @Test func aStreamThatFallsSilentTimesOut() {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      connection.send(response(to: question.id, more: true).frame)
      connection.awaitEnd()
    }
    defer { daemon.stop() }
    var options = scope_call_options(company: nil, timeout_ms: 30, min_revision: 0)
    let hasBegun = comesAbout {  // a busy machine may use up the time before that
      let call = send(Client(daemon.address), 1, apply(1), flags: UInt32(SCOPE_CALL_STREAM), options: &options)
      #expect(!call.complete)
      #expect(Failure(call.result.error).reason == "timeout")
      return call.responses.count == 1
    }
    #expect(hasBegun)
  }

  @Test func idsAreNotRepeated() {
    let client = Client("unix:/nonexistent/s")
    let ids = (0..<1000).map { _ in scope_next_id(client.handle) }
    #expect(Set(ids).count == 1000)
    #expect(!ids.contains(0))
  }
}

private func apply(_ id: UInt64) -> Message {
  Message().number(1, id).text(3, "acme").message(Field.apply, Message())
}

private final class Responses { var all: [[UInt8]] = [] }

private func send(
  _ client: Client, _ id: UInt64, _ request: Message, flags: UInt32 = 0,
  options: UnsafePointer<scope_call_options>? = nil
) -> (complete: Bool, responses: [[UInt8]], result: scope_result) {
  let responses = Responses()
  var result = scope_result()
  let complete = scope_call(
    client.handle, options, id, request.bytes, request.bytes.count, flags,
    { context, bytes, count in
      let responses: Responses = object(context)
      responses.all.append(Array(UnsafeBufferPointer(start: bytes, count: count)))
      return true
    }, context(responses), &result)
  return (complete, responses.all, result)
}
