import GRDB
import ScopeModel

/// The SQL of one table of facts, made once.
private struct FactSQL {
  let select: String
  let insert: String
  let delete: String
  let update: String

  init(_ table: FactTable) {
    let columns = table.columns
    let isThisRow = (["company"] + columns).map { "\($0) = ?" }.joined(separator: " AND ")
    select = "SELECT \(columns.joined(separator: ", ")) FROM \(table.name) WHERE company = ?"
    insert = """
      INSERT INTO \(table.name) (company, \(columns.joined(separator: ", "))) \
      VALUES (?\(String(repeating: ", ?", count: columns.count)))
      """
    delete = "DELETE FROM \(table.name) WHERE \(isThisRow)"
    let settings = table.values.map { "\($0) = ?" }.joined(separator: ", ")
    update = "UPDATE \(table.name) SET \(settings) WHERE \(isThisRow)"
  }

  static let all = Dictionary(uniqueKeysWithValues: FactKind.allCases.map { ($0, FactSQL($0.table)) })
}

/// The facts of companies in their tables.
extension Database {
  /// The rows of one table, in their columns' order.
  func forEachRow(of kind: FactKind, company: Name, _ body: (Columns) throws -> Void) throws {
    try forEachRow(FactSQL.all[kind]!.select, [company.text]) { row in
      try body(row)
      return true
    }
  }

  /// Makes the tables say what the edit says. False: they did not say what it starts from.
  func write(_ edit: Edit, company: Name) throws -> Bool {
    switch (edit.before, edit.after) {
    case (nil, let fact?): try insert(FactRow(fact), company)
    case (let fact?, nil): try delete(FactRow(fact), company)
    case (let before?, let after?): try update(FactRow(before), to: FactRow(after), company)
    case (nil, nil): true
    }
  }

  private func insert(_ row: FactRow, _ company: Name) throws -> Bool {
    try cachedStatement(sql: FactSQL.all[row.kind]!.insert)
      .execute(arguments: StatementArguments([company.text] + row.columns))
    return true
  }

  private func delete(_ row: FactRow, _ company: Name) throws -> Bool {
    try cachedStatement(sql: FactSQL.all[row.kind]!.delete)
      .execute(arguments: StatementArguments([company.text] + row.columns))
    return changesCount == 1
  }

  private func update(_ old: FactRow, to new: FactRow, _ company: Name) throws -> Bool {
    guard old.hasSameKey(as: new), !old.kind.table.values.isEmpty else { return false }
    let values = new.columns.dropFirst(new.kind.table.key.count)
    try cachedStatement(sql: FactSQL.all[old.kind]!.update)
      .execute(arguments: StatementArguments(values + [company.text] + old.columns))
    return changesCount == 1
  }
}

extension FactRow {
  /// Compared as bytes: `String` takes two forms of one letter for the same.
  fileprivate func hasSameKey(as other: FactRow) -> Bool {
    kind == other.kind
      && zip(columns, other.columns).prefix(kind.table.key.count)
        .allSatisfy { $0.utf8.elementsEqual($1.utf8) }
  }
}
