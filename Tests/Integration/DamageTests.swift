import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// The daemon itself on damaged files. The damages are tried by the thousand in ScopeStoreTests; here it is seen that
/// what is found there reaches whoever asks, and whoever runs the daemon.
@Suite(.serialized) struct DamagedFiles {
  private static let companies = (0..<3).map { Name(stringLiteral: "c\($0)") }
  private static let rounds = 24

  private struct Question: Hashable {
    let company: Name
    let subject: String
    let object: String
  }

  private static let questions = companies.flatMap { company in
    (0..<4).flatMap { user in
      ["queue:q", "list:l"].map { Question(company: company, subject: "user:u\(user)", object: $0) }
    }
  }

  private static let numbers = (0..<600).map { "\(4_917_000_000 + $0 * 7)" }

  /// Memberships given and taken away, and numbers: all in the write-ahead log when the daemon is killed.
  private func fill(_ folder: TemporaryFolder) throws -> [Question: Answer.Verdict] {
    let daemon = try ProcessDaemon(in: folder)
    let client = try daemon.client()
    for company in DamagedFiles.companies { try client.applyAll(smallCompany(), to: company) }
    try client.applyAll(numberCompany(), to: "n")
    try WireCaller(daemon.address, company: "n").add(DamagedFiles.numbers.map { NumberRow($0) }, to: "shop-dnc")
    for user in ["u0", "u1", "u2"] as [Name] {
      for company in DamagedFiles.companies {
        try client.applyAll([.addMember(project: "p", .user(user))], to: company)
      }
    }
    for company in DamagedFiles.companies {
      try client.applyAll([.removeMember(project: "p", .user("u1"))], to: company)
    }
    let answers = try answers(daemon)
    daemon.killNow()
    return answers
  }

  private func answers(_ daemon: ProcessDaemon) throws -> [Question: Answer.Verdict] {
    var answers: [Question: Answer.Verdict] = [:]
    for company in DamagedFiles.companies {
      let client = try daemon.client(company.text)
      for question in DamagedFiles.questions where question.company == company {
        answers[question] = client.check(question.subject, question.object).verdict
      }
    }
    return answers
  }

  private func files(_ folder: TemporaryFolder) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in ["scoped.sqlite", "scoped.sqlite-wal", "scoped.head"] {
      files[name] = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.file("data/\(name)"))))
    }
    return files
  }

  private func put(_ files: [String: [UInt8]], _ folder: TemporaryFolder) throws {
    for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: folder.file("data/\(name)"))) }
  }

  /// A bit, some letters, or a cut, wherever it is.
  private func damage(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    let place = random.below(bytes.count)
    switch random.below(4) {
    case 0: bytes.removeLast(bytes.count - place)
    case 1:
      let start = (place..<bytes.count).first { bytes[$0] == UInt8(ascii: "u") } ?? place
      for index in start..<min(start + 3, bytes.count) { bytes[index] ^= UInt8(random.below(4)) }
    default: bytes[place] ^= 1 << UInt8(random.below(8))
    }
  }

  @Test func areNotAnsweredFrom() throws {
    let seed = UInt64.random(in: 1...1_000_000)
    var random = SeededRandom(seed: seed)
    let folder = TemporaryFolder()
    let expected = try fill(folder)
    let killed = try files(folder)
    let whole = try ProcessDaemon(in: folder)
    #expect(try answers(whole) == expected)
    #expect(whole.stop() == 0)
    var stopped = killed
    stopped["scoped.sqlite"] = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.file("data/scoped.sqlite"))))
    stopped["scoped.sqlite-wal"] = []
    var refused = 0
    for round in 0..<DamagedFiles.rounds {
      var damaged = round % 2 == 0 ? killed : stopped
      let name = round % 2 == 0 ? "scoped.sqlite-wal" : "scoped.sqlite"
      damage(&damaged[name]!, &random)
      try put(damaged, folder)
      if try !isRight(folder, expected, "seed \(seed), round \(round), \(name)") { refused += 1 }
    }
    #expect(refused > 0)
  }

  /// Whether all is answered as it was; false: some of it is refused, or the start is, in words that help.
  private func isRight(_ folder: TemporaryFolder, _ expected: [Question: Answer.Verdict], _ place: String) throws
    -> Bool
  {
    let daemon: ProcessDaemon
    do { daemon = try ProcessDaemon(in: folder) } catch {
      let words = "\(error)"
      #expect(words.contains(folder.file("data/scoped.")), "\(place): \(words)")
      #expect(words.lowercased().contains("restore a backup"), "\(place): \(words)")
      return false
    }
    defer { daemon.killNow() }
    var refused: Set<String> = []
    for (question, verdict) in try answers(daemon) where verdict != expected[question] {
      #expect(verdict == .unavailable, "\(place): \(question) is answered \(verdict)")
      refused.insert(question.company.text)
    }
    if !areUnwanted(try daemon.client("n"), place) { refused.insert("n") }
    for company in refused {
      let isTold = daemon.logs("company=\(company)")
      let line = daemon.log.split(separator: "\n").first { $0.contains("company=\(company)") }
      #expect(isTold && line?.contains("restore a backup") == true, "\(place): '\(company)' in \(daemon.log)")
    }
    if !refused.isEmpty { #expect(try daemon.client().health().companiesUnreadable == refused.count, "\(place)") }
    return refused.isEmpty
  }

  /// False: nobody says. Never clear: each was put on the list.
  private func areUnwanted(_ client: Client, _ place: String) -> Bool {
    guard let screened = try? client.screen(DamagedFiles.numbers, for: dialer("shop")) else { return false }
    #expect(screened.answers.allSatisfy { $0.verdict == .unwanted }, "\(place): a number is clear")
    return true
  }

  /// What is missing is told, and gone on without by whoever says its revision.
  @Test func goOnWithoutWhatIsMissingWhenTold() throws {
    let folder = TemporaryFolder()
    let expected = try fill(folder)
    let files = try files(folder)
    let last = try #require(
      FileManager.default.attributesOfItem(atPath: folder.file("data/scoped.sqlite-wal"))[.size] as? Int)
    truncate(folder.file("data/scoped.sqlite-wal"), last - 2_000)
    let refusal = try #require(throws: TestFailure.self) { _ = try ProcessDaemon(in: folder) }.description
    let revision = try #require(refusal.firstMatch(of: #/--accept-loss (\d+)/#)?.1)
    let missing = try #require(UInt64(revision)) + 1
    #expect(refusal.contains("revisions \(missing) to \(missing) are missing"), "\(refusal)")
    #expect(throws: TestFailure.self) { _ = try ProcessDaemon(in: folder, arguments: ["--accept-loss", "\(missing)"]) }
    let daemon = try ProcessDaemon(in: folder, arguments: ["--accept-loss", "\(revision)"])
    #expect(daemon.logs("without what was missing") && daemon.logs("revisions \(missing) to"))
    let answers = try answers(daemon)
    #expect(answers.count { $0.value != expected[$0.key] } == 1, "the last change is taken back")
    try daemon.client().applyAll([.removeMember(project: "p", .user("u1"))], to: "c2")
    #expect(daemon.stop() == 0)
    let later = try ProcessDaemon(in: folder)
    #expect(try self.answers(later) == expected && later.logs("without what was missing"))
    #expect(later.stop() == 0)
    try put(files.filter { $0.key != "scoped.head" }, folder)
    #expect(throws: TestFailure.self, "the accepted history has parted from this one") {
      _ = try ProcessDaemon(in: folder)
    }
  }

  /// A row of the log that was altered does not become what was seen then.
  @Test(arguments: [
    ("edits = replace(edits, '\"u1\"', '\"u3\"') WHERE revision = 3", "r3"),
    ("company_digest = zeroblob(32) WHERE revision = 3", "r3"),
    ("company = 'd' WHERE revision = 3", "r4"),
    ("edits = replace(edits, '\"u2\"', '\"u3\"') WHERE revision = 6", "r5"),
    ("company_digest = zeroblob(32) WHERE revision = 5", "r5"),
  ])
  func areNotWhatWasSeenThen(alteration: String, moment: String) async throws {
    let folder = TemporaryFolder()
    let first = try await TestDaemon(in: folder)
    let changes: [Change] = [
      .addMember(project: "p", .user("u0")), .addMember(project: "p", .user("u1")),
      .removeMember(project: "p", .user("u1")), .removeMember(project: "p", .user("u0")),
      .addMember(project: "p", .user("u2")), .removeMember(project: "p", .user("u2")),
    ]
    try first.client().applyAll(smallCompany(), to: "c")
    for change in changes { try first.client().applyAll([change], to: "c") }
    try await first.stop()
    let sql = "DROP TRIGGER change_log_is_not_updated; UPDATE change_log SET \(alteration)"
    let altered = try run(URL(fileURLWithPath: "/usr/bin/sqlite3"), [folder.file("data/scoped.sqlite"), sql])
    #expect(altered.status == 0, "\(altered)")
    let second = try await TestDaemon(in: folder) { $0.store.checksDigests = false }  // the end of the log is all of it
    let arguments = ["check", "user:u1", "queue:q", "--at", moment]
    let answer = try await scopectl(arguments, at: second.address(.unix), company: "c")
    #expect(answer.status == 2 && "\(answer)".contains("damaged"), "\(answer)")
    try await second.stop()
  }
}
