import ScopeModel

/// The numbers of one list, ascending, in blocks: a change replaces those it touches and shares the others. About eight
/// and a half bytes a number.
public struct NumberSet: Sendable {
  /// The lowest number of each block.
  private var firsts: [UInt64] = []
  private var blocks: [[UInt64]] = []
  private var hashes: [BlockHash] = []
  public private(set) var count = 0

  public init() {}

  /// - Parameter blocks: ascending, none of them empty.
  public init(_ blocks: some Collection<(numbers: [UInt64], hash: BlockHash)>) {
    reserve(blocks.count)
    for block in blocks { append(block) }
  }

  /// Memory, in bytes.
  public var byteCount: Int { 8 * count + blocks.count * NumberSet.bytesPerBlock }

  /// Beside the numbers: the array's own header, and what stands in `firsts`, `blocks` and `hashes`.
  private static let bytesPerBlock = 32 + 8 + 8 + 32

  public var blockCount: Int { blocks.count }

  public var blockHashes: [BlockHash] { hashes }

  /// The lowest number of a block.
  public func first(ofBlock index: Int) -> UInt64 { firsts[index] }

  /// Its hash, which its numbers and what is known of them must have.
  public func hash(ofBlock index: Int) -> BlockHash { hashes[index] }

  /// The blocks in order, from the one on that holds the number, or would.
  public func blocks(from number: UInt64) -> some Sequence<(first: UInt64, hash: BlockHash)> {
    (block(for: number)..<blocks.count).lazy.map { (firsts[$0], hashes[$0]) }
  }

  /// The block that holds the number, or would.
  @inline(__always)
  public func block(for number: UInt64) -> Int { max(0, NumberSet.countOf(firsts, notAbove: number) - 1) }

  /// Whether the number is on the list.
  @inline(__always)
  public func contains(_ number: PhoneNumber) -> Bool {
    if blocks.isEmpty { return false }
    let block = blocks[block(for: number.value)]
    let place = NumberSet.countOf(block, notAbove: number.value)
    return place > 0 && block[place - 1] == number.value
  }

  @inline(__always)
  private static func countOf(_ sorted: [UInt64], notAbove number: UInt64) -> Int {
    sorted.withUnsafeBufferPointer { sorted in
      var (low, length) = (0, sorted.count)
      // Without a branch that the processor could guess wrong.
      while length > 0 {
        let half = (length + 1) / 2
        low += sorted[low + half - 1] <= number ? half : 0
        length -= half
      }
      return low
    }
  }

  /// How many of the numbers are in the other set as well.
  public func countOfNumbers(alsoIn other: NumberSet) -> Int {
    var (common, block, place) = (0, 0, 0)
    for mine in blocks {
      for number in mine {
        while block < other.blocks.count && other.blocks[block].last! < number { (block, place) = (block + 1, 0) }
        if block == other.blocks.count { return common }
        while other.blocks[block][place] < number { place += 1 }
        if other.blocks[block][place] == number { common += 1 }
      }
    }
    return common
  }

  /// A set in which some blocks are replaced, each by none, one or several.
  ///
  /// - Parameter replaced: ascending by index. Where the set has no block, index 0 stands for all of it.
  public func replacing(_ replaced: [(index: Int, by: [(numbers: [UInt64], hash: BlockHash)])]) -> NumberSet {
    var next = NumberSet()
    next.reserve(blocks.count + replaced.reduce(0) { $0 + $1.by.count })
    var index = 0
    var kept = count
    for patch in replaced {
      next.append(self, index..<min(patch.index, blocks.count))
      for block in patch.by { next.append(block) }
      if patch.index < blocks.count { kept -= blocks[patch.index].count }
      index = patch.index + 1
    }
    if index < blocks.count { next.append(self, index..<blocks.count) }
    next.count += kept
    return next
  }

  private mutating func reserve(_ count: Int) {
    firsts.reserveCapacity(count)
    blocks.reserveCapacity(count)
    hashes.reserveCapacity(count)
  }

  private mutating func append(_ block: (numbers: [UInt64], hash: BlockHash)) {
    precondition(blocks.last.map { $0.last! < block.numbers[0] } ?? true, "blocks of numbers ascend")
    firsts.append(block.numbers[0])
    blocks.append(block.numbers)
    hashes.append(block.hash)
    count += block.numbers.count
  }

  /// Does not count them: looking into each of ten thousands of blocks takes longer than taking them over.
  private mutating func append(_ other: NumberSet, _ range: Range<Int>) {
    firsts += other.firsts[range]
    blocks += other.blocks[range]
    hashes += other.hashes[range]
  }
}

/// The lists of a company that have a purpose or numbers.
public final class NumberLists: Sendable {
  public struct Entry: Sendable {
    public let id: [UInt8]
    public let purpose: ListPurpose
    public let numbers: NumberSet
  }

  /// In byte order of ids.
  public let entries: [Entry]

  /// The lists of a company after `edits`; the previous ones, where those touch none.
  ///
  /// - Parameter sets: of the lists whose numbers changed; without `previous`, of all that have any.
  static func after(
    _ previous: NumberLists?, _ edits: [Edit], in company: Company, sets: [Name: NumberSet]
  ) -> NumberLists {
    if let previous, sets.isEmpty, !edits.contains(where: \.isOfList) { return previous }
    return company.lists.isEmpty ? .none : NumberLists(company, previous: previous, sets: sets)
  }

  private init(_ company: Company, previous: NumberLists?, sets: [Name: NumberSet]) {
    entries = company.lists.values.sorted { $0.id < $1.id }.map { list in
      let id = Array(list.id.text.utf8)
      let known = list.blockSet == 0 ? NumberSet() : sets[list.id] ?? previous?.entry(id)?.numbers ?? NumberSet()
      // A list taken for empty would have every number clear.
      precondition(list.count == known.count, "the numbers of a list come with its rules")
      return Entry(id: id, purpose: list.purpose, numbers: known)
    }
  }

  private init() { entries = [] }

  /// Of a company without lists, or whose lists nobody is to ask about.
  static let none = NumberLists()

  /// The list with this id.
  public func entry(_ id: some Sequence<UInt8>) -> Entry? {
    let id = Array(id)
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].id.lexicographicallyPrecedes(id) { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low].id == id ? entries[low] : nil
  }

  /// The same lists, block by block, by their hashes.
  func hasSameContents(as other: NumberLists) -> Bool {
    entries.count == other.entries.count
      && zip(entries, other.entries).allSatisfy {
        $0.id == $1.id && $0.purpose == $1.purpose && $0.numbers.blockHashes == $1.numbers.blockHashes
      }
  }

  /// Memory, in bytes.
  var byteCount: Int { entries.reduce(0) { $0 + $1.numbers.byteCount + $1.id.count + MemoryLayout<Entry>.stride } }
}

extension Edit {
  fileprivate var isOfList: Bool {
    switch after ?? before {
    case .list: true
    default: false
    }
  }
}
