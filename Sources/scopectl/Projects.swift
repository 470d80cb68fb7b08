import ArgumentParser
import ScopeClient
import ScopeModel

struct ProjectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "project", abstract: "Lists, shows and edits projects.",
    subcommands: [
      List.self, Show.self, Create.self, Edit.self, Delete.self, Add.self, Remove.self,
      MoveCommand<ProjectCommand>.self,
    ])
}

extension ProjectCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists every project, or those that a user sees.",
      discussion: """
        A user with the right projects.list or projects.see_all sees all of them. Of a project marked 'tile' only the \
        words shown here may be shown.

        Examples:
          scopectl project list
          scopectl project list --user 1071
        """)

    @Option(
      name: .long, help: "Only what this user sees: 1001 or user:1001. (default: every project)", completion: .users,
      transform: userID)
    var user: Name?

    @OptionGroup var question: QuestionOptions

    func run() throws { try listProjects(of: user, question) }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a project with its members and objects.",
      discussion: """
        Example:
          scopectl project show clinic
        """)

    @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
    var id: Name

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let project = try asking(client) { try client.project(id) }
      if question.json { print(project.json) } else { project.show() }
    }
  }

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Creates a project. A user who acts becomes a member of it.",
      discussion: """
        Example:
          scopectl project create bakery --name 'Bakery Lund' --description 'Orders'
        """)

    @Argument(help: "Id of the new project.", transform: projectID)
    var id: Name

    @Option(
      name: .long, help: "Name, which no other project of the company has. (default: the id)", transform: plainName)
    var name: Name?

    @Option(name: .long, help: "Description, at most 1024 bytes.", transform: remark)
    var description: Remark?

    @OptionGroup var edit: EditOptions

    func run() throws {
      let project = Project(id: id, name: name ?? id, description: try description ?? Remark(""))
      try edit.apply(.putProject(project), to: .project(id), isNew: true)
    }
  }

  struct Edit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Changes a project's name or description.",
      discussion: """
        What is not named stays as it is.

        Example:
          scopectl project edit bakery --description ''
        """)

    @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
    var id: Name

    @Option(name: .long, help: "Its new name, which no other project of the company has.", transform: plainName)
    var name: Name?

    @Option(name: .long, help: "Its new description, at most 1024 bytes; may be empty.", transform: remark)
    var description: Remark?

    @OptionGroup var edit: EditOptions

    func validate() throws {
      if name == nil && description == nil {
        throw ValidationError("Nothing to edit: give --name or --description.")
      }
    }

    func run() throws {
      try edit.apply { client in
        let old = try client.project(id)
        let project = Project(
          id: id, name: try name ?? Name(old.name), description: try description ?? Remark(old.description))
        return ([.putProject(project)], old.revision)
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes a project. Objects that were in no other are then in none.",
      discussion: """
        Example:
          scopectl project delete bakery --preview
          scopectl project delete bakery --yes
        """)

    @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
    var id: Name

    @OptionGroup var destruction: DestructionOptions

    func run() throws { try destruction.apply(.removeProject(id), that: "deletes project '\(id)'", of: id) }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds users, groups and objects to a project, all or none.",
      discussion: """
        Example:
          scopectl project add clinic user:1001 group:night-shift queue:clinic-callback
        """)

    @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
    var project: Name

    @Argument(help: "Things: user:1001, group:…, queue:…, ….", completion: .subjects, transform: thing)
    var things: [Thing]

    @OptionGroup var edit: EditOptions

    func run() throws {
      try edit.apply(
        things.map { thing in
          switch thing {
          case .member(let member): .addMember(project: project, member)
          case .object(let ref): .place(ref, project: project)
          }
        })
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes users, groups and objects from a project, all or none.",
      discussion: """
        Example:
          scopectl project remove clinic user:1001 queue:clinic-callback --preview
        """)

    @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
    var project: Name

    @Argument(help: "Things: user:1001, group:…, queue:…, ….", completion: .subjects, transform: thing)
    var things: [Thing]

    @OptionGroup var edit: EditOptions

    func run() throws {
      try edit.apply(
        things.map { thing in
          switch thing {
          case .member(let member): .removeMember(project: project, member)
          case .object(let ref): .unplace(ref, project: project)
          }
        })
    }
  }

  /// What can be in a project.
  enum Thing: Sendable {
    case member(Member)
    case object(ObjectRef)
  }
}

private func thing(_ text: String) throws -> ProjectCommand.Thing {
  switch try subject(text) {
  case .user(let id): return .member(.user(id))
  case .group(let id): return .member(.group(id))
  case .object(let ref): return .object(ref)
  case .project: throw ValidationError("a project can't be in a project")
  }
}

extension ProjectContents {
  fileprivate func show() {
    printFields(
      [["project", "project:\(id)"], ["name", name]] + (description.isEmpty ? [] : [["description", description]]))
    print("\nmembers: \(members.isEmpty ? "none" : "\(members.count)")")
    printTable(
      ["MEMBER", "NAME", "USERS"],
      members.map { [String]($0.type, $0.id, $0.name) + [$0.type == "group" ? "\($0.users)" : ""] }, indent: 2)
    print("")
    printWrapped(counts.isEmpty ? ["none"] : counts.map { "\($0.count) \($0.type)" }, after: "objects: ")
    printTable(["OBJECT", "NAME"], objects.map { [String]($0.type, $0.id, $0.name) }, indent: 2)
  }

  fileprivate var json: JSONFields {
    let members: [JSONFields] = members.map { member in
      [
        ("member", .ref(member.type, member.id)), ("name", .text(member.name)),
        ("user_count", member.type == "group" ? .count(member.users) : .null),
      ]
    }
    return [
      ("project", .ref("project", id)), ("name", .text(name)), ("description", .text(description)),
      ("members", .objects(members)), ("objects", .objects(objects.map(\.json))),
      ("counts", .object(counts.map { ($0.type, .count($0.count)) })), ("revision", .number(revision)),
    ]
  }
}
