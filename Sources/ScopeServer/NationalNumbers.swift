import CPhoneNumber
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Reads numbers as they are dialled within countries. Used by one thread: it keeps a reader for each country asked for.
final class NationalNumbers {
  /// A number takes some 25 µs, about as long as so many looks at lists.
  static let looksPerNumber = 128

  /// The numbers of one country.
  struct Country {
    fileprivate let reader: OpaquePointer

    /// Nil: no number of this country, nor, with a plus, of any other.
    func read(_ text: UnsafeRawBufferPointer) -> PhoneNumber? {
      if text.isEmpty { return nil }
      var digits: UInt64 = 0
      let kind = phone_number_read(reader, text.baseAddress!.assumingMemoryBound(to: CChar.self), text.count, &digits)
      return kind == PHONE_NUMBER_VALID ? PhoneNumber(value: digits) : nil
    }
  }

  private var readers: [String: OpaquePointer] = [:]

  deinit { for reader in readers.values { phone_number_reader_destroy(reader) } }

  /// Nil: no country has this code, two capitals.
  func country(_ code: UnsafeRawBufferPointer) -> Country? {
    if code.count != 2 { return nil }
    let code = String(decoding: code, as: UTF8.self)
    if let reader = readers[code] { return Country(reader: reader) }
    if !phone_number_knows_region(code) { return nil }
    guard let reader = phone_number_reader_create(code, false) else { fatalError("no memory for reading numbers") }
    readers[code] = reader
    return Country(reader: reader)
  }
}

extension Failure {
  static let unknownCountry = Failure(
    .invalidArgument, "unknown_country", "no country has this code; it is two capitals such as DE")
}
