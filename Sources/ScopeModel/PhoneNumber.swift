/// An international number, E.164: 7 to 15 digits, the first not 0. Shorter ones (emergency numbers, short codes) mean
/// something else in each country and are none.
public struct PhoneNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The digits read as a decimal number: since none begins with 0, nothing is lost.
  public let value: UInt64

  public static let digits = 7...15
  private static let values: Range<UInt64> = 1_000_000..<1_000_000_000_000_000

  /// The number with these digits as its value; nil: it has too few or too many.
  @inline(__always)
  public init?(value: UInt64) {
    guard PhoneNumber.values.contains(value) else { return nil }
    self.value = value
  }

  /// Reads digits, with or without a plus before them; nil: it is no such number.
  @inline(__always)
  public init?(digits text: UnsafeRawBufferPointer) {
    let start = text.first == UInt8(ascii: "+") ? 1 : 0
    guard PhoneNumber.digits.contains(text.count - start), text[start] != UInt8(ascii: "0") else { return nil }
    var value: UInt64 = 0
    for index in start..<text.count {
      let digit = text[index] &- UInt8(ascii: "0")
      if digit > 9 { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    self.value = value
  }

  public init?(_ text: String) {
    var text = text
    guard let number = text.withUTF8({ PhoneNumber(digits: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = number
  }

  public static func < (a: PhoneNumber, b: PhoneNumber) -> Bool { a.value < b.value }

  /// The digits, without a plus.
  public var description: String { "\(value)" }
}
