import CScopeWire
import ScopeModel
import ScopeProtocol
import ScopeTesting
import Testing

/// Messages that come in pieces are found, wherever a message may stand that comes once.
@Suite struct MessagesInPieces {
  /// A field of a message type, as the descriptors tell it.
  private struct Field {
    let number: Int
    let isRepeated: Bool
    /// The oneof that it is of: by where protobuf-c notes which member is there.
    let oneof: UInt32?
    let message: ProtobufCMessageDescriptor
  }

  private static func messages(in descriptor: ProtobufCMessageDescriptor) -> [Field] {
    (0..<Int(descriptor.n_fields)).map { descriptor.fields[$0] }.filter { $0.type == PROTOBUF_C_TYPE_MESSAGE }.map {
      let isOfOneof = $0.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0
      return Field(
        number: Int($0.id), isRepeated: $0.label == PROTOBUF_C_LABEL_REPEATED,
        oneof: isOfOneof ? $0.quantifier_offset : nil,
        message: $0.descriptor!.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee)
    }
  }

  /// Every place of a Request where a message may stand once: the fields that lead there, and all that may stand there.
  private static func places(
    in descriptor: ProtobufCMessageDescriptor, below path: [Field] = []
  ) -> [(path: [Field], members: [Int])] {
    let fields = messages(in: descriptor)
    var places: [(path: [Field], members: [Int])] = []
    for field in fields {
      if !field.isRepeated {
        let others = fields.filter { $0.oneof != nil && $0.oneof == field.oneof && $0.number != field.number }
        places.append((path, [field.number] + others.map(\.number)))
      }
      places += Self.places(in: field.message, below: path + [field])
    }
    return places
  }

  private static func frame(_ path: [Field], _ innermost: [UInt8]) -> [UInt8] {
    let message = path.reversed().reduce(innermost) { Proto.message($1.number, $0) }
    return Proto.number(1, 7) + Proto.bytes(3, [0x63]) + message
  }

  private func find(_ frame: [UInt8]) -> Pieces.Found? { frame.withUnsafeBytes { Pieces.request.find(in: $0) } }

  private func isRead(_ frame: [UInt8]) -> Bool {
    let arena = Arena(limit: 1 << 20)
    return frame.withUnsafeBytes { arena.unpackRequest($0) } != nil
  }

  @Test func areFoundInEveryPlace() {
    let places = Self.places(in: scope__v1__request__descriptor)
    #expect(places.count > 34 + 2 * 21, "every call, and every change of Apply and Preview")
    for (path, members) in places {
      let isChange = path.contains { $0.isRepeated }
      let words = "\(path.map(\.number)) \(members)"
      #expect(find(Self.frame(path, Proto.message(members[0], []))) == nil, "\(words)")
      for second in members {
        let frame = Self.frame(path, Proto.message(members[0], []) + Proto.bytes(99, [1]) + Proto.message(second, []))
        #expect(isRead(frame), "\(words): protobuf-c has no objection")
        #expect(find(frame) == (isChange ? .change(1) : .call), "\(words), then \(second)")
      }
    }
  }

  /// Why they are looked for: when a newer protobuf-c merges them as the standard says, this fails.
  @Test func arePartlyLostByProtobufC() throws {
    let (user, queue) = (Proto.number(1, 1) + Proto.bytes(2, [117]), Proto.number(3, 16) + Proto.bytes(4, [113]))
    func unpack(_ call: [UInt8], _ body: (WireRequest) throws -> Void) throws {
      let arena = Arena(limit: 1 << 20)
      try body(try #require(call.withUnsafeBytes { arena.unpackRequest($0) }).pointee)
    }
    try unpack(Proto.message(11, Proto.bytes(5, [114])) + Proto.message(11, user + queue)) {
      #expect($0.can_see.pointee.object_id.len == 1 && $0.can_see.pointee.right.len == 0, "the right is lost")
    }
    try unpack(Proto.message(19, Proto.message(1, user) + Proto.message(1, queue))) {
      let check = $0.explain.pointee.check.pointee
      #expect(check.subject_id.len == 1 && check.subject_type.rawValue == 0, "of a plain message the numbers are lost")
    }
  }

  @Test func areToldByTheChangesPosition() {
    let (whole, twice) = (Proto.message(5, []), Proto.message(5, []) + Proto.message(5, Proto.bytes(1, [117])))
    for position in [1, 2, 7, 300] {
      let changes = (1...400).flatMap { Proto.message(1, $0 == position ? twice : whole) }
      #expect(find(Proto.message(16, changes)) == .change(position))
      #expect(find(Proto.message(33, changes + Proto.bytes(2, [97]))) == .change(position))
    }
    #expect(find(Proto.message(16, (0..<400).flatMap { _ in Proto.message(1, whole) })) == nil, "many are no pieces")
    let both = Proto.message(16, Proto.message(1, twice)) + Proto.message(16, [])
    #expect(find(both) == .change(1))
  }

  /// Encoders don't, but may: long forms of tags and lengths, numbers of ten bytes, fields between that nobody knows.
  @Test func areFoundHoweverTheyAreWritten() {
    let strange: [[UInt8]] = [
      [0xDA, 0x80, 0x80, 0x80, 0x00, 0x00], [0x5A, 0x80, 0x00], [0xDA, 0x00, 0x80, 0x80, 0x80, 0x80, 0x00],
    ]
    let between: [[UInt8]] = [
      [], Proto.key(6, 0) + Proto.varint(.max), Proto.key(90, 1) + [1, 2, 3, 4, 5, 6, 7, 8],
      Proto.key(91, 5) + [0x5A, 0, 0x5A, 0], Proto.message(92, Proto.message(11, []) + Proto.message(11, [])),
      Proto.key(1 << 28, 0) + [1], Proto.number(11, 0),
    ]
    for form in strange + [Proto.message(11, [])] {
      for field in between {
        let frame = form + field + Proto.message(11, [])
        #expect(isRead(frame), "\(frame)")
        #expect(find(frame) == .call, "\(frame)")
        #expect(isRead(form + field) && find(form + field) == nil, "\(form + field)")
      }
    }
  }

  @Test func areNoneInWhatEncodersWrite() throws {
    let arena = Arena(limit: 1 << 20)
    for change in Samples.changes {
      arena.reset()
      let wire = try change.wire(in: arena)
      var packed = [UInt8](repeating: 0, count: scope__v1__change__get_packed_size(wire))
      scope__v1__change__pack(wire, &packed)
      #expect(
        find(RawRequest(company: "c", call: 16, Proto.message(1, packed) + Proto.message(1, packed)).packed) == nil)
    }
    let check = RawRequest.check((1, [117]), (16, [113]))
    for (call, message) in [(12, Proto.message(1, check) + Proto.message(1, check)), (19, Proto.message(1, check))] {
      #expect(find(RawRequest(company: "c", call: call, message).packed) == nil)
    }
    #expect(find([]) == nil)
  }
}
