import ArgumentParser
import ScopeClient
import ScopeModel

struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Tells why a check is answered as it is.",
    discussion: """
      Exits like check: 0 for allow, 1 for deny, 2 when no answer was had.

      Example:
        scopectl explain user:1001 queue:shop-orders
      """)

  @Argument(help: "Who: user:1001, group:…, project:…, or an object such as dialer:….")
  var subject: String

  @Argument(help: "What: queue:support, sip_provider:carrier-a, ….")
  var object: String

  @Option(name: .long, help: "A right the user must hold as well, such as report.agents.")
  var right: String?

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let check = try parsing {
      Check(
        subject: try Subject(ref: subject), object: try ObjectRef(ref: object), right: try right.map { try Name($0) })
    }
    let client = try connection.client(company: try company.name().text)
    let explanation: Explanation
    do throws(ClientError) { explanation = try client.explain(check) } catch {
      _ = fail(error)
      throw Exit.unavailable
    }
    print(connection.json ? explanation.json(subject, object) : explanation.text)
    if explanation.answer.verdict != .allow { throw Exit.denied }
  }
}

extension Explanation {
  fileprivate var text: String { (words.map { "- \($0)" } + [answer.words]).joined(separator: "\n") }

  fileprivate func json(_ subject: String, _ object: String) -> String {
    func list(_ ways: [Way]) -> JSONValue {
      .raw(
        "["
          + ways.map { jsonObject([("project", .text($0.project)), ("group", .text($0.group))]) }.joined(separator: ",")
          + "]")
    }
    return jsonObject([
      ("answer", .raw(answer.json(subject, object))), ("words", .list(words)), ("subject_ways", list(subjectWays)),
      ("object_ways", list(objectWays)), ("shared", list(shared)), ("complete", .flag(isComplete)),
    ])
  }
}

struct WhoCanSeeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "who-can-see", abstract: "Lists the users who see an object, and by which way.")

  @Argument(help: "What: queue:support, sip_provider:carrier-a, ….")
  var object: String

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let ref = try parsing { try ObjectRef(ref: object) }
    let client = try connection.client(company: try company.name().text)
    var viewers: [Viewer] = []
    do throws(ClientError) { try client.whoCanSee(ref) { viewers.append($0) } } catch { throw fail(error) }
    if connection.json {
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

struct WhatSeesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "what-sees", abstract: "Lists what SUBJECT sees, and by which way.",
    discussion: "Like objects, with the reason of each row.")

  @Argument(help: "Who: user:1001, dialer:…, ….")
  var subject: String

  @Option(name: .long, help: "Only this type; may be given several times. (default: all)")
  var type: [String] = []

  @Option(name: .long, help: "Only what is in this project too.")
  var project: String?

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    for type in type { try checkType(type) }
  }

  func run() throws {
    let who = try parsing { try Subject(ref: subject) }
    let client = try connection.client(company: try company.name().text)
    var rows: [SeenObject] = []
    do throws(ClientError) {
      try client.whatSees(who, types: type.compactMap { ObjectType(name: $0) }, project: project ?? "") {
        rows.append($0)
      }
    } catch {
      throw fail(error)
    }
    if connection.json {
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

/// Turns what is wrong with an argument into wrong usage.
func parsing<T>(_ body: () throws -> T) throws -> T {
  do { return try body() } catch { throw ValidationError("\(error)") }
}
