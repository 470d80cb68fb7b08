/// What one flood has shown. Latencies in milliseconds, memory in MiB over that at rest.
struct FloodRow: Codable {
  /// Of checks: the requirement. The bounds of memory are the floods' own.
  static let p99Bound = 5.0
  /// Memory must be so near to that at rest in the end.
  static let backBound = 32.0

  /// What is said of the changes that an honest client makes beside the checks.
  static let missedChanges = "changes"

  let name: String
  let words: String
  var seconds = 0.0
  var p50 = 0.0
  var p99 = 0.0
  var maximum = 0.0
  /// Of it, the client's own.
  var clientLateP99 = 0.0
  var asked = 0
  var wrong = 0
  /// Refused, or never answered.
  var unserved = 0
  var refused: [UInt32: Int] = [:]
  /// An echo has no memory that counts.
  var memory: Memory?
  var memoryBound = 512.0
  /// How the daemon ended; nil: it did not.
  var ended: String?
  var flood: FloodCounts?
  var writer: Writer?
  /// The daemon's, on all processors, in seconds.
  var processorSeconds = 0.0
  /// What share of one it may take; nil: any.
  var processorBound: Double?

  struct Memory: Codable {
    var quiet: Double
    var peak: Double
    var last: Double
    /// When it was back; nil: it was not.
    var backAfterSeconds: Double?
    var descriptors: Int

    enum CodingKeys: String, CodingKey {
      case descriptors
      case quiet = "quiet_mib"
      case peak = "peak_over_quiet_mib"
      case last = "last_over_quiet_mib"
      case backAfterSeconds = "back_after_s"
    }
  }

  /// An honest client that makes changes beside those of the flood.
  struct Writer: Codable {
    var p50: Double
    var p99: Double
    var maximum: Double
    var asked: Int
    var unserved: Int

    enum CodingKeys: String, CodingKey {
      case p50 = "p50_ms"
      case p99 = "p99_ms"
      case maximum = "max_ms"
      case asked, unserved
    }
  }

  enum CodingKeys: String, CodingKey {
    case name, words, seconds, asked, wrong, unserved, refused, memory, ended, flood, writer
    case p50 = "p50_ms"
    case p99 = "p99_ms"
    case maximum = "max_ms"
    case clientLateP99 = "client_late_p99_ms"
    case memoryBound = "memory_bound_mib"
    case processorSeconds = "daemon_cpu_s"
    case processorBound = "daemon_cpu_bound"
  }

  init(_ name: String, _ words: String) { (self.name, self.words) = (name, words) }

  mutating func note(_ result: HonestResult) {
    (asked, wrong, unserved, refused) = (result.asked, result.wrong, result.unserved, result.refused)
    p50 = result.latencies.microseconds(50) / 1e3
    p99 = result.latencies.microseconds(99) / 1e3
    maximum = result.latencies.microseconds(100) / 1e3
    clientLateP99 = result.lateness.microseconds(99) / 1e3
  }

  /// The targets that do not hold; empty: all do.
  var misses: [String] {
    var misses: [String] = []
    if ended != nil { misses.append("died") }
    if p99 > FloodRow.p99Bound { misses.append("p99") }
    if wrong > 0 { misses.append("wrong") }
    if unserved > 0 && wrong == 0 && ended == nil { misses.append("lost") }
    if let memory, memory.peak > memoryBound { misses.append("peak") }
    if let memory, ended == nil, memory.backAfterSeconds == nil { misses.append("back") }
    if processorSeconds > (processorBound ?? .infinity) * (seconds + FloodPlan.lullSeconds) { misses.append("CPU") }
    if let writer, writer.unserved > 0 { misses.append(FloodRow.missedChanges) }
    return misses
  }
}

extension FloodRow.Writer {
  init(_ result: HonestResult) {
    p50 = result.latencies.microseconds(50) / 1e3
    p99 = result.latencies.microseconds(99) / 1e3
    maximum = result.latencies.microseconds(100) / 1e3
    (asked, unserved) = (result.asked, result.unserved)
  }
}
