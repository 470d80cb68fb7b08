import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// The least a server built on the same library as scoped can do: what came in goes out.
struct Echo: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "A bare NIO echo on a Unix socket.", shouldDisplay: false)

  @Argument(help: "Path of the socket.")
  var socket: String

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
  }

  func run() throws {
    let channel = try ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler()) }
      }
      .bind(unixDomainSocketPath: socket, cleanupExistingSocketFile: true).wait()
    print("echo: ready")
    fflush(nil)
    try channel.closeFuture.wait()
  }
}
