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
}

/// What came of a batch.
struct Applied: Sendable {
  var revision: UInt64
  var edits: Int
  var warnings: [Warning] = []
  var gathered: Gathered?
  var access: AccessSummary?
  var isRepeated = false
}

/// The one writer: checks a change against the model, commits it, publishes the index, and only then
/// acknowledges. It has a thread of its own, which owns the store and the models.
public final class Authority: Sendable {
  typealias Reply<T> = @Sendable (Result<T, Failure>) -> Void

  private struct Waiting: Sendable {
    var job: ApplyJob
    var reply: Reply<Applied>
  }

  /// What others than its thread may use of it.
  private struct Opened: Sendable {
    let state: NIOLoopBound<AuthorityState>
    let publisher: IndexPublisher
    let feed: Feed
    let seed: UInt64
    let meter: LoadMeter
    let threads: NIOThreadPool
  }

  public let publisher: IndexPublisher
  let feed: Feed
  let meter: LoadMeter
  /// Of the indexes' hashes.
  let seed: UInt64
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let loop: any EventLoop
  private let state: NIOLoopBound<AuthorityState>
  private let waiting = NIOLockedValueBox<[Waiting]>([])
  private let limits: Limits
  private let writable = Atomic<Bool>(true)
  private let reads = NIOLockedValueBox<[@Sendable () -> Void]>([])

  /// Changes of numbers that wait. Each holds its numbers: up to a few megabytes.
  private let numbersWaiting = Atomic<Int>(0)
  /// Of the authority's thread.
  private let isSweepSet: NIOLoopBoundBox<Bool>
  private let isClosing = Atomic<Bool>(false)
  private let loadThreads: NIOThreadPool
  /// Questions that wait for companies to be loaded.
  private let loadsWaiting = Atomic<Int>(0)

  /// Opens the store, and begins to load the companies: none is loaded when this returns.
  ///
  /// - Parameter onFatal: called on the authority's thread when a commit may or may not have reached the
  ///   disk. It must end the process: nothing that follows could be trusted.
  public static func open(
    _ configuration: StoreConfiguration, loading: LoadingConfiguration = LoadingConfiguration(), limits: Limits,
    logger: Logger, onFatal: @escaping @Sendable (StoreError) -> Never
  ) throws(StoreError) -> Authority {
    try Authority(configuration, loading, limits: limits, logger: logger, onFatal: onFatal)
  }

  private init(
    _ configuration: StoreConfiguration, _ loading: LoadingConfiguration, limits: Limits, logger: Logger,
    onFatal: @escaping @Sendable (StoreError) -> Never
  ) throws(StoreError) {
    let loop = group.next()
    let opened = try run(on: loop) { () throws(StoreError) in
      giveWayToEventLoops()
      let state = try AuthorityState(configuration, loading: loading, loop: loop, logger: logger, onFatal: onFatal)
      return Opened(
        state: NIOLoopBound(state, eventLoop: loop), publisher: state.publisher, feed: state.feed, seed: state.seed,
        meter: state.loader.meter, threads: state.loader.threads)
    }
    (state, publisher, feed, seed) = (opened.state, opened.publisher, opened.feed, opened.seed)
    (meter, loadThreads) = (opened.meter, opened.threads)
    self.loop = loop
    self.limits = limits
    isSweepSet = .makeBoxSendingValue(false, eventLoop: loop)
    loop.execute { self.setSweep() }
  }

  /// Whether the last commit went well.
  var isWritable: Bool { writable.load(ordering: .relaxed) }

  /// Queues a batch. `reply` is called on the authority's thread, after every check that begins later
  /// sees the change.
  func submit(_ job: ApplyJob, reply: @escaping Reply<Applied>) {
    let isFirst = waiting.withLockedValue { waiting -> Bool? in
      if waiting.count >= limits.changesWaiting { return nil }
      waiting.append(Waiting(job: job, reply: reply))
      return waiting.count == 1
    }
    switch isFirst {
    case true?: loop.execute { self.drain() }
    case false?: break
    case nil: reply(.failure(Failure(.resourceExhausted, "too_many_changes_waiting", "too many changes are waiting")))
    }
  }

  /// Queues a change of numbers, behind the changes that wait. `reply` is called on the authority's thread, after every
  /// question that begins later sees the numbers.
  func change(_ job: NumberJob, reply: @escaping Reply<NumbersChanged>) {
    if numbersWaiting.add(1, ordering: .relaxed).newValue > limits.numberChangesWaiting {
      numbersWaiting.subtract(1, ordering: .relaxed)
      return reply(
        .failure(Failure(.resourceExhausted, "too_many_changes_waiting", "too many changes of numbers are waiting")))
    }
    loop.execute {
      self.numbersWaiting.subtract(1, ordering: .relaxed)
      reply(Result { () throws(Failure) in try self.state.value.change(job) })
      self.writable.store(self.state.value.isWritable, ordering: .relaxed)
      self.setSweep()
    }
  }

  /// Reads a page of a list's numbers.
  func numbers(_ query: NumberQuery, for waiter: Waiter, reply: @escaping Reply<NumberPage>) {
    read(reply) { state throws(Failure) in try state.numbers(query) }
  }

  /// Removes blocks of numbers that nobody needs any more, a few at a time.
  private func setSweep() {
    if isSweepSet.value || !state.value.needsSweep { return }
    isSweepSet.value = true
    loop.execute {
      self.isSweepSet.value = false
      if self.isClosing.load(ordering: .relaxed) { return }
      self.state.value.sweep()
      self.setSweep()
    }
  }

  /// Has a company loaded before others; replies with a root in which it is, or is not known at all.
  func load(_ company: Name, for waiter: Waiter, reply: @escaping Reply<IndexRoot>) {
    if loadsWaiting.add(1, ordering: .relaxed).newValue > limits.coldWaiting {
      loadsWaiting.subtract(1, ordering: .relaxed)
      let words = "too many questions wait for companies to be loaded"
      return reply(.failure(Failure(.resourceExhausted, "too_many_companies_loading", words)))
    }
    loop.execute {
      self.state.value.loader.load(company) { result in
        self.loadsWaiting.subtract(1, ordering: .relaxed)
        reply(result)
      }
    }
  }

  /// Hands out a company's state as it is between two changes; nil: it does not exist.
  func snapshot(
    of company: Name, for waiter: Waiter, reply: @escaping Reply<(company: Company?, revision: UInt64)>
  ) {
    read(reply) { state throws(Failure) in try state.snapshot(of: company) }
  }

  /// Says what a batch would do, and does not do it.
  ///
  /// - Parameter first: how many rows of the summary to tell.
  func preview(_ job: ApplyJob, first: Int, reply: @escaping Reply<Applied>) {
    read(reply) { state throws(Failure) in try state.preview(job, first: first) }
  }

  /// Finds a moment in a company's log.
  func point(_ moment: PastMoment, of company: Name, for waiter: Waiter, reply: @escaping Reply<PastPoint>) {
    read(reply) { state throws(Failure) in try state.point(moment, of: company) }
  }

  /// Reads some of a company's edits, a bounded batch.
  func edits(
    of company: Name, in revisions: ClosedRange<UInt64>, newestFirst: Bool, for waiter: Waiter,
    reply: @escaping Reply<[LoggedEdits]>
  ) {
    read(reply) { state throws(Failure) in
      try state.edits(of: company, in: revisions, newestFirst: newestFirst)
    }
  }

  /// Reads a page of the log. Changes wait meanwhile, so a page is bounded.
  func changes(
    of company: Name, _ query: LogQuery, for waiter: Waiter, reply: @escaping Reply<(LogPage, revision: UInt64)>
  ) {
    read(reply) { state throws(Failure) in try state.changes(of: company, query) }
  }

  /// Looks everything through. Changes wait meanwhile.
  func verify(for waiter: Waiter, reply: @escaping Reply<(Verification, revision: UInt64)>) {
    read(reply) { state throws(Failure) in try state.verify() }
  }

  private func read<T>(
    _ reply: @escaping Reply<T>, _ body: @escaping @Sendable (AuthorityState) throws(Failure) -> T
  ) {
    let isFirst = reads.withLockedValue { reads -> Bool? in
      if reads.count >= limits.readsWaiting { return nil }
      reads.append { reply(Result { () throws(Failure) in try body(self.state.value) }) }
      return reads.count == 1
    }
    switch isFirst {
    case true?: loop.execute { self.readNext() }
    case false?: break
    case nil:
      reply(.failure(Failure(.resourceExhausted, "too_many_reads_waiting", "too many such questions are waiting")))
    }
  }

  /// One at a time: changes that came meanwhile are before the next.
  private func readNext() {
    reads.withLockedValue { $0[0] }()
    let isDone = reads.withLockedValue { reads in
      reads.removeFirst()
      return reads.isEmpty
    }
    if !isDone { loop.execute { self.readNext() } }
  }

  /// Closes the store after what is queued. Nothing may be submitted any more.
  public func close() async throws {
    isClosing.store(true, ordering: .relaxed)
    try await loop.submit { self.state.value.loader.stop() }.get()
    try await loadThreads.shutdownGracefully()
    try await loop.submit { try self.state.value.close() }.get()
    try await group.shutdownGracefully()
  }

  /// Everything that waits shares one commit, up to a bound: those at the front should not wait long.
  private func drain() {
    let next = waiting.withLockedValue { Array($0.prefix(Authority.jobsPerCommit)) }
    let results = state.value.apply(next.map(\.job))
    writable.store(state.value.isWritable, ordering: .relaxed)
    for (waiting, result) in zip(next, results) { waiting.reply(result) }
    let isDone = waiting.withLockedValue { waiting in
      waiting.removeFirst(next.count)
      return waiting.isEmpty
    }
    if !isDone { loop.execute { self.drain() } }  // behind whoever wants to read
    setSweep()
  }

  private static let jobsPerCommit = 256
}

/// Runs on a loop's thread and waits; for start-up only.
private func run<T: Sendable>(
  on loop: any EventLoop, _ body: @escaping @Sendable () throws(StoreError) -> T
) throws(StoreError) -> T {
  let result: Result<T, StoreError>
  do {
    result = try loop.submit { () -> Result<T, StoreError> in
      do throws(StoreError) { return .success(try body()) } catch { return .failure(error) }
    }.wait()
  } catch {
    fatalError("a loop that was just made does not run: \(error)")
  }
  return try result.get()
}
