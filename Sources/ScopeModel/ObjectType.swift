/// The type of an object: a queue, a carrier's line, a contact field…
///
/// A new type is one row in `table` and one line in `proto/scope/v1/types.proto`; a test holds the two
/// together.
public struct ObjectType: Hashable, Sendable {
  /// The number of the type on the wire.
  public let number: UInt8

  /// What is known of a type.
  public struct Properties: Sendable {
    /// Number on the wire.
    public let number: UInt8
    /// Name in text: refs, JSON Lines, the command line.
    public let name: StaticString
    /// In at most one project.
    public let isExclusive: Bool
  }

  /// Every type, in the order of its number, without gaps.
  public static let table: [Properties] = [
    Properties(number: 16, name: "queue", isExclusive: true),
    Properties(number: 17, name: "schedule", isExclusive: false),
    Properties(number: 18, name: "sip_provider", isExclusive: false),
    Properties(number: 19, name: "call_scenario", isExclusive: true),
    Properties(number: 20, name: "dialer", isExclusive: true),
    Properties(number: 21, name: "list", isExclusive: false),
    Properties(number: 22, name: "notification_template", isExclusive: false),
    Properties(number: 23, name: "crm_form", isExclusive: true),
    Properties(number: 24, name: "contact_field", isExclusive: false),
    Properties(number: 25, name: "ip_phone", isExclusive: false),
  ]

  /// Contact fields alone can be of the system.
  public static let contactField = ObjectType(number: 24)!

  /// Lists of numbers alone have a purpose and numbers.
  public static let list = ObjectType(number: 21)!

  /// Every type.
  public static var all: [ObjectType] { table.map { ObjectType(number: $0.number)! } }

  /// The lowest and the highest number.
  public static let numbers: ClosedRange<UInt8> = 16...(16 + UInt8(table.count) - 1)

  /// The type with this number, if there is one.
  public init?(number: UInt8) {
    guard ObjectType.numbers.contains(number) else { return nil }
    self.number = number
  }

  /// The type with this name, if there is one.
  public init?(name: String) {
    guard let row = ObjectType.table.first(where: { "\($0.name)" == name }) else { return nil }
    number = row.number
  }

  private var row: Properties { ObjectType.table[Int(number - ObjectType.numbers.lowerBound)] }

  /// Name in text.
  public var name: String { ObjectType.names[Int(number - ObjectType.numbers.lowerBound)] }

  /// In at most one project.
  public var isExclusive: Bool { row.isExclusive }

  /// In the order of the table: made once, since the names of a company's objects are asked for by the thousand.
  private static let names = table.map { "\($0.name)" }
}

extension ObjectType: Comparable, CustomStringConvertible {
  public static func < (a: ObjectType, b: ObjectType) -> Bool { a.number < b.number }

  public var description: String { name }
}

/// An object by type and id: `queue:support`.
public struct ObjectRef: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let type: ObjectType
  public let id: Name

  public init(_ type: ObjectType, _ id: Name) {
    self.type = type
    self.id = id
  }

  public static func < (a: ObjectRef, b: ObjectRef) -> Bool {
    a.type == b.type ? a.id < b.id : a.type < b.type
  }

  public var description: String { "\(type):\(id)" }
}

/// Who may be a member of a project.
public enum Member: Hashable, Comparable, Sendable, CustomStringConvertible {
  case user(Name)
  case group(Name)

  public var description: String {
    switch self {
    case .user(let id): "user:\(id)"
    case .group(let id): "group:\(id)"
    }
  }
}

/// The type of what can ask and be asked about: of objects, or users, groups or projects.
public enum TargetType: Hashable, Sendable, CustomStringConvertible {
  case user
  case group
  case project
  case object(ObjectType)

  /// In the order of their numbers.
  public static var all: [TargetType] { [.user, .group, .project] + ObjectType.all.map { .object($0) } }

  /// The type with this name, if there is one.
  public init?(name: String) {
    switch name {
    case "user": self = .user
    case "group": self = .group
    case "project": self = .project
    default:
      guard let type = ObjectType(name: name) else { return nil }
      self = .object(type)
    }
  }

  /// Name in text.
  public var name: String {
    switch self {
    case .user: "user"
    case .group: "group"
    case .project: "project"
    case .object(let type): type.name
    }
  }

  /// The number of the type on the wire.
  public var number: UInt8 {
    switch self {
    case .user: SubjectKind.user
    case .group: SubjectKind.group
    case .project: SubjectKind.project
    case .object(let type): type.number
    }
  }

  public var description: String { name }
}

/// What is asked about: an object, or a user, a group or a project as one.
public typealias Target = Subject

/// Who asks: a user, a group, a project or an object.
public enum Subject: Hashable, Comparable, Sendable, CustomStringConvertible {
  case user(Name)
  case group(Name)
  case project(Name)
  case object(ObjectRef)

  public init(_ type: TargetType, _ id: Name) {
    switch type {
    case .user: self = .user(id)
    case .group: self = .group(id)
    case .project: self = .project(id)
    case .object(let type): self = .object(ObjectRef(type, id))
    }
  }

  public var type: TargetType {
    switch self {
    case .user: .user
    case .group: .group
    case .project: .project
    case .object(let ref): .object(ref.type)
    }
  }

  public var id: Name {
    switch self {
    case .user(let id), .group(let id), .project(let id): id
    case .object(let ref): ref.id
    }
  }

  /// In the order of types, then of ids.
  public static func < (a: Subject, b: Subject) -> Bool {
    (a.type.number, a.id) < (b.type.number, b.id)
  }

  public var description: String { "\(type):\(id)" }
}
