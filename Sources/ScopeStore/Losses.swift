import Foundation
import GRDB
import ScopeModel

/// Whether all is there that was ever acknowledged, as far as can be told: a store may be whole in itself and yet an
/// older one.
extension Store {
  /// What is missing, or may be, in words; nil: nothing that can be told. Nothing is written: a start that is refused
  /// leaves all as it is.
  func loss(_ wal: WALFile.Damage?) throws(StoreError) -> String? {
    if !configuration.checksHead { return nil }
    if let wal {
      return
        "\(configuration.walPath) is broken at page \(wal.frame), and \(wal.transactions) changes or more lie behind it"
    }
    let copies = try HeadFile.read(configuration.headPath)
    return try access("reading the end of the log") { db in try loss(copies, db) }
  }

  private func loss(_ copies: [HeadFile.Copy]?, _ db: Database) throws -> String? {
    let file = configuration.headPath
    let own = try Store.identity(db)
    guard let copies else {
      return own?.hasHeadFile == true ? "\(file) is missing, without which nobody knows whether changes are" : nil
    }
    if copies.isEmpty {
      return own?.hasHeadFile == true
        ? "\(file) is damaged, without which nobody knows whether changes are missing" : nil
    }
    guard let known = copies.first(where: { $0.identity == own?.identity })?.head else {
      return "\(file) is not that of \(configuration.databasePath), and nobody knows whether changes are missing"
    }
    if known.revision > head.revision {
      return "\(configuration.databasePath) ends at revision \(head.revision), and \(file) knows of revision "
        + "\(known.revision): revisions \(head.revision + 1) to \(known.revision) are missing"
    }
    if try Store.hash(ofRevision: known.revision, db) != known.hash {
      return "revision \(known.revision) of \(configuration.databasePath) is not the one that \(file) knows of"
    }
    return nil
  }

  private static func hash(ofRevision revision: UInt64, _ db: Database) throws -> [UInt8]? {
    if revision == 0 { return Head.start.hash }
    var hash: [UInt8]?
    try db.forEachRow("SELECT hash FROM change_log WHERE revision = ?", [Int64(clamping: revision)]) { row in
      hash = row.blob(0)
      return false
    }
    return hash
  }

  /// Nil: the database is from before it had one.
  private static func identity(_ db: Database) throws -> (identity: [UInt8], hasHeadFile: Bool)? {
    guard try Schema.hasIdentity(db) else { return nil }
    var found: (identity: [UInt8], hasHeadFile: Bool)?
    try db.forEachRow("SELECT identity, has_head_file FROM store") { row in
      found = (row.blob(0) ?? [], row.integer(1) != 0)
      return false
    }
    guard let found, found.identity.count == 16 else { throw DamagedRow("table store has no identity") }
    return found
  }

  /// Begins to keep the head beside the database. With a loss, the operator has accepted it: that is written down first.
  func beginHeadFile(_ loss: String?) throws(StoreError) {
    let isAccepting = configuration.acceptedLoss != nil
    if let loss {
      try write("writing down what is missing") { db in try db.insertLoss(loss, head.revision) }
    } else if isAccepting {
      notes.append("--accept-loss was given, and nothing is missing: take it away")
    }
    notes += try access("reading what was missing") { try $0.losses() }
    if !configuration.checksHead { return }
    let own = try access("reading the end of the log", Store.identity)!
    headFile = try HeadFile(configuration, identity: own.identity, head: head)
    if own.hasHeadFile { return }
    try write("writing down that there is a head file") { try $0.execute(sql: "UPDATE store SET has_head_file = 1") }
  }
}

extension Database {
  fileprivate func insertLoss(_ loss: String, _ revision: UInt64) throws {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    try execute(
      sql: "INSERT INTO accepted_losses (time, revision, loss) VALUES (?, ?, ?)",
      arguments: [Int64(time.tv_sec) * 1_000_000, Int64(clamping: revision), loss])
  }

  /// The last few, in sentences.
  fileprivate func losses() throws -> [String] {
    var losses: [String] = []
    let sql = """
      SELECT strftime('%Y-%m-%dT%H:%M:%SZ', time / 1000000, 'unixepoch'), revision, loss FROM accepted_losses
      ORDER BY rowid DESC LIMIT 5
      """
    try forEachRow(sql) { row in
      losses.append(
        "since \(try row.text(0)) the store goes on from revision \(row.integer(1)) without what was missing: "
          + "\(try row.text(2))")
      return true
    }
    return losses
  }
}
