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
      Serves the rules in the data folder over a Unix socket and, if told to, over TCP on loopback and to Asterisk. \
      Prints one line to standard output when it is ready, and logs to standard error. SIGTERM and SIGINT stop it \
      within five seconds: requests that have arrived are answered, and no acknowledged change is lost. SIGHUP is \
      ignored.

      Examples:
        scoped --data /var/lib/scoped --socket /run/scoped/scoped.sock --create    # the first start
        scoped --data /var/lib/scoped --socket /run/scoped/scoped.sock             # every later start
      """,
    version: "\(Release.version)")

  @Option(name: .long, help: "The data folder. One daemon at a time can use it.")
  var data: String

  @Flag(
    name: .long,
    help: ArgumentHelp(
      "Create the data folder and an empty store if there is none; an existing store is served as it is. Without this, a "
        + "start that finds no store is refused: its volume may not be mounted. SCOPED_CREATE=1 does the same."))
  var create = false

  @Option(name: .long, help: "Path of the Unix socket to serve.")
  var socket: String

  @Option(name: .long, help: "Permissions of the socket's file, in octal.")
  var socketMode = "660"

  @Option(name: .long, help: "Serve TCP too, at HOST:PORT on loopback. Port 0 picks a free one. (default: off)")
  var tcp: String?

  @Option(
    name: .long, parsing: .upToNextOption,
    help: ArgumentHelp(
      "What TCP clients, that is, all users of this machine, may do besides asking: write (changes on behalf of a "
        + "user), platform (changes without one), audit (the log and earlier times). (default: nothing)",
      valueName: "scope"))
  var tcpAllows: [TCPScope] = []

  @Option(
    name: .customLong("fastagi"),
    help: ArgumentHelp(
      "Serve Asterisk's AGI() at HOST:PORT, usually 127.0.0.1:4573; repeat it for more. Anyone who can connect may ask "
        + "can-see, has-right and screen-number about any company, and nothing else. Port 0 picks a free one. "
        + "(default: off)",
      valueName: "host:port"))
  var fastAGI: [String] = []

  @Option(
    name: .customLong("fastagi-without-tls"),
    help: ArgumentHelp(
      "An address other than loopback that --fastagi may use, unencrypted: its network decides who can ask and who can "
        + "read along. Repeat it for more.",
      valueName: "host"))
  var fastAGIWithoutTLS: [String] = []

  @Option(
    name: .customLong("fastagi-timeout"),
    help: ArgumentHelp("Time limit of one AGI() call, in milliseconds, from 100 to 60000.", valueName: "milliseconds"))
  var fastAGITimeout = FastAGIConfiguration().timeoutMilliseconds

  @Option(
    name: .customLong("fastagi-connections"),
    help: ArgumentHelp(
      "AGI() calls that may run at the same time, from 1 to 65536; further ones are closed at once.", valueName: "n"))
  var fastAGIConnections = FastAGIConfiguration().connections

  @Option(name: .long, help: "Threads that serve connections, from 1 to 256. (default: one per core)")
  var threads: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory for the companies' indexes, such as 512MiB or 2GiB. Beyond it, the least recently used are dropped, and "
        + "loaded again when they are needed. (default: unlimited)",
      valueName: "size"))
  var memoryBudget: ByteCount?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory for the requests and unsent answers of all connections together, such as 512MiB; at least 64MiB. One "
        + "request can take at most an eighth of it. (default: a quarter of the machine's memory, at most 192MiB)",
      valueName: "size"))
  var connectionMemory: ByteCount?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Start without the changes that are missing: the revision that the refused start named. For one start only.",
      valueName: "revision"))
  var acceptLoss: UInt64?

  @Option(name: .long, help: "Lowest level to log: trace, debug, info, notice, warning, error, critical.")
  var logLevel: Logger.Level = .info

  @Option(
    name: .long,
    help: ArgumentHelp(
      "What a crash leaves behind: end (nothing; the process is gone at once), core (a core file, within ulimit -c; it "
        + "contains rules and phone numbers), trace (a short stack trace in the log, written by the toolchain's "
        + "swift-backtrace; the process ends some seconds later).",
      valueName: "what"))
  var onCrash = Crash.end

  func validate() throws {
    guard mode_t(socketMode, radix: 8).map({ $0 <= 0o777 }) == true else {
      throw ValidationError("--socket-mode '\(socketMode)' is not an octal mode such as 660.")
    }
    if fastAGI.count > 8 { throw ValidationError("--fastagi takes at most 8 addresses.") }
    guard (100...60_000).contains(fastAGITimeout) else {
      throw ValidationError("--fastagi-timeout must be from 100 to 60000 milliseconds.")
    }
    guard (1...65_536).contains(fastAGIConnections) else {
      throw ValidationError("--fastagi-connections must be from 1 to 65536.")
    }
    if let connectionMemory, connectionMemory.bytes < 64 << 20 {
      throw ValidationError("--connection-memory must be at least 64MiB: one frame can have 4 MiB.")
    }
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads must be from 1 to 256.") }
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
      LogWriter.standardError.flush(within: .seconds(2))  // nobody waits for what failed, but for the reason
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
