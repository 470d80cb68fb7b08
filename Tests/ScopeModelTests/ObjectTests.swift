import ScopeModel
import Testing

@Suite("Objects and placements") struct ObjectTests {
  private static let exclusive = ObjectType.all.filter(\.isExclusive)
  private static let shared = ObjectType.all.filter { !$0.isExclusive }

  private func twoProjects(_ ref: ObjectRef) throws -> Company {
    try company([put(project: "a"), put(project: "b"), put(ref), .place(ref, project: "a")])
  }

  @Test("an exclusive object is in one project at most; the refusal names the holder", arguments: exclusive)
  func exclusiveTypes(type: ObjectType) throws {
    let ref = ObjectRef(type, "x")
    let company = try twoProjects(ref)
    let refused = refusal(of: .place(ref, project: "b"), in: company)
    #expect(refused == .exclusivelyPlaced(ref, in: "a"))
    #expect("\(try #require(refused))".contains("'a'"))
    #expect(refusal(of: .place(ref, project: "a"), in: company) == nil, "where it is already, nothing is to be done")
  }

  @Test("an object of another type is in several projects", arguments: shared)
  func sharedTypes(type: ObjectType) throws {
    let ref = ObjectRef(type, "x")
    var company = try twoProjects(ref)
    _ = try company.apply([.place(ref, project: "b")])
    #expect(company.objects[ref].map { Set($0.projects) } == ["a", "b"])
  }

  @Test("a move takes an object from one project to the other in one change", arguments: ObjectType.all)
  func move(type: ObjectType) throws {
    let ref = ObjectRef(type, "x")
    let original = try twoProjects(ref)
    var company = original
    let outcome = try company.apply([.move(ref, from: "a", to: "b")])
    #expect(company.objects[ref]?.projects == ["b"])
    #expect(company.projects["a"]?.objects == [] && company.projects["b"]?.objects == [ref])
    company.undo(outcome.edits)
    #expect(areEqual(company, original))
  }

  @Test("a move starts from where the object is")
  func moveFromElsewhere() throws {
    let ref = object("queue", "x")
    let company = try twoProjects(ref)
    #expect(refusal(of: .move(ref, from: "b", to: "a"), in: company) == .notPlaced(ref, in: "b"))
    #expect(refusal(of: .move(ref, from: "x", to: "a"), in: company) == .unknownProject("x"))
    #expect(refusal(of: .move(ref, from: "a", to: "x"), in: company) == .unknownProject("x"))
    #expect(
      refusal(of: .move(object("queue", "y"), from: "a", to: "b"), in: company) == .unknownObject(object("queue", "y")))
    var moved = company
    #expect(try moved.apply([.move(ref, from: "a", to: "a")]).edits.isEmpty)
  }

  @Test("a move to where a shared object is already only takes it from the first")
  func moveOntoItself() throws {
    let ref = object("list", "x")
    var company = try twoProjects(ref)
    _ = try company.apply([.place(ref, project: "b"), .move(ref, from: "a", to: "b")])
    #expect(company.objects[ref]?.projects == ["b"])
    #expect(faults(in: company) == [])
  }

  @Test("taken out of its project, an exclusive object may go into another")
  func unplaced() throws {
    let ref = object("dialer", "x")
    var company = try twoProjects(ref)
    _ = try company.apply([.unplace(ref, project: "a"), .unplace(ref, project: "a"), .place(ref, project: "b")])
    #expect(company.objects[ref]?.projects == ["b"])
  }

  @Test("an object is renamed in place")
  func renamed() throws {
    let ref = object("queue", "x")
    var company = try twoProjects(ref)
    _ = try company.apply([.putObject(Object(ref, name: "Front desk"))])
    #expect(company.objects[ref]?.object.name == "Front desk" && company.objects[ref]?.projects == ["a"])
  }

  @Test("what is not there can't be placed, and the refusal names it")
  func unknown() throws {
    let (ref, ghost) = (object("list", "x"), object("queue", "x"))
    let company = try twoProjects(ref)
    #expect(refusal(of: .place(ghost, project: "a"), in: company) == .unknownObject(ghost))
    #expect(refusal(of: .place(ref, project: "z"), in: company) == .unknownProject("z"))
    #expect(refusal(of: .unplace(ghost, project: "a"), in: company) == .unknownObject(ghost))
    #expect(refusal(of: .unplace(ref, project: "z"), in: company) == .unknownProject("z"))
    #expect(refusal(of: .removeObject(ghost), in: company) == .unknownObject(ghost))
  }

  @Test("a new object is in no project, seen with see_all alone")
  func newObject() throws {
    let company = try company(
      [.putRole("all", rights: [Right.seeAll]), put(user: "boss", roles: ["all"]), put(user: "u")]
        + [put(project: "p"), .addMember(project: "p", .user("u")), put(object("list", "l"))])
    #expect(company.sees("boss", object("list", "l")) && !company.sees("u", object("list", "l")))
  }
}

@Suite("Contact fields") struct ContactFieldTests {
  private let debt = ObjectRef(.contactField, "debt")
  private let phone = ObjectRef(.contactField, "phone")

  @Test("a system field can't be placed, moved, renamed, removed or made custom")
  func systemFixed() throws {
    let company = try company([put(project: "a"), put(project: "b")])
    let changes: [Change] = [
      .place(phone, project: "a"), .unplace(phone, project: "a"), .move(phone, from: "a", to: "b"),
      .putObject(Object(phone, name: "Telephone", isSystem: true)), .putObject(Object(phone, name: "phone")),
      .removeObject(phone),
    ]
    for change in changes { #expect(refusal(of: change, in: company) == .systemFieldFixed(phone), "\(change)") }
    #expect(refusal(of: .putObject(Object(phone, name: "phone", isSystem: true)), in: company) == nil, "as it is")
  }

  @Test("the platform declares more system fields, as fixed as the first")
  func moreSystemFields() throws {
    let email = ObjectRef(.contactField, "email")
    var company = try company([.putObject(Object(email, name: "E-mail", isSystem: true)), put(user: "u")])
    #expect(company.sees("u", email))
    #expect(refusal(of: .removeObject(email), in: company) == .systemFieldFixed(email))
    var rebuilt = Company(id: "c")
    _ = try rebuilt.apply(company.changesToRebuild())
    #expect(areEqual(rebuilt, company))
    _ = try company.apply([.removeCompany])
    #expect(facts(of: company).isEmpty)
  }

  @Test("a custom field can't become one of the system")
  func customStaysCustom() throws {
    let company = try company([put(debt)])
    #expect(refusal(of: .putObject(Object(debt, name: "debt", isSystem: true)), in: company) == .customFieldFixed(debt))
  }

  @Test("only contact fields are of the system", arguments: ObjectType.all.filter { $0 != .contactField })
  func onlyContactFields(type: ObjectType) throws {
    let ref = ObjectRef(type, "phone")
    let company = try company([])
    #expect(refusal(of: .putObject(Object(ref, name: "x", isSystem: true)), in: company) == .notAContactField(ref))
  }

  @Test("placing a field in a further project warns and names those that share it")
  func shared() throws {
    var company = try company([put(project: "c"), put(project: "a"), put(project: "b"), put(debt)])
    #expect(try company.apply([.place(debt, project: "c")]).warnings.isEmpty, "in one project it is not shared")
    let second = try company.apply([put(user: "u"), .place(debt, project: "a")]).warnings
    #expect(second.map(\.index) == [1] && second.map(\.kind) == [.fieldShared(debt)])
    #expect(second.first?.projects == ["a", "c"] && second.first?.code == "field_shared")
    let third = try company.apply([.place(debt, project: "b")]).warnings
    #expect(third.first?.projects == ["a", "b", "c"])
    #expect(try #require(third.first).message.contains("'a', 'b', 'c'"))
    #expect(try company.apply([.place(debt, project: "b")]).warnings.isEmpty, "it was there already")
  }

  @Test("moving a shared field to a further project warns too; a field of one project does not")
  func moved() throws {
    var company = try company([put(project: "a"), put(project: "b"), put(project: "c"), put(debt)])
    _ = try company.apply([.place(debt, project: "a")])
    #expect(try company.apply([.move(debt, from: "a", to: "b")]).warnings.isEmpty)
    _ = try company.apply([.place(debt, project: "a")])
    let warnings = try company.apply([.move(debt, from: "b", to: "c")]).warnings
    #expect(warnings.map(\.projects) == [["a", "c"]])
  }

  @Test("sharing anything else is no reason to warn", arguments: ["list", "sip_provider", "schedule", "ip_phone"])
  func otherTypes(type: String) throws {
    var company = try company([put(project: "a"), put(project: "b"), put(object(type, "x"))])
    let outcome = try company.apply([.place(object(type, "x"), project: "a"), .place(object(type, "x"), project: "b")])
    #expect(outcome.warnings.isEmpty)
  }
}
