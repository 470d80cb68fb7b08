import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting

/// One list with many numbers.
struct NumberBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "numbers", abstract: "Measures a list of ten million numbers: import, screening, pages, memory.",
    discussion: """
      Starts scoped, fills a do-not-call list through ImportNumbers, and asks one question after the other from one \
      client: ScreenNumbers of 1,000 numbers, half of them on the list, and ListNumbers pages of 1,000 from random \
      places, each number with a label. The import time includes the client's own packing; \
      Scripts/telephony/lists/measure measures the tool that reads files.

      Example:
        Scripts/bench --numbers --count 1000000
      """)

  @Option(help: ArgumentHelp("Number of phone numbers.", valueName: "n")) var count = 10_000_000
  @Option(help: ArgumentHelp("How many times to ask each question.", valueName: "n")) var questions = 2_000
  @Flag(help: "Print one JSON object instead of text.") var json = false

  /// What was found.
  private struct Figures: Encodable {
    let machine = Machine.words
    let date = Machine.date
    let commit = Machine.commit
    let numbers: Int
    var importedPerSecond = 0.0
    var screenP50Microseconds = 0.0
    var screenP99Microseconds = 0.0
    /// By the depth of the page: at the start, in the middle, at the end.
    var pageP50Microseconds: [Double] = []
    var pageP99Microseconds: [Double] = []
    var addP50Microseconds = 0.0
    var screeningBytesPerNumber = 0.0
    var restartSeconds = 0.0

    enum CodingKeys: String, CodingKey {
      case machine, date, commit, numbers
      case importedPerSecond = "imported_per_second"
      case screenP50Microseconds = "screen_p50_us"
      case screenP99Microseconds = "screen_p99_us"
      case pageP50Microseconds = "page_p50_us"
      case pageP99Microseconds = "page_p99_us"
      case addP50Microseconds = "add_p50_us"
      case screeningBytesPerNumber = "screening_bytes_per_number"
      case restartSeconds = "restart_s"
    }

    var words: String {
      func list(_ values: [Double]) -> String { values.map(Table.number).joined(separator: ", ") }
      return """
        a list of \(Table.number(Double(numbers))) numbers
        \(machine), \(date), commit \(commit)

        imported, per second              \(Table.number(importedPerSecond)) (target: ≥ 500,000)
        ScreenNumbers of 1,000, p50, p99  \(Table.number(screenP50Microseconds)), \(Table.number(screenP99Microseconds)) µs (target: p50 ≤ 2,000)
        ListNumbers of 1,000, p50         \(list(pageP50Microseconds)) µs at the start, the middle, the end (target: ≤ 5,000)
                              p99         \(list(pageP99Microseconds)) µs
        one number added, p50             \(Table.number(addP50Microseconds)) µs
        memory for screening              \(Table.number(screeningBytesPerNumber)) bytes a number (target: ≤ 16)
        loaded after a restart            \(Table.number(restartSeconds)) s
        """
    }
  }

  func validate() throws {
    if count < 10_000 || count > 50_000_000 { throw ValidationError("--count must be from 10000 to 50000000.") }
  }

  private static let list: Name = "dnc"
  private static let subject = Subject.object(ObjectRef(ObjectType(name: "dialer")!, "autumn"))
  private static let first: UInt64 = 4_300_000_000
  /// Numbers on the list are so far from each other.
  private static let step: UInt64 = 3

  func run() throws {
    try benchmark { progress in
      var figures = Figures(numbers: count)
      let folder = Workspace.current.path("numbers")
      var server = try ScopedServer(folder, on: nil)
      try fill(server, &figures, progress)
      try ask(server, &figures, progress)
      server.child.stop()
      let start = nanoseconds()
      server = try ScopedServer(folder, on: nil)
      defer { server.child.stop() }
      let client = try server.client()
      while try !client.health().isReady { usleep(1_000) }
      figures.restartSeconds = Double(nanoseconds() - start) / 1e9
      progress.end()
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(json ? String(decoding: try encoder.encode(figures), as: UTF8.self) : figures.words)
    }
  }

  private func fill(_ server: ScopedServer, _ figures: inout Figures, _ progress: Progress) throws {
    let client = try Client("unix:\(server.socket)", company: "c", timeoutMilliseconds: 60_000)
    try client.applyAll(
      [
        .putCompany(.enhanced), .putProject(Project(id: "p", name: "p")),
        .putObject(Object(ObjectRef(.list, Self.list), name: Self.list), projects: ["p"]),
        .setPurpose(list: Self.list, .unwanted),
        .putObject(Object(ObjectRef(ObjectType(name: "dialer")!, "autumn"), name: "autumn"), projects: ["p"]),
      ], to: "c")
    let before = try client.health().indexBytes
    let start = nanoseconds()
    var part: UInt32 = 0
    for low in stride(from: 0, to: count, by: NumberLimits.numbersPerPart) {
      part += 1
      progress.say("importing \(low) of \(count) numbers")
      let high = min(count, low + NumberLimits.numbersPerPart)
      let state = try client.importNumbers(
        NumberListTarget(list: Self.list), key: "bench", part: part, numbers: packed(low..<high),
        then: high == count ? .finish : .wait, timeoutMilliseconds: 60_000)
      if high == count && state.total != UInt64(count) { throw BenchFailure("\(state.total) numbers were kept") }
    }
    figures.importedPerSecond = Double(count) / (Double(nanoseconds() - start) / 1e9)
    figures.screeningBytesPerNumber = Double(try client.health().indexBytes - before) / Double(count)
  }

  private func packed(_ range: Range<Int>) -> PackedNumbers {
    var numbers = PackedNumbers(.importing)
    for index in range {
      let label = Array("\u{12}\u{8}label ".utf8) + Array("\(10 + index % 90)".utf8)  // field 2, eight bytes
      label.withUnsafeBytes { numbers.append(Self.first + UInt64(index) * Self.step, beside: $0) }
    }
    return numbers
  }

  private func ask(_ server: ScopedServer, _ figures: inout Figures, _ progress: Progress) throws {
    let client = try Client("unix:\(server.socket)", company: "c", timeoutMilliseconds: 60_000)
    var random = SeededRandom(seed: 1)
    progress.say("screening")
    var screens: [Double] = []
    for _ in 0..<questions {
      let places = (0..<1_000).map { _ in random.below(2 * count) }
      let numbers = places.map { "\(Self.first + UInt64($0) * Self.step / 2 / Self.step * Self.step + UInt64($0 % 2))" }
      let start = nanoseconds()
      let answers = try client.screen(numbers, for: Self.subject).answers
      screens.append(Double(nanoseconds() - start) / 1e3)
      for (place, answer) in zip(places, answers) where (answer.verdict == .unwanted) != (place % 2 == 0) {
        throw BenchFailure("scoped screened the numbers wrongly")
      }
    }
    (figures.screenP50Microseconds, figures.screenP99Microseconds) = (percentile(screens, 50), percentile(screens, 99))
    progress.say("reading pages")
    for depth in [0.0, 0.5, 0.99] {
      var pages: [Double] = []
      for _ in 0..<questions {
        let after = Self.first + UInt64((depth + Double(random.below(1_000)) / 200_000) * Double(count)) * Self.step
        let cursor = [1] + withUnsafeBytes(of: after.bigEndian, Array.init)
        let start = nanoseconds()
        let page = try client.numbers(of: Self.list, for: Self.subject, cursor: cursor)
        pages.append(Double(nanoseconds() - start) / 1e3)
        if page.rows.count != 1_000 || page.rows[0].number != "\(after + Self.step)" {
          throw BenchFailure("scoped returned a wrong page")
        }
      }
      figures.pageP50Microseconds.append(percentile(pages, 50))
      figures.pageP99Microseconds.append(percentile(pages, 99))
    }
    progress.say("adding")
    var adds: [Double] = []
    for _ in 0..<min(questions, 200) {
      var number = PackedNumbers(.add)
      number.append(
        Self.first + UInt64(random.below(count)) * Self.step + 1, beside: UnsafeRawBufferPointer(start: nil, count: 0))
      let start = nanoseconds()
      _ = try client.addNumbers(NumberListTarget(list: Self.list), number, timeoutMilliseconds: 60_000)
      adds.append(Double(nanoseconds() - start) / 1e3)
    }
    figures.addP50Microseconds = percentile(adds, 50)
  }

  private func percentile(_ values: [Double], _ percent: Double) -> Double {
    values.sorted()[min(values.count - 1, Int(Double(values.count) * percent / 100))]
  }
}
