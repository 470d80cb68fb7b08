import ScopeModel

/// Puts each kind of load on each contestant, in turns.
struct LoadBenchmark {
  private let plan: Plan
  private let contestants: [Contestant]
  private let requests: [String: (checks: RequestList, filter: RequestList)]
  /// On scoped, beside those who ask.
  private let writer: LoadConnection
  private let scoped: ScopedServer
  private let placement: Placement
  private let progress: Progress

  init(
    _ plan: Plan, _ contestants: Contestants, _ company: BenchmarkCompany, _ placement: Placement, _ progress: Progress
  ) throws {
    self.plan = plan
    self.contestants = contestants.all
    self.placement = placement
    self.progress = progress
    scoped = contestants.scoped
    requests = Dictionary(
      uniqueKeysWithValues: contestants.all.map { contestant in
        let checks = RequestList(company.questions.map(contestant.dialect.check))
        return (contestant.key, (checks, RequestList([contestant.dialect.filter(company.filter)])))
      })
    let added = company.changeable.map { ScopedDialect.apply(ScopedDialect.addMember($0.user, $0.project)) }
    let removed = company.changeable.map { ScopedDialect.apply(ScopedDialect.removeMember($0.user, $0.project)) }
    let changes = RequestList(added + removed)
    let socket = try BenchSocket(.unix(scoped.socket))
    writer = try LoadConnection(socket, .frames, changes, share: 0..<changes.count)
  }

  func run() throws -> Measurements {
    var measurements = Measurements()
    for round in 0..<plan.rounds {
      for turn in Turn.closed { try measure(turn, round, into: &measurements) }
      if round >= plan.openRounds { continue }
      for rate in Turn.rates { try measure(.open(perSecond: rate, isBusy: false), round, into: &measurements) }
      for rate in Turn.rates { try measure(.open(perSecond: rate, isBusy: true), round, into: &measurements) }
    }
    return measurements
  }

  /// Another contestant begins in each round.
  private func measure(_ turn: Turn, _ round: Int, into measurements: inout Measurements) throws {
    let taking = contestants.filter { turn.isTaken(by: $0.key) }
    progress.say("round \(round + 1) of \(plan.rounds), \(turn.key)")
    for offset in taking.indices {
      let contestant = taking[(round + offset) % taking.count]
      let (sample, latencies) = try measure(contestant, turn)
      measurements.add(sample, latencies, of: contestant.key, turn)
    }
  }

  private func measure(_ contestant: Contestant, _ turn: Turn) throws -> (Sample, Latencies) {
    switch turn {
    case .closed(let depth, let count): try closed(contestant, depth, count, requests[contestant.key]!.checks)
    case .filter: try closed(contestant, 1, 1, requests[contestant.key]!.filter, contestant.dialect.filterFraming)
    case .open(let perSecond, let isBusy): try open(contestant, perSecond, isBusy)
    }
  }

  private func closed(
    _ contestant: Contestant, _ depth: Int, _ count: Int, _ requests: RequestList, _ framing: Framing? = nil
  ) throws -> (Sample, Latencies) {
    try Processors.pin(to: placement.client)
    let (connections, process) = try connect(contestant, count, requests, framing)
    let load = try Load(connections)
    try warmUp(load, depth, plan.closedSeconds)
    let before = Child.processorNanoseconds(process)
    var loop = ClosedLoop(load, depth: depth, .after(seconds: plan.closedSeconds))
    let result = try loop.run()
    let spent = Child.processorNanoseconds(process) - before
    return (Sample(result, processorNanoseconds: spent), result.latencies)
  }

  private func open(_ contestant: Contestant, _ perSecond: Int, _ isBusy: Bool) throws -> (Sample, Latencies) {
    try Processors.pin(to: placement.client)
    let checks = requests[contestant.key]!.checks
    let readers = try connect(contestant, Turn.openConnections, checks, nil).connections
    try warmUp(try Load(readers), 1, plan.openSeconds)
    let seconds = perSecond == Turn.busyRate && contestant.key == "scoped_unix" ? plan.busySeconds : plan.openSeconds
    let load = try Load(readers + (isBusy ? [writer] : []))
    let before = try scoped.client().health().revision
    var loop = OpenLoop(
      load, perSecond: perSecond, seconds: seconds, changesPerSecond: isBusy ? Turn.changesPerSecond : nil)
    let result = try loop.run()
    let changes = try scoped.client().health().revision - before
    let expected = isBusy ? Double(Turn.changesPerSecond) * seconds : 0
    if changes != UInt64(expected) { throw BenchFailure("\(changes) changes were committed instead of \(expected)") }
    return (Sample(result), result.latencies)
  }

  private func warmUp(_ load: Load, _ depth: Int, _ seconds: Double) throws {
    var loop = ClosedLoop(load, depth: depth, .after(seconds: seconds / 10))
    _ = try loop.run()
  }

  /// Connections that share the questions among them, and the process that serves the last.
  private func connect(
    _ contestant: Contestant, _ count: Int, _ requests: RequestList, _ framing: Framing?
  ) throws -> (connections: [LoadConnection], process: Int32) {
    var process: Int32 = 0
    let connections = try (0..<count).map { number in
      let connected = try contestant.connect()
      process = connected.process
      let share = requests.count / count
      return try LoadConnection(
        connected.socket, framing ?? contestant.dialect.framing, requests, share: number * share..<(number + 1) * share)
    }
    return (connections, process)
  }
}

extension Turn {
  /// Only scoped is asked while changes are committed: an echo has nothing to change, and what a change is to Redis
  /// and PostgreSQL (one row or hundreds of sets, fsync or not) is no one thing.
  fileprivate func isTaken(by contestant: String) -> Bool {
    if case .open(_, true) = self { return contestant == "scoped_unix" }
    return true
  }
}

/// Which processors what runs on.
struct Placement {
  private let all = Processors.all

  /// Where every contestant that is asked questions runs, with all its threads.
  var contestants: Int { all[0] }
  /// With the contestant: to wake an idle second processor costs more than a check.
  var client: [Int] { [all[0]] }

  init() throws(BenchFailure) {
    if all.isEmpty { throw .system("sched_getaffinity") }
  }

  var words: String {
    """
    contestants with all their threads on CPU \(all[0]), and the client there too; changes in the large company and \
    writers: nothing pinned
    """
  }
}
