/// A CanSee or FilterObjects read where it lies in its frame, without unpacking.
///
/// Call set-up asks these two, and unpacking costs more than answering. Read are requests as encoders write them:
/// fields in the order of their numbers and once each. Whatever else a frame may hold is left to protobuf-c, which
/// decides what it means: nil is no refusal.
public struct QuickRequest {
  /// The call.
  public enum Call {
    case canSee(QuickCheck)
    case filterObjects(QuickFilter)
  }

  /// Chosen by the client.
  public let id: UInt64
  /// Lowest acceptable revision; 0: any.
  public let minimumRevision: UInt64
  /// The company asked about: bytes, not yet known to be a name, as are all others here.
  public let company: UnsafeRawBufferPointer
  public let call: Call

  /// Nil: not one of the two, or not as encoders write it.
  @inlinable @inline(__always)
  public init?(_ frame: UnsafeRawBufferPointer) {
    if frame.isEmpty { return nil }
    var fields = FieldReader(frame)
    guard let id = fields.number(tag: 0x08), fields.number(tag: 0x10) != nil,
      let company = fields.bytes(tag: 0x1A), let minimumRevision = fields.number(tag: 0x20)
    else { return nil }
    if fields.isNext(0x5A) {
      guard let body = fields.bytes(tag: 0x5A), let check = QuickCheck(body) else { return nil }
      call = .canSee(check)
    } else {
      guard fields.isNext(0x72), let body = fields.bytes(tag: 0x72), let filter = QuickFilter(body) else { return nil }
      call = .filterObjects(filter)
    }
    if !fields.isAtEnd { return nil }
    self.id = id
    self.company = company
    self.minimumRevision = minimumRevision
  }
}

/// The fields of a CanSeeRequest; a missing one is 0 or empty.
public struct QuickCheck {
  public let subjectType: UInt64
  public let subjectID: UnsafeRawBufferPointer
  public let objectType: UInt64
  public let objectID: UnsafeRawBufferPointer
  public let right: UnsafeRawBufferPointer

  @inlinable @inline(__always)
  init?(_ body: UnsafeRawBufferPointer) {
    var fields = FieldReader(body)
    guard let subjectType = fields.number(tag: 0x08), let subjectID = fields.bytes(tag: 0x12),
      let objectType = fields.number(tag: 0x18), let objectID = fields.bytes(tag: 0x22),
      let right = fields.bytes(tag: 0x2A), fields.isAtEnd
    else { return nil }
    self.subjectType = subjectType
    self.subjectID = subjectID
    self.objectType = objectType
    self.objectID = objectID
    self.right = right
  }
}

/// The fields of a FilterObjectsRequest.
public struct QuickFilter {
  public let subjectType: UInt64
  public let subjectID: UnsafeRawBufferPointer
  public let objectType: UInt64
  public let ids: QuickIDs
  public let project: UnsafeRawBufferPointer
  public let asBitmap: Bool

  @inlinable @inline(__always)
  init?(_ body: UnsafeRawBufferPointer) {
    var fields = FieldReader(body)
    guard let subjectType = fields.number(tag: 0x08), let subjectID = fields.bytes(tag: 0x12),
      let objectType = fields.number(tag: 0x18), let ids = QuickIDs(&fields),
      let project = fields.bytes(tag: 0x2A), let asBitmap = fields.number(tag: 0x30), fields.isAtEnd
    else { return nil }
    self.subjectType = subjectType
    self.subjectID = subjectID
    self.objectType = objectType
    self.ids = ids
    self.project = project
    self.asBitmap = asBitmap != 0
  }
}

/// The ids of a FilterObjectsRequest, one behind the other in the frame. Every length was checked.
public struct QuickIDs {
  @usableFromInline static let tag: UInt8 = 0x22

  public let count: Int
  /// Bytes that they take in the frame, with their tags and lengths.
  public let byteCount: Int
  @usableFromInline let start: UnsafeRawPointer

  @inlinable @inline(__always)
  init?(_ fields: inout FieldReader) {
    var count = 0
    start = fields.at
    while fields.isNext(QuickIDs.tag) {
      let head = fields.at
      guard let id = fields.bytes(tag: QuickIDs.tag), id.baseAddress! - head == QuickIDs.headBytes(id.count) else {
        return nil
      }
      count += 1
    }
    self.count = count
    byteCount = fields.at - start
  }

  /// Bytes before an id: its tag and its length, in as few as it needs. Longer ones, which are no names, have more.
  @inlinable @inline(__always)
  public static func headBytes(_ count: Int) -> Int { count < 0x80 ? 2 : 3 }

  /// Goes through them from the first. To be asked `count` times.
  public struct Reader {
    @usableFromInline var at: UnsafeRawPointer

    @inlinable @inline(__always)
    public init(_ ids: QuickIDs) { at = ids.start }

    @inlinable @inline(__always)
    public mutating func next() -> UnsafeRawBufferPointer {
      at += 1
      var length = Int(at.load(as: UInt8.self))
      at += 1
      if length >= 0x80 {
        length = length & 0x7F | Int(at.load(as: UInt8.self)) << 7
        at += 1
      }
      defer { at += length }
      return UnsafeRawBufferPointer(start: at, count: length)
    }
  }
}

/// Takes fields from a message in the order of their numbers.
@usableFromInline
struct FieldReader {
  @usableFromInline private(set) var at: UnsafeRawPointer
  @usableFromInline let end: UnsafeRawPointer

  /// - Parameter bytes: not without an address.
  @inlinable @inline(__always)
  init(_ bytes: UnsafeRawBufferPointer) {
    at = bytes.baseAddress!
    end = at + bytes.count
  }

  @inlinable var isAtEnd: Bool { at == end }

  @inlinable @inline(__always)
  func isNext(_ tag: UInt8) -> Bool { at < end && at.load(as: UInt8.self) == tag }

  /// A number, 0 where the field is not next; nil: it does not fit 32 bits where that matters, or is cut.
  @inlinable @inline(__always)
  mutating func number(tag: UInt8) -> UInt64? {
    if !isNext(tag) { return 0 }
    at += 1
    return varint()
  }

  /// Bytes, none where the field is not next; nil: cut, or longer than a frame here.
  @inlinable @inline(__always)
  mutating func bytes(tag: UInt8) -> UnsafeRawBufferPointer? {
    if !isNext(tag) { return UnsafeRawBufferPointer(start: end, count: 0) }
    at += 1
    guard let length = varint(), length <= UInt64(end - at) else { return nil }
    defer { at += Int(length) }
    return UnsafeRawBufferPointer(start: at, count: Int(length))
  }

  @inlinable @inline(__always)
  mutating func varint() -> UInt64? {
    guard at < end else { return nil }
    let first = at.load(as: UInt8.self)
    at += 1
    return first < 0x80 ? UInt64(first) : longVarint(first)
  }

  /// Up to nine bytes: the tenth could only hold what is cut off.
  @usableFromInline
  mutating func longVarint(_ first: UInt8) -> UInt64? {
    var value = UInt64(first & 0x7F)
    var shift: UInt64 = 7
    while at < end && shift < 63 {
      let byte = at.load(as: UInt8.self)
      at += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}
