/// From an entity to sorted numbers of others, with flags. Words: stride; a record for each entity
/// (start of its values or, with stride 1 and one value, that value; count and, in the highest byte,
/// flags); then the values, `stride` words each, the first of which sorts.
struct Links {
  private let records: Words
  private let values: Words
  private let stride: Int

  private static let headWords = 1

  init(_ block: Block) {
    let words = block.words
    stride = Int(words[0])
    records = words.slice(Links.headWords, block.entities * 2)
    let start = Links.headWords + block.entities * 2
    values = words.slice(start, words.count - start)
  }

  /// The same block.
  func isSame(as other: Links) -> Bool { records.start == other.records.start }

  @inline(__always)
  func flags(of number: Int) -> UInt8 { UInt8(truncatingIfNeeded: records[number * 2 + 1] >> 24) }

  /// What this entity is linked to; valid as long as the index is.
  @inline(__always)
  subscript(_ number: Int) -> LinkList {
    let count = Int(records[number * 2 + 1] & 0xFF_FFFF)
    if stride == 1 && count == 1 { return LinkList(values: records.slice(number * 2, 1), stride: 1) }
    return LinkList(values: values.slice(Int(records[number * 2]), count * stride), stride: stride)
  }
}

/// Sorted numbers, each perhaps with a second word beside it.
struct LinkList {
  let values: Words
  let stride: Int

  static let none = UInt32.max

  @inline(__always)
  var count: Int { stride == 1 ? values.count : values.count / 2 }

  @inline(__always)
  subscript(_ index: Int) -> UInt32 { values[index * stride] }

  func hasSameNumbers(as other: LinkList) -> Bool {
    count == other.count && (0..<count).allSatisfy { self[$0] == other[$0] }
  }

  /// The word beside a number: the group by which a user is in a project, or `none`.
  @inline(__always)
  func second(_ index: Int) -> UInt32 { stride == 1 ? LinkList.none : values[index * stride + 1] }

  /// Position of the first number that is not below `number`.
  @inline(__always)
  func lowerBound(_ number: UInt32) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) >> 1
      if self[middle] < number { low = middle + 1 } else { high = middle }
    }
    return low
  }

  @inline(__always)
  func contains(_ number: UInt32) -> Bool {
    let at = lowerBound(number)
    return at < count && self[at] == number
  }

  /// Position in `self` of the lowest number that `other` has too. Objects are mostly in one project: then a
  /// search is best, and a walk through both where both are long.
  @inline(__always)
  func firstShared(with other: LinkList) -> Int? {
    other.count <= 8 ? search(for: other) : walk(with: other)
  }

  @inline(__always)
  private func search(for other: LinkList) -> Int? {
    for index in 0..<other.count {
      let at = lowerBound(other[index])
      if at == count { return nil }
      if self[at] == other[index] { return at }
    }
    return nil
  }

  private func walk(with other: LinkList) -> Int? {
    var (own, others) = (0, 0)
    while own < count, others < other.count {
      let (mine, theirs) = (self[own], other[others])
      if mine == theirs { return own }
      if mine < theirs { own += 1 } else { others += 1 }
    }
    return nil
  }
}

/// Fills links; `seal` makes the block.
struct LinksBuilder {
  private let stride: Int
  private var records: [UInt32] = []
  private var values: [UInt32] = []

  init(stride: Int, reserving count: Int) {
    self.stride = stride
    records.reserveCapacity(count * 2)
  }

  /// Adds the links of the next entity: sorted numbers, `stride` words each.
  mutating func add(_ list: [UInt32], flags: UInt8 = 0) {
    let count = list.count / stride
    precondition(count < 1 << 24, "an entity has over 16 million links")
    if stride == 1 && count == 1 {
      records.append(list[0])
    } else {
      precondition(values.count < Int(UInt32.max), "a company has over 4 billion links")
      records.append(UInt32(values.count))
      values.append(contentsOf: list)
    }
    records.append(UInt32(count) | UInt32(flags) << 24)
  }

  consuming func seal() -> Block {
    let entities = records.count / 2
    return Block(kind: .links, entities: entities, words: [UInt32(stride)] + records + values)
  }
}
