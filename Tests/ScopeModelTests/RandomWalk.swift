import ScopeModel
import ScopeTesting

/// The model and the reference side by side, taking the same random changes of the same random actors.
struct RandomWalk {
  private var walker: RandomCompany
  private var reference: ReferenceCompany
  private var random: SeededRandom
  /// The facts as the edits tell them.
  private var known: Set<Fact>
  private var index: IndexAnswers

  /// What it met, so that a test can tell a walk from standing still.
  private(set) var met: Set<String> = []
  private(set) var taken = (byPlatform: 0, byActors: 0)

  private static let deputies = 4
  private static let strangers: [Name] = ["nobody", "e\u{301}e"]

  init(seed: UInt64) throws {
    walker = RandomCompany(seed: seed)
    reference = ReferenceCompany(id: walker.company.id)
    random = SeededRandom(seed: seed, stream: 1, index: 0)
    _ = try reference.apply(walker.changes)
    known = facts(of: walker.company)
    index = IndexAnswers(walker.company)
  }

  /// Takes one step; gives what the two disagree on.
  mutating func step(_ number: Int) -> String? {
    if number % 4_000 == 3_999, let difference = take([.removeCompany], actor: nil) ?? answers() { return difference }
    if number % 40 == 0, let difference = take(appointment(), actor: nil) { return difference }
    if let difference = take(nextBatch(), actor: nextActor()) { return difference }
    if number % 20 == 0, let difference = wholeState() { return difference }
    return number % 100 == 0 || walker.company.mode == nil ? answers() : nil
  }
}

// MARK: - What is done

extension RandomWalk {
  /// Gives the first users many rights and some projects: of the actors that chance makes, few may do anything.
  private mutating func appointment() -> [Change] {
    var batch: [Change] = walker.company.mode == nil ? [.putCompany(.enhanced)] : []
    for (place, user) in walker.users.prefix(RandomWalk.deputies).enumerated() {
      let role = Name(stringLiteral: "deputy \(place)")
      var rights = RandomCompany.rights
      if place < 3 { rights.removeAll { $0 == Right.seeAll } }  // the last alone reaches everything, mostly
      batch.append(.putRole(role, rights: place == 0 ? rights : random.pick(rights.count - place, of: rights)))
      batch.append(put(user: user, roles: [role]))
      let projects = random.pick(2, of: walker.company.projects.keys.sorted())
      batch += projects.map { .addMember(project: $0, .user(user)) }
    }
    return batch
  }

  private mutating func nextActor() -> Name? {
    switch random.below(100) {
    case 0..<30: nil
    case 30..<80: random.pick(walker.users.prefix(RandomWalk.deputies))
    case 80..<98: random.pick(walker.users)
    default: random.pick(RandomWalk.strangers)
    }
  }

  /// One change mostly, and what may follow from it within the batch.
  private mutating func nextBatch() -> [Change] {
    var batch = walker.nextBatch(upTo: random.below(4) == 0 ? 4 : 1)
    if random.below(12) == 0 { batch.insert(attackOnAdmin(), at: 0) }
    while random.below(3) == 0, batch.count < 6, let last = batch.last { batch.append(sequel(of: last)) }
    return batch
  }

  /// There are few, and fewer of whom one is the last.
  private mutating func attackOnAdmin() -> Change {
    let id = walker.company.holders(of: Company.adminRole).min() ?? random.pick(walker.users)
    let isBlocked = random.below(2) == 0
    let roles = random.below(2) == 0 ? [Company.adminRole] : []
    return random.below(3) == 0 ? .removeUser(id) : .putUser(User(id: id, name: id, isBlocked: isBlocked), roles: roles)
  }

  /// A change about what another has just changed.
  private mutating func sequel(of change: Change) -> Change {
    let project = random.pick(walker.projects)
    let user = random.pick(walker.users)
    switch change {
    case .putObject(let object, _): return sequel(of: object.ref, project)
    case .place(let ref, let project), .unplace(let ref, let project), .move(let ref, _, let project):
      return sequel(of: ref, project)
    case .putUser(let user, _, _): return .addMember(project: project, .user(user.id))
    case .removeUser(let user): return put(user: user)
    case .putRole(let role, _), .removeRole(let role): return put(user: user, roles: [role])
    case .putProject(let new): return .addMember(project: new.id, .user(user))
    case .addMember(let project, let member): return .removeMember(project: project, member)
    case .addToGroup(let group, _): return .addMember(project: project, .group(group))
    case .setMode(let mode): return .setMode(mode == .simple ? .enhanced : .simple)
    default: return walker.nextChange()
    }
  }

  private mutating func sequel(of ref: ObjectRef, _ project: Name) -> Change {
    switch random.below(6) {
    case 0, 1: .place(ref, project: project)
    case 2: .unplace(ref, project: project)
    case 3: .move(ref, from: project, to: random.pick(walker.projects))
    case 4: .removeObject(ref)
    default: put(ref)
    }
  }
}

// MARK: - What is compared

extension RandomWalk {
  private mutating func take(_ batch: [Change], actor: Name?) -> String? {
    let before = reference
    var (expected, found): (ReferenceCompany.Taken?, Outcome?)
    var (refused, refusal): (Refusal?, Refusal?)
    do { expected = try reference.apply(batch, actor: actor) } catch { refused = error }
    do { found = try walker.apply(batch, actor: actor) } catch {
      refusal = Refusal(index: error.index, error: error.error)
    }
    let place = "\(actor.map { "'\($0)'" } ?? "the platform"): \(batch)"
    if refusal != refused {
      return "\(place): \(words(refusal)), where the reference says: \(words(refused))"
    }
    if let refusal { met.insert(refusal.error.code) }
    guard let expected, let found else { return nil }
    if actor == nil { taken.byPlatform += 1 } else { taken.byActors += 1 }
    if let difference = compare(found, expected) { return "\(place): \(difference)" }
    return follow(found.edits, from: before).map { "\(place): \($0)" }
  }

  private func words(_ refusal: Refusal?) -> String {
    refusal.map { "change \($0.index) refused, \($0.error)" } ?? "taken"
  }

  private mutating func compare(_ found: Outcome, _ expected: ReferenceCompany.Taken) -> String? {
    let hints = found.warnings.map { ReferenceCompany.Hint(index: $0.index, kind: $0.kind, projects: $0.projects) }
    if hints != expected.hints { return "warns of \(hints), the reference of \(expected.hints)" }
    met.formUnion(found.warnings.map(\.code))
    let gathered = found.gathered.map {
      ReferenceCompany.Gathering(project: $0.project, users: $0.users, objects: $0.objects)
    }
    if gathered != expected.gathered { return "gathers \(gathered as Any), not \(expected.gathered as Any)" }
    if gathered != nil { met.insert("gathered") }
    return nil
  }

  /// The edits come, together, to what has changed in the reference.
  private mutating func follow(_ edits: [Edit], from before: ReferenceCompany) -> String? {
    var (gone, made): (Set<Fact>, Set<Fact>) = ([], [])
    for edit in edits {
      if let fact = edit.before, made.remove(fact) == nil { gone.insert(fact) }
      if let fact = edit.after, gone.remove(fact) == nil { made.insert(fact) }
    }
    let expected = reference.difference(from: before)
    if gone != expected.gone || made != expected.made {
      return "takes away \(gone) and makes \(made), not \(expected.gone) and \(expected.made)"
    }
    known.subtract(gone)
    known.formUnion(made)
    index.note(edits, company: walker.company)
    return nil
  }

  private func wholeState() -> String? {
    let facts = facts(of: walker.company)
    if facts != reference.facts { return "differs in \(facts.symmetricDifference(reference.facts))" }
    if facts != known { return "differs from its edits in \(facts.symmetricDifference(known))" }
    let faults = faults(in: walker.company)
    return faults.isEmpty ? nil : "\(faults)"
  }

  /// Everything that can be asked: of the index, and of the model, whose judgement is what actors reach.
  private mutating func answers() -> String? {
    let company = walker.company
    index.rebuild(company)
    for subject in walker.subjects {
      for ref in walker.objects {
        let right = random.below(3) == 0 ? random.pick(RandomCompany.rights) : nil
        let (found, expected) = (index.answer(subject, ref, right: right), reference.answer(subject, ref, right: right))
        if found != expected { return "\(subject), \(ref), \(right as Any): \(found), not \(expected)" }
        met.insert("answer \(expected.reason.code)")
      }
    }
    for user in walker.users {
      let (found, expected) = (index.listing(for: user), reference.listing(for: user))
      if found != expected { return "lists \(found) to \(user), not \(expected)" }
      if let difference = judgements(of: company, on: user) { return difference }
    }
    return nil
  }

  private func judgements(of company: Company, on user: Name) -> String? {
    for ref in walker.objects where company.sees(user, ref) != reference.answer(.user(user), ref).reason.allows {
      return "\(user) and \(ref): the model says \(company.sees(user, ref))"
    }
    for right in RandomCompany.rights where company.holds(user, right: right) != reference.holds(user, right) {
      return "\(user) and \(right): the model says \(company.holds(user, right: right))"
    }
    let own = reference.projects(ofUser: user)
    for project in walker.projects where company.isMember(user, of: project) != own.contains(project) {
      return "\(user) in \(project): the model says \(company.isMember(user, of: project))"
    }
    if company.users[user] != nil, company.isInNoProject(user) != own.isEmpty { return "\(user) in no project" }
    return nil
  }
}
