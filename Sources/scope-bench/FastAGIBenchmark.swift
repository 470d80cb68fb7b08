import ArgumentParser
import Dispatch
import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeTesting

/// How many AGI() of Asterisk the daemon serves. `Scripts/telephony/asterisk/measure` builds and runs it.
struct FastAGI: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fastagi",
    abstract: "Measures how many AGI() calls scoped serves per second.",
    discussion: """
      Each channel asks one question after the other, the way Asterisk does: it connects, sends the channel's \
      environment, and replies to each command until the daemon closes. Latency covers all of that. Daemon and client \
      share the machine, and nothing is pinned. Every verdict is compared with the model's; a wrong one ends the run. \
      Prints the medians over the rounds.
      """)

  @Option(help: ArgumentHelp("Channels that ask at the same time.", valueName: "n")) var channels = 8
  @Option(help: ArgumentHelp("Length of a round.", valueName: "seconds")) var seconds = 5.0
  @Option(help: ArgumentHelp("Number of rounds.", valueName: "n")) var rounds = 3
  @Flag(help: "Print one JSON object instead of text.") var json = false

  func validate() throws {
    guard (1...256).contains(channels) else { throw ValidationError("--channels must be from 1 to 256.") }
    guard seconds > 0 && seconds <= 60 else { throw ValidationError("--seconds must be above 0 and at most 60.") }
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds must be from 1 to 100.") }
  }

  func run() throws {
    try benchmark { progress in
      let figures = try measure(progress)
      progress.end()
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      print(json ? String(decoding: try encoder.encode(figures), as: UTF8.self) : figures.words)
    }
  }

  private func measure(_ progress: Progress) throws -> FastAGIFigures {
    let company = try BenchmarkCompany()
    let (daemon, port) = try start()
    defer { daemon.stop() }
    let questions = company.questions.map(FastAGIQuestion.init)
    _ = try FastAGILoad(questions, port, channels: channels, seconds: min(1, seconds)).run()
    var samples: [Sample] = []
    for round in 1...rounds {
      progress.say("round \(round) of \(rounds)")
      let before = Child.processorNanoseconds(daemon.processor)
      let result = try FastAGILoad(questions, port, channels: channels, seconds: seconds).run()
      samples.append(Sample(result, processorNanoseconds: Child.processorNanoseconds(daemon.processor) - before))
    }
    return FastAGIFigures(channels: channels, seconds: seconds, rounds: rounds, median: .median(samples))
  }

  private func start() throws -> (Child, UInt16) {
    let folder = Workspace.current.path("fastagi")
    let command = [builtProduct("scoped").path, "--data", folder, "--create", "--socket", "\(folder).socket"]
    let daemon = try Child(
      command + ["--fastagi", "127.0.0.1:0", "--log-level", "warning"], readyWord: "ready at")
    guard let port = daemon.greeting.split(separator: ":").last.flatMap({ UInt16($0.prefix { $0.isNumber }) }) else {
      throw BenchFailure("scoped did not name its port: \(daemon.greeting)")
    }
    let client = try Client("unix:\(folder).socket", timeoutMilliseconds: 60_000)
    try client.applyAll(BenchmarkCompany.centre, to: BenchmarkCompany.id)
    return (daemon, port)
  }
}

/// What came of it.
private struct FastAGIFigures: Encodable {
  let channels: Int
  let seconds: Double
  let rounds: Int
  let median: Sample

  var words: String {
    func microseconds(_ value: Double) -> String { String(format: "%.0f µs", value) }
    let cost = microseconds((median.processorNanosecondsPerAnswer ?? 0) / 1e3)
    return """
      \(channels) channels, \(rounds) rounds of \(String(format: "%g", seconds)) s, medians
      \(String(format: "%.0f", median.perSecond)) AGI() a second, every verdict right
      p50 \(microseconds(median.p50Microseconds)), p99 \(microseconds(median.p99Microseconds)), \
      p99.9 \(microseconds(median.p999Microseconds)), longest \(microseconds(median.maximumMicroseconds))
      scoped takes \(cost) of CPU for each
      """
  }
}

/// One question as Asterisk sends it.
private struct FastAGIQuestion: Sendable {
  let environment: [UInt8]
  let isAllowed: Bool

  init(_ question: Question) {
    let script = "can-see?company=\(BenchmarkCompany.id)"
    let fixed = [
      "network: yes", "network_script: \(script)", "request: agi://127.0.0.1:4573/\(script)",
      "channel: PJSIP/phone-201-00000001", "language: en", "type: PJSIP", "uniqueid: 1700000000.1", "version: 22.0.0",
      "callerid: 201", "calleridname: Room 2.1, desk 1", "callingpres: 0", "callingani2: 0", "callington: 0",
      "callingtns: 0", "dnid: 4940669690", "rdnis: unknown", "context: scope-check", "extension: s", "priority: 6",
      "enhanced: 0.0", "accountcode: ", "threadid: 140000000000000", "arg_1: user:\(question.user)",
      "arg_2: \(question.object)",
    ]
    environment = Array((fixed.map { "agi_\($0)\n" }.joined() + "\n").utf8)
    isAllowed = question.isAllowed
  }
}

/// Threads that play channels.
private struct FastAGILoad {
  private let questions: [FastAGIQuestion]
  private let port: UInt16
  private let channels: Int
  private let seconds: Double

  private struct State {
    var latencies = Latencies()
    var failure: BenchFailure?
  }

  init(_ questions: [FastAGIQuestion], _ port: UInt16, channels: Int, seconds: Double) {
    self.questions = questions
    self.port = port
    self.channels = channels
    self.seconds = seconds
  }

  func run() throws -> LoadResult {
    let (state, group) = (NIOLockedValueBox(State()), DispatchGroup())
    let start = nanoseconds()
    let end = start + UInt64(seconds * 1e9)
    for channel in 0..<channels {
      group.enter()
      Thread.detachNewThread {
        let (latencies, failure) = ask(from: channel, until: end)
        state.withLockedValue {
          $0.latencies.add(latencies)
          if let failure { $0.failure = failure }
        }
        group.leave()
      }
    }
    group.wait()
    let elapsed = Double(nanoseconds() - start) / 1e9
    let (latencies, failure) = state.withLockedValue { ($0.latencies, $0.failure) }
    if let failure { throw failure }
    return LoadResult(latencies: latencies, answers: Int(latencies.totalCount), seconds: elapsed, lateness: nil)
  }

  private func ask(from first: Int, until end: UInt64) -> (Latencies, BenchFailure?) {
    var (latencies, number) = (Latencies(), first)
    while nanoseconds() < end {
      let question = questions[number % questions.count]
      let start = nanoseconds()
      do throws(BenchFailure) {
        let isAllowed = try FastAGICall(port).ask(question.environment)
        if isAllowed != question.isAllowed { throw BenchFailure("scoped answers wrongly") }
      } catch {
        return (latencies, error)
      }
      latencies.record(nanoseconds() - start)
      number += channels
    }
    return (latencies, nil)
  }
}

/// One AGI().
private struct FastAGICall {
  private static let confirmation = Array("200 result=1\n".utf8)
  private static let results = ["allow", "deny"].map { Array("SET VARIABLE SCOPE_RESULT \"\($0)\"\n".utf8) }
  private let socket: BenchSocket

  init(_ port: UInt16) throws(BenchFailure) {
    socket = try BenchSocket(.tcp(port))
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(socket.handle, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Confirms each command until the daemon closes; returns whether the last result was an allow.
  func ask(_ environment: [UInt8]) throws(BenchFailure) -> Bool {
    try socket.send(environment)
    var (result, commands) = ([UInt8](), 0)
    while let command = try receive() {
      if FastAGICall.results.contains(command) { result = command }
      commands += 1
      try socket.send(FastAGICall.confirmation)
    }
    if commands != 4 || result.isEmpty { throw BenchFailure("scoped sent \(commands) commands and then closed") }
    return result == FastAGICall.results[0]
  }

  /// One command: the daemon waits for its reply, so no more than one is under way. Nil: closed.
  private func receive() throws(BenchFailure) -> [UInt8]? {
    var command: [UInt8] = []
    while command.last != UInt8(ascii: "\n") {
      var chunk = [UInt8](repeating: 0, count: 1_024)
      let count = recv(socket.handle, &chunk, chunk.count, 0)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw .system("recv") }
      if count == 0 { return nil }
      command += chunk[..<count]
    }
    return command
  }
}
