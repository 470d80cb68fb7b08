import NIOConcurrencyHelpers

/// What waits for a thread that takes one after the other. Filled from any thread; once it is ended, nothing gets in.
final class WorkQueue<Element: Sendable>: Sendable {
  enum Entry {
    /// The thread is to be told.
    case first
    case behindOthers
    /// The source has too much waiting.
    case full
    /// The daemon stops.
    case ended
  }

  private struct State {
    var queue: FairQueue<Element>
    /// The thread knows that there is something, and asks for more until there is nothing.
    var isServed = false
    var isEnded = false
  }

  private let state: NIOLockedValueBox<State>

  init(_ queue: sending FairQueue<Element>) { state = NIOLockedValueBox(State(queue: queue)) }

  func append(_ element: Element, from source: Source, bytes: Int = 0, cost: Int = 1) -> Entry {
    state.withLockedValue { state in
      if state.isEnded { return .ended }
      if !state.queue.append(element, from: source.number, bytes: bytes, cost: cost) { return .full }
      defer { state.isServed = true }
      return state.isServed ? .behindOthers : .first
    }
  }

  /// Takes what is to be done next; nothing: there is no more, and the thread is told when there is.
  func take(_ body: (inout FairQueue<Element>) -> [Element]) -> [Element] {
    state.withLockedValue { state in
      let taken = body(&state.queue)
      if taken.isEmpty { state.isServed = false }
      return taken
    }
  }

  /// Lets nothing in any more, and gives out what waits.
  func end() -> [Element] {
    state.withLockedValue { state in
      state.isEnded = true
      return state.queue.removeAll()
    }
  }
}
