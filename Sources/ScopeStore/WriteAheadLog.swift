/// What SQLite would find in the write-ahead log after a crash: frames of one generation, each sealed over the one
/// before, up to the last that ends a transaction.
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
