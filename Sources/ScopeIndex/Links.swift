import CPrefetch

/// From an entity to sorted numbers of others, with flags.
///
/// Payload: words in a list's item (1 or 2) and count of values (4 bytes each), a record for each entity (8 bytes),
/// then the values (4 bytes each), in the order of entities, the first word of each item sorted.
///
/// Record: the start of the entity's values or, with one word an item and one item, that item; then in the upper half
/// the count of items and, in the highest byte, flags.
struct Links {
  private let records: UnsafePointer<UInt64>
  private let entityCount: UInt32
  private let valueCount: UInt32
  private let stride: UInt32

  static let headBytes = 8

  init(_ block: Block) {
    let payload = block.payload
    stride = payload.load(as: UInt32.self)
    valueCount = payload.load(fromByteOffset: 4, as: UInt32.self)
    entityCount = UInt32(block.entities)
    let size = Links.headBytes + block.entities * 8 + Int(valueCount) * 4
    precondition(size == payload.count, "index block: links are cut off")
    records = (payload.baseAddress! + Links.headBytes).assumingMemoryBound(to: UInt64.self)
  }

  /// The same block.
  func isSame(as other: Links) -> Bool { records == other.records }

  @inline(__always)
  func flags(of number: Int) -> UInt8 { record(number).flags }

  /// Asks for the record of an entity that is likely to be asked about.
  @inline(__always)
  func prefetch(_ number: Int) { scope_prefetch(records + number) }

  /// What this entity is linked to; valid as long as the index is.
  @inline(__always)
  subscript(_ number: Int) -> LinkList {
    let record = record(number)
    if record.isInline(stride: stride) {
      return LinkList(
        values: Words(start: UnsafeRawPointer(records + number).assumingMemoryBound(to: UInt32.self), count: 1),
        stride: 1)
    }
    let (start, count) = (Int(record.head), record.count * Int(stride))
    precondition(start + count <= Int(valueCount), "index block: links out of bounds")
    return LinkList(values: Words(start: values + start, count: count), stride: Int(stride))
  }

  @inline(__always)
  private var values: UnsafePointer<UInt32> {
    UnsafeRawPointer(records + Int(entityCount)).assumingMemoryBound(to: UInt32.self)
  }

  @inline(__always)
  private func record(_ number: Int) -> Record {
    precondition(number >= 0 && number < Int(entityCount), "index block: links of nobody")
    return Record(word: records[number])
  }

  struct Record {
    let word: UInt64

    static let maximumCount = 1 << 24 - 1

    init(word: UInt64) { self.word = word }

    init(head: UInt32, count: Int, flags: UInt8) {
      word = UInt64(head) | UInt64(truncatingIfNeeded: count) << 32 | UInt64(flags) << 56
    }

    @inline(__always)
    var head: UInt32 { UInt32(truncatingIfNeeded: word) }
    @inline(__always)
    var count: Int { Int(truncatingIfNeeded: word >> 32 & 0xFF_FFFF) }
    @inline(__always)
    var flags: UInt8 { UInt8(truncatingIfNeeded: word >> 56) }

    @inline(__always)
    func isInline(stride: UInt32) -> Bool { stride == 1 && count == 1 }

    /// How many of the values are this entity's.
    @inline(__always)
    func valueCount(stride: UInt32) -> Int { isInline(stride: stride) ? 0 : count * Int(stride) }

    @inline(__always)
    func with(head: UInt32) -> Record { Record(word: word & ~0xFFFF_FFFF | UInt64(head)) }
  }

  // What the builder takes over from the links before.

  var recordWords: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(start: records, count: Int(entityCount)) }
  var valueWords: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: values, count: Int(valueCount)) }
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

  /// Position of the first number that is not below `number`. The halves are chosen without a branch, and without a
  /// look at the bounds: no position is above half of what is left of the slice.
  @inline(__always)
  func lowerBound(_ number: UInt32) -> Int {
    var (low, left) = (0, count)
    while left > 0 {
      let half = (left &+ 1) >> 1
      low = values.start[(low &+ half &- 1) &* stride] < number ? low &+ half : low
      left &-= half
    }
    return low
  }

  @inline(__always)
  func contains(_ number: UInt32) -> Bool {
    let at = lowerBound(number)
    return at < count && self[at] == number
  }

  /// Objects are mostly in one project.
  static let few = 8
  /// How many times as long a list must be for a search of it to be less than a walk through it.
  private static let muchLonger = 16

  /// Position in `self` of the lowest number that `other` has too. Where one has few numbers, or far fewer, they are
  /// searched for in the other; else both are walked through.
  @inline(__always)
  func firstShared(with other: LinkList) -> Int? {
    other.count <= LinkList.few ? search(for: other) : firstSharedOfMany(with: other)
  }

  private func firstSharedOfMany(with other: LinkList) -> Int? {
    if count > LinkList.muchLonger * other.count { return search(for: other) }
    if other.count > LinkList.muchLonger * count { return (0..<count).first { other.contains(self[$0]) } }
    return walk(with: other)
  }

  /// How much `firstShared` may have to look at, in looks of a check of few links.
  @inline(__always)
  func work(with other: LinkList) -> Int { other.count <= LinkList.few ? 1 : workOfMany(with: other) }

  /// A step of a search is a wait for memory; of a walk, it is a sixteenth of a look.
  private func workOfMany(with other: LinkList) -> Int {
    let (short, long) = (min(count, other.count), max(count, other.count))
    return 1 + (long > LinkList.muchLonger * short ? short : (short + long) / 16)
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
