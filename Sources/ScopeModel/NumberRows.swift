/// Numbers in ascending order, each once, with what is known about each: bytes that only the ends of the wire
/// understand. Flat, since there may be tens of thousands.
public struct NumberRows: Hashable, Sendable {
  public private(set) var numbers: [UInt64] = []
  /// One after the other, in the order of the numbers.
  public private(set) var details: [UInt8] = []
  /// Where the details of each number end.
  private var ends: [UInt32] = []

  public init() {}

  public var count: Int { numbers.count }
  public var isEmpty: Bool { numbers.isEmpty }

  /// What is known about one of the numbers.
  public func details(of index: Int) -> ArraySlice<UInt8> { details[place(of: index)] }

  /// Where it lies in `details`.
  public func place(of index: Int) -> Range<Int> {
    (index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])
  }

  public mutating func reserve(_ count: Int) {
    numbers.reserveCapacity(count)
    ends.reserveCapacity(count)
  }

  /// Adds a number above all others.
  public mutating func append(_ number: UInt64, details more: some Sequence<UInt8>) {
    precondition(numbers.last.map { $0 < number } ?? true, "numbers ascend")
    numbers.append(number)
    details.append(contentsOf: more)
    ends.append(UInt32(details.count))
  }

  /// Adds rows of others above all that are here.
  public mutating func append(_ range: Range<Int>, of other: NumberRows) {
    if range.isEmpty { return }
    precondition(numbers.last.map { $0 < other.numbers[range.lowerBound] } ?? true, "numbers ascend")
    let start = other.place(of: range.lowerBound).lowerBound
    let shift = details.count - start
    numbers.append(contentsOf: other.numbers[range])
    details.append(contentsOf: other.details[start..<Int(other.ends[range.upperBound - 1])])
    for end in other.ends[range] { ends.append(UInt32(Int(end) + shift)) }
  }

  /// The first row whose number is not below this one.
  public func firstIndex(notBelow number: UInt64) -> Int {
    var (low, high) = (0, numbers.count)
    while low < high {
      let middle = (low + high) / 2
      if numbers[middle] < number { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

// MARK: - Changing

extension NumberRows {
  /// How many rows a block holds at most: small enough to be written anew for one number, large enough to cost little
  /// beside its numbers.
  public static let rowsPerBlock = 256
  /// What is known about the numbers of a block, in bytes: a change of thousands of numbers far from each other writes
  /// as many blocks.
  public static let detailBytesPerBlock = 32 << 10

  /// What came of rows put among others.
  public struct Merged: Sendable {
    public var rows = NumberRows()
    /// Numbers that are new.
    public var added = 0
    /// Numbers that were there and had other details.
    public var altered = 0
  }

  /// These rows with a run of others put in; where both have a number, the others' details count.
  public func merged(with others: NumberRows, _ range: Range<Int>) -> Merged {
    var merged = Merged()
    merged.rows.reserve(count + range.count)
    var (mine, theirs) = (0, range.lowerBound)
    while mine < count || theirs < range.upperBound {
      if theirs == range.upperBound || mine < count && numbers[mine] < others.numbers[theirs] {
        let end = theirs == range.upperBound ? count : firstIndex(notBelow: others.numbers[theirs])
        merged.rows.append(mine..<end, of: self)
        mine = end
        continue
      }
      let isThere = mine < count && numbers[mine] == others.numbers[theirs]
      if !isThere { merged.added += 1 }
      if isThere && details(of: mine) != others.details(of: theirs) { merged.altered += 1 }
      if isThere { mine += 1 }
      merged.rows.append(theirs..<theirs + 1, of: others)
      theirs += 1
    }
    return merged
  }

  /// These rows without some numbers, which ascend.
  public func removing(_ others: ArraySlice<UInt64>) -> NumberRows {
    var rows = NumberRows()
    rows.reserve(count)
    var mine = 0
    for number in others {
      let index = firstIndex(notBelow: number)
      if index == count { break }
      if numbers[index] != number { continue }
      rows.append(mine..<index, of: self)
      mine = index + 1
    }
    rows.append(mine..<count, of: self)
    return rows
  }

  /// The rows in blocks, as even as can be.
  public func blocks() -> [NumberRows] {
    func parts(_ whole: Int, of most: Int) -> Int { (whole + most - 1) / most }
    let pieces = min(
      count, max(parts(count, of: NumberRows.rowsPerBlock), parts(details.count, of: NumberRows.detailBytesPerBlock)))
    if pieces <= 1 { return isEmpty ? [] : [self] }
    return (0..<pieces).flatMap { piece in
      var block = NumberRows()
      block.append(count * piece / pieces..<count * (piece + 1) / pieces, of: self)
      return block.blocks()  // where much is known of some numbers and little of others
    }
  }
}

/// SHA-256 of a block of numbers, as four words in the order of its bytes.
public struct BlockHash: Hashable, Sendable {
  public let words: InlineArray<4, UInt64>

  /// Nil: these are not 32 bytes.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    words = InlineArray { index in
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self) }
    }
  }

  public var bytes: [UInt8] { (0..<4).flatMap { index in withUnsafeBytes(of: words[index], Array.init) } }

  public static func == (a: BlockHash, b: BlockHash) -> Bool { (0..<4).allSatisfy { a.words[$0] == b.words[$0] } }

  public func hash(into hasher: inout Hasher) { hasher.combine(words[0]) }
}
