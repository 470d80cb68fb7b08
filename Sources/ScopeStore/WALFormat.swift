/// SQLite's write-ahead log, as <https://sqlite.org/fileformat2.html#walformat> has it. A header, then frames of a page
/// each. Those of one generation have the header's two salts; each has a checksum over all before it; the last one of a
/// transaction says how long the database is after it. Numbers have their most significant byte first.
enum WALFormat {
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

/// The running checksum of a write-ahead log: two sums over pairs of 32-bit words.
struct WALSeal {
  let generation: UInt64
  let pageBytes: Int
  private let isBigEndian: Bool
  private var sum: (UInt32, UInt32) = (0, 0)

  /// Nil: the header isn't one, or isn't whole.
  init?(header: [UInt8]) {
    let magic = WALFormat.word(header, 0)
    guard magic & ~1 == 0x377f_0682, WALFormat.word(header, 4) == 3_007_000 else { return nil }
    isBigEndian = magic & 1 == 1
    pageBytes = Int(WALFormat.word(header, 8))
    generation = WALFormat.salts(header, 16)
    guard (512...65_536).contains(pageBytes) else { return nil }
    add(header, 0..<24)
    if !isHeld(by: header, at: 24) { return nil }
  }

  /// Whether the frame follows; if it does, it is added.
  mutating func takes(_ frame: [UInt8]) -> Bool {
    guard WALFormat.word(frame, 0) != 0, isOfGeneration(frame) else { return false }
    add(frame, 0..<8)
    add(frame, WALFormat.frameHeaderBytes..<frame.count)
    return isHeld(by: frame, at: 16)
  }

  /// Frames of others are leftovers.
  func isOfGeneration(_ frame: [UInt8]) -> Bool { WALFormat.salts(frame, 8) == generation }

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
