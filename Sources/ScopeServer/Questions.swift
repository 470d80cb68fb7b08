import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// Questions about what there is, about earlier times, and those that are never answered for good.
extension Dispatcher {
  func hasRights(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    let company = try company(request)
    let call = request.pointee.has_rights!
    let count = call.pointee.n_rights
    try Self.name("user", call.pointee.user.key)
    if count == 0 { throw Failure(.invalidArgument, "rights_missing", "the request names no rights") }
    if count > limits.checksPerRequest { throw .tooMany("rights", count, limit: limits.checksPerRequest) }
    for index in 0..<count { try Self.name("rights", call.pointee.rights[index].key) }
    let subject = company?.subject(kind: SubjectKind.user, id: call.pointee.user.key)
    let held = try allocate(protobuf_c_boolean.self, count)
    for index in 0..<count {
      let isHeld = subject.map { company!.holds($0, right: call.pointee.rights[index].key) } ?? false
      held[index] = isHeld ? 1 : 0
    }
    let response = try arena.make(scope__v1__has_rights_response__init)
    (response.pointee.held, response.pointee.n_held) = (held, count)
    let refusal = subject.map(\.refusal) ?? .unknownCompany
    response.pointee.reason = Scope__V1__Reason(UInt32(refusal?.rawValue ?? 0))
    reply.setRights(response)
  }

  func getCompany(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    guard let company = try company(request) else { throw .unknownCompany(Array(request.pointee.company.key)) }
    let response = try arena.make(scope__v1__get_company_response__init)
    response.pointee.mode =
      company.mode == .simple
      ? SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE : SCOPE__V1__SECURITY_MODE__SECURITY_MODE_ENHANCED
    response.pointee.users = UInt32(company.userCount)
    response.pointee.groups = UInt32(company.groupCount)
    response.pointee.roles = UInt32(company.roleCount)
    response.pointee.projects = UInt32(company.projectCount)
    response.pointee.objects = UInt32(company.objectCount)
    reply.setCompany(response)
  }

  func listUsers(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let call = request.pointee.list_users!
    var question = UserQuestion()
    question.text = try Self.optionalName("text", call.pointee.text.key)?.text ?? ""
    question.group = Array(try Self.optionalName("group", call.pointee.group.key)?.text.utf8 ?? "".utf8)
    question.project = Array(try Self.optionalName("project", call.pointee.project.key)?.text.utf8 ?? "".utf8)
    question.role = Array(try Self.optionalName("role", call.pointee.role.key)?.text.utf8 ?? "".utf8)
    question.right = Array(try Self.optionalName("right", call.pointee.right.key)?.text.utf8 ?? "".utf8)
    question.isInNoProject = call.pointee.in_no_project != 0
    question.isBlocked = call.pointee.blocked != 0
    question.offset = Int(call.pointee.offset)
    question.limit = Int(call.pointee.limit)
    switch call.pointee.order {
    case SCOPE__V1__USER_ORDER__USER_ORDER_UNSPECIFIED, SCOPE__V1__USER_ORDER__USER_ORDER_NAME: break
    case SCOPE__V1__USER_ORDER__USER_ORDER_GROUP: question.isByGroup = true
    default: throw .badType("order", call.pointee.order.rawValue)
    }
    let named = [(SubjectKind.group, call.pointee.group.key), (SubjectKind.project, call.pointee.project.key)]
    return try listing(.users(question), request, naming: named, role: call.pointee.role.key)
  }

  func listCompanyObjects(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let call = request.pointee.list_company_objects!
    var question = ObjectQuestion()
    for index in 0..<call.pointee.n_types {
      question.types.insert(try Self.objectType("types", call.pointee.types[index]))
    }
    question.text = try Self.optionalName("text", call.pointee.text.key)?.text ?? ""
    question.isInNoProject = call.pointee.in_no_project != 0
    question.limit = Int(call.pointee.limit)
    return try listing(.objects(question), request)
  }

  func listGroups(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let text = try Self.optionalName("text", request.pointee.list_groups.pointee.text.key)
    return try listing(.groups(text: text?.text ?? ""), request)
  }

  func getProject(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let id = request.pointee.get_project.pointee.id.key
    try Self.name("id", id)
    return try listing(.project(id: Array(id)), request)
  }

  func listFields(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let filter = request.pointee.list_fields.pointee.filter.rawValue
    if filter > SCOPE__V1__FIELD_FILTER__FIELD_FILTER_IN_NONE.rawValue { throw .badType("filter", filter) }
    return try listing(.fields(filter), request)
  }

  func checkUp(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let call = request.pointee.check_up!
    let known = 1...SCOPE__V1__FINDING_KIND__FINDING_KIND_LIST_WITHOUT_PURPOSE.rawValue
    var kinds: Set<UInt32> = []
    for index in 0..<call.pointee.n_kinds {
      let kind = call.pointee.kinds[index].rawValue
      guard known.contains(kind) else { throw .badType("kinds", kind) }
      kinds.insert(kind)
    }
    return try listing(.checkUp(kinds.isEmpty ? Set(known) : kinds), request)
  }

  func listing(
    _ question: Listing.Question, _ request: UnsafeMutablePointer<WireRequest>, naming named: [(UInt8, Key)] = [],
    role: Key = Key(start: nil, count: 0)
  ) throws(Failure) -> Disposition {
    let view = try company(request)
    let timeout = timeout(request)
    var unknown = unknown(request, named)
    if let view, !role.isEmpty, !(0..<view.roleCount).contains(where: { view.role($0).elementsEqual(role) }) {
      unknown.append("role:\(String(decoding: role, as: UTF8.self))")
    }
    let listing = Listing(
      root: cursor.root.alone(request.pointee.company.key), company: Array(request.pointee.company.key),
      question: question,
      unknown: unknown, deadline: .now() + timeout, ending: ending)
    return .listing(listing, id: request.pointee.id, timeout: timeout)
  }

  /// What of these the company does not have; the company alone if that is not there. An empty id names nothing.
  func unknown(_ request: UnsafeMutablePointer<WireRequest>, _ named: [(kind: UInt8, id: Key)]) -> [String] {
    let company = request.pointee.company.key
    guard let view = cursor.root.company(company) else {
      return ["company:\(String(decoding: company, as: UTF8.self))"]
    }
    return named.compactMap { kind, id in
      if id.isEmpty || view.subject(kind: kind, id: id).refusal != .unknownSubject { return nil }
      let type =
        switch kind {
        case SubjectKind.user: "user"
        case SubjectKind.group: "group"
        case SubjectKind.project: "project"
        default: ObjectType(number: kind)!.name
        }
      return "\(type):\(String(decoding: id, as: UTF8.self))"
    }
  }

  func getUser(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    let id = request.pointee.get_user.pointee.id.key
    try Self.name("id", id)
    guard let company = try company(request) else { throw .unknownCompany(Array(request.pointee.company.key)) }
    guard let number = company.userNumber(id) else {
      throw Failure(.notFound, "unknown_user", "there is no user '\(String(decoding: id, as: UTF8.self))'")
    }
    let response = try arena.make(scope__v1__get_user_response__init)
    response.pointee.user = try FactsWire(arena: arena, view: company)
      .user(company, number, telling: FactsWire.told)
    reply.setUser(response)
  }

  func getObject(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    let call = request.pointee.get_object!
    let type = try Self.objectType("type", call.pointee.type)
    try Self.name("id", call.pointee.id.key)
    guard let company = try company(request) else { throw .unknownCompany(Array(request.pointee.company.key)) }
    guard let number = company.objectNumber(call.pointee.id.key, type: type) else {
      let id = String(decoding: call.pointee.id.key, as: UTF8.self)
      throw Failure(
        .notFound, "unknown_object", "there is no object '\(ObjectType(number: type)!.name):\(id)'")
    }
    reply.setObject(
      try FactsWire(arena: arena, view: company).response(company, object: number))
  }
}

// MARK: - Earlier times

extension Dispatcher {
  func pastQuestion(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer, from caller: Caller
  ) throws(Failure) -> PastQuestion {
    try allowAudit(caller)
    guard Dispatcher.isQuestion(request.pointee.call_case) else {
      throw Failure(.invalidArgument, "at_not_possible", "only questions about rules are answered as of another time")
    }
    let (revision, time) = (request.pointee.at_revision, request.pointee.at_time_us)
    if revision != 0 && time != 0 {
      throw Failure(.invalidArgument, "two_times", "the request has both a revision and a time to be answered as of")
    }
    if revision > cursor.root.revision {
      throw Failure(
        .failedPrecondition, "revision_not_reached",
        "revision \(revision) is asked for, and the rules are at \(cursor.root.revision)")
    }
    return PastQuestion(
      company: try companyName(request), moment: revision == 0 ? .time(time) : .revision(revision),
      frame: Array(frame), deadline: .now() + timeout(request), source: caller.source)
  }

  private static func isQuestion(_ call: Scope__V1__Request__CallCase) -> Bool {
    switch call {
    case SCOPE__V1__REQUEST__CALL_CAN_SEE, SCOPE__V1__REQUEST__CALL_CHECK_MANY,
      SCOPE__V1__REQUEST__CALL_FILTER_OBJECTS, SCOPE__V1__REQUEST__CALL_LIST_PROJECTS,
      SCOPE__V1__REQUEST__CALL_LIST_OBJECTS, SCOPE__V1__REQUEST__CALL_EXPLAIN,
      SCOPE__V1__REQUEST__CALL_WHO_CAN_SEE, SCOPE__V1__REQUEST__CALL_WHAT_SEES,
      SCOPE__V1__REQUEST__CALL_GET_COMPANY, SCOPE__V1__REQUEST__CALL_HAS_RIGHTS, SCOPE__V1__REQUEST__CALL_LIST_USERS,
      SCOPE__V1__REQUEST__CALL_GET_USER, SCOPE__V1__REQUEST__CALL_LIST_GROUPS,
      SCOPE__V1__REQUEST__CALL_LIST_ROLES, SCOPE__V1__REQUEST__CALL_GET_PROJECT,
      SCOPE__V1__REQUEST__CALL_GET_OBJECT, SCOPE__V1__REQUEST__CALL_LIST_FIELDS,
      SCOPE__V1__REQUEST__CALL_LIST_COMPANY_OBJECTS, SCOPE__V1__REQUEST__CALL_CHECK_UP:
      true
    default: false
    }
  }
}

// MARK: - Watches

extension Dispatcher {
  func watchChanges(
    _ request: UnsafeMutablePointer<WireRequest>, from caller: Caller
  ) throws(Failure) -> Disposition {
    try allowAudit(caller)
    if try company(request) == nil { throw .unknownCompany(Array(request.pointee.company.key)) }
    let call = request.pointee.watch_changes!
    let revision = cursor.root.revision
    if call.pointee.after_revision > revision {
      throw Failure(
        .failedPrecondition, "revision_not_reached",
        "revision \(call.pointee.after_revision) is asked for, and the rules are at \(revision)")
    }
    let isFromNow = call.pointee.from_now != 0
    let watch = ChangeWatch(
      company: try companyName(request), after: isFromNow ? revision : call.pointee.after_revision, isLive: isFromNow,
      heartbeat: try heartbeat(call.pointee.heartbeat_ms))
    return .watch(PartStream(id: request.pointee.id, kind: .watchedChanges(watch)))
  }

  func watchAccess(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    if try company(request) == nil { throw .unknownCompany(Array(request.pointee.company.key)) }
    let call = request.pointee.watch_access!
    let kind = try Self.entityType("subject_type", call.pointee.subject_type)
    try Self.name("subject_id", call.pointee.subject_id.key)
    var types: Set<UInt8> = []
    for index in 0..<call.pointee.n_object_types {
      types.insert(try Self.objectType("object_types", call.pointee.object_types[index]))
    }
    let watch = AccessWatch(
      root: cursor.root, company: request.pointee.company.key, subjectKind: kind, subject: call.pointee.subject_id.key,
      types: types,
      heartbeat: try heartbeat(call.pointee.heartbeat_ms))
    let missing = unknown(request, [(kind, call.pointee.subject_id.key)])
    return .watch(PartStream(id: request.pointee.id, kind: .watchedAccess(watch), unknown: missing))
  }

  private func heartbeat(_ milliseconds: UInt32) throws(Failure) -> TimeAmount {
    if milliseconds == 0 { return .seconds(10) }
    guard (100...60_000).contains(milliseconds) else {
      throw Failure(.invalidArgument, "bad_heartbeat", "heartbeat_ms is from 100 to 60000, not \(milliseconds)")
    }
    return .milliseconds(Int64(milliseconds))
  }
}
