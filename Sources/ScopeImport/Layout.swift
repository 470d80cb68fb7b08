import ScopeModel

#if canImport(Glibc)
  import Glibc
#endif

/// Where in a record of CSV stands what.
struct CSVLayout: Sendable {
  struct Kept: Sendable {
    let index: Int
    let name: [UInt8]
  }

  let number: Int
  let label: Int?
  let timeZone: Int?
  let kept: [Kept]
  /// Cells of a record; nil: as many as there are.
  let columnCount: Int?

  /// - Parameter header: the first record; nil: columns are numbers.
  init(_ options: ImportOptions, header: [[UInt8]]?) throws(ImportError) {
    let columns = options.columns
    let finder = ColumnFinder(header: header)
    number = try finder.index(columns.number)
    let hasHeader = header != nil
    label = try columns.label.map(finder.index) ?? (hasHeader ? header!.firstIndex(of: Array("label".utf8)) : nil)
    timeZone =
      try columns.timeZone.map(finder.index) ?? (hasHeader ? header!.firstIndex(of: Array("time_zone".utf8)) : nil)
    let taken = [number, label, timeZone]
    let wanted =
      columns.keepsAll
      ? (header ?? []).indices.filter { !taken.contains($0) } : try columns.kept.map(finder.index)
    kept = try wanted.map { index throws(ImportError) in
      Kept(index: index, name: try CSVLayout.name(header?[index] ?? Array("column_\(index + 1)".utf8)))
    }
    columnCount = header?.count
    try CSVLayout.check(kept)
  }

  private static func name(_ bytes: [UInt8]) throws(ImportError) -> [UInt8] {
    if let error = bytes.withUnsafeBytes({ Name.error(in: $0) }) {
      throw ImportError(.badData, "the name of the column '\(text(bytes).prefix(40))' \(error)")
    }
    return bytes
  }

  private static func check(_ kept: [Kept]) throws(ImportError) {
    if kept.count > RowLimits.columns {
      throw ImportError(
        .badData, "\(kept.count) columns are to be kept; at most \(RowLimits.columns) are: name them with --keep")
    }
    if Set(kept.map(\.name)).count < kept.count {
      throw ImportError(.badData, "two of the columns to be kept have the same name")
    }
  }
}

/// For people: what is no UTF-8 is repaired.
private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// Columns by name, or by number where there is no header. Names are bytes.
private struct ColumnFinder {
  let header: [[UInt8]]?

  func index(_ column: String) throws(ImportError) -> Int {
    guard let header else {
      if let number = Int(column), (1...65_536).contains(number) { return number - 1 }
      throw ImportError(.badData, "without a header columns are numbers from 1, not '\(column)'")
    }
    if let index = header.firstIndex(of: Array(column.utf8)) { return index }
    throw ImportError(
      .badData,
      "there is no column '\(column)'; the first line has \(header.prefix(20).map { "'\(text($0))'" }.joined(separator: ", "))"
    )
  }
}

/// Which member of an object is what.
struct JSONLayout: Sendable {
  enum Role {
    case number, label, timeZone, kept, other
  }

  private let number: [UInt8]
  private let label: [UInt8]
  private let timeZone: [UInt8]
  private let kept: [[UInt8]]
  private let keepsAll: Bool

  init(_ columns: ImportOptions.Columns) {
    number = Array(columns.number.utf8)
    label = Array((columns.label ?? "label").utf8)
    timeZone = Array((columns.timeZone ?? "time_zone").utf8)
    kept = columns.kept.map { Array($0.utf8) }
    keepsAll = columns.keepsAll
  }

  func role(_ key: UnsafeRawBufferPointer) -> Role {
    if isEqual(key, number) { return .number }
    if isEqual(key, label) { return .label }
    if isEqual(key, timeZone) { return .timeZone }
    return keepsAll || kept.contains { isEqual(key, $0) } ? .kept : .other
  }
}

func isEqual(_ bytes: UnsafeRawBufferPointer, _ other: [UInt8]) -> Bool {
  bytes.count == other.count && other.withUnsafeBytes { isEqual(bytes, $0) }
}

func isEqual(_ bytes: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
  guard bytes.count == other.count else { return false }
  guard let base = bytes.baseAddress, let otherBase = other.baseAddress else { return true }
  return memcmp(base, otherBase, bytes.count) == 0
}
