import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// SIGTERM and SIGINT; SIGHUP, of a terminal that closes or of who rotates logs, is ignored. The first begins the stop,
/// and sets the kernel's clock, which ends the process if the stop takes too long: however busy the process is, no queue
/// and no thread of it has to run for that. A second one ends it at once.
struct StopSignal {
  /// How long the stop may take.
  static let seconds: UInt32 = 5

  private let arrivals: AsyncStream<Void>

  /// From now on the signals no longer end the process by themselves.
  init() {
    let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self)
    self.arrivals = arrivals
    sem_init(arrival, 0, 0)
    startThread { continuation.yield() }
    handle(SIGALRM, with: timeIsOver)
    for number in [SIGTERM, SIGINT] { handle(number, with: stopArrived) }
    signal(SIGHUP, SIG_IGN)  // there is nothing to read again
  }

  /// Waits for the first one.
  func arrives() async {
    for await _ in arrivals { return }
  }
}

// MARK: - In the handlers, where nothing may be called but what is async-signal-safe

/// Globals are made when they are first used: `init` uses both before it sets the handlers. Unsafe: a semaphore is
/// made to be shared.
private nonisolated(unsafe) let arrival = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
private let count = Atomic<Int>(0)

private func stopArrived(_ number: Int32) {
  if count.add(1, ordering: .relaxed).newValue > 1 { _exit(128 + number) }
  alarm(StopSignal.seconds)
  sem_post(arrival)
}

/// A commit that is under way may take longer than anybody waits; to end amid one loses nothing.
private func timeIsOver(_: Int32) {
  let words: StaticString = "scoped: the stop took too long and was cut off; every acknowledged change is safe\n"
  var errors = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
  if poll(&errors, 1, 0) == 1 { write(STDERR_FILENO, words.utf8Start, words.utf8CodeUnitCount) }  // never waits
  _exit(EX_TEMPFAIL)
}

// MARK: - Setting up

private func handle(_ number: Int32, with handler: @escaping @convention(c) (Int32) -> Void) {
  var action = sigaction()
  action.__sigaction_handler.sa_handler = handler
  action.sa_flags = SA_RESTART
  sigaction(number, &action, nil)
}

/// A thread that waits for the handler: a semaphore is all that a handler may touch.
private func startThread(_ body: @escaping @Sendable () -> Void) {
  _ = count.load(ordering: .relaxed)
  let box = Unmanaged.passRetained(Body(run: body))
  var thread = pthread_t()
  let error = pthread_create(
    &thread, nil,
    { box in
      let body = Unmanaged<Body>.fromOpaque(box!).takeRetainedValue()
      unblock()
      while sem_wait(arrival) != 0 {}
      body.run()
      while true { pause() }  // for the kernel's clock, which may be blocked for all others
    }, box.toOpaque())
  if error != 0 { fatalError("no thread that waits for signals: \(String(cString: strerror(error)))") }
}

/// Whoever started the daemon may have blocked them, which is inherited: this thread takes them in any case, to the end.
private func unblock() {
  var signals = sigset_t()
  sigemptyset(&signals)
  for number in [SIGTERM, SIGINT, SIGALRM] { sigaddset(&signals, number) }
  pthread_sigmask(SIG_UNBLOCK, &signals, nil)
}

private final class Body: Sendable {
  let run: @Sendable () -> Void

  init(run: @escaping @Sendable () -> Void) { self.run = run }
}
