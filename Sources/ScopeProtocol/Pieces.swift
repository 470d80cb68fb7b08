import CScopeWire

/// Finds messages that came in pieces, and oneofs of which more than one member came.
///
/// Protobuf would merge the pieces. protobuf-c 1.4 does not: of a oneof's message it keeps the last piece, and of any
/// other it loses the numbers of all but the last. What is lost could be a right, a narrowing or the acting user, so a
/// frame with pieces is refused. No encoder writes one.
public struct Pieces: Sendable {
  /// What came in pieces.
  public enum Found: Hashable, Sendable {
    /// The call itself, or a message in it.
    case call
    /// A change of a batch, by its position from 1.
    case change(Int)
  }

  /// Looks through frames that protobuf-c has unpacked as a Request.
  public static let request = Pieces(scope__v1__request__descriptor)

  private var shapes: [Shape] = []
  private var fields: [Field] = []

  /// The first that is found; nil: every message came whole. Goes only where a message is that must come once.
  public func find(in frame: UnsafeRawBufferPointer) -> Found? {
    root == Field.plain ? nil : find(in: frame, shapes[Int(root)]).map { $0 == 0 ? .call : .change($0) }
  }

  private let root: UInt8
}

extension Pieces {
  /// What is known of a field by its number.
  private struct Field {
    static let plain: UInt8 = 0
    static let many: UInt8 = .max

    /// Which of the message's singular messages it is, those of a oneof all the same one; `many`: any number of times.
    var single = many
    /// Its own shape; `plain`: there is nothing to look for in it.
    var shape = plain
  }

  /// A message type: the part of `fields` that its field numbers index.
  private struct Shape {
    var start = 0
    var count = 0
  }

  init(_ descriptor: ProtobufCMessageDescriptor) {
    var maker = Maker()
    root = maker.shape(of: descriptor)
    (shapes, fields) = (maker.shapes, maker.fields)
  }

  /// 0: in the message itself; else the position of the element, from 1.
  private func find(in message: UnsafeRawBufferPointer, _ shape: Shape) -> Int? {
    var scanner = FieldScanner(message)
    var (seen, elements): (UInt64, Int) = (0, 0)
    while scanner.next() {
      if scanner.number >= shape.count { continue }
      let field = fields[shape.start + scanner.number]
      if field.single != Field.many {
        let bit: UInt64 = 1 &<< UInt64(field.single)
        if seen & bit != 0 { return 0 }
        seen |= bit
      } else if field.shape != Field.plain {
        elements += 1
      }
      if field.shape == Field.plain { continue }
      guard let found = find(in: scanner.body, shapes[Int(field.shape)]) else { continue }
      return field.single == Field.many ? elements : found
    }
    return scanner.isAtEnd ? nil : 0
  }

  /// Reads the descriptors, which no message type makes endless: none contains itself.
  private struct Maker {
    var shapes = [Shape()]
    var fields: [Field] = []

    mutating func shape(of descriptor: ProtobufCMessageDescriptor) -> UInt8 {
      let known = UnsafeBufferPointer(start: descriptor.fields, count: Int(descriptor.n_fields))
      guard let highest = known.last?.id else { return Field.plain }
      var own = [Field](repeating: Field(), count: Int(highest) + 1)
      var singles: [UInt32] = []
      for field in known where field.type == PROTOBUF_C_TYPE_MESSAGE {
        own[Int(field.id)] = look(at: field, &singles)
      }
      precondition(singles.count <= 64, "a message with more than 64 singular messages")
      if own.allSatisfy({ $0.single == Field.many && $0.shape == Field.plain }) { return Field.plain }
      precondition(shapes.count < Int(UInt8.max), "more than 254 message types with singular messages")
      shapes.append(Shape(start: fields.count, count: own.count))
      fields += own
      return UInt8(shapes.count - 1)
    }

    /// The members of a oneof share the place where protobuf-c notes which of them is there; others have their own.
    private mutating func look(at field: ProtobufCFieldDescriptor, _ singles: inout [UInt32]) -> Field {
      let message = field.descriptor!.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee
      var found = Field(shape: shape(of: message))
      if field.label == PROTOBUF_C_LABEL_REPEATED { return found }
      let isOfOneof = field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue != 0
      let place = isOfOneof ? field.quantifier_offset : field.offset
      if !singles.contains(place) { singles.append(place) }
      found.single = UInt8(singles.firstIndex(of: place)!)
      return found
    }
  }
}

/// Goes through the fields of a message by their tags and lengths, as protobuf-c does. Every request that is unpacked is
/// looked through: most tags and numbers have one byte.
private struct FieldScanner {
  /// The field that was come to, and its bytes if it has a length.
  private(set) var number = 0
  private(set) var body = UnsafeRawBufferPointer(start: nil, count: 0)
  private var position: UnsafeRawPointer
  private let end: UnsafeRawPointer

  init(_ message: UnsafeRawBufferPointer) {
    // Of an empty message nothing is read.
    position = message.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
    end = position + message.count
  }

  /// False after `next` said so: what is left is no field.
  var isAtEnd: Bool { position == end }

  /// Comes to the next field; false: there is none.
  @inline(__always)
  mutating func next() -> Bool {
    if isAtEnd { return false }
    let start = position
    if let tag = varint(bytes: 5), let length = length(ofWireType: tag & 7), length <= end - position {
      number = Int(tag >> 3)
      body = UnsafeRawBufferPointer(start: position, count: tag & 7 == 2 ? length : 0)
      position += length
      return true
    }
    position = start
    return false
  }

  /// Bytes of the value, a number's own taken off already.
  @inline(__always)
  private mutating func length(ofWireType type: UInt64) -> Int? {
    switch type {
    case 0: varint(bytes: 10) == nil ? nil : 0
    case 1: 8
    case 2: varint(bytes: 5).map { Int($0) }
    case 5: 4
    default: nil
    }
  }

  @inline(__always)
  private mutating func varint(bytes most: Int) -> UInt64? {
    if position < end {
      let byte = position.load(as: UInt8.self)
      if byte < 0x80 {
        position += 1
        return UInt64(byte)
      }
    }
    return longVarint(bytes: most)
  }

  @inline(never)
  private mutating func longVarint(bytes most: Int) -> UInt64? {
    var value: UInt64 = 0
    for place in 0..<min(most, end - position) {
      let byte = position.load(fromByteOffset: place, as: UInt8.self)
      value |= UInt64(byte & 0x7F) &<< UInt64(7 * place)
      if byte < 0x80 {
        position += place + 1
        return value
      }
    }
    return nil
  }
}

extension Failure {
  /// A frame with messages in pieces.
  public init(_ found: Pieces.Found) {
    switch found {
    case .call:
      let words = "there are two calls, or the call or a message in it came in pieces: send one, in one piece"
      self.init(.invalidArgument, "call_in_pieces", words)
    case .change(let position):
      let words = "change \(position): it is two changes, or one in pieces: send each in one piece"
      self.init(.invalidArgument, "change_in_pieces", words)
      change = Int32(position)
    }
  }
}
