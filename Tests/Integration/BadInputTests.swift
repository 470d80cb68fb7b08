import Foundation
import ScopeModel
import ScopeTesting
import Testing

private let user: (UInt64, [UInt8]) = (1, Array("u0".utf8))
private let queue: (UInt64, [UInt8]) = (16, Array("q".utf8))

/// Runs a test over a daemon with a small company, and sees to it that another connection, opened before,
/// is answered after it.
private func withBystander(
  _ transport: Transport = .unix, _ body: @escaping @Sendable (TestDaemon, RawConnection) async throws -> Void
) async throws {
  try await withDaemon { daemon in
    try daemon.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
    let bystander = try RawConnection(daemon.address(transport))
    #expect(try bystander.ask(.canSee("c", user, queue)).decision == 1)
    try await body(daemon, try RawConnection(daemon.address(transport)))
    #expect(try bystander.ask(.canSee("c", user, queue)).decision == 1, "others are unharmed")
  }
}

@Suite struct BadInput {
  @Test(arguments: Transport.allCases) func namesThatAreNoneAreRefusedWithTheField(over transport: Transport)
    async throws
  {
    try await withBystander(transport) { _, connection async throws in
      let bad: [(name: [UInt8], words: String)] = [
        ([], "is empty"), (Array("q\0b".utf8), "control character"), ([0x71, 0xFF], "not valid UTF-8"),
        ([0xC0, 0x80], "not valid UTF-8"), ([0xED, 0xA0, 0x80], "not valid UTF-8"),
        (Array("a\u{85}".utf8), "control character"), (Array("a\u{7F}".utf8), "control character"),
        ([UInt8](repeating: 0x61, count: 129), "129 bytes, at most 128"),
        ([UInt8](repeating: 0x61, count: 1_000_000), "1000000 bytes, at most 128"),
      ]
      for (name, words) in bad {
        for (field, request) in [
          ("subject_id", RawRequest.canSee("c", (1, name), queue)), ("object_id", .canSee("c", user, (16, name))),
          ("user", RawRequest(company: "c", call: 13, Proto.bytes(1, name))),
          ("object_ids", RawRequest(company: "c", call: 14, filter(ids: [Array("q".utf8), name]))),
        ] {
          let response = try connection.ask(request)
          #expect(response.code == 3 && response.reason == "invalid_name", "\(field) \(response)")
          #expect(response.message.contains(field) && response.message.contains(words), "\(response.message)")
          #expect(response.decision == 0 && response.result == 0)
        }
      }
      let longest = [UInt8](repeating: 0x61, count: 128)
      #expect(try connection.ask(.canSee("c", (1, longest), queue)).decisionReason == 2, "128 bytes are a name")
    }
  }

  private func filter(ids: [[UInt8]]) -> [UInt8] {
    Proto.number(1, 1) + Proto.bytes(2, user.1) + Proto.number(3, 16) + ids.flatMap { Proto.message(4, $0) }
  }

  /// An id with a NUL in it must not pass as its first half.
  @Test func aNulDoesNotCutAName() async throws {
    try await withBystander { _, connection async throws in
      #expect(try connection.ask(.canSee("c", user, (16, Array("q\0x".utf8)))).decision == 0)
      var request = RawRequest.canSee("c", user, queue)
      request.company = Array("c\0d".utf8)
      #expect(try connection.ask(request).reason == "invalid_name")
    }
  }

  @Test func typesThatAreNoneAreRefused() async throws {
    try await withBystander { _, connection async throws in
      for type in [0, 4, 15, 26, 255, 256, 272, 1 << 31] as [UInt64] {
        let subject = try connection.ask(.canSee("c", (type, user.1), queue))
        #expect(subject.code == 3 && subject.reason == (type == 0 ? "type_missing" : "unknown_type"), "\(type)")
        #expect(subject.message.contains("subject_type"))
        #expect(try connection.ask(.canSee("c", user, (type, queue.1))).code == 3)
      }
      for type in [1, 2, 3] as [UInt64] {
        let answer = try connection.ask(.canSee("c", user, (type, queue.1)))
        #expect(answer.code == 0 && answer.decision == 2, "users, groups and projects are asked about as well")
      }
    }
  }

  @Test func aMissingOrUnknownCallIsNamed() async throws {
    try await withBystander { _, connection async throws in
      let none = try connection.ask(RawRequest(company: "c"))
      #expect(none.code == 3 && none.reason == "call_missing" && none.id == 1)
      let unknown = try connection.ask(RawRequest(company: "c", call: 99, [1, 2, 3]))
      #expect(unknown.code == 12 && unknown.reason == "unknown_call" && unknown.id == 1)
      connection.sendFrame([])
      #expect(try connection.response().reason == "call_missing")
    }
  }

  @Test func unknownFieldsArePassedOver() async throws {
    try await withBystander { _, connection async throws in
      var message = RawRequest.check(user, queue) + Proto.number(90, 7) + Proto.bytes(91, [1, 2, 3])
      #expect(try connection.ask(RawRequest(company: "c", call: 11, message)).decision == 1)
      for _ in 0..<20_000 { message += Proto.number(90, 7) }
      #expect(try connection.ask(RawRequest(company: "c", call: 11, message)).decision == 1)
    }
  }

  /// protobuf-c has no limit of depth; unknown fields must not be followed down.
  @Test(arguments: [10, 100, 10_000]) func nestingIsNotFollowed(depth: Int) async throws {
    try await withBystander { _, connection async throws in
      var nested: [UInt8] = []
      for _ in 0..<depth { nested = Proto.message(77, nested) }
      let message = RawRequest.check(user, queue) + nested
      #expect(try connection.ask(RawRequest(company: "c", call: 11, message)).decision == 1)
      let groups = (0..<depth).flatMap { _ in Proto.key(77, 3) }
      #expect(try connection.ask(RawRequest(company: "c", call: 11, groups)).reason == "malformed_message")
    }
  }

  @Test func whatIsNoRequestIsSaidToBeNone() async throws {
    try await withBystander { _, connection async throws in
      let packed = RawRequest.canSee("c", user, queue).packed
      let broken: [[UInt8]] = [
        [0xFF], [0x08], [0x0B], Array("GET / HTTP/1.1\r\n\r\n".utf8), Array(packed.dropLast()),
        Proto.key(3, 2) + Proto.varint(1 << 40), Proto.key(1, 2) + [1, 1], Proto.key(3, 0) + [5],
        Proto.message(11, Proto.key(2, 0) + [5]), [UInt8](repeating: 0x80, count: 64),
      ]
      for message in broken {
        connection.sendFrame(message)
        let response = try connection.response()
        #expect(response.code == 3 && response.id == 0 && response.reason == "malformed_message", "\(message)")
      }
      #expect(try connection.ask(.canSee("c", user, queue)).decision == 1, "the connection goes on")
    }
  }

  @Test(arguments: [UInt32(4 << 20) + 1, UInt32.max]) func framesThatAreTooLongEndTheConnection(length: UInt32)
    async throws
  {
    try await withBystander { _, connection async throws in
      connection.sendFrame(RawRequest.canSee("c", user, queue).packed)
      connection.send(withUnsafeBytes(of: length.bigEndian) { Array($0) })
      #expect(try connection.response().decision == 1, "what came before is answered")
      let response = try connection.response()
      #expect(response.code == 3 && response.reason == "frame_too_long")
      #expect(response.message.contains("\(length)"))
      #expect(connection.receive() == .closed)
    }
  }

  @Test func aFrameOfTheFullLengthIsTaken() async throws {
    try await withBystander { _, connection async throws in
      let message = RawRequest.canSee("c", user, queue).packed
      let padding = (4 << 20) - message.count - 5  // key of two bytes, length of three… four
      let padded = message + Proto.message(90, [UInt8](repeating: 0, count: padding - 1))
      #expect(padded.count == 4 << 20)
      connection.sendFrame(padded)
      #expect(try connection.response().decision == 1)
    }
  }

  /// Two bytes each on the wire, a struct each in memory.
  @Test func aFrameOfEmptyMessagesIsHeldToItsLimits() async throws {
    try await withBystander { _, connection async throws in
      let empty = [UInt8](repeating: 0, count: 0)
      let checks = (0..<1_900_000).flatMap { _ in Proto.message(1, empty) }
      let response = try connection.ask(RawRequest(company: "c", call: 12, checks))
      #expect(response.code == 8 && response.reason == "message_too_large")
      let fewer = (0..<20_000).flatMap { _ in Proto.message(1, empty) }
      #expect(try connection.ask(RawRequest(company: "c", call: 12, fewer)).reason == "too_many")
    }
  }

  @Test func cutFramesAreWaitedFor() async throws {
    try await withBystander { _, connection async throws in
      for byte in RawConnection.frame(RawRequest.canSee("c", user, queue).packed) { connection.send([byte]) }
      #expect(try connection.response().decision == 1)
    }
  }

  /// Random damage to good requests, and plain noise: every frame gets an answer, and the daemon lives.
  @Test func randomDamageIsAnswered() async throws {
    try await withBystander { daemon, connection async throws in
      // Changes are of another company: a bit more or less may make the company's removal of one.
      try daemon.client().applyAll(smallCompany(), to: "other")
      let seed = UInt64.random(in: 1 ... .max)
      var random = SeededRandom(seed: seed)
      let good = [
        RawRequest.canSee("c", user, queue).packed,
        RawRequest(company: "c", call: 12, Proto.message(1, RawRequest.check(user, queue))).packed,
        RawRequest(company: "c", call: 15, Proto.number(1, 1) + Proto.bytes(2, user.1)).packed,
        RawRequest(company: "other", call: 16, Proto.message(1, Proto.message(4, Proto.bytes(1, [0x78])))).packed,
      ]
      for round in 0..<3_000 {
        var message = good.randomElement(using: &random)!
        for _ in 0...Int.random(in: 0...3, using: &random) {
          message[Int.random(in: 0..<message.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        connection.sendFrame(message)
        var isMore = true
        while isMore { isMore = try connection.response().more }
        if round % 1_000 == 0 { #expect(try connection.ask(.canSee("c", user, queue)).code == 0, "seed \(seed)") }
      }
    }
  }
}

@Suite struct RequestLimits {
  @Test func areToldByHello() async throws {
    try await withBystander { _, connection async throws in
      let hello = try connection.ask(RawRequest(call: 10))
      #expect(hello.code == 0 && hello.result == 10)
      #expect(hello.limits == [4 << 20, 128, 65_536, 8_192, 10_000])
    }
  }

  @Test func ofIdsAndChecksAreKept() async throws {
    try await withBystander { _, connection async throws in
      let ids = (0..<65_537).flatMap { _ in Proto.message(4, [0x71]) }
      let filter = Proto.number(1, 1) + Proto.bytes(2, user.1) + Proto.number(3, 16) + ids
      let response = try connection.ask(RawRequest(company: "c", call: 14, filter))
      #expect(response.code == 8 && response.reason == "too_many" && response.message.contains("65536"))
      let fits = try connection.ask(RawRequest(company: "c", call: 14, Array(filter.dropLast(3))))
      #expect(fits.visible == 65_536)
    }
  }

  /// The longest answer to the most checks fits a frame that clients accept.
  @Test func ofChecksKeepAnswersWithinAFrame() async throws {
    try await withBystander { daemon, connection async throws in
      let long = Name(stringLiteral: String(repeating: "x", count: 128))
      try daemon.client().applyAll(
        [
          .putProject(Project(id: long, name: long)), .putGroup(Group(id: long, name: long)),
          .addToGroup(group: long, user: "u1"), .addMember(project: long, .group(long)),
          .place(ObjectRef(ObjectType(name: "list")!, "l"), project: long),
        ], to: "c")
      let check = Proto.message(1, RawRequest.check((1, Array("u1".utf8)), (21, Array("l".utf8))))
      connection.sendFrame(RawRequest(company: "c", call: 12, (0..<8_192).flatMap { _ in check }).packed)
      guard case .message(let answer) = connection.receive() else { throw TestFailure("no answer") }
      #expect(try RawResponse(answer).rows == 8_192)
      #expect(answer.count > 2 << 20 && answer.count <= 4 << 20)
      let more = RawRequest(company: "c", call: 12, (0..<8_193).flatMap { _ in check })
      #expect(try connection.ask(more).reason == "too_many")
    }
  }

  /// What a change names is bounded before it is looked at, however often it names the same.
  @Test func aChangeNamesOnlySoMany() async throws {
    try await withBystander { daemon, _ async throws in
      let client = try daemon.client()
      func names(_ count: Int) -> [Name] { [Name](repeating: "r", count: count) }
      try client.applyAll([.putRole("r", rights: []), .putProject(Project(id: "r", name: "r"))], to: "c")
      let user = User(id: "many", name: "many")
      let changes: [(Int, ([Name]) -> Change)] = [
        (100, { .putUser(user, roles: $0) }), (10_000, { .putUser(user, roles: [], projects: $0) }),
        (1_000, { .putRole("many", rights: $0) }),
        (10_000, { .putObject(Object(ObjectRef(.list, "many"), name: "many"), projects: $0) }),
      ]
      for (limit, change) in changes {
        try client.applyAll([change(names(limit))], to: "c")
        #expect { try client.applyAll([change(names(limit + 1))], to: "c") } throws: { "\($0)".contains("too_many") }
      }
    }
  }

  @Test func anEmptyBatchIsRefused() async throws {
    try await withBystander { _, connection async throws in
      let response = try connection.ask(RawRequest(company: "c", call: 16, Proto.bytes(4, [0x6B])))
      #expect(response.code == 3 && response.reason == "changes_missing")
    }
  }

  @Test func ofRevisionsAreKept() async throws {
    try await withBystander { _, connection async throws in
      var request = RawRequest.canSee("c", user, queue)
      request.minRevision = try connection.ask(request).revision
      #expect(try connection.ask(request).decision == 1)
      request.minRevision += 1
      let response = try connection.ask(request)
      #expect(response.code == 9 && response.reason == "revision_not_reached" && response.decision == 0)
    }
  }

  @Test func unknownCompaniesAndSubjectsGetNoRows() async throws {
    try await withBystander { _, connection async throws in
      #expect(try connection.ask(.canSee("nobody", user, queue)).decisionReason == 1)
      let list = Proto.number(1, 1) + Proto.bytes(2, user.1)
      #expect(try connection.ask(RawRequest(company: "nobody", call: 15, list)).rows == 0)
      #expect(try connection.ask(RawRequest(company: "nobody", call: 13, Proto.bytes(1, user.1))).rows == 0)
      #expect(try connection.ask(RawRequest(company: "c", call: 13, Proto.bytes(1, user.1))).rows == 1)
      #expect(try connection.ask(RawRequest(company: "c", call: 13, Proto.bytes(1, [0x7A]))).rows == 0)
    }
  }
}
