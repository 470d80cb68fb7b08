import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// How far an answer in parts has come.
enum Progress {
  /// Another part follows.
  case more
  case done
  /// Nothing is there to be sent until something changes.
  case waiting
  /// A page of the log is wanted.
  case needsLog(Name, LogQuery)
  /// A page of a number list is wanted.
  case needsNumbers(NumberQuery)
}

// MARK: - Changes

/// The changes of a company as they come: first from the log, then, once all that was there has been sent, from the
/// newest that are kept in memory.
struct ChangeWatch: Sendable {
  private static let recordsPerTurn = 64
  /// Watches hold their page while it is sent, and there may be many.
  private static let editsPerPage = 2_000

  let heartbeat: TimeAmount
  var heldBytes: Int { page?.heldBytes ?? 0 }
  private let company: Name
  /// All up to this revision has been sent, or is in `page`.
  private var sent: UInt64
  /// What the last part said: all up to it had been sent with it.
  private var told: UInt64
  private var page: LogStream?
  /// It had once sent all there was.
  private var isLive: Bool

  init(company: Name, after revision: UInt64, isLive: Bool, heartbeat: TimeAmount) {
    self.company = company
    self.heartbeat = heartbeat
    self.isLive = isLive
    (sent, told) = (revision, revision)
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Progress {
    if page == nil, let progress = try look(id, dispatcher, &out) { return progress }
    var part: (records: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ChangeRecord>?>?, count: Int) = (nil, 0)
    let isMore = try page!.writePart(dispatcher) { part = ($0, $1) }
    told = isMore ? max(told, page!.wholeRevision) : sent
    dispatcher.reply.begin(id, revision: told, more: true)
    dispatcher.reply.setWatchedChanges(records: part.records, count: part.count)
    dispatcher.reply.end(into: &out)
    if !isMore { page = nil }
    return .more
  }

  /// Sends what there is, or takes it into `page` where it must go in pieces; otherwise says what to wait for.
  private mutating func look(
    _ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer
  ) throws(Failure) -> Progress? {
    switch dispatcher.feed.changes(of: company, after: sent, limit: ChangeWatch.recordsPerTurn) {
    case .changes(let records, let through):
      sent = max(sent, through)  // the index may be ahead of the feed for a moment
      if records.isEmpty {
        isLive = true
        return .waiting
      }
      if LogStream.isOnePart(records.map(\.change)) {
        try send(records, id, dispatcher, &out)
        return .more
      }
      page = LogStream(LogPage(records.map(\.change)), revision: through)
      return nil
    case .lost where isLive:
      throw Failure(
        .outOfRange, "watch_behind",
        "more changes came than are kept for a slow watcher; watch again after revision \(sent)")
    case .lost:
      var query = LogQuery()
      query.afterRevision = sent
      query.mostEdits = ChangeWatch.editsPerPage
      return .needsLog(company, query)
    }
  }

  /// All who watch a company are sent the same bytes, behind a head of their own.
  private mutating func send(
    _ records: [FeedRecord], _ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer
  ) throws(Failure) {
    var packed: [[UInt8]] = []
    for record in records {
      packed.append(try record.packed { change throws(Failure) in try change.packed(in: dispatcher.arena) })
    }
    told = sent
    dispatcher.reply.begin(id, revision: told, more: true)
    dispatcher.reply.end(withWatchedRecords: packed, into: &out)
  }

  /// Takes a page of the log that was asked for.
  mutating func take(_ page: LogPage, revision: UInt64) {
    sent = page.next == 0 ? revision : page.next
    if !page.changes.isEmpty { self.page = LogStream(page, revision: sent) }
  }

  /// An empty part: all up to its revision has been sent.
  func beat(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) {
    dispatcher.reply.begin(id, revision: sent, more: true)
    dispatcher.reply.setWatchedChanges(records: nil, count: 0)
    dispatcher.reply.end(into: &out)
  }
}

// MARK: - Access

/// What a subject sees, as it changes: compares the index that was told with the newest one, in order of type and id,
/// some thousand objects at a time.
struct AccessWatch: Sendable {
  let heartbeat: TimeAmount
  private let company: [UInt8]
  private let subjectKind: UInt8
  private let subject: [UInt8]
  private let types: [UInt8]
  /// As the watch began, the company was loaded. Of this company alone, as `told`: a watch may last, and is not to keep
  /// other companies' indexes.
  private var start: IndexRoot?
  /// What was told; nil: nothing yet.
  private var told: IndexRoot?
  /// What was told is so as of this revision.
  private var toldRevision: UInt64 = 0
  private var comparison: AccessComparison?

  /// - Parameter root: the newest, in which the company is loaded.
  init(
    root: IndexRoot, company: Key, subjectKind: UInt8, subject: Key, types: Set<UInt8>, heartbeat: TimeAmount
  ) {
    start = root.alone(company)
    self.company = Array(company)
    self.subjectKind = subjectKind
    self.subject = Array(subject)
    self.types = types.isEmpty ? Array(ObjectType.numbers) : types.sorted()
    self.heartbeat = heartbeat
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Progress {
    if comparison == nil {
      let newest = dispatcher.cursor.root
      if try isTold(newest, dispatcher.feed) { return .waiting }
      let to = alone(newest)
      comparison = AccessComparison(
        from: told, to: to, types: types, touched: told.flatMap { touched($0, to, dispatcher.feed) })
    }
    let isMore = try send(id, dispatcher, &out)
    if isMore { return .more }
    (told, toldRevision) = (comparison!.to, comparison!.to.revision)
    (comparison, start) = (nil, nil)  // a watch may last, and is not to keep what was then
    return .more  // there may be a newer index by now
  }

  /// Whether there is nothing to tell of the newest index.
  private mutating func isTold(_ newest: IndexRoot, _ feed: Feed) throws(Failure) -> Bool {
    guard let told else { return false }
    if company.withUnsafeBytes({ newest.isCold($0) }) {
      toldRevision = try unchanged(feed)
      return true
    }
    let isSame = company.withUnsafeBytes { told.company($0) == newest.company($0) }
    if !isSame {
      if !isAlike(told, newest) { return false }
      self.told = alone(newest)
    }
    toldRevision = newest.revision
    return true
  }

  /// Up to where it is known that nothing has changed since what was told. What changes a company loads it, so a cold
  /// one mostly is as it was; but it may have been dropped after a change and before this watch had its turn.
  private func unchanged(_ feed: Feed) throws(Failure) -> UInt64 {
    guard let name = company.withUnsafeBytes({ try? Name(utf8: $0) }),
      case .changes(let changes, let through) = feed.changes(of: name, after: toldRevision, limit: 1), changes.isEmpty
    else {
      throw Failure(.outOfRange, "watch_behind", "the company was changed and then dropped from memory; watch again")
    }
    return max(toldRevision, through)
  }

  private func alone(_ root: IndexRoot) -> IndexRoot {
    // Cold only while nothing was told: later, that ends the look.
    company.withUnsafeBytes { root.isCold($0) ? start ?? root.alone($0) : root.alone($0) }
  }

  /// Whether a look at the subject alone tells that nothing has changed.
  private func isAlike(_ old: IndexRoot, _ new: IndexRoot) -> Bool {
    let (before, after) = company.withUnsafeBytes { (old.company($0), new.company($0)) }
    guard let before, let after else { return before == nil && after == nil }
    if before == after { return true }
    return subject.withUnsafeBytes { after.isAlike(before, forSubject: $0, kind: subjectKind) }
  }

  /// The objects that changes have touched since, where nothing else can have come into sight or gone from it; nil: all
  /// must be looked at.
  private func touched(_ old: IndexRoot, _ new: IndexRoot, _ feed: Feed) -> [ObjectRef]? {
    let (before, after) = company.withUnsafeBytes { (old.company($0), new.company($0)) }
    guard let before, let after, let name = company.withUnsafeBytes({ try? Name(utf8: $0) }),
      subject.withUnsafeBytes({ after.seesAlike(before, forSubject: $0, kind: subjectKind) }),
      case .changes(let changes, let through) = feed.changes(of: name, after: toldRevision, limit: .max),
      through >= new.revision, changes.reduce(0, { $0 + $1.change.record.edits.count }) <= AccessWatch.editsLookedAt
    else { return nil }
    let refs = Set(changes.flatMap { $0.change.record.edits.compactMap(\.objectRef) })
    return refs.filter { types.contains($0.type.number) }.sorted()
  }

  private static let editsLookedAt = 10_000

  private mutating func send(
    _ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer
  ) throws(Failure) -> Bool {
    var gained = try Rows<Scope__V1__ObjectRow>(dispatcher.arena)
    var lost = try Rows<Scope__V1__ObjectRow>(dispatcher.arena)
    let isMore = comparison!.goOn(company: company, subjectKind: subjectKind, subject: subject, &gained, &lost)
    let isFirst = told == nil
    if !isMore && gained.count == 0 && lost.count == 0 && !isFirst { return false }
    let response = try dispatcher.arena.make(scope__v1__watch_access_response__init)
    (response.pointee.gained, response.pointee.n_gained) = (gained.list, gained.count)
    (response.pointee.lost, response.pointee.n_lost) = (lost.list, lost.count)
    response.pointee.settled = isMore ? 0 : 1
    dispatcher.reply.begin(id, revision: comparison!.to.revision, more: true)
    dispatcher.reply.setWatchedAccess(response)
    dispatcher.reply.end(into: &out)
    return isMore
  }

  func beat(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) {
    guard told != nil, comparison == nil,
      let response = try? dispatcher.arena.make(scope__v1__watch_access_response__init)
    else { return }
    response.pointee.settled = 1
    dispatcher.reply.begin(id, revision: toldRevision, more: true)
    dispatcher.reply.setWatchedAccess(response)
    dispatcher.reply.end(into: &out)
  }
}

extension Edit {
  /// The object that the edit is about.
  fileprivate var objectRef: ObjectRef? {
    switch after ?? before {
    case .object(let object): object.ref
    case .placement(let ref, _): ref
    default: nil
    }
  }
}

/// Walks through the objects of two indexes side by side.
private struct AccessComparison: Sendable {
  /// One change may have every watch of a company compare: each does little at a time.
  private static let looksPerPart = 3_072

  /// Nil: nothing was seen.
  private let from: IndexRoot?
  let to: IndexRoot
  /// Types still to be walked through; the first is under way.
  private var types: ArraySlice<UInt8>
  /// Places in the type under way.
  private var before: Range<Int>?
  private var after: Range<Int>?
  /// Only these objects, in place of all; nil: all.
  private var touched: ArraySlice<ObjectRef>?

  init(from: IndexRoot?, to: IndexRoot, types: [UInt8], touched: [ObjectRef]?) {
    self.from = from
    self.to = to
    self.types = types[...]
    self.touched = touched.map { $0[...] }
  }

  /// One part of the way; returns whether there is more.
  mutating func goOn(
    company: [UInt8], subjectKind: UInt8, subject: [UInt8], _ gained: inout Rows<Scope__V1__ObjectRow>,
    _ lost: inout Rows<Scope__V1__ObjectRow>
  ) -> Bool {
    let (old, new) = company.withUnsafeBytes { (from?.company($0), to.company($0)) }
    let (was, isNow) = subject.withUnsafeBytes {
      (old?.subject(kind: subjectKind, id: $0), new?.subject(kind: subjectKind, id: $0))
    }
    var looks = AccessComparison.looksPerPart
    func seen(_ number: Int?, _ view: CompanyView?, _ subject: ResolvedSubject?) -> ScopeIndex.ObjectRow? {
      guard let number, let view, let subject else { return nil }
      return view.visibleObject(number, to: subject, within: .none, &looks)
    }
    while looks > 0, !gained.isFull, !lost.isFull, let (a, b) = step(old, new) {
      looks -= 1  // neither may be there to be looked at
      let (saw, sees) = (seen(a, old, was), seen(b, new, isNow))
      if let row = sees, saw == nil { gained.append().write(row) }
      if let row = saw, sees == nil { lost.append().write(row) }
    }
    return touched.map { !$0.isEmpty } ?? !types.isEmpty
  }

  /// The next object, where it is in either index; nil: there are no more.
  private mutating func step(
    _ old: CompanyView?, _ new: CompanyView?
  ) -> (before: Int?, after: Int?)? {
    if touched != nil {
      guard let ref = touched!.popFirst() else { return nil }
      var id = ref.id.text
      return id.withUTF8 { id in
        (
          old?.objectNumber(Key(id), type: ref.type.number),
          new?.objectNumber(Key(id), type: ref.type.number)
        )
      }
    }
    while let type = types.first {
      let a = before ?? old?.objectNumbers(ofType: type) ?? 0..<0
      let b = after ?? new?.objectNumbers(ofType: type) ?? 0..<0
      let order = order(a, old, b, new)
      if let order {
        (before, after) = (order <= 0 ? a.dropFirst() : a, order >= 0 ? b.dropFirst() : b)
        return (order <= 0 ? a.lowerBound : nil, order >= 0 ? b.lowerBound : nil)
      }
      (before, after) = (nil, nil)
      types = types.dropFirst()
    }
    return nil
  }

  /// Which of the two comes next: below zero the old one, above the new one, zero both; nil: there is neither.
  private func order(
    _ a: Range<Int>, _ old: CompanyView?, _ b: Range<Int>, _ new: CompanyView?
  ) -> Int? {
    if a.isEmpty { return b.isEmpty ? nil : 1 }
    if b.isEmpty { return -1 }
    return old!.object(a.lowerBound).id.order(new!.object(b.lowerBound).id)
  }
}
