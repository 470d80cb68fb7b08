import ScopeModel

/// Two tables, their primary keys, and a statement prepared on each connection; protocol 3, one Bind, Execute and
/// Sync a question.
struct PostgresDialect: Dialect {
  let framing = Framing.readyForQuery

  static let schema = """
    CREATE TABLE memberships (
      company text, user_id text, project_id text, PRIMARY KEY (company, user_id, project_id));
    CREATE TABLE placements (
      company text, object_type text, object_id text, project_id text,
      PRIMARY KEY (company, object_type, object_id, project_id));
    """

  private static let joined = """
    FROM memberships m JOIN placements p ON p.company = m.company AND p.project_id = m.project_id
    WHERE m.company = $1 AND m.user_id = $2 AND p.object_type = $3
    """
  static let checkQuery = "SELECT EXISTS (SELECT 1 \(joined) AND p.object_id = $4)"
  static let filterQuery = "SELECT DISTINCT p.object_id \(joined) AND p.object_id = ANY ($4::text[])"

  var greetings: [[UInt8]] {
    let words = ["user", "postgres", "database", "postgres"]
    let startup = PostgresDialect.number(196_608) + words.flatMap(PostgresDialect.text) + [0]
    let statements = [("check", PostgresDialect.checkQuery), ("filter", PostgresDialect.filterQuery)]
    let parses = statements.map { name, query in
      message("P", PostgresDialect.text(name) + PostgresDialect.text(query) + [0, 0]) + message("S", [])
    }
    return [PostgresDialect.number(startup.count + 4) + startup] + parses
  }

  func check(_ question: Question) -> [UInt8] {
    execute("check", question.user, question.object.type, question.object.id.text)
  }

  /// Ids of the generator have no character that an array's text would quote.
  func filter(_ question: FilterQuestion) -> [UInt8] {
    execute("filter", question.user, question.type, "{\(question.ids.map(\.text).joined(separator: ","))}")
  }

  private func execute(_ statement: String, _ user: Name, _ type: ObjectType, _ last: String) -> [UInt8] {
    let values = [BenchmarkCompany.id.text, user.text, type.name, last]
    let bound = values.flatMap { PostgresDialect.number($0.utf8.count) + Array($0.utf8) }
    let bind =
      PostgresDialect.text("") + PostgresDialect.text(statement) + [0, 0, 0, UInt8(values.count)] + bound + [0, 0]
    return message("B", bind) + message("E", PostgresDialect.text("") + PostgresDialect.number(0)) + message("S", [])
  }

  func verify(_ answer: [UInt8], to question: Question) throws {
    try require(try PostgresDialect.rows(answer) == [question.isAllowed ? "t" : "f"], question)
  }

  func verify(_ answer: [UInt8], to question: FilterQuestion) throws {
    let visible = zip(question.ids, question.isVisible).filter(\.1).map(\.0.text)
    try require(try PostgresDialect.rows(answer).sorted() == visible.sorted(), question)
  }

  /// The first column of each row.
  static func rows(_ answer: [UInt8]) throws(BenchFailure) -> [String] {
    try messages(answer).filter { $0.type == UInt8(ascii: "D") }.map { body in
      String(decoding: body.bytes.dropFirst(6), as: UTF8.self)
    }
  }

  func process(named greeting: [UInt8]) throws -> Int32? {
    let key = try PostgresDialect.messages(greeting).first { $0.type == UInt8(ascii: "K") }
    return key.map { $0.bytes.prefix(4).reduce(0) { $0 << 8 | Int32($1) } }
  }

  private static func messages(_ answer: [UInt8]) throws(BenchFailure) -> [(type: UInt8, bytes: ArraySlice<UInt8>)] {
    var (rest, found) = (answer[...], [(type: UInt8, bytes: ArraySlice<UInt8>)]())
    while let type = rest.first {
      let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
      let bytes = rest.dropFirst(5).prefix(length - 4)
      if type == UInt8(ascii: "E") { throw BenchFailure("postgres: \(String(decoding: bytes, as: UTF8.self))") }
      found.append((type, bytes))
      rest = rest.dropFirst(1 + length)
    }
    return found
  }

  private func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
    [type.asciiValue!] + PostgresDialect.number(body.count + 4) + body
  }

  private static func number(_ value: Int) -> [UInt8] { withUnsafeBytes(of: Int32(value).bigEndian) { Array($0) } }
  private static func text(_ value: String) -> [UInt8] { Array(value.utf8) + [0] }
}
