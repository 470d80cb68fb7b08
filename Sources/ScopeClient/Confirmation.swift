import Foundation

/// Asks whoever sits at the terminal before something is destroyed.
package enum Confirmation {
  case given
  case refused
  /// There is nobody to ask.
  case noTerminal

  /// - Parameters:
  ///   - words: what would be done.
  ///   - name: to be typed by who agrees.
  package static func ask(_ words: String, typing name: String) -> Confirmation {
    if StandardError.isJSON || isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1 { return .noTerminal }
    StandardError.note(words + ".", reason: "question")
    FileHandle.standardError.write(Data(escapedLines("Type \(name) to go on: ").utf8))
    return (readLine() ?? "").utf8.elementsEqual(name.utf8) ? .given : .refused
  }
}
