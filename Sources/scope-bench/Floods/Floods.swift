import ArgumentParser
import Foundation

/// An honest client beside floods.
struct Floods: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures an honest client beside each kind of flood.",
    discussion: """
      Starts scoped with a folder of its own, and floods it: what hostile and careless clients do, one kind after the \
      other, from a process of their own. Beside each, one honest client asks 500 checks a second, open loop: latency \
      counts from the moment each check was due, and every answer is compared with the model's. The daemon's memory is \
      watched during the flood and for up to a minute after it.

      Must hold beside every flood: p99 at most 5 ms, no answer wrong, none missing; memory at most 512 MiB over that \
      at rest (100 for never-read, 150 for idle), and within 32 MiB of it a minute after; the daemon goes on. Where \
      one does not hold, the exit code is 1.

      Flooders stay on loopback, end after their time, and have nice 19 and the last CPU; the honest client runs with \
      real-time priority where it may. The row 'echo' shows what \
      the instrument itself adds: the same client and a flood, at two bare echoes. It must be far below 5 ms for \
      anything else to be believed; on a machine where others work at the same time it is not.

      Floods:
      \(Flood.allCases.map { "  " + $0.rawValue.padding(toLength: 16, withPad: " ", startingAt: 0) + $0.words }
        .joined(separator: "\n"))

      Examples:
        Scripts/bench --floods --quick
        Scripts/bench --floods --only dense --only heartbeats
      """)

  @Flag(help: "Each flood for a few seconds only.") var quick = false
  @Option(
    help: ArgumentHelp(
      "Only the floods whose names begin so; may be repeated. (default: all)", valueName: "name"))
  var only: [String] = []
  @Option(help: ArgumentHelp("Seconds of each flood. (default: 10 for most; with --quick 4)", valueName: "n"))
  var seconds: Double?
  @Option(help: ArgumentHelp("Seconds for which memory is watched after each flood.", valueName: "n"))
  var after = 60
  @Flag(help: "Print one object of JSON in place of the table.") var json = false
  @Flag(help: .hidden) var small = false

  func validate() throws {
    if let seconds, !(1...300).contains(seconds) { throw ValidationError("--seconds is from 1 to 300.") }
    if !(0...600).contains(after) { throw ValidationError("--after is from 0 to 600 seconds.") }
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
