import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// Stores from before digests were kept.
@Suite struct UpgradeTests {
  private let scratch = Scratch()

  /// Two companies in a store of version 3: sealed without digests, and without a head file.
  private func fill() throws -> [Name: Set<Fact>] {
    var acme = Company(id: "acme")
    var other = Company(id: "other")
    try scratch.withStore { store throws in
      try store.apply(everyKind, to: &acme)
      try store.apply([.putCompany(.enhanced), .putUser(User(id: "u", name: "U"), roles: ["admin"])], to: &other)
      try store.apply([.removeMember(project: "clinic", .user("anna")), .removeUser("boris")], to: &acme)
      try store.apply([.putUser(User(id: "boris", name: "Boris", isBlocked: true), roles: [])], to: &acme)
      var gone = Company(id: "gone")
      try store.apply([.putCompany(.simple)], to: &gone)
      try store.apply([.removeCompany], to: &gone)
    }
    try scratch.withDatabase(makeVersion3)
    unlink(scratch.configuration.headPath)
    return ["acme": acme.facts, "other": other.facts]
  }

  private func makeVersion3(_ db: Database) throws {
    var rows: [LogRow] = []
    try db.forEachRow("SELECT \(LogRow.columns) FROM change_log ORDER BY revision") { row in
      rows.append(try LogRow(row))
      return true
    }
    try db.execute(sql: "DROP TRIGGER change_log_is_not_updated")
    try db.execute(sql: "ALTER TABLE change_log DROP COLUMN company_digest")
    try db.execute(
      sql: """
        DROP TABLE earlier_digests; DROP TABLE store; DROP TABLE accepted_losses;
        DELETE FROM grdb_migrations WHERE identifier = 'v4';
        """)
    var seal = Head.start.hash
    for row in rows {
      seal = LogRow(try row.record(), nil).seal(after: seal)
      try db.execute(sql: "UPDATE change_log SET hash = ? WHERE revision = ?", arguments: [Data(seal), row.revision])
    }
  }

  @Test func goOn() throws {
    var expected = try fill()
    try scratch.withStore { store throws in
      #expect(try store.companies() == ["acme", "other"])
      for (id, facts) in expected { #expect(try store.load(id).facts == facts) }
      #expect(try store.verify().problems == [])
      var acme = try store.load("acme")
      try store.apply([.removeProject("shop")], to: &acme)
      expected["acme"] = acme.facts
    }
    try scratch.withStore { store throws in
      for (id, facts) in expected { #expect(try store.load(id).facts == facts) }
      #expect(try store.verify().problems == [] && store.notes == [])
    }
    unlink(scratch.configuration.headPath)
    #expect(code { _ = try Store(scratch.configuration) } == "changes_missing", "from now on it must be there")
  }

  /// What `verify` would have found is not taken for right by the upgrade.
  @Test(arguments: [
    "INSERT INTO project_users VALUES ('acme', 'clinic', 'anna')",
    "UPDATE users SET state = 'active' WHERE company = 'acme' AND id = 'boris'",
    "DELETE FROM role_rights WHERE company = 'acme'",
    "UPDATE change_log SET edits = replace(edits, 'boris', 'doris') WHERE revision = 1",
    "UPDATE change_log SET edits = '[' WHERE revision = 1",
    "PRAGMA foreign_keys = OFF; DELETE FROM companies WHERE company = 'acme'",
  ])
  func doNotTrustWhatDoesNotFitTheLog(sql: String) throws {
    let expected = try fill()
    try scratch.withDatabase { try $0.execute(sql: sql) }
    // Past the end of the log, which the start looks at: here it is all of it.
    try scratch.withStore({ $0.checksDigests = false }) { store throws in
      #expect(try store.verify().problems != [])
    }
    do {
      try scratch.withStore { store throws in
        #expect(try store.companies() == ["acme", "other"])
        let error = try failure { _ = try store.load("acme") }
        #expect(error.code == "damaged" && "\(error)".contains("company 'acme'"), "\(error)")
        #expect(try store.load("other").facts == expected["other"])
      }
    } catch {
      #expect(sql.contains("change_log") && "\(error)".contains("revision 1 of the log was altered"), "\(error)")
    }
  }
}
