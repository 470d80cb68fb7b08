import CScopeWire
import ScopeModel
import ScopeProtocol

/// As of when a question is answered.
public enum PointInTime: Hashable, Sendable {
  case now
  /// From 1.
  case revision(UInt64)
  /// Microseconds since 1970.
  case time(Int64)

  func write(into request: UnsafeMutablePointer<WireRequest>) {
    switch self {
    case .now: break
    case .revision(let revision): request.pointee.at_revision = revision
    case .time(let microseconds): request.pointee.at_time_us = microseconds.orJustBefore
    }
  }

  /// A daemon that does not know of points in time answers as of now, which must not pass for then.
  func check(_ response: WireResponse) throws(Failure) {
    guard case .revision(let revision) = self, response.revision > revision,
      response.result_case != SCOPE__V1__RESPONSE__RESULT__NOT_SET
    else { return }
    throw Failure(.unimplemented, "not_as_of_then", "the daemon has answered as of revision \(response.revision)")
  }
}

extension Int64 {
  /// On the wire a time of 0 is none: the beginning of 1970 goes as the moment before it.
  var orJustBefore: Int64 { self == 0 ? -1 : self }
}

/// libscope asks about now only, so these questions go as plain messages.
extension Client {
  func checkThen(_ subject: String, _ object: String, right: String?) -> Answer {
    do throws(ClientError) {
      let pair = try arguments {
        Check(
          subject: try Subject(ref: subject), object: try Target(ref: object), right: try right.map { try Name($0) })
      }
      return try check([pair])[0]
    } catch {
      return .unavailable(error)
    }
  }

  /// So many ids of the greatest length fit into a frame.
  private static let idsPerFrame = 20_000

  func filterThen(
    _ subject: String, type: String, ids: [String], project: String?
  ) throws(ClientError) -> (visible: [Bool], revision: UInt64) {
    let subject = try arguments { try Subject(ref: subject) }
    guard let type = TargetType(name: type) else { throw badType(type) }
    var visible: [Bool] = []
    var revision: UInt64 = 0
    for start in stride(from: 0, to: ids.count, by: Client.idsPerFrame) {
      let some = Array(ids[start..<min(ids.count, start + Client.idsPerFrame)])
      let answer = try filterThen(subject, type, some, project: project)
      visible += answer.visible
      revision = answer.revision
    }
    return (visible, revision)
  }

  private func filterThen(
    _ subject: Subject, _ type: TargetType, _ ids: [String], project: String?
  ) throws(ClientError) -> (visible: [Bool], revision: UInt64) {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__filter_objects_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      call.pointee.object_type = type.onTheWire
      (call.pointee.object_ids, call.pointee.n_object_ids) = (try arena.copy(ids), ids.count)
      call.pointee.project = try arena.copy(project ?? "")
      call.pointee.as_bitmap = 1
      request.pointee.filter_objects = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_FILTER_OBJECTS
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS else { return nil }
      let bits = response.filter_objects.pointee.bitmap.key
      guard bits.count == (ids.count + 7) / 8 else { return nil }
      return (ids.indices.map { bits[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }, response.revision)
    }
  }

  /// The projects that a user, `user:1001`, sees.
  public func projects(_ user: String, each: (ProjectTile) -> Void) throws(ClientError) -> UInt64 {
    let subject = try arguments { try Subject(ref: user) }
    guard case .user(let id) = subject else { throw badType(user) }
    return try projects(of: id, each: each)
  }

  /// The projects a user sees; nil: every project, whoever sees it.
  public func projects(of user: Name?, each: (ProjectTile) -> Void) throws(ClientError) -> UInt64 {
    var revision: UInt64 = 0
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_projects_request__init)
      call.pointee.user = try arena.copy(user?.text ?? "")
      call.pointee.every = user == nil ? 1 : 0
      request.pointee.list_projects = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_PROJECTS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_PROJECTS else { return }
      let wire = response.pointee.list_projects.pointee
      for tile in rows(wire.projects, wire.n_projects, ProjectTile.init) { each(tile) }
      revision = response.pointee.revision
    }
    return revision
  }

  /// Everything of some types (none: objects of all types) that the subject sees.
  public func objects(
    _ subject: String, types: [String], project: String?, each: (ObjectRow) -> Void
  ) throws(ClientError) -> UInt64 {
    let subject = try arguments { try Subject(ref: subject) }
    let known = types.compactMap { TargetType(name: $0) }
    guard known.count == types.count else { throw badType(types.joined(separator: ", ")) }
    var revision: UInt64 = 0
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_objects_request__init)
      (call.pointee.subject_type, call.pointee.subject_id) = try arena.copy(subject)
      (call.pointee.object_types, call.pointee.n_object_types) = (try arena.copy(known), known.count)
      call.pointee.project = try arena.copy(project ?? "")
      request.pointee.list_objects = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_OBJECTS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_OBJECTS else { return }
      let wire = response.pointee.list_objects.pointee
      for object in rows(wire.objects, wire.n_objects, ObjectRow.init) { each(object) }
      revision = response.pointee.revision
    }
    return revision
  }
}

/// What libscope says of an argument that can't be sent.
private func arguments<T>(_ body: () throws -> T) throws(ClientError) -> T {
  do { return try body() } catch { throw ClientError(reason: "bad_argument", message: "\(error)") }
}

private func badType(_ text: String) -> ClientError {
  ClientError(reason: "bad_argument", message: "'\(text)' is of another type than this question takes")
}

extension ProjectTile {
  fileprivate init(_ wire: Scope__V1__ProjectTile) {
    self.init(
      id: text(wire.id), name: text(wire.name), description: text(wire.description),
      contentsVisible: wire.contents_visible != 0)
  }
}
