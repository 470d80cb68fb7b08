import NIOCore

/// One look of an event loop at all its sockets. What is answered in it takes about a quarter of a millisecond in all,
/// however many connections ask much: those that come too late in it have their turn after the loop has looked at its
/// sockets again.
final class Round {
  private static let length = TimeAmount.microseconds(250)

  private let bell: Bell
  /// Nil: nobody has asked much in this round yet.
  private var deadline: NIODeadline?

  init(_ bell: Bell) { self.bell = bell }

  /// The loop has looked again.
  func end() { deadline = nil }

  var isOver: Bool {
    let now = NIODeadline.now()
    if let deadline { return now > deadline }
    deadline = now + Round.length
    bell.ring()
    return false
  }
}

/// How long one connection may keep its loop. The clock is read now and then only: most turns are short.
struct Turn {
  /// Work between two looks at the clock: some microseconds.
  private static let step = 256

  private(set) var isOver = false
  private var work = 0
  /// Nil: without end. Unowned and unsafe: the worker that made the turn keeps it, and no reference is counted for it.
  private unowned(unsafe) let round: Round?

  init(_ round: Round?) { self.round = round }

  /// Counts work that was done: the ids looked up, or as many as would have taken as long.
  @inline(__always)
  mutating func count(_ more: Int) {
    work += more
    if work >= Turn.step { look() }
  }

  private mutating func look() {
    work = 0
    isOver = round?.isOver ?? false
  }
}
