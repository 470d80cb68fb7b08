import CScopeWire
import ScopeModel
import ScopeProtocol

/// A batch as it was applied.
public struct LogRecord: Sendable {
  /// A row before and after: its kind and its columns. Empty before: new; empty after: gone.
  public struct Edit: Hashable, Sendable {
    public let before: [String]
    public let after: [String]
  }

  public let revision: UInt64
  /// Microseconds since 1970.
  public let timeMicroseconds: Int64
  /// Empty: the platform itself.
  public let actor: String
  public let caller: String
  public internal(set) var edits: [Edit]
  public let hash: [UInt8]
}

/// Which changes of a company are wanted. Empty and nil: any.
public struct LogFilter: Sendable {
  public var newestFirst = false
  public var sinceMicroseconds: Int64?
  public var untilMicroseconds: Int64?
  public var actor = ""
  public var caller = ""
  /// `project:clinic`, `user:1001`, `role:operator`, `queue:support`, ….
  public var about = ""

  public init() {}
}

/// What a look through the stored data found.
public struct VerificationReport: Sendable {
  public let isSound: Bool
  public let problems: [String]
  public let companies: UInt64
  public let facts: UInt64
  public let headHash: [UInt8]
  public let revision: UInt64
}

extension Client {
  /// The changes of a company, page by page until `each` says no or there are no more.
  public func changes(_ filter: LogFilter, each: (LogRecord) -> Bool) throws(ClientError) {
    var after: UInt64 = 0
    while true {
      let (records, next) = try page(filter, after: after)
      for record in records where !each(record) { return }
      if next == 0 { return }
      after = next
    }
  }

  private func page(_ filter: LogFilter, after: UInt64) throws(ClientError) -> ([LogRecord], next: UInt64) {
    var records: [LogRecord] = []
    var isContinued = false
    var next: UInt64 = 0
    try ask { (request, arena) throws(Failure) in
      request.pointee.list_changes = try filter.wire(after: after, in: arena)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_CHANGES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_CHANGES else { return }
      let wire = response.pointee.list_changes.pointee
      for index in 0..<wire.n_records {
        let record = wire.records[index]!.pointee
        if isContinued, !records.isEmpty {
          records[records.count - 1].edits += LogRecord(record).edits
        } else {
          records.append(LogRecord(record))
        }
        isContinued = record.continued != 0
      }
      next = wire.next_after_revision
    }
    return (records, next)
  }

  /// Has the daemon look its stored data through.
  public func verify() throws(ClientError) -> VerificationReport {
    var report: VerificationReport?
    try ask { (request, arena) throws(Failure) in
      request.pointee.verify = try arena.make(scope__v1__verify_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_VERIFY
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_VERIFY else { return }
      let wire = response.pointee.verify.pointee
      report = VerificationReport(
        isSound: wire.sound != 0,
        problems: (0..<wire.n_problems).map { String(decoding: wire.problems[$0].key, as: UTF8.self) },
        companies: wire.companies, facts: wire.facts, headHash: Array(wire.head_hash.key),
        revision: response.pointee.revision)
    }
    if let report { return report }
    throw ClientError(reason: "bad_reply", message: "the reply has no result")
  }
}

extension LogFilter {
  fileprivate func wire(
    after: UInt64, in arena: Arena
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ListChangesRequest> {
    let call = try arena.make(scope__v1__list_changes_request__init)
    call.pointee.newest_first = newestFirst ? 1 : 0
    call.pointee.after_revision = after
    call.pointee.since_us = sinceMicroseconds ?? 0
    call.pointee.until_us = untilMicroseconds ?? 0
    call.pointee.actor = try arena.copy(actor)
    call.pointee.caller = try arena.copy(caller)
    call.pointee.about = try arena.copy(about)
    return call
  }
}

extension LogRecord {
  fileprivate init(_ wire: Scope__V1__ChangeRecord) {
    func texts(_ list: UnsafeMutablePointer<ProtobufCBinaryData>?, _ count: Int) -> [String] {
      (0..<count).map { String(decoding: list![$0].key, as: UTF8.self) }
    }
    self.init(
      revision: wire.revision, timeMicroseconds: wire.time_us, actor: String(decoding: wire.actor.key, as: UTF8.self),
      caller: String(decoding: wire.caller.key, as: UTF8.self),
      edits: (0..<wire.n_edits).map { index in
        let edit = wire.edits[index]!.pointee
        return Edit(before: texts(edit.before, edit.n_before), after: texts(edit.after, edit.n_after))
      }, hash: Array(wire.hash.key))
  }
}
