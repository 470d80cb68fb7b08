import Foundation
import GRDB
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeStore

/// Damage is found, and named.
@Suite struct VerificationTests {
  private let scratch = Scratch()

  /// Three revisions of one company and one of another.
  private func fill() throws {
    try scratch.withStore { store in
      var company = Company(id: "acme")
      try store.apply(everyKind, to: &company)
      try store.apply([.putGroup(Group(id: "day", name: "Day shift"))], to: &company)
      try store.apply([.putGroup(Group(id: "day", name: "Days alone"))], to: &company)
      var other = Company(id: "other")
      try store.apply([.putCompany(.simple)], to: &other)
    }
  }

  private func tamper(_ sql: String) throws {
    try fill()
    try scratch.withDatabase { db in
      try db.execute(sql: "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
      for trigger in ["has_no_gaps", "is_not_updated", "is_not_deleted"] {
        try db.execute(sql: "DROP TRIGGER change_log_\(trigger)")
      }
      try db.execute(sql: sql)
    }
  }

  /// What `verify` finds, where the start would not have found it before.
  private func problems() throws -> [String] {
    try scratch.withStore({ $0.lookAway() }) { store in
      let problems = try store.verify().problems
      #expect(try store.verify(pace: .short).problems == problems, "in small steps")
      return problems
    }
  }

  /// What the start says, or loading the companies; nil: nothing.
  private func refusal() throws -> String? {
    do {
      return try scratch.withStore { store in
        do {
          for id in try store.companies() { if try store.load(id).mode == nil { return "'\(id)' is not there" } }
          return nil
        } catch { return "\(error)" }
      }
    } catch { return "\(error)" }
  }

  @Test func aWholeStoreIsSound() throws {
    try fill()
    let found = try scratch.withStore { try $0.verify() }
    #expect(found.isSound && found.head.revision == 4 && found.companies == 2)
    #expect(found.facts == 30)
  }

  /// Whatever changes between its steps, a store that is sound is found so, and each row was looked at.
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func aStoreMayChangeWhileItIsLookedThrough(seed: UInt64) throws {
    try scratch.withStore { store in
      var random = RandomCompany(seed: seed)
      var revision = store.revision
      func commit(_ edits: [Edit]) throws {
        if edits.isEmpty { return }
        try store.commit([store.record(random.company.id, edits)])
        revision = store.revision
      }
      var fresh = Company(id: random.company.id)
      try commit(try fresh.apply(random.changes).edits)
      let walk = VerificationWalk(store, pace: .short)
      while try walk.step(in: store) {
        if let outcome = try? random.apply(random.nextBatch(upTo: 3)) { try commit(outcome.edits) }
      }
      #expect(walk.found.problems == [], "seed \(seed)")
      #expect(revision > 1)
      #expect(try store.verify().problems == [])
    }
  }

  /// Damage behind and before what was looked at, while the company changes: what is still to come is found.
  @Test func damageBetweenTwoStepsIsFound() throws {
    try fill()
    try scratch.withStore({ $0.lookAway() }) { store in
      let walk = VerificationWalk(store, pace: .short)
      _ = try walk.step(in: store)
      try store.queue.writeWithoutTransaction {
        try $0.execute(sql: "DELETE FROM placements WHERE project_id = 'clinic'")
      }
      while try walk.step(in: store) {}
      #expect(walk.found.problems.contains { $0.contains("placement") && $0.contains("clinic") })
    }
  }

  /// A row of a table altered: which one is told, and what it should be.
  @Test(arguments: [
    ("UPDATE users SET name = 'Mallory' WHERE id = 'anna'", #"["user","anna","Mallory","active"]"#),
    ("UPDATE users SET state = 'active' WHERE id = 'boris'", #"["user","boris","Boris","blocked"]"#),
    ("DELETE FROM placements WHERE project_id = 'clinic'", #"["placement","contact_field","diagnosis","clinic"]"#),
    ("INSERT INTO user_roles VALUES ('acme', 'boris', 'admin')", #"["user_role","boris","admin"]"#),
    ("UPDATE companies SET mode = 'enhanced' WHERE company = 'other'", "company 'other'"),
    ("INSERT INTO companies VALUES ('third', 'simple')", "company 'third'"),
    ("DELETE FROM companies WHERE company = 'other'", "company 'other'"),
    ("UPDATE companies SET company = 'othes' WHERE company = 'other'", "company 'othes'"),
  ])
  func anAlteredTableIsFound(sql: String, words: String) throws {
    try tamper(sql)
    let found = try problems()
    #expect(found.contains { $0.contains(words) }, "\(found)")
    #expect(!found.contains { $0.contains("of the log") }, "\(found)")
    let refusal = try #require(try refusal())
    #expect(refusal.contains(scratch.database) && refusal.contains("restore a backup"), "\(refusal)")
    #expect(refusal.contains(#/company '(acme|other|third)'/#), "\(refusal)")
  }

  /// A row of the log altered: its revision is told.
  @Test(arguments: [
    ("UPDATE change_log SET time = time + 1 WHERE revision = 2", "revision 2 of the log was altered"),
    ("UPDATE change_log SET actor = NULL WHERE revision = 2", "revision 2 of the log was altered"),
    ("UPDATE change_log SET caller = 'crm' WHERE revision = 3", "revision 3 of the log was altered"),
    ("UPDATE change_log SET company = 'other' WHERE revision = 2", "revision 2 of the log was altered"),
    ("UPDATE change_log SET hash = zeroblob(32) WHERE revision = 1", "revision 1 of the log was altered"),
    (
      "UPDATE change_log SET idempotency_key = 'k', request_digest = x'00' WHERE revision = 4",
      "revision 4 of the log was altered"
    ),
    (
      "UPDATE change_log SET company_digest = zeroblob(32) WHERE revision = 3",
      "revision 3 of the log has another digest than its company's rows"
    ),
    ("UPDATE change_log SET company_digest = NULL WHERE revision = 4", "company 'other': its digest is missing"),
    ("UPDATE change_log SET edits = '[]' WHERE revision = 3", "revision 3 of the log was altered"),
    ("UPDATE change_log SET edits = '[' WHERE revision = 3", "revision 3 is damaged"),
    ("UPDATE change_log SET caller = CAST(x'FF' AS TEXT) WHERE revision = 3", "revision 3 of the log is damaged"),
    ("DELETE FROM change_log WHERE revision = 2", "revision 2 of the log is missing"),
    ("DELETE FROM change_log WHERE revision = 4", "the tables have [\"company\",\"simple\"], the log does not"),
    ("DELETE FROM change_log", "the tables have"),
  ])
  func anAlteredLogIsFound(sql: String, words: String) throws {
    try tamper(sql)
    let refusal = try #require(try refusal())
    #expect(refusal.contains(scratch.database) && refusal.lowercased().contains("restore a backup"), "\(refusal)")
    let found = try problems()
    #expect(found.contains { $0.contains(words) }, "\(found)")
  }

  /// What can't be a summary is damage, said and survived.
  @Test(arguments: [
    "[[\"-1\",\"0\"]]", "[[\"9223372036854775807\",\"1\"]]", "[[\"1\"]]",
    "[[\"1\",\"0\"],[\"won\",\"u\",\"u\",\"queue\",\"q\",\"q\"]]", "[",
  ])
  func aDamagedSummaryIsNotRead(text: String) throws {
    try tamper("UPDATE change_log SET access = '\(text)' WHERE revision = 2")
    #expect(try problems().contains { $0.contains("revision 2 of the log") })
    _ = try scratch.withStore({ $0.lookAway() }) { store throws in
      #expect(throws: StoreError.self) { try store.changes(of: "acme", LogQuery()).changes.count }
    }
  }

  /// Bytes flipped in the file itself, behind SQLite's back.
  @Test func flippedBytesAreFound() throws {
    try fill()
    #expect(try scratch.replace("Calls of the clinic", with: "Calls of the clinik") == 2)
    let found = try problems()
    #expect(found.contains { $0.contains("revision 1 of the log was altered") }, "\(found)")
  }

  @Test func flippedBytesOfATableAloneAreFound() throws {
    try fill()
    #expect(try scratch.replace("shopShop", with: "shopShip") == 1)
    let found = try problems()
    #expect(found.contains { $0.contains(#"the tables have ["project","shop","Ship",""], the log does not"#) })
    #expect(found.contains { $0.contains(#"the log has ["project","shop","Shop",""], the tables do not"#) })
  }

  /// Someone who can compute hashes rewrites the log from some point on: it no longer fits the tables.
  @Test func aLogSealedAnewIsFound() throws {
    try tamper("DELETE FROM change_log WHERE revision > 1")
    try scratch.withDatabase { db in
      var seal: [UInt8] = []
      try db.forEachRow("SELECT hash FROM change_log") {
        seal = $0.blob(0)!
        return true
      }
      let edits = [Edit(before: .role("nobody"), after: nil), Edit(before: nil, after: .role("admin"))]
      let record = ChangeRecord(revision: 2, company: "acme", timeMicroseconds: 0, caller: "pbx", edits: edits)
      try LogRow(record, nil).insert(db, hash: LogRow(record, nil).seal(after: seal))
    }
    let found = try problems()
    #expect(!found.contains { $0.contains("was altered") }, "\(found)")
    #expect(found.contains { $0.contains(#"does not fit those before: [[["role","nobody"],null]]"#) }, "\(found)")
    #expect(found.contains { $0.contains(#"does not fit those before: [[null,["role","admin"]]]"#) }, "\(found)")
  }

  /// One row rewritten and sealed with care: the next one's seal tells.
  @Test func aRowSealedAnewBreaksTheNext() throws {
    try tamper("UPDATE change_log SET caller = 'crm' WHERE revision = 2")
    try scratch.withDatabase { db in
      var seal: [UInt8] = []
      try db.forEachRow("SELECT \(LogRow.columns) FROM change_log WHERE revision < 3 ORDER BY revision") { row in
        seal = row.integer(0) == 1 ? row.blob(8)! : try LogRow(row).seal(after: seal)
        return true
      }
      try db.execute(sql: "UPDATE change_log SET hash = ? WHERE revision = 2", arguments: [Data(seal)])
    }
    #expect(try problems() == ["revision 3 of the log was altered, or one before it: its hash does not fit"])
  }

  /// A link to nothing would stop the model: loading says so, verify counts it.
  @Test func aLinkToNothingIsRefused() throws {
    try tamper("INSERT INTO project_users VALUES ('acme', 'clinic', 'nobody')")
    try scratch.withStore { store in
      let error = try failure { _ = try store.load("acme") }
      #expect(error.code == "damaged" && "\(error)".contains(#"["project_user","clinic","nobody"]"#), "\(error)")
      #expect(try store.load("other").mode == .simple)
      #expect(
        try store.verify().problems.first == "1 rows of table project_users name rows of users that are not there")
    }
  }

  @Test(arguments: [
    "UPDATE users SET name = '' WHERE id = 'anna'", "UPDATE users SET state = 'asleep' WHERE id = 'anna'",
    "UPDATE users SET name = 'a' || char(0) || 'b' WHERE id = 'anna'",
    "UPDATE users SET name = CAST(x'FF' AS TEXT) WHERE id = 'anna'",
  ])
  func aRowThatIsNoFactIsRefused(sql: String) throws {
    try tamper(sql)
    try scratch.withStore { store in
      let error = try failure { _ = try store.load("acme") }
      #expect(error.code == "damaged" && "\(error)".contains("table users, company 'acme'"), "\(error)")
      #expect(try store.verify().problems.contains { $0.contains("table users, company 'acme'") })
    }
  }

  @Test func problemsAreLimited() throws {
    try fill()
    try scratch.withDatabase { db in
      for number in 1...100 {
        try db.execute(sql: "INSERT INTO users VALUES ('acme', 'u\(number)', 'U', 'active')")
      }
    }
    #expect(try problems().count == Verification.maximumProblems)
  }
}
