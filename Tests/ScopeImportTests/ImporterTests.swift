import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeImport

/// Of 20 lines: what the list is for, what it is said to be for, the share said, lines refused, and what becomes of it.
private let sharesRefused: [(ListPurpose, ListPurpose?, Double?, Int, Withheld?)] = [
  (.none, nil, nil, 1, nil), (.calling, nil, nil, 1, nil), (.script, nil, nil, 2, .refused(percent: 5)),
  (.unwanted, nil, nil, 1, .refused(percent: 0)), (.vip, nil, nil, 1, .refused(percent: 0)),
  (.none, .unwanted, nil, 1, .refused(percent: 0)), (.unwanted, .calling, nil, 1, nil), (.unwanted, nil, 5, 1, nil),
  (.unwanted, nil, 4.9, 1, .refused(percent: 4.9)), (.none, nil, 0, 1, .refused(percent: 0)), (.vip, nil, nil, 0, nil),
  (.none, nil, 100, 19, nil),
]

/// Whole imports, in this process, into a stand-in for the daemon.
@Suite struct ImporterTests {
  @Test func replacesAList() async throws {
    try await onThread {
      let daemon = try StandIn { $0.rows = [1_234_567: .init()] }
      defer { daemon.stop() }
      let file = try daemon.file(
        #"""
        number,label,time_zone,city,plan
        0171 1234567,Anna,Europe/Berlin,Köln,a
        +43 664 1234567,,,,
        911,x,,,
        0171 1234567,"Anna ""A""",Europe/Berlin,,b
        """#)
      let summary = try daemon.importing(file) {
        ($0.region, $0.columns.kept) = ("DE", ["city", "plan"])
      }
      let anna = StandIn.Row(label: "Anna \"A\"", timeZone: "Europe/Berlin", columns: ["plan": "b"])
      #expect(daemon.rows == [49_171_123_4567: anna, 43_664_123_4567: .init()])
      #expect(summary.tally.lines == 4 && summary.numbers == 2 && summary.duplicates == 1)
      #expect(summary.tally.refused == ["short_number": 1] && summary.before == 1 && summary.total == 2)
      #expect(daemon.breaches == [] && !FileManager.default.fileExists(atPath: file + ".scope-import"))
    }
  }

  @Test func addsAndRemoves() async throws {
    try await onThread {
      let daemon = try StandIn { $0.rows = [491_000_001: .init(label: "old")] }
      defer { daemon.stop() }
      let lines = (1...9_000).map { #"{"number":"+49\#(1_000_000 + $0)","label":"n\#($0)","kind":7}"# }
      let file = try daemon.file(lines.joined(separator: "\n"), "numbers.jsonl")
      let added = try daemon.importing(file) {
        ($0.format, $0.mode, $0.normalises, $0.columns.keepsAll) = (.jsonl, .add, false, true)
      }
      #expect(added.added == 8_999 && added.altered == 1 && added.total == 9_000)
      #expect(daemon.rows[491_000_001] == .init(label: "n1", columns: ["kind": "7"]))
      let half = try daemon.file(lines.prefix(4_500).joined(separator: "\n"), "half.jsonl")
      let removed = try daemon.importing(half) { ($0.format, $0.mode, $0.normalises) = (.jsonl, .remove, false) }
      #expect(removed.removed == 4_500 && removed.total == 4_500 && daemon.rows.count == 4_500)
      #expect(daemon.breaches == [])
    }
  }

  @Test func partsKeepTheLimitsWhateverStandsBesideTheNumbers() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let names = (0..<32).map { "c\($0)" }
      let rows = (0..<12_000).map { "\(49_170_000_000 + $0)," + names.map { _ in "v" }.joined(separator: ",") }
      let many = try daemon.file("number,\(names.joined(separator: ","))\n" + rows.joined(separator: "\n"))
      let summary = try daemon.importing(many) { ($0.normalises, $0.columns.keepsAll) = (false, true) }
      #expect(summary.numbers == 12_000 && daemon.rows[49_170_000_000]?.columns.count == 32)
      let wide = try daemon.file(
        "number,a\n" + (0..<9_000).map { "\(49_170_000_000 + $0),\(String(repeating: "x", count: 900))\n" }.joined())
      #expect(try daemon.importing(wide) { ($0.normalises, $0.columns.kept) = (false, ["a"]) }.numbers == 9_000)
      #expect(daemon.breaches == [] && daemon.rows.count == 9_000)
    }
  }

  @Test func theReportHasEveryRefusedLineInOrder() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      var lines = ["number,label"]
      for line in 2...3_000 { lines.append(line % 3 == 0 ? "x\"\(line)\\,l" : "\(4_917_000_000 + line),l") }
      let file = try daemon.file(lines.joined(separator: "\n"))
      let report = daemon.folder.file("report")
      let summary = try daemon.importing(file, segmentBytes: 4_096) { ($0.normalises, $0.report) = (false, report) }
      #expect(summary.tally.refused == ["not_a_number": 1_000] && summary.numbers == 1_999)
      #expect(summary.tally.examples["not_a_number"]?.map(\.line) == [3, 6, 9])
      let found = try String(contentsOfFile: report, encoding: .utf8).split(separator: "\n").map {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
      #expect(found.map { $0?["line"] as? Int } == stride(from: 3, through: 3_000, by: 3).map { $0 })
      #expect(found.last??["number"] as? String == "x\"3000\\" && found.last??["reason"] as? String == "not_a_number")
    }
  }

  @Test(arguments: [
    ("number,label\n1234567\n", "column_count"),
    ("number,label\n1234567,\"a\"b\n", "bad_quote"), ("number,label\n\"1234567\n", "unclosed_quote"),
  ])
  func linesThatBreakALimitAreRefused(_ text: String, _ reason: String) async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let file = try daemon.file(text + (text.contains("number,a") ? "7654321,\n" : "7654321,\n"))
      let summary = try daemon.importing(file) { ($0.normalises, $0.columns.keepsAll) = (false, true) }
      #expect(summary.tally.refused == [reason: 1] && summary.numbers == 1)
    }
  }

  /// Whatever stands beside a number, the number is on the list, and what is wrong with the text is told.
  @Test(arguments: [
    ("Jörg".data(using: .isoLatin1)!, "J\u{FFFD}rg", "not_utf8"),
    (Data("\"two\nlines\"".utf8), "two lines", "bad_text"),
    (Data("tab\t".utf8), "tab", "bad_text"), (Data("a\u{1B}[31mb".utf8), "a [31mb", "bad_text"),
    (Data("\u{85}\u{7}".utf8), "", "bad_text"), (Data([0xFF]), "\u{FFFD}", "not_utf8"),
    (Data(String(repeating: "ß", count: 65).utf8), String(repeating: "ß", count: 64), "label_too_long"),
    (Data(String(repeating: "x", count: 1_000).utf8), String(repeating: "x", count: 128), "label_too_long"),
  ])
  func aBadLabelNeverCostsItsNumber(_ label: Data, _ kept: String, _ reason: String) async throws {
    try await onThread {
      for column in ["label", "time_zone", "city"] where reason != "label_too_long" || column == "label" {
        let daemon = try StandIn()
        defer { daemon.stop() }
        let file = daemon.folder.file("numbers.csv")
        let text = Data("number,\(column)\n1234567,".utf8) + label + Data("\n7654321,fine\n".utf8)
        try text.write(to: URL(fileURLWithPath: file))
        let summary = try daemon.importing(file) { ($0.normalises, $0.columns.keepsAll) = (false, true) }
        #expect(summary.tally.refused == [:] && summary.numbers == 2 && summary.tally.mended == [reason: 1])
        #expect(summary.tally.mendedExamples[reason]?.map(\.line) == [2])
        let row = try #require(daemon.rows[1_234_567])
        #expect([row.label, row.timeZone, row.columns["city"] ?? ""].joined() == kept)
        #expect(daemon.rows.count == 2 && daemon.breaches == [])
      }
    }
  }

  /// Too much beside a number is left out, of JSON Lines too.
  @Test func whatHasNoRoomIsLeftOut() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let long = String(repeating: "x", count: 900)
      let lines = [
        #"{"number":"1234567","label":"a\u0000b","note":"\#(long)","more":"\#(long)"}"#,
        #"{"number":"7654321","":"no name","label":"c"}"#, #"{"label":"x\ty","number":"none"}"#,
      ]
      let file = try daemon.file(lines.joined(separator: "\n") + "\n")
      let summary = try daemon.importing(file) {
        ($0.normalises, $0.columns.keepsAll, $0.format) = (false, true, .jsonl)
      }
      #expect(summary.tally.refused == ["not_a_number": 1], "what is refused was not mended: \(summary.tally)")
      #expect(summary.tally.mended == ["bad_text": 1, "row_too_large": 1, "bad_column_name": 1], "\(summary.tally)")
      #expect(daemon.rows[1_234_567] == .init(label: "a b", columns: ["note": long]))
      #expect(daemon.rows[7_654_321] == .init(label: "c"))
    }
  }

  /// Of JSON Lines, a value that is no text, one given twice, and half of a character.
  @Test func aBadMemberNeverCostsItsNumber() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let lines = [
        (#""label":{"de":["Anna","}"],"n":1e3}"#, StandIn.Row(), "nested_value"),
        (#""label":[[],{},""],"city":"Graz""#, .init(columns: ["city": "Graz"]), "nested_value"),
        (#""label":"Anna","label":"Bert""#, .init(label: "Anna"), "repeated_column"),
        (#""city":"Graz","city":null"#, .init(columns: ["city": "Graz"]), "repeated_column"),
        (#""label":"a\ud83d""#, .init(label: "a\u{FFFD}"), "half_character"),
        (#""time_zone":"\ude00\ud83d\u0041""#, .init(timeZone: "\u{FFFD}\u{FFFD}A"), "half_character"),
        (#""c\udfffd":"x""#, .init(columns: ["c\u{FFFD}d": "x"]), "half_character"),
      ]
      let text = lines.enumerated().map { "{\"number\":\"\(5_550_000_100 + $0.offset)\",\($0.element.0)}\n" }
      let file = try daemon.file(text.joined())
      let summary = try daemon.importing(file) {
        ($0.normalises, $0.columns.keepsAll, $0.format) = (false, true, .jsonl)
      }
      #expect(summary.tally.refused == [:] && daemon.breaches == [])
      #expect(summary.tally.mended == ["nested_value": 2, "repeated_column": 2, "half_character": 3])
      for (place, line) in lines.enumerated() { #expect(daemon.rows[5_550_000_100 + UInt64(place)] == line.1) }
    }
  }

  /// A number that is in doubt is refused.
  @Test(arguments: [
    (#"{"number":"5550000100","number":"5550000101"}"#, "repeated_column"),
    (#"{"number":["5550000100"]}"#, "nested_value"), (#"{"number":"5550000100\ud800"}"#, "half_character"),
    (#"{"label":[,],"number":"5550000100"}"#, "not_json"), (#"{"label":{"a"},"number":"5550000100"}"#, "not_json"),
    (#"{"number":"5550000100","label":[[["x"]]}"#, "not_json"),
  ])
  func aNumberInDoubtIsRefused(_ line: String, _ reason: String) async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let file = try daemon.file(line + "\n{\"number\":\"5550000999\"}\n")
      let summary = try daemon.importing(file) { ($0.normalises, $0.format) = (false, .jsonl) }
      #expect(summary.tally.refused == [reason: 1] && Array(daemon.rows.keys) == [5_550_000_999])
    }
  }

  /// A share of the lines may be refused, and none where the list protects, whoever says what it is for.
  @Test(arguments: sharesRefused)
  func nothingIsReplacedIfTooMuchIsRefused(
    _ known: ListPurpose, _ given: ListPurpose?, _ percent: Double?, _ refused: Int, _ withheld: Withheld?
  ) async throws {
    try await onThread {
      let old = [5_550_000_001: StandIn.Row(label: "old")] as [UInt64: StandIn.Row]
      let daemon = try StandIn { ($0.purpose, $0.rows) = (known, old) }
      defer { daemon.stop() }
      let lines = (0..<20).map { $0 < refused ? "call \($0)" : "\(4_930_000_000 + $0)" }
      let file = try daemon.file("number\n" + lines.joined(separator: "\n") + "\n")
      var sending = SendingOptions()
      (sending.refusedPercent, sending.purpose) = (percent, given)
      let summary = try daemon.importing(file, sending: sending) { $0.normalises = false }
      #expect(summary.withheld == withheld && summary.numbers == 20 - refused && summary.duplicates == 0)
      let (rows, purpose, parts) = daemon.state.withLockedValue { ($0.rows, $0.purpose, $0.partsGot) }
      #expect(withheld == nil ? rows.count == 20 - refused : rows == old && parts == 0)
      #expect(purpose == (withheld == nil ? given ?? known : known))
      #expect(daemon.breaches == [])
      if withheld == nil { return }
      sending.refusedPercent = 100
      #expect(try daemon.importing(file, sending: sending) { $0.normalises = false }.total == UInt64(20 - refused))
    }
  }

  /// A list that is told to protect while the file is read is protected.
  @Test func aPurposeGivenMeanwhileCounts() async throws {
    try await onThread {
      let daemon = try StandIn { $0.rows = [4_930_000_001: .init()] }
      defer { daemon.stop() }
      let state = daemon.state
      state.withLockedValue {
        $0.onRequest = { number in if number == 1 { state.withLockedValue { $0.purpose = .unwanted } } }
      }
      let lines = (0..<40).map { $0 == 7 ? "none" : "\(4_940_000_000 + $0)" }
      let file = try daemon.file("number\n" + lines.joined(separator: "\n") + "\n")
      let summary = try daemon.importing(file, sending: SendingOptions()) { $0.normalises = false }
      #expect(summary.withheld == .refused(percent: 0) && summary.purpose == .unwanted && summary.total == 1)
      #expect(daemon.rows == [4_930_000_001: .init()] && state.withLockedValue { $0.key == nil && $0.parts.isEmpty })
    }
  }

  /// What is put on a list and taken off it replaces nothing.
  @Test func whatIsRefusedDoesNotKeepOthersFromBeingAdded() async throws {
    try await onThread {
      let daemon = try StandIn { ($0.purpose, $0.rows) = (.unwanted, [4_930_000_001: .init()]) }
      defer { daemon.stop() }
      let file = try daemon.file("number\nnone\n4930000002\n")
      let added = try daemon.importing(file) { ($0.normalises, $0.mode) = (false, .add) }
      #expect(added.total == 2 && added.withheld == nil && added.purpose == .unwanted)
      var strict = SendingOptions()
      strict.isStrict = true
      let summary = try daemon.importing(file, sending: strict) { ($0.normalises, $0.mode) = (false, .remove) }
      #expect(summary.withheld == .strict && summary.numbers == 1 && summary.duplicates == 0 && daemon.rows.count == 2)
    }
  }

  /// Who replaces sees what comes, what goes and what stays, and a no leaves all as it was.
  @Test(arguments: [(0, false), (9, false), (10, false), (11, true), (100, true)])
  func aReplacementIsShownBefore(_ gone: Int, isLarge: Bool) async throws {
    try await onThread {
      let old = Dictionary(uniqueKeysWithValues: (0..<100).map { (4_930_000_000 + UInt64($0), StandIn.Row()) })
      let daemon = try StandIn { ($0.purpose, $0.rows) = (.unwanted, old) }
      defer { daemon.stop() }
      let numbers = (gone..<100).map { 4_930_000_000 + $0 } + (0..<7).map { 4_940_000_000 + $0 }
      let file = try daemon.file("number\n" + numbers.map { "\($0)\n" }.joined())
      let shown = NIOLockedValueBox<[Replacement]>([])
      for answer in [false, true] {
        let summary = try daemon.importing(file) { replacement in
          shown.withLockedValue { $0.append(replacement) }
          return answer
        } _: {
          $0.normalises = false
        }
        #expect(summary.withheld == (answer ? nil : .loss))
        #expect(summary.added == 7 && summary.removed == gone && summary.kept == 100 - gone && summary.before == 100)
        #expect(answer ? Set(daemon.rows.keys) == Set(numbers.map(UInt64.init)) : daemon.rows == old)
        #expect(daemon.state.withLockedValue { $0.key == nil && $0.parts.isEmpty }, "nothing stays under way")
      }
      let replacement = Replacement(before: 100, numbers: UInt64(107 - gone), kept: UInt64(100 - gone))
      #expect(shown.withLockedValue { $0 == [replacement, replacement] })
      #expect(replacement.isLargeLoss == isLarge && replacement.gone == gone && replacement.added == 7)
    }
  }

  /// Of few numbers, more may go.
  @Test(arguments: [(0, 0, false), (2, 1, false), (2, 2, true), (3, 2, true), (18, 9, false), (18, 10, true)])
  func aLossIsLarge(_ before: UInt64, _ gone: UInt64, _ isLarge: Bool) {
    #expect(Replacement(before: before, numbers: 100, kept: before - gone).isLargeLoss == isLarge)
  }

  @Test func whatIsNoTextInUTF8IsNamed() async throws {
    try await onThread {
      let text = "number,label\n4930000001,Jörg\n"
      let marked = [.utf16LittleEndian, .utf16BigEndian].map {
        Data("\u{FEFF}".data(using: $0)! + text.data(using: $0)!)
      }
      let bare = [.utf16LittleEndian, .utf16BigEndian].map { text.data(using: $0)! }
      let utf32 = "\u{FEFF}".data(using: .utf32LittleEndian)! + text.data(using: .utf32LittleEndian)!
      let files =
        marked.map { ($0, "iconv -f UTF-16 ") } + zip(bare, ["iconv -f UTF-16LE ", "iconv -f UTF-16BE "]) + [
          (utf32, "iconv -f UTF-32"), (Data([0x50, 0x4B, 3, 4, 20, 0]), "save it as CSV"),
          (Data([0x1F, 0x8B, 8, 0, 0]), "gzip -dc"),
        ]
      for (bytes, words) in files {
        for format in ImportOptions.Format.allCases {
          let daemon = try StandIn()
          defer { daemon.stop() }
          let file = daemon.folder.file("numbers")
          try bytes.write(to: URL(fileURLWithPath: file))
          #expect("\(words) \(format)") {
            try daemon.importing(file) { ($0.normalises, $0.format) = (false, format) }
          } throws: {
            ($0 as? ImportError)?.kind == .badData && "\($0)".contains(words)
          }
          #expect(daemon.state.withLockedValue { $0.partsGot } == 0)
        }
      }
      let daemon = try StandIn()
      defer { daemon.stop() }
      let file = daemon.folder.file("numbers")
      try Data([0xEF, 0xBB, 0xBF] + Data(text.utf8)).write(to: URL(fileURLWithPath: file))
      #expect(try daemon.importing(file) { $0.normalises = false }.total == 1, "the mark of UTF-8 is none of the text")
    }
  }

  @Test func nothingToImportLeavesTheList() async throws {
    try await onThread {
      let daemon = try StandIn { $0.rows = [1_234_567: .init()] }
      defer { daemon.stop() }
      let file = try daemon.file("number\nx\n")
      #expect(throws: ImportError.self) { try daemon.importing(file) { $0.normalises = false } }
      #expect(daemon.rows.count == 1)
    }
  }

  /// Cut off after each request in turn, done or not, the import ends the same.
  @Test func aLostConnectionChangesNothing() async throws {
    try await onThread {
      for cut in 1...4 {
        let daemon = try StandIn { $0.cutsAfter = [cut] }
        defer { daemon.stop() }
        let file = try daemon.file("number\n" + (0..<70_000).map { "\(49_170_000_000 + $0)\n" }.joined())
        let summary = try daemon.importing(file) { $0.normalises = false }
        #expect(summary.total == 70_000 && daemon.rows.count == 70_000 && daemon.breaches == [], "cut after \(cut)")
      }
    }
  }

  @Test func manyRunsAreMergedInSteps() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      var random = SeededRandom(seed: 1)
      let numbers = (0..<20_000).map { _ in UInt64.random(in: 4_917_000_000..<4_917_010_000, using: &random) }
      let file = try daemon.file("number,label\n" + numbers.enumerated().map { "\($1),\($0)\n" }.joined())
      // Chunks of 256 KiB: a segment each.
      let summary = try daemon.importing(file, segmentBytes: 1) { $0.normalises = false }
      let last = Dictionary(numbers.enumerated().map { ($1, "\($0)") }) { $1 }
      #expect(summary.duplicates == 20_000 - last.count)
      #expect(daemon.rows.mapValues(\.label) == last)
    }
  }

  @Test func anotherImportIsAbandonedOnlyIfAskedFor() async throws {
    try await onThread {
      let daemon = try StandIn { $0.key = "other" }
      defer { daemon.stop() }
      let file = try daemon.file("number\n1234567\n")
      #expect { try daemon.importing(file) { $0.normalises = false } } throws: { error in
        let error = error as? ImportError
        return error?.kind == .refused && error?.description.contains("--abandon-other") == true
      }
      var sending = SendingOptions()
      sending.abandonsOther = true
      #expect(try daemon.importing(file, sending: sending) { $0.normalises = false }.total == 1)
    }
  }
}

extension StandIn {
  func file(_ text: String, _ name: String = "numbers.csv") throws -> String {
    let path = folder.file(name)
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  /// Takes any share of refused lines, but where `sending` says otherwise.
  func importing(
    _ file: String, sending: SendingOptions? = nil, segmentBytes: Int? = nil,
    confirm: @escaping (Replacement) -> Bool = { _ in true }, _ adjust: (inout ImportOptions) -> Void
  ) throws -> ImportSummary {
    var options = ImportOptions(company: "acme", list: "dnc", file: file)
    adjust(&options)
    var others = SendingOptions()
    others.refusedPercent = 100
    var sending = sending ?? others
    sending.retrySeconds = 5
    let client = try Client(address, company: "acme", timeoutMilliseconds: .anHour)
    return try Importer(
      options, client: client, sending: sending, workFolder: file + ".scope-import", threads: 2,
      segmentBytes: segmentBytes, progress: ImportProgress(.silent), confirm: confirm
    ).run()
  }
}
