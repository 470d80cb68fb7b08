import ArgumentParser
import Dispatch
import Foundation
import ScopeClient
import ScopeModel

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Checks whether SUBJECT may see and use OBJECT.",
    discussion: """
      Exits with 0 for allow, 1 for deny, 2 if the daemon did not answer in time.

      Example:
        scopectl check user:1001 queue:clinic-appointments --company nordlicht
      """)

  @Argument(help: "Who: user:1001, group:…, project:…, or an object such as dialer:….")
  var subject: String

  @Argument(help: "What: queue:support, sip_provider:carrier-a, user:1002, project:clinic, ….")
  var object: String

  @Option(name: .long, help: "A right the user must hold as well, such as report.agents.")
  var right: String?

  @Option(name: .long, help: "Ask N times, one after another, and show how long it took.")
  var `repeat`: Int?

  @OptionGroup var question: QuestionOptions

  func validate() throws {
    try checkRefs(subject, object)
    if let `repeat`, !(1...10_000_000).contains(`repeat`) {
      throw ValidationError("--repeat is from 1 to 10000000.")
    }
  }

  func run() throws {
    let client = try question.client()
    if let `repeat` { return try time(client, count: `repeat`) }
    let answer = client.check(subject, object, right: right)
    print(question.json ? answer.json(subject, object) : answer.words)
    if let error = answer.error {
      _ = fail(error)
      throw Exit.unavailable
    }
    if answer.verdict == .deny { throw Exit.denied }
  }

  private func time(_ client: Client, count: Int) throws {
    var nanoseconds: [UInt64] = []
    nanoseconds.reserveCapacity(count)
    var last = Answer.Verdict.unavailable
    for _ in 0..<count {
      let start = DispatchTime.now().uptimeNanoseconds
      let answer = client.check(subject, object, right: right)
      nanoseconds.append(DispatchTime.now().uptimeNanoseconds - start)
      if let error = answer.error {
        _ = fail(error)
        throw Exit.unavailable
      }
      last = answer.verdict
    }
    let total = nanoseconds.reduce(0, +)
    nanoseconds.sort()
    let (p50, p99) = (nanoseconds[count / 2] / 1_000, nanoseconds[min(count - 1, count * 99 / 100)] / 1_000)
    let rate = UInt64(count) * 1_000_000_000 / max(total, 1)
    let inFrames = try rateInFrames(client)
    print(
      question.json
        ? jsonObject([
          ("checks", .number(UInt64(count))), ("p50_us", .number(p50)), ("p99_us", .number(p99)),
          ("per_second", .number(rate)), ("per_second_in_frames", .number(inFrames)),
        ])
        : "\(count) checks one at a time: p50 \(p50) µs, p99 \(p99) µs, \(rate) a second; "
          + "in frames of \(CheckManyCommand.checksPerFrame): \(inFrames) a second")
    if last == .deny { throw Exit.denied }
  }

  /// Checks a second when many go in one frame.
  private func rateInFrames(_ client: Client) throws -> UInt64 {
    let check = Check(
      subject: try Subject(ref: subject), object: try Target(ref: object), right: try right.map { try Name($0) })
    let checks = [Check](repeating: check, count: CheckManyCommand.checksPerFrame)
    let frames = 100
    let start = DispatchTime.now().uptimeNanoseconds
    do throws(ClientError) {
      for _ in 0..<frames { _ = try client.check(checks) }
    } catch {
      throw fail(error)
    }
    return UInt64(frames * checks.count) * 1_000_000_000 / max(1, DispatchTime.now().uptimeNanoseconds - start)
  }
}

private func checkRefs(_ subject: String, _ object: String? = nil) throws {
  try parsing {
    _ = try Subject(ref: subject)
    if let object { _ = try Target(ref: object) }
  }
}

extension Answer {
  /// `allow: shared_project clinic (through group clinic-team), revision 12`
  var words: String {
    if verdict == .unavailable { return "unavailable" }
    var words = "\(verdict): \(reason)"
    if !project.isEmpty { words += " \(project)" }
    if !group.isEmpty { words += " (through group \(group))" }
    return words + ", revision \(revision)"
  }

  func json(_ subject: String, _ object: String) -> String {
    var fields: [(String, JSONValue)] = [
      ("subject", .text(subject)), ("object", .text(object)), ("verdict", .text(verdict.rawValue)),
      ("reason", .text(error?.reason ?? reason)),
    ]
    if let error { fields.append(("message", .text(error.message))) }
    if !project.isEmpty { fields.append(("project", .text(project))) }
    if !group.isEmpty { fields.append(("group", .text(group))) }
    if verdict != .unavailable { fields.append(("revision", .number(revision))) }
    return jsonObject(fields)
  }
}

struct CheckManyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-many", abstract: "Checks the pairs on standard input, one a line.",
    discussion: """
      A line is SUBJECT OBJECT [RIGHT], separated by tabs, or by spaces where there is no tab. Answers come in \
      the same order, one a line. Exits with 0 if all are allowed, 1 if one is denied, 2 if the daemon did not answer in time.

      Example:
        printf 'user:1 queue:vip\\nuser:2 queue:vip\\n' | scopectl check-many -
      """)

  @Argument(help: "A file with the pairs, or - for standard input.", completion: .file())
  var file: String

  @OptionGroup var question: QuestionOptions

  fileprivate static let checksPerFrame = 1_000

  func run() throws {
    let client = try question.client()
    var lines = try LineReader(file)
    var isAllAllowed = true
    var pending: [Check] = []
    while let line = try lines.next() {
      if line.text.isEmpty { continue }
      pending.append(try parse(line))
      if pending.count == CheckManyCommand.checksPerFrame { try flush(&pending, client, &isAllAllowed) }
    }
    try flush(&pending, client, &isAllAllowed)
    if !isAllAllowed { throw Exit.denied }
  }

  private func parse(_ line: LineReader.Line) throws -> Check {
    guard let text = String(validating: line.text, as: UTF8.self) else {
      throw fail("\(line.place): not valid UTF-8", Exit.badData)
    }
    let separator = UInt8(ascii: text.utf8.contains(UInt8(ascii: "\t")) ? "\t" : " ")
    let parts = text.utf8.split(separator: separator).map { String(Substring($0)) }
    guard (2...3).contains(parts.count) else {
      throw fail("\(line.place): a line is SUBJECT OBJECT [RIGHT]", Exit.badData)
    }
    do {
      return Check(
        subject: try Subject(ref: parts[0]), object: try Target(ref: parts[1]),
        right: parts.count == 3 ? try Name(parts[2]) : nil)
    } catch {
      throw fail("\(line.place): \(error)", Exit.badData)
    }
  }

  private func flush(_ pending: inout [Check], _ client: Client, _ isAllAllowed: inout Bool) throws {
    if pending.isEmpty { return }
    let answers: [Answer]
    do throws(ClientError) { answers = try client.check(pending) } catch {
      _ = fail(error)
      throw Exit.unavailable
    }
    for (check, answer) in zip(pending, answers) {
      let (subject, object) = ("\(check.subject)", "\(check.object)")
      print(question.json ? answer.json(subject, object) : "\(subject)\t\(object)\t\(answer.words)")
      if answer.verdict != .allow { isAllAllowed = false }
    }
    pending = []
  }
}

struct ProjectsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "projects", abstract: "Lists the projects that a user can see.",
    discussion: """
      Of a project marked 'tile' only the words shown here may be shown.

      Examples:
        scopectl projects 1071
        scopectl projects 1071 --at 2026-03-03T10:00
      """)

  @Argument(help: "The user, as user:1001 or 1001.", transform: userID)
  var user: Name

  @OptionGroup var question: QuestionOptions

  func run() throws {
    try listProjects(of: user, question)
  }
}

func listProjects(of user: Name?, _ question: QuestionOptions) throws {
  let client = try question.client()
  var tiles: [ProjectTile] = []
  do throws(ClientError) { _ = try client.projects(of: user) { tiles.append($0) } } catch { throw fail(error) }
  if question.json {
    for tile in tiles { print(tile.json) }
  } else {
    printTable(tiles.map { [$0.id, $0.contentsVisible ? "contents" : "tile", $0.name, $0.description] })
  }
}

extension ProjectTile {
  fileprivate var json: String {
    jsonObject([
      ("id", .text(id)), ("name", .text(name)), ("description", .text(description)),
      ("contents_visible", .flag(contentsVisible)),
    ])
  }
}

struct FilterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "filter", abstract: "Prints those of the given ids that SUBJECT can see, in order.",
    discussion: """
      Ids are arguments, or lines on standard input where the only one is -.

      Example:
        scopectl filter user:1001 queue clinic-appointments shop-orders
      """)

  @Argument(help: "Who: user:1001, dialer:…, ….")
  var subject: String

  @Argument(
    help: "Type of the ids: queue, list, contact_field, user, project, ….", completion: .targetTypes,
    transform: targetType)
  var type: TargetType

  @Argument(help: "Ids, as shop-orders or queue:shop-orders, or - for standard input.")
  var ids: [String]

  @Option(name: .long, help: "Only what is in this project too, clinic or project:clinic.", transform: projectID)
  var project: Name?

  @OptionGroup var question: QuestionOptions

  private var isOnInput: Bool { ids == ["-"] }

  func validate() throws {
    try checkRefs(subject)
    if !isOnInput { for id in ids { _ = try parsing { try Name(id: id, of: type.name) } } }
  }

  func run() throws {
    let client = try question.client()
    let things = [try Subject(ref: subject)] + (project.map { [.project($0)] } ?? [])
    let ids = try isOnInput ? idsOnInput() : ids.map { try Name(id: $0, of: type.name).text }
    let visible: [Bool]
    let revision: UInt64
    do throws(ClientError) {
      (visible, revision) = try client.filter(subject, type: type.name, ids: ids, project: project?.text)
      if !visible.contains(true) { try client.expectKnown(things) }
    } catch {
      throw fail(error)
    }
    let seen = zip(ids, visible).filter(\.1).map(\.0)
    if question.json {
      print(jsonObject([("type", .text(type.name)), ("ids", .list(seen)), ("revision", .number(revision))]))
    } else {
      if isatty(1) != 1 { StandardOutput.beExact() }  // the next program's input
      for id in seen { print(id) }
    }
  }

  private func idsOnInput() throws -> [String] {
    var ids: [String] = []
    var lines = try LineReader("-")
    while let line = try lines.next() {
      guard let id = String(validating: line.text, as: UTF8.self) else {
        throw fail("\(line.place): not valid UTF-8", Exit.badData)
      }
      if id.isEmpty { continue }
      do throws(RefError) { ids.append(try Name(id: id, of: type.name).text) } catch {
        throw fail("\(line.place): \(error)", Exit.badData)
      }
    }
    return ids
  }
}

struct ObjectsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "objects", abstract: "Lists the objects that SUBJECT can see.",
    discussion: """
      Example: the queues and dialers of a report on one project:
        scopectl objects user:1001 --type queue --type dialer --project clinic
      """)

  @Argument(help: "Who: user:1001, dialer:…, ….")
  var subject: String

  @Option(
    name: .long,
    help: "Only this type: queue, user, project, …; may be repeated. (default: objects of all types)",
    completion: .targetTypes, transform: targetType)
  var type: [TargetType] = []

  @Option(name: .long, help: "Only what is in this project too, clinic or project:clinic.", transform: projectID)
  var project: Name?

  @OptionGroup var question: QuestionOptions

  func validate() throws { try checkRefs(subject) }

  func run() throws {
    let client = try question.client()
    var rows: [ObjectRow] = []
    do throws(ClientError) {
      _ = try client.objects(subject, types: type.map(\.name), project: project?.text) { rows.append($0) }
    } catch {
      throw fail(error)
    }
    if question.json {
      for row in rows { print(row.json) }
    } else {
      printTable(rows.map { ["\($0.type):\($0.id)", $0.isSystem ? "system" : "", $0.name] })
    }
  }
}

extension ObjectRow {
  var json: String { jsonObject(jsonFields) }

  var jsonFields: [(String, JSONValue)] {
    [("type", .text(type)), ("id", .text(id)), ("name", .text(name)), ("system", .flag(isSystem))]
  }
}

struct PingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ping", abstract: "Checks whether the daemon is healthy.",
    discussion: """
      Exits with 0 if it is ready, 1 if it answers but takes no changes, 2 if it did not answer in time.
      """)

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let client = try connection.client()
    let start = DispatchTime.now().uptimeNanoseconds
    let health: HealthReport
    do throws(ClientError) { health = try client.health() } catch { throw fail(error) }
    let microseconds = (DispatchTime.now().uptimeNanoseconds - start) / 1_000
    print(connection.json ? health.json(microseconds) : health.words(microseconds))
    if !health.isReady || !health.isWritable { throw Exit.denied }
  }
}

extension HealthReport {
  fileprivate func words(_ microseconds: UInt64) -> String {
    let state = isReady ? (isWritable ? "ready" : "ready, but takes no changes") : notReady
    return "scoped \(version) is \(state): revision \(revision), companies: \(companies)\(cold), "
      + "index: \(indexBytes / 1_024) KiB\(budget), connections: \(connections)\(refused), up \(uptimeMilliseconds / 1_000) s; two questions took \(microseconds) µs"
  }

  private var notReady: String {
    companiesUnreadable == 0 ? "starting" : "not well: \(companiesUnreadable) companies are damaged; run verify"
  }

  private var refused: String { connectionsRefused == 0 ? "" : " (\(connectionsRefused) refused: too many)" }

  private var cold: String { companies == companiesKnown ? "" : " of \(companiesKnown) loaded" }

  private var budget: String {
    if budgetBytes == 0 { return "" }
    return " of \(budgetBytes / 1_024), \(loadsOnDemand) loads on demand, \(drops) drops"
  }

  fileprivate func json(_ microseconds: UInt64) -> String {
    jsonObject([
      ("version", .text(version)), ("ready", .flag(isReady)), ("writable", .flag(isWritable)),
      ("revision", .number(revision)), ("companies", .number(companies)), ("connections", .number(connections)),
      ("connections_refused", .number(connectionsRefused)),
      ("uptime_ms", .number(uptimeMilliseconds)), ("index_bytes", .number(indexBytes)),
      ("companies_known", .number(companiesKnown)), ("companies_unreadable", .number(companiesUnreadable)),
      ("budget_bytes", .number(budgetBytes)), ("loads_on_demand", .number(loadsOnDemand)), ("drops", .number(drops)),
      ("round_trip_us", .number(microseconds)),
    ])
  }
}
