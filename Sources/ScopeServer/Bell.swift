import CScopeSystem
import NIOCore
import NIOPosix

#if canImport(Glibc)
  import Glibc
#endif

/// Is heard on its event loop when the loop has looked at its sockets again. A task would be too early: a loop runs all
/// tasks that are due, those that were added meanwhile too, before it looks.
final class Bell: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  var hear: () -> Void = {}
  /// An eventfd, which the channel owns; -1 before there is one, and when it is closed.
  private var descriptor: Int32 = -1
  private var isRung = false

  /// Hangs it up; on its loop.
  func hang(on loop: any EventLoop) -> EventLoopFuture<Void> {
    let handle = scope_eventfd()
    if handle < 0 { return loop.makeFailedFuture(IOError(errnoCode: errno, reason: "eventfd")) }
    let bell = NIOLoopBound(self, eventLoop: loop)
    return NIOPipeBootstrap(group: loop)
      .channelOption(.maxMessagesPerRead, value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bell.value) }
      }
      .takingOwnershipOfDescriptor(input: handle)
      .map { _ in bell.value.descriptor = handle }
      .flatMapErrorThrowing { error in
        close(handle)
        throw error
      }
  }

  /// Rings it, if it is not rung already.
  func ring() {
    if isRung || descriptor < 0 { return }
    isRung = true
    scope_eventfd_ring(descriptor)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    isRung = false
    hear()
  }

  func channelInactive(context: ChannelHandlerContext) { descriptor = -1 }
}
