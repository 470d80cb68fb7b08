import GRDB
import ScopeModel

/// Which changes of a company are wanted. Nil fields: any.
public struct LogQuery: Hashable, Sendable {
  public var newestFirst = false
  /// Go on behind this revision (newest first: before it); 0: from the start.
  public var afterRevision: UInt64 = 0
  /// Most records of a page.
  public var limit = 100
  /// Microseconds since 1970, the first inclusive, the second not.
  public var since: Int64?
  public var until: Int64?
  public var actor: Name?
  public var caller: Name?
  public var about: Topic?
  /// Edits of a page, the last record beyond it.
  public var mostEdits = 50_000
  /// A kind of row, as `FactKind` has it; unknown ones match nothing.
  public var kind: String?

  public init() {}
}

/// A change with its link of the chain.
public struct LoggedChange: Sendable {
  public let record: ChangeRecord
  public let hash: [UInt8]
}

/// Some of the changes wanted, in order.
public struct LogPage: Sendable {
  public internal(set) var changes: [LoggedChange] = []
  /// Where to go on; 0: there are no more.
  public internal(set) var next: UInt64 = 0

  public init(_ changes: [LoggedChange] = []) { self.changes = changes }
}

extension Store {
  /// Records looked at for one page: the writer has other things to do.
  private static let looksPerPage = 5_000

  /// A page of a company's changes.
  public func changes(of company: Name, _ query: LogQuery) throws(StoreError) -> LogPage {
    try access("reading the log of company '\(company)'") { db in
      var page = LogPage()
      var (looks, edits) = (0, 0)
      let (sql, arguments) = Store.statement(company, query)
      try db.forEachRow(sql, arguments) { row in
        let revision = UInt64(clamping: row.integer(0))
        if looks == Store.looksPerPage || edits >= query.mostEdits || page.changes.count == query.limit {
          return false
        }
        looks += 1
        page.next = revision
        let record = try LogRow(row).record()
        if !query.matches(record) { return true }
        edits += record.edits.count
        page.changes.append(LoggedChange(record: record, hash: row.blob(8) ?? []))
        return true
      }
      if looks < Store.looksPerPage && edits < query.mostEdits && page.changes.count < query.limit { page.next = 0 }
      return page
    }
  }

  private static func statement(_ company: Name, _ query: LogQuery) -> (String, StatementArguments) {
    var sql = "SELECT \(LogRow.columns) FROM change_log WHERE company = ?"
    var arguments: StatementArguments = [company.text]
    func narrow(_ condition: String, _ value: (any DatabaseValueConvertible)?) {
      guard let value else { return }
      sql += " AND \(condition)"
      arguments += [value]
    }
    let after = query.afterRevision == 0 ? nil : Int64(clamping: query.afterRevision)
    narrow(query.newestFirst ? "revision < ?" : "revision > ?", after)
    narrow("time >= ?", query.since)
    narrow("time < ?", query.until)
    narrow("actor = ?", query.actor?.text)
    narrow("caller = ?", query.caller?.text)
    return (sql + " ORDER BY revision \(query.newestFirst ? "DESC" : "ASC")", arguments)
  }
}

extension LogQuery {
  fileprivate func matches(_ record: ChangeRecord) -> Bool {
    if about == nil && kind == nil { return true }
    return record.edits.contains { edit in
      about.map(edit.concerns) != false && (kind == nil || edit.kind?.rawValue == kind)
    }
  }

  /// The kinds of rows there are.
  public static var kinds: [String] { FactKind.allCases.map(\.rawValue) }
}

extension Edit {
  fileprivate var kind: FactKind? { (after ?? before).map { FactRow($0).kind } }
}

extension Fact {
  /// The row as texts: its kind and its columns.
  public var texts: [String] {
    let row = FactRow(self)
    return [row.kind.rawValue] + row.columns
  }
}
