#if canImport(Glibc)
  import Glibc
#endif

/// A row of a run: as bytes its number, its sequence, the length of what is beside the number, and that.
struct RunRow {
  static let headBytes = 18

  let number: UInt64
  /// Of two rows of a number, the one with the higher sequence counts.
  let sequence: UInt64
  /// Fields 2 to 4 of `scope.v1.NumberRow`, packed.
  let beside: UnsafeRawBufferPointer
}

/// A file of a run, as the manifest names it.
struct RunFile: Codable, Equatable, Sendable {
  let name: String
  let rows: Int
  let bytes: Int
}

/// Writes a run in ascending order. Used by one thread at a time.
final class RunWriter {
  private static let bufferBytes = 1 << 20

  private let path: String
  private let descriptor: Int32
  private let buffer = UnsafeMutableRawPointer.allocate(byteCount: RunWriter.bufferBytes, alignment: 16)
  private var used = 0
  private var rows = 0
  private var written = 0

  init(_ path: String) throws(ImportError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw .system(.cantWrite, "can't write \(path)") }
  }

  deinit {
    close(descriptor)
    buffer.deallocate()
  }

  func append(_ row: RunRow) throws(ImportError) {
    if used + RunRow.headBytes + row.beside.count > RunWriter.bufferBytes { try flush() }
    buffer.storeBytes(of: row.number, toByteOffset: used, as: UInt64.self)
    buffer.storeBytes(of: row.sequence, toByteOffset: used + 8, as: UInt64.self)
    buffer.storeBytes(of: UInt16(row.beside.count), toByteOffset: used + 16, as: UInt16.self)
    used += RunRow.headBytes
    if let base = row.beside.baseAddress { (buffer + used).copyMemory(from: base, byteCount: row.beside.count) }
    used += row.beside.count
    rows += 1
  }

  /// Has everything on the disk.
  func finish() throws(ImportError) -> RunFile {
    try flush()
    if fdatasync(descriptor) != 0 { throw .system(.cantWrite, "can't write \(path)") }
    return RunFile(name: String(path.split(separator: "/").last!), rows: rows, bytes: written)
  }

  private func flush() throws(ImportError) {
    try writeAll(UnsafeRawBufferPointer(start: buffer, count: used), to: descriptor, path)
    written += used
    used = 0
  }
}

/// Writes all bytes to a file.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String) throws(ImportError) {
  var done = 0
  while done < bytes.count {
    let count = write(descriptor, bytes.baseAddress! + done, bytes.count - done)
    if count < 0 && errno == EINTR { continue }
    if count < 0 { throw .system(.cantWrite, "can't write \(path)") }
    done += count
  }
}

func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(ImportError) {
  try bytes.withUnsafeBufferPointer { bytes throws(ImportError) in
    try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor, path)
  }
}

/// Reads a run row by row. Used by one thread at a time.
final class RunReader {
  private static let bufferBytes = 256 << 10

  private let path: String
  private let descriptor: Int32
  private let buffer = UnsafeMutableRawPointer.allocate(byteCount: RunReader.bufferBytes, alignment: 16)
  private var start = 0
  private var end = 0
  private var rowsLeft: Int
  /// Valid until the next `advance`.
  private(set) var row = RunRow(number: 0, sequence: 0, beside: UnsafeRawBufferPointer(start: nil, count: 0))

  init(_ file: RunFile, in folder: String) throws(ImportError) {
    path = "\(folder)/\(file.name)"
    rowsLeft = file.rows
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw .system(.noInput, "can't read \(path)") }
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
  }

  deinit {
    close(descriptor)
    buffer.deallocate()
  }

  /// Goes to the next row; false: there is none.
  func advance() throws(ImportError) -> Bool {
    if rowsLeft == 0 { return false }
    rowsLeft -= 1
    try need(RunRow.headBytes)
    let head = buffer + start
    let besideBytes = Int(head.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
    try need(RunRow.headBytes + besideBytes)
    let at = buffer + start
    row = RunRow(
      number: at.loadUnaligned(as: UInt64.self), sequence: at.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
      beside: UnsafeRawBufferPointer(start: at + RunRow.headBytes, count: besideBytes))
    start += RunRow.headBytes + besideBytes
    return true
  }

  /// Has so many bytes from `start` on in the buffer.
  private func need(_ bytes: Int) throws(ImportError) {
    if end - start >= bytes { return }
    memmove(buffer, buffer + start, end - start)
    (start, end) = (0, end - start)
    while end < bytes {
      let count = read(descriptor, buffer + end, RunReader.bufferBytes - end)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw .system(.noInput, "can't read \(path)") }
      if count == 0 { throw ImportError(.badData, "\(path) is cut short; remove the work folder and start again") }
      end += count
    }
  }
}
