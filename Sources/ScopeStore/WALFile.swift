import Foundation

/// The write-ahead log, looked through before SQLite has it: SQLite takes what comes before the first broken frame for
/// all there is.
enum WALFile {
  /// Committed changes that SQLite would pass over.
  struct Damage: Equatable {
    /// The first broken frame, from 1.
    let frame: Int
    /// How many transactions end at it or behind it.
    let transactions: Int
  }

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
    var header = [UInt8](repeating: 0, count: WALFormat.headerBytes)
    // Without a header that fits, no frame was ever acknowledged, or the head file tells.
    guard try read(descriptor, &header, at: 0, path) == header.count, var seal = WALSeal(header: header) else {
      return nil
    }
    var frame = [UInt8](repeating: 0, count: WALFormat.frameHeaderBytes + seal.pageBytes)
    var (number, broken, ends) = (0, 0, 0)
    while true {
      let count = try read(descriptor, &frame, at: header.count + number * frame.count, path)
      if count < WALFormat.frameHeaderBytes { break }
      number += 1
      if broken == 0 && !(count == frame.count && seal.takes(frame)) { broken = number }
      if broken > 0 && seal.isOfGeneration(frame) && WALFormat.endsTransaction(frame) { ends += 1 }
    }
    return ends > 1 ? Damage(frame: broken, transactions: ends) : nil
  }

  private static func read(
    _ descriptor: Int32, _ bytes: inout [UInt8], at offset: Int, _ path: String
  ) throws(StoreError) -> Int {
    let count = pread(descriptor, &bytes, bytes.count, off_t(offset))
    if count < 0 { throw StoreError(call: "read", path: path) }
    return count
  }
}
