import ArgumentParser
import ScopeClient
import ScopeModel

struct ObjectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "object", abstract: "Lists, shows and edits objects, and puts them into projects.",
    discussion: "What someone sees: scopectl objects SUBJECT. What a project has: scopectl project show ID.",
    subcommands: [
      List.self, Show.self, CreateObjectCommand<ObjectCommand>.self, EditObjectCommand<ObjectCommand>.self,
      DeleteObjectCommand<ObjectCommand>.self, PlaceCommand<ObjectCommand>.self,
      UnplaceCommand<ObjectCommand>.self, MoveCommand<ObjectCommand>.self,
    ])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists the objects there are, whoever sees them.",
      discussion: """
        What someone sees is told by: scopectl objects SUBJECT.

        Examples:
          scopectl object list --type queue --text clinic
          scopectl object list --in-no-project
        """)

    @Option(
      name: .long, help: "Only this type; may be repeated. (default: all)", completion: .objectTypes,
      transform: objectType)
    var type: [ObjectType] = []

    @Option(name: .long, help: "Only those with this in their id or name, in upper or lower case.")
    var text: String?

    @Flag(name: .long, help: "Only those in no project.")
    var inNoProject = false

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      var query = ObjectQuery()
      (query.types, query.text, query.isInNoProject) = (type, text ?? "", inNoProject)
      var objects: [PlacedObject] = []
      _ = try asking(client) { try client.companyObjects(query) { objects.append($0) } }
      objects.show(question, client)
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows an object with its projects.",
      discussion: """
        Example:
          scopectl object show list:do-not-call
        """)

    @Argument(help: "The object: queue:support, sip_provider:carrier-a, ….", completion: .objects, transform: objectRef)
    var ref: ObjectRef

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let object = try asking(client) { try client.object(ref) }
      if question.json { print(object.json(client.revision)) } else { printFields(object.fields) }
    }
  }
}

struct FieldCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "field", abstract: "Lists and edits contact fields, and puts them into projects.",
    subcommands: [
      List.self, CreateObjectCommand<FieldCommand>.self, EditObjectCommand<FieldCommand>.self,
      DeleteObjectCommand<FieldCommand>.self, PlaceCommand<FieldCommand>.self, UnplaceCommand<FieldCommand>.self,
    ])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists contact fields with their projects.",
      discussion: """
        Example: fields that several projects write and read:
          scopectl field list --shared
        """)

    enum Filter: String, EnumerableFlag {
      case system, custom, shared, inNone

      static func help(for value: Filter) -> ArgumentHelp? {
        switch value {
        case .system: "Only those in every project."
        case .custom: "Only all others."
        case .shared: "Only those in more than one project."
        case .inNone: "Only custom ones in no project."
        }
      }

      var onTheWire: FieldFilter {
        switch self {
        case .system: .system
        case .custom: .custom
        case .shared: .shared
        case .inNone: .inNone
        }
      }
    }

    @Flag var filter: Filter?

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      var fields: [PlacedObject] = []
      try asking(client) { try client.fields(filter?.onTheWire ?? .all) { fields.append($0) } }
      fields.show(question, client)
    }
  }
}

// MARK: - Editing

/// A command with subcommands that edit objects: how those name them.
protocol ObjectEditing: ParsableCommand {
  static func ref(_ text: String) throws -> ObjectRef
  static var completion: CompletionKind { get }
  static var word: String { get }
  static var example: String { get }
}

extension ObjectEditing {
  static func ref(_ text: String) throws -> ObjectRef { try objectRef(text) }
  static var completion: CompletionKind { .objects }
  static var word: String { "an object" }
  static var example: String { "queue:support" }

  fileprivate static var help: ArgumentHelp { "Which: \(example), …." }

  fileprivate static func subcommand(_ name: String, _ abstract: String, _ arguments: String) -> CommandConfiguration {
    CommandConfiguration(
      commandName: name, abstract: abstract,
      discussion: """
        Example:
          scopectl \(configuration.commandName ?? "") \(name) \(example) \(arguments)
        """)
  }
}

extension ObjectCommand: ObjectEditing {}
extension ProjectCommand: ObjectEditing {}

extension NumberListCommand: ObjectEditing {
  static func ref(_ text: String) throws -> ObjectRef { ObjectRef(.list, try listID(text)) }
  static var completion: CompletionKind { .lists }
  static let word = "a list with its numbers"
  static let example = "autumn-leads"
}

extension FieldCommand: ObjectEditing {
  static func ref(_ text: String) throws -> ObjectRef { ObjectRef(.contactField, try fieldID(text)) }
  static var completion: CompletionKind { .fields }
  static let word = "a contact field"
  static let example = "claim-number"
}

struct CreateObjectCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand(
      "create", "Creates \(Owner.word). In no project, only users with projects.see_all see it.",
      "--name 'A name' --project clinic")
  }

  @Argument(help: Owner.help, transform: Owner.ref)
  var ref: ObjectRef

  @Option(name: .long, help: "Display name. (default: the id)", transform: plainName)
  var name: Name?

  @Option(name: .long, help: "A project it is placed in; may be repeated.", completion: .projects, transform: projectID)
  var project: [Name] = []

  @Flag(name: .long, help: "Contact fields only: in every project, and fixed from then on.")
  var system = false

  @OptionGroup var edit: EditOptions

  func run() throws {
    let object = Object(ref, name: name ?? ref.id, isSystem: system)
    try edit.apply(.putObject(object, projects: project), to: .object(ref), isNew: true)
  }
}

struct EditObjectCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("edit", "Renames \(Owner.word).", "--name 'Another name'")
  }

  @Argument(help: Owner.help, completion: Owner.completion, transform: Owner.ref)
  var ref: ObjectRef

  @Option(name: .long, help: "A new display name.", transform: plainName)
  var name: Name

  @OptionGroup var edit: EditOptions

  func run() throws {
    try edit.apply(.putObject(Object(ref, name: name)), to: .object(ref), isNew: false)
  }
}

struct DeleteObjectCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("delete", "Deletes \(Owner.word), from its projects too.", "--preview")
  }

  @Argument(help: Owner.help, completion: Owner.completion, transform: Owner.ref)
  var ref: ObjectRef

  @OptionGroup var destruction: DestructionOptions

  func run() throws {
    let deed = "deletes list '\(ref.id)' with its purpose and numbers"
    try destruction.apply(.removeObject(ref), that: deed, of: ref.id) { trial, client in
      if ref.type != .list { return false }
      // Beside the object and its placements only a list's purpose and numbers go.
      return try trial.edits > 1 + client.object(ref).projectCount
    }
  }
}

struct PlaceCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("place", "Puts \(Owner.word) into a project.", "clinic")
  }

  @Argument(help: Owner.help, completion: Owner.completion, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
  var project: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.place(ref, project: project)]) }
}

struct UnplaceCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("unplace", "Takes \(Owner.word) out of a project.", "clinic")
  }

  @Argument(help: Owner.help, completion: Owner.completion, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project, as its id or project:ID.", completion: .projects, transform: projectID)
  var project: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.unplace(ref, project: project)]) }
}

struct MoveCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand(
      "move", "Takes \(Owner.word) from one project to another in one change.", "clinic shop")
  }

  @Argument(help: Owner.help, completion: Owner.completion, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project it is in.", completion: .projects, transform: projectID)
  var from: Name

  @Argument(help: "The project it goes to.", completion: .projects, transform: projectID)
  var to: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.move(ref, from: from, to: to)]) }
}

// MARK: - Words

extension PlacedObject {
  fileprivate var fields: [[String]] {
    let head = [["object", "\(object.type):\(object.id)"], ["name", object.name]]
    if object.isSystem { return head + [["project", "every one, as a system field"]] }
    return head
      + (projects.isEmpty
        ? [["project", "none"]] : counted("project", projects.map { "project:\($0)" }, of: projectCount))
  }

  fileprivate var cells: [String] {
    let projects = projectCount == 0 ? "none" : listed("project", projects, of: projectCount)
    return [String](object.type, object.id, object.name) + [object.isSystem ? "every one: system field" : projects]
  }

  fileprivate func json(_ revision: UInt64) -> JSONFields {
    object.json + [
      ("projects", .refs("project", projects)), ("project_count", .count(projectCount)),
      ("revision", .number(revision)),
    ]
  }
}

extension [PlacedObject] {
  fileprivate func show(_ question: QuestionOptions, _ client: Client) {
    if question.json {
      for object in self { print(object.json(client.revision)) }
    } else {
      printTable(["OBJECT", "NAME", "PROJECTS"], map(\.cells), none: "no objects match")
    }
  }
}
