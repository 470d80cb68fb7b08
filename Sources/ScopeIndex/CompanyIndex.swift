import ScopeModel

/// One company's rules, compiled: blocks that later versions share where nothing in them changed.
public final class CompanyIndex: Sendable {
  /// The blocks. Numbers in links are those of the directories beside them.
  struct Parts: Sendable {
    var projects: Block
    var groups: Block
    var groupProjects: Block
    var users: Block
    /// Each user's projects, its groups' among them, with the group beside each; flags of rights.
    var userProjects: Block
    var rights: Block
    var userRights: Block
    var userGroups: Block
    var roles: Block
    var roleRights: Block
    var userRoles: Block
    var objects: Block
    var objectProjects: Block

    var all: [Block] {
      [
        projects, groups, groupProjects, users, userProjects, rights, userRights, userGroups, roles, roleRights,
        userRoles, objects, objectProjects,
      ]
    }
  }

  public let id: Name
  /// Memory of the blocks, in bytes.
  public let byteCount: Int
  let parts: Parts
  /// Unsafe and unchecked: allocated and filled in `init`, never written again, freed in `deinit`. A
  /// pointer, so that readers reach it without counting a reference.
  nonisolated(unsafe) let view: UnsafePointer<CompanyView>

  /// Compiles a company.
  ///
  /// - Parameters:
  ///   - company: the state to compile; it must exist.
  ///   - seed: for the hashes; random in each process.
  ///   - previous: the index before `edits`; what they do not touch is taken over from it.
  ///   - edits: what changed since; without `previous`, of no effect.
  public convenience init(_ company: Company, seed: UInt64, previous: CompanyIndex? = nil, edits: [Edit] = []) {
    let builder = PartsBuilder(company, seed: seed, previous: previous?.parts)
    let parts = builder.build(previous == nil ? .all : edits.reduce(into: []) { $0.formUnion(Touched($1)) })
    self.init(id: company.id, mode: company.mode!, parts: parts)
  }

  private init(id: Name, mode: SecurityMode, parts: Parts) {
    let view = UnsafeMutablePointer<CompanyView>.allocate(capacity: 1)
    view.initialize(to: CompanyView(parts, isSimple: mode == .simple))
    self.id = id
    self.parts = parts
    self.view = UnsafePointer(view)
    byteCount = parts.all.reduce(MemoryLayout<CompanyView>.size) { $0 + $1.memory.count }
  }

  deinit { view.deallocate() }

  /// Every block's checksum holds.
  public var isWhole: Bool { parts.all.allSatisfy(\.isWhole) }

  /// The same blocks, byte by byte: what `verify` compares with an index built anew from the same seed.
  public func hasSameContents(as other: CompanyIndex) -> Bool {
    id == other.id && view.pointee.isSimple == other.view.pointee.isSimple
      && zip(parts.all, other.parts.all).allSatisfy { $0.memory.elementsEqual($1.memory) }
  }
}

/// The parts that must be built anew.
private struct Touched: OptionSet {
  let rawValue: Int

  static let projects = Touched(rawValue: 1)
  static let groups = Touched(rawValue: 2)
  static let groupProjects = Touched(rawValue: 4)
  static let users = Touched(rawValue: 8)
  static let userProjects = Touched(rawValue: 16)
  static let rights = Touched(rawValue: 32)
  static let objects = Touched(rawValue: 64)
  static let objectProjects = Touched(rawValue: 128)
  static let userGroups = Touched(rawValue: 256)
  static let roles = Touched(rawValue: 512)
  static let all = Touched(rawValue: 1_023)

  init(rawValue: Int) { self.rawValue = rawValue }

  /// What an edit touches. Where numbers shift, all that names them is touched as well.
  init(_ edit: Edit) {
    let comesOrGoes = edit.before == nil || edit.after == nil
    switch edit.after ?? edit.before {
    case .project: self = comesOrGoes ? [.projects, .groupProjects, .userProjects, .objectProjects] : .projects
    case .group: self = comesOrGoes ? [.groups, .groupProjects, .userProjects, .userGroups] : .groups
    case .user:
      self = comesOrGoes ? [.users, .userProjects, .userGroups, .rights, .roles] : [.users, .userProjects]
    case .object: self = comesOrGoes ? [.objects, .objectProjects] : .objects
    case .role, .roleRight, .userRole: self = [.userProjects, .rights, .roles]
    case .groupMember: self = [.userProjects, .userGroups]
    case .member(_, .user): self = .userProjects
    case .member(_, .group): self = [.groupProjects, .userProjects]
    case .placement: self = .objectProjects
    case .company, nil: self = []
    }
  }
}

/// The keys of a company in the order of their numbers, sorted once for all parts that need them.
private final class SortedKeys {
  private let company: Company
  lazy var users = company.users.keys.sorted()
  lazy var groups = company.groups.keys.sorted()
  lazy var roles = company.roles.keys.sorted()
  lazy var projects = company.projects.keys.sorted()
  lazy var objects = company.objects.keys.sorted()

  init(_ company: Company) { self.company = company }
}

/// Builds parts in the order in which they name each other.
private struct PartsBuilder {
  private let company: Company
  private let seed: UInt64
  private let previous: CompanyIndex.Parts?
  private let sorted: SortedKeys

  init(_ company: Company, seed: UInt64, previous: CompanyIndex.Parts?) {
    self.company = company
    self.seed = seed
    self.previous = previous
    sorted = SortedKeys(company)
  }

  func build(_ touched: Touched) -> CompanyIndex.Parts {
    func take(_ part: Touched, _ path: KeyPath<CompanyIndex.Parts, Block>, _ build: () -> Block) -> Block {
      if let previous, touched.isDisjoint(with: part) { return previous[keyPath: path] }
      return build()
    }
    let projects = take(.projects, \.projects, projects)
    let projectNumbers = Directory(projects)
    let groups = take(.groups, \.groups, groups)
    let rights = take(.rights, \.rights, rights)
    let roles = take(.roles, \.roles, roles)
    return CompanyIndex.Parts(
      projects: projects,
      groups: groups,
      groupProjects: take(.groupProjects, \.groupProjects) { groupProjects(projectNumbers) },
      users: take(.users, \.users, users),
      userProjects: take(.userProjects, \.userProjects) { userProjects(projectNumbers, Directory(groups)) },
      rights: rights,
      userRights: take(.rights, \.userRights) { userRights(Directory(rights)) },
      userGroups: take(.userGroups, \.userGroups) { userGroups(Directory(groups)) },
      roles: roles,
      roleRights: take([.roles, .rights], \.roleRights) { roleRights(Directory(rights)) },
      userRoles: take(.roles, \.userRoles) { userRoles(Directory(roles)) },
      objects: take(.objects, \.objects, objects),
      objectProjects: take(.objectProjects, \.objectProjects) { objectProjects(projectNumbers) })
  }

  private func projects() -> Block {
    var builder = DirectoryBuilder(seed: seed, reserving: company.projects.count)
    for id in sorted.projects {
      let project = company.projects[id]!.project
      builder.add(id, name: project.name)
      builder.addDescription(project.description)
    }
    return builder.seal()
  }

  private func groups() -> Block {
    var builder = DirectoryBuilder(seed: seed, reserving: company.groups.count)
    for id in sorted.groups { builder.add(id, name: company.groups[id]!.group.name) }
    return builder.seal()
  }

  private func groupProjects(_ projects: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.groups.count)
    for id in sorted.groups { builder.add(projects.numbers(of: company.groups[id]!.projects)) }
    return builder.seal()
  }

  private func users() -> Block {
    var builder = DirectoryBuilder(seed: seed, reserving: company.users.count)
    for id in sorted.users { builder.add(id, name: company.users[id]!.user.name) }
    return builder.seal()
  }

  private func userProjects(_ projects: Directory, _ groups: Directory) -> Block {
    var builder = LinksBuilder(stride: 2, reserving: company.users.count)
    for id in sorted.users {
      let state = company.users[id]!
      builder.add(ways(of: state, projects, groups), flags: flags(of: state))
    }
    return builder.seal()
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

  private func rights() -> Block {
    let all = company.roles.values.reduce(into: Set<Name>()) { $0.formUnion($1) }
    var builder = DirectoryBuilder(seed: seed, reserving: all.count)
    for right in all.sorted() { builder.add(right) }
    return builder.seal()
  }

  private func userRights(_ rights: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.users.count)
    for id in sorted.users {
      let held = company.users[id]!.roles.reduce(into: Set<Name>()) { $0.formUnion(company.roles[$1]!) }
      builder.add(rights.numbers(of: held))
    }
    return builder.seal()
  }

  private func userGroups(_ groups: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.users.count)
    for id in sorted.users { builder.add(groups.numbers(of: company.users[id]!.groups)) }
    return builder.seal()
  }

  private func roles() -> Block {
    var builder = DirectoryBuilder(seed: seed, reserving: company.roles.count)
    for role in sorted.roles { builder.add(role) }
    return builder.seal()
  }

  private func roleRights(_ rights: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.roles.count)
    for role in sorted.roles { builder.add(rights.numbers(of: company.roles[role]!)) }
    return builder.seal()
  }

  private func userRoles(_ roles: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.users.count)
    for id in sorted.users { builder.add(roles.numbers(of: company.users[id]!.roles)) }
    return builder.seal()
  }

  private func objects() -> Block {
    var builder = DirectoryBuilder(seed: seed, reserving: company.objects.count)
    for ref in sorted.objects {
      let object = company.objects[ref]!.object
      let flags = object.isSystem ? Directory.flagSystem : 0
      builder.add(ref.id, kind: ref.type.number, name: object.name, flags: flags)
    }
    return builder.seal()
  }

  private func objectProjects(_ projects: Directory) -> Block {
    var builder = LinksBuilder(stride: 1, reserving: company.objects.count)
    for ref in sorted.objects { builder.add(projects.numbers(of: company.objects[ref]!.projects)) }
    return builder.seal()
  }
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
