import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// SIGTERM and SIGINT. A second one ends the process at once.
struct StopSignal {
  private let arrivals: AsyncStream<Void>
  private let sources: [any DispatchSourceSignal]

  /// From now on the signals no longer end the process by themselves.
  init() {
    let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self)
    self.arrivals = arrivals
    let count = Counter()
    sources = [SIGTERM, SIGINT].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        continuation.yield()
        if count.next() > 1 { _exit(128 + number) }
      }
      source.activate()
      return source
    }
  }

  /// Waits for the first one.
  func arrives() async {
    for await _ in arrivals { return }
  }
}

private final class Counter: Sendable {
  private let value = Atomic<Int>(0)

  func next() -> Int { value.add(1, ordering: .relaxed).newValue }
}
