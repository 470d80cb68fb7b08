import NIOCore
import Synchronization

/// A connection as those see it who serve many: sources take turns, so that none waits behind all that another asks.
final class Source: Sendable {
  /// Unique in this process.
  let number = Source.last.add(1, ordering: .relaxed).newValue

  private static let last = Atomic<UInt64>(0)
  private let gone = Atomic<Bool>(false)

  /// The connection is closed: nobody takes its answers.
  var isGone: Bool { gone.load(ordering: .relaxed) }

  /// Notes that the connection is closed. What it asked and was not begun is not begun any more.
  func leave() { gone.store(true, ordering: .relaxed) }
}

/// Who waits for an answer, and until when.
struct Waiter: Sendable {
  let source: Source
  /// `.distantFuture`: as long as the connection stands.
  let deadline: NIODeadline

  init(_ source: Source, until deadline: NIODeadline) { (self.source, self.deadline) = (source, deadline) }

  init(_ source: Source, within timeout: TimeAmount) { self.init(source, until: .now() + timeout) }

  /// Somebody takes the answer.
  var isWaiting: Bool { !source.isGone && deadline >= .now() }
}
