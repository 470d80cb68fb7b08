import CScopeSystem
import Foundation
import ScopeClient

/// What carries meaning in a terminal.
enum Colour: Int {
  case red = 31
  case green = 32
  case yellow = 33

  /// In a terminal, unless it or who sits there can do without (https://no-color.org).
  fileprivate static let isWanted: Bool = {
    let environment = ProcessInfo.processInfo.environment
    return StandardOutput.isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }()
}

/// A text of which parts may be coloured. What a terminal would obey is shown by its code.
struct Styled: ExpressibleByStringLiteral {
  private typealias Part = (text: String, colour: Colour?)

  // Most have one part, and tables have millions of these.
  private var first: Part
  private var rest: [Part] = []

  init(_ text: String, _ colour: Colour? = nil) { first = (escapedLines(text), colour) }
  init(stringLiteral text: String) { self.init(text) }

  /// For machines, as it is.
  init(json fields: JSONFields) { first = (jsonObject(fields), nil) }

  /// In one line.
  init(cell text: String, _ colour: Colour? = nil) { first = (escaped(text), colour) }

  private var parts: [Part] { [first] + rest }

  static func + (a: Styled, b: Styled) -> Styled {
    var sum = a
    sum.rest += b.parts
    return sum
  }

  static func + (a: Styled, b: String) -> Styled { a + Styled(b) }

  var isEmpty: Bool { first.text.isEmpty && rest.allSatisfy(\.text.isEmpty) }
  /// Columns that it takes in a terminal.
  var width: Int { rest.reduce(columns(of: first.text)) { $0 + columns(of: $1.text) } }

  /// As it is written.
  var encoded: String {
    parts.map { text, colour in
      guard let colour, Colour.isWanted, !text.isEmpty else { return text }
      return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }.joined()
  }

  /// At most so many columns wide; what is cut ends in `…`.
  func cut(to width: Int) -> Styled {
    if self.width <= width { return self }
    var room = width - 1
    let kept = parts.map { text, colour in
      let kept = room > 0 ? text.prefix(columns: room) : ""
      room -= isSame(kept, text) ? columns(of: text) : room
      return Part(kept, colour)
    }
    var cut = Styled("")
    (cut.first, cut.rest) = (kept[0], Array(kept.dropFirst()))
    return cut + Styled("…")
  }
}

/// Columns of a terminal that a text takes: some scripts' signs take two.
private func columns(of text: some StringProtocol) -> Int {
  if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
  return text.reduce(0) { $0 + columns(of: $1) }
}

private func columns(of sign: Character) -> Int {
  sign.isASCII ? 1 : max(0, sign.unicodeScalars.map { Int(scope_columns($0.value)) }.max() ?? 0)
}

extension String {
  fileprivate func prefix(columns most: Int) -> String {
    var room = most
    return String(
      prefix { sign in
        room -= columns(of: sign)
        return room >= 0
      })
  }
}
