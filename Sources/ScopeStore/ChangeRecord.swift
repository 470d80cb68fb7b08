import Crypto
import Foundation
import GRDB
import ScopeModel

/// One change of one company, as the change log holds it.
public struct ChangeRecord: Sendable {
  /// 1, 2, 3 … over all companies, without gaps.
  public var revision: UInt64
  public var company: Name
  /// When, in microseconds since 1970.
  public var timeMicroseconds: Int64
  /// The user who acted; nil: the platform itself.
  public var actor: Name?
  /// The client that asked, as the configuration names it.
  public var caller: Name
  /// In the order in which they are to be made.
  public var edits: [Edit]
  /// What makes a repeated request known; nil: the client did not ask for that.
  public var idempotency: Idempotency?
  /// Who gained and lost what; nil: recorded before this was kept.
  public var access: AccessSummary?

  public init(
    revision: UInt64, company: Name, timeMicroseconds: Int64, actor: Name? = nil, caller: Name, edits: [Edit],
    idempotency: Idempotency? = nil, access: AccessSummary? = nil
  ) {
    self.revision = revision
    self.company = company
    self.timeMicroseconds = timeMicroseconds
    self.actor = actor
    self.caller = caller
    self.edits = edits
    self.idempotency = idempotency
    self.access = access
  }
}

/// A request that may come twice.
public struct Idempotency: Hashable, Sendable {
  /// Chosen by the client, unique in the company for good.
  public var key: Name
  /// Of the request, so that the same key with another request is noticed. Any length, not empty.
  public var digest: [UInt8]

  public init(key: Name, digest: [UInt8]) {
    self.key = key
    self.digest = digest
  }
}

/// The end of the change log. Kept elsewhere, it shows later whether the log was cut or rewritten.
public struct Head: Hashable, Sendable {
  /// The last revision; 0: nothing was ever changed.
  public let revision: UInt64
  /// SHA-256 over the whole log; 32 zero bytes at the start.
  public let hash: [UInt8]

  static let start = Head(revision: 0, hash: [UInt8](repeating: 0, count: 32))
}

/// A row of the change log, as stored.
struct LogRow {
  static let columns =
    "revision, company, time, actor, caller, edits, idempotency_key, request_digest, hash, access, company_digest"

  let revision: Int64
  let company: String
  let time: Int64
  let actor: String?
  let caller: String
  let edits: String
  let key: String?
  let digest: [UInt8]?
  let access: String?
  /// What the company's rows come to after it; nil: recorded before this was kept.
  let companyDigest: CompanyDigest?

  init(_ record: ChangeRecord, _ companyDigest: CompanyDigest?) {
    revision = Int64(record.revision)
    company = record.company.text
    time = record.timeMicroseconds
    actor = record.actor?.text
    caller = record.caller.text
    edits = EditsText.encode(record.edits)
    key = record.idempotency?.key.text
    digest = record.idempotency?.digest
    access = record.access.map(EditsText.encode)
    self.companyDigest = companyDigest
  }

  init(_ row: Columns) throws(DamagedRow) {
    revision = row.integer(0)
    company = try row.text(1)
    time = row.integer(2)
    actor = try row.optionalText(3)
    caller = try row.text(4)
    edits = try row.text(5)
    key = try row.optionalText(6)
    digest = row.blob(7)
    access = try row.optionalText(9)
    companyDigest = row.blob(10).flatMap(CompanyDigest.init)
  }

  /// The row's seal: SHA-256 over the seal before it and every field, each after its length in eight bytes,
  /// most significant first; NULL is the length of eight 0xFF. What older rows have no column for is passed over: the
  /// summary of access where there is neither it nor a digest, and the digest where there is none.
  func seal(after previous: [UInt8]) -> [UInt8] {
    var seal = Seal()
    seal.add(previous)
    seal.add(revision)
    seal.add(Array(company.utf8))
    seal.add(time)
    seal.add(actor.map { Array($0.utf8) })
    seal.add(Array(caller.utf8))
    seal.add(Array(edits.utf8))
    seal.add(key.map { Array($0.utf8) })
    seal.add(digest)
    if access != nil || companyDigest != nil { seal.add(access.map { Array($0.utf8) }) }
    if let companyDigest { seal.add(companyDigest.bytes) }
    return seal.value
  }

  func record() throws(DamagedRow) -> ChangeRecord {
    ChangeRecord(
      revision: UInt64(clamping: revision), company: try Name(stored: company), timeMicroseconds: time,
      actor: try name(actor), caller: try Name(stored: caller), edits: try EditsText.decode(edits),
      idempotency: try idempotency(), access: try accessSummary())
  }

  private func name(_ text: String?) throws(DamagedRow) -> Name? {
    guard let text else { return nil }
    return try Name(stored: text)
  }

  private func idempotency() throws(DamagedRow) -> Idempotency? {
    guard let key, let digest else { return nil }
    return Idempotency(key: try Name(stored: key), digest: digest)
  }

  private func accessSummary() throws(DamagedRow) -> AccessSummary? {
    guard let access else { return nil }
    return try EditsText.decodeAccess(access)
  }

  func insert(_ db: Database, hash: [UInt8]) throws {
    let statement = try db.cachedStatement(
      sql: "INSERT INTO change_log (\(LogRow.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    try statement.execute(
      arguments: [
        revision, company, time, actor, caller, edits, key, digest.map { Data($0) }, Data(hash), access,
        companyDigest.map { Data($0.bytes) },
      ])
  }
}

private struct Seal {
  private var hash = SHA256()

  mutating func add(_ bytes: [UInt8]?) {
    add(length: bytes.map { UInt64($0.count) } ?? .max)
    if let bytes { hash.update(data: bytes) }
  }

  mutating func add(_ number: Int64) {
    add(length: 8)
    withUnsafeBytes(of: number.bigEndian) { hash.update(bufferPointer: $0) }
  }

  private mutating func add(length: UInt64) {
    withUnsafeBytes(of: length.bigEndian) { hash.update(bufferPointer: $0) }
  }

  var value: [UInt8] { Array(hash.finalize()) }
}
