import ScopeModel

/// The rows that edits touch, in each part. A row that comes or goes is touched in every part that has one for it.
///
/// Only who is named here is looked at again: numbers that shift elsewhere are renumbered.
struct Touched {
  typealias Rows = [RowKey: RowPlan.Made]

  private(set) var projects: Rows = [:]
  private(set) var groups: Rows = [:]
  private(set) var groupProjects: Rows = [:]
  private(set) var users: Rows = [:]
  private(set) var userProjects: Rows = [:]
  private(set) var userGroups: Rows = [:]
  /// In the parts of roles and of rights.
  private(set) var userRoles: Rows = [:]
  private(set) var objects: Rows = [:]
  private(set) var objectProjects: Rows = [:]
  /// Roles came or went, or have other rights.
  private(set) var roles = false

  /// - Parameter company: after the edits.
  init(_ edits: [Edit], in company: Company) {
    var (teams, altered): (Set<Name>, Set<Name>) = ([], [])
    for edit in edits {
      note(edit)
      switch edit.after ?? edit.before {
      case .member(_, .group(let id)): teams.insert(id)
      case .roleRight(let role, _): altered.insert(role)
      default: break
      }
    }
    for id in teams { for user in company.groups[id]?.users ?? [] { userProjects[RowKey(user)] = .row } }
    for role in altered { for user in company.holders(of: role) { noteRoles(of: user) } }
  }

  private mutating func note(_ edit: Edit) {
    let comesOrGoes = edit.before == nil || edit.after == nil
    switch edit.after ?? edit.before {
    case .project(let project): projects[RowKey(project.id)] = .row
    case .group(let group):
      groups[RowKey(group.id)] = .row
      if comesOrGoes { groupProjects[RowKey(group.id)] = .row }
    case .user(let user): note(user.id, comesOrGoes)
    case .object(let object):
      objects[RowKey(object.ref)] = .row
      if comesOrGoes { objectProjects[RowKey(object.ref)] = .row }
    case .role, .roleRight: roles = true
    case .userRole(let user, _): noteRoles(of: user)
    case .groupMember(_, let user):
      userGroups[RowKey(user)] = .row
      userProjects[RowKey(user)] = .row
    case .member(_, .user(let user)): userProjects[RowKey(user)] = .row
    case .member(_, .group(let group)): groupProjects[RowKey(group)] = .row
    case .placement(let ref, _): objectProjects[RowKey(ref)] = .row
    case .company, .list, nil: break
    }
  }

  private mutating func note(_ user: Name, _ comesOrGoes: Bool) {
    let key = RowKey(user)
    users[key] = .row
    if userProjects[key] == nil { userProjects[key] = comesOrGoes ? .row : .flags }
    guard comesOrGoes else { return }
    userProjects[key] = .row
    userGroups[key] = .row
    userRoles[key] = .row
  }

  /// The flags of rights stand beside the projects.
  private mutating func noteRoles(of user: Name) {
    let key = RowKey(user)
    userRoles[key] = .row
    if userProjects[key] == nil { userProjects[key] = .flags }
  }
}
