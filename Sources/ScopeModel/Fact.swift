/// How a company's projects separate its people.
public enum SecurityMode: String, Sendable, CaseIterable {
  /// Everyone known sees everything in the company.
  case simple
  /// Only what shares a project is seen.
  case enhanced
}

/// An employee.
public struct User: Hashable, Sendable {
  public let id: Name
  /// Name for people.
  public var name: Name
  /// A blocked user is denied everything.
  public var isBlocked: Bool

  public init(id: Name, name: Name, isBlocked: Bool = false) {
    self.id = id
    self.name = name
    self.isBlocked = isBlocked
  }
}

/// A named set of users.
public struct Group: Hashable, Sendable {
  public let id: Name
  /// Name for people.
  public var name: Name

  public init(id: Name, name: Name) {
    self.id = id
    self.name = name
  }
}

/// One customer's business.
public struct Project: Hashable, Sendable {
  public let id: Name
  /// Name for people, unique in the company.
  public var name: Name
  public var description: Remark

  public init(id: Name, name: Name, description: Remark = .none) {
    self.id = id
    self.name = name
    self.description = description
  }
}

/// Something that is placed into projects.
public struct Object: Hashable, Sendable {
  public let ref: ObjectRef
  /// Name for people.
  public var name: Name
  /// A contact field that is in every project and can't be altered.
  public var isSystem: Bool

  public init(_ ref: ObjectRef, name: Name, isSystem: Bool = false) {
    self.ref = ref
    self.name = name
    self.isSystem = isSystem
  }
}

/// One row of a company's state. The facts of a company are all there is to it: the tables hold them,
/// the change log tells how they came and went, and the index is compiled from them.
public enum Fact: Hashable, Sendable {
  case company(SecurityMode)
  case role(Name)
  case roleRight(role: Name, right: Name)
  case user(User)
  case userRole(user: Name, role: Name)
  case group(Group)
  case groupMember(group: Name, user: Name)
  case project(Project)
  case member(project: Name, Member)
  case object(Object)
  case placement(ObjectRef, project: Name)
  /// Of a list object that has a purpose or numbers.
  case list(NumberList)
}

extension Fact {
  /// The same thing with other values.
  func isNewForm(of other: Fact) -> Bool {
    switch (self, other) {
    case (.company, .company): true
    case (.user(let new), .user(let old)): new.id == old.id
    case (.group(let new), .group(let old)): new.id == old.id
    case (.project(let new), .project(let old)): new.id == old.id
    case (.object(let new), .object(let old)): new.ref == old.ref
    case (.list(let new), .list(let old)): new.id == old.id
    default: false
    }
  }
}

/// One fact made, altered or removed.
public struct Edit: Hashable, Sendable {
  /// The fact as it was; nil: it is new.
  public let before: Fact?
  /// The fact as it is; nil: it is gone.
  public let after: Fact?

  public init(before: Fact?, after: Fact?) {
    self.before = before
    self.after = after
  }

  /// The edit that takes this one back.
  public var reversed: Edit { Edit(before: after, after: before) }
}

/// Rights that the rules themselves know. Any other right is the platform's own: stored, and asked for.
public enum Right {
  /// Sees everything in the company, whatever the projects.
  public static let seeAll: Name = "projects.see_all"
  /// Sees every project's tile, without its contents.
  public static let listProjects: Name = "projects.list"
  /// Adds and removes users and groups of projects.
  public static let manageAccess: Name = "projects.manage_access"
  /// Creates, edits and deletes projects; places and removes objects.
  public static let manageProjects: Name = "projects.manage"
  /// Users and groups.
  public static let manageUsers: Name = "users.manage"
  /// Roles.
  public static let manageRoles: Name = "roles.manage"
  /// The security mode.
  public static let manageCompany: Name = "company.manage"

  public static let all = [
    seeAll, listProjects, manageAccess, manageProjects, manageUsers, manageRoles, manageCompany,
  ]

  /// The built-in right that was meant by one that is none; nil: it is one, or looks like none.
  public static func meant(by right: Name) -> Name? {
    Spelling.nearest(to: right.text, among: all.map(\.text)).flatMap { near in all.first { $0.text == near } }
  }
}

/// The kinds of rows, in an order in which each names only those before it.
///
/// The raw values stand in the change log of every installation: they are never changed.
public enum FactKind: String, CaseIterable, Sendable {
  case company
  case role
  case roleRight = "role_right"
  case user
  case userRole = "user_role"
  case group
  case groupMember = "group_member"
  case project
  case projectUser = "project_user"
  case projectGroup = "project_group"
  case object
  case placement
  case list
}

extension FactKind {
  /// A column of a row, as the log tells it behind the kind.
  public struct Column: Hashable, Sendable {
    public enum Value: Hashable, Sendable {
      /// The id of a user, group, project, role or list.
      case id
      /// An object's type, and behind it, in a text of its own, its id.
      case object
      case text
      /// A count of things, or another number.
      case number
    }

    public let name: String
    public let value: Value

    fileprivate init(_ name: String, _ value: Value) { (self.name, self.value) = (name, value) }

    /// How many of the row's texts it takes.
    public var texts: Int { value == .object ? 2 : 1 }
  }

  /// The columns of its rows, in the order in which the log tells them. An id's column is named after the type.
  public var columns: [Column] {
    switch self {
    case .company: [Column("mode", .text)]
    case .role: [Column("role", .id)]
    case .roleRight: [Column("role", .id), Column("right", .text)]
    case .user: [Column("user", .id), Column("name", .text), Column("state", .text)]
    case .userRole: [Column("user", .id), Column("role", .id)]
    case .group: [Column("group", .id), Column("name", .text)]
    case .groupMember: [Column("group", .id), Column("user", .id)]
    case .project: [Column("project", .id), Column("name", .text), Column("description", .text)]
    case .projectUser: [Column("project", .id), Column("user", .id)]
    case .projectGroup: [Column("project", .id), Column("group", .id)]
    case .object: [Column("object", .object), Column("name", .text), Column("origin", .text)]
    case .placement: [Column("object", .object), Column("project", .id)]
    case .list:
      [
        Column("list", .id), Column("purpose", .text), Column("numbers", .number), Column("block_set", .number),
        Column("digest", .text),
      ]
    }
  }
}
