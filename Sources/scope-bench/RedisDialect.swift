import ScopeModel

/// A set for each user of what it sees: `SISMEMBER`, and `SMISMEMBER` for many.
struct RedisDialect: Dialect {
  let framing = Framing.lines(perAnswer: 1)
  /// One line says how many, and then there is one for each.
  let filterFraming = Framing.lines(perAnswer: 1_001)

  func check(_ question: Question) -> [UInt8] {
    RedisDialect.command(["SISMEMBER", RedisDialect.key(question.user), "\(question.object)"])
  }

  func filter(_ question: FilterQuestion) -> [UInt8] {
    let members = question.ids.map { "\(ObjectRef(question.type, $0))" }
    return RedisDialect.command(["SMISMEMBER", RedisDialect.key(question.user)] + members)
  }

  func verify(_ answer: [UInt8], to question: Question) throws {
    try require(answer == Array((question.isAllowed ? ":1\r\n" : ":0\r\n").utf8), question)
  }

  func verify(_ answer: [UInt8], to question: FilterQuestion) throws {
    let lines = ["*\(question.ids.count)"] + question.isVisible.map { $0 ? ":1" : ":0" }
    try require(answer == Array(lines.map { "\($0)\r\n" }.joined().utf8), question)
  }

  /// Fills the sets.
  static func load(_ company: BenchmarkCompany, at address: BenchAddress) throws {
    let socket = try BenchSocket(address)
    for user in company.users {
      let objects = user.projects.reduce(into: Set<ObjectRef>()) { $0.formUnion(company.company.projects[$1]!.objects) }
      if objects.isEmpty { continue }
      let answer = try socket.ask(
        command(["SADD", key(user.id)] + objects.map { "\($0)" }), Framing.lines(perAnswer: 1))
      if answer != Array(":\(objects.count)\r\n".utf8) {
        throw BenchFailure("Redis refused a set: \(String(decoding: answer, as: UTF8.self))")
      }
    }
  }

  private static func key(_ user: Name) -> String { "see:\(user)" }

  private static func command(_ words: [String]) -> [UInt8] {
    Array("*\(words.count)\r\n".utf8) + words.flatMap { Array("$\($0.utf8.count)\r\n\($0)\r\n".utf8) }
  }
}
