import CScopeWire
import ScopeModel
import ScopeProtocol

/// Why a check is answered as it is.
public struct Explanation: Sendable {
  /// A project, and the group by which a user is in it; empty: directly, or no user.
  public struct Way: Hashable, Sendable {
    public let project: String
    public let group: String
  }

  public let answer: Answer
  public let subjectWays: [Way]
  public let objectWays: [Way]
  public let shared: [Way]
  /// No list was cut.
  public let isComplete: Bool
  /// The path, a sentence for each rule.
  public let words: [String]
}

/// A row of `whoCanSee`.
public struct Viewer: Hashable, Sendable {
  public let id: String
  public let name: String
  /// Stable, such as `shared_project`.
  public let reason: String
  public let project: String
  public let group: String
}

/// A row of `whatSees`.
public struct SeenObject: Sendable {
  public let object: ObjectRow
  public let reason: String
  public let project: String
  public let group: String
}

extension Client {
  /// Why is this check answered as it is?
  public func explain(_ check: Check) throws(ClientError) -> Explanation {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__explain_request__init)
      call.pointee.check = try check.wire(in: arena)
      request.pointee.explain = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_EXPLAIN
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_EXPLAIN else { return nil }
      return Explanation(response.explain.pointee, revision: response.revision)
    }
  }

  /// The users who see something, in byte order of ids.
  public func whoCanSee(_ object: Target, each: (Viewer) -> Void) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__who_can_see_request__init)
      (call.pointee.object_type, call.pointee.object_id) = try arena.copy(object)
      request.pointee.who_can_see = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WHO_CAN_SEE
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WHO_CAN_SEE else { return }
      let wire = response.pointee.who_can_see.pointee
      for viewer in rows(wire.viewers, wire.n_viewers, Viewer.init) { each(viewer) }
    }
  }

  /// What a subject sees, and why, in order of type and id.
  public func whatSees(
    _ subject: Subject, types: [TargetType] = [], project: String = "", each: (SeenObject) -> Void
  ) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__what_sees_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      call.pointee.project = try arena.copy(project)
      (call.pointee.object_types, call.pointee.n_object_types) = (try arena.copy(types), types.count)
      request.pointee.what_sees = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WHAT_SEES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WHAT_SEES else { return }
      let wire = response.pointee.what_sees.pointee
      for object in rows(wire.objects, wire.n_objects, SeenObject.init) { each(object) }
    }
  }
}

extension Explanation.Way {
  init(_ wire: Scope__V1__Way) { self.init(project: text(wire.project), group: text(wire.group)) }
}

extension Explanation {
  fileprivate init(_ wire: Scope__V1__ExplainResponse, revision: UInt64) {
    self.init(
      answer: Answer(wire.answer.pointee, revision: revision),
      subjectWays: rows(wire.subject_ways, wire.n_subject_ways, Way.init),
      objectWays: rows(wire.object_ways, wire.n_object_ways, Way.init),
      shared: rows(wire.shared, wire.n_shared, Way.init), isComplete: wire.complete != 0,
      words: texts(wire.words, wire.n_words))
  }
}

extension Viewer {
  fileprivate init(_ wire: Scope__V1__Viewer) {
    self.init(
      id: text(wire.id), name: text(wire.name), reason: reasonCode(wire.reason) ?? "\(wire.reason.rawValue)",
      project: text(wire.project), group: text(wire.group))
  }
}

extension SeenObject {
  fileprivate init(_ wire: Scope__V1__SeenObject) {
    self.init(
      object: ObjectRow(wire.object.pointee), reason: reasonCode(wire.reason) ?? "\(wire.reason.rawValue)",
      project: text(wire.project), group: text(wire.group))
  }
}
