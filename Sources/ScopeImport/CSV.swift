#if canImport(Glibc)
  import Glibc
#endif

/// How much of the input is held at once, and how long a record may be.
struct RecordLimits: Sendable {
  /// Bytes read at once.
  var chunkBytes: Int
  /// Longest record, in bytes; a fourth of a chunk at most, so that the end of a record is in the chunk it begins.
  var recordBytes: Int

  static let standard = RecordLimits(chunkBytes: 256 << 10, recordBytes: 64 << 10)
}

/// Where a run of bytes can be cut so that no record is.
enum RecordCut: Equatable {
  /// Behind so many bytes, which are whole records.
  case whole(Int)
  /// So many bytes are to be passed over.
  case faulty(Int, Refusal)
  /// All of the bytes are to be passed over, and what follows up to the end of the line.
  case endless

  /// For records that are lines.
  static func lines(_ bytes: UnsafeRawBufferPointer, isAtEnd: Bool) -> RecordCut {
    if isAtEnd { return .whole(bytes.count) }
    guard let last = bytes.lastIndex(of: ASCII.lineFeed) else { return .endless }
    return .whole(last + 1)
  }

  /// For records of CSV, in which an end of line between quotes is none.
  static func csv(
    _ bytes: UnsafeRawBufferPointer, delimiter: UInt8, limits: RecordLimits, isAtEnd: Bool
  ) -> RecordCut {
    if memchr(bytes.baseAddress!, Int32(ASCII.quote), bytes.count) == nil { return lines(bytes, isAtEnd: isAtEnd) }
    var scanner = RecordScanner(delimiter: delimiter)
    for index in 0..<bytes.count {
      scanner.take(bytes[index], at: index)
      if scanner.isQuoted && index - scanner.recordStart >= limits.recordBytes { break }
    }
    if scanner.isQuoted { return scanner.recordStart > 0 ? .whole(scanner.recordStart) : firstLine(bytes, isAtEnd) }
    if isAtEnd { return .whole(bytes.count) }
    return scanner.recordStart > 0 ? .whole(scanner.recordStart) : .endless
  }

  /// A quote that nobody closes spoils its own line only.
  private static func firstLine(_ bytes: UnsafeRawBufferPointer, _ isAtEnd: Bool) -> RecordCut {
    if let end = bytes.firstIndex(of: ASCII.lineFeed) { return .faulty(end + 1, .unclosedQuote) }
    return isAtEnd ? .faulty(bytes.count, .unclosedQuote) : .endless
  }
}

/// Follows the quotes of CSV, byte by byte, as `CSVRecords` reads them.
private struct RecordScanner {
  private enum Place { case cellStart, bare, quoted, quoteInQuoted }

  private let delimiter: UInt8
  private var place = Place.cellStart
  private(set) var recordStart = 0

  init(delimiter: UInt8) { self.delimiter = delimiter }

  var isQuoted: Bool { place == .quoted }

  mutating func take(_ byte: UInt8, at index: Int) {
    switch place {
    case .quoted:
      if byte == ASCII.quote { place = .quoteInQuoted }
    case .quoteInQuoted where byte == ASCII.quote: place = .quoted
    case .cellStart where byte == ASCII.quote: place = .quoted
    case .cellStart, .bare, .quoteInQuoted:
      place = byte == delimiter || byte == ASCII.lineFeed ? .cellStart : .bare
      if byte == ASCII.lineFeed { recordStart = index + 1 }
    }
  }
}

/// The records of CSV (RFC 4180) in a run of bytes that begins and ends between two of them. Doubled quotes are made
/// single in place.
struct CSVRecords {
  enum Record: Equatable {
    /// Its cells are in `cells`.
    case cells
    /// An empty line.
    case blank
    /// Something stands behind a closing quote; `cells` has the cells all the same.
    case badQuote
  }

  private enum CellEnd { case delimiter, record }

  private var at: UnsafeMutablePointer<UInt8>
  private let end: UnsafeMutablePointer<UInt8>
  private let delimiter: UInt8
  private var nextLine: Int
  private var hasBadQuote = false
  /// Of the record read last; valid until the next is read.
  private(set) var cells: [UnsafeRawBufferPointer] = []
  /// Line on which the record read last begins, from 1.
  private(set) var line: Int

  init(_ bytes: UnsafeMutableBufferPointer<UInt8>, delimiter: UInt8, firstLine: Int) {
    at = bytes.baseAddress!
    end = at + bytes.count
    self.delimiter = delimiter
    (line, nextLine) = (firstLine, firstLine)
  }

  /// Where the next record begins.
  var position: UnsafePointer<UInt8> { UnsafePointer(at) }

  /// Reads the next record; nil: that was the last.
  mutating func next() -> Record? {
    if at == end { return nil }
    cells.removeAll(keepingCapacity: true)
    hasBadQuote = false
    line = nextLine
    let start = at
    while takeCell() == .delimiter {}
    nextLine += 1
    if hasBadQuote { return .badQuote }
    return cells.count == 1 && cells[0].isEmpty && start.pointee != ASCII.quote ? .blank : .cells
  }

  private mutating func takeCell() -> CellEnd {
    at < end && at.pointee == ASCII.quote ? takeQuoted() : takeBare()
  }

  private mutating func takeBare() -> CellEnd {
    let start = at
    let (delimiter, end) = (delimiter, end)
    var at = at
    while at < end && at.pointee != delimiter && at.pointee != ASCII.lineFeed { at += 1 }
    self.at = at
    let isLast = at == end || at.pointee == ASCII.lineFeed
    let hasReturn = isLast && at > start && at[-1] == ASCII.carriageReturn
    append(start, at - (hasReturn ? 1 : 0))
    return finishCell()
  }

  private mutating func takeQuoted() -> CellEnd {
    let start = at + 1
    var to = start  // behind the text, which moves up for each doubled quote
    at = start
    while at < end {
      if at.pointee == ASCII.quote {
        at += 1
        guard at < end && at.pointee == ASCII.quote else { break }
      } else if at.pointee == ASCII.lineFeed {
        nextLine += 1
      }
      to.pointee = at.pointee
      to += 1
      at += 1
    }
    append(start, to)
    passRest()
    return finishCell()
  }

  /// Nothing but the end of the line may stand behind a closing quote.
  private mutating func passRest() {
    let start = at
    while at < end && at.pointee != delimiter && at.pointee != ASCII.lineFeed { at += 1 }
    let isReturn = at - start == 1 && start.pointee == ASCII.carriageReturn && (at == end || at.pointee != delimiter)
    if at > start && !isReturn { hasBadQuote = true }
  }

  private mutating func finishCell() -> CellEnd {
    if at == end { return .record }
    defer { at += 1 }
    return at.pointee == delimiter ? .delimiter : .record
  }

  private mutating func append(_ start: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>) {
    cells.append(UnsafeRawBufferPointer(start: start, count: end - start))
  }
}

enum ASCII {
  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let quote: UInt8 = 0x22
  static let plus: UInt8 = 0x2B
  static let comma: UInt8 = 0x2C
  static let zero: UInt8 = 0x30
  static let backslash: UInt8 = 0x5C

  static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }
}
