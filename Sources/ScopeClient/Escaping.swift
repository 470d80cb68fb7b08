/// For a terminal, which would obey control characters and turn the direction of what follows: they are shown by their
/// codes. Line ends and tabs are among them.
package func escaped(_ text: String) -> String { escaped(text) { "\\u{\(String($0.value, radix: 16))}" } }

/// The same in a text of several lines or columns, whose line ends and tabs stay.
package func escapedLines(_ text: String) -> String {
  escaped(text) { $0 == "\n" || $0 == "\t" ? String($0) : "\\u{\(String($0.value, radix: 16))}" }
}

private func escaped(_ text: String, _ escape: (Unicode.Scalar) -> String) -> String {
  if text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) { return text }
  var shown = ""
  for scalar in text.unicodeScalars {
    if isObeyed(scalar) { shown += escape(scalar) } else { shown.unicodeScalars.append(scalar) }
  }
  return shown
}

private func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  // The joiners are part of how words are written in some scripts.
  case .format: scalar != "\u{200C}" && scalar != "\u{200D}"
  case .control, .lineSeparator, .paragraphSeparator: true
  default: false
  }
}
