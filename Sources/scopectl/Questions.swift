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

  @Argument(help: "Who: user:1001, group:…, project:…, or an object such as dialer:….", completion: .subjects)
  var subject: String

  @Argument(help: "What: queue:support, sip_provider:carrier-a, user:1002, project:clinic, ….", completion: .subjects)
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
    noteMisspelt(right.flatMap { try? Name($0) }.map { [$0] } ?? [])
    if let `repeat` { return try time(client, count: `repeat`) }
    let answer = client.check(subject, object, right: right)
    if question.json { print(answer.json(subject, object, right)) } else { print(answer.styled) }
    if let error = answer.error { throw fail(error, from: client, Exit.unavailable) }
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
      if let error = answer.error { throw fail(error, from: client, Exit.unavailable) }
      last = answer.verdict
    }
    let total = nanoseconds.reduce(0, +)
    nanoseconds.sort()
    let (p50, p99) = (nanoseconds[count / 2] / 1_000, nanoseconds[min(count - 1, count * 99 / 100)] / 1_000)
    let rate = UInt64(count) * 1_000_000_000 / max(total, 1)
    let inFrames = try rateInFrames(client)
    if question.json {
      print([
        ("checks", .count(count)), ("verdict", .text(last.rawValue)), ("p50_us", .number(p50)),
        ("p99_us", .number(p99)), ("per_second", .number(rate)), ("per_second_in_frames", .number(inFrames)),
        ("revision", .number(client.revision)),
      ])
    } else {
      print(
        "\(count) checks one at a time: p50 \(p50) µs, p99 \(p99) µs, \(rate) a second; "
          + "in frames of \(CheckManyCommand.checksPerFrame): \(inFrames) a second")
    }
    if last == .deny { throw Exit.denied }
  }

  /// Checks a second when many go in one frame.
  private func rateInFrames(_ client: Client) throws -> UInt64 {
    let check = Check(
      subject: try Subject(ref: subject), object: try Target(ref: object), right: try right.map { try Name($0) })
    let checks = [Check](repeating: check, count: CheckManyCommand.checksPerFrame)
    let frames = 100
    let start = DispatchTime.now().uptimeNanoseconds
    try asking(client) { for _ in 0..<frames { _ = try client.check(checks) } }
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
  /// `allow: shared_project project:clinic through group:clinic-team, revision 12`
  var styled: Styled {
    let word: Styled =
      switch verdict {
      case .allow: Styled("allow", .green)
      case .deny: Styled("deny", .red)
      case .unavailable: Styled("unavailable", .yellow)
      }
    if verdict == .unavailable { return word }
    return word + ": \(reason)" + (project.isEmpty ? "" : " project:\(project)")
      + (group.isEmpty ? "" : " through group:\(group)") + ", revision \(revision)"
  }

  func json(_ subject: String, _ object: String, _ right: String?) -> JSONFields {
    [
      ("subject", .text(subject)), ("object", .text(object)), ("right", .optional(right ?? "")),
      ("verdict", .text(verdict.rawValue)), ("reason", .text(error?.reason ?? reason)),
      ("message", .optional(error?.message ?? "")), ("project", .ref("project", project)),
      ("group", .ref("group", group)), ("revision", verdict == .unavailable ? .null : .number(revision)),
    ]
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
      throw line.fault("not valid UTF-8")
    }
    let separator = UInt8(ascii: text.utf8.contains(UInt8(ascii: "\t")) ? "\t" : " ")
    let parts = text.utf8.split(separator: separator).map { String(Substring($0)) }
    guard (2...3).contains(parts.count) else {
      throw line.fault("a line is SUBJECT OBJECT [RIGHT]")
    }
    do {
      return Check(
        subject: try Subject(ref: parts[0]), object: try Target(ref: parts[1]),
        right: parts.count == 3 ? try Name(parts[2]) : nil)
    } catch {
      throw line.fault("\(error)")
    }
  }

  private func flush(_ pending: inout [Check], _ client: Client, _ isAllAllowed: inout Bool) throws {
    if pending.isEmpty { return }
    let answers: [Answer]
    do throws(ClientError) { answers = try client.check(pending) } catch {
      throw fail(error, from: client, Exit.unavailable)
    }
    for (check, answer) in zip(pending, answers) {
      let (subject, object) = ("\(check.subject)", "\(check.object)")
      if question.json {
        print(answer.json(subject, object, check.right?.text))
      } else {
        print(Styled("\(subject)\t\(object)\t") + answer.styled)
      }
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

  @Argument(help: "The user, as user:1001 or 1001.", completion: .users, transform: userID)
  var user: Name

  @OptionGroup var question: QuestionOptions

  func run() throws {
    try listProjects(of: user, question)
  }
}

func listProjects(of user: Name?, _ question: QuestionOptions) throws {
  let client = try question.client()
  var tiles: [ProjectTile] = []
  _ = try asking(client) { try client.projects(of: user) { tiles.append($0) } }
  if question.json {
    for tile in tiles { print(tile.json(client.revision)) }
  } else {
    printTable(
      ["PROJECT", "NAME", "SEES", "DESCRIPTION"],
      tiles.map { tile in
        [String]("project", tile.id, tile.name) + [tile.contentsVisible ? "contents" : "tile", tile.description]
      }, none: user == nil ? "there are no projects" : "the user sees no projects")
  }
}

extension ProjectTile {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [
      ("project", .ref("project", id)), ("name", .text(name)), ("description", .text(description)),
      ("contents_visible", .flag(contentsVisible)), ("revision", .number(revision)),
    ]
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

  @Argument(help: "Who: user:1001, dialer:…, ….", completion: .subjects)
  var subject: String

  @Argument(
    help: "Type of the ids: queue, list, contact_field, user, project, ….", completion: .targetTypes,
    transform: targetType)
  var type: TargetType

  @Argument(help: "Ids, as shop-orders or queue:shop-orders, or - for standard input.")
  var ids: [String]

  @Option(
    name: .long, help: "Only what is in this project too, clinic or project:clinic.", completion: .projects,
    transform: projectID)
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
    let (visible, revision) = try asking(client) {
      let answer = try client.filter(subject, type: type.name, ids: ids, project: project?.text)
      if !answer.visible.contains(true) { try client.expectKnown(things) }
      return answer
    }
    let seen = zip(ids, visible).filter(\.1).map(\.0)
    if question.json {
      print([
        ("subject", .text(subject)), ("objects", .refs(type.name, seen)), ("revision", .number(revision)),
      ])
    } else {
      if !StandardOutput.isTerminal { StandardOutput.beExact() }  // the next program's input
      for id in seen { print(id) }
    }
  }

  private func idsOnInput() throws -> [String] {
    var ids: [String] = []
    var lines = try LineReader("-")
    while let line = try lines.next() {
      guard let id = String(validating: line.text, as: UTF8.self) else {
        throw line.fault("not valid UTF-8")
      }
      if id.isEmpty { continue }
      do throws(RefError) { ids.append(try Name(id: id, of: type.name).text) } catch {
        throw line.fault("\(error)")
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

  @Argument(help: "Who: user:1001, dialer:…, ….", completion: .subjects)
  var subject: String

  @Option(
    name: .long,
    help: "Only this type: queue, user, project, …; may be repeated. (default: objects of all types)",
    completion: .targetTypes, transform: targetType)
  var type: [TargetType] = []

  @Option(
    name: .long, help: "Only what is in this project too, clinic or project:clinic.", completion: .projects,
    transform: projectID)
  var project: Name?

  @OptionGroup var question: QuestionOptions

  func validate() throws { try checkRefs(subject) }

  func run() throws {
    let client = try question.client()
    var rows: [ObjectRow] = []
    _ = try asking(client) {
      try client.objects(subject, types: type.map(\.name), project: project?.text) { rows.append($0) }
    }
    if question.json {
      for row in rows { print(row.json + [("revision", .number(client.revision))]) }
    } else {
      printTable(
        ["OBJECT", "NAME", "SYSTEM"],
        rows.map { [String]($0.type, $0.id, $0.name) + [$0.isSystem ? "system" : ""] }, none: "it sees nothing of this")
    }
  }
}

extension ObjectRow {
  var json: JSONFields {
    [("object", .ref(type, id)), ("name", .text(name)), ("system", .flag(isSystem))]
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
    do throws(ClientError) { health = try client.health() } catch { throw fail(error, from: client) }
    let microseconds = (DispatchTime.now().uptimeNanoseconds - start) / 1_000
    if connection.json { print(health.json(microseconds)) } else { print(health.styled(microseconds)) }
    if !health.isReady || !health.isWritable { throw Exit.denied }
  }
}

extension HealthReport {
  fileprivate func styled(_ microseconds: UInt64) -> Styled {
    let state =
      isReady
      ? isWritable ? Styled("ready", .green) : Styled("ready, but takes no changes", .yellow) : Styled(notReady, .red)
    return Styled("scoped \(version) is ") + state + ": revision \(revision), companies: \(companies)\(cold), "
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

  fileprivate func json(_ microseconds: UInt64) -> JSONFields {
    [
      ("version", .text(version)), ("ready", .flag(isReady)), ("writable", .flag(isWritable)),
      ("companies", .number(companies)), ("connections", .number(connections)),
      ("connections_refused", .number(connectionsRefused)),
      ("uptime_ms", .number(uptimeMilliseconds)), ("index_bytes", .number(indexBytes)),
      ("companies_known", .number(companiesKnown)), ("companies_unreadable", .number(companiesUnreadable)),
      ("budget_bytes", .number(budgetBytes)), ("loads_on_demand", .number(loadsOnDemand)), ("drops", .number(drops)),
      ("round_trip_us", .number(microseconds)), ("revision", .number(revision)),
    ]
  }
}
