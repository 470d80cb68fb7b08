/// How much a company may hold. Enough for any contact centre; there so that nothing grows unbounded.
public enum CompanyLimits {
  public static let users = 1_000_000
  public static let groups = 100_000
  public static let roles = 10_000
  public static let rightsPerRole = 1_000
  public static let rolesPerUser = 100
  public static let projects = 100_000
  public static let objects = 4_000_000
  public static let groupsPerUser = 1_000
  public static let projectsPerObject = 10_000
  public static let projectsPerMember = 10_000
  /// From users to projects, each member of a group counted: eight bytes of index each.
  public static let ways = 20_000_000
}

extension Company {
  /// Applies a batch, all or none: refused, the company is as before.
  ///
  /// - Parameters:
  ///   - changes: applied in order, each seeing those before it.
  ///   - actor: the user who acts, whose rights and reach are then needed; nil: the platform itself.
  public mutating func apply(_ changes: [Change], actor: Name? = nil) throws(RefusedBatch) -> Outcome {
    var outcome = Outcome()
    for (index, change) in changes.enumerated() {
      do {
        if let actor { try authorize(change, actor: actor, created: outcome.createdObjects) }
        try apply(change, actor: actor, index: index, to: &outcome)
      } catch {
        undo(outcome.edits)
        throw RefusedBatch(index: index, error: error)
      }
    }
    outcome.warnings = warnings(after: outcome)
    return outcome
  }

  /// Throws unless the actor may change the numbers of a list: what it needs to place the list, it needs for this.
  ///
  /// - Parameter taking: numbers, or what stands beside them, may be gone from the list afterwards. Every project that it
  ///   is in loses them, so the actor must reach each.
  public func authorizeNumbers(of list: Name, actor: Name?, taking: Bool) throws(ChangeError) {
    guard mode != nil else { throw .unknownCompany(id) }
    if let actor {
      try authorize(.setPurpose(list: list, lists[list]?.purpose ?? .none), actor: actor, created: [])
      if taking { try checkTaking(fromList: list, actor) }
    }
    if objects[ObjectRef(.list, list)] == nil { throw .unknownObject(ObjectRef(.list, list)) }
  }

  /// Takes note of what became of a list's numbers, which others keep; its purpose stays.
  public mutating func noteNumbers(
    of list: Name, count: UInt64, blockSet: UInt64, digest: Name
  ) throws(ChangeError) -> Outcome {
    var outcome = Outcome()
    try alterList(list, &outcome) { ($0.count, $0.blockSet, $0.digest) = (count, blockSet, digest) }
    return outcome
  }

  /// Takes back edits that were just made.
  public mutating func undo(_ edits: [Edit]) {
    for edit in edits.reversed() { write(edit.reversed) }
  }

  private mutating func apply(
    _ change: Change, actor: Name?, index: Int, to outcome: inout Outcome
  ) throws(ChangeError) {
    if case .putCompany(let mode) = change { return create(mode, &outcome) }
    guard let mode else { throw .unknownCompany(id) }
    switch change {
    case .putCompany: break
    case .removeCompany: removeCompany(mode, &outcome)
    case .setMode(let new): try setMode(from: mode, to: new, &outcome)
    case .putUser(let user, let roles, let projects):
      try put(user, roles: roles, &outcome)
      for project in projects { try addMember(project, .user(user.id), index: index, &outcome) }
    case .removeUser(let id): try removeUser(id, &outcome)
    case .putGroup(let group): try put(group, &outcome)
    case .removeGroup(let id): try removeGroup(id, &outcome)
    case .addToGroup(let group, let user): try addToGroup(group, user, index: index, &outcome)
    case .removeFromGroup(let group, let user): try removeFromGroup(group, user, &outcome)
    case .putRole(let role, let rights): try putRole(role, rights: rights, index: index, &outcome)
    case .removeRole(let role): try removeRole(role, &outcome)
    case .putProject(let project): try put(project, actor: actor, index: index, &outcome)
    case .removeProject(let id): try removeProject(id, &outcome)
    case .addMember(let project, let member): try addMember(project, member, index: index, &outcome)
    case .removeMember(let project, let member): try removeMember(project, member, &outcome)
    case .putObject(let object, let projects):
      try put(object, &outcome)
      for project in projects { try place(object.ref, project, index: index, &outcome) }
    case .removeObject(let ref): try removeObject(ref, &outcome)
    case .place(let ref, let project): try place(ref, project, index: index, &outcome)
    case .unplace(let ref, let project): try unplace(ref, project, &outcome)
    case .move(let ref, let from, let to): try move(ref, from, to, index: index, &outcome)
    case .setPurpose(let id, let purpose): try alterList(id, &outcome) { $0.purpose = purpose }
    }
  }

  /// What is worth a look once the whole batch is applied.
  private func warnings(after outcome: Outcome) -> [Warning] {
    var found: [(index: Int, kind: Warning.Kind, about: Name)] = outcome.misspeltRights.compactMap { index, kind in
      guard case .rightMisspelt(let right, let role, _) = kind, roles[role]?.contains(right) == true else { return nil }
      return (index, kind, role)
    }
    for (ref, index) in outcome.placedFields where (objects[ref]?.projects.count ?? 0) > 1 {
      found.append((index, .fieldShared(ref), ref.id))
    }
    let fallback = projectID(named: Company.defaultProjectName)
    for (user, index) in outcome.givenUsers {
      guard let fallback, users[user]?.projects.contains(fallback) == true, isMember(user, besides: fallback) else {
        continue
      }
      found.append((index, .stillInDefault(user: user), user))
    }
    found.sort { $0.index == $1.index ? $0.about < $1.about : $0.index < $1.index }
    return found.prefix(Warning.maximumTold).map { index, kind, _ in
      switch kind {
      case .fieldShared(let ref): Warning(index: index, kind: kind, projects: objects[ref]!.projects.sorted())
      case .stillInDefault: Warning(index: index, kind: kind, projects: [fallback!])
      case .rightMisspelt: Warning(index: index, kind: kind, projects: [])
      }
    }
  }

  /// Notes users who now have a project of their own, to be asked about in the end.
  private func note(_ given: some Sequence<Name>, project: Name, index: Int, _ outcome: inout Outcome) {
    if projects[project]?.project.name == Company.defaultProjectName { return }
    for user in given { outcome.givenUsers[user] = index }
  }

  private mutating func record(_ before: Fact?, _ after: Fact?, _ outcome: inout Outcome) {
    let edit = Edit(before: before, after: after)
    write(edit)
    outcome.edits.append(edit)
  }

  private mutating func insert(_ fact: Fact, _ outcome: inout Outcome) { record(nil, fact, &outcome) }

  private mutating func remove(_ fact: Fact, _ outcome: inout Outcome) { record(fact, nil, &outcome) }
}

// MARK: - The company

extension Company {
  private mutating func create(_ mode: SecurityMode, _ outcome: inout Outcome) {
    guard self.mode == nil else { return }
    insert(.company(mode), &outcome)
    insert(.role(Company.adminRole), &outcome)
    for field in Company.systemFields {
      insert(.object(Object(ObjectRef(.contactField, field), name: field, isSystem: true)), &outcome)
    }
  }

  private mutating func removeCompany(_ mode: SecurityMode, _ outcome: inout Outcome) {
    for ref in objects.keys.sorted() { removeWithLinks(ref, &outcome) }
    for id in projects.keys.sorted() { removeWithLinks(project: id, &outcome) }
    for id in groups.keys.sorted() { removeWithLinks(group: id, &outcome) }
    for id in users.keys.sorted() { removeWithLinks(user: id, &outcome) }
    for role in roles.keys.sorted() { removeWithLinks(role: role, &outcome) }
    remove(.company(mode), &outcome)
  }

  private mutating func setMode(
    from old: SecurityMode, to new: SecurityMode, _ outcome: inout Outcome
  ) throws(ChangeError) {
    guard new != old else { return }
    record(.company(old), .company(new), &outcome)
    if new == .enhanced { try gatherIntoDefault(&outcome) }
  }

  /// What is in no project goes into `Default`, which is there from now on.
  private mutating func gatherIntoDefault(_ outcome: inout Outcome) throws(ChangeError) {
    let lonelyUsers = users.keys.filter(isInNoProject).sorted()
    let lonelyObjects = objects.values.filter { $0.projects.isEmpty && !$0.object.isSystem }.map(\.object.ref).sorted()
    try makeRoom(forWays: lonelyUsers.count)
    let project = try defaultProject(&outcome)
    if lonelyUsers.isEmpty && lonelyObjects.isEmpty { return }
    for user in lonelyUsers { insert(.member(project: project, .user(user)), &outcome) }
    for ref in lonelyObjects { insert(.placement(ref, project: project), &outcome) }
    outcome.gathered = Gathered(project: project, users: lonelyUsers, objects: lonelyObjects)
  }

  private mutating func defaultProject(_ outcome: inout Outcome) throws(ChangeError) -> Name {
    if let id = projectID(named: Company.defaultProjectName) { return id }
    if projects.count >= CompanyLimits.projects { throw .tooMany("projects", limit: CompanyLimits.projects) }
    var id: Name = "default"
    var number = 2
    while projects[id] != nil {
      id = Name(stringLiteral: "default-\(number)")
      number += 1
    }
    insert(.project(Project(id: id, name: Company.defaultProjectName)), &outcome)
    return id
  }
}

// MARK: - Users, groups, roles

extension Company {
  private mutating func put(_ user: User, roles wanted: [Name], _ outcome: inout Outcome) throws(ChangeError) {
    let wanted = Set(wanted)
    if let missing = wanted.filter({ roles[$0] == nil }).min() { throw .unknownRole(missing) }
    if wanted.count > CompanyLimits.rolesPerUser { throw .tooMany("roles per user", limit: CompanyLimits.rolesPerUser) }
    if let old = users[user.id]?.user {
      if old != user { record(.user(old), .user(user), &outcome) }
    } else {
      if users.count >= CompanyLimits.users { throw .tooMany("users", limit: CompanyLimits.users) }
      insert(.user(user), &outcome)
    }
    let held = users[user.id]!.roles
    for role in held.subtracting(wanted).sorted() { remove(.userRole(user: user.id, role: role), &outcome) }
    for role in wanted.subtracting(held).sorted() { insert(.userRole(user: user.id, role: role), &outcome) }
  }

  private mutating func removeUser(_ id: Name, _ outcome: inout Outcome) throws(ChangeError) {
    guard users[id] != nil else { throw .unknownUser(id) }
    removeWithLinks(user: id, &outcome)
  }

  private mutating func removeWithLinks(user id: Name, _ outcome: inout Outcome) {
    let state = users[id]!
    for project in state.projects.sorted() { remove(.member(project: project, .user(id)), &outcome) }
    for group in state.groups.sorted() { remove(.groupMember(group: group, user: id), &outcome) }
    for role in state.roles.sorted() { remove(.userRole(user: id, role: role), &outcome) }
    remove(.user(state.user), &outcome)
  }

  private mutating func put(_ group: Group, _ outcome: inout Outcome) throws(ChangeError) {
    if let old = groups[group.id]?.group {
      if old != group { record(.group(old), .group(group), &outcome) }
    } else {
      if groups.count >= CompanyLimits.groups { throw .tooMany("groups", limit: CompanyLimits.groups) }
      insert(.group(group), &outcome)
    }
  }

  private mutating func removeGroup(_ id: Name, _ outcome: inout Outcome) throws(ChangeError) {
    guard groups[id] != nil else { throw .unknownGroup(id) }
    removeWithLinks(group: id, &outcome)
  }

  private mutating func removeWithLinks(group id: Name, _ outcome: inout Outcome) {
    let state = groups[id]!
    for project in state.projects.sorted() { remove(.member(project: project, .group(id)), &outcome) }
    for user in state.users.sorted() { remove(.groupMember(group: id, user: user), &outcome) }
    remove(.group(state.group), &outcome)
  }

  private mutating func addToGroup(
    _ group: Name, _ user: Name, index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    // Only what is asked for is taken out: holding the group's sets would have `write` copy them.
    guard let isMember = groups[group]?.users.contains(user) else { throw .unknownGroup(group) }
    guard let held = users[user]?.groups.count else { throw .unknownUser(user) }
    if isMember { return }
    if held >= CompanyLimits.groupsPerUser { throw .tooMany("groups per user", limit: CompanyLimits.groupsPerUser) }
    try makeRoom(forWays: groups[group]!.projects.count)
    insert(.groupMember(group: group, user: user), &outcome)
    for project in groups[group]!.projects { note([user], project: project, index: index, &outcome) }
  }

  private mutating func removeFromGroup(_ group: Name, _ user: Name, _ outcome: inout Outcome) throws(ChangeError) {
    guard let isMember = groups[group]?.users.contains(user) else { throw .unknownGroup(group) }
    guard users[user] != nil else { throw .unknownUser(user) }
    if isMember { remove(.groupMember(group: group, user: user), &outcome) }
  }

  private mutating func putRole(
    _ role: Name, rights: [Name], index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    if role == Company.adminRole { throw .adminRoleFixed }
    let wanted = Set(rights)
    if wanted.count > CompanyLimits.rightsPerRole {
      throw .tooMany("rights per role", limit: CompanyLimits.rightsPerRole)
    }
    if roles[role] == nil {
      if roles.count >= CompanyLimits.roles { throw .tooMany("roles", limit: CompanyLimits.roles) }
      insert(.role(role), &outcome)
    }
    let held = roles[role]!
    for right in held.subtracting(wanted).sorted() { remove(.roleRight(role: role, right: right), &outcome) }
    for right in wanted.subtracting(held).sorted() {
      insert(.roleRight(role: role, right: right), &outcome)
      if outcome.misspeltRights.count < Warning.maximumTold, let meant = Right.meant(by: right) {
        outcome.misspeltRights.append((index, .rightMisspelt(right, role: role, meant: meant)))
      }
    }
  }

  private mutating func removeRole(_ role: Name, _ outcome: inout Outcome) throws(ChangeError) {
    if role == Company.adminRole { throw .adminRoleFixed }
    guard roles[role] != nil else { throw .unknownRole(role) }
    for user in holders(of: role).sorted() { remove(.userRole(user: user, role: role), &outcome) }
    removeWithLinks(role: role, &outcome)
  }

  private mutating func removeWithLinks(role: Name, _ outcome: inout Outcome) {
    for right in roles[role]!.sorted() { remove(.roleRight(role: role, right: right), &outcome) }
    remove(.role(role), &outcome)
  }
}

// MARK: - Projects

extension Company {
  private mutating func put(
    _ project: Project, actor: Name?, index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    if let holder = projectID(named: project.name), holder != project.id {
      let isListed = actor.map { lists(holder, for: $0) } ?? true
      throw .projectNameTaken(project.name, by: isListed ? holder : nil)
    }
    if let old = projects[project.id]?.project {
      if old != project { record(.project(old), .project(project), &outcome) }
      return
    }
    if projects.count >= CompanyLimits.projects { throw .tooMany("projects", limit: CompanyLimits.projects) }
    insert(.project(project), &outcome)
    if let actor { try addMember(project.id, .user(actor), index: index, &outcome) }
  }

  /// Whether the user is told that there is the project.
  private func lists(_ project: Name, for user: Name) -> Bool {
    mode == .simple || isMember(user, of: project) || holds(user, right: Right.listProjects)
      || holds(user, right: Right.seeAll)
  }

  private mutating func removeProject(_ id: Name, _ outcome: inout Outcome) throws(ChangeError) {
    guard projects[id] != nil else { throw .unknownProject(id) }
    removeWithLinks(project: id, &outcome)
  }

  private mutating func removeWithLinks(project id: Name, _ outcome: inout Outcome) {
    let state = projects[id]!
    for ref in state.objects.sorted() { remove(.placement(ref, project: id), &outcome) }
    for member in state.members.sorted() { remove(.member(project: id, member), &outcome) }
    remove(.project(state.project), &outcome)
  }

  /// How many projects a member is in directly, and how many users it stands for.
  private func reach(of member: Member) throws(ChangeError) -> (projects: Int, users: Int) {
    switch member {
    case .user(let id):
      guard let count = users[id]?.projects.count else { throw .unknownUser(id) }
      return (count, 1)
    case .group(let id):
      guard let group = groups[id] else { throw .unknownGroup(id) }
      return (group.projects.count, group.users.count)
    }
  }

  /// The index resolves groups: each user is linked with each project of each of its groups.
  private func makeRoom(forWays more: Int) throws(ChangeError) {
    if wayCount + more <= CompanyLimits.ways { return }
    throw .tooMany("ways from users to projects, each member of a group counted", limit: CompanyLimits.ways)
  }

  private mutating func addMember(
    _ project: Name, _ member: Member, index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    guard let isMember = projects[project]?.members.contains(member) else { throw .unknownProject(project) }
    let reach = try reach(of: member)
    if isMember { return }
    if reach.projects >= CompanyLimits.projectsPerMember {
      throw .tooMany("projects per user or group", limit: CompanyLimits.projectsPerMember)
    }
    try makeRoom(forWays: reach.users)
    insert(.member(project: project, member), &outcome)
    switch member {
    case .user(let id): note([id], project: project, index: index, &outcome)
    case .group(let id): note(groups[id]!.users, project: project, index: index, &outcome)
    }
  }

  private mutating func removeMember(
    _ project: Name, _ member: Member, _ outcome: inout Outcome
  ) throws(ChangeError) {
    guard let isMember = projects[project]?.members.contains(member) else { throw .unknownProject(project) }
    _ = try reach(of: member)
    if isMember { remove(.member(project: project, member), &outcome) }
  }
}

// MARK: - Objects

extension Company {
  private mutating func put(_ object: Object, _ outcome: inout Outcome) throws(ChangeError) {
    if object.isSystem && object.ref.type != .contactField { throw .notAContactField(object.ref) }
    if let old = objects[object.ref]?.object {
      if old == object { return }
      if old.isSystem { throw .systemFieldFixed(object.ref) }
      if object.isSystem { throw .customFieldFixed(object.ref) }
      record(.object(old), .object(object), &outcome)
    } else {
      if objects.count >= CompanyLimits.objects { throw .tooMany("objects", limit: CompanyLimits.objects) }
      insert(.object(object), &outcome)
      outcome.createdObjects.insert(object.ref)
    }
  }

  /// The object, where it is one that can be placed and removed.
  private func movable(_ ref: ObjectRef) throws(ChangeError) -> ObjectState {
    guard let state = objects[ref] else { throw .unknownObject(ref) }
    if state.object.isSystem { throw .systemFieldFixed(ref) }
    return state
  }

  private mutating func removeObject(_ ref: ObjectRef, _ outcome: inout Outcome) throws(ChangeError) {
    _ = try movable(ref)
    removeWithLinks(ref, &outcome)
  }

  private mutating func removeWithLinks(_ ref: ObjectRef, _ outcome: inout Outcome) {
    let state = objects[ref]!
    for project in state.projects.sorted() { remove(.placement(ref, project: project), &outcome) }
    if ref.type == .list, let list = lists[ref.id] { remove(.list(list), &outcome) }
    remove(.object(state.object), &outcome)
  }

  private mutating func alterList(
    _ id: Name, _ outcome: inout Outcome, _ alter: (inout NumberList) -> Void
  ) throws(ChangeError) {
    let ref = ObjectRef(.list, id)
    guard objects[ref] != nil else { throw .unknownObject(ref) }
    let old = lists[id]
    var new = old ?? NumberList(id: id)
    alter(&new)
    if new == old || old == nil && new.isBare { return }
    record(old.map(Fact.list), new.isBare ? nil : .list(new), &outcome)
  }

  private mutating func place(
    _ ref: ObjectRef, _ project: Name, index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    let state = try movable(ref)
    guard projects[project] != nil else { throw .unknownProject(project) }
    if state.projects.contains(project) { return }
    if ref.type.isExclusive, let holder = state.projects.first { throw .exclusivelyPlaced(ref, in: holder) }
    if state.projects.count >= CompanyLimits.projectsPerObject {
      throw .tooMany("projects per object", limit: CompanyLimits.projectsPerObject)
    }
    insert(.placement(ref, project: project), &outcome)
    if ref.type == .contactField { outcome.placedFields[ref] = index }
  }

  private mutating func unplace(_ ref: ObjectRef, _ project: Name, _ outcome: inout Outcome) throws(ChangeError) {
    let state = try movable(ref)
    guard projects[project] != nil else { throw .unknownProject(project) }
    if state.projects.contains(project) { remove(.placement(ref, project: project), &outcome) }
  }

  private mutating func move(
    _ ref: ObjectRef, _ from: Name, _ to: Name, index: Int, _ outcome: inout Outcome
  ) throws(ChangeError) {
    let state = try movable(ref)
    guard projects[from] != nil else { throw .unknownProject(from) }
    guard projects[to] != nil else { throw .unknownProject(to) }
    guard state.projects.contains(from) else { throw .notPlaced(ref, in: from) }
    if from == to { return }
    remove(.placement(ref, project: from), &outcome)
    try place(ref, to, index: index, &outcome)
  }
}
