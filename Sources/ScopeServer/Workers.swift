import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol
import Synchronization

/// What all threads of a daemon share.
final class DaemonState: Sendable {
  let ending = Ending()
  let started = NIODeadline.now()
  let connections: ConnectionCount
  /// Connections for which there was no room.
  let connectionsRefused = Atomic<UInt64>(0)
  let memory: MemoryAccount
  private let authority: Authority

  var isWritable: Bool { authority.isWritable }
  var feed: Feed { authority.feed }
  var loading: LoadMeter { authority.meter }

  init(limits: Limits, authority: Authority) {
    connections = ConnectionCount(limit: limits.connections)
    memory = MemoryAccount(limit: limits.connectionBytes)
    self.authority = authority
  }
}

/// Whether what takes long is to end where it is, since the daemon stops.
final class Ending: Sendable {
  private let begun = Atomic<Bool>(false)

  var isBegun: Bool { begun.load(ordering: .relaxed) }

  func begin() { begun.store(true, ordering: .relaxed) }

  func check() throws(Failure) {
    if isBegun { throw .stopping }
  }
}

extension NIOThreadPool {
  /// Ends the threads, and waits until they have done what they are at.
  ///
  /// - Returns: false: the deadline came first, and some still work.
  func end(before deadline: NIODeadline, on loop: any EventLoop) async -> Bool {
    let isAnswered = NIOLockedValueBox(false)
    return await withCheckedContinuation { continuation in
      let answer = { @Sendable (isEnded: Bool) in
        let isFirst = isAnswered.withLockedValue { isAnswered in
          defer { isAnswered = true }
          return !isAnswered
        }
        if isFirst { continuation.resume(returning: isEnded) }
      }
      let timer = loop.scheduleTask(deadline: deadline) { answer(false) }
      shutdownGracefully { _ in
        timer.cancel()
        answer(true)
      }
    }
  }
}

/// How many connections are open, and how many may be.
final class ConnectionCount: Sendable {
  private struct State {
    var open = 0
    var whenZero: EventLoopPromise<Void>?
  }

  private let state = NIOLockedValueBox(State())
  /// `open` as it was last set, to be read without a lock.
  private let seen = Atomic<Int>(0)
  let limit: Int

  init(limit: Int) { self.limit = limit }

  var count: Int { seen.load(ordering: .relaxed) }

  /// Counts a connection in; false: there are too many.
  func enter() -> Bool {
    state.withLockedValue { state in
      if state.open >= limit { return false }
      state.open += 1
      seen.store(state.open, ordering: .relaxed)
      return true
    }
  }

  func leave() {
    let promise = state.withLockedValue { state -> EventLoopPromise<Void>? in
      state.open -= 1
      seen.store(state.open, ordering: .relaxed)
      guard state.open == 0 else { return nil }
      defer { state.whenZero = nil }
      return state.whenZero
    }
    promise?.succeed()
  }

  /// Waits until no connection is open, or the time is over.
  func becomesZero(before deadline: NIODeadline, on loop: any EventLoop) async {
    let promise = loop.makePromise(of: Void.self)
    let isZero = state.withLockedValue { state in
      if state.open > 0 { state.whenZero = promise }
      return state.open == 0
    }
    if isZero { return promise.succeed() }
    let timer = loop.scheduleTask(deadline: deadline) { self.giveUpWaiting() }
    try? await promise.futureResult.get()
    timer.cancel()
  }

  private func giveUpWaiting() {
    let promise = state.withLockedValue { state -> EventLoopPromise<Void>? in
      defer { state.whenZero = nil }
      return state.whenZero
    }
    promise?.succeed()
  }
}

/// Memory that a connection had when it went. It is charged for until it is freed.
final class Remains {
  private let (unread, unsent): (ByteBuffer, ByteBuffer)
  private let share: MemoryShare

  init(_ unread: ByteBuffer, _ unsent: ByteBuffer, _ share: consuming MemoryShare) {
    (self.unread, self.unsent) = (unread, unsent)
    self.share = share
  }
}

/// What one event loop's connections share: the dispatcher, and the buffer that answers are made in.
/// Used on that loop alone.
final class LoopWorker {
  let loop: any EventLoop
  let limits: Limits
  let logger: Logger
  let dispatcher: Dispatcher
  let round: Round
  let authority: Authority
  let pool: WorkerPool
  let historian: Historian
  let memory: MemoryAccount
  let ending: Ending
  private var output = ByteBuffer()
  /// Whose answer was last made in `output`. Unowned and unsafe: set on each read, where a reference would have to be
  /// counted; a connection that goes takes itself out.
  private unowned(unsafe) var lastSender: Connection?
  private var connections: [ObjectIdentifier: Connection] = [:]
  /// The most since many of them went.
  private var mostConnections = 0
  private var fastAGI: [ObjectIdentifier: FastAGIConnection] = [:]
  private var isStopping = false
  private var turns: [() -> Void] = []
  private var bulkReads: [() -> Void] = []
  private var remains: [Remains] = []
  private let bell = Bell()
  /// At the start there is nothing to give back.
  private var sweepsSinceShrinking = 1_000

  init(
    loop: any EventLoop, limits: Limits, logger: Logger, authority: Authority, daemon: DaemonState, pool: WorkerPool,
    historian: Historian
  ) {
    self.loop = loop
    self.limits = limits
    self.logger = logger
    self.authority = authority
    self.pool = pool
    self.historian = historian
    memory = daemon.memory
    round = Round(bell)
    ending = daemon.ending
    dispatcher = Dispatcher(limits: limits, publisher: authority.publisher, daemon: daemon)
    bell.hear = { [weak self] in self?.hearBell() }
    takeShortTurns()
  }

  /// To be done before anything is asked.
  func begin() -> EventLoopFuture<Void> { bell.hang(on: loop) }

  /// The buffer that answers are made in, empty. It goes from hand to hand, so that it is never copied; and it
  /// is cleared when it is taken, since by then the channel has sent what was in it and has let go of it.
  @inline(__always)
  func takeOutput() -> ByteBuffer {
    var taken = ByteBuffer()
    swap(&taken, &output)
    let before = taken.address
    taken.clear()
    if taken.address != before { noteHeldOutput() }
    return taken
  }

  /// The channel that was handed the buffer last still has it: its client may not take what it is sent.
  private func noteHeldOutput() {
    guard let sender = lastSender, let context = sender.context else { return }
    lastSender = nil
    sender.look(context)
  }

  /// Takes the buffer back.
  ///
  /// - Parameter sender: whose answers are in it.
  @inline(__always)
  func giveBack(_ buffer: inout ByteBuffer, to sender: Connection? = nil) {
    if buffer.storageCapacity > LoopWorker.keptBytes { buffer = ByteBuffer() }
    swap(&buffer, &output)
    lastSender = sender
  }

  static let keptBytes = 256 << 10
  /// What the buffer mostly takes.
  static let outputBytes = 128 << 10

  /// Runs something when the loop has looked at its sockets again.
  func afterOthers(_ body: @escaping () -> Void) {
    turns.append(body)
    bell.ring()
  }

  /// Runs what another thread has answered, in the order in which it came: at once, where this round of the loop has
  /// time for it.
  func inRound(_ body: @escaping () -> Void) {
    if turns.isEmpty && !round.isOver(.now(), after: Turn.usual) { body() } else { afterOthers(body) }
  }

  /// Has a connection read on of which a frame comes in many parts. A few have a turn at a time: to read is work, too.
  func readLater(_ body: @escaping () -> Void) {
    bulkReads.append(body)
    bell.ring()
  }

  /// Frees what a connection held that has gone. Many may go at once, and megabytes take half a millisecond: those have
  /// turns.
  func free(_ remains: Remains) {
    self.remains.append(remains)
    bell.ring()
  }

  /// The loop has looked at its sockets.
  private func hearBell() {
    round.end()
    takeTurns()
    let due = bulkReads.prefix(LoopWorker.bulkReadsPerRound)
    bulkReads.removeFirst(due.count)
    for body in due { body() }
    _ = remains.popLast()
    if !turns.isEmpty || !bulkReads.isEmpty || !remains.isEmpty { bell.ring() }
  }

  private static let bulkReadsPerRound = 4

  /// Takes turns for a quarter of a millisecond, in their order.
  private func takeTurns() {
    let end = NIODeadline.now() + .microseconds(250)
    var taken = 0
    let due = turns
    turns = []
    while taken < due.count {
      due[taken]()
      taken += 1
      if NIODeadline.now() > end { break }
    }
    turns = due[taken...] + turns
  }

  func add(_ connection: Connection) {
    connections[ObjectIdentifier(connection)] = connection
    mostConnections = max(mostConnections, connections.count)
    if isStopping { connection.finish() }
  }

  func remove(_ connection: Connection) {
    connections[ObjectIdentifier(connection)] = nil
    if lastSender === connection { lastSender = nil }
  }

  func add(_ connection: FastAGIConnection) {
    fastAGI[ObjectIdentifier(connection)] = connection
    if isStopping { connection.finish() }
  }

  func remove(_ connection: FastAGIConnection) { fastAGI[ObjectIdentifier(connection)] = nil }

  /// Has those who watch look again.
  func wake() {
    for connection in connections.values { connection.wake() }
  }

  func sweep() {
    dispatcher.refresh()  // a loop that nobody asks must not keep an old index
    pool.refreshIdle()
    let now = NIODeadline.now()
    for connection in connections.values { connection.sweep(now) }
    trimIfShrunk()
  }

  /// Gives back to the system what is free: when it is not taken again at once, and again when all that belonged to it
  /// is gone as well.
  private func trimIfShrunk() {
    sweepsSinceShrinking = memory.hasShrunk() || haveManyGone() ? 0 : sweepsSinceShrinking + 1
    if [3, 10, 25].contains(sweepsSinceShrinking) { trimHeap() }
  }

  /// Whether so many connections were closed since the last time that they leave megabytes: each takes some KiB that are
  /// in no account.
  private func haveManyGone() -> Bool {
    if mostConnections - connections.count < 1_024 { return false }
    mostConnections = connections.count
    return true
  }

  /// Has every connection answer what it was asked and close.
  func stop() {
    isStopping = true
    for connection in connections.values { connection.finish() }
    for connection in fastAGI.values { connection.finish() }
  }

  func closeAll() {
    for connection in connections.values { connection.closeNow() }
    for connection in fastAGI.values { connection.closeNow() }
  }
}

extension ByteBuffer {
  /// Where its memory is.
  @inline(__always)
  fileprivate var address: UnsafeRawPointer? { withVeryUnsafeBytes(\.baseAddress) }
}

/// Where listings are under way, of all connections.
final class Places: Sendable {
  /// Is given back when nobody holds it any more.
  final class Place: Sendable {
    private let room: FairRoom
    private let source: Source

    fileprivate init(_ room: FairRoom, _ source: Source) { (self.room, self.source) = (room, source) }

    deinit { room.leave(source, bytes: 0) }
  }

  private let room: FairRoom

  init(_ limit: Int) { room = FairRoom(FairBounds(elements: limit)) }

  /// Nil: the connection has its share.
  func take(for source: Source) -> Place? { room.enter(source, bytes: 0) ? Place(room, source) : nil }
}

/// Threads for what would hold an event loop up: large frames, and laying out an export.
final class WorkerPool: Sendable {
  private let threads: NIOThreadPool
  /// For listings and exports, behind which no large frame should wait.
  private let listings = NIOThreadPool(numberOfThreads: 1)
  /// What the thread for these does; connections take turns.
  private let waiting = NIOLockedValueBox(FairQueue<@Sendable (_ isActive: Bool) -> Void>(FairBounds(elements: .max)))
  private let listingPlaces: Places
  private let dispatchers: NIOLockedValueBox<[Lent]>
  private let make: @Sendable () -> Lent
  private let ending: Ending

  /// Unchecked: a dispatcher is lent to one thread at a time, through the lock.
  private struct Lent: @unchecked Sendable {
    let dispatcher: Dispatcher
  }

  init(threads count: Int, limits: Limits, authority: Authority, daemon: DaemonState) {
    threads = NIOThreadPool(numberOfThreads: count)
    threads.start()
    listings.start()
    listingPlaces = Places(limits.listings)
    dispatchers = NIOLockedValueBox([])
    ending = daemon.ending
    make = { Lent(dispatcher: Dispatcher(limits: limits, publisher: authority.publisher, daemon: daemon)) }
  }

  /// Has dispatchers that nobody uses give up old indexes.
  func refreshIdle() {
    dispatchers.withLockedValue { idle in
      for lent in idle { lent.dispatcher.refresh() }
    }
  }

  /// Answers a frame; the future belongs to the current event loop.
  ///
  /// - Parameters:
  ///   - patience: ends early what nobody waits for any more.
  ///   - cold: what it waited for, where it was asked before.
  func answer(
    _ frame: ByteBuffer, from caller: Caller, patience: Patience, after cold: (ColdQuestion, IndexRoot)? = nil
  ) -> EventLoopFuture<(ByteBuffer, Disposition)> {
    threads.runIfActive(eventLoop: MultiThreadedEventLoopGroup.currentEventLoop!) {
      giveWayToEventLoops()
      let lent = self.dispatchers.withLockedValue { $0.popLast() } ?? self.make()
      defer {
        lent.dispatcher.arena.reset()
        self.dispatchers.withLockedValue { $0.append(lent) }
      }
      var out = ByteBuffer()
      lent.dispatcher.refresh()
      if let (question, root) = cold {
        let disposition = lent.dispatcher.answerAgain(question, root, from: caller, patience: patience, into: &out)
        return (out, disposition)
      }
      let disposition = frame.withUnsafeReadableBytes {
        lent.dispatcher.answer($0, from: caller, patience: patience, into: &out)
      }
      return (out, disposition)
    }
  }

  /// Lays a company out for export; `reply` is called on some thread.
  func export(
    _ company: Name, id: UInt64, from authority: Authority, for waiter: Waiter,
    reply: @escaping Authority.Reply<PartStream>
  ) {
    authority.snapshot(of: company, for: waiter) { result in
      self.run(for: waiter.source, reply) { () throws(Failure) in
        let (state, revision) = try result.get()
        guard let state else { throw .unknownCompany(Array(company.text.utf8)) }
        return PartStream(id: id, kind: .export(ExportStream(state, revision: revision)))
      }
    }
  }

  /// Finds the rows of a listing; `reply` is called on some thread.
  func find(_ listing: Listing, for source: Source, reply: @escaping Authority.Reply<ListingStream>) {
    guard let place = listingPlaces.take(for: source) else {
      let words = "too many listings of this connection are under way"
      return reply(.failure(Failure(.resourceExhausted, "too_many_listings", words)))
    }
    run(for: source, reply) { () throws(Failure) in try listing.stream(in: place) }
  }

  private func run<T>(
    for source: Source, _ reply: @escaping Authority.Reply<T>, _ body: @escaping @Sendable () throws(Failure) -> T
  ) {
    let work = { @Sendable (isActive: Bool) in
      guard isActive, !self.ending.isBegun else { return reply(.failure(.stopping)) }
      reply(Result { () throws(Failure) in try body() })
    }
    waiting.withLockedValue { _ = $0.append(work, from: source.number) }
    listings.submit { state in
      let next = self.waiting.withLockedValue { $0.popFirst() }!  // as many as were submitted
      giveWayToEventLoops()
      if case .active = state { next(true) } else { next(false) }
    }
  }

  /// Ends the threads; false: some still work at the deadline.
  func stop(before deadline: NIODeadline, on loop: any EventLoop) async -> Bool {
    async let areEnded = [threads.end(before: deadline, on: loop), listings.end(before: deadline, on: loop)]
    return await areEnded.allSatisfy(\.self)
  }
}

/// How long a large request may be worked on: until the client has hung up, its time is over, or the daemon stops.
final class Patience: Sendable {
  private let isGone = Atomic<Bool>(false)
  private let ending: Ending
  let arrived = NIODeadline.now()

  init(_ ending: Ending) { self.ending = ending }

  func end() { isGone.store(true, ordering: .relaxed) }

  func check(_ timeout: TimeAmount) throws(Failure) {
    try ending.check()
    if isGone.load(ordering: .relaxed) { throw Failure(.cancelled, "cancelled", "the client has hung up") }
    if NIODeadline.now() - arrived > timeout {
      throw Failure(.deadlineExceeded, "deadline_exceeded", "the time was over before all was looked at")
    }
  }
}
