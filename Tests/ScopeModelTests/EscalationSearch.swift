import ScopeModel
import ScopeTesting

/// Looks for batches by which acting users show anyone what they do not see, get anyone into projects they are not
/// in, or give rights they do not hold; and for those by which they take away what they do not reach.
///
/// What the platform does in between is given: everyone's sight is taken anew after it. So nothing can be gained by
/// a sequence that is not gained by one of its batches.
struct EscalationSearch {
  /// A check that is left out.
  enum Hole: CaseIterable {
    case placing, moving, puttingObjects, joiningGroups, addingMembers, puttingUsers, simpleMode, alteringRoles
    case givingRoles, givingAdmin
    case removingObjects, alteringPurposes, joiningStrangers, leavingGroups, removingGroups, removingUsers,
      alteringUsers
    case alteringStronger, removingStronger, narrowingRoles, removingRoles, robbingHolders, removingAdmins

    /// Whether the refusal is one that this hole lets through.
    func forgives(_ change: Change, _ error: ChangeError) -> Bool {
      switch (self, change, error) {
      case (.placing, .place, .objectOutOfReach), (.moving, .move, .objectOutOfReach): true
      case (.puttingObjects, .putObject, .objectOutOfReach): true
      case (.joiningGroups, .addToGroup, .groupOutOfReach): true
      case (.addingMembers, .addMember, .projectOutOfReach): true
      case (.puttingUsers, .putUser, .projectOutOfReach): true
      case (.simpleMode, .setMode(.simple), .rightMissing(_, Right.seeAll)): true
      case (.alteringRoles, .putRole, .rightNotHeld): true
      case (.givingRoles, .putUser, .rightNotHeld), (.givingAdmin, .putUser, .roleNotHeld): true
      case (.removingObjects, .removeObject, .objectShared), (.alteringPurposes, .setPurpose, .objectShared): true
      case (.joiningStrangers, .addToGroup, .userOutOfReach): true
      case (.leavingGroups, .removeFromGroup, _): isReach(error)
      case (.removingGroups, .removeGroup, _): isReach(error)
      case (.removingUsers, .removeUser, .userOutOfReach), (.alteringUsers, .putUser, .userOutOfReach): true
      case (.alteringStronger, .putUser, .userHoldsMore), (.removingStronger, .removeUser, .userHoldsMore): true
      case (.narrowingRoles, .putRole, .rightOutOfReach), (.removingRoles, .removeRole, .rightOutOfReach): true
      case (.robbingHolders, .putRole, _), (.robbingHolders, .removeRole, _): isReach(error)
      case (.removingAdmins, .removeUser, .lastAdmin), (.removingAdmins, .putUser, .lastAdmin): true
      default: false
      }
    }

    private func isReach(_ error: ChangeError) -> Bool {
      switch error {
      case .groupOutOfReach, .userOutOfReach, .userHoldsMore: true
      default: false
      }
    }
  }

  private let hole: Hole?
  private var walker: RandomCompany
  private var random: SeededRandom
  private var sight: Sight
  private let groups: [Name]
  /// Batches of users without see_all, and those of them that were taken.
  private var tries = 0
  private(set) var taken = 0

  /// A company of its own for each seed and number.
  init(seed: UInt64, company: Int, hole: Hole? = nil) {
    self.hole = hole
    random = SeededRandom(seed: seed, stream: 2, index: company)
    walker = RandomCompany(seed: random.next(), mode: random.below(5) == 0 ? .simple : .enhanced)
    groups = walker.subjects.compactMap { if case .group(let id) = $0 { id } else { nil } }
    sight = Sight(walker.company)
    appoint()
  }

  private var actor: Name { walker.users[0] }

  /// The first escalation found, in words.
  mutating func escalation(inTries tries: Int) -> String? {
    while self.tries < tries {
      if random.below(8) == 0 { intervene() }
      if let found = attempt() { return "try \(self.tries), \(found)" }
    }
    return nil
  }

  private mutating func attempt() -> String? {
    let acting = random.below(4) == 0 ? random.pick(walker.users) : actor
    let isLimited = sight.people[acting]?.seesAll == false
    if isLimited { tries += 1 }
    let batch = nextBatch(by: acting)
    guard let gathered = take(batch, by: acting) else { return nil }
    let before = sight
    sight = Sight(walker.company)
    if isLimited { taken += 1 }
    let found =
      before.escalation(to: sight, by: acting, gathered: gathered.first)
      ?? before.robbery(to: sight, by: acting, gathered: gathered.first)
    return found.map { "'\(acting)', by \(batch): \($0)" }
  }

  /// The project into which the loose ones went, if one; nil: refused.
  private mutating func take(_ batch: [Change], by actor: Name) -> [Name]? {
    guard let hole else {
      return (try? walker.apply(batch, actor: actor)).map { [$0.gathered?.project].compactMap(\.self) }
    }
    var trial = walker
    var gathered: [Name] = []
    for change in batch {
      do {
        gathered += [try trial.apply([change], actor: actor).gathered?.project].compactMap(\.self)
      } catch {
        guard hole.forgives(change, error.error), (try? trial.apply([change])) != nil else { return nil }
      }
    }
    walker = trial
    return gathered
  }
}

// MARK: - What is tried

extension EscalationSearch {
  /// The platform sees to it that there is someone to try, and something to be gained.
  private mutating func appoint() {
    var changes: [Change] = walker.company.mode == nil ? [.putCompany(.enhanced)] : []
    let rights = RandomCompany.rights.filter { $0 != Right.seeAll && random.below(5) > 0 }
    changes += [.putRole("manager", rights: rights), put(user: actor, roles: ["manager"])]
    changes += walker.projects.prefix(3).filter { walker.company.projects[$0] == nil }.map { put(project: $0) }
    changes.append(.addMember(project: walker.projects[0], .user(actor)))
    let queue = random.pick(walker.objects)
    changes += [put(queue), .place(queue, project: random.pick(walker.projects))]
    changes.append(.addMember(project: random.pick(walker.projects), .group(random.pick(groups))))
    if let list = walker.objects.first(where: { $0.type == .list }) {
      changes += [put(list), .setPurpose(list: list.id, .unwanted), .place(list, project: walker.projects[0])]
      changes.append(.place(list, project: random.pick(walker.projects)))
    }
    if random.below(3) == 0 { changes.append(put(user: walker.users[1], roles: [Company.adminRole])) }
    for change in changes { _ = try? walker.apply([change]) }
    sight = Sight(walker.company)
  }

  /// The platform does something; whatever comes of it is given.
  private mutating func intervene() {
    for _ in 0..<2 { _ = try? walker.apply([walker.nextChange()]) }
    appoint()
  }

  private mutating func nextBatch(by actor: Name) -> [Change] {
    let count = 1 + max(0, random.below(6) - 2)
    return (0..<count).map { _ in random.below(4) == 0 ? walker.nextChange() : attack(by: actor) }
  }

  private mutating func attack(by actor: Name) -> Change {
    switch random.below(10) {
    case 0..<4: attackOnObjects(by: actor)
    case 4..<6: attackOnProjects(by: actor)
    case 6..<8: attackOnUsers(by: actor)
    case 8: attackOnRoles(by: actor)
    default: .setMode(random.pick(SecurityMode.allCases))
    }
  }

  private mutating func attackOnObjects(by actor: Name) -> Change {
    let ref = random.pick(walker.objects)
    let own = anyProject(of: actor)
    let project = random.pick(walker.projects)
    let holder = walker.company.objects[ref]?.projects.min() ?? project
    return switch random.below(8) {
    case 0, 1: .place(ref, project: own)
    case 2: .place(ref, project: project)
    case 3: .move(ref, from: holder, to: own)
    case 4: .putObject(Object(ref, name: ref.id), projects: [own])
    case 5:
      random.below(2) == 0
        ? put(ref) : .setPurpose(list: walker.company.lists.keys.min() ?? ref.id, random.pick(ListPurpose.allCases))
    case 6: .unplace(ref, project: holder)
    default: .removeObject(ref)
    }
  }

  private mutating func attackOnProjects(by actor: Name) -> Change {
    let project = random.pick(walker.projects)
    return switch random.below(6) {
    case 0, 1: .addMember(project: project, .user(anyUser(actor)))
    case 2: .addMember(project: project, .group(random.pick(groups)))
    case 3: .removeProject(project)
    case 4: .putProject(Project(id: project, name: Company.defaultProjectName))
    default: put(project: project)
    }
  }

  private mutating func attackOnUsers(by actor: Name) -> Change {
    let id = anyUser(actor)
    let group = anyGroup(of: actor)
    let user = User(id: id, name: id, isBlocked: id != actor && random.below(4) == 0)
    let roles = walker.company.users[id]?.roles.sorted() ?? []
    return switch random.below(11) {
    case 0, 1: .addToGroup(group: group, user: id)
    case 2: .putUser(user, roles: roles, projects: [random.pick(walker.projects)])
    case 3, 4: .putUser(user, roles: roles + random.pick(1, of: walker.company.roles.keys.sorted()))
    case 5: .putUser(user, roles: Array(roles.dropFirst()))
    case 6: .removeUser(id)
    case 7: .removeUser(walker.company.holders(of: Company.adminRole).min() ?? id)
    case 8: .removeFromGroup(group: walker.company.users[id]?.groups.min() ?? group, user: id)
    case 9: put(group: group)
    default: .removeGroup(group)
    }
  }

  private mutating func attackOnRoles(by actor: Name) -> Change {
    let role = random.pick(walker.company.roles.keys.sorted() + ["manager", "new"])
    let rights = walker.company.roles[role]?.sorted() ?? []
    return switch random.below(4) {
    case 0: .removeRole(role)
    case 1: .putRole(role, rights: Array(rights.dropLast()))
    default: .putRole(role, rights: rights + [random.pick(RandomCompany.rights)])
    }
  }

  private mutating func anyUser(_ actor: Name) -> Name { random.below(2) == 0 ? actor : random.pick(walker.users) }

  /// One that is there, and whose projects the actor is in mostly.
  private mutating func anyGroup(of actor: Name) -> Name {
    let own = sight.people[actor]?.projects ?? []
    let near = walker.company.groups.values.filter { $0.projects.isSubset(of: own) }.map(\.group.id).sorted()
    return near.isEmpty || random.below(3) == 0 ? random.pick(groups) : random.pick(near)
  }

  /// One that the actor is in, if there is one.
  private mutating func anyProject(of actor: Name) -> Name {
    let own = sight.people[actor]?.projects.sorted() ?? []
    return random.pick(own.isEmpty ? walker.projects : own)
  }
}

// MARK: - What is found

/// What everyone sees, is in and may do, as the company's links tell. Blocked users count as if they were not: who
/// frees them gives them nothing but what they were given before.
private struct Sight {
  struct Person {
    var projects: Set<Name> = []
    var objects: Set<ObjectRef> = []
    /// Of those that a role may hold here; all of them for an admin.
    var rights: Set<Name> = []
    var isAdmin = false

    var seesAll: Bool { rights.contains(Right.seeAll) }
  }

  private(set) var people: [Name: Person] = [:]
  private let projects: Set<Name>
  private let objects: Set<ObjectRef>
  private let company: Company

  init(_ company: Company) {
    projects = Set(company.projects.keys)
    self.company = company
    objects = Set(company.objects.values.filter { !$0.object.isSystem }.map(\.object.ref))
    for (id, state) in company.users {
      var person = Person(projects: state.projects, isAdmin: state.roles.contains(Company.adminRole))
      for group in state.groups { person.projects.formUnion(company.groups[group]!.projects) }
      for role in state.roles { person.rights.formUnion(company.roles[role]!) }
      if person.isAdmin { person.rights = Set(RandomCompany.rights) }
      if company.mode == .simple || person.seesAll {
        person.objects = objects
      } else {
        for project in person.projects { person.objects.formUnion(company.projects[project]!.objects) }
      }
      people[id] = person
    }
  }

  /// What someone has afterwards that neither they nor the actor had before, and that is not new.
  ///
  /// - Parameter gathered: the project that everyone in none was put into.
  func escalation(to after: Sight, by actor: Name, gathered: Name?) -> String? {
    guard let own = people[actor] else { return "'\(actor)' was not there" }
    var newProjects = after.projects.subtracting(projects)
    if let gathered { newProjects.insert(gathered) }
    let newObjects = after.objects.subtracting(objects)
    for (user, now) in after.people {
      let past = people[user] ?? Person()
      let shown = now.objects.subtracting(past.objects).subtracting(own.objects).subtracting(newObjects)
      if !shown.isEmpty { return "'\(user)' sees \(shown)" }
      let joined = now.projects.subtracting(past.projects).subtracting(own.projects).subtracting(newProjects)
      if !joined.isEmpty && !own.seesAll { return "'\(user)' is in \(joined)" }
      let given = now.rights.subtracting(past.rights).subtracting(own.rights)
      if !given.isEmpty { return "'\(user)' holds \(given)" }
      if now.isAdmin && !past.isAdmin && !own.isAdmin { return "'\(user)' is an admin" }
    }
    return nil
  }
}

// MARK: - What is taken

extension Sight {
  /// What is gone or altered afterwards that was not the actor's to take. What the actor may do of it, it may do from
  /// the beginning: no step of a batch brings what others have into its reach.
  ///
  /// - Parameter gathered: the project that everyone in none was put into, the actor too, it may be.
  func robbery(to after: Sight, by actor: Name, gathered: Name?) -> String? {
    let admins = activeAdmins
    if !admins.isEmpty && after.activeAdmins.isEmpty { return "\(admins) were the last admins" }
    guard let own = people[actor], !own.seesAll else { return nil }
    var reach = own.projects.union(after.projects.subtracting(projects))
    if let gathered { reach.insert(gathered) }
    if let gone = projects.subtracting(after.projects).subtracting(reach).first { return "project '\(gone)' is gone" }
    return objectTaken(after, reach) ?? groupTaken(after, reach, own) ?? userTaken(after, reach, own)
      ?? rightTaken(after, own)
  }

  private var activeAdmins: Set<Name> { Set(people.keys.filter { people[$0]!.isAdmin && !isBlocked($0) }) }

  private func isBlocked(_ user: Name) -> Bool { company.users[user]!.user.isBlocked }

  private func objectTaken(_ after: Sight, _ reach: Set<Name>) -> String? {
    for ref in objects {
      let places = Set(company.objects[ref]!.projects)
      let left = Set(after.company.objects[ref]?.projects ?? [])
      if !places.subtracting(left).isSubset(of: reach) { return "\(ref) is gone from \(places.subtracting(left))" }
      let isUnseen = places.isEmpty && company.mode == .enhanced
      if isUnseen && after.company.objects[ref] == nil { return "\(ref), which was in none, is gone" }
      let purpose = company.lists[ref.id]?.purpose
      if ref.type != .list || purpose == nil || purpose == ListPurpose.none || places.isSubset(of: reach) { continue }
      if after.company.lists[ref.id]?.purpose != purpose { return "\(ref) has another purpose" }
    }
    return nil
  }

  private func covers(_ user: Name, _ reach: Set<Name>, _ own: Person) -> Bool {
    people[user]!.projects.isSubset(of: reach) && people[user]!.rights.isSubset(of: own.rights)
  }

  private func groupTaken(_ after: Sight, _ reach: Set<Name>, _ own: Person) -> String? {
    for (id, state) in company.groups {
      let left = after.company.groups[id]
      let isTouched = left == nil || left!.group != state.group
      if isTouched && !state.projects.isSubset(of: reach) { return "group '\(id)' is gone or renamed" }
      if !state.projects.subtracting(left?.projects ?? []).isSubset(of: reach) { return "group '\(id)' is put out" }
    }
    return nil
  }

  private func userTaken(_ after: Sight, _ reach: Set<Name>, _ own: Person) -> String? {
    for (id, past) in people {
      let (before, now) = (company.users[id]!, after.company.users[id])
      let lost = past.projects.subtracting(after.people[id]?.projects ?? [])
      if !lost.isSubset(of: reach) { return "'\(id)' is no longer in \(lost)" }
      if covers(id, reach, own) { continue }
      guard let now else { return "'\(id)' is gone" }
      if now.user != before.user { return "'\(id)' is altered" }
      if now.groups != before.groups { return "'\(id)' is in other groups" }
      if !before.roles.isSubset(of: now.roles) { return "'\(id)' has lost a role" }
      if !past.rights.isSubset(of: after.people[id]!.rights) { return "'\(id)' has lost a right" }
    }
    return nil
  }

  private func rightTaken(_ after: Sight, _ own: Person) -> String? {
    for (role, rights) in company.roles {
      let lost = rights.subtracting(after.company.roles[role] ?? []).subtracting(own.rights)
      if !lost.isEmpty { return "the role '\(role)' has lost \(lost)" }
    }
    return nil
  }
}
