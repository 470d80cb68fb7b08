/// Why a line is not imported.
public enum Refusal: Int, Error, CaseIterable, Sendable {
  // What is wrong with the number.
  case noNumber, notANumber, noRegion, unknownCountry, tooShort, tooLong, notValid, shortNumber, hasExtension, fraction
  // With what stands beside it.
  case labelTooLong, timeZoneTooLong, badText, notUTF8, halfCharacter
  case badColumnName, tooManyColumns, repeatedColumn, rowTooLarge
  // With the line itself.
  case columnCount, badQuote, unclosedQuote, lineTooLong, notJSON, nestedValue

  /// Stable, for machines.
  public var code: String {
    switch self {
    case .noNumber: "no_number"
    case .notANumber: "not_a_number"
    case .noRegion: "no_region"
    case .unknownCountry: "unknown_country"
    case .tooShort: "too_short"
    case .tooLong: "too_long"
    case .notValid: "not_valid"
    case .shortNumber: "short_number"
    case .hasExtension: "has_extension"
    case .fraction: "fraction"
    case .labelTooLong: "label_too_long"
    case .timeZoneTooLong: "time_zone_too_long"
    case .badText: "bad_text"
    case .notUTF8: "not_utf8"
    case .halfCharacter: "half_character"
    case .badColumnName: "bad_column_name"
    case .tooManyColumns: "too_many_columns"
    case .repeatedColumn: "repeated_column"
    case .rowTooLarge: "row_too_large"
    case .columnCount: "column_count"
    case .badQuote: "bad_quote"
    case .unclosedQuote: "unclosed_quote"
    case .lineTooLong: "line_too_long"
    case .notJSON: "not_json"
    case .nestedValue: "nested_value"
    }
  }

  /// For people.
  public var words: String {
    switch self {
    case .noNumber: "there is no number on the line"
    case .notANumber: "letters, or other signs that no number has"
    case .noRegion: "a national number; --region says of which country"
    case .unknownCountry: "no country has this calling code"
    case .tooShort: "fewer digits than a number of its country has"
    case .tooLong: "more digits than a number of its country has"
    case .notValid: "its country gives out no such number"
    case .shortNumber: "an emergency or other short number, which stands on no list"
    case .hasExtension: "a number with an extension"
    case .fraction: "a fraction or an exponent, as spreadsheets write numbers; make the column one of text"
    case .labelTooLong: "the label has more than \(RowLimits.labelBytes) bytes"
    case .timeZoneTooLong: "the time zone has more than \(RowLimits.timeZoneBytes) bytes"
    case .badText: "a text has a control character"
    case .notUTF8: "a text is not UTF-8; if the file is in Windows-1252: iconv -f WINDOWS-1252 -t UTF-8"
    case .halfCharacter: "a text has half of a character, such as \\ud83d without the \\ude00 behind it"
    case .badColumnName: "the name of a column is empty, longer than 128 bytes, or no text"
    case .tooManyColumns: "more than \(RowLimits.columns) columns are kept"
    case .repeatedColumn: "a column stands there twice"
    case .rowTooLarge: "more than \(RowLimits.besideBytes) bytes beside the number"
    case .columnCount: "more or fewer columns than in the first line"
    case .badQuote: "something stands behind a closing quote"
    case .unclosedQuote: "a quote is not closed within \(RecordLimits.standard.recordBytes >> 10) KiB"
    case .lineTooLong: "longer than \(RecordLimits.standard.recordBytes >> 10) KiB"
    case .notJSON: "no JSON object"
    case .nestedValue: "an object or a list inside the object"
    }
  }
}

/// What was read, and what of it was refused.
public struct Tally: Codable, Equatable, Sendable {
  /// A refused line.
  public struct Example: Codable, Equatable, Sendable {
    public let line: Int
    /// The number as given, cut to 64 bytes.
    public let number: String
  }

  /// Lines with something on them, the header not counted.
  public internal(set) var lines = 0
  /// By `Refusal.code`.
  public internal(set) var refused: [String: Int] = [:]
  /// The first of each kind.
  public internal(set) var examples: [String: [Example]] = [:]
  /// Texts beside numbers that were cleaned or left out, by `Refusal.code`. The numbers are there.
  public internal(set) var mended: [String: Int] = [:]
  /// The first of each kind.
  public internal(set) var mendedExamples: [String: [Example]] = [:]

  static let examplesOfAKind = 3

  public init() {}

  public var refusedLines: Int { refused.values.reduce(0, +) }
  public var acceptedLines: Int { lines - refusedLines }

  mutating func note(_ refusal: Refusal, line: Int, number: @autoclosure () -> String) {
    refused[refusal.code, default: 0] += 1
    Tally.add(refusal, line, number, to: &examples)
  }

  mutating func noteMended(_ refusal: Refusal, line: Int, number: @autoclosure () -> String) {
    mended[refusal.code, default: 0] += 1
    Tally.add(refusal, line, number, to: &mendedExamples)
  }

  private static func add(
    _ refusal: Refusal, _ line: Int, _ number: () -> String, to examples: inout [String: [Example]]
  ) {
    if examples[refusal.code, default: []].count < examplesOfAKind {
      examples[refusal.code, default: []].append(Example(line: line, number: number()))
    }
  }

  /// Adds what somebody else has read of the same stretch of lines.
  mutating func add(_ other: Tally) {
    lines += other.lines
    refused.merge(other.refused) { $0 + $1 }
    mended.merge(other.mended) { $0 + $1 }
    examples.merge(other.examples, uniquingKeysWith: Tally.first)
    mendedExamples.merge(other.mendedExamples, uniquingKeysWith: Tally.first)
  }

  private static func first(_ some: [Example], _ others: [Example]) -> [Example] {
    Array((some + others).sorted { $0.line < $1.line }.prefix(examplesOfAKind))
  }
}

/// One line of the report on refused lines.
enum ReportLine {
  /// As much of a number is shown.
  private static let numberBytes = 64

  static func shown(_ number: UnsafeRawBufferPointer) -> String {
    String(decoding: number.prefix(numberBytes), as: UTF8.self)
  }

  /// Appends `{"line":17,"reason":"not_valid","number":"+43 1"}` and the end of the line.
  static func append(_ refusal: Refusal, line: Int, number: UnsafeRawBufferPointer, to report: inout [UInt8]) {
    report += "{\"line\":\(line),\"reason\":\"\(refusal.code)\",\"number\":\"".utf8
    for byte in shown(number).utf8 { append(byte, to: &report) }
    report += "\"}\n".utf8
  }

  private static func append(_ byte: UInt8, to report: inout [UInt8]) {
    switch byte {
    case 0x22, 0x5C: report += [0x5C, byte]
    case 0..<0x20, 0x7F: report += "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8
    default: report.append(byte)
    }
  }
}
