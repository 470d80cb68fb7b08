import ScopeModel

/// A small company of random shape, for tests that try many: up to 12 users, 6 groups, 6 projects and 25
/// objects with odd names, in either mode, linked thinly or densely.
///
/// It is made by applying changes, so it obeys the rules; and it goes on: `nextChange` draws changes that
/// fit it or break a rule, of every kind. The same seed gives the same company and the same changes.
public struct RandomCompany: Sendable {
  public private(set) var company: Company
  /// The changes that made it so far, refused ones left out.
  public private(set) var changes: [Change] = []

  private var random: SeededRandom
  private let pool: Pool

  /// - Parameters:
  ///   - seed: decides everything.
  ///   - mode: the mode it begins in; nil: either.
  public init(seed: UInt64, id: Name = "company", mode: SecurityMode? = nil) {
    var random = SeededRandom(seed: seed)
    company = Company(id: id)
    pool = Pool(&random)
    self.random = random
    build(mode ?? self.random.pick(SecurityMode.allCases))
  }

  /// Applies a batch, and remembers it where it is not refused.
  public mutating func apply(_ batch: [Change], actor: Name? = nil) throws(RefusedBatch) -> Outcome {
    let outcome = try company.apply(batch, actor: actor)
    changes += batch
    return outcome
  }

  private mutating func build(_ mode: SecurityMode) {
    keep(.putCompany(mode))
    for name in pool.roles { keep(.putRole(name, rights: someRights())) }
    for id in pool.users.prefix(random.below(13)) { keep(.putUser(user(id), roles: someRoles())) }
    for id in pool.groups.prefix(random.below(7)) { keep(.putGroup(Group(id: id, name: anyName()))) }
    for id in pool.projects.prefix(random.below(7)) { keep(.putProject(project(id))) }
    for ref in pool.objects.prefix(random.below(26)) { keep(.putObject(object(ref))) }
    let links = allLinks()
    for change in random.pick(links.count * random.below(101) / 100, of: links) { keep(change) }
  }

  /// Applies one change; refused, it is passed over.
  private mutating func keep(_ change: Change) { _ = try? apply([change]) }

  /// Every membership and placement that could be. Some are refused: who or what they name is not here, or
  /// the object is exclusive and has its project.
  private func allLinks() -> [Change] {
    var links: [Change] = []
    for group in pool.groups { links += pool.users.map { .addToGroup(group: group, user: $0) } }
    for project in pool.projects {
      links += pool.users.map { .addMember(project: project, .user($0)) }
      links += pool.groups.map { .addMember(project: project, .group($0)) }
      links += pool.objects.map { .place($0, project: project) }
    }
    return links
  }
}

// MARK: - What to ask about

extension RandomCompany {
  /// Everyone and everything that can ask, whether it is there at the moment or not.
  public var subjects: [Subject] {
    pool.users.map { .user($0) } + pool.groups.map { .group($0) } + pool.projects.map { .project($0) }
      + objects.map { .object($0) }
  }

  /// Every user, whether there at the moment or not.
  public var users: [Name] { pool.users }

  /// Every project, whether there at the moment or not.
  public var projects: [Name] { pool.projects }

  /// Every object, whether there at the moment or not, those of the system among them.
  public var objects: [ObjectRef] {
    pool.objects + Company.systemFields.map { ObjectRef(.contactField, $0) }
  }

  /// Every right that a role may hold here.
  public static let rights: [Name] = [
    Right.seeAll, Right.listProjects, Right.manageAccess, Right.manageProjects, Right.manageUsers, Right.manageRoles,
    Right.manageCompany, "section.call_journal", "report.agents", "é", "e\u{301}",
  ]
}

// MARK: - Changes

extension RandomCompany {
  /// A change of any kind about things of this company. Many are refused: what they name may not be there,
  /// or a rule forbids them. The company itself is removed now and then, and made again.
  public mutating func nextChange() -> Change {
    if company.mode == nil { return .putCompany(random.pick(SecurityMode.allCases)) }
    switch random.below(1_000) {
    case 0..<2: return .removeCompany
    case 2..<12: return .putCompany(random.pick(SecurityMode.allCases))
    case 12..<40: return .setMode(random.pick(SecurityMode.allCases))
    case 40..<260: return nextChangeOfUsers()
    case 260..<480: return nextChangeOfProjects()
    default: return nextChangeOfObjects()
    }
  }

  /// So many changes, from 1 to `most`.
  public mutating func nextBatch(upTo most: Int) -> [Change] {
    let count = random.number(in: 1...most)
    return (0..<count).map { _ in nextChange() }
  }

  private mutating func nextChangeOfUsers() -> Change {
    switch random.below(10) {
    case 0..<3: .putUser(user(random.pick(pool.users)), roles: someRoles(), projects: someProjects())
    case 3: .removeUser(random.pick(pool.users))
    case 4: .putGroup(Group(id: random.pick(pool.groups), name: anyName()))
    case 5: .removeGroup(random.pick(pool.groups))
    case 6..<8: .addToGroup(group: random.pick(pool.groups), user: random.pick(pool.users))
    case 8: .removeFromGroup(group: random.pick(pool.groups), user: random.pick(pool.users))
    default: nextChangeOfRoles()
    }
  }

  private mutating func nextChangeOfRoles() -> Change {
    let role = random.pick(pool.roles + [Company.adminRole])
    return random.below(4) == 0 ? .removeRole(role) : .putRole(role, rights: someRights())
  }

  private mutating func nextChangeOfProjects() -> Change {
    switch random.below(10) {
    case 0..<3: .putProject(project(random.pick(pool.projects)))
    case 3: .removeProject(random.pick(pool.projects))
    case 4..<8: .addMember(project: random.pick(pool.projects), anyMember())
    default: .removeMember(project: random.pick(pool.projects), anyMember())
    }
  }

  private mutating func nextChangeOfObjects() -> Change {
    let ref = random.pick(objects)
    let project = random.pick(pool.projects)
    return switch random.below(10) {
    case 0..<3: .putObject(object(ref), projects: someProjects())
    case 3: .removeObject(ref)
    case 4..<7: .place(ref, project: project)
    case 7: .unplace(ref, project: project)
    case 8 where ref.type == .list: .setPurpose(list: ref.id, random.pick(ListPurpose.allCases))
    default: .move(ref, from: company.objects[ref]?.projects.min() ?? project, to: random.pick(pool.projects))
    }
  }
}

// MARK: - Parts of a change

extension RandomCompany {
  private mutating func user(_ id: Name) -> User {
    User(id: id, name: anyName(), isBlocked: random.happens(perMille: 150))
  }

  private mutating func project(_ id: Name) -> Project {
    let name = random.happens(perMille: 150) ? Company.defaultProjectName : anyName()
    return Project(id: id, name: name, description: random.pick(Pool.remarks))
  }

  private mutating func object(_ ref: ObjectRef) -> Object {
    let isSystem = random.happens(perMille: ref.type == .contactField ? 250 : 10)
    return Object(ref, name: anyName(), isSystem: isSystem)
  }

  private mutating func anyName() -> Name { random.pick(Pool.names) }

  private mutating func anyMember() -> Member {
    random.below(3) == 0 ? .group(random.pick(pool.groups)) : .user(random.pick(pool.users))
  }

  /// Few rights mostly: with many in each role everyone would see everything.
  private mutating func someRights() -> [Name] {
    let count = random.below(4)
    return random.pick(count, of: RandomCompany.rights)
  }

  /// None mostly.
  private mutating func someProjects() -> [Name] {
    let count = max(0, random.below(6) - 3)
    return random.pick(count, of: pool.projects)
  }

  private mutating func someRoles() -> [Name] {
    if random.happens(perMille: 50) { return [Company.adminRole] }
    if random.happens(perMille: 500) { return [] }
    let count = random.below(3)
    return random.pick(count, of: pool.roles)
  }
}

/// The ids of one random company.
private struct Pool: Sendable {
  let roles: [Name]
  let users: [Name]
  let groups: [Name]
  let projects: [Name]
  let objects: [ObjectRef]

  /// Every kind has a thing with the id "1", and the pairs that look alike meet in one kind often.
  init(_ random: inout SeededRandom) {
    func ids(_ count: Int) -> [Name] { ["1"] + random.pick(count - 1, of: Pool.names.filter { $0 != "1" }) }
    func shuffled<Item>(_ items: [Item]) -> [Item] { random.pick(items.count, of: items) }
    roles = ["seer", "lister", "é", "e\u{301}", "1"]
    users = shuffled(ids(12))
    groups = shuffled(ids(6))
    projects = shuffled(ids(6))
    var objects = Set(ObjectType.all.map { ObjectRef($0, "1") })
    while objects.count < 25 { objects.insert(ObjectRef(random.pick(ObjectType.all), random.pick(Pool.names))) }
    self.objects = shuffled(objects.sorted())
  }

  static let remarks: [Remark] = [
    .none, try! Remark("é"), try! Remark("e\u{301}"), try! Remark(String(repeating: "x", count: Remark.maximumBytes)),
  ]

  /// Odd, but names all the same.
  static let names: [Name] = [
    "1", "2", "10", "01", "1001", "clinic-appointments-17",
    " ", "  ", "a", "A", "a ", "_", "-", "'", "\"", "\\", "%", "*", "a:b", "a/b", "--", "'; DROP TABLE user; --",
    "default", "default-2", "Default", "DEFAULT", "admin", "name", "phone", "queue", "NULL", "0",
    "é", "e\u{301}",  // one letter, two ways to write it: equal to String, different as bytes
    "\u{C5}", "A\u{30A}", "\u{212B}",  // three ways
    "\u{1E9B}\u{323}", "\u{1E9B}\u{327}", "ﬁ", "fi", "가", "\u{1100}\u{1161}",
    "\u{A0}", "\u{200B}", "\u{FEFF}", "\u{202E}abc", "\u{2028}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10FFFF}",
    "Ж", "日本語", "👩‍👩‍👧‍👦", "🇩🇪",
    Name(stringLiteral: String(repeating: "x", count: 128)),
    Name(stringLiteral: String(repeating: "x", count: 127)),
    Name(stringLiteral: String(repeating: "x", count: 127) + "y"),
    Name(stringLiteral: String(repeating: "😀", count: 32)),
    Name(stringLiteral: String(repeating: "e\u{301}", count: 42)),
  ]
}
