import CScopeWire
import ScopeModel
import ScopeProtocol

/// A part of what `watchAccess` tells.
public struct AccessPart: Sendable {
  public let gained: [ObjectRow]
  public let lost: [ObjectRow]
  /// With this part all is known that there is at `revision`.
  public let isSettled: Bool
  public let revision: UInt64
}

/// Watches end by `each` saying no, or by an error; a heartbeat comes as a part without contents. The client's
/// deadline is the longest silence.
extension Client {
  /// Every change behind a revision as it comes; nil: what comes from now on. `each` also gets the revision to go on
  /// behind after a lost connection.
  public func watchChanges(
    after: UInt64?, each: (_ records: [LogRecord], _ revision: UInt64) -> Bool
  ) throws(ClientError) {
    var joiner = RecordJoiner()
    var had = after ?? 0
    try watch { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__watch_changes_request__init)
      call.pointee.after_revision = had
      call.pointee.from_now = after == nil ? 1 : 0
      call.pointee.heartbeat_ms = heartbeatMilliseconds
      request.pointee.watch_changes = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WATCH_CHANGES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WATCH_CHANGES else { return true }
      let wire = response.pointee.watch_changes.pointee
      let records = joiner.join(wire.records, wire.n_records)
      had = joiner.isWhole ? response.pointee.revision : records.last?.revision ?? had
      return each(records, had)
    }
  }

  /// What a subject sees, and then what it gains and loses as it comes.
  public func watchAccess(
    _ subject: Subject, types: [ObjectType] = [], each: (AccessPart) -> Bool
  ) throws(ClientError) {
    var unknown: [String] = []
    try watch { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__watch_access_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      (call.pointee.object_types, call.pointee.n_object_types) = (
        try arena.copy(types.map { .object($0) }), types.count
      )
      call.pointee.heartbeat_ms = heartbeatMilliseconds
      request.pointee.watch_access = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WATCH_ACCESS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WATCH_ACCESS else { return true }
      let wire = response.pointee.watch_access.pointee
      unknown = response.pointee.named
      if !unknown.isEmpty { return false }
      return each(
        AccessPart(
          gained: rows(wire.gained, wire.n_gained, ObjectRow.init), lost: rows(wire.lost, wire.n_lost, ObjectRow.init),
          isSettled: wire.settled != 0, revision: response.pointee.revision))
    }
    if !unknown.isEmpty { throw ClientError(unknown: unknown) }
  }

  /// Often enough that two may be lost, within what the daemon takes.
  private var heartbeatMilliseconds: UInt32 { min(60_000, max(100, timeoutMilliseconds / 3)) }
}
