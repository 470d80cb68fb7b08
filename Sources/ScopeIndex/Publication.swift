import ScopeModel
import Synchronization

/// The indexes of all companies at one revision. Immutable.
public final class IndexRoot: Sendable {
  public let revision: UInt64
  public let companies: [CompanyIndex]
  private let names: Block
  private let directory: SendableDirectory
  /// Those of `companies`, in their order: readers go by these, and count no references. Unsafe and
  /// unchecked: sealed memory that `companies` keeps.
  private nonisolated(unsafe) let views: [UnsafePointer<CompanyView>]

  /// - Parameter companies: in any order.
  public convenience init(revision: UInt64, companies: [CompanyIndex], seed: UInt64) {
    let sorted = companies.sorted { $0.id < $1.id }
    var builder = DirectoryBuilder(seed: seed, reserving: sorted.count)
    for company in sorted { builder.add(company.id) }
    self.init(revision: revision, companies: sorted, names: builder.seal())
  }

  private init(revision: UInt64, companies: [CompanyIndex], names: Block) {
    self.revision = revision
    self.companies = companies
    self.names = names
    directory = SendableDirectory(directory: Directory(names))
    views = companies.map(\.view)
  }

  /// The company with this id; valid as long as the root is held.
  @inline(__always)
  public func company(_ id: Key) -> UnsafePointer<CompanyView>? {
    guard let number = directory.directory.find(id) else { return nil }
    return views[number]
  }

  /// The index of a company.
  public func index(of id: Name) -> CompanyIndex? {
    var text = id.text
    return text.withUTF8 { directory.directory.find(Key($0)) }.map { companies[$0] }
  }

  /// A root with companies replaced, added or (nil) taken away. The directory of companies is taken over
  /// where their set stays the same.
  public func replacing(_ changed: [Name: CompanyIndex?], revision: UInt64, seed: UInt64) -> IndexRoot {
    var companies = companies
    var isSameSet = true
    for (id, index) in changed {
      var text = id.text
      let number = text.withUTF8 { directory.directory.find(Key($0)) }
      if let number, let index { companies[number] = index } else if number != nil || index != nil { isSameSet = false }
    }
    if isSameSet { return IndexRoot(revision: revision, companies: companies, names: names) }
    let kept = companies.filter { changed[$0.id] == nil }
    return IndexRoot(revision: revision, companies: kept + changed.values.compactMap(\.self), seed: seed)
  }

  /// Memory of all indexes, in bytes.
  public var byteCount: Int { companies.reduce(names.memory.count) { $0 + $1.byteCount } }
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
      return current
    }
    generation.add(1, ordering: .releasing)
    retired.withLock { retired in
      retired.append(old)
      releaseUnheld(&retired)
    }
  }

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
  }
}
