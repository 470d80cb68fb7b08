import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// The response being made. Its messages are allocated once and used again for every answer; what they
/// point to lies in the request's arena or in the index, and is packed before either goes.
final class Reply {
  private let response = make(scope__v1__response__init)
  private let canSee = make(scope__v1__can_see_response__init)
  private let checkMany = make(scope__v1__check_many_response__init)
  private let filterObjects = make(scope__v1__filter_objects_response__init)
  private let listProjects = make(scope__v1__list_projects_response__init)
  private let listObjects = make(scope__v1__list_objects_response__init)
  private let apply = make(scope__v1__apply_response__init)
  private let export = make(scope__v1__export_company_response__init)
  private let hello = make(scope__v1__hello_response__init)
  private let limits = make(scope__v1__limits__init)
  private let health = make(scope__v1__health_response__init)
  private let watchChanges = make(scope__v1__watch_changes_response__init)
  /// What the next response says is unknown; in the arena.
  var unknown: UnsafeMutableBufferPointer<ProtobufCBinaryData>?
  /// The most bytes that the response takes, where they need not be counted; else 0. Unchecked: one thread has a reply.
  @exclusivity(unchecked) private var mostBytes = 0
  /// Of the answer to a check: numbers, and two names.
  private static let checkBytes = 128 + 2 * Name.maximumBytes

  deinit {
    response.deallocate()
    canSee.deallocate()
    checkMany.deallocate()
    filterObjects.deallocate()
    listProjects.deallocate()
    listObjects.deallocate()
    apply.deallocate()
    export.deallocate()
    hello.deallocate()
    limits.deallocate()
    health.deallocate()
    watchChanges.deallocate()
  }

  private static func make<T>(_ initialise: (UnsafeMutablePointer<T>?) -> Void) -> UnsafeMutablePointer<T> {
    let message = UnsafeMutablePointer<T>.allocate(capacity: 1)
    initialise(message)
    return message
  }

  /// Starts a response without a result.
  @inline(__always)
  func begin(_ id: UInt64, revision: UInt64, more: Bool = false) {
    scope__v1__response__init(response)
    mostBytes = 0
    if let names = unknown {
      (response.pointee.unknown, response.pointee.n_unknown) = (names.baseAddress, names.count)
      unknown = nil
    }
    response.pointee.id = id
    response.pointee.revision = revision
    response.pointee.more = more ? 1 : 0
  }

  /// Frames the response into the output.
  @inline(__always)
  func end(into out: inout ByteBuffer) {
    if mostBytes > 0 {
      out.writeWithUnsafeMutableBytes(minimumWritableBytes: mostBytes) { memory in
        Frame.pack(response, within: UnsafeMutableRawBufferPointer(rebasing: memory[..<mostBytes]))
      }
      return
    }
    let bytes = Frame.bytes(of: response)
    out.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes) { memory in
      Frame.pack(response, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<bytes]))
      return bytes
    }
  }

  /// A whole response that says why there is no result.
  func fail(_ id: UInt64, _ failure: Failure, revision: UInt64, into out: inout ByteBuffer) {
    begin(id, revision: revision)
    response.pointee.code = Scope__V1__Code(failure.code.rawValue)
    response.pointee.change = failure.change
    var reason = failure.reason
    var message = failure.message
    reason.withUTF8 { reason in
      message.withUTF8 { message in
        response.pointee.reason = ProtobufCBinaryData(UnsafeRawBufferPointer(reason))
        response.pointee.message = ProtobufCBinaryData(UnsafeRawBufferPointer(message))
        end(into: &out)
      }
    }
  }
}

// MARK: - Results of checks

extension Reply {
  @inline(__always)
  func set(_ answer: CheckAnswer) {
    Reply.write(answer, to: canSee)
    if response.pointee.n_unknown == 0 { mostBytes = Reply.checkBytes }
    response.pointee.can_see = canSee
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_CAN_SEE
  }

  @inline(__always)
  static func write(_ answer: CheckAnswer, to wire: UnsafeMutablePointer<Scope__V1__CanSeeResponse>) {
    scope__v1__can_see_response__init(wire)
    wire.pointee.decision =
      answer.reason.allows ? SCOPE__V1__DECISION__DECISION_ALLOW : SCOPE__V1__DECISION__DECISION_DENY
    wire.pointee.reason = Scope__V1__Reason(UInt32(answer.reason.rawValue))
    wire.pointee.project = ProtobufCBinaryData(answer.project)
    wire.pointee.group = ProtobufCBinaryData(answer.group)
  }

  func setChecks(_ list: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__CanSeeResponse>?>, count: Int) {
    scope__v1__check_many_response__init(checkMany)
    checkMany.pointee.answers = list
    checkMany.pointee.n_answers = count
    response.pointee.check_many = checkMany
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_CHECK_MANY
  }

  func setIDs(_ ids: UnsafeMutablePointer<ProtobufCBinaryData>, count: Int) {
    scope__v1__filter_objects_response__init(filterObjects)
    filterObjects.pointee.object_ids = ids
    filterObjects.pointee.n_object_ids = count
    filterObjects.pointee.visible = UInt32(count)
    response.pointee.filter_objects = filterObjects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS
  }

  func setBitmap(_ bitmap: ProtobufCBinaryData, visible: Int) {
    scope__v1__filter_objects_response__init(filterObjects)
    filterObjects.pointee.bitmap = bitmap
    filterObjects.pointee.visible = UInt32(visible)
    response.pointee.filter_objects = filterObjects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS
  }

  func setProjects(_ rows: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ProjectTile>?>, count: Int) {
    scope__v1__list_projects_response__init(listProjects)
    listProjects.pointee.projects = rows
    listProjects.pointee.n_projects = count
    response.pointee.list_projects = listProjects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_PROJECTS
  }

  func setObjects(_ rows: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ObjectRow>?>, count: Int) {
    scope__v1__list_objects_response__init(listObjects)
    listObjects.pointee.objects = rows
    listObjects.pointee.n_objects = count
    response.pointee.list_objects = listObjects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_OBJECTS
  }
}

// MARK: - Looking things over

extension Reply {
  func setExplanation(_ explanation: UnsafeMutablePointer<Scope__V1__ExplainResponse>) {
    response.pointee.explain = explanation
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_EXPLAIN
  }

  func setViewers(_ viewers: UnsafeMutablePointer<Scope__V1__WhoCanSeeResponse>) {
    response.pointee.who_can_see = viewers
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_WHO_CAN_SEE
  }

  func setSeenObjects(_ objects: UnsafeMutablePointer<Scope__V1__WhatSeesResponse>) {
    response.pointee.what_sees = objects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_WHAT_SEES
  }
}

extension Reply {
  func setScreened(_ answers: UnsafeMutablePointer<Scope__V1__ScreenNumbersResponse>) {
    response.pointee.screen_numbers = answers
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_SCREEN_NUMBERS
  }

  func setNumberLists(_ lists: UnsafeMutablePointer<Scope__V1__ListNumberListsResponse>) {
    response.pointee.list_number_lists = lists
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_NUMBER_LISTS
  }

  func setAdded(_ numbers: UnsafeMutablePointer<Scope__V1__AddNumbersResponse>) {
    response.pointee.add_numbers = numbers
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_ADD_NUMBERS
  }

  func setRemoved(_ numbers: UnsafeMutablePointer<Scope__V1__RemoveNumbersResponse>) {
    response.pointee.remove_numbers = numbers
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_REMOVE_NUMBERS
  }

  func setImported(_ numbers: UnsafeMutablePointer<Scope__V1__ImportNumbersResponse>) {
    response.pointee.import_numbers = numbers
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_IMPORT_NUMBERS
  }

  /// Frames the response with records of a WatchChangesResponse that are packed already.
  func end(withWatchedRecords records: [[UInt8]], into out: inout ByteBuffer) {
    let heads = records.map { record in
      var head: [UInt8] = [1 << 3 | 2]
      head.append(varint: record.count)
      return head
    }
    let length = zip(heads, records).reduce(0) { $0 + $1.0.count + $1.1.count }
    begin(result: UInt32(SCOPE__V1__RESPONSE__RESULT_WATCH_CHANGES.rawValue), length: length, into: &out)
    for (head, record) in zip(heads, records) {
      out.writeBytes(head)
      out.writeBytes(record)
    }
  }

  /// Frames the response with a result that is packed already.
  ///
  /// - Parameter field: number of the result in the response.
  func end(withResult field: UInt32, _ result: [UInt8], into out: inout ByteBuffer) {
    begin(result: field, length: result.count, into: &out)
    out.writeBytes(result)
  }

  /// Writes all of the frame that comes before its result, which is so many bytes long.
  private func begin(result field: UInt32, length: Int, into out: inout ByteBuffer) {
    let packed = Frame.bytes(of: response) - Frame.headerBytes
    var head: [UInt8] = []
    head.append(varint: Int(field << 3 | 2))
    head.append(varint: length)
    out.writeInteger(UInt32(packed + head.count + length))
    out.writeWithUnsafeMutableBytes(minimumWritableBytes: packed) { memory in
      scope__v1__response__pack(response, memory.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }
    out.writeBytes(head)
  }
}

extension Reply {
  func setRights(_ rights: UnsafeMutablePointer<Scope__V1__HasRightsResponse>) {
    response.pointee.has_rights = rights
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_HAS_RIGHTS
  }

  func setCompany(_ company: UnsafeMutablePointer<Scope__V1__GetCompanyResponse>) {
    response.pointee.get_company = company
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_GET_COMPANY
  }

  func setUsers(_ users: UnsafeMutablePointer<Scope__V1__ListUsersResponse>) {
    response.pointee.list_users = users
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_USERS
  }

  func setUser(_ user: UnsafeMutablePointer<Scope__V1__GetUserResponse>) {
    response.pointee.get_user = user
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_GET_USER
  }

  func setGroups(_ groups: UnsafeMutablePointer<Scope__V1__ListGroupsResponse>) {
    response.pointee.list_groups = groups
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_GROUPS
  }

  func setRoles(_ roles: UnsafeMutablePointer<Scope__V1__ListRolesResponse>) {
    response.pointee.list_roles = roles
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_ROLES
  }

  func setProject(_ project: UnsafeMutablePointer<Scope__V1__GetProjectResponse>) {
    response.pointee.get_project = project
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_GET_PROJECT
  }

  func setObject(_ object: UnsafeMutablePointer<Scope__V1__GetObjectResponse>) {
    response.pointee.get_object = object
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_GET_OBJECT
  }

  func setFields(_ fields: UnsafeMutablePointer<Scope__V1__ListFieldsResponse>) {
    response.pointee.list_fields = fields
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_FIELDS
  }

  func setCompanyObjects(_ objects: UnsafeMutablePointer<Scope__V1__ListCompanyObjectsResponse>) {
    response.pointee.list_company_objects = objects
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_COMPANY_OBJECTS
  }

  func setCompanies(_ companies: UnsafeMutablePointer<Scope__V1__ListCompaniesResponse>) {
    response.pointee.list_companies = companies
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_COMPANIES
  }

  func setFindings(_ findings: UnsafeMutablePointer<Scope__V1__CheckUpResponse>) {
    response.pointee.check_up = findings
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_CHECK_UP
  }
}

extension Reply {
  func setChanges(_ changes: UnsafeMutablePointer<Scope__V1__ListChangesResponse>) {
    response.pointee.list_changes = changes
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_LIST_CHANGES
  }

  func setWatchedChanges(
    records: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ChangeRecord>?>?, count: Int
  ) {
    scope__v1__watch_changes_response__init(watchChanges)
    watchChanges.pointee.records = records
    watchChanges.pointee.n_records = count
    response.pointee.watch_changes = watchChanges
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_WATCH_CHANGES
  }

  func setWatchedAccess(_ access: UnsafeMutablePointer<Scope__V1__WatchAccessResponse>) {
    response.pointee.watch_access = access
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_WATCH_ACCESS
  }

  func setPreview(_ preview: UnsafeMutablePointer<Scope__V1__PreviewResponse>) {
    response.pointee.preview = preview
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_PREVIEW
  }

  func setVerification(_ verification: UnsafeMutablePointer<Scope__V1__VerifyResponse>) {
    response.pointee.verify = verification
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_VERIFY
  }
}

// MARK: - Other results

extension Reply {
  func setApplied(
    _ applied: Applied, warnings: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Warning>?>?,
    gathered: UnsafeMutablePointer<Scope__V1__Gathered>?, access: UnsafeMutablePointer<Scope__V1__AccessSummary>?
  ) {
    scope__v1__apply_response__init(apply)
    apply.pointee.gathered = gathered
    apply.pointee.access = access
    apply.pointee.edits = UInt32(applied.edits)
    apply.pointee.repeated_key = applied.isRepeated ? 1 : 0
    apply.pointee.warnings = warnings
    apply.pointee.n_warnings = applied.warnings.count
    response.pointee.apply = apply
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_APPLY
  }

  func setExport(
    _ changes: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Change>?>, count: Int, digest: ProtobufCBinaryData
  ) {
    scope__v1__export_company_response__init(export)
    export.pointee.changes = changes
    export.pointee.n_changes = count
    export.pointee.digest = digest
    response.pointee.export_company = export
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_EXPORT_COMPANY
  }

  func setHello(version: StaticString, _ limit: Limits) {
    scope__v1__limits__init(limits)
    limits.pointee.frame_bytes = UInt32(limit.frameBytes)
    limits.pointee.name_bytes = UInt32(Limits.nameBytes)
    limits.pointee.description_bytes = UInt32(Limits.descriptionBytes)
    limits.pointee.ids_per_request = UInt32(limit.idsPerRequest)
    limits.pointee.checks_per_request = UInt32(limit.checksPerRequest)
    limits.pointee.changes_per_batch = UInt32(limit.changesPerBatch)
    limits.pointee.requests_in_flight = UInt32(limit.requestsInFlight)
    limits.pointee.unsent_bytes = UInt32(limit.unsentBytes)
    limits.pointee.connections = UInt32(limit.connections)
    limits.pointee.timeout_ms = limit.timeoutMilliseconds
    limits.pointee.timeout_max_ms = limit.timeoutMaximumMilliseconds
    limits.pointee.changes_waiting = UInt32(limit.changesWaiting)
    limits.pointee.reads_waiting = UInt32(limit.readsWaiting)
    limits.pointee.cold_waiting = UInt32(limit.coldWaiting)
    limits.pointee.past_per_company = UInt32(limit.pastPerCompany)
    limits.pointee.listings = UInt32(limit.listings)
    limits.pointee.watches = UInt32(limit.watches)
    scope__v1__hello_response__init(hello)
    hello.pointee.version = ProtobufCBinaryData(
      UnsafeRawBufferPointer(start: version.utf8Start, count: version.utf8CodeUnitCount))
    hello.pointee.`protocol` = Limits.protocolVersion
    hello.pointee.limits = limits
    response.pointee.hello = hello
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_HELLO
  }

  func setHealth(_ daemon: DaemonState, _ root: IndexRoot) {
    scope__v1__health_response__init(health)
    let loading = daemon.loading
    health.pointee.ready = loading.isReady ? 1 : 0
    health.pointee.writable = daemon.isWritable ? 1 : 0
    health.pointee.companies = UInt64(root.loadedCount)
    health.pointee.connections = UInt64(daemon.connections.count)
    health.pointee.uptime_ms = UInt64((NIODeadline.now() - daemon.started).nanoseconds / 1_000_000)
    health.pointee.index_bytes = UInt64(root.byteCount)
    health.pointee.companies_known = UInt64(root.knownCount)
    health.pointee.companies_unreadable = UInt64(loading.unreadableCompanies)
    health.pointee.budget_bytes = UInt64(loading.budgetBytes ?? 0)
    health.pointee.loads_on_demand = loading.loadsOnDemand
    health.pointee.drops = loading.drops
    health.pointee.connections_refused = daemon.connectionsRefused.load(ordering: .relaxed)
    response.pointee.health = health
    response.pointee.result_case = SCOPE__V1__RESPONSE__RESULT_HEALTH
  }
}
