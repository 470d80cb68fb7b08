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

  @Argument(help: "Who: user:1001, group:…, project:…, or an object such as dialer:….")
  var subject: String

  @Argument(help: "What: queue:support, sip_provider:carrier-a, user:1002, project:clinic, ….")
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
    let explanation: Explanation
    do throws(ClientError) { explanation = try client.explain(check) } catch {
      _ = fail(error)
      throw Exit.unavailable
    }
    print(question.json ? explanation.json(subject, object) : explanation.text)
    if explanation.answer.verdict != .allow { throw Exit.denied }
  }
}

extension Explanation {
  fileprivate var text: String { (words.map { "- \($0)" } + [answer.words]).joined(separator: "\n") }

  fileprivate func json(_ subject: String, _ object: String) -> String {
    jsonObject([
      ("answer", .raw(answer.json(subject, object))), ("words", .list(words)),
      ("subject_ways", .objects(subjectWays.map(\.json))), ("object_ways", .objects(objectWays.map(\.json))),
      ("shared", .objects(shared.map(\.json))), ("complete", .flag(isComplete)),
    ])
  }
}

extension Explanation.Way {
  var json: String { jsonObject([("project", .text(project)), ("group", .text(group))]) }
}

struct WhoCanSeeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "who-can-see", abstract: "Lists the users who can see something, and why.",
    discussion: """
      Example:
        scopectl who-can-see list:do-not-call
      """)

  @Argument(help: "What: queue:support, sip_provider:carrier-a, project:clinic, ….", transform: subject)
  var object: Target

  @OptionGroup var question: QuestionOptions

  func run() throws {
    let client = try question.client()
    var viewers: [Viewer] = []
    do throws(ClientError) { try client.whoCanSee(object) { viewers.append($0) } } catch { throw fail(error) }
    if question.json {
      for viewer in viewers { print(viewer.json) }
    } else {
      printTable(viewers.map { ["user:\($0.id)", $0.name, way($0.reason, $0.project, $0.group)] })
    }
  }
}

extension Viewer {
  fileprivate var json: String {
    jsonObject([
      ("user", .text(id)), ("name", .text(name)), ("reason", .text(reason)), ("project", .text(project)),
      ("group", .text(group)),
    ])
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

  @Argument(help: "Who: user:1001, dialer:…, ….", transform: subject)
  var who: Subject

  @Option(
    name: .long,
    help: "Only this type: queue, user, project, …; may be repeated. (default: objects of all types)",
    completion: .targetTypes, transform: targetType)
  var type: [TargetType] = []

  @Option(name: .long, help: "Only what is in this project too, clinic or project:clinic.", transform: projectID)
  var project: Name?

  @OptionGroup var question: QuestionOptions

  func run() throws {
    let client = try question.client()
    var rows: [SeenObject] = []
    do throws(ClientError) {
      try client.whatSees(who, types: type, project: project?.text ?? "") { rows.append($0) }
    } catch {
      throw fail(error)
    }
    if question.json {
      for row in rows { print(row.json) }
    } else {
      printTable(
        rows.map { ["\($0.object.type):\($0.object.id)", $0.object.name, way($0.reason, $0.project, $0.group)] })
    }
  }
}

extension SeenObject {
  fileprivate var json: String {
    jsonObject([
      ("type", .text(object.type)), ("id", .text(object.id)), ("name", .text(object.name)),
      ("system", .flag(object.isSystem)), ("reason", .text(reason)), ("project", .text(project)),
      ("group", .text(group)),
    ])
  }
}

/// `shared_project clinic through clinic-team`
private func way(_ reason: String, _ project: String, _ group: String) -> String {
  reason + (project.isEmpty ? "" : " \(project)") + (group.isEmpty ? "" : " through \(group)")
}

/// The name that `visible-to` had first, which could be read as its opposite.
struct WhatSeesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "what-sees", abstract: "The same as visible-to.", shouldDisplay: false)

  @OptionGroup var command: VisibleToCommand

  func run() throws { try command.run() }
}
