import ScopeModel
import ScopeTesting
import Testing

/// The rules about things, at the model. See `Tests/RULES.md`.
@Suite struct RulesOfThings {
  @Test("security-mode: a company is in simple or in enhanced mode", arguments: SecurityMode.allCases)
  func securityMode(mode: SecurityMode) throws {
    #expect(try company([], mode: mode).mode == mode)
    #expect(SecurityMode.allCases.map(\.rawValue) == ["simple", "enhanced"])
  }

  @Test("user: a user has an id, a display name and roles, and is active or blocked")
  func user() throws {
    let company = try company([
      .putRole("lead", rights: []), .user("1001", named: "Anna", roles: ["lead"]), .user("1002", isBlocked: true),
    ])
    let anna = try #require(company.users["1001"])
    #expect(anna.user == User(id: "1001", name: "Anna") && !anna.user.isBlocked && anna.roles == ["lead"])
    #expect(company.users["1002"]?.user.isBlocked == true)
  }

  @Test("group: a group is a named set of users")
  func group() throws {
    let company = try company([
      .group("night", named: "Night shift"), .user("anna"), .user("boris"), .user("cleo"),
      .addToGroup(group: "night", user: "anna"), .addToGroup(group: "night", user: "boris"),
    ])
    #expect(company.groups["night"]?.group.name == "Night shift")
    #expect(company.groups["night"]?.users == ["anna", "boris"])
  }

  @Test("role: a role is a named set of rights; those of a user's several roles add up")
  func role() throws {
    let company = try company([
      .putRole("a", rights: ["x"]), .putRole("b", rights: ["y"]), .user("both", roles: ["a", "b"]),
      .user("one", roles: ["a"]),
    ])
    #expect(company.holds("both", right: "x") && company.holds("both", right: "y"))
    #expect(company.holds("one", right: "x") && !company.holds("one", right: "y"))
  }

  @Test("project-name: a project has a name, unique in its company, and may have a description")
  func projectName() throws {
    let described = Project(id: "a", name: "Clinic", description: try Remark("Weekdays"))
    let company = try company([.putProject(described), .project("b")])
    #expect(company.projects["a"]?.project.description.text == "Weekdays")
    #expect(company.projects["b"]?.project.description == Remark.none)
    let taken = ChangeError.projectNameTaken("Clinic", by: "a")
    #expect(refusal(of: .project("c", named: "Clinic"), in: company) == taken)
    #expect(refusal(of: .project("b", named: "Clinic"), in: company) == taken)
    #expect(throws: NameError.empty) { try name("") }
  }

  @Test("object: an object has a type, an id and a name; one id under two types is two objects")
  func object() throws {
    var company = try company([.object("queue:1", named: "Front desk"), .object("list:1", named: "Leads")])
    #expect(company.objects["queue:1"]?.object.name == "Front desk")
    _ = try company.apply([.removeObject("list:1")])
    #expect(company.objects["queue:1"] != nil && company.objects["list:1"] == nil)
  }

  @Test("membership: users and groups belong to projects; a user may be in many")
  func membership() throws {
    let company = try company([
      .project("clinic"), .project("shop"), .project("agency"), .group("team"),
      .user("anna", in: ["clinic", "shop"]), .addToGroup(group: "team", user: "anna"),
      .addMember(project: "agency", .group("team")),
    ])
    for project: Name in ["clinic", "shop", "agency"] { #expect(company.isMember("anna", of: project)) }
    #expect(company.projects["agency"]?.members == [.group("team")])
  }

  @Test("placement: an object belongs to a project by being placed there, until it is taken out")
  func placement() throws {
    var company = try company([.project("clinic"), .object("queue:desk"), .place("queue:desk", project: "clinic")])
    #expect(company.projects["clinic"]?.objects == ["queue:desk"])
    _ = try company.apply([.unplace("queue:desk", project: "clinic")])
    #expect(company.projects["clinic"]?.objects == [])
  }

  @Test("object-types: the types of objects are these ten, by these names")
  func objectTypes() {
    #expect(
      ObjectType.all.map(\.name) == [
        "queue", "schedule", "sip_provider", "call_scenario", "dialer", "list", "notification_template", "crm_form",
        "contact_field", "ip_phone",
      ])
  }

  @Test(
    "exclusive-types: a queue, call_scenario, dialer or crm_form is in one project at most; a refusal names the holder",
    arguments: ["queue", "call_scenario", "dialer", "crm_form"])
  func exclusiveTypes(type: String) throws {
    let ref = ObjectRef(try #require(ObjectType(name: type)), "x")
    let company = try company([.project("a"), .project("b"), .object(ref, in: ["a"])])
    let refused = try #require(refusal(of: .place(ref, project: "b"), in: company))
    #expect(refused == .exclusivelyPlaced(ref, in: "a") && refused.description.contains("'a'"))
    #expect(refusal(of: .object(ref, in: ["b"]), in: company) == .exclusivelyPlaced(ref, in: "a"))
  }

  @Test("move: a move takes an object from one project to another in one change", arguments: ObjectType.all)
  func move(type: ObjectType) throws {
    let ref = ObjectRef(type, "x")
    var company = try company([.project("a"), .project("b"), .object(ref, in: ["a"])])
    _ = try company.apply([.move(ref, from: "a", to: "b")])
    #expect(company.objects[ref]?.projects == ["b"])
  }

  @Test(
    "other-types: an object of any other type may be in several projects",
    arguments: ["schedule", "sip_provider", "list", "notification_template", "contact_field", "ip_phone"])
  func otherTypes(type: String) throws {
    let ref = ObjectRef(try #require(ObjectType(name: type)), "x")
    let company = try company([.project("a"), .project("b"), .object(ref, in: ["a", "b"])])
    #expect(company.objects[ref]?.projects.sorted() == ["a", "b"])
  }
}

/// The rules about contact fields, at the model.
@Suite struct RulesOfContactFields {
  @Test("system-field: a system field is in every project, and every user of the company sees it")
  func systemField() throws {
    let company = try company([.project("p"), .user("in", in: ["p"]), .user("out")])
    #expect(company.sees("in", "contact_field:phone") && company.sees("out", "contact_field:phone"))
    #expect(company.projects["p"]?.objects == [], "it is in every project without being placed")
  }

  @Test(
    "system-field-fixed: a system field can't be placed, renamed, removed or made custom",
    arguments: [
      .place("contact_field:phone", project: "p"), .object("contact_field:phone", in: ["p"]),
      .putObject(Object("contact_field:phone", name: "Telephone", isSystem: true)),
      .removeObject("contact_field:phone"), .putObject(Object("contact_field:phone", name: "phone")),
    ] as [Change])
  func systemFieldFixed(change: Change) throws {
    #expect(refusal(of: change, in: try company([.project("p")])) == .systemFieldFixed("contact_field:phone"))
  }

  @Test("custom-field: a custom field belongs to any number of projects, none at first")
  func customField() throws {
    let projects: [Name] = (1...50).map { Name(stringLiteral: "p\($0)") }
    var company = try company(projects.map { .project($0) } + [.object("contact_field:debt")])
    #expect(company.objects["contact_field:debt"]?.projects == [])
    _ = try company.apply(projects.map { .place("contact_field:debt", project: $0) })
    #expect(company.objects["contact_field:debt"]?.projects.count == 50)
  }

  @Test("field-shared: placing a field in a further project succeeds, with a warning that names those that share it")
  func fieldShared() throws {
    var company = try company([.project("a"), .project("b"), .object("contact_field:debt", in: ["b"])])
    let warnings = try company.apply([.place("contact_field:debt", project: "a")]).warnings
    #expect(warnings.map(\.kind) == [.fieldShared("contact_field:debt")])
    #expect(warnings.first?.projects == ["a", "b"])
    #expect(company.objects["contact_field:debt"]?.projects.sorted() == ["a", "b"])
  }

  @Test("initial-fields: name and phone are system fields from a company's creation")
  func initialFields() throws {
    #expect(try company([]).systemObjects == ["contact_field:name", "contact_field:phone"])
  }

  @Test("more-system-fields: the platform, and nobody else, may declare more system fields")
  func moreSystemFields() throws {
    let declare = Change.putObject(Object("contact_field:email", name: "E-mail", isSystem: true))
    let company = try company([.user("boss", roles: ["admin"])])
    #expect(refusal(of: declare, in: company) == nil)
    #expect(refusal(of: declare, in: company, actor: "boss") == .platformOnly(actor: "boss"))
  }
}

/// The rules about what each right means, at the model.
@Suite struct RulesOfRights {
  /// `actor` holds the right, and is in project `p` with the list in it; `other` is a bystander.
  private func holder(of right: Name) throws -> Company {
    try company([
      .project("p"), .project("q"), .putRole("role", rights: [right]), .user("actor", roles: ["role"], in: ["p", "q"]),
      .user("other"), .group("team"), .object("list:l", in: ["p"]), .object("queue:far"),
    ])
  }

  /// Every kind of change that a user can make, each possible in `holder`.
  private static let kinds: [Change] = [
    .setMode(.enhanced), .user("new"), .removeUser("other"), .group("new"), .removeGroup("team"),
    .addToGroup(group: "team", user: "other"), .removeFromGroup(group: "team", user: "other"),
    .putRole("new", rights: []), .removeRole("role"), .project("new"), .project("p", named: "Renamed"),
    .removeProject("p"), .addMember(project: "p", .user("other")), .addMember(project: "p", .group("team")),
    .removeMember(project: "p", .user("other")), .object("list:new"), .object("list:l", named: "Renamed"),
    .removeObject("list:l"), .place("list:l", project: "q"), .unplace("list:l", project: "p"),
    .move("list:l", from: "p", to: "q"),
  ]

  private func expect(_ right: Name, allows: (Change) -> Bool) throws {
    let company = try holder(of: right)
    for change in RulesOfRights.kinds {
      #expect((refusal(of: change, in: company, actor: "actor") == nil) == allows(change), "\(right): \(change)")
    }
  }

  @Test("right-see-all: projects.see_all sees everything in the company, whatever the projects")
  func seeAll() throws {
    #expect(try holder(of: "projects.see_all").sees("actor", "queue:far"))
    #expect(try !holder(of: "projects.list").sees("actor", "queue:far"))
    try expect("projects.see_all") { _ in false }
  }

  @Test("right-list: projects.list sees every project's tile (id, name, description), without its contents")
  func list() throws {
    #expect(try !holder(of: "projects.list").sees("actor", "queue:far"))
    try expect("projects.list") { _ in false }
  }

  @Test("right-manage-access: projects.manage_access adds and removes users and groups of projects")
  func manageAccess() throws {
    try expect("projects.manage_access") { change in
      switch change {
      case .addMember, .removeMember: true
      default: false
      }
    }
  }

  @Test("right-manage: projects.manage creates, edits and deletes projects, and places and removes objects")
  func manage() throws {
    try expect("projects.manage") { change in
      switch change {
      case .putProject, .removeProject, .putObject, .removeObject, .place, .unplace, .move: true
      default: false
      }
    }
  }

  @Test("right-users: users.manage is for users and groups")
  func users() throws {
    try expect("users.manage") { change in
      switch change {
      case .putUser, .removeUser, .putGroup, .removeGroup, .addToGroup, .removeFromGroup: true
      default: false
      }
    }
  }

  @Test("right-roles: roles.manage is for roles")
  func roles() throws {
    try expect("roles.manage") { change in
      switch change {
      case .putRole, .removeRole: true
      default: false
      }
    }
  }

  @Test("right-company: company.manage is for the security mode")
  func companyMode() throws {
    try expect("company.manage") { change in
      switch change {
      case .setMode: true
      default: false
      }
    }
  }

  @Test("own-rights: any other string is the platform's own right: it is stored, and can be asked for")
  func ownRights() throws {
    let company = try company([
      .putRole("role", rights: ["section.call_journal", "Отчёты 📞"]), .user("anna", roles: ["role"]), .user("boris"),
    ])
    #expect(company.roles["role"] == ["section.call_journal", "Отчёты 📞"])
    #expect(company.holds("anna", right: "section.call_journal") && company.holds("anna", right: "Отчёты 📞"))
    #expect(!company.holds("anna", right: "report.agents") && !company.holds("boris", right: "section.call_journal"))
  }

  @Test("admin-role: admin holds every right, is there from the creation, and can't be changed or deleted")
  func admin() throws {
    let company = try company([.user("boss", roles: ["admin"])])
    for right in ["projects.see_all", "company.manage", "never.heard.of"] as [Name] {
      #expect(company.holds("boss", right: right))
    }
    #expect(refusal(of: .putRole("admin", rights: ["x"]), in: company) == .adminRoleFixed)
    #expect(refusal(of: .removeRole("admin"), in: company) == .adminRoleFixed)
  }
}
