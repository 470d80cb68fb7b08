import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// A change of a list's numbers as it was asked for.
struct NumberJob: Sendable {
  enum Step: Sendable {
    case add(NumberRows)
    /// Ascending, each once.
    case remove([UInt64])
    /// - part: its number from 1; 0: there is none, and no blocks.
    case stage(key: Name, part: UInt32, [StoredBlock], then: Then)
    case abandon

    enum Then: Sendable {
      case wait
      /// Says how many of the list's numbers are in the parts.
      case compare
      case finish
    }

    /// Numbers may be gone from the list by it: an import puts others in place of those it holds.
    var takes: Bool {
      switch self {
      case .add: false
      case .remove, .stage, .abandon: true
      }
    }
  }

  var company: Name
  var list: Name
  var step: Step
  /// The user who acts; nil: the platform itself.
  var actor: Name?
  /// Through which caller, for the log.
  var caller: Name
  /// On which connection.
  var source: Source
  /// Not begun after this.
  var deadline: NIODeadline

  /// Memory that it takes.
  var bytes: Int {
    switch step {
    case .add(let rows): rows.bytes
    case .remove(let numbers): 8 * numbers.count
    case .stage(_, _, let blocks, _): blocks.reduce(0) { $0 + $1.rows.bytes }
    case .abandon: 0
    }
  }

  /// Work beside that of a batch with one change.
  var cost: Int { 1 + bytes / 1_024 }
}

extension NumberRows {
  fileprivate var bytes: Int { 10 * count + details.count }
}

/// What came of it.
struct NumbersChanged: Sendable {
  var revision: UInt64 = 0
  var added = 0
  var altered = 0
  var removed = 0
  /// Of the list, before and after.
  var before: UInt64 = 0
  var total: UInt64 = 0
  /// Of the import: held.
  var parts: UInt32 = 0
  var staged: UInt64 = 0
  /// Of the list's numbers, those that are in the parts.
  var kept: UInt64 = 0
  var purpose = ListPurpose.none
  var isFinished = false
}

/// What a change does to a list: to its blocks on disk and in memory.
struct NumberPatch {
  private(set) var writes: BlockWrites
  private(set) var numbers: NumberSet
  private(set) var changed = NumbersChanged()

  /// Nothing is to be done.
  var isEmpty: Bool { writes.removed.isEmpty && writes.inserted.isEmpty && !writes.endsImport }

  /// Puts rows on a list.
  ///
  /// - Parameters:
  ///   - list: as the rules know it.
  ///   - numbers: what it holds.
  init(
    adding rows: NumberRows, to list: NumberList, of company: Name, _ numbers: NumberSet, _ store: Store
  ) throws(StoreError) {
    try self.init(list, company, numbers, store)
    var replaced: [Replaced] = []
    var start = 0
    while start < rows.count {
      let block = numbers.block(for: rows.numbers[start])
      let isLast = block + 1 >= numbers.blockCount
      let end = isLast ? rows.count : rows.firstIndex(notBelow: numbers.first(ofBlock: block + 1))
      let old = try rowsOf(block, list, store)
      let merged = old.merged(with: rows, start..<end)
      changed.added += merged.added
      changed.altered += merged.altered
      if merged.added + merged.altered > 0 { replaced.append(replace(block, by: merged.rows)) }
      start = end
    }
    finish(replaced)
  }

  /// Takes numbers off a list.
  init(
    removing others: [UInt64], from list: NumberList, of company: Name, _ numbers: NumberSet, _ store: Store
  ) throws(StoreError) {
    try self.init(list, company, numbers, store)
    var replaced: [Replaced] = []
    var rest = numbers.blockCount == 0 ? [] : others[...]
    while let number = rest.first {
      let block = numbers.block(for: number)
      let next = block + 1 < numbers.blockCount ? numbers.first(ofBlock: block + 1) : .max
      let old = try rowsOf(block, list, store)
      let left = old.removing(rest.prefix { $0 < next })
      changed.removed += old.count - left.count
      if left.count < old.count { replaced.append(replace(block, by: left)) }
      rest = rest.drop { $0 < next }
    }
    finish(replaced)
  }

  /// Puts an import in place of what a list holds.
  init(
    finishing staged: StagedImport, of list: NumberList, of company: Name, _ store: Store
  ) throws(StoreError) {
    writes = BlockWrites(company: company, list: list.id, set: staged.set)
    writes.endsImport = true
    numbers = NumberSet(try store.skeleton(ofSet: staged.set))
    if numbers.count != staged.numbers {
      throw .damaged(
        "an import of \(list.ref) holds \(numbers.count) numbers in place of \(staged.numbers)", cause: nil)
    }
    (changed.before, changed.isFinished) = (list.count, true)
  }

  private typealias Replaced = (index: Int, by: [Store.BlockSkeleton])

  private init(
    _ list: NumberList, _ company: Name, _ numbers: NumberSet, _ store: Store
  ) throws(StoreError) {
    self.numbers = numbers
    writes = BlockWrites(
      company: company, list: list.id, set: list.blockSet == 0 ? try store.nextSet() : list.blockSet)
    writes.isNew = list.blockSet == 0
    changed.before = list.count
  }

  private func rowsOf(_ block: Int, _ list: NumberList, _ store: Store) throws(StoreError) -> NumberRows {
    if numbers.blockCount == 0 { return NumberRows() }
    return try store.block((numbers.first(ofBlock: block), numbers.hash(ofBlock: block)), ofSet: list.blockSet)
  }

  private mutating func replace(_ block: Int, by rows: NumberRows) -> Replaced {
    if numbers.blockCount > 0 { writes.removed.append(numbers.first(ofBlock: block)) }
    let blocks = rows.blocks().map(StoredBlock.init)
    writes.inserted += blocks
    return (block, blocks.map { ($0.rows.numbers, $0.hash) })
  }

  private mutating func finish(_ replaced: [Replaced]) {
    if !replaced.isEmpty { numbers = numbers.replacing(replaced) }
  }
}

/// A page of a list that was asked for.
struct NumberQuery: Sendable {
  var company: Name
  var list: Name
  /// The highest number that is not wanted.
  var after: UInt64
  var limit: Int
}

struct NumberPage: Sendable {
  var rows: NumberRows
  var isLast: Bool
  var revision: UInt64
}

extension Failure {
  static let tooManyNumbers = Failure(
    .resourceExhausted, "too_many_numbers", "a list has at most \(NumberLimits.numbersPerList) numbers")
  static let notAscending = Failure(
    .invalidArgument, "numbers_not_ascending",
    "the numbers of an import ascend, each once, within a part and from part to part")
  static let importEmpty = Failure(
    .failedPrecondition, "import_empty", "the import has no part yet; to empty a list remove its numbers")

  static func companyLoading(_ company: Name) -> Failure {
    Failure(.unavailable, "company_loading", "company '\(company)' is being loaded; go on with the last cursor")
  }

  static func importUnderWay(_ list: Name, _ key: Name) -> Failure {
    Failure(
      .failedPrecondition, "import_under_way",
      "an import of list '\(list)' is under way with the key '\(key)'; go on with that one, or abandon it")
  }

  static func partMissing(_ part: UInt32) -> Failure {
    Failure(.failedPrecondition, "import_part_missing", "part \(part) comes next")
  }
}
