import ScopeModel
import ScopeTesting
import Testing

@testable import scope_bench

@Suite struct FramingTests {
  fileprivate static let streams: [(Framing, answers: [[UInt8]])] = [
    (.frames, [[], [1, 2, 3], Array(repeating: 0, count: 300)].map(RawConnection.frame)),
    (.lines(perAnswer: 1), [Array(":1\r\n".utf8), Array(":0\r\n".utf8)]),
    (.lines(perAnswer: 3), [Array("*2\r\n:1\r\n:0\r\n".utf8), Array("*2\r\n:0\r\n:0\r\n".utf8)]),
    (.readyForQuery, [answerOfPostgres("t"), answerOfPostgres("f")]),
  ]

  /// However the bytes are cut, each answer is counted once.
  @Test(arguments: FramingTests.streams.indices) func answersAreCountedOnceWhereverTheStreamIsCut(stream: Int) {
    let (framing, answers) = FramingTests.streams[stream]
    let bytes = answers.flatMap(\.self)
    for cut in 0...bytes.count {
      var (lines, found, unread) = (0, 0, [UInt8]())
      for part in [bytes[..<cut], bytes[cut...]] {
        unread += part
        let taken = unread.withUnsafeBytes { framing.take($0, lines: &lines) }
        unread.removeFirst(taken.bytes)
        found += taken.answers
      }
      #expect(found == answers.count && unread.isEmpty, "cut at \(cut)")
    }
  }
}

/// BindComplete, a row, CommandComplete, ReadyForQuery.
private func answerOfPostgres(_ value: String) -> [UInt8] {
  let row: [UInt8] = [0, 1, 0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
  return message("2", []) + message("D", row) + message("C", Array("SELECT 1\0".utf8)) + message("Z", [0x49])
}

private func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
  [type.asciiValue!, 0, 0, 0, UInt8(body.count + 4)] + body
}

/// A contestant that is wrong must fail the run.
@Suite struct VerdictTests {
  private let allowed = Question(user: "u", object: "queue:q", isAllowed: true)
  private let filter = FilterQuestion(
    user: "u", type: ObjectType(name: "queue")!, ids: ["a", "b", "c"], isVisible: [true, false, true])

  @Test func ofRedisAreCompared() throws {
    let dialect = RedisDialect()
    try dialect.verify(Array(":1\r\n".utf8), to: allowed)
    #expect(throws: BenchFailure.self) { try dialect.verify(Array(":0\r\n".utf8), to: allowed) }
    try dialect.verify(Array("*3\r\n:1\r\n:0\r\n:1\r\n".utf8), to: filter)
    #expect(throws: BenchFailure.self) { try dialect.verify(Array("*3\r\n:1\r\n:1\r\n:0\r\n".utf8), to: filter) }
  }

  @Test func ofPostgresAreCompared() throws {
    let dialect = PostgresDialect()
    try dialect.verify(answerOfPostgres("t"), to: allowed)
    #expect(throws: BenchFailure.self) { try dialect.verify(answerOfPostgres("f"), to: allowed) }
    try dialect.verify(Array(answerOfPostgres("c").dropLast(6)) + answerOfPostgres("a"), to: filter)
    #expect(throws: BenchFailure.self) { try dialect.verify(answerOfPostgres("b"), to: filter) }
    let refusal = message("E", Array("SERROR".utf8)) + message("Z", [0x49])
    #expect(throws: BenchFailure.self) { try dialect.verify(refusal, to: allowed) }
  }

  @Test func ofEchoesAreTheQuestionsThemselves() throws {
    let dialect = EchoDialect()
    try dialect.verify(dialect.check(allowed), to: allowed)
    #expect(throws: BenchFailure.self) { try dialect.verify(dialect.filter(filter), to: allowed) }
  }
}
