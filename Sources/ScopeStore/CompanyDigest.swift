import Crypto
import Foundation
import GRDB
import ScopeModel

/// What all the rows of a company come to, whatever their order: the sum of the SHA-256 of each, as four numbers of 64
/// bits that are added each by itself.
///
/// A sum, since a change must bring it along from its edits alone. It stands against damage, not against forgers:
/// rows that damage alters, adds or loses have hashes that nobody chose, and for their sum to come out right by chance
/// is as likely as guessing 256 bits. Whoever chooses rows can make it fit, and whoever can write the file can write
/// the sum as well.
public struct CompanyDigest: Hashable, Sendable {
  private var lanes: SIMD4<UInt64> = .zero

  /// Of a company that does not exist.
  static let empty = CompanyDigest()

  public init() {}

  /// Nil: these are not 32 bytes.
  init?(bytes: [UInt8]) {
    guard bytes.count == 32 else { return nil }
    lanes = bytes.withUnsafeBytes(CompanyDigest.lanes)
  }

  var bytes: [UInt8] { (0..<4).flatMap { lane in withUnsafeBytes(of: lanes[lane].littleEndian, Array.init) } }

  /// Brings it along.
  public mutating func apply(_ edit: Edit) {
    if let fact = edit.before { lanes &-= CompanyDigest.hash(fact) }
    if let fact = edit.after { lanes &+= CompanyDigest.hash(fact) }
  }

  /// Adds a row.
  ///
  /// - Parameter columns: each after its length in four bytes, little-endian.
  mutating func add(_ kind: FactKind, _ columns: UnsafeRawBufferPointer) {
    lanes &+= CompanyDigest.hash(kind, columns)
  }

  private static func hash(_ fact: Fact) -> SIMD4<UInt64> {
    let row = FactRow(fact)
    var columns: [UInt8] = []
    for var column in row.columns { column.withUTF8 { columns.append(column: UnsafeRawBufferPointer($0)) } }
    return columns.withUnsafeBytes { hash(row.kind, $0) }
  }

  private static func hash(_ kind: FactKind, _ columns: UnsafeRawBufferPointer) -> SIMD4<UInt64> {
    var hash = SHA256()
    // The kind's own name and a byte that no name has: two kinds never begin alike.
    var name = kind.rawValue
    name.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
    withUnsafeBytes(of: 0 as UInt8) { hash.update(bufferPointer: $0) }
    hash.update(bufferPointer: columns)
    return hash.finalize().withUnsafeBytes(lanes)
  }

  private static func lanes(_ bytes: UnsafeRawBufferPointer) -> SIMD4<UInt64> {
    var lanes = SIMD4<UInt64>()
    for lane in 0..<4 {
      lanes[lane] = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * lane, as: UInt64.self))
    }
    return lanes
  }
}

extension [UInt8] {
  /// Adds a column of a row as digests take it.
  mutating func append(column: UnsafeRawBufferPointer) {
    Swift.withUnsafeBytes(of: UInt32(column.count).littleEndian) { append(contentsOf: $0) }
    append(contentsOf: column)
  }
}

extension Database {
  /// What the rows of a company must come to, and the last revision that changed it; 0: none ever did.
  func expectedDigest(of company: Name) throws -> (digest: CompanyDigest, revision: UInt64) {
    var (found, revision): (CompanyDigest?, Int64) = (nil, 0)
    let sql = "SELECT revision, company_digest FROM change_log WHERE company = ? ORDER BY revision DESC LIMIT 1"
    try forEachRow(sql, [company.text]) { row in
      (found, revision) = (row.blob(1).flatMap(CompanyDigest.init), row.integer(0))
      return false
    }
    if revision == 0 { return (.empty, 0) }
    if found == nil { found = try earlierDigest(of: company, at: revision) }
    guard let found else { throw DamagedRow("revision \(revision) of the log has no digest of the company's rows") }
    return (found, UInt64(clamping: revision))
  }

  /// What the rows of a company came to after a change of it; nil: the change is from before this was kept.
  func digest(of company: Name, at revision: UInt64) throws -> CompanyDigest? {
    if revision == 0 { return .empty }
    var found: CompanyDigest?
    try forEachRow("SELECT company_digest FROM change_log WHERE revision = ?", [Int64(clamping: revision)]) { row in
      found = row.blob(0).flatMap(CompanyDigest.init)
      return false
    }
    return try found ?? earlierDigest(of: company, at: Int64(clamping: revision))
  }

  /// Of a company that was not changed since digests are kept.
  func earlierDigest(of company: Name, at revision: Int64) throws -> CompanyDigest? {
    var found: CompanyDigest?
    let sql = "SELECT digest FROM earlier_digests WHERE company = ? AND revision = ?"
    try forEachRow(sql, [company.text, revision]) { row in
      found = row.blob(0).flatMap(CompanyDigest.init)
      return false
    }
    return found
  }

  /// Sums up what the log says of each company, for a store from before digests were kept. Not what the tables say: the
  /// log is the truth, and tables that do not fit it are not to be trusted from now on.
  ///
  /// A company whose log can't be read gets no digest, and is refused when it is loaded.
  func sumUpLog() throws {
    var sums: [Name: (digest: CompanyDigest, revision: Int64)] = [:]
    var unreadable: Set<Name> = []
    try forEachRow("SELECT revision, company, edits FROM change_log ORDER BY revision") { row in
      guard let company = try? Name(stored: row.text(1)) else { return true }
      guard let edits = try? EditsText.decode(row.text(2)) else {
        unreadable.insert(company)
        return true
      }
      for edit in edits { sums[company, default: (.empty, 0)].digest.apply(edit) }
      sums[company, default: (.empty, 0)].revision = row.integer(0)
      return true
    }
    let insert = try cachedStatement(sql: "INSERT INTO earlier_digests (company, revision, digest) VALUES (?, ?, ?)")
    for (company, sum) in sums where !unreadable.contains(company) {
      try insert.execute(arguments: [company.text, sum.revision, Data(sum.digest.bytes)])
    }
  }
}

extension Store {
  /// The companies that exist, in byte order, and those that do not but should: the log knows of rows that are gone.
  /// They are damaged, as loading them says.
  static func companies(_ db: Database) throws -> [Name] {
    let names = try readableNames(db, "SELECT company FROM companies ORDER BY company")
    let lost = try readableNames(db, goneByTheLog).filter { (try? db.expectedDigest(of: $0).digest) != .empty }
    return lost.isEmpty ? names : (names + lost).sorted()
  }

  /// The companies that the log knows and the tables do not: mostly removed ones. One leap of the index a company.
  private static let goneByTheLog = """
    WITH RECURSIVE names (name) AS (
      SELECT min(company) FROM change_log
      UNION ALL SELECT (SELECT min(company) FROM change_log WHERE company > name) FROM names WHERE name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL EXCEPT SELECT company FROM companies
    """

  /// What is no name is passed over: nobody can ask for it, and the company that it was is missed elsewhere.
  private static func readableNames(_ db: Database, _ sql: String) throws -> [Name] {
    var names: [Name] = []
    try db.forEachRow(sql) { row in
      if let name = try? Name(stored: row.text(0)) { names.append(name) }
      return true
    }
    return names
  }
}
