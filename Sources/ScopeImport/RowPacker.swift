import ScopeModel

/// What the daemon takes beside a number.
enum RowLimits {
  static let labelBytes = 128
  static let timeZoneBytes = 128
  static let columns = 32
  /// Label, time zone and columns as packed.
  static let besideBytes = 1_024
}

/// Packs what stands beside a number as the fields 2 to 4 of `scope.v1.NumberRow`.
struct RowPacker: ~Copyable {
  private enum Key {
    static let label: UInt8 = 2 << 3 | 2
    static let timeZone: UInt8 = 3 << 3 | 2
    static let column: UInt8 = 4 << 3 | 2
    static let columnName: UInt8 = 1 << 3 | 2
    static let columnValue: UInt8 = 2 << 3 | 2
  }

  private let memory = UnsafeMutableRawPointer.allocate(byteCount: RowLimits.besideBytes, alignment: 8)
  private var count = 0
  private var columns = 0

  deinit { memory.deallocate() }

  /// The row so far; valid until it is altered.
  var packed: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

  mutating func clear() { (count, columns) = (0, 0) }

  mutating func addLabel(_ text: UnsafeRawBufferPointer) throws(Refusal) {
    if text.count > RowLimits.labelBytes { throw .labelTooLong }
    try add(Key.label, text)
  }

  mutating func addTimeZone(_ text: UnsafeRawBufferPointer) throws(Refusal) {
    if text.count > RowLimits.timeZoneBytes { throw .timeZoneTooLong }
    try add(Key.timeZone, text)
  }

  /// An empty value is left out.
  ///
  /// - Parameter name: a valid name.
  mutating func addColumn(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(Refusal) {
    if value.isEmpty { return }
    columns += 1
    if columns > RowLimits.columns { throw .tooManyColumns }
    try RowPacker.check(value)
    let inner = RowPacker.bytes(of: name) + RowPacker.bytes(of: value)
    try reserve(1 + RowPacker.lengthBytes(inner) + inner)
    put(Key.column, length: inner)
    put(Key.columnName, name)
    put(Key.columnValue, value)
  }

  mutating func addColumn(_ name: [UInt8], _ value: UnsafeRawBufferPointer) throws(Refusal) {
    try name.withUnsafeBufferPointer { name throws(Refusal) in try addColumn(UnsafeRawBufferPointer(name), value) }
  }

  private mutating func add(_ key: UInt8, _ text: UnsafeRawBufferPointer) throws(Refusal) {
    if text.isEmpty { return }
    try RowPacker.check(text)
    try reserve(RowPacker.bytes(of: text))
    put(key, text)
  }

  private func reserve(_ bytes: Int) throws(Refusal) {
    if count + bytes > RowLimits.besideBytes { throw .rowTooLarge }
  }

  /// Valid UTF-8 without control characters, as in names.
  private static func check(_ text: UnsafeRawBufferPointer) throws(Refusal) {
    if text.count <= Name.maximumBytes {
      if Name.error(in: text) != nil { throw RowPacker.fault(of: text) }
    } else {
      do throws(NameError) { _ = try Remark(utf8: text) } catch {
        if case .tooLong = error { throw .rowTooLarge }
        throw RowPacker.fault(of: text)
      }
    }
  }

  private static func fault(of text: UnsafeRawBufferPointer) -> Refusal {
    String(validating: text, as: UTF8.self) == nil ? .notUTF8 : .badText
  }

  /// A text that is taken: what is not UTF-8 is marked as such, control characters become blanks, and what is too much is
  /// cut off.
  static func cleaned(_ text: UnsafeRawBufferPointer, atMost bytes: Int) -> [UInt8] {
    var clean: [UInt8] = []
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      let isControl = scalar.properties.generalCategory == .control
      let next = isControl ? " ".utf8 : String(scalar).utf8
      if clean.count + next.count > bytes { break }
      clean += next
    }
    while clean.last == ASCII.space { clean.removeLast() }
    return clean
  }

  // MARK: - Bytes

  private mutating func put(_ key: UInt8, _ text: UnsafeRawBufferPointer) {
    put(key, length: text.count)
    if let base = text.baseAddress { (memory + count).copyMemory(from: base, byteCount: text.count) }
    count += text.count
  }

  private mutating func put(_ key: UInt8, length: Int) {
    put(key)
    if length >= 0x80 { put(UInt8(truncatingIfNeeded: length) | 0x80) }
    put(UInt8(truncatingIfNeeded: length >= 0x80 ? length >> 7 : length))
  }

  private mutating func put(_ byte: UInt8) {
    memory.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  private static func bytes(of text: UnsafeRawBufferPointer) -> Int { 1 + lengthBytes(text.count) + text.count }

  private static func lengthBytes(_ length: Int) -> Int { length < 0x80 ? 1 : 2 }
}
