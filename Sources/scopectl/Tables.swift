import Foundation
import ScopeClient

/// A column layout that fits its contents and, on a terminal, the terminal.
func printTable(_ rows: [[String]], indent: Int = 0) {
  guard let columns = rows.map(\.count).max() else { return }
  let rows = rows.map { $0.map(escaped) }
  var widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
  if let terminal = terminalWidth { narrow(&widths, to: terminal - indent) }
  for row in rows {
    let last = row.lastIndex { !$0.isEmpty } ?? 0
    let cells = row.prefix(last + 1).enumerated().map { index, cell in
      let cell = cut(cell, to: widths[index])
      return index == last ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
    }
    let line = String(repeating: " ", count: indent) + cells.joined(separator: columnGap)
    print(line)
  }
}

private let columnGap = "  "
/// Below this a column tells nothing any more.
private let narrowest = 8

/// Columns of the terminal on standard output; nil: it is none, and nothing may be cut.
private var terminalWidth: Int? {
  guard isatty(1) == 1 else { return nil }
  if let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap({ Int($0) }), columns > 0 { return columns }
  var size = winsize()
  guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
  return Int(size.ws_col)
}

/// Takes from the widest column, the last of several, until all fit; from the first only in the end, for ids stand
/// there.
private func narrow(_ widths: inout [Int], to terminal: Int) {
  var over = widths.reduce(0, +) + columnGap.count * (widths.count - 1) - terminal
  while over > 0 {
    let others = widths.indices.dropFirst().reversed().filter { widths[$0] > narrowest }
    guard let widest = others.max(by: { widths[$0] < widths[$1] }) ?? widths.indices.first,
      widths[widest] > narrowest
    else { return }
    widths[widest] -= 1
    over -= 1
  }
}

private func cut(_ cell: String, to width: Int) -> String { cell.count > width ? cell.prefix(width - 1) + "…" : cell }

/// `clinic, shop and 3 more`
func listed(_ items: [String], of total: Int) -> String {
  items.joined(separator: ", ") + (total > items.count ? " and \(total - items.count) more" : "")
}

/// `queue:support Support line`; a name that is the id is not said twice.
func titled(_ type: String, _ id: String, _ name: String) -> String {
  isSame(name, id) ? "\(type):\(id)" : "\(type):\(id) \(name)"
}

extension [String] {
  /// `["queue:support", "Support line"]`, for a table.
  init(_ type: String, _ id: String, _ name: String) { self = ["\(type):\(id)", isSame(name, id) ? "" : name] }
}
