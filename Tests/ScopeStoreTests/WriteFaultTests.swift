import Foundation
import GRDBSQLite
import ScopeModel
import Synchronization
import Testing

@testable import ScopeStore

/// A write that fails inside COMMIT: the change is refused, nothing of it is left for a restart to find, and the next
/// change tries again.
@Suite struct WriteFaultTests {
  private let scratch = Scratch()

  /// Where the log is when the fault comes.
  enum Log: CaseIterable {
    case empty, begun, checkpointed, left
  }

  @Test(arguments: Log.allCases) func everyWriteOfACommitMayFail(log: Log) throws {
    var failed = 0
    for number in 0... {
      let scratch = Scratch()
      let store = try open(scratch, log)
      let before = store.revision
      let fault = WriteFault(number, of: store, .refused)
      let error = outcome(of: store)
      fault.end()
      guard let error else { break }
      failed += 1
      #expect(error.code == "io" && !error.isFatal && error.leftNothing, "write \(number): \(error)")
      #expect(store.revision == before)
      #expect(try scratch.revisionAfterRestart() == before, "write \(number)")
      try store.commit([store.record("next", creation)])
      #expect(try scratch.revisionAfterRestart() == before + 1)
      #expect(try store.companies().contains("next") && store.verify().problems == [])
      try store.close()
    }
    #expect(failed > 4, "the fault was met")
  }

  /// The write that "failed" arrived. Only the last makes a change that a restart would find.
  @Test(arguments: Log.allCases) func aRefusedWriteMayHaveArrived(log: Log) throws {
    var codes: [String] = []
    for number in 0... {
      let scratch = Scratch()
      let store = try open(scratch, log)
      let before = store.revision
      let fault = WriteFault(number, of: store, .reported)
      let error = outcome(of: store)
      fault.end()
      guard let error else { break }
      codes.append(error.code)
      #expect(try scratch.revisionAfterRestart() == before + (error.leftNothing ? 0 : 1), "write \(number)")
      if error.isFatal { continue }
      try store.commit([store.record("next", creation)])
      try store.close()
    }
    #expect(codes.last == "in_doubt" && codes.dropLast().allSatisfy { $0 == "io" }, "\(codes)")
    #expect(codes.count > 4)
  }

  /// A disk that stays full or broken refuses every change, each with the same words, and then goes on.
  @Test(arguments: [(SQLITE_IOERR | (3 << 8), "io"), (SQLITE_FULL, "disk_full")])
  func aFaultThatStaysRefusesUntilItIsGone(code: Int32, name: String) throws {
    try scratch.withStore { store in
      try store.commit([store.record("acme", creation)])
      let fault = WriteFault(3, of: store, .refused, code: code, stays: true)
      let errors = (0..<20).map { _ in outcome(of: store) }
      fault.end()
      #expect(errors.allSatisfy { $0?.code == name && $0?.isFatal == false }, "\(errors)")
      #expect(Set(errors.map { "\($0!)" }).count == 1)
      #expect(store.revision == 1)
      #expect(outcome(of: store) == nil)
      #expect(store.revision == 2)
    }
  }

  /// A change larger than SQLite's cache is partly in the log before COMMIT.
  @Test func aLargeChangeMayFailAnywhere() throws {
    var configuration = scratch.configuration
    configuration.cacheBytes = 64 << 10
    let store = try Store(configuration)
    var company = Company(id: "acme")
    try store.apply([.putCompany(.simple)], to: &company)
    let many = (0..<2_000).map { Change.putGroup(Group(id: Name(stringLiteral: "g\($0)"), name: "g")) }
    for number in [0, 9, 40] {
      var attempt = company
      let fault = WriteFault(number, of: store, .refused)
      let error = try failure { try store.apply(many, to: &attempt) }
      fault.end()
      #expect(error.code == "io" && !error.isFatal && store.revision == 1, "write \(number): \(error)")
      #expect(try scratch.revisionAfterRestart() == 1)
    }
    try store.apply(many, to: &company)
    #expect(try store.verify().problems == [] && store.load("acme").facts == company.facts)
    try store.close()
  }

  private let creation = [Edit(before: nil, after: .company(.simple))]

  private func outcome(of store: Store) -> StoreError? {
    do throws(StoreError) { try store.commit([store.record("acme2", creation)]) } catch { return error }
    return nil
  }

  private func open(_ scratch: Scratch, _ log: Log) throws -> Store {
    var store = try Store(scratch.configuration)
    if log == .empty { return store }
    for name in ["a", "b", "c"] as [Name] { try store.commit([store.record(name, creation)]) }
    if log == .checkpointed { try store.checkpoint() }
    if log == .left {
      let heir = try scratch.copy()
      try store.close()
      try scratch.take(heir)
      store = try Store(scratch.configuration)
    }
    return store
  }
}

/// What a test does to the writes of a store's write-ahead log.
private final class WriteFault {
  enum Kind: Sendable {
    /// Nothing is written.
    case refused
    /// All is written, and the error reported all the same.
    case reported
  }

  /// Unchecked: the methods are SQLite's own, which never change.
  private struct Plan: @unchecked Sendable {
    var before: Int
    let kind: Kind
    let code: Int32
    let stays: Bool
    let whole: sqlite3_io_methods
  }

  /// By the file, since SQLite calls a plain function.
  private static let plans = Mutex<[Int: Plan]>([:])
  private let file: Int
  private let repair: () -> Void

  /// - Parameters:
  ///   - before: how many writes go well.
  ///   - stays: all later ones fail as well.
  init(_ before: Int, of store: Store, _ kind: Kind, code: Int32 = SQLITE_IOERR | (3 << 8), stays: Bool = false) {
    var whole: sqlite3_io_methods?
    repair = store.sabotage(SQLITE_FCNTL_JOURNAL_POINTER) { methods in
      whole = methods
      methods.xWrite = { file, bytes, count, offset in WriteFault.write(file!, bytes, count, offset) }
    }
    let file = Int(bitPattern: store.walFile)
    self.file = file
    let plan = Plan(before: before, kind: kind, code: code, stays: stays, whole: whole!)
    WriteFault.plans.withLock { $0[file] = plan }
  }

  func end() {
    repair()
    WriteFault.plans.withLock { [file] in _ = $0.removeValue(forKey: file) }
  }

  private static func write(
    _ file: UnsafeMutablePointer<sqlite3_file>, _ bytes: UnsafeRawPointer?, _ count: Int32, _ offset: Int64
  ) -> Int32 {
    let key = Int(bitPattern: file)
    let plan = plans.withLock { plans in
      let plan = plans[key]!
      if plan.before > 0 || !plan.stays { plans[key]!.before -= 1 }
      return plan
    }
    let fails = plan.before == 0
    if fails && plan.kind == .refused { return plan.code }
    let code = plan.whole.xWrite(file, bytes, count, offset)
    return fails ? plan.code : code
  }
}

extension Store {
  fileprivate var walFile: UnsafeMutablePointer<sqlite3_file> {
    queue.unsafeRead { db in
      var pointer: UnsafeMutablePointer<sqlite3_file>?
      sqlite3_file_control(db.sqliteConnection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &pointer)
      return pointer!
    }
  }
}

extension Scratch {
  /// The files as a process that is killed now leaves them.
  func copy() throws -> Scratch {
    let heir = Scratch()
    for name in files() where name != "scoped.lock" {
      try FileManager.default.copyItem(atPath: directory + "/" + name, toPath: heir.directory + "/" + name)
    }
    return heir
  }

  /// Puts the files of another in place of these.
  func take(_ other: Scratch) throws {
    for name in other.files() {
      try? FileManager.default.removeItem(atPath: directory + "/" + name)
      try FileManager.default.moveItem(atPath: other.directory + "/" + name, toPath: directory + "/" + name)
    }
  }

  /// What a daemon finds that is started after this one was killed.
  func revisionAfterRestart() throws -> UInt64 {
    try copy().withStore { store throws in
      #expect(try store.verify().problems == [])
      return store.revision
    }
  }
}
