import ArgumentParser
import ScopeClient
import ScopeModel

struct ObjectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "object", abstract: "Shows and edits objects, and puts them into projects.",
    discussion: "What someone sees: scopectl objects SUBJECT. What a project has: scopectl project show ID.",
    subcommands: [
      Show.self, CreateObjectCommand<ObjectCommand>.self, EditObjectCommand<ObjectCommand>.self,
      DeleteObjectCommand<ObjectCommand>.self, PlaceCommand<ObjectCommand>.self,
      UnplaceCommand<ObjectCommand>.self, MoveCommand<ObjectCommand>.self,
    ])

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows an object with its projects.",
      discussion: """
        Example:
          scopectl object show list:do-not-call
        """)

    @Argument(help: "The object: queue:support, sip_provider:carrier-a, ….", transform: objectRef)
    var ref: ObjectRef

    @OptionGroup var question: QuestionOptions

    func run() throws {
      let client = try question.client()
      let details = try asking { try client.object(ref) }
      if question.json { print(details.json) } else { printTable(details.rows) }
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
      var fields: [FieldRow] = []
      try asking { try client.fields(filter?.onTheWire ?? .all) { fields.append($0) } }
      if question.json {
        for field in fields { print(field.json) }
      } else {
        printTable(fields.map(\.cells))
      }
    }
  }
}

// MARK: - Editing

/// A command with subcommands that edit objects: how those name them.
protocol ObjectEditing: ParsableCommand {
  static func ref(_ text: String) throws -> ObjectRef
  static var word: String { get }
  static var example: String { get }
}

extension ObjectEditing {
  static func ref(_ text: String) throws -> ObjectRef { try objectRef(text) }
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

extension FieldCommand: ObjectEditing {
  static func ref(_ text: String) throws -> ObjectRef { ObjectRef(.contactField, try fieldID(text)) }
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

  @Option(name: .long, help: "A project it is placed in; may be repeated.", transform: projectID)
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

  @Argument(help: Owner.help, transform: Owner.ref)
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

  @Argument(help: Owner.help, transform: Owner.ref)
  var ref: ObjectRef

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.removeObject(ref)]) }
}

struct PlaceCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("place", "Puts \(Owner.word) into a project.", "clinic")
  }

  @Argument(help: Owner.help, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project, as its id or project:ID.", transform: projectID)
  var project: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.place(ref, project: project)]) }
}

struct UnplaceCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand("unplace", "Takes \(Owner.word) out of a project.", "clinic")
  }

  @Argument(help: Owner.help, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project, as its id or project:ID.", transform: projectID)
  var project: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.unplace(ref, project: project)]) }
}

struct MoveCommand<Owner: ObjectEditing>: ParsableCommand {
  static var configuration: CommandConfiguration {
    Owner.subcommand(
      "move", "Takes \(Owner.word) from one project to another in one change.", "clinic shop")
  }

  @Argument(help: Owner.help, transform: Owner.ref)
  var ref: ObjectRef

  @Argument(help: "The project it is in.", transform: projectID)
  var from: Name

  @Argument(help: "The project it goes to.", transform: projectID)
  var to: Name

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.move(ref, from: from, to: to)]) }
}

// MARK: - Words

extension ObjectDetails {
  fileprivate var rows: [[String]] {
    let projects = counted("project", projects, of: projectCount)
    return [[String](object.type, object.id, object.name)]
      + (object.isSystem
        ? [["project", "every one, as a system field"]] : projects.isEmpty ? [["project", "none"]] : projects)
  }

  fileprivate var json: String {
    jsonObject(
      object.jsonFields + [
        ("projects", .list(projects)), ("project_count", .number(UInt64(projectCount))),
        ("revision", .number(revision)),
      ])
  }
}

extension FieldRow {
  fileprivate var cells: [String] {
    [id, name, isSystem ? "system" : projectCount == 0 ? "in no project" : listed(projects, of: projectCount)]
  }

  fileprivate var json: String {
    jsonObject([
      ("id", .text(id)), ("name", .text(name)), ("system", .flag(isSystem)), ("projects", .list(projects)),
      ("project_count", .number(UInt64(projectCount))),
    ])
  }
}
