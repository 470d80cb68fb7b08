import Foundation
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeImport

/// What stands in a file comes to the list byte for byte.
@Suite struct BytesOfTexts {
  private let names = WorstNames.all.map(\.text)

  /// In quotes, each quote doubled; by scalars, since a quote and a mark behind it are one character.
  private func csv(_ text: String) -> String {
    "\"" + text.unicodeScalars.reduce(into: "") { $0 += $1 == "\"" ? "\"\"" : String($1) } + "\""
  }

  private func expectLabels(_ daemon: StandIn) {
    #expect(daemon.rows.count == names.count && daemon.breaches == [])
    for (place, name) in names.enumerated() {
      let row = daemon.rows[UInt64(49_170_000_000 + place)]
      #expect(row.map { Array($0.label.utf8) } == Array(name.utf8), "\(name)")
      #expect(row?.columns["note"].map { Array($0.utf8) } == Array(name.utf8), "\(name)")
    }
  }

  @Test(arguments: [false, true]) func surviveCSV(isMarked: Bool) async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let lines = names.enumerated().map { "\(csv($1)),\(49_170_000_000 + $0),\(csv($1))\n" }
      let file = try daemon.file((isMarked ? "\u{FEFF}" : "") + "label,number,note\n" + lines.joined())
      _ = try daemon.importing(file) { ($0.normalises, $0.columns.kept) = (false, ["note"]) }
      expectLabels(daemon)
    }
  }

  @Test func surviveJSONLines() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let lines = WorstNames.all.enumerated().map {
        let text = WorstNames.quoted($1)
        return "{\"number\":\"\(49_170_000_000 + $0)\",\"label\":\(text),\"note\":\(text)}\n"
      }
      let file = try daemon.file(lines.joined(), "numbers.jsonl")
      _ = try daemon.importing(file) { ($0.format, $0.normalises, $0.columns.kept) = (.jsonl, false, ["note"]) }
      expectLabels(daemon)
    }
  }

  /// Each column is found by its own name, and by none that only looks like it.
  @Test func ofColumnsAreCompared() throws {
    let columns = WorstNames.all.map { Array($0.text.utf8) }
    for (place, name) in names.enumerated() {
      var options = ImportOptions(company: "c", list: "l", file: "f")
      (options.columns.number, options.columns.kept) = (name, [name])
      let layout = try CSVLayout(options, header: columns)
      #expect(layout.number == place && layout.kept.map(\.name) == [columns[place]], "\(name)")
    }
    var options = ImportOptions(company: "c", list: "l", file: "f")
    (options.columns.number, options.columns.kept) = ("é", ["e\u{301}"])
    #expect(throws: ImportError.self) { _ = try CSVLayout(options, header: [Array("é".utf8)]) }
    options.columns.kept = []
    options.columns.keepsAll = true
    #expect(throws: ImportError.self) { _ = try CSVLayout(options, header: [Array("é".utf8), [0xE9]]) }
  }

  /// An import that goes on after its process was killed has its columns from the work folder.
  @Test func ofColumnsSurviveTheWorkFolder() throws {
    let folder = TemporaryFolder()
    let work = try WorkFolder(folder.file("work"))
    let file = try #require(FileHandle(forReadingAtPath: "/dev/null"))
    var manifest = Manifest(optionsDigest: "d", file: FileIdentity(file.fileDescriptor), key: "k")
    manifest.header = WorstNames.all.map { Array($0.text.utf8) }
    try work.write(manifest)
    #expect(work.readManifest() == manifest)
  }
}
