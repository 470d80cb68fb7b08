import ArgumentParser
import ScopeClient
import ScopeModel

struct RoleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role", abstract: "Lists, shows and edits roles, which are sets of rights.",
    subcommands: [List.self, Show.self, Create.self, Edit.self, Delete.self])
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
      let roles = try asking(client) { try client.roles().roles }
      if question.json {
        for role in roles { print(role.json() + [("revision", .number(client.revision))]) }
      } else {
        printTable(
          ["ROLE", "USERS", "RIGHTS"],
          roles.map { role in
            [
              "role:\(role.name)", "\(role.users)",
              role.holdsEveryRight ? "every right" : role.rights.joined(separator: ", "),
            ]
          }, none: "there are no roles")
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a role with its rights and the users who have it.",
      discussion: """
        Example:
          scopectl role show team_leader
        """)

    @Argument(help: "Name of the role.", completion: .roles, transform: roleName)
    var name: Name

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let (role, users) = try asking(client) { try client.role(name) }
      if question.json {
        return print(role.json(.objects(users.map(\.memberJSON))) + [("revision", .number(client.revision))])
      }
      printFields(
        [["role", "role:\(role.name)"]]
          + (role.holdsEveryRight ? [["right", "every one"]] : role.rights.map { ["right", $0] }))
      print("\nusers: \(users.isEmpty ? "none" : "\(users.count)")")
      users.printMembers()
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
        if role != nil {
          throw fail("role '\(name)' is there already; the subcommand edit alters it", "already_there", Exit.denied)
        }
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

    @Argument(help: "Name of the role.", completion: .roles, transform: roleName)
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
        guard let role else { throw missing("role:\(name)", from: client) }
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

    @Argument(help: "Name of the role.", completion: .roles, transform: roleName)
    var name: Name

    @OptionGroup var destruction: DestructionOptions

    func run() throws { try destruction.apply(.removeRole(name), that: "deletes role '\(name)'", of: name) }
  }
}

/// The role of this name, as bytes.
private func find(_ name: Name, _ client: Client) throws(ClientError) -> (role: RoleRow?, revision: UInt64) {
  let (roles, revision) = try client.roles()
  return (roles.first { isSame($0.name, name.text) }, revision)
}

extension RoleRow {
  /// - Parameter users: who have it, where they are shown.
  fileprivate func json(_ users: JSONValue? = nil) -> JSONFields {
    [("role", .ref("role", name)), ("rights", .texts(rights)), ("every_right", .flag(holdsEveryRight))]
      + (users.map { [("users", $0)] } ?? []) + [("user_count", .count(self.users))]
  }
}
