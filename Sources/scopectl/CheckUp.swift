import ArgumentParser
import ScopeClient

extension FindingKind: ExpressibleByArgument {}

struct CheckUpCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-up", abstract: "Finds likely mistakes in a company's set-up.",
    discussion: """
      Findings are no errors: it exits with 0, whatever is found.

      Examples:
        scopectl check-up
        scopectl check-up --kind field_shared --kind field_in_no_project
      """)

  @Option(name: .long, help: "Only this kind; may be repeated. (default: all)")
  var kind: [FindingKind] = []

  @OptionGroup var question: QuestionOptions

  func run() throws {
    let client = try question.client()
    var findings: [Finding] = []
    try asking(client) { try client.checkUp(kind) { findings.append($0) } }
    if question.json {
      for finding in findings { print(finding.json(client.revision)) }
    } else {
      show(findings)
    }
  }

  private func show(_ findings: [Finding]) {
    if findings.isEmpty { return StandardError.line("nothing found") }
    var isFirst = true
    for kind in FindingKind.allCases.map(Optional.some) + [nil] {
      let some = findings.filter { $0.kind == kind }
      if some.isEmpty { continue }
      if !isFirst { print("") }
      isFirst = false
      print("\(kind?.title ?? "of a kind this scopectl does not know"): \(some.count)")
      if let kind { print("  \(kind.advice)") }
      let hasProjects = some.contains { $0.projectCount > 0 }
      printTable(
        ["THING", "NAME"] + (hasProjects ? ["PROJECTS"] : []),
        some.map { [String]($0.type, $0.id, $0.name) + [listed("project", $0.projects, of: $0.projectCount)] },
        indent: 2)
    }
  }
}

extension FindingKind {
  fileprivate var title: String {
    switch self {
    case .fieldInNoProject: "contact fields in no project"
    case .objectInNoProject: "objects in no project"
    case .fieldShared: "contact fields shared by several projects"
    case .userInNoProject: "users in no project"
    case .userStillInDefault: "users still in Default beside a project of their own"
    case .projectWithoutUsers: "projects without users"
    case .projectWithoutObjects: "projects without objects"
    case .groupWithoutMembers: "groups without members"
    case .listWithoutPurpose: "lists with numbers and without a purpose"
    }
  }

  fileprivate var advice: String {
    switch self {
    case .fieldInNoProject: "Only users with projects.see_all see them. To change that: scopectl field place ID PROJECT"
    case .objectInNoProject:
      "Only users with projects.see_all see them. To change that: scopectl object place REF PROJECT"
    case .fieldShared:
      "What one project writes, the others read. If that is not meant: scopectl field unplace ID PROJECT"
    case .userInNoProject:
      "They see system fields only. To change that: scopectl project add PROJECT user:ID"
    case .userStillInDefault:
      "They see what is there too. If that is not meant: scopectl project remove default user:ID"
    case .projectWithoutUsers: "Nobody works in them: scopectl project add PROJECT user:ID, or project delete PROJECT"
    case .projectWithoutObjects:
      "Nothing is to be seen in them: scopectl project add PROJECT REF, or project delete PROJECT"
    case .groupWithoutMembers: "Nobody is in them: scopectl group add GROUP USER, or group delete GROUP"
    case .listWithoutPurpose:
      "Nothing is screened against them. To change that: scopectl list purpose LIST unwanted (or another)"
    }
  }
}

extension Finding {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [
      ("kind", .text(kind?.rawValue ?? "unknown")), ("thing", .ref(type, id)), ("name", .text(name)),
      ("projects", .refs("project", projects)), ("project_count", .count(projectCount)),
      ("revision", .number(revision)),
    ]
  }
}
