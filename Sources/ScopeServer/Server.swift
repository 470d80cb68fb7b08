import Logging
import NIOCore
import NIOPosix
import ScopeModel
import ScopeProtocol
import ScopeStore

#if canImport(Glibc)
  import Glibc
#endif

/// What a daemon is made from.
public struct ServerConfiguration: Sendable {
  /// The store.
  public var store: StoreConfiguration
  /// Where to listen; at least one.
  public var addresses: [ListenAddress]
  /// Mode of a Unix socket's file. Default 0660.
  public var socketMode: mode_t = 0o660
  /// What clients over TCP may do beside asking. Over a Unix socket the file's mode decides who may connect, and
  /// who may, may do all; over TCP every user of the machine may connect. Default: nothing.
  public var tcpScopes: CallerScopes = []
  /// Threads that serve connections. Default: one a core.
  public var eventLoops = System.coreCount
  public var limits = Limits()
  /// How channels of Asterisk are served, at addresses that are `fastAGI`.
  public var fastAGI = FastAGIConfiguration()
  /// How companies come into memory.
  public var loading = LoadingConfiguration()

  public init(store: StoreConfiguration, addresses: [ListenAddress]) {
    self.store = store
    self.addresses = addresses
  }

  /// Whether the process may open as many files as it needs. To be asked before anything of Dispatch or NIO is used:
  /// both trap where they can't open theirs.
  public func checkDescriptors() throws(TooFewDescriptors) {
    _ = try connectionsPossible(atMost: limits.connections, eventLoops: eventLoops)
  }
}

/// The daemon: the authority, the event loops and the listeners.
public final class Server: Sendable {
  /// Where the daemon listens, with the ports the system chose.
  public let addresses: [ListenAddress]
  private let authority: Authority
  private let group: MultiThreadedEventLoopGroup
  private let workers: [NIOLoopBound<LoopWorker>]
  private let pool: WorkerPool
  private let historian: Historian
  private let listeners: [Listener]
  private let sweeps: [RepeatedTask]
  private let daemon: DaemonState
  private let fastAGI: FastAGIService
  private let logger: Logger

  /// For tests: memory charged to connections.
  package var heldBytes: Int { daemon.memory.usedBytes }

  /// Opens the store and listens. Companies are loaded meanwhile and afterwards: questions about one that is not
  /// loaded yet wait for it.
  public static func start(_ configuration: ServerConfiguration, logger: Logger) async throws -> Server {
    var limits = configuration.limits
    limits.connections = try connectionsPossible(atMost: limits.connections, eventLoops: configuration.eventLoops)
    let authority = try await Authority.open(
      configuration.store, loading: configuration.loading, limits: limits, logger: logger
    ) { error in
      logger.critical("the disk failed under a commit; the process ends", metadata: ["error": "\(error)"])
      LogWriter.standardError.flush(within: .seconds(2))
      _exit(70)
    }.get()
    do {
      return try await Server(configuration, limits: limits, authority: authority, logger: logger)
    } catch {
      try? await authority.close()
      throw error
    }
  }

  private init(
    _ configuration: ServerConfiguration, limits: Limits, authority: Authority, logger: Logger
  ) async throws {
    let daemon = DaemonState(limits: limits, authority: authority)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoops)
    let pool = WorkerPool(threads: 2, limits: limits, authority: authority, daemon: daemon)
    let historian = Historian(
      limits: limits, authority: authority, daemon: daemon, beforeGoingBack: configuration.loading.beforeGoingBack)
    var workers: [NIOLoopBound<LoopWorker>] = []
    for loop in group.makeIterator() {
      let worker = try await loop.submit {
        let worker = LoopWorker(
          loop: loop, limits: limits, logger: logger, authority: authority, daemon: daemon, pool: pool,
          historian: historian)
        return NIOLoopBound(worker, eventLoop: loop)
      }.get()
      workers.append(worker)
    }
    self.authority = authority
    self.daemon = daemon
    self.group = group
    self.pool = pool
    self.historian = historian
    self.workers = workers
    self.logger = logger
    fastAGI = FastAGIService(configuration.fastAGI, logger: logger)
    let acceptor = Acceptor(
      group: group, workers: workers, daemon: daemon, fastAGI: fastAGI, configuration: configuration, limits: limits,
      logger: logger)
    do {
      for worker in workers { try await worker.eventLoop.flatSubmit { worker.value.begin() }.get() }
      listeners = try await acceptor.listen()
    } catch {
      _ = await historian.stop(before: .distantFuture, on: group.next())
      _ = await pool.stop(before: .distantFuture, on: group.next())
      try? await group.shutdownGracefully()
      throw error
    }
    addresses = listeners.map(\.address)
    for worker in workers { authority.feed.onChange { worker.eventLoop.execute { worker.value.wake() } } }
    let second = TimeAmount.seconds(1)
    sweeps =
      workers.map { worker in
        worker.eventLoop.scheduleRepeatedTask(initialDelay: second, delay: second) { _ in worker.value.sweep() }
      } + [
        group.next().scheduleRepeatedTask(initialDelay: second, delay: second) { [listeners] _ in
          for listener in listeners { listener.look() }
        }
      ]
  }

  /// Stops: no new connections, what was asked is answered, then everything is closed. What takes longer than a
  /// quarter of the time, and what it keeps from its turn, is answered that the daemon stops.
  ///
  /// - Parameter limit: clients that take longer to take their answers are cut off.
  public func stop(within limit: TimeAmount = .milliseconds(4_500)) async throws {
    let begun = NIODeadline.now()
    let deadline = begun + limit - .milliseconds(500)  // the rest is for closing the store
    for listener in listeners { await listener.close() }
    for sweep in sweeps { sweep.cancel() }
    for worker in workers { worker.eventLoop.execute { worker.value.stop() } }
    let end = group.next().scheduleTask(deadline: begun + .nanoseconds(limit.nanoseconds / 4)) { self.end() }
    await daemon.connections.becomesZero(before: deadline, on: group.next())
    end.cancel()
    self.end()
    for worker in workers { try await worker.eventLoop.submit { worker.value.closeAll() }.get() }
    fastAGI.sumUp()
    let late = deadline + .milliseconds(250)
    async let areEnded = [historian.stop(before: late, on: group.next()), pool.stop(before: late, on: group.next())]
    let isAllEnded = await areEnded.allSatisfy(\.self)
    try await authority.close(before: late)
    if isAllEnded { try await group.shutdownGracefully() }
  }

  /// Ends what takes long.
  private func end() {
    daemon.ending.begin()
    authority.end()
  }
}

/// A place that is listened at.
private enum Listener {
  case unix(SocketFile)
  case tcp(any Channel, ListenAddress)

  var address: ListenAddress {
    switch self {
    case .unix(let file): .unix(path: file.path)
    case .tcp(_, let address): address
    }
  }

  func look() { if case .unix(let file) = self { file.look() } }

  func close() async {
    switch self {
    case .unix(let file): await file.close()
    case .tcp(let channel, _): try? await channel.close()
    }
  }
}

/// Binds the listeners and sets each connection up.
private struct Acceptor {
  let group: MultiThreadedEventLoopGroup
  let workers: [NIOLoopBound<LoopWorker>]
  let daemon: DaemonState
  let fastAGI: FastAGIService
  let configuration: ServerConfiguration
  let limits: Limits
  let logger: Logger

  private static let kernelBytes = 212_992

  /// In the order of the configuration, with the ports that the system chose.
  func listen() async throws -> [Listener] {
    var listeners: [Listener] = []
    do {
      for address in configuration.addresses { listeners.append(try await listen(at: address)) }
    } catch {
      for listener in listeners { await listener.close() }
      throw error
    }
    return listeners
  }

  private func listen(at address: ListenAddress) async throws -> Listener {
    switch address {
    case .unix(let path):
      let file = SocketFile(path, mode: configuration.socketMode, logger: logger) {
        bootstrap(for: address).withBoundSocket($0)
      }
      try await file.open()
      return .unix(file)
    case .loopback(let host, let port), .fastAGI(let host, let port):
      let bootstrap = bootstrap(for: address)
      let channel = try await bound(address) { try await bootstrap.bind(host: host, port: port).get() }
      return .tcp(channel, channel.localAddress?.port.map(address.with) ?? address)
    }
  }

  private func bound(_ address: ListenAddress, _ bind: () async throws -> any Channel) async throws -> any Channel {
    do {
      return try await bind()
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw AddressError.inUse(address)
    } catch let error as IOError {
      throw AddressError.failed(address, String(cString: strerror(error.errnoCode)))
    }
  }

  private func bootstrap(for address: ListenAddress) -> ServerBootstrap {
    let byLoop = Dictionary(uniqueKeysWithValues: workers.map { (ObjectIdentifier($0.eventLoop), $0) })
    let daemon = daemon
    let scopes = address.isUnix ? .all : configuration.tcpScopes
    let fastAGI = address.isFastAGI ? fastAGI : nil
    let refuse = { @Sendable [logger] (channel: any Channel, full: ConnectionCount) -> EventLoopFuture<Void> in
      daemon.connectionsRefused.add(1, ordering: .relaxed)
      // Each time the same words: the log counts them.
      logger.warning("a connection was closed at once: too many are open", metadata: ["limit": "\(full.limit)"])
      return channel.eventLoop.makeFailedFuture(TooManyConnections())
    }
    return ServerBootstrap(group: group)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AcceptPace()) }
      }
      .serverChannelOption(.backlog, value: SocketFile.backlog)
      .serverChannelOption(.maxMessagesPerRead, value: AcceptPace.atOnce)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      // Of each connection, as it is for Unix sockets anyway. For TCP the kernel would keep megabytes of a client that
      // does not read, and NIO reads all that is left in one go when a client goes.
      .serverChannelOption(.socketOption(.so_sndbuf), value: Acceptor.kernelBytes)
      .serverChannelOption(.socketOption(.so_rcvbuf), value: Acceptor.kernelBytes)
      .childChannelOption(.allowRemoteHalfClosure, value: fastAGI == nil)  // without replies a channel can't be told
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)  // one connection's bytes are one turn's
      .childChannelOption(.recvAllocator, value: ReadSize(daemon.connections))
      .childChannelInitializer { channel in
        if !daemon.connections.enter() { return refuse(channel, daemon.connections) }
        channel.closeFuture.whenComplete { _ in daemon.connections.leave() }
        if let fastAGI {
          if !fastAGI.connections.enter() { return refuse(channel, fastAGI.connections) }
          channel.closeFuture.whenComplete { _ in fastAGI.connections.leave() }
        }
        return channel.eventLoop.makeCompletedFuture {
          let worker = byLoop[ObjectIdentifier(channel.eventLoop)]!.value
          if let fastAGI {
            let connection = FastAGIConnection(worker: worker, service: fastAGI)
            return try channel.pipeline.syncOperations.addHandler(connection)
          }
          let caller = Caller(name: try callerName(channel), scopes: scopes, source: Source())
          try channel.pipeline.syncOperations.addHandler(Connection(worker: worker, caller: caller))
        }
      }
  }
}

/// How much of a connection is read at once: what it sends, up to 64 KiB, and less where many are open. Hundreds may have
/// something to be read, and NIO reads them all before it does anything else.
private struct ReadSize: RecvByteBufferAllocator {
  private var wanted = AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2_048, maximum: 64 << 10)
  private let connections: ConnectionCount

  init(_ connections: ConnectionCount) { self.connections = connections }

  private var size: Int {
    let share = (512 << 10) / max(connections.count, 1)
    return min(wanted.nextBufferSize() ?? wanted.maximum, max(share, 16 << 10))
  }

  func nextBufferSize() -> Int? { size }

  func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: size) }

  mutating func record(actualReadBytes: Int) -> Bool { wanted.record(actualReadBytes: actualReadBytes) }
}

/// Has a listener that many connect to at once let others have their turn. Its connections are set up on loops that run
/// all they are given before they look at their sockets.
private final class AcceptPace: ChannelDuplexHandler {
  typealias InboundIn = NIOAny
  typealias OutboundIn = Never

  static let atOnce: UInt = 4
  private static let pause = TimeAmount.microseconds(250)

  /// Since the last read.
  private var accepted: UInt = 0

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    accepted += 1
    context.fireChannelRead(data)
  }

  func read(context: ChannelHandlerContext) {
    let isBurst = accepted >= AcceptPace.atOnce
    accepted = 0
    if !isBurst { return context.read() }
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    context.eventLoop.scheduleTask(in: AcceptPace.pause) { bound.value.read() }
  }
}

/// Closes a connection at once; a daemon that is full has no words to spare.
private struct TooManyConnections: Error {}

private func callerName(_ channel: any Channel) throws -> Name {
  guard case .unixDomainSocket = channel.localAddress else { return "tcp" }
  let user = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
    peerUser($0)
  }
  return user?.map { Name(stringLiteral: "uid:\($0)") } ?? "unix"
}

extension ListenAddress {
  fileprivate var isUnix: Bool {
    if case .unix = self { true } else { false }
  }

  fileprivate var isFastAGI: Bool {
    if case .fastAGI = self { true } else { false }
  }

  /// The same place with the port that the system chose.
  fileprivate func with(port: Int) -> ListenAddress {
    switch self {
    case .unix: self
    case .loopback(let host, _): .loopback(host: host, port: port)
    case .fastAGI(let host, _): .fastAGI(host: host, port: port)
    }
  }
}
