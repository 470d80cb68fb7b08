import GRDB
import ScopeModel

/// The rows of a company as they stand in the tables, not yet read: whoever wants to know what they say has the time,
/// the thread that owns the store has not.
public struct CompanyRows: Sendable {
  public let id: Name
  /// The file they are from.
  public let path: String
  /// How many rows of each kind, in the order of `FactKind.allCases`.
  private var counts: [Int] = []
  /// Each column after its length in four bytes.
  private var bytes: [UInt8] = []
  /// The numbers of its lists, by the sets of blocks that the lists name.
  public private(set) var numbers: [UInt64: [Store.BlockSkeleton]] = [:]
  /// What they must come to; nil: nobody looks.
  private var expected: (digest: CompanyDigest, revision: UInt64)?

  init(id: Name, path: String) {
    self.id = id
    self.path = path
  }

  /// The company; without a mode where it does not exist.
  ///
  /// - Throws: `.damaged`, naming the table, or saying that the rows are not those of the company's last change.
  public func company() throws(StoreError) -> Company {
    do { return try read() } catch {
      throw StoreError.damaged("\(path), reading company '\(id)': \(error)", cause: nil)
    }
  }

  private func read() throws(DamagedRow) -> Company {
    // A typed error does not pass through `withUnsafeBytes` of an array: it comes out as a result.
    try bytes.withUnsafeBytes { bytes in Result { () throws(DamagedRow) in try read(bytes) } }.get()
  }

  private func read(_ bytes: UnsafeRawBufferPointer) throws(DamagedRow) -> Company {
    var company = Company(id: id)
    var columns = RawColumns(bytes: bytes)
    var digest = CompanyDigest()
    for (kind, count) in zip(FactKind.allCases, counts) {
      let width = kind.table.columns.count
      for _ in 0..<count {
        digest.add(kind, columns.next(width))
        let fact: Fact
        do throws(DamagedRow) { fact = try Fact(kind, columns) } catch {
          throw DamagedRow("a row of table \(kind.table.name), company '\(id)', is damaged: \(error)")
        }
        let edit = Edit(before: nil, after: fact)
        guard company.canWrite(edit) else {
          throw DamagedRow("\(EditsText.encode(fact)) names something that is not there")
        }
        company.write(edit)
      }
    }
    try check(digest)
    return company
  }

  private func check(_ digest: CompanyDigest) throws(DamagedRow) {
    guard let expected, digest != expected.digest else { return }
    if expected.revision == 0 { throw DamagedRow("the tables have rows of it, and the log knows of no change") }
    throw DamagedRow("its rows in the tables are not those that revision \(expected.revision) of the log has left")
  }
}

/// The columns of one row after the other, where they lie.
private struct RawColumns: FactColumns {
  private let bytes: UnsafeRawBufferPointer
  /// Behind the row at hand.
  private var end = 0
  /// Where each column of the row at hand lies; no table has more.
  private var places: InlineArray<5, Range<Int>> = .init(repeating: 0..<0)

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Goes to the next row, which has so many columns, and returns its bytes.
  mutating func next(_ width: Int) -> UnsafeRawBufferPointer {
    let start = end
    for column in 0..<width { places[column] = nextColumn() }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }

  private mutating func nextColumn() -> Range<Int> {
    let start = end + 4
    end = start + Int(bytes.loadUnaligned(fromByteOffset: end, as: UInt32.self))
    return start..<end
  }

  private func column(_ index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[places[index]])
  }

  func name(_ index: Int) throws(DamagedRow) -> Name {
    do { return try Name(utf8: column(index)) } catch { throw damage("a name", index, error) }
  }

  func remark(_ index: Int) throws(DamagedRow) -> Remark {
    do { return try Remark(utf8: column(index)) } catch { throw damage("a description", index, error) }
  }

  private func damage(_ what: String, _ index: Int, _ error: NameError) -> DamagedRow {
    DamagedRow(error == .invalidUTF8 ? "column \(index) is not valid UTF-8" : "\(what) \(error)")
  }

  func word(_ index: Int) throws(DamagedRow) -> String {
    guard let word = String(validating: column(index), as: UTF8.self) else {
      throw DamagedRow("column \(index) is not valid UTF-8")
    }
    return word
  }
}

extension Store {
  /// Reads the rows of a company; none where it does not exist.
  ///
  /// - Parameter withNumbers: and the numbers of its lists, of which there may be millions.
  public func rows(of id: Name, withNumbers: Bool = false) throws(StoreError) -> CompanyRows {
    try access("reading company '\(id)'") { db in
      var rows = CompanyRows(id: id, path: configuration.databasePath)
      for kind in FactKind.allCases { try rows.append(kind, db) }
      if configuration.checksDigests { rows.expect(try db.expectedDigest(of: id)) }
      if withNumbers { try rows.appendNumbers(db, checksHashes: configuration.checksDigests) }
      return rows
    }
  }
}

extension CompanyRows {
  fileprivate mutating func expect(_ expected: (digest: CompanyDigest, revision: UInt64)) { self.expected = expected }

  fileprivate mutating func append(_ kind: FactKind, _ db: Database) throws {
    let width = Int32(kind.table.columns.count)
    var count = 0
    try db.forEachRow(of: kind, company: id) { row in
      do {
        for column in 0..<width { try append(row.textBytes(column)) }
      } catch let error as DamagedRow {
        throw DamagedRow("a row of table \(kind.table.name), company '\(id)', is damaged: \(error)")
      }
      count += 1
    }
    counts.append(count)
  }

  fileprivate mutating func appendNumbers(_ db: Database, checksHashes: Bool) throws {
    var sets: [UInt64] = []
    try db.forEachRow("SELECT block_set FROM lists WHERE company = ? AND block_set <> '0'", [id.text]) { row in
      sets.append(UInt64(try row.text(0)) ?? 0)
      return true
    }
    for set in sets { numbers[set] = try db.skeleton(ofSet: set, checksHashes: checksHashes) }
  }

  private mutating func append(_ column: UnsafeRawBufferPointer) {
    bytes.append(column: column)
  }
}
