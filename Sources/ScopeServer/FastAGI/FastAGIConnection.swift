import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// One channel of Asterisk that asks: does what its session decides.
final class FastAGIConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let worker: LoopWorker
  private let service: FastAGIService
  private var session = FastAGISession()
  private var context: ChannelHandlerContext?
  /// Of the whole conversation.
  private var deadline: Scheduled<Void>?
  /// Of the wait for a company.
  private var loadDeadline: Scheduled<Void>?
  private let begun = NIODeadline.now()
  private let source = Source()
  private var isClosed = false

  init(worker: LoopWorker, service: FastAGIService) {
    self.worker = worker
    self.service = service
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    deadline = worker.loop.scheduleTask(deadline: begun + service.timeout) { connection.value.close("timeout") }
    worker.add(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    close("hung_up")
    source.leave()
    worker.remove(self)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var arrived = unwrapInboundIn(data)
    while !isClosed && arrived.readableBytes > 0 {
      let step = arrived.readWithUnsafeReadableBytes { bytes in
        let (taken, step) = session.receive(bytes)
        return (taken, step)
      }
      act(on: step)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) { proceed() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { close("connection_lost") }

  private func act(on step: FastAGISession.Step) {
    switch step {
    case .goOn: break
    case .ask(let question): ask(question)
    case .send(let command): send(command)
    case .close(.told(let verdict)): close(verdict.result, verdict.reason)
    case .close(.refused): close("command_refused")
    case .close(.dead): close("channel_dead")
    case .close(.broken): close("not_a_reply")
    }
  }

  /// Sends the next command, if it is time: when nothing more has arrived, read or not.
  private func proceed() {
    guard let context, !isClosed, session.isReady else { return }
    let waiting = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
      unreadBytes($0)
    }
    if waiting == 0 { act(on: session.proceed()) }  // else there will be something to read, if only the end
  }

  private func send(_ command: [UInt8]) {
    guard let context else { return }
    var out = worker.takeOutput()
    out.writeBytes(command)
    context.writeAndFlush(wrapOutboundOut(out), promise: nil)
    worker.giveBack(&out)
  }

  /// Ends a conversation in which not every variable was set.
  private func close(_ reason: String) { close(nil, reason) }

  private func close(_ result: FastAGIVerdict.Result?, _ reason: String) {
    if isClosed { return }
    isClosed = true
    deadline?.cancel()
    loadDeadline?.cancel()
    if session.hasBegun { service.note(result, reason) }
    context?.close(promise: nil)
  }
}

// MARK: - The answer

extension FastAGIConnection {
  private func ask(_ question: FastAGIQuestion) {
    worker.dispatcher.refresh()
    if let verdict = worker.dispatcher.answer(question) { return tell(verdict) }
    let connection = NIOLoopBound(self, eventLoop: worker.loop)
    loadDeadline = worker.loop.scheduleTask(deadline: begun + service.loadTimeout) {
      connection.value.tellIfAwaited(.unavailable("company_loading"))
    }
    worker.authority.load(question.company, for: Waiter(source, until: begun + service.loadTimeout)) {
      [loop = worker.loop] result in
      loop.execute { connection.value.answerAgain(question, result) }
    }
  }

  private func answerAgain(_ question: FastAGIQuestion, _ loaded: Result<IndexRoot, Failure>) {
    switch loaded {
    case .failure(let failure): tellIfAwaited(.unavailable(failure.reason))
    case .success(let root):
      let verdict = worker.dispatcher.answer(question, loadedIn: root)
      tellIfAwaited(verdict ?? .unavailable("company_loading"))
    }
  }

  private func tellIfAwaited(_ verdict: FastAGIVerdict) {
    if isClosed || !session.isChecking { return }
    tell(verdict)
    proceed()
  }

  private func tell(_ verdict: FastAGIVerdict) {
    loadDeadline?.cancel()
    session.answer(verdict)
  }
}

extension Dispatcher {
  /// - Parameter root: where the company was loaded: it may have been dropped since.
  fileprivate func answer(_ question: FastAGIQuestion, loadedIn root: IndexRoot) -> FastAGIVerdict? {
    useAlone(question.company, elseFrom: root)
    return answer(question)
  }
}

// MARK: - What the worker asks

extension FastAGIConnection {
  /// The daemon stops. A conversation that has begun goes on to its end or its deadline; one that has not is closed
  /// when the loop has looked at its socket once more.
  func finish() {
    worker.afterOthers { if !self.session.hasBegun { self.close("stopping") } }
  }

  func closeNow() { close("stopping") }
}
