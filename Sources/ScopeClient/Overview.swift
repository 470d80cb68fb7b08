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
    var explanation: Explanation?
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__explain_request__init)
      call.pointee.check = try check.wire(in: arena)
      request.pointee.explain = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_EXPLAIN
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_EXPLAIN else { return }
      explanation = Explanation(response.pointee.explain.pointee, revision: response.pointee.revision)
    }
    if let explanation { return explanation }
    throw ClientError(reason: "bad_reply", message: "the reply has no result")
  }

  /// The users who see an object, in byte order of ids.
  public func whoCanSee(_ object: ObjectRef, each: (Viewer) -> Void) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__who_can_see_request__init)
      call.pointee.object_type = Scope__V1__EntityType(UInt32(object.type.number))
      call.pointee.object_id = try arena.copy(object.id.text)
      request.pointee.who_can_see = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WHO_CAN_SEE
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WHO_CAN_SEE else { return }
      let wire = response.pointee.who_can_see.pointee
      for index in 0..<wire.n_viewers { each(Viewer(wire.viewers[index]!.pointee)) }
    }
  }

  /// What a subject sees, and why, in order of type and id.
  public func whatSees(
    _ subject: Subject, types: [ObjectType] = [], project: String = "", each: (SeenObject) -> Void
  ) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__what_sees_request__init)
      let (kind, id) = subject.onTheWire
      call.pointee.subject_type = Scope__V1__EntityType(UInt32(kind))
      call.pointee.subject_id = try arena.copy(id.text)
      call.pointee.project = try arena.copy(project)
      guard let list = arena.allocate(Scope__V1__EntityType.self, count: types.count) else { throw Arena.full }
      for (index, type) in types.enumerated() { list[index] = Scope__V1__EntityType(UInt32(type.number)) }
      (call.pointee.object_types, call.pointee.n_object_types) = (list, types.count)
      request.pointee.what_sees = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_WHAT_SEES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_WHAT_SEES else { return }
      let wire = response.pointee.what_sees.pointee
      for index in 0..<wire.n_objects { each(SeenObject(wire.objects[index]!.pointee)) }
    }
  }
}

extension Explanation {
  fileprivate init(_ wire: Scope__V1__ExplainResponse, revision: UInt64) {
    func ways(_ list: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Way>?>?, _ count: Int) -> [Way] {
      (0..<count).map { Way(project: text(list![$0]!.pointee.project), group: text(list![$0]!.pointee.group)) }
    }
    self.init(
      answer: Answer(wire.answer.pointee, revision: revision),
      subjectWays: ways(wire.subject_ways, wire.n_subject_ways),
      objectWays: ways(wire.object_ways, wire.n_object_ways), shared: ways(wire.shared, wire.n_shared),
      isComplete: wire.complete != 0, words: (0..<wire.n_words).map { text(wire.words[$0]) })
  }
}

extension Viewer {
  fileprivate init(_ wire: Scope__V1__Viewer) {
    self.init(
      id: text(wire.id), name: text(wire.name), reason: code(wire.reason), project: text(wire.project),
      group: text(wire.group))
  }
}

extension SeenObject {
  fileprivate init(_ wire: Scope__V1__SeenObject) {
    let object = wire.object.pointee
    let type = UInt8(exactly: object.type.rawValue).flatMap(ObjectType.init(number:))
    self.init(
      object: ObjectRow(
        type: type?.name ?? "\(object.type.rawValue)", id: text(object.id), name: text(object.name),
        isSystem: object.system != 0),
      reason: code(wire.reason), project: text(wire.project), group: text(wire.group))
  }
}

private func text(_ bytes: ProtobufCBinaryData) -> String { String(decoding: bytes.key, as: UTF8.self) }

private func code(_ reason: Scope__V1__Reason) -> String {
  UInt8(exactly: reason.rawValue).flatMap(Reason.init)?.code ?? "\(reason.rawValue)"
}
