import Foundation
import GRDB

/// Makes and opens the database file. The directory is locked by then.
enum DatabaseFile {
  static func makeDirectory(_ path: String) throws(StoreError) {
    if mkdir(path, 0o700) != 0 && errno != EEXIST { throw StoreError(call: "mkdir", path: path) }
  }

  /// Creates the database where there is none: under another name first, so that a file by the right name is
  /// always whole, and an empty one always damaged.
  static func createIfMissing(_ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.databasePath
    if try isThere(path) { return }
    for trace in [configuration.walPath, configuration.headPath] where access(trace, F_OK) == 0 {
      throw .damaged("\(path) is missing beside \(trace)", cause: nil)
    }
    let draft = configuration.draftPath
    for leftover in [draft, draft + "-journal"] { unlink(leftover) }
    try createEmpty(draft)
    try fill(draft)
    try sync(draft, O_RDWR)
    if rename(draft, path) != 0 { throw StoreError(call: "rename", path: path) }
    try sync(configuration.directory, O_DIRECTORY)
  }

  /// Opens the database. Until `migrate`, nothing of it is changed, and closing it changes nothing.
  static func open(_ configuration: StoreConfiguration) throws(StoreError) -> DatabaseQueue {
    let path = configuration.databasePath
    do {
      var options = Configuration()
      options.label = "scoped"
      options.prepareDatabase { try prepare($0, configuration) }
      return try DatabaseQueue(path: path, configuration: options)
    } catch {
      throw StoreError(error, "opening \(path)", path: path)
    }
  }

  /// Makes the database today's.
  static func migrate(_ queue: DatabaseQueue, _ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.databasePath
    do { try Schema.migrator.migrate(queue) } catch { throw StoreError(error, "opening \(path)", path: path) }
  }

  /// SQLite's smallest page. It takes a shorter file for a new database.
  private static let smallestBytes = 512

  /// Whether the file exists, can be read and written, and has content. SQLite would open a file it can't write
  /// without a word. Only before SQLite has the file: closing any descriptor of it drops SQLite's locks.
  private static func isThere(_ path: String) throws(StoreError) -> Bool {
    let descriptor = Foundation.open(path, O_RDWR | O_CLOEXEC)
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
    Store.keepsWAL(true, db)
    try checkOwner(db, configuration.databasePath)
    try db.execute(
      sql: """
        PRAGMA journal_mode = WAL;
        PRAGMA wal_autocheckpoint = 0;
        PRAGMA journal_size_limit = \(configuration.walLimitBytes);
        """)
  }

  private static func checkOwner(_ db: Database, _ path: String) throws {
    guard try Int32.fetchOne(db, sql: "PRAGMA application_id") == Schema.applicationID else {
      throw StoreError.notOurFile(path: path)
    }
    let unknown = try Schema.migrator.appliedIdentifiers(db).subtracting(Schema.migrator.migrations)
    if !unknown.isEmpty { throw StoreError.newerSchema(path: path, migrations: unknown.sorted()) }
  }
}
