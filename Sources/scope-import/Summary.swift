import Foundation
import ScopeClient
import ScopeImport

extension ImportSummary {
  /// For people.
  func text(_ options: ImportOptions, isDryRun: Bool) -> String {
    let head =
      "\(counted(tally.lines, "line")) read: \(counted(numbers, "number")), \(tally.refusedLines) refused, "
      + "\(counted(duplicates, "duplicate"))"
    let made = isCreated ? ["list \(options.list) was made"] : []
    return ([head] + tally.texts + made + [outcome(options, isDryRun)]).joined(separator: "\n")
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
    jsonObject([
      ("list", .ref("list", options.list)), ("mode", .text(options.mode.rawValue)), ("dry_run", .flag(isDryRun)),
      ("created", .flag(isCreated)), ("lines", .count(tally.lines)), ("numbers", .count(numbers)),
      ("duplicates", .count(duplicates)), ("refused", .count(tally.refusedLines)),
      ("refused_by_reason", counts(tally.refused)), ("first_refused", examples(tally.examples)),
      ("mended", .count(tally.mended.values.reduce(0, +))), ("mended_by_reason", counts(tally.mended)),
      ("first_mended", examples(tally.mendedExamples)), ("before", .number(before)), ("kept", .number(kept)),
      ("added", .number(added)), ("altered", .number(altered)), ("removed", .number(removed)),
      ("total", total.map { .number($0) } ?? .null), ("withheld", .optional(withheld?.code ?? "")),
      ("purpose", .optional(purpose?.name ?? "")), ("revision", revision.map { .number($0) } ?? .null),
    ])
  }

  private func counts(_ counts: [String: Int]) -> JSONValue {
    .object(counts.sorted { $0.key < $1.key }.map { ($0.key, .count($0.value)) })
  }

  private func examples(_ examples: [String: [Tally.Example]]) -> JSONValue {
    .object(
      examples.sorted { $0.key < $1.key }.map { reason, some in
        (reason, .objects(some.map { [("line", .count($0.line)), ("number", .text($0.number))] }))
      })
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
