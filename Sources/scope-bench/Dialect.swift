import ScopeModel
import ScopeTesting

/// How a contestant is spoken to.
protocol Dialect: Sendable {
  /// How answers to checks, and to a filter of a thousand ids, are told apart.
  var framing: Framing { get }
  var filterFraming: Framing { get }
  /// What is sent and answered on each connection before anything else.
  var greetings: [[UInt8]] { get }
  /// The process that serves the connection, where the answer to a greeting names it.
  func process(named greeting: [UInt8]) throws -> Int32?

  func check(_ question: Question) -> [UInt8]
  func filter(_ question: FilterQuestion) -> [UInt8]

  /// Fails unless the answer says what the model says.
  func verify(_ answer: [UInt8], to question: Question) throws
  func verify(_ answer: [UInt8], to question: FilterQuestion) throws
}

extension Dialect {
  var filterFraming: Framing { framing }
  var greetings: [[UInt8]] { [] }
  func process(named greeting: [UInt8]) throws -> Int32? { nil }

  func require(_ holds: Bool, _ question: Question) throws {
    if holds { return }
    throw BenchFailure(
      "wrong verdict: user \(question.user) and \(question.object), where \(question.isAllowed) is right")
  }

  func require(_ holds: Bool, _ question: FilterQuestion) throws {
    if !holds { throw BenchFailure("wrong verdicts on \(question.ids.count) objects for user \(question.user)") }
  }
}

/// An echo gets the same bytes as scoped, and says them again.
struct EchoDialect: Dialect {
  private let scoped = ScopedDialect()
  var framing: Framing { scoped.framing }

  func check(_ question: Question) -> [UInt8] { scoped.check(question) }
  func filter(_ question: FilterQuestion) -> [UInt8] { scoped.filter(question) }
  func verify(_ answer: [UInt8], to question: Question) throws { try require(answer == check(question), question) }
  func verify(_ answer: [UInt8], to question: FilterQuestion) throws {
    try require(answer == filter(question), question)
  }
}
