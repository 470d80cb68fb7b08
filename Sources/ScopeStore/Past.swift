import GRDB
import ScopeModel

/// A moment in the past.
public enum PastMoment: Hashable, Sendable {
  /// As of this revision.
  case revision(UInt64)
  /// As of the last revision not after this time, in microseconds since 1970.
  case time(Int64)
}

/// Where in a company's log a moment lies.
public struct PastPoint: Hashable, Sendable {
  /// The moment's revision, over all companies.
  public let revision: UInt64
  /// The company's last change up to it; 0: there was none yet.
  public let companyRevision: UInt64
  /// How many of the company's changes lie up to it, and how many behind it.
  public let recordsBefore: Int
  public let recordsAfter: Int
  /// What its rows came to; nil: from before this was kept.
  public let digest: CompanyDigest?
}

/// The edits of one record, not yet read: whoever wants them has the time, the writer has not.
public struct LoggedEdits: Sendable {
  public let revision: UInt64
  /// What the company's rows came to after it; nil: from before this was kept.
  public let digest: CompanyDigest?
  private let text: String

  fileprivate init(revision: UInt64, digest: CompanyDigest?, text: String) {
    self.revision = revision
    self.digest = digest
    self.text = text
  }

  public func edits() throws(StoreError) -> [Edit] {
    do throws(DamagedRow) { return try EditsText.decode(text) } catch {
      throw .damaged("revision \(revision) of the log is damaged: \(error)", cause: nil)
    }
  }
}

extension Store {
  /// Text of one batch of edits, in bytes, the last record beyond it.
  private static let bytesPerBatch = 1 << 20

  /// Finds a moment in a company's log.
  public func point(_ moment: PastMoment, of company: Name) throws(StoreError) -> PastPoint {
    try access("finding a moment in the log") { db in
      let revision = try Store.revision(at: moment, newest: head.revision, db)
      let counts = "SELECT count(*), max(revision) FROM change_log WHERE company = ? AND revision "
      var (before, after, last) = (0, 0, UInt64(0))
      try db.forEachRow(counts + "<= ?", [company.text, Int64(clamping: revision)]) { row in
        (before, last) = (Int(row.integer(0)), UInt64(clamping: row.integer(1)))
        return false
      }
      try db.forEachRow(counts + "> ?", [company.text, Int64(clamping: revision)]) { row in
        after = Int(row.integer(0))
        return false
      }
      return PastPoint(
        revision: revision, companyRevision: last, recordsBefore: before, recordsAfter: after,
        digest: try db.digest(of: company, at: last))
    }
  }

  /// By halving: the log's time never goes back.
  private static func revision(at moment: PastMoment, newest: UInt64, _ db: Database) throws -> UInt64 {
    switch moment {
    case .revision(let revision): return min(revision, newest)
    case .time(let time):
      var (low, high) = (UInt64(0), newest)
      let statement = try db.cachedStatement(sql: "SELECT time FROM change_log WHERE revision = ?")
      while low < high {
        let middle = low + (high - low + 1) / 2
        let its = try Int64.fetchOne(statement, arguments: [Int64(middle)]) ?? .min
        if its <= time { low = middle } else { high = middle - 1 }
      }
      return low
    }
  }

  /// Some of a company's edits, those of the lowest revision first.
  ///
  /// - Parameters:
  ///   - revisions: of which records.
  ///   - newestFirst: the other way round.
  /// - Returns: a batch; empty: there are no more.
  public func edits(
    of company: Name, in revisions: ClosedRange<UInt64>, newestFirst: Bool = false
  ) throws(StoreError) -> [LoggedEdits] {
    let sql = """
      SELECT revision, edits, company_digest FROM change_log WHERE company = ? AND revision BETWEEN ? AND ?
      ORDER BY revision \(newestFirst ? "DESC" : "ASC")
      """
    return try access("reading the log of company '\(company)'") { db in
      var batch: [LoggedEdits] = []
      var bytes = 0
      let bounds = (Int64(clamping: revisions.lowerBound), Int64(clamping: revisions.upperBound))
      try db.forEachRow(sql, [company.text, bounds.0, bounds.1]) { row in
        let text = try row.text(1)
        let digest = row.blob(2).flatMap(CompanyDigest.init)
        batch.append(LoggedEdits(revision: UInt64(clamping: row.integer(0)), digest: digest, text: text))
        bytes += text.utf8.count
        return bytes < Store.bytesPerBatch
      }
      return batch
    }
  }
}
