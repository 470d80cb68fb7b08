import NIOCore
import ScopeProtocol

/// What a client has not taken yet. Pure but for its buffer: the connection acts.
struct Unsent {
  /// The channel was handed something that it has not tried to send.
  var isUnflushed = false
  /// So much was handed over that a look is worth while whether the client took it.
  var needsLook = false
  /// The channel holds what the client does not take. What comes behind that is kept here, so that a hundred small
  /// answers take what they are long, and not a buffer each.
  fileprivate(set) var isBehind = false
  fileprivate(set) var backlog = ByteBuffer()
  /// Memory of what is in the channel, and of the backlog.
  fileprivate var held = 0
  private var bytesInChannel = 0
  /// Nothing was taken since then.
  private var untakenSince = NIODeadline.now()
  /// More is unsent than should be, and has not fallen below the half of that.
  private var congestedSince: NIODeadline?

  fileprivate mutating func fallBehind(_ bytes: Int) {
    isBehind = true
    bytesInChannel = bytes
    untakenSince = .now()
  }

  fileprivate mutating func setCongested(_ isCongested: Bool) {
    congestedSince = isCongested ? congestedSince ?? .now() : nil
  }

  /// Takes note of how much the channel still holds.
  mutating func note(_ bytes: Int, _ now: NIODeadline) {
    if bytes < bytesInChannel { untakenSince = now }
    bytesInChannel = bytes
  }

  /// The client takes nothing, or too little.
  func isStalled(_ now: NIODeadline, limit: TimeAmount) -> Bool {
    isBehind && (now - untakenSince > limit || congestedSince.map { now - $0 > limit } ?? false)
  }
}

extension Connection {
  /// Hands an answer over, behind all that was before it. It goes with the next flush.
  func send(_ out: inout ByteBuffer, _ context: ChannelHandlerContext) {
    if unsent.isBehind { return keepBack(&out, context) }
    if out.readableBytes >= Connection.flushBytes { unsent.needsLook = true }
    unsent.isUnflushed = true
    context.write(wrapOutboundOut(out), promise: nil)
  }

  /// Sends what there is at once, so that it is noticed when the client does not take it.
  func sendNow(_ out: inout ByteBuffer, _ context: ChannelHandlerContext) {
    if out.readableBytes > 0 { send(&out, context) }
    flush(context)
    look(context)
    out.clear()
  }

  func flush(_ context: ChannelHandlerContext) {
    if !unsent.isUnflushed { return }
    unsent.isUnflushed = false
    if unsent.isBehind { return }
    context.flush()
    if unsent.needsLook { look(context) }
  }

  /// Looks whether the client has taken all that was handed over. That costs about as much as a check: reads in which
  /// little was answered leave it out, and find out by the buffer they made the last answer in.
  func look(_ context: ChannelHandlerContext) {
    unsent.needsLook = false
    if unsent.isBehind { return }
    if unsent.isUnflushed { flush(context) }
    let bytes = bytesInChannel(context)
    if bytes > 0 { fallBehind(bytes, context) }
  }

  func bytesInChannel(_ context: ChannelHandlerContext) -> Int {
    (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
  }

  private func fallBehind(_ bytes: Int, _ context: ChannelHandlerContext) {
    unsent.fallBehind(bytes)
    if !holdUnsent(max(bytes, LoopWorker.outputBytes)) { return closeForMemory(context) }
    let sent = context.eventLoop.makePromise(of: Void.self)
    sent.futureResult.assumeIsolated().whenComplete { _ in self.catchUp() }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
    noteCongestion(bytes)
  }

  private func keepBack(_ out: inout ByteBuffer, _ context: ChannelHandlerContext) {
    let before = unsent.backlog.storageCapacity
    if out.readableBytes >= Connection.flushBytes && unsent.backlog.readableBytes == 0 {
      unsent.backlog = out  // a large answer's memory goes along with it
      out = ByteBuffer()
    } else {
      unsent.backlog.writeBuffer(&out)
    }
    if !holdUnsent(unsent.backlog.storageCapacity - before) { return closeForMemory(context) }
    // What waiting costs counts, and not how many bytes wait.
    if unsent.held > limits.unsentBytes { setCongested(true) }
  }

  private func holdUnsent(_ bytes: Int) -> Bool {
    if !memory.take(bytes) { return false }
    unsent.held += bytes
    return true
  }

  /// The client has taken all that the channel had: what was kept back follows.
  private func catchUp() {
    memory.give(unsent.held)
    (unsent.held, unsent.isBehind) = (0, false)
    guard let context else { return }
    let rest = unsent.backlog
    unsent.backlog = ByteBuffer()
    if rest.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(rest), promise: nil) }
    look(context)
    if !unsent.isBehind { setCongested(false) }
    noteHeld()
    resume(context)
  }

  /// Takes note of how much is unsent, and goes on where it has become little.
  func noteTaken(_ now: NIODeadline, _ context: ChannelHandlerContext) {
    if !unsent.isBehind { return }
    let bytes = bytesInChannel(context)
    unsent.note(bytes, now)
    let wasCongested = flow.isCongested
    noteCongestion(bytes + unsent.backlog.readableBytes)
    if wasCongested && !flow.isCongested { resume(context) }
  }

  /// Congested is who has more unsent than the limit, until it falls below the half of that.
  private func noteCongestion(_ bytes: Int) {
    if bytes > limits.unsentBytes { setCongested(true) }
    if bytes < limits.unsentBytes / 2 { setCongested(false) }
  }

  private func setCongested(_ isCongested: Bool) {
    flow.isCongested = isCongested
    unsent.setCongested(isCongested)
  }
}
