import Foundation

/// Says on standard error how far the benchmark is: in one line on a terminal, in a line each elsewhere.
final class Progress {
  private let isTerminal = isatty(STDERR_FILENO) == 1

  func say(_ text: String) {
    write(isTerminal ? "\r\u{1B}[Kbench: \(text)" : "bench: \(text)\n")
  }

  /// Leaves the terminal's line empty.
  func end() {
    if isTerminal { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
