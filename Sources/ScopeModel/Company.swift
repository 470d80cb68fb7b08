/// The state of one company, a value. A company that does not exist has no mode and no facts.
///
/// `write` is the only way in: loading, changing, taking back and replaying all go through it, so the
/// links in both directions can't come apart.
public struct Company: Sendable {
  /// A user with its links.
  public struct UserState: Sendable {
    public fileprivate(set) var user: User
    public fileprivate(set) var roles: Set<Name> = []
    public fileprivate(set) var groups: Set<Name> = []
    /// Projects the user is in directly.
    public fileprivate(set) var projects: Set<Name> = []
  }

  /// A group with its links.
  public struct GroupState: Sendable {
    public fileprivate(set) var group: Group
    public fileprivate(set) var users: Set<Name> = []
    public fileprivate(set) var projects: Set<Name> = []
  }

  /// A project with its links.
  public struct ProjectState: Sendable {
    public fileprivate(set) var project: Project
    public fileprivate(set) var members: Set<Member> = []
    public fileprivate(set) var objects: Set<ObjectRef> = []
  }

  /// An object with its links.
  public struct ObjectState: Sendable {
    public fileprivate(set) var object: Object
    /// Few in practice, none or one mostly, and in no order: an array is a quarter of a set.
    public fileprivate(set) var projects: [Name] = []
  }

  /// The role that is there from the company's creation, holds every right and can't be changed.
  public static let adminRole: Name = "admin"
  /// The project that takes in what is in none when a company begins to separate.
  public static let defaultProjectName: Name = "Default"
  /// Contact fields that every company has from its creation.
  public static let systemFields: [Name] = ["name", "phone"]

  public private(set) var id: Name
  /// Nil: the company does not exist.
  public private(set) var mode: SecurityMode?
  /// The rights of each role. Those of `admin` are every right, and are not listed.
  public private(set) var roles: [Name: Set<Name>] = [:]
  public private(set) var users: [Name: UserState] = [:]
  public private(set) var groups: [Name: GroupState] = [:]
  public private(set) var projects: [Name: ProjectState] = [:]
  public private(set) var objects: [ObjectRef: ObjectState] = [:]
  /// What is known of lists beside their objects; those without purpose and numbers are not there.
  public private(set) var lists: [Name: NumberList] = [:]
  /// From users to projects, directly and through each group: what the index will hold at most.
  public private(set) var wayCount = 0
  /// The system fields.
  public private(set) var systemObjects: Set<ObjectRef> = []
  private var projectIDs: [Name: Name] = [:]
  private var usersByRole: [Name: Set<Name>] = [:]

  /// A company without facts.
  public init(id: Name) { self.id = id }

  /// A company with the facts of another.
  public init(id: Name, like other: Company) {
    self = other
    self.id = id
  }

  /// The project with this name, if there is one.
  public func projectID(named name: Name) -> Name? { projectIDs[name] }

  /// The users who have the role.
  public func holders(of role: Name) -> Set<Name> { usersByRole[role] ?? [] }

  /// Makes the state say what the edit says. The edit must fit the state: facts come after those they
  /// name and go before them.
  public mutating func write(_ edit: Edit) {
    switch (edit.before, edit.after) {
    case (nil, let fact?): insert(fact)
    case (let fact?, nil): remove(fact)
    case (let before?, let after?): replace(before, with: after)
    case (nil, nil): break
    }
  }

  /// Whether the edit fits the state: what it removes is there and bare of links, what it makes is new and names
  /// what is there. `write` itself stops the process otherwise; a damaged file must not.
  public func canWrite(_ edit: Edit) -> Bool {
    switch (edit.before, edit.after) {
    case (nil, let fact?): !contains(fact) && hasWhatIsNamed(by: fact)
    case (let fact?, nil): contains(fact) && isBare(fact)
    case (let before?, let after?): contains(before) && after.isNewForm(of: before)
    case (nil, nil): true
    }
  }

  /// Names count, not what stands beside them.
  private func contains(_ fact: Fact) -> Bool {
    switch fact {
    case .company: mode != nil
    case .role(let role): roles[role] != nil
    case .roleRight(let role, let right): roles[role]?.contains(right) == true
    case .user(let user): users[user.id] != nil
    case .userRole(let user, let role): users[user]?.roles.contains(role) == true
    case .group(let group): groups[group.id] != nil
    case .groupMember(let group, let user): groups[group]?.users.contains(user) == true
    case .project(let project): projects[project.id] != nil
    case .member(let project, let member): projects[project]?.members.contains(member) == true
    case .object(let object): objects[object.ref] != nil
    case .placement(let ref, let project): projects[project]?.objects.contains(ref) == true
    case .list(let list): lists[list.id] != nil
    }
  }

  private func hasWhatIsNamed(by fact: Fact) -> Bool {
    switch fact {
    case .company, .role, .user, .group, .project, .object: true
    case .roleRight(let role, _): roles[role] != nil
    case .userRole(let user, let role): users[user] != nil && roles[role] != nil
    case .groupMember(let group, let user): groups[group] != nil && users[user] != nil
    case .member(let project, .user(let id)): projects[project] != nil && users[id] != nil
    case .member(let project, .group(let id)): projects[project] != nil && groups[id] != nil
    case .placement(let ref, let project): objects[ref] != nil && projects[project] != nil
    case .list(let list): objects[list.ref] != nil
    }
  }

  private func isBare(_ fact: Fact) -> Bool {
    switch fact {
    case .role(let role): roles[role]!.isEmpty && usersByRole[role] == nil
    case .user(let user):
      users[user.id]!.roles.isEmpty && users[user.id]!.groups.isEmpty && users[user.id]!.projects.isEmpty
    case .group(let group): groups[group.id]!.users.isEmpty && groups[group.id]!.projects.isEmpty
    case .project(let project): projects[project.id]!.members.isEmpty && projects[project.id]!.objects.isEmpty
    case .object(let object):
      objects[object.ref]!.projects.isEmpty && (object.ref.type != .list || lists[object.ref.id] == nil)
    case .company, .roleRight, .userRole, .groupMember, .member, .placement, .list: true
    }
  }

  private mutating func insert(_ fact: Fact) {
    switch fact {
    case .company(let mode): self.mode = mode
    case .role(let name): roles[name] = []
    case .roleRight(let role, let right): roles[role]!.insert(right)
    case .user(let user): users[user.id] = UserState(user: user)
    case .userRole(let user, let role):
      users[user]!.roles.insert(role)
      usersByRole[role, default: []].insert(user)
    case .group(let group): groups[group.id] = GroupState(group: group)
    case .groupMember(let group, let user):
      wayCount += groups[group]!.projects.count
      groups[group]!.users.insert(user)
      users[user]!.groups.insert(group)
    case .project(let project):
      projects[project.id] = ProjectState(project: project)
      projectIDs[project.name] = project.id
    case .member(let project, let member):
      projects[project]!.members.insert(member)
      switch member {
      case .user(let id):
        wayCount += 1
        users[id]!.projects.insert(project)
      case .group(let id):
        wayCount += groups[id]!.users.count
        groups[id]!.projects.insert(project)
      }
    case .object(let object):
      objects[object.ref] = ObjectState(object: object)
      if object.isSystem { systemObjects.insert(object.ref) }
    case .placement(let ref, let project):
      projects[project]!.objects.insert(ref)
      objects[ref]!.projects.append(project)
    case .list(let list): lists[list.id] = list
    }
  }

  private mutating func remove(_ fact: Fact) {
    switch fact {
    case .company: mode = nil
    case .role(let name): roles[name] = nil
    case .roleRight(let role, let right): roles[role]!.remove(right)
    case .user(let user): users[user.id] = nil
    case .userRole(let user, let role):
      users[user]!.roles.remove(role)
      usersByRole[role]!.remove(user)
      if usersByRole[role]!.isEmpty { usersByRole[role] = nil }
    case .group(let group): groups[group.id] = nil
    case .groupMember(let group, let user):
      wayCount -= groups[group]!.projects.count
      groups[group]!.users.remove(user)
      users[user]!.groups.remove(group)
    case .project(let project):
      projects[project.id] = nil
      projectIDs[project.name] = nil
    case .member(let project, let member):
      projects[project]!.members.remove(member)
      switch member {
      case .user(let id):
        wayCount -= 1
        users[id]!.projects.remove(project)
      case .group(let id):
        wayCount -= groups[id]!.users.count
        groups[id]!.projects.remove(project)
      }
    case .object(let object):
      objects[object.ref] = nil
      if object.isSystem { systemObjects.remove(object.ref) }
    case .placement(let ref, let project):
      projects[project]!.objects.remove(ref)
      objects[ref]!.projects.removeAll { $0 == project }
    case .list(let list): lists[list.id] = nil
    }
  }

  private mutating func replace(_ before: Fact, with after: Fact) {
    switch (before, after) {
    case (.company, .company(let mode)): self.mode = mode
    case (.user, .user(let user)): users[user.id]!.user = user
    case (.group, .group(let group)): groups[group.id]!.group = group
    case (.project(let old), .project(let new)):
      projectIDs[old.name] = nil
      projectIDs[new.name] = new.id
      projects[new.id]!.project = new
    case (.object, .object(let object)):
      objects[object.ref]!.object = object
      if object.isSystem { systemObjects.insert(object.ref) } else { systemObjects.remove(object.ref) }
    case (.list, .list(let list)): lists[list.id] = list
    default: fatalError("an edit replaces a fact by one of another kind: \(before) by \(after)")
    }
  }
}

/// What a user holds and reaches. The index compiles the same; here it serves the rules of changes.
extension Company {
  /// The user holds the right through one of its roles.
  public func holds(_ user: Name, right: Name) -> Bool {
    guard let state = users[user] else { return false }
    return state.roles.contains { $0 == Company.adminRole || roles[$0]!.contains(right) }
  }

  /// The user is in the project, itself or through a group.
  public func isMember(_ user: Name, of project: Name) -> Bool {
    guard let state = users[user] else { return false }
    return state.projects.contains(project) || state.groups.contains { groups[$0]!.projects.contains(project) }
  }

  /// The user is in another project than this one, itself or through a group.
  func isMember(_ user: Name, besides project: Name) -> Bool {
    guard let state = users[user] else { return false }
    func hasOther(_ projects: Set<Name>) -> Bool { projects.contains { $0 != project } }
    return hasOther(state.projects) || state.groups.contains { hasOther(groups[$0]!.projects) }
  }

  /// The user is in no project, neither itself nor through a group.
  public func isInNoProject(_ user: Name) -> Bool {
    guard let state = users[user] else { return true }
    return state.projects.isEmpty && state.groups.allSatisfy { groups[$0]!.projects.isEmpty }
  }

  /// The active user sees the object.
  public func sees(_ user: Name, _ ref: ObjectRef) -> Bool {
    guard let subject = users[user], !subject.user.isBlocked, let state = objects[ref] else { return false }
    return state.object.isSystem || mode == .simple || holds(user, right: Right.seeAll)
      || state.projects.contains { isMember(user, of: $0) }
  }

  public func has(_ target: Target) -> Bool { projects(of: target) != nil }

  /// The active user sees the object, or the user, group or project.
  public func sees(_ user: Name, target: Target) -> Bool {
    guard let subject = users[user], !subject.user.isBlocked, let projects = projects(of: target) else { return false }
    if case .object(let ref) = target { return sees(user, ref) }
    return mode == .simple || holds(user, right: Right.seeAll) || projects.contains { isMember(user, of: $0) }
  }

  /// Nil: there is no such thing.
  private func projects(of target: Target) -> Set<Name>? {
    switch target {
    case .user(let id): users[id].map { $0.groups.reduce(into: $0.projects) { $0.formUnion(groups[$1]!.projects) } }
    case .group(let id): groups[id]?.projects
    case .project(let id): projects[id].map { _ in [id] }
    case .object(let ref): objects[ref].map { Set($0.projects) }
    }
  }
}
