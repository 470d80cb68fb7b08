/// When the requests of an open loop are due: at a fixed rate, whatever the answers do.
struct Schedule {
  /// In nanoseconds on the monotonic clock.
  let start: UInt64
  let perSecond: Int
  let count: Int

  /// When the request with this number, from 0, is due.
  @inline(__always)
  func due(_ number: Int) -> UInt64 { start + UInt64(number) * 1_000_000_000 / UInt64(perSecond) }
}

/// Asks at a fixed rate, in turns over the connections. The latency of an answer counts from the moment its
/// request was due, not from when it was sent: a server that stalls is charged for everyone who would have
/// asked meanwhile (no coordinated omission).
///
/// A timer wakes the client, on the processor of the contestant. To spin on another one would be more punctual, but on
/// a machine of two it drives everything else that runs onto the contestant's, a tick long each time.
struct OpenLoop {
  private let load: Load
  private let checks: Schedule
  /// Changes on one more connection, the last.
  private let changes: Schedule?
  private let readers: Int
  private var latencies = Latencies()
  private var lateness = Latencies()
  private var answered: [Int]
  private var asked = 0
  private var changesAsked = 0
  private var changesAnswered = 0
  private var last: UInt64

  /// - Parameter changesPerSecond: changes on the last connection of the load; nil: all connections ask.
  init(_ load: Load, perSecond: Int, seconds: Double, changesPerSecond: Int? = nil) {
    let start = nanoseconds() + 1_000_000
    self.load = load
    checks = Schedule(start: start, perSecond: perSecond, count: Int(Double(perSecond) * seconds))
    changes = changesPerSecond.map { Schedule(start: start, perSecond: $0, count: Int(Double($0) * seconds)) }
    readers = load.connections.count - (changesPerSecond == nil ? 0 : 1)
    answered = load.connections.map { _ in 0 }
    last = start
  }

  mutating func run() throws(BenchFailure) -> LoadResult {
    while latencies.totalCount < UInt64(checks.count) || changesAnswered < changes?.count ?? 0 {
      try askWhatIsDue(nanoseconds())
      if let next { try load.wake(at: next) }
      let isAlive = try load.receive(milliseconds: Load.patienceMilliseconds) { number, answers throws(BenchFailure) in
        settle(number, answers)
      }
      if !isAlive { throw BenchFailure("no answer within \(Load.patienceMilliseconds) ms") }
    }
    let seconds = Double(last - checks.start) / 1e9
    return LoadResult(latencies: latencies, answers: checks.count, seconds: seconds, lateness: lateness)
  }

  private mutating func askWhatIsDue(_ now: UInt64) throws(BenchFailure) {
    while asked < checks.count && checks.due(asked) <= now {
      _ = lateness.record(now - checks.due(asked))
      try load.ask(asked % readers, 1)
      asked += 1
    }
    guard let changes, changesAsked < changes.count, changes.due(changesAsked) <= now else { return }
    try load.ask(readers, 1)
    changesAsked += 1
  }

  /// When something is due next.
  private var next: UInt64? {
    let check = asked < checks.count ? checks.due(asked) : nil
    guard let changes, changesAsked < changes.count else { return check }
    return min(check ?? .max, changes.due(changesAsked))
  }

  @inline(__always)
  private mutating func settle(_ number: Int, _ answers: Int) {
    last = nanoseconds()
    if number == readers { return changesAnswered += answers }
    for place in answered[number]..<answered[number] + answers {
      _ = latencies.record(last - checks.due(place * readers + number))
    }
    answered[number] += answers
  }
}
