import CKeepWAL
import GRDB
import GRDBSQLite

/// One of the two files of an open database.
enum DatabasePart: CaseIterable {
  case database, writeAheadLog

  fileprivate var pointerRequest: Int32 {
    switch self {
    case .database: SQLITE_FCNTL_FILE_POINTER
    case .writeAheadLog: SQLITE_FCNTL_JOURNAL_POINTER
    }
  }
}

/// A file as SQLite has it open: the file itself, whatever its path leads to by now.
struct OpenPart {
  private let file: UnsafeMutablePointer<sqlite3_file>
  private let methods: sqlite3_io_methods

  /// Nil: SQLite has no such file open.
  fileprivate init?(_ part: DatabasePart, of db: Database) {
    var pointer: UnsafeMutablePointer<sqlite3_file>?
    guard sqlite3_file_control(db.sqliteConnection, "main", part.pointerRequest, &pointer) == SQLITE_OK,
      let pointer, let methods = pointer.pointee.pMethods
    else { return nil }
    file = pointer
    self.methods = methods.pointee
  }

  /// In bytes.
  func size() throws(UnreadablePart) -> Int64 {
    var size: sqlite3_int64 = 0
    let code = methods.xFileSize(file, &size)
    if code != SQLITE_OK { throw UnreadablePart(code: code) }
    return size
  }

  /// Fills the buffer with the bytes from there on; all of them must be in the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(UnreadablePart) {
    let code = methods.xRead(file, buffer.baseAddress, Int32(buffer.count), offset)
    if code != SQLITE_OK { throw UnreadablePart(code: code) }
  }

  /// What the system said when a read or write of the file failed last; 0: none did. Forgotten thereby.
  fileprivate func takeErrno() -> Int32 {
    var number: Int32 = 0
    _ = methods.xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number)
    if number != 0 { forgetErrno() }
    return number
  }

  /// SQLite keeps the number until the next failure, which may be one without a number; a read past the end is one.
  private func forgetErrno() {
    var byte: UInt8 = 0
    _ = methods.xRead(file, &byte, 1, 1 << 60)
  }
}

/// A file that SQLite has open can't be read.
struct UnreadablePart: Error, CustomStringConvertible {
  let code: Int32

  var description: String { "SQLite error \(code): \(String(cString: sqlite3_errstr(code)))" }
}

extension Database {
  func part(_ part: DatabasePart) -> OpenPart? { OpenPart(part, of: self) }

  /// What the operating system said when a read or write failed last; 0: none did since this was asked last. SQLite's
  /// own `sqlite3_system_errno` is lost in the rollback.
  func takeErrno() -> Int32 {
    let numbers = DatabasePart.allCases.map { part($0)?.takeErrno() ?? 0 }
    return numbers.first { $0 != 0 } ?? 0
  }

  /// Whether the database file's path leads elsewhere by now than when SQLite opened it.
  var hasMoved: Bool {
    var moved: Int32 = 0
    let code = sqlite3_file_control(sqliteConnection, "main", SQLITE_FCNTL_HAS_MOVED, &moved)
    return code == SQLITE_OK && moved != 0
  }

  /// Whether SQLite leaves the write-ahead log as it is when it closes: neither moved into the database nor removed.
  func keepsWriteAheadLog(_ keeps: Bool) { _ = scope_keep_wal(sqliteConnection, keeps ? 1 : 0) }
}
