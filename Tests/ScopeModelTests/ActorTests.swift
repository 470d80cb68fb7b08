import ScopeModel
import Testing

@Suite("Rights of acting users") struct ActorRightTests {
  private static let list = object("list", "l")

  /// Every change with the right it needs, each possible in `sample(holding:)`.
  private static let needs: [(Change, Name)] = [
    (.setMode(.simple), Right.manageCompany),
    (put(user: "new"), Right.manageUsers), (.removeUser("other"), Right.manageUsers),
    (put(group: "new"), Right.manageUsers), (.removeGroup("team"), Right.manageUsers),
    (.addToGroup(group: "team", user: "other"), Right.manageUsers),
    (.removeFromGroup(group: "team", user: "other"), Right.manageUsers),
    (.putRole("new", rights: []), Right.manageRoles), (.removeRole("spare"), Right.manageRoles),
    (.addMember(project: "p", .user("other")), Right.manageAccess),
    (.addMember(project: "p", .group("team")), Right.manageAccess),
    (.removeMember(project: "p", .user("other")), Right.manageAccess),
    (put(project: "new"), Right.manageProjects), (.removeProject("p"), Right.manageProjects),
    (put(object("list", "new")), Right.manageProjects), (.removeObject(list), Right.manageProjects),
    (.place(list, project: "q"), Right.manageProjects), (.unplace(list, project: "p"), Right.manageProjects),
    (.move(list, from: "p", to: "q"), Right.manageProjects),
  ]

  private static let managing: [Name] = [
    Right.manageCompany, Right.manageUsers, Right.manageRoles, Right.manageAccess, Right.manageProjects,
  ]

  private func sample(holding rights: [Name]) throws -> Company {
    try company(
      [.putRole("role", rights: rights), .putRole("spare", rights: []), put(user: "actor", roles: ["role"])]
        + [put(user: "other"), put(group: "team"), put(project: "p"), put(project: "q"), put(ActorRightTests.list)]
        + [.place(ActorRightTests.list, project: "p")])
  }

  @Test("a change needs its right, and no other", arguments: needs)
  func right(change: Change, right: Name) throws {
    let holder = try sample(holding: [right, Right.seeAll])
    #expect(refusal(of: change, in: holder, actor: "actor") == nil)
    let others = ActorRightTests.managing.filter { $0 != right } + [Right.seeAll, Right.listProjects]
    let lacking = try sample(holding: others)
    #expect(refusal(of: change, in: lacking, actor: "actor") == .rightMissing(actor: "actor", right: right))
  }

  @Test("creating and removing companies and system fields is the platform's alone")
  func platformOnly() throws {
    let company = try company([put(user: "actor", roles: ["admin"])])
    let field = Object(ObjectRef(.contactField, "email"), name: "E-mail", isSystem: true)
    for change in [.putCompany(.simple), .removeCompany, .putObject(field)] as [Change] {
      #expect(refusal(of: change, in: company, actor: "actor") == .platformOnly(actor: "actor"))
      #expect(refusal(of: change, in: company) == nil)
    }
  }

  @Test("who is not there or blocked can't act, admin or not")
  func noActor() throws {
    let company = try company([.putUser(User(id: "b", name: "b", isBlocked: true), roles: ["admin"])])
    #expect(refusal(of: put(project: "p"), in: company, actor: "b") == .actorBlocked("b"))
    #expect(refusal(of: put(project: "p"), in: company, actor: "x") == .unknownActor("x"))
    #expect(refusal(of: put(project: "p"), in: Company(id: "n"), actor: "x") == .unknownActor("x"))
  }

  @Test("each change of a batch is judged by what the actor is then")
  func lostOnTheWay() throws {
    let company = try company([put(user: "a", roles: ["admin"]), put(user: "other", roles: ["admin"])])
    let lost = refusal(of: [put(user: "a"), put(project: "p")], in: company, actor: "a")
    #expect(lost == Refusal(index: 1, error: .rightMissing(actor: "a", right: Right.manageProjects)))
    let gone = refusal(of: [.removeUser("a"), put(project: "p")], in: company, actor: "a")
    #expect(gone == Refusal(index: 1, error: .unknownActor("a")))
  }

  @Test("the creator of a project becomes a member; the platform and who edits do not")
  func creator() throws {
    var company = try company([put(user: "a", roles: ["admin"])])
    _ = try company.apply([put(project: "mine")], actor: "a")
    #expect(company.projects["mine"]?.members == [.user("a")])
    _ = try company.apply([put(project: "theirs")])
    _ = try company.apply([.putProject(Project(id: "theirs", name: "Edited"))], actor: "a")
    #expect(company.projects["theirs"]?.members == [])
  }

  @Test("a creator still in Default is pointed out: it has a project of its own now")
  func creatorInDefault() throws {
    var company = try company(
      [
        put(user: "a", roles: ["admin"]), .putProject(Project(id: "d", name: "Default")),
        .addMember(project: "d", .user("a")),
      ])
    let outcome = try company.apply([put(project: "mine")], actor: "a")
    #expect(outcome.warnings.map(\.kind) == [.stillInDefault(user: "a")])
  }
}

@Suite("Grants by acting users") struct ActorGrantTests {
  /// The actor may manage users and roles, sees all, and holds `report.agents`.
  private func sample() throws -> Company {
    try company([
      .putRole("actor", rights: [Right.manageUsers, Right.manageRoles, Right.seeAll, "report.agents"]),
      .putRole("strong", rights: ["report.agents", Right.manageCompany]), .putRole("weak", rights: ["report.agents"]),
      put(user: "actor", roles: ["actor"]), put(user: "strong", roles: ["strong", "admin"]), put(user: "u"),
      put(user: "root", roles: ["admin"]),
    ])
  }

  private func refused(_ change: Change) throws -> ChangeError? {
    refusal(of: change, in: try sample(), actor: "actor")
  }

  private let missing = ChangeError.rightNotHeld(actor: "actor", right: Right.manageCompany)

  @Test("a role gets only rights the actor holds")
  func rightsOfRole() throws {
    #expect(try refused(.putRole("new", rights: ["report.agents"])) == nil)
    #expect(try refused(.putRole("new", rights: ["report.agents", Right.manageCompany])) == missing)
    #expect(try refused(.putRole("weak", rights: ["report.agents", Right.manageCompany])) == missing)
    #expect(try refused(.putRole("actor", rights: [Right.manageRoles, Right.manageCompany])) == missing)
  }

  @Test("what a role has already may stay, and be taken away")
  func keptRights() throws {
    #expect(try refused(.putRole("strong", rights: [Right.manageCompany])) == nil)
    #expect(try refused(.putRole("strong", rights: [])) == nil)
  }

  @Test("a user gets only roles whose rights the actor holds, itself included")
  func rolesOfUser() throws {
    #expect(try refused(put(user: "u", roles: ["weak"])) == nil)
    #expect(try refused(put(user: "u", roles: ["weak", "strong"])) == missing)
    #expect(try refused(put(user: "new", roles: ["strong"])) == missing)
    #expect(try refused(put(user: "actor", roles: ["actor", "strong"])) == missing)
  }

  @Test("roles a user has already may stay")
  func keptRoles() throws {
    #expect(try refused(put(user: "strong", roles: ["strong", "admin"])) == nil)
    #expect(try refused(put(user: "strong", roles: ["admin"])) == nil)
  }

  @Test("to unblock a user is to give back its roles")
  func unblocking() throws {
    var company = try sample()
    func strong(isBlocked: Bool) -> Change {
      .putUser(User(id: "strong", name: "strong", isBlocked: isBlocked), roles: ["strong"])
    }
    #expect(refusal(of: strong(isBlocked: true), in: company, actor: "actor") == nil)
    _ = try company.apply([strong(isBlocked: true)])
    #expect(refusal(of: strong(isBlocked: false), in: company, actor: "actor") == missing)
    #expect(refusal(of: strong(isBlocked: true), in: company, actor: "actor") == nil)
  }

  @Test("only an admin makes an admin, whatever rights another holds")
  func admin() throws {
    let refused = try #require(try refused(put(user: "u", roles: ["admin"])))
    #expect(refused.code == "role_not_held")
    #expect(refusal(of: put(user: "u", roles: ["admin"]), in: try sample(), actor: "strong") == nil)
  }

  @Test("a right can't be won in two steps")
  func twoSteps() throws {
    let steps: [[Change]] = [
      [
        .putRole("new", rights: []), put(user: "actor", roles: ["actor", "new"]),
        .putRole("new", rights: [Right.manageCompany]),
      ],
      [.removeRole("strong"), .putRole("strong", rights: [Right.manageCompany])],
      [.removeUser("strong"), put(user: "strong", roles: ["strong"])],
    ]
    for batch in steps {
      let refused = refusal(of: batch, in: try sample(), actor: "actor")
      #expect(refused == Refusal(index: batch.count - 1, error: missing))
    }
  }
}

@Suite("Reach of acting users") struct ActorReachTests {
  private static let list = object("list", "mine")
  private static let far = object("list", "far")
  private static let queue = object("queue", "far")
  private static let loose = object("list", "loose")

  /// The actor holds every right except see_all. It is in `mine`, and through a group in `ours`; `far` is
  /// out of its reach.
  private func sample(mode: SecurityMode = .enhanced) throws -> Company {
    let rights = [
      Right.manageAccess, Right.manageProjects, Right.manageUsers, Right.manageRoles, Right.manageCompany,
      Right.listProjects,
    ]
    return try company(
      [.putRole("manager", rights: rights), put(user: "actor", roles: ["manager"]), put(user: "u")]
        + [put(project: "mine"), put(project: "ours"), put(project: "far"), put(group: "team"), put(group: "others")]
        + [.addMember(project: "mine", .user("actor")), .addMember(project: "ours", .group("team"))]
        + [.addToGroup(group: "team", user: "actor"), .addMember(project: "far", .group("others"))]
        + [put(ActorReachTests.list), .place(ActorReachTests.list, project: "mine")]
        + [put(ActorReachTests.far), .place(ActorReachTests.far, project: "far"), put(ActorReachTests.loose)]
        + [put(ActorReachTests.queue), .place(ActorReachTests.queue, project: "far")], mode: mode)
  }

  private func refused(_ change: Change) throws -> ChangeError? {
    refusal(of: change, in: try sample(), actor: "actor")
  }

  private let outOfReach = ChangeError.projectOutOfReach(actor: "actor", project: "far")

  private func unseen(_ ref: ObjectRef) -> ChangeError { .objectOutOfReach(actor: "actor", object: ref) }

  @Test("one manages only projects one is in, itself or through a group")
  func projects() throws {
    for project: Name in ["mine", "ours"] {
      #expect(try refused(.putProject(Project(id: project, name: "Edited"))) == nil)
      #expect(try refused(.addMember(project: project, .user("u"))) == nil)
      #expect(try refused(.addMember(project: project, .group("others"))) == nil)
      #expect(try refused(.removeMember(project: project, .user("u"))) == nil)
      #expect(try refused(.removeProject(project)) == nil)
    }
    #expect(try refused(.putProject(Project(id: "far", name: "Edited"))) == outOfReach)
    #expect(try refused(.addMember(project: "far", .user("actor"))) == outOfReach)
    #expect(try refused(.addMember(project: "far", .group("team"))) == outOfReach)
    #expect(try refused(.removeMember(project: "far", .group("others"))) == outOfReach)
    #expect(try refused(.removeProject("far")) == outOfReach)
  }

  @Test("projects.list shows tiles and gives no reach; a project that is not there answers like one out of reach")
  func noHint() throws {
    #expect(try refused(.removeProject("far")) == .projectOutOfReach(actor: "actor", project: "far"))
    #expect(try refused(.removeProject("ghost")) == .projectOutOfReach(actor: "actor", project: "ghost"))
    #expect(try refused(.removeObject(ActorReachTests.far)) == unseen(ActorReachTests.far))
    #expect(try refused(.removeObject(object("list", "ghost"))) == unseen(object("list", "ghost")))
  }

  @Test("one places only what one sees, between projects one is in")
  func placing() throws {
    let (list, far) = (ActorReachTests.list, ActorReachTests.far)
    #expect(try refused(.place(list, project: "ours")) == nil)
    #expect(try refused(.move(list, from: "mine", to: "ours")) == nil)
    #expect(try refused(.unplace(list, project: "mine")) == nil)
    #expect(try refused(.place(list, project: "far")) == outOfReach)
    #expect(try refused(.move(list, from: "mine", to: "far")) == outOfReach)
    #expect(try refused(.move(list, from: "far", to: "mine")) == outOfReach)
    #expect(try refused(.place(far, project: "mine")) == unseen(far))
    #expect(try refused(.unplace(far, project: "far")) == unseen(far))
    #expect(try refused(.move(ActorReachTests.queue, from: "far", to: "mine")) == unseen(ActorReachTests.queue))
    #expect(try refused(.place(ActorReachTests.loose, project: "mine")) == unseen(ActorReachTests.loose))
  }

  @Test("one renames and removes only what one sees")
  func objects() throws {
    let (list, far) = (ActorReachTests.list, ActorReachTests.far)
    #expect(try refused(.putObject(Object(list, name: "Edited"))) == nil)
    #expect(try refused(.removeObject(list)) == nil)
    #expect(try refused(.putObject(Object(far, name: "Edited"))) == unseen(far))
    #expect(try refused(.removeObject(far)) == unseen(far))
    let phone = ObjectRef(.contactField, "phone")
    #expect(try refused(.removeObject(phone)) == .systemFieldFixed(phone))
  }

  @Test("one adds users only to groups whose projects one is in, and removes them from no others")
  func groups() throws {
    let outOfReach = ChangeError.groupOutOfReach(actor: "actor", group: "others")
    #expect(try refused(.addToGroup(group: "team", user: "u")) == nil)
    #expect(try refused(.addToGroup(group: "others", user: "actor")) == outOfReach)
    #expect(try refused(.removeFromGroup(group: "team", user: "u")) == nil)
    #expect(try refused(.removeFromGroup(group: "others", user: "u")) == outOfReach)
  }

  @Test("back to simple mode, where all would be seen, needs see_all; towards enhanced does not")
  func mode() throws {
    #expect(try refused(.setMode(.simple)) == .rightMissing(actor: "actor", right: Right.seeAll))
    #expect(refusal(of: .setMode(.enhanced), in: try sample(mode: .simple), actor: "actor") == nil)
  }

  @Test("in simple mode one sees everything, and still manages only projects one is in")
  func simple() throws {
    let company = try sample(mode: .simple)
    #expect(refusal(of: .place(ActorReachTests.far, project: "mine"), in: company, actor: "actor") == nil)
    #expect(refusal(of: .place(ActorReachTests.list, project: "far"), in: company, actor: "actor") == outOfReach)
  }

  @Test("see_all reaches everything")
  func seeAll() throws {
    var company = try sample()
    _ = try company.apply([.putRole("all", rights: [Right.seeAll]), put(user: "actor", roles: ["manager", "all"])])
    let changes: [Change] = [
      .place(ActorReachTests.loose, project: "far"), .removeObject(ActorReachTests.far),
      .addMember(project: "far", .user("u")),
      .addToGroup(group: "others", user: "u"), .setMode(.simple), .removeProject("far"),
    ]
    for change in changes { #expect(refusal(of: change, in: company, actor: "actor") == nil, "\(change)") }
  }

  @Test("a created project is in its creator's reach within the batch")
  func createdProject() throws {
    let batch: [Change] = [
      put(project: "new"), .place(ActorReachTests.list, project: "new"), .addMember(project: "new", .user("u")),
    ]
    #expect(refusal(of: batch, in: try sample(), actor: "actor") == nil)
  }

  @Test("a new user may be put into the actor's project in the same batch")
  func createdUser() throws {
    let batch: [Change] = [put(user: "new"), .addMember(project: "mine", .user("new"))]
    #expect(refusal(of: batch, in: try sample(), actor: "actor") == nil)
  }

  @Test("a new object may name the actor's project in the change that creates it")
  func createdObject() throws {
    let queue = object("queue", "new")
    let refused = refusal(of: [put(queue), .place(queue, project: "mine")], in: try sample(), actor: "actor")
    #expect(refused == nil)
    let far = refusal(of: [put(queue), .place(queue, project: "far")], in: try sample(), actor: "actor")
    #expect(far != nil)
  }
}
