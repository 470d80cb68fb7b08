/// What can be asked to change in a company.
public enum Change: Hashable, Sendable {
  /// Creates the company; nothing changes where it exists.
  case putCompany(SecurityMode)
  case removeCompany
  case setMode(SecurityMode)
  /// Creates or replaces a user with its roles, and puts it into projects; memberships stay.
  case putUser(User, roles: [Name], projects: [Name] = [])
  case removeUser(Name)
  case putGroup(Group)
  case removeGroup(Name)
  case addToGroup(group: Name, user: Name)
  case removeFromGroup(group: Name, user: Name)
  /// Creates a role or replaces its rights.
  case putRole(Name, rights: [Name])
  case removeRole(Name)
  case putProject(Project)
  case removeProject(Name)
  case addMember(project: Name, Member)
  case removeMember(project: Name, Member)
  /// Creates or renames an object, and places it; placements stay.
  case putObject(Object, projects: [Name] = [])
  case removeObject(ObjectRef)
  case place(ObjectRef, project: Name)
  case unplace(ObjectRef, project: Name)
  case move(ObjectRef, from: Name, to: Name)
  /// Says what a list is for.
  case setPurpose(list: Name, ListPurpose)
}

extension Change {
  /// How many roles, rights or projects it names beside its own thing.
  public var nameCount: Int {
    switch self {
    case .putUser(_, let roles, let projects): roles.count + projects.count
    case .putRole(_, let rights): rights.count
    case .putObject(_, let projects): projects.count
    default: 0
    }
  }
}

/// What came of a batch that was applied.
public struct Outcome: Sendable {
  /// Every fact made, altered or removed, in order, cascades included.
  public internal(set) var edits: [Edit] = []
  /// What the operator should know: the first of it, by the order of the changes.
  public internal(set) var warnings: [Warning] = []
  /// What a switch to enhanced mode has put into `Default`.
  public internal(set) var gathered: Gathered?
  /// Fields placed and users given a project, with the change that did so last: looked at in the end.
  var placedFields: [ObjectRef: Int] = [:]
  var givenUsers: [Name: Int] = [:]
  /// Rights given to roles that look like built-in ones, with the change that did so.
  var misspeltRights: [(index: Int, kind: Warning.Kind)] = []
  /// Objects that are new: their creator places them without seeing them yet.
  var createdObjects: Set<ObjectRef> = []
}

/// What was in no project when the company began to separate, and is in `Default` now.
public struct Gathered: Hashable, Sendable {
  /// Id of the project named `Default`.
  public let project: Name
  /// In byte order of ids.
  public let users: [Name]
  /// In order of type and bytes of the id.
  public let objects: [ObjectRef]
}

/// Something allowed but worth a look.
public struct Warning: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// What one project's script writes into this field, the others read.
    case fieldShared(ObjectRef)
    /// The user has a project of their own and is still in `Default`.
    case stillInDefault(user: Name)
    /// A role was given a right that the rules do not know, and that looks like one they do.
    case rightMisspelt(Name, role: Name, meant: Name)
  }

  /// Position of the change in the batch, from 0.
  public let index: Int
  public let kind: Kind
  /// The first of the projects concerned, in byte order.
  public let projects: [Name]
  /// How many projects are concerned.
  public let projectCount: Int

  /// Bounds of what is told: the answer to a change must stay small, whatever it is worth a look for.
  public static let maximumTold = 200
  public static let maximumProjects = 50

  init(index: Int, kind: Kind, projects: [Name]) {
    self.index = index
    self.kind = kind
    self.projects = Array(projects.prefix(Warning.maximumProjects))
    projectCount = projects.count
  }

  /// The id of the field, user or role.
  var about: Name {
    switch kind {
    case .fieldShared(let ref): ref.id
    case .stillInDefault(let user): user
    case .rightMisspelt(_, let role, _): role
    }
  }

  /// Stable, for machines.
  public var code: String {
    switch kind {
    case .fieldShared: "field_shared"
    case .stillInDefault: "still_in_default"
    case .rightMisspelt: "right_misspelt"
    }
  }

  /// For people.
  public var message: String {
    let more = projectCount > 5 ? " and \(projectCount - 5) more" : ""
    let names = projects.prefix(5).map { "'\($0)'" }.joined(separator: ", ") + more
    return switch kind {
    case .fieldShared(let ref): "\(ref) is shared by the projects \(names): what one writes, the others read"
    case .stillInDefault(let user): "user:\(user) is still in project \(names) beside a project of their own"
    case .rightMisspelt(let right, let role, let meant):
      "the right '\(right)' of role '\(role)' is none that the rules know; did you mean '\(meant)'?"
    }
  }
}

/// A batch that was not applied, and the change at fault.
public struct RefusedBatch: Error, Hashable, Sendable {
  /// Position of the change in the batch, from 0.
  public let index: Int
  public let error: ChangeError
}

/// Why a change is refused: a rule of the domain, with what it is about.
public enum ChangeError: Error, Hashable, Sendable {
  case unknownCompany(Name)
  case unknownUser(Name)
  case unknownGroup(Name)
  case unknownRole(Name)
  case unknownProject(Name)
  case unknownObject(ObjectRef)
  /// Nil: by a project that the actor does not see.
  case projectNameTaken(Name, by: Name?)
  case exclusivelyPlaced(ObjectRef, in: Name)
  case notPlaced(ObjectRef, in: Name)
  case systemFieldFixed(ObjectRef)
  case customFieldFixed(ObjectRef)
  case notAContactField(ObjectRef)
  case adminRoleFixed
  case tooMany(String, limit: Int)
  case unknownActor(Name)
  case actorBlocked(Name)
  case rightMissing(actor: Name, right: Name)
  case rightNotHeld(actor: Name, right: Name)
  case roleNotHeld(actor: Name, role: Name)
  case projectOutOfReach(actor: Name, project: Name)
  case groupOutOfReach(actor: Name, group: Name)
  case objectOutOfReach(actor: Name, object: ObjectRef)
  case objectShared(actor: Name, object: ObjectRef)
  case userOutOfReach(actor: Name, user: Name)
  case userHoldsMore(actor: Name, user: Name, right: Name)
  case rightOutOfReach(actor: Name, right: Name)
  case lastAdmin(Name)
  case platformOnly(actor: Name)
}

extension ChangeError: CustomStringConvertible {
  /// What kind of refusal it is; the wire has a status for each.
  public enum Category: Sendable {
    case notFound, alreadyExists, precondition, limit, permission
  }

  /// Stable, for machines.
  public var code: String { summary.code }

  public var category: Category { summary.category }

  private var summary: (code: String, category: Category) {
    switch self {
    case .unknownCompany: ("unknown_company", .notFound)
    case .unknownUser: ("unknown_user", .notFound)
    case .unknownGroup: ("unknown_group", .notFound)
    case .unknownRole: ("unknown_role", .notFound)
    case .unknownProject: ("unknown_project", .notFound)
    case .unknownObject: ("unknown_object", .notFound)
    case .projectNameTaken: ("project_name_taken", .alreadyExists)
    case .exclusivelyPlaced: ("exclusively_placed", .precondition)
    case .notPlaced: ("not_placed", .precondition)
    case .systemFieldFixed: ("system_field_fixed", .precondition)
    case .customFieldFixed: ("custom_field_fixed", .precondition)
    case .notAContactField: ("not_a_contact_field", .precondition)
    case .adminRoleFixed: ("admin_role_fixed", .precondition)
    case .tooMany: ("too_many", .limit)
    case .unknownActor: ("unknown_actor", .permission)
    case .actorBlocked: ("actor_blocked", .permission)
    case .rightMissing: ("right_missing", .permission)
    case .rightNotHeld: ("right_not_held", .permission)
    case .roleNotHeld: ("role_not_held", .permission)
    case .projectOutOfReach: ("project_out_of_reach", .permission)
    case .groupOutOfReach: ("group_out_of_reach", .permission)
    case .objectOutOfReach: ("object_out_of_reach", .permission)
    case .objectShared: ("object_shared", .permission)
    case .userOutOfReach: ("user_out_of_reach", .permission)
    case .userHoldsMore: ("user_holds_more", .permission)
    case .rightOutOfReach: ("right_out_of_reach", .permission)
    case .lastAdmin: ("last_admin", .permission)
    case .platformOnly: ("platform_only", .permission)
    }
  }

  /// For people.
  public var description: String {
    switch self {
    case .unknownCompany(let id): "there is no company '\(id)'"
    case .unknownUser(let id): "there is no user '\(id)'"
    case .unknownGroup(let id): "there is no group '\(id)'"
    case .unknownRole(let id): "there is no role '\(id)'"
    case .unknownProject(let id): "there is no project '\(id)'"
    case .unknownObject(let ref): "there is no object '\(ref)'"
    case .projectNameTaken(let name, let id):
      "the name '\(name)' is taken by \(id.map { "project '\($0)'" } ?? "another project")"
    case .exclusivelyPlaced(let ref, let project):
      "\(ref) is in project '\(project)' and can be in one only; move it"
    case .notPlaced(let ref, let project): "\(ref) is not in project '\(project)'"
    case .systemFieldFixed(let ref): "\(ref) is a system field: it can't be placed, altered or removed"
    case .customFieldFixed(let ref):
      "\(ref) is a custom field and can't become a system field; make a new one under another id"
    case .notAContactField(let ref): "\(ref) can't be of the system: only contact fields can"
    case .adminRoleFixed: "the role 'admin' can't be changed or removed"
    case .tooMany(let what, let limit): "a company can have at most \(limit) \(what)"
    case .unknownActor(let id): "the acting user '\(id)' is not there"
    case .actorBlocked(let id): "the acting user '\(id)' is blocked"
    case .rightMissing(let actor, let right): "user '\(actor)' needs the right '\(right)' for this"
    case .rightNotHeld(let actor, let right): "user '\(actor)' can't grant the right '\(right)' without holding it"
    case .roleNotHeld(let actor, let role): "user '\(actor)' can't grant the role '\(role)' without holding it"
    case .projectOutOfReach(let actor, let project): "user '\(actor)' is not in project '\(project)'"
    case .groupOutOfReach(let actor, let group):
      "group '\(group)' is also in a project that user '\(actor)' is not in"
    case .objectOutOfReach(let actor, let ref): "user '\(actor)' does not see \(ref)"
    case .objectShared(let actor, let ref):
      "\(ref) is also in a project that user '\(actor)' is not in, and stays as it is there"
    case .userOutOfReach(let actor, let user):
      "user '\(user)' is also in a project that user '\(actor)' is not in"
    case .userHoldsMore(let actor, let user, let right):
      "user '\(user)' holds the right '\(right)', which user '\(actor)' does not"
    case .rightOutOfReach(let actor, let right):
      "user '\(actor)' can't take the right '\(right)' away without holding it"
    case .lastAdmin(let user):
      "user '\(user)' is the last who holds the role 'admin'; only the platform itself can take it away"
    case .platformOnly(let actor): "only the platform itself may do this, not user '\(actor)'"
    }
  }
}
