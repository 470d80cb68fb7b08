import ArgumentParser
import Foundation
import ScopeTesting

/// The whole benchmark.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Measures everything and prints a table.",
    discussion: """
      One client asks each contestant the same questions over the same kind of socket, in turns and in several rounds, \
      and prints the medians over the rounds. The contestants: scoped over a Unix socket and over TCP; a bare echo in C \
      and one in Swift NIO, which receive the bytes that scoped receives and send them back, the least any server can \
      do; Redis with a set of visible objects for each user (SISMEMBER, SMISMEMBER); PostgreSQL with two tables, their \
      primary keys and a prepared statement. Before anything is measured, all of them must give the verdicts of the \
      model.

      Closed loop: a fixed number of checks is under way on each connection; each answer releases the next check. Open \
      loop: checks are sent at a fixed rate, and latency counts from the moment each was due, so that a stall is charged \
      to everyone who would have asked meanwhile. Busy: the same while 50 changes a second are committed to disk.

      A ratio is scoped divided by the other within one round: lower is better for latency and CPU time, higher for \
      rates.

      Examples:
        Scripts/bench --quick
        Scripts/bench --json --plots plots > bench.json
      """)

  @Flag(help: "Run fewer and shorter rounds: under three minutes.") var quick = false
  @Option(help: ArgumentHelp("Number of rounds. (default: 7; with --quick 3)", valueName: "n")) var rounds: Int?
  @Flag(help: "Print one JSON object instead of the table.") var json = false
  @Option(help: ArgumentHelp("Folder for plots in SVG; created if missing.", valueName: "folder"))
  var plots: String?

  func validate() throws {
    if let rounds, !(1...1_000).contains(rounds) { throw ValidationError("--rounds must be from 1 to 1000.") }
  }

  func run() throws {
    try benchmark { progress in
      let report = try measure(progress)
      progress.end()
      print(json ? report.json : Table(report: report).text)
    }
  }

  private var plan: Plan {
    var plan = quick ? Plan.quick : .full
    if let rounds { (plan.rounds, plan.openRounds) = (rounds, quick ? min(rounds, plan.openRounds) : rounds) }
    return plan
  }

  private func measure(_ progress: Progress) throws -> Report {
    let placement = try Placement()
    let company = try BenchmarkCompany()
    let contestants = try Contestants(company, on: placement.contestants, progress)
    progress.say("comparing verdicts")
    for contestant in contestants.all { try contestant.verify(company) }
    let measurements = try LoadBenchmark(plan, contestants, company, placement, progress).run()
    for contestant in contestants.all { try contestant.verify(company) }
    contestants.stop()
    try Processors.pin(to: Processors.all)
    let large = try SampleCompany.large()
    let index = try IndexBenchmark(repeats: plan.indexRepeats, progress: progress).run(large)
    let changes = try ChangeBenchmark(plan, company, large, progress).run()
    let report = Report(
      measurements, contestants.all, index, changes, placement, rounds: plan.rounds, isQuick: quick)
    if let plots { try Plots(folder: plots, measurements: measurements, report: report).write() }
    return report
  }
}

/// Does the work of a command, and leaves neither a program nor a folder behind, whatever happens.
func benchmark(_ body: (Progress) throws -> Void) throws {
  let signals = Workspace.current.clearOnSignals()
  defer { withExtendedLifetime(signals) { Workspace.current.clear() } }
  let progress = Progress()
  do {
    try body(progress)
  } catch {
    progress.end()
    FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
    throw ExitCode.failure
  }
}
