import CScopeWire
import ScopeModel
import ScopeProtocol

/// A list of numbers as a subject sees it.
public struct NumberListRow: Hashable, Sendable {
  public let id: String
  public let name: String
  public let purpose: ListPurpose
  /// How many numbers.
  public let numbers: UInt64
}

/// A number and what is known about it.
public struct NumberRow: Hashable, Sendable {
  /// E.164 digits, without a plus.
  public var number: String
  public var label: String
  /// Of the tz database.
  public var timeZone: String
  /// Name and value of whatever else is known, in the order in which it was given.
  public var columns: [Column]

  public struct Column: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) { (self.name, self.value) = (name, value) }
  }

  public init(_ number: String, label: String = "", timeZone: String = "", columns: [Column] = []) {
    (self.number, self.label, self.timeZone, self.columns) = (number, label, timeZone, columns)
  }
}

/// A page of numbers.
public struct NumbersPage: Sendable {
  public internal(set) var rows: [NumberRow] = []
  /// For the next page; empty: this is the last.
  public internal(set) var nextCursor: [UInt8] = []
  public internal(set) var revision: UInt64 = 0
}

/// Answers to many numbers.
public struct Screening: Sendable {
  public struct Answer: Hashable, Sendable {
    /// Nil: one that is newer than this client, and not to be dialled.
    public let verdict: NumberVerdict?
    /// The first list it is on; empty: none.
    public let unwantedList: String
    public let vipList: String
  }

  /// In the order asked.
  public let answers: [Answer]
  /// Why all are out of scope; nil: they are not.
  public let refusal: String?
  public let revision: UInt64
}

extension Client {
  /// The lists a subject may use, in byte order of ids.
  ///
  /// - Parameter purposes: those wanted; empty: all.
  public func numberLists(
    of subject: Subject, purposes: [ListPurpose] = [], each: (NumberListRow) -> Void
  ) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_number_lists_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      guard let wanted = arena.allocate(Scope__V1__ListPurpose.self, count: purposes.count) else { throw Arena.full }
      for (index, purpose) in purposes.enumerated() {
        (wanted + index).initialize(to: Scope__V1__ListPurpose(UInt32(purpose.rawValue)))
      }
      (call.pointee.purposes, call.pointee.n_purposes) = (wanted, purposes.count)
      request.pointee.list_number_lists = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_NUMBER_LISTS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_NUMBER_LISTS else { return }
      let wire = response.pointee.list_number_lists.pointee
      for list in rows(wire.lists, wire.n_lists, NumberListRow.init) { each(list) }
    }
  }

  /// A page of a list's numbers, in numeric order.
  ///
  /// - Parameters:
  ///   - cursor: of the page before; empty: the first page.
  ///   - limit: most numbers, at most 1,000; 0: 1,000.
  public func numbers(
    of list: Name, for subject: Subject, cursor: [UInt8] = [], limit: UInt32 = 0
  ) throws(ClientError) -> NumbersPage {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_numbers_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      call.pointee.list = try arena.copy(list.text)
      call.pointee.cursor = try arena.copy(cursor)
      call.pointee.limit = limit
      request.pointee.list_numbers = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_NUMBERS
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_NUMBERS else { return nil }
      let wire = response.list_numbers.pointee
      return NumbersPage(
        rows: rows(wire.numbers, wire.n_numbers, NumberRow.init), nextCursor: Array(wire.next_cursor.key),
        revision: response.revision)
    }
  }

  /// All numbers of a list, in parts.
  ///
  /// - Parameters:
  ///   - cursor: of the last part that was kept, to go on behind it; empty: from the start.
  ///   - each: called for each part, whose cursor goes on behind it; says whether to go on. If not, the connection is
  ///     closed, and the daemon reads no further.
  public func exportNumbers(
    of list: Name, for subject: Subject, cursor: [UInt8] = [], each: (NumbersPage) -> Bool
  ) throws(ClientError) {
    var isStopped = false
    do throws(ClientError) {
      try ask { (request, arena) throws(Failure) in
        let call = try arena.make(scope__v1__export_numbers_request__init)
        (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
        call.pointee.list = try arena.copy(list.text)
        call.pointee.cursor = try arena.copy(cursor)
        request.pointee.export_numbers = call
        request.pointee.call_case = SCOPE__V1__REQUEST__CALL_EXPORT_NUMBERS
      } each: { response throws(Failure) in
        guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_EXPORT_NUMBERS else { return }
        let wire = response.pointee.export_numbers.pointee
        let page = NumbersPage(
          rows: rows(wire.numbers, wire.n_numbers, NumberRow.init), nextCursor: Array(wire.next_cursor.key),
          revision: response.pointee.revision)
        if each(page) { return }
        isStopped = true
        throw Failure(.cancelled, "stopped", "no more parts are wanted")
      }
    } catch {
      if !isStopped { throw error }
    }
  }

  /// Whether numbers may be dialled, or let through.
  ///
  /// - Parameters:
  ///   - numbers: at most 1,000, as they were dialled or read.
  ///   - callingList: the list they were taken from; nil: none.
  ///   - country: numbers without a plus are as they are dialled in it, "US"; nil: they are E.164.
  public func screen(
    _ numbers: [String], for subject: Subject, callingList: Name? = nil, country: String? = nil
  ) throws(ClientError) -> Screening {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__screen_numbers_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      (call.pointee.numbers, call.pointee.n_numbers) = (try arena.copy(numbers), numbers.count)
      if let callingList { call.pointee.calling_list = try arena.copy(callingList.text) }
      if let country { call.pointee.country = try arena.copy(country) }
      request.pointee.screen_numbers = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_SCREEN_NUMBERS
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_SCREEN_NUMBERS else { return nil }
      let wire = response.screen_numbers.pointee
      return Screening(
        answers: rows(wire.answers, wire.n_answers, Screening.Answer.init), refusal: reasonCode(wire.reason),
        revision: response.revision)
    }
  }
}

extension NumberListRow {
  fileprivate init(_ wire: Scope__V1__NumberListRow) {
    self.init(
      id: text(wire.id), name: text(wire.name),
      purpose: ListPurpose(rawValue: UInt8(clamping: wire.purpose.rawValue)) ?? .none, numbers: wire.numbers)
  }
}

extension NumberRow {
  fileprivate init(_ wire: Scope__V1__NumberRow) {
    self.init(
      text(wire.number), label: text(wire.label), timeZone: text(wire.time_zone),
      columns: rows(wire.columns, wire.n_columns) { Column(text($0.name), text($0.value)) })
  }
}

extension Screening.Answer {
  fileprivate init(_ wire: Scope__V1__ScreenedNumber) {
    self.init(
      verdict: NumberVerdict(rawValue: UInt8(clamping: wire.verdict.rawValue)), unwantedList: text(wire.unwanted_list),
      vipList: text(wire.vip_list))
  }
}

extension PackedNumbers {
  /// What stands beside numbers, as `append` takes it.
  public static func details(label: Name?, timeZone: Name?) -> [UInt8] {
    func field(_ number: UInt8, _ text: Name?) -> [UInt8] {
      guard let text else { return [] }
      let length = text.text.utf8.count  // at most 128: two bytes as a varint
      return [number << 3 | 2] + (length < 128 ? [UInt8(length)] : [UInt8(length & 127) | 128, 1]) + text.text.utf8
    }
    return field(2, label) + field(3, timeZone)
  }
}
