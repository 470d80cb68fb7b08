extension Company {
  /// The changes that make an equal company but for the numbers of its lists, in an order in which each names only what came before.
  /// Sorted throughout: equal companies give equal lists.
  public func changesToRebuild() -> [Change] {
    guard let mode else { return [] }
    var changes: [Change] = [.putCompany(mode)]
    for (role, rights) in roles.sorted(by: { $0.key < $1.key }) where role != Company.adminRole {
      changes.append(.putRole(role, rights: rights.sorted()))
    }
    let users = users.values.sorted { $0.user.id < $1.user.id }
    for state in users { changes.append(.putUser(state.user, roles: state.roles.sorted())) }
    for state in groups.values.sorted(by: { $0.group.id < $1.group.id }) {
      changes.append(.putGroup(state.group))
      for user in state.users.sorted() { changes.append(.addToGroup(group: state.group.id, user: user)) }
    }
    for state in projects.values.sorted(by: { $0.project.id < $1.project.id }) {
      changes.append(.putProject(state.project))
      for member in state.members.sorted() { changes.append(.addMember(project: state.project.id, member)) }
    }
    for (ref, state) in objects.sorted(by: { $0.key < $1.key }) where !Company.isCreated(with: state.object) {
      changes.append(.putObject(state.object))
      for project in state.projects.sorted() { changes.append(.place(ref, project: project)) }
      if ref.type == .list, let list = lists[ref.id], list.purpose != .none {
        changes.append(.setPurpose(list: ref.id, list.purpose))
      }
    }
    return changes
  }

  /// The object is there from the company's creation.
  private static func isCreated(with object: Object) -> Bool {
    object.isSystem && systemFields.contains(object.ref.id) && object.name == object.ref.id
  }
}
