/// May the acting user do this? Rights come first, then reach: without `projects.see_all` one manages
/// only projects one is in, places only objects one sees, and grants only rights one holds.
extension Company {
  /// - Parameter created: objects that the actor's own batch has made, which it may place.
  func authorize(_ change: Change, actor: Name, created: Set<ObjectRef>) throws(ChangeError) {
    guard let state = users[actor] else { throw .unknownActor(actor) }
    if state.user.isBlocked { throw .actorBlocked(actor) }
    guard let rights = Company.rights(for: change) else { throw .platformOnly(actor: actor) }
    for right in rights where !holds(actor, right: right) { throw .rightMissing(actor: actor, right: right) }
    try checkGrants(of: change, by: actor)
    if !holds(actor, right: Right.seeAll) { try checkReach(of: change, by: actor, created) }
  }

  /// The rights a change needs; nil: no user may do it.
  private static func rights(for change: Change) -> [Name]? {
    switch change {
    case .putCompany, .removeCompany: nil
    case .setMode: [Right.manageCompany]
    case .putUser(_, _, let projects) where !projects.isEmpty: [Right.manageUsers, Right.manageAccess]
    case .putUser, .removeUser, .putGroup, .removeGroup, .addToGroup, .removeFromGroup: [Right.manageUsers]
    case .putRole, .removeRole: [Right.manageRoles]
    case .addMember, .removeMember: [Right.manageAccess]
    case .putObject(let object, _) where object.isSystem: nil
    case .putProject, .removeProject, .putObject, .removeObject, .place, .unplace, .move, .setPurpose:
      [Right.manageProjects]
    }
  }

  private func checkGrants(of change: Change, by actor: Name) throws(ChangeError) {
    var granted: Set<Name> = []
    switch change {
    case .putRole(let role, let rights):
      granted = Set(rights).subtracting(roles[role] ?? [])
    case .putUser(let user, let wanted, _):
      // To unblock is to give back what a blocked user does not have.
      let isUnblocked = users[user.id]?.user.isBlocked == true && !user.isBlocked
      let new = Set(wanted).subtracting(isUnblocked ? [] : users[user.id]?.roles ?? [])
      if new.contains(Company.adminRole) && !users[actor]!.roles.contains(Company.adminRole) {
        throw .roleNotHeld(actor: actor, role: Company.adminRole)
      }
      for role in new { granted.formUnion(roles[role] ?? []) }
    default: return
    }
    if let missing = granted.filter({ !holds(actor, right: $0) }).min() {
      throw .rightNotHeld(actor: actor, right: missing)
    }
  }

  private func checkReach(
    of change: Change, by actor: Name, _ created: Set<ObjectRef>
  ) throws(ChangeError) {
    switch change {
    case .setMode(.simple) where mode != .simple:  // would show the actor everything
      throw .rightMissing(actor: actor, right: Right.seeAll)
    case .addToGroup(let group, _):  // gives access to what the group is in
      for project in groups[group]?.projects.sorted() ?? [] { try checkReach(project, actor) }
    case .putProject(let project): if projects[project.id] != nil { try checkReach(project.id, actor) }
    case .removeProject(let id), .addMember(let id, _), .removeMember(let id, _): try checkReach(id, actor)
    case .putUser(_, _, let projects): for project in projects { try checkReach(project, actor) }
    case .putObject(let object, let projects):
      if objects[object.ref] != nil && !created.contains(object.ref) { try checkReach(object.ref, actor) }
      for project in projects { try checkReach(project, actor) }
    case .removeObject(let ref): try checkReach(ref, actor)
    case .place(let ref, let project), .unplace(let ref, let project):
      if !created.contains(ref) { try checkReach(ref, actor) }
      try checkReach(project, actor)
    case .move(let ref, let from, let to):
      try checkReach(ref, actor)
      try checkReach(from, actor)
      try checkReach(to, actor)
    case .setPurpose(let id, _):
      let ref = ObjectRef(.list, id)
      if !created.contains(ref) { try checkReach(ref, actor) }
    default: break
    }
  }

  private func checkReach(_ project: Name, _ actor: Name) throws(ChangeError) {
    if !isMember(actor, of: project) { throw .projectOutOfReach(actor: actor, project: project) }
  }

  private func checkReach(_ ref: ObjectRef, _ actor: Name) throws(ChangeError) {
    if !sees(actor, ref) { throw .objectOutOfReach(actor: actor, object: ref) }
  }
}
