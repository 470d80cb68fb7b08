import ScopeModel
import ScopeTesting

/// May this user see that object?
struct Question: Sendable {
  let user: Name
  let object: ObjectRef
  let isAllowed: Bool
}

/// Which of these objects of one type does the user see?
struct FilterQuestion: Sendable {
  let user: Name
  let type: ObjectType
  let ids: [Name]
  let isVisible: [Bool]
}

/// The company that all contestants are asked about, and what they are asked. The verdicts come from the model.
///
/// Only active users without `projects.see_all` ask, and a user's groups are resolved for those who keep sets or
/// tables: Redis is spared a look at flags, PostgreSQL two joins.
struct BenchmarkCompany {
  static let id: Name = "bench"
  static let centre = ContactCentre(.medium, seed: 1)

  /// The users that may ask, with the projects each is in, itself or through groups.
  let users: [(id: Name, projects: [Name])]
  let company: Company
  /// 1,024 of them: every other one is allowed.
  let questions: [Question]
  /// A thousand queues.
  let filter: FilterQuestion
  /// A user and a project it is not in: memberships to add and to remove. Users that no question is about.
  let changeable: [(user: Name, project: Name)]

  init() throws {
    let company = try BenchmarkCompany.centre.company(id: BenchmarkCompany.id)
    let users = company.users.keys.sorted().filter { BenchmarkCompany.mayAsk($0, company) }
      .map { (id: $0, projects: BenchmarkCompany.projects(of: $0, company)) }.filter { !$0.projects.isEmpty }
    let asking = users.prefix(users.count * 3 / 4)
    var random = SeededRandom(seed: 2)
    self.company = company
    self.users = users
    questions = (0..<1_024).map { number in
      BenchmarkCompany.question(asking.map(\.self), isAllowed: number.isMultiple(of: 2), company, &random)
    }
    filter = BenchmarkCompany.filter(asking.map(\.self), company)
    let projects = company.projects.keys.sorted()
    changeable = users.dropFirst(asking.count).prefix(128).map { user in
      (user.id, projects.first { !user.projects.contains($0) }!)
    }
    if changeable.count < 128 { throw BenchFailure("the company has too few users to change") }
  }

  private static func mayAsk(_ user: Name, _ company: Company) -> Bool {
    !company.users[user]!.user.isBlocked && !company.holds(user, right: Right.seeAll)
  }

  private static func projects(of user: Name, _ company: Company) -> [Name] {
    let state = company.users[user]!
    return state.groups.reduce(into: state.projects) { $0.formUnion(company.groups[$1]!.projects) }.sorted()
  }

  private static func question(
    _ users: [(id: Name, projects: [Name])], isAllowed: Bool, _ company: Company, _ random: inout SeededRandom
  ) -> Question {
    while true {
      let (user, object) = (random.pick(users).id, centre.object(random.below(centre.shape.objects)))
      if company.sees(user, object) == isAllowed { return Question(user: user, object: object, isAllowed: isAllowed) }
    }
  }

  /// The first thousand queues, for the user that sees most of them.
  private static func filter(_ users: [(id: Name, projects: [Name])], _ company: Company) -> FilterQuestion {
    let type = ObjectType(name: "queue")!
    let queues = company.objects.keys.filter { $0.type == type }.sorted().prefix(1_000)
    let user = users.max { $0.projects.count < $1.projects.count }!.id
    return FilterQuestion(
      user: user, type: type, ids: queues.map(\.id), isVisible: queues.map { company.sees(user, $0) })
  }

  /// Every placement, in order.
  var placements: [(object: ObjectRef, project: Name)] {
    company.objects.keys.sorted().flatMap { ref in company.objects[ref]!.projects.map { (ref, $0) } }
  }
}
