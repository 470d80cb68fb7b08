import CScopeWire
import ScopeModel
import ScopeProtocol

/// A company, and how much it has.
public struct CompanyFacts: Sendable {
  public let mode: SecurityMode
  public let users: UInt64
  public let groups: UInt64
  public let roles: UInt64
  public let projects: UInt64
  public let objects: UInt64
  public let revision: UInt64
}

/// A user with all that belongs to it.
public struct UserRow: Sendable {
  public let id: String
  public let name: String
  public let isBlocked: Bool
  public let roles: [String]
  /// The first groups it is in, and how many there are.
  public let groups: [String]
  public let groupCount: Int
  /// The first projects it is in, and how many there are.
  public let projects: [Explanation.Way]
  public let projectCount: Int
}

/// Which users are wanted, and how. Empty: any.
public struct UserQuery: Sendable {
  /// In the id or the name, in capitals or not.
  public var text = ""
  public var group = ""
  public var project = ""
  public var isInNoProject = false
  public var role = ""
  /// That a role of theirs gives.
  public var right = ""
  public var isBlocked = false
  /// By the name of the first group; otherwise by name.
  public var isByGroup = false
  public var offset: UInt32 = 0
  /// 0: all.
  public var limit: UInt32 = 0

  public init() {}
}

/// A group.
public struct GroupRow: Sendable {
  public let id: String
  public let name: String
  public let users: Int
  /// The first projects it is in, and how many there are.
  public let projects: [String]
  public let projectCount: Int
}

/// A role.
public struct RoleRow: Sendable {
  public let name: String
  public let rights: [String]
  /// `admin`, which lists none.
  public let holdsEveryRight: Bool
  public let users: Int
}

/// A project with what belongs to it.
public struct ProjectContents: Sendable {
  public struct Member: Sendable {
    /// `user` or `group`.
    public let type: String
    public let id: String
    public let name: String
    /// Members of a group.
    public let users: Int
  }

  public internal(set) var id = ""
  public internal(set) var name = ""
  public internal(set) var description = ""
  /// Groups, then users.
  public internal(set) var members: [Member] = []
  /// Without system fields.
  public internal(set) var objects: [ObjectRow] = []
  public internal(set) var counts: [(type: String, count: Int)] = []
  public internal(set) var revision: UInt64 = 0
}

/// An object with its projects.
public struct PlacedObject: Sendable {
  public let object: ObjectRow
  /// The first projects it is in, and how many there are; of a system field none, for it is in each.
  public let projects: [String]
  public let projectCount: Int
}

/// Which objects are wanted. Empty: any.
public struct ObjectQuery: Sendable {
  public var types: [ObjectType] = []
  /// In the id or the name, in capitals or not.
  public var text = ""
  public var isInNoProject = false
  /// 0: all.
  public var limit: UInt32 = 0

  public init() {}
}

/// A company, and how its projects separate its people; nil: its rows are damaged.
public struct CompanyRow: Sendable {
  public let id: String
  public let mode: SecurityMode?
}

/// Which contact fields are wanted; numbered as on the wire.
public enum FieldFilter: UInt32, Sendable {
  case all, system, custom, shared, inNone
}

/// What a check-up may find, in the order of the wire's numbers from 1.
public enum FindingKind: String, CaseIterable, Sendable {
  case fieldInNoProject = "field_in_no_project"
  case objectInNoProject = "object_in_no_project"
  case fieldShared = "field_shared"
  case userInNoProject = "user_in_no_project"
  case userStillInDefault = "user_still_in_default"
  case projectWithoutUsers = "project_without_users"
  case projectWithoutObjects = "project_without_objects"
  case groupWithoutMembers = "group_without_members"
  case listWithoutPurpose = "list_without_purpose"

  fileprivate var onTheWire: Scope__V1__FindingKind {
    Scope__V1__FindingKind(UInt32(FindingKind.allCases.firstIndex(of: self)! + 1))
  }
}

/// Something worth a look.
public struct Finding: Sendable {
  /// Nil: a kind that is newer than this client.
  public let kind: FindingKind?
  public let type: String
  public let id: String
  public let name: String
  /// The first projects concerned, and how many there are.
  public let projects: [String]
  public let projectCount: Int
}

extension Client {
  /// The users of a company; returns how many match, whatever offset and limit are.
  @discardableResult
  public func users(_ query: UserQuery = UserQuery(), each: (UserRow) -> Void) throws(ClientError) -> Int {
    var total = 0
    try ask { (request, arena) throws(Failure) in
      request.pointee.list_users = try query.wire(in: arena)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_USERS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_USERS else { return }
      let wire = response.pointee.list_users.pointee
      for user in rows(wire.users, wire.n_users, UserRow.init) { each(user) }
      total = Int(wire.total)
    }
    return total
  }

  /// The companies there are, in byte order of ids.
  public func companies(each: (CompanyRow) -> Void) throws(ClientError) {
    try call(company: "", timeoutMilliseconds: timeoutMilliseconds, mayRepeat: true) {
      (request, arena) throws(Failure) in
      request.pointee.list_companies = try arena.make(scope__v1__list_companies_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_COMPANIES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_COMPANIES else { return }
      let wire = response.pointee.list_companies.pointee
      for company in rows(wire.companies, wire.n_companies, CompanyRow.init) { each(company) }
    }
  }

  /// The client's company; an unknown one is an error.
  public func companyFacts() throws(ClientError) -> CompanyFacts {
    try askOne { (request, arena) throws(Failure) in
      request.pointee.get_company = try arena.make(scope__v1__get_company_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_GET_COMPANY
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_GET_COMPANY else { return nil }
      let wire = response.get_company.pointee
      return CompanyFacts(
        mode: wire.mode == SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE ? .simple : .enhanced,
        users: UInt64(wire.users), groups: UInt64(wire.groups), roles: UInt64(wire.roles),
        projects: UInt64(wire.projects), objects: UInt64(wire.objects), revision: response.revision)
    }
  }

  /// One user; an unknown one is an error.
  public func user(_ id: Name) throws(ClientError) -> (user: UserRow, revision: UInt64) {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__get_user_request__init)
      call.pointee.id = try arena.copy(id.text)
      request.pointee.get_user = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_GET_USER
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_GET_USER, let user = response.get_user.pointee.user
      else { return nil }
      return (UserRow(user.pointee), response.revision)
    }
  }

  /// Which of the rights does the user hold? One for each, in their order; `reason` says why none is held where
  /// the user is unknown or blocked, and is empty otherwise.
  public func hasRights(
    _ user: Name, _ rights: [Name]
  ) throws(ClientError) -> (held: [Bool], reason: String, revision: UInt64) {
    let answer = try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__has_rights_request__init)
      call.pointee.user = try arena.copy(user.text)
      (call.pointee.rights, call.pointee.n_rights) = (try arena.copy(rights), rights.count)
      request.pointee.has_rights = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_HAS_RIGHTS
    } take: { response throws(Failure) -> (held: [Bool], reason: String, revision: UInt64)? in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_HAS_RIGHTS else { return nil }
      let wire = response.has_rights.pointee
      let held = (0..<wire.n_held).map { wire.held[$0] != 0 }
      return (held, reasonCode(wire.reason) ?? "", response.revision)
    }
    guard answer.held.count == rights.count else { throw ClientError.noResult }
    return answer
  }

  /// The groups of a company, in byte order of ids.
  public func groups(text: String = "", each: (GroupRow) -> Void) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_groups_request__init)
      call.pointee.text = try arena.copy(text)
      request.pointee.list_groups = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_GROUPS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_GROUPS else { return }
      let wire = response.pointee.list_groups.pointee
      for group in rows(wire.groups, wire.n_groups, GroupRow.init) { each(group) }
    }
  }

  /// The roles of a company, in byte order.
  public func roles() throws(ClientError) -> (roles: [RoleRow], revision: UInt64) {
    var roles: [RoleRow] = []
    var revision: UInt64 = 0
    try ask { (request, arena) throws(Failure) in
      request.pointee.list_roles = try arena.make(scope__v1__list_roles_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_ROLES
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_ROLES else { return }
      let wire = response.pointee.list_roles.pointee
      roles += rows(wire.roles, wire.n_roles, RoleRow.init)
      revision = response.pointee.revision
    }
    return (roles, revision)
  }

  /// A group with its members; an unknown one is an error.
  public func group(_ id: Name) throws(ClientError) -> (group: GroupRow, users: [UserRow]) {
    var query = UserQuery()
    query.group = id.text
    return try together(query, "group:\(id)") { () throws(ClientError) in
      var found: GroupRow?
      try groups(text: id.text) { if $0.id.utf8.elementsEqual(id.text.utf8) { found = $0 } }
      return found
    }
  }

  /// A role with those who have it; an unknown one is an error.
  public func role(_ name: Name) throws(ClientError) -> (role: RoleRow, users: [UserRow]) {
    var query = UserQuery()
    query.role = name.text
    return try together(query, "role:\(name)") { () throws(ClientError) in
      try roles().roles.first { $0.name.utf8.elementsEqual(name.text.utf8) }
    }
  }

  /// A thing and its users, both of one revision: asked for again where somebody changes them in between.
  private func together<Thing>(
    _ query: UserQuery, _ ref: String, _ ask: () throws(ClientError) -> Thing?
  ) throws(ClientError) -> (Thing, [UserRow]) {
    while true {
      guard let thing = try ask() else { throw ClientError(unknown: [ref], isPast: at != .now) }
      let before = revision
      var members: [UserRow] = []
      try users(query) { members.append($0) }
      if revision == before { return (thing, members) }
    }
  }

  /// A project with its members and objects; an unknown one is an error.
  public func project(_ id: Name) throws(ClientError) -> ProjectContents {
    var contents = ProjectContents()
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__get_project_request__init)
      call.pointee.id = try arena.copy(id.text)
      request.pointee.get_project = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_GET_PROJECT
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_GET_PROJECT else { return }
      contents.add(response.pointee.get_project.pointee)
      contents.revision = response.pointee.revision
    }
    if contents.id.isEmpty { throw ClientError.noResult }
    return contents
  }

  /// One object; an unknown one is an error.
  public func object(_ ref: ObjectRef) throws(ClientError) -> PlacedObject {
    try askOne { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__get_object_request__init)
      (call.pointee.type, call.pointee.id) = (ref.type.onTheWire, try arena.copy(ref.id.text))
      request.pointee.get_object = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_GET_OBJECT
    } take: { response throws(Failure) in
      guard response.result_case == SCOPE__V1__RESPONSE__RESULT_GET_OBJECT,
        let object = response.get_object.pointee.object
      else { return nil }
      let wire = response.get_object.pointee
      return PlacedObject(
        object: ObjectRow(object.pointee), projects: texts(wire.projects, wire.n_projects),
        projectCount: Int(wire.project_count))
    }
  }

  /// The objects of a company, whoever sees them, in order of type and id; returns how many match, whatever the limit.
  @discardableResult
  public func companyObjects(
    _ query: ObjectQuery = ObjectQuery(), each: (PlacedObject) -> Void
  ) throws(ClientError) -> Int {
    var total = 0
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_company_objects_request__init)
      (call.pointee.types, call.pointee.n_types) = (try arena.copy(query.types.map { .object($0) }), query.types.count)
      call.pointee.text = try arena.copy(query.text)
      call.pointee.in_no_project = query.isInNoProject ? 1 : 0
      call.pointee.limit = query.limit
      request.pointee.list_company_objects = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_COMPANY_OBJECTS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_COMPANY_OBJECTS else { return }
      let wire = response.pointee.list_company_objects.pointee
      for object in rows(wire.objects, wire.n_objects, PlacedObject.init) { each(object) }
      total = Int(wire.total)
    }
    return total
  }

  /// The contact fields of a company, in byte order of ids.
  public func fields(_ filter: FieldFilter = .all, each: (PlacedObject) -> Void) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__list_fields_request__init)
      call.pointee.filter = Scope__V1__FieldFilter(filter.rawValue)
      request.pointee.list_fields = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_LIST_FIELDS
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_LIST_FIELDS else { return }
      let wire = response.pointee.list_fields.pointee
      for field in rows(wire.fields, wire.n_fields, PlacedObject.init) { each(field) }
    }
  }

  /// What in the company is worth a look, by kind; no kinds: everything.
  public func checkUp(_ kinds: [FindingKind] = [], each: (Finding) -> Void) throws(ClientError) {
    try ask { (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__check_up_request__init)
      guard let list = arena.allocate(Scope__V1__FindingKind.self, count: kinds.count) else { throw Arena.full }
      for (index, kind) in kinds.enumerated() { (list + index).initialize(to: kind.onTheWire) }
      (call.pointee.kinds, call.pointee.n_kinds) = (list, kinds.count)
      request.pointee.check_up = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_CHECK_UP
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_CHECK_UP else { return }
      let wire = response.pointee.check_up.pointee
      for finding in rows(wire.findings, wire.n_findings, Finding.init) { each(finding) }
    }
  }

  /// Is there such a thing, and as of which revision? Nil: there is no such company. A check tells of all kinds of
  /// things alike.
  public func knows(_ thing: Subject) throws(ClientError) -> (isKnown: Bool?, revision: UInt64) {
    let field = ObjectRef(.contactField, Company.systemFields[0])
    let answer = try check([Check(subject: thing, object: field)])[0]
    let isKnown = answer.reason == Reason.unknownCompany.code ? nil : answer.reason != Reason.unknownSubject.code
    return (isKnown, answer.revision)
  }

  /// An error if the company does not have all of these, or is none.
  public func expectKnown(_ things: [Subject]) throws(ClientError) {
    let unknown = try unknown(among: things)
    if !unknown.isEmpty { throw ClientError(unknown: unknown, isPast: at != .now) }
  }

  /// Those that the company does not have, as refs; an unknown company is an error.
  func unknown(among things: [Subject]) throws(ClientError) -> [String] {
    _ = try companyFacts()
    var unknown: [String] = []
    for thing in things where try knows(thing).isKnown != true { unknown.append("\(thing)") }
    return unknown
  }
}

extension UserQuery {
  fileprivate func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ListUsersRequest> {
    let call = try arena.make(scope__v1__list_users_request__init)
    call.pointee.text = try arena.copy(text)
    call.pointee.group = try arena.copy(group)
    call.pointee.project = try arena.copy(project)
    call.pointee.role = try arena.copy(role)
    call.pointee.right = try arena.copy(right)
    call.pointee.in_no_project = isInNoProject ? 1 : 0
    call.pointee.blocked = isBlocked ? 1 : 0
    call.pointee.order =
      isByGroup ? SCOPE__V1__USER_ORDER__USER_ORDER_GROUP : SCOPE__V1__USER_ORDER__USER_ORDER_NAME
    (call.pointee.offset, call.pointee.limit) = (offset, limit)
    return call
  }
}

extension UserRow {
  fileprivate init(_ wire: Scope__V1__UserRow) {
    self.init(
      id: text(wire.id), name: text(wire.name), isBlocked: wire.blocked != 0, roles: texts(wire.roles, wire.n_roles),
      groups: texts(wire.groups, wire.n_groups), groupCount: Int(wire.group_count),
      projects: rows(wire.projects, wire.n_projects, Explanation.Way.init), projectCount: Int(wire.project_count))
  }
}

extension CompanyRow {
  fileprivate init(_ wire: Scope__V1__CompanyRow) {
    let mode: SecurityMode? =
      switch wire.mode {
      case SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE: .simple
      case SCOPE__V1__SECURITY_MODE__SECURITY_MODE_ENHANCED: .enhanced
      default: nil
      }
    self.init(id: text(wire.id), mode: mode)
  }
}

extension GroupRow {
  fileprivate init(_ wire: Scope__V1__GroupRow) {
    self.init(
      id: text(wire.id), name: text(wire.name), users: Int(wire.users), projects: texts(wire.projects, wire.n_projects),
      projectCount: Int(wire.project_count))
  }
}

extension RoleRow {
  fileprivate init(_ wire: Scope__V1__RoleRow) {
    self.init(
      name: text(wire.name), rights: texts(wire.rights, wire.n_rights), holdsEveryRight: wire.every_right != 0,
      users: Int(wire.users))
  }
}

extension ProjectContents {
  fileprivate mutating func add(_ wire: Scope__V1__GetProjectResponse) {
    if id.isEmpty { (id, name, description) = (text(wire.id), text(wire.name), text(wire.description)) }
    members += rows(wire.members, wire.n_members) { member in
      Member(type: typeName(member.type), id: text(member.id), name: text(member.name), users: Int(member.users))
    }
    objects += rows(wire.objects, wire.n_objects, ObjectRow.init)
    counts += rows(wire.counts, wire.n_counts) { (typeName($0.type), Int($0.count)) }
  }
}

extension PlacedObject {
  fileprivate init(_ wire: Scope__V1__FieldRow) {
    self.init(
      object: ObjectRow(
        type: ObjectType.contactField.name, id: text(wire.id), name: text(wire.name), isSystem: wire.system != 0),
      projects: texts(wire.projects, wire.n_projects), projectCount: Int(wire.project_count))
  }

  fileprivate init(_ wire: Scope__V1__PlacedObject) {
    self.init(
      object: ObjectRow(wire.object.pointee), projects: texts(wire.projects, wire.n_projects),
      projectCount: Int(wire.project_count))
  }
}

extension Finding {
  fileprivate init(_ wire: Scope__V1__Finding) {
    self.init(
      kind: FindingKind.allCases.first { $0.onTheWire == wire.kind }, type: typeName(wire.type), id: text(wire.id),
      name: text(wire.name), projects: texts(wire.projects, wire.n_projects), projectCount: Int(wire.project_count))
  }
}
