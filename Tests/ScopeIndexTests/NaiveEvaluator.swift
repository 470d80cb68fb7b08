import ScopeModel
import Testing

/// The answer to one check.
struct NaiveAnswer: Equatable {
  var allowed: Bool
  /// The name of the wire's `Reason`, in small letters and without prefix.
  var reason: String
  /// The first shared project in byte order, where that is why.
  var project: String?
  /// The group through which the user is in it, if it is not so itself.
  var group: String?

  static func allow(_ reason: String, project: Name? = nil, group: Name? = nil) -> NaiveAnswer {
    NaiveAnswer(allowed: true, reason: reason, project: project?.text, group: group?.text)
  }

  static func deny(_ reason: String) -> NaiveAnswer { NaiveAnswer(allowed: false, reason: reason) }
}

/// A row of a user's projects.
struct NaiveProject: Equatable {
  var id: Name
  var name: Name
  var description: Remark
  var contentsVisible: Bool
}

/// Answers by the words of the domain's rules, looked up by going over everything each time.
///
/// The index is compared with this: so it shares nothing with the index, uses none of the model's own
/// judgements (`holds`, `sees`, `isMember`), and prefers the plainest way to every other.
struct NaiveEvaluator {
  let company: Company

  init(_ company: Company) { self.company = company }

  func canSee(subject: Subject, object: ObjectRef, right: Name? = nil) -> NaiveAnswer {
    canSee(subject: subject, target: .object(object), right: right)
  }

  func canSee(subject: Subject, target object: Target, right: Name? = nil) -> NaiveAnswer {
    let verdict = verdict(subject, object)
    guard verdict.allowed, let right else { return verdict }
    if case .user(let user) = subject, holds(user, right) { return verdict }
    return .deny("right_missing")
  }

  /// One answer for each id, in the order asked.
  func filter(subject: Subject, type: TargetType, ids: [Name], project: Name? = nil) -> [Bool] {
    ids.map { id in
      let ref = Target(type, id)
      if !canSee(subject: subject, target: ref).allowed { return false }
      guard let project else { return true }
      return isPresent(ref, in: project)
    }
  }

  /// In byte order of ids.
  func listProjects(user: Name) -> [NaiveProject] {
    guard let state = company.users[user], !state.user.isBlocked else { return [] }
    let seesEverything = company.mode == .simple || holds(user, Right.seeAll)
    let own = projects(of: .user(user))
    var rows: [NaiveProject] = []
    for (id, state) in company.projects {
      let contentsVisible = seesEverything || own.contains(id)
      if !contentsVisible && !holds(user, Right.listProjects) { continue }
      rows.append(
        NaiveProject(
          id: id, name: state.project.name, description: state.project.description, contentsVisible: contentsVisible))
    }
    return rows.sorted { bytes($0.id).lexicographicallyPrecedes(bytes($1.id)) }
  }

  /// In order of the type's number and the bytes of the id.
  ///
  /// - Parameter types: an empty list means every type of objects.
  func list(subject: Subject, types: [TargetType] = [], project: Name? = nil) -> [Target] {
    var seen: [Target] = []
    let all =
      company.objects.keys.map { Target.object($0) } + company.users.keys.map { .user($0) }
      + company.groups.keys.map { .group($0) } + company.projects.keys.map { .project($0) }
    for target in all {
      if types.isEmpty ? target.type.number < 16 : !types.contains(target.type) { continue }
      if filter(subject: subject, type: target.type, ids: [target.id], project: project) == [true] {
        seen.append(target)
      }
    }
    return seen.sorted { a, b in
      if a.type.number != b.type.number { return a.type.number < b.type.number }
      return bytes(a.id).lexicographicallyPrecedes(bytes(b.id))
    }
  }

  func listObjects(subject: Subject, types: [ObjectType] = [], project: Name? = nil) -> [ObjectRef] {
    list(subject: subject, types: types.map { .object($0) }, project: project).map { target in
      guard case .object(let ref) = target else { fatalError("not asked for: \(target)") }
      return ref
    }
  }
}

// MARK: - The rules, in their order

extension NaiveEvaluator {
  private func verdict(_ subject: Subject, _ object: Target) -> NaiveAnswer {
    if company.mode == nil { return .deny("unknown_company") }
    if !exists(subject) { return .deny("unknown_subject") }
    if isBlocked(subject) { return .deny("subject_blocked") }
    if !exists(object) { return .deny("unknown_object") }
    if case .object(let ref) = object, company.objects[ref]!.object.isSystem { return .allow("system_field") }
    if company.mode == .simple { return .allow("simple_mode") }
    if case .user(let user) = subject, holds(user, Right.seeAll) { return .allow("see_all") }
    let shared = projects(of: subject).filter { projects(of: object).contains($0) }
    guard let first = firstInByteOrder(shared) else {
      if case .user(let user) = subject, case .project = object, holds(user, Right.listProjects) {
        return .deny("tile_only")
      }
      return .deny("no_shared_project")
    }
    return .allow("shared_project", project: first, group: group(of: subject, in: first))
  }

  private func exists(_ subject: Subject) -> Bool {
    switch subject {
    case .user(let id): company.users[id] != nil
    case .group(let id): company.groups[id] != nil
    case .project(let id): company.projects[id] != nil
    case .object(let ref): company.objects[ref] != nil
    }
  }

  private func isBlocked(_ subject: Subject) -> Bool {
    guard case .user(let id) = subject else { return false }
    return company.users[id]!.user.isBlocked
  }

  /// Read from the projects' side of each link.
  private func projects(of subject: Subject) -> [Name] {
    var found: [Name] = []
    for (id, state) in company.projects {
      let isIn =
        switch subject {
        case .user(let user):
          state.members.contains(.user(user)) || groups(of: user).contains { state.members.contains(.group($0)) }
        case .group(let group): state.members.contains(.group(group))
        case .project(let project): project == id
        case .object(let ref): state.objects.contains(ref)
        }
      if isIn { found.append(id) }
    }
    return found
  }

  private func groups(of user: Name) -> [Name] {
    company.groups.filter { $0.value.users.contains(user) }.map(\.key)
  }

  /// Nil for a user that is in the project itself, and for every other subject.
  private func group(of subject: Subject, in project: Name) -> Name? {
    guard case .user(let user) = subject else { return nil }
    let members = company.projects[project]!.members
    if members.contains(.user(user)) { return nil }
    return firstInByteOrder(groups(of: user).filter { members.contains(.group($0)) })
  }

  private func holds(_ user: Name, _ right: Name) -> Bool {
    guard let roles = company.users[user]?.roles else { return false }
    if roles.contains("admin") { return true }
    return roles.contains { company.roles[$0]?.contains(right) == true }
  }

  /// In the project, or a system field, which is in every project there is.
  private func isPresent(_ target: Target, in project: Name) -> Bool {
    if company.projects[project] == nil { return false }
    if case .object(let ref) = target, company.objects[ref]?.object.isSystem == true { return true }
    return projects(of: target).contains(project)
  }

  private func firstInByteOrder(_ names: [Name]) -> Name? {
    names.min { bytes($0).lexicographicallyPrecedes(bytes($1)) }
  }

  private func bytes(_ name: Name) -> [UInt8] { Array(name.text.utf8) }
}

// MARK: - What all the comparisons rest on

/// Cases worked out by hand from the domain's rules, so that index and evaluator can't be wrong together
/// without a sign.
@Suite("Naive evaluator") struct NaiveEvaluatorTests {
  /// anna is in `clinic`; boris by the teams `b` and `a` in `shop`, which shares a trunk and a field with
  /// `clinic`; cleo is in no project, dora is blocked, eve sees all, fred lists projects.
  private static let changes: [Change] = [
    .putCompany(.enhanced),
    .putRole("auditor", rights: [Right.seeAll]),
    .putRole("lister", rights: [Right.listProjects, "report.agents"]),
    .putUser(User(id: "anna", name: "Anna"), roles: []),
    .putUser(User(id: "boris", name: "Boris"), roles: []),
    .putUser(User(id: "cleo", name: "Cleo"), roles: []),
    .putUser(User(id: "dora", name: "Dora", isBlocked: true), roles: [Company.adminRole]),
    .putUser(User(id: "eve", name: "Eve"), roles: ["auditor"]),
    .putUser(User(id: "fred", name: "Fred"), roles: ["lister"]),
    .putProject(Project(id: "clinic", name: "The clinic")),
    .putProject(Project(id: "shop", name: "A shop")),
    .putGroup(Group(id: "b", name: "B")), .putGroup(Group(id: "a", name: "A")),
    .addToGroup(group: "b", user: "boris"), .addToGroup(group: "a", user: "boris"),
    .addMember(project: "clinic", .user("anna")), .addMember(project: "clinic", .user("fred")),
    .addMember(project: "shop", .group("b")), .addMember(project: "shop", .group("a")),
    .putObject(Object(queue, name: "Desk")), .place(queue, project: "clinic"),
    .putObject(Object(trunk, name: "Trunk")), .place(trunk, project: "shop"), .place(trunk, project: "clinic"),
    .putObject(Object(debt, name: "Debt")), .place(debt, project: "shop"), .place(debt, project: "clinic"),
    .putObject(Object(loose, name: "Loose")),
  ]

  private static let queue = ObjectRef(ObjectType(name: "queue")!, "desk")
  private static let trunk = ObjectRef(ObjectType(name: "sip_provider")!, "trunk")
  private static let loose = ObjectRef(ObjectType(name: "list")!, "loose")
  private static let debt = ObjectRef(.contactField, "debt")
  private static let phone = ObjectRef(.contactField, "phone")

  private let enhanced: NaiveEvaluator
  private let simple: NaiveEvaluator

  init() throws {
    var company = Company(id: "c")
    _ = try company.apply(NaiveEvaluatorTests.changes)
    enhanced = NaiveEvaluator(company)
    _ = try company.apply([.setMode(.simple)])
    simple = NaiveEvaluator(company)
  }

  private static let cases: [(Subject, ObjectRef, Name?, NaiveAnswer)] = [
    (.user("anna"), queue, nil, .allow("shared_project", project: "clinic")),
    (.user("boris"), queue, nil, .deny("no_shared_project")),
    (.user("boris"), trunk, nil, .allow("shared_project", project: "shop", group: "a")),
    (.user("boris"), phone, nil, .allow("system_field")),
    (.user("cleo"), trunk, nil, .deny("no_shared_project")),
    (.user("dora"), phone, nil, .deny("subject_blocked")),
    (.user("dora"), ObjectRef(.contactField, "none"), nil, .deny("subject_blocked")),
    (.user("eve"), loose, nil, .allow("see_all")),
    (.user("anna"), loose, nil, .deny("no_shared_project")),
    (.user("nobody"), phone, nil, .deny("unknown_subject")),
    (.user("eve"), ObjectRef(.contactField, "none"), nil, .deny("unknown_object")),
    (.group("a"), trunk, nil, .allow("shared_project", project: "shop")),
    (.project("clinic"), trunk, nil, .allow("shared_project", project: "clinic")),
    (.project("shop"), queue, nil, .deny("no_shared_project")),
    (.object(trunk), queue, nil, .allow("shared_project", project: "clinic")),
    (.object(loose), loose, nil, .deny("no_shared_project")),
    (.user("fred"), queue, "report.agents", .allow("shared_project", project: "clinic")),
    (.user("anna"), queue, "report.agents", .deny("right_missing")),
    (.user("anna"), loose, "report.agents", .deny("no_shared_project")),
    (.project("clinic"), queue, "report.agents", .deny("right_missing")),
  ]

  /// People and projects as what is asked about.
  private static let peopleAndProjects: [(Subject, Target, NaiveAnswer)] = [
    (.user("anna"), .project("clinic"), .allow("shared_project", project: "clinic")),
    (.user("anna"), .project("shop"), .deny("no_shared_project")),
    (.user("boris"), .project("shop"), .allow("shared_project", project: "shop", group: "a")),
    (.user("fred"), .project("clinic"), .allow("shared_project", project: "clinic")),
    (.user("fred"), .project("shop"), .deny("tile_only")),
    (.user("eve"), .project("shop"), .allow("see_all")),
    (.user("dora"), .project("shop"), .deny("subject_blocked")),
    (.user("anna"), .project("none"), .deny("unknown_object")),
    (.project("shop"), .project("shop"), .allow("shared_project", project: "shop")),
    (.project("shop"), .project("clinic"), .deny("no_shared_project")),
    (.object(trunk), .project("shop"), .allow("shared_project", project: "shop")),
    (.user("anna"), .user("fred"), .allow("shared_project", project: "clinic")),
    (.user("anna"), .user("boris"), .deny("no_shared_project")),
    (.user("anna"), .user("dora"), .deny("no_shared_project")),
    (.user("eve"), .user("dora"), .allow("see_all")),
    (.user("boris"), .group("b"), .allow("shared_project", project: "shop", group: "a")),
    (.user("anna"), .group("b"), .deny("no_shared_project")),
    (.user("anna"), .user("nobody"), .deny("unknown_object")),
    (.group("a"), .user("boris"), .allow("shared_project", project: "shop")),
    (.project("clinic"), .user("anna"), .allow("shared_project", project: "clinic")),
    (.object(queue), .user("boris"), .deny("no_shared_project")),
    (.user("cleo"), .user("cleo"), .deny("no_shared_project")),
  ]

  @Test("people and projects", arguments: peopleAndProjects)
  func checkPeopleAndProjects(subject: Subject, target: Target, expected: NaiveAnswer) {
    #expect(enhanced.canSee(subject: subject, target: target) == expected)
  }

  @Test("check", arguments: cases)
  func check(subject: Subject, object: ObjectRef, right: Name?, expected: NaiveAnswer) {
    #expect(enhanced.canSee(subject: subject, object: object, right: right) == expected)
  }

  @Test("a company that does not exist")
  func unknownCompany() {
    let nowhere = NaiveEvaluator(Company(id: "nowhere"))
    let answer = nowhere.canSee(subject: .user("anna"), object: NaiveEvaluatorTests.phone)
    #expect(answer == .deny("unknown_company"))
    #expect(nowhere.listProjects(user: "anna").isEmpty)
    #expect(nowhere.listObjects(subject: .user("anna")).isEmpty)
  }

  @Test("in simple mode everyone known and active sees everything")
  func simpleMode() {
    let loose = NaiveEvaluatorTests.loose
    #expect(simple.canSee(subject: .user("cleo"), object: loose) == .allow("simple_mode"))
    #expect(simple.canSee(subject: .user("eve"), object: loose) == .allow("simple_mode"))
    #expect(simple.canSee(subject: .user("dora"), object: loose) == .deny("subject_blocked"))
    #expect(simple.listProjects(user: "cleo").map(\.contentsVisible) == [true, true])
    #expect(simple.listProjects(user: "dora").isEmpty)
  }

  @Test("the projects of a user")
  func projects() {
    #expect(enhanced.listProjects(user: "eve").map(\.contentsVisible) == [true, true])
    #expect(enhanced.listProjects(user: "fred").map(\.id) == ["clinic", "shop"])
    #expect(enhanced.listProjects(user: "fred").map(\.contentsVisible) == [true, false])
    #expect(enhanced.listProjects(user: "boris").map(\.name) == ["A shop"])
    #expect(enhanced.listProjects(user: "cleo").isEmpty)
    #expect(enhanced.listProjects(user: "dora").isEmpty)
  }

  @Test("filter keeps order and duplicates, and narrows to a project")
  func filter() {
    func ask(_ project: Name?) -> [Bool] {
      enhanced.filter(
        subject: .user("anna"), type: .object(.contactField), ids: ["debt", "none", "phone", "debt"], project: project)
    }
    #expect(ask(nil) == [true, false, true, true])
    #expect(ask("shop") == [true, false, true, true])
    #expect(ask("nowhere") == [false, false, false, false])
  }

  @Test("listing a project gives its objects and the system fields, and nothing else")
  func listing() {
    let name = ObjectRef(.contactField, "name")
    let (queue, trunk) = (NaiveEvaluatorTests.queue, NaiveEvaluatorTests.trunk)
    let (debt, phone) = (NaiveEvaluatorTests.debt, NaiveEvaluatorTests.phone)
    #expect(enhanced.listObjects(subject: .user("eve"), project: "clinic") == [queue, trunk, debt, name, phone])
    #expect(enhanced.listObjects(subject: .user("boris")) == [trunk, debt, name, phone])
    #expect(enhanced.listObjects(subject: .user("boris"), types: [trunk.type]) == [trunk])
    #expect(enhanced.listObjects(subject: .user("eve"), project: "nowhere").isEmpty)
  }
}
