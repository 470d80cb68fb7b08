import ScopeModel

/// The domain's rules written down a second time, in the plainest way and from the requirements alone. Of the
/// model it shares nothing but the words: changes, facts and refusals.
///
/// Every link is kept once, from one side, so none can come apart; what lies on the other side is searched for.
/// Limits are left out: random companies are far too small to meet them.
struct ReferenceCompany {
  let id: Name
  private(set) var mode: SecurityMode?
  /// What each role allows. `admin` lists nothing and allows everything.
  private(set) var rights: [Name: Set<Name>] = [:]
  private(set) var users: [Name: User] = [:]
  private(set) var rolesOfUser: [Name: Set<Name>] = [:]
  private(set) var groups: [Name: Group] = [:]
  private(set) var groupsOfUser: [Name: Set<Name>] = [:]
  private(set) var projects: [Name: Project] = [:]
  /// Projects that a user or group is in itself.
  private(set) var memberships: [Member: Set<Name>] = [:]
  private(set) var objects: [ObjectRef: Object] = [:]
  private(set) var placements: [ObjectRef: Set<Name>] = [:]
  /// Of lists; those without one are not there.
  private(set) var purposes: [Name: ListPurpose] = [:]

  init(id: Name) { self.id = id }

  /// What a warning says; the model's own can't be made here.
  struct Hint: Hashable {
    let index: Int
    let kind: Warning.Kind
    let projects: [Name]
  }

  /// What came of a batch.
  struct Taken: Equatable {
    var hints: [Hint] = []
    /// The project named `Default`, and what went there.
    var gathered: Gathering?
  }

  struct Gathering: Equatable {
    let project: Name
    let users: [Name]
    let objects: [ObjectRef]
  }

  /// What a batch has done so far.
  struct Course {
    let actor: Name?
    var index = 0
    /// New objects: the actor can't see them yet and may place them all the same.
    var created: Set<ObjectRef> = []
    /// Fields placed and users given a project, with the last change that did so.
    var placed: [ObjectRef: Int] = [:]
    var given: [Name: Int] = [:]
    var gathered: Gathering?
  }

  /// Applies the batch, all or none. A nil actor is the platform.
  mutating func apply(_ batch: [Change], actor: Name? = nil) throws(Refusal) -> Taken {
    let before = self
    var course = Course(actor: actor)
    for (index, change) in batch.enumerated() {
      course.index = index
      do throws(ChangeError) {
        if let actor { try permit(change, by: actor, created: course.created) }
        try make(change, &course)
      } catch {
        self = before
        throw Refusal(index: index, error: error)
      }
    }
    return Taken(hints: hints(course), gathered: course.gathered)
  }
}

// MARK: - As facts

extension ReferenceCompany {
  /// All of the state.
  var facts: Set<Fact> { difference(from: ReferenceCompany(id: id)).made }

  /// What is no longer so since an earlier state, and what has become so.
  func difference(from old: ReferenceCompany) -> (gone: Set<Fact>, made: Set<Fact>) {
    var (gone, made): (Set<Fact>, Set<Fact>) = ([], [])
    func compare<Key, Value: Equatable>(_ part: KeyPath<Self, [Key: Value]>, facts: (Key, Value) -> [Fact]) {
      let (before, after) = (old[keyPath: part], self[keyPath: part])
      if before == after { return }  // at once, where the batch left this part alone
      for (key, value) in before where after[key] != value { gone.formUnion(facts(key, value)) }
      for (key, value) in after where before[key] != value { made.formUnion(facts(key, value)) }
    }
    if old.mode != mode {
      if let mode = old.mode { gone.insert(.company(mode)) }
      if let mode { made.insert(.company(mode)) }
    }
    compare(\.rights) { role, rights in [.role(role)] + rights.map { .roleRight(role: role, right: $0) } }
    compare(\.users) { _, user in [.user(user)] }
    compare(\.rolesOfUser) { user, roles in roles.map { .userRole(user: user, role: $0) } }
    compare(\.groups) { _, group in [.group(group)] }
    compare(\.groupsOfUser) { user, groups in groups.map { .groupMember(group: $0, user: user) } }
    compare(\.projects) { _, project in [.project(project)] }
    compare(\.memberships) { member, projects in projects.map { .member(project: $0, member) } }
    compare(\.objects) { _, object in [.object(object)] }
    compare(\.placements) { ref, projects in projects.map { .placement(ref, project: $0) } }
    compare(\.purposes) { list, purpose in [.list(NumberList(id: list, purpose: purpose))] }
    let kept = gone.intersection(made)
    return (gone.subtracting(kept), made.subtracting(kept))
  }
}

// MARK: - What is there

extension ReferenceCompany {
  /// The project that everyone and everything went into.
  var defaultProject: Name? { projects.values.first { $0.name == "Default" }?.id }

  /// A user's projects: those it is in itself and those of its groups.
  func projects(ofUser user: Name) -> Set<Name> {
    var found = memberships[.user(user)] ?? []
    for group in groupsOfUser[user] ?? [] { found.formUnion(memberships[.group(group)] ?? []) }
    return found
  }

  func usersOfGroup(_ group: Name) -> [Name] {
    groupsOfUser.filter { $0.value.contains(group) }.map(\.key)
  }

  private func need(user: Name) throws(ChangeError) { if users[user] == nil { throw .unknownUser(user) } }
  private func need(group: Name) throws(ChangeError) { if groups[group] == nil { throw .unknownGroup(group) } }

  private func need(project: Name) throws(ChangeError) {
    if projects[project] == nil { throw .unknownProject(project) }
  }

  private func need(_ member: Member) throws(ChangeError) {
    switch member {
    case .user(let id): try need(user: id)
    case .group(let id): try need(group: id)
    }
  }

  /// There, and not one of the fields that are fixed.
  private func need(custom ref: ObjectRef) throws(ChangeError) {
    guard let object = objects[ref] else { throw .unknownObject(ref) }
    if object.isSystem { throw .systemFieldFixed(ref) }
  }
}

// MARK: - Changes

extension ReferenceCompany {
  private mutating func make(_ change: Change, _ course: inout Course) throws(ChangeError) {
    if case .putCompany(let mode) = change {
      if self.mode == nil { create(mode) }
      return
    }
    if mode == nil { throw .unknownCompany(id) }
    switch change {
    case .putCompany: break
    case .removeCompany: self = ReferenceCompany(id: id)
    case .setMode(let mode): set(mode, &course)
    case .putUser(let user, let roles, let projects): try put(user, roles, projects, &course)
    case .removeUser(let user): try remove(user: user)
    case .putGroup(let group): groups[group.id] = group
    case .removeGroup(let group): try remove(group: group)
    case .addToGroup(let group, let user): try add(user, to: group, &course)
    case .removeFromGroup(let group, let user):
      try need(group: group)
      try need(user: user)
      groupsOfUser[user]?.remove(group)
    case .putRole(let role, let rights):
      if role == "admin" { throw .adminRoleFixed }
      self.rights[role] = Set(rights)
    case .removeRole(let role): try remove(role: role)
    case .putProject(let project): try put(project, &course)
    case .removeProject(let project): try remove(project: project)
    case .addMember(let project, let member):
      try need(project: project)
      try need(member)
      add(member, to: project, &course)
    case .removeMember(let project, let member):
      try need(project: project)
      try need(member)
      memberships[member]?.remove(project)
    case .putObject(let object, let projects): try put(object, projects, &course)
    case .removeObject(let ref):
      try need(custom: ref)
      objects[ref] = nil
      placements[ref] = nil
      if ref.type.name == "list" { purposes[ref.id] = nil }
    case .place(let ref, let project): try place(ref, project, &course)
    case .unplace(let ref, let project):
      try need(custom: ref)
      try need(project: project)
      placements[ref]?.remove(project)
    case .move(let ref, let from, let to): try move(ref, from, to, &course)
    case .setPurpose(let list, let purpose):
      try need(custom: ObjectRef(.list, list))
      purposes[list] = purpose == .none ? nil : purpose
    }
  }

  private mutating func create(_ mode: SecurityMode) {
    self.mode = mode
    rights["admin"] = []
    for field: Name in ["name", "phone"] {
      let ref = ObjectRef(.contactField, field)
      objects[ref] = Object(ref, name: field, isSystem: true)
    }
  }

  /// Beginning to separate, a company puts what is in no project into `Default`.
  private mutating func set(_ mode: SecurityMode, _ course: inout Course) {
    let isSeparating = self.mode == .simple && mode == .enhanced
    self.mode = mode
    if !isSeparating { return }
    let users = users.keys.filter { projects(ofUser: $0).isEmpty }.sorted()
    let objects = objects.values.filter { !$0.isSystem && placements[$0.ref, default: []].isEmpty }.map(\.ref).sorted()
    let project = defaultProject ?? freeID()
    if projects[project] == nil { projects[project] = Project(id: project, name: "Default") }
    if users.isEmpty && objects.isEmpty { return }
    for user in users { memberships[.user(user), default: []].insert(project) }
    for ref in objects { placements[ref, default: []].insert(project) }
    course.gathered = Gathering(project: project, users: users, objects: objects)
  }

  private func freeID() -> Name {
    if projects["default"] == nil { return "default" }
    return (2...).lazy.map { Name(stringLiteral: "default-\($0)") }.first { projects[$0] == nil }!
  }
}

// MARK: - Users, groups and roles

extension ReferenceCompany {
  private mutating func put(
    _ user: User, _ roles: [Name], _ projects: [Name], _ course: inout Course
  ) throws(ChangeError) {
    for role in Set(roles).sorted() where rights[role] == nil { throw .unknownRole(role) }
    for project in projects { try need(project: project) }
    users[user.id] = user
    rolesOfUser[user.id] = Set(roles)
    for project in projects { add(.user(user.id), to: project, &course) }
  }

  private mutating func remove(user: Name) throws(ChangeError) {
    try need(user: user)
    users[user] = nil
    rolesOfUser[user] = nil
    groupsOfUser[user] = nil
    memberships[.user(user)] = nil
  }

  private mutating func remove(group: Name) throws(ChangeError) {
    try need(group: group)
    groups[group] = nil
    memberships[.group(group)] = nil
    for user in usersOfGroup(group) { groupsOfUser[user]?.remove(group) }
  }

  private mutating func add(_ user: Name, to group: Name, _ course: inout Course) throws(ChangeError) {
    try need(group: group)
    try need(user: user)
    if !groupsOfUser[user, default: []].insert(group).inserted { return }
    let own = memberships[.group(group), default: []].filter { $0 != defaultProject }
    if !own.isEmpty { course.given[user] = course.index }
  }

  private mutating func remove(role: Name) throws(ChangeError) {
    if role == "admin" { throw .adminRoleFixed }
    if rights[role] == nil { throw .unknownRole(role) }
    rights[role] = nil
    for user in rolesOfUser.keys { rolesOfUser[user]?.remove(role) }
  }
}

// MARK: - Projects and objects

extension ReferenceCompany {
  private mutating func put(_ project: Project, _ course: inout Course) throws(ChangeError) {
    for other in projects.values where other.name == project.name && other.id != project.id {
      let isTold = course.actor.map { listing(for: $0)[other.id] != nil } ?? true
      throw .projectNameTaken(project.name, by: isTold ? other.id : nil)
    }
    let isNew = projects[project.id] == nil
    projects[project.id] = project
    if isNew, let creator = course.actor { add(.user(creator), to: project.id, &course) }
  }

  private mutating func remove(project: Name) throws(ChangeError) {
    try need(project: project)
    projects[project] = nil
    for member in memberships.keys { memberships[member]?.remove(project) }
    for ref in placements.keys { placements[ref]?.remove(project) }
  }

  private mutating func add(_ member: Member, to project: Name, _ course: inout Course) {
    if !memberships[member, default: []].insert(project).inserted { return }
    if project == defaultProject { return }
    switch member {
    case .user(let user): course.given[user] = course.index
    case .group(let group): for user in usersOfGroup(group) { course.given[user] = course.index }
    }
  }

  private mutating func put(_ object: Object, _ projects: [Name], _ course: inout Course) throws(ChangeError) {
    let ref = object.ref
    if object.isSystem && ref.type.name != "contact_field" { throw .notAContactField(ref) }
    if let old = objects[ref], old != object {
      if old.isSystem { throw .systemFieldFixed(ref) }
      if object.isSystem { throw .customFieldFixed(ref) }
    }
    if objects[ref] == nil { course.created.insert(ref) }
    objects[ref] = object
    for project in projects { try place(ref, project, &course) }
  }

  private mutating func place(_ ref: ObjectRef, _ project: Name, _ course: inout Course) throws(ChangeError) {
    try need(custom: ref)
    try need(project: project)
    let isExclusive = ["queue", "call_scenario", "dialer", "crm_form"].contains(ref.type.name)
    if isExclusive, let holder = placements[ref]?.first, holder != project {
      throw .exclusivelyPlaced(ref, in: holder)
    }
    let isNew = placements[ref, default: []].insert(project).inserted
    if isNew && ref.type.name == "contact_field" { course.placed[ref] = course.index }
  }

  private mutating func move(_ ref: ObjectRef, _ from: Name, _ to: Name, _ course: inout Course) throws(ChangeError) {
    try need(custom: ref)
    try need(project: from)
    try need(project: to)
    if placements[ref]?.contains(from) != true { throw .notPlaced(ref, in: from) }
    if from == to { return }
    placements[ref]?.remove(from)
    try place(ref, to, &course)
  }
}

// MARK: - What is pointed out

extension ReferenceCompany {
  /// By the order of the changes, and of the users whom one change gave a project.
  private func hints(_ course: Course) -> [Hint] {
    var hints: [Hint] = []
    for (ref, index) in course.placed.sorted(by: { $0.key < $1.key }) {
      let sharing = placements[ref] ?? []
      if sharing.count > 1 { hints.append(Hint(index: index, kind: .fieldShared(ref), projects: sharing.sorted())) }
    }
    for (user, index) in course.given.sorted(by: { $0.key < $1.key }) {
      guard let ofAll = defaultProject, memberships[.user(user)]?.contains(ofAll) == true else { continue }
      if projects(ofUser: user) == [ofAll] { continue }
      hints.append(Hint(index: index, kind: .stillInDefault(user: user), projects: [ofAll]))
    }
    return hints.enumerated().sorted { ($0.element.index, $0.offset) < ($1.element.index, $1.offset) }.map(\.element)
  }
}
