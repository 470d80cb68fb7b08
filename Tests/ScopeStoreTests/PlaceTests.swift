import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// Folders and files that are removed, moved or replaced under the store, or can't be written.
@Suite struct PlaceTests {
  private let scratch = Scratch()
  private let creation = [Edit(before: nil, after: .company(.simple))]

  enum Harm: CaseIterable {
    case folderRemoved, folderMoved, folderReplaced, databaseRemoved, databaseReplaced, logRemoved, logReplaced
    case lockRemoved, lockReplaced

    func inflict(on scratch: Scratch) throws {
      let (files, configuration) = (FileManager.default, scratch.configuration)
      let aside = scratch.directory + ".aside"
      switch self {
      case .folderRemoved: try files.removeItem(atPath: scratch.directory)
      case .folderMoved: try files.moveItem(atPath: scratch.directory, toPath: aside)
      case .folderReplaced:
        try files.moveItem(atPath: scratch.directory, toPath: aside)
        try files.copyItem(atPath: aside, toPath: scratch.directory)
      case .databaseRemoved: try files.removeItem(atPath: scratch.database)
      case .logRemoved: try files.removeItem(atPath: configuration.walPath)
      case .lockRemoved: try files.removeItem(atPath: configuration.lockPath)
      case .databaseReplaced: try replace(scratch.database)
      case .logReplaced: try replace(configuration.walPath)
      case .lockReplaced: try replace(configuration.lockPath)
      }
    }

    /// As editors and restores do: the new one is put over the old one's name.
    private func replace(_ path: String) throws {
      try FileManager.default.copyItem(atPath: path, toPath: path + ".copy")
      rename(path + ".copy", path)
    }
  }

  @Test(arguments: Harm.allCases) func changesAreRefusedAndReadingGoesOn(harm: Harm) throws {
    defer { try? FileManager.default.removeItem(atPath: scratch.directory + ".aside") }
    let store = try Store(scratch.configuration)
    try store.commit([store.record("acme", creation)])
    try store.confirmFiles()
    try harm.inflict(on: scratch)
    for _ in 0..<3 {
      var reached = false
      let error = try failure { try store.commit([store.record("other", creation)]) { reached = true } }
      #expect(error.code == "data_replaced" && !error.isFatal && error.leftNothing && reached, "\(error)")
      #expect("\(error)".contains("removed or replaced") && "\(error)".contains(scratch.directory))
    }
    #expect(code { try store.checkWritable() } == "data_replaced")
    let afterwards = try failure { try store.confirmFiles() }
    #expect(!afterwards.leftNothing && !afterwards.isFatal)
    #expect(code { _ = try store.write("keeping numbers") { _ in } } == "data_replaced")
    #expect(try store.companies() == ["acme"] && store.revision == 1)
    #expect(try store.verify().problems == [])
  }

  @Test func whatIsPutBackTakesChangesAgain() throws {
    try scratch.withStore { store in
      let aside = scratch.directory + ".aside"
      rename(scratch.directory, aside)
      #expect(code { try store.commit([store.record("acme", creation)]) } == "data_replaced")
      rename(aside, scratch.directory)
      try store.commit([store.record("acme", creation)])
      try store.confirmFiles()
    }
  }

  /// The log alone is gone, and with it what is not in the database yet: it is moved there at once.
  @Test(arguments: [Harm.logRemoved, .logReplaced]) func whatWasInALostLogIsKept(harm: Harm) throws {
    let store = try Store(scratch.configuration)
    for name in ["a", "b"] as [Name] { try store.commit([store.record(name, creation)]) }
    try harm.inflict(on: scratch)
    #expect(code { try store.commit([store.record("c", creation)]) } == "data_replaced")
    let heir = try scratch.copy()
    try? FileManager.default.removeItem(atPath: heir.configuration.walPath)
    try heir.withStore { store throws in #expect(try store.companies() == ["a", "b"]) }
    try store.close()
  }

  /// A backup was put in place under the daemon, with a log of its own: stopping must not remove that.
  @Test func closingLeavesAnothersFilesAlone() throws {
    let (other, aside) = (Scratch(), scratch.directory + ".aside")
    defer { try? FileManager.default.removeItem(atPath: aside) }
    let backup = try Store(other.configuration)
    for name in ["x", "y"] as [Name] { try backup.commit([backup.record(name, creation)]) }
    let copy = try other.copy()
    try backup.close()
    let store = try Store(scratch.configuration)
    try store.commit([store.record("acme", creation)])
    rename(scratch.directory, aside)
    rename(copy.directory, scratch.directory)
    try store.close()
    try scratch.withStore { store throws in #expect(try store.companies() == ["x", "y"]) }
  }

  // MARK: - Read-only

  /// The folder is another user's, or closed: everything is served from it, the log's content included.
  @Test(arguments: [true, false]) func aFolderThatCanNotBeWrittenIsServed(withLog: Bool) async {
    await #expect(processExitsWith: .success) { [withLog] in
      let scratch = try leftBehind(withLog: withLog)
      for name in scratch.files() { chmod(scratch.directory + "/" + name, 0o444) }
      chmod(scratch.directory, 0o555)
      try asNobody { try expectServed(scratch) }
      scratch.remove()
    }
  }

  @Test(.enabled(if: canMount, "file systems can be mounted"), arguments: [true, false])
  func aReadOnlyFileSystemIsServed(withLog: Bool) throws {
    let scratch = try leftBehind(withLog: withLog)
    try readOnly(scratch.directory) { try expectServed(scratch) }
    try scratch.withStore { store in
      _ = try store.commit([store.record("c", [Edit(before: nil, after: .company(.simple))])])
    }
  }

  @Test(.enabled(if: canMount, "file systems can be mounted")) func anEmptyReadOnlyFolderIsRefused() throws {
    try readOnly(scratch.directory) {
      let error = try failure { _ = try Store(scratch.configuration) }
      #expect(error.code == "read_only", "\(error)")
    }
  }

  @Test(.enabled(if: canMount, "file systems can be mounted")) func anOlderSchemaIsNotServedReadOnly() throws {
    try scratch.withStore { _ in }
    try scratch.withDatabase { db in
      try db.execute(
        sql: "ALTER TABLE change_log DROP COLUMN access; DELETE FROM grdb_migrations WHERE identifier > 'v1'")
    }
    try readOnly(scratch.directory) {
      let error = try failure { _ = try Store(scratch.configuration) }
      #expect(error.code == "read_only" && "\(error)".contains("older version"), "\(error)")
    }
  }

  @Test(.enabled(if: canMount, "file systems can be mounted")) func aReadOnlyFolderIsLocked() throws {
    try scratch.withStore { _ in }
    try readOnly(scratch.directory) {
      let first = try Store(scratch.configuration)
      #expect(code { _ = try Store(scratch.configuration) } == "locked")
      try first.close()
    }
  }

  @Test func aFileThatCanNotBeReadIsRefused() async {
    await #expect(processExitsWith: .success) {
      let scratch = Scratch()
      try scratch.withStore { _ in }
      chmod(scratch.directory, 0o755)
      chmod(scratch.configuration.lockPath, 0o666)
      chmod(scratch.database, 0o000)
      try asNobody {
        let error = try failure { _ = try Store(scratch.configuration) }
        guard error.code == "permission_denied", "\(error)".contains(scratch.database) else { fatalError("\(error)") }
      }
      scratch.remove()
    }
  }
}

/// Two companies, of which the second is in the write-ahead log alone, where one is left.
private func leftBehind(withLog: Bool) throws -> Scratch {
  let scratch = Scratch()
  let creation = [Edit(before: nil, after: .company(.simple))]
  _ = try scratch.withStore { try $0.commit([$0.record("a", creation)]) }
  let store = try Store(scratch.configuration)
  try store.commit([store.record("b", creation)])
  let heir = try scratch.copy()
  try store.close()
  if withLog { try scratch.take(heir) }
  return scratch
}

private func expectServed(_ scratch: Scratch) throws {
  let files = scratch.files()
  let store = try Store(scratch.configuration)
  let error = try failure { try store.commit([store.record("c", [])]) }
  let (companies, problems) = (try store.companies(), try store.verify().problems)
  guard store.isReadOnly, companies == ["a", "b"], store.revision == 2, problems == [] else {
    throw Unserved("\(companies) at \(store.revision): \(problems)")
  }
  guard error.code == "read_only", !error.isFatal, error.leftNothing else { throw Unserved("\(error)") }
  guard code({ try store.checkWritable() }) == "read_only" else { throw Unserved("it seems to be writable") }
  try store.close()
  guard scratch.files() == files else { throw Unserved("\(scratch.files()) in place of \(files)") }
}

private struct Unserved: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

private func asNobody(_ body: () throws -> Void) throws {
  if getuid() == 0 && setegid(65_534) + seteuid(65_534) != 0 { fatalError("can't become nobody") }
  defer { if getuid() == 0 { _ = seteuid(0) + setegid(0) } }
  try body()
}

/// Whether this process may mount file systems.
private let canMount: Bool = {
  let scratch = Scratch()
  if mount("none", scratch.directory, "tmpfs", 0, nil) != 0 { return false }
  umount2(scratch.directory, Int32(MNT_DETACH))
  return true
}()

/// Runs the body while the folder is mounted read-only.
private func readOnly(_ path: String, _ body: () throws -> Void) throws {
  let (bind, readOnly, again) = (MS_BIND, MS_RDONLY, MS_REMOUNT)
  guard mount(path, path, nil, UInt(bind), nil) == 0 else { throw Unserved("mount: errno \(errno)") }
  defer { umount2(path, Int32(MNT_DETACH)) }
  guard mount(path, path, nil, UInt(bind | readOnly | again), nil) == 0 else {
    throw Unserved("remount: errno \(errno)")
  }
  try body()
}
