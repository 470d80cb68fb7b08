import Foundation
import GRDB
import ScopeModel

/// What went wrong in the store: a stable code for machines, words for people with what to do, and the cause.
public enum StoreError: Error {
  /// Another process holds the directory. The pid is nil where the holder did not write it down.
  case locked(pid: Int32?, directory: String)
  /// There is no database, and none is to be made. `what` goes on about the directory.
  case noStore(directory: String, String)
  /// The file is a database, but another application's.
  case notOurFile(path: String)
  /// The file was written by a newer version; `migrations` are those this version does not know.
  case newerSchema(path: String, migrations: [String])
  /// The content can't be read, or can't be right.
  case damaged(String, cause: (any Error)?)
  /// Changes that were acknowledged are not there, or nobody knows whether they are. The store ends at `revision`.
  case changesMissing(String, revision: UInt64)
  /// The process may not read or write what it must.
  case permissionDenied(path: String, cause: any Error)
  /// The data directory can be read, but not written: it is mounted read-only, or closed to this user. No change is
  /// taken; everything else works.
  case readOnly(path: String, cause: (any Error)?)
  /// The path no longer leads to the file that the store has open. Nobody would find a change again.
  ///
  /// - Parameter isCommitted: the change is in the open files all the same; false: nothing was changed.
  case replaced(path: String, isCommitted: Bool)
  /// There is no room. The change was refused; later ones may succeed.
  case diskFull(cause: any Error)
  /// The disk or the file system failed, and it is known that nothing was changed.
  case io(String, cause: any Error)
  /// An fsync or a rollback failed, or a COMMIT did and has left what a restart might take for a change: nobody knows
  /// what is on the disk.
  case inDoubt(String, cause: any Error)
  /// The record's revision does not follow the last one.
  case wrongRevision(expected: UInt64, given: UInt64)
  /// The company has used this idempotency key before.
  case keyTaken(company: Name, key: Name)
  /// The edit does not fit the tables: what it removes is not there, or what it makes is, or lacks what it names.
  case misfit(revision: UInt64, edit: String, cause: (any Error)?)
  /// The caller's own `beforeCommit` failed.
  case beforeCommit(any Error)
  /// Reading was ended, or the store is closed: see `Interruption`.
  case interrupted
  /// Anything else that SQLite says: out of memory, or a fault of the program.
  case unexpected(any Error)
}

extension StoreError: CustomStringConvertible {
  /// The process must end at once, without `close()`: after a failed fsync the kernel forgets what was not
  /// written, so that trying again would report success for data that is lost.
  public var isFatal: Bool {
    if case .inDoubt = self { true } else { false }
  }

  /// The system lets nobody write there, or not this process; reading may go on.
  var deniesWriting: Bool {
    switch self {
    case .readOnly, .permissionDenied: true
    default: false
    }
  }

  /// Stable, for machines.
  public var code: String {
    switch self {
    case .locked: "locked"
    case .noStore: "no_store"
    case .notOurFile: "not_our_file"
    case .newerSchema: "newer_schema"
    case .damaged: "damaged"
    case .changesMissing: "changes_missing"
    case .permissionDenied: "permission_denied"
    case .readOnly: "read_only"
    case .replaced: "data_replaced"
    case .diskFull: "disk_full"
    case .io: "io"
    case .inDoubt: "in_doubt"
    case .wrongRevision: "wrong_revision"
    case .keyTaken: "key_taken"
    case .misfit: "misfit"
    case .beforeCommit: "before_commit"
    case .interrupted: "interrupted"
    case .unexpected: "unexpected"
    }
  }

  /// Nothing of the change can turn up later; false: it may.
  public var leftNothing: Bool {
    switch self {
    case .inDoubt, .replaced(_, isCommitted: true): false
    default: true
    }
  }

  /// What failed would fail for any change.
  public var concernsEveryChange: Bool {
    switch self {
    case .readOnly, .replaced, .permissionDenied, .io, .inDoubt: true
    default: false
    }
  }

  /// What lay behind it, where it was an error itself.
  public var cause: (any Error)? {
    switch self {
    case .locked, .noStore, .notOurFile, .newerSchema, .changesMissing, .wrongRevision, .keyTaken, .replaced,
      .interrupted:
      nil
    case .damaged(_, let cause), .readOnly(_, let cause), .misfit(_, _, let cause): cause
    case .permissionDenied(_, let cause), .diskFull(let cause), .io(_, let cause), .inDoubt(_, let cause),
      .beforeCommit(let cause), .unexpected(let cause):
      cause
    }
  }

  /// For the operator: what happened, what to do, and what the system or SQLite said. Never a statement of SQL, whose
  /// values are nobody's business.
  public var description: String {
    cause.map { "\(words) (\(StoreError.brief($0)))" } ?? words
  }

  private static func brief(_ cause: any Error) -> String {
    guard let error = cause as? DatabaseError else { return "\(cause)" }
    return "SQLite error \(error.extendedResultCode.rawValue): \(error.message ?? "no more is known")"
  }

  /// For clients: what happened and what to do.
  public var words: String {
    switch self {
    case .locked(let pid?, let directory):
      "process \(pid) is using the data directory \(directory): stop it first, or choose another directory"
    case .locked(nil, let directory):
      "another process is using the data directory \(directory): stop it first (`fuser` tells which)"
    case .noStore(let directory, let what):
      "a store (scoped.sqlite) was expected in \(directory), which \(what): if there should be one, is its volume "
        + "mounted? To create a new, empty one, start once with --create"
    case .notOurFile(let path): "\(path) is another application's database: choose another data directory"
    case .newerSchema(let path, let migrations):
      "\(path) was written by a newer version (\(migrations.joined(separator: ", "))): install that version; if there is none, restore a backup"
    case .damaged(let what, _): "\(what): restore a backup"
    case .changesMissing(let what, let revision):
      "\(what). Restore a backup; or, to go on from revision \(revision) without what came after it, start once "
        + "with --accept-loss \(revision)"
    case .permissionDenied(let path, _): "no permission for \(path): grant it to the user that the daemon runs as"
    case .readOnly(let path, _):
      "\(path) can't be written, so changes are refused: mount its file system writable, or give the daemon's "
        + "user the permission; a daemon that was started like this must then be restarted"
    case .replaced(let path, let isCommitted):
      "\(path) was removed or replaced under the running daemon, so changes are refused: put back the files that it has "
        + "open, or restart it to serve what is there now; `scopectl export` writes out what it still serves"
        + (isCommitted ? ". This change was written to the files it has open, and may be lost with them" : "")
    case .diskFull: "the disk is full: make room"
    case .io(let what, _): "\(what) failed: look at the disk and the kernel's log"
    case .inDoubt(let what, _):
      "\(what) failed, and what is on the disk is unknown: the process must end; look at the disk before a restart"
    case .wrongRevision(let expected, let given): "the next revision is \(expected), not \(given)"
    case .keyTaken(let company, let key): "the company '\(company)' has used the idempotency key '\(key)' before"
    case .misfit(let revision, let edit, _):
      "revision \(revision): the edit \(edit) does not fit the tables: run verify"
    case .beforeCommit: "the change was given up before COMMIT"
    case .interrupted: "the store is being closed"
    case .unexpected: "SQLite refused"
    }
  }
}

/// A row that can't be what the store wrote.
struct DamagedRow: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// A system call that failed.
struct SystemCallError: Error, CustomStringConvertible {
  let call: String
  let path: String
  let errno: Int32

  var description: String { "\(call) \(path): \(String(cString: strerror(errno)))" }
}

// MARK: - From causes

extension StoreError {
  /// The error that `errno` tells of, which must not have been touched since.
  init(call: String, path: String, errno number: Int32 = errno) {
    let cause = SystemCallError(call: call, path: path, errno: number)
    switch number {
    case _ where call == "fsync": self = .inDoubt("fsync of \(path)", cause: cause)
    case EROFS: self = .readOnly(path: path, cause: cause)
    case EACCES, EPERM: self = .permissionDenied(path: path, cause: cause)
    case ENOSPC, EFBIG, EDQUOT: self = .diskFull(cause: cause)
    default: self = .io("\(call) of \(path)", cause: cause)
    }
  }

  /// - Parameters:
  ///   - what: what was being done, as a noun: "reading company 'acme'".
  ///   - path: the database file.
  ///   - systemErrno: of the read or write that failed; 0: not known.
  init(_ error: any Error, _ what: String, path: String, systemErrno: Int32 = 0) {
    switch error {
    case let error as StoreError: self = error
    case let error as DamagedRow: self = .damaged("\(path), \(what): \(error)", cause: nil)
    case let error as DatabaseError: self.init(error, what, path: path, systemErrno: systemErrno)
    // The statements are fixed: what can't be decoded is not what was written.
    case is RowDecodingError: self = .damaged("\(path), \(what), has a value of the wrong kind", cause: nil)
    default: self = .unexpected(error)
    }
  }

  private init(_ error: DatabaseError, _ what: String, path: String, systemErrno: Int32) {
    switch (error.extendedResultCode, systemErrno) {
    case (.SQLITE_IOERR_FSYNC, _), (.SQLITE_IOERR_DIR_FSYNC, _): self = .inDoubt(what, cause: error)
    case (.SQLITE_FULL, _), (.SQLITE_IOERR, ENOSPC), (.SQLITE_IOERR, EFBIG), (.SQLITE_IOERR, EDQUOT):
      self = .diskFull(cause: error)
    case (.SQLITE_BUSY, _), (.SQLITE_LOCKED, _):
      self = .locked(pid: nil, directory: URL(fileURLWithPath: path).deletingLastPathComponent().path)
    case (.SQLITE_IOERR, EROFS): self = .readOnly(path: path, cause: error)
    // SQLite takes what can't be read for what is damaged; but it may be read the next time.
    case (.SQLITE_CORRUPT, EIO), (.SQLITE_CORRUPT, ENXIO), (.SQLITE_CORRUPT, ERANGE): self = .io(what, cause: error)
    case (.SQLITE_CORRUPT, _), (.SQLITE_NOTADB, _), (.SQLITE_FORMAT, _):
      self = .damaged("\(path), \(what), is damaged", cause: error)
    // The statements are fixed: what does not fit them are the tables, or a text in them.
    case (.SQLITE_ERROR, _): self = .damaged("\(path), \(what), does not fit", cause: error)
    case (.SQLITE_INTERRUPT, _): self = .interrupted
    case (.SQLITE_PERM, _), (.SQLITE_READONLY, _), (.SQLITE_CANTOPEN, EACCES), (.SQLITE_CANTOPEN, EPERM):
      self = .permissionDenied(path: path, cause: error)
    case (.SQLITE_IOERR, _), (.SQLITE_CANTOPEN, _): self = .io(what, cause: error)
    default: self = .unexpected(error)
    }
  }
}
