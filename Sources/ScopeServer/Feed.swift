import NIOConcurrencyHelpers
import ScopeModel
import ScopeProtocol
import ScopeStore
import Synchronization

/// A change, and the bytes in which it goes to all who watch: the first to send it lays them out.
final class FeedRecord: Sendable {
  let change: LoggedChange
  private let packed = NIOLockedValueBox<[UInt8]?>(nil)

  init(_ change: LoggedChange) { self.change = change }

  var company: Name { change.record.company }
  var revision: UInt64 { change.record.revision }

  /// Its `ChangeRecord`.
  ///
  /// - Parameter pack: lays it out.
  func packed(_ pack: (LoggedChange) throws(Failure) -> [UInt8]) throws(Failure) -> [UInt8] {
    if let bytes = packed.withLockedValue(\.self) { return bytes }
    let bytes = try pack(change)
    packed.withLockedValue { $0 = bytes }
    return bytes
  }
}

/// The newest changes, for those who watch, so that no watcher costs the writer a look into the log.
final class Feed: Sendable {
  /// What is kept: records, and the memory of all.
  fileprivate static let recordsKept = 4_096
  fileprivate static let bytesKept = 4 << 20

  fileprivate struct State {
    var records: [FeedRecord] = []
    var bytes = 0
    /// The last change that is not kept any more, of each company that has lost one.
    var lost: [Name: UInt64] = [:]
    /// Nothing up to it was ever kept.
    let begin: UInt64
    var revision: UInt64
  }

  enum Finding {
    /// Changes of the company in order; all up to `through` are among them.
    case changes([FeedRecord], through: UInt64)
    /// What is wanted is not kept any more.
    case lost
  }

  private let state: NIOLockedValueBox<State>
  private let watchers = Atomic<Int>(0)
  private let wakers = NIOLockedValueBox<[@Sendable () -> Void]>([])

  init(revision: UInt64) { state = NIOLockedValueBox(State(begin: revision, revision: revision)) }

  /// Has something called after each commit, as long as anybody watches.
  func onChange(_ wake: @escaping @Sendable () -> Void) { wakers.withLockedValue { $0.append(wake) } }

  /// Counts a watcher in; false: there are too many.
  func enter(limit: Int) -> Bool {
    if watchers.add(1, ordering: .sequentiallyConsistent).newValue <= limit { return true }
    leave()
    return false
  }

  func leave() { watchers.subtract(1, ordering: .sequentiallyConsistent) }

  /// Asked under the lock, it is false only for those who will look at the feed after what is done under it.
  private var isWatched: Bool { watchers.load(ordering: .sequentiallyConsistent) > 0 }

  /// Adds what was committed and published, and wakes those who watch.
  func append(_ changes: [LoggedChange]) {
    guard let last = changes.last else { return }
    state.withLockedValue { state in
      state.records += changes.map(FeedRecord.init)
      state.bytes += changes.reduce(0) { $0 + $1.heldBytes }
      state.revision = last.record.revision
      state.shorten(keeping: isWatched ? changes.count : 0)
    }
    if !isWatched { return }
    for wake in wakers.withLockedValue(\.self) { wake() }
  }

  /// Some of a company's changes behind a revision.
  func changes(of company: Name, after revision: UInt64, limit: Int) -> Finding {
    state.withLockedValue { state in
      if revision < max(state.begin, state.lost[company] ?? 0) { return .lost }
      var found: [FeedRecord] = []
      for record in state.records[state.firstIndex(after: revision)...] where record.company == company {
        found.append(record)
        if found.count == limit { return .changes(found, through: record.revision) }
      }
      return .changes(found, through: state.revision)
    }
  }
}

extension Feed.State {
  /// Forgets a quarter at a time: to forget one at a time would move all the others each time.
  ///
  /// - Parameter newest: so many stay whatever their size: those who watch have not been offered them yet.
  fileprivate mutating func shorten(keeping newest: Int) {
    if records.count <= Feed.recordsKept && bytes <= Feed.bytesKept { return }
    var count = 0
    while count < records.count - newest,
      records.count - count > Feed.recordsKept * 3 / 4 || bytes > Feed.bytesKept * 3 / 4
    {
      bytes -= records[count].change.heldBytes
      lost[records[count].company] = records[count].revision
      count += 1
    }
    records.removeFirst(count)
  }

  /// Revisions have no gaps.
  fileprivate func firstIndex(after revision: UInt64) -> Int {
    guard let first = records.first?.revision, revision >= first else { return 0 }
    return min(Int(revision - first) + 1, records.count)
  }
}
