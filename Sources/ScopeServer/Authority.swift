import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore
import Synchronization

/// A batch of changes as it was asked for.
struct ApplyJob: Sendable {
  var company: Name
  var changes: [Change]
  /// The user who acts; nil: the platform itself.
  var actor: Name?
  /// Through which caller, for the log.
  var caller: Name
  /// On which connection.
  var source: Source
  /// Refuse if the company changed after it; 0: any.
  var expectedRevision: UInt64
  var idempotencyKey: Name?
  /// Of the request, to tell a repetition from a reused key.
  var digest: [UInt8]
  /// Not begun after this.
  var deadline: NIODeadline
  /// Memory that it takes.
  var bytes = 0

  mutating func setBytes(frame: Int) { bytes = frame + changes.count * MemoryLayout<ScopeModel.Change>.stride }

  /// Work of the writer: its changes, and what each of them names.
  var cost: Int { changes.reduce(0) { $0 + 1 + $1.nameCount } }
}

/// What came of a batch.
struct Applied: Sendable {
  var revision: UInt64
  var edits: Int
  var warnings: [Warning] = []
  var gathered: Gathered?
  var access: AccessSummary?
  /// Of a preview: the same of users, groups and projects.
  var people: AccessSummary?
  var isRepeated = false
}

/// The one writer: checks a change against the model, commits it, publishes the index, and only then
/// acknowledges. It has a thread of its own, which owns the store and the models.
public final class Authority: Sendable {
  typealias Reply<T> = @Sendable (Result<T, Failure>) -> Void

  fileprivate enum Change: Sendable {
    case batch(ApplyJob, Reply<Applied>)
    case numbers(NumberJob, Reply<NumbersChanged>)
  }

  private struct Read: Sendable {
    let waiter: Waiter
    let answer: @Sendable (Result<AuthorityState, Failure>) -> Void
  }

  /// What others than its thread may use of it.
  private struct Opened: Sendable {
    let state: NIOLoopBoundBox<AuthorityState?>
    let publisher: IndexPublisher
    let feed: Feed
    let seed: UInt64
    let meter: LoadMeter
    let threads: NIOThreadPool
    let interruption: Interruption
  }

  public let publisher: IndexPublisher
  let feed: Feed
  let meter: LoadMeter
  /// Of the indexes' hashes.
  let seed: UInt64
  private let group: MultiThreadedEventLoopGroup
  private let loop: any EventLoop
  /// Nil: the store is closed. Nothing that comes later finds it.
  private let state: NIOLoopBoundBox<AuthorityState?>
  private let limits: Limits
  private let writable = Atomic<Bool>(true)
  /// Batches and changes of numbers in one queue, so that those of one connection are made in their order.
  private let changes: WorkQueue<Change>
  private let reads: WorkQueue<Read>
  /// Of the authority's thread.
  private let isSweepSet: NIOLoopBoundBox<Bool>
  /// Of the authority's thread: how many times it has had changes to make, and whether a checkpoint is set.
  private let rest: NIOLoopBoundBox<Rest>
  private let interruption: Interruption
  private let loadThreads: NIOThreadPool
  /// Questions that wait for companies to be loaded.
  private let loads: FairRoom

  /// Opens the store, and begins to load the companies: none is loaded when this returns.
  ///
  /// - Parameter onFatal: called on the authority's thread when a commit may or may not have reached the
  ///   disk. It must end the process: nothing that follows could be trusted.
  public static func open(
    _ configuration: StoreConfiguration, loading: LoadingConfiguration = LoadingConfiguration(), limits: Limits,
    logger: Logger, onFatal: @escaping @Sendable (StoreError) -> Never
  ) -> EventLoopFuture<Authority> {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let opened = loop.submit {
      giveWayToEventLoops()
      let state = try AuthorityState(configuration, loading: loading, loop: loop, logger: logger, onFatal: onFatal)
      return Opened(
        state: NIOLoopBoundBox(state, eventLoop: loop), publisher: state.publisher, feed: state.feed,
        seed: state.seed, meter: state.loader.meter, threads: state.loader.threads, interruption: state.interruption)
    }
    opened.whenFailure { _ in group.shutdownGracefully { _ in } }
    return opened.map { Authority(group, $0, limits: limits) }
  }

  private init(_ group: MultiThreadedEventLoopGroup, _ opened: Opened, limits: Limits) {
    let loop = group.next()
    self.group = group
    (state, publisher, feed, seed) = (opened.state, opened.publisher, opened.feed, opened.seed)
    (meter, loadThreads, interruption) = (opened.meter, opened.threads, opened.interruption)
    self.loop = loop
    self.limits = limits
    changes = WorkQueue(
      FairQueue(
        FairBounds(elements: limits.changesWaiting, bytes: limits.changesWaitingBytes),
        costPerTurn: Authority.costPerTurn))
    reads = WorkQueue(FairQueue(FairBounds(elements: limits.readsWaiting, bytes: limits.framesWaitingBytes)))
    loads = FairRoom(FairBounds(elements: limits.coldWaiting, bytes: limits.framesWaitingBytes))
    isSweepSet = .makeBoxSendingValue(false, eventLoop: loop)
    rest = .makeBoxSendingValue(Rest(), eventLoop: loop)
    loop.execute {
      self.setSweep()
      self.look()
    }
  }

  /// Whether changes are taken: the last commit went well, and the store's files are in place and can be written.
  var isWritable: Bool { writable.load(ordering: .relaxed) }

  /// Looks once a second whether changes are taken, so that probes hear of it before a change is lost.
  private func look() {
    guard let state = state.value else { return }
    state.look()
    writable.store(state.isWritable, ordering: .relaxed)
    loop.scheduleTask(in: .seconds(1)) { self.look() }
  }

  /// Ends what takes long, for good: what has not begun, or comes later, is told that the daemon stops, and what is
  /// being read ends where it is. A commit under way is finished. From any thread.
  func end() {
    for change in changes.end() { change.fail(.stopping) }
    for read in reads.end() { read.answer(.failure(.stopping)) }
    interruption.set()
    loop.execute { self.state.value?.loader.end() }
  }

  /// Ends what takes long, and closes the store.
  ///
  /// - Parameter deadline: threads that still compile a company are left behind then: they hold nothing of the store.
  public func close(before deadline: NIODeadline = .distantFuture) async throws {
    end()
    let isEnded = await loadThreads.end(before: deadline, on: loop)
    try await loop.submit {
      let state = self.state.value
      self.state.value = nil
      try state?.close()
    }.get()
    if isEnded { try await group.shutdownGracefully() }
  }
}

// MARK: - Changes

extension Authority {
  /// Queues a batch. `reply` is called on the authority's thread, after every check that begins later sees the change; at
  /// once, if it is not taken.
  func submit(_ job: ApplyJob, reply: @escaping Reply<Applied>) {
    queue(.batch(job, reply), from: job.source, bytes: job.bytes, cost: job.cost)
  }

  /// Queues a change of numbers. `reply` is called likewise.
  func change(_ job: NumberJob, reply: @escaping Reply<NumbersChanged>) {
    queue(.numbers(job, reply), from: job.source, bytes: job.bytes, cost: job.cost)
  }

  private func queue(_ change: Change, from source: Source, bytes: Int, cost: Int) {
    switch changes.append(change, from: source, bytes: bytes, cost: cost) {
    case .first: loop.execute { self.drain() }
    case .behindOthers: break
    case .full: change.fail(.tooManyChanges)
    case .ended: change.fail(.stopping)
    }
  }

  /// A change that costs more waits for more than one turn of its connection.
  private static let costPerTurn = 256
  private static let jobsPerCommit = 64
  /// Of batches that share a commit, beside the first: those at the front should not wait long.
  private static let changesPerCommit = 10_000
  private static let bytesPerCommit = 4 << 20

  /// Everything that waits shares one commit, up to a bound.
  private func drain() {
    let next = changes.take(Authority.nextGroup)
    guard let state = state.value else { return next.forEach { $0.fail(.stopping) } }
    guard let first = next.first else { return setCheckpoint() }
    rest.value.rounds += 1
    if case .numbers(let job, let reply) = first {
      let result = Result { () throws(Failure) in try state.change(job) }
      writable.store(state.isWritable, ordering: .relaxed)
      reply(result)
    } else {
      apply(next, state)
    }
    loop.execute { self.drain() }  // behind whoever wants to read
    setSweep()
  }

  private func apply(_ changes: [Change], _ state: AuthorityState) {
    let results = state.apply(changes.compactMap(\.job))
    writable.store(state.isWritable, ordering: .relaxed)
    for case (.batch(_, let reply), let result) in zip(changes, results) { reply(result) }
  }

  /// Batches, or one change of numbers.
  private static func nextGroup(_ queue: inout FairQueue<Change>) -> [Change] {
    guard let first = queue.popFirst() else { return [] }
    var group = [first]
    if first.job == nil { return group }
    var (count, bytes) = (0, 0)
    while group.count < jobsPerCommit, count < changesPerCommit, bytes < bytesPerCommit,
      let next = queue.popFirst(where: { change, _ in change.job != nil })
    {
      group.append(next)
      (count, bytes) = (count + next.job!.cost, bytes + next.job!.bytes)
    }
    return group
  }

  private struct Rest: Sendable {
    var rounds: UInt64 = 0
    var isSet = false
  }

  /// Without a change for so long, the thread rests.
  private static let restBeforeCheckpoint = TimeAmount.milliseconds(20)

  /// Has the write-ahead log moved into the database when nobody wants to change anything.
  private func setCheckpoint() {
    if rest.value.isSet || state.value?.wantsCheckpoint != true { return }
    rest.value.isSet = true
    let rounds = rest.value.rounds
    loop.scheduleTask(in: Authority.restBeforeCheckpoint) {
      self.rest.value.isSet = false
      if self.interruption.isSet { return }
      if self.rest.value.rounds == rounds { self.state.value?.checkpoint() } else { self.setCheckpoint() }
    }
  }

  /// Removes blocks of numbers that nobody needs any more, a few at a time.
  private func setSweep() {
    if isSweepSet.value || state.value?.needsSweep != true { return }
    isSweepSet.value = true
    loop.execute {
      self.isSweepSet.value = false
      if self.interruption.isSet { return }
      self.state.value?.sweep()
      self.setSweep()
    }
  }
}

extension Authority.Change {
  /// Nil: it is one of numbers.
  fileprivate var job: ApplyJob? {
    if case .batch(let job, _) = self { job } else { nil }
  }

  fileprivate func fail(_ failure: Failure) {
    switch self {
    case .batch(_, let reply): reply(.failure(failure))
    case .numbers(_, let reply): reply(.failure(failure))
    }
  }
}

// MARK: - Reads

extension Authority {
  /// Reads a page of a list's numbers.
  func numbers(_ query: NumberQuery, for waiter: Waiter, reply: @escaping Reply<NumberPage>) {
    read(waiter, reply) { state throws(Failure) in try state.numbers(query) }
  }

  /// Hands out a company's state as it is between two changes; nil: it does not exist.
  func snapshot(
    of company: Name, for waiter: Waiter, reply: @escaping Reply<(company: Company?, revision: UInt64)>
  ) {
    read(waiter, reply) { state throws(Failure) in try state.snapshot(of: company) }
  }

  /// Says what a batch would do, and does not do it.
  ///
  /// - Parameter first: how many rows of the summary to tell.
  func preview(_ job: ApplyJob, first: Int, reply: @escaping Reply<Applied>) {
    read(Waiter(job.source, until: job.deadline), bytes: job.bytes, reply) { state throws(Failure) in
      try state.preview(job, first: first)
    }
  }

  /// Finds a moment in a company's log.
  func point(_ moment: PastMoment, of company: Name, for waiter: Waiter, reply: @escaping Reply<PastPoint>) {
    read(waiter, reply) { state throws(Failure) in try state.point(moment, of: company) }
  }

  /// Reads some of a company's edits, a bounded batch.
  func edits(
    of company: Name, in revisions: ClosedRange<UInt64>, newestFirst: Bool, for waiter: Waiter,
    reply: @escaping Reply<[LoggedEdits]>
  ) {
    read(waiter, reply) { state throws(Failure) in
      try state.edits(of: company, in: revisions, newestFirst: newestFirst)
    }
  }

  /// Reads a page of the log. Changes wait meanwhile, so a page is bounded.
  func changes(
    of company: Name, _ query: LogQuery, for waiter: Waiter, reply: @escaping Reply<(LogPage, revision: UInt64)>
  ) {
    read(waiter, reply) { state throws(Failure) in try state.changes(of: company, query) }
  }

  /// Looks everything through, in steps between which changes and other reads have their turn.
  func verify(for waiter: Waiter, reply: @escaping Reply<(Verification, revision: UInt64)>) {
    let begun: Reply<Void> = { result in
      if case .failure(let failure) = result { return reply(.failure(failure)) }
      self.goOnVerifying(waiter) { result in
        if self.loop.inEventLoop { self.state.value?.endVerification() }  // else the daemon stops
        reply(result)
      }
    }
    read(waiter, begun) { state throws(Failure) in try state.beginVerification() }
  }

  /// `end` is called on the authority's thread.
  private func goOnVerifying(_ waiter: Waiter, _ end: @escaping Reply<(Verification, revision: UInt64)>) {
    let stepped: Reply<AuthorityState.VerificationStep> = { result in
      switch result {
      case .failure(let failure): end(.failure(failure))
      case .success(.done(let found, let revision)): end(.success((found, revision)))
      case .success(.next): self.goOnVerifying(waiter, end)
      case .success(.compare(let index, let rows)): self.compare(index, rows, waiter, end)
      }
    }
    read(waiter, stepped) { state throws(Failure) in try state.verify() }
  }

  /// On a thread beside this one.
  private func compare(
    _ index: CompanyIndex, _ rows: CompanyRows?, _ waiter: Waiter,
    _ end: @escaping Reply<(Verification, revision: UInt64)>
  ) {
    loadThreads.submit { state in
      guard case .active = state else { return self.loop.execute { end(.failure(.stopping)) } }
      let made = rows.flatMap { try? CompanyIndex($0, seed: self.seed) }
      let isRight = made.map(index.hasSameContents) ?? false
      self.loop.execute {
        if !isRight { self.state.value?.reportWrongIndex(of: index.id) }
        self.goOnVerifying(waiter, end)
      }
    }
  }

  /// The companies there are, in byte order, and their modes. Changes wait meanwhile.
  func companies(for waiter: Waiter, reply: @escaping Reply<([ListedCompany], revision: UInt64)>) {
    read(waiter, reply) { state throws(Failure) in try state.companies() }
  }

  private func read<T>(
    _ waiter: Waiter, bytes: Int = 0, _ reply: @escaping Reply<T>,
    _ body: @escaping @Sendable (AuthorityState) throws(Failure) -> T
  ) {
    let read = Read(waiter: waiter) { state in
      reply(state.flatMap { state in Result { () throws(Failure) in try body(state) } })
    }
    switch reads.append(read, from: waiter.source, bytes: bytes) {
    case .first: loop.execute { self.readNext() }
    case .behindOthers: break
    case .full: reply(.failure(.tooManyReads))
    case .ended: reply(.failure(.stopping))
    }
  }

  /// One at a time: changes that came meanwhile are before the next.
  private func readNext() {
    for read in reads.take({ queue in queue.popFirst().map { [$0] } ?? [] }) {
      switch state.value {
      case nil: read.answer(.failure(.stopping))
      case _ where !read.waiter.isWaiting: read.answer(.failure(.notBegun))
      case let state?: read.answer(.success(state))
      }
      loop.execute { self.readNext() }
    }
  }
}

// MARK: - Loading

extension Authority {
  /// Has a company loaded before others; replies with a root in which it is, or is not known at all.
  ///
  /// - Parameter bytes: memory that the question takes while it waits.
  func load(_ company: Name, for waiter: Waiter, bytes: Int = 0, reply: @escaping Reply<IndexRoot>) {
    if interruption.isSet { return reply(.failure(.stopping)) }
    let bytes = bytes + Authority.bytesPerLoad
    if !loads.enter(waiter.source, bytes: bytes) { return reply(.failure(.tooManyLoads)) }
    let reply: Reply<IndexRoot> = { result in
      self.loads.leave(waiter.source, bytes: bytes)
      reply(result)
    }
    loop.execute {
      guard let state = self.state.value else { return reply(.failure(.stopping)) }
      state.loader.load(company, for: waiter, reply)
    }
  }

  /// What a question that waits takes beside its frame, about.
  private static let bytesPerLoad = 1_024
}

extension Failure {
  /// Of what has not been begun when the daemon stops, or had to be broken off.
  static let stopping = Failure(.unavailable, "stopping", "the daemon stops, and nothing was changed; ask again")
  static let tooManyChanges = Failure(
    .resourceExhausted, "too_many_changes_waiting", "too many changes of this connection are waiting")
  static let tooManyReads = Failure(
    .resourceExhausted, "too_many_reads_waiting", "too many such questions of this connection are waiting")
  static let tooManyLoads = Failure(
    .resourceExhausted, "too_many_companies_loading",
    "too many questions of this connection wait for companies to be loaded")
  static let notBegun = Failure(.deadlineExceeded, "not_begun", "the time was over before it was begun")
}
