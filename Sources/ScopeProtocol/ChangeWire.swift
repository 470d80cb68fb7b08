import CScopeWire
import ScopeModel

/// Changes as they travel. Reading checks every field; writing lays the message out in an arena.
extension Change {
  /// - Parameter wire: one unpacked change; nil fields are what the sender left out.
  public init(_ wire: Scope__V1__Change) throws(Failure) {
    switch wire.change_case {
    case SCOPE__V1__CHANGE__CHANGE_PUT_COMPANY:
      self = .putCompany(try mode(wire.put_company.pointee.mode))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_COMPANY:
      self = .removeCompany
    case SCOPE__V1__CHANGE__CHANGE_SET_MODE:
      self = .setMode(try mode(wire.set_mode.pointee.mode))
    case SCOPE__V1__CHANGE__CHANGE_PUT_USER:
      let user = wire.put_user.pointee
      let id = try name("id", user.id)
      self = .putUser(
        User(id: id, name: try name("name", user.name, or: id), isBlocked: user.blocked != 0),
        roles: try names("roles", user.roles, user.n_roles, atMost: CompanyLimits.rolesPerUser),
        projects: try names("projects", user.projects, user.n_projects, atMost: CompanyLimits.projectsPerMember))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_USER:
      self = .removeUser(try name("id", wire.remove_user.pointee.id))
    case SCOPE__V1__CHANGE__CHANGE_PUT_GROUP:
      let group = wire.put_group.pointee
      let id = try name("id", group.id)
      self = .putGroup(Group(id: id, name: try name("name", group.name, or: id)))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_GROUP:
      self = .removeGroup(try name("id", wire.remove_group.pointee.id))
    case SCOPE__V1__CHANGE__CHANGE_ADD_TO_GROUP:
      let link = wire.add_to_group.pointee
      self = .addToGroup(group: try name("group", link.group), user: try name("user", link.user))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_FROM_GROUP:
      let link = wire.remove_from_group.pointee
      self = .removeFromGroup(group: try name("group", link.group), user: try name("user", link.user))
    case SCOPE__V1__CHANGE__CHANGE_PUT_ROLE:
      let role = wire.put_role.pointee
      self = .putRole(
        try name("name", role.name),
        rights: try names("rights", role.rights, role.n_rights, atMost: CompanyLimits.rightsPerRole))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_ROLE:
      self = .removeRole(try name("name", wire.remove_role.pointee.name))
    case SCOPE__V1__CHANGE__CHANGE_PUT_PROJECT:
      let project = wire.put_project.pointee
      let id = try name("id", project.id)
      self = .putProject(
        Project(id: id, name: try name("name", project.name, or: id), description: try remark(project.description)))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_PROJECT:
      self = .removeProject(try name("id", wire.remove_project.pointee.id))
    case SCOPE__V1__CHANGE__CHANGE_ADD_MEMBER:
      let link = wire.add_member.pointee
      self = .addMember(project: try name("project", link.project), try member(link.member_type, link.member_id))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_MEMBER:
      let link = wire.remove_member.pointee
      self = .removeMember(project: try name("project", link.project), try member(link.member_type, link.member_id))
    case SCOPE__V1__CHANGE__CHANGE_PUT_OBJECT:
      let object = wire.put_object.pointee
      let ref = try ref("type", object.type, "id", object.id)
      self = .putObject(
        Object(ref, name: try name("name", object.name, or: ref.id), isSystem: object.system != 0),
        projects: try names("projects", object.projects, object.n_projects, atMost: CompanyLimits.projectsPerObject))
    case SCOPE__V1__CHANGE__CHANGE_REMOVE_OBJECT:
      let object = wire.remove_object.pointee
      self = .removeObject(try ref("type", object.type, "id", object.id))
    case SCOPE__V1__CHANGE__CHANGE_PLACE:
      let link = wire.place.pointee
      self = .place(
        try ref("object_type", link.object_type, "object_id", link.object_id),
        project: try name("project", link.project))
    case SCOPE__V1__CHANGE__CHANGE_UNPLACE:
      let link = wire.unplace.pointee
      self = .unplace(
        try ref("object_type", link.object_type, "object_id", link.object_id),
        project: try name("project", link.project))
    case SCOPE__V1__CHANGE__CHANGE_MOVE:
      let move = wire.move.pointee
      self = .move(
        try ref("object_type", move.object_type, "object_id", move.object_id),
        from: try name("from_project", move.from_project), to: try name("to_project", move.to_project))
    case SCOPE__V1__CHANGE__CHANGE_SET_PURPOSE:
      let set = wire.set_purpose.pointee
      guard let purpose = ListPurpose(rawValue: UInt8(clamping: set.purpose.rawValue)) else {
        throw Failure(.invalidArgument, "bad_purpose", "purpose \(set.purpose.rawValue) is not known here")
      }
      self = .setPurpose(list: try name("list", set.list), purpose)
    default:
      throw Failure(.invalidArgument, "unknown_change", "the change is missing or of a kind not known here")
    }
  }
}

private func name(_ field: String, _ bytes: ProtobufCBinaryData) throws(Failure) -> Name {
  do throws(NameError) { return try Name(utf8: bytes.key) } catch { throw .badName(field, error) }
}

private func name(_ field: String, _ bytes: ProtobufCBinaryData, or id: Name) throws(Failure) -> Name {
  bytes.len == 0 ? id : try name(field, bytes)
}

private func names(
  _ field: String, _ list: UnsafeMutablePointer<ProtobufCBinaryData>?, _ count: Int, atMost limit: Int
) throws(Failure) -> [Name] {
  if count > limit {
    throw Failure(.resourceExhausted, "too_many", "\(field): a change names at most \(limit), and not \(count)")
  }
  var names: [Name] = []
  for bytes in UnsafeBufferPointer(start: list, count: count) { names.append(try name(field, bytes)) }
  return names
}

private func remark(_ bytes: ProtobufCBinaryData) throws(Failure) -> Remark {
  do throws(NameError) { return try Remark(utf8: bytes.key) } catch { throw .badName("description", error) }
}

private func mode(_ wire: Scope__V1__SecurityMode) throws(Failure) -> SecurityMode {
  switch wire {
  case SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE: return .simple
  case SCOPE__V1__SECURITY_MODE__SECURITY_MODE_ENHANCED: return .enhanced
  default: throw .badType("mode", wire.rawValue)
  }
}

private func member(_ type: Scope__V1__EntityType, _ id: ProtobufCBinaryData) throws(Failure) -> Member {
  switch type {
  case SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_USER: return .user(try name("member_id", id))
  case SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_GROUP: return .group(try name("member_id", id))
  default: throw .badType("member_type", type.rawValue)
  }
}

private func ref(
  _ typeField: String, _ type: Scope__V1__EntityType, _ idField: String, _ id: ProtobufCBinaryData
) throws(Failure) -> ObjectRef {
  guard let known = UInt8(exactly: type.rawValue).flatMap(ObjectType.init(number:)) else {
    throw .badType(typeField, type.rawValue)
  }
  return ObjectRef(known, try name(idField, id))
}

// MARK: - Writing

extension Change {
  /// Lays the change out in the arena.
  public func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__Change> {
    let wire = try arena.make(scope__v1__change__init)
    switch self {
    case .putCompany(let mode):
      let put = try arena.make(scope__v1__put_company__init)
      put.pointee.mode = mode.wire
      wire.pointee.put_company = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_COMPANY
    case .removeCompany:
      wire.pointee.remove_company = try arena.make(scope__v1__remove_company__init)
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_COMPANY
    case .setMode(let mode):
      let set = try arena.make(scope__v1__set_mode__init)
      set.pointee.mode = mode.wire
      wire.pointee.set_mode = set
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_SET_MODE
    case .putUser(let user, let roles, let projects):
      let put = try arena.make(scope__v1__put_user__init)
      put.pointee.id = try arena.copy(user.id.text)
      put.pointee.name = try arena.copyName(user.name, of: user.id)
      put.pointee.blocked = user.isBlocked ? 1 : 0
      put.pointee.roles = try arena.copy(roles)
      put.pointee.n_roles = roles.count
      put.pointee.projects = try arena.copy(projects)
      put.pointee.n_projects = projects.count
      wire.pointee.put_user = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_USER
    case .removeUser(let id):
      let remove = try arena.make(scope__v1__remove_user__init)
      remove.pointee.id = try arena.copy(id.text)
      wire.pointee.remove_user = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_USER
    case .putGroup(let group):
      let put = try arena.make(scope__v1__put_group__init)
      put.pointee.id = try arena.copy(group.id.text)
      put.pointee.name = try arena.copyName(group.name, of: group.id)
      wire.pointee.put_group = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_GROUP
    case .removeGroup(let id):
      let remove = try arena.make(scope__v1__remove_group__init)
      remove.pointee.id = try arena.copy(id.text)
      wire.pointee.remove_group = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_GROUP
    case .addToGroup(let group, let user):
      let add = try arena.make(scope__v1__add_to_group__init)
      add.pointee.group = try arena.copy(group.text)
      add.pointee.user = try arena.copy(user.text)
      wire.pointee.add_to_group = add
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_ADD_TO_GROUP
    case .removeFromGroup(let group, let user):
      let remove = try arena.make(scope__v1__remove_from_group__init)
      remove.pointee.group = try arena.copy(group.text)
      remove.pointee.user = try arena.copy(user.text)
      wire.pointee.remove_from_group = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_FROM_GROUP
    case .putRole(let role, let rights):
      let put = try arena.make(scope__v1__put_role__init)
      put.pointee.name = try arena.copy(role.text)
      put.pointee.rights = try arena.copy(rights)
      put.pointee.n_rights = rights.count
      wire.pointee.put_role = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_ROLE
    case .removeRole(let role):
      let remove = try arena.make(scope__v1__remove_role__init)
      remove.pointee.name = try arena.copy(role.text)
      wire.pointee.remove_role = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_ROLE
    case .putProject(let project):
      let put = try arena.make(scope__v1__put_project__init)
      put.pointee.id = try arena.copy(project.id.text)
      put.pointee.name = try arena.copyName(project.name, of: project.id)
      put.pointee.description = try arena.copy(project.description.text)
      wire.pointee.put_project = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_PROJECT
    case .removeProject(let id):
      let remove = try arena.make(scope__v1__remove_project__init)
      remove.pointee.id = try arena.copy(id.text)
      wire.pointee.remove_project = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_PROJECT
    case .addMember(let project, let member):
      let add = try arena.make(scope__v1__add_member__init)
      add.pointee.project = try arena.copy(project.text)
      (add.pointee.member_type, add.pointee.member_id) = try arena.copy(member)
      wire.pointee.add_member = add
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_ADD_MEMBER
    case .removeMember(let project, let member):
      let remove = try arena.make(scope__v1__remove_member__init)
      remove.pointee.project = try arena.copy(project.text)
      (remove.pointee.member_type, remove.pointee.member_id) = try arena.copy(member)
      wire.pointee.remove_member = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_MEMBER
    case .putObject(let object, let projects):
      let put = try arena.make(scope__v1__put_object__init)
      (put.pointee.type, put.pointee.id) = try arena.copy(object.ref)
      put.pointee.name = try arena.copyName(object.name, of: object.ref.id)
      put.pointee.system = object.isSystem ? 1 : 0
      put.pointee.projects = try arena.copy(projects)
      put.pointee.n_projects = projects.count
      wire.pointee.put_object = put
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PUT_OBJECT
    case .removeObject(let ref):
      let remove = try arena.make(scope__v1__remove_object__init)
      (remove.pointee.type, remove.pointee.id) = try arena.copy(ref)
      wire.pointee.remove_object = remove
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_REMOVE_OBJECT
    case .place(let ref, let project):
      let place = try arena.make(scope__v1__place__init)
      (place.pointee.object_type, place.pointee.object_id) = try arena.copy(ref)
      place.pointee.project = try arena.copy(project.text)
      wire.pointee.place = place
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_PLACE
    case .unplace(let ref, let project):
      let unplace = try arena.make(scope__v1__unplace__init)
      (unplace.pointee.object_type, unplace.pointee.object_id) = try arena.copy(ref)
      unplace.pointee.project = try arena.copy(project.text)
      wire.pointee.unplace = unplace
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_UNPLACE
    case .move(let ref, let from, let to):
      let move = try arena.make(scope__v1__move__init)
      (move.pointee.object_type, move.pointee.object_id) = try arena.copy(ref)
      move.pointee.from_project = try arena.copy(from.text)
      move.pointee.to_project = try arena.copy(to.text)
      wire.pointee.move = move
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_MOVE
    case .setPurpose(let list, let purpose):
      let set = try arena.make(scope__v1__set_purpose__init)
      set.pointee.list = try arena.copy(list.text)
      set.pointee.purpose = Scope__V1__ListPurpose(UInt32(purpose.rawValue))
      wire.pointee.set_purpose = set
      wire.pointee.change_case = SCOPE__V1__CHANGE__CHANGE_SET_PURPOSE
    }
    return wire
  }
}

extension SecurityMode {
  fileprivate var wire: Scope__V1__SecurityMode {
    switch self {
    case .simple: SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE
    case .enhanced: SCOPE__V1__SECURITY_MODE__SECURITY_MODE_ENHANCED
    }
  }
}

extension Arena {
  /// A name that is the id is left out.
  fileprivate func copyName(_ name: Name, of id: Name) throws(Failure) -> ProtobufCBinaryData {
    name == id ? ProtobufCBinaryData(len: 0, data: nil) : try copy(name.text)
  }

  /// Names one behind another; nil: there are none.
  public func copy(_ names: [Name]) throws(Failure) -> UnsafeMutablePointer<ProtobufCBinaryData>? {
    try copy(names.map(\.text))
  }

  /// Texts one behind another; nil: there are none.
  public func copy(_ texts: [String]) throws(Failure) -> UnsafeMutablePointer<ProtobufCBinaryData>? {
    if texts.isEmpty { return nil }
    guard let list = allocate(ProtobufCBinaryData.self, count: texts.count) else { throw Arena.full }
    for (index, text) in texts.enumerated() { (list + index).initialize(to: try copy(text)) }
    return list
  }

  fileprivate func copy(_ member: Member) throws(Failure) -> (Scope__V1__EntityType, ProtobufCBinaryData) {
    switch member {
    case .user(let id): (SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_USER, try copy(id.text))
    case .group(let id): (SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_GROUP, try copy(id.text))
    }
  }

  fileprivate func copy(_ ref: ObjectRef) throws(Failure) -> (Scope__V1__EntityType, ProtobufCBinaryData) {
    (Scope__V1__EntityType(UInt32(ref.type.number)), try copy(ref.id.text))
  }
}
