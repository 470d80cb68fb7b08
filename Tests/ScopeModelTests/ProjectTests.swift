import ScopeModel
import Testing

@Suite("Projects and members") struct ProjectTests {
  @Test("a project's name is unique in its company, and the refusal names the holder")
  func uniqueName() throws {
    let company = try company([.putProject(Project(id: "a", name: "Clinic")), put(project: "b")])
    let taken = ChangeError.projectNameTaken("Clinic", by: "a")
    #expect(refusal(of: .putProject(Project(id: "c", name: "Clinic")), in: company) == taken)
    #expect(refusal(of: .putProject(Project(id: "b", name: "Clinic")), in: company) == taken)
    #expect("\(taken)".contains("'a'"))
    for name: Name in ["clinic", "Clinic ", "a"] {
      #expect(refusal(of: .putProject(Project(id: "c", name: name)), in: company) == nil, "\(name) is another name")
    }
  }

  @Test("who does not see the project that holds a name is not told which it is")
  func nameTakenByAnUnseenProject() throws {
    let sample = [
      Change.putProject(Project(id: "secret", name: "Clinic")), .putRole("maker", rights: [Right.manageProjects]),
      .putRole("lister", rights: [Right.listProjects]), .putRole("all", rights: [Right.seeAll]),
    ]
    func refused(_ roles: [Name], isMember: Bool = false, mode: SecurityMode = .enhanced) throws -> ChangeError? {
      let user = Change.putUser(
        User(id: "actor", name: "A"), roles: ["maker"] + roles, projects: isMember ? ["secret"] : [])
      return refusal(
        of: .putProject(Project(id: "new", name: "Clinic")), in: try company(sample + [user], mode: mode),
        actor: "actor")
    }
    let hidden = ChangeError.projectNameTaken("Clinic", by: nil)
    #expect(try refused([]) == hidden)
    #expect(!"\(hidden)".contains("secret"))
    let told = ChangeError.projectNameTaken("Clinic", by: "secret")
    #expect(try refused(["lister"]) == told && refused(["all"]) == told && refused([], isMember: true) == told)
    #expect(try refused([], mode: .simple) == told)
  }

  @Test("names that are one to Unicode are two")
  func equivalentNames() throws {
    let company = try company([
      .putProject(Project(id: "a", name: "é")), .putProject(Project(id: "b", name: "e\u{301}")),
    ])
    #expect(company.projectID(named: "é") == "a")
    #expect(company.projectID(named: "e\u{301}") == "b")
  }

  @Test("a name is free again after a renaming or a removal")
  func freedName() throws {
    var company = try company([.putProject(Project(id: "a", name: "Clinic"))])
    _ = try company.apply([.putProject(Project(id: "a", name: "Old clinic"))])
    #expect(company.projectID(named: "Clinic") == nil)
    _ = try company.apply([.putProject(Project(id: "b", name: "Clinic")), .removeProject("b")])
    _ = try company.apply([.putProject(Project(id: "c", name: "Clinic"))])
    #expect(company.projectID(named: "Clinic") == "c")
  }

  @Test("two projects swap names in one batch, and back")
  func swappedNames() throws {
    let original = try company([.putProject(Project(id: "a", name: "A")), .putProject(Project(id: "b", name: "B"))])
    var company = original
    let names: [(Name, Name)] = [("a", "C"), ("b", "A"), ("a", "B")]
    let outcome = try company.apply(names.map { .putProject(Project(id: $0, name: $1)) })
    #expect(company.projectID(named: "A") == "b" && company.projectID(named: "B") == "a")
    #expect(company.projectID(named: "C") == nil)
    company.undo(outcome.edits)
    #expect(company.projectID(named: "A") == "a" && company.projectID(named: "B") == "b")
    #expect(areEqual(company, original))
  }

  @Test("editing a project keeps members and contents")
  func editing() throws {
    var company = try Company.sample()
    let before = try #require(company.projects["clinic"])
    let edited = Project(id: "clinic", name: "Clinic", description: try Remark("Weekdays"))
    #expect(try company.apply([.putProject(edited)]).edits.count == 1)
    let after = try #require(company.projects["clinic"])
    #expect(after.project == edited)
    #expect(after.members == before.members && after.objects == before.objects)
  }

  @Test("users and groups are members, of many projects at once")
  func members() throws {
    var company = try Company.sample()
    _ = try company.apply([.addMember(project: "shop", .user("anna")), .addMember(project: "clinic", .group("team"))])
    for project: Name in ["clinic", "shop"] {
      #expect(company.isMember("anna", of: project) && company.isMember("boris", of: project))
    }
    _ = try company.apply([.removeMember(project: "clinic", .group("team"))])
    #expect(!company.isMember("boris", of: "clinic") && company.isMember("boris", of: "shop"))
  }

  @Test("who or what is not there can't be linked, and the refusal names it")
  func unknown() throws {
    let company = try Company.sample()
    #expect(refusal(of: .addMember(project: "x", .user("anna")), in: company) == .unknownProject("x"))
    #expect(refusal(of: .addMember(project: "clinic", .user("team")), in: company) == .unknownUser("team"))
    #expect(refusal(of: .addMember(project: "clinic", .group("anna")), in: company) == .unknownGroup("anna"))
    #expect(refusal(of: .removeMember(project: "x", .user("anna")), in: company) == .unknownProject("x"))
    #expect(refusal(of: .removeMember(project: "clinic", .user("x")), in: company) == .unknownUser("x"))
    #expect(refusal(of: .addToGroup(group: "x", user: "anna"), in: company) == .unknownGroup("x"))
    #expect(refusal(of: .addToGroup(group: "team", user: "x"), in: company) == .unknownUser("x"))
    #expect(refusal(of: .removeFromGroup(group: "x", user: "anna"), in: company) == .unknownGroup("x"))
    #expect(refusal(of: .removeFromGroup(group: "team", user: "x"), in: company) == .unknownUser("x"))
    #expect(refusal(of: .removeProject("x"), in: company) == .unknownProject("x"))
    #expect(refusal(of: .removeUser("x"), in: company) == .unknownUser("x"))
    #expect(refusal(of: .removeGroup("x"), in: company) == .unknownGroup("x"))
  }

  @Test("a user given a project of its own stays in Default, and the answer points that out")
  func stillInDefault() throws {
    var company = try company([put(user: "u"), put(project: "p"), put(project: "q")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    let outcome = try company.apply([put(user: "v"), .addMember(project: "p", .user("u"))])
    let warning = try #require(outcome.warnings.first)
    #expect(outcome.warnings.count == 1)
    #expect(warning.index == 1 && warning.kind == .stillInDefault(user: "u") && warning.projects == ["default"])
    #expect(warning.code == "still_in_default" && warning.message.contains("default"))
    #expect(company.users["u"]?.projects == ["default", "p"])
    let removed: [Change] = [.removeMember(project: "default", .user("u")), .addMember(project: "q", .user("u"))]
    #expect(try company.apply(removed).warnings.isEmpty, "it is in Default no more")
  }

  @Test("being put into Default itself is no reason to warn")
  func intoDefault() throws {
    var company = try company([put(user: "u"), put(project: "p"), .putProject(Project(id: "d", name: "Default"))])
    #expect(try company.apply([.addMember(project: "d", .user("u"))]).warnings.isEmpty)
    #expect(try company.apply([.addMember(project: "d", .user("u"))]).warnings.isEmpty)
  }

  @Test("a user in Default whose project comes through a group is pointed out as well")
  func stillInDefaultThroughGroup() throws {
    var inGroup = try company(
      [.putProject(Project(id: "d", name: "Default")), put(project: "p"), put(group: "g"), put(user: "u")]
        + [.addMember(project: "d", .user("u")), .addMember(project: "p", .group("g"))])
    let outcome = try inGroup.apply([.addToGroup(group: "g", user: "u")])
    #expect(outcome.warnings.map(\.kind) == [.stillInDefault(user: "u")])
    var groupAdded = try company(
      [.putProject(Project(id: "d", name: "Default")), put(project: "p"), put(group: "g"), put(user: "u")]
        + [.addMember(project: "d", .user("u")), .addToGroup(group: "g", user: "u")])
    let added = try groupAdded.apply([.addMember(project: "p", .group("g"))])
    #expect(added.warnings.map(\.kind) == [.stillInDefault(user: "u")])
  }
}

@Suite("Users, groups and roles") struct UserTests {
  @Test("putting a user again replaces name, state and roles, and keeps memberships")
  func replacedUser() throws {
    var company = try Company.sample()
    _ = try company.apply([.putUser(User(id: "boris", name: "Boris B.", isBlocked: true), roles: ["lead", "lead"])])
    let state = try #require(company.users["boris"])
    #expect(state.user == User(id: "boris", name: "Boris B.", isBlocked: true))
    #expect(state.roles == ["lead"] && state.groups == ["team"])
    _ = try company.apply([put(user: "boris")])
    #expect(company.users["boris"]?.roles == [])
  }

  @Test("a role must be there to be held, and the refusal names it")
  func unknownRole() throws {
    let company = try Company.sample()
    let refused = refusal(of: put(user: "anna", roles: ["lead", "zz", "ghost"]), in: company)
    #expect(refused == .unknownRole("ghost"))
    #expect(refusal(of: .removeRole("ghost"), in: company) == .unknownRole("ghost"))
  }

  @Test("rights of several roles add up")
  func rightsAddUp() throws {
    let company = try company(
      [.putRole("a", rights: ["x"]), .putRole("b", rights: ["y", "x"]), put(user: "u", roles: ["a", "b"])])
    #expect(company.holds("u", right: "x") && company.holds("u", right: "y") && !company.holds("u", right: "z"))
  }

  @Test("putting a role again replaces its rights, for those who hold it")
  func replacedRole() throws {
    var company = try Company.sample()
    _ = try company.apply([.putRole("lead", rights: ["section.new"])])
    #expect(company.holds("cleo", right: "section.new") && !company.holds("cleo", right: "report.agents"))
  }

  @Test("admin holds every right, also those not heard of, and can't be changed or removed")
  func adminFixed() throws {
    let company = try company([put(user: "u", roles: ["admin"])])
    for right: Name in [Right.seeAll, Right.manageCompany, "never.heard.of"] {
      #expect(company.holds("u", right: right))
    }
    #expect(refusal(of: .putRole("admin", rights: []), in: company) == .adminRoleFixed)
    #expect(refusal(of: .putRole("admin", rights: ["x"]), in: company) == .adminRoleFixed)
    #expect(refusal(of: .removeRole("admin"), in: company) == .adminRoleFixed)
    #expect(company.roles["admin"] == [])
  }

  @Test("a role named Admin is not admin")
  func otherAdmin() throws {
    let company = try company([.putRole("Admin", rights: []), put(user: "u", roles: ["Admin"])])
    #expect(!company.holds("u", right: Right.seeAll))
  }

  @Test("a blocked user sees nothing, not even system fields")
  func blocked() throws {
    let company = try company([.putUser(User(id: "u", name: "u", isBlocked: true), roles: ["admin"])], mode: .simple)
    #expect(!company.sees("u", ObjectRef(.contactField, "phone")))
  }

  @Test("users, groups, projects and objects may have one id")
  func oneIDForAll() throws {
    var changes: [Change] = [put(user: "1"), put(group: "1"), put(project: "1"), .putRole("1", rights: ["1"])]
    changes += ObjectType.all.map { put(ObjectRef($0, "1")) }
    var company = try company(changes)
    _ = try company.apply([.removeUser("1"), .removeObject(object("queue", "1"))])
    #expect(company.groups["1"] != nil && company.projects["1"] != nil && company.roles["1"] == ["1"])
    #expect(company.objects.count == ObjectType.all.count - 1 + 2)
  }
}
