import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// Numbers on disk.
@Suite struct NumberBlocks {
  private let scratch = Scratch()

  private func rows(_ numbers: some Sequence<UInt64>) -> NumberRows {
    var rows = NumberRows()
    for number in numbers { rows.append(number, details: Array("d\(number)".utf8)) }
    return rows
  }

  /// A list of 600 numbers in three blocks, 4,000,000 to 4,000,599.
  private func fill(_ store: Store) throws {
    var company = Company(id: "acme")
    try store.apply(everyKind, to: &company)
    var writes = BlockWrites(company: "acme", list: "dnc", set: try store.nextSet())
    writes.isNew = true
    writes.inserted = rows(4_000_000..<4_000_600).blocks().map(StoredBlock.init)
    let outcome = try company.noteNumbers(
      of: "dnc", count: 600, blockSet: writes.set, digest: BlockHash.digest(of: writes.inserted.map(\.hash)))
    try store.commit([store.record("acme", outcome.edits)], numbers: writes)
  }

  @Test func areReadFromAnyNumberOn() throws {
    try scratch.withStore(fill)
    try scratch.withStore { store throws in
      let set = try #require(try store.list("dnc", of: "acme")).blockSet
      let blocks = try store.skeleton(ofSet: set).map { (first: $0.numbers[0], hash: $0.hash) }
      for after in [0, 3_999_999, 4_000_000, 4_000_198, 4_000_199, 4_000_200, 4_000_599, 5_000_000] as [UInt64] {
        for limit in [1, 200, 201, 1_000] {
          let expected = (4_000_000..<4_000_600).filter { $0 > after }.prefix(limit)
          #expect(
            try store.numbers(ofSet: set, in: blocks, after: after, limit: limit) == rows(expected), "\(after) \(limit)"
          )
        }
      }
      #expect(try store.rows(of: "acme", withNumbers: true).numbers[set]?.flatMap(\.numbers).count == 600)
      #expect(try store.verify().problems == [])
    }
  }

  @Test(arguments: [
    ("UPDATE number_blocks SET details = zeroblob(length(details)) WHERE first = 4000200", "has more details"),
    ("UPDATE number_blocks SET hash = zeroblob(32) WHERE first = 4000200", "do not have their hash"),
    ("DELETE FROM number_blocks WHERE first = 4000200", "are 400, and the log tells of 600"),
    ("UPDATE lists SET digest = 'x'", "are not those the log tells of"),
    ("UPDATE lists SET numbers = '599'", "are 600, and the log tells of 599"),
    ("UPDATE number_blocks SET first = 1 WHERE first = 4000200", "out of order"),
  ])
  func thatWereAlteredAreFound(sql: String, words: String) throws {
    try scratch.withStore(fill)
    try scratch.withDatabase { try $0.execute(sql: sql) }
    let problems = try scratch.withStore { try $0.verify().problems }
    #expect(problems.contains { $0.contains(words) }, "\(problems)")
    #expect(try scratch.withStore { try $0.verify(pace: .short).problems } == problems, "in small steps")
  }

  /// One bit of what is known of one number.
  @Test func thatWereAlteredByABitAreFound() throws {
    try scratch.withStore(fill)
    try scratch.withDatabase { db in
      let place = "FROM number_blocks WHERE first = 4000200"
      var details = try #require(try Data.fetchOne(db, sql: "SELECT details \(place)"))
      details[details.count - 1] ^= 1
      try db.execute(sql: "UPDATE number_blocks SET details = ? WHERE first = 4000200", arguments: [details])
    }
    let problems = try scratch.withStore { try $0.verify().problems }
    #expect(problems.contains { $0.contains("numbers of list:dnc from 4000200 on do not have their hash") })
  }

  @Test func thatNobodyNamesAreSwept() throws {
    try scratch.withStore { store throws in
      try fill(store)
      let staged = try store.stage(
        rows(5_000_000..<5_000_300).blocks().map(StoredBlock.init),
        of: StagedImport(set: try store.nextSet(), key: "k"), list: "dnc", company: "acme")
      #expect(try store.stagedImport(of: "dnc", company: "acme") == staged)
      #expect(try !store.sweep(), "the list's own and the import's are needed")
      try store.abandonImport(of: "dnc", company: "acme")
      while try store.sweep() {}
      #expect(try store.skeleton(ofSet: staged.set).isEmpty)
      var company = try store.load("acme")
      #expect(try store.skeleton(ofSet: company.lists["dnc"]!.blockSet).count == 3)
      let set = company.lists["dnc"]!.blockSet
      try store.apply([.removeObject(ObjectRef(.list, "dnc"))], to: &company)
      while try store.sweep() {}
      #expect(try store.skeleton(ofSet: set).isEmpty)
      #expect(try store.nextSet() > staged.set, "a number is never given twice")
    }
  }
}
