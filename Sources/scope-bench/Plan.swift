/// How much is measured.
struct Plan {
  var rounds: Int
  /// Rounds with an open loop.
  var openRounds: Int
  /// Of one turn, beside a tenth more to warm up.
  var closedSeconds: Double
  var openSeconds: Double
  /// Of the turns that tell what changes cost readers: their p99.9 needs many answers.
  var busySeconds: Double
  /// How often the index is asked a million questions at each size.
  var indexRepeats: Int
  /// Changes of each kind in the large company.
  var changes: Int
  /// Of one turn of writers.
  var writerChanges: Int

  static let full = Plan(
    rounds: 7, openRounds: 7, closedSeconds: 1, openSeconds: 2, busySeconds: 10, indexRepeats: 5, changes: 60,
    writerChanges: 40)
  static let quick = Plan(
    rounds: 3, openRounds: 2, closedSeconds: 0.2, openSeconds: 0.5, busySeconds: 3, indexRepeats: 3, changes: 30,
    writerChanges: 10)
}

/// One kind of load.
enum Turn: Hashable {
  /// So many checks under way on each of so many connections, as fast as they are answered.
  case closed(depth: Int, connections: Int)
  /// A thousand ids a request, one at a time.
  case filter
  /// So many checks a second; busy: while changes are committed.
  case open(perSecond: Int, isBusy: Bool)

  static let changesPerSecond = 50
  /// Over which an open loop's checks come.
  static let openConnections = 8
  static let closed: [Turn] =
    [1, 16, 64].map { .closed(depth: $0, connections: 1) } + [8, 64].map { .closed(depth: 1, connections: $0) }
    + [.filter]
  static let rates = [500, 2_000, 10_000]
  /// The rate at which quiet and busy are compared.
  static let busyRate = 2_000

  /// Key in the JSON.
  var key: String {
    switch self {
    case .closed(let depth, 1): "depth\(depth)"
    case .closed(_, let connections): "connections\(connections)"
    case .filter: "filter1000"
    case .open(let perSecond, false): "open\(perSecond)"
    case .open(let perSecond, true): "open\(perSecond)_busy"
    }
  }
}
