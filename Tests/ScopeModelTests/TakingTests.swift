import ScopeModel
import Testing

/// Taking away is held to reach as adding is.
@Suite("What acting users take away") struct TakingTests {
  private static let shared = object("list", "shared")
  private static let own = object("list", "own")
  private static let bare = object("list", "bare")

  /// The actor may do everything but see everything. It is in `mine`, and through `team` in `ours`. Of the others
  /// `near` is where the actor is, `far` elsewhere besides, `led` elsewhere through a group, `strong` holds more.
  private func sample(mode: SecurityMode = .enhanced, _ more: [Change] = []) throws -> Company {
    let managing = [
      Right.manageAccess, Right.manageProjects, Right.manageUsers, Right.manageRoles, Right.manageCompany,
    ]
    return try company(
      [
        .putRole("manager", rights: managing), .putRole("auditor", rights: ["report.audit"]),
        .putRole("plain", rights: []),
      ]
        + [
          .putRole("mixed", rights: [Right.manageUsers, "report.audit"]), .putRole("spare", rights: ["report.audit"]),
        ]
        + [put(project: "mine"), put(project: "ours"), put(project: "theirs")]
        + [put(group: "team"), put(group: "elsewhere"), put(group: "idle"), put(group: "crowd")]
        + [put(user: "actor", roles: ["manager"]), put(user: "near", roles: ["plain", "manager"])]
        + [put(user: "far", roles: ["plain"]), put(user: "led"), put(user: "strong", roles: ["auditor", "plain"])]
        + [.addMember(project: "mine", .user("actor")), .addMember(project: "ours", .group("team"))]
        + [.addMember(project: "theirs", .group("elsewhere")), .addToGroup(group: "team", user: "actor")]
        + [.addMember(project: "mine", .user("near")), .addMember(project: "mine", .user("far"))]
        + [.addMember(project: "theirs", .user("far")), .addMember(project: "mine", .user("led"))]
        + [.addToGroup(group: "elsewhere", user: "led"), .addMember(project: "mine", .user("strong"))]
        + [.addToGroup(group: "team", user: "far"), .addToGroup(group: "crowd", user: "near")]
        + [.addToGroup(group: "crowd", user: "strong"), .addToGroup(group: "team", user: "strong")]
        + [TakingTests.shared, TakingTests.own, TakingTests.bare].map { put($0) }
        + [.place(TakingTests.shared, project: "mine"), .place(TakingTests.shared, project: "theirs")]
        + [.place(TakingTests.own, project: "mine"), .place(TakingTests.own, project: "ours")] + more, mode: mode)
  }

  private func refused(_ change: Change) throws -> ChangeError? {
    refusal(of: change, in: try sample(), actor: "actor")
  }

  private func away(_ user: Name) -> ChangeError { .userOutOfReach(actor: "actor", user: user) }
  private let elsewhere = ChangeError.projectOutOfReach(actor: "actor", project: "theirs")
  private let foreign = ChangeError.groupOutOfReach(actor: "actor", group: "elsewhere")
  private let stronger = ChangeError.userHoldsMore(actor: "actor", user: "strong", right: "report.audit")

  @Test("an object is removed outright only by who is in every project that it is in")
  func objects() throws {
    #expect(try refused(.removeObject(TakingTests.own)) == nil)
    #expect(
      try refused(.removeObject(TakingTests.shared)) == .objectShared(actor: "actor", object: TakingTests.shared))
    #expect(try refused(.unplace(TakingTests.shared, project: "mine")) == nil, "out of one's own project it goes")
    #expect(try refused(.unplace(TakingTests.shared, project: "theirs")) == elsewhere)
    #expect(try refused(.move(TakingTests.shared, from: "theirs", to: "mine")) == elsewhere)
    #expect(try refused(.move(TakingTests.shared, from: "mine", to: "ours")) == nil)
    #expect(try refused(.putObject(Object(TakingTests.shared, name: "Renamed"))) == nil, "a name takes nothing away")
    let unseen = ChangeError.objectOutOfReach(actor: "actor", object: TakingTests.bare)
    #expect(try refused(.removeObject(TakingTests.bare)) == unseen)
  }

  @Test("in simple mode, where all is seen, a shared object still is not removed by one of its projects")
  func simpleMode() throws {
    let company = try sample(mode: .simple)
    let shared = ChangeError.objectShared(actor: "actor", object: TakingTests.shared)
    #expect(refusal(of: .removeObject(TakingTests.shared), in: company, actor: "actor") == shared)
    #expect(refusal(of: .removeObject(TakingTests.bare), in: company, actor: "actor") == nil)
    #expect(refusal(of: .removeUser("far"), in: company, actor: "actor") == away("far"))
  }

  @Test("a list's first purpose is given by who sees it, another only by who is in all of its projects")
  func purposes() throws {
    let (shared, own) = (TakingTests.shared.id, TakingTests.own.id)
    let company = try sample([.setPurpose(list: own, .unwanted)])
    #expect(refusal(of: .setPurpose(list: shared, .unwanted), in: company, actor: "actor") == nil)
    #expect(refusal(of: .setPurpose(list: own, .vip), in: company, actor: "actor") == nil)
    let set = try sample([.setPurpose(list: shared, .unwanted)])
    for purpose in [.none, .vip, .calling] as [ListPurpose] {
      let refused = refusal(of: .setPurpose(list: shared, purpose), in: set, actor: "actor")
      #expect(refused == .objectShared(actor: "actor", object: TakingTests.shared), "\(purpose)")
    }
    #expect(refusal(of: .setPurpose(list: shared, .unwanted), in: set, actor: "actor") == nil, "nothing changes")
  }

  @Test("numbers are added to a list by who sees it, and taken off it only by who is in all of its projects")
  func numbers() throws {
    let company = try sample()
    func reason(_ ref: ObjectRef, taking: Bool, actor: Name? = "actor") -> ChangeError? {
      do { try company.authorizeNumbers(of: ref.id, actor: actor, taking: taking) } catch { return error }
      return nil
    }
    #expect(reason(TakingTests.shared, taking: false) == nil)
    #expect(reason(TakingTests.shared, taking: true) == .objectShared(actor: "actor", object: TakingTests.shared))
    #expect(reason(TakingTests.own, taking: true) == nil)
    #expect(reason(TakingTests.shared, taking: true, actor: nil) == nil)
    let unseen = ChangeError.objectOutOfReach(actor: "actor", object: TakingTests.bare)
    #expect(reason(TakingTests.bare, taking: true) == unseen)
  }

  @Test("users are removed only by who is in all their projects, groups' too, and holds all their rights")
  func removedUsers() throws {
    #expect(try refused(.removeUser("near")) == nil)
    #expect(try refused(.removeUser("actor")) == nil, "oneself, if another could do it again")
    #expect(try refused(.removeUser("far")) == away("far"))
    #expect(try refused(.removeUser("led")) == away("led"))
    #expect(try refused(.removeUser("strong")) == stronger)
    #expect(try refused(.removeUser("ghost")) == .unknownUser("ghost"))
  }

  @Test("users are blocked, unblocked, renamed and lose roles only by who covers them", arguments: [false, true])
  func alteredUsers(isBlocked: Bool) throws {
    for (user, roles, error) in [
      ("near", ["manager", "plain"], nil), ("far", ["plain"], away("far")), ("led", [], away("led")),
      ("strong", ["auditor", "plain"], stronger),
    ] as [(Name, [Name], ChangeError?)] {
      let company = try sample([.putUser(User(id: user, name: user, isBlocked: isBlocked), roles: roles)])
      func refused(_ name: Name, _ isBlocked: Bool, _ roles: [Name]) -> ChangeError? {
        refusal(
          of: .putUser(User(id: user, name: name, isBlocked: isBlocked), roles: roles), in: company, actor: "actor")
      }
      #expect(refused(user, isBlocked, roles) == nil, "\(user): nothing changes")
      #expect(refused("Renamed", isBlocked, roles) == error, "\(user), renamed")
      // To unblock someone stronger is to give rights besides, which is refused before.
      let isGrant = isBlocked && user == "strong"
      #expect(
        refused(user, !isBlocked, roles) == (isGrant ? .rightNotHeld(actor: "actor", right: "report.audit") : error))
      if !roles.isEmpty { #expect(refused(user, isBlocked, Array(roles.dropLast())) == error, "\(user), less a role") }
    }
  }

  @Test("who is new, or in no project and without rights, is covered by anyone; who gets a role need not be covered")
  func coveredByAll() throws {
    let batch: [Change] = [put(user: "new", roles: ["manager"]), put(user: "new"), .removeUser("new")]
    #expect(refusal(of: batch, in: try sample(), actor: "actor") == nil)
    #expect(try refused(put(user: "far", roles: ["plain", "manager"])) == nil)
    #expect(try refused(.addMember(project: "ours", .user("far"))) == nil)
    #expect(try refused(.removeMember(project: "mine", .user("far"))) == nil)
    #expect(try refused(.removeMember(project: "theirs", .user("far"))) == elsewhere)
  }

  @Test("users are put into groups and taken out only by who is in the group's projects and covers the user")
  func regrouped() throws {
    for make in [
      { Change.addToGroup(group: $0, user: $1) }, { .removeFromGroup(group: $0, user: $1) },
    ] as [(Name, Name) -> Change] {
      #expect(try refused(make("team", "near")) == nil)
      #expect(try refused(make("idle", "near")) == nil)
      #expect(try refused(make("elsewhere", "near")) == foreign)
      #expect(try refused(make("team", "far")) == away("far"))
      #expect(try refused(make("idle", "led")) == away("led"))
      #expect(try refused(make("team", "strong")) == stronger)
    }
  }

  @Test("a group is renamed only by who is in its projects, and removed only by who covers its users besides")
  func groups() throws {
    #expect(try refused(.removeGroup("elsewhere")) == foreign)
    #expect(try refused(.removeGroup("team")) == away("far"), "the first who is not covered")
    #expect(try refused(.removeGroup("crowd")) == stronger)
    #expect(try refused(.removeGroup("idle")) == nil)
    #expect(try refused(.putGroup(Group(id: "team", name: "Renamed"))) == nil)
    #expect(try refused(.putGroup(Group(id: "elsewhere", name: "Renamed"))) == foreign)
    #expect(try refused(put(group: "elsewhere")) == nil, "nothing changes")
  }

  @Test("a role is narrowed and removed only of rights one holds, and only if one covers all who have it")
  func roles() throws {
    let missing = ChangeError.rightOutOfReach(actor: "actor", right: "report.audit")
    #expect(try refused(.removeRole("spare")) == missing, "though nobody has it")
    #expect(try refused(.putRole("spare", rights: [])) == missing)
    #expect(try refused(.putRole("mixed", rights: ["report.audit"])) == nil)
    #expect(try refused(.putRole("mixed", rights: [Right.manageUsers])) == missing)
    #expect(try refused(.removeRole("plain")) == away("far"))
    #expect(try refused(.putRole("plain", rights: [Right.manageUsers])) == nil, "adding is a matter of grants")
    #expect(try refused(.putRole("manager", rights: [Right.manageRoles])) == nil)
    #expect(try refused(.removeRole("admin")) == .adminRoleFixed)
    let held = try sample([put(user: "led", roles: ["manager"])])
    #expect(refusal(of: .putRole("manager", rights: []), in: held, actor: "actor") == away("led"))
  }

  @Test("projects.see_all reaches everyone and everything, and takes also what its holder does not hold")
  func seeAll() throws {
    let company = try sample([.putRole("all", rights: [Right.seeAll]), put(user: "actor", roles: ["manager", "all"])])
    let changes: [Change] = [
      .removeObject(TakingTests.shared), .removeObject(TakingTests.bare), .removeUser("far"), .removeUser("strong"),
      .removeGroup("elsewhere"), .removeFromGroup(group: "elsewhere", user: "led"), .removeRole("spare"),
      .putUser(User(id: "strong", name: "strong", isBlocked: true), roles: []), .removeProject("theirs"),
    ]
    for change in changes { #expect(refusal(of: change, in: company, actor: "actor") == nil, "\(change)") }
  }
}

/// The last holder of `admin` is taken away by the platform alone.
@Suite("The last admin") struct LastAdminTests {
  private func blocked(_ id: Name, roles: [Name] = ["admin"]) -> Change {
    .putUser(User(id: id, name: id, isBlocked: true), roles: roles)
  }

  /// Every way to take the role from a user.
  private func ways(_ id: Name) -> [Change] { [.removeUser(id), put(user: id), blocked(id), blocked(id, roles: [])] }

  @Test("nobody takes the last away, nor the last takes itself; the platform does")
  func last() throws {
    let company = try company([
      .putRole("hr", rights: [Right.manageUsers, Right.seeAll]), put(user: "hr", roles: ["hr"]),
      put(user: "root", roles: ["admin"]),
    ])
    for change in ways("root") {
      #expect(refusal(of: change, in: company, actor: "hr") == .lastAdmin("root"), "\(change)")
      #expect(refusal(of: change, in: company, actor: "root") == .lastAdmin("root"), "\(change)")
      #expect(refusal(of: change, in: company) == nil, "\(change)")
    }
    #expect(refusal(of: put(user: "root", roles: ["admin", "hr"]), in: company, actor: "hr") == nil)
    #expect(refusal(of: .putUser(User(id: "root", name: "R"), roles: ["admin"]), in: company, actor: "hr") == nil)
  }

  @Test("one of two goes, then the other is the last; a blocked one does not count beside an active one")
  func oneOfTwo() throws {
    let two = try company([put(user: "a", roles: ["admin"]), put(user: "b", roles: ["admin"])])
    for (first, second) in zip(ways("a"), ways("b")) {
      #expect(refusal(of: first, in: two, actor: "b") == nil)
      let both = refusal(of: [first, second], in: two, actor: "b")
      #expect(both == Refusal(index: 1, error: .lastAdmin("b")), "\(first), \(second)")
    }
    let one = try company([blocked("a"), put(user: "b", roles: ["admin"])])
    #expect(refusal(of: .removeUser("b"), in: one, actor: "b") == .lastAdmin("b"))
    #expect(refusal(of: .removeUser("a"), in: one, actor: "b") == nil)
  }

  @Test("a blocked holder is the last where there is no other at all")
  func blockedHolders() throws {
    let hr: [Change] = [.putRole("hr", rights: [Right.manageUsers, Right.seeAll]), put(user: "hr", roles: ["hr"])]
    let one = try company(hr + [blocked("a")])
    for change in [.removeUser("a"), put(user: "a"), blocked("a", roles: [])] as [Change] {
      #expect(refusal(of: change, in: one, actor: "hr") == .lastAdmin("a"), "\(change)")
    }
    #expect(refusal(of: blocked("a"), in: one, actor: "hr") == nil)
    let two = try company(hr + [blocked("a"), blocked("b")])
    #expect(refusal(of: [.removeUser("a"), .removeUser("b")], in: two, actor: "hr")?.index == 1)
    let none = try company(hr)
    #expect(refusal(of: .removeUser("hr"), in: none, actor: "hr") == nil, "where there is none, none is taken")
  }

  @Test("each change of a batch is judged by itself: one gives the role first, and takes it then")
  func handedOver() throws {
    let company = try company([put(user: "a", roles: ["admin"]), put(user: "b")])
    let (give, take) = (put(user: "b", roles: ["admin"]), put(user: "a"))
    #expect(refusal(of: [give, take], in: company, actor: "a") == nil)
    #expect(refusal(of: [take, give], in: company, actor: "a") == Refusal(index: 0, error: .lastAdmin("a")))
    #expect(refusal(of: [take, give], in: company) == nil)
  }
}
