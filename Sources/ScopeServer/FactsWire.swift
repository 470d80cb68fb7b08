import CScopeWire
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Lays what is known of users, groups and the rest out in the arena.
struct FactsWire {
  /// Projects and groups told where one thing alone is asked for.
  static let told = 1_000

  let arena: Arena
  /// Nil: there is no such company, and so there are no rows.
  let view: CompanyView?

  private func list<Row>(
    _ rows: [FoundRow], _ make: (CompanyView, FoundRow) throws(Failure) -> UnsafeMutablePointer<Row>
  ) throws(Failure) -> (UnsafeMutablePointer<UnsafeMutablePointer<Row>?>?, Int) {
    guard let view, !rows.isEmpty else { return (nil, 0) }
    guard let list = arena.allocate(UnsafeMutablePointer<Row>?.self, count: rows.count) else { throw Arena.full }
    for (index, row) in rows.enumerated() { list[index] = try make(view, row) }
    return (list, rows.count)
  }

  private func lay(_ keys: [Key]) throws(Failure) -> (UnsafeMutablePointer<ProtobufCBinaryData>?, Int) {
    if keys.isEmpty { return (nil, 0) }
    guard let list = arena.allocate(ProtobufCBinaryData.self, count: keys.count) else { throw Arena.full }
    for (index, key) in keys.enumerated() { list[index] = ProtobufCBinaryData(key) }
    return (list, keys.count)
  }

  private func lay(_ ways: [Way]) throws(Failure) -> (UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Way>?>?, Int)
  {
    if ways.isEmpty { return (nil, 0) }
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__Way>?.self, count: ways.count) else {
      throw Arena.full
    }
    for (index, way) in ways.enumerated() {
      let row = try arena.make(scope__v1__way__init)
      row.pointee.project = ProtobufCBinaryData(way.project)
      row.pointee.group = ProtobufCBinaryData(way.group)
      list[index] = row
    }
    return (list, ways.count)
  }

  func user(
    _ view: CompanyView, _ number: Int, telling most: Int
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__UserRow> {
    let facts = view.user(number, telling: most)
    let row = try arena.make(scope__v1__user_row__init)
    row.pointee.id = ProtobufCBinaryData(facts.id)
    row.pointee.name = ProtobufCBinaryData(facts.name)
    row.pointee.blocked = facts.isBlocked ? 1 : 0
    (row.pointee.roles, row.pointee.n_roles) = try lay(facts.roles)
    (row.pointee.groups, row.pointee.n_groups) = try lay(facts.groups)
    row.pointee.group_count = UInt32(facts.groupCount)
    (row.pointee.projects, row.pointee.n_projects) = try lay(facts.ways)
    row.pointee.project_count = UInt32(facts.projectCount)
    return row
  }

  func object(_ row: ScopeIndex.ObjectRow) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ObjectRow> {
    let wire = try arena.make(scope__v1__object_row__init)
    wire.pointee.type = Scope__V1__EntityType(UInt32(row.type))
    wire.pointee.id = ProtobufCBinaryData(row.id)
    wire.pointee.name = ProtobufCBinaryData(row.name)
    wire.pointee.system = row.isSystem ? 1 : 0
    return wire
  }

  /// What GetObject answers.
  func response(
    _ view: CompanyView, object number: Int
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__GetObjectResponse> {
    let facts = view.placedObject(number, telling: FactsWire.told)
    let response = try arena.make(scope__v1__get_object_response__init)
    response.pointee.object = try object(view.object(number))
    (response.pointee.projects, response.pointee.n_projects) = try lay(facts.projects)
    response.pointee.project_count = UInt32(facts.projectCount)
    return response
  }
}

// MARK: - Parts of listings

extension FactsWire {
  func users(_ rows: [FoundRow], total: Int, _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__list_users_response__init)
    response.pointee.total = UInt32(total)
    (response.pointee.users, response.pointee.n_users) = try list(rows) { (view, row) throws(Failure) in
      try user(view, Int(row.number), telling: ListingStream.toldBeside)
    }
    reply.setUsers(response)
  }

  func groups(_ rows: [FoundRow], _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__list_groups_response__init)
    (response.pointee.groups, response.pointee.n_groups) = try list(rows) { (view, row) throws(Failure) in
      let facts = view.group(Int(row.number), telling: ListingStream.toldBeside)
      let wire = try arena.make(scope__v1__group_row__init)
      wire.pointee.id = ProtobufCBinaryData(facts.id)
      wire.pointee.name = ProtobufCBinaryData(facts.name)
      wire.pointee.users = row.count
      (wire.pointee.projects, wire.pointee.n_projects) = try lay(facts.projects)
      wire.pointee.project_count = UInt32(facts.projectCount)
      return wire
    }
    reply.setGroups(response)
  }

  func roles(_ rows: [FoundRow], _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__list_roles_response__init)
    (response.pointee.roles, response.pointee.n_roles) = try list(rows) { (view, row) throws(Failure) in
      let wire = try arena.make(scope__v1__role_row__init)
      let name = view.role(Int(row.number))
      wire.pointee.name = ProtobufCBinaryData(name)
      (wire.pointee.rights, wire.pointee.n_rights) = try lay(view.rights(ofRole: Int(row.number)))
      wire.pointee.every_right = name.elementsEqual(Company.adminRole.text.utf8) ? 1 : 0
      wire.pointee.users = row.count
      return wire
    }
    reply.setRoles(response)
  }

  func fields(_ rows: [FoundRow], _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__list_fields_response__init)
    (response.pointee.fields, response.pointee.n_fields) = try list(rows) { (view, row) throws(Failure) in
      let facts = view.placedObject(Int(row.number), telling: ListingStream.toldBeside)
      let wire = try arena.make(scope__v1__field_row__init)
      wire.pointee.id = ProtobufCBinaryData(facts.id)
      wire.pointee.name = ProtobufCBinaryData(facts.name)
      wire.pointee.system = view.isSystem(object: Int(row.number)) ? 1 : 0
      (wire.pointee.projects, wire.pointee.n_projects) = try lay(facts.projects)
      wire.pointee.project_count = UInt32(facts.projectCount)
      return wire
    }
    reply.setFields(response)
  }

  func objects(_ rows: [FoundRow], total: Int, _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__list_company_objects_response__init)
    response.pointee.total = UInt32(total)
    (response.pointee.objects, response.pointee.n_objects) = try list(rows) { (view, row) throws(Failure) in
      let facts = view.placedObject(Int(row.number), telling: ListingStream.toldBeside)
      let wire = try arena.make(scope__v1__placed_object__init)
      wire.pointee.object = try object(view.object(Int(row.number)))
      (wire.pointee.projects, wire.pointee.n_projects) = try lay(facts.projects)
      wire.pointee.project_count = UInt32(facts.projectCount)
      return wire
    }
    reply.setCompanyObjects(response)
  }

  /// - Parameter counts: all rows of the project, for the last part; nil: others follow.
  func project(_ id: [UInt8], _ rows: [FoundRow], counts: [FoundRow]?, _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__get_project_response__init)
    if let view, let number = id.withUnsafeBytes({ view.projectNumber($0) }) {
      let project = view.project(number)
      response.pointee.id = ProtobufCBinaryData(project.id)
      response.pointee.name = ProtobufCBinaryData(project.name)
      response.pointee.description = ProtobufCBinaryData(project.description)
      (response.pointee.counts, response.pointee.n_counts) = try typeCounts(counts ?? [], view)
    }
    let members = rows.filter { $0.kind != .object }
    (response.pointee.members, response.pointee.n_members) = try list(members, member)
    let objects = rows.filter { $0.kind == .object }
    (response.pointee.objects, response.pointee.n_objects) = try list(objects) { (view, row) throws(Failure) in
      try object(view.object(Int(row.number)))
    }
    reply.setProject(response)
  }

  private func member(
    _ view: CompanyView, _ row: FoundRow
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__MemberRow> {
    let wire = try arena.make(scope__v1__member_row__init)
    let number = Int(row.number)
    let isGroup = row.kind == .group
    wire.pointee.type =
      isGroup ? SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_GROUP : SCOPE__V1__ENTITY_TYPE__ENTITY_TYPE_USER
    wire.pointee.id = ProtobufCBinaryData(isGroup ? view.groupID(number) : view.userID(number))
    wire.pointee.name = ProtobufCBinaryData(isGroup ? view.groupName(number) : view.userName(number))
    wire.pointee.users = row.count
    return wire
  }

  private func typeCounts(
    _ rows: [FoundRow], _ view: CompanyView
  ) throws(Failure) -> (UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__TypeCount>?>?, Int) {
    var counts: [UInt8: UInt32] = [:]
    for row in rows where row.kind == .object { counts[view.objectType(Int(row.number)), default: 0] += 1 }
    if counts.isEmpty { return (nil, 0) }
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__TypeCount>?.self, count: counts.count) else {
      throw Arena.full
    }
    for (index, (type, count)) in counts.sorted(by: { $0.key < $1.key }).enumerated() {
      let wire = try arena.make(scope__v1__type_count__init)
      wire.pointee.type = Scope__V1__EntityType(UInt32(type))
      wire.pointee.count = count
      list[index] = wire
    }
    return (list, counts.count)
  }
}

// MARK: - Findings

extension FactsWire {
  func findings(_ rows: [FoundRow], _ reply: Reply) throws(Failure) {
    let response = try arena.make(scope__v1__check_up_response__init)
    (response.pointee.findings, response.pointee.n_findings) = try list(rows, finding)
    reply.setFindings(response)
  }

  private func finding(
    _ view: CompanyView, _ row: FoundRow
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__Finding> {
    let wire = try arena.make(scope__v1__finding__init)
    let number = Int(row.number)
    wire.pointee.kind = Scope__V1__FindingKind(row.kind.rawValue)
    let (type, id, name) = thing(view, row.kind, number)
    wire.pointee.type = Scope__V1__EntityType(UInt32(type))
    wire.pointee.id = ProtobufCBinaryData(id)
    wire.pointee.name = ProtobufCBinaryData(name)
    let projects =
      switch row.kind {
      case .fieldShared: view.projects(ofObject: number)
      case .userStillInDefault: view.projects(ofUser: number).filter { $0 != Int(row.count) }
      default: [Int]()
      }
    wire.pointee.project_count = UInt32(projects.count)
    let told = projects.prefix(ListingStream.toldBeside).map(view.projectID)
    (wire.pointee.projects, wire.pointee.n_projects) = try lay(told)
    return wire
  }

  private func thing(_ view: CompanyView, _ kind: FoundRow.Kind, _ number: Int) -> (UInt8, Key, Key) {
    switch kind {
    case .userInNoProject, .userStillInDefault, .user:
      return (SubjectKind.user, view.userID(number), view.userName(number))
    case .projectWithoutUsers, .projectWithoutObjects:
      let project = view.project(number)
      return (SubjectKind.project, project.id, project.name)
    case .groupWithoutMembers, .group: return (SubjectKind.group, view.groupID(number), view.groupName(number))
    case .fieldInNoProject, .objectInNoProject, .fieldShared, .listWithoutPurpose, .row, .object:
      let object = view.object(number)
      return (object.type, object.id, object.name)
    }
  }
}
