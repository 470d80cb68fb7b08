import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// The rules about things, over the wire. See `Tests/RULES.md`.
@Suite struct RulesOfThingsOverTheWire {
  @Test("tenant: nothing crosses companies; the same ids in two are different things")
  func tenant() async throws {
    try await withCompany([.project("p"), .user("anna", in: ["p"]), .object("queue:desk", in: ["p"])]) {
      c async throws in
      let other: [Change] = [.putCompany(.enhanced), .project("p"), .user("anna"), .object("queue:desk", in: ["p"])]
      try c.client.applyAll(other + [.object("list:theirs", in: ["p"])], to: "d")
      #expect(c.allows("user:anna", "queue:desk"))
      #expect(try c.daemon.client("d").check("user:anna", "queue:desk").verdict == .deny)
      #expect(c.check("user:anna", "list:theirs") == ["deny", "unknown_object"])
      try c.apply(.removeUser("anna"))
      #expect(try c.daemon.client("d").check("user:anna", "queue:desk").reason == "no_shared_project")
      #expect(try c.log().count == 2, "the log tells nothing of the other company")
    }
  }

  @Test("security-mode: a company is in simple or in enhanced mode")
  func securityMode() async throws {
    try await withCompany([.user("anna"), .object("queue:desk")], mode: .simple) { c async throws in
      #expect(c.check("user:anna", "queue:desk") == ["allow", "simple_mode"])
      try c.client.applyAll([.putCompany(.enhanced), .user("anna"), .object("queue:desk")], to: "d")
      #expect(try c.daemon.client("d").check("user:anna", "queue:desk").reason == "no_shared_project")
    }
  }

  @Test("user: a user has an id, a display name and roles, and is active or blocked")
  func user() async throws {
    try await withCompany([
      .putRole("lead", rights: []), .user("1001", named: "Anna", roles: ["lead"]), .user("1002", isBlocked: true),
    ]) { c async throws in
      let anna = try c.wire.user("1001")
      #expect(anna.id == "1001" && anna.name == "Anna" && anna.roles == ["lead"] && !anna.isBlocked)
      #expect(try c.wire.user("1002").isBlocked)
    }
  }

  @Test("group: a group is a named set of users")
  func group() async throws {
    try await withCompany([
      .group("night"), .user("anna"), .user("boris"), .user("cleo"), .addToGroup(group: "night", user: "anna"),
      .addToGroup(group: "night", user: "boris"),
    ]) { c async throws in
      #expect(try c.wire.groups() == [WireSet("night", users: 2)])
      #expect(try c.wire.users(group: "night").map(\.id) == ["anna", "boris"])
    }
  }

  @Test("role: a role is a named set of rights; those of a user's several roles add up")
  func role() async throws {
    try await withCompany([
      .putRole("a", rights: ["x"]), .putRole("b", rights: ["y"]), .user("both", roles: ["a", "b"]),
      .user("one", roles: ["a"]),
    ]) { c async throws in
      #expect(try c.wire.hasRights("both", ["x", "y", "z"]) == [true, true, false])
      #expect(try c.wire.hasRights("one", ["x", "y", "z"]) == [true, false, false])
      #expect(try c.wire.roles().last == WireSet("b", users: 1, holds: ["y"]))
    }
  }

  @Test("project-name: a project has a name, unique in its company, and may have a description")
  func projectName() async throws {
    let clinic = Project(id: "a", name: "Clinic", description: try Remark("Weekdays"))
    try await withCompany([.putProject(clinic), .project("b")]) { c async throws in
      let told = try c.wire.project("a")
      #expect(told.name == "Clinic" && told.description == "Weekdays")
      #expect(try c.wire.project("b").description == "")
      #expect(c.outcome(of: .project("x", named: "Clinic")) == "project_name_taken")
      #expect(c.outcome(of: .project("b", named: "Clinic")) == "project_name_taken")
      try c.client.applyAll([.putCompany(.enhanced), .project("x", named: "Clinic")], to: "d")
    }
  }

  @Test("object: an object has a type, an id and a name; one id under two types is two objects")
  func object() async throws {
    try await withCompany([
      .project("p"), .object("queue:1", named: "Front desk", in: ["p"]), .object("list:1", named: "Leads"),
    ]) { c async throws in
      var rows: [ObjectRow] = []
      _ = try c.client.objects("project:p", types: ["queue", "list"], project: nil) { rows.append($0) }
      #expect(rows.map { [$0.type, $0.id, $0.name] } == [["queue", "1", "Front desk"]])
      try c.apply(.removeObject("list:1"))
      #expect(c.allows("project:p", "queue:1"))
    }
  }

  @Test("membership: users and groups belong to projects; a user may be in many")
  func membership() async throws {
    try await withCompany([
      .project("agency"), .project("clinic"), .project("shop"), .group("team"), .user("anna", in: ["clinic", "shop"]),
      .addToGroup(group: "team", user: "anna"), .addMember(project: "agency", .group("team")),
    ]) { c async throws in
      #expect(try c.wire.user("anna").projects == ["agency through team", "clinic", "shop"])
      #expect(try c.wire.project("agency").members == ["group:team"])
    }
  }

  @Test("placement: an object belongs to a project by being placed there, until it is taken out")
  func placement() async throws {
    try await withCompany([.project("clinic"), .object("queue:desk")]) { c async throws in
      try c.apply(.place("queue:desk", project: "clinic"))
      #expect(try c.wire.project("clinic").objects == ["queue:desk"])
      try c.apply(.unplace("queue:desk", project: "clinic"))
      #expect(try c.wire.project("clinic").objects == [] && c.wire.projects(of: "queue:desk") == [])
    }
  }

  @Test("object-types: the types of objects are these ten, by these names")
  func objectTypes() async throws {
    let types = [
      "queue", "schedule", "sip_provider", "call_scenario", "dialer", "list", "notification_template", "crm_form",
      "contact_field", "ip_phone",
    ]
    let refs = types.map { ObjectRef(ObjectType(name: $0)!, "x") }
    try await withCompany([.project("p")] + refs.map { .object($0, in: ["p"]) }) { c async throws in
      #expect(try c.wire.project("p").objects == types.map { Name(stringLiteral: "\($0):x") })
      for type in types { #expect(c.allows("project:p", "\(type):x") && c.allows("\(type):x", "queue:x")) }
      #expect(c.client.check("project:p", "elevator:x").verdict == .unavailable)
    }
  }

  @Test(
    "exclusive-types: a queue, call_scenario, dialer or crm_form is in one project at most; a refusal names the holder")
  func exclusiveTypes() async throws {
    try await withCompany([.project("clinic"), .project("shop")]) { c async throws in
      for ref in ["queue:x", "call_scenario:x", "dialer:x", "crm_form:x"] as [ObjectRef] {
        try c.apply(.object(ref, in: ["clinic"]))
        do throws(RefusedApply) {
          _ = try c.client.apply([.place(ref, project: "shop")], to: "c", timeoutMilliseconds: .anHour)
          Issue.record("\(ref) is in two projects")
        } catch {
          #expect(error.error.reason == "exclusively_placed" && error.error.message.contains("'clinic'"))
        }
        #expect(try c.wire.projects(of: ref) == ["clinic"])
      }
    }
  }

  @Test("move: a move takes an object from one project to another in one change")
  func move() async throws {
    try await withCompany([.project("a"), .project("b"), .object("queue:x", in: ["a"])]) { c async throws in
      #expect(try c.apply(.move("queue:x", from: "a", to: "b")).edits == 2)
      #expect(try c.wire.projects(of: "queue:x") == ["b"])
      #expect(!c.allows("project:a", "queue:x") && c.allows("project:b", "queue:x"))
    }
  }

  @Test("other-types: an object of any other type may be in several projects")
  func otherTypes() async throws {
    let refs: [ObjectRef] = [
      "schedule:x", "sip_provider:x", "list:x", "notification_template:x", "contact_field:x", "ip_phone:x",
    ]
    try await withCompany([.project("a"), .project("b")] + refs.map { .object($0, in: ["a", "b"]) }) { c async throws in
      for ref in refs {
        #expect(try c.wire.projects(of: ref) == ["a", "b"])
        #expect(c.allows("project:a", "\(ref)") && c.allows("project:b", "\(ref)"))
      }
    }
  }
}

/// The rules about contact fields, over the wire.
@Suite struct RulesOfContactFieldsOverTheWire {
  @Test("system-field: a system field is in every project, and every user of the company sees it")
  func systemField() async throws {
    try await withCompany([.project("p"), .user("in", in: ["p"]), .user("out")]) { c async throws in
      #expect(c.allows("user:in", "contact_field:phone") && c.allows("user:out", "contact_field:phone"))
      #expect(try c.objects("project:p", project: "p") == ["contact_field:name", "contact_field:phone"])
    }
  }

  @Test("system-field-fixed: a system field can't be placed, renamed, removed or made custom")
  func systemFieldFixed() async throws {
    try await withCompany([.project("p")]) { c async throws in
      let phone: ObjectRef = "contact_field:phone"
      for change in [
        .place(phone, project: "p"), .object(phone, in: ["p"]), .removeObject(phone), .object(phone, named: "phone"),
        .putObject(Object(phone, name: "Telephone", isSystem: true)),
      ] as [Change] { #expect(c.outcome(of: change) == "system_field_fixed", "\(change)") }
    }
  }

  @Test("custom-field: a custom field belongs to any number of projects, none at first")
  func customField() async throws {
    let projects: [Name] = (10..<60).map { Name(stringLiteral: "p\($0)") }
    try await withCompany(projects.map { .project($0) } + [.object("contact_field:debt")]) { c async throws in
      #expect(try c.wire.projects(of: "contact_field:debt") == [])
      _ = try c.wire.apply(projects.map { .place("contact_field:debt", project: $0) })
      #expect(try c.wire.projects(of: "contact_field:debt") == projects)
    }
  }

  @Test("field-shared: placing a field in a further project succeeds, with a warning that names those that share it")
  func fieldShared() async throws {
    try await withCompany([.project("a"), .project("b"), .object("contact_field:debt", in: ["b"])]) { c async throws in
      let result = try c.apply(.place("contact_field:debt", project: "a"))
      #expect(result.warnings.map(\.reason) == ["field_shared"] && result.warnings.first?.projects == ["a", "b"])
      #expect(try c.wire.projects(of: "contact_field:debt") == ["a", "b"])
    }
  }

  @Test("initial-fields: name and phone are system fields from a company's creation")
  func initialFields() async throws {
    try await withCompany { c async throws in #expect(try c.wire.fields(isSystem: true) == ["name", "phone"]) }
  }

  @Test("more-system-fields: the platform, and nobody else, may declare more system fields")
  func moreSystemFields() async throws {
    try await withCompany([.user("boss", roles: ["admin"])]) { c async throws in
      let declare = Change.putObject(Object("contact_field:email", name: "E-mail", isSystem: true))
      #expect(c.outcome(of: declare, actor: "boss") == "platform_only")
      try c.apply(declare)
      #expect(try c.wire.fields(isSystem: true) == ["email", "name", "phone"])
      #expect(c.check("user:boss", "contact_field:email") == ["allow", "system_field"])
    }
  }
}

/// The rules about what each right means, over the wire.
@Suite struct RulesOfRightsOverTheWire {
  /// `actor` holds the right alone, and is in `p` with the list in it; each change is tried, none made.
  private func expect(_ right: Name, allows: [Change], refuses: [Change]) async throws {
    try await withCompany([
      .project("p"), .project("q"), .putRole("role", rights: [right]), .user("actor", roles: ["role"], in: ["p", "q"]),
      .user("other"), .group("team"), .object("list:l", in: ["p"]),
    ]) { c async throws in
      for change in allows { #expect(throws: Never.self) { try c.wire.preview([change], actor: "actor") } }
      for change in refuses {
        let refusal = #expect(throws: WireRefusal.self) { try c.wire.preview([change], actor: "actor") }
        #expect(refusal?.reason == "right_missing" && refusal?.code == 7, "\(change)")
      }
    }
  }

  private static let access: [Change] = [
    .addMember(project: "p", .user("other")), .addMember(project: "p", .group("team")),
    .removeMember(project: "p", .user("other")),
  ]
  private static let projects: [Change] = [
    .project("new"), .project("p", named: "Renamed"), .removeProject("p"), .object("list:new"),
    .place("list:l", project: "q"), .unplace("list:l", project: "p"), .move("list:l", from: "p", to: "q"),
    .removeObject("list:l"),
  ]
  private static let users: [Change] = [
    .user("new"), .removeUser("other"), .group("new"), .removeGroup("team"), .addToGroup(group: "team", user: "other"),
    .removeFromGroup(group: "team", user: "other"),
  ]
  private static let roles: [Change] = [.putRole("new", rights: []), .removeRole("role")]
  private static let company: [Change] = [.setMode(.enhanced)]

  @Test("right-see-all: projects.see_all sees everything in the company, whatever the projects")
  func seeAll() async throws {
    try await withCompany([
      .putRole("auditor", rights: ["projects.see_all"]), .user("eve", roles: ["auditor"]), .project("p"),
      .object("queue:desk", in: ["p"]), .object("list:vip"),
    ]) { c async throws in
      #expect(c.check("user:eve", "queue:desk") == ["allow", "see_all"])
      #expect(try c.objects("user:eve", types: ["queue", "list"]) == ["queue:desk", "list:vip"])
    }
  }

  @Test("right-list: projects.list sees every project's tile (id, name, description), without its contents")
  func list() async throws {
    let clinic = Project(id: "clinic", name: "Clinic", description: try Remark("Weekdays"))
    try await withCompany([
      .putRole("lister", rights: ["projects.list"]), .user("fred", roles: ["lister"]), .putProject(clinic),
      .object("queue:desk", in: ["clinic"]),
    ]) { c async throws in
      var tiles: [[String]] = []
      _ = try c.client.projects("user:fred") {
        tiles.append([$0.id, $0.name, $0.description, "\($0.contentsVisible)"])
      }
      #expect(tiles == [["clinic", "Clinic", "Weekdays", "false"]])
      #expect(!c.allows("user:fred", "queue:desk"))
    }
  }

  @Test("right-manage-access: projects.manage_access adds and removes users and groups of projects")
  func manageAccess() async throws {
    let (its, others) = (Self.access, Self.projects + Self.users + Self.roles + Self.company)
    try await expect("projects.manage_access", allows: its, refuses: others)
  }

  @Test("right-manage: projects.manage creates, edits and deletes projects, and places and removes objects")
  func manage() async throws {
    let (its, others) = (Self.projects, Self.access + Self.users + Self.roles + Self.company)
    try await expect("projects.manage", allows: its, refuses: others)
  }

  @Test("right-users: users.manage is for users and groups")
  func usersAndGroups() async throws {
    let (its, others) = (Self.users, Self.access + Self.projects + Self.roles + Self.company)
    try await expect("users.manage", allows: its, refuses: others)
  }

  @Test("right-roles: roles.manage is for roles")
  func manageRoles() async throws {
    let (its, others) = (Self.roles, Self.access + Self.projects + Self.users + Self.company)
    try await expect("roles.manage", allows: its, refuses: others)
  }

  @Test("right-company: company.manage is for the security mode")
  func manageCompany() async throws {
    let (its, others) = (Self.company, Self.access + Self.projects + Self.users + Self.roles)
    try await expect("company.manage", allows: its, refuses: others)
  }

  @Test("own-rights: any other string is the platform's own right: it is stored, and can be asked for")
  func ownRights() async throws {
    try await withCompany([
      .putRole("role", rights: ["section.call_journal", "Отчёты 📞"]), .user("anna", roles: ["role"]), .user("boris"),
    ]) { c async throws in
      let rights: [Name] = ["report.agents", "section.call_journal", "Отчёты 📞"]
      #expect(try c.wire.hasRights("anna", rights) == [false, true, true])
      #expect(try c.wire.hasRights("boris", rights) == [false, false, false])
      #expect(try c.wire.roles().last?.holds == ["section.call_journal", "Отчёты 📞"])
    }
  }

  @Test("admin-role: admin holds every right, is there from the creation, and can't be changed or deleted")
  func admin() async throws {
    try await withCompany([.user("boss", roles: ["admin"])]) { c async throws in
      #expect(
        try c.wire.hasRights("boss", ["projects.see_all", "company.manage", "never.heard.of"]) == [true, true, true])
      #expect(c.outcome(of: .putRole("admin", rights: [])) == "admin_role_fixed")
      #expect(c.outcome(of: .removeRole("admin")) == "admin_role_fixed")
    }
  }
}
