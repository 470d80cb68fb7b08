import ScopeModel
import ScopeTesting
import Testing

/// The rules about the security mode, creation and deletion, at the model. See `Tests/RULES.md`.
@Suite struct RulesOfChanges {
  @Test("to-enhanced: users and objects in no project go into the project named Default; the first switch takes all")
  func toEnhanced() throws {
    var first = try company([.user("anna"), .object("queue:desk"), .object("contact_field:debt")], mode: .simple)
    _ = try first.apply([.setMode(.enhanced)])
    let made = try #require(first.projectID(named: "Default").flatMap { first.projects[$0] })
    #expect(made.members == [.user("anna")] && made.objects == ["queue:desk", "contact_field:debt"])
    // Later, only what is in none.
    _ = try first.apply([
      .setMode(.simple), .project("p"), .user("boris", in: ["p"]), .user("cleo"), .object("list:l", in: ["p"]),
      .object("list:m"), .setMode(.enhanced),
    ])
    let later = try #require(first.projects[made.project.id])
    #expect(later.members == [.user("anna"), .user("cleo")])
    #expect(later.objects == ["queue:desk", "contact_field:debt", "list:m"])
    #expect(first.projects.count == 2, "Default is there already")
  }

  @Test("to-enhanced-told: the answer to the switch tells what went into Default")
  func toEnhancedTold() throws {
    var company = try company([.user("boris"), .user("anna"), .object("queue:desk")], mode: .simple)
    let gathered = try #require(try company.apply([.setMode(.enhanced)]).gathered)
    #expect(company.projects[gathered.project]?.project.name == "Default")
    #expect(gathered.users == ["anna", "boris"] && gathered.objects == ["queue:desk"])
  }

  @Test("still-in-default: a user given a project stays in Default until removed from it, and the answer says so")
  func stillInDefault() throws {
    var company = try company([.user("anna"), .project("p"), .project("q")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    let fallback = try #require(company.projectID(named: "Default"))
    let warnings = try company.apply([.addMember(project: "p", .user("anna"))]).warnings
    #expect(warnings.map(\.kind) == [.stillInDefault(user: "anna")] && warnings.first?.projects == [fallback])
    #expect(company.users["anna"]?.projects == [fallback, "p"])
    _ = try company.apply([.removeMember(project: fallback, .user("anna"))])
    #expect(try company.apply([.addMember(project: "q", .user("anna"))]).warnings.isEmpty)
  }

  @Test("to-simple: everyone sees everything again; projects and placements are kept")
  func toSimple() throws {
    var company = try company([
      .project("p"), .user("in", in: ["p"]), .user("out"), .object("queue:desk", in: ["p"]),
    ])
    let before = facts(of: company)
    #expect(!company.sees("out", "queue:desk"))
    _ = try company.apply([.setMode(.simple)])
    #expect(company.sees("out", "queue:desk"))
    #expect(facts(of: company).symmetricDifference(before) == [.company(.simple), .company(.enhanced)])
  }

  @Test("created-user: a new user may name its projects in the change that creates it")
  func createdUser() throws {
    var company = try company([.project("a"), .project("b")])
    _ = try company.apply([.user("anna", in: ["a", "b"])])
    #expect(company.users["anna"]?.projects == ["a", "b"])
    #expect(refusal(of: .user("boris", in: ["a", "x"]), in: company) == .unknownProject("x"))
  }

  @Test("created-object: a new object may name its projects in the change that creates it")
  func createdObject() throws {
    var company = try company([.project("a"), .project("b")])
    _ = try company.apply([.object("list:vip", in: ["a", "b"])])
    #expect(company.objects["list:vip"]?.projects.sorted() == ["a", "b"])
    #expect(
      refusal(of: .object("queue:desk", in: ["a", "b"]), in: company) == .exclusivelyPlaced("queue:desk", in: "a"))
  }

  @Test("created-in-none: with no projects named, a new object is visible only to projects.see_all")
  func createdInNone() throws {
    let company = try company([
      .putRole("auditor", rights: ["projects.see_all"]), .user("eve", roles: ["auditor"]), .project("p"),
      .user("anna", in: ["p"]), .object("list:vip"),
    ])
    #expect(company.sees("eve", "list:vip") && !company.sees("anna", "list:vip"))
  }
}

/// The rules about deletion, at the model.
@Suite struct RulesOfDeletion {
  /// anna is in `p` herself and in `team`, which is in `p`; the queue and the list are in `p`, the list in `q` too.
  private func sample() throws -> Company {
    try company([
      .project("p"), .project("q"), .group("team"), .user("anna", in: ["p"]), .addToGroup(group: "team", user: "anna"),
      .addMember(project: "p", .group("team")), .object("queue:desk", in: ["p"]), .object("list:vip", in: ["p", "q"]),
    ])
  }

  private func sample(after change: Change) throws -> Company {
    var company = try sample()
    _ = try company.apply([change])
    #expect(faults(in: company) == [])
    return company
  }

  @Test("delete-project: its memberships and placements go with it; its objects are then in none")
  func project() throws {
    let company = try sample(after: .removeProject("p"))
    #expect(company.users["anna"]?.projects == [] && company.groups["team"]?.projects == [])
    #expect(company.objects["queue:desk"]?.projects == [] && company.objects["list:vip"]?.projects == ["q"])
  }

  @Test("delete-user: its memberships go with it")
  func user() throws {
    let company = try sample(after: .removeUser("anna"))
    #expect(company.groups["team"]?.users == [] && company.projects["p"]?.members == [.group("team")])
  }

  @Test("delete-group: its memberships go with it; its users stay")
  func group() throws {
    let company = try sample(after: .removeGroup("team"))
    #expect(company.users["anna"]?.groups == [] && company.projects["p"]?.members == [.user("anna")])
  }

  @Test("delete-object: its placements go with it")
  func object() throws {
    let company = try sample(after: .removeObject("list:vip"))
    #expect(company.projects["p"]?.objects == ["queue:desk"] && company.projects["q"]?.objects == [])
  }
}

/// The rules about acting users, at the model.
@Suite struct RulesOfActors {
  /// `actor` may do everything without seeing everything. It is in `mine`; `theirs` is none of its own.
  private static let rights: [Name] = [
    "projects.manage", "projects.manage_access", "users.manage", "roles.manage", "company.manage",
  ]

  private func sample() throws -> Company {
    try company([
      .project("mine"), .project("theirs"), .putRole("manager", rights: RulesOfActors.rights),
      .putRole("weak", rights: ["users.manage"]), .putRole("strong", rights: ["projects.see_all"]),
      .user("actor", roles: ["manager"], in: ["mine"]), .user("u"), .group("team"),
      .addMember(project: "theirs", .group("team")),
      .object("list:mine", in: ["mine"]), .object("list:theirs", in: ["theirs"]), .object("list:loose"),
    ])
  }

  private func refused(_ change: Change) throws -> ChangeError? {
    refusal(of: change, in: try sample(), actor: "actor")
  }

  @Test(
    "actor-right: an acting user needs the right for what it does",
    arguments: [
      (.setMode(.simple), "company.manage"), (.user("new"), "users.manage"), (.removeUser("u"), "users.manage"),
      (.group("new"), "users.manage"), (.removeGroup("team"), "users.manage"),
      (.addToGroup(group: "team", user: "u"), "users.manage"),
      (.removeFromGroup(group: "team", user: "u"), "users.manage"), (.putRole("new", rights: []), "roles.manage"),
      (.removeRole("weak"), "roles.manage"), (.project("new"), "projects.manage"),
      (.removeProject("mine"), "projects.manage"), (.addMember(project: "mine", .user("u")), "projects.manage_access"),
      (.removeMember(project: "mine", .user("u")), "projects.manage_access"), (.object("list:new"), "projects.manage"),
      (.removeObject("list:mine"), "projects.manage"), (.place("list:mine", project: "theirs"), "projects.manage"),
      (.unplace("list:mine", project: "mine"), "projects.manage"),
      (.move("list:mine", from: "mine", to: "theirs"), "projects.manage"),
    ] as [(Change, Name)])
  func right(change: Change, right: Name) throws {
    var company = try sample()
    func hold(_ rights: [Name]) throws { _ = try company.apply([.putRole("manager", rights: rights)]) }
    try hold([right, "projects.see_all"])
    #expect(refusal(of: change, in: company, actor: "actor") == nil)
    try hold(RulesOfActors.rights.filter { $0 != right } + ["projects.see_all"])
    #expect(refusal(of: change, in: company, actor: "actor") == .rightMissing(actor: "actor", right: right))
  }

  @Test("reach-projects: without projects.see_all one manages only projects one is a member of")
  func projects() throws {
    let changes: [(Name) -> Change] = [
      { .project($0, named: "Renamed") }, { .removeProject($0) }, { .addMember(project: $0, .user("u")) },
      { .removeMember(project: $0, .group("team")) }, { .place("list:mine", project: $0) },
      { .user("new", in: [$0]) }, { .object("list:new", in: [$0]) },
    ]
    for change in changes {
      #expect(try refused(change("mine")) == nil, "\(change("mine"))")
      #expect(
        try refused(change("theirs")) == .projectOutOfReach(actor: "actor", project: "theirs"), "\(change("theirs"))")
    }
    let outOfReach = ChangeError.groupOutOfReach(actor: "actor", group: "team")
    #expect(try refused(.addToGroup(group: "team", user: "actor")) == outOfReach, "not by a detour either")
    var company = try sample()
    _ = try company.apply([.user("actor", roles: ["manager", "strong"])])
    for change in changes { #expect(refusal(of: change("theirs"), in: company, actor: "actor") == nil) }
  }

  @Test("reach-objects: without projects.see_all one places only objects one can see")
  func objects() throws {
    for ref in ["list:theirs", "list:loose"] as [ObjectRef] {
      #expect(try refused(.place(ref, project: "mine")) == .objectOutOfReach(actor: "actor", object: ref))
      #expect(try refused(.removeObject(ref)) == .objectOutOfReach(actor: "actor", object: ref))
    }
    #expect(try refused(.place("list:mine", project: "mine")) == nil)
  }

  @Test("reach-grants: one grants only rights one holds, to users and to roles")
  func grants() throws {
    let missing = ChangeError.rightNotHeld(actor: "actor", right: "projects.see_all")
    #expect(try refused(.user("u", roles: ["weak"])) == nil)
    #expect(try refused(.user("u", roles: ["strong"])) == missing)
    #expect(try refused(.user("actor", roles: ["manager", "strong"])) == missing)
    #expect(try refused(.putRole("weak", rights: ["users.manage", "projects.see_all"])) == missing)
    #expect(try refused(.user("u", roles: ["admin"]))?.category == .permission)
  }

  /// Beside `sample`: `both` is in two projects, `theirs` and its members in the other, `boss` holds more.
  private func shared(_ more: [Change] = []) throws -> Company {
    var company = try sample()
    _ = try company.apply(
      [
        .object("list:both", in: ["mine", "theirs"]), .putRole("boss", rights: ["report.pay"]),
        .putRole("pair", rights: ["users.manage"]), .setPurpose(list: "both", .unwanted),
        .user("near", roles: ["pair"], in: ["mine"]), .user("far", in: ["mine", "theirs"]),
        .user("boss", roles: ["boss"], in: ["mine"]), .group("ours"), .addMember(project: "mine", .group("ours")),
      ] + more)
    return company
  }

  @Test(
    "taking-objects: an object is deleted only by who is in every project it is in, and so is a list's purpose changed")
  func takingObjects() throws {
    let company = try shared()
    let error = ChangeError.objectShared(actor: "actor", object: "list:both")
    #expect(refusal(of: .removeObject("list:both"), in: company, actor: "actor") == error)
    #expect(refusal(of: .setPurpose(list: "both", .none), in: company, actor: "actor") == error)
    #expect(refusal(of: .unplace("list:both", project: "mine"), in: company, actor: "actor") == nil)
    let left = try shared([.unplace("list:both", project: "theirs")])
    #expect(refusal(of: .removeObject("list:both"), in: left, actor: "actor") == nil)
    #expect(refusal(of: .setPurpose(list: "both", .none), in: left, actor: "actor") == nil)
  }

  @Test(
    "taking-users: users are blocked, unblocked, renamed, regrouped, deleted and lose roles only by who covers their projects and rights"
  )
  func takingUsers() throws {
    let company = try shared([.user("near", roles: ["weak"], in: ["mine"])])
    func changes(_ user: Name, _ roles: [Name]) -> [Change] {
      [
        .user(user, roles: roles, isBlocked: true), .removeUser(user), .addToGroup(group: "ours", user: user),
        .removeFromGroup(group: "ours", user: user), .putUser(User(id: user, name: "Renamed"), roles: roles),
      ]
    }
    for change in changes("near", ["weak"]) { #expect(refusal(of: change, in: company, actor: "actor") == nil) }
    for change in changes("far", []) {
      let error = ChangeError.userOutOfReach(actor: "actor", user: "far")
      #expect(refusal(of: change, in: company, actor: "actor") == error, "\(change)")
    }
    for change in changes("boss", ["boss"]) + [.user("boss")] {
      let error = ChangeError.userHoldsMore(actor: "actor", user: "boss", right: "report.pay")
      #expect(refusal(of: change, in: company, actor: "actor") == error, "\(change)")
    }
    let blocked = try shared([.user("far", isBlocked: true)])
    #expect(refusal(of: .user("far"), in: blocked, actor: "actor")?.code == "user_out_of_reach")
  }

  @Test(
    "taking-groups: a group is renamed and deleted only by who is in its projects, and deleted only by who covers its users"
  )
  func takingGroups() throws {
    let outOfReach = ChangeError.groupOutOfReach(actor: "actor", group: "team")
    #expect(refusal(of: .removeGroup("team"), in: try shared(), actor: "actor") == outOfReach)
    #expect(refusal(of: .putGroup(Group(id: "team", name: "X")), in: try shared(), actor: "actor") == outOfReach)
    #expect(refusal(of: .removeGroup("ours"), in: try shared(), actor: "actor") == nil)
    let joined = try shared([.addToGroup(group: "ours", user: "far")])
    #expect(refusal(of: .removeGroup("ours"), in: joined, actor: "actor")?.code == "user_out_of_reach")
    #expect(refusal(of: .putGroup(Group(id: "ours", name: "X")), in: joined, actor: "actor") == nil)
  }

  @Test("taking-roles: a role is narrowed and deleted only by who holds what it loses and covers all who have it")
  func takingRoles() throws {
    for change in [.removeRole("boss"), .putRole("boss", rights: [])] as [Change] {
      let error = ChangeError.rightOutOfReach(actor: "actor", right: "report.pay")
      #expect(refusal(of: change, in: try shared(), actor: "actor") == error)
    }
    for change in [.removeRole("pair"), .putRole("pair", rights: [])] as [Change] {
      #expect(refusal(of: change, in: try shared(), actor: "actor") == nil)
      let held = try shared([.user("far", roles: ["pair"])])
      #expect(refusal(of: change, in: held, actor: "actor") == .userOutOfReach(actor: "actor", user: "far"))
    }
  }

  @Test("last-admin: the last holder of admin is taken away by the platform alone")
  func lastAdmin() throws {
    let company = try shared([.user("root", roles: ["admin"]), .user("actor", roles: ["manager", "strong"])])
    for change in [.user("root", roles: ["admin"], isBlocked: true), .user("root"), .removeUser("root")] as [Change] {
      for actor in ["actor", "root"] as [Name] {
        #expect(refusal(of: change, in: company, actor: actor) == .lastAdmin("root"), "\(change)")
      }
      #expect(refusal(of: change, in: company) == nil)
      #expect(refusal(of: [.user("next", roles: ["admin"]), change], in: company, actor: "root") == nil)
    }
  }

  @Test("creator: the creator of a project becomes a member of it")
  func creator() throws {
    var company = try sample()
    _ = try company.apply([.project("new")], actor: "actor")
    #expect(company.projects["new"]?.members == [.user("actor")])
  }
}

/// The rules about batches, previews and the record, at the model.
@Suite struct RulesOfBatches {
  @Test("all-or-none: several changes sent as one are applied all or none, and a refusal names the line")
  func allOrNone() throws {
    let before = try company([.user("anna"), .project("p")])
    var company = before
    let batch: [Change] = [.addMember(project: "p", .user("anna")), .removeProject("p"), .removeUser("nobody")]
    do throws(RefusedBatch) {
      _ = try company.apply(batch)
      Issue.record("applied")
    } catch {
      #expect(error.index == 2 && error.error == .unknownUser("nobody"))
    }
    #expect(areEqual(company, before))
  }

  @Test("preview: each change can be tried without effect: who would gain and lose which objects")
  func preview() throws {
    let before = try company([
      .project("p"), .user("anna", in: ["p"]), .user("boris"), .object("queue:desk", in: ["p"]),
    ])
    var tried = before
    let edits = try tried.apply([.removeMember(project: "p", .user("anna")), .addMember(project: "p", .user("boris"))])
      .edits
    let summary = tried.accessSummary(of: edits)
    #expect(summary.gained == 1 && summary.lost == 1 && summary.isComplete)
    #expect(summary.first.map(\.user) == ["anna", "boris"] && summary.first.map(\.isGained) == [false, true])
    #expect(summary.first.allSatisfy { $0.object == "queue:desk" })
    tried.undo(edits)
    #expect(areEqual(tried, before))
  }

  @Test("record: every change is recorded with who, through which caller, when, and what it was before and after")
  func record() throws {
    var company = try company([.project("p"), .object("queue:desk", in: ["p"])])
    let renamed = try company.apply([.object("queue:desk", named: "Front desk")]).edits
    let (old, new) = (Object("queue:desk", name: "desk"), Object("queue:desk", name: "Front desk"))
    #expect(renamed == [Edit(before: .object(old), after: .object(new))])
    let removed = try company.apply([.removeProject("p")]).edits
    #expect(
      removed == [
        Edit(before: .placement("queue:desk", project: "p"), after: nil),
        Edit(before: .project(Project(id: "p", name: "p")), after: nil),
      ])
  }

  @Test("record-asked: the record can be asked for by project, user, object, actor and time")
  func recordAsked() {
    let member = Edit(before: nil, after: .member(project: "p", .user("anna")))
    let placed = Edit(before: .placement("queue:desk", project: "p"), after: nil)
    #expect(member.concerns(.project("p")) && member.concerns(.user("anna")) && !member.concerns(.user("boris")))
    #expect(placed.concerns(.project("p")) && placed.concerns(.object("queue:desk")))
    #expect(!placed.concerns(.object("list:desk")) && !placed.concerns(.project("q")))
  }
}
