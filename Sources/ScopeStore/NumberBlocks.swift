import Crypto
import Foundation
import GRDB
import ScopeModel

/// A block of a list as it is stored.
public struct StoredBlock: Sendable {
  public let rows: NumberRows
  public let hash: BlockHash

  public init(_ rows: NumberRows) {
    self.rows = rows
    hash = rows.packedNumbers.withUnsafeBytes { numbers in
      rows.packedDetails.withUnsafeBytes { BlockHash(numbers: numbers, details: $0) }
    }
  }

  /// The lowest number, by which the block is known in its set.
  public var first: UInt64 { rows.numbers[0] }
}

extension BlockHash {
  init(numbers: UnsafeRawBufferPointer, details: UnsafeRawBufferPointer) {
    var hash = SHA256()
    withUnsafeBytes(of: UInt64(numbers.count).bigEndian) { hash.update(bufferPointer: $0) }
    hash.update(bufferPointer: numbers)
    hash.update(bufferPointer: details)
    self.init(bytes: Array(hash.finalize()))!
  }

  /// What stands in the rules for all blocks of a list: SHA-256 over their hashes.
  public static func digest(of hashes: [BlockHash]) -> Name {
    if hashes.isEmpty { return NumberList.noDigest }
    var all = SHA256()
    hashes.withUnsafeBytes { all.update(bufferPointer: $0) }  // four words each, without anything between
    return Name(stringLiteral: hexadecimal(all.finalize()))
  }
}

private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

// MARK: - Rows ↔ columns

extension NumberRows {
  fileprivate var packedNumbers: [UInt8] {
    numbers.withUnsafeBytes { Array($0) }  // little-endian, as this processor has them
  }

  /// Empty, where nothing is known of any.
  fileprivate var packedDetails: [UInt8] {
    if details.isEmpty { return [] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * count + details.count)
    for index in 0..<count {
      let length = UInt16(place(of: index).count)
      bytes.append(UInt8(truncatingIfNeeded: length))
      bytes.append(UInt8(truncatingIfNeeded: length >> 8))
    }
    return bytes + details
  }

  init(numbers: [UInt8], details: [UInt8]) throws(DamagedRow) {
    self.init()
    let count = numbers.count / 8
    guard numbers.count == 8 * count, count > 0, details.isEmpty || details.count >= 2 * count else {
      throw DamagedRow("a block of numbers has \(numbers.count) bytes of numbers and \(details.count) of details")
    }
    reserve(count)
    var (start, last) = (2 * count, UInt64(0))
    for index in 0..<count {
      let number = numbers.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self) }
      let length = details.isEmpty ? 0 : Int(details[2 * index]) | Int(details[2 * index + 1]) << 8
      guard number > last, details.isEmpty || start + length <= details.count else {
        throw DamagedRow("a block of numbers is out of order at its number \(index)")
      }
      append(number, details: details.isEmpty ? [] : details[start..<start + length])
      (start, last) = (start + length, number)
    }
    guard details.isEmpty || start == details.count else { throw DamagedRow("a block of numbers has more details") }
  }
}

// MARK: - Reading

extension Store {
  /// The numbers of a set as they stand in memory: of each block its numbers, without details, and its hash.
  public typealias BlockSkeleton = (numbers: [UInt64], hash: BlockHash)

  /// Reads the numbers of a set, without details: ten million take about half a second.
  public func skeleton(ofSet set: UInt64) throws(StoreError) -> [BlockSkeleton] {
    try access("reading numbers") { try $0.skeleton(ofSet: set, checksHashes: configuration.checksDigests) }
  }

  /// A block as whoever asks for it knows it: its lowest number and its hash.
  public typealias KnownBlock = (first: UInt64, hash: BlockHash)

  /// Reads one block.
  public func block(_ block: KnownBlock, ofSet set: UInt64) throws(StoreError) -> NumberRows {
    try access("reading numbers") { try $0.block(block, ofSet: set, checksHashes: configuration.checksDigests) }
  }

  /// Reads numbers in order.
  ///
  /// - Parameters:
  ///   - blocks: all from the one on that may hold the first number wanted.
  ///   - after: the highest that is not wanted; 0: from the first on.
  ///   - limit: how many at most.
  public func numbers(
    ofSet set: UInt64, in blocks: some Sequence<KnownBlock>, after: UInt64, limit: Int
  ) throws(StoreError) -> NumberRows {
    try access("reading numbers") { db in
      var page = NumberRows()
      for block in blocks where page.count < limit {
        let rows = try db.block(block, ofSet: set, checksHashes: configuration.checksDigests)
        let start = after == .max ? rows.count : rows.firstIndex(notBelow: after + 1)
        page.append(start..<min(rows.count, start + limit - page.count), of: rows)
      }
      return page
    }
  }

  /// A list as the tables say; nil: it has neither purpose nor numbers.
  public func list(_ list: Name, of company: Name) throws(StoreError) -> NumberList? {
    try access("reading a list") { try $0.list(list, of: company) }
  }
}

extension Database {
  /// - Parameter checksHashes: whether each block has the hash that stands beside it.
  func skeleton(ofSet set: UInt64, checksHashes: Bool) throws -> [Store.BlockSkeleton] {
    var blocks: [Store.BlockSkeleton] = []
    var last: UInt64 = 0
    let sql = "SELECT numbers, details, hash FROM number_blocks WHERE set_id = ? ORDER BY first"
    try forEachRow(sql, [Int64(set)]) { row in
      guard let hash = BlockHash(bytes: row.blob(2) ?? []), let numbers = row.numbers(0, above: last) else {
        throw DamagedRow("a block of numbers of set \(set) is damaged, or out of order")
      }
      if checksHashes { try row.checkBlock(hash, "set \(set), from \(numbers[0]) on") }
      last = numbers[numbers.count - 1]
      blocks.append((numbers, hash))
      return true
    }
    return blocks
  }
}

extension Database {
  fileprivate func block(_ block: Store.KnownBlock, ofSet set: UInt64, checksHashes: Bool) throws -> NumberRows {
    var rows: NumberRows?
    let sql = "SELECT numbers, details FROM number_blocks WHERE set_id = ? AND first = ?"
    try forEachRow(sql, [Int64(set), Int64(block.first)]) { row in
      if checksHashes { try row.checkBlock(block.hash, "set \(set), from \(block.first) on") }
      rows = try NumberRows(numbers: row.blob(0) ?? [], details: row.blob(1) ?? [])
      return false
    }
    guard let rows else { throw DamagedRow("set \(set) has no block of numbers from \(block.first) on") }
    return rows
  }

  /// Some blocks of a set in order, each with the hash and the lowest number that stand beside it.
  ///
  /// - Parameter first: the lowest number of the first of them, or one below it.
  func forEachBlock(
    ofSet set: UInt64, from first: UInt64, limit: Int, _ body: (NumberRows, BlockHash, UInt64) throws -> Void
  ) throws {
    let sql = """
      SELECT numbers, details, hash, first FROM number_blocks WHERE set_id = ? AND first >= ? ORDER BY first LIMIT ?
      """

    try forEachRow(sql, [Int64(set), Int64(first), limit]) { row in
      let rows = try NumberRows(numbers: row.blob(0) ?? [], details: row.blob(1) ?? [])
      guard let hash = BlockHash(bytes: row.blob(2) ?? []) else { throw DamagedRow("a block of numbers has no hash") }
      try body(rows, hash, UInt64(clamping: row.integer(3)))
      return true
    }
  }
}

extension Database {
  /// What stands beside the blocks of a set, which are not read: their hashes, and how many numbers they have.
  func hashes(ofSet set: UInt64) throws -> (hashes: [BlockHash], numbers: UInt64) {
    var (hashes, numbers): ([BlockHash], UInt64) = ([], 0)
    let sql = "SELECT hash, length(numbers) / 8 FROM number_blocks WHERE set_id = ? ORDER BY first"
    try forEachRow(sql, [Int64(set)]) { row in
      guard let hash = BlockHash(bytes: row.blob(0) ?? []) else { throw DamagedRow("a block of numbers has no hash") }
      hashes.append(hash)
      numbers += UInt64(clamping: row.integer(1))
      return true
    }
    return (hashes, numbers)
  }

  /// A list as the tables have it; nil: there is none.
  func list(_ list: Name, of company: Name) throws -> NumberList? {
    var found: NumberList?
    let sql =
      "SELECT \(FactKind.list.table.columns.joined(separator: ", ")) FROM lists WHERE company = ? AND list_id = ?"
    try forEachRow(sql, [company.text, list.text]) { row in
      if case .list(let list) = try FactRow(kind: .list, columns: (0..<5).map(row.text)).fact() { found = list }
      return false
    }
    return found
  }
}

extension Columns {
  /// Whether the numbers and details in the first two columns have this hash.
  fileprivate func checkBlock(_ hash: BlockHash, _ place: String) throws(DamagedRow) {
    if let numbers = blobBytes(0), let details = blobBytes(1), BlockHash(numbers: numbers, details: details) == hash {
      return
    }
    throw DamagedRow("the block of numbers of \(place), does not have its hash")
  }

  /// Numbers of eight bytes each, ascending, all above another; nil: these are none.
  fileprivate func numbers(_ index: Int32, above last: UInt64) -> [UInt64]? {
    guard let bytes = blobBytes(index), !bytes.isEmpty, bytes.count % 8 == 0 else { return nil }
    let numbers = [UInt64](unsafeUninitializedCapacity: bytes.count / 8) { numbers, count in
      UnsafeMutableRawBufferPointer(numbers).copyBytes(from: bytes)
      count = bytes.count / 8
    }
    return numbers[0] > last && zip(numbers, numbers.dropFirst()).allSatisfy(<) ? numbers : nil
  }
}

// MARK: - Writing

/// What a change does to the blocks of a set.
public struct BlockWrites: Sendable {
  public let company: Name
  public let list: Name
  public let set: UInt64
  /// The set is new.
  public var isNew = false
  /// Blocks that go, by their lowest numbers.
  public var removed: [UInt64] = []
  public var inserted: [StoredBlock] = []
  /// The set was that of an import, which is finished.
  public var endsImport = false

  public init(company: Name, list: Name, set: UInt64) {
    self.company = company
    self.list = list
    self.set = set
  }
}

/// An import under way.
public struct StagedImport: Hashable, Sendable {
  public let set: UInt64
  public let key: Name
  /// Parts held, and the numbers in them.
  public let parts: UInt32
  public let numbers: UInt64
  /// The highest number.
  public let last: UInt64

  init(set: UInt64, key: Name, parts: UInt32, numbers: UInt64, last: UInt64) {
    (self.set, self.key, self.parts, self.numbers, self.last) = (set, key, parts, numbers, last)
  }

  /// One that begins.
  public init(set: UInt64, key: Name) { self.init(set: set, key: key, parts: 0, numbers: 0, last: 0) }
}

extension Database {
  func write(_ writes: BlockWrites) throws {
    if writes.isNew { try insertSet(writes.set, writes.company, writes.list, key: nil) }
    if writes.endsImport {
      try cachedStatement(sql: "UPDATE number_sets SET finished_key = import_key, import_key = NULL WHERE id = ?")
        .execute(arguments: [Int64(writes.set)])
    }
    let delete = try cachedStatement(sql: "DELETE FROM number_blocks WHERE set_id = ? AND first = ?")
    for first in writes.removed { try delete.execute(arguments: [Int64(writes.set), Int64(first)]) }
    try insert(writes.inserted, intoSet: writes.set)
  }

  /// Forgets an import under way; its blocks are swept later.
  func abandonImport(of list: Name, company: Name) throws {
    let sql = "UPDATE number_sets SET import_key = NULL WHERE company = ? AND list_id = ? AND import_key IS NOT NULL"
    try cachedStatement(sql: sql).execute(arguments: [company.text, list.text])
  }

  fileprivate func insert(_ blocks: [StoredBlock], intoSet set: UInt64) throws {
    let insert = try cachedStatement(
      sql: "INSERT INTO number_blocks (set_id, first, numbers, details, hash) VALUES (?, ?, ?, ?, ?)")
    for block in blocks {
      try insert.execute(arguments: [
        Int64(set), Int64(block.first), Data(block.rows.packedNumbers), Data(block.rows.packedDetails),
        Data(block.hash.bytes),
      ])
    }
  }

  fileprivate func insertSet(_ set: UInt64, _ company: Name, _ list: Name, key: Name?) throws {
    try cachedStatement(sql: "INSERT INTO number_sets (id, company, list_id, import_key) VALUES (?, ?, ?, ?)")
      .execute(arguments: [Int64(set), company.text, list.text, key?.text])
  }
}

extension Store {
  /// The number of the next set of blocks.
  public func nextSet() throws(StoreError) -> UInt64 {
    try access("reading numbers") { db in
      let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'number_sets'"
      return UInt64(clamping: try Int64.fetchOne(db.cachedStatement(sql: sql)) ?? 0) + 1
    }
  }

  /// The import of a list that is under way, if there is one.
  public func stagedImport(of list: Name, company: Name) throws(StoreError) -> StagedImport? {
    try access("reading an import") { db in
      var found: StagedImport?
      let sql = """
        SELECT id, import_key, parts, numbers, last FROM number_sets
        WHERE company = ? AND list_id = ? AND import_key IS NOT NULL
        """
      try db.forEachRow(sql, [company.text, list.text]) { row in
        found = StagedImport(
          set: UInt64(clamping: row.integer(0)), key: try Name(stored: row.text(1)),
          parts: UInt32(clamping: row.integer(2)), numbers: UInt64(clamping: row.integer(3)),
          last: UInt64(clamping: row.integer(4)))
        return false
      }
      return found
    }
  }

  /// The key of the import that a set came from; nil: it came from none.
  public func lastImport(of set: UInt64) throws(StoreError) -> Name? {
    try access("reading an import") { db in
      let sql = "SELECT finished_key FROM number_sets WHERE id = ?"
      let key = try Optional<String>.fetchOne(db.cachedStatement(sql: sql), arguments: [Int64(set)])
      return try key?.map { try Name(stored: $0) }
    }
  }

  /// Keeps a part of an import aside, durably.
  ///
  /// - Parameter staged: the import; its set is made where it has no part yet.
  public func stage(
    _ blocks: [StoredBlock], of staged: StagedImport, list: Name, company: Name
  ) throws(StoreError) -> StagedImport {
    let count = blocks.reduce(0) { $0 + $1.rows.count }
    let next = StagedImport(
      set: staged.set, key: staged.key, parts: staged.parts + 1, numbers: staged.numbers + UInt64(count),
      last: blocks.last?.rows.numbers.last ?? staged.last)
    try write("keeping numbers") { db in
      if staged.parts == 0 { try db.insertSet(staged.set, company, list, key: staged.key) }
      try db.insert(blocks, intoSet: staged.set)
      try db.cachedStatement(sql: "UPDATE number_sets SET parts = ?, numbers = ?, last = ? WHERE id = ?")
        .execute(arguments: [Int64(next.parts), Int64(next.numbers), Int64(next.last), Int64(next.set)])
    }
    return next
  }

  /// Forgets an import under way; its blocks are swept later.
  public func abandonImport(of list: Name, company: Name) throws(StoreError) {
    try write("abandoning an import") { db in try db.abandonImport(of: list, company: company) }
  }

  /// Removes some blocks that no list names and no import under way; false: there are none.
  public func sweep() throws(StoreError) -> Bool {
    let set = try access("looking for blocks nobody needs") { db in
      try Int64.fetchOne(db.cachedStatement(sql: Store.orphan))
    }
    guard let set else { return false }
    try write("removing blocks nobody needs") { db in
      let sql = "DELETE FROM number_blocks WHERE rowid IN (SELECT rowid FROM number_blocks WHERE set_id = ? LIMIT ?)"
      try db.cachedStatement(sql: sql).execute(arguments: [set, Store.blocksPerSweep])
      if db.changesCount == 0 {
        try db.cachedStatement(sql: "DELETE FROM number_sets WHERE id = ?").execute(arguments: [set])
      }
    }
    return true
  }

  /// A few milliseconds' worth.
  private static let blocksPerSweep = 256

  private static let orphan = """
    SELECT s.id FROM number_sets s LEFT JOIN lists l ON l.company = s.company AND l.list_id = s.list_id
    WHERE s.import_key IS NULL AND l.block_set IS NOT CAST(s.id AS TEXT)
    LIMIT 1
    """
}
