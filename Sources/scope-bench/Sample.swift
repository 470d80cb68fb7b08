/// What one turn has shown, or the medians of many.
struct Sample: Codable, Equatable {
  var p50Microseconds: Double
  var p90Microseconds: Double
  var p99Microseconds: Double
  var p999Microseconds: Double
  var maximumMicroseconds: Double
  /// Answers.
  var perSecond: Double
  /// Of the contestant, by the kernel's accounts; closed loop only.
  var processorNanosecondsPerAnswer: Double?
  /// Open loop only: how late the client itself was, in microseconds.
  var clientLateP999Microseconds: Double?

  enum CodingKeys: String, CodingKey {
    case p50Microseconds = "p50_us"
    case p90Microseconds = "p90_us"
    case p99Microseconds = "p99_us"
    case p999Microseconds = "p999_us"
    case maximumMicroseconds = "max_us"
    case perSecond = "per_second"
    case processorNanosecondsPerAnswer = "cpu_ns_per_answer"
    case clientLateP999Microseconds = "client_late_p999_us"
  }

  init(_ result: LoadResult, processorNanoseconds: UInt64? = nil) {
    p50Microseconds = result.latencies.microseconds(50)
    p90Microseconds = result.latencies.microseconds(90)
    p99Microseconds = result.latencies.microseconds(99)
    p999Microseconds = result.latencies.microseconds(99.9)
    maximumMicroseconds = result.latencies.microseconds(100)
    perSecond = result.rate
    processorNanosecondsPerAnswer = processorNanoseconds.map { Double($0) / Double(result.answers) }
    clientLateP999Microseconds = result.lateness?.microseconds(99.9)
  }

  /// The median of each figure.
  static func median(_ samples: [Sample]) -> Sample {
    var middle = samples[0]
    func take(_ path: WritableKeyPath<Sample, Double>) {
      middle[keyPath: path] = samples.map { $0[keyPath: path] }.median
    }
    for path in [\Sample.p50Microseconds, \.p90Microseconds, \.p99Microseconds, \.p999Microseconds] { take(path) }
    take(\.maximumMicroseconds)
    take(\.perSecond)
    middle.processorNanosecondsPerAnswer = samples.compactMap(\.processorNanosecondsPerAnswer).medianIfAny
    middle.clientLateP999Microseconds = samples.compactMap(\.clientLateP999Microseconds).medianIfAny
    return middle
  }
}

extension Sequence<Double> {
  /// The middle one, or the mean of the two in the middle. There must be one.
  var median: Double {
    let sorted = sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  var medianIfAny: Double? { first { _ in true }.map { _ in median } }
}

/// All turns of one kind of one contestant, in the order of rounds.
struct Series {
  var samples: [Sample] = []
  var latencies = Latencies()
  var median: Sample { Sample.median(samples) }
}

/// Everything that the load has shown.
struct Measurements {
  private var series: [String: [Turn: Series]] = [:]

  mutating func add(_ sample: Sample, _ latencies: Latencies, of contestant: String, _ turn: Turn) {
    series[contestant, default: [:]][turn, default: Series()].samples.append(sample)
    series[contestant]![turn]!.latencies.add(latencies)
  }

  func turns(of contestant: String) -> [Turn: Series] { series[contestant] ?? [:] }

  subscript(contestant: String, turn: Turn) -> Series? { series[contestant]?[turn] }

  /// The median over the rounds of one contestant's figure divided by another's in the same round: a machine that
  /// slows down for a while slows both.
  func ratio(
    of figure: (Sample) -> Double, _ contestant: String, _ turn: Turn, to other: String, _ otherTurn: Turn? = nil
  ) -> Double {
    let (own, others) = (series[contestant]![turn]!.samples, series[other]![otherTurn ?? turn]!.samples)
    return zip(own, others).map { figure($0) / figure($1) }.median
  }
}
