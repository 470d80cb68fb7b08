import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@Suite struct SampleAnswers {
  @Test(arguments: Transport.allCases) func areTheOnesExpected(over transport: Transport) async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client(over: transport))
      for row in try Sample.rows("checks.tsv") {
        let answer = try daemon.client(row.company, over: transport).check(row.subject, row.object)
        let found = [answer.verdict.rawValue, answer.reason, answer.project, answer.group]
        #expect(found == [row.expected, row.reason, row.project, row.group], "\(row)")
      }
    }
  }

  @Test func areTheSameInOneFrame() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      let byCompany = Dictionary(grouping: try Sample.rows("checks.tsv"), by: \.company)
      #expect(byCompany.count == 2)
      for (company, rows) in byCompany {
        let checks = try rows.map {
          Check(subject: try Subject(ref: $0.subject), object: try ObjectRef(ref: $0.object))
        }
        let answers = try daemon.client(company).check(checks, timeoutMilliseconds: .anHour)
        #expect(answers.map(\.reason) == rows.map(\.reason))
        #expect(answers.map(\.project) == rows.map(\.project))
        #expect(answers.map(\.group) == rows.map(\.group))
        #expect(Set(answers.map(\.revision)).count == 1)
      }
    }
  }

  @Test func followTheSecurityMode() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client()
      try Sample.load(into: client)
      try client.applyAll([.setMode(.simple)], to: "solmar")
      for row in try Sample.rows("checks-simple.tsv") {
        let answer = try daemon.client(row.company).check(row.subject, row.object)
        #expect([answer.verdict.rawValue, answer.reason] == [row.expected, row.reason], "\(row)")
      }
    }
  }

  /// The same ids in the mirrored company: nothing of one shows through in the other, in any question.
  @Test func neverMixCompanies() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      for file in ["contact-centre.jsonl", "mirror.jsonl"] {
        let lines = try Sample.lines(file)
        var company = Company(id: lines[0].company)
        _ = try company.apply(lines.map(\.change))
        let client = try daemon.client(company.id.text)
        for user in company.users.keys.sorted().prefix(20) {
          var names: [String: String] = [:]
          _ = try client.objects("user:\(user)", types: [], project: nil) { names["\($0.type):\($0.id)"] = $0.name }
          for (ref, name) in names {
            #expect(company.objects[try ObjectRef(ref: ref)]?.object.name.text == name)
          }
          _ = try client.projects("user:\(user)") { tile in
            #expect(company.projects[Name(stringLiteral: tile.id)]?.project.name.text == tile.name)
          }
        }
      }
    }
  }

  @Test func surviveARestart() async throws {
    let folder = TemporaryFolder()
    let first = try await TestDaemon(in: folder)
    try Sample.load(into: try first.client())
    try await first.stop()
    let second = try await TestDaemon(in: folder)
    for row in try Sample.rows("checks.tsv").prefix(60) {
      #expect(try second.client(row.company).check(row.subject, row.object).reason == row.reason)
    }
    try await second.stop()
  }
}

@Suite struct Listings {
  @Test func ofManyObjectsComeInPartsAndWhole() async throws {
    try await withDaemon { daemon in
      let centre = ContactCentre(.medium, seed: 5)
      let client = try daemon.client("big")
      try client.applyAll(centre, to: "big")
      let company = try centre.company()
      let admin = try #require(company.users.values.first { $0.roles.contains("admin") && !$0.user.isBlocked })
      var rows: [ObjectRow] = []
      _ = try client.objects("user:\(admin.user.id)", types: [], project: nil) { rows.append($0) }
      #expect(rows.count == company.objects.count)
      let ids = rows.filter { $0.type == "queue" }.map(\.id)
      #expect(ids == ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
      let (visible, _) = try client.filter("user:\(admin.user.id)", type: "queue", ids: ids + ["nope"] + ids)
      #expect(visible == ids.map { _ in true } + [false] + ids.map { _ in true })
    }
  }

  /// More ids than one frame should hold up others for are answered beside the event loop.
  @Test func ofTensOfThousandsOfIdsAreNeverCutShort() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      try client.applyAll([.addMember(project: "p", .user("u0"))], to: "c")
      let ids = (0..<60_000).map { $0 % 3 == 0 ? "q" : "missing-\($0)" }
      let (visible, _) = try client.filter("user:u0", type: "queue", ids: ids)
      #expect(visible == ids.map { $0 == "q" })
      let (none, _) = try client.filter("user:u1", type: "queue", ids: ids)
      #expect(!none.contains(true))
    }
  }

  @Test func ofContactFieldsOfAProjectAreItsOwnAndTheSystems() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      var company = Company(id: "nordlicht")
      _ = try company.apply(try Sample.lines("contact-centre.jsonl").map(\.change))
      var found: Set<String> = []
      _ = try daemon.client("nordlicht").objects("user:1080", types: ["contact_field"], project: "clinic") {
        found.insert($0.id)
      }
      let fields = company.objects.values.filter { $0.object.ref.type == .contactField }
      let expected = fields.filter { $0.object.isSystem || $0.projects.contains("clinic") }
      #expect(found == Set(expected.map(\.object.ref.id.text)))
      #expect(found.count < fields.count)
    }
  }
}

@Suite struct Export {
  /// What an export makes is the same company: same lines, same digest.
  @Test func importedElsewhereGivesTheSameDigest() async throws {
    try await withDaemon { daemon in
      try Sample.load(into: try daemon.client())
      var changes: [Change] = []
      let digest = try daemon.client().export("nordlicht", timeoutMilliseconds: .anHour) { changes += $0 }
      #expect(digest.count == 32)
      try await withDaemon { other in
        try other.client().applyAll(changes, to: "nordlicht")
        var again: [Change] = []
        #expect(try other.client().export("nordlicht", timeoutMilliseconds: .anHour) { again += $0 } == digest)
        #expect(again == changes)
        try other.client().applyAll([.removeUser("1001")], to: "nordlicht")
        #expect(try other.client().export("nordlicht", timeoutMilliseconds: .anHour) { _ in } != digest)
      }
    }
  }

  @Test func ofALargeCompanyIsWhole() async throws {
    try await withDaemon { daemon in
      let centre = ContactCentre(.medium, seed: 11)
      try daemon.client().applyAll(centre, to: "c")
      var changes: [Change] = []
      _ = try daemon.client().export("c", timeoutMilliseconds: .anHour) { changes += $0 }
      #expect(changes == (try centre.company()).changesToRebuild())
    }
  }

  /// Parts are bounded by bytes, too: a role may have a thousand long rights.
  @Test func ofLargeRolesComesInPartsThatFit() async throws {
    try await withDaemon { daemon in
      let rights = (0..<1_000).map { Name(stringLiteral: String(repeating: "r", count: 120) + "\($0)") }
      for first in stride(from: 0, to: 120, by: 20) {
        let roles = (first..<first + 20).map { Change.putRole(Name(stringLiteral: "role-\($0)"), rights: rights) }
        try daemon.client().applyAll([.putCompany(.simple)] + roles, to: "c")
      }
      var roles = 0
      _ = try daemon.client().export("c", timeoutMilliseconds: .anHour) { changes in
        roles += changes.count { if case .putRole = $0 { true } else { false } }
      }
      #expect(roles == 120)
    }
  }

  /// Asking for companies that are not there costs the one writer nothing.
  @Test func ofManyUnknownCompaniesHoldsNobodyUp() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      for number in 1...20_000 {
        connection.sendFrame(RawRequest(company: "unknown-\(number)", call: 18).packed)
        if number % 100 == 0 {
          for _ in 1...100 { #expect(try connection.response().reason == "unknown_company") }
        }
      }
      try daemon.client().applyAll([.removeUser("u0")], to: "c")
    }
  }

  @Test func ofAnUnknownCompanyIsRefused() async throws {
    try await withDaemon { daemon in
      #expect(throws: ClientError.self) { try daemon.client().export("nobody", timeoutMilliseconds: .anHour) { _ in } }
    }
  }
}
