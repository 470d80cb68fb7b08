/// May the acting user do this? Rights come first, then grants: nobody grants a right without holding it. Then reach,
/// unless the user holds `projects.see_all`. Whoever may otherwise do it can't leave the company without an admin.
extension Company {
  /// - Parameter created: objects that the actor's own batch has made, which it may place.
  func authorize(_ change: Change, actor: Name, created: Set<ObjectRef>) throws(ChangeError) {
    guard let state = users[actor] else { throw .unknownActor(actor) }
    if state.user.isBlocked { throw .actorBlocked(actor) }
    guard let rights = Company.rights(for: change) else { throw .platformOnly(actor: actor) }
    for right in rights where !holds(actor, right: right) { throw .rightMissing(actor: actor, right: right) }
    try checkGrants(of: change, by: actor)
    if !holds(actor, right: Right.seeAll) { try checkReach(of: change, by: actor, created) }
    try checkAdminStays(after: change)
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

  /// Of the users who hold `admin`, one who is not blocked stays; of blocked ones alone, one.
  private func checkAdminStays(after change: Change) throws(ChangeError) {
    let user: Name
    switch change {
    case .putUser(let new, let roles, _) where new.isBlocked || !roles.contains(Company.adminRole): user = new.id
    case .removeUser(let id): user = id
    default: return
    }
    guard let old = users[user], old.roles.contains(Company.adminRole) else { return }
    if case .putUser(_, let roles, _) = change, old.user.isBlocked, roles.contains(Company.adminRole) { return }
    let isOther = holders(of: Company.adminRole).contains {
      $0 != user && (old.user.isBlocked || !users[$0]!.user.isBlocked)
    }
    if !isOther { throw .lastAdmin(user) }
  }
}
