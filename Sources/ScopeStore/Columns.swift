import GRDB
import GRDBSQLite

/// The columns of the row a statement stands on, read strictly: GRDB cuts a text at a NUL and repairs bad
/// UTF-8, by which a damaged row would pass for a good one.
struct Columns {
  let statement: SQLiteStatement

  func integer(_ index: Int32) -> Int64 { sqlite3_column_int64(statement, index) }

  func text(_ index: Int32) throws(DamagedRow) -> String {
    guard let text = try optionalText(index) else { throw DamagedRow("column \(index) is empty") }
    return text
  }

  /// A text's own bytes, unchecked, until the statement steps.
  func textBytes(_ index: Int32) throws(DamagedRow) -> UnsafeRawBufferPointer {
    switch sqlite3_column_type(statement, index) {
    case SQLITE_TEXT: return bytes(index)
    case SQLITE_NULL: throw DamagedRow("column \(index) is empty")
    default: throw DamagedRow("column \(index) is not a text")
    }
  }

  func optionalText(_ index: Int32) throws(DamagedRow) -> String? {
    switch sqlite3_column_type(statement, index) {
    case SQLITE_NULL: return nil
    case SQLITE_TEXT: break
    default: throw DamagedRow("column \(index) is not a text")
    }
    guard let text = String(validating: bytes(index), as: UTF8.self) else {
      throw DamagedRow("column \(index) is not valid UTF-8")
    }
    return text
  }

  func blob(_ index: Int32) -> [UInt8]? { blobBytes(index).map { Array($0) } }

  /// A blob's own bytes, until the statement steps.
  func blobBytes(_ index: Int32) -> UnsafeRawBufferPointer? {
    sqlite3_column_type(statement, index) == SQLITE_BLOB ? bytes(index) : nil
  }

  /// The column's own bytes, until the statement steps.
  private func bytes(_ index: Int32) -> UnsafeRawBufferPointer {
    let start = sqlite3_column_blob(statement, index)
    return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, index)))
  }
}

extension Database {
  /// Runs a query row by row. The body says whether to go on.
  func forEachRow(
    _ sql: String, _ arguments: StatementArguments = [], _ body: (Columns) throws -> Bool
  ) throws {
    let statement = try cachedStatement(sql: sql)
    let cursor = try Row.fetchCursor(statement, arguments: arguments)
    while try cursor.next() != nil {
      if try !body(Columns(statement: statement.sqliteStatement)) { return }
    }
  }
}
