import CScopeWire
import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// What decides whether a connection may be read from and its frames answered. Pure: the handler acts.
struct Flow {
  /// Answers are waiting that the client has not taken.
  var isCongested = false
  /// Requests that are not answered yet.
  var inFlight = 0
  /// The client has sent all it will, or the daemon stops.
  var isInputClosed = false
  /// An error was sent, after which the connection is closed.
  var isFailed = false
  /// A large frame is answered on another thread. One at a time: nobody may fill those threads.
  var isAside = false
  /// Others on this loop have their turn.
  var isYielding = false

  func mayAnswer(_ limits: Limits) -> Bool {
    !isCongested && !isFailed && !isAside && !isYielding && inFlight < limits.requestsInFlight
  }

  /// Nothing more will come, and nothing is owed.
  var isFinished: Bool { isFailed || (isInputClosed && inFlight == 0 && !isCongested && !isAside && !isYielding) }
}

/// How long one connection may keep its loop. The clock is read now and then only: most turns are short.
struct Turn {
  private static let length = TimeAmount.milliseconds(1)
  /// Work between two looks at the clock: some microseconds.
  private static let step = 256

  private(set) var isOver = false
  private var work = 0
  private var end: NIODeadline?

  /// Counts work that was done: the ids looked up, or as many as would have taken as long.
  @inline(__always)
  mutating func count(_ more: Int) {
    work += more
    if work >= Turn.step { look() }
  }

  private mutating func look() {
    work = 0
    let now = NIODeadline.now()
    if let end { isOver = now > end } else { end = now + Turn.length }
  }
}

/// One client. Takes bytes apart into frames, has them answered, and sends the answers of all that
/// arrived together with one flush.
final class Connection: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  let worker: LoopWorker
  let caller: Caller
  private var flow = Flow()
  /// Bytes not taken apart yet: part of a frame, or frames that must wait.
  private var unread = ByteBuffer()
  private var isReadWanted = false
  private var streams: [(ticket: UInt64, stream: PartStream)] = []
  /// Watches that have sent all there was.
  private var parked: [(ticket: UInt64, stream: PartStream)] = []
  private var watches: Set<UInt64> = []
  /// Of a large frame that waits for its company.
  private var asideTicket: UInt64 = 0
  private var isStreamTurnScheduled = false
  private var isClosing = false
  private var isStopping = false
  /// Answering goes on further down the stack.
  private var isAnswering = false
  /// Something has come in between that lets answering go on.
  private var isResumeDue = false
  private var patience: Patience?
  private var timers: [UInt64: Scheduled<Void>] = [:]
  private var lastTicket: UInt64 = 0
  private var context: ChannelHandlerContext?
  /// When the frame at the front began to arrive.
  private var partialSince: NIODeadline?
  private var congestedSince: NIODeadline?
  private var unsentAtSweep = 0

  init(worker: LoopWorker, caller: Caller) {
    self.worker = worker
    self.caller = caller
  }

  private var limits: Limits { worker.limits }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    worker.add(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    worker.remove(self)
    caller.source.leave()
    for timer in timers.values { timer.cancel() }
    timers = [:]
    patience?.end()
    (streams, parked) = ([], [])
    for _ in watches { worker.authority.feed.leave() }
    watches = []
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var arrived = unwrapInboundIn(data)
    if unread.readableBytes > 0 {
      unread.writeBuffer(&arrived)
    } else {
      if answerAtOnce(&arrived, context) { return }
      swap(&unread, &arrived)
    }
    answerArrived(context)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    context.flush()
    closeIfFinished(context)
  }

  func read(context: ChannelHandlerContext) {
    if flow.mayAnswer(limits) { context.read() } else { isReadWanted = true }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    flow.isCongested = !context.channel.isWritable
    if !isClosing { congestedSince = flow.isCongested ? .now() : nil }
    if !flow.isCongested { resume(context) }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed = event {
      flow.isInputClosed = true
      closeIfFinished(context)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    worker.logger.debug("connection lost", metadata: ["error": "\(error)", "caller": "\(caller.name)"])
    context.close(promise: nil)
  }
}

// MARK: - Frames

extension Connection {
  /// Answers what has arrived where nothing stands in the way and all of it can be answered quickly: what mostly
  /// comes, with none of what the rest needs. False: something is left of it.
  private func answerAtOnce(_ arrived: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
    if !flow.mayAnswer(limits) { return false }
    let dispatcher = worker.dispatcher
    dispatcher.refresh()
    var (out, turn) = (worker.takeOutput(), Turn())
    arrived.readWithUnsafeReadableBytes { dispatcher.answerQuickly($0, &turn, into: &out) }
    if out.readableBytes > 0 { context.write(wrapOutboundOut(out), promise: nil) }
    worker.giveBack(&out)
    return arrived.readableBytes == 0
  }

  /// Answers the frames that have arrived in full; never within itself. What answering brings about may let it go on
  /// (a refusal, a write that is done at once): that is noted, and done here, so that nothing that a client sends
  /// makes the stack deeper.
  private func answerArrived(_ context: ChannelHandlerContext) {
    isResumeDue = true
    if isAnswering { return }
    isAnswering = true
    while isResumeDue {
      isResumeDue = false
      if unread.readableBytes > 0 { answer(context) }
    }
    isAnswering = false
  }

  private func answer(_ context: ChannelHandlerContext) {
    let dispatcher = worker.dispatcher
    dispatcher.refresh()
    var out = worker.takeOutput()
    let before = unread.readableBytes
    var turn = Turn()
    while flow.mayAnswer(limits), answerSome(dispatcher, &turn, &out) {
      if out.readableBytes >= Connection.flushBytes { send(context, &out) }
      if turn.isOver { yield() }
    }
    if out.readableBytes > 0 { context.write(wrapOutboundOut(out), promise: nil) }
    worker.giveBack(&out)
    noteProgress(before)
  }

  private static let flushBytes = 128 << 10

  /// Lets the other connections of the loop have their turn before the rest of what has arrived.
  private func yield() {
    flow.isYielding = true
    worker.afterOthers {
      self.flow.isYielding = false
      self.context.map(self.resume)
    }
  }

  /// Sends what there is at once, so that congestion is noticed.
  private func send(_ context: ChannelHandlerContext, _ out: inout ByteBuffer) {
    context.writeAndFlush(wrapOutboundOut(out), promise: nil)
    out.clear()
  }

  /// Answers what can be answered quickly, and otherwise the first frame; false: there is no whole one.
  @inline(__always)
  private func answerSome(_ dispatcher: Dispatcher, _ turn: inout Turn, _ out: inout ByteBuffer) -> Bool {
    let quick = unread.readWithUnsafeReadableBytes { bytes in
      let count = dispatcher.answerQuickly(bytes, &turn, into: &out)
      return (count, count)
    }
    if quick > 0 { return true }
    turn.count(32)
    return answerNext(dispatcher, &out)
  }

  /// Answers the first frame; false: there is no whole one.
  private func answerNext(_ dispatcher: Dispatcher, _ out: inout ByteBuffer) -> Bool {
    var taken = 0
    var disposition = Disposition.answered
    unread.withUnsafeReadableBytes { bytes in
      do throws(FrameError) {
        guard let frame = try Frame.first(in: bytes, limit: limits.frameBytes) else { return }
        taken = Frame.headerBytes + frame.count
        if frame.count > limits.inlineFrameBytes { return }
        disposition = dispatcher.answer(frame, from: caller, into: &out)
      } catch {
        refuse(error, &out)
      }
    }
    if taken == 0 { return false }
    if taken - Frame.headerBytes > limits.inlineFrameBytes {
      answerAside(unread.getSlice(at: unread.readerIndex + Frame.headerBytes, length: taken - Frame.headerBytes)!)
    }
    unread.moveReaderIndex(forwardBy: taken)
    if case .answered = disposition { return true }
    begin(disposition, &out)
    return true
  }

  /// The stream can't be followed any more.
  private func refuse(_ error: FrameError, _ out: inout ByteBuffer) {
    worker.dispatcher.fail(0, Failure(.invalidArgument, "frame_too_long", "\(error)"), &out)
    flow.isFailed = true
  }

  /// A large frame is answered on another thread: nobody should wait behind it.
  func answerAside(_ frame: ByteBuffer, after cold: (ColdQuestion, IndexRoot)? = nil) {
    flow.isAside = true
    let (connection, patience) = (NIOLoopBound(self, eventLoop: worker.loop), Patience())
    self.patience = patience
    worker.pool.answer(frame, from: caller, patience: patience, after: cold).whenComplete { result in
      connection.value.finishAside(result)
    }
  }

  private func finishAside(_ result: Result<(ByteBuffer, Disposition), any Error>) {
    flow.isAside = false
    patience = nil
    guard let context else { return }
    switch result {
    case .success((var out, let disposition)):
      begin(disposition, &out)
      if out.readableBytes > 0 { context.write(wrapOutboundOut(out), promise: nil) }
    case .failure: flow.isFailed = true  // the pool is shut down: the daemon stops
    }
    context.flush()
    resume(context)
  }

  /// Keeps what the sweep needs to know, and no memory that an idle connection has no use for.
  private func noteProgress(_ before: Int) {
    if unread.readableBytes == 0 {
      partialSince = nil
      if unread.storageCapacity > 0 { unread = ByteBuffer() }
    } else if partialSince == nil || unread.readableBytes < before {
      partialSince = .now()
    }
  }

  /// Goes on after whatever stood in the way is gone.
  private func resume(_ context: ChannelHandlerContext) {
    if partialSince != nil { partialSince = .now() }  // while the daemon did not read, nobody was slow
    if !streams.isEmpty { scheduleStreamTurn() }
    if unread.readableBytes > 0 {
      answerArrived(context)
      context.flush()
    }
    if isReadWanted && flow.mayAnswer(limits) {
      isReadWanted = false
      context.read()
    }
    closeIfFinished(context)
  }

  /// Closes when all that was written has been sent. The sweep closes a client that does not take it.
  private func closeIfFinished(_ context: ChannelHandlerContext) {
    if !flow.isFinished || isClosing { return }
    isClosing = true
    congestedSince = congestedSince ?? .now()
    let sent = context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
  }
}

// MARK: - Answers that take longer

extension Connection {
  /// - Parameter out: takes the answer of what is refused at once. Nothing else is answered before this returns.
  private func begin(_ disposition: Disposition, _ out: inout ByteBuffer) {
    switch disposition {
    case .answered: break
    case .apply(let job, let id, let timeout): apply(job, id, timeout)
    case .export(let company, let id, let timeout): export(company, id, timeout)
    case .changes(let company, let query, let id, let timeout): changes(company, query, id, timeout)
    case .verify(let id, let timeout): verify(id, timeout)
    case .stream(let stream, let timeout): start(stream, timeout)
    case .preview(let job, let first, let id, let timeout): preview(job, first: first, id, timeout)
    case .listing(let listing, let id, let timeout): find(listing, id, timeout)
    case .past(let question, let id, let timeout): ask(question, id, timeout)
    case .watch(let stream): watch(stream, &out)
    case .load(let question): load(question)
    case .changeNumbers(let job, let call, let id, let timeout): change(job, call, id, timeout)
    case .aside(let frame): answerAside(ByteBuffer(bytes: frame))
    }
  }

  private func enter(_ id: UInt64, _ timeout: TimeAmount, _ words: String) -> UInt64 {
    enter(id, timeout, Failure(.deadlineExceeded, "deadline_exceeded", words))
  }

  /// Counts a request in and sets its time, with what is said when that is over; `finish` counts it out, once.
  private func enter(_ id: UInt64, _ timeout: TimeAmount, _ late: Failure) -> UInt64 {
    lastTicket += 1
    let ticket = lastTicket
    flow.inFlight += 1
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    timers[ticket] = worker.loop.scheduleTask(in: timeout + Connection.grace) {
      connection.value.finish(ticket, id, late)
    }
    return ticket
  }

  /// The authority's own word about a request's time comes before the timer's, which knows less.
  private static let grace = TimeAmount.milliseconds(50)

  /// False: the request was answered before.
  func leave(_ ticket: UInt64) -> Bool {
    guard let timer = timers.removeValue(forKey: ticket) else { return false }
    timer.cancel()
    flow.inFlight -= 1
    if ticket == asideTicket { (asideTicket, flow.isAside) = (0, false) }
    if watches.remove(ticket) != nil { worker.authority.feed.leave() }
    return true
  }

  /// Answers nothing else until this request is done.
  func holdBack(for ticket: UInt64) { (asideTicket, flow.isAside) = (ticket, true) }

  private func finish(_ ticket: UInt64, _ id: UInt64, _ failure: Failure) {
    guard leave(ticket) else { return }
    reply { dispatcher, out in dispatcher.fail(id, failure, &out) }
  }

  /// Sends an answer outside a read.
  private func reply(_ write: (Dispatcher, inout ByteBuffer) -> Void) {
    guard let context else { return }
    var out = worker.takeOutput()
    worker.dispatcher.refresh()
    worker.dispatcher.arena.reset()
    write(worker.dispatcher, &out)
    if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
    worker.giveBack(&out)
    resume(context)
  }

  /// Waits for what another thread answers; `then` is called here, unless the time is over before.
  private func wait<T: Sendable>(
    _ id: UInt64, _ timeout: TimeAmount, _ words: String = "the time is over",
    begin: (@escaping Authority.Reply<T>) -> Void, then: @escaping @Sendable (Connection, UInt64, T) -> Void
  ) {
    let late = Failure(.deadlineExceeded, "deadline_exceeded", words)
    _ = wait(id, timeout, late, begin: begin, then: then)
  }

  /// - Parameter late: what is said when the time is over.
  /// - Returns: the request's ticket.
  func wait<T: Sendable>(
    _ id: UInt64, _ timeout: TimeAmount, _ late: Failure, begin: (@escaping Authority.Reply<T>) -> Void,
    then: @escaping @Sendable (Connection, UInt64, T) -> Void
  ) -> UInt64 {
    let ticket = enter(id, timeout, late)
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    begin { [loop = worker.loop] result in
      loop.execute {
        switch result {
        case .failure(let failure): connection.value.finish(ticket, id, failure)
        case .success(let value): then(connection.value, ticket, value)
        }
      }
    }
    return ticket
  }

  /// Answers a request that was waited for as if it came now.
  func finish(_ ticket: UInt64, _ answer: (Caller, Dispatcher, inout ByteBuffer) -> Disposition) {
    guard leave(ticket), let context else { return }
    var out = worker.takeOutput()
    begin(answer(caller, worker.dispatcher, &out), &out)
    if out.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(out), promise: nil) }
    worker.giveBack(&out)
    resume(context)
  }

  /// Answers a request that was waited for, with one response.
  private func finish(_ ticket: UInt64, _ write: (Dispatcher, inout ByteBuffer) -> Void) {
    guard leave(ticket) else { return }
    reply(write)
  }

  /// Goes on in parts with a request that was waited for, within its time.
  private func goOn(_ ticket: UInt64, _ stream: PartStream) {
    guard timers[ticket] != nil else { return }
    streams.append((ticket, stream))
    scheduleStreamTurn()
  }

  private func apply(_ job: ApplyJob, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout, "the time is over; the changes may have been applied, or may yet be") {
      worker.authority.submit(job, reply: $0)
    } then: { connection, ticket, applied in
      connection.finish(ticket) { dispatcher, out in dispatcher.answer(id, applied, into: &out) }
    }
  }

  private func change(_ job: NumberJob, _ call: Scope__V1__Request__CallCase, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout, "the time is over; the numbers may have been changed, or may yet be") {
      worker.authority.change(job, reply: $0)
    } then: { connection, ticket, changed in
      connection.finish(ticket) { dispatcher, out in dispatcher.answer(id, call, changed, into: &out) }
    }
  }

  private func export(_ company: Name, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.pool.export(
        company, id: id, from: worker.authority, for: Waiter(caller.source, within: timeout), reply: $0)
    } then: { connection, ticket, stream in
      connection.goOn(ticket, stream)
    }
  }

  private func changes(_ company: Name, _ query: LogQuery, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.authority.changes(of: company, query, for: Waiter(caller.source, within: timeout), reply: $0)
    } then: { connection, ticket, found in
      connection.goOn(ticket, PartStream(id: id, kind: .changes(LogStream(found.0, revision: found.revision))))
    }
  }

  private func preview(_ job: ApplyJob, first: Int, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.authority.preview(job, first: first, reply: $0)
    } then: { connection, ticket, found in
      connection.finish(ticket) { dispatcher, out in dispatcher.answer(id, preview: found, into: &out) }
    }
  }

  private func find(_ listing: Listing, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.pool.find(listing, reply: $0)
    } then: { connection, ticket, stream in
      connection.goOn(ticket, PartStream(id: id, kind: .listing(stream)))
    }
  }

  private func ask(_ question: PastQuestion, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.historian.answer(question, from: caller, reply: $0)
    } then: { connection, ticket, answer in
      guard connection.leave(ticket), let context = connection.context else { return }
      var (out, disposition) = answer
      connection.begin(disposition, &out)
      if out.readableBytes > 0 { context.writeAndFlush(connection.wrapOutboundOut(out), promise: nil) }
      connection.resume(context)
    }
  }

  private func verify(_ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.authority.verify(for: Waiter(caller.source, within: timeout), reply: $0)
    } then: { connection, ticket, found in
      connection.finish(ticket) { dispatcher, out in dispatcher.answer(id, found.0, found.revision, into: &out) }
    }
  }
}

// MARK: - Answers in parts

extension Connection {
  /// A listing's parts follow one at a time as the client takes them; others are answered in between.
  private func start(_ stream: PartStream, _ timeout: TimeAmount) {
    let ticket = enter(stream.id, timeout, "the time was over before the last part")
    var stream = stream
    stream.deadline = .now() + timeout
    streams.append((ticket, stream))
    scheduleStreamTurn()
  }

  private func scheduleStreamTurn() {
    if isStreamTurnScheduled { return }
    isStreamTurnScheduled = true
    worker.afterOthers { self.takeStreamTurn() }
  }

  /// Sends the next part of the listing that has waited longest.
  private func takeStreamTurn() {
    isStreamTurnScheduled = false
    streams.removeAll { timers[$0.ticket] == nil }  // their time was over
    guard let context, !streams.isEmpty, !flow.isCongested, !flow.isFailed else { return }
    var (ticket, stream) = streams.removeFirst()
    reply { dispatcher, out in
      do throws(Failure) {
        switch try stream.next(using: dispatcher, into: &out) {
        case .more: return streams.append((ticket, stream))
        case .waiting: return parked.append((ticket, stream))
        case .needsLog(let company, let query): return readLog(ticket, stream, company, query)
        case .needsNumbers(let query): return readNumbers(ticket, stream, query)
        case .done: break
        }
      } catch {
        dispatcher.fail(stream.id, error, &out)
      }
      _ = leave(ticket)
    }
    closeIfFinished(context)
  }
}

// MARK: - Watches

extension Connection {
  private static let watchesPerConnection = 16

  private static let stopping = Failure(.unavailable, "stopping", "the daemon stops; watch again")

  private func watch(_ stream: PartStream, _ out: inout ByteBuffer) {
    if isStopping { return worker.dispatcher.fail(stream.id, Connection.stopping, &out) }
    let isAccepted =
      watches.count < Connection.watchesPerConnection && worker.authority.feed.enter(limit: limits.watches)
    if !isAccepted {
      let failure = Failure(.resourceExhausted, "too_many_watches", "too many watches are open")
      return worker.dispatcher.fail(stream.id, failure, &out)
    }
    lastTicket += 1
    flow.inFlight += 1
    watches.insert(lastTicket)
    setHeartbeat(lastTicket, stream.heartbeat!)
    streams.append((lastTicket, stream))
    scheduleStreamTurn()
  }

  /// A watch has no deadline; its timer is the heart.
  private func setHeartbeat(_ ticket: UInt64, _ interval: TimeAmount) {
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    timers[ticket] = worker.loop.scheduleTask(in: interval) { connection.value.beat(ticket, interval) }
  }

  private func beat(_ ticket: UInt64, _ interval: TimeAmount) {
    guard timers[ticket] != nil else { return }
    setHeartbeat(ticket, interval)
    guard !flow.isCongested, let stream = parked.first(where: { $0.ticket == ticket })?.stream else { return }
    reply { dispatcher, out in stream.beat(using: dispatcher, into: &out) }
  }

  /// Something was committed.
  func wake() {
    if parked.isEmpty { return }
    streams += parked
    parked = []
    scheduleStreamTurn()
  }

  private func readNumbers(_ ticket: UInt64, _ stream: PartStream, _ query: NumberQuery) {
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    worker.authority.numbers(query, for: Waiter(caller.source, until: stream.deadline)) { [loop = worker.loop] result in
      loop.execute {
        switch result {
        case .success(let page):
          var stream = stream
          stream.take(page)
          connection.value.goOn(ticket, stream)
        case .failure(let failure): connection.value.finish(ticket, stream.id, failure)
        }
      }
    }
  }

  private func readLog(_ ticket: UInt64, _ stream: PartStream, _ company: Name, _ query: LogQuery) {
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    worker.authority.changes(of: company, query, for: Waiter(caller.source, until: stream.deadline)) {
      [loop = worker.loop] result in
      loop.execute { connection.value.takeLog(ticket, stream, result) }
    }
  }

  private func takeLog(
    _ ticket: UInt64, _ stream: PartStream, _ result: Result<(LogPage, revision: UInt64), Failure>
  ) {
    guard timers[ticket] != nil else { return }
    if isStopping { return finish(ticket, stream.id, Connection.stopping) }
    var stream = stream
    switch result {
    case .success(let found):
      stream.take(found.0, revision: found.revision)
      goOn(ticket, stream)
    case .failure(let failure): finish(ticket, stream.id, failure)
    }
  }

  /// The daemon stops: those who watch are told, and ask its successor.
  private func endWatches() {
    isStopping = true
    let ended = (streams + parked).filter { $0.stream.heartbeat != nil }
    streams.removeAll { $0.stream.heartbeat != nil }
    parked = []
    for (ticket, stream) in ended { finish(ticket, stream.id, Connection.stopping) }
  }
}

// MARK: - What the worker asks of its connections

extension Connection {
  /// Closes a client that sends a frame too slowly or takes no answers.
  func sweep(_ now: NIODeadline) {
    guard let context else { return }
    noteTaking(context, now)
    let isStalled = congestedSince.map { now - $0 > .milliseconds(Int64(limits.stallMilliseconds)) } ?? false
    let isSlow =
      flow.mayAnswer(limits)
      && (partialSince.map { now - $0 > .milliseconds(Int64(limits.frameMilliseconds)) } ?? false)
    if !isStalled && !isSlow { return }
    let words = isStalled ? "answers are not taken" : "a frame takes too long to arrive"
    worker.logger.info("connection closed", metadata: ["caller": "\(caller.name)", "reason": "\(words)"])
    context.close(promise: nil)
  }

  /// A client that takes its answers slowly still takes them.
  private func noteTaking(_ context: ChannelHandlerContext, _ now: NIODeadline) {
    guard congestedSince != nil else { return }
    let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    if unsent < unsentAtSweep { congestedSince = now }
    unsentAtSweep = unsent
  }

  /// Answers what has arrived, and closes.
  func finish() {
    endWatches()
    guard let context else { return }
    // The kernel hands over what it holds and then reports the end, as if the client had hung up.
    let isShut = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      shutdownInput($0)
    }
    if isShut != true { context.close(promise: nil) }
  }

  func closeNow() { context?.close(promise: nil) }
}
