import ScopeModel

/// The edits of a change as the log holds them: `[[before, after], …]`, each null or a row such as
/// `["object","queue","support","Support line","custom"]`.
enum EditsText {
  static func encode(_ edits: [Edit]) -> String {
    var json: [UInt8] = [UInt8(ascii: "[")]
    for (index, edit) in edits.enumerated() {
      json.append(contentsOf: index == 0 ? "[".utf8 : ",[".utf8)
      append(edit.before, to: &json)
      json.append(UInt8(ascii: ","))
      append(edit.after, to: &json)
      json.append(UInt8(ascii: "]"))
    }
    json.append(UInt8(ascii: "]"))
    return String(decoding: json, as: UTF8.self)
  }

  /// One fact in the same form, for people.
  static func encode(_ fact: Fact) -> String {
    var json: [UInt8] = []
    append(fact, to: &json)
    return String(decoding: json, as: UTF8.self)
  }

  static func decode(_ text: String) throws(DamagedRow) -> [Edit] {
    var reader = EditsReader(bytes: Array(text.utf8))
    return try reader.edits()
  }

  private static func append(_ fact: Fact?, to json: inout [UInt8]) {
    guard let fact else { return json.append(contentsOf: "null".utf8) }
    let row = FactRow(fact)
    json.append(UInt8(ascii: "["))
    quote(row.kind.rawValue, to: &json)
    for column in row.columns {
      json.append(UInt8(ascii: ","))
      quote(column, to: &json)
    }
    json.append(UInt8(ascii: "]"))
  }

  private static func quote(_ text: String, to json: inout [UInt8]) {
    json.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      if isEscapable(byte) { json.append(UInt8(ascii: "\\")) }
      json.append(byte)
    }
    json.append(UInt8(ascii: "\""))
  }
}

/// Names and remarks have no control characters: two characters alone need a backslash.
private func isEscapable(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") }

/// Reads what `EditsText` writes and nothing else: no spaces, no other escapes. Several times as fast as a
/// general JSON decoder, which counts where millions of edits are verified.
private struct EditsReader {
  let bytes: [UInt8]
  private var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func edits() throws(DamagedRow) -> [Edit] {
    var edits: [Edit] = []
    try expect("[")
    if !skip("]") {
      repeat { edits.append(try edit()) } while skip(",")
      try expect("]")
    }
    if position != bytes.count { throw unreadable }
    return edits
  }

  private mutating func edit() throws(DamagedRow) -> Edit {
    try expect("[")
    let before = try fact()
    try expect(",")
    let after = try fact()
    try expect("]")
    return Edit(before: before, after: after)
  }

  private mutating func fact() throws(DamagedRow) -> Fact? {
    if skip("n") {
      for letter in "ull".unicodeScalars { try expect(letter) }
      return nil
    }
    try expect("[")
    guard let kind = FactKind(rawValue: try string()) else { throw unreadable }
    var columns: [String] = []
    columns.reserveCapacity(4)
    while skip(",") { columns.append(try string()) }
    try expect("]")
    return try FactRow(kind: kind, columns: columns).fact()
  }

  private mutating func string() throws(DamagedRow) -> String {
    try expect("\"")
    let start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      if bytes[position] == UInt8(ascii: "\\") { return try escapedString(from: start) }
      position += 1
    }
    let text = bytes[start..<position]
    try expect("\"")
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func escapedString(from start: Int) throws(DamagedRow) -> String {
    var text = Array(bytes[start..<position])
    while !skip("\"") {
      let isEscape = skip("\\")
      guard position < bytes.count else { throw unreadable }
      if isEscape && !isEscapable(bytes[position]) { throw unreadable }
      text.append(bytes[position])
      position += 1
    }
    return String(decoding: text, as: UTF8.self)
  }

  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(DamagedRow) {
    if !skip(character) { throw unreadable }
  }

  private var unreadable: DamagedRow { DamagedRow("its edits can't be read at byte \(position)") }
}
