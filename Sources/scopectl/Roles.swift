import ArgumentParser
import ScopeClient
import ScopeModel

struct RoleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role", abstract: "Lists and edits roles, which are sets of rights.",
    subcommands: [List.self, Create.self, Edit.self, Delete.self])
}

extension RoleCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists roles with their rights.",
      discussion: """
        Example:
          scopectl role list --at r1234
        """)

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let roles = try asking { try client.roles().roles }
      if question.json {
        for role in roles { print(role.json) }
      } else {
        printTable(
          roles.map {
            [
              $0.name, counted($0.users, "user"),
              $0.holdsEveryRight ? "every right" : $0.rights.joined(separator: ", "),
            ]
          })
      }
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a role.",
      discussion: """
        Example:
          scopectl role create auditor --right projects.list --right report.agents
        """)

    @Argument(help: "Name of the new role.", transform: roleName)
    var name: Name

    @Option(name: .long, help: "A right; may be repeated.", transform: plainName)
    var right: [Name]

    @OptionGroup var edit: EditOptions

    func run() throws {
      try edit.apply { client in
        let (role, revision) = try find(name, client)
        if role != nil { throw fail("role '\(name)' is there already; the subcommand edit alters it", Exit.denied) }
        return ([.putRole(name, rights: right)], revision)
      }
    }
  }

  struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds rights to a role, or removes them.",
      discussion: """
        What is not named stays as it is.

        Example:
          scopectl role edit auditor --add-right report.a --remove-right report.b
        """)

    @Argument(help: "Name of the role.", transform: roleName)
    var name: Name

    @Option(name: .long, help: "A right to add; may be repeated.", transform: plainName)
    var addRight: [Name] = []

    @Option(name: .long, help: "A right to remove; may be repeated.", transform: plainName)
    var removeRight: [Name] = []

    @OptionGroup var edit: EditOptions

    func validate() throws {
      if addRight.isEmpty && removeRight.isEmpty {
        throw ValidationError("Nothing to edit: give --add-right or --remove-right.")
      }
      try refuseBoth(adding: addRight, removing: removeRight)
    }

    func run() throws {
      try edit.apply { client in
        let (role, revision) = try find(name, client)
        guard let role else { throw fail("there is no role '\(name)'; the subcommand create makes it", Exit.denied) }
        let rights = try edited(role.rights, adding: addRight, removing: removeRight)
        return ([.putRole(name, rights: rights)], revision)
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes a role. Users who had it lose its rights.",
      discussion: """
        Example:
          scopectl role delete auditor --preview
          scopectl role delete auditor --yes
        """)

    @Argument(help: "Name of the role.", transform: roleName)
    var name: Name

    @OptionGroup var destruction: DestructionOptions

    func run() throws { try destruction.apply(.removeRole(name), that: "deletes role '\(name)'", of: name) }
  }
}

/// The role of this name, as bytes.
private func find(_ name: Name, _ client: Client) throws(ClientError) -> (role: RoleRow?, revision: UInt64) {
  let (roles, revision) = try client.roles()
  return (roles.first { Array($0.name.utf8) == Array(name.text.utf8) }, revision)
}

extension RoleRow {
  fileprivate var json: String {
    jsonObject([
      ("name", .text(name)), ("rights", .list(rights)), ("every_right", .flag(holdsEveryRight)),
      ("users", .number(UInt64(users))),
    ])
  }
}
