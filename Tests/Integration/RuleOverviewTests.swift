import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// anna is in `clinic` herself and in `shop` through `team`, boris in `shop` through it, cleo nowhere. The list is in
/// none, the field debt in both, the field loose in none; `empty` has neither users nor objects, `idle` no members.
private let changes: [Change] = [
  .project("clinic"), .project("shop"), .project("empty"), .group("team", named: "Sales"), .group("idle"),
  .group("night", named: "Night"), .addMember(project: "shop", .group("team")),
  .user("anna", named: "Zoe", in: ["clinic"]), .user("boris", named: "Boris"), .user("cleo", named: "Anton"),
  .addToGroup(group: "team", user: "anna"), .addToGroup(group: "team", user: "boris"),
  .addToGroup(group: "night", user: "boris"), .object("queue:desk", in: ["clinic"]), .object("list:vip"),
  .object("contact_field:debt", in: ["clinic", "shop"]), .object("contact_field:loose"),
]

/// The rules about looking things over, over the wire. See `Tests/RULES.md`.
@Suite struct RulesOfOverviewOverTheWire {
  @Test("user-projects: a user's projects can be asked for, with the group through which it is in each")
  func userProjects() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.wire.user("anna").projects == ["clinic", "shop through team"])
      #expect(try c.wire.user("cleo").projects == [])
      let refusal = #expect(throws: WireRefusal.self) { try c.wire.user("nobody") }
      #expect(refusal?.reason == "unknown_user")
    }
  }

  @Test("users-by-project: users can be listed by project, those included who are in it through a group")
  func usersByProject() async throws {
    try await withCompany(changes) { c async throws in
      func users(_ project: String) throws -> [Name] { try c.wire.users(project: project).map(\.id) }
      #expect(try users("clinic") == ["anna"] && users("shop") == ["boris", "anna"])
      #expect(try users("empty") == [] && users("nowhere") == [])
    }
  }

  @Test("users-by-group: users can be listed by group")
  func usersByGroup() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.wire.users(group: "team").map(\.id) == ["boris", "anna"])
      #expect(try c.wire.users(group: "idle") == [] && c.wire.users(group: "nowhere") == [])
    }
  }

  @Test("users-by-text: users can be found by a text in id or name, in capitals or not")
  func usersByText() async throws {
    try await withCompany(changes + [.user("7", named: "Émile Zola")]) { c async throws in
      func users(_ text: String) throws -> [Name] { try c.wire.users(text: text).map(\.id) }
      #expect(try users("zo") == ["anna", "7"] && users("AN") == ["cleo", "anna"])
      #expect(try users("éMILE") == ["7"] && users("xyz") == [])
    }
  }

  @Test("users-in-none: users can be listed who are in no project, neither themselves nor through a group")
  func usersInNone() async throws {
    try await withCompany(changes) { c async throws in #expect(try c.wire.users(isInNone: true).map(\.id) == ["cleo"]) }
  }

  @Test("users-sorted: users can be sorted by name or by group")
  func usersSorted() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.wire.users().map(\.name) == ["Anton", "Boris", "Zoe"])
      #expect(try c.wire.users(byGroup: true).map(\.name) == ["Boris", "Zoe", "Anton"], "night, team, none")
      // Ids are shown, and so they decide.
      try c.apply(.putGroup(Group(id: "night", name: "Zzz")))
      #expect(try c.wire.users(byGroup: true).map(\.name) == ["Boris", "Zoe", "Anton"])
    }
  }

  @Test("who-can-see: who can see an object can be asked, and why")
  func whoCanSee() async throws {
    try await withCompany(changes) { c async throws in
      var viewers: [[String]] = []
      try c.client.whoCanSee("contact_field:debt") { viewers.append([$0.id, $0.reason, $0.project, $0.group]) }
      #expect(viewers == [["anna", "shared_project", "clinic", ""], ["boris", "shared_project", "shop", "team"]])
    }
  }

  @Test("what-sees: what a user sees can be asked, and why")
  func whatSees() async throws {
    try await withCompany(changes) { c async throws in
      var seen: [[String]] = []
      try c.client.whatSees("user:boris") { seen.append([$0.object.id, $0.reason, $0.project, $0.group]) }
      #expect(
        seen == [
          ["debt", "shared_project", "shop", "team"], ["name", "system_field", "", ""],
          ["phone", "system_field", "", ""],
        ])
    }
  }

  @Test("what-saw: what a user saw at an earlier time can be asked")
  func whatSaw() async throws {
    try await withCompany(changes) { c async throws in
      try c.apply(.removeProject("clinic"), .removeObject("contact_field:debt"))
      let system: [Name] = ["contact_field:name", "contact_field:phone"]
      #expect(try c.wire.whatSees("user:anna") == system && !c.wire.canSee("user:anna", "queue:desk"))
      var then = c.wire
      then.atRevision = 1
      #expect(try then.whatSees("user:anna") == ["queue:desk", "contact_field:debt"] + system)
      #expect(try then.canSee("user:anna", "queue:desk"))
      let times = try c.log().map(\.timeMicroseconds)
      (then.atRevision, then.atMicroseconds) = (0, times[0])
      #expect(try then.canSee("user:anna", "queue:desk"))
      then.atMicroseconds = times[1]
      #expect(try !then.canSee("user:anna", "queue:desk"))
    }
  }
}

/// The rules about the daemon itself, over the wire.
@Suite struct RulesOfProbesOverTheWire {
  @Test("probes: a probe learns whether the daemon is ready, takes changes, and is up to date")
  func probes() async throws {
    try await withCompany { c async throws in
      let revision = try c.apply(.user("anna")).revision
      let health = try c.daemon.client().health()
      #expect(health.isReady && health.isWritable && health.revision == revision && health.companies == 1)
    }
  }
}

/// The rules about what a check-up finds, over the wire.
@Suite struct RulesOfCheckUpOverTheWire {
  @Test("lonely-objects: the check-up finds objects in no project, contact fields above all")
  func lonelyObjects() async throws {
    try await withCompany(changes) { c async throws in
      let found = [WireFinding(1, "contact_field:loose"), WireFinding(2, "list:vip")]
      #expect(try c.wire.checkUp(1, 2) == found)
      #expect(try c.wire.checkUp().prefix(2) == found[...], "fields come first of all")
    }
  }

  @Test("shared-fields: the check-up finds contact fields that several projects share")
  func sharedFields() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.wire.checkUp(3) == [WireFinding(3, "contact_field:debt", ["clinic", "shop"])])
    }
  }

  @Test("lonely-users: the check-up finds users in no project")
  func lonelyUsers() async throws {
    let all: [Change] = [
      .putRole("auditor", rights: ["projects.see_all"]), .user("root", roles: ["admin"]),
      .user("eye", roles: ["auditor"]), .user("dan"),
    ]
    try await withCompany(changes + all) { c async throws in
      let found = [WireFinding(4, "user:cleo"), WireFinding(4, "user:dan")]
      #expect(try c.wire.checkUp(4) == found, "who sees all is in none on purpose")
    }
  }

  @Test("users-still-in-default: the check-up finds users in Default beside a project of their own")
  func usersStillInDefault() async throws {
    let inDefault: [Change] = [
      .project("d", named: "Default"), .addMember(project: "d", .user("anna")), .addMember(project: "d", .user("cleo")),
    ]
    try await withCompany(changes + inDefault) { c async throws in
      #expect(try c.wire.checkUp(5) == [WireFinding(5, "user:anna", ["clinic", "shop"])])
    }
  }

  @Test("projects-without-users: the check-up finds projects with no users, groups' members counted")
  func projectsWithoutUsers() async throws {
    try await withCompany(changes + [.addMember(project: "empty", .group("idle"))]) { c async throws in
      #expect(try c.wire.checkUp(6) == [WireFinding(6, "project:empty")])
    }
  }

  @Test("projects-without-objects: the check-up finds projects with no objects")
  func projectsWithoutObjects() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.wire.checkUp(7) == [WireFinding(7, "project:empty")])
    }
  }

  @Test("groups-without-members: the check-up finds groups with no members")
  func groupsWithoutMembers() async throws {
    try await withCompany(changes) { c async throws in #expect(try c.wire.checkUp(8) == [WireFinding(8, "group:idle")])
    }
  }
}
