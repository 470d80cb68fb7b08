import ScopeModel
import Testing

@Suite("Limits") struct LimitTests {
  @Test("roles per user")
  func rolesPerUser() throws {
    let roles = (0...CompanyLimits.rolesPerUser).map { Name(stringLiteral: "r\($0)") }
    let company = try company(roles.map { .putRole($0, rights: []) })
    #expect(refusal(of: put(user: "u", roles: roles.dropLast()), in: company) == nil)
    #expect(refusal(of: put(user: "u", roles: roles), in: company) == .tooMany("roles per user", limit: 100))
    let repeated = [Name](repeating: "r0", count: 1_000)
    #expect(refusal(of: put(user: "u", roles: repeated), in: company) == nil, "one role, named often")
  }

  @Test("rights per role")
  func rightsPerRole() throws {
    let rights = (0...CompanyLimits.rightsPerRole).map { Name(stringLiteral: "r\($0)") }
    let company = try company([])
    #expect(refusal(of: .putRole("r", rights: rights.dropLast()), in: company) == nil)
    #expect(refusal(of: .putRole("r", rights: rights), in: company) == .tooMany("rights per role", limit: 1_000))
  }

  @Test("roles, of which admin is one")
  func roles() throws {
    let fill = (1..<CompanyLimits.roles).map { Change.putRole(Name(stringLiteral: "r\($0)"), rights: []) }
    try check(fill, further: .putRole("more", rights: []), refused: .tooMany("roles", limit: CompanyLimits.roles))
  }

  @Test("groups")
  func groups() throws {
    let fill = (0..<CompanyLimits.groups).map { put(group: Name(stringLiteral: "g\($0)")) }
    try check(fill, further: put(group: "more"), refused: .tooMany("groups", limit: CompanyLimits.groups))
  }

  @Test("projects")
  func projects() throws {
    let fill = (0..<CompanyLimits.projects).map { put(project: Name(stringLiteral: "p\($0)")) }
    try check(fill, further: put(project: "more"), refused: .tooMany("projects", limit: CompanyLimits.projects))
    var full = try company(fill + [put(user: "lonely")], mode: .simple)
    let tooMany = ChangeError.tooMany("projects", limit: CompanyLimits.projects)
    #expect(refusal(of: .setMode(.enhanced), in: full) == tooMany, "no room for Default")
    _ = try full.apply([.putProject(Project(id: "p0", name: Company.defaultProjectName))])
    #expect(refusal(of: .setMode(.enhanced), in: full) == nil)
  }

  /// At the limit nothing more fits, what is there can still be edited, and with one less there is room.
  private func check(_ fill: [Change], further: Change, refused: ChangeError) throws {
    var company = try company(Array(fill.dropLast()))
    #expect(refusal(of: further, in: company) == nil)
    _ = try company.apply([try #require(fill.last)])
    #expect(refusal(of: further, in: company) == refused)
    #expect(refusal(of: try #require(fill.last), in: company) == nil)
    #expect(refused.category == .limit)
  }

  @Test("every refusal has a code of its own and words that name what it is about")
  func codes() {
    let list = object("list", "it")
    let errors: [ChangeError] = [
      .unknownCompany("it"), .unknownUser("it"), .unknownGroup("it"), .unknownRole("it"), .unknownProject("it"),
      .unknownObject(list), .projectNameTaken("it", by: "x"), .exclusivelyPlaced(list, in: "x"),
      .notPlaced(list, in: "x"), .systemFieldFixed(list), .customFieldFixed(list), .notAContactField(list),
      .adminRoleFixed, .tooMany("it", limit: 1), .unknownActor("it"),
      .actorBlocked("it"), .rightMissing(actor: "it", right: "x"), .rightNotHeld(actor: "it", right: "x"),
      .projectOutOfReach(actor: "it", project: "x"), .groupOutOfReach(actor: "x", group: "it"),
      .objectOutOfReach(actor: "x", object: list),
      .platformOnly(actor: "it"),
    ]
    #expect(Set(errors.map(\.code)).count == errors.count)
    for error in errors where error != .adminRoleFixed { #expect("\(error)".contains("it"), "\(error.code)") }
  }
}
