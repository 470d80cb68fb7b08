import ArgumentParser
import ScopeClient
import ScopeModel

struct CompanyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "company", abstract: "Lists, shows, creates and deletes companies.",
    subcommands: [List.self, Show.self, Create.self, Delete.self])
}

extension CompanyCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists the companies.",
      discussion: """
        For those who may see the log: over the Unix socket, or where the daemon has --tcp-allows audit.

        Example:
          scopectl company list
        """)

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      let client = try connection.client()
      var companies: [CompanyRow] = []
      try asking(client) { try client.companies { companies.append($0) } }
      if connection.json {
        for company in companies { print(company.json(client.revision)) }
      } else {
        printTable(
          ["COMPANY", "MODE"], companies.map { ["company:\($0.id)", $0.mode?.rawValue ?? "damaged"] },
          none: "there are no companies")
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a company's security mode, and how much it holds.",
      discussion: """
        Example:
          scopectl company show --company nordlicht
        """)

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let company = try question.company.name().text
      let facts = try asking(client) { try client.companyFacts() }
      let counts: [(String, UInt64)] = [
        ("user", facts.users), ("group", facts.groups), ("role", facts.roles), ("project", facts.projects),
        ("object", facts.objects),
      ]
      if question.json {
        let head: JSONFields = [("company", .ref("company", company)), ("mode", .text(facts.mode.rawValue))]
        print(head + counts.map { ("\($0.0)_count", .number($0.1)) } + [("revision", .number(facts.revision))])
      } else {
        printFields(
          [["company", company], ["mode", facts.mode.rawValue]] + counts.map { ["\($0.0)s", "\($0.1)"] }
            + [["revision", "\(facts.revision)"]])
      }
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a company with the role admin and the system fields name and phone.",
      discussion: """
        Where it exists nothing changes, its mode least of all.

        Example:
          scopectl company create --company bakery --mode enhanced
        """)

    @Option(name: .long, help: "Its security mode.")
    var mode: SecurityMode

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply([.putCompany(mode)]) }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes a company with everything in it. Its log stays.",
      discussion: """
        Example:
          scopectl company delete --company bakery --preview
          scopectl company delete --company bakery --yes
        """)

    @OptionGroup var destruction: DestructionOptions

    func run() throws {
      let company = try destruction.edit.company.name()
      try destruction.apply(
        .removeCompany, that: "deletes company '\(company)'", of: company,
        isAsked: DestructionOptions.whereAnythingChanges)
    }
  }
}

extension CompanyRow {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [
      ("company", .ref("company", id)), ("mode", .optional(mode?.rawValue ?? "")), ("revision", .number(revision)),
    ]
  }
}
