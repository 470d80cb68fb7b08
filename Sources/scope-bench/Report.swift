import Foundation
import ScopeTesting

/// What a run has shown: one object of JSON.
struct Report: Codable {
  struct Figures: Codable {
    let key: String
    let name: String
    /// Medians over the rounds, by kind of load.
    let turns: [String: Sample]
  }

  let machine: String
  let date: String
  let commit: String
  let isQuick: Bool
  let rounds: Int
  let pinning: String
  let questions: String
  let contestants: [Figures]
  let index: IndexBenchmark.Result
  let changes: ChangeBenchmark.Result
  /// scoped divided by the other: of latencies and CPU time less is better, of rates more.
  let ratios: [String: Double]
  let absolutes: [String: Double]

  enum CodingKeys: String, CodingKey {
    case machine, date, commit, rounds, pinning, questions, contestants, index, changes, ratios, absolutes
    case isQuick = "quick"
  }

  static let questionWords = """
    1,024 different questions, half of them allowed, by active users without projects.see_all, of a company of 2,000 \
    users, 120 projects and 8,000 objects; groups are resolved beforehand for Redis and PostgreSQL; before measuring, \
    all verdicts of all contestants are compared with the model's
    """

  init(
    _ measurements: Measurements, _ contestants: [Contestant], _ index: IndexBenchmark.Result,
    _ changes: ChangeBenchmark.Result, _ placement: Placement, rounds: Int, isQuick: Bool
  ) {
    machine = Machine.words
    date = Machine.date
    commit = Machine.commit
    self.isQuick = isQuick
    self.rounds = rounds
    pinning = placement.words
    questions = Report.questionWords
    self.contestants = contestants.map { Figures(key: $0.key, name: $0.name, turns: measurements.medians(of: $0.key)) }
    self.index = index
    self.changes = changes
    ratios = Report.ratios(measurements, changes)
    absolutes = Report.absolutes(measurements, index, changes)
  }

  private static func ratios(_ measured: Measurements, _ changes: ChangeBenchmark.Result) -> [String: Double] {
    let (own, one, many) = (
      "scoped_unix", Turn.closed(depth: 1, connections: 1), Turn.closed(depth: 64, connections: 1)
    )
    let (quiet, busy) = (
      Turn.open(perSecond: Turn.busyRate, isBusy: false), Turn.open(perSecond: Turn.busyRate, isBusy: true)
    )
    return [
      "depth1_p50_vs_c_echo": measured.ratio(of: \.p50Microseconds, own, one, to: "c_echo"),
      "depth1_p50_vs_nio_echo": measured.ratio(of: \.p50Microseconds, own, one, to: "nio_echo"),
      "depth1_p50_vs_redis": measured.ratio(of: \.p50Microseconds, own, one, to: "redis"),
      "depth1_p50_vs_postgresql": measured.ratio(of: \.p50Microseconds, own, one, to: "postgresql"),
      "depth64_rate_vs_redis": measured.ratio(of: \.perSecond, own, many, to: "redis"),
      "depth64_cpu_vs_redis": measured.ratio(of: { $0.processorNanosecondsPerAnswer! }, own, many, to: "redis"),
      "filter1000_rate_vs_redis": measured.ratio(of: \.perSecond, own, .filter, to: "redis"),
      "p999_busy_vs_quiet": measured.ratio(of: \.p999Microseconds, own, busy, to: own, quiet),
      "durable_rate_64_vs_1": changes.writers.ratio,
    ]
  }

  private static func absolutes(
    _ measured: Measurements, _ index: IndexBenchmark.Result, _ changes: ChangeBenchmark.Result
  ) -> [String: Double] {
    let (first, last) = (index.sizes.first!, index.sizes.last!)
    return [
      "index_check_ns": last.checkNanoseconds,
      "index_check_growth": last.checkNanoseconds / first.checkNanoseconds,
      "index_check_ns_large_company": index.large.checkNanoseconds,
      "filter1000_ids_per_second": measured["scoped_unix", .filter]!.median.perSecond * 1_000,
      "index_bytes_per_object": index.objectBytes.perObject,
      "index_bytes_per_object_of_names": index.objectBytes.ofNames,
      "change_visible_ms_membership": changes.membership.beyondSyncMilliseconds,
      "change_visible_ms_object": changes.object.beyondSyncMilliseconds,
    ]
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try! encoder.encode(self), as: UTF8.self)  // numbers and texts only
  }
}

extension Measurements {
  func medians(of contestant: String) -> [String: Sample] {
    Dictionary(uniqueKeysWithValues: turns(of: contestant).map { ($0.key.key, $0.value.median) })
  }
}

/// Where and when a run was made.
enum Machine {
  static var words: String {
    let model = line("/proc/cpuinfo", "model name") ?? "unknown processor"
    let memory = (line("/proc/meminfo", "MemTotal")?.split(separator: " ").first).flatMap { Int($0) } ?? 0
    let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? ""
    let release = kernel.trimmingCharacters(in: .newlines)
    return "\(model), \(Processors.all.count) CPUs, \((memory + (512 << 10)) >> 20) GiB, Linux \(release)"
  }

  static var date: String {
    var (now, parts) = (time(nil), tm())
    gmtime_r(&now, &parts)
    return String(format: "%04d-%02d-%02d", parts.tm_year + 1_900, parts.tm_mon + 1, parts.tm_mday)
  }

  /// With a `+` where files differ from it.
  static var commit: String {
    func git(_ arguments: [String]) -> String? {
      let run = try? run(URL(fileURLWithPath: "/usr/bin/env"), ["git", "-C", packageFolder.path] + arguments)
      return run?.status == 0 ? run?.output.trimmingCharacters(in: .whitespacesAndNewlines) : nil
    }
    guard let commit = git(["rev-parse", "--short", "HEAD"]) else { return "unknown" }
    return git(["status", "--porcelain", "--", "Sources", "Package.swift"]) == "" ? commit : "\(commit)+"
  }

  private static func line(_ path: String, _ key: String) -> String? {
    let text = try? String(contentsOfFile: path, encoding: .utf8)
    let line = text?.split(separator: "\n").first { $0.hasPrefix(key) }
    return line?.split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
  }
}
