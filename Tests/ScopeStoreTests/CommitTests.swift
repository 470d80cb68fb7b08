import Foundation
import GRDB
import GRDBSQLite
import ScopeModel
import Testing

@testable import ScopeStore

/// All or none.
@Suite struct CommitTests {
  private struct Trouble: Error {}

  private let scratch = Scratch()
  private let creation = [Edit(before: nil, after: .company(.simple))]

  @Test func severalRecordsShareACommit() throws {
    try scratch.withStore { store in
      var calls = 0
      let records = (1...64).map { store.record(Name(stringLiteral: "c\($0)"), creation, ahead: $0) }
      try store.commit(records) { calls += 1 }
      #expect(store.revision == 64)
      #expect(calls == 1)
      #expect(try store.companies().count == 64)
      #expect(try store.lastRevision(of: "c7") == 7)
      #expect(try store.lastRevision(of: "nobody") == 0)
      #expect(try store.verify().problems == [])
    }
  }

  /// The files as a killed process leaves them: what was committed is in the write-ahead log.
  @Test func whatWasCommittedNeedsNoClose() throws {
    let heir = Scratch()
    try scratch.withStore { store in
      try store.commit([store.record("acme", creation), store.record("other", creation, ahead: 2)])
      for name in ["scoped.sqlite", "scoped.sqlite-wal", "scoped.head"] {
        try FileManager.default.copyItem(
          atPath: scratch.directory + "/" + name, toPath: heir.directory + "/" + name)
      }
    }
    try heir.withStore { store in
      #expect(store.revision == 2)
      let companies = try store.companies()
      #expect(companies == ["acme", "other"])
      #expect(try store.verify().problems == [])
    }
  }

  @Test func noRecordsAreNoChange() throws {
    try scratch.withStore { store in
      try store.commit([]) { Issue.record("there is nothing to commit") }
      #expect(store.revision == 0)
    }
  }

  /// Edits that don't fit the tables, each after edits and a record that do.
  static let misfits: [[Edit]] = [
    [Edit(before: nil, after: .company(.simple))],
    [Edit(before: .company(.enhanced), after: nil)],
    [Edit(before: .company(.enhanced), after: .company(.simple))],
    [Edit(before: .company(.simple), after: .role("r"))],
    [Edit(before: .role("admin"), after: .role("admin"))],
    [Edit(before: .role("nobody"), after: nil)],
    [Edit(before: nil, after: .userRole(user: "nobody", role: "admin"))],
    [Edit(before: nil, after: .placement(ObjectRef(.contactField, "nothing"), project: "p"))],
    [
      Edit(before: nil, after: .project(Project(id: "a", name: "A"))),
      Edit(before: nil, after: .project(Project(id: "b", name: "A"))),
    ],
    [
      Edit(before: nil, after: .user(User(id: "a", name: "A"))),
      Edit(before: nil, after: .role("r")),
      Edit(before: nil, after: .userRole(user: "a", role: "r")),
      Edit(before: .user(User(id: "a", name: "A")), after: nil),
    ],
  ]

  @Test(arguments: misfits)
  func aBatchThatFailsInTheMiddleLeavesNothing(edits: [Edit]) throws {
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply([.putCompany(.simple)], to: &company)
      let head = store.head
      let records = [store.record("other", creation), store.record("acme", edits, ahead: 2)]
      #expect(code { try store.commit(records) } == "misfit")
      #expect(store.head == head)
      #expect(try store.companies() == ["acme"])
      #expect(try store.lastRevision(of: "other") == 0)
      #expect(try store.load("acme").facts == company.facts)
      try store.apply([.setMode(.enhanced)], to: &company)
      #expect(store.revision == 2)
      #expect(try store.verify().problems == [])
    }
  }

  @Test func whatBeforeCommitThrowsTakesAllBack() throws {
    try scratch.withStore { store in
      let error = try failure { try store.commit([store.record("acme", creation)]) { throw Trouble() } }
      #expect(error.code == "before_commit" && error.cause is Trouble && !error.isFatal)
      #expect(try store.companies() == [] && store.revision == 0)
      try store.commit([store.record("acme", creation)])
    }
    try scratch.withStore { store throws in #expect(try store.companies() == ["acme"]) }
  }

  @Test(arguments: [0, 2, 100])
  func revisionsFollowEachOther(ahead: UInt64) throws {
    try scratch.withStore { store throws in
      #expect(code { try store.commit([store.record("acme", creation, ahead: ahead)]) } == "wrong_revision")
      #expect(try store.companies() == [])
    }
  }

  @Test func anIdempotencyKeyIsUsedOncePerCompany() throws {
    try scratch.withStore { store in
      let key = Idempotency(key: "k1", digest: [1, 2, 3])
      #expect(try store.idempotent(company: "acme", key: "k1") == nil)
      try store.commit([store.record("acme", creation, key), store.record("other", creation, ahead: 2, key)])
      let earlier = try store.idempotent(company: "acme", key: "k1")
      #expect(earlier == Store.Earlier(revision: 1, digest: [1, 2, 3], editCount: 1))
      #expect(try store.idempotent(company: "other", key: "k1")?.revision == 2)
      #expect(try store.idempotent(company: "acme", key: "K1") == nil)
      #expect(code { try store.commit([store.record("acme", [], key)]) } == "key_taken")
      try store.commit([store.record("acme", []), store.record("acme", [], ahead: 2)])
      #expect(store.revision == 4)
    }
  }

  @Test(arguments: [
    "UPDATE change_log SET caller = 'x'", "DELETE FROM change_log", "UPDATE change_log SET revision = 9",
    "REPLACE INTO change_log SELECT * FROM change_log WHERE revision = 1",
    "INSERT INTO change_log SELECT 9, company, 1, NULL, 'x', '[]', NULL, NULL, hash FROM change_log",
  ])
  func theLogIsNeverAltered(sql: String) throws {
    try scratch.withStore { _ = try $0.commit([$0.record("acme", creation)]) }
    #expect(throws: DatabaseError.self) { try scratch.withDatabase { try $0.execute(sql: sql) } }
    try scratch.withStore { store throws in #expect(try store.verify().problems == []) }
  }

  @Test func theWriteAheadLogIsKeptShort() throws {
    var configuration = scratch.configuration
    configuration.checkpointPagesAtMost = 20
    configuration.walLimitBytes = 1 << 20
    let store = try Store(configuration)
    var company = Company(id: "acme")
    try store.apply([.putCompany(.simple)], to: &company)
    var longest = 0
    for number in 1...300 {
      try store.apply([.putGroup(Group(id: Name(stringLiteral: "g\(number)"), name: "g"))], to: &company)
      let attributes = try FileManager.default.attributesOfItem(atPath: scratch.database + "-wal")
      longest = max(longest, attributes[.size] as! Int)
    }
    #expect(longest < 60 * 4_120)
    #expect(try store.verify().problems == [])
    try store.close()
  }

  // MARK: - Faults of the disk

  @Test func aFullDatabaseRefusesAndRecovers() throws {
    var company = Company(id: "acme")
    try scratch.withStore { store in
      try store.apply([.putCompany(.simple)], to: &company)
      let pages = try #require(try store.queue.unsafeRead { try Int.fetchOne($0, sql: "PRAGMA page_count") })
      _ = try store.pragma("max_page_count = \(pages)")
      var attempt = company
      let many = (0..<2_000).map { Change.putGroup(Group(id: Name(stringLiteral: "g\($0)"), name: "g")) }
      let error = try failure { try store.apply(many, to: &attempt) }
      #expect(error.code == "disk_full" && !error.isFatal)
      #expect(store.revision == 1)
      #expect(try store.load("acme").facts == company.facts)
      _ = try store.pragma("max_page_count = 1000000")
      try store.apply(many, to: &company)
      #expect(try store.load("acme").facts == company.facts)
      #expect(try store.verify().problems == [])
    }
  }

  /// The limit of a file's size stands for a full disk: EFBIG from a real write, met inside COMMIT.
  @Test func aFullDiskRefusesAndRecovers() async {
    await #expect(processExitsWith: .success) {
      let scratch = Scratch()
      signal(SIGXFSZ, SIG_IGN)
      try scratch.withStore { store in
        var company = Company(id: "acme")
        try store.apply([.putCompany(.simple)], to: &company)
        var limit = rlimit(rlim_cur: 200_000, rlim_max: .max)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        var attempt = company
        let many = (0..<5_000).map { Change.putGroup(Group(id: Name(stringLiteral: "g\($0)"), name: "g")) }
        let error = try failure { try store.apply(many, to: &attempt) }
        guard error.code == "disk_full", !error.isFatal, store.revision == 1 else {
          fatalError("\(error)")
        }
        guard try store.load("acme").facts == company.facts else { fatalError("something was left") }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        try store.apply(many, to: &company)
        guard try store.verify().isSound else { fatalError("not sound") }
      }
      scratch.remove()
    }
  }

  @Test func aFailedSyncOfACommitIsFatalAndNeverTriedAgain() throws {
    let store = try Store(scratch.configuration)
    try store.commit([store.record("acme", creation)])
    let repair = store.sabotage(Int32(SQLITE_FCNTL_JOURNAL_POINTER)) { methods in
      methods.xSync = { _, _ in SQLITE_IOERR | (4 << 8) }
    }
    let error = try failure { try store.commit([store.record("other", creation)]) }
    repair()
    #expect(error.code == "in_doubt" && error.isFatal)
    #expect(store.revision == 1)
    #expect(code { try store.commit([store.record("other", creation)]) } == "in_doubt")
    #expect(code { try store.checkpoint() } == "in_doubt")
  }

  @Test func aFailedSyncOfACheckpointIsFatal() throws {
    let store = try Store(scratch.configuration)
    try store.commit([store.record("acme", creation)])
    let repair = store.sabotage(Int32(SQLITE_FCNTL_FILE_POINTER)) { methods in
      methods.xSync = { _, _ in SQLITE_IOERR | (4 << 8) }
    }
    let error = try failure { try store.checkpoint() }
    repair()
    #expect(error.code == "in_doubt" && error.isFatal)
    #expect(code { try store.commit([store.record("other", creation)]) } == "in_doubt")
  }
}

extension Store {
  /// Makes calls of one of the connection's files fail; what is returned ends that.
  func sabotage(_ file: Int32, _ change: (inout sqlite3_io_methods) -> Void) -> () -> Void {
    queue.unsafeRead { db in
      var pointer: UnsafeMutablePointer<sqlite3_file>?
      sqlite3_file_control(db.sqliteConnection, "main", file, &pointer)
      let whole = pointer!.pointee.pMethods!
      let broken = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
      broken.initialize(to: whole.pointee)
      change(&broken.pointee)
      pointer!.pointee.pMethods = UnsafePointer(broken)
      return {
        pointer!.pointee.pMethods = whole
        broken.deallocate()
      }
    }
  }
}
