import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeIndex

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

/// The rules about looking things over, at the index: the facts that the listings rest on. See `Tests/RULES.md`.
@Suite struct RulesOfOverview {
  private let asked = try! Asked(changes)

  @Test("user-projects: a user's projects can be asked for, with the group through which it is in each")
  func userProjects() {
    let facts = asked.view { view in
      let user = view.user(bytes("anna") { view.userNumber($0) }!, telling: 20)
      return user.ways.map { [text($0.project), text($0.group)] }
    }
    #expect(facts == [["clinic", nil], ["shop", "team"]])
  }

  @Test("users-by-project: users can be listed by project, those included who are in it through a group")
  func usersByProject() {
    func users(_ project: String) -> [Name] {
      asked.users { view, user in view.isUser(user, inProject: bytes(project) { view.projectNumber($0) }!) }
    }
    #expect(users("clinic") == ["anna"] && users("shop") == ["anna", "boris"] && users("empty") == [])
  }

  @Test("users-by-group: users can be listed by group")
  func usersByGroup() {
    func users(_ group: String) -> [Name] {
      asked.users { view, user in view.isUser(user, inGroup: bytes(group) { view.groupNumber($0) }!) }
    }
    #expect(users("team") == ["anna", "boris"] && users("idle") == [])
  }

  @Test("users-by-text: users can be found by a text in id or name, in capitals or not")
  func usersByText() {
    // The index tells both; the listing looks through them.
    let told = asked.view { view in (0..<view.userCount).map { [text(view.userID($0)), text(view.userName($0))] } }
    #expect(told == [["anna", "Zoe"], ["boris", "Boris"], ["cleo", "Anton"]])
  }

  @Test("users-in-none: users can be listed who are in no project, neither themselves nor through a group")
  func usersInNone() { #expect(asked.users { view, user in view.isInNoProject(user: user) } == ["cleo"]) }

  @Test("users-sorted: users can be sorted by name or by group")
  func usersSorted() {
    // The index tells each user's groups with their names; the listing sorts.
    let groups = asked.view { view in
      (0..<view.userCount).map { user in view.groups(ofUser: user).map { text(view.groupName($0)) } }
    }
    #expect(groups == [["Sales"], ["Night", "Sales"], []])
  }

  @Test("who-can-see: who can see an object can be asked, and why")
  func whoCanSee() {
    let viewers = asked.view { view in
      (0..<view.userCount).compactMap { user in
        bytes("debt") { view.viewer(user, of: $0, type: ObjectType.contactField.number) }.map { row in
          [text(row.id), row.answer.reason.code, text(row.answer.project), text(row.answer.group)]
        }
      }
    }
    #expect(viewers == [["anna", "shared_project", "clinic", nil], ["boris", "shared_project", "shop", "team"]])
  }

  @Test("what-sees: what a user sees can be asked, and why")
  func whatSees() {
    let seen = asked.view { view in
      let boris = bytes("boris") { view.subject(kind: SubjectKind.user, id: $0) }
      return (0..<view.objectCount).compactMap { view.seenObject($0, by: boris, within: .none) }.map {
        [text($0.row.id), $0.answer.reason.code, text($0.answer.project), text($0.answer.group)]
      }
    }
    #expect(
      seen == [
        ["debt", "shared_project", "shop", "team"], ["name", "system_field", nil, nil],
        ["phone", "system_field", nil, nil],
      ])
  }

  @Test("what-saw: what a user saw at an earlier time can be asked")
  func whatSaw() throws {
    // An earlier state is today's with the edits since taken back, and is compiled and asked like today's.
    var company = Company(id: "c")
    _ = try company.apply([.putCompany(.enhanced)] + changes)
    let since = try company.apply([.removeProject("clinic"), .removeUser("cleo")]).edits
    func seen() -> Bool {
      let view = CompanyIndex(company, seed: 5)
      return withExtendedLifetime(view) {
        let anna = bytes("anna") { view.view.subject(kind: SubjectKind.user, id: $0) }
        return bytes("desk") { view.view.isVisible(anna, type: 16, id: $0, within: .none) }
      }
    }
    #expect(!seen())
    company.undo(since)
    #expect(seen())
  }
}

/// The rules about what a check-up finds, at the index: the facts that the findings rest on.
@Suite struct RulesOfCheckUp {
  private let asked = try! Asked(changes)

  /// Objects for which the index tells this.
  private func objects(where isWanted: (CompanyView, Int) -> Bool) -> [String?] {
    asked.view { view in (0..<view.objectCount).filter { isWanted(view, $0) }.map { text(view.object($0).id) } }
  }

  @Test("lonely-objects: the check-up finds objects in no project, contact fields above all")
  func lonelyObjects() {
    let lonely = objects { view, number in view.projectCount(ofObject: number) == 0 && !view.isSystem(object: number) }
    #expect(lonely == ["vip", "loose"])
  }

  @Test("shared-fields: the check-up finds contact fields that several projects share")
  func sharedFields() {
    let fields = objects { view, number in
      view.projectCount(ofObject: number) > 1 && view.objectType(number) == ObjectType.contactField.number
    }
    #expect(fields == ["debt"])
  }

  @Test("lonely-users: the check-up finds users in no project")
  func lonelyUsers() { #expect(asked.users { view, user in view.isInNoProject(user: user) } == ["cleo"]) }

  @Test("users-still-in-default: the check-up finds users in Default beside a project of their own")
  func usersStillInDefault() throws {
    let asked = try Asked(
      changes + [
        .project("d", named: "Default"), .addMember(project: "d", .user("anna")),
        .addMember(project: "d", .user("cleo")),
      ])
    let found = asked.users { view, user in
      let fallback = bytes("d") { view.projectNumber($0) }!
      return view.ownProjects(ofUser: user).contains(fallback) && view.projects(ofUser: user).count > 1
    }
    #expect(found == ["anna"])
  }

  @Test("projects-without-users: the check-up finds projects with no users, groups' members counted")
  func projectsWithoutUsers() {
    let used = asked.view { view in Set((0..<view.userCount).flatMap { view.projects(ofUser: $0) }).count }
    #expect(used == 2 && asked.view { $0.projectCount } == 3)
  }

  @Test("projects-without-objects: the check-up finds projects with no objects")
  func projectsWithoutObjects() {
    let used = asked.view { view in Set((0..<view.objectCount).flatMap { view.projects(ofObject: $0) }).count }
    #expect(used == 2 && asked.view { $0.projectCount } == 3)
  }

  @Test("groups-without-members: the check-up finds groups with no members")
  func groupsWithoutMembers() {
    let used = asked.view { view in
      Set((0..<view.userCount).flatMap { view.groups(ofUser: $0) }).map { text(view.groupID($0)) }
    }
    #expect(Set(used) == ["team", "night"] && asked.view { $0.groupCount } == 3)
  }
}
