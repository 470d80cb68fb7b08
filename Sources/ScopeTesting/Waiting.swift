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
  let deadline = ContinuousClock.now + patience
  while try !isSo() {
    if .now > deadline { throw GaveUp(what, file, line) }
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
  let deadline = ContinuousClock.now + patience
  while try !isSo() {
    if .now > deadline { return false }
    usleep(UInt32(pause / .microseconds(1)))
  }
  return true
}

private let pause = Duration.milliseconds(2)

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
    if comesAbout({ !isRunning }) { return terminationStatus }
    kill(processIdentifier, SIGKILL)
    let program = executableURL?.lastPathComponent ?? ""
    FileHandle.standardError.write(Data("\(program) \(arguments ?? []) has not ended in \(patience)\n".utf8))
    return -1
  }
}
