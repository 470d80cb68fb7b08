import ScopeModel
import Testing

@Suite struct Spellings {
  @Test(
    arguments: [
      ("operater", "operator"), ("que", "queue"), ("quuee", "queue"), ("lst", "list"), ("aduitor", "auditor"),
      ("lits", "list"), ("admn", "admin"), ("operator", nil), ("xyzzy", nil), ("", nil), ("op", nil), ("lixx", nil),
    ] as [(String, String?)]) func theNearestIsFound(_ word: String, _ near: String?)
  {
    #expect(Spelling.nearest(to: word, among: ["operator", "queue", "list", "auditor", "admin"]) == near)
  }

  @Test func theNearerOfTwoIsFound() {
    #expect(Spelling.nearest(to: "clinnc", among: ["clinics", "clinic", "cynics"]) == "clinic")
    #expect(Spelling.nearest(to: "projects.lists", among: Right.all.map(\.text)) == "projects.list")
  }

  /// Words are bytes: two forms of one letter are two words.
  @Test func wordsAreBytes() {
    let found = Spelling.nearest(to: "cafe\u{301}s", among: ["caf\u{E9}s"])
    #expect(found.map { Array($0.utf8) } == nil)
    #expect(Spelling.nearest(to: "a\u{301}bcd", among: ["a\u{300}bcd"])?.utf8.count == 6)
  }

  @Test func aRightThatLooksBuiltInIsWarnedOf() throws {
    var company = Company(id: "c")
    _ = try company.apply([.putCompany(.enhanced)])
    let first = try company.apply([
      .putRole("viewer", rights: ["project.see_all", "report.agents", "projects.list", "users.manag"])
    ])
    #expect(first.warnings.map(\.code) == ["right_misspelt", "right_misspelt"])
    #expect(
      first.warnings.map(\.message) == [
        "the right 'project.see_all' of role 'viewer' is none that the rules know; did you mean 'projects.see_all'?",
        "the right 'users.manag' of role 'viewer' is none that the rules know; did you mean 'users.manage'?",
      ])
    let same = try company.apply([.putRole("viewer", rights: ["project.see_all", "report.a"])])
    #expect(same.warnings.isEmpty, "it was there before")
    let gone = try company.apply([
      .putRole("other", rights: ["projects.lst"]), .putRole("other", rights: ["projects.list"]),
    ])
    #expect(gone.warnings.isEmpty, "the batch has mended it")
  }
}

@Suite struct ColumnsOfFacts {
  /// Columns are told by the log in texts: what each kind has is what it names.
  @Test func haveNames() {
    for kind in FactKind.allCases {
      let names = kind.columns.map(\.name)
      #expect(!names.isEmpty && Set(names).count == names.count, "\(kind)")
      #expect(kind.columns.contains { $0.value == .id || $0.value == .object } || kind == .company, "\(kind)")
    }
    #expect(FactKind.placement.columns.map(\.name) == ["object", "project"])
    #expect(FactKind.placement.columns.reduce(0) { $0 + $1.texts } == 3)
  }
}
