import ScopeModel
import Testing

/// Removing a thing takes exactly the facts that name it, and taking the removal back restores them.
@Suite("Removals") struct RemovalTests {
  private static let debt = ObjectRef(.contactField, "debt")

  private func check(_ change: Change, takes gone: Set<Fact>) throws {
    let original = try Company.sample()
    var company = original
    let outcome = try company.apply([change])
    #expect(facts(of: original).subtracting(facts(of: company)) == gone)
    #expect(facts(of: company).isSubset(of: facts(of: original)))
    #expect(Set(outcome.edits) == Set(gone.map { Edit(before: $0, after: nil) }))
    #expect(outcome.edits.count == gone.count)
    #expect(faults(in: company) == [])
    company.undo(outcome.edits)
    let isRestored = areEqual(company, original)
    #expect(isRestored)
  }

  @Test("removing a user removes its roles and memberships")
  func userRemoved() throws {
    try check(
      .removeUser("boris"),
      takes: [.user(User(id: "boris", name: "boris")), .groupMember(group: "team", user: "boris")])
    try check(
      .removeUser("anna"), takes: [.user(User(id: "anna", name: "anna")), .member(project: "clinic", .user("anna"))])
    try check(
      .removeUser("cleo"), takes: [.user(User(id: "cleo", name: "cleo")), .userRole(user: "cleo", role: "lead")])
  }

  @Test("removing a group removes its memberships; its users stay")
  func groupRemoved() throws {
    try check(
      .removeGroup("team"),
      takes: [
        .group(Group(id: "team", name: "team")), .groupMember(group: "team", user: "boris"),
        .member(project: "shop", .group("team")),
      ])
  }

  @Test("removing a role takes it from those who hold it")
  func roleRemoved() throws {
    try check(
      .removeRole("lead"),
      takes: [
        .role("lead"), .roleRight(role: "lead", right: Right.listProjects),
        .roleRight(role: "lead", right: "report.agents"),
        .userRole(user: "cleo", role: "lead"),
      ])
  }

  @Test("removing a project leaves its objects, in none or in the others")
  func projectRemoved() throws {
    try check(
      .removeProject("clinic"),
      takes: [
        .project(Project(id: "clinic", name: "The clinic")), .member(project: "clinic", .user("anna")),
        .placement(object("queue", "desk"), project: "clinic"),
        .placement(object("sip_provider", "trunk"), project: "clinic"),
        .placement(RemovalTests.debt, project: "clinic"),
      ])
    var company = try Company.sample()
    _ = try company.apply([.removeProject("clinic")])
    #expect(company.objects[object("queue", "desk")]?.projects == [])
    #expect(company.objects[RemovalTests.debt]?.projects == ["shop"])
    #expect(!company.sees("anna", object("queue", "desk")))
  }

  @Test("removing an object removes its placements")
  func objectRemoved() throws {
    try check(
      .removeObject(RemovalTests.debt),
      takes: [
        .object(Object(RemovalTests.debt, name: "debt")), .placement(RemovalTests.debt, project: "clinic"),
        .placement(RemovalTests.debt, project: "shop"),
      ])
  }

  @Test("a thing made again with the same id has none of the old links")
  func madeAgain() throws {
    var company = try Company.sample()
    _ = try company.apply([
      .removeUser("boris"), put(user: "boris"), .removeProject("clinic"), put(project: "clinic"),
      .removeObject(RemovalTests.debt), put(RemovalTests.debt), .removeGroup("team"), put(group: "team"),
    ])
    #expect(company.isInNoProject("boris") && company.users["boris"]?.groups == [])
    #expect(company.projects["clinic"]?.members == [] && company.projects["clinic"]?.objects == [])
    #expect(company.objects[RemovalTests.debt]?.projects == [])
    #expect(company.groups["team"]?.projects == [])
  }

  @Test("out of a group, a user is out of the group's projects")
  func outOfGroup() throws {
    var company = try Company.sample()
    #expect(company.sees("boris", RemovalTests.debt))
    _ = try company.apply([.removeFromGroup(group: "team", user: "boris")])
    #expect(!company.sees("boris", RemovalTests.debt))
    #expect(try company.apply([.removeFromGroup(group: "team", user: "boris")]).edits.isEmpty)
  }
}

@Suite("Batches") struct BatchTests {
  @Test("each change sees those before it")
  func inOrder() throws {
    let list = object("list", "l")
    let inOrder: [Change] = [put(project: "p"), put(list), .place(list, project: "p")]
    #expect(refusal(of: inOrder, in: try company([])) == nil)
    let refused = refusal(of: inOrder.reversed(), in: try company([]))
    #expect(refused?.index == 0 && refused?.error == .unknownObject(list))
  }

  @Test("a batch refused at its last change leaves the company as it was, whatever went before")
  func allOrNone() throws {
    let original = try Company.sample()
    let before: [[Change]] = [
      [.removeUser("boris")], [.removeGroup("team")], [.removeRole("lead")], [.removeProject("shop")],
      [.removeObject(object("queue", "desk"))], [.setMode(.simple), .removeUser("anna"), .setMode(.enhanced)],
      [.putProject(Project(id: "shop", name: "Renamed")), .putProject(Project(id: "new", name: "A shop"))],
      [.move(object("queue", "desk"), from: "clinic", to: "shop")], [put(user: "cleo"), put(user: "new")],
      [.putRole("lead", rights: ["other"])], [.removeCompany, .putCompany(.simple), put(user: "anna")],
    ]
    for changes in before {
      var company = original
      let batch = changes + [.removeUser("nobody")]
      #expect(throws: RefusedBatch.self) { try company.apply(batch) }
      #expect(refusal(of: batch, in: original)?.index == changes.count)
      #expect(refusal(of: batch, in: original)?.error == .unknownUser("nobody"))
      let isRestored = areEqual(company, original)
      #expect(isRestored, "\(changes)")
      #expect(faults(in: company) == [])
    }
  }

  @Test("an empty batch changes nothing")
  func empty() throws {
    var company = try Company.sample()
    #expect(try company.apply([]).edits.isEmpty)
  }

  @Test("an edit says what was before and after")
  func edits() throws {
    var company = try Company.sample()
    let edits = try company.apply([.putUser(User(id: "anna", name: "Anna"), roles: ["lead"])]).edits
    #expect(
      edits == [
        Edit(before: .user(User(id: "anna", name: "anna")), after: .user(User(id: "anna", name: "Anna"))),
        Edit(before: nil, after: .userRole(user: "anna", role: "lead")),
      ])
    #expect(edits.map(\.reversed).map(\.reversed) == edits)
  }

  @Test("equal companies give equal changes, in whatever order they came to be")
  func rebuildInOrder() throws {
    let links: [Change] = [
      .addMember(project: "a", .user("u")), .addMember(project: "b", .user("u")),
      .place(object("list", "l"), project: "a"),
      .place(object("list", "l"), project: "b"),
    ]
    let things = [put(project: "b"), put(project: "a"), put(user: "v"), put(user: "u"), put(object("list", "l"))]
    let (one, other) = (try company(things + links), try company(things.reversed() + links.reversed()))
    #expect(one.changesToRebuild() == other.changesToRebuild())
    #expect(areEqual(one, other))
    #expect(Company(id: "nowhere").changesToRebuild().isEmpty)
  }
}
