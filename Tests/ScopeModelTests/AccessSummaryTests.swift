import ScopeModel
import ScopeTesting
import Testing

/// What a change tells of who gained and lost what, against a comparison of every user with every object.
@Suite("Access summary") struct AccessSummaryTests {
  private struct Pair: Hashable {
    let user: Name
    let object: Target
  }

  private func seen(in company: Company) -> Set<Pair> {
    Set(
      company.users.keys.flatMap { user in
        company.objects.keys.filter { company.mode != nil && company.sees(user, $0) }.map {
          Pair(user: user, object: .object($0))
        }
      })
  }

  /// By the words of the rules: whoever shares a project with a user or a group, and whoever is in a project.
  private func people(seenIn company: Company) -> Set<Pair> {
    guard let mode = company.mode else { return [] }
    func projects(_ target: Target) -> Set<Name> {
      Set(
        company.projects.filter { id, state in
          switch target {
          case .user(let user): company.isMember(user, of: id)
          case .group: state.members.contains { "\($0)" == "\(target)" }
          case .project(let project): project == id
          case .object: false
          }
        }.keys)
    }
    let targets =
      company.users.keys.map(Target.user) + company.groups.keys.map(Target.group)
      + company.projects.keys.map(Target.project)
    let places = targets.map { (target: $0, projects: projects($0)) }
    var pairs: Set<Pair> = []
    for (user, state) in company.users where !state.user.isBlocked {
      let seesAll = mode == .simple || company.holds(user, right: Right.seeAll)
      let own = projects(.user(user))
      for (target, projects) in places where seesAll || !own.isDisjoint(with: projects) {
        pairs.insert(Pair(user: user, object: target))
      }
    }
    return pairs
  }

  private func name(_ target: Target, _ company: Company) -> Name? {
    switch target {
    case .user(let id): company.users[id]?.user.name
    case .group(let id): company.groups[id]?.group.name
    case .project(let id): company.projects[id]?.project.name
    case .object(let ref): company.objects[ref]?.object.name
    }
  }

  private func check(_ summary: AccessSummary, _ before: Company, _ after: Company, first: Int, _ place: Comment) {
    check(summary, before, after, (seen(in: before), seen(in: after)), first: first, place)
  }

  private func check(
    _ summary: AccessSummary, _ before: Company, _ after: Company, _ seen: (before: Set<Pair>, after: Set<Pair>),
    first: Int, _ place: Comment
  ) {
    let (saw, sees) = seen
    let (gained, lost) = (sees.subtracting(saw), saw.subtracting(sees))
    #expect(summary.gained == gained.count, place)
    #expect(summary.lost == lost.count, place)
    func name(_ user: Name) -> Name { (after.users[user] ?? before.users[user])!.user.name }
    let expected = gained.union(lost).sorted {
      (name($0.user), $0.user, $0.object) < (name($1.user), $1.user, $1.object)
    }.prefix(first)
    #expect(summary.first.map { Pair(user: $0.user, object: $0.object) } == Array(expected), place)
    for row in summary.first {
      #expect(row.isGained == gained.contains(Pair(user: row.user, object: row.object)), place)
      #expect(row.userName == name(row.user), place)
      #expect(row.objectName == (self.name(row.object, after) ?? self.name(row.object, before)), place)
    }
    #expect(summary.isComplete == (gained.count + lost.count <= first), place)
  }

  @Test("agrees with the difference of all answers: 20,000 random batches", arguments: 0..<20)
  func random(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var taken = 0
    var told = 0
    for step in 0..<1_000 {
      let before = walker.company
      guard let outcome = try? walker.apply(walker.nextBatch(upTo: step % 5 == 0 ? 6 : 1)) else { continue }
      taken += 1
      let first = [0, 3, 20, 1_000][step % 4]
      let summary = walker.company.accessSummary(of: outcome.edits, first: first)
      told += summary.gained + summary.lost
      check(summary, before, walker.company, first: first, "seed \(seed), step \(step)")
    }
    #expect(taken > 200 && told > 500, "\(taken) batches taken, \(told) pairs told")
  }

  @Test("of people agrees with the difference of all answers: 10,000 random batches", arguments: 0..<20)
  func ofPeople(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var told = 0
    for step in 0..<500 {
      let before = walker.company
      guard let outcome = try? walker.apply(walker.nextBatch(upTo: step % 5 == 0 ? 6 : 1)) else { continue }
      let first = [0, 3, 20, 1_000][step % 4]
      let summary = walker.company.accessSummaryOfPeople(of: outcome.edits, first: first)
      told += summary.gained + summary.lost
      let seen = (people(seenIn: before), people(seenIn: walker.company))
      check(summary, before, walker.company, seen, first: first, "seed \(seed), step \(step)")
    }
    #expect(told > 200, "\(told) pairs told")
  }

  @Test("removing the company takes everything from everyone")
  func removal() throws {
    var company = try company([put(user: "anna"), put(object("queue", "q"))], mode: .simple)
    let edits = try company.apply([.removeCompany]).edits
    let summary = company.accessSummary(of: edits)
    #expect(summary.lost == 3 && summary.gained == 0, "the queue and two system fields")
  }

  @Test("what came and went within one batch is not told")
  func passing() throws {
    var company = try company([put(user: "anna"), put(project: "p"), put(object("queue", "q"))])
    let edits = try company.apply([
      .addMember(project: "p", .user("anna")), .place(object("queue", "q"), project: "p"),
      .removeMember(project: "p", .user("anna")),
    ]).edits
    #expect(company.accessSummary(of: edits) == AccessSummary())
  }
}
