import Testing

@testable import ScopeClient

/// What a terminal would obey is shown by its code.
@Suite struct EscapingTests {
  @Test(arguments: [
    ("plain, with ASCII alone: ~!\"\\", "plain, with ASCII alone: ~!\"\\"), ("Jörg Žižka 你好 👍🏽", "Jörg Žižka 你好 👍🏽"),
    ("\u{1B}[2J", "\\u{1b}[2J"), ("a\u{7}\u{8}\u{7F}", "a\\u{7}\\u{8}\\u{7f}"), ("\u{9B}31m", "\\u{9b}31m"),
    ("\0\r\n\t", "\\u{0}\\u{d}\\u{a}\\u{9}"), ("abc\u{202E}def\u{2066}", "abc\\u{202e}def\\u{2066}"),
    ("\u{FEFF}x\u{200B}\u{2028}\u{2029}", "\\u{feff}x\\u{200b}\\u{2028}\\u{2029}"), ("\u{E0041}", "\\u{e0041}"),
    ("می\u{200C}خواهم 👩\u{200D}🔬", "می\u{200C}خواهم 👩\u{200D}🔬"),
  ])
  func isShownByItsCode(_ text: String, _ shown: String) throws {
    #expect(escaped(text).unicodeScalars.elementsEqual(shown.unicodeScalars))
    let (lines, breaks) = (escapedLines("\(text)\n\t\(text)"), ["\n", "\t"])
    let wanted = shown.replacing("\\u{a}", with: "\n").replacing("\\u{9}", with: "\t")
    #expect(lines.unicodeScalars.elementsEqual((wanted + breaks.joined() + wanted).unicodeScalars))
  }
}
