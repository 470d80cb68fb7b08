import GRDB

/// What SQLite would find in the write-ahead log after a crash, as <https://sqlite.org/fileformat2.html#walformat>
/// has it: frames of one generation, each sealed over the one before, up to the last that ends a transaction.
struct WALContent: Equatable {
  /// The two salts; SQLite draws them anew whenever it begins the file from the start. 0: the header isn't whole.
  private(set) var generation: UInt64 = 0
  /// Frames up to the last that ends a transaction.
  private(set) var committedFrames = 0

  /// Reads all of it: about a millisecond a megabyte.
  init(_ file: OpenPart) throws(UnreadablePart) {
    let size = try file.size()
    var header = [UInt8](repeating: 0, count: WALFormat.headerBytes)
    if size < header.count { return }
    try WALContent.fill(&header, file, 0)
    guard var seal = WALSeal(header: header) else { return }
    generation = seal.generation
    var frame = [UInt8](repeating: 0, count: WALFormat.frameHeaderBytes + seal.pageBytes)
    var (offset, count) = (Int64(header.count), 0)
    while offset + Int64(frame.count) <= size {
      try WALContent.fill(&frame, file, offset)
      guard seal.takes(frame) else { return }
      count += 1
      if WALFormat.endsTransaction(frame) { committedFrames = count }
      offset += Int64(frame.count)
    }
  }

  /// Of a log known to hold so many frames.
  init(generationOf file: OpenPart, committedFrames: Int) throws(UnreadablePart) {
    var header = [UInt8](repeating: 0, count: WALFormat.headerBytes)
    try WALContent.fill(&header, file, 0)
    guard let seal = WALSeal(header: header) else { return }
    (generation, self.committedFrames) = (seal.generation, committedFrames)
  }

  private static func fill(_ bytes: inout [UInt8], _ file: OpenPart, _ offset: Int64) throws(UnreadablePart) {
    // A typed error does not pass through `withUnsafeMutableBytes` of an array: it comes out as a result.
    try bytes.withUnsafeMutableBytes { buffer in
      Result { () throws(UnreadablePart) in try file.read(into: buffer, at: offset) }
    }.get()
  }
}

private enum WALFormat {
  static let headerBytes = 32
  static let frameHeaderBytes = 24

  /// The last frame of a transaction says how many pages the database then has.
  static func endsTransaction(_ frame: [UInt8]) -> Bool { word(frame, 4) != 0 }

  static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes.withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }

  static func salts(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
    UInt64(word(bytes, offset)) << 32 | UInt64(word(bytes, offset + 4))
  }
}

/// The running checksum of a write-ahead log.
private struct WALSeal {
  let generation: UInt64
  let pageBytes: Int
  private let isBigEndian: Bool
  private var sum: (UInt32, UInt32) = (0, 0)

  /// Nil: the header isn't one, or isn't whole.
  init?(header: [UInt8]) {
    let magic = WALFormat.word(header, 0)
    guard magic & ~1 == 0x377f_0682 else { return nil }
    isBigEndian = magic & 1 == 1
    pageBytes = Int(WALFormat.word(header, 8))
    generation = WALFormat.salts(header, 16)
    guard (512...65_536).contains(pageBytes) else { return nil }
    add(header, 0..<24)
    if !isHeld(by: header, at: 24) { return nil }
  }

  /// Whether the frame follows; if it does, it is added.
  mutating func takes(_ frame: [UInt8]) -> Bool {
    guard WALFormat.word(frame, 0) != 0, WALFormat.salts(frame, 8) == generation else { return false }
    add(frame, 0..<8)
    add(frame, WALFormat.frameHeaderBytes..<frame.count)
    return isHeld(by: frame, at: 16)
  }

  private func isHeld(by bytes: [UInt8], at offset: Int) -> Bool {
    WALFormat.word(bytes, offset) == sum.0 && WALFormat.word(bytes, offset + 4) == sum.1
  }

  private mutating func add(_ bytes: [UInt8], _ range: Range<Int>) {
    var (first, second) = sum
    bytes.withUnsafeBytes { bytes in
      for offset in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
        first &+= word(bytes, offset) &+ second
        second &+= word(bytes, offset + 4) &+ first
      }
    }
    sum = (first, second)
  }

  private func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
    let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    return isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
  }
}
