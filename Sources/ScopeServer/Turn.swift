import NIOCore

/// One look of an event loop at all its sockets. What is answered in it takes about a quarter of a millisecond in all,
/// however many connections ask much: those that come too late in it have their turn after the loop has looked at its
/// sockets again.
///
/// Only the bell tells that the loop has looked, and to ring it takes some system calls. So work is only added up at
/// first, over several looks perhaps, and the bell is rung once there was enough of it.
final class Round {
  private static let unrung = TimeAmount.microseconds(150)
  private static let rung = TimeAmount.microseconds(100)

  private let bell: Bell
  private var worked = TimeAmount.zero
  /// Nil: the bell is not rung yet.
  private var deadline: NIODeadline?

  init(_ bell: Bell) { self.bell = bell }

  /// The loop has looked again.
  func end() { (worked, deadline) = (.zero, nil) }

  /// Whether others have their turn.
  ///
  /// - Parameter work: what was worked since this was asked last, or about to be; by estimate, perhaps.
  func isOver(_ now: NIODeadline, after work: TimeAmount) -> Bool {
    if let deadline { return now > deadline }
    worked = worked + work
    if worked < Round.unrung { return false }
    deadline = now + Round.rung
    bell.ring()
    return false
  }
}

/// How long one connection may keep its loop. The clock is read now and then only: most turns are short.
struct Turn {
  /// Work between two looks at the clock: some microseconds.
  private static let step = 256
  /// About what a step takes, and what another thread's answer does.
  static let usual = TimeAmount.microseconds(8)

  private(set) var isOver = false
  private var work = 0
  private var lastLook: NIODeadline?
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
    guard let round else { return }
    let now = NIODeadline.now()
    isOver = round.isOver(now, after: lastLook.map { now - $0 } ?? Turn.usual)
    lastLook = now
  }
}
