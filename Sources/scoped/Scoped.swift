import ArgumentParser
import CScopeSystem
import Dispatch
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ScopeProtocol
import ScopeServer
import ScopeStore

#if canImport(Glibc)
  import Glibc
#endif

/// The daemon: configuration and wiring.
@main
struct Scoped: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scoped",
    abstract: "Answers who may see and use what in a contact centre.",
    discussion: """
      Serves the rules in DATA over a Unix socket, and, if asked to, over TCP on loopback and to Asterisk. Prints one \
      line on standard output when it is ready, and logs on standard error. SIGTERM and SIGINT stop it within \
      five seconds: what was asked is answered, and nothing acknowledged is lost.

      SIGHUP does nothing.

      Examples:
        scoped --data /var/lib/scoped --socket /run/scoped/scoped.sock --create    # the first time
        scoped --data /var/lib/scoped --socket /run/scoped/scoped.sock
      """,
    version: "\(Release.version)")

  @Option(name: .long, help: "Folder of the rules. One daemon at a time.")
  var data: String

  @Flag(
    name: .long,
    help: ArgumentHelp(
      "Make the folder and a new, empty store where there is none; one that is there is served as it is. Without it, a "
        + "start that finds no store is refused: its volume may not be mounted. SCOPED_CREATE=1 says the same."))
  var create = false

  @Option(name: .long, help: "Path of the Unix socket to serve.")
  var socket: String

  @Option(name: .long, help: "Mode of the socket, in octal.")
  var socketMode = "660"

  @Option(name: .long, help: "HOST:PORT on loopback to serve as well. Port 0: any free one.")
  var tcp: String?

  @Option(
    name: .long, parsing: .upToNextOption,
    help: ArgumentHelp(
      "What every user of this machine may do over TCP beside asking: write (changes in the name of a user), platform "
        + "(changes without one), audit (the log, and what was earlier). (default: nothing)",
      valueName: "scope"))
  var tcpAllows: [TCPScope] = []

  @Option(
    name: .customLong("fastagi"),
    help: ArgumentHelp(
      "HOST:PORT to serve Asterisk's AGI() at, mostly 127.0.0.1:4573; repeat it for more. Whoever connects may ask "
        + "can-see, has-right and screen-number about any company, and nothing else. Port 0: any free one. (default: nowhere)",
      valueName: "host:port"))
  var fastAGI: [String] = []

  @Option(
    name: .customLong("fastagi-without-tls"),
    help: ArgumentHelp(
      "An address beside loopback that --fastagi may serve: the network it is in decides who may ask, and reads along. "
        + "Name each by itself.",
      valueName: "host"))
  var fastAGIWithoutTLS: [String] = []

  @Option(
    name: .customLong("fastagi-timeout"),
    help: ArgumentHelp("Milliseconds that one AGI() may take; then it is cut off.", valueName: "milliseconds"))
  var fastAGITimeout = FastAGIConfiguration().timeoutMilliseconds

  @Option(
    name: .customLong("fastagi-connections"),
    help: ArgumentHelp("How many AGI() may be under way at once; one more is closed at once.", valueName: "n"))
  var fastAGIConnections = FastAGIConfiguration().connections

  @Option(name: .long, help: "Threads that serve connections. (default: one a core)")
  var threads: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory for the companies' indexes, such as 512MiB or 2GiB: beyond it those asked least recently are dropped, and "
        + "loaded again when they are asked for. (default: as much as they take)",
      valueName: "size"))
  var memoryBudget: ByteCount?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory for what arrives, waits and is unsent on all connections, such as 512MiB. A request may take an eighth of "
        + "it at most. (default: a quarter of the machine's, at most 192MiB)",
      valueName: "size"))
  var connectionMemory: ByteCount?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Go on without changes that are missing: the revision that the refused start has told. For one start.",
      valueName: "revision"))
  var acceptLoss: UInt64?

  @Option(name: .long, help: "Lowest level logged: trace, debug, info, notice, warning, error, critical.")
  var logLevel: Logger.Level = .info

  @Option(
    name: .long,
    help: ArgumentHelp(
      "What a crash leaves: end (nothing; the process is gone at once), core (a core file, within ulimit -c: it holds the "
        + "rules and numbers), trace (a short trace in the log, by the toolchain's swift-backtrace; the process is gone "
        + "some seconds later).",
      valueName: "what"))
  var onCrash = Crash.end

  func validate() throws {
    guard mode_t(socketMode, radix: 8).map({ $0 <= 0o777 }) == true else {
      throw ValidationError("--socket-mode '\(socketMode)' is not an octal mode such as 660.")
    }
    if fastAGI.count > 8 { throw ValidationError("--fastagi names 8 addresses at most.") }
    guard (100...60_000).contains(fastAGITimeout) else {
      throw ValidationError("--fastagi-timeout is from 100 to 60000 milliseconds.")
    }
    guard (1...65_536).contains(fastAGIConnections) else {
      throw ValidationError("--fastagi-connections is from 1 to 65536.")
    }
    if let connectionMemory, connectionMemory.bytes < 64 << 20 {
      throw ValidationError("--connection-memory is 64MiB at least: a frame may have 4 MiB.")
    }
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads is from 1 to 256.") }
  }

  /// Not asynchronous itself: Dispatch, which then runs the program, traps where it can't open its files.
  func run() throws {
    onCrash.prepare()
    scope_heap_prepare()
    keepStandardErrorFromBlocking()
    LoggingSystem.bootstrap { LineLogHandler(label: $0) }
    var logger = Logger(label: "scoped")
    logger.logLevel = logLevel
    defer { LogWriter.standardError.flush(within: logPatience) }
    do {
      let configuration = try serverConfiguration()
      try configuration.checkDescriptors()
      try waiting { [logger] in try await serve(configuration, logger) }
    } catch {
      logger.critical("\(error)")
      throw ExitCode(error is AddressError ? EX_CANTCREAT : EX_UNAVAILABLE)
    }
  }

  private func serverConfiguration() throws -> ServerConfiguration {
    var addresses = [ListenAddress.unix(path: socket)]
    if let tcp { addresses.append(try .tcp(tcp)) }
    addresses += try ListenAddress.fastAGI(fastAGI, exposed: fastAGIWithoutTLS)
    var configuration = ServerConfiguration(store: StoreConfiguration(directory: data), addresses: addresses)
    configuration.store.createsIfMissing = create || getenv("SCOPED_CREATE").map { String(cString: $0) } == "1"
    configuration.store.acceptedLoss = acceptLoss
    configuration.socketMode = mode_t(socketMode, radix: 8)!
    configuration.tcpScopes = tcpAllows.reduce(into: []) { $0.formUnion($1.scopes) }
    configuration.fastAGI.timeoutMilliseconds = fastAGITimeout
    configuration.fastAGI.connections = fastAGIConnections
    if let threads { configuration.eventLoops = threads }
    configuration.loading.budgetBytes = memoryBudget?.bytes
    if let connectionMemory { configuration.limits.connectionBytes = connectionMemory.bytes }
    return configuration
  }
}

private func serve(_ configuration: ServerConfiguration, _ logger: Logger) async throws {
  let stop = StopSignal()
  let server = try await Server.start(configuration, logger: logger)
  print("scoped: ready at \(server.addresses.map(\.description).joined(separator: " and "))")
  fflush(nil)
  await stop.arrives()
  logger.info("stopping")
  try await server.stop()
  logger.info("stopped")
}

/// Runs the body on other threads, and waits for it on this one.
private func waiting(_ body: @escaping @Sendable () async throws -> Void) throws {
  let (end, outcome) = (DispatchSemaphore(value: 0), NIOLockedValueBox(Result<Void, any Error>.success(())))
  Task.detached {
    do { try await body() } catch { outcome.withLockedValue { $0 = .failure(error) } }
    end.signal()
  }
  end.wait()
  try outcome.withLockedValue { $0 }.get()
}

/// A size in memory as it is written: `512MiB`, `2GiB`, or bytes.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)]
    guard let (unit, shift) = units.first(where: { argument.hasSuffix($0.0) }),
      let number = Int(argument.dropLast(unit.count)), number > 0, number <= Int.max >> shift
    else { return nil }
    bytes = number << shift
  }
}

enum TCPScope: String, CaseIterable, ExpressibleByArgument {
  case write, platform, audit

  fileprivate var scopes: CallerScopes {
    switch self {
    case .write: .write
    case .platform: .platform
    case .audit: .audit
    }
  }
}

/// How long the process waits at its end for the log to be written.
private let logPatience = TimeAmount.milliseconds(200)

extension Logger.Level: @retroactive ExpressibleByArgument {}
