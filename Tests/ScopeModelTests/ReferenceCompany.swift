import ScopeModel

/// A company as nothing but a set of facts, with the domain's rules of change written down a second time in
/// the plainest way: each is a search through all facts. Slow, and without links that could come apart.
struct ReferenceCompany {
  private(set) var facts: Set<Fact> = []

  /// What a warning says; the model's own can't be made here.
  struct Hint: Equatable {
    let index: Int
    let kind: Warning.Kind
    let projects: [Name]

    init(index: Int, kind: Warning.Kind, projects: [Name]) {
      self.index = index
      self.kind = kind
      self.projects = projects
    }

    init(_ warning: Warning) { self.init(index: warning.index, kind: warning.kind, projects: warning.projects) }
  }

  /// Why a change is refused does not matter here.
  private struct Refused: Error {}

  /// Applies the batch, all or none, and gives its warnings; nil: refused.
  mutating func apply(_ batch: [Change]) -> [Hint]? {
    let before = facts
    var warnings: [Hint] = []
    do {
      for (index, change) in batch.enumerated() { warnings += try apply(change, index) }
      return warnings
    } catch {
      facts = before
      return nil
    }
  }

  private mutating func apply(_ change: Change, _ index: Int) throws(Refused) -> [Hint] {
    if case .putCompany(let mode) = change {
      if self.mode == nil { create(mode) }
      return []
    }
    guard let mode else { throw Refused() }
    switch change {
    case .putCompany: break
    case .removeCompany: facts = []
    case .setMode(let new): setMode(from: mode, to: new)
    case .putUser(let user, let roles, let projects):
      try put(user, roles)
      var hints: [Hint] = []
      for project in projects { hints += try add(.user(user.id), project, index) }
      return hints
    case .removeUser(let id): try removeUser(id)
    case .putGroup(let group): put(group)
    case .removeGroup(let id): try removeGroup(id)
    case .addToGroup(let group, let user): return try add(user, toGroup: group, index)
    case .removeFromGroup(let group, let user):
      try need(hasGroup(group) && hasUser(user))
      facts.remove(.groupMember(group: group, user: user))
    case .putRole(let role, let rights): try putRole(role, rights)
    case .removeRole(let role): try removeRole(role)
    case .putProject(let project): try put(project)
    case .removeProject(let id): try removeProject(id)
    case .addMember(let project, let member): return try add(member, project, index)
    case .removeMember(let project, let member):
      try need(hasProject(project) && has(member))
      facts.remove(.member(project: project, member))
    case .putObject(let object, let projects):
      try put(object)
      var hints: [Hint] = []
      for project in projects { hints += try place(object.ref, project, index) }
      return hints
    case .removeObject(let ref):
      try need(isMovable(ref))
      facts = facts.filter { fact in
        switch fact {
        case .object(let object): object.ref != ref
        case .placement(let other, _): other != ref
        default: true
        }
      }
    case .place(let ref, let project): return try place(ref, project, index)
    case .unplace(let ref, let project):
      try need(isMovable(ref) && hasProject(project))
      facts.remove(.placement(ref, project: project))
    case .move(let ref, let from, let to):
      try need(isMovable(ref) && hasProject(to) && facts.contains(.placement(ref, project: from)))
      if from == to { break }
      facts.remove(.placement(ref, project: from))
      return try place(ref, to, index)
    }
    return []
  }

  private func need(_ condition: Bool) throws(Refused) { if !condition { throw Refused() } }
}

// MARK: - What is there

extension ReferenceCompany {
  private var mode: SecurityMode? {
    for case .company(let mode) in facts { return mode }
    return nil
  }

  private var users: [User] { facts.compactMap { if case .user(let user) = $0 { user } else { nil } } }
  private var groups: [Group] { facts.compactMap { if case .group(let group) = $0 { group } else { nil } } }
  private var projects: [Project] { facts.compactMap { if case .project(let project) = $0 { project } else { nil } } }
  private var objects: [Object] { facts.compactMap { if case .object(let object) = $0 { object } else { nil } } }

  private func hasUser(_ id: Name) -> Bool { users.contains { $0.id == id } }
  private func hasGroup(_ id: Name) -> Bool { groups.contains { $0.id == id } }
  private func hasProject(_ id: Name) -> Bool { projects.contains { $0.id == id } }

  private func has(_ member: Member) -> Bool {
    switch member {
    case .user(let id): hasUser(id)
    case .group(let id): hasGroup(id)
    }
  }

  private func isMovable(_ ref: ObjectRef) -> Bool { objects.contains { $0.ref == ref && !$0.isSystem } }

  private func projects(of ref: ObjectRef) -> [Name] {
    facts.compactMap { if case .placement(ref, let project) = $0 { project } else { nil } }
  }

  private func projects(of member: Member) -> [Name] {
    facts.compactMap { if case .member(let project, member) = $0 { project } else { nil } }
  }

  private func groups(of user: Name) -> [Name] {
    facts.compactMap { if case .groupMember(let group, user) = $0 { group } else { nil } }
  }

  private var defaultProject: Name? { projects.first { $0.name == "Default" }?.id }
}

// MARK: - The rules

extension ReferenceCompany {
  private mutating func create(_ mode: SecurityMode) {
    facts = [.company(mode), .role("admin")]
    for field: Name in ["name", "phone"] {
      facts.insert(.object(Object(ObjectRef(.contactField, field), name: field, isSystem: true)))
    }
  }

  private mutating func setMode(from old: SecurityMode, to new: SecurityMode) {
    facts.remove(.company(old))
    facts.insert(.company(new))
    if old == .enhanced || new == .simple { return }
    let users = users.map(\.id).filter { id in
      projects(of: .user(id)).isEmpty && groups(of: id).allSatisfy { projects(of: .group($0)).isEmpty }
    }
    let objects = objects.filter { !$0.isSystem && projects(of: $0.ref).isEmpty }
    if users.isEmpty && objects.isEmpty { return }
    let project = defaultProject ?? freeID()
    if !hasProject(project) { facts.insert(.project(Project(id: project, name: "Default"))) }
    for user in users { facts.insert(.member(project: project, .user(user))) }
    for object in objects { facts.insert(.placement(object.ref, project: project)) }
  }

  private func freeID() -> Name {
    if !hasProject("default") { return "default" }
    return (2...).lazy.map { Name(stringLiteral: "default-\($0)") }.first { !hasProject($0) }!
  }

  private mutating func put(_ user: User, _ roles: [Name]) throws(Refused) {
    try need(roles.allSatisfy { facts.contains(.role($0)) })
    facts = facts.filter { fact in
      switch fact {
      case .user(let other): other.id != user.id
      case .userRole(let id, _): id != user.id
      default: true
      }
    }
    facts.insert(.user(user))
    for role in roles { facts.insert(.userRole(user: user.id, role: role)) }
  }

  private mutating func removeUser(_ id: Name) throws(Refused) {
    try need(hasUser(id))
    facts = facts.filter { fact in
      switch fact {
      case .user(let user): user.id != id
      case .userRole(let user, _), .groupMember(_, let user), .member(_, .user(let user)): user != id
      default: true
      }
    }
  }

  private mutating func put(_ group: Group) {
    for other in groups where other.id == group.id { facts.remove(.group(other)) }
    facts.insert(.group(group))
  }

  private mutating func removeGroup(_ id: Name) throws(Refused) {
    try need(hasGroup(id))
    facts = facts.filter { fact in
      switch fact {
      case .group(let group): group.id != id
      case .groupMember(let group, _), .member(_, .group(let group)): group != id
      default: true
      }
    }
  }

  private mutating func putRole(_ role: Name, _ rights: [Name]) throws(Refused) {
    try need(role != "admin")
    facts = facts.filter { if case .roleRight(role, _) = $0 { false } else { true } }
    facts.insert(.role(role))
    for right in rights { facts.insert(.roleRight(role: role, right: right)) }
  }

  private mutating func removeRole(_ role: Name) throws(Refused) {
    try need(role != "admin" && facts.contains(.role(role)))
    facts = facts.filter { fact in
      switch fact {
      case .role(let other), .roleRight(let other, _), .userRole(_, let other): other != role
      default: true
      }
    }
  }

  private mutating func put(_ project: Project) throws(Refused) {
    try need(!projects.contains { $0.name == project.name && $0.id != project.id })
    for other in projects where other.id == project.id { facts.remove(.project(other)) }
    facts.insert(.project(project))
  }

  private mutating func removeProject(_ id: Name) throws(Refused) {
    try need(hasProject(id))
    facts = facts.filter { fact in
      switch fact {
      case .project(let project): project.id != id
      case .member(let project, _), .placement(_, let project): project != id
      default: true
      }
    }
  }

  private mutating func add(_ member: Member, _ project: Name, _ index: Int) throws(Refused) -> [Hint] {
    try need(hasProject(project) && has(member))
    let isNew = facts.insert(.member(project: project, member)).inserted
    guard isNew, project != defaultProject else { return [] }
    switch member {
    case .user(let user): return hints([user], index)
    case .group(let group): return hints(users.map(\.id).filter { groups(of: $0).contains(group) }, index)
    }
  }

  private mutating func add(_ user: Name, toGroup group: Name, _ index: Int) throws(Refused) -> [Hint] {
    try need(hasGroup(group) && hasUser(user))
    let isNew = facts.insert(.groupMember(group: group, user: user)).inserted
    let given = projects(of: .group(group)).filter { $0 != defaultProject }
    return isNew && !given.isEmpty ? hints([user], index) : []
  }

  /// Those users who were given a project and are in `Default` still.
  private func hints(_ users: [Name], _ index: Int) -> [Hint] {
    guard let ofAll = defaultProject else { return [] }
    return users.filter { projects(of: .user($0)).contains(ofAll) }.sorted().map {
      Hint(index: index, kind: .stillInDefault(user: $0), projects: [ofAll])
    }
  }

  private mutating func put(_ object: Object) throws(Refused) {
    try need(!object.isSystem || object.ref.type == .contactField)
    if let old = objects.first(where: { $0.ref == object.ref }), old != object {
      try need(!old.isSystem && !object.isSystem)
      facts.remove(.object(old))
    }
    facts.insert(.object(object))
  }

  private mutating func place(_ ref: ObjectRef, _ project: Name, _ index: Int) throws(Refused) -> [Hint] {
    try need(isMovable(ref) && hasProject(project))
    let exclusive: Set<String> = ["queue", "call_scenario", "dialer", "crm_form"]
    let others = projects(of: ref).filter { $0 != project }
    if exclusive.contains(ref.type.name) { try need(others.isEmpty) }
    let isNew = facts.insert(.placement(ref, project: project)).inserted
    if !isNew || others.isEmpty || ref.type.name != "contact_field" { return [] }
    return [Hint(index: index, kind: .fieldShared(ref), projects: (others + [project]).sorted())]
  }
}
