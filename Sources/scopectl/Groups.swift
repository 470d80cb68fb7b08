import ArgumentParser
import ScopeClient
import ScopeModel

struct GroupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "group", abstract: "Lists, shows and edits groups of users.",
    subcommands: [List.self, Show.self, Create.self, Edit.self, Delete.self, Add.self, Remove.self])
}

extension GroupCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists groups with their projects.",
      discussion: """
        Example:
          scopectl group list --text night
        """)

    @Option(name: .long, help: "Only those with this in their id or name, in upper or lower case.")
    var text: String?

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      var groups: [GroupRow] = []
      try asking(client) { try client.groups(text: text ?? "") { groups.append($0) } }
      if question.json {
        for group in groups { print(group.json() + [("revision", .number(client.revision))]) }
      } else {
        printTable(
          ["GROUP", "NAME", "USERS", "PROJECTS"],
          groups.map { group in
            [String]("group", group.id, group.name)
              + ["\(group.users)", listed("project", group.projects, of: group.projectCount)]
          }, none: text == nil ? "there are no groups" : "no groups match")
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a group with its members and projects.",
      discussion: """
        Example:
          scopectl group show night-shift
        """)

    @Argument(help: "The group, as its id or group:ID.", completion: .groups, transform: groupID)
    var id: Name

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let (group, users) = try asking(client) { try client.group(id) }
      if question.json {
        return print(
          group.json(.objects(users.map(\.memberJSON))) + [("revision", .number(client.revision))])
      }
      printFields(
        [["group", "group:\(group.id)"], ["name", group.name]]
          + counted("project", group.projects.map { "project:\($0)" }, of: group.projectCount))
      print("\nmembers: \(users.isEmpty ? "none" : "\(users.count)")")
      users.printMembers()
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a group without members.",
      discussion: """
        Example:
          scopectl group create night-shift --name 'Night shift'
        """)

    @Argument(help: "Id of the new group.", transform: groupID)
    var id: Name

    @Option(name: .long, help: "Display name. (default: the id)", transform: plainName)
    var name: Name?

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply(.putGroup(Group(id: id, name: name ?? id)), to: .group(id), isNew: true) }
  }

  struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Renames a group.",
      discussion: """
        Example:
          scopectl group rename night-shift --name 'Night'
        """,
      aliases: ["rename"])

    @Argument(help: "The group, as its id or group:ID.", completion: .groups, transform: groupID)
    var id: Name

    @Option(name: .long, help: "A new display name.", transform: plainName)
    var name: Name

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply(.putGroup(Group(id: id, name: name)), to: .group(id), isNew: false) }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes a group. Its users stay, without the projects they had through it.",
      discussion: """
        Example:
          scopectl group delete night-shift --preview
          scopectl group delete night-shift --yes
        """)

    @Argument(help: "The group, as its id or group:ID.", completion: .groups, transform: groupID)
    var id: Name

    @OptionGroup var destruction: DestructionOptions

    func run() throws { try destruction.apply(.removeGroup(id), that: "deletes group '\(id)'", of: id) }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds users to a group, all or none.",
      discussion: """
        Example:
          scopectl group add night-shift 1001 1002
        """)

    @Argument(help: "The group, as its id or group:ID.", completion: .groups, transform: groupID)
    var group: Name

    @Argument(help: "Users, as 1001 or user:1001.", completion: .users, transform: userID)
    var users: [Name]

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply(users.map { .addToGroup(group: group, user: $0) }) }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes users from a group, all or none.",
      discussion: """
        Example:
          scopectl group remove night-shift 1001
        """)

    @Argument(help: "The group, as its id or group:ID.", completion: .groups, transform: groupID)
    var group: Name

    @Argument(help: "Users, as 1001 or user:1001.", completion: .users, transform: userID)
    var users: [Name]

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply(users.map { .removeFromGroup(group: group, user: $0) }) }
  }
}

extension GroupRow {
  /// - Parameter users: its members, where they are shown.
  fileprivate func json(_ users: JSONValue? = nil) -> JSONFields {
    [("group", .ref("group", id)), ("name", .text(name))] + (users.map { [("users", $0)] } ?? [])
      + [
        ("user_count", .count(self.users)), ("projects", .refs("project", projects)),
        ("project_count", .count(projectCount)),
      ]
  }
}

extension UserRow {
  /// As a member of a group, or holder of a role.
  var memberJSON: JSONFields {
    [("user", .ref("user", id)), ("name", .text(name)), ("blocked", .flag(isBlocked))]
  }
}

extension [UserRow] {
  func printMembers() {
    printTable(
      ["USER", "NAME", "STATE"], map { [String]("user", $0.id, $0.name) + [$0.isBlocked ? "blocked" : "active"] },
      indent: 2)
  }
}
