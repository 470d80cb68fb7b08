import Foundation

/// The report for people, in 100 columns.
struct Table {
  let report: Report

  var text: String {
    [head, closed, open, index, changes, targets].joined(separator: "\n\n")
  }

  private var head: String {
    let quick = report.isQuick ? ", quick" : ""
    return """
      scoped beside others, \(report.date), commit \(report.commit), medians of \(report.rounds) rounds\(quick)
      \(report.machine)
      """ + "\n" + Table.wrap(report.pinning) + "\n" + Table.wrap(report.questions)
  }

  // MARK: - Load

  private var closed: String {
    let heads = ["p50", "p99", "p99.9", "1", "16", "64", "8", "64", "ns", "M ids/s"]
    let spans = [("depth 1, µs", 3), ("thousand/s at depth", 3), ("connections", 2), ("CPU", 1), ("filter", 1)]
    let rows = report.contestants.map { contestant -> String in
      let turns = contestant.turns
      let one = turns["depth1"]!
      let rates = ["depth1", "depth16", "depth64", "connections8", "connections64"].map { turns[$0]!.perSecond / 1e3 }
      let last = [turns["depth64"]!.processorNanosecondsPerAnswer ?? 0, turns["filter1000"]!.perSecond / 1e3]
      return row(contestant.name, [one.p50Microseconds, one.p99Microseconds, one.p999Microseconds] + rates + last)
    }
    let title = "Closed loop (CPU: the contestant's, for a check at depth 64; filter: 1,000 ids a request)"
    return ([title, Table.spans(spans), Table.row("", heads)] + rows).joined(separator: "\n")
  }

  private var open: String {
    let spans = Turn.rates.map { ("\(Table.number(Double($0))) a second", 3) }
    let heads = Turn.rates.flatMap { _ in ["p50", "p99", "p99.9"] }
    let rows = report.contestants.flatMap { contestant in
      [("", contestant.name), ("_busy", "\(contestant.name), busy")].compactMap { suffix, name -> String? in
        let samples = Turn.rates.compactMap { contestant.turns["open\($0)\(suffix)"] }
        if samples.count < Turn.rates.count { return nil }
        return row(name, samples.flatMap { [$0.p50Microseconds, $0.p99Microseconds, $0.p999Microseconds] })
      }
    }
    let late = report.contestants.flatMap(\.turns.values).compactMap(\.clientLateP999Microseconds).max()!
    let title =
      "Open loop, µs from when a check was due (busy: \(Turn.changesPerSecond) changes a second are committed)"
    let foot = "of it, the client's own lateness is at most \(Table.number(late)) µs (p99.9)"
    return ([title, Table.spans(spans), Table.row("", heads)] + rows + [foot]).joined(separator: "\n")
  }

  // MARK: - In the process

  private var index: String {
    let sizes = report.index.sizes + [report.index.large]
    let rows = sizes.map { size in
      Table.row(
        Table.number(Double(size.objects)),
        [
          Table.number(Double(size.companies)), Table.number(size.checkNanoseconds),
          Table.number(Double(size.indexBytes) / 1e6),
        ], width: 12)
    }
    let bytes = report.index.objectBytes
    return
      (["Inside the index, without a socket: random company, user and object"]
      + [Table.row("objects", ["companies", "ns a check", "index MB"], width: 12)] + rows
      + [
        "an object in one project: \(Table.number(bytes.perObject)) bytes beyond the \(Table.number(bytes.idBytes)) of "
          + "its id, of them \(Table.number(bytes.ofNames)) for its name"
      ]).joined(separator: "\n")
  }

  private var changes: String {
    func row(_ name: String, _ kind: ChangeBenchmark.Visible) -> String {
      let figures = [kind.p50Milliseconds, kind.syncP50Milliseconds, kind.beyondSyncMilliseconds]
      return Table.row(name, figures.map(Table.number) + [Table.number(Double(kind.bytesPerChange) / 1024)], width: 12)
    }
    let writers = report.changes.writers
    return [
      "Changes in a company of 200,000 objects: until every later check sees them, p50 ms",
      Table.row("", ["visible", "fsync alone", "beyond it", "KiB written"], width: 12),
      row("membership", report.changes.membership), row("new object", report.changes.object),
      "durable changes a second: \(Table.number(writers.one)) by 1 writer, \(Table.number(writers.sixtyFour)) by 64",
    ].joined(separator: "\n")
  }

  // MARK: - Targets

  private var targets: String {
    let rows = Target.all.map { target in
      let value = report.ratios[target.key] ?? report.absolutes[target.key]!
      let cells = [Table.number(value), target.bound.words, target.bound.holds(value) ? "holds" : "MISSED"]
      return Table.row(target.words, cells, width: 13, first: 52)
    }
    return (["Targets; scoped divided by the other: of times less is better, of rates more"] + rows)
      .joined(separator: "\n")
  }

  // MARK: - Cells

  private func row(_ name: String, _ values: [Double]) -> String { Table.row(name, values.map(Table.number)) }

  /// Heads over so many columns each.
  private static func spans(_ spans: [(head: String, columns: Int)]) -> String {
    String(repeating: " ", count: 18)
      + spans.map { String(repeating: " ", count: 8 * $0.columns - $0.head.count) + $0.head }.joined()
  }

  static func row(_ name: String, _ cells: [String], width: Int = 8, first: Int = 18) -> String {
    let left = name + String(repeating: " ", count: max(0, first - name.count))
    return left + cells.map { String(repeating: " ", count: max(1, width - $0.count)) + $0 }.joined()
  }

  /// Three digits that count, and thousands apart.
  static func number(_ value: Double) -> String {
    let size = abs(value)
    let digits = size >= 100 || value == value.rounded() ? 0 : size >= 10 ? 1 : 2
    let text = String(format: "%.\(digits)f", value)
    let whole = text.prefix { $0 != "." }
    let groups = stride(from: whole.count, to: 0, by: -3).map { end in
      whole.prefix(end).suffix(min(3, end))
    }
    return groups.reversed().joined(separator: ",") + text.dropFirst(whole.count)
  }

  /// Lines of at most 100 columns.
  static func wrap(_ text: String) -> String {
    text.split(separator: " ").reduce(into: [""]) { lines, word in
      let line = lines.last!.isEmpty ? String(word) : "\(lines.last!) \(word)"
      if line.count <= 100 { lines[lines.count - 1] = line } else { lines.append(String(word)) }
    }.joined(separator: "\n")
  }
}
