import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeIndex

/// The index's answers as plain values.
private struct Answers {
  let index: CompanyIndex

  func canSee(_ subject: Subject, _ object: ObjectRef) -> NaiveAnswer { canSee(subject, .object(object)) }

  func canSee(_ subject: Subject, _ object: Target, right: Name? = nil) -> NaiveAnswer {
    withResolved(subject) { view, resolved in
      object.id.withKey { id in
        (right?.text ?? "").withKey { right in
          let answer = naive(view.check(resolved, type: object.type.number, id: id, right: right))
          let atOnce = checkAtOnce(view, subject, object.type, id, right)
          if atOnce != answer { Issue.record("\(subject) \(object): \(answer), but \(atOnce) at once") }
          return answer
        }
      }
    }
  }

  /// The same question, without looking the subject up before.
  private func checkAtOnce(
    _ view: CompanyView, _ subject: Subject, _ type: TargetType, _ id: Key, _ right: Key
  ) -> NaiveAnswer {
    subject.id.withKey {
      naive(view.check(kind: subject.type.number, subject: $0, type: type.number, object: id, right: right))
    }
  }

  private func naive(_ answer: CheckAnswer) -> NaiveAnswer {
    NaiveAnswer(
      allowed: answer.reason.allows, reason: answer.reason.code, project: text(answer.project),
      group: text(answer.group))
  }

  func filter(_ subject: Subject, _ type: TargetType, _ ids: [Name], project: Name?) -> [Bool] {
    withResolved(subject) { view, resolved in
      let narrowing = (project?.text ?? "").withKey { view.narrowing(to: $0) }
      let words = UnsafeMutablePointer<UInt64>.allocate(capacity: ProjectBits.wordCount(for: view))
      defer { words.deallocate() }
      let bits = view.bits(of: resolved, in: words)
      return ids.map { id in
        id.withKey { id in
          let isVisible = view.isVisible(resolved, type: type.number, id: id, within: narrowing)
          if let bits {
            var work = 0
            let byBits = view.isVisible(resolved, bits, type: type.number, id: id, within: narrowing, &work)
            if byBits != isVisible { Issue.record("\(subject): \(isVisible), but \(byBits) by bits") }
          }
          return isVisible
        }
      }
    }
  }

  func listProjects(_ user: Name) -> [NaiveProject] {
    withResolved(.user(user)) { view, resolved in
      (0..<view.projectCount).compactMap { view.visibleProject($0, to: resolved) }.map { row in
        NaiveProject(
          id: Name(stringLiteral: text(row.id)!), name: Name(stringLiteral: text(row.name)!),
          description: try! Remark(utf8: row.description), contentsVisible: row.contentsVisible)
      }
    }
  }

  func list(_ subject: Subject, _ types: [TargetType], project: Name?) -> [Target] {
    withResolved(subject) { view, resolved in
      let narrowing = (project?.text ?? "").withKey { view.narrowing(to: $0) }
      var looks = Int.max
      return types.flatMap { type in
        view.numbers(ofKind: type.number).compactMap { number in
          view.seen(type.number, number, by: resolved, within: narrowing, &looks).map { seen in
            if seen.row.type != type.number { Issue.record("a row of type \(seen.row.type), not \(type)") }
            return Target(type, Name(stringLiteral: text(seen.row.id)!))
          }
        }
      }
    }
  }

  private func withResolved<T>(_ subject: Subject, _ body: (CompanyView, ResolvedSubject) -> T) -> T {
    withExtendedLifetime(index) {
      body(index.view, subject.id.withKey { index.view.subject(kind: subject.type.number, id: $0) })
    }
  }

  private func text(_ key: Key) -> String? { key.isEmpty ? nil : String(decoding: key, as: UTF8.self) }
}

extension Name {
  fileprivate func withKey<T>(_ body: (Key) -> T) -> T { text.withKey(body) }
}

extension String {
  fileprivate func withKey<T>(_ body: (Key) -> T) -> T {
    var copy = self
    return copy.withUTF8 { body(Key($0)) }
  }
}

/// Compares everything that can be asked of a company with the naive evaluator.
private func expectSameAnswers(_ company: Company, _ index: CompanyIndex, asking random: RandomCompany, seed: UInt64) {
  let (naive, answers) = (NaiveEvaluator(company), Answers(index: index))
  var numbers = SeededRandom(seed: seed)
  let subjects = random.subjects
  let targets = random.objects.map { Target.object($0) } + subjects  // whatever asks may be asked about
  let projects = random.projects.map { Optional($0) } + [nil]
  for _ in 0..<40 {
    let (subject, target) = (subjects.randomElement(using: &numbers)!, targets.randomElement(using: &numbers)!)
    let right = Bool.random(using: &numbers) ? RandomCompany.rights.randomElement(using: &numbers) : nil
    let expected = naive.canSee(subject: subject, target: target, right: right)
    let found = answers.canSee(subject, target, right: right)
    if found != expected {
      Issue.record("seed \(seed): \(subject) \(target) \(right?.text ?? ""): \(found), not \(expected)")
    }
  }
  for _ in 0..<4 {
    let (subject, project) = (subjects.randomElement(using: &numbers)!, projects.randomElement(using: &numbers)!)
    let type = TargetType.all.randomElement(using: &numbers)!
    let ids = targets.filter { $0.type == type }.map(\.id).shuffled(using: &numbers)
    #expect(
      answers.filter(subject, type, ids + ids, project: project)
        == naive.filter(subject: subject, type: type, ids: ids + ids, project: project), "seed \(seed)")
    #expect(
      answers.list(subject, TargetType.all, project: project)
        == naive.list(subject: subject, types: TargetType.all, project: project), "seed \(seed)")
  }
  for user in random.users.prefix(4) {
    #expect(answers.listProjects(user) == naive.listProjects(user: user), "seed \(seed)")
  }
}

@Suite struct IndexAnswers {
  /// Ten thousand companies of random shape, every kind of subject, every type, both modes.
  @Test func equalThoseOfTheNaiveEvaluator() {
    for seed in 1...10_000 as ClosedRange<UInt64> {
      let random = RandomCompany(seed: seed)
      let index = CompanyIndex(random.company, seed: seed)
      expectSameAnswers(random.company, index, asking: random, seed: seed)
    }
  }

  @Test func ofALargerCompanyEqualThoseOfTheNaiveEvaluator() throws {
    let centre = ContactCentre(.small, seed: 7)
    let company = try centre.company()
    let (naive, answers) = (NaiveEvaluator(company), Answers(index: CompanyIndex(company, seed: 7)))
    var reasons: Set<String> = []
    for user in company.users.keys {
      for object in company.objects.keys {
        let expected = naive.canSee(subject: .user(user), object: object)
        #expect(answers.canSee(.user(user), object) == expected)
        reasons.insert(expected.reason)
      }
    }
    #expect(reasons.isSuperset(of: ["system_field", "see_all", "shared_project", "no_shared_project"]))
  }

  /// A wrong answer must be noticed: the same comparison over an index of another state finds differences.
  @Test func ofAStaleIndexDiffer() throws {
    let company = try ContactCentre(.small, seed: 7).company()
    var changed = company
    let member = try #require(company.projects.values.first { !$0.members.isEmpty })
    _ = try changed.apply([.removeProject(member.project.id)])
    let (naive, stale) = (NaiveEvaluator(changed), Answers(index: CompanyIndex(company, seed: 7)))
    let differing = company.users.keys.filter { user in
      company.objects.keys.contains { stale.canSee(.user(user), $0) != naive.canSee(subject: .user(user), object: $0) }
    }
    #expect(!differing.isEmpty)
  }
}

@Suite struct IndexRebuild {
  /// After each batch the index built from the one before is, byte for byte, the one built anew.
  @Test func ofWhatAChangeTouchedEqualsAFullBuild() {
    for seed in 1...300 as ClosedRange<UInt64> {
      var random = RandomCompany(seed: seed)
      var previous: CompanyIndex? = CompanyIndex(random.company, seed: seed)
      for _ in 0..<20 {
        guard let outcome = try? random.apply(random.nextBatch(upTo: 5)) else { continue }
        guard random.company.mode != nil else {
          previous = nil
          continue
        }
        let index = CompanyIndex(random.company, seed: seed, previous: previous, edits: outcome.edits)
        let full = CompanyIndex(random.company, seed: seed)
        #expect(index.hasSameContents(as: full), "seed \(seed): \(outcome.edits)")
        #expect(index.isWhole)
        previous = index
      }
    }
  }

  @Test func takesOverWhatAChangeDidNotTouch() throws {
    var company = try ContactCentre(.small, seed: 3).company()
    let before = CompanyIndex(company, seed: 3)
    let project = try #require(company.projects.keys.min())
    let user = try #require(company.users.keys.filter { !company.isMember($0, of: project) }.min())
    let outcome = try company.apply([.addMember(project: project, .user(user))])
    let after = CompanyIndex(company, seed: 3, previous: before, edits: outcome.edits)
    #expect(after.parts.objects === before.parts.objects)
    #expect(after.parts.objectProjects === before.parts.objectProjects)
    #expect(after.parts.users === before.parts.users)
    #expect(after.parts.userProjects !== before.parts.userProjects)
  }

  @Test func noticesAlteredMemory() throws {
    let index = CompanyIndex(try ContactCentre(.small, seed: 3).company(), seed: 3)
    #expect(index.isWhole)
    let block = index.parts.objects.memory
    let byte = UnsafeMutablePointer(mutating: block.baseAddress!.assumingMemoryBound(to: UInt8.self)) + block.count - 1
    byte.pointee ^= 1
    #expect(!index.isWhole)
    byte.pointee ^= 1
  }
}

@Suite struct KeyHashing {
  @Test func tellsApartKeysOfEveryLength() {
    var seen: Set<UInt64> = []
    for length in 1...128 {
      for position in 0..<length {
        var key = [UInt8](repeating: 0x61, count: length)
        key[position] = 0x62
        seen.insert(key.withUnsafeBytes { keyHash($0, kind: 0, seed: 42) })
      }
    }
    #expect(seen.count == (1...128).reduce(0, +))
  }

  @Test func dependsOnSeedAndKind() {
    let key = Array("support".utf8)
    let hashes = key.withUnsafeBytes { key in
      [keyHash(key, kind: 0, seed: 1), keyHash(key, kind: 0, seed: 2), keyHash(key, kind: 16, seed: 1)]
    }
    #expect(Set(hashes).count == 3)
  }
}

@Suite struct Publication {
  private func root(_ revision: UInt64, _ ids: [Name]) -> IndexRoot {
    let indexes = ids.map { id -> CompanyIndex in
      var company = Company(id: id)
      _ = try! company.apply([.putCompany(.enhanced)])
      return CompanyIndex(company, seed: 9)
    }
    return IndexRoot(revision: revision, companies: indexes, seed: 9)
  }

  @Test func findsCompaniesByBytesAlone() {
    let root = root(1, ["a", "b", "e\u{301}"])
    for (id, isThere) in [("a", true), ("c", false), ("", false), ("e\u{301}", true), ("\u{e9}", false)] {
      #expect(id.withKey { root.company($0) != nil } == isThere, "\(id)")
    }
  }

  @Test func addsReplacesAndTakesAwayCompanies() throws {
    let first = root(1, ["a", "b"])
    let other = root(2, ["b", "c"])
    let changed: [Name: CompanyIndex?] = ["a": nil, "b": other.index(of: "b"), "c": other.index(of: "c")]
    let next = first.replacing(changed, revision: 2, seed: 9)
    #expect(next.companies.map(\.id) == ["b", "c"])
    #expect(next.index(of: "b") === other.index(of: "b"))
    #expect(next.index(of: "a") == nil)
    let absent: [Name: CompanyIndex?] = ["zzz": nil]
    let unchanged = next.replacing(absent, revision: 3, seed: 9)
    #expect(unchanged.companies.map(\.id) == ["b", "c"] && unchanged.revision == 3)
  }

  @Test func isSeenByEveryCursorAtItsNextRefresh() {
    let publisher = IndexPublisher(root(1, ["a"]))
    var cursor = IndexPublisher.Cursor(publisher)
    publisher.publish(root(2, ["a"]))
    #expect(cursor.root.revision == 1)
    cursor.refresh()
    #expect(cursor.root.revision == 2)
  }

  /// Readers must not be the ones that free a large index.
  @Test func freesOldRootsOnThePublishersSide() {
    let publisher = IndexPublisher(root(1, ["a"]))
    var cursor = IndexPublisher.Cursor(publisher)
    weak let old: IndexRoot? = cursor.root
    publisher.publish(root(2, ["a"]))
    cursor.refresh()
    #expect(old != nil, "the publisher keeps what a reader gave up")
    publisher.publish(root(3, ["a"]))
    #expect(old == nil)
  }

  @Test func neverGoesBackUnderManyReaders() async {
    let publisher = IndexPublisher(root(1, ["a"]))
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 {
        group.addTask {
          var cursor = IndexPublisher.Cursor(publisher)
          var last: UInt64 = 0
          while last < 500 {
            let atLeast = publisher.root.revision
            cursor.refresh()
            if cursor.root.revision < max(last, atLeast) { return false }
            last = cursor.root.revision
          }
          return true
        }
      }
      for revision in 2...500 as ClosedRange<UInt64> { publisher.publish(root(revision, ["a"])) }
      for await isMonotonic in group { #expect(isMonotonic) }
    }
  }
}
