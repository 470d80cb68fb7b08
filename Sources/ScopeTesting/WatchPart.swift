import CScopeWire
import ScopeModel
import ScopeProtocol

/// A part of WatchChanges or WatchAccess, as a test looks at it.
public struct WatchPart: Sendable {
  public let revision: UInt64
  /// Of WatchChanges: the revisions of the records, how many edits each has here, and whether more follow.
  public let records: [(revision: UInt64, edits: Int, isContinued: Bool)]
  /// Of WatchAccess.
  public let gained: [ObjectRef]
  public let lost: [ObjectRef]
  public let isSettled: Bool

  public init(_ message: [UInt8]) throws {
    let response = try RawResponse(message)
    if response.code != 0 { throw TestFailure(response.reason) }
    let arena = Arena(limit: 256 << 20)
    let wire = message.withUnsafeBytes { arena.unpackResponse($0) }!.pointee
    revision = wire.revision
    switch wire.result_case {
    case SCOPE__V1__RESPONSE__RESULT_WATCH_CHANGES:
      let part = wire.watch_changes.pointee
      records = (0..<part.n_records).map { index in
        let record = part.records[index]!.pointee
        return (record.revision, record.n_edits, record.continued != 0)
      }
      (gained, lost, isSettled) = ([], [], false)
    case SCOPE__V1__RESPONSE__RESULT_WATCH_ACCESS:
      let part = wire.watch_access.pointee
      records = []
      gained = try (0..<part.n_gained).map { try ObjectRef(part.gained[$0]!.pointee) }
      lost = try (0..<part.n_lost).map { try ObjectRef(part.lost[$0]!.pointee) }
      isSettled = part.settled != 0
    default: throw TestFailure("result \(response.result) is not of a watch")
    }
  }
}

extension ObjectRef {
  fileprivate init(_ row: Scope__V1__ObjectRow) throws {
    self.init(ObjectType(number: UInt8(row.type.rawValue))!, try Name(utf8: row.id.key))
  }
}

extension RawConnection {
  /// The next part of a watch.
  public func watchPart(within seconds: Double = patience / .seconds(1)) throws -> WatchPart {
    switch receive(within: seconds) {
    case .message(let message): return try WatchPart(message)
    case .closed: throw TestFailure("the daemon has closed the connection")
    case .nothing: throw TestFailure("no part within \(seconds) s")
    }
  }
}
