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
  /// Looks the whole store through at once, as `VerificationWalk` does.
  public func verify(pace: VerificationWalk.Pace = VerificationWalk.Pace()) throws(StoreError) -> Verification {
    let walk = VerificationWalk(self, pace: pace)
    while try walk.step(in: self) {}
    return walk.found
  }

  /// Damage that stops a check is itself a finding.
  fileprivate func examine(
    _ what: String, _ found: inout Verification, _ check: (Database, inout Verification) throws -> Void
  ) throws(StoreError) {
    do { try access(what) { try check($0, &found) } } catch {
      guard case .damaged(let words, let cause) = error else { throw error }
      found.report(cause.map { "\(what): \(words) (\($0))" } ?? words)
    }
  }
}

/// Looks a store through, a step at a time, so that whoever else wants the store has it in between, and may change it:
/// SQLite's own checks, the chain of the log's seals, and whether the log, replayed, says what the tables say.
///
/// A step takes some milliseconds, but for SQLite's checks, which take a table at once: about half a second for a million
/// rows. Memory: the facts of the largest company once. Used on the store's thread.
public final class VerificationWalk {
  private enum Stage {
    case integrity(table: String)
    case foreignKeys(table: String)
    /// The link that comes next, and the seal before it.
    case chain(next: Int64, previous: [UInt8])
    case findCompanies
    case company(CompanyWalk)
  }

  public private(set) var found: Verification
  private let pace: Pace
  /// The next one stands last.
  private var stages: [Stage]

  /// Begins at the end of the log as it is now.
  public init(_ store: Store, pace: Pace = Pace()) {
    self.pace = pace
    found = Verification(head: store.head)
    stages = [.findCompanies, .chain(next: 1, previous: Head.start.hash)]
    let tables = (try? store.access("reading the tables", VerificationWalk.tables)) ?? []
    stages += tables.reversed().map { .foreignKeys(table: $0) }
    stages += tables.reversed().map { .integrity(table: $0) }
  }

  private static func tables(_ db: Database) throws -> [String] {
    try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
  }

  /// Goes on; false: all is looked at.
  ///
  /// - Throws: where reading failed. What is wrong with the content is not thrown but told.
  public func step(in store: Store) throws(StoreError) -> Bool {
    guard let stage = stages.popLast() else { return false }
    switch stage {
    case .integrity(let table):
      try store.examine("integrity_check of \(table)", &found) { try checkIntegrity(table, $0, &$1) }
    case .foreignKeys(let table):
      try store.examine("foreign_key_check of \(table)", &found) { try checkForeignKeys(table, $0, &$1) }
    case .chain(let next, let previous):
      var rest: Stage?
      try store.examine("the chain of the log", &found) { rest = try checkChain(next, previous, $0, &$1) }
      if let rest { stages.append(rest) }
    case .findCompanies:
      var companies: [Name] = []
      try store.examine("the companies", &found) { db, _ in
        let sql = "SELECT company FROM companies UNION SELECT company FROM change_log ORDER BY company"
        companies = try Store.names(db, sql)
      }
      found.companies = companies.count
      stages = companies.reversed().map { .company(CompanyWalk($0, pace)) }
    case .company(var walk):
      var isMore = false
      try store.examine("company '\(walk.company)'", &found) { isMore = try walk.step($0, &$1) }
      if isMore { stages.append(.company(walk)) }
    }
    return !stages.isEmpty
  }

  private func checkIntegrity(_ table: String, _ db: Database, _ found: inout Verification) throws {
    let sql = "PRAGMA integrity_check(\(table.quotedDatabaseIdentifier))"
    for line in try String.fetchAll(db, sql: sql) where line != "ok" { found.report("SQLite finds: \(line)") }
  }

  private func checkForeignKeys(_ table: String, _ db: Database, _ found: inout Verification) throws {
    try db.forEachRow("SELECT parent, count(*) FROM pragma_foreign_key_check(?) GROUP BY 1", [table]) { row in
      found.report("\(row.integer(1)) rows of table \(table) name rows of \(try row.text(0)) that are not there")
      return true
    }
  }

  /// - Returns: what is left of it.
  private func checkChain(
    _ next: Int64, _ previous: [UInt8], _ db: Database, _ found: inout Verification
  ) throws -> Stage? {
    var (next, previous, bytes, isMore) = (next, previous, 0, false)
    let sql = "SELECT \(LogRow.columns) FROM change_log WHERE revision >= ? AND revision <= ? ORDER BY revision"
    try db.forEachRow(sql, [next, Int64(clamping: found.head.revision)]) { row in
      if bytes > pace.bytes {
        isMore = true
        return false
      }
      let revision = row.integer(0)
      if revision != next { found.report("revision \(next) of the log is missing: \(revision) follows") }
      let stored = row.blob(8) ?? []
      do {
        let row = try LogRow(row)
        if row.seal(after: previous) != stored {
          found.report("revision \(revision) of the log was altered, or one before it: its hash does not fit")
        }
        bytes += row.edits.utf8.count + (row.access?.utf8.count ?? 0) + 500
      } catch let error as DamagedRow {
        found.report("revision \(revision) of the log is damaged: \(error)")
      }
      (next, previous) = (revision + 1, stored)
      return true
    }
    return isMore ? .chain(next: next, previous: previous) : nil
  }
}

extension VerificationWalk {
  /// What a step takes at most.
  public struct Pace: Sendable {
    /// Of the log's text, the last record beyond it.
    public var bytes = 1 << 20
    /// Of a table.
    public var rows = 4_096
    /// Of numbers; at least 2.
    public var blocks = 64

    public init() {}
  }
}

/// Compares the log of a company, replayed, with its tables, through sets of facts alone: nothing of the model's own
/// bookkeeping is trusted.
///
/// The company may change between two steps. What the log says is brought along first in each: of a row that was
/// compared already, what became of it since is passed over; of one that was not, it counts.
private struct CompanyWalk {
  let company: Name
  private let pace: VerificationWalk.Pace
  /// Up to this revision the log is replayed.
  private var replayed: UInt64 = 0
  /// What the log has left, without what was met in the tables.
  private var facts: Set<Fact> = []
  private var digest = CompanyDigest()
  private var tables = FactKind.allCases[...]
  /// Of the first of `tables`, the last row that was compared; nil: none yet.
  private var lastKey: [String]?
  /// Lists whose numbers are still to be looked at; nil: the tables come first.
  private var lists: [Name]?
  /// Of the last of `lists`: the set, and where to go on.
  private var set: UInt64 = 0
  private var next: UInt64 = 0

  init(_ company: Name, _ pace: VerificationWalk.Pace) { (self.company, self.pace) = (company, pace) }

  /// Goes on; false: all is compared.
  mutating func step(_ db: Database, _ found: inout Verification) throws -> Bool {
    if lists != nil { return try compareNumbers(db, &found) }
    if try replay(db, &found) { return true }
    if try compareRows(db, &found) { return true }
    for fact in facts.map(EditsText.encode).sorted().prefix(Verification.maximumProblems) {
      found.report("company '\(company)': the log has \(fact), the tables do not")
    }
    if (try? db.expectedDigest(of: company).digest) != digest {
      found.report("company '\(company)': its digest is missing, or not that of what the log has left")
    }
    facts = []
    lists = try db.lists(of: company)
    return lists?.isEmpty == false
  }

  /// Brings along what the log says, and compares what each record says that it has left of the company with what it
  /// did leave. True: there is more of the log.
  private mutating func replay(_ db: Database, _ found: inout Verification) throws -> Bool {
    var (bytes, isMore) = (0, false)
    try Store.forEachRecord(of: company, after: replayed, db) { record, row in
      if bytes > pace.bytes {
        isMore = true
        return false
      }
      for edit in record.edits where !apply(edit) {
        found.report("revision \(record.revision) of the log does not fit those before: \(EditsText.encode([edit]))")
      }
      let told = try row.companyDigest ?? db.earlierDigest(of: company, at: row.revision)
      if let told, told != digest {
        found.report("revision \(record.revision) of the log has another digest than its company's rows")
      }
      replayed = record.revision
      bytes += row.edits.utf8.count + 500
      return true
    }
    return isMore
  }

  /// False: it does not fit what the log said before.
  private mutating func apply(_ edit: Edit) -> Bool {
    let removed = edit.before.map { isCompared($0) || facts.remove($0) != nil } ?? true
    let inserted = edit.after.map { isCompared($0) || facts.insert($0).inserted } ?? true
    digest.apply(edit)
    return removed && inserted
  }

  /// The row's place lies behind what is still to be compared.
  private func isCompared(_ fact: Fact) -> Bool {
    let row = FactRow(fact)
    guard let table = tables.first, row.kind == table else { return !tables.contains(row.kind) }
    guard let lastKey else { return false }
    for (mine, last) in zip(row.columns, lastKey) where !mine.utf8.elementsEqual(last.utf8) {
      return mine.utf8.lexicographicallyPrecedes(last.utf8)
    }
    return true
  }

  /// True: there are more rows.
  private mutating func compareRows(_ db: Database, _ found: inout Verification) throws -> Bool {
    guard let kind = tables.first else { return false }
    let rows = try db.facts(of: company, kind, after: lastKey, limit: pace.rows)
    for row in rows {
      found.facts += 1
      if facts.remove(row.fact) == nil {
        found.report("company '\(company)': the tables have \(EditsText.encode(row.fact)), the log does not")
      }
    }
    lastKey = rows.last?.key ?? lastKey
    if rows.count < pace.rows { (tables, lastKey) = (tables.dropFirst(), nil) }
    return !tables.isEmpty
  }

  /// The log knows a list's numbers by their digest alone: whether the blocks still give it. True: there are more.
  private mutating func compareNumbers(_ db: Database, _ found: inout Verification) throws -> Bool {
    guard let id = lists?.last, let list = try db.list(id, of: company) else {
      lists?.removeLast()  // it is gone meanwhile
      return lists?.isEmpty == false
    }
    if list.blockSet != set { (set, next) = (list.blockSet, 0) }
    let place = "company '\(company)': the numbers of \(list.ref)"
    var (count, last) = (0, UInt64(0))
    let known = next
    try db.forEachBlock(ofSet: set, from: next, limit: pace.blocks) { rows, hash, first in
      if first != known, StoredBlock(rows).hash != hash {
        found.report("\(place) from \(rows.numbers[0]) on do not have their hash")
      }
      if rows.numbers[0] <= last { found.report("\(place) from \(rows.numbers[0]) on are out of order") }
      (count, last, next) = (count + 1, rows.numbers[rows.count - 1], first)
    }
    if count == pace.blocks { return true }  // the last one once more, before the one behind it
    try compare(list, place, db, &found)
    lists?.removeLast()
    (set, next) = (0, 0)
    return lists?.isEmpty == false
  }

  private func compare(_ list: NumberList, _ place: String, _ db: Database, _ found: inout Verification) throws {
    let (hashes, count) = try db.hashes(ofSet: list.blockSet)
    if count != list.count { found.report("\(place) are \(count), and the log tells of \(list.count)") }
    if BlockHash.digest(of: hashes) != list.digest { found.report("\(place) are not those the log tells of") }
  }
}

extension Database {
  /// Some rows of a table in the order of their keys, each with its key.
  fileprivate func facts(
    of company: Name, _ kind: FactKind, after last: [String]?, limit: Int
  ) throws -> [(fact: Fact, key: [String])] {
    let table = kind.table
    let key = table.key.joined(separator: ", ")
    var sql = "SELECT \(table.columns.joined(separator: ", ")) FROM \(table.name) WHERE company = ?"
    if last != nil { sql += " AND (\(key)) > (\(table.key.map { _ in "?" }.joined(separator: ", ")))" }
    if !table.key.isEmpty { sql += " ORDER BY \(key)" }
    var rows: [(fact: Fact, key: [String])] = []
    try forEachRow(sql + " LIMIT \(limit)", StatementArguments([company.text] + (last ?? []))) { row in
      do {
        let columns = try (0..<Int32(table.columns.count)).map(row.text)
        rows.append((try FactRow(kind: kind, columns: columns).fact(), Array(columns.prefix(table.key.count))))
      } catch let error as DamagedRow {
        throw DamagedRow("a row of table \(table.name), company '\(company)', is damaged: \(error)")
      }
      return true
    }
    return rows
  }

  fileprivate func lists(of company: Name) throws -> [Name] {
    var lists: [Name] = []
    try forEachRow("SELECT list_id FROM lists WHERE company = ? ORDER BY list_id", [company.text]) { row in
      lists.append(try Name(stored: row.text(0)))
      return true
    }
    return lists
  }
}
