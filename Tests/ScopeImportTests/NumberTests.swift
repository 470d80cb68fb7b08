import Foundation
import ScopeTesting
import Testing

@testable import ScopeImport

@Suite struct NumberTests {
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

  private func read(_ text: String, _ region: String?) throws -> UInt64 {
    try Array(text.utf8).withUnsafeBytes { try NumberReader(region: region).read($0) }
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
