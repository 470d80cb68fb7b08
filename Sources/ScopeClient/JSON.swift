/// A JSON value as it is written: texts byte for byte, members in their order.
///
/// Foundation's readers drop a byte order mark at the beginning of a text, and take two forms of one letter for the
/// same key. Names are bytes, so these lines are read by this.
indirect enum JSON {
  case object([Member])
  case list([JSON])
  case text(String)
  case flag(Bool)
  /// Which, nobody asks here.
  case number
  case null

  struct Member {
    let key: String
    let value: JSON
  }

  /// What is wrong with it, in words.
  struct Fault: Error, Hashable {
    let description: String
    static let notJSON = Fault(description: "not JSON")
  }

  /// Reads one value and nothing behind it.
  init(_ bytes: some Sequence<UInt8>) throws(Fault) {
    var reader = JSONReader(Array(bytes))
    self = try reader.value(depth: 0)
    guard reader.isAtEnd else { throw .notJSON }
  }
}

private struct JSONReader {
  /// How deep objects and lists stand in one another.
  private static let maximumDepth = 16

  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Nothing but spaces is left.
  var isAtEnd: Bool {
    mutating get { next() == nil }
  }

  mutating func value(depth: Int) throws(JSON.Fault) -> JSON {
    if depth > JSONReader.maximumDepth { throw JSON.Fault(description: "too deep") }
    switch next() {
    case UInt8(ascii: "{"): return .object(try members(depth + 1))
    case UInt8(ascii: "["): return .list(try elements(depth + 1))
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "t"): return try word("true", .flag(true))
    case UInt8(ascii: "f"): return try word("false", .flag(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func members(_ depth: Int) throws(JSON.Fault) -> [JSON.Member] {
    var members: [JSON.Member] = []
    at += 1
    if skip("}") { return members }
    repeat {
      guard next() == UInt8(ascii: "\"") else { throw .notJSON }
      let key = try text()
      guard skip(":") else { throw .notJSON }
      members.append(JSON.Member(key: key, value: try value(depth: depth)))
    } while skip(",")
    guard skip("}") else { throw .notJSON }
    return members
  }

  private mutating func elements(_ depth: Int) throws(JSON.Fault) -> [JSON] {
    var elements: [JSON] = []
    at += 1
    if skip("]") { return elements }
    repeat { elements.append(try value(depth: depth)) } while skip(",")
    guard skip("]") else { throw .notJSON }
    return elements
  }

  private mutating func word(_ word: StaticString, _ value: JSON) throws(JSON.Fault) -> JSON {
    let isThere = word.withUTF8Buffer { bytes[at...].starts(with: $0) }
    guard isThere else { throw .notJSON }
    at += word.utf8CodeUnitCount
    return value
  }

  private mutating func number() throws(JSON.Fault) -> JSON {
    if peek == UInt8(ascii: "-") { at += 1 }
    if peek == UInt8(ascii: "0") { at += 1 } else { try digits() }
    if peek == UInt8(ascii: ".") {
      at += 1
      try digits()
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      at += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    return .number
  }

  private mutating func digits() throws(JSON.Fault) {
    let start = at
    while let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { at += 1 }
    if at == start { throw .notJSON }
  }
}

// MARK: - Texts

extension JSONReader {
  /// At the quote that opens it. What is not escaped is taken as it is.
  private mutating func text() throws(JSON.Fault) -> String {
    at += 1
    var text: [UInt8] = []
    while true {
      guard let byte = peek, byte >= 0x20 else { throw .notJSON }
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return try valid(text)
      case UInt8(ascii: "\\"): try escape(&text)
      default: text.append(byte)
      }
    }
  }

  private func valid(_ bytes: [UInt8]) throws(JSON.Fault) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw JSON.Fault(description: "not valid UTF-8")
    }
    return text
  }

  private mutating func escape(_ text: inout [UInt8]) throws(JSON.Fault) {
    guard let byte = peek else { throw .notJSON }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): text += UTF8.encode(try scalar())!
    default: throw .notJSON
    }
  }

  /// Behind `\u`: four digits, or two times four for what lies above U+FFFF. Half of such a pair is nothing.
  private mutating func scalar() throws(JSON.Fault) -> Unicode.Scalar {
    var code = try hexadecimal()
    if 0xD800..<0xDC00 ~= code, bytes[at...].starts(with: "\\u".utf8) {
      at += 2
      let low = try hexadecimal()
      guard 0xDC00..<0xE000 ~= low else { throw JSONReader.halfPair }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw JSONReader.halfPair }
    return scalar
  }

  private static let halfPair = JSON.Fault(description: "half of a surrogate pair")

  private mutating func hexadecimal() throws(JSON.Fault) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = peek.flatMap(Self.digit) else { throw .notJSON }
      code = code << 4 | digit
      at += 1
    }
    return code
  }

  private static func digit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  // MARK: - Bytes

  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  /// The next byte that is no space.
  private mutating func next() -> UInt8? {
    while let byte = peek {
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: at += 1
      default: return byte
      }
    }
    return nil
  }

  private mutating func skip(_ byte: Unicode.Scalar) -> Bool {
    guard next() == UInt8(ascii: byte) else { return false }
    at += 1
    return true
  }
}
