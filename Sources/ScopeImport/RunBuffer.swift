/// Rows in memory: gathered in any order, sorted by number, written as a run. Of two rows of a number, the one added
/// last is kept. Used by one thread at a time.
final class RunBuffer {
  private struct Entry {
    var number: UInt64
    /// Where in `bytes` the row begins: its sequence, the length of what is beside the number, and that.
    var place: Int
  }

  /// Rows and bytes of a full buffer: some 64 MiB in all.
  static let rowLimit = 1 << 20
  static let byteLimit = 32 << 20

  private var entries = UnsafeMutablePointer<Entry>.allocate(capacity: RunBuffer.rowLimit)
  private var spare = UnsafeMutablePointer<Entry>.allocate(capacity: RunBuffer.rowLimit)
  private let bytes = UnsafeMutableRawPointer.allocate(byteCount: RunBuffer.byteLimit, alignment: 16)
  private var used = 0
  private(set) var count = 0

  deinit {
    entries.deallocate()
    spare.deallocate()
    bytes.deallocate()
  }

  /// The longest row may not fit any more.
  var isFull: Bool {
    count == RunBuffer.rowLimit || used + RunRow.headBytes + RowLimits.besideBytes > RunBuffer.byteLimit
  }

  /// - Precondition: it is not full. A later row has a higher sequence.
  func append(_ number: UInt64, sequence: UInt64, beside: UnsafeRawBufferPointer) {
    entries[count] = Entry(number: number, place: used)
    count += 1
    bytes.storeBytes(of: sequence, toByteOffset: used, as: UInt64.self)
    bytes.storeBytes(of: UInt16(beside.count), toByteOffset: used + 8, as: UInt16.self)
    if let base = beside.baseAddress { (bytes + used + 10).copyMemory(from: base, byteCount: beside.count) }
    used += 10 + beside.count
  }

  /// Writes the rows in ascending order, each number once, and empties the buffer.
  func write(to run: RunWriter) throws(ImportError) {
    sort()
    for index in 0..<count where index + 1 == count || entries[index + 1].number != entries[index].number {
      try run.append(row(entries[index]))
    }
    (count, used) = (0, 0)
  }

  private func row(_ entry: Entry) -> RunRow {
    let start = bytes + entry.place
    return RunRow(
      number: entry.number, sequence: start.loadUnaligned(as: UInt64.self),
      beside: UnsafeRawBufferPointer(
        start: start + 10, count: Int(start.loadUnaligned(fromByteOffset: 8, as: UInt16.self))))
  }

  // MARK: - Sorting

  /// Eleven bits at a time, the lowest first, which leaves equal numbers in their order: five passes for 15 digits.
  private static let digitBits: UInt64 = 11
  private static let passes = 5

  private func sort() {
    var counts = [Int](repeating: 0, count: 1 << RunBuffer.digitBits)
    for pass in 0..<RunBuffer.passes { sort(by: UInt64(pass) * RunBuffer.digitBits, &counts) }
  }

  private func sort(by shift: UInt64, _ counts: inout [Int]) {
    let mask: UInt64 = 1 << RunBuffer.digitBits - 1
    let (entries, spare, count) = (entries, spare, count)
    counts.withUnsafeMutableBufferPointer { places in
      places.update(repeating: 0)
      for index in 0..<count { places[Int(entries[index].number >> shift & mask)] &+= 1 }
      var start = 0
      for digit in places.indices { (places[digit], start) = (start, start + places[digit]) }
      for index in 0..<count {
        let digit = Int(entries[index].number >> shift & mask)
        spare[places[digit]] = entries[index]
        places[digit] &+= 1
      }
    }
    swap(&self.entries, &self.spare)
  }
}
