import Foundation
import ScopeTesting
import Testing

/// `Tests/RULES.md` and the tests say the same.
@Suite struct RuleTable {
  /// A rule and where it is tested.
  private struct Row {
    let id: String
    let words: String
    /// Of each kind, the cell: `Target/File.swift`, and the test's own name where it is another; nil: a dash.
    let cells: [Cell?]

    var testName: String { "\(id): \(words)" }
  }

  private struct Cell {
    let file: String
    let test: String?
  }

  private static let folder = packageFolder.appendingPathComponent("Tests")

  private static func rows() throws -> [Row] {
    let text = try String(contentsOf: folder.appendingPathComponent("RULES.md"), encoding: .utf8)
    return text.matches(of: /(?m)^\| `([a-z-]+)` \| (.+?) \| (.+?) \| (.+?) \|$/).map {
      Row(id: String($0.1), words: String($0.2), cells: [cell($0.3), cell($0.4)])
    }
  }

  private static func cell(_ text: Substring) -> Cell? {
    guard let match = text.firstMatch(of: /`(\w+\/\w+\.swift)`(?: \((\w+)\))?/) else { return nil }
    return Cell(file: String(match.1), test: match.2.map(String.init))
  }

  /// The display names of the tests of a file.
  private static func names(in file: String) throws -> Set<String> {
    let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
    return Set(text.matches(of: /@Test\(\s*"((?:[^"\\]|\\.)+)"/).map { String($0.1) })
  }

  @Test func namesTestsThatAreThere() throws {
    let rows = try Self.rows()
    #expect(rows.count > 50)
    for row in rows {
      for case let cell? in row.cells {
        if let test = cell.test {
          let text = try String(contentsOf: Self.folder.appendingPathComponent(cell.file), encoding: .utf8)
          #expect(text.contains("func \(test)("), "\(cell.file) has no test \(test)")
        } else {
          #expect(try Self.names(in: cell.file).contains(row.testName), "\(cell.file) has no test '\(row.testName)'")
        }
      }
    }
  }

  @Test func namesEveryTestOfARule() throws {
    let rows = Dictionary(try Self.rows().map { ($0.testName, $0) }, uniquingKeysWith: { first, _ in first })
    let files = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path)
      .filter { $0.contains(/\/Rule\w+\.swift$/) }
    #expect(files.count >= 8)
    for file in files {
      for name in try Self.names(in: file) {
        let told = rows[name]?.cells.contains { $0?.file == file } == true
        #expect(told, "\(file): '\(name)' is not in the table")
      }
    }
  }

  /// These are about callers and the daemon, of which the model knows nothing.
  private static let overTheWireAlone: Set = ["refused-alike", "probes"]
  /// Not yet to be had, and so not tested.
  private static let notYet: Set = ["hidden-company"]

  /// No rule twice; over the wire each, and at the model each it knows of.
  @Test func hasEachRuleOnceAndAtBothPlaces() throws {
    let rows = try Self.rows()
    #expect(Set(rows.map(\.id)).count == rows.count)
    for row in rows where !Self.notYet.contains(row.id) {
      #expect(row.cells[1] != nil, "\(row.id) is not tested over the wire")
      #expect(row.cells[0] != nil || Self.overTheWireAlone.contains(row.id), "\(row.id) is not tested at the model")
    }
    let lines = try String(contentsOf: Self.folder.appendingPathComponent("RULES.md"), encoding: .utf8)
      .split(separator: "\n").count { $0.hasPrefix("| `") }
    #expect(lines == rows.count, "a row is not read")
  }
}
