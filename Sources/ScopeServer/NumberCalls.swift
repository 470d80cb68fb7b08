import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

// MARK: - Questions about numbers

extension Dispatcher {
  /// Beyond so many looks at lists a screening is answered beside the event loop: a quarter of a millisecond.
  private static let screeningsInline = 2_048

  func screenNumbers(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer
  ) throws(Failure) -> Disposition? {
    _ = try company(request)
    let call = request.pointee.screen_numbers!
    let (kind, subject) = try numberSubject(call.pointee.subject_type, call.pointee.subject_id)
    let callingList = call.pointee.calling_list.key
    if !callingList.isEmpty { try Self.name("calling_list", callingList) }
    let country = try country(call.pointee.country.key)
    let count = call.pointee.n_numbers
    if count == 0 { throw .numbersMissing }
    if count > NumberLimits.candidates { throw .tooMany("numbers", count, limit: NumberLimits.candidates) }
    let index = cursor.root.index(of: request.pointee.company.key)
    if !isAside && index?.lists.entries.count ?? 0 > Dispatcher.screeningsInline { return .aside(Array(frame)) }
    let screen = NumberScreen(index, kind: kind, subject: subject, callingList: callingList)
    let looks = screen.listCount + (country == nil ? 0 : NationalNumbers.looksPerNumber)
    if !isAside && looks * count > Dispatcher.screeningsInline { return .aside(Array(frame)) }
    let response = try arena.make(scope__v1__screen_numbers_response__init)
    response.pointee.reason = Scope__V1__Reason(UInt32(screen.refusal?.rawValue ?? 0))
    let rows = try allocate(Scope__V1__ScreenedNumber.self, count)
    let list = try allocate(UnsafeMutablePointer<Scope__V1__ScreenedNumber>?.self, count)
    for place in 0..<count {
      if place & 63 == 0 { try checkPatience(request) }
      let text = call.pointee.numbers[place].key
      let answer = screen.answer(country == nil ? PhoneNumber(digits: text) : country!.read(text))
      scope__v1__screened_number__init(rows + place)
      rows[place].verdict = Scope__V1__NumberVerdict(UInt32(answer.verdict.rawValue))
      if let unwanted = answer.unwanted { rows[place].unwanted_list = try arena.copy(unwanted) }
      if let vip = answer.vip { rows[place].vip_list = try arena.copy(vip) }
      list[place] = rows + place
    }
    (response.pointee.answers, response.pointee.n_answers) = (list, count)
    reply.setScreened(response)
    return nil
  }

  private func country(_ code: Key) throws(Failure) -> NationalNumbers.Country? {
    if code.isEmpty { return nil }
    guard let country = nationalNumbers.country(code) else { throw .unknownCountry }
    return country
  }

  func listNumberLists(
    _ request: UnsafeMutablePointer<WireRequest>, into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    _ = try company(request)
    let call = request.pointee.list_number_lists!
    let (kind, subject) = try numberSubject(call.pointee.subject_type, call.pointee.subject_id)
    var purposes: Set<ListPurpose> = []
    for purpose in UnsafeBufferPointer(start: call.pointee.purposes, count: call.pointee.n_purposes) {
      guard let known = ListPurpose(rawValue: UInt8(clamping: purpose.rawValue)) else {
        throw .badType("purposes", purpose.rawValue)
      }
      purposes.insert(known)
    }
    let stream = NumberListStream(
      root: cursor.root, company: request.pointee.company.key, subjectKind: kind, subject: subject, purposes: purposes)
    return try start(.numberLists(stream), request, &out)
  }

  func listNumbers(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let call = request.pointee.list_numbers!.pointee
    if call.limit > NumberLimits.numbersPerPage {
      throw Failure(
        .invalidArgument, "bad_limit", "limit is at most \(NumberLimits.numbersPerPage), not \(call.limit)")
    }
    let limit = call.limit == 0 ? NumberLimits.numbersPerPage : Int(call.limit)
    return try numbers(request, call.subject_type, call.subject_id, call.list, call.cursor, page: limit)
  }

  func exportNumbers(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let call = request.pointee.export_numbers!.pointee
    return try numbers(request, call.subject_type, call.subject_id, call.list, call.cursor, page: nil)
  }

  /// - Parameter page: how many numbers; nil: all there are.
  private func numbers(
    _ request: UnsafeMutablePointer<WireRequest>, _ subjectType: Scope__V1__EntityType, _ id: ProtobufCBinaryData,
    _ list: ProtobufCBinaryData, _ from: ProtobufCBinaryData, page: Int?
  ) throws(Failure) -> Disposition {
    _ = try company(request)
    let (kind, subject) = try numberSubject(subjectType, id)
    guard let list = try Self.optionalName("list", list.key) else { throw .badName("list", .empty) }
    guard let from = NumberCursor(from.key) else {
      throw Failure(.invalidArgument, "bad_cursor", "the cursor is not one that this daemon gave")
    }
    let stream = NumberStream(
      company: try companyName(request), list: list, subjectKind: kind, subject: Array(subject), after: from.after,
      page: page)
    return .stream(PartStream(id: request.pointee.id, kind: .numbers(stream)), timeout: timeout(request))
  }

  private func numberSubject(
    _ type: Scope__V1__EntityType, _ id: ProtobufCBinaryData
  ) throws(Failure) -> (UInt8, Key) {
    let kind = try Self.entityType("subject_type", type)
    try Self.name("subject_id", id.key)
    return (kind, id.key)
  }
}

// MARK: - Changes of numbers

extension Dispatcher {
  func addNumbers(_ request: UnsafeMutablePointer<WireRequest>, from caller: Caller) throws(Failure) -> Disposition {
    let call = request.pointee.add_numbers!.pointee
    if call.n_numbers == 0 { throw .numbersMissing }
    if call.n_numbers > NumberLimits.numbersPerChange {
      throw .tooMany("numbers", call.n_numbers, limit: NumberLimits.numbersPerChange)
    }
    let rows = UnsafeBufferPointer(start: call.numbers, count: call.n_numbers).map { $0! }
    return try change(request, call.actor, call.list, from: caller) { () throws(Failure) in
      .add(try sorted(rows))
    }
  }

  func removeNumbers(
    _ request: UnsafeMutablePointer<WireRequest>, from caller: Caller
  ) throws(Failure) -> Disposition {
    let call = request.pointee.remove_numbers!.pointee
    if call.n_numbers == 0 { throw .numbersMissing }
    if call.n_numbers > NumberLimits.numbersPerChange {
      throw .tooMany("numbers", call.n_numbers, limit: NumberLimits.numbersPerChange)
    }
    return try change(request, call.actor, call.list, from: caller) { () throws(Failure) in
      var numbers: Set<UInt64> = []
      for index in 0..<call.n_numbers { numbers.insert(try number(call.numbers[index], index)) }
      return .remove(numbers.sorted())
    }
  }

  func importNumbers(
    _ request: UnsafeMutablePointer<WireRequest>, from caller: Caller
  ) throws(Failure) -> Disposition {
    let call = request.pointee.import_numbers!.pointee
    if call.n_numbers > NumberLimits.numbersPerPart {
      throw .tooMany("numbers", call.n_numbers, limit: NumberLimits.numbersPerPart)
    }
    if (call.part == 0) != (call.n_numbers == 0) {
      throw Failure(.invalidArgument, "bad_part", "a part has a number from 1 on, and numbers; only both or none")
    }
    return try change(request, call.actor, call.list, from: caller) { () throws(Failure) in
      if call.abandon != 0 { return .abandon }
      guard let key = try Self.optionalName("key", call.key.key) else { throw .badName("key", .empty) }
      let rows = try ascending(UnsafeBufferPointer(start: call.numbers, count: call.n_numbers), request)
      let then: NumberJob.Step.Then = call.finish != 0 ? .finish : call.compare != 0 ? .compare : .wait
      return .stage(key: key, part: call.part, rows.blocks().map(StoredBlock.init), then: then)
    }
  }

  private func change(
    _ request: UnsafeMutablePointer<WireRequest>, _ actor: ProtobufCBinaryData, _ list: ProtobufCBinaryData,
    from caller: Caller, _ step: () throws(Failure) -> NumberJob.Step
  ) throws(Failure) -> Disposition {
    let actor = try Self.optionalName("actor", actor.key)
    try allowChanges(caller, actor: actor)
    guard let list = try Self.optionalName("list", list.key) else { throw .badName("list", .empty) }
    let timeout = timeout(request)
    let job = NumberJob(
      company: try companyName(request), list: list, step: try step(), actor: actor, caller: caller.name,
      source: caller.source, deadline: deadline(after: timeout))
    return .changeNumbers(job, request.pointee.call_case, id: request.pointee.id, timeout: timeout)
  }

  /// What came of a change of numbers.
  func answer(
    _ id: UInt64, _ call: Scope__V1__Request__CallCase, _ changed: NumbersChanged, into out: inout ByteBuffer
  ) {
    arena.reset()
    do throws(Failure) {
      reply.begin(id, revision: changed.revision)
      switch call {
      case SCOPE__V1__REQUEST__CALL_ADD_NUMBERS:
        let response = try arena.make(scope__v1__add_numbers_response__init)
        response.pointee.added = UInt32(changed.added)
        response.pointee.altered = UInt32(changed.altered)
        response.pointee.total = changed.total
        response.pointee.purpose = Scope__V1__ListPurpose(UInt32(changed.purpose.rawValue))
        reply.setAdded(response)
      case SCOPE__V1__REQUEST__CALL_REMOVE_NUMBERS:
        let response = try arena.make(scope__v1__remove_numbers_response__init)
        response.pointee.removed = UInt32(changed.removed)
        response.pointee.total = changed.total
        reply.setRemoved(response)
      default:
        let response = try arena.make(scope__v1__import_numbers_response__init)
        response.pointee.parts = changed.parts
        response.pointee.numbers = changed.staged
        response.pointee.finished = changed.isFinished ? 1 : 0
        response.pointee.before = changed.before
        response.pointee.total = changed.total
        response.pointee.kept = changed.kept
        response.pointee.purpose = Scope__V1__ListPurpose(UInt32(changed.purpose.rawValue))
        reply.setImported(response)
      }
      reply.end(into: &out)
    } catch {
      fail(id, error, &out)
    }
  }
}

// MARK: - Rows of the wire

extension Dispatcher {
  private typealias WireRow = UnsafeMutablePointer<Scope__V1__NumberRow>

  /// In any order; the last row of a number counts.
  private func sorted(_ wire: [WireRow]) throws(Failure) -> NumberRows {
    var last: [UInt64: Int] = [:]
    for (index, row) in wire.enumerated() { last[try number(row.pointee.number, index)] = index }
    var rows = NumberRows()
    rows.reserve(last.count)
    for (number, index) in last.sorted(by: { $0.key < $1.key }) {
      rows.append(number, details: try details(wire[index], index))
    }
    return rows
  }

  private func ascending(
    _ wire: UnsafeBufferPointer<WireRow?>, _ request: UnsafeMutablePointer<WireRequest>
  ) throws(Failure) -> NumberRows {
    var rows = NumberRows()
    rows.reserve(wire.count)
    for (index, row) in wire.enumerated() {
      if index & 1_023 == 0 { try checkPatience(request) }
      let number = try number(row!.pointee.number, index)
      if let last = rows.numbers.last, number <= last { throw .notAscending }
      rows.append(number, details: try details(row!, index))
    }
    return rows
  }

  @inline(__always)
  private func number(_ text: ProtobufCBinaryData, _ index: Int) throws(Failure) -> UInt64 {
    if let number = PhoneNumber(digits: text.key) { return number.value }
    throw Failure(
      .invalidArgument, "bad_number",
      "number \(index + 1) is not E.164: 7 to 15 digits with the country's code, a plus before them or not")
  }

  /// What is known beside the number, as the wire has it.
  private func details(_ row: WireRow, _ index: Int) throws(Failure) -> UnsafeRawBufferPointer {
    if row.pointee.label.len == 0 && row.pointee.time_zone.len == 0 && row.pointee.n_columns == 0 {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    if let problem = problem(of: row) {
      throw Failure(.invalidArgument, "bad_number_details", "number \(index + 1): \(problem)")
    }
    row.pointee.number = ProtobufCBinaryData(len: 0, data: nil)
    row.pointee.base.n_unknown_fields = 0
    let count = scope__v1__number_row__get_packed_size(row)
    if count > NumberLimits.detailBytes {
      throw Failure(
        .invalidArgument, "bad_number_details",
        "number \(index + 1): \(count) bytes beside the number; at most \(NumberLimits.detailBytes) are kept")
    }
    let packed = try allocate(UInt8.self, count)
    scope__v1__number_row__pack(row, packed)
    return UnsafeRawBufferPointer(start: packed, count: count)
  }

  private func problem(of row: WireRow) -> String? {
    if row.pointee.label.len > 0, let error = Name.error(in: row.pointee.label.key) { return "label \(error)" }
    if row.pointee.time_zone.len > 0, let error = Name.error(in: row.pointee.time_zone.key) {
      return "time_zone \(error)"
    }
    if row.pointee.n_columns > NumberLimits.columns {
      return "\(row.pointee.n_columns) columns; at most \(NumberLimits.columns) are kept"
    }
    for index in 0..<row.pointee.n_columns {
      let column = row.pointee.columns[index]!
      column.pointee.base.n_unknown_fields = 0
      if let error = Name.error(in: column.pointee.name.key) { return "name of column \(index + 1) \(error)" }
      if let error = Remark.error(in: column.pointee.value.key) { return "value of column \(index + 1) \(error)" }
      let isTwice = (0..<index).contains {
        row.pointee.columns[$0]!.pointee.name.key.elementsEqual(column.pointee.name.key)
      }
      if isTwice { return "column \(index + 1) has the name of one before it" }
    }
    return nil
  }
}

extension Failure {
  fileprivate static let numbersMissing = Failure(
    .invalidArgument, "numbers_missing", "the request has no numbers")
}
