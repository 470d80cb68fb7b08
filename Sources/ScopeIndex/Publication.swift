import ScopeModel
import Synchronization

/// The companies at one revision, and the indexes of those that are loaded. Immutable but for the marks of use, and for
/// the times of use until it is published.
public final class IndexRoot: Sendable {
  /// What readers go by: one line of memory a company, and no references to count.
  private struct Entry: ~Copyable {
    /// Nil: the company is cold.
    let view: CompanyView?
    /// Asked for since the mark was last taken away.
    let isUsed: Atomic<Bool>
    /// Read and written by whoever publishes alone.
    var times: Times

    init(_ view: CompanyView?, _ times: Times = Times(), isUsed: Bool = false) {
      self.view = view
      self.isUsed = Atomic(isUsed)
      self.times = times
    }
  }

  /// Times of one company, in milliseconds of whoever publishes. They come round after weeks, and may then take one for
  /// newer than it is.
  private struct Times {
    /// When a mark of use was taken away last; nil: never.
    var lastUse: UInt32?
    /// When it was loaded because somebody asked; nil: never.
    var lastLoad: UInt32?
  }

  public let revision: UInt64
  /// Memory of all indexes, in bytes.
  public let byteCount: Int
  /// How many companies are loaded.
  public let loadedCount: Int
  private let known: KnownCompanies
  private let directory: SendableDirectory
  /// In the order of `known`; nil: the company is there, and its index is not in memory.
  private let indexes: [CompanyIndex?]
  /// Unsafe and unchecked: as many as `indexes`, which keeps what they point to; filled in `init`, freed in
  /// `deinit`, and but for the marks never written in between.
  private nonisolated(unsafe) let entries: UnsafeMutablePointer<Entry>

  /// - Parameters:
  ///   - companies: in any order.
  ///   - cold: companies that are there, and not loaded.
  public convenience init(revision: UInt64, companies: [CompanyIndex], cold: [Name] = [], seed: UInt64) {
    let all = companies.map { (id: $0.id, index: Optional($0)) } + cold.map { (id: $0, index: nil) }
    self.init(revision: revision, all.sorted { $0.id < $1.id }, seed: seed)
  }

  private convenience init(revision: UInt64, _ sorted: [(id: Name, index: CompanyIndex?)], seed: UInt64) {
    let known = KnownCompanies(sorted.map(\.id), seed: seed)
    self.init(revision: revision, known, sorted.map(\.index))
  }

  private init(revision: UInt64, _ known: KnownCompanies, _ indexes: [CompanyIndex?]) {
    self.revision = revision
    self.known = known
    self.indexes = indexes
    directory = known.directory
    entries = .allocate(capacity: indexes.count)
    var (bytes, loaded) = (known.names.memory.count, 0)
    for (number, index) in indexes.enumerated() {
      (entries + number).initialize(to: Entry(index?.view))
      if let index { (bytes, loaded) = (bytes + index.byteCount, loaded + 1) }
    }
    (byteCount, loadedCount) = (bytes, loaded)
  }

  /// The next root with the same companies. Looks into the indexes that change alone: there may be many others, each
  /// in memory of its own.
  private init(revision: UInt64, after previous: IndexRoot, _ changes: [(number: Int, index: CompanyIndex?)]) {
    self.revision = revision
    known = previous.known
    directory = known.directory
    var indexes = previous.indexes
    entries = .allocate(capacity: indexes.count)
    for number in 0..<indexes.count {
      let old = previous.entries + number
      let isUsed = old.pointee.isUsed.load(ordering: .relaxed)
      (entries + number).initialize(to: Entry(old.pointee.view, old.pointee.times, isUsed: isUsed))
    }
    var (bytes, loaded) = (previous.byteCount, previous.loadedCount)
    for (number, index) in changes {
      let isNew = indexes[number] == nil  // whoever asked for it so far met no company
      if let old = indexes[number] { (bytes, loaded) = (bytes - old.byteCount, loaded - 1) }
      if let index { (bytes, loaded) = (bytes + index.byteCount, loaded + 1) }
      indexes[number] = index
      let isUsed = entries[number].isUsed.load(ordering: .relaxed)
      entries[number] = Entry(index?.view, entries[number].times, isUsed: isUsed && !isNew)
    }
    self.indexes = indexes
    (byteCount, loadedCount) = (bytes, loaded)
  }

  deinit {
    entries.deinitialize(count: indexes.count)
    entries.deallocate()
  }

  /// The company with this id; valid as long as the root is held. Nil: there is none such, or it is cold.
  @inline(__always)
  public func company(_ id: Key) -> CompanyView? {
    guard let number = directory.directory.find(id) else { return nil }
    let entry = entries + number
    // Read first: a line that many write would go from core to core with each check.
    if !entry.pointee.isUsed.load(ordering: .relaxed) { entry.pointee.isUsed.store(true, ordering: .relaxed) }
    return entry.pointee.view
  }

  /// The company is there, and its index is not in memory.
  public func isCold(_ id: Key) -> Bool {
    guard let number = directory.directory.find(id) else { return false }
    return entries[number].view == nil
  }

  public func isCold(_ id: Name) -> Bool { number(of: id).map { indexes[$0] == nil } ?? false }

  /// The company is there, loaded or cold.
  public func contains(_ id: Name) -> Bool { number(of: id) != nil }

  /// The index of a company; nil: there is none such, or it is cold.
  public func index(of id: Name) -> CompanyIndex? { number(of: id).flatMap { indexes[$0] } }

  /// The same, by the bytes of its id.
  public func index(of id: Key) -> CompanyIndex? { directory.directory.find(id).flatMap { indexes[$0] } }

  /// The indexes in memory, in the order of their companies' ids.
  public var companies: [CompanyIndex] { indexes.compactMap(\.self) }

  /// How many companies there are, cold ones counted.
  public var knownCount: Int { indexes.count }

  private func number(of id: Name) -> Int? {
    var text = id.text
    return text.withUTF8 { directory.directory.find(Key($0)) }
  }
}

// MARK: - The next root

extension IndexRoot {
  /// A root with companies replaced, added or (nil) taken away. The directory of companies is taken over
  /// where their set stays the same.
  public func replacing(_ changed: [Name: CompanyIndex?], revision: UInt64, seed: UInt64) -> IndexRoot {
    var changes: [(number: Int, index: CompanyIndex?)] = []
    var isSameSet = true
    for (id, index) in changed {
      let number = number(of: id)
      if let number, let index { changes.append((number, index)) }
      if (number == nil) != (index == nil) { isSameSet = false }
    }
    if isSameSet { return IndexRoot(revision: revision, after: self, changes) }
    let kept = zip(known.ids, indexes).filter { changed[$0.0] == nil }.map { (id: $0.0, index: $0.1) }
    let new = changed.compactMap { id, index in index.map { (id: id, index: Optional($0)) } }
    return IndexRoot(revision: revision, (kept + new).sorted { $0.id < $1.id }, seed: seed)
  }

  /// A root in which these companies are cold.
  public func dropping(_ ids: [Name]) -> IndexRoot {
    IndexRoot(revision: revision, after: self, ids.compactMap(number).map { ($0, nil) })
  }

  /// A root that holds nothing but this company, for those who keep it long; without it where it is cold or none such.
  public func alone(_ id: Key) -> IndexRoot {
    let index = directory.directory.find(id).flatMap { indexes[$0] }
    return IndexRoot(revision: revision, companies: index.map { [$0] } ?? [], seed: known.seed)
  }

  /// For how long nobody has asked for the company, in memory or cold; nil: nobody ever did. In milliseconds.
  public func rest(of id: Name, at now: UInt32) -> UInt32? {
    guard let number = number(of: id) else { return nil }
    let times = entries[number].times
    return [times.lastUse, times.lastLoad].compactMap { $0.map { now &- $0 } }.min()
  }

  /// Notes that companies are loaded since somebody asks. Before the root is published.
  public func noteLoad(of ids: some Sequence<Name>, at now: UInt32) {
    for number in ids.lazy.compactMap(number) { entries[number].times.lastLoad = now }
  }

  /// Takes the marks of use away, and keeps when that was: how old a mark is, nobody could tell. To ask for what is cold
  /// is no use. Before the root is published.
  public func noteUse(at now: UInt32) {
    for number in indexes.indices where indexes[number] != nil && entries[number].isUsed.load(ordering: .relaxed) {
      entries[number].isUsed.store(false, ordering: .relaxed)
      entries[number].times.lastUse = now
    }
  }

  /// Chooses what to drop: goes round, and takes companies that were not asked for lately once they were in memory, as
  /// `noteUse` has kept it.
  ///
  /// - Parameters:
  ///   - bytes: how much memory they are to give free; less, where those that may be chosen do not take that much.
  ///   - hand: where to go on; kept from one time to the next.
  ///   - spared: not chosen.
  ///   - milliseconds: how long a company stays after it was asked for.
  public func unused(
    freeing bytes: Int, from hand: inout Int, sparing spared: Set<Name>, for milliseconds: UInt32, at now: UInt32
  ) -> [Name] {
    var chosen: [Name] = []
    var (freed, looks) = (0, 0)
    while freed < bytes, looks < indexes.count {
      hand = hand + 1 < indexes.count ? hand + 1 : 0
      looks += 1
      guard let index = indexes[hand], !isUsed(hand, within: milliseconds, at: now), !spared.contains(index.id) else {
        continue
      }
      chosen.append(index.id)
      freed += index.byteCount
    }
    return chosen
  }

  private func isUsed(_ number: Int, within milliseconds: UInt32, at now: UInt32) -> Bool {
    entries[number].times.lastUse.map { now &- $0 <= milliseconds } ?? false
  }

  /// Chooses what to drop of companies that were all asked for lately: those for which that is longest ago, but the last
  /// one stays. Before the root is published.
  ///
  /// - Parameter rests: of companies loaded since somebody asks, for how long nobody had asked before; nil: nobody had.
  public func longestAtRest(freeing bytes: Int, _ rests: [Name: UInt32?], at now: UInt32) -> [Name] {
    let candidates = indexes.indices.compactMap { number -> (index: CompanyIndex, rest: UInt32, isNew: Bool)? in
      guard let index = indexes[number] else { return nil }
      if let rest = rests[index.id] { return (index, rest ?? .max, true) }
      return (index, entries[number].times.lastUse.map { now &- $0 } ?? .max, false)
    }
    let sorted = candidates.sorted { ($0.rest, $0.isNew ? 1 : 0) > ($1.rest, $1.isNew ? 1 : 0) }
    var freed = 0
    return sorted.dropLast().prefix { candidate in
      defer { freed += candidate.index.byteCount }
      return freed < bytes
    }.map(\.index.id)
  }
}

/// Which companies there are. Roots share it as long as their set stays the same.
private final class KnownCompanies: Sendable {
  /// In byte order.
  let ids: [Name]
  let seed: UInt64
  let names: Block
  let directory: SendableDirectory

  init(_ ids: [Name], seed: UInt64) {
    var builder = DirectoryBuilder(seed: seed, reserving: ids.count)
    for id in ids { builder.add(id) }
    self.ids = ids
    self.seed = seed
    names = builder.seal()
    directory = SendableDirectory(directory: Directory(names))
  }
}

/// Unchecked: a directory is pointers into a sealed block, which the root beside it keeps.
private struct SendableDirectory: @unchecked Sendable {
  let directory: Directory
}

/// Where readers find the newest index. One writer publishes; any number of readers keep a `Cursor`.
public final class IndexPublisher: Sendable {
  private let generation = Atomic<UInt64>(1)
  private let current: Mutex<IndexRoot>
  private let retired = Mutex<[IndexRoot]>([])

  public init(_ root: IndexRoot) { current = Mutex(root) }

  /// Makes a root the newest: every `Cursor.root` that begins after this returns sees it.
  ///
  /// Old roots are kept here until no reader holds them, so that it is the publisher that frees them and
  /// never a reader: freeing a large index takes milliseconds.
  public func publish(_ root: IndexRoot) {
    let old = current.withLock { current in
      defer { current = root }
      generation.add(1, ordering: .releasing)  // here: who meets the root in the lock knows that it is newer
      return current
    }
    retired.withLock { retired in
      retired.append(old)
      releaseUnheld(&retired)
    }
  }

  /// Frees old roots that nobody holds any more, without waiting for the next to be published.
  public func releaseOld() { retired.withLock { releaseUnheld(&$0) } }

  /// The newest root.
  public var root: IndexRoot { current.withLock { $0 } }

  private func releaseUnheld(_ retired: inout [IndexRoot]) {
    var held: [IndexRoot] = []
    while var root = retired.popLast() {
      // Nobody can come to hold it any more: it is not the current one.
      if !isKnownUniquelyReferenced(&root) { held.append(root) }
    }
    retired = held
  }

  /// A reader's own view: compares one number, and takes the lock only when it moved. Not shared between
  /// threads.
  public struct Cursor {
    private let publisher: IndexPublisher
    private var seen: UInt64
    public private(set) var root: IndexRoot

    public init(_ publisher: IndexPublisher) {
      self.publisher = publisher
      seen = publisher.generation.load(ordering: .acquiring)
      root = publisher.root
    }

    /// Takes the newest root, if there is a newer one.
    @inline(__always)
    public mutating func refresh() {
      let generation = publisher.generation.load(ordering: .acquiring)
      if generation == seen { return }
      seen = generation  // before the root: one published in between is taken again, never missed
      root = publisher.root
    }

    /// Reads by this root, until the next refresh: one that was published for the question at hand.
    public mutating func use(_ root: IndexRoot) {
      self.root = root
      seen = 0  // no generation: the next refresh takes the newest
    }
  }
}
