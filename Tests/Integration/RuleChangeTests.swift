import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// The rules about the security mode, creation and deletion, over the wire. See `Tests/RULES.md`.
@Suite struct RulesOfChangesOverTheWire {
  @Test("to-enhanced: users and objects in no project go into the project named Default; the first switch takes all")
  func toEnhanced() async throws {
    try await withCompany([.user("anna"), .object("queue:desk"), .object("contact_field:debt")], mode: .simple) {
      c async throws in
      try c.apply(.setMode(.enhanced))
      var fallback = try c.wire.project("default")
      #expect(fallback.name == "Default" && fallback.members == ["user:anna"])
      #expect(fallback.objects == ["queue:desk", "contact_field:debt"])
      #expect(c.check("user:anna", "queue:desk") == ["allow", "shared_project", "default"])
      // Later, only what is in none.
      try c.apply(
        .setMode(.simple), .project("p"), .user("boris", in: ["p"]), .user("cleo"), .object("list:l", in: ["p"]),
        .object("list:m"), .setMode(.enhanced))
      fallback = try c.wire.project("default")
      #expect(fallback.members == ["user:anna", "user:cleo"])
      #expect(fallback.objects == ["queue:desk", "list:m", "contact_field:debt"])
    }
  }

  @Test func toEnhancedInAnEmptyCompany() async throws {
    try await withCompany([], mode: .simple) { c async throws in
      try c.apply(.setMode(.enhanced))
      #expect(try c.wire.project("default").name == "Default")
    }
  }

  @Test("to-enhanced-told: the answer to the switch tells what went into Default")
  func toEnhancedTold() async throws {
    try await withCompany([.user("boris"), .user("anna"), .object("queue:desk")], mode: .simple) { c async throws in
      let gathered = try #require(try c.wire.apply([.setMode(.enhanced)]).gathered)
      #expect(gathered.project == "default" && gathered.users == 2 && gathered.objects == 1)
      #expect(gathered.first == ["user:anna", "user:boris", "queue:desk"])
    }
  }

  @Test("still-in-default: a user given a project stays in Default until removed from it, and the answer says so")
  func stillInDefault() async throws {
    try await withCompany([.user("anna"), .project("p"), .project("q")], mode: .simple) { c async throws in
      try c.apply(.setMode(.enhanced))
      let result = try c.apply(.addMember(project: "p", .user("anna")))
      #expect(result.warnings.map(\.reason) == ["still_in_default"] && result.warnings.first?.projects == ["default"])
      #expect(try c.wire.user("anna").projects == ["default", "p"])
      try c.apply(.removeMember(project: "default", .user("anna")))
      #expect(try c.apply(.addMember(project: "q", .user("anna"))).warnings.isEmpty)
      #expect(try c.wire.user("anna").projects == ["p", "q"])
    }
  }

  @Test("to-simple: everyone sees everything again; projects and placements are kept")
  func toSimple() async throws {
    try await withCompany([
      .project("p"), .user("in", in: ["p"]), .user("out"), .object("queue:desk", in: ["p"]),
    ]) { c async throws in
      let before = try c.wire.project("p")
      #expect(!c.allows("user:out", "queue:desk"))
      #expect(try c.apply(.setMode(.simple)).edits == 1)
      #expect(c.allows("user:out", "queue:desk"))
      #expect(try c.wire.project("p") == before && before.objects == ["queue:desk"])
    }
  }

  @Test("created-user: a new user may name its projects in the change that creates it")
  func createdUser() async throws {
    try await withCompany([.project("a"), .project("b")]) { c async throws in
      try c.apply(.user("anna", in: ["a", "b"]))
      #expect(try c.wire.user("anna").projects == ["a", "b"])
      #expect(c.outcome(of: .user("boris", in: ["a", "x"])) == "unknown_project")
      #expect(c.check("user:boris", "contact_field:phone") == ["deny", "unknown_subject"])
    }
  }

  @Test("created-object: a new object may name its projects in the change that creates it")
  func createdObject() async throws {
    try await withCompany([.project("a"), .project("b")]) { c async throws in
      try c.apply(.object("list:vip", in: ["a", "b"]))
      #expect(try c.wire.projects(of: "list:vip") == ["a", "b"])
      #expect(c.outcome(of: .object("queue:desk", in: ["a", "b"])) == "exclusively_placed")
    }
  }

  @Test("created-in-none: with no projects named, a new object is visible only to projects.see_all")
  func createdInNone() async throws {
    try await withCompany([
      .putRole("auditor", rights: ["projects.see_all"]), .user("eve", roles: ["auditor"]), .project("p"),
      .user("anna", in: ["p"]),
    ]) { c async throws in
      try c.apply(.object("list:vip"))
      #expect(c.allows("user:eve", "list:vip") && !c.allows("user:anna", "list:vip"))
      var viewers: [String] = []
      try c.client.whoCanSee("list:vip") { viewers.append($0.id) }
      #expect(viewers == ["eve"])
    }
  }
}

/// The rules about deletion, over the wire.
@Suite struct RulesOfDeletionOverTheWire {
  /// anna is in `p` herself and in `team`, which is in `p`; the queue and the list are in `p`, the list in `q` too.
  private let sample: [Change] = [
    .project("p"), .project("q"), .group("team"), .user("anna", in: ["p"]), .addToGroup(group: "team", user: "anna"),
    .addMember(project: "p", .group("team")), .object("queue:desk", in: ["p"]), .object("list:vip", in: ["p", "q"]),
  ]

  @Test("delete-project: its memberships and placements go with it; its objects are then in none")
  func project() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.removeProject("p"))
      #expect(try c.wire.user("anna").projects == [])
      #expect(try c.wire.projects(of: "queue:desk") == [] && c.wire.projects(of: "list:vip") == ["q"])
      #expect(c.check("user:anna", "queue:desk") == ["deny", "no_shared_project"])
      try c.apply(.project("p"))
      let again = try c.wire.project("p")
      #expect(again.members == [] && again.objects == [], "nothing comes back with it")
    }
  }

  @Test("delete-user: its memberships go with it")
  func user() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.removeUser("anna"))
      #expect(try c.wire.project("p").members == ["group:team"] && c.wire.groups().map(\.users) == [0])
      try c.apply(.user("anna"))
      #expect(c.check("user:anna", "queue:desk") == ["deny", "no_shared_project"])
    }
  }

  @Test("delete-group: its memberships go with it; its users stay")
  func group() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.removeMember(project: "p", .user("anna")), .removeGroup("team"))
      #expect(try c.wire.project("p").members == [] && c.wire.user("anna").groups == [])
      #expect(c.check("user:anna", "queue:desk") == ["deny", "no_shared_project"])
    }
  }

  @Test("delete-object: its placements go with it")
  func object() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.removeObject("list:vip"))
      #expect(try c.wire.project("p").objects == ["queue:desk"] && c.wire.project("q").objects == [])
      try c.apply(.object("list:vip"))
      #expect(try c.wire.projects(of: "list:vip") == [])
    }
  }
}

/// The rules about acting users, over the wire.
@Suite struct RulesOfActorsOverTheWire {
  /// `actor` may do everything without seeing everything. It is in `mine`; `theirs` is none of its own.
  private static let rights: [Name] = [
    "projects.manage", "projects.manage_access", "users.manage", "roles.manage", "company.manage",
  ]
  private let sample: [Change] = [
    .project("mine"), .project("theirs"), .putRole("manager", rights: rights),
    .putRole("weak", rights: ["users.manage"]), .putRole("strong", rights: ["projects.see_all"]),
    .user("actor", roles: ["manager"], in: ["mine"]), .user("u"), .group("team"),
    .addMember(project: "theirs", .group("team")),
    .object("list:mine", in: ["mine"]), .object("list:theirs", in: ["theirs"]), .object("list:loose"),
  ]

  /// Tries a change; returns the reason it would be refused for, or `accepted`.
  private func trial(_ c: RuleCompany, _ change: Change) throws -> String {
    do { _ = try c.wire.preview([change], actor: "actor") } catch let refusal as WireRefusal {
      #expect(refusal.code == 7 && refusal.position == 1)
      return refusal.reason
    }
    return "accepted"
  }

  @Test("actor-right: an acting user needs the right for what it does")
  func right() async throws {
    let needs: [(Change, Name)] = [
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
    ]
    try await withCompany(sample) { c async throws in
      for right in Set(needs.map(\.1)) {
        try c.apply(.putRole("manager", rights: [right, "projects.see_all"]))
        for (change, needed) in needs {
          #expect(try trial(c, change) == (needed == right ? "accepted" : "right_missing"), "\(right): \(change)")
        }
      }
      #expect(c.outcome(of: .user("new"), actor: "nobody") == "unknown_actor")
      try c.apply(.user("actor", roles: ["admin"], isBlocked: true))
      #expect(c.outcome(of: .user("new"), actor: "actor") == "actor_blocked")
    }
  }

  @Test("reach-projects: without projects.see_all one manages only projects one is a member of")
  func projects() async throws {
    let changes: [(Name) -> Change] = [
      { .project($0, named: "Renamed") }, { .removeProject($0) }, { .addMember(project: $0, .user("u")) },
      { .removeMember(project: $0, .group("team")) }, { .place("list:mine", project: $0) },
      { .user("new", in: [$0]) }, { .object("list:new", in: [$0]) },
    ]
    try await withCompany(sample) { c async throws in
      for change in changes {
        #expect(try trial(c, change("mine")) == "accepted")
        #expect(try trial(c, change("theirs")) == "project_out_of_reach", "\(change("theirs"))")
      }
      #expect(try trial(c, .addToGroup(group: "team", user: "actor")) == "group_out_of_reach")
      try c.apply(.user("actor", roles: ["manager", "strong"]))
      for change in changes { #expect(try trial(c, change("theirs")) == "accepted") }
    }
  }

  @Test("reach-objects: without projects.see_all one places only objects one can see")
  func objects() async throws {
    try await withCompany(sample) { c async throws in
      for ref in ["list:theirs", "list:loose"] as [ObjectRef] {
        #expect(c.outcome(of: .place(ref, project: "mine"), actor: "actor") == "object_out_of_reach")
        #expect(c.outcome(of: .removeObject(ref), actor: "actor") == "object_out_of_reach")
      }
      #expect(c.outcome(of: .place("list:mine", project: "mine"), actor: "actor") == "applied")
    }
  }

  @Test("reach-grants: one grants only rights one holds, to users and to roles")
  func grants() async throws {
    try await withCompany(sample) { c async throws in
      #expect(c.outcome(of: .user("u", roles: ["weak"]), actor: "actor") == "applied")
      #expect(c.outcome(of: .user("u", roles: ["strong"]), actor: "actor") == "right_not_held")
      #expect(c.outcome(of: .user("actor", roles: ["manager", "strong"]), actor: "actor") == "right_not_held")
      #expect(c.outcome(of: .putRole("weak", rights: ["projects.see_all"]), actor: "actor") == "right_not_held")
      #expect(c.outcome(of: .user("u", roles: ["admin"]), actor: "actor") == "role_not_held")
    }
  }

  /// Beside `sample`: `both` is in two projects, `far` as well, and `boss` holds more.
  private func withShared(_ body: (RuleCompany) async throws -> Void) async throws {
    let more: [Change] = [
      .object("list:both", in: ["mine", "theirs"]), .setPurpose(list: "both", .unwanted),
      .putRole("boss", rights: ["report.pay"]), .putRole("pair", rights: ["users.manage"]),
      .user("near", roles: ["pair"], in: ["mine"]), .user("far", in: ["mine", "theirs"]),
      .user("boss", roles: ["boss"], in: ["mine"]), .group("ours"), .addMember(project: "mine", .group("ours")),
      .user("root", roles: ["admin"]),
    ]
    try await withCompany(sample + more, body)
  }

  @Test(
    "taking-objects: an object is deleted only by who is in every project it is in, and so is a list's purpose changed")
  func takingObjects() async throws {
    try await withShared { c async throws in
      let changes: [Change] = [.removeObject("list:both"), .setPurpose(list: "both", .vip)]
      for change in changes { #expect(try trial(c, change) == "object_shared") }
      #expect(try trial(c, .unplace("list:both", project: "mine")) == "accepted")
      #expect(try trial(c, .unplace("list:both", project: "theirs")) == "project_out_of_reach")
      try c.apply(.unplace("list:both", project: "theirs"))
      for change in changes { #expect(try trial(c, change) == "accepted") }
      #expect(c.outcome(of: .removeObject("list:both"), actor: "actor") == "applied")
    }
  }

  @Test(
    "taking-users: users are blocked, unblocked, renamed, regrouped, deleted and lose roles only by who covers their projects and rights"
  )
  func takingUsers() async throws {
    try await withShared { c async throws in
      for (user, roles, reason) in [
        ("near", ["pair"], "accepted"), ("far", [], "user_out_of_reach"), ("boss", ["boss"], "user_holds_more"),
      ] as [(Name, [Name], String)] {
        for change in [
          .user(user, roles: roles, isBlocked: true), .removeUser(user), .addToGroup(group: "ours", user: user),
          .removeFromGroup(group: "ours", user: user), .putUser(User(id: user, name: "Renamed"), roles: roles),
        ] as [Change] {
          #expect(try trial(c, change) == reason, "\(change)")
        }
      }
      #expect(try trial(c, .user("boss")) == "user_holds_more", "less a role")
      try c.apply(.user("far", isBlocked: true))
      #expect(try trial(c, .user("far")) == "user_out_of_reach", "unblocked")
    }
  }

  @Test(
    "taking-groups: a group is renamed and deleted only by who is in its projects, and deleted only by who covers its users"
  )
  func takingGroups() async throws {
    try await withShared { c async throws in
      let renamed: (Name) -> Change = { .putGroup(Group(id: $0, name: "Renamed")) }
      for change in [.removeGroup("team"), renamed("team")] as [Change] {
        #expect(try trial(c, change) == "group_out_of_reach")
      }
      for change in [.removeGroup("ours"), renamed("ours")] as [Change] { #expect(try trial(c, change) == "accepted") }
      try c.apply(.addToGroup(group: "ours", user: "far"))
      #expect(try trial(c, .removeGroup("ours")) == "user_out_of_reach")
    }
  }

  @Test("taking-roles: a role is narrowed and deleted only by who holds what it loses and covers all who have it")
  func takingRoles() async throws {
    try await withShared { c async throws in
      for change in [.removeRole("boss"), .putRole("boss", rights: [])] as [Change] {
        #expect(try trial(c, change) == "right_out_of_reach")
      }
      for change in [.removeRole("pair"), .putRole("pair", rights: [])] as [Change] {
        #expect(try trial(c, change) == "accepted")
      }
      try c.apply(.user("far", roles: ["pair"]))
      for change in [.removeRole("pair"), .putRole("pair", rights: [])] as [Change] {
        #expect(try trial(c, change) == "user_out_of_reach")
      }
    }
  }

  @Test("last-admin: the last holder of admin is taken away by the platform alone")
  func lastAdmin() async throws {
    try await withShared { c async throws in
      try c.apply(.user("actor", roles: ["manager", "strong"]))
      let ways: [Change] = [.user("root", roles: ["admin"], isBlocked: true), .user("root"), .removeUser("root")]
      for change in ways {
        #expect(try trial(c, change) == "last_admin", "\(change)")
        #expect(c.outcome(of: change, actor: "root") == "last_admin")
      }
      #expect(c.outcome(of: .user("next", roles: ["admin"]), .removeUser("root"), actor: "root") == "applied")
      #expect(c.outcome(of: .removeUser("next")) == "applied", "by the platform")
    }
  }

  @Test("creator: the creator of a project becomes a member of it")
  func creator() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.project("new"), actor: "actor")
      #expect(try c.wire.project("new").members == ["user:actor"])
      #expect(try c.projects("actor") == ["mine": true, "new": true])
    }
  }
}

/// The rules about batches, previews and the record, over the wire.
@Suite struct RulesOfBatchesOverTheWire {
  private let sample: [Change] = [
    .project("p"), .user("anna", in: ["p"]), .user("boris"), .object("queue:desk", in: ["p"]),
    .user("boss", roles: ["admin"]),
  ]

  @Test("at-once: a change is acknowledged only when every later check sees it")
  func atOnce() async throws {
    try await withCompany(sample) { c async throws in
      let others = [try c.daemon.client("c", over: .tcp), try c.daemon.client("c")]
      for round in 0..<50 {
        let isIn = round % 2 == 0
        let change = isIn ? Change.addMember(project: "p", .user("boris")) : .removeMember(project: "p", .user("boris"))
        let revision = try c.apply(change).revision
        for client in others {
          let answer = client.check("user:boris", "queue:desk")
          #expect((answer.verdict == .allow) == isIn && answer.revision == revision)
        }
      }
    }
  }

  @Test("all-or-none: several changes sent as one are applied all or none, and a refusal names the line")
  func allOrNone() async throws {
    try await withCompany(sample) { c async throws in
      let before = try c.digest()
      let batch: [Change] = [.addMember(project: "p", .user("boris")), .removeProject("p"), .removeUser("nobody")]
      let refusal = #expect(throws: WireRefusal.self) { try c.wire.apply(batch) }
      #expect(refusal?.reason == "unknown_user" && refusal?.position == 3)
      #expect(try c.digest() == before && c.log().count == 1)
      _ = try c.wire.apply(Array(batch.dropLast()))
      #expect(c.check("user:anna", "queue:desk") == ["deny", "no_shared_project"])
    }
  }

  @Test("preview: each change can be tried without effect: who would gain and lose which objects")
  func preview() async throws {
    try await withCompany(sample) { c async throws in
      let before = try c.digest()
      let batch: [Change] = [.removeMember(project: "p", .user("anna")), .addMember(project: "p", .user("boris"))]
      let told = try c.wire.preview(batch)
      #expect(told.gained == 1 && told.lost == 1)
      #expect(told.first == ["anna loses queue:desk", "boris gains queue:desk"])
      let refusal = #expect(throws: WireRefusal.self) { try c.wire.preview(batch + [.removeUser("x")]) }
      #expect(refusal?.reason == "unknown_user" && refusal?.position == 3)
      #expect(try c.digest() == before && c.log().count == 1 && c.client.health().revision == 1)
      let done = try c.wire.apply(batch)
      #expect(done.edits == told.edits && done.first == told.first, "it comes as it was foretold")
    }
  }

  @Test("record: every change is recorded with who, through which caller, when, and what it was before and after")
  func record() async throws {
    try await withCompany(sample) { c async throws in
      let start = Int64(Date().timeIntervalSince1970 * 1e6)
      try c.apply(.object("queue:desk", named: "Front desk"), actor: "boss")
      try c.apply(.removeProject("p"))
      let end = Int64(Date().timeIntervalSince1970 * 1e6)
      let records = try c.log()
      #expect(records.map(\.revision) == [1, 2, 3] && records.map(\.actor) == ["", "boss", ""])
      #expect(records.allSatisfy { $0.caller == "uid:\(getuid())" })
      #expect(records.dropFirst().allSatisfy { (start...end).contains($0.timeMicroseconds) })
      #expect(records[1].edits.map(\.before) == [["object", "queue", "desk", "desk", "custom"]])
      #expect(records[1].edits.map(\.after) == [["object", "queue", "desk", "Front desk", "custom"]])
      #expect(
        records[2].edits.map(\.before) == [
          ["placement", "queue", "desk", "p"], ["project_user", "p", "anna"], ["project", "p", "p", ""],
        ])
      #expect(records[2].edits.allSatisfy { $0.after.isEmpty })
    }
  }

  @Test("record-asked: the record can be asked for by project, user, object, actor and time")
  func recordAsked() async throws {
    try await withCompany(sample) { c async throws in
      try c.apply(.removeMember(project: "p", .user("anna")), actor: "boss")
      try c.apply(.object("queue:desk", named: "Front desk"))
      try c.apply(.project("q"), actor: "boss")
      func revisions(_ adjust: (inout LogFilter) -> Void) throws -> [UInt64] { try c.log(adjust).map(\.revision) }
      #expect(try revisions { $0.about = "project:p" } == [1, 2])
      #expect(try revisions { $0.about = "user:anna" } == [1, 2])
      #expect(try revisions { $0.about = "queue:desk" } == [1, 3])
      #expect(try revisions { $0.actor = "boss" } == [2, 4])
      let times = try c.log().map(\.timeMicroseconds)
      #expect(try revisions { $0.sinceMicroseconds = times[2] }.contains(3))
      #expect(try revisions { $0.sinceMicroseconds = times[3] + 1 } == [])
      #expect(try revisions { $0.untilMicroseconds = times[0] } == [])
      #expect(try revisions { $0.untilMicroseconds = times[3] + 1 } == [1, 2, 3, 4])
    }
  }

  @Test("record-sealed: the record can't be altered unnoticed")
  func recordSealed() async throws {
    let folder = TemporaryFolder()
    let first = try await TestDaemon(in: folder)
    try first.client().applyAll([.putCompany(.enhanced)] + sample, to: "c")
    try first.client().applyAll([.removeUser("boris")], to: "c")
    #expect(try first.client().verify().isSound)
    try await first.stop()
    func alter(_ sql: String) throws -> Run {
      try run(URL(fileURLWithPath: "/usr/bin/sqlite3"), [folder.file("data/scoped.sqlite"), sql])
    }
    let update = "UPDATE change_log SET actor = 'boss' WHERE revision = 2"
    #expect(try alter(update).status != 0, "the file itself refuses")
    #expect(try alter("DROP TRIGGER change_log_is_not_updated; \(update)").status == 0)
    let refusal = await #expect(throws: (any Error).self) { _ = try await TestDaemon(in: folder) }
    #expect(refusal.map { "\($0)".contains("revision 2 of the log was altered") } == true, "\(refusal)")
  }
}
