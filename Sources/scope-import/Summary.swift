import Foundation
import ScopeClient
import ScopeImport

extension ImportSummary {
  /// For people.
  func text(_ options: ImportOptions, isDryRun: Bool) -> String {
    let head =
      "\(counted(tally.lines, "line")) read: \(counted(numbers, "number")), \(tally.refusedLines) refused, "
      + "\(counted(duplicates, "duplicate"))"
    return ([head] + tally.texts + [outcome(options, isDryRun)]).joined(separator: "\n")
  }

  private func outcome(_ options: ImportOptions, _ isDryRun: Bool) -> String {
    let list = "list \(options.list)"
    if let withheld { return "\(list) is as it was: \(withheld.words)" }
    if isDryRun { return "\(list) is as it was: a dry run sends nothing" }
    let now = total.map { "; it has \($0) now" } ?? ""
    switch options.mode {
    case .replace:
      return "\(list) is replaced: \(before) before, \(total ?? 0) now; \(added) added, \(removed) gone, \(kept) kept"
    case .add: return "\(list): \(added) added, \(altered) altered\(now)"
    case .remove: return "\(list): \(removed) removed\(now)"
    }
  }

  /// For machines.
  func json(_ options: ImportOptions, isDryRun: Bool) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let summary = Output(
      list: options.list, mode: options.mode, dry_run: isDryRun, lines: tally.lines, numbers: numbers,
      duplicates: duplicates, refused: tally.refusedLines, refused_by_reason: tally.refused,
      first_refused: tally.examples, mended: tally.mended.values.reduce(0, +), mended_by_reason: tally.mended,
      first_mended: tally.mendedExamples, before: before, kept: kept, added: added, altered: altered, removed: removed,
      total: total, withheld: withheld?.code, purpose: purpose?.name)
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
    let mended: Int
    let mended_by_reason: [String: Int]
    let first_mended: [String: [Tally.Example]]
    let before, kept, added, altered, removed: UInt64
    let total: UInt64?
    let withheld: String?
    let purpose: String?
  }
}

extension Withheld {
  /// For people.
  var words: String {
    switch self {
    case .strict: "nothing is sent where lines were refused (--strict)"
    case .refused(let share) where share == 0: "no line may be refused for this list (--max-refused)"
    case .refused(let share): "more than \(percent(share)) percent of the lines were refused (--max-refused)"
    case .loss: "many of its numbers would go, and nobody said yes to it (--yes)"
    }
  }

  /// How to go on all the same.
  var wayOn: String {
    switch self {
    case .strict: "without --strict"
    case .refused: "with a larger --max-refused"
    case .loss: "with --yes"
    }
  }
}

/// `5`, `0.5`
func percent(_ share: Double) -> String { share == share.rounded() ? "\(Int(share))" : "\(share)" }

private func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

extension Tally {
  /// For people: what was refused, the most frequent first, and what was cleaned or left out beside numbers.
  var texts: [String] {
    Tally.texts(refused, examples)
      + Tally.texts(mended, mendedExamples).map { $0 + " (cleaned or left out; the number is there)" }
  }

  private static func texts(_ counts: [String: Int], _ examples: [String: [Example]]) -> [String] {
    let kinds = Refusal.allCases.filter { counts[$0.code] != nil }
      .sorted { (counts[$0.code]!, $1.rawValue) > (counts[$1.code]!, $0.rawValue) }
    return kinds.map { kind in
      let shown = (examples[kind.code] ?? []).map { "line \($0.line) '\(escaped($0.number))'" }
      return "  \(kind.code): \(counts[kind.code] ?? 0), \(kind.words): \(shown.joined(separator: ", "))"
    }
  }
}
