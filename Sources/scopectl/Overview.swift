import ArgumentParser
import ScopeClient
import ScopeModel

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Explains the answer to a check.",
    discussion: """
      Exits like check: 0 for allow, 1 for deny, 2 if the daemon did not answer in time.

      Example:
        scopectl explain user:1001 queue:shop-orders
      """)

  @Argument(help: "Who: user:1001, group:…, project:…, or an object such as dialer:….", completion: .subjects)
  var subject: String

  @Argument(help: "What: queue:support, sip_provider:carrier-a, user:1002, project:clinic, ….", completion: .subjects)
  var object: String

  @Option(name: .long, help: "A right the user must hold as well, such as report.agents.")
  var right: String?

  @OptionGroup var question: QuestionOptions

  func run() throws {
    let check = try parsing {
      Check(
        subject: try Subject(ref: subject), object: try Target(ref: object), right: try right.map { try Name($0) })
    }
    let client = try question.client()
    noteMisspelt(check.right.map { [$0] } ?? [])
    let explanation: Explanation
    do throws(ClientError) { explanation = try client.explain(check) } catch {
      throw fail(error, from: client, Exit.unavailable)
    }
    if question.json { print(explanation.json(check)) } else { print(explanation.styled) }
    if explanation.answer.verdict != .allow { throw Exit.denied }
  }
}

extension Explanation {
  fileprivate var styled: Styled { Styled(words.map { "- \($0)\n" }.joined()) + answer.styled }

  fileprivate func json(_ check: Check) -> JSONFields {
    answer.json("\(check.subject)", "\(check.object)", check.right?.text).dropLast() + [
      ("words", .texts(words)), ("subject_ways", .objects(subjectWays.map(\.json))),
      ("object_ways", .objects(objectWays.map(\.json))), ("shared", .objects(shared.map(\.json))),
      ("complete", .flag(isComplete)), ("revision", .number(answer.revision)),
    ]
  }
}

extension Explanation.Way {
  var json: JSONFields { [("project", .ref("project", project)), ("group", .ref("group", group))] }
}

struct WhoCanSeeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "who-can-see", abstract: "Lists the users who can see something, and why.",
    discussion: """
      Example:
        scopectl who-can-see list:do-not-call
      """)

  @Argument(
    help: "What: queue:support, sip_provider:carrier-a, project:clinic, ….", completion: .subjects, transform: subject)
  var object: Target

  @OptionGroup var question: QuestionOptions

  func run() throws {
    let client = try question.client()
    var viewers: [Viewer] = []
    try asking(client) { try client.whoCanSee(object) { viewers.append($0) } }
    if question.json {
      for viewer in viewers { print(viewer.json(client.revision)) }
    } else {
      printTable(
        ["USER", "NAME", "WHY"],
        viewers.map { [String]("user", $0.id, $0.name) + [way($0.reason, $0.project, $0.group)] },
        none: "nobody can see it")
    }
  }
}

extension Viewer {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [("user", .ref("user", id)), ("name", .text(name))] + wayJSON(reason, project, group)
      + [("revision", .number(revision))]
  }
}

struct VisibleToCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "visible-to", abstract: "Lists what SUBJECT can see, and why.",
    discussion: """
      Like objects, with the reason of each row.

      Example:
        scopectl visible-to user:1001 --type queue
      """)

  @Argument(help: "Who: user:1001, dialer:…, ….", completion: .subjects, transform: subject)
  var who: Subject

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

  func run() throws {
    let client = try question.client()
    var rows: [SeenObject] = []
    try asking(client) {
      try client.whatSees(who, types: type, project: project?.text ?? "") { rows.append($0) }
    }
    if question.json {
      for row in rows { print(row.json(client.revision)) }
    } else {
      printTable(
        ["OBJECT", "NAME", "WHY"],
        rows.map { row in
          [String](row.object.type, row.object.id, row.object.name) + [way(row.reason, row.project, row.group)]
        }, none: "it sees nothing of this")
    }
  }
}

extension SeenObject {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    object.json + wayJSON(reason, project, group) + [("revision", .number(revision))]
  }
}

/// `shared_project project:clinic through group:clinic-team`
private func way(_ reason: String, _ project: String, _ group: String) -> String {
  reason + (project.isEmpty ? "" : " project:\(project)") + (group.isEmpty ? "" : " through group:\(group)")
}

private func wayJSON(_ reason: String, _ project: String, _ group: String) -> JSONFields {
  [("reason", .text(reason)), ("project", .ref("project", project)), ("group", .ref("group", group))]
}

/// The name that `visible-to` had first, which could be read as its opposite.
struct WhatSeesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "what-sees", abstract: "The same as visible-to.", shouldDisplay: false)

  @OptionGroup var command: VisibleToCommand

  func run() throws { try command.run() }
}
