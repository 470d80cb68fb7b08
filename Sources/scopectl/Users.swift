import ArgumentParser
import ScopeClient
import ScopeModel

struct UserCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Lists, shows and edits users.",
    subcommands: [List.self, Show.self, Rights.self, Create.self, Edit.self, Delete.self])
}

extension UserCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists users with their roles, groups and projects.",
      discussion: """
        Examples:
          scopectl user list --project clinic --sort group
          scopectl user list --text berger
          scopectl user list --role operator --blocked
          scopectl user list --no-project --at 2026-03-03
        """)

    enum Order: String, CaseIterable, ExpressibleByArgument { case name, group }

    @Option(name: .long, help: "Only those with this in their id or name, in upper or lower case.")
    var text: String?

    @Option(name: .long, help: "Only members of this group.", completion: .groups, transform: groupID)
    var group: Name?

    @Option(
      name: .long, help: "Only those in this project, themselves or through a group.", completion: .projects,
      transform: projectID)
    var project: Name?

    @Flag(name: .long, help: "Only those in no project, neither themselves nor through a group.")
    var noProject = false

    @Option(name: .long, help: "Only those who have this role.", completion: .roles, transform: roleName)
    var role: Name?

    @Option(name: .long, help: "Only those whose roles give this right, blocked ones too.", transform: plainName)
    var right: Name?

    @Flag(name: .long, help: "Only those who are blocked.")
    var blocked = false

    @Option(name: .long, help: "By name, or by the name of the first group.")
    var sort = Order.name

    @Option(name: .long, help: "Skip the first N.")
    var offset: UInt32 = 0

    @Option(name: .long, help: "Show at most N users. (default: all)")
    var limit: UInt32?

    @OptionGroup var question: QuestionOptions

    func validate() throws {
      if limit == 0 { throw ValidationError("--limit is at least 1.") }
      if noProject && project != nil { throw ValidationError("--project and --no-project exclude each other.") }
    }

    func run() throws {
      let client = try question.client()
      var query = UserQuery()
      (query.text, query.group, query.project) = (text ?? "", group?.text ?? "", project?.text ?? "")
      (query.role, query.right, query.isBlocked) = (role?.text ?? "", right?.text ?? "", blocked)
      (query.isInNoProject, query.isByGroup) = (noProject, sort == .group)
      (query.offset, query.limit) = (offset, limit ?? 0)
      var users: [UserRow] = []
      noteMisspelt(right.map { [$0] } ?? [])
      let total = try asking(client) { try client.users(query) { users.append($0) } }
      if question.json {
        for user in users { print(user.json + [("revision", .number(client.revision))]) }
      } else {
        printTable(
          ["USER", "NAME", "STATE", "ROLES", "GROUPS", "PROJECTS"], users.map(\.cells),
          none: total == 0 ? "no users match" : "only \(counted(total, "user")) match")
      }
      let last = Int(offset) + users.count
      if users.count < total && !users.isEmpty {
        StandardError.note(
          "users \(offset + 1) to \(last) of \(total)", reason: "more_users", [("total", .count(total))])
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a user with its roles, groups and projects.",
      discussion: """
        Example:
          scopectl user show 1001
        """)

    @Argument(help: "The user, as 1001 or user:1001.", completion: .users, transform: userID)
    var id: Name

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let user = try asking(client) { try client.user(id).user }
      if question.json { return print(user.json + [("revision", .number(client.revision))]) }
      printFields(
        [["user", "user:\(user.id)"], ["name", user.name], ["state", user.isBlocked ? "blocked" : "active"]]
          + user.roles.map { ["role", "role:\($0)"] }
          + counted("group", user.groups.map { "group:\($0)" }, of: user.groupCount)
          + counted("project", user.projects.map(\.words), of: user.projectCount))
    }
  }

  struct Rights: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks which of the given rights a user holds.",
      discussion: """
        Exits with 0 if all are held, 1 if one is not, 2 if the daemon did not answer in time.

        Example:
          scopectl user rights 1073 report.agents section.call_journal
        """)

    @Argument(help: "The user, as 1001 or user:1001.", completion: .users, transform: userID)
    var id: Name

    @Argument(help: "Rights, such as projects.manage or report.agents.", transform: plainName)
    var rights: [Name]

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      noteMisspelt(rights)
      let (held, reason, revision) = try asking(client) { try client.hasRights(id, rights) }
      if question.json {
        for (right, isHeld) in zip(rights, held) {
          print([
            ("user", .ref("user", id.text)), ("right", .text(right.text)), ("held", .flag(isHeld)),
            ("reason", .optional(reason)), ("revision", .number(revision)),
          ])
        }
      } else {
        let not = reason.isEmpty ? "not held" : "not held: \(reason)"
        printTable(
          ["RIGHT", "HELD"],
          zip(rights, held).map {
            [Styled(cell: $0.text), Styled(cell: $1 ? "held" : not, $1 ? .green : .red)]
          })
      }
      if held.contains(false) { throw Exit.denied }
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a user.",
      discussion: """
        Without a project, the user sees system fields only, until it is put into one or into a group.

        Example:
          scopectl user create 1090 --name 'Ada Byron' --role operator --project clinic
        """)

    @Argument(help: "Id of the new user.", transform: userID)
    var id: Name

    @Option(name: .long, help: "Display name. (default: the id)", transform: plainName)
    var name: Name?

    @Option(name: .long, help: "A role; may be repeated.", completion: .roles, transform: roleName)
    var role: [Name] = []

    @Option(
      name: .long, help: "A project the user is put into; may be repeated.", completion: .projects, transform: projectID
    )
    var project: [Name] = []

    @Flag(name: .long, help: "Create the user blocked: everything is denied until it is unblocked.")
    var blocked = false

    @OptionGroup var edit: EditOptions

    func run() throws {
      let user = User(id: id, name: name ?? id, isBlocked: blocked)
      try edit.apply(.putUser(user, roles: role, projects: project), to: .user(id), isNew: true)
    }
  }

  struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Renames, blocks or unblocks a user, and changes its roles.",
      discussion: """
        What is not named stays as it is. Projects: scopectl project add; groups: scopectl group add.

        Examples:
          scopectl user edit 1001 --add-role supervisor --remove-role operator
          scopectl user edit 1001 --block
        """)

    enum Blocking: String, EnumerableFlag { case block, unblock }

    @Argument(help: "The user, as 1001 or user:1001.", completion: .users, transform: userID)
    var id: Name

    @Option(name: .long, help: "A new display name.", transform: plainName)
    var name: Name?

    @Option(name: .long, help: "A role to give the user; may be repeated.", completion: .roles, transform: roleName)
    var addRole: [Name] = []

    @Option(
      name: .long, help: "A role to take from the user; may be repeated.", completion: .roles, transform: roleName)
    var removeRole: [Name] = []

    @Flag(help: "Block or unblock the user.")
    var blocking: Blocking?

    @OptionGroup var edit: EditOptions

    func validate() throws {
      if name == nil && addRole.isEmpty && removeRole.isEmpty && blocking == nil {
        throw ValidationError("Nothing to edit: give --name, --add-role, --remove-role, --block or --unblock.")
      }
      try refuseBoth(adding: addRole, removing: removeRole)
    }

    func run() throws {
      try edit.apply { client in
        let (user, revision) = try client.user(id)
        let changed = User(
          id: id, name: try name ?? Name(user.name), isBlocked: blocking.map { $0 == .block } ?? user.isBlocked)
        let roles = try edited(user.roles, adding: addRole, removing: removeRole)
        return ([.putUser(changed, roles: roles)], revision)
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes a user with all its memberships.",
      discussion: """
        Example:
          scopectl user delete 1001 --preview
        """)

    @Argument(help: "The user, as 1001 or user:1001.", completion: .users, transform: userID)
    var id: Name

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply([.removeUser(id)]) }
  }
}

/// A row for each item, and one that says how many are left out.
func counted(_ label: String, _ items: [String], of total: Int) -> [[String]] {
  items.map { [label, $0] } + (total > items.count ? [[label, "and \(total - items.count) more"]] : [])
}

extension UserRow {
  fileprivate var cells: [String] {
    [String]("user", id, name) + [
      isBlocked ? "blocked" : "active", listed("role", roles, of: roles.count), listed("group", groups, of: groupCount),
      listed(projects.map(\.words), of: projectCount),
    ]
  }

  fileprivate var json: JSONFields {
    [
      ("user", .ref("user", id)), ("name", .text(name)), ("blocked", .flag(isBlocked)), ("roles", .refs("role", roles)),
      ("groups", .refs("group", groups)), ("group_count", .count(groupCount)),
      ("projects", .objects(projects.map(\.json))), ("project_count", .count(projectCount)),
    ]
  }
}

extension Explanation.Way {
  /// `project:clinic through group:clinic-team`
  fileprivate var words: String { "project:\(project)" + (group.isEmpty ? "" : " through group:\(group)") }
}
