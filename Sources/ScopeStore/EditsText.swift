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

  /// A summary of access: `[["3","0"],["gained","1001","Anna","queue","support","Support line"],…]`.
  static func encode(_ access: AccessSummary) -> String {
    var json: [UInt8] = [UInt8(ascii: "[")]
    json.reserveCapacity(128 * (access.first.count + 1))
    append(to: &json, "\(access.gained)", "\(access.lost)")
    for row in access.first {
      json.append(UInt8(ascii: ","))
      append(
        to: &json, row.isGained ? "gained" : "lost", row.user.text, row.userName.text, row.object.type.name,
        row.object.id.text, row.objectName.text)
    }
    json.append(UInt8(ascii: "]"))
    return String(decoding: json, as: UTF8.self)
  }

  static func decodeAccess(_ text: String) throws(DamagedRow) -> AccessSummary {
    var reader = EditsReader(bytes: Array(text.utf8))
    return try reader.access()
  }

  private static func append(to json: inout [UInt8], _ columns: String...) {
    for (index, column) in columns.enumerated() {
      json.append(UInt8(ascii: index == 0 ? "[" : ","))
      quote(column, to: &json)
    }
    json.append(UInt8(ascii: "]"))
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
    var text = text
    text.withUTF8 { bytes in
      if !bytes.contains(where: isEscapable) { return json.append(contentsOf: bytes) }
      for byte in bytes {
        if isEscapable(byte) { json.append(UInt8(ascii: "\\")) }
        json.append(byte)
      }
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

  mutating func access() throws(DamagedRow) -> AccessSummary {
    var access = AccessSummary()
    try expect("[")
    let counts = try row()
    guard counts.count == 2, let gained = Int(counts[0]), let lost = Int(counts[1]), gained >= 0, lost >= 0,
      !gained.addingReportingOverflow(lost).overflow
    else { throw unreadable }
    (access.gained, access.lost) = (gained, lost)
    while skip(",") { access.first.append(try accessRow()) }
    try expect("]")
    if position != bytes.count { throw unreadable }
    return access
  }

  private mutating func accessRow() throws(DamagedRow) -> AccessSummary.Row {
    let columns = try row()
    guard columns.count == 6, ["gained", "lost"].contains(columns[0]), let type = TargetType(name: columns[3]) else {
      throw unreadable
    }
    return AccessSummary.Row(
      user: try Name(stored: columns[1]), userName: try Name(stored: columns[2]),
      object: Target(type, try Name(stored: columns[4])), objectName: try Name(stored: columns[5]),
      isGained: columns[0] == "gained")
  }

  private mutating func row() throws(DamagedRow) -> [String] {
    try expect("[")
    var columns = [try string()]
    while skip(",") { columns.append(try string()) }
    try expect("]")
    return columns
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
