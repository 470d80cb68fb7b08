import ScopeModel
import Testing

@Suite("Company") struct CompanyTests {
  @Test("a new company has the role admin and the system fields name and phone", arguments: SecurityMode.allCases)
  func creation(mode: SecurityMode) throws {
    let company = try company([], mode: mode)
    let fields: [Name] = ["name", "phone"]
    let objects = fields.map { Fact.object(Object(ObjectRef(.contactField, $0), name: $0, isSystem: true)) }
    #expect(facts(of: company) == Set([.company(mode), .role("admin")] + objects))
  }

  @Test("creating a company that exists changes nothing, its mode least of all")
  func creationAgain() throws {
    var company = try company([put(project: "p")], mode: .simple)
    #expect(try company.apply([.putCompany(.enhanced)]).edits.isEmpty)
    #expect(company.mode == .simple)
  }

  @Test("nothing can be changed in a company that does not exist")
  func unknownCompany() {
    let nowhere = Company(id: "nowhere")
    let list = object("list", "l")
    let changes: [Change] = [
      .removeCompany, .setMode(.simple), put(user: "u"), .removeUser("u"), put(group: "g"), .removeGroup("g"),
      .addToGroup(group: "g", user: "u"), .removeFromGroup(group: "g", user: "u"), .putRole("r", rights: []),
      .removeRole("r"), put(project: "p"), .removeProject("p"), .addMember(project: "p", .user("u")),
      .removeMember(project: "p", .user("u")), put(list), .removeObject(list), .place(list, project: "p"),
      .unplace(list, project: "p"), .move(list, from: "p", to: "q"),
    ]
    for change in changes { #expect(refusal(of: change, in: nowhere) == .unknownCompany("nowhere")) }
  }

  @Test("removing a company leaves nothing, and it can be made again in the same batch")
  func removal() throws {
    let original = try Company.sample()
    var company = original
    let outcome = try company.apply([.removeCompany])
    #expect(facts(of: company).isEmpty)
    #expect(company.projectID(named: "The clinic") == nil)
    company.undo(outcome.edits)
    #expect(areEqual(company, original))
    _ = try company.apply([.removeCompany, .putCompany(.simple)])
    #expect(areEqual(company, try ScopeModelTests.company([], mode: .simple)))
  }
}

@Suite("Security mode") struct SecurityModeTests {
  private let list = object("list", "l")
  private let queue = object("queue", "q")

  @Test("the first switch to enhanced puts everyone and everything into Default")
  func firstSwitch() throws {
    let custom = ObjectRef(.contactField, "debt")
    var company = try company(
      [put(user: "u"), .putUser(User(id: "b", name: "b", isBlocked: true), roles: [])]
        + [put(list), put(queue), put(custom), put(group: "g"), .addToGroup(group: "g", user: "u")], mode: .simple)
    let outcome = try company.apply([.setMode(.enhanced)])
    #expect(company.mode == .enhanced)
    let project = try #require(company.projects["default"])
    #expect(project.project.name == "Default")
    #expect(project.members == [.user("u"), .user("b")])
    #expect(project.objects == [list, queue, custom])
    #expect(outcome.warnings.isEmpty)
    for ref in [list, queue, custom] { #expect(company.sees("u", ref)) }
  }

  @Test("what is in a project already stays there alone")
  func placedStay() throws {
    var company = try company(
      [put(project: "p"), put(user: "in"), put(user: "out"), put(queue), put(list)]
        + [.addMember(project: "p", .user("in")), .place(queue, project: "p")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    #expect(company.users["in"]?.projects == ["p"])
    #expect(company.users["out"]?.projects == ["default"])
    #expect(company.objects[queue]?.projects == ["p"])
    #expect(company.objects[list]?.projects == ["default"])
  }

  @Test("a user in a group with a project is in a project; in a group without, it is in none")
  func usersInGroups() throws {
    var company = try company(
      [put(project: "p"), put(group: "placed"), put(group: "loose"), .addMember(project: "p", .group("placed"))]
        + [put(user: "a"), .addToGroup(group: "placed", user: "a"), .addToGroup(group: "loose", user: "a")]
        + [put(user: "b"), .addToGroup(group: "loose", user: "b")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    #expect(company.users["a"]?.projects == [])
    #expect(company.users["b"]?.projects == ["default"])
    #expect(company.groups["loose"]?.projects == [])
  }

  @Test("an existing project named Default is taken, whatever its id")
  func existingDefault() throws {
    let mine = Project(id: "p7", name: "Default")
    var company = try company([.putProject(mine), put(user: "u")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    #expect(company.projects.count == 1)
    #expect(company.projects["p7"]?.members == [.user("u")])
  }

  @Test("where the id default is taken by another project, Default gets the next free one")
  func takenID() throws {
    let others = [Project(id: "default", name: "default"), Project(id: "default-2", name: "DEFAULT")]
    var company = try company(others.map { .putProject($0) } + [put(user: "u")], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    #expect(company.projectID(named: "Default") == "default-3")
    #expect(company.users["u"]?.projects == ["default-3"])
  }

  @Test("with nothing to move, Default is there as well")
  func nothingToMove() throws {
    for (others, count) in [([], 1), ([put(project: "p"), put(group: "g")], 2)] as [([Change], Int)] {
      var company = try company(others, mode: .simple)
      let outcome = try company.apply([.setMode(.enhanced)])
      #expect(outcome.edits.count == 2 && outcome.gathered == nil)
      #expect(company.projects.count == count && company.projectID(named: "Default") == "default")
      #expect(try company.apply([.setMode(.simple), .setMode(.enhanced)]).edits.count == 2, "and is not made again")
    }
  }

  @Test("system fields are never placed")
  func systemFields() throws {
    let field = ObjectRef(.contactField, "email")
    var company = try company([.putObject(Object(field, name: "E-mail", isSystem: true)), put(list)], mode: .simple)
    _ = try company.apply([.setMode(.enhanced)])
    #expect(company.projects["default"]?.objects == [list])
    #expect(company.objects[field]?.projects == [])
  }

  @Test("enhanced to simple keeps projects, memberships and placements")
  func backToSimple() throws {
    var company = try Company.sample()
    let before = facts(of: company)
    let outcome = try company.apply([.setMode(.simple)])
    #expect(outcome.edits == [Edit(before: .company(.enhanced), after: .company(.simple))])
    #expect(facts(of: company) == before.subtracting([.company(.enhanced)]).union([.company(.simple)]))
    #expect(company.sees("cleo", object("list", "loose")), "in simple mode everyone sees everything")
  }

  @Test("the mode it has already changes nothing, in enhanced what is in no project stays there")
  func sameMode() throws {
    var company = try company([put(user: "u"), put(list)])
    #expect(try company.apply([.setMode(.enhanced)]).edits.isEmpty)
    #expect(company.isInNoProject("u"))
  }
}

extension Company {
  /// anna in `clinic`; boris through group `team` in `shop`; cleo in none, with a role. The trunk and the
  /// field debt are in both projects, the queue in `clinic`, the list in none.
  static func sample() throws -> Company {
    let shared = [object("sip_provider", "trunk"), ObjectRef(.contactField, "debt")]
    var changes: [Change] = [
      .putRole("lead", rights: [Right.listProjects, "report.agents"]),
      put(user: "anna"), put(user: "boris"), put(user: "cleo", roles: ["lead"]),
      put(group: "team"), .addToGroup(group: "team", user: "boris"),
      .putProject(Project(id: "clinic", name: "The clinic")), .putProject(Project(id: "shop", name: "A shop")),
      .addMember(project: "clinic", .user("anna")), .addMember(project: "shop", .group("team")),
      put(object("queue", "desk")), .place(object("queue", "desk"), project: "clinic"),
      put(object("list", "loose")),
    ]
    for ref in shared { changes += [put(ref), .place(ref, project: "clinic"), .place(ref, project: "shop")] }
    return try company(changes)
  }
}
