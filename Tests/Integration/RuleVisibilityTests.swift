import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// anna is in `clinic` herself, boris in `shop` through `team`; the desk is in `clinic`, the trunk in both, the list
/// in none. eve sees all, fred lists projects, dora is blocked.
private let changes: [Change] = [
  .project("clinic"), .project("shop"), .group("team"), .addMember(project: "shop", .group("team")),
  .putRole("auditor", rights: ["projects.see_all"]), .putRole("lister", rights: ["projects.list", "report.agents"]),
  .user("anna", in: ["clinic"]), .user("boris"), .addToGroup(group: "team", user: "boris"),
  .user("eve", roles: ["auditor"]), .user("fred", roles: ["lister"], in: ["clinic"]),
  .user("dora", roles: ["admin"], in: ["clinic"], isBlocked: true),
  .object("queue:desk", in: ["clinic"]), .object("sip_provider:trunk", in: ["clinic", "shop"]), .object("list:vip"),
  .object("contact_field:debt", in: ["shop"]), .object("contact_field:diagnosis", in: ["clinic"]),
]

private let phone = "contact_field:phone"

/// The rules about who sees what, over the wire. See `Tests/RULES.md`.
@Suite struct RulesOfVisibilityOverTheWire {
  @Test("unknown-company: an unknown company is denied, whoever asks for whatever")
  func unknownCompany() async throws {
    try await withCompany(changes) { c async throws in
      let nowhere = RuleCompany(
        daemon: c.daemon, client: try c.daemon.client("nowhere"),
        wire: WireCaller(c.daemon.address(.unix), company: "nowhere"))
      for subject in ["user:anna", "user:x", "project:clinic", "queue:desk"] {
        for object in [phone, "queue:desk", "queue:x"] {
          #expect(nowhere.check(subject, object) == ["deny", "unknown_company"])
        }
      }
      #expect(try nowhere.objects("user:eve") == [] && nowhere.projects("eve") == [:] && nowhere.wire.users() == [])
      #expect(try nowhere.client.filter("user:eve", type: "queue", ids: ["desk"]).visible == [false])
    }
  }

  @Test(
    "refused-alike: what a listener does not allow is refused alike for a company that is there and for one that is not"
  )
  func refusedAlike() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [] }) { daemon in
      try daemon.client().applyAll([.putCompany(.enhanced)] + changes, to: "c")
      let connection = try RawConnection(daemon.address(.tcp))
      let removal = Proto.message(1, Proto.message(5, Proto.bytes(1, Array("anna".utf8))))
      for (call, message) in [(16, removal), (33, removal), (22, []), (34, [])] as [(Int, [UInt8])] {
        let there = try connection.ask(RawRequest(company: "c", call: call, message))
        let nowhere = try connection.ask(RawRequest(company: "nowhere", call: call, message))
        #expect(there == nowhere && there.code == 7, "call \(call): \(there)")
      }
    }
  }

  @Test("unknown-subject: an unknown user, group, project or object as subject is denied")
  func unknownSubject() async throws {
    try await withCompany(changes) { c async throws in
      for subject in ["user:x", "group:x", "project:x", "dialer:x", "user:team", "group:anna"] {
        for object in [phone, "queue:desk", "queue:x"] {
          #expect(c.check(subject, object) == ["deny", "unknown_subject"])
        }
      }
    }
  }

  @Test("unknown-object: an unknown object is denied to everyone")
  func unknownObject() async throws {
    try await withCompany(changes) { c async throws in
      for subject in ["user:anna", "user:eve", "project:clinic", "queue:desk"] {
        #expect(c.check(subject, "queue:x") == ["deny", "unknown_object"])
        #expect(c.check(subject, "list:desk") == ["deny", "unknown_object"])
      }
    }
  }

  @Test("blocked-user: a blocked user is denied, whatever the object, the mode, its rights and projects")
  func blockedUser() async throws {
    try await withCompany(changes) { c async throws in
      for mode in [SecurityMode.enhanced, .simple] {
        try c.apply(.setMode(mode))
        for object in [phone, "queue:desk", "list:vip"] {
          #expect(c.check("user:dora", object) == ["deny", "subject_blocked"])
        }
        #expect(try c.objects("user:dora") == [] && c.projects("dora") == [:])
        #expect(try c.wire.hasRights("dora", ["projects.see_all"]) == [false])
      }
    }
  }

  @Test("system-field-seen: a system contact field is allowed, before mode, rights and projects are looked at")
  func systemFieldSeen() async throws {
    try await withCompany(changes) { c async throws in
      for mode in [SecurityMode.enhanced, .simple] {
        try c.apply(.setMode(mode))
        for subject in ["user:anna", "user:eve", "group:team", "project:shop", "list:vip"] {
          #expect(c.check(subject, phone) == ["allow", "system_field"])
        }
      }
    }
  }

  @Test("simple-mode: in simple mode everything is allowed to whoever is known and active")
  func simpleMode() async throws {
    try await withCompany(changes, mode: .simple) { c async throws in
      for subject in ["user:anna", "user:boris", "user:eve", "group:team", "project:shop", "list:vip"] {
        #expect(c.check(subject, "queue:desk") == ["allow", "simple_mode"])
      }
    }
  }

  @Test("see-all: a user with projects.see_all is allowed everything, before projects are looked at")
  func seeAll() async throws {
    try await withCompany(changes + [.addMember(project: "clinic", .user("eve"))]) { c async throws in
      for object in ["queue:desk", "list:vip", "sip_provider:trunk"] {
        #expect(c.check("user:eve", object) == ["allow", "see_all"])
      }
    }
  }

  @Test("shared-project: a user sees what is in a project that it is in itself")
  func sharedProject() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("user:anna", "queue:desk") == ["allow", "shared_project", "clinic"])
      #expect(c.check("user:anna", "sip_provider:trunk") == ["allow", "shared_project", "clinic"])
    }
  }

  @Test("shared-through-group: a user sees what is in a project of one of its groups")
  func sharedThroughGroup() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("user:boris", "sip_provider:trunk") == ["allow", "shared_project", "shop", "team"])
      try c.apply(.removeFromGroup(group: "team", user: "boris"))
      #expect(c.check("user:boris", "sip_provider:trunk") == ["deny", "no_shared_project"])
    }
  }

  @Test("group-as-subject: a group sees what is in its projects")
  func groupAsSubject() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("group:team", "sip_provider:trunk") == ["allow", "shared_project", "shop"])
      #expect(c.check("group:team", "queue:desk") == ["deny", "no_shared_project"])
    }
  }

  @Test("project-as-subject: a project as subject is that one project")
  func projectAsSubject() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("project:clinic", "queue:desk") == ["allow", "shared_project", "clinic"])
      #expect(c.check("project:shop", "sip_provider:trunk") == ["allow", "shared_project", "shop"])
      #expect(c.check("project:shop", "queue:desk") == ["deny", "no_shared_project"])
    }
  }

  @Test("object-as-subject: an object (a dialer, a scenario, a phone) sees what shares a project with it")
  func objectAsSubject() async throws {
    let others: [Change] = [
      .object("dialer:d", in: ["clinic"]), .object("call_scenario:s", in: ["shop"]), .object("ip_phone:p"),
      .object("list:leads", in: ["clinic"]),
    ]
    try await withCompany(changes + others) { c async throws in
      #expect(c.check("dialer:d", "queue:desk") == ["allow", "shared_project", "clinic"])
      #expect(c.check("call_scenario:s", "queue:desk") == ["deny", "no_shared_project"])
      #expect(c.check("ip_phone:p", "sip_provider:trunk") == ["deny", "no_shared_project"])
      #expect(try c.objects("dialer:d", types: ["list"]) == ["list:leads"], "a worker's number lists")
    }
  }

  @Test(
    "project-as-object: a project is seen by whoever is in it; with projects.list alone it is denied, as one whose tile may be shown"
  )
  func projectAsObject() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("user:anna", "project:clinic") == ["allow", "shared_project", "clinic"])
      #expect(c.check("user:boris", "project:shop") == ["allow", "shared_project", "shop", "team"])
      #expect(c.check("user:anna", "project:shop") == ["deny", "no_shared_project"])
      #expect(c.check("user:fred", "project:shop") == ["deny", "tile_only"])
      #expect(c.check("user:fred", "project:clinic", right: "report.agents") == ["allow", "shared_project", "clinic"])
      #expect(c.check("user:anna", "project:clinic", right: "report.agents") == ["deny", "right_missing"])
      #expect(c.check("user:eve", "project:shop") == ["allow", "see_all"])
      #expect(c.check("user:anna", "project:none") == ["deny", "unknown_object"])
      #expect(c.check("project:shop", "project:shop") == ["allow", "shared_project", "shop"])
      #expect(c.check("sip_provider:trunk", "project:shop") == ["allow", "shared_project", "shop"])
      #expect(try c.objects("user:fred", types: ["project"]) == ["project:clinic"], "a tile is no sight of contents")
      try c.apply(.setMode(.simple))
      #expect(c.check("user:anna", "project:shop") == ["allow", "simple_mode"])
    }
  }

  @Test("person-as-object: a user or a group is seen by whoever shares a project with it")
  func personAsObject() async throws {
    try await withCompany(changes) { c async throws in
      #expect(c.check("user:anna", "user:fred") == ["allow", "shared_project", "clinic"])
      #expect(c.check("user:anna", "user:dora") == ["allow", "shared_project", "clinic"], "to be blocked is no secret")
      #expect(c.check("user:anna", "user:boris") == ["deny", "no_shared_project"])
      #expect(c.check("user:boris", "group:team") == ["allow", "shared_project", "shop", "team"])
      #expect(c.check("user:anna", "group:team") == ["deny", "no_shared_project"])
      #expect(c.check("user:eve", "user:boris") == ["allow", "see_all"])
      #expect(c.check("user:dora", "user:anna") == ["deny", "subject_blocked"])
      #expect(c.check("group:team", "user:boris") == ["allow", "shared_project", "shop"])
      #expect(c.check("queue:desk", "user:anna") == ["allow", "shared_project", "clinic"])
      #expect(c.check("user:anna", "user:none") == ["deny", "unknown_object"])
      #expect(try c.objects("user:boris", types: ["user", "group"]) == ["user:boris", "group:team"])
      try c.apply(.removeFromGroup(group: "team", user: "boris"))
      #expect(c.check("group:team", "user:boris") == ["deny", "no_shared_project"])
      #expect(
        c.check("user:boris", "user:boris") == ["deny", "no_shared_project"], "nor does one share one with oneself")
    }
  }

  @Test("otherwise-deny: whoever shares no project with an object is denied")
  func otherwiseDeny() async throws {
    try await withCompany(changes) { c async throws in
      for (subject, object) in [("user:boris", "queue:desk"), ("user:fred", "list:vip"), ("list:vip", "queue:desk")] {
        #expect(c.check(subject, object) == ["deny", "no_shared_project"])
      }
    }
  }

  @Test("right-in-check: a check that names a right is allowed only where the user holds it as well")
  func rightInCheck() async throws {
    try await withCompany(changes) { c async throws in
      func ask(_ subject: String, _ object: String) -> [String] { c.check(subject, object, right: "report.agents") }
      #expect(ask("user:fred", "queue:desk") == ["allow", "shared_project", "clinic"])
      #expect(ask("user:anna", "queue:desk") == ["deny", "right_missing"])
      #expect(ask("user:fred", "list:vip") == ["deny", "no_shared_project"])
      #expect(ask("user:anna", phone) == ["deny", "right_missing"])
      #expect(ask("project:clinic", "queue:desk") == ["deny", "right_missing"])
    }
  }

  @Test("answer: every answer carries reason code, revision, and project and group where it is allowed through one")
  func answer() async throws {
    try await withCompany(changes) { c async throws in
      for (subject, expected) in [
        ("user:anna", ["allow", "shared_project", "clinic"]),
        ("user:boris", ["allow", "shared_project", "shop", "team"]),
        ("user:eve", ["allow", "see_all"]), ("user:dora", ["deny", "subject_blocked"]),
      ] {
        let revision = try c.apply(.user(Name(stringLiteral: "new \(subject)"))).revision
        #expect(c.check(subject, "sip_provider:trunk") == expected)
        #expect(c.client.check(subject, "sip_provider:trunk").revision == revision)
      }
    }
  }

  @Test("three-answers: allow, deny and unavailable stay three different things; an error is never an answer")
  func threeAnswers() async throws {
    let daemon = try await TestDaemon()
    let client = try daemon.client("c")
    try client.applyAll([.putCompany(.enhanced)] + changes, to: "c")
    #expect(client.check("user:anna", "queue:desk").verdict == .allow)
    #expect(client.check("user:boris", "queue:desk").verdict == .deny)
    #expect(client.check("user:", "queue:desk").verdict == .unavailable, "a malformed question")
    #expect(try daemon.client("").check("user:anna", "queue:desk").verdict == .unavailable, "no company named")
    let raw = try RawConnection(daemon.address(.unix)).ask(RawRequest.canSee("c", (99, [1]), (16, [1])))
    #expect(raw.code != 0 && raw.decision == 0 && raw.result == 0)
    try await daemon.stop()
    let answer = client.check("user:anna", "queue:desk")
    #expect(answer.verdict == .unavailable && answer.error != nil, "nobody is there")
    #expect(throws: ClientError.self) { try client.filter("user:anna", type: "queue", ids: ["desk"]) }
  }
}

/// The rules about lists, over the wire.
@Suite struct RulesOfListsOverTheWire {
  @Test("projects-all: with projects.see_all a user gets all projects, contents visible")
  func projectsAll() async throws {
    try await withCompany(changes) { c async throws in #expect(try c.projects("eve") == ["clinic": true, "shop": true])
    }
  }

  @Test("projects-tiles: with projects.list a user gets all tiles, contents visible only for its own")
  func projectsTiles() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.projects("fred") == ["clinic": true, "shop": false])
    }
  }

  @Test("projects-own: any other user gets its own projects")
  func projectsOwn() async throws {
    try await withCompany(changes) { c async throws in
      #expect(try c.projects("anna") == ["clinic": true] && c.projects("boris") == ["shop": true])
    }
  }

  @Test("filter-order: FilterObjects gives the visible ids in the order asked, and keeps duplicates")
  func filterOrder() async throws {
    try await withCompany(changes) { c async throws in
      let ids = ["phone", "x", "diagnosis", "debt", "phone", "diagnosis"]
      #expect(
        try c.client.filter("user:anna", type: "contact_field", ids: ids).visible
          == [true, false, true, false, true, true])
      #expect(
        try c.wire.filter("user:anna", type: "contact_field", ids) == ["phone", "diagnosis", "phone", "diagnosis"])
    }
  }

  @Test("filter-many: FilterObjects takes tens of thousands of ids, and never cuts the answer short silently")
  func filterMany() async throws {
    try await withCompany(changes) { c async throws in
      let ids = (0..<60_000).map { $0 % 3 == 0 ? "diagnosis" : "x\($0)" }
      let visible = try c.client.filter("user:anna", type: "contact_field", ids: ids).visible
      #expect(visible == ids.map { $0 == "diagnosis" })
      #expect(try c.wire.filter("user:anna", type: "contact_field", ids).count == 20_000)
      let refusal = #expect(throws: WireRefusal.self) {
        try c.wire.filter("user:anna", type: "contact_field", ids + ids)
      }
      #expect(refusal?.reason == "too_many", "more than fits is refused")
    }
  }

  @Test("filter-project: FilterObjects can be narrowed to one project")
  func filterProject() async throws {
    try await withCompany(changes) { c async throws in
      func ask(_ subject: String, _ project: String) throws -> [Bool] {
        let ids = ["debt", "diagnosis", "phone"]
        return try c.client.filter(subject, type: "contact_field", ids: ids, project: project).visible
      }
      #expect(try ask("user:eve", "shop") == [true, false, true])
      #expect(try ask("user:anna", "shop") == [false, false, true])
      #expect(try ask("user:eve", "x") == [false, false, false])
    }
  }

  @Test("report-objects: choosing a project gives its queues and dialers in one call")
  func reportObjects() async throws {
    let others: [Change] = [
      .object("queue:second", in: ["clinic"]), .object("dialer:recall", in: ["clinic"]),
      .object("dialer:sales", in: ["shop"]), .object("list:numbers", in: ["clinic"]),
    ]
    try await withCompany(changes + others) { c async throws in
      let wanted: [Name] = ["queue:desk", "queue:second", "dialer:recall"]
      #expect(try c.objects("user:anna", types: ["dialer", "queue"], project: "clinic") == wanted)
      #expect(try c.objects("user:eve", types: ["dialer", "queue"], project: "clinic") == wanted)
      #expect(try c.objects("user:anna", types: ["dialer", "queue"], project: "shop") == [])
    }
  }

  @Test("report-columns: a report's contact columns are the project's fields and the system fields, nothing else")
  func reportColumns() async throws {
    try await withCompany(changes) { c async throws in
      let columns: [Name] = ["contact_field:diagnosis", "contact_field:name", "contact_field:phone"]
      #expect(try c.objects("user:anna", types: ["contact_field"], project: "clinic") == columns)
      #expect(try c.objects("user:eve", types: ["contact_field"], project: "clinic") == columns)
    }
  }
}
