import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

private let user: (UInt64, [UInt8]) = (1, Array("u0".utf8))
private let queue: (UInt64, [UInt8]) = (16, Array("q".utf8))

@Suite struct BackPressure {
  /// Answers come in the order of the checks, however they arrive.
  @Test(arguments: Transport.allCases) func pipelinedChecksAreAnsweredInOrder(over transport: Transport) async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(transport))
      let count = 100_000 as UInt64
      Thread.detachNewThread {
        for first in stride(from: 1, through: count, by: 1_000) {
          connection.send((first..<first + 1_000).flatMap { RawConnection.frame(numbered($0)) })
        }
      }
      try await onThread {
        for id in 1...count {
          let response = try connection.response()
          if response.id != id || response.decision != 2 { throw TestFailure("\(response) in place of \(id)") }
        }
      }
    }
  }

  /// A client that never reads is stopped from sending, and in the end cut off; memory stays bounded and
  /// others are served meanwhile.
  @Test func aClientThatNeverReadsIsStoppedAndClosed() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    try daemon.client().applyAll(smallCompany(), to: "c")
    let stalled = try RawConnection(daemon.address)
    let before = residentBytes(of: daemon)
    let sent = try await onThread {
      var sent = 0
      let burst = (1...1_000).flatMap { RawConnection.frame(numbered($0)) }
      while stalled.send(burst) { sent += burst.count }  // ends when the daemon closes
      return sent
    }
    #expect(sent < 64 << 20, "\(sent) bytes were taken from a client that reads nothing")
    #expect(residentBytes(of: daemon) - before < 100 << 20)
    #expect(try daemon.client("c").check("user:u0", "queue:q").verdict == .deny)
    #expect(daemon.stop() == 0)
  }

  @Test func aFrameThatNeverCompletesEndsTheConnection() async throws {
    try await withDaemon(adjust: { $0.limits.frameMilliseconds = 300 }) { daemon in
      let slow = try RawConnection(daemon.address(.unix))
      let idle = try RawConnection(daemon.address(.unix))
      slow.send([0, 0, 0, 50, 1, 2])
      #expect(slow.receive() == .closed)
      #expect(try idle.ask(RawRequest(call: 17)).code == 0, "an idle connection is left alone")
    }
  }

  /// Of a small frame that has been coming for over a second, bytes are read once a second only; but they are.
  @Test func aSmallFrameThatComesByteByByteIsAnswered() async throws {
    try await withDaemon(adjust: { $0.limits.frameMilliseconds = 600_000 }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      var request = RawRequest(call: 17)
      request.id = 70_000
      let frame = RawConnection.frame(request.packed)
      let answer = try await onThread { () -> RawResponse in
        for byte in frame {
          connection.send([byte])
          usleep(300_000)  // as slow as the client that is tested for
        }
        return try connection.response()
      }
      #expect(answer.id == 70_000 && answer.code == 0)
      #expect(try connection.ask(RawRequest(call: 17)).code == 0)
    }
  }

  /// Changes in flight are bounded: beyond it the daemon does not read on until some are answered.
  @Test func changesBeyondTheBoundWaitTheirTurn() async throws {
    try await withDaemon(adjust: { $0.limits.requestsInFlight = 4 }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      for number in 1...64 as ClosedRange<UInt64> {
        let put = Proto.message(4, Proto.bytes(1, Array("new\(number)".utf8)))
        var request = RawRequest(company: "c", call: 16, Proto.message(1, put))
        request.id = number
        connection.sendFrame(request.packed)
      }
      var answered: Set<UInt64> = []
      for _ in 1...64 {
        let response = try connection.response()
        #expect(response.code == 0, "\(response)")
        answered.insert(response.id)
      }
      #expect(answered.count == 64)
    }
  }

  @Test func connectionsBeyondTheBoundAreClosedAtOnce() async throws {
    try await withDaemon(adjust: { $0.limits.connections = 4 }) { daemon in
      let client = try daemon.client()
      #expect(try client.health().connectionsRefused == 0)
      var open = try (1...3).map { _ in try RawConnection(daemon.address(.unix)) }
      for connection in open { #expect(try connection.ask(RawRequest(call: 17)).code == 0) }
      for _ in 0..<7 { #expect(try RawConnection(daemon.address(.unix)).receive() == .closed) }
      #expect(try client.health().connectionsRefused == 7)
      for connection in open { #expect(try connection.ask(RawRequest(call: 17)).code == 0, "those open go on") }
      open.removeLast()
      // The place is free once the daemon has noticed.
      try await waitUntil("a free place") {
        let next = try RawConnection(daemon.address(.unix))
        next.sendFrame(RawRequest(call: 17).packed)
        return next.receive() != .closed
      }
    }
  }

  /// Short of descriptors, the daemon closes what it can't serve at once instead of leaving it waiting.
  @Test func aLowLimitOfDescriptorsIsRespected() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder(), arguments: ["--threads", "16"], descriptors: 160)
    let connections = try (0..<200).map { _ in try RawConnection(daemon.address) }
    var (served, closed) = (0, 0)
    for connection in connections {
      connection.sendFrame(RawRequest(call: 17).packed)
      switch connection.receive() {
      case .message: served += 1
      case .closed: closed += 1
      case .nothing: break
      }
    }
    #expect(served + closed == 200, "\(served) served, \(closed) closed, the rest left waiting")
    #expect(served >= 50 && closed >= 40)
    #expect(daemon.stop() == 0)
    let lines = daemon.log.split(separator: "\n").filter { $0.contains("closed at once: too many are open") }
    #expect((1...20).contains(lines.count), "told of, and not each: \(lines)")
  }

  /// A client that has hundreds of listings waiting shares its loop: another's check comes in between.
  @Test func aFloodOfListingsLeavesOthersTheirTurn() async throws {
    try await withDaemon(adjust: { $0.eventLoops = 1 }) { daemon in
      try daemon.client().applyAll(ContactCentre(.medium, seed: 5), to: "big")
      try daemon.client().applyAll([.putUser(User(id: "lonely", name: "Lonely"), roles: [])], to: "big")
      let (flood, other) = (try RawConnection(daemon.address(.unix)), try RawConnection(daemon.address(.unix)))
      let listings = 800
      let lonely = Array("lonely".utf8)
      let list = RawRequest(company: "big", call: 15, Proto.number(1, 1) + Proto.bytes(2, lonely))
      let answered = NIOLockedValueBox(0)
      Thread.detachNewThread { flood.send((0..<listings).flatMap { _ in RawConnection.frame(list.packed) }) }
      #expect(try flood.response().code == 0)
      Thread.detachNewThread {
        while case .message = flood.receive() { answered.withLockedValue { $0 += 1 } }
      }
      #expect(try other.ask(.canSee("big", (1, lonely), queue)).code == 0)
      #expect(answered.withLockedValue { $0 } < listings - 1, "the check had to wait for the whole flood")
    }
  }

  /// A read of the writer's state gets its turn between commits.
  @Test func anExportIsNotStarvedByWriters() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let stop = NIOLockedValueBox(false)
      let writing = Task {
        try await onThread {
          let connection = try RawConnection(daemon.address(.unix))
          var (sent, number) = (0, 0)
          while !stop.withLockedValue({ $0 }) {
            let put = Proto.message(
              4, Proto.bytes(1, Array("w\(number % 50)".utf8)) + Proto.bytes(2, Array("\(number)".utf8)))
            connection.sendFrame(RawRequest(company: "c", call: 16, Proto.message(1, put)).packed)
            (sent, number) = (sent + 1, number + 1)
            if sent == 64 {
              for _ in 0..<64 { _ = try connection.response() }
              sent = 0
            }
          }
        }
      }
      for _ in 0..<20 { _ = try daemon.client().export("c", timeoutMilliseconds: .anHour) { _ in } }
      stop.withLockedValue { $0 = true }
      try await writing.value
    }
  }

  @Test func aListingDoesNotHoldUpChecksOnTheSameConnection() async throws {
    try await withDaemon { daemon in
      let centre = ContactCentre(.medium, seed: 5)
      try daemon.client().applyAll(centre, to: "big")
      let connection = try RawConnection(daemon.address(.unix))
      let admin = Array("user:\(centre.userID(0))".utf8.dropFirst(5))
      var list = RawRequest(company: "big", call: 15, Proto.number(1, 1) + Proto.bytes(2, admin))
      list.id = 1
      var check = RawRequest.canSee("big", (1, admin), queue)
      check.id = 2
      connection.send(RawConnection.frame(list.packed) + RawConnection.frame(check.packed))
      var order: [UInt64] = []
      var rows = 0
      while order.filter({ $0 == 1 }).isEmpty || !order.contains(2) {
        let response = try connection.response()
        rows += response.rows
        if response.id == 2 || !response.more { order.append(response.id) }
      }
      #expect(order == [2, 1], "the check overtakes the listing's later parts")
      #expect(rows == (try centre.company()).objects.count)
    }
  }

  @Test func whatWasAskedBeforeAHalfCloseIsAnswered() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      let put = Proto.message(4, Proto.bytes(1, Array("late".utf8)))
      connection.sendFrame(RawRequest(company: "c", call: 16, Proto.message(1, put)).packed)
      connection.finishSending()
      #expect(try connection.response().code == 0)
      #expect(connection.receive() == .closed)
    }
  }
}

private func numbered(_ id: UInt64) -> [UInt8] {
  var request = RawRequest.canSee("c", user, queue)
  request.id = id
  return request.packed
}

func residentBytes(of daemon: ProcessDaemon) -> Int {
  let path = "/proc/\(daemon.processIdentifier)/statm"
  let pages = (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ")[1]
  return (pages.flatMap { Int($0) } ?? 0) * 4_096
}

@Suite(.serialized) struct Stopping {
  /// SIGTERM under load: what was asked is answered, the exit is clean, and what was acknowledged is there.
  @Test(arguments: [SIGTERM, SIGINT]) func answersWhatWasAsked(signal: Int32) async throws {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder)
    try daemon.client().applyAll(smallCompany(), to: "c")
    let connection = try RawConnection(daemon.address)
    let count = 20_000 as UInt64
    let burst = (1...count).flatMap { RawConnection.frame(numbered($0)) }
    Thread.detachNewThread { connection.send(burst) }
    #expect(try connection.response().id == 1)
    daemon.signal(signal)
    let answered = try await onThread { () -> UInt64 in
      var last: UInt64 = 1
      while case .message(let message) = connection.receive() { last = try RawResponse(message).id }
      return last
    }
    #expect(daemon.wait() == 0)
    #expect(answered >= 1)
    let again = try ProcessDaemon(in: folder)
    #expect(try again.client("c").check("user:u0", "queue:q").verdict == .deny)
    #expect(again.stop() == 0)
  }

  /// All that reached the daemon before it was told to stop is answered, to the last frame.
  @Test func answersTheLastFrameThatArrived() async throws {
    let daemon = try await TestDaemon()
    try daemon.client().applyAll(smallCompany(), to: "c")
    let connection = try RawConnection(daemon.address(.unix))
    #expect(try connection.ask(RawRequest(call: 17)).code == 0)  // it is accepted, and not in the kernel's queue alone
    let count = 500 as UInt64
    connection.send((1...count).flatMap { RawConnection.frame(numbered($0)) })
    try await daemon.stop()
    for id in 1...count { #expect(try connection.response().id == id) }
    #expect(connection.receive() == .closed)
    #expect(throws: TestFailure.self) { try RawConnection(daemon.address(.unix)) }
  }

  /// A successor may serve the same path while the old daemon is still finishing.
  @Test func leavesTheSocketOfASuccessorAlone() async throws {
    let first = try await TestDaemon()
    try first.client().applyAll(smallCompany(), to: "c")
    let stalled = try RawConnection(first.address(.unix))
    let burst = (1...1_000 as ClosedRange<UInt64>).flatMap { RawConnection.frame(numbered($0)) }
    while stalled.sendWithoutWaiting(burst) > 0 {}
    let path = String(first.address(.unix).dropFirst("unix:".count))
    async let stopping: Void = first.stop(within: .seconds(10))
    try await waitUntil { !FileManager.default.fileExists(atPath: path) }
    let second = try await TestDaemon { $0.addresses = [.unix(path: path)] }
    try await stopping
    #expect(try RawConnection("unix:\(path)").ask(RawRequest(call: 17)).code == 0)
    try await second.stop()
  }

  @Test func doesNotWaitForClientsThatTakeNothing() async throws {
    let daemon = try await TestDaemon()
    try daemon.client().applyAll(smallCompany(), to: "c")
    let connection = try RawConnection(daemon.address(.unix))
    let burst = (1...1_000 as ClosedRange<UInt64>).flatMap { RawConnection.frame(numbered($0)) }
    while connection.sendWithoutWaiting(burst) > 0 {}
    try await daemon.stop(within: .seconds(2))
  }
}
