import Foundation

/// SQLite's write-ahead log, looked through before SQLite has it: SQLite takes what comes before the first broken frame
/// for all there is.
///
/// Numbers in headers have their most significant byte first. The file: 32 bytes of header, then frames of 24 bytes
/// and a page each. Frames of one generation have the header's two salts; each has a checksum over all before it, and
/// the last one of a transaction says how long the database is after it.
struct WALFile {
  /// Committed changes that SQLite would pass over.
  struct Damage: Equatable {
    /// The first broken frame, from 1.
    let frame: Int
    /// How many transactions end at it or behind it.
    let transactions: Int
  }

  private let descriptor: Int32
  private let pageBytes: Int
  private let salts: ArraySlice<UInt8>
  private let isBigEndian: Bool

  private static let headerBytes = 32
  private static let frameHeaderBytes = 24

  /// Looks for transactions behind a broken frame. A power cut may leave the last one in pieces, its end among them:
  /// nobody was told that it was done. But it was begun when those before it were on the disk. So two ends of
  /// transactions behind a broken frame mean damage, and one may or may not.
  ///
  /// Leftovers of earlier generations have other salts; those of a transaction that was taken back have no end.
  static func damage(in path: String) throws(StoreError) -> Damage? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == ENOENT { return nil }
      throw StoreError(call: "open", path: path)
    }
    defer { close(descriptor) }
    var header = [UInt8](repeating: 0, count: headerBytes)
    let count = pread(descriptor, &header, headerBytes, 0)
    if count < 0 { throw StoreError(call: "read", path: path) }
    // Without a header that fits, no frame was ever acknowledged, or the head file tells.
    guard count == headerBytes, let file = WALFile(descriptor, header: header) else { return nil }
    var sum = Checksum(file.isBigEndian)
    sum.add(header[..<24])
    guard sum.bytes == header[24...] else { return nil }
    return try file.damage(after: sum, path)
  }

  private init?(_ descriptor: Int32, header: [UInt8]) {
    let magic = WALFile.number(header[..<4])
    guard magic & ~1 == 0x377f_0682, WALFile.number(header[4..<8]) == 3_007_000 else { return nil }
    pageBytes = Int(WALFile.number(header[8..<12]))
    guard (512...65_536).contains(pageBytes) else { return nil }
    self.descriptor = descriptor
    isBigEndian = magic & 1 == 1
    salts = header[16..<24]
  }

  private func damage(after header: Checksum, _ path: String) throws(StoreError) -> Damage? {
    var (sum, broken, ends) = (header, 0, 0)
    var frame = [UInt8](repeating: 0, count: WALFile.frameHeaderBytes + pageBytes)
    var number = 1
    while true {
      let place = WALFile.headerBytes + (number - 1) * frame.count
      let count = pread(descriptor, &frame, frame.count, off_t(place))
      if count < 0 { throw StoreError(call: "read", path: path) }
      if count < WALFile.frameHeaderBytes { break }
      let isOurs = frame[8..<16] == salts
      if broken == 0 && !(isOurs && count == frame.count && sum.fits(frame)) { broken = number }
      if broken > 0 && isOurs && WALFile.number(frame[4..<8]) != 0 { ends += 1 }
      number += 1
    }
    return ends > 1 ? Damage(frame: broken, transactions: ends) : nil
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

  /// SQLite's own: two sums over pairs of 32-bit words.
  private struct Checksum {
    private let isBigEndian: Bool
    private var first: UInt32 = 0
    private var second: UInt32 = 0

    init(_ isBigEndian: Bool) { self.isBigEndian = isBigEndian }

    mutating func add(_ bytes: ArraySlice<UInt8>) {
      bytes.withUnsafeBytes { bytes in
        for place in stride(from: 0, to: bytes.count, by: 8) {
          first &+= word(bytes, place) &+ second
          second &+= word(bytes, place + 4) &+ first
        }
      }
    }

    private func word(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt32 {
      let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
      return isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
    }

    /// Takes a frame in; false: it does not have the checksum that it must.
    mutating func fits(_ frame: [UInt8]) -> Bool {
      add(frame[..<8])
      add(frame[frameHeaderBytes...])
      return bytes == frame[16..<frameHeaderBytes] && WALFile.number(frame[..<4]) != 0
    }

    var bytes: ArraySlice<UInt8> {
      [first, second].flatMap { withUnsafeBytes(of: $0.bigEndian, Array.init) }[...]
    }
  }
}
