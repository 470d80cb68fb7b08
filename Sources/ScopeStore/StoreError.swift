import Foundation
import GRDB
import ScopeModel

/// What went wrong in the store: a stable code for machines, words for people with what to do, and the cause.
public enum StoreError: Error {
  /// Another process holds the directory. The pid is nil where the holder did not write it down.
  case locked(pid: Int32?, directory: String)
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
  /// There is no room. The change was refused; later ones may succeed.
  case diskFull(cause: any Error)
  /// The disk or the file system failed before COMMIT: nothing was written.
  case io(String, cause: any Error)
  /// An fsync, a COMMIT or a rollback failed: nobody knows what is on the disk.
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

  /// Stable, for machines.
  public var code: String {
    switch self {
    case .locked: "locked"
    case .notOurFile: "not_our_file"
    case .newerSchema: "newer_schema"
    case .damaged: "damaged"
    case .changesMissing: "changes_missing"
    case .permissionDenied: "permission_denied"
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

  /// What lay behind it, where it was an error itself.
  public var cause: (any Error)? {
    switch self {
    case .locked, .notOurFile, .newerSchema, .changesMissing, .wrongRevision, .keyTaken, .interrupted: nil
    case .damaged(_, let cause), .misfit(_, _, let cause): cause
    case .permissionDenied(_, let cause), .diskFull(let cause), .io(_, let cause), .inDoubt(_, let cause),
      .beforeCommit(let cause), .unexpected(let cause):
      cause
    }
  }

  /// For people: what happened and what to do.
  public var description: String {
    cause.map { "\(sentence) (\($0))" } ?? sentence
  }

  private var sentence: String {
    switch self {
    case .locked(let pid?, let directory):
      "process \(pid) is using the data directory \(directory): stop it first, or choose another directory"
    case .locked(nil, let directory):
      "another process is using the data directory \(directory): stop it first (`fuser` tells which)"
    case .notOurFile(let path): "\(path) is another application's database: choose another data directory"
    case .newerSchema(let path, let migrations):
      "\(path) was written by a newer version (\(migrations.joined(separator: ", "))): install that version; if there is none, restore a backup"
    case .damaged(let what, _): "\(what): restore a backup"
    case .changesMissing(let what, let revision):
      "\(what). Restore a backup; or, to go on from revision \(revision) and do without what came after it, start once "
        + "with --accept-loss \(revision)"
    case .permissionDenied(let path, _): "no permission for \(path): give it to the user the daemon runs as"
    case .diskFull: "the disk is full: make room; nothing was changed"
    case .io(let what, _): "\(what) failed: look at the disk and the kernel's log; nothing was changed"
    case .inDoubt(let what, _):
      "\(what) failed, and what is on the disk is unknown: the process must end; look at the disk before a restart"
    case .wrongRevision(let expected, let given): "the next revision is \(expected), not \(given)"
    case .keyTaken(let company, let key): "the company '\(company)' has used the idempotency key '\(key)' before"
    case .misfit(let revision, let edit, _):
      "revision \(revision): the edit \(edit) does not fit the tables: run verify"
    case .beforeCommit: "the change was given up before COMMIT; nothing was changed"
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
    case EACCES, EPERM, EROFS: self = .permissionDenied(path: path, cause: cause)
    case ENOSPC, EFBIG, EDQUOT: self = .diskFull(cause: cause)
    default: self = .io("\(call) of \(path)", cause: cause)
    }
  }

  /// - Parameters:
  ///   - what: what was being done, as a noun: "reading company 'acme'".
  ///   - path: the database file.
  ///   - systemErrno: of the last write that failed; 0: not known.
  init(_ error: any Error, _ what: String, path: String, systemErrno: Int32 = 0) {
    switch error {
    case let error as StoreError: self = error
    case let error as DamagedRow: self = .damaged("\(path), \(what): \(error)", cause: nil)
    case let error as DatabaseError: self.init(error, what, path: path, systemErrno: systemErrno)
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

  /// The error of a COMMIT that failed. Only a full disk leaves no doubt: it is met before anything is synced.
  static func atCommit(_ error: any Error, path: String, systemErrno: Int32) -> StoreError {
    let translated = StoreError(error, "COMMIT", path: path, systemErrno: systemErrno)
    if case .diskFull = translated { return translated }
    return .inDoubt("COMMIT", cause: error)
  }
}
