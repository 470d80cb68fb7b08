import Foundation
import ScopeClient

/// Rows of things below a header, in columns that fit their contents and, on a terminal, the terminal. Where that is too
/// narrow for columns, each row is a block of lines.
///
/// - Parameters:
///   - header: empty: none is wanted.
///   - none: what is said on standard error where there are no rows.
func printTable(_ header: [String], _ rows: [[Styled]], indent: Int = 0, none: String = "") {
  if rows.isEmpty {
    if !none.isEmpty { StandardError.line(none) }
    return
  }
  let head = header.isEmpty ? [] : [header.map { Styled($0) }]
  let table = Table(head + rows, indent: indent)
  if table.fits { table.print() } else { printBlocks(header, rows, indent: indent) }
}

func printTable(_ header: [String], _ rows: [[String]], indent: Int = 0, none: String = "") {
  printTable(header, rows.map { $0.map { Styled(cell: $0) } }, indent: indent, none: none)
}

/// What is known of one thing: a name and a value on each line.
func printFields(_ rows: [[String]]) { Table(rows.map { $0.map { Styled(cell: $0) } }, indent: 0).print() }

/// Items with commas between them; where the terminal ends, the line goes on below.
func printWrapped(_ items: [String], after head: String) {
  var line = head
  for (index, item) in items.enumerated() {
    let item = item + (index == items.count - 1 ? "" : ",")
    if line.count + item.count > terminalWidth ?? .max {
      print(line)
      line = " "
    }
    line += (index == 0 ? "" : " ") + item
  }
  print(line)
}

/// A line for each cell, a blank one between two rows.
private func printBlocks(_ header: [String], _ rows: [[Styled]], indent: Int) {
  let name = header.map(\.count).max() ?? 0
  for (index, row) in rows.enumerated() {
    if index > 0 { print("") }
    for (column, (title, cell)) in zip(header, row).enumerated() where !cell.isEmpty {
      let padded = String(repeating: " ", count: indent) + title + String(repeating: " ", count: name - title.count)
      let room = (terminalWidth ?? .max) - indent - name - columnGap.count
      print(Styled(padded + columnGap) + (column == 0 ? cell : cell.cut(to: max(narrowest, room))))
    }
  }
}

private let columnGap = "  "
/// Below this a column tells nothing any more.
private let narrowest = 8

/// Columns of the terminal on standard output; nil: it is none, and nothing may be cut.
private let terminalWidth: Int? = {
  guard StandardOutput.isTerminal else { return nil }
  if let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap({ Int($0) }), columns > 0 { return columns }
  var size = winsize()
  guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
  return Int(size.ws_col)
}()

private struct Table {
  private let rows: [[Styled]]
  private let indent: Int
  private var widths: [Int]
  /// All of it has room, the first column in full, for ids stand there.
  private(set) var fits = true

  init(_ rows: [[Styled]], indent: Int) {
    (self.rows, self.indent) = (rows, indent)
    let columns = rows.map(\.count).max() ?? 0
    widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].width : 0 }.max() ?? 0 }
    if let terminalWidth { narrow(to: terminalWidth - indent) }
  }

  /// Takes from the widest column, the last of several, until all fit.
  private mutating func narrow(to terminal: Int) {
    var over = widths.reduce(0, +) + columnGap.count * (widths.count - 1) - terminal
    while over > 0 {
      let others = widths.indices.dropFirst().reversed().filter { widths[$0] > narrowest }
      guard let widest = others.max(by: { widths[$0] < widths[$1] }) else {
        fits = false
        return
      }
      widths[widest] -= 1
      over -= 1
    }
  }

  func print() {
    for row in rows {
      let last = row.lastIndex { !$0.isEmpty } ?? 0
      var line = Styled(String(repeating: " ", count: indent))
      for (index, cell) in row.prefix(last + 1).enumerated() {
        let cell = index == 0 ? cell : cell.cut(to: widths[index])
        let gap = index == last ? "" : String(repeating: " ", count: max(0, widths[index] - cell.width)) + columnGap
        line = line + cell + gap
      }
      scopectl.print(line)
    }
  }
}

/// `clinic, shop and 3 more`
func listed(_ items: [String], of total: Int) -> String {
  items.joined(separator: ", ") + (total > items.count ? " and \(total - items.count) more" : "")
}

/// `project:clinic, project:shop and 3 more`
func listed(_ type: String, _ ids: [String], of total: Int) -> String {
  listed(ids.map { "\(type):\($0)" }, of: total)
}

/// `queue:support Support line`; a name that is the id is not said twice.
func titled(_ type: String, _ id: String, _ name: String) -> String {
  isSame(name, id) ? "\(type):\(id)" : "\(type):\(id) \(name)"
}

extension [String] {
  /// `["queue:support", "Support line"]`, for a table.
  init(_ type: String, _ id: String, _ name: String) { self = ["\(type):\(id)", isSame(name, id) ? "" : name] }
}
