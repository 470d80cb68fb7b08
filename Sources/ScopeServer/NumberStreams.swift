import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Where a page of numbers begins, as clients hand it back: a version and the highest number they have.
struct NumberCursor {
  private static let version: UInt8 = 1
  private static let bytes = 9

  let after: UInt64

  init(after: UInt64) { self.after = after }

  /// Empty: from the start. Nil: it is no cursor of ours.
  init?(_ bytes: Key) {
    if bytes.isEmpty {
      after = 0
      return
    }
    guard bytes.count == NumberCursor.bytes, bytes[0] == NumberCursor.version else { return nil }
    let value = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
    guard let number = PhoneNumber(value: value) else { return nil }
    after = number.value
  }

  var packed: [UInt8] { [NumberCursor.version] + withUnsafeBytes(of: after.bigEndian, Array.init) }
}

/// The numbers of a list: one page, or all of them in parts. Each is read when the one before was sent, and the asker's
/// scope is looked at again for each.
struct NumberStream: Sendable {
  private let company: Name
  private let list: Name
  private let subjectKind: UInt8
  private let subject: [UInt8]
  private var after: UInt64
  /// How many numbers one page has; nil: all are wanted.
  private let limit: Int?
  private var page: NumberPage?
  var heldBytes: Int { page?.heldBytes ?? 0 }

  init(company: Name, list: Name, subjectKind: UInt8, subject: [UInt8], after: UInt64, page limit: Int?) {
    self.company = company
    self.list = list
    self.subjectKind = subjectKind
    self.subject = subject
    self.after = after
    self.limit = limit
  }

  mutating func take(_ page: NumberPage) { self.page = page }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Progress {
    // Looked at before the page is read and again before it is sent: a change may come in between.
    try checkScope(dispatcher.cursor.root)
    guard let page else {
      return .needsNumbers(
        NumberQuery(company: company, list: list, after: after, limit: limit ?? NumberLimits.numbersPerPage))
    }
    let isMore = limit == nil && !page.isLast
    dispatcher.reply.begin(id, revision: page.revision, more: isMore)
    let result = limit == nil ? SCOPE__V1__RESPONSE__RESULT_EXPORT_NUMBERS : SCOPE__V1__RESPONSE__RESULT_LIST_NUMBERS
    dispatcher.reply.end(withResult: result.rawValue, page.packed, into: &out)
    after = page.rows.numbers.last ?? after
    self.page = nil
    return isMore ? .more : .done
  }

  /// A list that is not there is answered like one that the subject does not see.
  private func checkScope(_ root: IndexRoot) throws(Failure) {
    if root.isCold(company) { throw .companyLoading(company) }
    var name = company.text
    guard let view = name.withUTF8({ root.company(Key($0)) }) else { throw outOfScope }
    let subject = subject.withUnsafeBytes { view.subject(kind: subjectKind, id: $0) }
    if !view.sees(subject, list: Array(list.text.utf8)) { throw outOfScope }
  }

  private var outOfScope: Failure {
    Failure(.permissionDenied, "list_out_of_scope", "there is no list '\(list)' that the subject sees")
  }
}

extension NumberPage {
  /// ListNumbersResponse, or ExportNumbersResponse, which is laid out alike. Written by hand: what is known of a number
  /// is kept as the wire has it.
  fileprivate var packed: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(rows.details.count + 24 * rows.count + 16)
    for index in 0..<rows.count {
      let digits = "\(rows.numbers[index])".utf8
      let place = rows.place(of: index)
      bytes.append(WireKey.numbers)
      bytes.append(varint: 2 + digits.count + place.count)
      bytes.append(WireKey.number)
      bytes.append(UInt8(digits.count))
      bytes.append(contentsOf: digits)
      bytes.append(contentsOf: rows.details[place])
    }
    if !isLast, let last = rows.numbers.last {
      let cursor = NumberCursor(after: last).packed
      bytes.append(WireKey.nextCursor)
      bytes.append(UInt8(cursor.count))
      bytes += cursor
    }
    return bytes
  }

  /// Field numbers with the wire type of bytes.
  private enum WireKey {
    static let numbers: UInt8 = 1 << 3 | 2
    static let nextCursor: UInt8 = 2 << 3 | 2
    /// Within a row.
    static let number: UInt8 = 1 << 3 | 2
  }
}

extension [UInt8] {
  mutating func append(varint value: Int) {
    var rest = UInt(value)
    while rest > 127 {
      append(UInt8(truncatingIfNeeded: rest) | 128)
      rest >>= 7
    }
    append(UInt8(rest))
  }
}

/// The lists a subject may use.
struct NumberListStream: HoldsRoot {
  var root: IndexRoot
  let company: [UInt8]
  private let subjectKind: UInt8
  private let subject: [UInt8]
  private let purposes: Set<ListPurpose>
  private var rest: Range<Int>

  /// - Parameter purposes: those wanted; empty: all.
  init(root: IndexRoot, company: Key, subjectKind: UInt8, subject: Key, purposes: Set<ListPurpose>) {
    self.root = root
    self.company = Array(company)
    self.subjectKind = subjectKind
    self.subject = Array(subject)
    self.purposes = purposes
    rest = root.company(company)?.objectNumbers(ofType: ObjectType.list.number) ?? 0..<0
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    var rows = try Rows<Scope__V1__NumberListRow>(dispatcher.arena)
    if let index = company.withUnsafeBytes({ root.index(of: $0) }) {
      let subject = subject.withUnsafeBytes { index.view.subject(kind: subjectKind, id: $0) }
      var looks = PartStream.looksPerPart
      while looks > 0, !rows.isFull, let number = rest.popFirst() {
        guard let row = index.view.visibleObject(number, to: subject, within: .none, &looks) else { continue }
        let entry = index.lists.entry(row.id)
        if purposes.isEmpty || purposes.contains(entry?.purpose ?? .none) { rows.append().write(row, entry) }
      }
    }
    let response = try dispatcher.arena.make(scope__v1__list_number_lists_response__init)
    (response.pointee.lists, response.pointee.n_lists) = (rows.list, rows.count)
    dispatcher.reply.begin(id, revision: root.revision, more: !rest.isEmpty)
    dispatcher.reply.setNumberLists(response)
    dispatcher.reply.end(into: &out)
    return !rest.isEmpty
  }
}

extension UnsafeMutablePointer<Scope__V1__NumberListRow> {
  fileprivate func write(_ row: ScopeIndex.ObjectRow, _ entry: NumberLists.Entry?) {
    scope__v1__number_list_row__init(self)
    pointee.id = ProtobufCBinaryData(row.id)
    pointee.name = ProtobufCBinaryData(row.name)
    pointee.purpose = Scope__V1__ListPurpose(UInt32(entry?.purpose.rawValue ?? 0))
    pointee.numbers = UInt64(entry?.numbers.count ?? 0)
  }
}
