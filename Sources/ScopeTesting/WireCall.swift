import CScopeWire
import ScopeModel
import ScopeProtocol

/// Why a call over the wire has no result.
public struct WireRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// gRPC's number.
  public let code: UInt32
  public let reason: String
  public let message: String
  /// Of a batch: position of the change at fault, from 1; 0: none.
  public let position: Int

  public var description: String { "\(reason) at \(position): \(message)" }
}

/// Calls for tests that read the contract's own messages, without a client in between.
public struct WireCaller: Sendable {
  public let address: String
  public let company: String
  /// Asks as of this revision; 0: as of now.
  public var atRevision: UInt64 = 0
  /// Asks as of this time; 0: as of now.
  public var atMicroseconds: Int64 = 0

  public init(_ address: String, company: String) {
    self.address = address
    self.company = company
  }

  /// Sends a request and reads all its responses. Their memory lives as long as `read`.
  ///
  /// - Returns: the rows of all parts.
  @discardableResult
  public func ask<Row>(
    _ call: Scope__V1__Request__CallCase, fill: (UnsafeMutablePointer<WireRequest>, Arena) throws -> Void,
    read: (WireResponse) throws -> [Row]
  ) throws -> [Row] {
    let connection = try RawConnection(address)
    connection.sendFrame(try packed(call, fill))
    var rows: [Row] = []
    while true {
      guard case .message(let message) = connection.receive() else { throw TestFailure("no response") }
      let arena = Arena(limit: 64 << 20)
      guard let response = message.withUnsafeBytes({ arena.unpackResponse($0) })?.pointee else {
        throw TestFailure("\(message.count) bytes are not a scope.v1.Response")
      }
      guard response.code == SCOPE__V1__CODE__CODE_OK else { throw WireRefusal(response) }
      rows += try withExtendedLifetime(arena) { try read(response) }
      if response.more == 0 { return rows }
    }
  }

  private func packed(
    _ call: Scope__V1__Request__CallCase, _ fill: (UnsafeMutablePointer<WireRequest>, Arena) throws -> Void
  ) throws -> [UInt8] {
    let arena = Arena(limit: 64 << 20)
    let request = try arena.make(scope__v1__request__init)
    request.pointee.id = 1
    request.pointee.company = try arena.copy(company)
    request.pointee.timeout_ms = .anHour
    request.pointee.at_revision = atRevision
    request.pointee.at_time_us = atMicroseconds
    request.pointee.call_case = call
    try fill(request, arena)
    return [UInt8](unsafeUninitializedCapacity: scope__v1__request__get_packed_size(request)) { memory, count in
      count = scope__v1__request__pack(request, memory.baseAddress)
    }
  }
}

extension WireRefusal {
  fileprivate init(_ wire: WireResponse) {
    self.init(
      code: wire.code.rawValue, reason: wire.reason.text, message: wire.message.text, position: Int(wire.change))
  }
}

extension ProtobufCBinaryData {
  fileprivate var text: String { String(decoding: key, as: UTF8.self) }
}

/// Messages of a list, one by one.
private func map<Wire, Row>(
  _ list: UnsafeMutablePointer<UnsafeMutablePointer<Wire>?>?, _ count: Int, _ make: (Wire) throws -> Row
) rethrows -> [Row] {
  try (0..<count).map { try make(list![$0]!.pointee) }
}

private func names(_ list: UnsafeMutablePointer<ProtobufCBinaryData>?, _ count: Int) throws -> [Name] {
  try (0..<count).map { try Name(utf8: list![$0].key) }
}

/// `user:anna`, `queue:desk`.
private func ref(_ type: Scope__V1__EntityType, _ id: ProtobufCBinaryData) -> Name {
  let number = UInt8(type.rawValue)
  let types = [SubjectKind.user: "user", SubjectKind.group: "group", SubjectKind.project: "project"]
  return Name(stringLiteral: "\(types[number] ?? ObjectType(number: number)?.name ?? "\(number)"):\(id.text)")
}

// MARK: - Looking things over

/// A user as ListUsers and GetUser tell it.
public struct WireUser: Hashable, Sendable {
  public let id, name: Name
  public let isBlocked: Bool
  public let roles, groups: [Name]
  /// `shop`, or `shop through team`.
  public let projects: [Name]
}

/// A group or a role, with how many users it has.
public struct WireSet: Hashable, Sendable {
  public let id: Name
  public let users: Int
  /// Of a group its projects, of a role its rights.
  public let holds: [Name]

  public init(_ id: Name, users: Int, holds: [Name] = []) {
    self.id = id
    self.users = users
    self.holds = holds
  }
}

/// A project, its members as `user:anna`, its objects as `queue:desk`.
public struct WireProject: Hashable, Sendable {
  public var id, name, description: String
  public var members, objects: [Name]
}

/// Something worth a look.
public struct WireFinding: Hashable, Sendable {
  /// FindingKind's number.
  public let kind: Int
  /// `user:anna`, `list:vip`.
  public let thing: Name
  public let projects: [Name]

  public init(_ kind: Int, _ thing: Name, _ projects: [Name] = []) {
    self.kind = kind
    self.thing = thing
    self.projects = projects
  }
}

extension WireCaller {
  public func hasRights(_ user: Name, _ rights: [Name]) throws -> [Bool] {
    try ask(SCOPE__V1__REQUEST__CALL_HAS_RIGHTS) { request, arena in
      let call = try arena.make(scope__v1__has_rights_request__init)
      call.pointee.user = try arena.copy(user.text)
      call.pointee.rights = arena.allocate(ProtobufCBinaryData.self, count: rights.count)
      call.pointee.n_rights = rights.count
      for (index, right) in rights.enumerated() { call.pointee.rights[index] = try arena.copy(right.text) }
      request.pointee.has_rights = call
    } read: { response in
      (0..<response.has_rights.pointee.n_held).map { response.has_rights.pointee.held[$0] != 0 }
    }
  }

  public func users(
    text: String = "", group: String = "", project: String = "", isInNone: Bool = false, byGroup: Bool = false
  ) throws -> [WireUser] {
    try ask(SCOPE__V1__REQUEST__CALL_LIST_USERS) { request, arena in
      let call = try arena.make(scope__v1__list_users_request__init)
      call.pointee.text = try arena.copy(text)
      call.pointee.group = try arena.copy(group)
      call.pointee.project = try arena.copy(project)
      call.pointee.in_no_project = isInNone ? 1 : 0
      if byGroup { call.pointee.order = SCOPE__V1__USER_ORDER__USER_ORDER_GROUP }
      request.pointee.list_users = call
    } read: { response in
      try map(response.list_users.pointee.users, response.list_users.pointee.n_users, WireUser.init)
    }
  }

  public func user(_ id: Name) throws -> WireUser {
    try ask(SCOPE__V1__REQUEST__CALL_GET_USER) { request, arena in
      request.pointee.get_user = try arena.make(scope__v1__get_user_request__init)
      request.pointee.get_user.pointee.id = try arena.copy(id.text)
    } read: { response in
      [try WireUser(response.get_user.pointee.user.pointee)]
    }[0]
  }

  public func groups() throws -> [WireSet] {
    try ask(SCOPE__V1__REQUEST__CALL_LIST_GROUPS) { request, arena in
      request.pointee.list_groups = try arena.make(scope__v1__list_groups_request__init)
    } read: { response in
      try map(response.list_groups.pointee.groups, response.list_groups.pointee.n_groups) {
        WireSet(try Name(utf8: $0.id.key), users: Int($0.users), holds: try names($0.projects, $0.n_projects))
      }
    }
  }

  public func roles() throws -> [WireSet] {
    try ask(SCOPE__V1__REQUEST__CALL_LIST_ROLES) { request, arena in
      request.pointee.list_roles = try arena.make(scope__v1__list_roles_request__init)
    } read: { response in
      try map(response.list_roles.pointee.roles, response.list_roles.pointee.n_roles) {
        WireSet(try Name(utf8: $0.name.key), users: Int($0.users), holds: try names($0.rights, $0.n_rights))
      }
    }
  }

  public func project(_ id: Name) throws -> WireProject {
    let parts = try ask(SCOPE__V1__REQUEST__CALL_GET_PROJECT) { request, arena in
      request.pointee.get_project = try arena.make(scope__v1__get_project_request__init)
      request.pointee.get_project.pointee.id = try arena.copy(id.text)
    } read: { response in
      let wire = response.get_project.pointee
      return [
        WireProject(
          id: wire.id.text, name: wire.name.text, description: wire.description.text,
          members: map(wire.members, wire.n_members) { ref($0.type, $0.id) },
          objects: map(wire.objects, wire.n_objects) { ref($0.type, $0.id) })
      ]
    }
    return parts.dropFirst().reduce(into: parts[0]) {
      $0.members += $1.members
      $0.objects += $1.objects
    }
  }

  /// The projects an object is in.
  public func projects(of object: ObjectRef) throws -> [Name] {
    try ask(SCOPE__V1__REQUEST__CALL_GET_OBJECT) { request, arena in
      let call = try arena.make(scope__v1__get_object_request__init)
      call.pointee.type = Scope__V1__EntityType(UInt32(object.type.number))
      call.pointee.id = try arena.copy(object.id.text)
      request.pointee.get_object = call
    } read: { response in
      try names(response.get_object.pointee.projects, response.get_object.pointee.n_projects)
    }
  }

  /// The ids of contact fields: all, or those of the system alone, or custom ones alone.
  public func fields(isSystem: Bool? = nil) throws -> [Name] {
    try ask(SCOPE__V1__REQUEST__CALL_LIST_FIELDS) { request, arena in
      let call = try arena.make(scope__v1__list_fields_request__init)
      let (system, custom) = (
        SCOPE__V1__FIELD_FILTER__FIELD_FILTER_SYSTEM, SCOPE__V1__FIELD_FILTER__FIELD_FILTER_CUSTOM
      )
      if let isSystem { call.pointee.filter = isSystem ? system : custom }
      request.pointee.list_fields = call
    } read: { response in
      try map(response.list_fields.pointee.fields, response.list_fields.pointee.n_fields) { try Name(utf8: $0.id.key) }
    }
  }

  /// - Parameter kinds: FindingKind's numbers; none: all.
  public func checkUp(_ kinds: Int...) throws -> [WireFinding] {
    try ask(SCOPE__V1__REQUEST__CALL_CHECK_UP) { request, arena in
      let call = try arena.make(scope__v1__check_up_request__init)
      call.pointee.kinds = arena.allocate(Scope__V1__FindingKind.self, count: kinds.count)
      call.pointee.n_kinds = kinds.count
      for (index, kind) in kinds.enumerated() { call.pointee.kinds[index] = Scope__V1__FindingKind(UInt32(kind)) }
      request.pointee.check_up = call
    } read: { response in
      try map(response.check_up.pointee.findings, response.check_up.pointee.n_findings) {
        WireFinding(Int($0.kind.rawValue), ref($0.type, $0.id), try names($0.projects, $0.n_projects))
      }
    }
  }

  /// May the subject see the object? The answer as of the caller's revision or time.
  public func canSee(_ subject: Subject, _ object: ObjectRef) throws -> Bool {
    try ask(SCOPE__V1__REQUEST__CALL_CAN_SEE) { request, arena in
      let call = try arena.make(scope__v1__can_see_request__init)
      let (kind, id) = subject.onTheWire
      call.pointee.subject_type = Scope__V1__EntityType(UInt32(kind))
      call.pointee.subject_id = try arena.copy(id.text)
      call.pointee.object_type = Scope__V1__EntityType(UInt32(object.type.number))
      call.pointee.object_id = try arena.copy(object.id.text)
      request.pointee.can_see = call
    } read: { response in
      [response.can_see.pointee.decision == SCOPE__V1__DECISION__DECISION_ALLOW]
    }[0]
  }

  /// The visible ones of the ids, as FilterObjects answers where no bitmap is wanted.
  public func filter(_ subject: Subject, type: String, _ ids: [String]) throws -> [Name] {
    try ask(SCOPE__V1__REQUEST__CALL_FILTER_OBJECTS) { request, arena in
      let call = try arena.make(scope__v1__filter_objects_request__init)
      let (kind, id) = subject.onTheWire
      call.pointee.subject_type = Scope__V1__EntityType(UInt32(kind))
      call.pointee.subject_id = try arena.copy(id.text)
      call.pointee.object_type = Scope__V1__EntityType(UInt32(ObjectType(name: type)!.number))
      call.pointee.object_ids = arena.allocate(ProtobufCBinaryData.self, count: ids.count)
      call.pointee.n_object_ids = ids.count
      for (index, id) in ids.enumerated() { call.pointee.object_ids[index] = try arena.copy(id) }
      request.pointee.filter_objects = call
    } read: { response in
      try names(response.filter_objects.pointee.object_ids, response.filter_objects.pointee.n_object_ids)
    }
  }

  /// What the subject sees, as `queue:desk`.
  public func whatSees(_ subject: Subject) throws -> [Name] {
    try ask(SCOPE__V1__REQUEST__CALL_WHAT_SEES) { request, arena in
      let call = try arena.make(scope__v1__what_sees_request__init)
      let (kind, id) = subject.onTheWire
      call.pointee.subject_type = Scope__V1__EntityType(UInt32(kind))
      call.pointee.subject_id = try arena.copy(id.text)
      request.pointee.what_sees = call
    } read: { response in
      map(response.what_sees.pointee.objects, response.what_sees.pointee.n_objects) {
        ref($0.object.pointee.type, $0.object.pointee.id)
      }
    }
  }
}

extension Subject {
  fileprivate var onTheWire: (kind: UInt8, id: Name) {
    switch self {
    case .user(let id): (SubjectKind.user, id)
    case .group(let id): (SubjectKind.group, id)
    case .project(let id): (SubjectKind.project, id)
    case .object(let ref): (ref.type.number, ref.id)
    }
  }
}

extension WireUser {
  fileprivate init(_ wire: Scope__V1__UserRow) throws {
    self.init(
      id: try Name(utf8: wire.id.key), name: try Name(utf8: wire.name.key), isBlocked: wire.blocked != 0,
      roles: try names(wire.roles, wire.n_roles), groups: try names(wire.groups, wire.n_groups),
      projects: map(wire.projects, wire.n_projects) { way in
        Name(stringLiteral: way.project.text + (way.group.len > 0 ? " through \(way.group.text)" : ""))
      })
  }
}

// MARK: - Changes

/// What came, or would come, of a batch.
public struct WireOutcome: Hashable, Sendable {
  public let revision: UInt64
  public let edits: Int
  /// Reason codes.
  public let warnings: [String]
  /// Project, users and objects that went into `Default`; nil: nothing did.
  public let gathered: Gathered?
  public let gained: Int
  public let lost: Int
  /// `anna gains queue:desk`.
  public let first: [Name]

  public struct Gathered: Hashable, Sendable {
    public let project: Name
    public let users: Int
    public let objects: Int
    /// `user:anna`, `queue:desk`.
    public let first: [Name]
  }
}

extension WireCaller {
  /// Applies the changes, and tells all that the answer tells.
  public func apply(_ changes: [Change], actor: String = "") throws -> WireOutcome {
    try ask(SCOPE__V1__REQUEST__CALL_APPLY) { request, arena in
      let call = try arena.make(scope__v1__apply_request__init)
      (call.pointee.changes, call.pointee.n_changes) = (try arena.list(changes), changes.count)
      call.pointee.actor = try arena.copy(actor)
      request.pointee.apply = call
    } read: { response in
      let wire = response.apply.pointee
      return [
        try WireOutcome(
          response.revision, wire.edits, map(wire.warnings, wire.n_warnings) { $0.reason.text }, wire.gathered,
          wire.access)
      ]
    }[0]
  }

  /// Tries the changes without effect.
  public func preview(_ changes: [Change], actor: String = "") throws -> WireOutcome {
    try ask(SCOPE__V1__REQUEST__CALL_PREVIEW) { request, arena in
      let call = try arena.make(scope__v1__preview_request__init)
      (call.pointee.changes, call.pointee.n_changes) = (try arena.list(changes), changes.count)
      call.pointee.actor = try arena.copy(actor)
      request.pointee.preview = call
    } read: { response in
      let wire = response.preview.pointee
      return [
        try WireOutcome(
          response.revision, wire.edits, map(wire.warnings, wire.n_warnings) { $0.reason.text }, wire.gathered,
          wire.access)
      ]
    }[0]
  }
}

extension Arena {
  fileprivate func list(
    _ changes: [Change]
  ) throws -> UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Change>?>? {
    let list = allocate(UnsafeMutablePointer<Scope__V1__Change>?.self, count: changes.count)
    for (index, change) in changes.enumerated() { list![index] = try change.wire(in: self) }
    return list
  }
}

extension WireOutcome {
  fileprivate init(
    _ revision: UInt64, _ edits: UInt32, _ warnings: [String], _ gathered: UnsafeMutablePointer<Scope__V1__Gathered>?,
    _ access: UnsafeMutablePointer<Scope__V1__AccessSummary>?
  ) throws {
    self.init(
      revision: revision, edits: Int(edits), warnings: warnings,
      gathered: try gathered.map {
        Gathered(
          project: try Name(utf8: $0.pointee.project.key), users: Int($0.pointee.users),
          objects: Int($0.pointee.objects), first: try names($0.pointee.first, $0.pointee.n_first))
      }, gained: Int(access?.pointee.gained ?? 0), lost: Int(access?.pointee.lost ?? 0),
      first: map(access?.pointee.first, access?.pointee.n_first ?? 0) {
        let verb = $0.gained != 0 ? "gains" : "loses"
        return Name(stringLiteral: "\($0.user.text) \(verb) \(ref($0.object_type, $0.object_id))")
      })
  }
}
