import CPhoneNumber

/// Numbers as they stand in a file, to E.164 digits as an integer: 7 to 15 digits, not beginning with 0. Used by one
/// thread at a time.
final class NumberReader {
  /// Nil: numbers are E.164 already.
  private let phones: OpaquePointer?

  /// - Parameters:
  ///   - region: of national numbers, two capitals; empty: they are refused. Nil: numbers are E.164 already.
  ///   - readsLetters: letters behind the first digits stand for digits, as on a keypad.
  init(region: String?, readsLetters: Bool = false) {
    phones = region.map { region in
      guard let reader = phone_number_reader_create(region, readsLetters) else {
        fatalError("no memory for reading numbers")
      }
      return reader
    }
  }

  deinit { phone_number_reader_destroy(phones) }

  static func knows(region: String) -> Bool { phone_number_knows_region(region) }

  @inline(__always)
  func read(_ text: UnsafeRawBufferPointer) throws(Refusal) -> UInt64 {
    if text.isEmpty { throw .noNumber }
    return phones == nil ? try E164.digits(text) : try normalise(text)
  }

  private func normalise(_ text: UnsafeRawBufferPointer) throws(Refusal) -> UInt64 {
    var digits: UInt64 = 0
    let kind = phone_number_read(phones, text.baseAddress!.assumingMemoryBound(to: CChar.self), text.count, &digits)
    if kind == PHONE_NUMBER_VALID { return digits }
    throw Refusal(kind)
  }
}

extension Refusal {
  fileprivate init(_ kind: phone_number_kind) {
    switch kind {
    case PHONE_NUMBER_NO_REGION: self = .noRegion
    case PHONE_NUMBER_UNKNOWN_COUNTRY: self = .unknownCountry
    case PHONE_NUMBER_TOO_SHORT: self = .tooShort
    case PHONE_NUMBER_TOO_LONG: self = .tooLong
    case PHONE_NUMBER_NOT_VALID: self = .notValid
    case PHONE_NUMBER_SHORT: self = .shortNumber
    case PHONE_NUMBER_EXTENSION: self = .hasExtension
    case PHONE_NUMBER_FRACTION: self = .fraction
    default: self = .notANumber
    }
  }
}

/// Numbers that need no normalising.
enum E164 {
  static let digitRange = 7...15

  /// Digits, with or without a plus in front.
  static func digits(_ text: UnsafeRawBufferPointer) throws(Refusal) -> UInt64 {
    let start = text.first == ASCII.plus ? 1 : 0
    let count = text.count - start
    var value: UInt64 = 0
    for index in start..<min(text.count, start + digitRange.upperBound) {
      guard ASCII.isDigit(text[index]) else { throw .notANumber }
      value = value &* 10 &+ UInt64(text[index] &- ASCII.zero)
    }
    if count > digitRange.upperBound { throw .tooLong }
    if count < digitRange.lowerBound { throw count == 0 ? .notANumber : start == 0 ? .shortNumber : .tooShort }
    if text[start] == ASCII.zero { throw .notANumber }
    return value
  }
}
