import ScopeModel

/// Builds the parts of an index in the order in which they name each other: over those before where there are some.
struct PartsBuilder {
  private let company: Company
  private let seed: UInt64
  private let previous: CompanyIndex.Parts?
  private let touched: Touched

  init(_ company: Company, seed: UInt64, previous: CompanyIndex.Parts?, edits: [Edit]) {
    let hasSameSeed = previous.map { Directory($0.users).hashSeed == seed } ?? false
    self.company = company
    self.seed = seed
    self.previous = hasSameSeed ? previous : nil
    touched = Touched(hasSameSeed ? edits : [], in: company)
  }

  func build() -> CompanyIndex.Parts {
    let keys = SortedKeys(company)
    let projects = projects(keys)
    let groups = groups(keys)
    let rights = rights()
    let roles = roles()
    let shifts = Shifts(
      projects: renumbering(\.projects, projects), groups: renumbering(\.groups, groups),
      rights: renumbering(\.rights, rights), roles: renumbering(\.roles, roles))
    return CompanyIndex.Parts(
      projects: projects, groups: groups,
      groupProjects: groupProjects(Directory(projects), shifts, keys),
      users: users(keys),
      userProjects: userProjects(Directory(projects), Directory(groups), shifts, keys),
      rights: rights,
      userRights: userRights(Directory(rights), shifts, keys),
      userGroups: userGroups(Directory(groups), shifts, keys),
      roles: roles,
      roleRights: roleRights(Directory(rights)),
      userRoles: userRoles(Directory(roles), shifts, keys),
      objects: objects(keys),
      objectProjects: objectProjects(Directory(projects), shifts, keys))
  }

  /// What became of the numbers that lists name; nil: nothing.
  private struct Shifts {
    let projects: Renumbering?
    let groups: Renumbering?
    let rights: Renumbering?
    let roles: Renumbering?
  }

  private func renumbering(_ path: KeyPath<CompanyIndex.Parts, Block>, _ new: Block) -> Renumbering? {
    previous.flatMap { Directory($0[keyPath: path]).renumbering(to: Directory(new)) }
  }
}

/// The keys of a company in the order of their numbers, sorted once for all parts that are built in full.
private final class SortedKeys {
  private let company: Company
  lazy var users = company.users.keys.sorted().map { RowKey($0) }
  lazy var groups = company.groups.keys.sorted().map { RowKey($0) }
  lazy var projects = company.projects.keys.sorted().map { RowKey($0) }
  lazy var objects = company.objects.keys.sorted().map { RowKey($0) }

  init(_ company: Company) { self.company = company }
}

// MARK: - Plans

extension PartsBuilder {
  /// Where more lists are touched than stay, all are made. Flags alone are never worth that.
  private func plan(
    _ rows: Touched.Rows, over path: KeyPath<CompanyIndex.Parts, Block>, all: @autoclosure () -> [RowKey],
    isThere: (RowKey) -> Bool
  ) -> RowPlan {
    guard let previous else { return RowPlan(making: all()) }
    let most = previous[keyPath: path].entities / 2 + 16
    if rows.count > most, rows.values.count(where: { $0 == .row }) > most { return RowPlan(making: all()) }
    return RowPlan(Directory(previous[keyPath: path]), touched: rows, isThere: isThere)
  }

  private func directory(
    _ path: KeyPath<CompanyIndex.Parts, Block>, _ plan: RowPlan, add: (RowKey, inout DirectoryBuilder) -> Void
  ) -> Block {
    if let previous, plan.changesNothing { return previous[keyPath: path] }
    var builder = DirectoryBuilder(seed: seed, reserving: plan.keys.count)
    for key in plan.keys { add(key, &builder) }
    return builder.seal(over: plan.isFull ? nil : previous.map { Directory($0[keyPath: path]) }, plan)
  }

  private func links(
    _ path: KeyPath<CompanyIndex.Parts, Block>, _ plan: RowPlan, stride: Int = 1, items: Renumbering?,
    seconds: Renumbering? = nil, add: (RowKey, RowPlan.Made, inout LinksBuilder) -> Void
  ) -> Block {
    if let previous, plan.changesNothing, items == nil, seconds == nil { return previous[keyPath: path] }
    var builder = LinksBuilder(stride: stride, reserving: plan.keys.count)
    for (key, made) in zip(plan.keys, plan.made) { add(key, made, &builder) }
    let before = plan.isFull ? nil : previous.map { Links($0[keyPath: path]) }
    return builder.seal(over: before, plan, items: items, seconds: seconds)
  }
}

// MARK: - Projects and groups

extension PartsBuilder {
  private func projects(_ keys: SortedKeys) -> Block {
    let plan = plan(touched.projects, over: \.projects, all: keys.projects) { company.projects[$0.id] != nil }
    return directory(\.projects, plan) { key, builder in
      let project = company.projects[key.id]!.project
      builder.add(key.id, name: project.name)
      builder.addDescription(project.description)
    }
  }

  private func groups(_ keys: SortedKeys) -> Block {
    directory(\.groups, groupPlan(touched.groups, keys)) { key, builder in
      builder.add(key.id, name: company.groups[key.id]!.group.name)
    }
  }

  private func groupPlan(_ rows: Touched.Rows, _ keys: SortedKeys) -> RowPlan {
    plan(rows, over: \.groups, all: keys.groups) { company.groups[$0.id] != nil }
  }

  private func groupProjects(_ projects: Directory, _ shifts: Shifts, _ keys: SortedKeys) -> Block {
    links(\.groupProjects, groupPlan(touched.groupProjects, keys), items: shifts.projects) { key, _, builder in
      builder.add(projects.numbers(of: company.groups[key.id]!.projects))
    }
  }
}

// MARK: - Users

extension PartsBuilder {
  private func userPlan(_ rows: Touched.Rows, _ keys: SortedKeys) -> RowPlan {
    plan(rows, over: \.users, all: keys.users) { company.users[$0.id] != nil }
  }

  private func users(_ keys: SortedKeys) -> Block {
    directory(\.users, userPlan(touched.users, keys)) { key, builder in
      builder.add(key.id, name: company.users[key.id]!.user.name)
    }
  }

  private func userProjects(
    _ projects: Directory, _ groups: Directory, _ shifts: Shifts, _ keys: SortedKeys
  ) -> Block {
    links(
      \.userProjects, userPlan(touched.userProjects, keys), stride: 2, items: shifts.projects, seconds: shifts.groups
    ) { key, made, builder in
      let state = company.users[key.id]!
      if made == .flags {
        builder.addFlags(flags(of: state))
      } else {
        builder.add(ways(of: state, projects, groups), flags: flags(of: state))
      }
    }
  }

  /// The user's projects, each with the group by which the user is in it. Being in it directly comes
  /// before any group, and groups come in the order of their numbers.
  private func ways(of state: Company.UserState, _ projects: Directory, _ groups: Directory) -> [UInt32] {
    var ways: [UInt32: UInt32] = [:]
    for project in projects.numbers(of: state.projects) { ways[project] = LinkList.none }
    for group in state.groups.sorted() {
      let number = groups.number(of: group)
      for project in projects.numbers(of: company.groups[group]!.projects) where ways[project] == nil {
        ways[project] = number
      }
    }
    return ways.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
  }

  private func flags(of state: Company.UserState) -> UInt8 {
    var flags: UInt8 = state.user.isBlocked ? CompanyView.flagBlocked : 0
    if state.roles.contains(Company.adminRole) { return flags | CompanyView.flagsEveryRight }
    if state.roles.contains(where: { company.roles[$0]!.contains(Right.seeAll) }) { flags |= CompanyView.flagSeeAll }
    if state.roles.contains(where: { company.roles[$0]!.contains(Right.listProjects) }) {
      flags |= CompanyView.flagListProjects
    }
    return flags
  }

  private func userRights(_ rights: Directory, _ shifts: Shifts, _ keys: SortedKeys) -> Block {
    var lists: [Set<Name>: [UInt32]] = [:]  // many users have the same roles
    return links(\.userRights, userPlan(touched.userRoles, keys), items: shifts.rights) { key, _, builder in
      let roles = company.users[key.id]!.roles
      let list =
        lists[roles] ?? rights.numbers(of: roles.reduce(into: Set<Name>()) { $0.formUnion(company.roles[$1]!) })
      lists[roles] = list
      builder.add(list)
    }
  }

  private func userGroups(_ groups: Directory, _ shifts: Shifts, _ keys: SortedKeys) -> Block {
    links(\.userGroups, userPlan(touched.userGroups, keys), items: shifts.groups) { key, _, builder in
      builder.add(groups.numbers(of: company.users[key.id]!.groups))
    }
  }

  private func userRoles(_ roles: Directory, _ shifts: Shifts, _ keys: SortedKeys) -> Block {
    links(\.userRoles, userPlan(touched.userRoles, keys), items: shifts.roles) { key, _, builder in
      builder.add(roles.numbers(of: company.users[key.id]!.roles))
    }
  }
}

// MARK: - Roles: few, so built in full where one has changed

extension PartsBuilder {
  private func taken(_ path: KeyPath<CompanyIndex.Parts, Block>, or build: () -> Block) -> Block {
    guard let previous else { return build() }
    if !touched.roles { return previous[keyPath: path] }
    let block = build()
    return block.hasSameContents(as: previous[keyPath: path]) ? previous[keyPath: path] : block
  }

  private func rights() -> Block {
    taken(\.rights) {
      let all = company.roles.values.reduce(into: Set<Name>()) { $0.formUnion($1) }
      var builder = DirectoryBuilder(seed: seed, reserving: all.count)
      for right in all.sorted() { builder.add(right) }
      return builder.seal()
    }
  }

  private func roles() -> Block {
    taken(\.roles) {
      var builder = DirectoryBuilder(seed: seed, reserving: company.roles.count)
      for role in company.roles.keys.sorted() { builder.add(role) }
      return builder.seal()
    }
  }

  private func roleRights(_ rights: Directory) -> Block {
    taken(\.roleRights) {
      let keys = company.roles.keys.sorted()
      var builder = LinksBuilder(stride: 1, reserving: keys.count)
      for role in keys { builder.add(rights.numbers(of: company.roles[role]!)) }
      return builder.seal(over: nil, RowPlan(makingRows: keys.count))
    }
  }
}

// MARK: - Objects

extension PartsBuilder {
  private func objectPlan(_ rows: Touched.Rows, _ keys: SortedKeys) -> RowPlan {
    plan(rows, over: \.objects, all: keys.objects) { company.objects[$0.ref] != nil }
  }

  private func objects(_ keys: SortedKeys) -> Block {
    directory(\.objects, objectPlan(touched.objects, keys)) { key, builder in
      let object = company.objects[key.ref]!.object
      let flags = object.isSystem ? Directory.flagSystem : 0
      builder.add(key.id, kind: key.kind, name: object.name, flags: flags)
    }
  }

  private func objectProjects(_ projects: Directory, _ shifts: Shifts, _ keys: SortedKeys) -> Block {
    links(\.objectProjects, objectPlan(touched.objectProjects, keys), items: shifts.projects) { key, _, builder in
      builder.add(projects.numbers(of: company.objects[key.ref]!.projects))
    }
  }
}

extension RowKey {
  /// The object with this key.
  fileprivate var ref: ObjectRef { ObjectRef(ObjectType(number: kind)!, id) }
}

extension Directory {
  /// The number of a key that must be there.
  fileprivate func number(of key: Name) -> UInt32 {
    var text = key.text
    guard let number = text.withUTF8({ find(UnsafeRawBufferPointer($0)) }) else {
      fatalError("the index lacks '\(key)', which the company has")
    }
    return UInt32(number)
  }

  fileprivate func numbers(of keys: some Sequence<Name>) -> [UInt32] { keys.map(number).sorted() }
}
