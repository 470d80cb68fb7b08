import Foundation

/// How long a test waits for what should come: long enough for the busiest machine, so that it only ends what never
/// comes. Shorter than a test may take.
public let patience = Duration.seconds(300)

extension UInt32 {
  /// A time in milliseconds that no test outlasts: for deadlines that are not what a test is about.
  public static let anHour: UInt32 = 3_600_000
}

/// Waits for what comes about elsewhere and no event tells of; an error names it if it does not.
public func waitUntil(
  _ what: String = "what is waited for", file: StaticString = #fileID, line: UInt = #line, _ isSo: () throws -> Bool
) async throws {
  var looks = Looks()
  while try !isSo() {
    guard let pause = looks.next() else { throw GaveUp(what, file, line) }
    try await Task.sleep(for: pause)
  }
}

/// The same on a thread that may block.
public func waitUntil(
  _ what: String = "what is waited for", file: StaticString = #fileID, line: UInt = #line, _ isSo: () throws -> Bool
) throws {
  if try !comesAbout(isSo) { throw GaveUp(what, file, line) }
}

/// Whether it is so, or becomes so.
public func comesAbout(_ isSo: () throws -> Bool) rethrows -> Bool {
  var looks = Looks()
  while try !isSo() {
    guard let pause = looks.next() else { return false }
    usleep(UInt32(pause / .microseconds(1)))
  }
  return true
}

/// When to look again: soon at first, and then not so often that it keeps the machine from what is waited for.
private struct Looks {
  private let deadline = ContinuousClock.now + patience
  private var pause = Duration.milliseconds(1)

  /// How long to wait before the next look; nil: the time is up.
  mutating func next() -> Duration? {
    if .now > deadline { return nil }
    defer { pause = min(pause * 2, .milliseconds(20)) }
    return pause
  }
}

/// What was waited for has not come.
struct GaveUp: Error, CustomStringConvertible {
  let description: String

  init(_ what: String, _ file: StaticString, _ line: UInt) {
    description = "\(file):\(line): after \(patience) still not: \(what)"
  }
}

/// Blocking work of a test, on a thread of its own.
public func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}

extension Process {
  /// Waits until it has ended; its exit code, or the signal that ended it. One that does not end is killed, and named on
  /// standard error; -1.
  @discardableResult
  public func awaitEnd() -> Int32 {
    var status: Int32?
    let isOver = comesAbout {
      status = endStatus
      return status != nil
    }
    if isOver { return status! }
    kill(processIdentifier, SIGKILL)
    let program = executableURL?.lastPathComponent ?? ""
    FileHandle.standardError.write(Data("\(program) \(arguments ?? []) has not ended in \(patience)\n".utf8))
    return -1
  }

  /// Its exit code, or the signal that ended it; nil: it runs. Asked of the system first: Foundation notices no end while
  /// one of the programs has closed the descriptors that it was given, as Kamailio does.
  private var endStatus: Int32? {
    if !isRunning { return terminationStatus }
    var information = siginfo_t()
    let result = waitid(P_PID, id_t(processIdentifier), &information, WEXITED | WNOHANG | WNOWAIT)
    return result == 0 && information.si_signo == SIGCHLD ? information._sifields._sigchld.si_status : nil
  }
}
