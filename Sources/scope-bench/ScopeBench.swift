import ArgumentParser
import Foundation
import NIOCore
import NIOPosix
import ScopeClient
import ScopeIndex
import ScopeModel
import ScopeTesting

/// Measures the daemon beside others, with one client for all. `Scripts/bench` starts them.
@main
struct ScopeBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scope-bench", abstract: "Measures scoped beside a bare echo and Redis.",
    subcommands: [Echo.self, Generate.self, Measure.self])
}

/// The least a server built on the same library can do: what came in goes out.
struct Echo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(abstract: "A bare NIO echo on a Unix socket.")

  @Argument(help: "Path of the socket.")
  var socket: String

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }
    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
  }

  func run() async throws {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler()) }
      }
      .bind(unixDomainSocketPath: socket, cleanupExistingSocketFile: true).get()
    print("echo: ready")
    fflush(nil)
    try await channel.closeFuture.get()
  }
}

/// The company that is asked about: the same for all contestants.
private let centre = ContactCentre(.medium, seed: 1)
private let companyID: Name = "bench"

/// Writes the company as JSON Lines, for `scopectl import`.
struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Writes the company that is asked about as JSON Lines.")

  func run() throws {
    for change in centre { print(ChangeLine(company: companyID, change: change).json) }
  }
}

struct Measure: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Asks each contestant in turn and prints medians.")

  @Option(help: "Socket of scoped.") var scoped: String
  @Option(help: "Socket of the echo.") var echo: String
  @Option(help: "Socket of Redis.") var redis: String
  @Option(help: "Rounds; each contestant takes its turn in each.") var rounds = 5
  @Option(help: "Requests of one turn at depth 1; ten times as many at depth 64.") var requests = 20_000
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let questions = try Questions()
    try questions.fillRedis(at: redis)
    let contestants = [
      Contestant(
        name: "scoped", socket: scoped, checks: questions.scoped, filter: questions.scopedFilter, ends: .frames),
      Contestant(
        name: "NIO echo", socket: echo, checks: questions.scoped, filter: questions.scopedFilter, ends: .frames),
      Contestant(name: "Redis", socket: redis, checks: questions.redis, filter: questions.redisFilter, ends: .replies),
    ]
    var results = contestants.map { _ in [Round]() }
    for round in 1...rounds {
      for (index, contestant) in contestants.enumerated() {
        results[index].append(try contestant.measure(requests))
        FileHandle.standardError.write(Data("\rround \(round) of \(rounds): \(contestant.name)        ".utf8))
      }
    }
    FileHandle.standardError.write(Data("\r                                        \r".utf8))
    for (contestant, rounds) in zip(contestants, results) {
      print(json ? Round.median(rounds).json(contestant.name) : Round.median(rounds).words(contestant.name))
    }
  }
}

/// The same questions in each contestant's own words.
private struct Questions {
  var scoped: [[UInt8]] = []
  var redis: [[UInt8]] = []
  let scopedFilter: [UInt8]
  let redisFilter: [UInt8]
  private let sets: [(key: String, members: [String])]

  init() throws {
    let company = try centre.company(id: companyID)
    let users = (1...100).map { centre.userID($0) }
    let objects = (0..<1_000).map { centre.object($0) }
    var random = SeededRandom(seed: 2)
    for id in 1...1_024 as ClosedRange<UInt64> {
      let (user, object) = (users.randomElement(using: &random)!, objects.randomElement(using: &random)!)
      var request = RawRequest.canSee(
        companyID.text, (1, Array(user.text.utf8)), (UInt64(object.type.number), Array(object.id.text.utf8)))
      request.id = id
      scoped.append(RawConnection.frame(request.packed))
      redis.append(Questions.command(["SISMEMBER", "see:\(user)", "\(object)"]))
    }
    let queues = company.objects.keys.filter { $0.type.name == "queue" }.sorted().prefix(1_000)
    let user = users[0]
    let ids = queues.flatMap { Proto.message(4, Array($0.id.text.utf8)) }
    let call =
      Proto.number(1, 1) + Proto.bytes(2, Array(user.text.utf8)) + Proto.number(3, 16) + ids + Proto.number(6, 1)
    scopedFilter = RawConnection.frame(RawRequest(company: companyID.text, call: 14, call).packed)
    redisFilter = Questions.command(["SMISMEMBER", "see:\(user)"] + queues.map { "\($0)" })
    sets = users.map { user in
      ("see:\(user)", company.objects.keys.filter { company.sees(user, $0) }.map { "\($0)" })
    }
    precondition(queues.count == 1_000, "the company has fewer than 1,000 queues")
  }

  func fillRedis(at socket: String) throws {
    let connection = try RawConnection("unix:\(socket)")
    for (key, members) in sets where !members.isEmpty { connection.send(Questions.command(["SADD", key] + members)) }
  }

  private static func command(_ words: [String]) -> [UInt8] {
    Array("*\(words.count)\r\n".utf8) + words.flatMap { Array("$\($0.utf8.count)\r\n\($0)\r\n".utf8) }
  }
}

/// One turn of a contestant.
private struct Round {
  var p50: Double
  var p99: Double
  var rate: Double
  var idsPerSecond: Double

  static func median(_ rounds: [Round]) -> Round {
    func middle(_ value: (Round) -> Double) -> Double { rounds.map(value).sorted()[rounds.count / 2] }
    return Round(p50: middle(\.p50), p99: middle(\.p99), rate: middle(\.rate), idsPerSecond: middle(\.idsPerSecond))
  }

  func words(_ name: String) -> String {
    let cells = [
      String(format: "p50 %.1f µs", p50), String(format: "p99 %.1f µs", p99),
      String(format: "%.0f k/s at depth 64", rate / 1e3),
      String(format: "%.1f M ids/s in frames of 1,000", idsPerSecond / 1e6),
    ]
    return name.padding(toLength: 10, withPad: " ", startingAt: 0) + cells.joined(separator: "   ")
  }

  func json(_ name: String) -> String {
    String(
      format: #"{"name":"%@","p50_us":%.2f,"p99_us":%.2f,"per_second_depth64":%.0f,"ids_per_second":%.0f}"#, name, p50,
      p99,
      rate, idsPerSecond)
  }
}

private struct Contestant {
  /// How replies are told apart.
  enum Ends {
    /// By their lengths.
    case frames
    /// By the end of a line; one line an item in a list.
    case replies
  }

  let name: String
  let socket: String
  let checks: [[UInt8]]
  let filter: [UInt8]
  let ends: Ends

  func measure(_ requests: Int) throws -> Round {
    let connection = try BlockingConnection(socket)
    let latencies = depthOne(connection, requests)
    let rate = pipelined(connection, requests * 10, depth: 64)
    let filters = max(200, requests / 20)
    let start = seconds()
    for _ in 0..<filters { connection.exchange(filter, replies: ends == .frames ? 1 : 1_001, ends) }
    let ids = Double(filters) * 1_000 / (seconds() - start)
    return Round(
      p50: latencies[latencies.count / 2] * 1e6, p99: latencies[latencies.count * 99 / 100] * 1e6, rate: rate,
      idsPerSecond: ids)
  }

  private func depthOne(_ connection: BlockingConnection, _ requests: Int) -> [Double] {
    var latencies: [Double] = []
    latencies.reserveCapacity(requests)
    for number in 0..<requests {
      let start = seconds()
      connection.exchange(checks[number % checks.count], replies: 1, ends)
      latencies.append(seconds() - start)
    }
    return latencies.sorted()
  }

  private func pipelined(_ connection: BlockingConnection, _ requests: Int, depth: Int) -> Double {
    let bursts = stride(from: 0, to: checks.count, by: depth).map { Array(checks[$0..<$0 + depth].joined()) }
    let start = seconds()
    for number in 0..<requests / depth { connection.exchange(bursts[number % bursts.count], replies: depth, ends) }
    return Double(requests / depth * depth) / (seconds() - start)
  }
}

/// Seconds on the monotonic clock.
private func seconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// A socket and a buffer, and nothing that allocates between a question and its answer.
private final class BlockingConnection {
  private let handle: Int32
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)

  init(_ path: String) throws {
    handle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(handle, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result != 0 { throw TestFailure("connect to \(path): \(String(cString: strerror(errno)))") }
  }

  deinit {
    close(handle)
    buffer.deallocate()
  }

  /// Sends, and reads until so many replies have come.
  func exchange(_ request: [UInt8], replies: Int, _ ends: Contestant.Ends) {
    request.withUnsafeBytes { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = send(handle, bytes.baseAddress! + sent, bytes.count - sent, 0)
        if count <= 0 { fatalError("the contestant hung up") }
        sent += count
      }
    }
    var (left, filled, parsed) = (replies, 0, 0)
    while left > 0 {
      let count = recv(handle, buffer.baseAddress! + filled, buffer.count - filled, 0)
      if count <= 0 { fatalError("the contestant hung up") }
      filled += count
      left -= ends == .frames ? frames(&parsed, filled) : lines(&parsed, filled)
    }
  }

  private func frames(_ parsed: inout Int, _ filled: Int) -> Int {
    var found = 0
    while filled - parsed >= 4 {
      let length = Int(UInt32(bigEndian: buffer.loadUnaligned(fromByteOffset: parsed, as: UInt32.self)))
      if filled - parsed - 4 < length { break }
      parsed += 4 + length
      found += 1
    }
    return found
  }

  private func lines(_ parsed: inout Int, _ filled: Int) -> Int {
    var found = 0
    while let end = memchr(buffer.baseAddress! + parsed, 0x0A, filled - parsed) {
      parsed = end - buffer.baseAddress! + 1
      found += 1
    }
    return found
  }
}
