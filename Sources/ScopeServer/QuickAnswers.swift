import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

#if canImport(Glibc)
  import Glibc
#endif

/// Answers CanSee and FilterObjects from the bytes that arrived straight into the bytes to be sent. It answers as
/// `Dispatcher.answer` does or not at all: whatever is wrong with a question, or out of the way, is left to that.
extension Dispatcher {
  /// Answers whole frames from the front for as long as they are such questions.
  ///
  /// - Returns: the bytes that are answered.
  func answerQuickly(_ bytes: UnsafeRawBufferPointer, _ turn: inout Turn, into out: inout ByteBuffer) -> Int {
    var read = 0
    out.writeWithUnsafeMutableBytes(minimumWritableBytes: Dispatcher.quickBytes) { memory in
      var writer = FrameWriter(memory)
      var answers = QuickAnswers(cursor.root, limits, arena)
      while !turn.isOver, let frame = answers.frame(in: bytes, at: read),
        writer.room >= FrameWriter.headroom + frame.count, let request = QuickRequest(frame),
        let work = answers.answer(request, &writer)
      {
        read += Frame.headerBytes + frame.count
        turn.count(work)
      }
      return writer.count
    }
    return read
  }

  /// Room for the answers to many small questions, and to one of any that are answered on the loop.
  private static let quickBytes = 72 << 10
}

/// Answers what arrived together.
private struct QuickAnswers {
  private let root: IndexRoot
  private let revision: UInt64
  private let frameBytes: Int
  private let idsPerRequest: Int
  private let arena: Arena
  /// The company that the last question was about: the next is mostly about the same.
  private var companyID = Key(start: nil, count: 0)
  private var company: CompanyView?

  init(_ root: IndexRoot, _ limits: Limits, _ arena: Arena) {
    self.root = root
    revision = root.revision
    frameBytes = limits.inlineFrameBytes
    idsPerRequest = limits.idsPerRequest
    self.arena = arena
  }

  @inline(__always)
  func frame(in bytes: UnsafeRawBufferPointer, at start: Int) -> UnsafeRawBufferPointer? {
    if bytes.count - start < Frame.headerBytes { return nil }
    let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
    let first = start + Frame.headerBytes
    if length > frameBytes || bytes.count - first < length { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[first..<first + length])
  }

  /// How much work it was, in ids looked at; nil: the question is left to others, and nothing is written.
  @inline(__always)
  mutating func answer(_ request: QuickRequest, _ writer: inout FrameWriter) -> Int? {
    guard request.minimumRevision <= revision, let company = find(request.company) else { return nil }
    switch request.call {
    case .canSee(let check): return answer(check, of: request, company, &writer)
    case .filterObjects(let filter): return answer(filter, of: request, company, &writer) ? filter.ids.count : nil
    }
  }

  @inline(__always)
  private mutating func find(_ id: Key) -> CompanyView? {
    if let company, id.count == companyID.count, memcmp(id.baseAddress!, companyID.baseAddress!, id.count) == 0 {
      return company
    }
    companyID = id
    company = root.company(id)
    return company
  }

  @inline(__always)
  private func answer(
    _ check: QuickCheck, of request: QuickRequest, _ company: CompanyView, _ writer: inout FrameWriter
  ) -> Int? {
    guard let subjectKind = UInt8(exactly: check.subjectType), let type = UInt8(exactly: check.objectType) else {
      return nil
    }
    let answer = company.check(
      kind: subjectKind, subject: check.subjectID, type: type, object: check.objectID, right: check.right)
    if !answer.reason.isOfKnown || !check.right.isEmpty, !isProper(check, subjectKind, type) { return nil }
    writer.begin(request.id, revision)
    writer.write(answer)
    writer.end()
    return Int(answer.work)
  }

  /// What was found is what it should be. What was not may not even be a name.
  private func isProper(_ check: QuickCheck, _ subjectKind: UInt8, _ type: UInt8) -> Bool {
    Dispatcher.isKnown(subjectKind) && Dispatcher.isKnown(type) && Name.error(in: check.subjectID) == nil
      && Name.error(in: check.objectID) == nil && (check.right.isEmpty || Name.error(in: check.right) == nil)
  }

  private func answer(
    _ filter: QuickFilter, of request: QuickRequest, _ company: CompanyView, _ writer: inout FrameWriter
  ) -> Bool {
    guard let kind = UInt8(exactly: filter.subjectType), let type = UInt8(exactly: filter.objectType),
      Dispatcher.isKnown(type), filter.ids.count <= idsPerRequest
    else { return false }
    let subject = company.subject(kind: kind, id: filter.subjectID)
    let narrowing = company.narrowing(to: filter.project)
    if subject.refusal != nil || narrowing.isNothing || !Visibility.isQuick(filter.ids.count, of: subject) {
      return false
    }
    arena.reset()
    guard var visible = Visible(filter.ids, arena) else { return false }
    let isDone =
      ObjectType.numbers ~= type
      ? visible.find { company.isObjectVisible(subject, type: type, id: $0, within: narrowing) }
      : visible.find { company.isVisible(subject, type: type, id: $0, within: narrowing) }
    if !isDone { return false }
    writer.begin(request.id, revision)
    writer.write(visible, asBitmap: filter.asBitmap)
    writer.end()
    return true
  }
}

extension Reason {
  /// Both sides of the check were found.
  @inline(__always)
  fileprivate var isOfKnown: Bool {
    switch self {
    case .systemField, .simpleMode, .seeAll, .sharedProject, .noSharedProject, .tileOnly: true
    case .unknownCompany, .unknownSubject, .subjectBlocked, .unknownObject, .rightMissing: false
    }
  }
}

extension Narrowing {
  fileprivate var isNothing: Bool {
    if case .nothing = self { true } else { false }
  }
}

/// Which of a filter's ids are visible.
private struct Visible {
  let ids: QuickIDs
  /// A bit for each id, in the arena.
  let bits: UnsafeMutableBufferPointer<UInt8>
  private(set) var count = 0
  /// What the visible ids take in a frame.
  private(set) var byteCount = 0

  /// Nil: no room.
  init?(_ ids: QuickIDs, _ arena: Arena) {
    let size = (ids.count + 7) / 8
    guard let bits = arena.allocate(UInt8.self, count: size) else { return nil }
    self.ids = ids
    self.bits = UnsafeMutableBufferPointer(start: bits, count: size)
  }

  /// False: one of them is not a name.
  @inline(__always)
  mutating func find(_ isVisible: (Key) -> Bool) -> Bool {
    bits.initialize(repeating: 0)
    var reader = QuickIDs.Reader(ids)
    for index in 0..<ids.count {
      let id = reader.next()
      if isVisible(id) {
        bits[index >> 3] |= 1 << UInt8(index & 7)
        count += 1
        byteCount += QuickIDs.headBytes(id.count) + id.count
      } else if Name.error(in: id) != nil {
        return false
      }
    }
    return true
  }
}

/// Writes responses one behind the other. Of room it needs `headroom` for each, and with ids what the request took.
private struct FrameWriter {
  /// An answer without ids: numbers of at most ten bytes, and two names.
  static let headroom = 512

  private let start: UnsafeMutableRawPointer
  private let limit: UnsafeMutableRawPointer
  private var at: UnsafeMutableRawPointer
  private var frame: UnsafeMutableRawPointer

  init(_ memory: UnsafeMutableRawBufferPointer) {
    start = memory.baseAddress!
    limit = start + memory.count
    at = start
    frame = start
  }

  var count: Int { at - start }
  var room: Int { limit - at }

  /// Starts a response with its id and revision.
  @inline(__always)
  mutating func begin(_ id: UInt64, _ revision: UInt64) {
    frame = at
    at += Frame.headerBytes
    number(0x08, id)
    number(0x28, revision)
  }

  @inline(__always)
  mutating func end() {
    precondition(at <= limit, "an answer is longer than was reckoned with")
    frame.storeBytes(of: UInt32(at - frame - Frame.headerBytes).bigEndian, as: UInt32.self)
  }

  @inline(__always)
  mutating func write(_ answer: CheckAnswer) {
    let decision = answer.reason.allows ? SCOPE__V1__DECISION__DECISION_ALLOW : SCOPE__V1__DECISION__DECISION_DENY
    byte(0x5A)
    varint(UInt64(4 + FrameWriter.size(answer.project) + FrameWriter.size(answer.group)))
    number(0x08, UInt64(decision.rawValue))
    number(0x10, UInt64(answer.reason.rawValue))
    bytes(0x1A, answer.project)
    bytes(0x22, answer.group)
  }

  mutating func write(_ visible: Visible, asBitmap: Bool) {
    let bitmap = asBitmap ? UnsafeRawBufferPointer(visible.bits) : UnsafeRawBufferPointer(start: nil, count: 0)
    let ids = asBitmap ? 0 : visible.byteCount
    let count = visible.count == 0 ? 0 : 1 + FrameWriter.size(UInt64(visible.count))
    byte(0x72)
    varint(UInt64(ids + FrameWriter.size(bitmap) + count))
    if !asBitmap { write(idsOf: visible) }
    bytes(0x12, bitmap)
    number(0x18, UInt64(visible.count))
  }

  private mutating func write(idsOf visible: Visible) {
    var reader = QuickIDs.Reader(visible.ids)
    for index in 0..<visible.ids.count {
      let id = reader.next()
      if visible.bits[index >> 3] & 1 << UInt8(index & 7) != 0 { bytes(0x0A, id) }
    }
  }

  // MARK: Fields; none for 0 and for no bytes

  @inline(__always)
  private mutating func number(_ tag: UInt8, _ value: UInt64) {
    if value == 0 { return }
    byte(tag)
    varint(value)
  }

  @inline(__always)
  private mutating func bytes(_ tag: UInt8, _ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.baseAddress, !bytes.isEmpty else { return }
    byte(tag)
    varint(UInt64(bytes.count))
    at.copyMemory(from: first, byteCount: bytes.count)
    at += bytes.count
  }

  @inline(__always)
  private mutating func byte(_ byte: UInt8) {
    at.storeBytes(of: byte, as: UInt8.self)
    at += 1
  }

  @inline(__always)
  private mutating func varint(_ value: UInt64) {
    var left = value
    while left >= 0x80 {
      byte(UInt8(truncatingIfNeeded: left) | 0x80)
      left >>= 7
    }
    byte(UInt8(truncatingIfNeeded: left))
  }

  @inline(__always)
  private static func size(_ bytes: UnsafeRawBufferPointer) -> Int {
    bytes.isEmpty ? 0 : 1 + size(UInt64(bytes.count)) + bytes.count
  }

  @inline(__always)
  private static func size(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }
}
