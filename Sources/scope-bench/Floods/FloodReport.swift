import Foundation

/// The table of all floods: text in 100 columns, or one object of JSON.
struct FloodReport: Codable {
  let machine: String
  let date: String
  let commit: String
  let isQuick: Bool
  let conditions: String
  var rows: [FloodRow] = []

  enum CodingKeys: String, CodingKey {
    case machine, date, commit, conditions, rows
    case isQuick = "quick"
  }

  init(isQuick: Bool, afterSeconds: Int) {
    machine = Machine.words
    date = Machine.date
    commit = Machine.commit
    self.isQuick = isQuick
    conditions = """
      honest client: 500 checks a second, open loop, latency from when each was due, over a connection for each of \
      the daemon's threads; every answer is compared with the model's. lost: refused, or never answered. Measured \
      are the flood and the two seconds after it. Flooders: a process of their own, nice 19, on the last CPU; the \
      honest client runs ahead of all others where it may, as on a machine of its own; the daemon as it likes. peak, last: MiB of resident memory over that at rest; back: \
      seconds until it was within \(Int(FloodRow.backBound)) MiB of that, of \(afterSeconds). A daemon that ended, or \
      whose memory did not come back, was started anew for the next flood. echo: the honest client beside a flood of \
      another program: what the instrument itself adds
      """
  }

  var holds: Bool { rows.allSatisfy(\.misses.isEmpty) }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try! encoder.encode(self), as: UTF8.self)  // numbers and texts only
  }

  // MARK: - Text

  var text: String {
    let parts = [head, table, writers, floods, legend].filter { !$0.isEmpty }
    return parts.joined(separator: "\n\n")
  }

  private var head: String {
    "scoped beside floods, \(date), commit \(commit)\(isQuick ? ", quick" : "")\n\(machine)\n" + Table.wrap(conditions)
  }

  private var table: String {
    let heads = ["p50 ms", "p99 ms", "max ms", "wrong", "lost", "peak", "last", "back s"]
    let lines = rows.map { row in
      let memory = row.memory.map(FloodReport.cells) ?? ["-", "-", "-"]
      let figures = [row.p50, row.p99, row.maximum, Double(row.wrong), Double(row.unserved)].map(Table.number)
      return FloodReport.line(row.name, figures + memory, FloodReport.verdict(row))
    }
    let bounds = FloodReport.line("target", ["", "≤ 5", "", "0", "0", "≤ 512", "≤ 32", ""], "never-read 100, idle 150")
    return ([FloodReport.line("", heads, ""), bounds] + lines).joined(separator: "\n")
  }

  private static func line(_ name: String, _ cells: [String], _ end: String) -> String {
    Table.row(name, cells, width: 7, first: 15) + (end.isEmpty ? "" : "  \(end)")
  }

  private static func cells(_ memory: FloodRow.Memory) -> [String] {
    let back = memory.backAfterSeconds.map { "\(Int($0.rounded(.up)))" } ?? "never"
    return [memory.peak, memory.last].map { "\(Int($0.rounded()))" } + [back]
  }

  private static func verdict(_ row: FloodRow) -> String {
    let misses = row.misses.filter { $0 != FloodRow.missedChanges }
    return misses.isEmpty ? "holds" : "MISSED " + misses.joined(separator: " ")
  }

  private var writers: String {
    let lines = rows.compactMap { row in
      row.writer.map { writer in
        let figures = [writer.p50, writer.p99, writer.maximum, Double(writer.asked), Double(writer.unserved)]
        let verdict = row.misses.contains(FloodRow.missedChanges) ? "MISSED lost" : "holds"
        return Table.row(row.name, figures.map(Table.number), width: 10, first: 16) + "  \(verdict)"
      }
    }
    if lines.isEmpty { return "" }
    let heads = ["p50 ms", "p99 ms", "max ms", "changes", "lost"]
    return (["Beside that, one change at a time, 20 a second"] + [Table.row("", heads, width: 10, first: 16)] + lines)
      .joined(separator: "\n")
  }

  private var floods: String {
    let lines = rows.compactMap { row in row.flood.map { FloodReport.line(row, $0) } }
    if lines.isEmpty { return "" }
    let heads = ["opened", "closed", "age s", "left s", "sent", "done", "refused", "CPU s", "late"]
    return
      ([Table.wrap(FloodReport.floodWords)]
      + [FloodReport.line("", heads, "")] + lines).joined(separator: "\n")
  }

  private static let floodWords = """
    What the floods did: connections opened, closed by the daemon, their age then (median), and that of the oldest \
    left; requests sent, answered and refused; the daemon's time on processors; how late the honest client itself \
    was to ask (p99, ms)
    """

  private static func line(_ row: FloodRow, _ flood: FloodCounts) -> String {
    let refused = flood.refused.values.reduce(0, +)
    let counts = [
      Double(flood.opened), Double(flood.closed), flood.closedAfterP50, flood.oldestLeft, Double(flood.frames),
      Double(flood.answered), Double(refused), row.processorSeconds, row.clientLateP99,
    ]
    return line(row.name, counts.map(FloodReport.short), row.ended.map { "ended: \($0)" } ?? "")
  }

  /// Thousands and millions by a letter: seven columns at most.
  private static func short(_ value: Double) -> String {
    switch value {
    case 1e6...: Table.number(value / 1e6) + "M"
    case 1e5...: Table.number(value / 1e3) + "k"
    default: Table.number(value)
    }
  }

  private var legend: String {
    rows.map { row in Table.row(row.name, [], first: 16) + row.words }.joined(separator: "\n")
  }
}
