import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@Suite struct Overview {
  @Test("an explanation's answer is the check's, and what it rests on fits it: 100,000 random checks")
  func explainAgreesWithTheCheck() async throws {
    try await withDaemon { daemon in
      for seed in 1...200 as ClosedRange<UInt64> {
        let id = Name(stringLiteral: "company-\(seed)")
        let random = RandomCompany(seed: seed, id: id)
        try daemon.client().applyAll(random.company.changesToRebuild(), to: id)
        let client = try daemon.client(id.text)
        var numbers = SeededRandom(seed: seed)
        let checks = (0..<500).map { _ in
          Check(
            subject: random.subjects.randomElement(using: &numbers)!,
            object: random.objects.randomElement(using: &numbers)!,
            right: Bool.random(using: &numbers) ? RandomCompany.rights.randomElement(using: &numbers) : nil)
        }
        for (check, answer) in zip(checks, try client.check(checks, timeoutMilliseconds: .anHour)) {
          if let fault = fault(in: try client.explain(check), of: answer) {
            Issue.record("seed \(seed), \(check): \(fault)")
          }
        }
      }
    }
  }

  /// What of an explanation does not fit the answer; nil: all does. (An expectation each would take minutes.)
  private func fault(in explanation: Explanation, of answer: Answer) -> String? {
    func bytes(_ answer: Answer) -> [[UInt8]] {
      [answer.verdict.rawValue, answer.reason, answer.project, answer.group, "\(answer.revision)"].map {
        Array($0.utf8)
      }
    }
    if bytes(explanation.answer) != bytes(answer) { return "explains another answer: \(explanation.answer)" }
    guard explanation.isComplete, let last = explanation.words.last else { return "is cut" }
    let isWellWorded =
      answer.verdict == .deny ? last.hasSuffix("deny") : explanation.words.contains { $0.hasSuffix("allow") }
    if !isWellWorded { return "says otherwise: \(explanation.words)" }
    // As bytes: the companies have ids that Swift's strings take for one.
    func ids(_ ways: [Explanation.Way]) -> Set<[UInt8]> { Set(ways.map { Array($0.project.utf8) }) }
    let common = ids(explanation.subjectWays).intersection(ids(explanation.objectWays))
    if ids(explanation.shared) != common { return "shares other projects" }
    if answer.reason == "no_shared_project" && !common.isEmpty { return "denies what is shared" }
    guard answer.reason == "shared_project" else { return nil }
    let first = explanation.shared.first.map { [Array($0.project.utf8), Array($0.group.utf8)] }
    return first == [Array(answer.project.utf8), Array(answer.group.utf8)] ? nil : "goes another way"
  }

  /// Who can see an object, and what a user sees, are the checks that allow: no more, no less.
  @Test func whoCanSeeAndWhatSeesAreTheChecksThatAllow() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      var company = Company(id: "nordlicht")
      _ = try company.apply(try Sample.lines("contact-centre.jsonl").map(\.change))
      let client = try daemon.client("nordlicht")
      let users = company.users.keys.sorted()
      let people = company.users.keys.map(Target.user) + company.groups.keys.map(Target.group)
      let targets = people + company.projects.keys.map(Target.project) + company.objects.keys.map(Target.object)
      var seen: [Name: Set<String>] = [:]
      for object in targets {
        var viewers: [String: [String]] = [:]
        try client.whoCanSee(object) { viewers[$0.id] = [$0.reason, $0.project, $0.group] }
        let answers = try client.check(
          users.map { Check(subject: .user($0), object: object) }, timeoutMilliseconds: .anHour)
        for (user, answer) in zip(users, answers) {
          #expect(
            viewers[user.text] == (answer.verdict == .allow ? [answer.reason, answer.project, answer.group] : nil))
          if answer.verdict == .allow { seen[user, default: []].insert("\(object)") }
        }
      }
      for user in users {
        var rows: Set<String> = []
        try client.whatSees(.user(user), types: TargetType.all) { rows.insert("\($0.object.type):\($0.object.id)") }
        #expect(rows == seen[user] ?? [], "\(user)")
      }
      var none = 0
      let isUnknown = { (error: any Error) in (error as? ClientError)?.reason.hasPrefix("unknown_") == true }
      #expect(throws: ClientError.self) {
        try client.whoCanSee(Target(ref: "queue:nowhere")) { _ in none += 1 }
      }
      #expect { try client.whatSees(.user("nobody")) { _ in none += 1 } } throws: { isUnknown($0) }
      #expect(none == 0)
    }
  }

  /// The rows of a call journal carry their operator and their project.
  @Test func aPageOfAJournalIsFilteredInOneCall() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      var company = Company(id: "nordlicht")
      _ = try company.apply(try Sample.lines("contact-centre.jsonl").map(\.change))
      let client = try daemon.client("nordlicht")
      for (type, ids) in [("user", company.users.keys.sorted()), ("project", company.projects.keys.sorted())] {
        let page = (0..<1_000).map { ids[$0 * 7 % ids.count].text }
        let (visible, _) = try client.filter("user:1001", type: type, ids: page)
        let answers = try client.check(
          try page.map { Check(subject: .user("1001"), object: try Target(ref: "\(type):\($0)")) })
        #expect(visible == answers.map { $0.verdict == .allow })
        #expect(visible.contains(true) && visible.contains(false))
        client.at = .revision(try #require(answers.first).revision)
        #expect(try client.filter("user:1001", type: type, ids: page).visible == visible)
        client.at = .now
      }
    }
  }

  @Test func explanationsOfPeopleAndProjects() async throws {
    try await withCompany([
      .project("clinic"), .group("team"), .addMember(project: "clinic", .group("team")),
      .putRole("lister", rights: ["projects.list"]), .user("fred", roles: ["lister"]),
      .user("dora", isBlocked: true), .addToGroup(group: "team", user: "dora"), .user("anna", in: ["clinic"]),
    ]) { c async throws in
      func explain(_ subject: Subject, _ object: Target) throws -> Explanation {
        try c.client.explain(Check(subject: subject, object: object))
      }
      let tile = try explain(.user("fred"), .project("clinic"))
      #expect(tile.answer.reason == "tile_only")
      #expect(
        tile.words.last
          == "user:fred holds projects.list, which shows the tile of project:clinic and not its contents: deny")
      let blocked = try explain(.user("dora"), .user("anna"))
      #expect(blocked.answer.reason == "subject_blocked")
      #expect(blocked.subjectWays.map { [$0.project, $0.group] } == [["clinic", "team"]], "though it is blocked")
      #expect(blocked.objectWays.map { [$0.project, $0.group] } == [["clinic", ""]])
      let shared = try explain(.user("anna"), .user("dora"))
      #expect(shared.words.last == "both are in project clinic: allow")
      #expect(shared.objectWays.map { [$0.project, $0.group] } == [["clinic", "team"]])
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
      #expect(
        (json["shared"] as? [[String: String]])?.first == ["project": "project:clinic", "group": "group:clinic-team"])
      let viewers = try await scopectl("who-can-see", "queue:clinic-appointments")
      #expect(
        viewers.output.contains("Anna Berger")
          && viewers.output.contains("shared_project project:clinic through group:clinic-team"))
      let seen = try await scopectl("what-sees", "user:1001", "--type", "queue")
      #expect(seen.output.contains("queue:clinic-appointments") && !seen.output.contains("shop-orders"))
      #expect(try await scopectl("explain", "user:1001").status == 64)
      #expect(try await scopectl("who-can-see", "quue:x").status == 64)
    }
  }
}
