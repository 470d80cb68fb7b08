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
  /// Who gained and lost what by it, where the daemon has noted it.
  public internal(set) var access: AccessReport?
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
  /// Only changes that touch rows of this kind, the first word of an edit: `project`, `placement`, ….
  public var kind = ""

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
  /// The changes of a company, page by page until `each` says no or there are no more. None, and an error, if the filter
  /// names what the company does not have, and never had in that time.
  public func changes(_ filter: LogFilter, each: (LogRecord) -> Bool) throws(ClientError) {
    var after: UInt64 = 0
    var isEmpty = true
    while true {
      let (records, next) = try page(filter, after: after)
      if !records.isEmpty { isEmpty = false }
      for record in records where !each(record) { return }
      if next == 0 { break }
      after = next
    }
    if isEmpty { try expectKnown(filter) }
  }

  private func expectKnown(_ filter: LogFilter) throws(ClientError) {
    let isRole = filter.about.hasPrefix("role:")
    var things = (try? Name(filter.actor)).map { [Subject.user($0)] } ?? []
    if !isRole, let about = try? Subject(ref: filter.about) { things.append(about) }
    var unknown = try unknown(among: things)
    if isRole, try !roles().roles.contains(where: { "role:\($0.name)".utf8.elementsEqual(filter.about.utf8) }) {
      unknown.append(filter.about)
    }
    if !unknown.isEmpty { throw ClientError(unknown: unknown) }
  }

  private func page(_ filter: LogFilter, after: UInt64) throws(ClientError) -> ([LogRecord], next: UInt64) {
    var records: [LogRecord] = []
    var joiner = RecordJoiner()
    var next: UInt64 = 0
    try ask { (request, arena) throws(Failure) in
      request.pointee.list_changes = try filter.wire(after: after, in: arena)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_CHANGES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_CHANGES else { return }
      let wire = response.pointee.list_changes.pointee
      records += joiner.join(wire.records, wire.n_records)
      next = wire.next_after_revision
    }
    return (records, next)
  }

  /// Has the daemon look its stored data through.
  public func verify() throws(ClientError) -> VerificationReport {
    try askOne { (request, arena) throws(Failure) in
      request.pointee.verify = try arena.make(scope__v1__verify_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_VERIFY
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_VERIFY else { return nil }
      let wire = response.verify.pointee
      return VerificationReport(
        isSound: wire.sound != 0, problems: texts(wire.problems, wire.n_problems), companies: wire.companies,
        facts: wire.facts, headHash: Array(wire.head_hash.key), revision: response.revision)
    }
  }
}

/// Makes records whole that came in pieces, over the bounds of parts.
struct RecordJoiner {
  private var begun: LogRecord?

  /// No piece waits for another.
  var isWhole: Bool { begun == nil }

  /// The records that are whole now.
  mutating func join(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ChangeRecord>?>?, _ count: Int
  ) -> [LogRecord] {
    var whole: [LogRecord] = []
    for index in 0..<count {
      let wire = list![index]!.pointee
      let piece = LogRecord(wire)
      if begun == nil { begun = piece } else { begun!.edits += piece.edits }
      begun!.access = piece.access
      if wire.continued == 0 { whole.append(begun.take()!) }
    }
    return whole
  }
}

extension LogFilter {
  fileprivate func wire(
    after: UInt64, in arena: Arena
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ListChangesRequest> {
    let call = try arena.make(scope__v1__list_changes_request__init)
    call.pointee.newest_first = newestFirst ? 1 : 0
    call.pointee.after_revision = after
    call.pointee.since_us = sinceMicroseconds?.orJustBefore ?? 0
    call.pointee.until_us = untilMicroseconds?.orJustBefore ?? 0
    call.pointee.actor = try arena.copy(actor)
    call.pointee.caller = try arena.copy(caller)
    call.pointee.about = try arena.copy(about)
    call.pointee.kind = try arena.copy(kind)
    return call
  }
}

extension LogRecord {
  fileprivate init(_ wire: Scope__V1__ChangeRecord) {
    self.init(
      revision: wire.revision, timeMicroseconds: wire.time_us, actor: text(wire.actor), caller: text(wire.caller),
      edits: rows(wire.edits, wire.n_edits) { edit in
        Edit(before: texts(edit.before, edit.n_before), after: texts(edit.after, edit.n_after))
      }, hash: Array(wire.hash.key), access: wire.access.map { AccessReport($0.pointee) })
  }
}
