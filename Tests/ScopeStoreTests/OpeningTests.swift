import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// What is opened, what is refused, and what is in force.
@Suite struct OpeningTests {
  private let scratch = Scratch()

  @Test func theDirectoryIsMadeAndClosedToOthers() throws {
    var configuration = scratch.configuration
    configuration.directory += "/inner"
    let store = try Store(configuration)
    try store.commit([store.record("acme", [Edit(before: nil, after: .company(.simple))])])
    #expect(try scratch.mode(configuration.directory) == 0o700)
    for name in ["scoped.sqlite", "scoped.sqlite-wal", "scoped.lock", "scoped.head"] {
      #expect(try scratch.mode(configuration.directory + "/" + name) == 0o600)
    }
    try store.close()
    configuration.directory = scratch.directory + "/no/such"
    #expect(code { _ = try Store(configuration) } == "io")
  }

  /// Rows from before summaries were kept are sealed without them, and stay so.
  @Test func aStoreOfVersion1GoesOn() throws {
    let company = Edit(before: nil, after: .company(.simple))
    try scratch.withStore { store in _ = try store.commit([store.record("acme", [company])]) }
    try scratch.withDatabase { db in
      try db.execute(
        sql: "ALTER TABLE change_log DROP COLUMN access; DELETE FROM grdb_migrations WHERE identifier = 'v2'")
    }
    try scratch.withStore { store throws in
      #expect(try store.verify().problems == [])
      var second = store.record("acme", [Edit(before: nil, after: .role("r"))])
      second.access = AccessSummary()
      try store.commit([second])
      #expect(try store.verify().problems == [])
      #expect(try store.changes(of: "acme", LogQuery()).changes.map(\.record.access) == [nil, AccessSummary()])
    }
    try scratch.withDatabase { db in
      let sql = "SELECT sql FROM sqlite_schema WHERE name = 'change_log'"
      let made = try String.fetchOne(db, sql: sql)
      #expect(made?.hasSuffix(") STRICT") == true)
    }
  }

  @Test func closingTwiceIsClosing() throws {
    let store = try Store(scratch.configuration)
    try store.close()
    try store.close()
  }

  @Test func thePragmasAreInForce() throws {
    try scratch.withStore { store in
      try store.commit([store.record("acme", [Edit(before: nil, after: .company(.simple))])])
      let pragmas = [
        "locking_mode": "exclusive", "journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
        "trusted_schema": "0", "cell_size_check": "1", "recursive_triggers": "1", "wal_autocheckpoint": "0",
        "journal_size_limit": "67108864", "cache_size": "-16384", "application_id": "1396920388",
      ]
      for (name, value) in pragmas { #expect(try store.pragma(name) == value, "\(name)") }
      let files = ["scoped.head", "scoped.lock", "scoped.sqlite", "scoped.sqlite-wal"]
      #expect(scratch.files() == files, "no shared memory")
      let tables = try store.queue.unsafeRead {
        try String.fetchAll($0, sql: "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict")
      }
      #expect(Set(tables) == ["sqlite_schema", "sqlite_sequence", "grdb_migrations"])
    }
  }

  @Test func anotherProcessIsKeptOut() throws {
    try scratch.withStore { _ in
      let error = try failure { _ = try Store(scratch.configuration) }
      #expect(error.code == "locked")
      #expect("\(error)".contains("process \(getpid()) is using the data directory \(scratch.directory)"))
      #expect(throws: DatabaseError.self, "not even a shell gets in") {
        try scratch.withDatabase { try $0.execute(sql: "SELECT * FROM companies") }
      }
    }
    try scratch.withStore { _ in }
  }

  @Test func aDatabaseInUseByAShellIsRefused() throws {
    try scratch.withStore { _ in }
    try scratch.withDatabase { db in
      try db.execute(sql: "BEGIN IMMEDIATE")
      #expect(code { _ = try Store(scratch.configuration) } == "locked")
      try db.execute(sql: "ROLLBACK")
    }
    try scratch.withStore { _ in }
  }

  @Test func anotherApplicationsDatabaseIsRefusedAndUnharmed() throws {
    try scratch.withDatabase { try $0.execute(sql: "CREATE TABLE notes (text)") }
    let before = try Data(contentsOf: URL(fileURLWithPath: scratch.database))
    #expect(code { _ = try Store(scratch.configuration) } == "not_our_file")
    #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.database)) == before)
  }

  @Test func aNewerSchemaIsRefused() throws {
    try scratch.withStore { _ in }
    try scratch.withDatabase { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('v9')") }
    let error = try failure { _ = try Store(scratch.configuration) }
    #expect(error.code == "newer_schema" && "\(error)".contains("newer version (v9)"))
  }

  @Test func aCreationThatWasCutShortIsBegunAgain() throws {
    try Data("half".utf8).write(to: URL(fileURLWithPath: scratch.configuration.draftPath))
    try Data("half".utf8).write(to: URL(fileURLWithPath: scratch.configuration.draftPath + "-journal"))
    try scratch.withStore { #expect($0.revision == 0) }
  }

  @Test(arguments: [0, 1, 50, 4_096, 20_000])
  func aCutFileIsRefused(bytes: Int) throws {
    var company = Company(id: "acme")
    try scratch.withStore { try $0.apply(everyKind, to: &company) }
    truncate(scratch.database, bytes)
    let error = try failure { _ = try Store(scratch.configuration) }
    #expect(error.code == "damaged" && "\(error)".contains("restore a backup"), "\(error)")
  }

  @Test func anOverwrittenFileIsRefused() throws {
    try scratch.withStore { _ in }
    let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.database)).count
    try Data(repeating: 0x5A, count: bytes).write(to: URL(fileURLWithPath: scratch.database))
    #expect(code { _ = try Store(scratch.configuration) } == "damaged")
  }

  @Test func aMissingFileBesideItsLogIsRefused() throws {
    try Data("log".utf8).write(to: URL(fileURLWithPath: scratch.database + "-wal"))
    #expect(code { _ = try Store(scratch.configuration) } == "damaged")
  }
}
