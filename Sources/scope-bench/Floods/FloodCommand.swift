import ArgumentParser
import Foundation

/// The flood itself, in a process of its own: its memory and its time on a processor are not the honest client's.
struct FloodCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flood", abstract: "Runs one flood against a daemon on this machine.", shouldDisplay: false)

  @Argument(help: "The flood to run.") var flood: Flood
  @Option(help: "Path of the daemon's Unix socket.") var socket: String
  @Option(help: "The daemon's port on loopback; without it, everything goes over the Unix socket.") var port: UInt16?
  @Option(help: "Length, in seconds.") var seconds: Double

  /// Before it begins, it says this word; in the end, its figures behind the other.
  static let readyWord = "flooding"
  private static let resultWord = "result: "

  func validate() throws {
    if !(0...600).contains(seconds) { throw ValidationError("--seconds must be at most 600.") }
  }

  func run() throws {
    raiseDescriptorLimit()
    var engine = try FloodEngine(try flood.groups(), unix: .unix(socket), tcp: port.map { .tcp($0) })
    print(FloodCommand.readyWord)
    fflush(nil)
    let counts = try engine.run(seconds: seconds)
    print(FloodCommand.result(counts))
  }

  static func result(_ counts: FloodCounts) -> String {
    resultWord + String(decoding: try! JSONEncoder().encode(counts), as: UTF8.self)  // numbers only
  }

  /// The figures in what it has printed; nil: it did not come to its end.
  static func counts(in output: String) -> FloodCounts? {
    guard let line = output.split(separator: "\n").first(where: { $0.hasPrefix(resultWord) }) else { return nil }
    return try? JSONDecoder().decode(FloodCounts.self, from: Data(line.dropFirst(resultWord.count).utf8))
  }
}

extension Flood: ExpressibleByArgument {}

/// As many open files as the system lets this process have; programs that it starts have them too.
func raiseDescriptorLimit() {
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
