import ArgumentParser
import ScopeClient
import ScopeModel

struct CompanyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "company", abstract: "Shows, creates and deletes a company.",
    subcommands: [Show.self, Create.self, Delete.self])
}

extension CompanyCommand {
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
      let facts = try asking { try client.companyFacts() }
      let counts: [(String, UInt64)] = [
        ("users", facts.users), ("groups", facts.groups), ("roles", facts.roles), ("projects", facts.projects),
        ("objects", facts.objects), ("revision", facts.revision),
      ]
      if question.json {
        print(jsonObject([("mode", .text(facts.mode.rawValue))] + counts.map { ($0.0, .number($0.1)) }))
      } else {
        printTable([["mode", facts.mode.rawValue]] + counts.map { [$0.0, "\($0.1)"] })
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
      try destruction.apply(.removeCompany, that: "deletes company '\(company)'", of: company, isAlwaysAsked: true)
    }
  }
}
