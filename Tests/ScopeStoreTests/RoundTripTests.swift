import Foundation
import ScopeModel
import Testing

@testable import ScopeStore

/// What goes in comes out.
@Suite struct RoundTripTests {
  @Test func everyKindOfFactSurvivesReopening() throws {
    let scratch = Scratch()
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply(everyKind, to: &company)
      #expect(try store.load("acme").facts == company.facts)
    }
    #expect(Set(company.facts.map { FactRow($0).kind }) == Set(FactKind.allCases))
    for kind in FactKind.allCases {
      #expect(
        kind.columns.reduce(0) { $0 + $1.texts } == kind.table.columns.count, "every column of \(kind) has a name")
    }
    try scratch.withStore { store throws in
      #expect(store.revision == 1)
      #expect(try store.load("acme").facts == company.facts)
      #expect(try store.companies() == ["acme"])
      #expect(try store.verify().problems == [])
    }
  }

  @Test func everyKindOfFactIsAlteredAndRemoved() throws {
    let scratch = Scratch()
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply(everyKind, to: &company)
      try store.apply(
        [
          .setMode(.simple),
          .putUser(User(id: "anna", name: "Anna B.", isBlocked: true), roles: ["lead"]),
          .putGroup(Group(id: "night", name: "Nights")),
          .putProject(Project(id: "shop", name: "Shops", description: try Remark("Two"))),
          .putObject(Object(ObjectRef(.contactField, "diagnosis"), name: "Finding")),
          .setPurpose(list: "dnc", .vip),
        ], to: &company)
      #expect(try store.load("acme").facts == company.facts)
      try store.apply([.removeCompany], to: &company)
      #expect(try store.load("acme").facts == [])
      #expect(try store.companies() == [])
      #expect(try store.lastRevision(of: "acme") == 3)
      #expect(try store.verify().problems == [])
    }
  }

  @Test func oddNamesStayApart() throws {
    let scratch = Scratch()
    let names: [Name] = [
      "é", "e\u{301}", "Ω", "\u{2126}", "a'b", "a\"b", "a\\b", "👩‍👩‍👧", "A", "a", " ", "%", "a;--", "null", "\u{2028}",
    ]
    var company = Company(id: "e\u{301}")
    try scratch.withStore { store in
      let users = names.map { Change.putUser(User(id: $0, name: $0), roles: []) }
      let projects = names.map { Change.putProject(Project(id: $0, name: $0)) }
      try store.apply([.putCompany(.simple)] + users + projects, to: &company)
    }
    try scratch.withStore { store in
      let loaded = try store.load("e\u{301}")
      #expect(Set(loaded.users.keys) == Set(names))
      #expect(Set(loaded.projects.keys) == Set(names))
      #expect(try store.load("é").facts == [])
      #expect(try store.verify().problems == [])
    }
  }

  /// A rename from one form of a letter to another changes the bytes, here and in the log.
  @Test func aRenameToAnotherFormIsStored() throws {
    let scratch = Scratch()
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply([.putCompany(.simple), .putGroup(Group(id: "g", name: "é"))], to: &company)
      try store.apply([.putGroup(Group(id: "g", name: "e\u{301}"))], to: &company)
      #expect(try store.load("acme").groups["g"]?.group.name == "e\u{301}")
      #expect(try store.verify().problems == [])
    }
  }

  /// An edit may not slip from one id to another that only looks the same.
  @Test func anEditDoesNotChangeTheKey() throws {
    let scratch = Scratch()
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply([.putCompany(.simple), .putGroup(Group(id: "é", name: "a"))], to: &company)
      let edit = Edit(before: .group(Group(id: "é", name: "a")), after: .group(Group(id: "e\u{301}", name: "b")))
      #expect(code { try store.commit([store.record("acme", [edit])]) } == "misfit")
    }
  }

  @Test func theLogTellsWhatWasWritten() throws {
    let scratch = Scratch()
    let edits: [Edit] = [
      Edit(before: nil, after: .company(.simple)),
      Edit(before: .company(.simple), after: .company(.enhanced)),
      Edit(before: nil, after: .group(Group(id: "g\"\\", name: "e\u{301}"))),
      Edit(before: .group(Group(id: "g\"\\", name: "e\u{301}")), after: nil),
    ]
    try scratch.withStore { store in
      let key = Idempotency(key: "k", digest: [1, 0, 255])
      try store.commit([store.record("acme", edits, key)])
      var other = store.record("other", [])
      other.actor = nil
      try store.commit([other])
      var records: [ChangeRecord] = []
      try store.forEachRecord(of: "acme") {
        records.append($0)
        return true
      }
      let record = try #require(records.first)
      #expect(records.count == 1)
      #expect(record.edits == edits && record.idempotency == key && record.actor == "anna")
      #expect(record.revision == 1 && record.caller == "pbx" && record.timeMicroseconds == 1_700_000_000_000_001)
      try store.forEachRecord(of: "acme", after: 1) { _ in
        Issue.record("nothing is after the last")
        return true
      }
    }
  }

  /// The texts stand in every installation's log: they may not change.
  @Test func theLogsWordsAreTheseForGood() throws {
    let queue = ObjectRef(ObjectType(name: "queue")!, "support")
    let words: [(Fact, String)] = [
      (.company(.enhanced), #"["company","enhanced"]"#),
      (.role("lead"), #"["role","lead"]"#),
      (.roleRight(role: "lead", right: "x"), #"["role_right","lead","x"]"#),
      (.user(User(id: "u", name: "U")), #"["user","u","U","active"]"#),
      (.user(User(id: "u", name: "U", isBlocked: true)), #"["user","u","U","blocked"]"#),
      (.userRole(user: "u", role: "lead"), #"["user_role","u","lead"]"#),
      (.group(Group(id: "g", name: "G")), #"["group","g","G"]"#),
      (.groupMember(group: "g", user: "u"), #"["group_member","g","u"]"#),
      (.project(Project(id: "p", name: "P")), #"["project","p","P",""]"#),
      (.member(project: "p", .user("u")), #"["project_user","p","u"]"#),
      (.member(project: "p", .group("g")), #"["project_group","p","g"]"#),
      (.object(Object(queue, name: "Support line")), #"["object","queue","support","Support line","custom"]"#),
      (
        .object(Object(ObjectRef(.contactField, "name"), name: "name", isSystem: true)),
        #"["object","contact_field","name","name","system"]"#
      ),
      (.placement(queue, project: "p"), #"["placement","queue","support","p"]"#),
    ]
    for (fact, text) in words {
      #expect(EditsText.encode(fact) == text)
      #expect(try EditsText.decode("[[null,\(text)],[\(text),null]]").map(\.after) == [fact, nil])
    }
  }

  @Test func editsAreJSON() throws {
    let edits = [
      Edit(
        before: nil, after: .project(Project(id: "\"\\", name: "e\u{301}\u{2028}👩‍👧", description: try Remark("\\n")))),
      Edit(before: .role("\\\\\""), after: nil),
    ]
    let text = EditsText.encode(edits)
    let json = try JSONDecoder().decode([[[String]?]].self, from: Data(text.utf8))
    #expect(json[0][1]?[1] == "\"\\" && json[0][1]?[3] == "\\n" && json[1][0]?[1] == "\\\\\"")
    #expect(try EditsText.decode(text) == edits)
    #expect(try EditsText.decode("[]") == [])
  }

  @Test(arguments: [
    "", "{}", "[[null]]", "[", "[]]", "[],", "[ ]", "[[null,nul]]", #"[[null,["role","a]]"#, #"[[null,["role","a\"#,
    #"[[null,["role","a\n"]]]"#, #"[[null,["role","a"],]]"#, "[[null,null]", "[,]", "[[null,null,null]]",
    #"[[null,["company"]]]"#, #"[[null,["company","open"]]]"#,
    #"[[null,["queue","a"]]]"#, #"[[null,["role",""]]]"#, #"[[null,["role","a\u0000b"]]]"#, #"[[null,[]]]"#,
    #"[[null,["placement","car","a","b"]]]"#, #"[[null,["user","a","b","asleep"]]]"#,
  ])
  func badEditsAreRefused(text: String) {
    #expect(throws: DamagedRow.self) { try EditsText.decode(text) }
  }
}
