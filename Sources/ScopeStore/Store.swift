import GRDB
import GRDBSQLite
import ScopeModel

/// A company, and how its projects separate its people; nil: its rows are damaged.
public struct ListedCompany: Hashable, Sendable {
  public let id: Name
  public let mode: SecurityMode?
}

/// The companies' rules on disk: the change log, which is the truth, and the tables that say the same.
///
/// Belongs to one thread at a time: the authority's. Not Sendable; give it away as a whole. Every call waits for
/// the disk.
public final class Store {
  /// The end of the change log.
  public private(set) var head: Head

  /// When the last change was made, as the log has it.
  private var lastTime = Int64.min

  /// The directory could not be written when the store was opened: it takes no change.
  public let isReadOnly: Bool

  /// Inside the module for tests alone, which look at the pragmas and fill the disk.
  let queue: DatabaseQueue

  /// Ends what is being read.
  public let interruption = Interruption()

  let configuration: StoreConfiguration
  private let wal = WALMeter()
  private var files: OpenFiles
  private var lock: DirectoryLock?
  /// Nil: not begun yet.
  var headFile: HeadFile?
  /// What whoever runs the daemon should know of how the store was opened, in sentences.
  public internal(set) var notes: [String] = []
  /// What the rows of the companies changed last come to.
  private var digests: Digests = [:]
  /// Once a write is in doubt, none is tried again.
  private var failure: StoreError?

  /// Locks the directory, creates the database where there is none and it may, and makes an older one today's. Where all can be
  /// read but not written, it is opened for reading: `isReadOnly`.
  public init(_ configuration: StoreConfiguration) throws(StoreError) {
    try DatabaseFile.makeDirectory(configuration)
    lock = try DirectoryLock(configuration)
    if try DatabaseFile.createIfMissing(configuration) {
      notes.append("a new, empty store was created in \(configuration.directory)")
    }
    isReadOnly = try !DatabaseFile.isWritable(configuration)
    let broken = configuration.checksHead ? try WALFile.damage(in: configuration.walPath) : nil
    queue = try isReadOnly ? DatabaseFile.openReadOnly(configuration) : DatabaseFile.open(configuration)
    self.configuration = configuration
    head = .start
    files = OpenFiles([configuration.databasePath, configuration.walPath, configuration.lockPath])
    (head, lastTime) = try access("reading the end of the log", Store.end)
    let loss = try loss(broken)
    if let loss, isReadOnly || configuration.acceptedLoss != head.revision {
      throw .changesMissing(loss, revision: head.revision)
    }
    if !isReadOnly { try DatabaseFile.migrate(queue, configuration) }
    if configuration.checksDigests { try access("reading the end of the log", Store.checkEnd) }
    queue.unsafeRead { interruption.watch($0.sqliteConnection) }
    if isReadOnly { return }
    try beginHeadFile(loss)
    if configuration.checksHead { files = OpenFiles(files.paths + [configuration.headPath]) }
    try beginWAL()
    try checkFiles()
    try access("reading the write-ahead log") { db in
      db.keepsWriteAheadLog(false)
      try wal.watch(db)
    }
  }

  /// Begins a generation of the write-ahead log, so that what a power cut has left of changes under way never lies behind
  /// later ones. A disk that has no room for that may have it later.
  private func beginWAL() throws(StoreError) {
    do throws(StoreError) {
      try access("moving the write-ahead log into the database") { _ = try $0.checkpoint(.truncate) }
    } catch {
      if error.isFatal { throw error }
    }
  }

  /// Moves everything into the database file, closes it and gives the directory free. Again: nothing. After it,
  /// the store refuses whatever is asked of it. Not to be called after a fatal error.
  public func close() throws(StoreError) {
    if lock == nil { return }
    if !isReadOnly {
      try interruption.shield { () throws(StoreError) in try access("closing") { try finish($0) } }
    }
    interruption.forget()
    do { try queue.close() } catch { throw translated(error, "closing") }
    lock = nil
  }

  /// SQLite removes the write-ahead log by its path, where another's may lie by now.
  private func finish(_ db: Database) throws {
    if !files.isInPlace(configuration.walPath) { db.keepsWriteAheadLog(true) }
    _ = try db.checkpoint(.truncate)
  }
}

// MARK: - Reading

extension Store {
  /// The database file.
  public var path: String { configuration.databasePath }

  /// The last revision over all companies; 0: nothing was ever changed.
  public var revision: UInt64 { head.revision }

  /// The time of a change that is made now, and the latest that can be asked about. The log's time never goes back: while
  /// a clock that was set back has not caught up, it stands still.
  public var time: Int64 { max(lastTime, configuration.clock()) }

  /// The companies that exist, in byte order; and those of which rows are lost, as loading them says.
  public func companies() throws(StoreError) -> [Name] {
    try access("reading the companies") { try Store.companies($0) }
  }

  /// The same with their modes.
  public func listedCompanies() throws(StoreError) -> [ListedCompany] {
    try access("reading the companies") { db in
      var modes: [Name: SecurityMode] = [:]
      try db.forEachRow("SELECT company, mode FROM companies") { row in
        if let id = try? Name(stored: row.text(0)) { modes[id] = (try? row.text(1)).flatMap(SecurityMode.init) }
        return true
      }
      return try Store.companies(db).map { ListedCompany(id: $0, mode: modes[$0]) }
    }
  }

  /// A company as the tables say; without a mode where it does not exist.
  public func load(_ id: Name) throws(StoreError) -> Company { try rows(of: id).company() }

  /// The last revision that changed the company, 0 if none did; removing it counts.
  public func lastRevision(of company: Name) throws(StoreError) -> UInt64 {
    try access("reading the log") { db in
      let sql = "SELECT max(revision) FROM change_log WHERE company = ?"
      return UInt64(clamping: try Int64.fetchOne(db.cachedStatement(sql: sql), arguments: [company.text]) ?? 0)
    }
  }

  /// What came of an earlier request.
  public struct Earlier: Hashable, Sendable {
    public let revision: UInt64
    /// Of the request, as it was given then.
    public let digest: [UInt8]
    /// How many edits it made.
    public let editCount: Int
  }

  /// The request of the company that had this key; nil: there was none.
  public func idempotent(company: Name, key: Name) throws(StoreError) -> Earlier? {
    let sql = """
      SELECT revision, request_digest, json_array_length(edits) FROM change_log
      WHERE company = ? AND idempotency_key = ?
      """
    return try access("reading the log") { db in
      var earlier: Earlier?
      try db.forEachRow(sql, [company.text, key.text]) { row in
        earlier = Earlier(
          revision: UInt64(clamping: row.integer(0)), digest: row.blob(1) ?? [], editCount: Int(row.integer(2)))
        return false
      }
      return earlier
    }
  }

  /// The changes of a company in order, one at a time in memory.
  ///
  /// - Parameters:
  ///   - after: the last revision that is not wanted.
  ///   - body: says whether to go on; must not use the store.
  public func forEachRecord(
    of company: Name, after: UInt64 = 0, _ body: (ChangeRecord) throws -> Bool
  ) throws(StoreError) {
    try access("reading the log of company '\(company)'") {
      try Store.forEachRecord(of: company, after: after, $0) { record, _ in try body(record) }
    }
  }

  static func forEachRecord(
    of company: Name, after: UInt64, _ db: Database, _ body: (ChangeRecord, LogRow) throws -> Bool
  ) throws {
    let sql = "SELECT \(LogRow.columns) FROM change_log WHERE company = ? AND revision > ? ORDER BY revision"
    try db.forEachRow(sql, [company.text, Int64(clamping: after)]) { row in
      do {
        let row = try LogRow(row)
        return try body(try row.record(), row)
      } catch let error as DamagedRow {
        throw DamagedRow("revision \(row.integer(0)) is damaged: \(error)")
      }
    }
  }

  static func names(_ db: Database, _ sql: String) throws -> [Name] {
    var names: [Name] = []
    try db.forEachRow(sql) { row in
      names.append(try Name(stored: row.text(0)))
      return true
    }
    return names
  }

  private static func end(_ db: Database) throws -> (Head, time: Int64) {
    var (head, time) = (Head.start, Int64.min)
    try db.forEachRow("SELECT revision, hash, time FROM change_log ORDER BY revision DESC LIMIT 1") { row in
      head = Head(revision: UInt64(clamping: row.integer(0)), hash: row.blob(1) ?? [])
      time = row.integer(2)
      return false
    }
    return (head, time)
  }

  /// Whether the last rows have the seals they must. A few rows, and those before them are for `verify`: the log may be
  /// long.
  private static func checkEnd(_ db: Database) throws {
    var (later, bytes) = (LogRow?.none, 0)
    var hash: [UInt8] = []
    func check(_ previous: [UInt8]) throws {
      guard let row = later, row.seal(after: previous) != hash else { return }
      throw DamagedRow("revision \(row.revision) of the log was altered, or the one before it: its hash does not fit")
    }
    let sql = "SELECT \(LogRow.columns) FROM change_log ORDER BY revision DESC LIMIT \(rowsCheckedAtStart)"
    try db.forEachRow(sql) { row in
      let next: LogRow
      do { next = try LogRow(row) } catch { throw DamagedRow("revision \(row.integer(0)): \(error)") }
      if let later, next.revision != later.revision - 1 {
        throw DamagedRow("revision \(later.revision - 1) of the log is missing")
      }
      try check(row.blob(8) ?? [])
      (later, hash) = (next, row.blob(8) ?? [])
      bytes += next.edits.utf8.count + (next.access?.utf8.count ?? 0)
      return bytes < bytesCheckedAtStart
    }
    if later?.revision == 1 { try check(Head.start.hash) }
  }

  private static let rowsCheckedAtStart = 1_000
  private static let bytesCheckedAtStart = 4 << 20

  /// Runs `body` on the connection and translates what it throws, while SQLite still knows why.
  func access<T>(_ what: String, _ body: (Database) throws -> T) throws(StoreError) -> T {
    if lock == nil { throw .interrupted }  // closed
    do {
      return try queue.unsafeRead { db in
        do { return try body(db) } catch { throw translated(error, what, db.takeErrno()) }
      }
    } catch { throw translated(error, what) }
  }

  private func translated(_ error: any Error, _ what: String, _ systemErrno: Int32 = 0) -> StoreError {
    StoreError(error, what, path: configuration.databasePath, systemErrno: systemErrno)
  }
}

// MARK: - Writing

extension Store {
  /// Writes changes, all or none, and returns when they are on the disk.
  ///
  /// - Parameters:
  ///   - records: in the order of their revisions, the first following `revision`. None: nothing happens, and
  ///     `beforeCommit` is not called.
  ///   - numbers: what becomes of blocks of numbers beside them.
  ///   - beforeCommit: called when everything is written but COMMIT; what it throws takes all back. Must not use
  ///     the store.
  /// - Returns: the records with their links of the chain.
  /// - Throws: after a fatal error (see `StoreError.isFatal`) the process must end. After any other, the store is
  ///   as before, and no restart will find anything of the changes.
  @discardableResult
  public func commit(
    _ records: [ChangeRecord], numbers: BlockWrites? = nil, beforeCommit: () throws -> Void = {}
  ) throws(StoreError) -> [LoggedChange] {
    if records.isEmpty { return [] }
    let (logged, digests) = try transact("writing") { db in
      let written = try write(records, db)
      if let numbers { try db.write(numbers) }
      do { try beforeCommit() } catch { throw StoreError.beforeCommit(error) }
      return written
    }
    remember(digests)
    head = Head(revision: logged.last!.record.revision, hash: logged.last!.hash)
    lastTime = logged.last!.record.timeMicroseconds
    headFile?.note(head)
    return logged
  }

  /// Whether the paths still lead to the files that are open. To be asked after `commit` and before anybody is told of
  /// the change: it may have gone into a file that nobody will find again.
  ///
  /// - Throws: `.replaced`. Until the files are back, every change is refused with it.
  public func confirmFiles() throws(StoreError) { try checkFiles(isCommitted: true) }

  /// Whether the store is one that takes changes, as far as can be seen without one.
  public func checkWritable() throws(StoreError) {
    try checkOpenForWriting()
    try checkFiles()
  }

  private func checkOpenForWriting() throws(StoreError) {
    if let failure { throw failure }
    if isReadOnly { throw .readOnly(path: configuration.directory, cause: nil) }
    try headFile?.catchUp()
  }

  private func checkFiles(isCommitted: Bool = false) throws(StoreError) {
    if let path = files.strayed { throw .replaced(path: path, isCommitted: isCommitted) }
  }

  /// Runs `body` in one transaction, and returns when it is on the disk and will be found there.
  func write<T>(_ what: String, _ body: (Database) throws -> T) throws(StoreError) -> T {
    let result = try transact(what, body)
    try confirmFiles()
    return result
  }

  private func transact<T>(_ what: String, _ body: (Database) throws -> T) throws(StoreError) -> T {
    try checkOpenForWriting()
    if wal.pages >= configuration.checkpointPagesAtMost { try checkpoint() }
    do throws(StoreError) {
      return try remembering { () throws(StoreError) in
        try interruption.shield { () throws(StoreError) in
          try access(what) { db in try transact(db) { try body(db) } }
        }
      }
    } catch {
      if case .replaced = error { rescueLog() }
      throw error
    }
  }

  /// Without its write-ahead log's file a database lacks, after a restart, what has not been moved into it yet.
  private func rescueLog() {
    if wal.pages == 0 || files.isInPlace(configuration.walPath) { return }
    if files.isInPlace(configuration.databasePath) { try? checkpoint() }
  }

  /// The write-ahead log is long enough for the next idle moment.
  public var wantsCheckpoint: Bool { !isReadOnly && wal.pages >= configuration.checkpointPages }

  /// Moves the write-ahead log's pages into the database. `commit` does so itself when the log is very long. SQLite's own checkpoints are off, since they pass over a failed fsync.
  public func checkpoint() throws(StoreError) {
    try checkOpenForWriting()
    try remembering { () throws(StoreError) in
      try interruption.shield { () throws(StoreError) in
        try access("moving the write-ahead log into the database") { _ = try $0.checkpoint(.passive) }
      }
    }
    wal.pages = 0
  }

  private typealias Digests = [Name: CompanyDigest]

  private func write(_ records: [ChangeRecord], _ db: Database) throws -> ([LoggedChange], Digests) {
    var end = head
    var logged: [LoggedChange] = []
    var digests: Digests = [:]
    for record in records {
      guard record.revision == end.revision + 1 else {
        throw StoreError.wrongRevision(expected: end.revision + 1, given: record.revision)
      }
      let known = digests[record.company] ?? self.digests[record.company]
      var digest = try known ?? db.expectedDigest(of: record.company).digest
      for edit in record.edits {
        try write(edit, of: record, db)
        digest.apply(edit)
        if let list = edit.removedList { try db.abandonImport(of: list, company: record.company) }
      }
      digests[record.company] = digest
      let row = LogRow(record, digest)
      end = Head(revision: record.revision, hash: row.seal(after: end.hash))
      try insert(row, of: record, db, end.hash)
      logged.append(LoggedChange(record: record, hash: end.hash))
    }
    return (logged, digests)
  }

  private func remember(_ new: Digests) {
    if digests.count + new.count > Store.digestsRemembered { digests = [:] }
    digests.merge(new) { $1 }
  }

  private static let digestsRemembered = 4_096

  private func write(_ edit: Edit, of record: ChangeRecord, _ db: Database) throws {
    var cause: (any Error)?
    do {
      if try db.write(edit, company: record.company) { return }
    } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
      cause = error
    }
    throw StoreError.misfit(revision: record.revision, edit: EditsText.encode([edit]), cause: cause)
  }

  private func insert(_ row: LogRow, of record: ChangeRecord, _ db: Database, _ hash: [UInt8]) throws {
    do { try row.insert(db, hash: hash) } catch let error as DatabaseError {
      guard error.extendedResultCode == .SQLITE_CONSTRAINT_UNIQUE, let key = record.idempotency?.key else {
        throw error
      }
      throw StoreError.keyTaken(company: record.company, key: key)
    }
  }

  private func transact<T>(_ db: Database, _ body: () throws -> T) throws -> T {
    try db.beginTransaction(.immediate)
    let result: T
    do {
      result = try body()
      try checkFiles()
    } catch {
      let error = translated(error, "writing", db.takeErrno())
      try rollback(db)
      throw error
    }
    do { try db.commit() } catch { throw try afterFailedCommit(translated(error, "COMMIT", db.takeErrno()), db) }
    wal.noteCommit(db)
    return result
  }

  /// A write failed: nothing was synced, and SQLite has taken all back. Yet the last frame may have arrived whole in
  /// spite of the error, and a restart would find the change that was refused. Whether it would stands in the file.
  private func afterFailedCommit(_ error: StoreError, _ db: Database) throws -> StoreError {
    try rollback(db)
    if error.isFatal { return error }
    return wal.holdsMore(db) ? .inDoubt("COMMIT", cause: error) : error
  }

  private func rollback(_ db: Database) throws {
    do { try db.rollback() } catch { throw StoreError.inDoubt("ROLLBACK", cause: error) }
  }

  private func remembering<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
    do { return try body() } catch {
      if error.isFatal { failure = error }
      throw error
    }
  }
}

/// How long the write-ahead log is, and what of it is committed.
private final class WALMeter {
  /// That are not in the database yet, at most.
  var pages = 0
  /// Frames in the file, as of the last COMMIT that wrote any.
  private var frames = 0
  /// As of the last COMMIT; nil: it could not be read.
  private var committed: WALContent?

  /// SQLite tells after each COMMIT. The meter must outlive the connection's last one.
  func watch(_ db: Database) throws {
    committed = try db.part(.writeAheadLog).map { file in try WALContent(file) }
    take(committed?.committedFrames ?? 0)
    sqlite3_wal_hook(
      db.sqliteConnection,
      { meter, _, _, frames in
        Unmanaged<WALMeter>.fromOpaque(meter!).takeUnretainedValue().take(Int(frames))
        return SQLITE_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func take(_ frames: Int) { (self.frames, pages) = (frames, frames) }

  func noteCommit(_ db: Database) {
    committed = db.part(.writeAheadLog).flatMap { try? WALContent(generationOf: $0, committedFrames: frames) }
  }

  /// Whether a restart would find more in the log than was committed, as far as can be told.
  func holdsMore(_ db: Database) -> Bool {
    guard let committed, let file = db.part(.writeAheadLog), let found = try? WALContent(file) else { return true }
    if found.generation == committed.generation { return found.committedFrames != committed.committedFrames }
    return found.committedFrames > 0  // begun anew: all before is in the database
  }
}
