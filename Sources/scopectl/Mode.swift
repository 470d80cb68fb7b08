import ArgumentParser
import ScopeModel

extension SecurityMode: ExpressibleByArgument {}

struct ModeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mode", abstract: "Shows a company's security mode, or switches it.",
    discussion: """
      In simple mode everyone sees everything. In enhanced mode only what shares a project is seen; what is in no \
      project, users and objects alike, goes into the project named Default at the switch, so that nobody is locked \
      out.

      Examples:
        scopectl mode
        scopectl mode enhanced --preview
      """)

  @Argument(help: "The mode to switch to. (default: none; the mode is shown)")
  var mode: SecurityMode?

  @OptionGroup var destruction: DestructionOptions

  func run() throws {
    let edit = destruction.edit
    let company = try edit.company.name()
    if mode == .simple {
      return try destruction.apply(
        .setMode(.simple), that: "shows everyone in company '\(company)' everything", of: company,
        isAsked: DestructionOptions.whereAnythingChanges)
    }
    if let mode { return try edit.apply([.setMode(mode)]) }
    let client = try edit.connection.client(company: company.text)
    let facts = try asking(client) { try client.companyFacts() }
    if !edit.connection.json { return print(facts.mode.rawValue) }
    print([
      ("company", .ref("company", company.text)), ("mode", .text(facts.mode.rawValue)),
      ("revision", .number(facts.revision)),
    ])
  }
}
