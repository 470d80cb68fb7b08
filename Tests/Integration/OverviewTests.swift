import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@Suite struct Overview {
  /// Over random companies: an explanation's answer is the check's, at the same revision, and what it rests on
  /// fits it.
  @Test func explainAgreesWithTheCheck() async throws {
    try await withDaemon { daemon in
      for seed in 1...150 as ClosedRange<UInt64> {
        let id = Name(stringLiteral: "company-\(seed)")
        let random = RandomCompany(seed: seed, id: id)
        try daemon.client().applyAll(random.company.changesToRebuild(), to: id)
        let client = try daemon.client(id.text)
        var numbers = SeededRandom(seed: seed)
        let checks = (0..<40).map { _ in
          Check(
            subject: random.subjects.randomElement(using: &numbers)!,
            object: random.objects.randomElement(using: &numbers)!,
            right: Bool.random(using: &numbers) ? RandomCompany.rights.randomElement(using: &numbers) : nil)
        }
        for (check, answer) in zip(checks, try client.check(checks, timeoutMilliseconds: 20_000)) {
          try expect(try client.explain(check), fits: answer, "seed \(seed): \(check)")
        }
      }
    }
  }

  private func expect(_ explanation: Explanation, fits answer: Answer, _ place: String) throws {
    let (told, found) = (explanation.answer, answer)
    #expect(told.reason == found.reason && told.verdict == found.verdict, "\(place)")
    #expect(told.project == found.project && told.group == found.group && told.revision == found.revision, "\(place)")
    #expect(explanation.isComplete)
    let last = try #require(explanation.words.last)
    #expect(found.verdict != .deny || last.hasSuffix("deny"), "\(place): \(explanation.words)")
    #expect(found.verdict != .allow || explanation.words.contains { $0.hasSuffix("allow") }, "\(place)")
    // As bytes: the companies have ids that Swift's strings take for one.
    func ids(_ ways: [Explanation.Way]) -> Set<[UInt8]> { Set(ways.map { Array($0.project.utf8) }) }
    let common = ids(explanation.subjectWays).intersection(ids(explanation.objectWays))
    #expect(ids(explanation.shared) == common, "\(place)")
    if found.reason == "shared_project" {
      #expect(explanation.shared.first.map { [$0.project, $0.group] } == [found.project, found.group], "\(place)")
    }
    if found.reason == "no_shared_project" { #expect(common.isEmpty, "\(place)") }
  }

  /// Who can see an object, and what a user sees, are the checks that allow: no more, no less.
  @Test func whoCanSeeAndWhatSeesAreTheChecksThatAllow() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      var company = Company(id: "nordlicht")
      _ = try company.apply(try Sample.lines("contact-centre.jsonl").map(\.change))
      let client = try daemon.client("nordlicht")
      let (users, objects) = (company.users.keys.sorted(), company.objects.keys.sorted())
      var seen: [Name: Set<String>] = [:]
      for object in objects {
        var viewers: [String: [String]] = [:]
        try client.whoCanSee(object) { viewers[$0.id] = [$0.reason, $0.project, $0.group] }
        let answers = try client.check(
          users.map { Check(subject: .user($0), object: object) }, timeoutMilliseconds: 5_000)
        for (user, answer) in zip(users, answers) {
          #expect(
            viewers[user.text] == (answer.verdict == .allow ? [answer.reason, answer.project, answer.group] : nil))
          if answer.verdict == .allow { seen[user, default: []].insert("\(object)") }
        }
      }
      for user in users {
        var rows: Set<String> = []
        try client.whatSees(.user(user)) { rows.insert("\($0.object.type):\($0.object.id)") }
        #expect(rows == seen[user] ?? [], "\(user)")
      }
      var none = 0
      try client.whoCanSee(ObjectRef(ObjectType(name: "queue")!, "nowhere")) { _ in none += 1 }
      try client.whatSees(.user("nobody")) { _ in none += 1 }
      #expect(none == 0)
    }
  }

  @Test func explanationsAreSentences() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      let environment = ["SCOPED_ADDRESS": daemon.address(.unix), "SCOPED_COMPANY": "nordlicht"]
      func scopectl(_ arguments: String...) async throws -> Run {
        try await onThread { try run(builtProduct("scopectl"), arguments, environment: environment) }
      }
      let deny = try await scopectl("explain", "user:1001", "queue:shop-orders")
      #expect(deny.status == 1)
      #expect(deny.output.contains("is in project clinic and queue:shop-orders"), "\(deny.output)")
      #expect(deny.output.contains("they share no project: deny\ndeny: no_shared_project"))
      let allow = try await scopectl("explain", "user:1001", "queue:clinic-appointments", "--json")
      #expect(allow.status == 0)
      let json = try #require(try JSONSerialization.jsonObject(with: Data(allow.output.utf8)) as? [String: Any])
      #expect((json["shared"] as? [[String: String]])?.first == ["project": "clinic", "group": "clinic-team"])
      let viewers = try await scopectl("who-can-see", "queue:clinic-appointments")
      #expect(
        viewers.output.contains("Anna Berger") && viewers.output.contains("shared_project clinic through clinic-team"))
      let seen = try await scopectl("what-sees", "user:1001", "--type", "queue")
      #expect(seen.output.contains("queue:clinic-appointments") && !seen.output.contains("shop-orders"))
      #expect(try await scopectl("explain", "user:1001").status == 64)
      #expect(try await scopectl("who-can-see", "quue:x").status == 64)
    }
  }
}
