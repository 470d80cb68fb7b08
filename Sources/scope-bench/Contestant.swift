import Foundation
import ScopeTesting

/// One that is measured.
struct Contestant {
  /// Key in the JSON.
  let key: String
  let name: String
  let dialect: any Dialect
  let address: BenchAddress
  let child: Child

  /// A connection ready for questions, and the process that serves it.
  func connect() throws -> (socket: BenchSocket, process: Int32) {
    let socket = try BenchSocket(address)
    var process = child.processor
    for greeting in dialect.greetings {
      process = try dialect.process(named: try socket.ask(greeting, dialect.framing)) ?? process
    }
    return (socket, process)
  }

  /// Fails unless every verdict is that of the model.
  func verify(_ company: BenchmarkCompany) throws {
    let socket = try connect().socket
    do {
      for question in company.questions {
        try dialect.verify(try socket.ask(dialect.check(question), dialect.framing), to: question)
      }
      let answer = try socket.ask(dialect.filter(company.filter), dialect.filterFraming)
      try dialect.verify(answer, to: company.filter)
    } catch {
      throw BenchFailure("\(name): \(error)")
    }
  }
}

/// All of them, started and filled, on one processor.
struct Contestants {
  let all: [Contestant]
  let scoped: ScopedServer

  init(_ company: BenchmarkCompany, on processor: Int, _ progress: Progress) throws {
    progress.say("starting scoped, the echoes, Redis and PostgreSQL")
    scoped = try ScopedServer(Workspace.current.path("scoped"), on: [processor], threads: 1)
    try scoped.client().applyAll(BenchmarkCompany.centre, to: BenchmarkCompany.id)
    let redis = try Contestants.startRedis(on: processor)
    try RedisDialect.load(company, at: redis.address)
    let postgres = try PostgresServer(on: processor)
    try postgres.load(company)
    all = [
      scoped.contestant("scoped_unix", "scoped", .unix(scoped.socket)),
      scoped.contestant("scoped_tcp", "scoped, TCP", .tcp(scoped.port)),
      try Contestants.startEcho([builtProduct("bench-echo").path], on: processor, "c_echo", "C echo"),
      try Contestants.startEcho([builtProduct("scope-bench").path, "echo"], on: processor, "nio_echo", "NIO echo"),
      redis,
      Contestant(
        key: "postgresql", name: "PostgreSQL", dialect: PostgresDialect(), address: .unix(postgres.socket),
        child: postgres.child),
    ]
  }

  private static func startEcho(_ command: [String], on processor: Int, _ key: String, _ name: String) throws
    -> Contestant
  {
    let path = Workspace.current.path(key)
    let child = try Child(command + [path], readyWord: "ready", on: [processor])
    return Contestant(key: key, name: name, dialect: EchoDialect(), address: .unix(path), child: child)
  }

  private static func startRedis(on processor: Int) throws -> Contestant {
    let path = Workspace.current.path("redis")
    let command = ["/usr/bin/redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
    let child = try Child(command, readyWord: "ready to accept", on: [processor])
    return Contestant(key: "redis", name: "Redis", dialect: RedisDialect(), address: .unix(path), child: child)
  }

  /// Ends all; two of them are one program.
  func stop() {
    for contestant in all { contestant.child.stop() }
  }
}
