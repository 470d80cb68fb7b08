import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// What one connection has asked that is not answered yet.
struct Requests {
  struct Waiting {
    /// What is to be done when its time comes.
    enum Due {
      /// Of a request with this id: its time is over.
      case late(UInt64, Failure)
      /// Of a watch: its heart beats.
      case beat(every: TimeAmount)
    }

    var at: NIODeadline
    let due: Due
    /// Memory charged for it, and for the page that its stream holds.
    var held = 0
    var pageHeld = 0
  }

  fileprivate(set) var waiting: [UInt64: Waiting] = [:]
  /// Answers in parts that have more to send.
  fileprivate(set) var streams: [(ticket: UInt64, stream: PartStream)] = []
  /// Watches that have sent all there was.
  fileprivate var parked: [(ticket: UInt64, stream: PartStream)] = []
  fileprivate var watches: Set<UInt64> = []
  fileprivate var lastTicket: UInt64 = 0
  /// Of a large frame that waits for its company.
  fileprivate var asideTicket: UInt64 = 0
  /// Charged for a large frame that is being answered.
  fileprivate var asideHeld = 0
  fileprivate var patience: Patience?
  /// For the first time that comes, or an earlier one. One for all: a loop looks through all its timers to cancel one.
  fileprivate var timer: (at: NIODeadline, scheduled: Scheduled<Void>)?
  fileprivate var isStreamTurnScheduled = false
  fileprivate var isStopping = false

  /// Of requests whose time was over.
  fileprivate mutating func dropEndedStreams() {
    let waiting = waiting
    streams.removeAll { waiting[$0.ticket] == nil }
  }
}

extension Connection {
  /// Nobody takes answers any more. What is held for them is given back by who calls.
  func endRequests() {
    requests.timer?.scheduled.cancel()
    requests.patience?.end()
    for _ in requests.watches { worker.authority.feed.leave() }
    requests = Requests()
  }

  /// Does what is left to do for a frame.
  ///
  /// - Parameters:
  ///   - frame: its length.
  ///   - out: takes the answer of what is refused at once. Nothing else is answered before this returns.
  func begin(_ disposition: Disposition, frame: Int, _ out: inout ByteBuffer) {
    let held = disposition.heldBytes(frame: frame)
    if !memory.take(held) { return worker.dispatcher.fail(disposition.id, .memoryExhausted, &out) }
    let before = requests.lastTicket
    start(disposition, &out)
    if requests.lastTicket == before { memory.give(held) } else { requests.waiting[requests.lastTicket]?.held = held }
    noteHeld()
  }

  private func start(_ disposition: Disposition, _ out: inout ByteBuffer) {
    switch disposition {
    case .answered: break
    case .apply(let job, let id, let timeout): apply(job, id, timeout)
    case .export(let company, let id, let timeout): export(company, id, timeout)
    case .changes(let company, let query, let id, let timeout): changes(company, query, id, timeout)
    case .verify(let id, let timeout): verify(id, timeout)
    case .companies(let id, let timeout): listCompanies(id, timeout)
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

  /// A large frame is answered on another thread: nobody should wait behind it.
  func answerAside(_ frame: ByteBuffer, after cold: (ColdQuestion, IndexRoot)? = nil) {
    flow.isAside = true
    let length = cold?.0.frame.count ?? frame.readableBytes
    requests.asideHeld = length
    memory.add(length)  // it was charged for while it arrived
    let id = frame.withUnsafeReadableBytes { Frame.requestID(UnsafeRawBufferPointer($0)) }
    let (connection, patience) = (NIOLoopBound(self, eventLoop: worker.loop), Patience(worker.ending))
    requests.patience = patience
    worker.pool.answer(frame, from: caller, patience: patience, after: cold).whenComplete { result in
      connection.value.worker.inRound {
        connection.value.finishAside(cold?.0.id ?? id, frame: length, result)
      }
    }
  }

  private func finishAside(_ id: UInt64, frame: Int, _ result: Result<(ByteBuffer, Disposition), any Error>) {
    flow.isAside = false
    requests.patience = nil
    guard let context else { return }
    memory.give(requests.asideHeld)
    requests.asideHeld = 0
    switch result {
    case .success((var out, let disposition)):
      if !memory.mayTake(out.readableBytes) {
        out = ByteBuffer()
        worker.dispatcher.fail(id, .memoryExhausted, &out)
      }
      begin(disposition, frame: frame, &out)
      sendNow(&out, context)
    case .failure: flow.isFailed = true  // the pool is shut down: the daemon stops
    }
    resume(context)
  }

  /// Takes note of what is held: beyond a bound, nothing more is answered until some of it is.
  func noteHeld() { flow.isFull = flow.inFlight > 0 && !memory.isAmple }

  private func enter(_ id: UInt64, _ timeout: TimeAmount, _ words: String) -> UInt64 {
    enter(id, timeout, Failure(.deadlineExceeded, "deadline_exceeded", words))
  }

  /// Counts a request in and sets its time, with what is said when that is over; `finish` counts it out, once.
  private func enter(_ id: UInt64, _ timeout: TimeAmount, _ late: Failure) -> UInt64 {
    requests.lastTicket += 1
    let ticket = requests.lastTicket
    flow.inFlight += 1
    enter(ticket, Requests.Waiting(at: .now() + timeout + Connection.grace, due: .late(id, late)))
    return ticket
  }

  private func enter(_ ticket: UInt64, _ request: Requests.Waiting) {
    requests.waiting[ticket] = request
    setTimer(request.at)
  }

  private func setTimer(_ at: NIODeadline) {
    if let timer = requests.timer {
      if timer.at <= at { return }
      timer.scheduled.cancel()
    }
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    requests.timer = (at, worker.loop.scheduleTask(deadline: at) { connection.value.timeHasCome() })
  }

  /// Does what is due, in the order of the requests, and waits for the next. Of the requests that the timer was set
  /// for, most are long answered.
  private func timeHasCome() {
    requests.timer = nil
    let now = NIODeadline.now()
    for (ticket, request) in requests.waiting.filter({ $0.value.at <= now }).sorted(by: { $0.key < $1.key }) {
      switch request.due {
      case .late(let id, let failure): finish(ticket, id, failure)
      case .beat(let interval): beat(ticket, interval)
      }
    }
    if let next = requests.waiting.values.map(\.at).min() { setTimer(next) }
  }

  /// The authority's own word about a request's time comes before the timer's, which knows less.
  private static let grace = TimeAmount.milliseconds(50)

  /// False: the request was answered before.
  func leave(_ ticket: UInt64) -> Bool {
    guard let request = requests.waiting.removeValue(forKey: ticket) else { return false }
    memory.give(request.held + request.pageHeld)
    flow.inFlight -= 1
    noteHeld()
    if ticket == requests.asideTicket { (requests.asideTicket, flow.isAside) = (0, false) }
    if requests.watches.remove(ticket) != nil { worker.authority.feed.leave() }
    return true
  }

  /// Answers nothing else until this request is done.
  func holdBack(for ticket: UInt64) { (requests.asideTicket, flow.isAside) = (ticket, true) }

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
    sendNow(&out, context)
    worker.giveBack(&out, to: self)
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
        connection.value.worker.inRound {
          switch result {
          case .failure(let failure): connection.value.finish(ticket, id, failure)
          case .success(let value): then(connection.value, ticket, value)
          }
        }
      }
    }
    return ticket
  }

  /// Answers a request that was waited for as if it came now.
  func finish(_ ticket: UInt64, _ answer: (Caller, Dispatcher, inout ByteBuffer) -> Disposition) {
    guard leave(ticket), let context else { return }
    var out = worker.takeOutput()
    begin(answer(caller, worker.dispatcher, &out), frame: 0, &out)
    sendNow(&out, context)
    worker.giveBack(&out, to: self)
    resume(context)
  }

  /// Answers a request that was waited for, with one response.
  private func finish(_ ticket: UInt64, _ write: (Dispatcher, inout ByteBuffer) -> Void) {
    guard leave(ticket) else { return }
    reply(write)
  }

  /// Goes on in parts with a request that was waited for, within its time.
  private func goOn(_ ticket: UInt64, _ stream: PartStream) {
    guard let request = requests.waiting[ticket] else { return }
    let held = stream.heldBytes
    if !memory.take(held - request.pageHeld) { return finish(ticket, stream.id, .memoryExhausted) }
    requests.waiting[ticket]!.pageHeld = held
    noteHeld()
    requests.streams.append((ticket, stream))
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
    wait(id, timeout) { reply in
      // Where the log is read: to add up what a page takes in memory takes as long as to send it.
      worker.authority.changes(of: company, query, for: Waiter(caller.source, within: timeout)) { found in
        reply(found.map { LogStream($0.0, revision: $0.revision) })
      }
    } then: { connection, ticket, stream in
      connection.goOn(ticket, PartStream(id: id, kind: .changes(stream)))
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
      worker.pool.find(listing, for: caller.source, reply: $0)
    } then: { connection, ticket, stream in
      connection.goOn(ticket, PartStream(id: id, kind: .listing(stream), unknown: stream.unknown))
    }
  }

  private func ask(_ question: PastQuestion, _ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.historian.answer(question, from: caller, reply: $0)
    } then: { connection, ticket, answer in
      guard connection.leave(ticket), let context = connection.context else { return }
      var (out, disposition) = answer
      connection.begin(disposition, frame: 0, &out)
      connection.sendNow(&out, context)
      connection.resume(context)
    }
  }

  private func listCompanies(_ id: UInt64, _ timeout: TimeAmount) {
    wait(id, timeout) {
      worker.authority.companies(for: Waiter(caller.source, within: timeout), reply: $0)
    } then: { connection, ticket, found in
      let stream = CompanyStream(found.0, revision: found.revision)
      connection.goOn(ticket, PartStream(id: id, kind: .companies(stream)))
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
    requests.streams.append((ticket, stream))
    scheduleStreamTurn()
  }

  func scheduleStreamTurn() {
    if requests.isStreamTurnScheduled || unsent.isBehind { return }
    requests.isStreamTurnScheduled = true
    worker.afterOthers { self.takeStreamTurn() }
  }

  /// Parts made in one turn, and sent with one flush; fewer, where they take long.
  private static let partsPerTurn = 16
  private static let turnLength = TimeAmount.microseconds(100)

  /// Sends the next parts of what has waited longest; but none before the client has taken all that was sent before.
  private func takeStreamTurn() {
    requests.isStreamTurnScheduled = false
    guard let context, !flow.isFailed else { return }
    look(context)
    if unsent.isBehind { return }
    requests.dropEndedStreams()
    var parts = min(requests.streams.count, Connection.partsPerTurn)
    let end = NIODeadline.now() + Connection.turnLength
    reply { dispatcher, out in
      while parts > 0, out.readableBytes < Connection.flushBytes {
        sendPart(dispatcher, &out)
        parts = NIODeadline.now() < end ? parts - 1 : 0
      }
    }
  }

  private func sendPart(_ dispatcher: Dispatcher, _ out: inout ByteBuffer) {
    var (ticket, stream) = requests.streams.removeFirst()
    dispatcher.arena.reset()
    do throws(Failure) {
      switch try stream.next(using: dispatcher, into: &out) {
      case .more: return requests.streams.append((ticket, stream))
      case .waiting: return requests.parked.append((ticket, stream))
      case .needsLog(let company, let query): return readLog(ticket, stream, company, query)
      case .needsNumbers(let query): return readNumbers(ticket, stream, query)
      case .done: break
      }
    } catch {
      dispatcher.fail(stream.id, error, &out)
    }
    _ = leave(ticket)
  }
}

// MARK: - Watches

extension Connection {
  static let watchesPerConnection = 16

  private static let stopping = Failure(.unavailable, "stopping", "the daemon stops; watch again")

  private func watch(_ stream: PartStream, _ out: inout ByteBuffer) {
    if requests.isStopping { return worker.dispatcher.fail(stream.id, Connection.stopping, &out) }
    let isAccepted =
      requests.watches.count < Connection.watchesPerConnection && worker.authority.feed.enter(limit: limits.watches)
    if !isAccepted {
      let failure = Failure(.resourceExhausted, "too_many_watches", "too many watches are open")
      return worker.dispatcher.fail(stream.id, failure, &out)
    }
    requests.lastTicket += 1
    let ticket = requests.lastTicket
    flow.inFlight += 1
    requests.watches.insert(ticket)
    let interval = stream.heartbeat!
    enter(ticket, Requests.Waiting(at: .now() + interval, due: .beat(every: interval)))
    requests.streams.append((ticket, stream))
    scheduleStreamTurn()
  }

  /// Where something waits to be taken, that is the sign of life: what nobody reads must not become more.
  private func beat(_ ticket: UInt64, _ interval: TimeAmount) {
    requests.waiting[ticket]?.at = .now() + interval
    guard requests.waiting[ticket] != nil, let context else { return }
    look(context)
    guard !unsent.isBehind, let stream = requests.parked.first(where: { $0.ticket == ticket })?.stream else { return }
    reply { dispatcher, out in stream.beat(using: dispatcher, into: &out) }
  }

  /// Something was committed.
  func wake() {
    if requests.parked.isEmpty { return }
    requests.streams += requests.parked
    requests.parked = []
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
    guard requests.waiting[ticket] != nil else { return }
    if requests.isStopping { return finish(ticket, stream.id, Connection.stopping) }
    var stream = stream
    switch result {
    case .success(let found):
      stream.take(found.0, revision: found.revision)
      goOn(ticket, stream)
    case .failure(let failure): finish(ticket, stream.id, failure)
    }
  }

  /// The daemon stops: those who watch are told, and ask its successor.
  func endWatches() {
    requests.isStopping = true
    let ended = (requests.streams + requests.parked).filter { $0.stream.heartbeat != nil }
    requests.streams.removeAll { $0.stream.heartbeat != nil }
    requests.parked = []
    for (ticket, stream) in ended { finish(ticket, stream.id, Connection.stopping) }
  }
}
