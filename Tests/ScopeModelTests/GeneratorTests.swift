import ScopeModel
import ScopeTesting
import Testing

/// The generators on which other tests and the benchmarks rest.
@Suite("Generators") struct GeneratorTests {
  @Test("random numbers are the same for ever: SplitMix64 of seed 1234567")
  func knownNumbers() {
    var random = SeededRandom(seed: 1_234_567)
    let known: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
    #expect(known.map { _ in random.next() } == known)
  }

  @Test("numbers stay below their bound and meet each of them")
  func bounds() {
    var random = SeededRandom(seed: 1)
    var met: Set<Int> = []
    for _ in 0..<1_000 { met.insert(random.below(7)) }
    #expect(met == Set(0..<7))
    #expect(random.below(1) == 0)
    #expect(Set(random.pick(5, of: Array(0..<5))) == Set(0..<5))
    #expect(random.pick(9, of: [1]) == [1])
  }

  @Test("the same seed gives the same centre, another seed another")
  func centreRepeats() {
    #expect(Array(ContactCentre(.small, seed: 3)) == Array(ContactCentre(.small, seed: 3)))
    #expect(Array(ContactCentre(.small, seed: 3)) != Array(ContactCentre(.small, seed: 4)))
  }

  /// Benchmarks of different days and machines are to be about the same centre. Who changes the generator
  /// changes these numbers, and can't compare with what was measured before.
  @Test("a centre is the same on every machine")
  func centreIsStable() {
    var (count, sum) = (0, UInt64(0))
    for change in ContactCentre(.small, seed: 1) {
      count += 1
      for byte in words(of: change).utf8 { sum = sum &* 31 &+ UInt64(byte) }
    }
    #expect(count == 525)
    #expect(sum == 17_072_593_382_816_964_507)
  }

  private func words(of change: Change) -> String {
    switch change {
    case .putUser(let user, let roles, _): "\(user.id) \(user.name) \(user.isBlocked) \(roles)"
    case .addToGroup(let group, let user): "\(group) \(user)"
    case .addMember(let project, let member): "\(project) \(member)"
    case .place(let ref, let project): "\(ref) \(project)"
    default: ""
    }
  }

  @Test("a centre has the shape asked for and obeys the rules", arguments: [1, 2] as [UInt64])
  func centreShape(seed: UInt64) throws {
    let shape = ContactCentre.Shape.small
    let company = try ContactCentre(shape, seed: seed).company()
    #expect(company.mode == .enhanced)
    #expect(company.users.count == shape.users && company.groups.count == shape.groups)
    #expect(company.projects.count == shape.projects)
    #expect(company.objects.count == shape.objects + shape.customFields + Company.systemFields.count)
    #expect(faults(in: company) == [])
    #expect(company.objects.values.contains { $0.projects.count > 1 })
    #expect(company.objects.values.contains { $0.projects.isEmpty && !$0.object.isSystem })
  }

  @Test("a medium centre has users of every sort")
  func mediumCentre() throws {
    let centre = ContactCentre(.medium)
    let company = try centre.company()
    let users = company.users.values
    #expect(users.contains { $0.user.isBlocked })
    #expect(users.contains { $0.projects.count > 5 })
    #expect(company.users.keys.contains { company.isInNoProject($0) })
    for role in ContactCentre.roles.map(\.name) + [Company.adminRole] {
      #expect(users.contains { $0.roles.contains(role) })
    }
    #expect(company.users[centre.userID(0)]?.roles == [Company.adminRole])
    #expect(Set(company.objects.keys.map(\.type)) == Set(ObjectType.all))
    for index in [0, 1, 77] {
      #expect(company.users[centre.userID(index)] != nil && company.groups[centre.groupID(index)] != nil)
      #expect(company.projects[centre.projectID(index)] != nil && company.objects[centre.object(index)] != nil)
      #expect(company.objects[centre.field(index)] != nil)
    }
  }

  @Test("a centre without projects, groups or anything at all")
  func degenerate() throws {
    for (users, groups, projects) in [(0, 0, 0), (5, 0, 0), (5, 3, 0), (5, 0, 3), (0, 3, 3), (5, 3, 1)] {
      let shape = ContactCentre.Shape(
        users: users, groups: groups, projects: projects, objects: 10, customFields: 3, mode: .simple)
      let company = try ContactCentre(shape).company()
      #expect(company.users.count == users && company.groups.count == groups && company.projects.count == projects)
      #expect(faults(in: company) == [])
    }
  }

  @Test("random companies repeat, vary and come in both modes")
  func randomCompanies() {
    let companies = (0..<40).map { RandomCompany(seed: $0) }
    let sizes = Set(companies.map { facts(of: $0.company).count })
    #expect(sizes.count > 20)
    #expect(Set(companies.compactMap(\.company.mode)).count == 2)
    #expect(companies.contains { $0.company.users.isEmpty } && companies.contains { $0.company.users.count > 8 })
    #expect(companies.contains { $0.company.projects.isEmpty } && companies.contains { $0.company.projects.count > 3 })
    #expect(companies.contains { $0.company.objects.count > 20 })
    for (seed, company) in companies.enumerated() {
      #expect(company.changes == RandomCompany(seed: UInt64(seed)).changes)
    }
  }
}
