/// One line of JSON Lines: an object of texts, numbers, flags and nulls. What is escaped is unescaped in place.
struct JSONObject {
  /// Valid as long as the bytes of the line.
  struct Member {
    let key: UnsafeRawBufferPointer
    /// A text unescaped; numbers and flags as they are written; empty for null, an object and a list.
    let value: UnsafeRawBufferPointer
    /// What is wrong with the value, or with the text of the key.
    let fault: Refusal?
  }

  /// Objects and lists within each other, at most.
  private static let depth = 32

  private(set) var members: [Member] = []
  private var at: UnsafeMutablePointer<UInt8>
  private var end: UnsafeMutablePointer<UInt8>
  /// Of the member that is read.
  private var fault: Refusal?

  init() {
    // Replaced by the first line.
    (at, end) = (UnsafeMutablePointer(bitPattern: 1)!, UnsafeMutablePointer(bitPattern: 1)!)
  }

  /// Reads a line into `members`. Two members may have the same key.
  mutating func read(_ line: UnsafeMutableBufferPointer<UInt8>) throws(Refusal) {
    members.removeAll(keepingCapacity: true)
    at = line.baseAddress!
    end = at + line.count
    try take(0x7B)  // {
    if next() == 0x7D {
      at += 1
    } else {
      try takeMembers()
    }
    guard next() == nil else { throw .notJSON }
  }

  private mutating func takeMembers() throws(Refusal) {
    while true {
      fault = nil
      let key = try takeKey()
      let value = try takeValue(depth: 1)
      members.append(Member(key: key, value: value, fault: fault))
      guard let byte = next() else { throw .notJSON }
      at += 1
      if byte == 0x7D { return }
      if byte != ASCII.comma { throw .notJSON }
    }
  }

  private mutating func takeKey() throws(Refusal) -> UnsafeRawBufferPointer {
    guard next() == ASCII.quote else { throw .notJSON }
    let key = try takeText()
    try take(0x3A)  // :
    return key
  }

  private mutating func takeValue(depth: Int) throws(Refusal) -> UnsafeRawBufferPointer {
    switch next() {
    case ASCII.quote: return try takeText()
    case 0x7B: return try passOver(closing: 0x7D, depth: depth)
    case 0x5B: return try passOver(closing: 0x5D, depth: depth)
    case 0x74: return try takeWord("true")
    case 0x66: return try takeWord("false")
    case 0x6E:
      _ = try takeWord("null")
      return UnsafeRawBufferPointer(start: at, count: 0)
    default: return try takeNumber()
    }
  }

  /// An object or a list, of which nothing is kept.
  private mutating func passOver(closing: UInt8, depth: Int) throws(Refusal) -> UnsafeRawBufferPointer {
    if depth == JSONObject.depth { throw .nestedValue }
    at += 1
    if next() == closing {
      at += 1
    } else {
      while true {
        if closing == 0x7D { _ = try takeKey() }
        _ = try takeValue(depth: depth + 1)
        guard let byte = next() else { throw .notJSON }
        at += 1
        if byte == closing { break }
        if byte != ASCII.comma { throw .notJSON }
      }
    }
    fault = .nestedValue
    return UnsafeRawBufferPointer(start: at, count: 0)
  }

  private mutating func takeWord(_ word: StaticString) throws(Refusal) -> UnsafeRawBufferPointer {
    let count = word.utf8CodeUnitCount
    let isThere = end - at >= count && (0..<count).allSatisfy { at[$0] == word.utf8Start[$0] }
    guard isThere else { throw .notJSON }
    defer { at += count }
    return UnsafeRawBufferPointer(start: at, count: count)
  }

  private mutating func takeNumber() throws(Refusal) -> UnsafeRawBufferPointer {
    let start = at
    if peek == 0x2D { at += 1 }
    if peek == ASCII.zero { at += 1 } else { try takeDigits() }
    if peek == 0x2E {
      at += 1
      try takeDigits()
    }
    if peek == 0x65 || peek == 0x45 {
      at += 1
      if peek == ASCII.plus || peek == 0x2D { at += 1 }
      try takeDigits()
    }
    return UnsafeRawBufferPointer(start: start, count: at - start)
  }

  private mutating func takeDigits() throws(Refusal) {
    let start = at
    while at < end && ASCII.isDigit(at.pointee) { at += 1 }
    if at == start { throw .notJSON }
  }

  // MARK: - Texts

  private mutating func takeText() throws(Refusal) -> UnsafeRawBufferPointer {
    at += 1
    let start = at
    while at < end && at.pointee != ASCII.quote && at.pointee != ASCII.backslash && at.pointee >= 0x20 { at += 1 }
    var to = at  // behind the text, which moves up for each escape
    while true {
      guard at < end, at.pointee >= 0x20 else { throw .notJSON }
      let byte = at.pointee
      at += 1
      if byte == ASCII.quote { return UnsafeRawBufferPointer(start: start, count: to - start) }
      if byte == ASCII.backslash {
        try takeEscape(&to)
      } else {
        to.pointee = byte
        to += 1
      }
    }
  }

  /// What stands behind a backslash. It takes no more room than the escape.
  private mutating func takeEscape(_ to: inout UnsafeMutablePointer<UInt8>) throws(Refusal) {
    guard at < end else { throw .notJSON }
    let byte = at.pointee
    at += 1
    if byte == 0x75 { return try takeCodePoint(&to) }
    switch byte {
    case ASCII.quote, ASCII.backslash, 0x2F: to.pointee = byte
    case 0x62: to.pointee = 0x08
    case 0x66: to.pointee = 0x0C
    case 0x6E: to.pointee = ASCII.lineFeed
    case 0x72: to.pointee = ASCII.carriageReturn
    case 0x74: to.pointee = ASCII.tab
    default: throw .notJSON
    }
    to += 1
  }

  private mutating func takeCodePoint(_ to: inout UnsafeMutablePointer<UInt8>) throws(Refusal) {
    var code = try takeHexadecimal()
    if 0xD800..<0xDC00 ~= code, end - at >= 6, at[0] == ASCII.backslash, at[1] == 0x75 {
      let behind = at
      at += 2
      let low = try takeHexadecimal()
      if 0xDC00..<0xE000 ~= low {
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      } else {
        at = behind
      }
    }
    let scalar = Unicode.Scalar(code)
    if scalar == nil { fault = .halfCharacter }
    for unit in UTF8.encode(scalar ?? "\u{FFFD}")! {
      to.pointee = unit
      to += 1
    }
  }

  private mutating func takeHexadecimal() throws(Refusal) -> UInt32 {
    guard end - at >= 4 else { throw .notJSON }
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = hexadecimal(at.pointee) else { throw .notJSON }
      code = code << 4 | digit
      at += 1
    }
    return code
  }

  private func hexadecimal(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte - 0x30)
    case 0x41...0x46: UInt32(byte - 0x37)
    case 0x61...0x66: UInt32(byte - 0x57)
    default: nil
    }
  }

  // MARK: - Bytes

  private var peek: UInt8? { at < end ? at.pointee : nil }

  /// The next byte that is no space.
  private mutating func next() -> UInt8? {
    while at < end {
      switch at.pointee {
      case ASCII.space, ASCII.tab, ASCII.carriageReturn, ASCII.lineFeed: at += 1
      default: return at.pointee
      }
    }
    return nil
  }

  private mutating func take(_ byte: UInt8) throws(Refusal) {
    guard next() == byte else { throw .notJSON }
    at += 1
  }
}
