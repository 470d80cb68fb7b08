import CPhoneNumber
import Foundation
import ScopeTesting
import Testing

@testable import ScopeImport

/// Those of a test: to make one takes longer than to read a hundred numbers.
private final class Readers {
  private var made: [String: NumberReader] = [:]

  func reader(of region: String?, readsLetters: Bool) -> NumberReader {
    let key = "\(region ?? "-") \(readsLetters)"
    if let reader = made[key] { return reader }
    let reader = NumberReader(region: region, readsLetters: readsLetters)
    made[key] = reader
    return reader
  }
}

@Suite struct NumberTests {
  private let readers = Readers()

  @Test(
    arguments: [
      ("+49 171 1234567", "", 49_171_123_4567), ("0171/1234567", "DE", 49_171_123_4567),
      ("0049 171 1234567", "DE", 49_171_123_4567), ("(212) 555-0123", "US", 1_212_555_0123),
      ("+1 212 555 0123", "DE", 1_212_555_0123), ("00 1 212 555 0123", "AT", 1_212_555_0123),
      ("06 6982 1234", "IT", 39_06_6982_1234), ("+39 06 6982 1234", "", 39_06_6982_1234),
      ("\u{FF0B}49 171 1234567", "", 49_171_123_4567), ("0664 1234567", "AT", 43_664_123_4567),
      ("tel:+43-664-1234567", "", 43_664_123_4567),
    ] as [(String, String, UInt64)])
  func normalises(_ text: String, _ region: String, _ expected: UInt64) throws {
    #expect(try read(text, region) == expected)
  }

  @Test(
    arguments: [
      ("911", "US", .shortNumber), ("112", "DE", .shortNumber), ("911", "DE", .shortNumber), ("112", "", .shortNumber),
      ("110", "DE", .shortNumber), ("", "DE", .noNumber), ("hello", "DE", .notANumber), ("0171 1234567", "", .noRegion),
      ("+999 1234567", "", .unknownCountry), ("+49 1", "", .tooShort), ("+1 212 555 012", "", .tooShort),
      ("+1 212 555 01234", "", .tooLong), ("+1 000 555 0123", "", .notValid),
      ("+1 212 555 0123 ext. 7", "", .hasExtension), ("+49 171 1234567\u{0}", "DE", .notANumber),
    ] as [(String, String, Refusal)])
  func refuses(_ text: String, _ region: String, _ expected: Refusal) {
    #expect(throws: expected) { try read(text, region) }
  }

  /// How people and programs write one and the same number.
  @Test(arguments: [
    "+43 664 1234567", "0043-664-1234567", "(0664) 1234567", "0664/1234567", "+43 (0) 664 / 12 34 567", "0664.1234567",
    "+43.6641234567", "(+43) 664 – 1234567", "+43\u{A0}664\u{202F}1234567", "\u{FF0B}\u{FF14}\u{FF13} 664 1234567",
    " 0664 1234567\t", "TEL:+43-664-1234567", "+43 664 12.34.567", "٠٦٦٤ ١٢٣٤٥٦٧",
  ])
  func readsWhatIsUsual(_ text: String) throws { #expect(try read(text, "AT") == 43_664_123_4567) }

  /// More than a number is none, whatever could be taken out of it.
  @Test(
    arguments: [
      ("436641234567.0", .fraction), ("436641234567.5", .fraction), ("436641234567,0", .fraction),
      ("436641234567,", .fraction), ("4.36641234567E11", .fraction), ("4.3664e+11", .fraction), ("43E10", .fraction),
      ("+436641234567.00", .fraction), ("-436641234567.0", .fraction), ("06641234567.0", .fraction),
      ("0664 1234567 (Anna)", .notANumber), ("0664 1234567 home", .notANumber), ("from 8h 0664 1234567", .notANumber),
      ("0664 12345xx", .notANumber), ("O664 1234567", .notANumber), ("0664 12E4567", .notANumber),
      ("0664 1234567; 0664 7654321", .notANumber), ("0664 1234567/8", .notANumber), ("0664 123/4567/8901", .notANumber),
      ("0664 1234567 0664 7654321 +", .notANumber), ("++436641234567", .notANumber), ("43+6641234567", .notANumber),
      ("(0664 1234567", .notANumber), ("0664) 1234567", .notANumber), ("()06641234567", .notANumber),
      ("0664 - - - - 1234567", .notANumber), ("0664\n1234567", .notANumber), ("*06641234567", .notANumber),
      ("+436641234567.5", .fraction), ("0664123456.25", .fraction), ("0664 123456 (2)", .notANumber),
      ("0664 1234567 (22)", .notANumber), ("0664 12345/67890", .notANumber),
      ("-436641234567", .notANumber), ("0664-1234567-", .notANumber), ("1-800-FLOWERS", .notANumber),
      ("☎ 06641234567", .notANumber), ("0664 1234567 x", .notANumber), ("+", .notANumber), ("tel:", .notANumber),
      ("0664 1234567 ext. 12", .hasExtension), ("0664 1234567 x12", .hasExtension),
      ("0664 1234567#3", .hasExtension), ("tel:+43-664-1234567;ext=12", .hasExtension),
      ("0664 1234567 Durchwahl 12", .hasExtension),
    ] as [(String, Refusal)])
  func refusesMoreThanANumber(_ text: String, _ expected: Refusal) {
    #expect(throws: expected) { try read(text, "AT") }
  }

  /// Two numbers are none, however they are joined; one with a country's code before a sign is one.
  @Test(
    arguments: [
      ("5550171-5550172", "DE", nil), ("5550171/55501722", "DE", nil), ("030555017.0305550", "DE", nil),
      ("0664 12345 - 0664 12345", "AT", nil), ("(0664 123456) 0664123", "AT", nil), ("555017–55501722", "CZ", nil),
      ("00436641-23456789", "AT", 43_664_123_456_789), ("+436641-23456789", "AT", 43_664_123_456_789),
      ("(03327) 15-551234", "AR", 54_9_3327_551234), ("0664-1234567", "AT", 43_664_123_4567),
    ] as [(String, String, UInt64?)])
  func twoNumbersAreNone(_ text: String, _ region: String, _ expected: UInt64?) throws {
    if let expected {
      #expect(try read(text, region) == expected)
    } else {
      #expect(throws: Refusal.self) { try read(text, region) }
    }
  }

  /// Bytes that a lax reader takes for digits and signs.
  @Test(arguments: [
    [0xC0, 0xB1], [0xE0, 0x80, 0xB1], [0xF0, 0x80, 0x80, 0xB1], [0xC0, 0xAB], [0xE0, 0x80, 0xAD], [0xC1, 0xBF], [0xB1],
    [0xF8, 0x80, 0x80, 0x80, 0xB1], [0xD9], [0xEF, 0xBC], [0xED, 0xA0, 0x80],
  ])
  func badUTF8IsNoNumber(_ bytes: [UInt8]) {
    for place in [0, 4, 11] {
      var text = Array("06641234567".utf8)
      text.insert(contentsOf: bytes, at: place)
      #expect(throws: Refusal.self) {
        try text.withUnsafeBytes { try NumberReader(region: "AT").read($0) }
      }
    }
  }

  @Test func lettersStandForDigitsOnlyWhenAskedFor() throws {
    for (text, digits) in [("1-800-FLOWERS", 1_800_356_9377), ("1 800 GOTJunk", 1_800_468_5865)] as [(String, UInt64)] {
      #expect(try read(text, "US", readsLetters: true) == digits)
      #expect(throws: Refusal.notANumber) { try read(text, "US") }
    }
    for text in ["FLOWERS", "1800 3569377 ☎", "ab 1800 356"] {
      #expect(throws: Refusal.notANumber, "\(text)") { try read(text, "US", readsLetters: true) }
    }
  }

  private static let regions = """
    AE AR AT AU BD BE BG BO BR CA CH CI CL CM CN CO CR CU CY CZ DE DK DZ EC EE EG ES ET FI FR GB GE GH GR GT HK HN HR HU \
    ID IE IL IN IQ IR IS IT JM JO JP KE KH KR KW KZ LB LK LT LU LV LY MA MD ME MG MK MN MT MX MY MZ NG NI NL NO NP NZ OM \
    PA PE PH PK PL PT PY QA RO RS RU SA SE SG SI SK SM SN SV SY TH TN TR TW TZ UA UG US UY UZ VE VN YE ZA ZM ZW
    """.split(separator: " ").map(String.init)

  private static func example(_ region: String, isMobile: Bool, style: Int32) -> String? {
    let bytes = [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
      count = buffer.withMemoryRebound(to: CChar.self) {
        phone_number_example(region, isMobile, style, $0.baseAddress, $0.count)
      }
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// What the library writes in any of its ways is read as the same number; with any sign more that belongs to none, it
  /// is refused.
  @Test(arguments: regions) func isTheSameNumberInAnyUsualForm(_ region: String) throws {
    let foreign = Array(
      "aAeExXoOlIzß@*_=;,:!?&%\"'<>{}[]|\\~^`#\u{0}\n\r\u{7F}☎é\u{FEFF}\u{200B}\u{301}".unicodeScalars)
    var random = SeededRandom(seed: UInt64(region.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
    for isMobile in [true, false] {
      guard let plain = Self.example(region, isMobile: isMobile, style: 0) else { continue }
      let digits = try #require(UInt64(plain.dropFirst()))
      for style in 0...3 as ClosedRange<Int32> {
        let text = try #require(Self.example(region, isMobile: isMobile, style: style))
        #expect(try read(text, region) == digits, "\(region): \(text)")
        for sign in foreign {
          var scalars = Array(text.unicodeScalars)
          scalars.insert(sign, at: random.below(scalars.count + 1))
          let more = String(String.UnicodeScalarView(scalars))
          #expect(throws: Refusal.self, "\(region): \(more.debugDescription)") { try read(more, region) }
        }
      }
    }
  }

  /// A sign that belongs to numbers, at a place where none has it, makes no other number of one.
  @Test(arguments: regions) func aSignInAnyPlaceMakesNoOtherNumber(_ region: String) throws {
    let signs = Array("()/.- \u{A0}–+".unicodeScalars)
    var random = SeededRandom(seed: UInt64(region.utf8.reduce(11) { $0 &* 31 &+ Int($1) }))
    for style in 0...3 as ClosedRange<Int32> {
      guard let text = Self.example(region, isMobile: true, style: style) else { continue }
      let digits = try read(text, region)
      for _ in 0..<60 {
        var scalars = Array(text.unicodeScalars)
        let sign = signs[random.below(style == 2 ? signs.count - 1 : signs.count)]  // a plus makes it international
        for _ in 0...random.below(3) { scalars.insert(sign, at: random.below(scalars.count + 1)) }
        let more = String(String.UnicodeScalarView(scalars))
        if let found = try? read(more, region) { #expect(found == digits, "\(region): \(more)") }
      }
    }
  }

  @Test(arguments: [
    ("1234567", 1_234_567), ("+491711234567", 491_711_234_567), ("999999999999999", 999_999_999_999_999),
  ])
  func takesE164AsItIs(_ text: String, _ expected: UInt64) throws { #expect(try read(text, nil) == expected) }

  @Test(
    arguments: [
      ("", .noNumber), ("+", .notANumber), ("911", .shortNumber), ("123456", .shortNumber), ("+123456", .tooShort),
      ("1234567890123456", .tooLong), ("01234567", .notANumber), ("+0123456789", .notANumber),
      ("12345 67", .notANumber),
      ("++1234567", .notANumber), ("１２３４５６７", .notANumber),
    ] as [(String, Refusal)])
  func refusesWhatIsNotE164(_ text: String, _ expected: Refusal) {
    #expect(throws: expected) { try read(text, nil) }
  }

  @Test func knowsRegions() {
    #expect(NumberReader.knows(region: "DE") && NumberReader.knows(region: "AT"))
    #expect(!NumberReader.knows(region: "de") && !NumberReader.knows(region: "") && !NumberReader.knows(region: "XX"))
  }

  private func read(_ text: String, _ region: String?, readsLetters: Bool = false) throws -> UInt64 {
    let reader = readers.reader(of: region, readsLetters: readsLetters)
    return try Array(text.utf8).withUnsafeBytes { try reader.read($0) }
  }
}

@Suite struct SortTests {
  /// Many runs of few numbers with many repeats, against a dictionary.
  @Test(arguments: 0..<6) func keepsTheLastRowOfEachNumberAscending(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let folder = TemporaryFolder()
    var (runs, expected): ([RunFile], [UInt64: [UInt8]]) = ([], [:])
    var sequences = Array(0..<UInt64(3_000)).shuffled(using: &random)[...]
    var last: [UInt64: UInt64] = [:]
    for run in 0..<Int.random(in: 1..<12, using: &random) {
      let buffer = RunBuffer()
      // Within a run sequences ascend; runs hold them mixed.
      for sequence in sequences.prefix(250).sorted() {
        let number = UInt64.random(in: 0..<400, using: &random) &* 2_499_999_999_937 % 1_000_000_000_000_000
        let beside = (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        beside.withUnsafeBytes { buffer.append(number, sequence: sequence, beside: $0) }
        if last[number].map({ $0 < sequence }) ?? true { (last[number], expected[number]) = (sequence, beside) }
      }
      sequences = sequences.dropFirst(250)
      let writer = try RunWriter(folder.file("run-\(run)"))
      try buffer.write(to: writer)
      runs.append(try writer.finish())
    }
    let merge = try Merge(runs, in: folder.path)
    var found: [(UInt64, [UInt8])] = []
    while let row = try merge.next() { found.append((row.number, Array(row.beside))) }
    #expect(found.map(\.0) == expected.keys.sorted())
    #expect(Dictionary(uniqueKeysWithValues: found) == expected)
  }

  @Test func aRunThatIsCutShortIsSaid() throws {
    let folder = TemporaryFolder()
    let writer = try RunWriter(folder.file("run-1"))
    let buffer = RunBuffer()
    for number in 0..<100 {
      buffer.append(UInt64(number), sequence: 0, beside: UnsafeRawBufferPointer(start: nil, count: 0))
    }
    try buffer.write(to: writer)
    let run = try writer.finish()
    #expect(truncate(folder.file("run-1"), 1_000) == 0)
    #expect(throws: ImportError.self) {
      let merge = try Merge([run], in: folder.path)
      while try merge.next() != nil {}
    }
  }
}
