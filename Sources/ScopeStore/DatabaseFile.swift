import Foundation
import GRDB

/// Makes and opens the database file. The directory is locked by then.
enum DatabaseFile {
  static func makeDirectory(_ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.directory
    if !configuration.createsIfMissing {
      if access(path, F_OK) != 0 && errno == ENOENT { throw .noStore(directory: path, "does not exist") }
      return
    }
    if mkdir(path, 0o700) != 0 && errno != EEXIST { throw StoreError(call: "mkdir", path: path) }
  }

  /// Creates the database where there is none: under another name first, so that a file by the right name is
  /// always whole, and an empty one always damaged. False: it was there.
  static func createIfMissing(_ configuration: StoreConfiguration) throws(StoreError) -> Bool {
    let path = configuration.databasePath
    if try isThere(path) { return false }
    for trace in [configuration.walPath, configuration.headPath] where access(trace, F_OK) == 0 {
      throw .damaged("\(path) is missing beside \(trace)", cause: nil)
    }
    if !configuration.createsIfMissing { throw .noStore(directory: configuration.directory, "has none") }
    let draft = configuration.draftPath
    for leftover in [draft, draft + "-journal"] { unlink(leftover) }
    try createEmpty(draft)
    try fill(draft)
    try sync(draft, O_RDWR)
    if rename(draft, path) != 0 { throw StoreError(call: "rename", path: path) }
    try sync(configuration.directory, O_DIRECTORY)
    return true
  }

  /// Opens the database. Until `migrate`, nothing of it is changed, and closing it changes nothing.
  static func open(_ configuration: StoreConfiguration) throws(StoreError) -> DatabaseQueue {
    try open(configuration.databasePath, Configuration(), configuration) { db in
      try prepare(db, configuration)
    }
  }

  /// Opens a database that can't be written, with what is in its write-ahead log.
  ///
  /// SQLite can read a log it can't write only if it keeps the log's index in its own memory, which it does for who
  /// has the file for itself; and to lock it so takes a file that can be written. So it doesn't lock: our own lock
  /// holds the directory. It wants to make the log where there is none, unless it is told that nothing ever changes:
  /// which it must not be told beside a log, since it would leave out what is in that.
  static func openReadOnly(_ configuration: StoreConfiguration) throws(StoreError) -> DatabaseQueue {
    let hasLog = access(configuration.walPath, F_OK) == 0
    let address = uri(configuration.databasePath) + (hasLog ? "?mode=ro&vfs=unix-none" : "?mode=ro&immutable=1")
    var options = Configuration()
    options.readonly = true
    return try open(address, options, configuration) { db in
      try prepareReading(db, configuration)
      guard try Schema.migrator.hasCompletedMigrations(db) else {
        throw StoreError.readOnly(path: configuration.databasePath, cause: OlderSchema())
      }
    }
  }

  private static func open(
    _ address: String, _ options: Configuration, _ configuration: StoreConfiguration,
    preparing prepare: @escaping @Sendable (Database) throws -> Void
  ) throws(StoreError) -> DatabaseQueue {
    let path = configuration.databasePath
    var options = options
    options.label = "scoped"
    options.prepareDatabase { db in
      do { try prepare(db) } catch { throw failure(error, path, db) }
    }
    do {
      return try DatabaseQueue(path: address, configuration: options)
    } catch {
      throw StoreError(error, "opening \(path)", path: path)
    }
  }

  /// Makes the database today's.
  static func migrate(_ queue: DatabaseQueue, _ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.databasePath
    do { try Schema.migrator.migrate(queue) } catch { throw queue.unsafeReentrantRead { failure(error, path, $0) } }
  }

  private static func failure(_ error: any Error, _ path: String, _ db: Database) -> StoreError {
    StoreError(error, "opening \(path)", path: path, systemErrno: db.takeErrno())
  }

  private static func uri(_ path: String) -> String {
    let plain = CharacterSet(charactersIn: "/.-_~").union(.alphanumerics)
    return "file:" + path.addingPercentEncoding(withAllowedCharacters: plain)!
  }

  /// Whether all can be written that is written while the daemon runs. Only before SQLite has the file.
  static func isWritable(_ configuration: StoreConfiguration) throws(StoreError) -> Bool {
    if faccessat(AT_FDCWD, configuration.directory, W_OK, AT_EACCESS) != 0 {
      let error = StoreError(call: "access", path: configuration.directory)
      guard error.deniesWriting else { throw error }
      return false
    }
    for path in [configuration.databasePath, configuration.walPath] where access(path, F_OK) == 0 {
      if try !isWritable(path) { return false }
    }
    return true
  }

  private static func isWritable(_ path: String) throws(StoreError) -> Bool {
    let descriptor = Foundation.open(path, O_RDWR | O_CLOEXEC)
    if descriptor >= 0 {
      close(descriptor)
      return true
    }
    let error = StoreError(call: "open", path: path)
    guard error.deniesWriting else { throw error }
    return false
  }

  /// SQLite's smallest page. It takes a shorter file for a new database.
  private static let smallestBytes = 512

  /// Whether the file exists, can be read, and has content. Only before SQLite has the file: closing any descriptor of
  /// it drops SQLite's locks.
  private static func isThere(_ path: String) throws(StoreError) -> Bool {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == ENOENT { return false }
      throw StoreError(call: "open", path: path)
    }
    defer { close(descriptor) }
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw StoreError(call: "stat", path: path) }
    if status.st_size < smallestBytes { throw .damaged("\(path) has \(status.st_size) bytes", cause: nil) }
    return true
  }

  /// SQLite's own files take the mode of this one.
  private static func createEmpty(_ path: String) throws(StoreError) {
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw StoreError(call: "open", path: path) }
    close(descriptor)
  }

  private static func fill(_ path: String) throws(StoreError) {
    do {
      let queue = try DatabaseQueue(path: path)
      try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA application_id = \(Schema.applicationID)") }
      try Schema.migrator.migrate(queue)
      try queue.close()
    } catch {
      throw StoreError(error, "creating \(path)", path: path)
    }
  }

  static func sync(_ path: String, _ flags: Int32) throws(StoreError) {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC)
    if descriptor < 0 { throw StoreError(call: "open", path: path) }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 { throw StoreError(call: "fsync", path: path) }
  }

  /// The order matters: with `locking_mode` before the first look at the file, WAL is entered without shared
  /// memory, and no other process gets in; nothing is written before the file is known to be ours.
  private static func prepare(_ db: Database, _ configuration: StoreConfiguration) throws {
    try prepareReading(db, configuration)
    try db.execute(
      sql: """
        PRAGMA journal_mode = WAL;
        PRAGMA wal_autocheckpoint = 0;
        PRAGMA journal_size_limit = \(configuration.walLimitBytes);
        """)
  }

  private static func prepareReading(_ db: Database, _ configuration: StoreConfiguration) throws {
    try db.execute(
      sql: """
        PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA trusted_schema = OFF;
        PRAGMA cell_size_check = ON;
        PRAGMA recursive_triggers = ON;
        PRAGMA synchronous = FULL;
        PRAGMA temp_store = MEMORY;
        PRAGMA cache_size = -\(configuration.cacheBytes >> 10);
        """)
    db.keepsWriteAheadLog(true)
    try checkOwner(db, configuration.databasePath)
  }

  private static func checkOwner(_ db: Database, _ path: String) throws {
    guard try Int32.fetchOne(db, sql: "PRAGMA application_id") == Schema.applicationID else {
      throw StoreError.notOurFile(path: path)
    }
    let unknown = try Schema.migrator.appliedIdentifiers(db).subtracting(Schema.migrator.migrations)
    if !unknown.isEmpty { throw StoreError.newerSchema(path: path, migrations: unknown.sorted()) }
  }
}

/// Why a database that can't be written can't be served either.
private struct OlderSchema: Error, CustomStringConvertible {
  let description = "it was written by an older version, and is brought up to date at the first start that can write it"
}
