import CScope
import CScopeWire
import ScopeModel
import ScopeProtocol

/// Numbers of one request, packed one by one: millions of them pass, so no message is made of each.
public struct PackedNumbers: Sendable {
  /// The call they are for; its field in `scope.v1.Request`.
  public enum Call: UInt64, Sendable {
    case add = 41
    case remove = 42
    case importing = 43

    /// Most numbers of one request.
    public var limit: Int {
      self == .importing ? NumberLimits.numbersPerPart : NumberLimits.numbersPerChange
    }

    fileprivate var rowKey: UInt8 { self == .importing ? 5 << 3 | 2 : 3 << 3 | 2 }
  }

  /// Bytes of numbers in one request; with the rest of the request it stays below the longest frame.
  public static let byteLimit = SCOPE_REQUEST_BYTES - 2_048
  /// What the daemon may take to unpack the numbers of one request, in bytes: less than its limit for a frame.
  private static let unpackedLimit = 24 << 20
  private static let unpackedRowBytes = 208
  /// With what protobuf-c takes for a while where there are more than 16.
  private static let unpackedColumnBytes = 192
  private static let numberKey: UInt8 = 1 << 3 | 2
  /// Most bytes of a row that are not beside the number: keys, lengths, 15 digits.
  private static let headBytes = 1 + 3 + 2 + 15

  public let call: Call
  public private(set) var count = 0
  /// The number added last; 0: none was.
  public private(set) var last: UInt64 = 0
  private var memory: [UInt8]
  private var used = 0
  private var unpacked = 0

  public init(_ call: Call) {
    self.call = call
    memory = [UInt8](repeating: 0, count: 64 << 10)
  }

  /// Whether another number fits, with this beside it.
  public func hasRoom(for beside: UnsafeRawBufferPointer) -> Bool {
    count < call.limit && used + PackedNumbers.headBytes + beside.count <= PackedNumbers.byteLimit
      && unpacked + PackedNumbers.unpackedBytes(beside) <= PackedNumbers.unpackedLimit
  }

  /// Adds a number.
  ///
  /// - Parameters:
  ///   - number: E.164 digits as an integer.
  ///   - beside: fields 2 to 4 of `scope.v1.NumberRow`, packed, at most 1,024 bytes; nothing where numbers are removed.
  /// - Precondition: it has room.
  public mutating func append(_ number: UInt64, beside: UnsafeRawBufferPointer) {
    reserve(PackedNumbers.headBytes + beside.count)
    let (call, start) = (call, used)
    used = memory.withUnsafeMutableBytes { memory in
      var writer = RowWriter(at: memory.baseAddress! + start)
      writer.put(number, beside, key: call.rowKey, isRow: call != .remove)
      return writer.at - memory.baseAddress!
    }
    count += 1
    last = number
    unpacked += PackedNumbers.unpackedBytes(beside)
  }

  private mutating func reserve(_ bytes: Int) {
    let more = used + bytes - memory.count
    if more > 0 { memory.append(contentsOf: repeatElement(0, count: max(memory.count, more))) }
  }

  /// By estimate: columns are messages of their own.
  private static func unpackedBytes(_ beside: UnsafeRawBufferPointer) -> Int {
    var (at, columns) = (0, 0)
    while at + 1 < beside.count {
      if beside[at] == 4 << 3 | 2 { columns += 1 }
      var length = Int(beside[at + 1])
      at += 2
      if length >= 0x80 && at < beside.count {
        length = length & 0x7F | Int(beside[at]) << 7
        at += 1
      }
      at += length
    }
    return unpackedRowBytes + columns * unpackedColumnBytes + beside.count
  }

  /// The numbers as fields of their call.
  fileprivate var packed: ArraySlice<UInt8> { memory[..<used] }
}

/// Writes a row in memory that has room for it.
private struct RowWriter {
  private(set) var at: UnsafeMutableRawPointer

  init(at: UnsafeMutableRawPointer) { self.at = at }

  /// - Parameter isRow: a `NumberRow`; otherwise the digits alone.
  mutating func put(_ number: UInt64, _ beside: UnsafeRawBufferPointer, key: UInt8, isRow: Bool) {
    let digits = RowWriter.digits(of: number)
    put(key)
    if isRow {
      put(length: 2 + digits + beside.count)
      put(1 << 3 | 2)
    }
    put(length: digits)
    put(number, digits: digits)
    if let base = beside.baseAddress { at.copyMemory(from: base, byteCount: beside.count) }
    at += beside.count
  }

  private mutating func put(_ byte: UInt8) {
    at.storeBytes(of: byte, as: UInt8.self)
    at += 1
  }

  /// Below 16,384.
  private mutating func put(length: Int) {
    if length >= 0x80 { put(UInt8(truncatingIfNeeded: length) | 0x80) }
    put(UInt8(truncatingIfNeeded: length >= 0x80 ? length >> 7 : length))
  }

  private mutating func put(_ number: UInt64, digits: Int) {
    var rest = number
    for index in stride(from: digits - 1, through: 0, by: -1) {
      at.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), toByteOffset: index, as: UInt8.self)
      rest /= 10
    }
    at += digits
  }

  private static func digits(of number: UInt64) -> Int {
    var (count, limit) = (1, UInt64(10))
    while number >= limit && count < 19 {
      count += 1
      limit &*= 10
    }
    return count
  }
}

// MARK: - Calls

/// How far an import is.
public struct ImportState: Equatable, Sendable {
  /// Parts that the daemon holds.
  public let parts: UInt32
  /// Numbers in them.
  public let numbers: UInt64
  /// They are the list's numbers now.
  public let isFinished: Bool
  /// When finished: how many numbers the list had, and has.
  public let before: UInt64
  public let total: UInt64
  /// When compared: of the list's numbers, those in the parts.
  public let kept: UInt64
  public let purpose: ListPurpose
}

/// What is done once a part is held.
public enum ImportStep: Sendable {
  case wait
  /// Compares the parts with the numbers that the list has.
  case compare
  /// Puts the parts in the place of the list's numbers.
  case finish
}

/// What came of adding numbers to a list.
public struct AddedNumbers: Equatable, Sendable {
  public let added: UInt32
  public let altered: UInt32
  /// Numbers on the list.
  public let total: UInt64
  public let purpose: ListPurpose
}

/// What came of removing numbers from a list.
public struct RemovedNumbers: Equatable, Sendable {
  public let removed: UInt32
  /// Numbers on the list.
  public let total: UInt64
}

/// A list whose numbers are altered, and the user who does it.
public struct NumberListTarget: Sendable {
  public let list: Name
  /// Empty: the platform.
  public let actor: String

  public init(list: Name, actor: String = "") {
    self.list = list
    self.actor = actor
  }
}

/// Of the client's company.
extension Client {
  /// Sends a part of an import that replaces a list's numbers, or asks how far it is.
  ///
  /// - Parameters:
  ///   - key: of the import, 1 to 128 bytes; the same key goes on with the same import.
  ///   - part: from 1; a part that is held already is passed over. 0: only asks.
  ///   - numbers: ascending, and above those of the parts before.
  public func importNumbers(
    _ target: NumberListTarget, key: String, part: UInt32, numbers: PackedNumbers? = nil, then step: ImportStep = .wait,
    timeoutMilliseconds: UInt32
  ) throws(ClientError) -> ImportState {
    let tail = ProtoWriter {
      $0.number(6, step == .finish ? 1 : 0)
      $0.number(8, step == .compare ? 1 : 0)
    }
    return try importStep(target, key, part: part, numbers, tail: tail, step == .finish, timeoutMilliseconds)
  }

  /// Forgets the import under way on a list, whatever its key.
  public func abandonImport(
    _ target: NumberListTarget, key: String, timeoutMilliseconds: UInt32
  ) throws(ClientError) -> ImportState {
    try importStep(target, key, part: 0, nil, tail: ProtoWriter { $0.number(7, 1) }, false, timeoutMilliseconds)
  }

  private func importStep(
    _ target: NumberListTarget, _ key: String, part: UInt32, _ numbers: PackedNumbers?, tail: ProtoWriter,
    _ finish: Bool, _ timeoutMilliseconds: UInt32
  ) throws(ClientError) -> ImportState {
    let head = ProtoWriter(target) {
      $0.text(3, key)
      $0.number(4, UInt64(part))
    }
    return try alter(.importing, head, numbers, tail, mayRepeat: !finish, timeoutMilliseconds) { response in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_IMPORT_NUMBERS else { return nil }
      let wire = response.import_numbers.pointee
      return ImportState(
        parts: wire.parts, numbers: wire.numbers, isFinished: wire.finished != 0, before: wire.before,
        total: wire.total, kept: wire.kept, purpose: ListPurpose(wire.purpose))
    }
  }

  /// Puts numbers on a list, or replaces what is known about them: all or none.
  ///
  /// - Parameter numbers: made for the call `add`, at least one.
  public func addNumbers(
    _ target: NumberListTarget, _ numbers: PackedNumbers, timeoutMilliseconds: UInt32
  ) throws(ClientError) -> AddedNumbers {
    let head = ProtoWriter(target) { _ in }
    return try alter(.add, head, numbers, ProtoWriter { _ in }, mayRepeat: false, timeoutMilliseconds) { response in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_ADD_NUMBERS else { return nil }
      let wire = response.add_numbers.pointee
      return AddedNumbers(
        added: wire.added, altered: wire.altered, total: wire.total, purpose: ListPurpose(wire.purpose))
    }
  }

  /// Takes numbers off a list: all or none. Those that are not on it are passed over.
  ///
  /// - Parameter numbers: made for the call `remove`, at least one.
  public func removeNumbers(
    _ target: NumberListTarget, _ numbers: PackedNumbers, timeoutMilliseconds: UInt32
  ) throws(ClientError) -> RemovedNumbers {
    let head = ProtoWriter(target) { _ in }
    return try alter(.remove, head, numbers, ProtoWriter { _ in }, mayRepeat: false, timeoutMilliseconds) { response in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_REMOVE_NUMBERS else { return nil }
      let wire = response.remove_numbers.pointee
      return RemovedNumbers(removed: wire.removed, total: wire.total)
    }
  }

  private func alter<T>(
    _ call: PackedNumbers.Call, _ head: ProtoWriter, _ numbers: PackedNumbers?, _ tail: ProtoWriter, mayRepeat: Bool,
    _ timeoutMilliseconds: UInt32, take: (WireResponse) -> T?
  ) throws(ClientError) -> T {
    precondition(numbers == nil || numbers!.call == call, "numbers packed for another call")
    let rows = numbers?.packed ?? []
    var answer: T?
    try self.call(timeoutMilliseconds: timeoutMilliseconds, mayRepeat: mayRepeat) { id in
      var request = ProtoWriter()
      request.number(1, id)
      request.number(2, UInt64(timeoutMilliseconds))
      request.text(3, company)
      request.message(call.rawValue, [head.bytes[...], rows, tail.bytes[...]])
      return request.bytes
    } each: { response throws(Failure) in
      answer = take(response.pointee)
    }
    guard let answer else { throw ClientError.noResult }
    return answer
  }
}

/// Fields of a message, packed by hand.
private struct ProtoWriter {
  private(set) var bytes: [UInt8] = []

  init() {}

  init(_ fill: (inout ProtoWriter) -> Void) { fill(&self) }

  /// The fields that calls on lists begin with.
  init(_ target: NumberListTarget, _ fill: (inout ProtoWriter) -> Void) {
    text(1, target.actor)
    text(2, target.list.text)
    fill(&self)
  }

  /// Zero is left out, as proto3 has it.
  mutating func number(_ field: UInt64, _ value: UInt64) {
    if value == 0 { return }
    varint(field << 3)
    varint(value)
  }

  mutating func text(_ field: UInt64, _ text: String) {
    if !text.isEmpty { message(field, [ArraySlice(text.utf8)]) }
  }

  mutating func message(_ field: UInt64, _ pieces: [ArraySlice<UInt8>]) {
    let count = pieces.reduce(0) { $0 + $1.count }
    varint(field << 3 | 2)
    varint(UInt64(count))
    bytes.reserveCapacity(bytes.count + count)
    for piece in pieces { bytes += piece }
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

extension ListPurpose {
  /// One that this client does not know yet counts as none.
  fileprivate init(_ wire: Scope__V1__ListPurpose) {
    self = ListPurpose(rawValue: UInt8(clamping: wire.rawValue)) ?? .none
  }
}
