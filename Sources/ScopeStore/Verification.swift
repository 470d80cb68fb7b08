import GRDB
import ScopeModel

/// What was found when the whole store was looked through.
public struct Verification: Sendable {
  /// No more than this many problems are told; the first ones are.
  public static let maximumProblems = 20

  /// The end of the log that was verified.
  public let head: Head
  /// How many companies the log or the tables know.
  public internal(set) var companies = 0
  /// How many rows the tables have beside the log's.
  public internal(set) var facts = 0
  /// What is wrong, in words, each naming its revision or row. Empty: all is well.
  public internal(set) var problems: [String] = []

  public var isSound: Bool { problems.isEmpty }

  /// Adds a finding.
  public mutating func report(_ problem: String) {
    if problems.count < Verification.maximumProblems { problems.append(problem) }
  }
}

extension Store {
  /// Looks the whole store through: SQLite's own checks, the chain of the log's seals, and whether the log,
  /// replayed, says what the tables say.
  ///
  /// Memory: the facts of the largest company once. Time: a few seconds for a million edits; the store waits.
  ///
  /// - Throws: where reading failed. What is wrong with the content is not thrown but told.
  public func verify() throws(StoreError) -> Verification {
    var found = Verification(head: head)
    try examine("integrity_check", &found, Store.checkIntegrity)
    try examine("foreign_key_check", &found, Store.checkForeignKeys)
    try examine("the chain of the log", &found, Store.checkChain)
    var companies: [Name] = []
    try examine("the companies", &found) { db, _ in
      let sql = "SELECT company FROM companies UNION SELECT company FROM change_log ORDER BY company"
      companies = try Store.names(db, sql)
    }
    for company in companies {
      try examine("company '\(company)'", &found) { db, found in try compare(company, db, &found) }
    }
    return found
  }

  /// Damage that stops a check is itself a finding.
  private func examine(
    _ what: String, _ found: inout Verification, _ check: (Database, inout Verification) throws -> Void
  ) throws(StoreError) {
    do { try access(what) { try check($0, &found) } } catch {
      guard case .damaged(let words, let cause) = error else { throw error }
      found.report(cause.map { "\(what): \(words) (\($0))" } ?? words)
    }
  }

  private static func checkIntegrity(_ db: Database, _ found: inout Verification) throws {
    let sql = "PRAGMA integrity_check(\(Verification.maximumProblems))"
    for line in try String.fetchAll(db, sql: sql) where line != "ok" { found.report("SQLite finds: \(line)") }
  }

  private static func checkForeignKeys(_ db: Database, _ found: inout Verification) throws {
    try db.forEachRow("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check() GROUP BY 1, 2") { row in
      found.report(
        "\(row.integer(2)) rows of table \(try row.text(0)) name rows of \(try row.text(1)) that are not there")
      return true
    }
  }

  private static func checkChain(_ db: Database, _ found: inout Verification) throws {
    var next: Int64 = 1
    var previous = Head.start.hash
    try db.forEachRow("SELECT \(LogRow.columns) FROM change_log ORDER BY revision") { row in
      let revision = row.integer(0)
      if revision != next { found.report("revision \(next) of the log is missing: \(revision) follows") }
      let stored = row.blob(8) ?? []
      do {
        if try LogRow(row).seal(after: previous) != stored {
          found.report("revision \(revision) of the log was altered, or one before it: its hash does not fit")
        }
      } catch let error as DamagedRow {
        found.report("revision \(revision) of the log is damaged: \(error)")
      }
      next = revision + 1
      previous = stored
      return true
    }
  }

  /// Compares the log, replayed, with the tables, through sets of facts alone: nothing of the model's own
  /// bookkeeping is trusted.
  private func compare(_ company: Name, _ db: Database, _ found: inout Verification) throws {
    found.companies += 1
    var facts = try replay(company, db, &found)
    var lists: [NumberList] = []
    try db.forEachFact(of: company) { fact in
      found.facts += 1
      if case .list(let list) = fact { lists.append(list) }
      if facts.remove(fact) == nil {
        found.report("company '\(company)': the tables have \(EditsText.encode(fact)), the log does not")
      }
    }
    for list in lists { try compare(list, of: company, db, &found) }
    for fact in facts.map(EditsText.encode).sorted().prefix(Verification.maximumProblems) {
      found.report("company '\(company)': the log has \(fact), the tables do not")
    }
  }

  /// The log knows a list's numbers by their digest alone: whether the blocks still give it.
  private func compare(_ list: NumberList, of company: Name, _ db: Database, _ found: inout Verification) throws {
    let place = "company '\(company)': the numbers of \(list.ref)"
    var (hashes, count, last): ([BlockHash], UInt64, UInt64) = ([], 0, 0)
    try db.forEachBlock(ofSet: list.blockSet) { rows, hash in
      if StoredBlock(rows).hash != hash { found.report("\(place) from \(rows.numbers[0]) on do not have their hash") }
      if rows.numbers[0] <= last { found.report("\(place) from \(rows.numbers[0]) on are out of order") }
      hashes.append(hash)
      (count, last) = (count + UInt64(rows.count), rows.numbers[rows.count - 1])
    }
    if count != list.count { found.report("\(place) are \(count), and the log tells of \(list.count)") }
    if BlockHash.digest(of: hashes) != list.digest { found.report("\(place) are not those the log tells of") }
  }

  /// Also compares what each record says that it has left of the company with what it did leave.
  private func replay(_ company: Name, _ db: Database, _ found: inout Verification) throws -> Set<Fact> {
    var facts: Set<Fact> = []
    var digest = CompanyDigest()
    try Store.forEachRecord(of: company, after: 0, db) { record, row in
      for edit in record.edits {
        let removed = edit.before.map { facts.remove($0) != nil } ?? true
        let inserted = edit.after.map { facts.insert($0).inserted } ?? true
        if !removed || !inserted {
          found.report("revision \(record.revision) of the log does not fit those before: \(EditsText.encode([edit]))")
        }
        digest.apply(edit)
      }
      let told = try row.companyDigest ?? db.earlierDigest(of: company, at: row.revision)
      if let told, told != digest {
        found.report("revision \(record.revision) of the log has another digest than its company's rows")
      }
      return true
    }
    if (try? db.expectedDigest(of: company).digest) != digest {
      found.report("company '\(company)': its digest is missing, or not that of what the log has left")
    }
    return facts
  }
}
