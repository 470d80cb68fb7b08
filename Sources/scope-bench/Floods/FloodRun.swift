import Foundation
import ScopeModel
import ScopeTesting

/// How much is done.
struct FloodPlan {
  var isQuick = false
  /// Of each flood; nil: its own.
  var seconds: Double?
  /// How long memory is watched after each.
  var afterSeconds = 60
  /// Fills companies of a tenth: for a look at whether it works.
  var isSmall = false

  func seconds(of flood: Flood) -> Double { seconds ?? flood.seconds(isQuick: isQuick) }
  var quietSeconds: Double { seconds ?? (isQuick ? 4 : 10) }
  /// How long the last answers are waited for.
  var patience: Double { isQuick ? 15 : 25 }
  /// The honest client asks on for so long when the flooders are gone.
  static let lullSeconds = 2.0
}

/// Measures an honest client beside each flood in turn.
final class FloodRun {
  private static let checksPerSecond = 500
  private static let changesPerSecond = 20

  private let plan: FloodPlan
  private let progress: Progress
  private var daemon: FloodDaemon?
  private var setting = FloodSetting.plain
  private let company: BenchmarkCompany
  private lazy var checks = company.questions.map { HonestRequest($0, in: BenchmarkCompany.id) }
  /// Of two companies that are asked about all the time.
  private lazy var hotChecks = FloodRun.hotChecks()
  private var coldBudget: Int?

  init(_ plan: FloodPlan, _ progress: Progress) throws {
    self.plan = plan
    self.progress = progress
    company = try BenchmarkCompany()
  }

  /// - Parameter next: gets each row as soon as it is there.
  func run(_ floods: [Flood], next: (FloodRow) -> Void) throws {
    defer { daemon?.server.child.stop() }
    next(try echo())
    if floods.contains(where: { $0.setting != .budget }) {
      progress.say("filling companies")
      try FloodCompanies.fill(folder(.plain), isSmall: plan.isSmall)
    }
    if floods.contains(where: { $0.setting == .budget }) { try FloodCompanies.fillCold(folder(.budget)) }
    for setting in FloodSetting.allCases {
      let group = floods.filter { $0.setting == setting }
      if !group.isEmpty { next(try quiet(setting)) }
      for flood in group { next(try measure(flood)) }
    }
  }

  // MARK: - Daemons

  private func folder(_ setting: FloodSetting) -> String {
    Workspace.current.path(setting == .budget ? "cold" : "floods")
  }

  private func daemon(_ wanted: FloodSetting) throws -> FloodDaemon {
    if let daemon, setting == wanted { return daemon }
    daemon?.server.child.stop()
    progress.say("starting scoped")
    let folder = folder(wanted)
    let started =
      switch wanted {
      case .plain: try FloodDaemon(folder)
      case .budget: try FloodDaemon(folder, options: ["--memory-budget", "\(try budget(folder))"])
      case .descriptors: try FloodDaemon(folder, wrapper: ["/usr/bin/prlimit", "--nofile=64"])
      }
    (daemon, setting) = (started, wanted)
    try warmUp(started, wanted)
    return started
  }

  /// A twentieth of what all companies take.
  private func budget(_ folder: String) throws -> Int {
    if let coldBudget { return coldBudget }
    let whole = try FloodDaemon(folder)
    let bytes = Int(try whole.server.client().health().indexBytes)
    whole.server.child.stop()
    coldBudget = bytes / 20
    return bytes / 20
  }

  /// Has it keep what it will keep of any use: the models of companies that are changed.
  private func warmUp(_ daemon: FloodDaemon, _ setting: FloodSetting) throws {
    if setting == .plain {
      let socket = try BenchSocket(daemon.unix)
      let (user, project) = company.changeable.last!
      for frame in FloodFrames.memberships(user, project) { _ = try socket.ask(frame, .frames) }
      _ = try socket.ask(FloodFrames.largeApply("r", expectedRevision: 1), .frames)
    }
    _ = honest(daemon, setting).run(seconds: 1)
    daemon.noteQuiet()
  }

  private func honest(_ daemon: FloodDaemon, _ setting: FloodSetting) -> HonestClient {
    HonestClient(
      daemon.unix, setting == .budget ? hotChecks : checks, perSecond: FloodRun.checksPerSecond,
      connections: Processors.all.count, patience: plan.patience)
  }

  /// Memberships of a user that no other writer changes.
  private func writer(_ daemon: FloodDaemon) -> HonestClient {
    let (user, project) = company.changeable.last!
    let changes = [ScopedDialect.addMember(user, project), ScopedDialect.removeMember(user, project)].map {
      HonestRequest(company: BenchmarkCompany.id, call: 16, Proto.message(1, $0), decision: nil)
    }
    return HonestClient(
      daemon.unix, changes, perSecond: FloodRun.changesPerSecond, connections: 1, patience: plan.patience)
  }

  private static func hotChecks() -> [HonestRequest] {
    let questions = FloodCompanies.hot.enumerated().map { number, id in
      let centre = FloodCompanies.hotCentre(number)
      let company = try! centre.company(id: id)  // as it was filled
      var random = SeededRandom(seed: UInt64(number))
      return (0..<512).map { _ in
        let (user, object) = (
          centre.userID(random.below(centre.shape.users)), centre.object(random.below(centre.shape.objects))
        )
        return HonestRequest(
          Question(user: user, object: object, isAllowed: company.sees(user, object)), in: id)
      }
    }
    return zip(questions[0], questions[1]).flatMap { [$0, $1] }
  }

  // MARK: - Rows

  /// What the instrument itself adds: the flood is of another program than the one that is asked.
  private func echo() throws -> FloodRow {
    progress.say("echo")
    let paths = ["echo-asked", "echo-flooded"].map(Workspace.current.path)
    let echoes = try paths.map { try Child([builtProduct("bench-echo").path, $0], readyWord: "ready") }
    defer { for echo in echoes { echo.stop() } }
    let client = HonestClient(
      .unix(paths[0]), checks, perSecond: FloodRun.checksPerSecond, connections: Processors.all.count,
      patience: plan.patience, isEcho: true)
    var row = FloodRow("echo", "the honest client against a bare echo, beside a flood of another")
    row.seconds = plan.quietSeconds
    let flooder = try flooder(.noWait, paths[1], port: nil, seconds: row.seconds)
    row.note(client.run(seconds: row.seconds))
    row.flood = end(flooder)
    return row
  }

  private func quiet(_ setting: FloodSetting) throws -> FloodRow {
    let daemon = try daemon(setting)
    progress.say("quiet")
    var row =
      switch setting {
      case .plain: FloodRow("quiet", "no flood")
      case .budget:
        FloodRow("quiet, budget", "two companies of \(FloodCompanies.coldCount + 2), which are asked all the time")
      case .descriptors: FloodRow("quiet, 64 files", "a daemon that may open 64 files")
      }
    row.seconds = plan.quietSeconds
    daemon.forgetPeak()
    row.note(honest(daemon, setting).run(seconds: row.seconds))
    row.memory = FloodRow.Memory(
      quiet: mebibytes(daemon.quietBytes), peak: overQuiet(daemon.peakBytes, daemon),
      last: overQuiet(daemon.residentBytes, daemon), backAfterSeconds: 0, descriptors: daemon.descriptors)
    if setting == .plain { row.writer = .init(writer(daemon).run(seconds: row.seconds)) }
    return row
  }

  private func measure(_ flood: Flood) throws -> FloodRow {
    let daemon = try daemon(flood.setting)
    let seconds = plan.seconds(of: flood)
    progress.say("\(flood.rawValue), \(Table.number(seconds)) s")
    var row = FloodRow(flood.rawValue, flood.words)
    (row.seconds, row.memoryBound, row.processorBound) = (seconds, flood.memoryBound, flood.processorBound)
    let (client, writer) = (honest(daemon, flood.setting), flood.concernsWriters ? writer(daemon) : nil)
    let before = Child.processorNanoseconds(daemon.server.child.processor)
    daemon.forgetPeak()
    let flooder = try flooder(flood, daemon.server.socket, port: daemon.server.port, seconds: seconds)
    let asking = OwnThread { client.run(seconds: seconds + FloodPlan.lullSeconds) }
    let changing = OwnThread { writer?.run(seconds: seconds) }
    var memory = FloodRow.Memory(
      quiet: mebibytes(daemon.quietBytes), peak: 0, last: 0, backAfterSeconds: nil, descriptors: 0)
    while !asking.waits(milliseconds: 100) { sample(daemon, &memory) }
    row.note(asking.value)
    row.writer = changing.value.map(FloodRow.Writer.init)
    row.flood = end(flooder)
    let after = Child.processorNanoseconds(daemon.server.child.processor)
    row.processorSeconds = Double(max(after, before) - before) / 1e9  // of one that has ended, nothing is known
    try watch(daemon, client, flood, &memory, &row)
    return row
  }

  private func flooder(_ flood: Flood, _ socket: String, port: UInt16?, seconds: Double) throws -> Child {
    var command = ["/usr/bin/nice", "-n", "19", builtProduct("scope-bench").path, "flood", flood.rawValue]
    command += ["--socket", socket, "--seconds", "\(seconds)"] + (port.map { ["--port", "\($0)"] } ?? [])
    return try Child(command, readyWord: FloodCommand.readyWord, on: [Processors.all.last!])
  }

  /// The flooder's figures; it ends by itself, and is ended where it does not.
  private func end(_ flooder: Child) -> FloodCounts? {
    for _ in 0..<100 where !flooder.isOver { usleep(100_000) }
    flooder.stop()
    return FloodCommand.counts(in: flooder.greeting)
  }

  // MARK: - Memory

  private func sample(_ daemon: FloodDaemon, _ memory: inout FloodRow.Memory) {
    guard let peak = daemon.peakBytes, let resident = daemon.residentBytes else { return }
    memory.peak = max(memory.peak, overQuiet(peak, daemon))
    memory.last = overQuiet(resident, daemon)
    memory.descriptors = max(memory.descriptors, daemon.descriptors)
  }

  /// Until memory is back, or the time is over, or the daemon has ended.
  private func watch(
    _ daemon: FloodDaemon, _ client: HonestClient, _ flood: Flood, _ memory: inout FloodRow.Memory,
    _ row: inout FloodRow
  ) throws {
    let start = nanoseconds()
    func elapsed() -> Double { Double(nanoseconds() - start) / 1e9 }
    repeat {
      sample(daemon, &memory)
      row.ended = daemon.server.child.ending()
      if row.ended != nil { break }
      if memory.last <= FloodRow.backBound { memory.backAfterSeconds = elapsed() }
      if memory.backAfterSeconds == nil { _ = client.run(seconds: 1) }
    } while memory.backAfterSeconds == nil && elapsed() < Double(plan.afterSeconds)
    row.memory = memory
    if memory.backAfterSeconds != nil { return }
    self.daemon = nil
    daemon.server.child.stop()
  }

  private func overQuiet(_ bytes: Int?, _ daemon: FloodDaemon) -> Double {
    max(0, mebibytes((bytes ?? 0) - daemon.quietBytes))
  }

  private func mebibytes(_ bytes: Int) -> Double { Double(bytes) / Double(1 << 20) }
}

/// Something done on a thread of its own.
private final class OwnThread<Value: Sendable>: @unchecked Sendable {  // the value is written before the signal
  private var result: Value?
  private let done = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () -> Value) {
    Thread.detachNewThread {
      self.result = body()
      self.done.signal()
    }
  }

  /// Whether it was done within so long; once.
  func waits(milliseconds: Int) -> Bool {
    if done.wait(timeout: .now() + .milliseconds(milliseconds)) == .timedOut { return false }
    done.signal()
    return true
  }

  var value: Value {
    done.wait()
    done.signal()
    return result!
  }
}
