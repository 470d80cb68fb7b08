import CScopeWire

/// Finds messages that came in pieces, and oneofs of which more than one member came.
///
/// Protobuf would merge the pieces. protobuf-c 1.4 does not: of a oneof's message it keeps the last piece, and of any
/// other it loses the numbers of all but the last. What is lost could be a right, a narrowing or the acting user, so a
/// frame with pieces is refused. No encoder writes one.
public struct Pieces: @unchecked Sendable {  // what it points to is never changed
  /// What came in pieces.
  public enum Found: Hashable, Sendable {
    /// The call itself, or a message in it.
    case call
    /// A change of a batch, by its position from 1.
    case change(Int)
  }

  /// Looks through frames that protobuf-c has unpacked as a Request.
  public static let request = Pieces(scope__v1__request__descriptor)

  /// Nil: there is nothing to look for.
  private let root: UnsafePointer<Shape>?

  init(_ descriptor: ProtobufCMessageDescriptor) { root = Pieces.shape(of: descriptor) }

  /// The first that is found; nil: every message came whole. Goes only where a message is that must come once.
  public func find(in frame: UnsafeRawBufferPointer) -> Found? {
    guard let root else { return nil }
    let found = Pieces.find(in: frame, root)
    if found == Pieces.nothing { return nil }
    return found == 0 ? .call : .change(found)
  }
}

extension Pieces {
  /// What is known of a field by its number.
  private struct Field {
    /// Of the message's singular messages, those of a oneof are all the same one and have one bit; 0: it may come any
    /// number of times.
    var bit: UInt64 = 0
    /// Of a message in which there is something to look for. Never freed: the descriptors live as long.
    var shape: UnsafePointer<Shape>?
  }

  /// A message type: its fields by their numbers. In plain memory: it is gone through on each request that is unpacked,
  /// where an array would count references.
  private struct Shape {
    let fields: UnsafePointer<Field>
    let count: Int
  }

  private static let nothing = -1

  /// 0: in the message itself; else the position of the element, from 1.
  private static func find(in message: UnsafeRawBufferPointer, _ shape: UnsafePointer<Shape>) -> Int {
    let (fields, count) = (shape.pointee.fields, shape.pointee.count)
    var scanner = FieldScanner(message)
    var (seen, elements): (UInt64, Int) = (0, 0)
    while scanner.next() {
      if scanner.number >= count { continue }
      let field = fields + scanner.number
      let bit = field.pointee.bit
      if seen & bit != 0 { return 0 }
      seen |= bit
      guard let inner = field.pointee.shape else { continue }
      if bit == 0 { elements += 1 }
      let found = find(in: scanner.body, inner)
      if found != nothing { return bit == 0 ? elements : found }
    }
    return scanner.isAtEnd ? nothing : 0
  }

  /// Reads the descriptors, which no message type makes endless: none contains itself. Nil: there is nothing to look
  /// for.
  private static func shape(of descriptor: ProtobufCMessageDescriptor) -> UnsafePointer<Shape>? {
    let known = UnsafeBufferPointer(start: descriptor.fields, count: Int(descriptor.n_fields))
    guard let highest = known.last?.id else { return nil }
    var fields = [Field](repeating: Field(), count: Int(highest) + 1)
    var singles: [UInt32] = []
    for field in known where field.type == PROTOBUF_C_TYPE_MESSAGE {
      fields[Int(field.id)] = look(at: field, &singles)
    }
    precondition(singles.count <= 64, "a message with more than 64 singular messages")
    if fields.allSatisfy({ $0.bit == 0 && $0.shape == nil }) { return nil }
    let memory = UnsafeMutablePointer<Field>.allocate(capacity: fields.count)
    memory.initialize(from: fields, count: fields.count)
    let shape = UnsafeMutablePointer<Shape>.allocate(capacity: 1)
    shape.initialize(to: Shape(fields: memory, count: fields.count))
    return UnsafePointer(shape)
  }

  /// The members of a oneof share the place where protobuf-c notes which of them is there; others have their own.
  private static func look(at field: ProtobufCFieldDescriptor, _ singles: inout [UInt32]) -> Field {
    let message = field.descriptor!.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee
    var found = Field(shape: shape(of: message))
    if field.label == PROTOBUF_C_LABEL_REPEATED { return found }
    let isOfOneof = field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue != 0
    let place = isOfOneof ? field.quantifier_offset : field.offset
    if !singles.contains(place) { singles.append(place) }
    found.bit = 1 << UInt64(singles.firstIndex(of: place)!)
    return found
  }
}

/// Goes through the fields of a message by their tags and lengths, as protobuf-c does. Every request that is unpacked is
/// looked through: most tags and numbers have one byte or two.
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
    let left = end - position
    if left > 0 {
      let first = position.load(as: UInt8.self)
      if first < 0x80 {
        position += 1
        return UInt64(first)
      }
      if left > 1 {
        let second = position.load(fromByteOffset: 1, as: UInt8.self)
        if second < 0x80 {
          position += 2
          return UInt64(first & 0x7F) | UInt64(second) &<< 7
        }
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
