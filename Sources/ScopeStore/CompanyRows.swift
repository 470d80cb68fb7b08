import GRDB
import ScopeModel

/// The rows of a company as they stand in the tables, not yet read: whoever wants to know what they say has the time,
/// the thread that owns the store has not.
public struct CompanyRows: Sendable {
  public let id: Name
  /// How many rows of each kind, in the order of `FactKind.allCases`.
  private var counts: [Int] = []
  /// Each column after its length in four bytes.
  private var bytes: [UInt8] = []

  init(id: Name) { self.id = id }

  /// The company; without a mode where it does not exist.
  ///
  /// - Throws: `.damaged`, naming the table.
  public func company() throws(StoreError) -> Company {
    do { return try read() } catch {
      throw StoreError.damaged("reading company '\(id)': \(error)", cause: nil)
    }
  }

  private func read() throws(DamagedRow) -> Company {
    var company = Company(id: id)
    var position = 0
    for (kind, count) in zip(FactKind.allCases, counts) {
      let width = kind.table.columns.count
      for _ in 0..<count {
        let fact: Fact
        do throws(DamagedRow) { fact = try self.fact(kind, width, &position) } catch {
          throw DamagedRow("a row of table \(kind.table.name), company '\(id)', is damaged: \(error)")
        }
        let edit = Edit(before: nil, after: fact)
        guard company.canWrite(edit) else {
          throw DamagedRow("\(EditsText.encode(fact)) names something that is not there")
        }
        company.write(edit)
      }
    }
    return company
  }

  private func fact(_ kind: FactKind, _ width: Int, _ position: inout Int) throws(DamagedRow) -> Fact {
    var columns: [String] = []
    columns.reserveCapacity(width)
    for column in 0..<width { columns.append(try text(column, &position)) }
    return try FactRow(kind: kind, columns: columns).fact()
  }

  private func text(_ column: Int, _ position: inout Int) throws(DamagedRow) -> String {
    let start = position + 4
    let length = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: UInt32.self) }
    position = start + Int(length)
    guard let text = String(validating: bytes[start..<position], as: UTF8.self) else {
      throw DamagedRow("column \(column) is not valid UTF-8")
    }
    return text
  }
}

extension Store {
  /// Reads the rows of a company; none where it does not exist.
  public func rows(of id: Name) throws(StoreError) -> CompanyRows {
    try access("reading company '\(id)'") { db in
      var rows = CompanyRows(id: id)
      for kind in FactKind.allCases { try rows.append(kind, db) }
      return rows
    }
  }
}

extension CompanyRows {
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

  private mutating func append(_ column: UnsafeRawBufferPointer) {
    withUnsafeBytes(of: UInt32(column.count)) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: column)
  }
}
