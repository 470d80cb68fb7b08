import ArgumentParser
import Foundation

/// An honest client beside floods.
struct Floods: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures what an honest client notices of each kind of flood.",
    discussion: """
      Starts scoped with a folder of its own and floods it with what hostile and careless clients do, one kind after the \
      other, from a process of their own. Meanwhile one honest client sends 500 checks a second, open loop: latency \
      counts from the moment each check was due, and every answer is compared with the model's. The daemon's memory is \
      watched during the flood and for up to a minute afterwards.

      During every flood, the p99 must be at most 5 ms, and no answer may be wrong or missing; memory may be at most 512 \
      MiB above that at rest (100 for never-read, 150 for idle), and within 32 MiB of it a minute later; the daemon must \
      keep running. If any of this fails, the exit code is 1.

      Flooders stay on loopback, end on time, and run at nice 19 on the last CPU; the honest client runs with real-time \
      priority where it is allowed to. The row 'echo' shows what the measurement itself adds: the same client and a \
      flood, against two bare echoes. Unless that is far below 5 ms, as on a machine with other work to do, the other \
      rows prove nothing.

      Floods:
      \(Flood.allCases.map { "  " + $0.rawValue.padding(toLength: 16, withPad: " ", startingAt: 0) + $0.words }
        .joined(separator: "\n"))

      Examples:
        Scripts/bench --floods --quick
        Scripts/bench --floods --only dense --only heartbeats
      """)

  @Flag(help: "Run each flood for a few seconds only.") var quick = false
  @Option(
    help: ArgumentHelp(
      "Run only the floods whose names begin like this; may be repeated. (default: all)", valueName: "name"))
  var only: [String] = []
  @Option(
    help: ArgumentHelp("Length of each flood, in seconds. (default: 10 for most; with --quick 4)", valueName: "n"))
  var seconds: Double?
  @Option(help: ArgumentHelp("How long to watch memory after each flood, in seconds.", valueName: "n"))
  var after = 60
  @Flag(help: "Print one JSON object instead of the table.") var json = false
  @Flag(help: .hidden) var small = false

  func validate() throws {
    if let seconds, !(1...300).contains(seconds) { throw ValidationError("--seconds must be from 1 to 300.") }
    if !(0...600).contains(after) { throw ValidationError("--after must be from 0 to 600 seconds.") }
    let names = Flood.allCases.map(\.rawValue)
    for name in only where !names.contains(where: { $0.hasPrefix(name) }) {
      throw ValidationError("no flood begins with '\(name)'. There are: \(names.joined(separator: ", ")).")
    }
  }

  func run() throws {
    var report = FloodReport(isQuick: quick, afterSeconds: after)
    try benchmark { progress in
      raiseDescriptorLimit()
      let plan = FloodPlan(isQuick: quick, seconds: seconds, afterSeconds: after, isSmall: small)
      let floods = Flood.allCases.filter { flood in
        only.isEmpty || only.contains { flood.rawValue.hasPrefix($0) }
      }
      try FloodRun(plan, progress).run(floods) { row in
        report.rows.append(row)
        progress.say("\(row.name): p99 \(Table.number(row.p99)) ms, \(row.misses.isEmpty ? "holds" : "MISSED")")
      }
      progress.end()
      print(json ? report.json : report.text)
    }
    if !report.holds { throw ExitCode(1) }
  }
}
