import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting

/// Start-up and memory with many companies.
struct Scale: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures start-up and memory with ten thousand companies of a thousand objects.",
    discussion: """
      Fills a folder, starts scoped on it with every processor, and reports when the first company that is asked about \
      answers, when all of them are loaded, and how much memory the daemon uses then. The company asked about is in the \
      middle of the load order. The file is in the page cache, where filling has left it.

      Example:
        Scripts/bench --scale --companies 1000
      """)

  @Option(help: ArgumentHelp("Number of companies.", valueName: "n")) var companies = 10_000
  @Option(help: ArgumentHelp("Users in each company.", valueName: "n")) var users = 100
  @Option(help: ArgumentHelp("Objects in each company.", valueName: "n")) var objects = 1_000
  @Option(
    help: ArgumentHelp(
      "Folder that 'scope-bench fill' has filled with the same sizes. (default: fill a temporary one)",
      valueName: "folder"))
  var data: String?
  @Flag(help: "Print one JSON object instead of text.") var json = false

  /// What was found.
  private struct Figures: Encodable {
    let machine = Machine.words
    let date = Machine.date
    let commit = Machine.commit
    let companies: Int
    let objects: Int
    let firstAnswerSeconds: Double
    let allLoadedSeconds: Double
    let residentBytes: Int
    let highestResidentBytes: Int
    let indexBytes: UInt64

    enum CodingKeys: String, CodingKey {
      case machine, date, commit, companies, objects
      case firstAnswerSeconds = "first_answer_s"
      case allLoadedSeconds = "all_loaded_s"
      case residentBytes = "resident_bytes"
      case highestResidentBytes = "highest_resident_bytes"
      case indexBytes = "index_bytes"
    }

    var words: String {
      func gibibytes(_ bytes: Int) -> String { String(format: "%.2f GiB", Double(bytes) / Double(1 << 30)) }
      return """
        scoped with \(Table.number(Double(companies))) companies, \(Table.number(Double(objects))) objects
        \(machine), \(date), commit \(commit)

        first company answers after \(Table.number(firstAnswerSeconds)) s (target of 10⁷ objects: ≤ 1)
        all are loaded after        \(Table.number(allLoadedSeconds)) s (target: ≤ 60)
        resident memory             \(gibibytes(residentBytes)) (target: ≤ 2), at most \(gibibytes(highestResidentBytes)) on the way
        of it the index             \(gibibytes(Int(indexBytes)))
        """
    }
  }

  func validate() throws {
    if companies < 1 || users < 1 || objects < 1 {
      throw ValidationError("--companies, --users and --objects must each be at least 1.")
    }
  }

  func run() throws {
    try benchmark { progress in
      let folder = try data ?? filled(progress)
      progress.say("starting scoped")
      let figures = try measure(folder)
      progress.end()
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(json ? String(decoding: try encoder.encode(figures), as: UTF8.self) : figures.words)
    }
  }

  private func filled(_ progress: Progress) throws -> String {
    progress.say("filling \(companies) companies")
    let folder = Workspace.current.path("scale")
    let sizes = ["--companies", "\(companies)", "--users", "\(users)", "--objects", "\(objects)"]
    try Child.run([builtProduct("scope-bench").path, "fill", folder] + sizes)
    return folder
  }

  private func measure(_ folder: String) throws -> Figures {
    let socket = Workspace.current.path("scale.socket")
    let start = nanoseconds()
    func elapsed() -> Double { Double(nanoseconds() - start) / 1e9 }
    let daemon = try Child(
      [builtProduct("scoped").path, "--data", folder, "--socket", socket, "--log-level", "warning"], readyWord: nil)
    defer { daemon.stop() }
    try wait(for: daemon) { try isAnswered(socket) }
    let first = elapsed()
    let client = try Client("unix:\(socket)", timeoutMilliseconds: 60_000)
    try wait(for: daemon) { try client.health().isReady }
    return Figures(
      companies: companies, objects: companies * objects, firstAnswerSeconds: first, allLoadedSeconds: elapsed(),
      residentBytes: daemon.statusBytes("VmRSS") ?? 0, highestResidentBytes: daemon.statusBytes("VmHWM") ?? 0,
      indexBytes: try client.health().indexBytes)
  }

  /// Asks again every millisecond: the daemon tells nobody that its socket is there.
  private func wait(for daemon: Child, _ isThere: () throws -> Bool) throws {
    while try !isThere() {
      if daemon.isOver { throw BenchFailure("scoped did not start: \(daemon.greeting)") }
      usleep(1_000)
    }
  }

  /// The first user of the company in the middle sees a field of the system.
  private func isAnswered(_ path: String) throws -> Bool {
    guard let socket = try? BenchSocket(.unix(path)) else { return false }
    let user = ContactCentre(.small).userID(0)  // the same in every size
    let field = ObjectRef(.contactField, Company.systemFields[0])
    let question = ScopedDialect.canSee(user, field, in: Fill.companyID((companies + 1) / 2))
    let answer = try RawResponse(Array(try socket.ask(question, .frames).dropFirst(4)))
    if answer.code == 0 && answer.decision != 1 { throw BenchFailure("scoped gave a wrong answer") }
    return answer.code == 0
  }
}
