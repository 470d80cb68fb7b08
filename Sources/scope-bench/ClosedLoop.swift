/// Keeps so many requests under way on each connection: an answer that comes lets the next request go.
struct ClosedLoop {
  enum End {
    case after(seconds: Double)
    /// When each connection has had so many answers.
    case each(Int)
  }

  private let load: Load
  private let depth: Int
  private let deadline: UInt64
  private let quota: Int
  private var latencies = Latencies()
  /// When each request under way was sent: `depth` for each connection. Answers come in the order of requests.
  private var times: [UInt64]
  private var answered: [Int]
  /// Connections that still ask.
  private var open: Int
  private let start = nanoseconds()
  private var last: UInt64

  /// - Parameter depth: requests under way on each connection; a power of two.
  init(_ load: Load, depth: Int, _ end: End) {
    precondition(depth > 0 && depth & (depth - 1) == 0, "\(depth) is no power of two")
    self.load = load
    self.depth = depth
    switch end {
    case .after(let seconds): (deadline, quota) = (start + UInt64(seconds * 1e9), .max)
    case .each(let count): (deadline, quota) = (.max, count)
    }
    times = Array(repeating: start, count: load.connections.count * depth)
    answered = load.connections.map { _ in 0 }
    open = load.connections.count
    last = start
  }

  mutating func run() throws(BenchFailure) -> LoadResult {
    for number in load.connections.indices { try load.ask(number, min(depth, quota)) }
    while open > 0 {
      let isAlive = try load.receive(milliseconds: Load.patienceMilliseconds) { number, answers throws(BenchFailure) in
        try settle(number, answers)
      }
      if !isAlive { throw BenchFailure("no answer within \(Load.patienceMilliseconds) ms") }
    }
    let answers = answered.reduce(0, +)
    return LoadResult(latencies: latencies, answers: answers, seconds: Double(last - start) / 1e9)
  }

  @inline(__always)
  private mutating func settle(_ number: Int, _ answers: Int) throws(BenchFailure) {
    last = nanoseconds()
    var more = 0
    for place in answered[number]..<answered[number] + answers {
      let slot = number * depth + place & (depth - 1)
      _ = latencies.record(last - times[slot])
      times[slot] = last
      if last < deadline && place < quota - depth { more += 1 }
    }
    answered[number] += answers
    if more > 0 { try load.ask(number, more) }
    if load.connections[number].asked == load.connections[number].answered { open -= 1 }
  }
}
