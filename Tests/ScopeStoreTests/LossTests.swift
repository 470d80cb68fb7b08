import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// An older state is whole in itself: only what is kept apart shows that changes are missing.
@Suite struct LossTests {
  private let scratch = Scratch()

  private func group(_ number: Int) -> Change { .putGroup(Group(id: Name(stringLiteral: "g\(number)"), name: "g")) }

  /// A store with so many changes of one company, closed.
  private func fill(_ changes: Int, from first: Int = 1) throws {
    try scratch.withStore { store throws in
      var company = try store.load("acme")
      for number in first..<first + changes {
        try store.apply([number == 1 ? .putCompany(.simple) : group(number)], to: &company)
      }
    }
  }

  /// The files of a store that was killed: the last changes are in the write-ahead log alone.
  private func kill(after changes: Int) throws -> [String: [UInt8]] {
    try fill(4)
    let store = try Store(scratch.configuration)
    var company = try store.load("acme")
    for number in 5...changes { try store.apply([group(number)], to: &company) }
    let files = try files()
    try store.close()
    try put(files)
    return files
  }

  /// All but the empty: SQLite makes an empty write-ahead log for having a look.
  private func files() throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in scratch.files() { files[name] = try scratch.bytes(scratch.directory + "/" + name) }
    return files.filter { !$0.value.isEmpty }
  }

  private func put(_ files: [String: [UInt8]]) throws {
    for name in scratch.files() { unlink(scratch.directory + "/" + name) }
    for (name, bytes) in files { try scratch.put(bytes, scratch.directory + "/" + name) }
  }

  /// A refused start leaves every byte as it is; what it says.
  private func refusal(_ acceptedLoss: UInt64? = nil) throws -> String {
    var (before, configuration) = (try files(), scratch.configuration)
    configuration.acceptedLoss = acceptedLoss
    let error = try failure { _ = try Store(configuration) }
    var after = try files()
    (before["scoped.lock"], after["scoped.lock"]) = (nil, nil)
    let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
    #expect(changed == [], "a refused start changes nothing")
    #expect(error.code == "changes_missing", "\(error)")
    return "\(error)"
  }

  @Test func anOlderDatabaseIsRefusedAndCanBeAccepted() throws {
    try fill(3)
    let older = try scratch.bytes(scratch.database)
    try fill(4, from: 4)
    try scratch.put(older, scratch.database)
    let words = try refusal()
    #expect(words.contains("\(scratch.database) ends at revision 3") && words.contains("revisions 4 to 7 are missing"))
    #expect(words.contains("Restore a backup") && words.contains("--accept-loss 3"), "\(words)")
    for wrong: UInt64 in [0, 2, 4, 7] { #expect(try refusal(wrong) == words) }
    try scratch.withStore({ $0.acceptedLoss = 3 }) { store throws in
      #expect(store.revision == 3 && store.notes.count == 1 && store.notes[0].contains("revisions 4 to 7 are missing"))
      var company = try store.load("acme")
      try store.apply([group(40)], to: &company)
      #expect(try store.verify().problems == [])
    }
    try scratch.withStore { #expect($0.revision == 4 && $0.notes.count == 1, "it can still be seen") }
    try scratch.withStore({ $0.acceptedLoss = 4 }) { #expect($0.notes[0].contains("take it away")) }
  }

  /// Two histories that part: both reach the revision, and it is another.
  @Test func anotherHistoryIsRefused() throws {
    try fill(3)
    let older = try files()
    try fill(2, from: 4)
    let head = try scratch.bytes(scratch.configuration.headPath)
    try put(older)
    try fill(5, from: 14)
    try scratch.put(head, scratch.configuration.headPath)
    #expect(try refusal().contains("revision 5 of \(scratch.database) is not the one"))
  }

  @Test func anotherStoresHeadFileIsRefused() throws {
    try fill(2)
    let other = Scratch()
    try other.withStore { _ in }
    try scratch.put(try other.bytes(other.configuration.headPath), scratch.configuration.headPath)
    #expect(try refusal().contains("\(scratch.configuration.headPath) is not that of \(scratch.database)"))
  }

  @Test func aMissingHeadFileIsRefusedAndAWholeFolderIsABackup() throws {
    try fill(3)
    let backup = try files()
    try fill(2, from: 4)
    unlink(scratch.configuration.headPath)
    #expect(try refusal().contains("\(scratch.configuration.headPath) is missing"))
    try put(backup)
    try scratch.withStore { #expect($0.revision == 3 && $0.notes == []) }
    unlink(scratch.database)
    let error = try failure { _ = try Store(scratch.configuration) }
    #expect(error.code == "damaged" && "\(error)".contains("missing beside \(scratch.configuration.headPath)"))
  }

  /// Either copy is enough; with both gone nobody knows.
  @Test func aDamagedHeadFileIsRefused() throws {
    try fill(3)
    let whole = try scratch.bytes(scratch.configuration.headPath)
    for place in [0, 30, 95] {
      for copy in [0, 4_096] {
        var bytes = whole
        bytes[copy + place] ^= 0x10
        try scratch.put(bytes, scratch.configuration.headPath)
        try scratch.withStore { #expect($0.revision == 3) }
      }
      var bytes = whole
      for copy in [0, 4_096] { bytes[copy + place] ^= 0x10 }
      try scratch.put(bytes, scratch.configuration.headPath)
      #expect(try refusal().contains("\(scratch.configuration.headPath) is damaged"))
    }
    try scratch.put([], scratch.configuration.headPath)
    #expect(try refusal().contains("--accept-loss 3"))
    try scratch.withStore({ $0.acceptedLoss = 3 }) { #expect($0.revision == 3) }
    try scratch.withStore { #expect($0.notes.count == 1) }
  }

  /// Behind: as a power cut leaves it, since nobody waits for the disk.
  @Test func anOlderHeadFileIsBroughtAlong() throws {
    try fill(3)
    let older = try scratch.bytes(scratch.configuration.headPath)
    try fill(3, from: 4)
    try scratch.put(older, scratch.configuration.headPath)
    try scratch.withStore { #expect($0.revision == 6 && $0.notes == []) }
    #expect(try HeadFile.read(scratch.configuration.headPath)?.map(\.head.revision) == [6, 6])
  }

  /// Every length that the write-ahead log may be cut to, and a start without it.
  @Test func aWriteAheadLogThatWasCutIsRefused() throws {
    let files = try kill(after: 10)
    let wal = files["scoped.sqlite-wal"]!
    for length in stride(from: 0, to: wal.count, by: 1_030) {
      try put(files)
      if length > 0 { truncate(scratch.configuration.walPath, length) } else { unlink(scratch.configuration.walPath) }
      let words = try refusal()
      #expect(words.contains("to 10 are missing"), "\(length): \(words)")
      try scratch.withStore({ $0.checksHead = false }) { #expect($0.revision < 10, "unnoticed without the head") }
    }
    try put(files)
    try scratch.withStore { #expect($0.revision == 10) }
  }

  /// One byte of each page, with a head file as old as can be: changes that follow the broken one tell. Only the last
  /// may be in pieces: nobody was told that it was done.
  @Test func aBrokenPageBeforeTheLastChangeIsDamage() throws {
    let files = try kill(after: 10)
    let wal = files["scoped.sqlite-wal"]!
    let frames = (wal.count - 32) / 4_120
    let ends = (1...frames).filter { wal[32 + ($0 - 1) * 4_120 + 4..<32 + ($0 - 1) * 4_120 + 8].contains { $0 != 0 } }
    #expect(ends.last == frames && ends.count == 6)
    var older = files
    try fillHead(&older)
    for frame in 1...frames {
      var bytes = wal
      bytes[32 + (frame - 1) * 4_120 + 24 + frame * 37 % 4_096] ^= 4
      older["scoped.sqlite-wal"] = bytes
      try put(older)
      if frame <= ends[ends.count - 2] {
        #expect(try refusal().contains("\(scratch.configuration.walPath) is broken at page \(frame)"))
      } else {
        try scratch.withStore { #expect($0.revision == 9) }
      }
    }
  }

  /// The head as it was before the changes that are in the write-ahead log alone.
  private func fillHead(_ files: inout [String: [UInt8]]) throws {
    try put(files)
    unlink(scratch.configuration.walPath)
    let copy = try #require(try HeadFile.read(scratch.configuration.headPath)?.first)
    let hash = try scratch.withDatabase { db in
      try Data.fetchOne(db, sql: "SELECT hash FROM change_log WHERE revision = 4")!
    }
    let older = HeadFile.Copy(identity: copy.identity, head: Head(revision: 4, hash: [UInt8](hash)))
    files["scoped.head"] = older.packed
  }
}
