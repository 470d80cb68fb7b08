import Foundation
import ScopeImport

extension ImportSummary {
  /// For people.
  func text(_ options: ImportOptions, isDryRun: Bool) -> String {
    let head =
      "\(counted(tally.lines, "line")) read: \(counted(numbers, "number")), \(tally.refusedLines) refused, "
      + "\(counted(duplicates, "duplicate"))"
    return ([head] + refusedText + [outcome(options, isDryRun)]).joined(separator: "\n")
  }

  private func outcome(_ options: ImportOptions, _ isDryRun: Bool) -> String {
    let list = "list \(options.list)"
    if isDryRun { return "\(list) is as it was: a dry run sends nothing" }
    let now = total.map { "; it has \($0) now" } ?? ""
    switch options.mode {
    case .replace: return "\(list) is replaced: \(before) before, \(total ?? 0) now"
    case .add: return "\(list): \(added) added, \(altered) altered\(now)"
    case .remove: return "\(list): \(removed) removed\(now)"
    }
  }

  private var refusedText: [String] {
    refusedKinds.map { kind in
      let examples = (tally.examples[kind.code] ?? []).map { "line \($0.line) '\($0.number)'" }
      return "  \(kind.code): \(tally.refused[kind.code] ?? 0), \(kind.words): \(examples.joined(separator: ", "))"
    }
  }

  /// Most frequent first.
  private var refusedKinds: [Refusal] {
    Refusal.allCases.filter { tally.refused[$0.code] != nil }
      .sorted { (tally.refused[$0.code]!, $1.rawValue) > (tally.refused[$1.code]!, $0.rawValue) }
  }

  /// For machines.
  func json(_ options: ImportOptions, isDryRun: Bool) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let summary = Output(
      list: options.list, mode: options.mode, dry_run: isDryRun, lines: tally.lines, numbers: numbers,
      duplicates: duplicates, refused: tally.refusedLines, refused_by_reason: tally.refused,
      first_refused: tally.examples, before: before, added: added, altered: altered, removed: removed, total: total)
    guard let bytes = try? encoder.encode(summary) else { fatalError("the summary can't be encoded") }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Named as in JSON.
  private struct Output: Encodable {
    let list: String
    let mode: ImportOptions.Mode
    let dry_run: Bool
    let lines, numbers, duplicates, refused: Int
    let refused_by_reason: [String: Int]
    let first_refused: [String: [Tally.Example]]
    let before, added, altered, removed: UInt64
    let total: UInt64?
  }
}

private func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }
