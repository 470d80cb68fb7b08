import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore
import Synchronization

/// Memory that connections take for what arrives, waits and is unsent, all of them together. It is charged before it is
/// spent, or, where nobody can know before how much an answer takes, before the next is begun.
///
/// One connection may hold an eighth of what is free. So however many take all they can get, something is left for the
/// next one; and those that came first have to make do with less than they could have had alone.
final class MemoryAccount: Sendable {
  private static let partOfFree = 8

  let limit: Int
  private let used = Atomic<Int>(0)
  /// The most since the last time anybody looked.
  private let peak = Atomic<Int>(0)

  /// - Parameter limit: bytes, of all connections.
  init(limit: Int) { self.limit = limit }

  var usedBytes: Int { used.load(ordering: .relaxed) }

  /// What one connection may hold now, in bytes.
  fileprivate var share: Int { max(0, limit - usedBytes) / MemoryAccount.partOfFree }

  fileprivate func add(_ bytes: Int) {
    let now = used.add(bytes, ordering: .relaxed).newValue
    if bytes > 0 { peak.max(now, ordering: .relaxed) }
  }

  /// Whether so much was given back since the last time that the heap has much to give back to the system. To be asked
  /// now and then.
  func hasShrunk() -> Bool {
    let now = usedBytes
    if peak.load(ordering: .relaxed) - now < MemoryAccount.worthTrimming { return false }
    peak.store(now, ordering: .relaxed)
    return true
  }

  private static let worthTrimming = 8 << 20
}

/// What one connection holds of the account. Gives it back at its end.
struct MemoryShare: ~Copyable {
  /// Below it a connection is not held back.
  private static let ample = 1 << 20

  private let account: MemoryAccount
  private(set) var held = 0

  init(_ account: MemoryAccount) { self.account = account }

  deinit { account.add(-held) }

  func mayTake(_ bytes: Int) -> Bool { held + bytes <= account.share }

  /// False: too much is held, and nothing was taken.
  mutating func take(_ bytes: Int) -> Bool {
    if bytes > 0 && !mayTake(bytes) { return false }
    add(bytes)
    return true
  }

  /// Takes what is spent already.
  mutating func add(_ bytes: Int) {
    if bytes == 0 { return }
    held += bytes
    account.add(bytes)
  }

  mutating func give(_ bytes: Int) { add(-bytes) }

  /// There is room for more questions. Beyond it the connection waits for some of its own to be answered.
  var isAmple: Bool { held <= MemoryShare.ample || held * 2 <= account.share }
}

extension Failure {
  static let memoryExhausted = Failure(
    .resourceExhausted, "memory_exhausted", "too much is waiting or unsent here; take answers, and ask again later")
}

// MARK: - What things take

/// By estimate, in bytes: a name of up to 15 bytes lies in its value, a longer one beside it.
private enum Cost {
  static let request = 2_048
  static let change = 256
  static let name = 32
  static let edit = 384
  static let record = 512
  static let accessRow = 192
  static let exportedChange = 192
  static let page = 64 << 10

  static func of(_ job: ApplyJob) -> Int { job.changes.reduce(0) { $0 + change + $1.nameCount * name } }
}

extension Disposition {
  /// What the request takes while it waits.
  ///
  /// - Parameter frame: length of its frame.
  func heldBytes(frame: Int) -> Int {
    switch self {
    case .answered, .aside: 0
    case .apply(let job, _, _): Cost.request + 2 * frame + Cost.of(job)
    case .preview(let job, let first, _, _):
      Cost.request + 2 * frame + Cost.of(job) + first * Cost.accessRow
    case .changeNumbers: Cost.request + 2 * frame
    case .load, .past: Cost.request + 2 * frame
    case .changes, .export: Cost.page
    case .stream, .listing, .verify, .companies, .watch: Cost.request
    }
  }
}

extension PartStream {
  /// What the stream holds of what was read for it.
  var heldBytes: Int {
    switch kind {
    case .changes(let stream): stream.heldBytes
    case .export(let stream): stream.count * Cost.exportedChange
    case .listing(let stream): stream.count * MemoryLayout<FoundRow>.stride
    case .numbers(let stream): stream.heldBytes
    case .companies(let stream): stream.heldBytes
    case .watchedChanges(let watch): watch.heldBytes
    case .projects, .objects, .viewers, .watchedAccess, .numberLists: 0
    }
  }
}

extension LogPage {
  var heldBytes: Int { changes.reduce(0) { $0 + $1.heldBytes } }
}

extension LoggedChange {
  var heldBytes: Int {
    let edits = record.edits.reduce(0) { $0 + Cost.edit + $1.remarkBytes }
    return Cost.record + edits + (record.access?.first.count ?? 0) * Cost.accessRow
  }
}

extension Edit {
  /// What may be long in it.
  fileprivate var remarkBytes: Int {
    [before, after].reduce(0) { bytes, fact in
      if case .project(let project) = fact { bytes + project.description.text.utf8.count } else { bytes }
    }
  }
}

extension NumberPage {
  var heldBytes: Int { rows.details.count + rows.count * 16 }
}
