/// What acting users without `projects.see_all` reach: the projects they are in, the objects they see, and the users
/// and roles they cover. Taking away is held to it as adding is.
extension Company {
  /// - Parameter created: objects that the actor's own batch has made, which need not be seen to be placed or altered.
  func checkReach(
    of change: Change, by actor: Name, _ created: Set<ObjectRef>
  ) throws(ChangeError) {
    switch change {
    case .setMode(.simple) where mode != .simple:  // would show the actor everything
      throw .rightMissing(actor: actor, right: Right.seeAll)
    case .putUser, .removeUser, .putGroup, .removeGroup, .addToGroup, .removeFromGroup:
      try checkReachOfPeople(of: change, by: actor)
    case .putRole, .removeRole: try checkReachOfRoles(of: change, by: actor)
    case .putProject(let project): if projects[project.id] != nil { try checkReach(project.id, actor) }
    case .removeProject(let id), .addMember(let id, _), .removeMember(let id, _): try checkReach(id, actor)
    case .putObject, .removeObject, .place, .unplace, .move, .setPurpose:
      try checkReachOfObjects(of: change, by: actor, created)
    case .putCompany, .removeCompany, .setMode: break
    }
  }

  /// Whoever may see a list adds to it; what is on it stays there for the others who share it.
  func checkTaking(fromList id: Name, _ actor: Name) throws(ChangeError) {
    if !holds(actor, right: Right.seeAll) { try checkAllProjects(of: ObjectRef(.list, id), actor) }
  }

  private func checkReachOfPeople(of change: Change, by actor: Name) throws(ChangeError) {
    switch change {
    case .putUser(let user, let roles, let projects):
      if isAltered(by: user, roles) { try checkCover(of: [user.id], actor) }
      for project in projects { try checkReach(project, actor) }
    case .removeUser(let id): try checkCover(of: [id], actor)
    case .putGroup(let group):
      if let old = groups[group.id], old.group != group { try checkReach(group: group.id, actor) }
    case .removeGroup(let id):
      try checkReach(group: id, actor)
      try checkCover(of: groups[id]?.users ?? [], actor)
    case .addToGroup(let group, let user), .removeFromGroup(let group, let user):  // gives or takes what it is in
      try checkReach(group: group, actor)
      try checkCover(of: [user], actor)
    default: break
    }
  }

  /// The user is there, and is renamed, blocked, unblocked or loses a role. What a user gains is a matter of grants.
  private func isAltered(by user: User, _ wanted: [Name]) -> Bool {
    guard let old = users[user.id] else { return false }
    return old.user != user || !old.roles.isSubset(of: wanted)
  }

  private func checkReachOfRoles(of change: Change, by actor: Name) throws(ChangeError) {
    switch change {
    case .putRole(let role, let rights):
      let taken = roles[role]?.subtracting(rights) ?? []
      if !taken.isEmpty { try checkTaking(taken, of: role, actor) }
    case .removeRole(let role): if role != Company.adminRole { try checkTaking(roles[role] ?? [], of: role, actor) }
    default: break
    }
  }

  /// One takes only rights one holds, from users one covers.
  private func checkTaking(_ rights: Set<Name>, of role: Name, _ actor: Name) throws(ChangeError) {
    if let missing = rights.filter({ !holds(actor, right: $0) }).min() {
      throw .rightOutOfReach(actor: actor, right: missing)
    }
    try checkCover(of: holders(of: role), actor)
  }

  private func checkReachOfObjects(
    of change: Change, by actor: Name, _ created: Set<ObjectRef>
  ) throws(ChangeError) {
    switch change {
    case .putObject(let object, let projects):
      if objects[object.ref] != nil { try checkSight(of: object.ref, actor, created) }
      for project in projects { try checkReach(project, actor) }
    case .removeObject(let ref):
      try checkSight(of: ref, actor)
      try checkAllProjects(of: ref, actor)
    case .place(let ref, let project), .unplace(let ref, let project):
      try checkSight(of: ref, actor, created)
      try checkReach(project, actor)
    case .move(let ref, let from, let to):
      try checkSight(of: ref, actor)
      try checkReach(from, actor)
      try checkReach(to, actor)
    case .setPurpose(let id, let purpose):
      let ref = ObjectRef(.list, id)
      try checkSight(of: ref, actor, created)
      let old = lists[id]?.purpose ?? .none
      if old != .none && old != purpose { try checkAllProjects(of: ref, actor) }
    default: break
    }
  }

  private func checkReach(_ project: Name, _ actor: Name) throws(ChangeError) {
    if !isMember(actor, of: project) { throw .projectOutOfReach(actor: actor, project: project) }
  }

  /// No project is named that the actor did not: it may be another customer's.
  private func checkReach(group: Name, _ actor: Name) throws(ChangeError) {
    let isReached = groups[group]?.projects.allSatisfy { isMember(actor, of: $0) } ?? true
    if !isReached { throw .groupOutOfReach(actor: actor, group: group) }
  }

  private func checkSight(of ref: ObjectRef, _ actor: Name, _ created: Set<ObjectRef> = []) throws(ChangeError) {
    if !created.contains(ref) && !sees(actor, ref) { throw .objectOutOfReach(actor: actor, object: ref) }
  }

  private func checkAllProjects(of ref: ObjectRef, _ actor: Name) throws(ChangeError) {
    let isCovered = objects[ref]?.projects.allSatisfy { isMember(actor, of: $0) } ?? true
    if !isCovered { throw .objectShared(actor: actor, object: ref) }
  }

  private func checkCover(of others: Set<Name>, _ actor: Name) throws(ChangeError) {
    var cover = Cover(of: actor, in: self)
    var first: (user: Name, error: ChangeError)?
    for user in others where first == nil || user < first!.user {
      if let error = cover.lack(of: user) { first = (user, error) }
    }
    if let first { throw first.error }
  }
}

/// What of others an actor covers. Many share few projects, groups and roles: each is looked at once.
private struct Cover {
  private let actor: Name
  private let company: Company
  private var projects: [Name: Bool] = [:]
  private var groups: [Name: Bool] = [:]
  /// Of each role, the first right that the actor does not hold.
  private var lacking: [Name: Name?] = [:]

  init(of actor: Name, in company: Company) { (self.actor, self.company) = (actor, company) }

  /// What of the user is not covered, if anything.
  mutating func lack(of user: Name) -> ChangeError? {
    guard let state = company.users[user] else { return nil }
    for project in state.projects where !has(project) { return .userOutOfReach(actor: actor, user: user) }
    for group in state.groups where !has(group: group) { return .userOutOfReach(actor: actor, user: user) }
    let right = state.roles.compactMap { rightLacking(of: $0) }.min()
    return right.map { .userHoldsMore(actor: actor, user: user, right: $0) }
  }

  private mutating func has(_ project: Name) -> Bool {
    if let known = projects[project] { return known }
    let found = company.isMember(actor, of: project)
    projects[project] = found
    return found
  }

  private mutating func has(group: Name) -> Bool {
    if let known = groups[group] { return known }
    let found = company.groups[group]!.projects.allSatisfy { has($0) }
    groups[group] = found
    return found
  }

  /// Who is held to reach does not see all, and an admin does.
  private mutating func rightLacking(of role: Name) -> Name? {
    if role == Company.adminRole { return Right.seeAll }
    if let known = lacking[role] { return known }
    let found = company.roles[role]!.filter { !company.holds(actor, right: $0) }.min()
    lacking[role] = .some(found)
    return found
  }
}
