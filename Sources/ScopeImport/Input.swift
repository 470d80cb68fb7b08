import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#endif

/// Whole records of the input.
struct Chunk {
  let bytes: UnsafeMutableBufferPointer<UInt8>
  /// Where in the input it begins.
  let offset: Int
  /// Line on which it begins, from 1.
  let firstLine: Int
  /// These bytes are no records; all of it counts as one line.
  let fault: Refusal?
}

/// A place in the input between two records.
struct InputPlace: Codable, Equatable, Sendable {
  var offset = 0
  /// Number of the next line.
  var line = 1
}

/// The input, handed out in chunks to several threads.
final class Input: @unchecked Sendable {  // everything that varies is reached under `lock`
  let identity: FileIdentity
  private let name: String
  private let descriptor: Int32
  private let options: ImportOptions
  private let limits: RecordLimits
  private let lock = NIOLock()
  private var place = InputPlace()
  /// Bytes behind `place` that are read already.
  private var carry: [UInt8] = []
  private var isAtEnd = false
  /// Inside a line without end.
  private var isSkipping = false
  private var segmentEnd = 0

  init(_ options: ImportOptions, limits: RecordLimits = .standard) throws(ImportError) {
    self.options = options
    self.limits = limits
    name = options.isStandardInput ? "standard input" : options.file
    descriptor = options.isStandardInput ? dup(0) : open(options.file, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw .system(.noInput, "can't read \(name)") }
    var status = stat()
    if fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR {
      throw ImportError(.noInput, "can't read \(name): it is a folder")
    }
    identity = FileIdentity(descriptor)
  }

  deinit { close(descriptor) }

  /// The file is as it was when it was opened.
  var isUnchanged: Bool { FileIdentity(descriptor) == identity }

  /// How far it is read.
  var current: InputPlace { lock.withLock { place } }

  /// Goes on from a place reached before. Of files only.
  func resume(at place: InputPlace) throws(ImportError) {
    if lseek(descriptor, off_t(place.offset), SEEK_SET) < 0 { throw .system(.noInput, "can't read \(name)") }
    (self.place, carry, isAtEnd) = (place, [], false)
  }

  /// Lets so many bytes more be handed out; false: there are none.
  func beginSegment(bytes: Int) -> Bool {
    lock.withLock {
      segmentEnd = place.offset + bytes
      return !isAtEnd || !carry.isEmpty
    }
  }

  /// Hands out no more until the next segment.
  func endSegment() { lock.withLock { segmentEnd = 0 } }

  /// The first record's cells, and goes behind it.
  func readHeader() throws(ImportError) -> [[UInt8]] {
    let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: limits.chunkBytes)
    defer { memory.deallocate() }
    let chunk = try next(into: memory, upTo: .max)
    guard let chunk, chunk.fault == nil else { throw ImportError(.badData, "\(name) has no header line") }
    var records = CSVRecords(chunk.bytes, delimiter: options.delimiter, firstLine: chunk.firstLine)
    guard records.next() == .cells else { throw ImportError(.badData, "the first line of \(name) is no header") }
    let cells = records.cells.map { Array($0) }
    putBack(chunk, behind: records.position - UnsafePointer(chunk.bytes.baseAddress!))
    return cells
  }

  /// The bytes of a chunk behind its first record. That record has no doubled quotes behind it, so they are as read.
  private func putBack(_ chunk: Chunk, behind count: Int) {
    let lines = countLines(chunk.bytes[..<count])
    carry = Array(chunk.bytes[count...]) + carry
    place = InputPlace(offset: chunk.offset + count, line: chunk.firstLine + lines)
  }

  /// Fills the memory with the next records; nil: the segment is at its end, or the input.
  func next(into memory: UnsafeMutableBufferPointer<UInt8>) throws(ImportError) -> Chunk? {
    lock.lock()
    defer { lock.unlock() }
    return try next(into: memory, upTo: segmentEnd)
  }

  private func next(
    into memory: UnsafeMutableBufferPointer<UInt8>, upTo end: Int
  ) throws(ImportError) -> Chunk? {
    while place.offset < end {
      let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<(try fill(memory))])
      if bytes.isEmpty { return nil }
      if isSkipping {
        skip(bytes)
      } else {
        return cut(memory, bytes)
      }
    }
    return nil
  }

  private func cut(_ memory: UnsafeMutableBufferPointer<UInt8>, _ bytes: UnsafeRawBufferPointer) -> Chunk {
    switch cut(bytes) {
    case .whole(let count): return take(count, nil, memory, bytes)
    case .faulty(let count, let refusal): return take(count, refusal, memory, bytes)
    case .endless:
      isSkipping = true
      return take(bytes.count, .lineTooLong, memory, bytes)
    }
  }

  private func cut(_ bytes: UnsafeRawBufferPointer) -> RecordCut {
    options.format == .csv
      ? .csv(bytes, delimiter: options.delimiter, limits: limits, isAtEnd: isAtEnd)
      : .lines(bytes, isAtEnd: isAtEnd)
  }

  private func take(
    _ count: Int, _ fault: Refusal?, _ memory: UnsafeMutableBufferPointer<UInt8>, _ bytes: UnsafeRawBufferPointer
  ) -> Chunk {
    let taken = UnsafeMutableBufferPointer(rebasing: memory[..<count])
    let chunk = Chunk(bytes: taken, offset: place.offset, firstLine: place.line, fault: fault)
    carry = Array(bytes[count...])
    place.offset += count
    place.line += countLines(taken[...])
    return chunk
  }

  /// Goes on behind the next end of a line.
  private func skip(_ bytes: UnsafeRawBufferPointer) {
    let end = bytes.firstIndex(of: ASCII.lineFeed)
    isSkipping = end == nil
    let count = end.map { $0 + 1 } ?? bytes.count
    carry = Array(bytes[count...])
    place.offset += count
    if end != nil { place.line += 1 }
  }

  private func fill(_ memory: UnsafeMutableBufferPointer<UInt8>) throws(ImportError) -> Int {
    var count = memory.update(fromContentsOf: carry)
    while count < memory.count && !isAtEnd {
      let more = read(descriptor, memory.baseAddress! + count, memory.count - count)
      if more < 0 && errno == EINTR { continue }
      if more < 0 { throw .system(.noInput, "can't read \(name)") }
      isAtEnd = more == 0
      count += more
    }
    if place.offset > 0 || !carry.isEmpty { return count }
    if let encoding = ForeignEncoding(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<count])) {
      throw ImportError(.badData, "\(name) is \(encoding.words)")
    }
    return withoutMark(memory, count)
  }

  /// The mark of UTF-8 at the very beginning belongs to nothing.
  private func withoutMark(_ memory: UnsafeMutableBufferPointer<UInt8>, _ count: Int) -> Int {
    guard count >= 3, memory[0] == 0xEF, memory[1] == 0xBB, memory[2] == 0xBF else { return count }
    memmove(memory.baseAddress!, memory.baseAddress! + 3, count - 3)
    place.offset = 3
    return count - 3
  }

  private func countLines(_ bytes: Slice<UnsafeMutableBufferPointer<UInt8>>) -> Int {
    var count = 0
    for byte in bytes { count &+= byte == ASCII.lineFeed ? 1 : 0 }
    return count
  }
}
