import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeIndex

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

private let phone: ObjectRef = "contact_field:phone"

/// The rules about who sees what, at the index. See `Tests/RULES.md`.
@Suite struct RulesOfVisibility {
  private let asked = try! Asked(changes)
  private let simple = try! Asked(changes, mode: .simple)

  @Test("tenant: nothing crosses companies; the same ids in two are different things")
  func tenant() throws {
    func company(_ id: Name, _ changes: [Change]) throws -> CompanyIndex {
      var company = Company(id: id)
      _ = try company.apply([.putCompany(.enhanced)] + changes)
      return CompanyIndex(company, seed: 5)
    }
    let common: [Change] = [.project("p"), .user("anna"), .object("queue:desk", in: ["p"])]
    let root = IndexRoot(
      revision: 1,
      companies: [try company("a", common + [.addMember(project: "p", .user("anna"))]), try company("b", common)],
      seed: 5)
    func reason(_ company: String) -> Reason? {
      withExtendedLifetime(root) {
        bytes(company) { root.company($0) }.map { view in
          let subject = bytes("anna") { view.subject(kind: SubjectKind.user, id: $0) }
          return bytes("desk") { id in
            bytes("") { view.check(subject, type: 16, id: id, right: $0).reason }
          }
        }
      }
    }
    #expect(reason("a") == .sharedProject && reason("b") == .noSharedProject)
  }

  @Test("unknown-company: an unknown company is denied, whoever asks for whatever")
  func unknownCompany() {
    let root = IndexRoot(revision: 1, companies: [asked.index], seed: 5)
    for id in ["x", "", "C", "c ", "cc"] { #expect(bytes(id) { root.company($0) } == nil, "'\(id)'") }
    #expect(bytes("c") { root.company($0) } != nil)
    #expect(!Reason.unknownCompany.allows)
  }

  @Test("unknown-subject: an unknown user, group, project or object as subject is denied")
  func unknownSubject() {
    for subject in ["user:x", "group:x", "project:x", "dialer:x", "user:team", "group:anna"] as [Subject] {
      for object in [phone, "queue:desk", "queue:x"] as [ObjectRef] {
        #expect(asked.check(subject, object) == .deny("unknown_subject"))
        #expect(simple.check(subject, object) == .deny("unknown_subject"))
      }
    }
  }

  @Test("unknown-object: an unknown object is denied to everyone")
  func unknownObject() {
    for subject in ["user:anna", "user:eve", "project:clinic", "queue:desk"] as [Subject] {
      #expect(asked.check(subject, "queue:x") == .deny("unknown_object"))
      #expect(simple.check(subject, "list:desk") == .deny("unknown_object"))
    }
  }

  @Test("blocked-user: a blocked user is denied, whatever the object, the mode, its rights and projects")
  func blockedUser() {
    for object in [phone, "queue:desk", "list:vip"] as [ObjectRef] {
      #expect(asked.check("user:dora", object) == .deny("subject_blocked"))
      #expect(simple.check("user:dora", object) == .deny("subject_blocked"))
    }
    #expect(asked.objects("user:dora") == [] && asked.projects("dora") == [:])
  }

  @Test("system-field-seen: a system contact field is allowed, before mode, rights and projects are looked at")
  func systemFieldSeen() {
    for subject in ["user:anna", "user:eve", "group:team", "project:shop", "list:vip"] as [Subject] {
      #expect(asked.check(subject, phone) == .allow("system_field"))
      #expect(simple.check(subject, phone) == .allow("system_field"))
    }
  }

  @Test("simple-mode: in simple mode everything is allowed to whoever is known and active")
  func simpleMode() {
    for subject in ["user:anna", "user:boris", "user:eve", "group:team", "project:shop", "list:vip"] as [Subject] {
      #expect(simple.check(subject, "queue:desk") == .allow("simple_mode"))
    }
  }

  @Test("see-all: a user with projects.see_all is allowed everything, before projects are looked at")
  func seeAll() throws {
    for object in ["queue:desk", "list:vip", "sip_provider:trunk"] as [ObjectRef] {
      #expect(asked.check("user:eve", object) == .allow("see_all"))
    }
    let member = try Asked(changes + [.addMember(project: "clinic", .user("eve"))])
    #expect(member.check("user:eve", "queue:desk") == .allow("see_all"))
  }

  @Test("shared-project: a user sees what is in a project that it is in itself")
  func sharedProject() {
    #expect(asked.check("user:anna", "queue:desk") == .allow("shared_project", project: "clinic"))
    #expect(asked.check("user:anna", "sip_provider:trunk") == .allow("shared_project", project: "clinic"))
  }

  @Test("shared-through-group: a user sees what is in a project of one of its groups")
  func sharedThroughGroup() throws {
    let trunk: ObjectRef = "sip_provider:trunk"
    #expect(asked.check("user:boris", trunk) == .allow("shared_project", project: "shop", group: "team"))
    let left = try Asked(changes + [.removeFromGroup(group: "team", user: "boris")])
    #expect(left.check("user:boris", trunk) == .deny("no_shared_project"))
  }

  @Test("group-as-subject: a group sees what is in its projects")
  func groupAsSubject() {
    #expect(asked.check("group:team", "sip_provider:trunk") == .allow("shared_project", project: "shop"))
    #expect(asked.check("group:team", "queue:desk") == .deny("no_shared_project"))
  }

  @Test("project-as-subject: a project as subject is that one project")
  func projectAsSubject() {
    #expect(asked.check("project:clinic", "queue:desk") == .allow("shared_project", project: "clinic"))
    #expect(asked.check("project:shop", "sip_provider:trunk") == .allow("shared_project", project: "shop"))
    #expect(asked.check("project:shop", "queue:desk") == .deny("no_shared_project"))
  }

  @Test("object-as-subject: an object (a dialer, a scenario, a phone) sees what shares a project with it")
  func objectAsSubject() throws {
    let asked = try Asked(
      changes + [.object("dialer:d", in: ["clinic"]), .object("call_scenario:s", in: ["shop"]), .object("ip_phone:p")])
    #expect(asked.check("dialer:d", "queue:desk") == .allow("shared_project", project: "clinic"))
    #expect(asked.check("call_scenario:s", "sip_provider:trunk") == .allow("shared_project", project: "shop"))
    #expect(asked.check("call_scenario:s", "queue:desk") == .deny("no_shared_project"))
    #expect(asked.check("ip_phone:p", "ip_phone:p") == .deny("no_shared_project"), "it is in no project")
  }

  @Test(
    "project-as-object: a project is seen by whoever is in it; with projects.list alone it is denied, as one whose tile may be shown"
  )
  func projectAsObject() {
    #expect(asked.check("user:anna", .project("clinic")) == .allow("shared_project", project: "clinic"))
    #expect(asked.check("user:boris", .project("shop")) == .allow("shared_project", project: "shop", group: "team"))
    #expect(asked.check("user:anna", .project("shop")) == .deny("no_shared_project"))
    #expect(asked.check("user:fred", .project("shop")) == .deny("tile_only"))
    #expect(asked.check("user:eve", .project("shop")) == .allow("see_all"))
    #expect(simple.check("user:fred", .project("shop")) == .allow("simple_mode"))
    #expect(asked.filter("user:fred", type: "project", ["shop", "clinic", "none"]) == [false, true, false])
    #expect(asked.filter("user:eve", type: "project", ["shop", "clinic"], project: "shop") == [true, false])
  }

  @Test("person-as-object: a user or a group is seen by whoever shares a project with it")
  func personAsObject() {
    #expect(asked.check("user:anna", .user("dora")) == .allow("shared_project", project: "clinic"))
    #expect(asked.check("user:anna", .user("boris")) == .deny("no_shared_project"))
    #expect(asked.check("user:boris", .group("team")) == .allow("shared_project", project: "shop", group: "team"))
    #expect(asked.check("user:anna", .group("team")) == .deny("no_shared_project"))
    #expect(simple.check("user:anna", .group("team")) == .allow("simple_mode"))
    #expect(asked.filter("user:anna", type: "user", ["fred", "boris", "anna"]) == [true, false, true])
    #expect(asked.filter("user:eve", type: "user", ["fred", "boris"], project: "shop") == [false, true])
  }

  @Test("otherwise-deny: whoever shares no project with an object is denied")
  func otherwiseDeny() {
    #expect(asked.check("user:boris", "queue:desk") == .deny("no_shared_project"))
    #expect(asked.check("user:fred", "list:vip") == .deny("no_shared_project"), "projects.list shows no contents")
    #expect(asked.check("list:vip", "queue:desk") == .deny("no_shared_project"))
  }

  @Test("right-in-check: a check that names a right is allowed only where the user holds it as well")
  func rightInCheck() {
    let allowed = NaiveAnswer.allow("shared_project", project: "clinic")
    #expect(asked.check("user:fred", "queue:desk", right: "report.agents") == allowed)
    #expect(asked.check("user:anna", "queue:desk", right: "report.agents") == .deny("right_missing"))
    #expect(asked.check("user:fred", "list:vip", right: "report.agents") == .deny("no_shared_project"))
    #expect(asked.check("user:anna", phone, right: "report.agents") == .deny("right_missing"))
    #expect(simple.check("user:anna", "queue:desk", right: "report.agents") == .deny("right_missing"))
    #expect(asked.check("project:clinic", "queue:desk", right: "report.agents") == .deny("right_missing"))
  }

  @Test("answer: every answer carries reason code, revision, and project and group where it is allowed through one")
  func answer() throws {
    // The first of several in byte order; the group only where the user is not in the project itself.
    let both = try Asked(
      changes + [
        .addMember(project: "shop", .user("anna")), .group("a"), .addMember(project: "shop", .group("a")),
        .addToGroup(group: "a", user: "anna"), .addToGroup(group: "a", user: "boris"),
      ])
    let trunk: ObjectRef = "sip_provider:trunk"
    #expect(both.check("user:anna", trunk) == .allow("shared_project", project: "clinic"))
    #expect(both.check("user:anna", "contact_field:debt") == .allow("shared_project", project: "shop"))
    #expect(both.check("user:boris", trunk) == .allow("shared_project", project: "shop", group: "a"))
    #expect(Set(Reason.allCases.map(\.code)).count == Reason.allCases.count)
    #expect(IndexRoot(revision: 7, companies: [both.index], seed: 5).revision == 7)
  }

  @Test("three-answers: allow, deny and unavailable stay three different things; an error is never an answer")
  func threeAnswers() {
    // Each reason is that of a yes or of a no: none stands for an error.
    #expect(Reason.allCases.filter(\.allows) == [.systemField, .simpleMode, .seeAll, .sharedProject])
    #expect(!Reason.allCases.contains { $0.code == "unavailable" || $0.rawValue == 0 })
  }
}

/// The rule about when a change is seen, at the index.
@Suite struct RulesOfPublication {
  @Test("at-once: a change is acknowledged only when every later check sees it")
  func atOnce() throws {
    var company = Company(id: "c")
    _ = try company.apply([.putCompany(.enhanced)] + changes)
    let publisher = IndexPublisher(
      IndexRoot(revision: 1, companies: [CompanyIndex(company, seed: 5)], seed: 5))
    // What every event loop does before it answers.
    var readers = (0..<3).map { _ in IndexPublisher.Cursor(publisher) }
    func seen(_ reader: inout IndexPublisher.Cursor) -> Bool {
      reader.refresh()
      let view = bytes("c") { reader.root.company($0)! }
      let boris = bytes("boris") { view.subject(kind: SubjectKind.user, id: $0) }
      return bytes("desk") { view.isVisible(boris, type: 16, id: $0, within: .none) }
    }
    for index in readers.indices { #expect(!seen(&readers[index])) }
    let edits = try company.apply([.addMember(project: "clinic", .user("boris"))]).edits
    let previous = publisher.root.index(of: "c")
    let next = CompanyIndex(company, seed: 5, previous: previous, edits: edits)
    publisher.publish(publisher.root.replacing(["c": next], revision: 2, seed: 5))
    for index in readers.indices { #expect(seen(&readers[index])) }
  }
}

/// The rules about lists, at the index.
@Suite struct RulesOfLists {
  private let asked = try! Asked(changes)

  @Test("projects-all: with projects.see_all a user gets all projects, contents visible")
  func projectsAll() { #expect(asked.projects("eve") == ["clinic": true, "shop": true]) }

  @Test("projects-tiles: with projects.list a user gets all tiles, contents visible only for its own")
  func projectsTiles() { #expect(asked.projects("fred") == ["clinic": true, "shop": false]) }

  @Test("projects-own: any other user gets its own projects")
  func projectsOwn() {
    #expect(asked.projects("anna") == ["clinic": true] && asked.projects("boris") == ["shop": true])
  }

  @Test("filter-order: FilterObjects gives the visible ids in the order asked, and keeps duplicates")
  func filterOrder() {
    let ids = ["phone", "x", "diagnosis", "debt", "phone", "diagnosis"]
    #expect(asked.filter("user:anna", type: "contact_field", ids) == [true, false, true, false, true, true])
  }

  @Test("filter-many: FilterObjects takes tens of thousands of ids, and never cuts the answer short silently")
  func filterMany() {
    let ids = (0..<60_000).map { $0 % 3 == 0 ? "diagnosis" : "x\($0)" }
    #expect(asked.filter("user:anna", type: "contact_field", ids) == ids.map { $0 == "diagnosis" })
  }

  @Test("filter-project: FilterObjects can be narrowed to one project")
  func filterProject() {
    let ids = ["debt", "diagnosis", "phone"]
    #expect(asked.filter("user:eve", type: "contact_field", ids, project: "shop") == [true, false, true])
    #expect(asked.filter("user:anna", type: "contact_field", ids, project: "shop") == [false, false, true])
    #expect(asked.filter("user:eve", type: "contact_field", ids, project: "x") == [false, false, false])
  }

  @Test("report-objects: choosing a project gives its queues and dialers in one call")
  func reportObjects() throws {
    let asked = try Asked(
      changes + [
        .object("queue:second", in: ["clinic"]), .object("dialer:recall", in: ["clinic"]),
        .object("dialer:sales", in: ["shop"]), .object("list:numbers", in: ["clinic"]),
      ])
    let wanted: [ObjectRef] = ["queue:desk", "queue:second", "dialer:recall"]
    #expect(asked.objects("user:anna", types: ["dialer", "queue"], project: "clinic") == wanted)
    #expect(asked.objects("user:eve", types: ["dialer", "queue"], project: "clinic") == wanted)
    #expect(asked.objects("user:anna", types: ["dialer", "queue"], project: "shop") == [])
  }

  @Test("report-columns: a report's contact columns are the project's fields and the system fields, nothing else")
  func reportColumns() {
    let columns: [ObjectRef] = ["contact_field:diagnosis", "contact_field:name", "contact_field:phone"]
    #expect(asked.objects("user:anna", types: ["contact_field"], project: "clinic") == columns)
    #expect(asked.objects("user:eve", types: ["contact_field"], project: "clinic") == columns)
  }
}
