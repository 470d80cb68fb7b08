/// An id or a name: 1 to 128 bytes of valid UTF-8 without control characters.
///
/// Names are compared, ordered and hashed as bytes. Swift's `String` compares by Unicode equivalence,
/// by which two ids that differ on the wire and in SQLite could be one in a dictionary.
public struct Name: Sendable {
  /// The longest name, in bytes of UTF-8.
  public static let maximumBytes = 128

  /// The name as text.
  public let text: String

  /// Checks and wraps a text.
  public init(_ text: String) throws(NameError) {
    var text = text
    let error = text.withUTF8 { Name.error(in: UnsafeRawBufferPointer($0)) }
    if let error { throw error }
    self.text = text
  }

  /// Checks and wraps bytes as they came from the wire.
  public init(utf8 bytes: UnsafeRawBufferPointer) throws(NameError) {
    if let error = Name.error(in: bytes) { throw error }
    text = String(decoding: bytes, as: UTF8.self)
  }

  /// What is wrong with bytes that should be a name; nil: nothing. Does not allocate.
  @inline(__always)
  public static func error(in bytes: UnsafeRawBufferPointer) -> NameError? {
    if bytes.isEmpty { return .empty }
    if bytes.count > maximumBytes { return .tooLong(bytes: bytes.count, limit: maximumBytes) }
    return isPrintableASCII(bytes) ? nil : textError(in: bytes)
  }
}

/// Nearly every name is plain ASCII: eight bytes at a time.
@inline(__always)
private func isPrintableASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
  let (base, count) = (bytes.baseAddress!, bytes.count)
  if count < 8 { return isPrintableASCII(shortText(base, count)) }
  var at = 0
  while at + 8 < count {
    if !isPrintableASCII(base.loadUnaligned(fromByteOffset: at, as: UInt64.self)) { return false }
    at += 8
  }
  // The last eight, some of them again: no tail to treat apart.
  return isPrintableASCII(base.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self))
}

/// One to seven bytes in eight, some of them twice, or with spaces.
@inline(__always)
private func shortText(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
  if count >= 4 {
    let low = base.loadUnaligned(as: UInt32.self)
    let high = base.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
    return UInt64(low) | UInt64(high) << 32
  }
  let (first, middle) = (base.load(as: UInt8.self), base.load(fromByteOffset: count >> 1, as: UInt8.self))
  let last = base.load(fromByteOffset: count - 1, as: UInt8.self)
  return UInt64(first) | UInt64(middle) << 8 | UInt64(last) << 16 | 0x2020_2020_2000_0000
}

/// Each of eight bytes is from 0x20 to 0x7E. The lowest that is not sets its highest bit in one of the three, since
/// nothing is carried or borrowed from those below it.
@inline(__always)
private func isPrintableASCII(_ eight: UInt64) -> Bool {
  let below = eight &- 0x2020_2020_2020_2020
  let above = eight &+ 0x0101_0101_0101_0101
  return (eight | below | above) & 0x8080_8080_8080_8080 == 0
}

/// Below, at or above zero as `a` comes before, with or behind `b` in the order of bytes.
package func byteOrder(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  let shared = min(a.count, b.count)
  var at = 0
  while at + 8 <= shared {
    let x = UInt64(bigEndian: a.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    let y = UInt64(bigEndian: b.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    if x != y { return x < y ? -1 : 1 }
    at += 8
  }
  while at < shared {
    if a[at] != b[at] { return a[at] < b[at] ? -1 : 1 }
    at += 1
  }
  return a.count - b.count
}

/// What is wrong with bytes that should be text without control characters: C0, DEL and C1.
private func textError(in bytes: UnsafeRawBufferPointer) -> NameError? {
  let span = bytes.bindMemory(to: UInt8.self).span
  guard (try? UTF8Span(validating: span)) != nil else { return .invalidUTF8 }
  var previous: UInt8 = 0
  for byte in bytes {
    if byte < 0x20 || byte == 0x7F || (previous == 0xC2 && byte < 0xA0) { return .controlCharacter }
    previous = byte
  }
  return nil
}

extension Name: Hashable, Comparable, CustomStringConvertible {
  public static func == (a: Name, b: Name) -> Bool {
    a.text.utf8.count == b.text.utf8.count && order(a, b) == 0
  }

  public static func < (a: Name, b: Name) -> Bool { order(a, b) < 0 }

  /// Below, at or above zero as `a` comes before, with or behind `b`. Eight bytes at a time: large companies are
  /// sorted by this.
  private static func order(_ a: Name, _ b: Name) -> Int {
    let order = a.text.utf8.withContiguousStorageIfAvailable { a in
      b.text.utf8.withContiguousStorageIfAvailable { b in
        byteOrder(UnsafeRawBufferPointer(a), UnsafeRawBufferPointer(b))
      }
    }
    if let order, let order { return order }
    return a.text.utf8.elementsEqual(b.text.utf8) ? 0 : a.text.utf8.lexicographicallyPrecedes(b.text.utf8) ? -1 : 1
  }

  public func hash(into hasher: inout Hasher) {
    let done: Void? = text.utf8.withContiguousStorageIfAvailable {
      hasher.combine(bytes: UnsafeRawBufferPointer($0))
    }
    if done == nil { for byte in text.utf8 { hasher.combine(byte) } }
    hasher.combine(UInt8(0xFF))  // never part of UTF-8: keeps neighbours in a tuple apart
  }

  public var description: String { text }
}

/// Names in the source itself: a bad one is a programmer's mistake and stops the process.
extension Name: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) {
    do { try self.init(text) } catch { fatalError("not a name: \(error)") }
  }
}

/// A longer text for people, such as a project's description: may be empty, no control characters.
public struct Remark: Hashable, Sendable {
  /// The longest remark, in bytes of UTF-8.
  public static let maximumBytes = 1_024

  /// No words.
  public static let none = Remark()

  /// The remark as text.
  public let text: String

  private init() { text = "" }

  /// Checks and wraps a text.
  public init(_ text: String) throws(NameError) {
    let bytes = text.utf8.count
    if bytes > Remark.maximumBytes { throw .tooLong(bytes: bytes, limit: Remark.maximumBytes) }
    var text = text
    if let error = text.withUTF8({ textError(in: UnsafeRawBufferPointer($0)) }) { throw error }
    self.text = text
  }

  /// Checks and wraps bytes as they came from the wire.
  public init(utf8 bytes: UnsafeRawBufferPointer) throws(NameError) {
    if let error = Remark.error(in: bytes) { throw error }
    text = String(decoding: bytes, as: UTF8.self)
  }

  /// What is wrong with bytes that should be a remark; nil: nothing. Does not allocate.
  public static func error(in bytes: UnsafeRawBufferPointer) -> NameError? {
    if bytes.count > maximumBytes { return .tooLong(bytes: bytes.count, limit: maximumBytes) }
    return textError(in: bytes)
  }

  /// Equal as bytes, so that an edit from one form of a letter to another is an edit.
  public static func == (a: Remark, b: Remark) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }
}

/// Why a text is not a name.
public enum NameError: Error, Hashable, Sendable, CustomStringConvertible {
  case empty
  case tooLong(bytes: Int, limit: Int)
  case invalidUTF8
  case controlCharacter

  public var description: String {
    switch self {
    case .empty: "is empty"
    case .tooLong(let bytes, let limit): "has \(bytes) bytes, at most \(limit) are allowed"
    case .invalidUTF8: "is not valid UTF-8"
    case .controlCharacter: "has a control character"
    }
  }
}
