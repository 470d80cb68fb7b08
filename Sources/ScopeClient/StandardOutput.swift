import Foundation

/// Standard output of a command-line tool: what could not be written is noticed, and the tool then ends with 73 and says
/// so. Where nobody reads any more (a closed pipe) it ends as quietly as SIGPIPE would have it.
package enum StandardOutput {
  /// Exit code where output was lost.
  package static let lostCode: Int32 = 73
  private static let closedPipeCode: Int32 = 128 + SIGPIPE
  private static let bufferBytes = 64 << 10

  private static let lock = NSLock()
  /// Unsafe: only with the lock.
  nonisolated(unsafe) private static var buffer: [UInt8] = []
  package static let isTerminal = isatty(STDOUT_FILENO) == 1
  /// Unsafe: only with the lock.
  nonisolated(unsafe) private static var isExact = false

  /// To be called first, once: what is left is written when the process exits, and its exit code changes where that
  /// fails.
  ///
  /// With --json on the command line, what is written is for machines, here and on standard error.
  package static func begin(_ name: String) {
    isExact = CommandLine.arguments.prefix { $0 != "--" }.contains("--json")
    StandardError.begin(name, asJSON: isExact)
    signal(SIGPIPE, SIG_IGN)
    atexit {
      StandardOutput.flush()
      if fflush(nil) != 0 { StandardOutput.end(errno) }  // what the argument parser wrote
    }
  }

  /// What is written is for programs, which get it as it is. To be called before the first line.
  package static func beExact() { lock.withLock { isExact = true } }

  /// Writes a line: at once to a terminal, else with those that follow. What a terminal would obey is shown by its code,
  /// where people read.
  ///
  /// - Parameter isEscaped: that is done already.
  package static func line(_ text: String, isEscaped: Bool = false) {
    lock.lock()
    defer { lock.unlock() }
    buffer += (isExact || isEscaped ? text : escapedLines(text)).utf8
    buffer.append(0x0A)
    if isTerminal || buffer.count >= bufferBytes { writeAll() }
  }

  /// Writes what is left.
  package static func flush() {
    lock.lock()
    defer { lock.unlock() }
    writeAll()
  }

  private static func writeAll() {
    var done = 0
    while done < buffer.count {
      let count = buffer.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + done, $0.count - done) }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { end(errno) }
      done += count
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private static func end(_ number: Int32) -> Never {
    if number == EPIPE { _exit(closedPipeCode) }
    let words = "the output is incomplete: \(String(cString: strerror(number)))"
    StandardError.error(words, reason: "output_lost", exit: lostCode)
    _exit(lostCode)
  }
}
