import ScopeModel

/// What acting users may do: "acting users need the right for what they do, and their reach is what they see".
extension ReferenceCompany {
  /// Refuses what the user may not do, before anything is said about what the change itself is about.
  ///
  /// - Parameter created: objects that are new in this batch.
  func permit(_ change: Change, by actor: Name, created: Set<ObjectRef>) throws(ChangeError) {
    guard let user = users[actor] else { throw .unknownActor(actor) }
    if user.isBlocked { throw .actorBlocked(actor) }
    guard let needed = rightsNeeded(for: change) else { throw .platformOnly(actor: actor) }
    for right in needed where !holds(actor, right) { throw .rightMissing(actor: actor, right: right) }
    try permitGrants(of: change, by: actor)
    if !holds(actor, "projects.see_all") { try permitReach(of: change, by: actor, created: created) }
    try keepAnAdmin(change)
  }

  /// The rights of all roles add up, and `admin` has every one.
  func holds(_ user: Name, _ right: Name) -> Bool {
    rolesOfUser[user, default: []].contains { $0 == "admin" || rights[$0]?.contains(right) == true }
  }

  /// Nil: no user can do this.
  private func rightsNeeded(for change: Change) -> [Name]? {
    switch change {
    case .putCompany, .removeCompany: nil
    case .putObject(let object, _) where object.isSystem: nil
    case .setMode: ["company.manage"]
    case .putUser(_, _, let projects) where !projects.isEmpty: ["users.manage", "projects.manage_access"]
    case .putUser, .removeUser, .putGroup, .removeGroup, .addToGroup, .removeFromGroup: ["users.manage"]
    case .putRole, .removeRole: ["roles.manage"]
    case .addMember, .removeMember: ["projects.manage_access"]
    case .putProject, .removeProject, .putObject, .removeObject, .place, .unplace, .move, .setPurpose:
      ["projects.manage"]
    }
  }

  /// "Grants only rights one holds": those that a role or user has not had before.
  private func permitGrants(of change: Change, by actor: Name) throws(ChangeError) {
    var granted: Set<Name> = []
    switch change {
    case .putRole(let role, let rights): granted = Set(rights).subtracting(self.rights[role] ?? [])
    case .putUser(let user, let roles, _):
      // A blocked user has nothing: to unblock it gives all its roles.
      let isUnblocked = users[user.id]?.isBlocked == true && !user.isBlocked
      let given = Set(roles).subtracting(isUnblocked ? [] : rolesOfUser[user.id] ?? [])
      if given.contains("admin") && rolesOfUser[actor]?.contains("admin") != true {
        throw .roleNotHeld(actor: actor, role: "admin")
      }
      for role in given { granted.formUnion(rights[role] ?? []) }
    default: break
    }
    for right in granted.sorted() where !holds(actor, right) { throw .rightNotHeld(actor: actor, right: right) }
  }

  /// "One manages only projects one is a member of, places only objects one can see", and "taking away is held to reach
  /// as adding is".
  private func permitReach(of change: Change, by actor: Name, created: Set<ObjectRef>) throws(ChangeError) {
    let own = projects(ofUser: actor)
    func reach(_ projects: [Name]) throws(ChangeError) {
      for project in projects where !own.contains(project) {
        throw .projectOutOfReach(actor: actor, project: project)
      }
    }
    func reach(group: Name) throws(ChangeError) {
      if !own.isSuperset(of: memberships[.group(group), default: []]) {
        throw .groupOutOfReach(actor: actor, group: group)
      }
    }
    func see(_ ref: ObjectRef, orMade isEnough: Bool = true) throws(ChangeError) {
      if isEnough && created.contains(ref) { return }
      if !answer(.user(actor), ref).reason.allows { throw .objectOutOfReach(actor: actor, object: ref) }
    }
    func reachAll(of ref: ObjectRef) throws(ChangeError) {
      if !own.isSuperset(of: placements[ref] ?? []) { throw .objectShared(actor: actor, object: ref) }
    }
    func cover(_ others: some Collection<Name>) throws(ChangeError) {
      for user in others.sorted() {
        if !own.isSuperset(of: projects(ofUser: user)) { throw .userOutOfReach(actor: actor, user: user) }
        let more = rightsHeld(by: user).sorted().first { !holds(actor, $0) }
        if let more { throw .userHoldsMore(actor: actor, user: user, right: more) }
      }
    }
    func take(_ gone: Set<Name>, of role: Name) throws(ChangeError) {
      for right in gone.sorted() where !holds(actor, right) { throw .rightOutOfReach(actor: actor, right: right) }
      try cover(rolesOfUser.filter { $0.value.contains(role) }.keys)
    }
    switch change {
    case .setMode(.simple) where mode != .simple: throw .rightMissing(actor: actor, right: "projects.see_all")
    case .putUser(let user, let roles, let projects):
      if let old = users[user.id] {
        let loses = rolesOfUser[user.id, default: []].contains { !roles.contains($0) }
        if loses || old.name != user.name || old.isBlocked != user.isBlocked { try cover([user.id]) }
      }
      try reach(projects)
    case .removeUser(let user): try cover([user])
    case .addToGroup(let group, let user), .removeFromGroup(let group, let user):
      try reach(group: group)
      try cover([user])
    case .putGroup(let group): if let old = groups[group.id], old.name != group.name { try reach(group: group.id) }
    case .removeGroup(let group):
      try reach(group: group)
      try cover(usersOfGroup(group))
    case .putRole(let role, let new):
      let gone = rights[role, default: []].subtracting(new)
      if !gone.isEmpty { try take(gone, of: role) }
    case .removeRole(let role): if role != "admin" { try take(rights[role] ?? [], of: role) }
    case .putProject(let project): if projects[project.id] != nil { try reach([project.id]) }
    case .removeProject(let project), .addMember(let project, _), .removeMember(let project, _): try reach([project])
    case .putObject(let object, let projects):
      if objects[object.ref] != nil { try see(object.ref) }
      try reach(projects)
    case .place(let ref, let project), .unplace(let ref, let project):
      try see(ref)
      try reach([project])
    case .removeObject(let ref):
      try see(ref, orMade: false)
      try reachAll(of: ref)
    case .move(let ref, let from, let to):
      try see(ref, orMade: false)
      try reach([from, to])
    case .setPurpose(let list, let purpose):
      let ref = ObjectRef(.list, list)
      try see(ref)
      if let old = purposes[list], old != purpose { try reachAll(of: ref) }
    case .putCompany, .removeCompany, .setMode: break
    }
  }

  /// Those of `admin` are every one; it is enough to name the greatest.
  private func rightsHeld(by user: Name) -> Set<Name> {
    var held: Set<Name> = []
    for role in rolesOfUser[user] ?? [] { held.formUnion(role == "admin" ? ["projects.see_all"] : rights[role] ?? []) }
    return held
  }

  /// "The last holder of `admin` is taken away by the platform alone": an active one first of all.
  private func keepAnAdmin(_ change: Change) throws(ChangeError) {
    func isAdmin(_ user: Name) -> Bool { rolesOfUser[user]?.contains("admin") == true }
    var left = Set(users.keys.filter(isAdmin))
    var active = left.filter { users[$0]?.isBlocked == false }
    let (before, activeBefore) = (left, active)
    guard let user = subject(of: change) else { return }
    if case .putUser(let new, let roles, _) = change {
      if !roles.contains("admin") { left.remove(user) }
      if !roles.contains("admin") || new.isBlocked { active.remove(user) }
    } else {
      left.remove(user)
      active.remove(user)
    }
    let isLast = left.isEmpty && !before.isEmpty || active.isEmpty && !activeBefore.isEmpty
    if isLast { throw .lastAdmin(user) }
  }

  private func subject(of change: Change) -> Name? {
    switch change {
    case .putUser(let user, _, _): user.id
    case .removeUser(let user): user
    default: nil
    }
  }
}

/// Who sees what.
extension ReferenceCompany {
  struct Answer: Equatable {
    let reason: Reason
    /// The first in byte order, where there are several.
    var project: Name?
    /// The group through which the user is in the project, if it is not so itself.
    var group: Name?
  }

  /// The rules in their order.
  func answer(_ subject: Subject, _ ref: ObjectRef, right: Name? = nil) -> Answer {
    let answer = sight(of: subject, ref)
    guard let right, answer.reason.allows else { return answer }
    if case .user(let user) = subject, holds(user, right) { return answer }
    return Answer(reason: .rightMissing)
  }

  private func sight(of subject: Subject, _ ref: ObjectRef) -> Answer {
    if mode == nil { return Answer(reason: .unknownCompany) }
    if !isThere(subject) { return Answer(reason: .unknownSubject) }
    if case .user(let user) = subject, users[user]?.isBlocked == true { return Answer(reason: .subjectBlocked) }
    guard let object = objects[ref] else { return Answer(reason: .unknownObject) }
    if object.isSystem { return Answer(reason: .systemField) }
    if mode == .simple { return Answer(reason: .simpleMode) }
    if case .user(let user) = subject, holds(user, "projects.see_all") { return Answer(reason: .seeAll) }
    guard let shared = projects(of: subject).intersection(placements[ref] ?? []).min() else {
      return Answer(reason: .noSharedProject)
    }
    return Answer(reason: .sharedProject, project: shared, group: group(of: subject, in: shared))
  }

  private func isThere(_ subject: Subject) -> Bool {
    switch subject {
    case .user(let id): users[id] != nil
    case .group(let id): groups[id] != nil
    case .project(let id): projects[id] != nil
    case .object(let ref): objects[ref] != nil
    }
  }

  private func projects(of subject: Subject) -> Set<Name> {
    switch subject {
    case .user(let id): projects(ofUser: id)
    case .group(let id): memberships[.group(id)] ?? []
    case .project(let id): [id]
    case .object(let ref): placements[ref] ?? []
    }
  }

  private func group(of subject: Subject, in project: Name) -> Name? {
    guard case .user(let user) = subject, memberships[.user(user)]?.contains(project) != true else { return nil }
    return groupsOfUser[user, default: []].filter { memberships[.group($0)]?.contains(project) == true }.min()
  }

  /// The projects listed to a user; true: with their contents.
  func listing(for user: Name) -> [Name: Bool] {
    guard users[user]?.isBlocked == false else { return [:] }
    let own = mode == .simple || holds(user, "projects.see_all") ? Set(projects.keys) : projects(ofUser: user)
    let listed = holds(user, "projects.list") ? Set(projects.keys) : own
    return Dictionary(uniqueKeysWithValues: listed.map { ($0, own.contains($0)) })
  }
}
