import Foundation
import ScopeClient
import ScopeModel
import ScopeServer
import ScopeTesting
import Testing

private let user: (UInt64, [UInt8]) = (1, Array("u0".utf8))
private let queue: (UInt64, [UInt8]) = (16, Array("q".utf8))

/// What clients can have the daemon hold is bounded in bytes, and given back.
@Suite(.serialized) struct Memory {
  private func withSmallDaemon(
    _ adjust: @escaping (inout ServerConfiguration) -> Void = { _ in },
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await withDaemon(adjust: adjust) { daemon in
      try daemon.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
      try await body(daemon)
      try await waitUntil("all that was charged is given back when the connections are gone") { daemon.heldBytes == 0 }
    }
  }

  /// A signal of life of a few bytes must not take a buffer, and not come again before it was taken.
  @Test(arguments: [34, 35]) func heartbeatsThatNobodyReadsEndTheConnection(call: Int) async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    try daemon.client().applyAll(smallCompany(), to: "c")
    let before = residentBytes(of: daemon)
    let message =
      call == 34
      ? Proto.number(2, 1) + Proto.number(3, 100) : Proto.number(1, 1) + Proto.bytes(2, user.1) + Proto.number(4, 100)
    let silent = try (0..<12).map { _ in
      let connection = try RawConnection(daemon.address)
      for _ in 0..<16 { connection.sendFrame(RawRequest(company: "c", call: call, message).packed) }
      return connection
    }
    for connection in silent {
      let isClosed = try await onThread { connection.isClosed() }
      #expect(isClosed, "who takes nothing is closed")
    }
    #expect(residentBytes(of: daemon) - before < 32 << 20)
    #expect(try daemon.client("c").check("user:u0", "queue:q").verdict == .deny)
    #expect(daemon.stop() == 0)
  }

  /// The frame is refused by its own id as soon as there is no memory for it, and the connection goes on behind it.
  @Test func aLargeFrameWithoutMemoryIsRefusedWhileItArrives() async throws {
    try await withSmallDaemon({ $0.limits.connectionBytes = 4 << 20 }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      var request = RawRequest.canSee("c", user, queue)
      request.id = 77_777
      let frame = RawConnection.frame(request.packed + Proto.message(90, [UInt8](repeating: 0, count: 3 << 20)))
      connection.send(Array(frame[..<(2 << 20)]))
      let refused = try connection.response()
      #expect(refused.id == 77_777 && refused.code == 8 && refused.reason == "memory_exhausted")
      connection.send(Array(frame[(2 << 20)...]))
      #expect(try connection.ask(.canSee("c", user, queue)).decision == 1, "what follows is answered")
      let fits = RawConnection.frame(request.packed + Proto.message(90, [UInt8](repeating: 0, count: 200 << 10)))
      connection.send(fits)
      #expect(try connection.response().decision == 1)
    }
  }

  /// What is left of a refused frame is passed over as fast as it comes, however long ago the frame began.
  @Test func theRestOfARefusedFrameMayComeLater() async throws {
    try await withSmallDaemon({ $0.limits.connectionBytes = 4 << 20 }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      let padding = Proto.message(90, [UInt8](repeating: 0, count: 3 << 20))
      let frame = RawConnection.frame(RawRequest.canSee("c", user, queue).packed + padding)
      let answer = try await onThread { () -> RawResponse in
        connection.send(Array(frame[..<(1 << 20)]))
        let refused = try connection.response()
        #expect(refused.reason == "memory_exhausted")
        usleep(1_300_000)  // as slow as the client that is tested for
        connection.send(Array(frame[(1 << 20)...]) + RawConnection.frame(RawRequest.canSee("c", user, queue).packed))
        return try connection.response()
      }
      #expect(answer.decision == 1)
    }
  }

  /// Those who came first leave something for the next: each may have but an eighth of what is free.
  @Test func partOfManyFramesLeavesRoomForOthers() async throws {
    try await withSmallDaemon({ $0.limits.connectionBytes = 16 << 20 }) { daemon in
      let padded = RawConnection.frame(
        RawRequest.canSee("c", user, queue).packed + Proto.message(90, [UInt8](repeating: 0, count: 3 << 20)))
      let partial = try (0..<40).map { _ in
        let connection = try RawConnection(daemon.address(.unix))
        connection.send(Array(padded.dropLast()))
        return connection
      }
      var open = partial
      try await waitUntil("more than 20 of 40 refused") {
        open.removeAll { $0.receive(within: 0) != .nothing }
        return open.count < 20
      }
      #expect(daemon.heldBytes <= 16 << 20)
      #expect(try RawConnection(daemon.address(.unix)).ask(.canSee("c", user, queue)).decision == 1)
      let frame = RawConnection.frame(
        RawRequest.canSee("c", user, queue).packed + Proto.message(90, [UInt8](repeating: 0, count: 70 << 10)))
      let other = try RawConnection(daemon.address(.unix))
      other.send(frame)
      #expect(try other.response().decision == 1, "a large frame of another is taken")
    }
  }

  /// Batches that wait are charged for; beyond that the connection is read no further, and in the end all are answered.
  @Test func batchesInFlightWaitForMemory() async throws {
    try await withSmallDaemon({ $0.limits.connectionBytes = 24 << 20 }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      let put = Proto.message(1, Proto.message(4, Proto.bytes(1, user.1) + Proto.bytes(2, Array("Name".utf8))))
      let count = 120 as UInt64
      Thread.detachNewThread {
        for id in 1...count {
          var request = RawRequest(company: "c", call: 16, (0..<3_000).flatMap { _ in put })
          request.id = id
          request.timeoutMilliseconds = .anHour
          connection.sendFrame(request.packed)
        }
      }
      let (answered, most) = try await onThread { () -> (Set<UInt64>, Int) in
        var (answered, most) = (Set<UInt64>(), 0)
        while answered.count < count {
          let response = try connection.response()
          #expect(response.code == 0, "\(response)")
          answered.insert(response.id)
          most = max(most, daemon.heldBytes)
        }
        return (answered, most)
      }
      #expect(answered.count == count)
      #expect(most <= 24 << 20 && most > 0, "\(most) bytes were held")
    }
  }

  /// Answers of megabytes that nobody takes: what there is no memory for is refused, and who takes nothing is closed.
  @Test func answersThatNobodyTakesAreBounded() async throws {
    try await withSmallDaemon({
      $0.limits.connectionBytes = 16 << 20
      $0.limits.stallMilliseconds = 2_000
    }) { daemon in
      let check = Proto.message(1, RawRequest.check(user, queue))
      let frame = RawConnection.frame(RawRequest(company: "c", call: 12, (0..<8_192).flatMap { _ in check }).packed)
      let silent = try (0..<30).map { _ in try RawConnection(daemon.address(.unix)) }
      for connection in silent {
        Thread.detachNewThread { while connection.send(frame) {} }
      }
      for connection in silent {
        let isClosed = try await onThread { connection.isClosed() }
        #expect(isClosed)
        #expect(daemon.heldBytes <= 16 << 20)
      }
    }
  }

  /// That others are answered on it is no reason to wait for a frame for ever.
  @Test func aSlowFrameBesideAWatchEndsTheConnection() async throws {
    try await withSmallDaemon({ $0.limits.frameMilliseconds = 700 }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      connection.sendFrame(RawRequest(company: "c", call: 34, Proto.number(2, 1) + Proto.number(3, 100)).packed)
      #expect(try connection.response().more)
      connection.send([0, 0, 0, 90, 8])
      let isClosed = try await onThread { () -> Bool in
        for _ in 0..<1_000 {  // heartbeats: a minute and a half of them
          switch connection.receive() {
          case .message: continue
          case .closed: return true
          case .nothing: return false
          }
        }
        return false
      }
      #expect(isClosed, "a heartbeat keeps nobody who sends a frame too slowly")
    }
  }

  /// To take a little now and then is not enough for somebody who has asked for more than may wait.
  @Test func whoTakesTooLittleIsClosed() async throws {
    try await withSmallDaemon({
      $0.limits.unsentBytes = 256 << 10
      $0.limits.stallMilliseconds = 2_000
    }) { daemon in
      let connection = try RawConnection(daemon.address(.unix))
      let burst = (0..<2_000).flatMap { _ in RawConnection.frame(RawRequest.canSee("c", user, queue).packed) }
      Thread.detachNewThread { while connection.send(burst) {} }
      let isClosed = try await onThread { () -> Bool in
        for _ in 0..<20_000 {
          if connection.take(400) == 0 { return true }
          usleep(20_000)  // as slow as the client that is tested for
        }
        return false
      }
      #expect(isClosed)
    }
  }
}

/// Questions that take long are answered beside the loop, and end with their time.
@Suite(.serialized) struct DenseQuestions {
  /// A user in many projects, and fields in as many others.
  private static let company: [Change] = {
    let count = 4_000
    var changes: [Change] = [.putCompany(.enhanced), .putUser(User(id: "u0", name: "u0"), roles: [])]
    for number in 0..<count * 2 {
      let id = Name(stringLiteral: "p\(number)")
      changes.append(.putProject(Project(id: id, name: id)))
    }
    let own = (0..<count).map { Name(stringLiteral: "p\($0 * 2)") }
    let others = (0..<count).map { Name(stringLiteral: "p\($0 * 2 + 1)") }
    changes += own.map { .addMember(project: $0, .user("u0")) }
    let field = ObjectRef(ObjectType(name: "contact_field")!, "f")
    changes.append(.putObject(Object(field, name: "f")))
    changes += others.map { .place(field, project: $0) }
    return changes
  }()

  private static let field: (UInt64, [UInt8]) = (24, Array("f".utf8))

  private static func filter(_ ids: Int, timeout: UInt32 = 0) -> RawRequest {
    let message =
      Proto.number(1, 1) + Proto.bytes(2, user.1) + Proto.number(3, field.0)
      + (0..<ids).flatMap { _ in Proto.bytes(4, field.1) } + Proto.number(6, 1)
    var request = RawRequest(company: "c", call: 14, message)
    request.timeoutMilliseconds = timeout
    return request
  }

  private static func checks(_ count: Int, timeout: UInt32) -> RawRequest {
    let check = Proto.message(1, RawRequest.check(user, field))
    var request = RawRequest(company: "c", call: 12, (0..<count).flatMap { _ in check })
    request.timeoutMilliseconds = timeout
    return request
  }

  @Test func leaveTheLoopToOthers() async throws {
    try await withDaemon(adjust: { $0.eventLoops = 1 }) { daemon in
      try daemon.client().applyAll(Self.company, to: "c")
      let (flood, other) = (try RawConnection(daemon.address(.unix)), try RawConnection(daemon.address(.unix)))
      for request in [Self.filter(18_000, timeout: .anHour), Self.checks(2_000, timeout: .anHour)] {
        #expect(request.packed.count < 64 << 10, "small enough to be answered on the loop")
        #expect(try other.ask(.canSee("c", user, Self.field)).decisionReason == 9, "no shared project")
        flood.sendFrame(request.packed)
        var (asked, answer) = (0, RawConnection.Received.nothing)
        while answer == .nothing {
          #expect(try other.ask(.canSee("c", user, Self.field)).decision == 2)
          answer = flood.receive(within: 0)
          asked += 1
        }
        #expect(asked > 1, "a check had to wait for the dense question")
        guard case .message(let message) = answer else { throw TestFailure("\(answer) in place of an answer") }
        #expect(try RawResponse(message).code == 0)
      }
    }
  }

  @Test func endWithTheirTime() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(Self.company, to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      #expect(try connection.ask(Self.filter(18_000, timeout: 1)).reason == "deadline_exceeded")
      #expect(try connection.ask(Self.checks(2_000, timeout: 1)).reason == "deadline_exceeded")
      #expect(try connection.ask(.canSee("c", user, Self.field)).decision == 2)
    }
  }

  /// The answers are those that the same questions get one by one.
  @Test func areAnsweredAsOthersAre() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(Self.company, to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      #expect(try connection.ask(Self.filter(3_000, timeout: .anHour)).visible == 0)
      try daemon.client().applyAll([.addMember(project: "p7999", .user("u0"))], to: "c")
      #expect(try connection.ask(Self.filter(3_000, timeout: .anHour)).visible == 3_000)
      #expect(try connection.ask(.canSee("c", user, Self.field)).decision == 1)
      let explain = try connection.ask(
        RawRequest(company: "c", call: 19, Proto.message(1, RawRequest.check(user, Self.field))))
      #expect(explain.code == 0 && explain.result == 19)
    }
  }
}
