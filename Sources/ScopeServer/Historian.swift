import Dispatch
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// A question to be answered as of an earlier time.
struct PastQuestion: Sendable {
  let company: Name
  let moment: PastMoment
  /// The whole request, once more.
  let frame: [UInt8]
  let deadline: NIODeadline
  /// On which connection.
  let source: Source

  var waiter: Waiter { Waiter(source, until: deadline) }
}

/// Answers questions as of an earlier time: takes the log forward from the beginning or back from today, whichever
/// is nearer, and has the state of that day compiled and asked like today's.
///
/// It has threads of its own, on which it waits for the writer, one batch of the log at a time. A company has one of them
/// at most, so that one whose log is long does not delay the others. What was compiled is kept for a while, within a
/// bound.
final class Historian: Sendable {
  private struct Kept {
    let company: Name
    let index: CompanyIndex
    let revision: UInt64
  }

  private let threads = NIOThreadPool(numberOfThreads: Historian.threadCount)
  private static let threadCount = 4
  private let authority: Authority
  private let limits: Limits
  private let daemon: DaemonState
  /// What waits, by company and in all, and the work itself; connections take turns.
  fileprivate struct Waiting {
    var ofCompanies: [Name: FairShares] = [:]
    var work: FairQueue<Work>
    /// Companies that have a thread.
    var underWay: Set<Name> = []
  }

  fileprivate struct Work: Sendable {
    let company: Name
    let run: @Sendable (_ isActive: Bool) -> Void
  }

  private let waiting: NIOLockedValueBox<Waiting>
  /// The last used stands last.
  private let kept = NIOLockedValueBox<[Kept]>([])

  private let beforeGoingBack: (@Sendable (Name) -> Void)?

  init(
    limits: Limits, authority: Authority, daemon: DaemonState, beforeGoingBack: (@Sendable (Name) -> Void)? = nil
  ) {
    self.beforeGoingBack = beforeGoingBack
    self.limits = limits
    self.authority = authority
    self.daemon = daemon
    waiting = NIOLockedValueBox(
      Waiting(work: FairQueue(FairBounds(elements: limits.readsWaiting, bytes: limits.framesWaitingBytes))))
    threads.start()
  }

  /// Ends the threads; false: one still works at the deadline.
  func stop(before deadline: NIODeadline, on loop: any EventLoop) async -> Bool {
    await threads.end(before: deadline, on: loop)
  }

  /// Answers; `reply` is called on some thread.
  func answer(
    _ question: PastQuestion, from caller: Caller, reply: @escaping Authority.Reply<(ByteBuffer, Disposition)>
  ) {
    let work = { @Sendable (isActive: Bool) in
      guard isActive, !self.daemon.ending.isBegun else { return reply(.failure(.stopping)) }
      guard question.waiter.isWaiting else { return reply(.failure(.notBegun)) }
      reply(Result { () throws(Failure) in try self.answer(question, caller) })
    }
    if !enter(question, work) { return reply(.failure(.tooManyReads)) }
    threads.submit { state in
      if case .active = state { self.work() } else { self.giveUp() }
    }
  }

  /// Does what waits, for companies that have no thread yet. What waits behind those is done by their threads.
  private func work() {
    var last: Name?
    while let next = waiting.withLockedValue({ $0.next(after: last) }) {
      next.run(true)
      last = next.company
    }
  }

  private func giveUp() {
    let all = waiting.withLockedValue { waiting in
      waiting.underWay = []
      return waiting.work.removeAll()
    }
    for work in all { work.run(false) }
  }

  private func enter(_ question: PastQuestion, _ work: @escaping @Sendable (_ isActive: Bool) -> Void) -> Bool {
    let (company, source) = (question.company, question.source)
    let begin = { @Sendable (isActive: Bool) in
      self.leave(company, source)
      work(isActive)
    }
    return waiting.withLockedValue { waiting in
      let bounds = FairBounds(elements: limits.pastPerCompany)
      if !waiting.ofCompanies[company, default: FairShares()].enter(source, within: bounds) { return false }
      let work = Work(company: company, run: begin)
      if waiting.work.append(work, from: source.number, bytes: question.frame.count) { return true }
      waiting.leave(company, source)
      return false
    }
  }

  private func leave(_ company: Name, _ source: Source) { waiting.withLockedValue { $0.leave(company, source) } }

  private func answer(_ question: PastQuestion, _ caller: Caller) throws(Failure) -> (ByteBuffer, Disposition) {
    beforeGoingBack?(question.company)
    let point = try wait(question) {
      authority.point(question.moment, of: question.company, for: question.waiter, reply: $0)
    }
    let index = try index(question, point)
    let root = IndexRoot(revision: point.revision, companies: index.map { [$0] } ?? [], seed: authority.seed)
    let dispatcher = Dispatcher(limits: limits, publisher: IndexPublisher(root), daemon: daemon, isPast: true)
    var out = ByteBuffer()
    let disposition = question.frame.withUnsafeBytes { dispatcher.answer($0, from: caller, into: &out) }
    guard case .listing(let listing, let id, let timeout) = disposition else { return (out, disposition) }
    do throws(Failure) {
      let stream = PartStream(id: id, kind: .listing(try listing.stream()), unknown: listing.unknown)
      return (out, .stream(stream, timeout: timeout))
    } catch {
      dispatcher.fail(id, error, &out)  // with that day's revision
      return (out, .answered)
    }
  }

  /// The company as of then; nil: it did not exist.
  private func index(_ question: PastQuestion, _ point: PastPoint) throws(Failure) -> CompanyIndex? {
    if let index = kept(question.company, point.companyRevision) { return index }
    var replay = Replay(question: question, authority: authority, limits: limits) { () throws(Failure) in
      try self.daemon.ending.check()
    }
    let company = try replay.company(at: point)
    if company.mode == nil { return nil }
    let index = CompanyIndex(company, seed: authority.seed, numbers: nil)
    keep(Kept(company: question.company, index: index, revision: point.companyRevision))
    return index
  }

  private func kept(_ company: Name, _ revision: UInt64) -> CompanyIndex? {
    kept.withLockedValue { kept in
      guard let at = kept.firstIndex(where: { $0.company == company && $0.revision == revision }) else { return nil }
      kept.append(kept.remove(at: at))
      return kept.last!.index
    }
  }

  private func keep(_ new: Kept) {
    kept.withLockedValue { kept in
      kept.append(new)
      var bytes = kept.reduce(0) { $0 + $1.index.byteCount }
      while bytes > limits.pastIndexBytes { bytes -= kept.removeFirst().index.byteCount }
    }
  }
}

extension Historian.Waiting {
  /// Takes what is to be done next.
  ///
  /// - Parameter company: for which the thread has worked until now.
  fileprivate mutating func next(after company: Name?) -> Historian.Work? {
    if let company { underWay.remove(company) }
    let next = work.popFirst { work, _ in !underWay.contains(work.company) }
    if let next { underWay.insert(next.company) }
    return next
  }

  fileprivate mutating func leave(_ company: Name, _ source: Source) {
    ofCompanies[company]!.leave(source)
    if ofCompanies[company]!.all.elements == 0 { ofCompanies[company] = nil }
  }
}

/// Waits on the historian's thread for what the authority answers.
private func wait<T: Sendable>(
  _ question: PastQuestion, _ ask: (@escaping Authority.Reply<T>) -> Void
) throws(Failure) -> T {
  let (answer, isThere) = (NIOLockedValueBox<Result<T, Failure>?>(nil), DispatchSemaphore(value: 0))
  ask { result in
    answer.withLockedValue { $0 = result }
    isThere.signal()
  }
  let left = question.deadline - .now()
  if isThere.wait(timeout: .now() + .nanoseconds(Int(max(0, left.nanoseconds)))) == .timedOut {
    throw Failure(.deadlineExceeded, "deadline_exceeded", "the time was over before the log was read")
  }
  return try answer.withLockedValue { $0! }.get()
}

/// Takes a company to an earlier state.
private struct Replay {
  let question: PastQuestion
  let authority: Authority
  let limits: Limits
  /// Throws when there is no use in going on.
  let check: () throws(Failure) -> Void
  private var edits = 0
  /// What the rows come to; nil: nobody knows what they came to at the beginning.
  private var digest: CompanyDigest? = CompanyDigest()

  init(
    question: PastQuestion, authority: Authority, limits: Limits, check: @escaping () throws(Failure) -> Void
  ) {
    self.check = check
    self.question = question
    self.authority = authority
    self.limits = limits
  }

  mutating func company(at point: PastPoint) throws(Failure) -> Company {
    if point.companyRevision == 0 { return Company(id: question.company) }
    return point.recordsBefore <= point.recordsAfter ? try forward(to: point) : try back(to: point)
  }

  private mutating func forward(to point: PastPoint) throws(Failure) -> Company {
    var company = Company(id: question.company)
    var from: UInt64 = 1
    while from <= point.companyRevision {
      let batch = try batch(from...point.companyRevision, newestFirst: false)
      guard let last = batch.last else { break }
      for record in batch { for edit in try edits(of: record) { try write(edit, record, to: &company) } }
      from = last.revision + 1
    }
    try check(point)
    return company
  }

  private mutating func back(to point: PastPoint) throws(Failure) -> Company {
    digest = nil
    let today = try wait(question) { authority.snapshot(of: question.company, for: question.waiter, reply: $0) }
    var company = today.company ?? Company(id: question.company)
    var through = today.revision
    while through > point.companyRevision {
      let batch = try batch(point.companyRevision + 1...through, newestFirst: true)
      guard let last = batch.last else { break }
      for record in batch {
        if through == today.revision, record.revision == batch[0].revision { digest = record.digest }
        for edit in try edits(of: record).reversed() { try write(edit.reversed, record, to: &company) }
      }
      through = last.revision - 1
    }
    try check(point)
    return company
  }

  /// Whether the rows are those that the change has left.
  private func check(_ point: PastPoint) throws(Failure) {
    guard let digest, let told = point.digest, digest != told else { return }
    throw Failure(
      .dataLoss, "damaged",
      "the log of company '\(question.company)' is damaged: what it tells does not lead to revision "
        + "\(point.companyRevision); run verify")
  }

  private func batch(
    _ revisions: ClosedRange<UInt64>, newestFirst: Bool
  ) throws(Failure) -> [LoggedEdits] {
    try check()
    return try wait(question) {
      authority.edits(
        of: question.company, in: revisions, newestFirst: newestFirst, for: question.waiter, reply: $0)
    }
  }

  private mutating func edits(of record: LoggedEdits) throws(Failure) -> [Edit] {
    let found: [Edit]
    do throws(StoreError) { found = try record.edits() } catch { throw Failure(.dataLoss, error.code, error.words) }
    edits += found.count
    if edits <= limits.pastEdits { return found }
    throw Failure(
      .resourceExhausted, "too_far_back",
      "more than \(limits.pastEdits) rows changed between that time and both today and the beginning")
  }

  private mutating func write(_ edit: Edit, _ record: LoggedEdits, to company: inout Company) throws(Failure) {
    digest?.apply(edit)
    if company.canWrite(edit) { return company.write(edit) }
    throw Failure(
      .dataLoss, "damaged", "revision \(record.revision) of the log does not fit those beside it; run verify")
  }
}
