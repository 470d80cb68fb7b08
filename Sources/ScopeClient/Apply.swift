import CScopeWire
import ScopeModel
import ScopeProtocol

/// What came of a batch.
public struct ApplyResult: Sendable {
  public struct Warning: Sendable {
    /// Position of the change in the batch, from 1.
    public let position: Int
    public let reason: String
    public let message: String
    public let projects: [String]
  }

  /// What a switch to enhanced mode has put into `Default`.
  public struct Gathered: Sendable {
    public let project: String
    public let users: UInt64
    public let objects: UInt64
    /// The first of them, as `user:1001` or `queue:support`.
    public let first: [String]
    public let isComplete: Bool
  }

  public let revision: UInt64
  /// Rows made, altered or removed.
  public let edits: Int
  public let warnings: [Warning]
  /// The idempotency key was known.
  public let isRepeated: Bool
  public let gathered: Gathered?
  /// Nil where the daemon does not tell.
  public let access: AccessReport?
  /// The same of users, groups and projects; nil: not a preview, or the daemon does not tell.
  public var people: AccessReport?
}

/// Which users gained and lost sight of what.
public struct AccessReport: Sendable {
  public struct Row: Sendable {
    public let user: String
    public let userName: String
    public let object: ObjectRow
    public let isGained: Bool
  }

  /// Pairs of a user and what it sees.
  public let gained: UInt64
  public let lost: UInt64
  /// By the user's name, then by type and id of the object.
  public let first: [Row]
  public let isComplete: Bool
}

/// A batch that was not applied, or may have been: see `error.isSent`.
public struct RefusedApply: Error, Sendable {
  public let error: ClientError
  /// Position of the change at fault, from 1; 0: none is.
  public let position: Int
}

extension Client {
  /// Applies changes to a company: all or none.
  ///
  /// - Throws: with `position` of the change at fault, from 1, where the daemon names one.
  public func apply(
    _ changes: [Change], to company: Name, actor: String = "", expectedRevision: UInt64 = 0,
    idempotencyKey: String = "", timeoutMilliseconds: UInt32
  ) throws(RefusedApply) -> ApplyResult {
    try change(company, timeoutMilliseconds, mayRepeat: false) { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__apply_request__init)
      (call.pointee.changes, call.pointee.n_changes) = (try arena.copy(changes), changes.count)
      call.pointee.actor = try arena.copy(actor)
      call.pointee.expected_revision = expectedRevision
      call.pointee.idempotency_key = try arena.copy(idempotencyKey)
      request.pointee.apply = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_APPLY
    } take: { response in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_APPLY else { return nil }
      return ApplyResult(response.apply.pointee, revision: response.revision)
    }
  }

  /// What would these changes do? Refused as `apply` would refuse them.
  ///
  /// - Parameter first: rows of `access.first` that are wanted, at most 1,000; 0: the daemon's default.
  public func preview(
    _ changes: [Change], of company: Name, actor: String = "", first: UInt32 = 0, timeoutMilliseconds: UInt32
  ) throws(RefusedApply) -> ApplyResult {
    try change(company, timeoutMilliseconds, mayRepeat: true) { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__preview_request__init)
      (call.pointee.changes, call.pointee.n_changes) = (try arena.copy(changes), changes.count)
      call.pointee.actor = try arena.copy(actor)
      call.pointee.first = first
      request.pointee.preview = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_PREVIEW
    } take: { response in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_PREVIEW else { return nil }
      return ApplyResult(response.preview.pointee, revision: response.revision)
    }
  }

  private func change(
    _ company: Name, _ timeoutMilliseconds: UInt32, mayRepeat: Bool,
    request: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void, take: (WireResponse) -> ApplyResult?
  ) throws(RefusedApply) -> ApplyResult {
    var result: ApplyResult?
    var position = 0
    do throws(ClientError) {
      try call(
        company: company.text, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: mayRepeat, request: request
      ) { response throws(Failure) in
        position = Int(response.pointee.change)
        result = take(response.pointee)
      }
    } catch {
      throw RefusedApply(error: error, position: position)
    }
    guard let result else { throw RefusedApply(error: .noResult, position: 0) }
    return result
  }
}

extension Arena {
  fileprivate func copy(
    _ changes: [Change]
  ) throws(Failure) -> UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Change>?> {
    typealias Row = UnsafeMutablePointer<Scope__V1__Change>
    guard let list = allocate(Row?.self, count: changes.count) else { throw Arena.full }
    for (index, change) in changes.enumerated() { (list + index).initialize(to: try change.wire(in: self)) }
    return list
  }
}

extension ApplyResult {
  fileprivate init(_ wire: Scope__V1__ApplyResponse, revision: UInt64) {
    self.init(
      revision: revision, edits: Int(wire.edits), warnings: rows(wire.warnings, wire.n_warnings, Warning.init),
      isRepeated: wire.repeated_key != 0, gathered: wire.gathered.map { Gathered($0.pointee) },
      access: wire.access.map { AccessReport($0.pointee) })
  }

  fileprivate init(_ wire: Scope__V1__PreviewResponse, revision: UInt64) {
    self.init(
      revision: revision, edits: Int(wire.edits), warnings: rows(wire.warnings, wire.n_warnings, Warning.init),
      isRepeated: false, gathered: wire.gathered.map { Gathered($0.pointee) },
      access: wire.access.map { AccessReport($0.pointee) }, people: wire.people.map { AccessReport($0.pointee) })
  }
}

extension ApplyResult.Warning {
  fileprivate init(_ wire: Scope__V1__Warning) {
    self.init(
      position: Int(wire.change), reason: text(wire.reason), message: text(wire.message),
      projects: texts(wire.projects, wire.n_projects))
  }
}

extension ApplyResult.Gathered {
  fileprivate init(_ wire: Scope__V1__Gathered) {
    self.init(
      project: text(wire.project), users: wire.users, objects: wire.objects, first: texts(wire.first, wire.n_first),
      isComplete: wire.complete != 0)
  }
}

extension AccessReport {
  init(_ wire: Scope__V1__AccessSummary) {
    self.init(
      gained: wire.gained, lost: wire.lost, first: rows(wire.first, wire.n_first, Row.init),
      isComplete: wire.complete != 0)
  }
}

extension AccessReport.Row {
  fileprivate init(_ wire: Scope__V1__AccessChange) {
    self.init(
      user: text(wire.user), userName: text(wire.user_name),
      object: ObjectRow(
        type: typeName(wire.object_type), id: text(wire.object_id), name: text(wire.object_name), isSystem: false),
      isGained: wire.gained != 0)
  }
}
