import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// What decides whether a connection may be read from and its frames answered. Pure: the handler acts.
struct Flow {
  /// Answers are waiting that the client has not taken.
  var isCongested = false
  /// What waits to be answered holds as much memory as it may.
  var isFull = false
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
  /// Others read the rest of their frames.
  var isTakingTurns = false
  /// A small frame has been coming for long: its bytes are read at each sweep, and not one by one as they come.
  var isDribbling = false

  func mayAnswer(_ limits: Limits) -> Bool {
    !isCongested && !isFull && !isFailed && !isAside && !isYielding && inFlight < limits.requestsInFlight
  }

  /// More may be read.
  func mayRead(_ limits: Limits) -> Bool { mayAnswer(limits) && !isTakingTurns && !isDribbling }

  /// Nothing more will come, and nothing is owed.
  var isFinished: Bool { isFailed || (isInputClosed && inFlight == 0 && !isAside && !isYielding) }
}

/// One client. Takes bytes apart into frames, has them answered, and sends the answers of all that
/// arrived together with one flush.
final class Connection: ChannelInboundHandler, ChannelOutboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  let worker: LoopWorker
  let caller: Caller
  var context: ChannelHandlerContext?
  var flow = Flow()
  /// What it holds of the memory that all connections share.
  var memory: MemoryShare
  var unsent = Unsent()
  var requests = Requests()
  /// Bytes not taken apart yet: part of a frame, or frames that must wait.
  private var unread = ByteBuffer()
  /// Charged for them.
  private var unreadHeld = 0
  /// Of a frame that was refused, these bytes are still to come.
  private var refusedBytes = 0
  /// When the frame at the front began to arrive; while the daemon does not read, nobody is slow.
  private var partialSince: NIODeadline?
  private var notReadSince: NIODeadline?
  /// The channel would read, and has to wait.
  private var isReadDue = false
  private var isClosing = false
  /// Answering goes on further down the stack.
  private var isAnswering = false
  /// Something has come in between that lets answering go on.
  private var isResumeDue = false

  init(worker: LoopWorker, caller: Caller) {
    self.worker = worker
    self.caller = caller
    memory = MemoryShare(worker.memory)
  }

  var limits: Limits { worker.limits }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    worker.add(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    worker.remove(self)
    caller.source.leave()
    endRequests()
    self.context = nil
    leaveRemains()
  }

  private func leaveRemains() {
    var share = MemoryShare(worker.memory)
    swap(&share, &memory)
    if max(unread.storageCapacity, unsent.backlog.storageCapacity) >= LoopWorker.keptBytes {
      worker.free(Remains(unread, unsent.backlog, share))
    }
    unread = ByteBuffer()
    unsent = Unsent()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var arrived = unwrapInboundIn(data)
    if refusedBytes == 0 && unread.readableBytes == 0 {
      if answerAtOnce(&arrived, context) { return }
      swap(&unread, &arrived)
      return answerArrived(context)
    }
    if !keep(&arrived, context) { return }
    let before = unread.readableBytes
    answerArrived(context)
    if unread.readableBytes == before && before > 0 { holdReading() }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    flush(context)
    closeIfFinished(context)
  }

  func read(context: ChannelHandlerContext) {
    if flow.mayRead(limits) { return context.read() }
    isReadDue = true
    if !flow.isDribbling { notReadSince = notReadSince ?? .now() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed = event {
      flow.isInputClosed = true
      worker.afterOthers { self.context.map(self.closeIfFinished) }  // thousands may go at once
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    worker.logger.debug("connection lost", metadata: ["error": "\(error)", "caller": "\(caller.name)"])
    context.close(promise: nil)
  }
}

// MARK: - What has arrived

extension Connection {
  /// Puts what has arrived behind what waits, where there is memory for it; false: the connection is closed.
  private func keep(_ arrived: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
    passOverRefused(&arrived)
    if refusedBytes > 0 { waitToRead() }
    if arrived.readableBytes == 0 { return true }
    unread.discardReadBytes()
    if holdUnread(unread.readableBytes + arrived.readableBytes) {
      // Once: to grow is to copy. But nobody gets four megabytes of address space for a few bytes.
      if let length = lengthUnderWay, unread.readableBytes >= length / 4 {
        unread.reserveCapacity(length + Frame.headerBytes)
      }
      unread.writeBuffer(&arrived)
      return true
    }
    if refuseFrameUnderWay(context) { return keep(&arrived, context) }
    closeForMemory(context)
    return false
  }

  private func passOverRefused(_ arrived: inout ByteBuffer) {
    let passed = min(refusedBytes, arrived.readableBytes)
    arrived.moveReaderIndex(forwardBy: passed)
    refusedBytes -= passed
    if refusedBytes == 0 && unread.readableBytes == 0 { partialSince = nil }
  }

  /// Charges for bytes that wait to be taken apart; false: there is no memory for them.
  private func holdUnread(_ bytes: Int) -> Bool {
    let held = (bytes + Connection.pageBytes - 1) & ~(Connection.pageBytes - 1)
    if held > unreadHeld && !memory.take(held - unreadHeld) { return false }
    if held < unreadHeld { memory.give(unreadHeld - held) }
    unreadHeld = held
    return true
  }

  /// What is held in memory comes in pages.
  private static let pageBytes = 4_096

  /// Length of the large frame that is arriving; nil: there is none.
  private var lengthUnderWay: Int? {
    guard let length = unread.getInteger(at: unread.readerIndex, as: UInt32.self), length > limits.inlineFrameBytes,
      length <= limits.frameBytes, Int(length) + Frame.headerBytes > unread.readableBytes
    else { return nil }
    return Int(length)
  }

  /// What has come has brought no frame to its end.
  private func holdReading() {
    if lengthUnderWay != nil { return waitToRead() }
    if !flow.mayAnswer(limits) { return }  // whole frames wait
    flow.isDribbling = partialSince.map { .now() - $0 > Connection.longForSmallFrame } ?? false
  }

  private static let longForSmallFrame = TimeAmount.seconds(1)

  /// Reads on when it is this connection's turn among those whose frames come in many parts.
  private func waitToRead() {
    if flow.isTakingTurns { return }
    flow.isTakingTurns = true
    worker.readLater {
      self.flow.isTakingTurns = false
      self.context.map(self.resume)
    }
  }

  /// Refuses the large frame that is arriving, and passes over the rest of it. False: there is none.
  private func refuseFrameUnderWay(_ context: ChannelHandlerContext) -> Bool {
    guard let length = lengthUnderWay else { return false }
    refusedBytes = length + Frame.headerBytes - unread.readableBytes
    let id = unread.withUnsafeReadableBytes { Frame.requestID(UnsafeRawBufferPointer(rebasing: $0.dropFirst(4))) }
    unread = ByteBuffer()
    _ = holdUnread(0)
    var out = worker.takeOutput()
    worker.dispatcher.fail(id, .memoryExhausted, &out)
    send(&out, context)
    worker.giveBack(&out, to: self)
    return true
  }

  func closeForMemory(_ context: ChannelHandlerContext) {
    worker.logger.info(
      "connection closed", metadata: ["caller": "\(caller.name)", "reason": "no memory is left for what it has sent"])
    context.close(promise: nil)
  }

  /// Keeps what the sweep needs to know, and no memory that an idle connection has no use for.
  private func noteProgress(_ before: Int, _ context: ChannelHandlerContext) {
    if unread.readableBytes == 0 {
      if refusedBytes == 0 { partialSince = nil }
      if unread.storageCapacity > 0 { unread = ByteBuffer() }
    } else {
      if partialSince == nil || unread.readableBytes < before { partialSince = .now() }
      // Of what was read at once mostly little is left.
      if unread.storageCapacity > 4 * unread.readableBytes && lengthUnderWay == nil {
        unread = ByteBuffer(buffer: unread)
      }
    }
    if !holdUnread(unread.writerIndex) { closeForMemory(context) }
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
    if unsent.isUnflushed { flush(context) }
    var (out, turn) = (worker.takeOutput(), Turn(worker.round))
    arrived.readWithUnsafeReadableBytes { dispatcher.answerQuickly($0, &turn, into: &out) }
    if out.readableBytes > 0 { send(&out, context) }
    worker.giveBack(&out, to: self)
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
    if unsent.isUnflushed { flush(context) }
    var out = worker.takeOutput()
    let before = unread.readableBytes
    var turn = Turn(worker.round)
    while flow.mayAnswer(limits), answerSome(dispatcher, &turn, &out) {
      if out.readableBytes >= Connection.flushBytes { sendNow(&out, context) }
      if turn.isOver { yield() }
    }
    if out.readableBytes > 0 { send(&out, context) }
    worker.giveBack(&out, to: self)
    noteProgress(before, context)
  }

  static let flushBytes = 128 << 10

  /// Lets the other connections of the loop have their turn before the rest of what has arrived.
  private func yield() {
    flow.isYielding = true
    worker.afterOthers {
      self.flow.isYielding = false
      self.context.map(self.resume)
    }
  }

  /// Answers what can be answered quickly, and otherwise the first frame; false: there is no whole one.
  @inline(__always)
  private func answerSome(_ dispatcher: Dispatcher, _ turn: inout Turn, _ out: inout ByteBuffer) -> Bool {
    let quick = unread.readWithUnsafeReadableBytes { bytes in
      let count = dispatcher.answerQuickly(bytes, &turn, into: &out)
      return (count, count)
    }
    if quick > 0 { return true }
    let isAnswered = answerNext(dispatcher, &out)
    turn.count(32 + dispatcher.work)
    return isAnswered
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
      unread.moveReaderIndex(forwardBy: Frame.headerBytes)
      answerAside(takeFrame(taken - Frame.headerBytes))
      return true
    }
    unread.moveReaderIndex(forwardBy: taken)
    if case .answered = disposition { return true }
    begin(disposition, frame: taken, &out)
    return true
  }

  /// A large frame is mostly all there is: then its memory goes along with it.
  private func takeFrame(_ length: Int) -> ByteBuffer {
    let frame = unread.readSlice(length: length)!
    if unread.readableBytes == 0 { unread = ByteBuffer() }
    return frame
  }

  /// The stream can't be followed any more.
  private func refuse(_ error: FrameError, _ out: inout ByteBuffer) {
    worker.dispatcher.fail(0, Failure(.invalidArgument, "frame_too_long", "\(error)"), &out)
    flow.isFailed = true
  }

  /// Goes on after whatever stood in the way is gone.
  func resume(_ context: ChannelHandlerContext) {
    if !requests.streams.isEmpty { scheduleStreamTurn() }
    if unread.readableBytes > 0 {
      answerArrived(context)
      if !isAnswering { flush(context) }
    }
    if isReadDue && flow.mayRead(limits) {
      isReadDue = false
      if let since = notReadSince { partialSince = partialSince.map { $0 + (.now() - since) } }
      notReadSince = nil
      context.read()
    }
    closeIfFinished(context)
  }

  /// Closes when all that was written has been sent. The sweep closes a client that does not take it.
  func closeIfFinished(_ context: ChannelHandlerContext) {
    if !flow.isFinished || isClosing || isAnswering { return }
    look(context)
    if unsent.isBehind { return }  // it comes here again when the client has taken all
    isClosing = true
    context.close(promise: nil)
  }
}

// MARK: - What the worker asks of its connections

extension Connection {
  /// Closes a client that sends a frame too slowly or takes no answers.
  func sweep(_ now: NIODeadline) {
    guard let context, !isClosing else { return }
    noteTaken(now, context)
    if flow.isDribbling {
      flow.isDribbling = false
      waitToRead()
    }
    let isStalled = unsent.isStalled(now, limit: .milliseconds(Int64(limits.stallMilliseconds)))
    let isSlow =
      notReadSince == nil
      && (partialSince.map { now - $0 > .milliseconds(Int64(limits.frameMilliseconds)) } ?? false)
    if !isStalled && !isSlow { return }
    let words = isStalled ? "answers are not taken" : "a frame takes too long to arrive"
    isClosing = true
    worker.afterOthers { self.closeForSlowness(words) }  // thousands may be slow at once
  }

  private func closeForSlowness(_ words: String) {
    guard let context else { return }
    worker.logger.info("connection closed", metadata: ["caller": "\(caller.name)", "reason": "\(words)"])
    context.close(promise: nil)
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
