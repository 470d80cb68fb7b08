import CScopeWire
import Crypto
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// What a caller may do beside asking.
public struct CallerScopes: OptionSet, Sendable {
  public let rawValue: UInt8

  /// Changes in the name of a user, within that user's rights and reach.
  public static let write = CallerScopes(rawValue: 1)
  /// Changes in the name of nobody: as the platform itself, which may do everything.
  public static let platform = CallerScopes(rawValue: 2)
  /// The log, what was at earlier times, and whether the stored data is sound.
  public static let audit = CallerScopes(rawValue: 4)
  public static let all: CallerScopes = [.write, .platform, .audit]

  public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// Who is at the other end of a connection, and what it may do.
struct Caller: Sendable {
  /// For the change log: `uid:1000`, `tcp`.
  let name: Name
  let scopes: CallerScopes
  /// The connection.
  let source: Source
}

/// What is left to do after a frame was looked at.
enum Disposition: Sendable {
  /// The answer is in the output.
  case answered
  /// A batch for the authority.
  case apply(ApplyJob, id: UInt64, timeout: TimeAmount)
  /// A batch to be tried.
  case preview(ApplyJob, first: Int, id: UInt64, timeout: TimeAmount)
  /// A company to read back.
  case export(Name, id: UInt64, timeout: TimeAmount)
  /// A page of the log.
  case changes(Name, LogQuery, id: UInt64, timeout: TimeAmount)
  /// A look through everything.
  case verify(id: UInt64, timeout: TimeAmount)
  /// The companies there are.
  case companies(id: UInt64, timeout: TimeAmount)
  /// The first part is in the output; the others follow.
  case stream(PartStream, timeout: TimeAmount)
  /// Rows to be found first.
  case listing(Listing, id: UInt64, timeout: TimeAmount)
  /// The company is to be loaded first.
  case load(ColdQuestion)
  /// To be answered as of an earlier time.
  case past(PastQuestion, id: UInt64, timeout: TimeAmount)
  /// An answer without an end.
  case watch(PartStream)
  /// Numbers to be changed by the authority.
  case changeNumbers(NumberJob, Scope__V1__Request__CallCase, id: UInt64, timeout: TimeAmount)
  /// To be answered beside the event loop, although the frame is small.
  case aside([UInt8])
}

extension Disposition {
  /// The request's; 0 where the answer is in the output, or is made elsewhere.
  var id: UInt64 {
    switch self {
    case .answered, .aside: 0
    case .apply(_, let id, _), .preview(_, _, let id, _), .export(_, let id, _), .changes(_, _, let id, _),
      .verify(let id, _), .companies(let id, _), .listing(_, let id, _), .past(_, let id, _),
      .changeNumbers(_, _, let id, _):
      id
    case .stream(let stream, _), .watch(let stream): stream.id
    case .load(let question): question.id
    }
  }
}

/// Answers frames. One for each thread that does so: it owns the memory that answering needs, so that a
/// check allocates nothing.
///
/// What it keeps of the question at hand is not watched for overlapping accesses, which would cost each question some
/// hundred instructions: one thread has it, and nothing that answers is handed one of these to alter.
final class Dispatcher {
  let limits: Limits
  let arena: Arena
  @exclusivity(unchecked) var cursor: IndexPublisher.Cursor
  /// The question at hand is about a company that is cold.
  @exclusivity(unchecked) var isCold = false
  /// How long the question at hand has waited before.
  var waited = TimeAmount.zero
  /// What the question at hand took on the event loop, in checks.
  @exclusivity(unchecked) private(set) var work = 0
  private let daemon: DaemonState
  /// The index is one of an earlier time.
  private let isPast: Bool
  let reply: Reply
  let nationalNumbers = NationalNumbers()
  @exclusivity(unchecked) private var patience: Patience?

  init(limits: Limits, publisher: IndexPublisher, daemon: DaemonState, isPast: Bool = false) {
    self.limits = limits
    self.daemon = daemon
    self.isPast = isPast
    arena = Arena(limit: limits.unpackBytes)
    cursor = IndexPublisher.Cursor(publisher)
    reply = Reply()
  }

  var feed: Feed { daemon.feed }
  var ending: Ending { daemon.ending }

  /// Takes the newest index. To be called after bytes have arrived and before they are answered: what was
  /// acknowledged before the client asked is then in it.
  @inline(__always)
  func refresh() { cursor.refresh() }

  /// Answers one frame into `out`, or says what else is to be done.
  ///
  /// - Parameter patience: for frames that may take long; nil: the frame is small.
  func answer(
    _ frame: UnsafeRawBufferPointer, from caller: Caller, patience: Patience? = nil, into out: inout ByteBuffer
  ) -> Disposition {
    arena.reset()
    work = 0
    self.patience = patience
    guard let request = arena.unpackRequest(frame) else {
      fail(0, arena.isFull ? Arena.full : Dispatcher.malformed, &out)
      return .answered
    }
    do throws(Failure) {
      if let found = Pieces.request.find(in: frame) { throw Failure(found) }
      if (request.pointee.at_revision != 0 || request.pointee.at_time_us != 0) && !isPast {
        return .past(try pastQuestion(request, frame, from: caller), id: request.pointee.id, timeout: timeout(request))
      }
      return try dispatch(request, frame, from: caller, into: &out)
    } catch {
      if isCold { return cold(request, frame) }
      fail(request.pointee.id, error, &out)
      return .answered
    }
  }

  private static let malformed = Failure(
    .invalidArgument, "malformed_message", "the frame is not a scope.v1.Request")

  func fail(_ id: UInt64, _ failure: Failure, _ out: inout ByteBuffer) {
    reply.fail(id, failure, revision: cursor.root.revision, into: &out)
  }

  @inline(__always)
  private func dispatch(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer, from caller: Caller,
    into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    if request.pointee.min_revision > cursor.root.revision && !isPast {
      throw notReached(request.pointee.min_revision)
    }
    reply.begin(request.pointee.id, revision: cursor.root.revision)
    switch request.pointee.call_case {
    case SCOPE__V1__REQUEST__CALL_CAN_SEE: try canSee(request)
    case SCOPE__V1__REQUEST__CALL_CHECK_MANY: if let aside = try checkMany(request, frame) { return aside }
    case SCOPE__V1__REQUEST__CALL_FILTER_OBJECTS: if let aside = try filterObjects(request, frame) { return aside }
    case SCOPE__V1__REQUEST__CALL_LIST_PROJECTS: return try listProjects(request, into: &out)
    case SCOPE__V1__REQUEST__CALL_LIST_OBJECTS: return try listObjects(request, into: &out)
    case SCOPE__V1__REQUEST__CALL_APPLY: return try apply(request, frame.count, from: caller)
    case SCOPE__V1__REQUEST__CALL_EXPORT_COMPANY: return try exportCompany(request)
    case SCOPE__V1__REQUEST__CALL_LIST_CHANGES: return try listChanges(request, from: caller)
    case SCOPE__V1__REQUEST__CALL_VERIFY:
      try allowAudit(caller)
      return .verify(id: request.pointee.id, timeout: timeout(request))
    case SCOPE__V1__REQUEST__CALL_LIST_COMPANIES:
      try allowAudit(caller)
      return .companies(id: request.pointee.id, timeout: timeout(request))
    case SCOPE__V1__REQUEST__CALL_HAS_RIGHTS: try hasRights(request)
    case SCOPE__V1__REQUEST__CALL_GET_COMPANY: try getCompany(request)
    case SCOPE__V1__REQUEST__CALL_LIST_USERS: return try listUsers(request)
    case SCOPE__V1__REQUEST__CALL_GET_USER: try getUser(request)
    case SCOPE__V1__REQUEST__CALL_LIST_GROUPS: return try listGroups(request)
    case SCOPE__V1__REQUEST__CALL_LIST_ROLES: return try listing(.roles, request)
    case SCOPE__V1__REQUEST__CALL_GET_PROJECT: return try getProject(request)
    case SCOPE__V1__REQUEST__CALL_GET_OBJECT: try getObject(request)
    case SCOPE__V1__REQUEST__CALL_LIST_FIELDS: return try listFields(request)
    case SCOPE__V1__REQUEST__CALL_LIST_COMPANY_OBJECTS: return try listCompanyObjects(request)
    case SCOPE__V1__REQUEST__CALL_CHECK_UP: return try checkUp(request)
    case SCOPE__V1__REQUEST__CALL_PREVIEW: return try preview(request, frame.count, from: caller)
    case SCOPE__V1__REQUEST__CALL_WATCH_CHANGES: return try watchChanges(request, from: caller)
    case SCOPE__V1__REQUEST__CALL_WATCH_ACCESS: return try watchAccess(request)
    case SCOPE__V1__REQUEST__CALL_EXPLAIN: if let aside = try explain(request, frame) { return aside }
    case SCOPE__V1__REQUEST__CALL_WHO_CAN_SEE: return try whoCanSee(request, into: &out)
    case SCOPE__V1__REQUEST__CALL_WHAT_SEES: return try whatSees(request, into: &out)
    case SCOPE__V1__REQUEST__CALL_SCREEN_NUMBERS:
      if let disposition = try screenNumbers(request, frame) { return disposition }
    case SCOPE__V1__REQUEST__CALL_LIST_NUMBER_LISTS: return try listNumberLists(request, into: &out)
    case SCOPE__V1__REQUEST__CALL_LIST_NUMBERS: return try listNumbers(request)
    case SCOPE__V1__REQUEST__CALL_EXPORT_NUMBERS: return try exportNumbers(request)
    case SCOPE__V1__REQUEST__CALL_ADD_NUMBERS: return try addNumbers(request, from: caller)
    case SCOPE__V1__REQUEST__CALL_REMOVE_NUMBERS: return try removeNumbers(request, from: caller)
    case SCOPE__V1__REQUEST__CALL_IMPORT_NUMBERS: return try importNumbers(request, from: caller)
    case SCOPE__V1__REQUEST__CALL_HELLO: hello()
    case SCOPE__V1__REQUEST__CALL_HEALTH: health()
    default: throw unknownCall(request)
    }
    reply.end(into: &out)
    return .answered
  }

  private func notReached(_ revision: UInt64) -> Failure {
    Failure(
      .failedPrecondition, "revision_not_reached",
      "revision \(revision) is asked for, and the rules are at \(cursor.root.revision)")
  }

  /// protobuf-c keeps a call it does not know among the unknown fields.
  private func unknownCall(_ request: UnsafeMutablePointer<WireRequest>) -> Failure {
    request.pointee.base.n_unknown_fields > 0
      ? Failure(.unimplemented, "unknown_call", "the call is not known to this daemon")
      : Failure(.invalidArgument, "call_missing", "the request has no call")
  }

  /// The frame is being answered beside the event loop.
  var isAside: Bool { patience != nil || isPast }

  /// What may be looked at for one question on an event loop, in checks: some tenths of a millisecond. What takes more
  /// is answered beside it.
  static let inlineWork = 2_048
  /// What is looked at between two looks at the clock.
  private static let workPerLook = 2_048

  /// Ends what takes long, when nobody waits for it any more.
  func checkPatience(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    try patience?.check(timeout(request))
  }

  func timeout(_ request: UnsafeMutablePointer<WireRequest>) -> TimeAmount {
    let asked = request.pointee.timeout_ms
    let milliseconds = asked == 0 ? limits.timeoutMilliseconds : min(asked, limits.timeoutMaximumMilliseconds)
    return .milliseconds(Int64(milliseconds)) - waited
  }
}

// MARK: - Checks

extension Dispatcher {
  private func canSee(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) {
    let company = try company(request)
    let answer = try check(request.pointee.can_see, in: company)
    reply.set(answer)
  }

  /// Nil: the answer is set.
  private func checkMany(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer
  ) throws(Failure) -> Disposition? {
    let company = try company(request)
    let call = request.pointee.check_many!
    let count = call.pointee.n_checks
    if count > limits.checksPerRequest { throw .tooMany("checks", count, limit: limits.checksPerRequest) }
    let rows = try allocate(Scope__V1__CanSeeResponse.self, count)
    let list = try allocate(UnsafeMutablePointer<Scope__V1__CanSeeResponse>?.self, count)
    var looked = 0
    for index in 0..<count {
      if !isAside && work > Dispatcher.inlineWork { return .aside(Array(frame)) }
      if work >= looked {
        try patience?.check(timeout(request))
        looked = work + Dispatcher.workPerLook
      }
      let answer = try check(call.pointee.checks[index]!, in: company)
      work += Int(answer.work)
      Reply.write(answer, to: rows + index)
      list[index] = rows + index
    }
    reply.setChecks(list, count: count)
    return nil
  }

  @inline(__always)
  private func check(
    _ call: UnsafeMutablePointer<Scope__V1__CanSeeRequest>, in company: CompanyView?
  ) throws(Failure) -> CheckAnswer {
    let subject = try Self.entityType("subject_type", call.pointee.subject_type)
    let object = try Self.entityType("object_type", call.pointee.object_type)
    try Self.name("subject_id", call.pointee.subject_id.key)
    try Self.name("object_id", call.pointee.object_id.key)
    let right = call.pointee.right.key
    if !right.isEmpty { try Self.name("right", right) }
    guard let company else { return CheckAnswer(.unknownCompany) }
    return company.check(
      company.subject(kind: subject, id: call.pointee.subject_id.key), type: object,
      id: call.pointee.object_id.key, right: right)
  }

  /// Nil: the answer is set.
  private func filterObjects(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer
  ) throws(Failure) -> Disposition? {
    let company = try company(request)
    let call = request.pointee.filter_objects!
    let ids = UnsafeBufferPointer(start: call.pointee.object_ids, count: call.pointee.n_object_ids)
    if ids.count > limits.idsPerRequest { throw .tooMany("ids", ids.count, limit: limits.idsPerRequest) }
    let kind = try Self.entityType("subject_type", call.pointee.subject_type)
    let type = try Self.entityType("object_type", call.pointee.object_type)
    try Self.name("subject_id", call.pointee.subject_id.key)
    if call.pointee.project.len > 0 { try Self.name("project", call.pointee.project.key) }
    for id in ids { try Self.name("object_ids", id.key) }
    var visible = Visibility(company, kind: kind, type: type, call)
    work = ids.count
    if !isAside && !visible.isQuick(ids.count) { return .aside(Array(frame)) }
    try visible.lookUpAll(in: arena)
    let time = timeout(request)
    if call.pointee.as_bitmap != 0 {
      try replyBitmap(ids, &visible, time)
    } else {
      try replyIDs(ids, &visible, time)
    }
    return nil
  }

  private func replyBitmap(
    _ ids: UnsafeBufferPointer<ProtobufCBinaryData>, _ visible: inout Visibility, _ time: TimeAmount
  ) throws(Failure) {
    let bytes = try allocate(UInt8.self, (ids.count + 7) / 8)
    bytes.initialize(repeating: 0, count: (ids.count + 7) / 8)
    var count = 0
    for (index, id) in ids.enumerated() {
      if visible.isTimeToLook { try patience?.check(time) }
      if !visible.contains(id.key) { continue }
      bytes[index >> 3] |= 1 << UInt8(index & 7)
      count += 1
    }
    reply.setBitmap(ProtobufCBinaryData(len: (ids.count + 7) / 8, data: bytes), visible: count)
  }

  /// The visible ids are sent from where they were unpacked.
  private func replyIDs(
    _ ids: UnsafeBufferPointer<ProtobufCBinaryData>, _ visible: inout Visibility, _ time: TimeAmount
  ) throws(Failure) {
    let list = try allocate(ProtobufCBinaryData.self, ids.count)
    var count = 0
    for id in ids {
      if visible.isTimeToLook { try patience?.check(time) }
      if !visible.contains(id.key) { continue }
      list[count] = id
      count += 1
    }
    reply.setIDs(list, count: count)
  }

  private func listProjects(
    _ request: UnsafeMutablePointer<WireRequest>, into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    _ = try company(request)
    let call = request.pointee.list_projects!
    let user = call.pointee.user.key
    if call.pointee.every == 0 { try Self.name("user", user) }
    if call.pointee.every != 0 && !user.isEmpty {
      throw Failure(.invalidArgument, "user_not_empty", "every project is asked for, and those that a user sees")
    }
    return try start(
      .projects(ProjectStream(root: cursor.root, company: request.pointee.company.key, user: user)), request,
      naming: [(SubjectKind.user, user)], &out)
  }

  private func listObjects(
    _ request: UnsafeMutablePointer<WireRequest>, into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    let call = request.pointee.list_objects!
    let stream = try objects(
      request, call.pointee.subject_type, call.pointee.subject_id.key,
      types: UnsafeBufferPointer(start: call.pointee.object_types, count: call.pointee.n_object_types),
      project: call.pointee.project.key, tellsReasons: false)
    let subject = (UInt8(call.pointee.subject_type.rawValue), call.pointee.subject_id.key)
    let named = [subject, (SubjectKind.project, call.pointee.project.key)]
    return try start(.objects(stream), request, naming: named, &out)
  }

  private func whatSees(
    _ request: UnsafeMutablePointer<WireRequest>, into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    let call = request.pointee.what_sees!
    let stream = try objects(
      request, call.pointee.subject_type, call.pointee.subject_id.key,
      types: UnsafeBufferPointer(start: call.pointee.object_types, count: call.pointee.n_object_types),
      project: call.pointee.project.key, tellsReasons: true)
    let subject = (UInt8(call.pointee.subject_type.rawValue), call.pointee.subject_id.key)
    let named = [subject, (SubjectKind.project, call.pointee.project.key)]
    return try start(.objects(stream), request, naming: named, &out)
  }

  /// The objects that a subject sees, as ListObjects and WhatSees ask for them.
  private func objects(
    _ request: UnsafeMutablePointer<WireRequest>, _ subjectType: Scope__V1__EntityType, _ subject: Key,
    types wanted: UnsafeBufferPointer<Scope__V1__EntityType>, project: Key, tellsReasons: Bool
  ) throws(Failure) -> ObjectStream {
    _ = try company(request)
    let kind = try Self.entityType("subject_type", subjectType)
    try Self.name("subject_id", subject)
    if !project.isEmpty { try Self.name("project", project) }
    var types: Set<UInt8> = []
    for type in wanted { types.insert(try Self.entityType("object_types", type)) }
    return ObjectStream(
      root: cursor.root, company: request.pointee.company.key, subjectKind: kind, subject: subject, types: types,
      project: project, tellsReasons: tellsReasons)
  }

  private func whoCanSee(
    _ request: UnsafeMutablePointer<WireRequest>, into out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    _ = try company(request)
    let call = request.pointee.who_can_see!
    let type = try Self.entityType("object_type", call.pointee.object_type)
    try Self.name("object_id", call.pointee.object_id.key)
    let stream = ViewerStream(
      root: cursor.root, company: request.pointee.company.key, type: type, object: call.pointee.object_id.key)
    return try start(.viewers(stream), request, naming: [(type, call.pointee.object_id.key)], &out)
  }

  /// Nil: the answer is set.
  private func explain(
    _ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer
  ) throws(Failure) -> Disposition? {
    let company = try company(request)
    guard let check = request.pointee.explain.pointee.check else {
      throw Failure(.invalidArgument, "check_missing", "the request has no check to explain")
    }
    let answer = try self.check(check, in: company)
    if let company, !isAside, Explanation.projects(check.pointee, company) > Dispatcher.inlineWork / 4 {
      return .aside(Array(frame))
    }
    let explanation = Explanation(check.pointee, answer, company)
    reply.setExplanation(try explanation.wire(in: arena))
    return nil
  }

  func start(
    _ kind: PartStream.Kind, _ request: UnsafeMutablePointer<WireRequest>, naming named: [(UInt8, Key)]? = nil,
    _ out: inout ByteBuffer
  ) throws(Failure) -> Disposition {
    let missing = named.map { self.unknown(request, $0) } ?? []
    var stream = PartStream(id: request.pointee.id, kind: kind, unknown: missing)
    guard case .more = try stream.next(using: self, into: &out) else { return .answered }
    stream.holdOne()
    return .stream(stream, timeout: timeout(request))
  }
}

// MARK: - Changes and the daemon itself

extension Dispatcher {
  private func apply(
    _ request: UnsafeMutablePointer<WireRequest>, _ frameBytes: Int, from caller: Caller
  ) throws(Failure) -> Disposition {
    let call = request.pointee.apply!
    let actor = try Self.optionalName("actor", call.pointee.actor.key)
    try allowChanges(caller, actor: actor)
    let id = try companyName(request)
    let timeout = timeout(request)
    var job = ApplyJob(
      company: id, changes: try changes(call.pointee.changes, call.pointee.n_changes), actor: actor,
      caller: caller.name, source: caller.source, expectedRevision: call.pointee.expected_revision,
      idempotencyKey: try Self.optionalName("idempotency_key", call.pointee.idempotency_key.key),
      digest: try digest(call), deadline: deadline(after: timeout))
    job.setBytes(frame: frameBytes)
    return .apply(job, id: request.pointee.id, timeout: timeout)
  }

  /// Counted from when the frame arrived, though it may have waited for a thread since.
  func deadline(after timeout: TimeAmount) -> NIODeadline { (patience?.arrived ?? .now()) + timeout }

  private func preview(
    _ request: UnsafeMutablePointer<WireRequest>, _ frameBytes: Int, from caller: Caller
  ) throws(Failure) -> Disposition {
    let call = request.pointee.preview!
    let actor = try Self.optionalName("actor", call.pointee.actor.key)
    try allowChanges(caller, actor: actor)
    if call.pointee.first > 1_000 {
      throw Failure(.invalidArgument, "bad_first", "first is at most 1000, not \(call.pointee.first)")
    }
    let timeout = timeout(request)
    var job = ApplyJob(
      company: try companyName(request), changes: try changes(call.pointee.changes, call.pointee.n_changes),
      actor: actor, caller: caller.name, source: caller.source, expectedRevision: 0, digest: [],
      deadline: deadline(after: timeout))
    job.setBytes(frame: frameBytes)
    let first = call.pointee.first == 0 ? AccessSummary.standardRows : Int(call.pointee.first)
    return .preview(job, first: first, id: request.pointee.id, timeout: timeout)
  }

  private func changes(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Change>?>?, _ count: Int
  ) throws(Failure) -> [Change] {
    guard let list, count > 0 else { throw Failure(.invalidArgument, "changes_missing", "the batch has no changes") }
    if count > limits.changesPerBatch { throw .tooMany("changes", count, limit: limits.changesPerBatch) }
    var changes: [Change] = []
    changes.reserveCapacity(count)
    for index in 0..<count {
      do throws(Failure) {
        changes.append(try Change(list[index]!.pointee))
      } catch {
        var located = Failure(error.code, error.reason, "change \(index + 1): \(error.message)")
        located.change = Int32(index + 1)
        throw located
      }
    }
    return changes
  }

  /// Tells a repeated request from another one under the same idempotency key.
  private func digest(_ call: UnsafeMutablePointer<Scope__V1__ApplyRequest>) throws(Failure) -> [UInt8] {
    if call.pointee.idempotency_key.len == 0 { return [] }
    let count = scope__v1__apply_request__get_packed_size(call)
    let packed = try allocate(UInt8.self, count)
    scope__v1__apply_request__pack(call, packed)
    return Array(SHA256.hash(data: UnsafeRawBufferPointer(start: packed, count: count)))
  }

  private func exportCompany(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Disposition {
    let company = try companyName(request)
    if !cursor.root.contains(company) {
      throw Failure(.notFound, "unknown_company", "there is no company '\(company)'")
    }
    return .export(company, id: request.pointee.id, timeout: timeout(request))
  }

  func allowAudit(_ caller: Caller) throws(Failure) {
    if caller.scopes.contains(.audit) { return }
    throw Failure(
      .permissionDenied, "log_not_shown",
      "this listener shows neither the log, nor earlier times, nor which companies there are; use the Unix socket")
  }

  func allowChanges(_ caller: Caller, actor: Name?) throws(Failure) {
    if actor == nil && !caller.scopes.contains(.platform) {
      throw Failure(
        .permissionDenied, "platform_not_allowed",
        "this listener takes no changes by the platform itself; name the acting user, or use the Unix socket")
    }
    if actor != nil && !caller.scopes.contains(.write) {
      throw Failure(.permissionDenied, "changes_not_allowed", "this listener takes no changes; use the Unix socket")
    }
  }

  private func listChanges(
    _ request: UnsafeMutablePointer<WireRequest>, from caller: Caller
  ) throws(Failure) -> Disposition {
    try allowAudit(caller)
    let call = request.pointee.list_changes.pointee
    if call.limit > 1_000 { throw Failure(.invalidArgument, "bad_limit", "limit is at most 1000, not \(call.limit)") }
    var query = LogQuery()
    query.newestFirst = call.newest_first != 0
    query.afterRevision = call.after_revision
    query.limit = call.limit == 0 ? 100 : Int(call.limit)
    query.since = call.since_us == 0 ? nil : call.since_us
    query.until = call.until_us == 0 ? nil : call.until_us
    query.actor = try Self.optionalName("actor", call.actor.key)
    query.caller = try Self.optionalName("caller", call.caller.key)
    query.about = try topic(call.about.key)
    query.kind = try kind(call.kind.key)
    return .changes(try companyName(request), query, id: request.pointee.id, timeout: timeout(request))
  }

  private func kind(_ bytes: Key) throws(Failure) -> String? {
    if bytes.isEmpty { return nil }
    let kind = String(decoding: bytes, as: UTF8.self)
    if LogQuery.kinds.contains(kind) { return kind }
    throw Failure(.invalidArgument, "bad_kind", "kind is one of \(LogQuery.kinds.joined(separator: ", "))")
  }

  private func topic(_ bytes: Key) throws(Failure) -> Topic? {
    if bytes.isEmpty { return nil }
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else {
      throw Failure(.invalidArgument, "bad_topic", "about is TYPE:ID, such as project:clinic")
    }
    guard let id = try Self.optionalName("about", Key(rebasing: bytes[(colon + 1)...])) else {
      throw .badName("about", .empty)
    }
    let type = String(decoding: bytes[..<colon], as: UTF8.self)
    switch type {
    case "user": return .user(id)
    case "group": return .group(id)
    case "project": return .project(id)
    case "role": return .role(id)
    default:
      if let type = ObjectType(name: type) { return .object(ObjectRef(type, id)) }
      throw Failure(.invalidArgument, "bad_topic", "about begins with a type that is not known here")
    }
  }

  private func hello() { reply.setHello(version: Release.version, limits) }

  private func health() { reply.setHealth(daemon, cursor.root) }
}

// MARK: - Fields

extension Dispatcher {
  /// The company asked about; nil: there is none such.
  @inline(__always)
  func company(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> CompanyView? {
    let id = request.pointee.company.key
    try Self.name("company", id)
    if let company = cursor.root.company(id) { return company }
    if cursor.root.isCold(id) { throw becomeCold() }
    return nil
  }

  func companyName(_ request: UnsafeMutablePointer<WireRequest>) throws(Failure) -> Name {
    do throws(NameError) { return try Name(utf8: request.pointee.company.key) } catch {
      throw .badName("company", error)
    }
  }

  func allocate<T>(_ type: T.Type, _ count: Int) throws(Failure) -> UnsafeMutablePointer<T> {
    guard let memory = arena.allocate(type, count: count) else { throw Arena.full }
    return memory
  }

  /// A user, a group, a project, or a type of objects.
  @inline(__always)
  static func entityType(_ field: StaticString, _ type: Scope__V1__EntityType) throws(Failure) -> UInt8 {
    guard let number = UInt8(exactly: type.rawValue), isKnown(number) else { throw .badType("\(field)", type.rawValue) }
    return number
  }

  @inline(__always)
  static func isKnown(_ type: UInt8) -> Bool { SubjectKind.all ~= type || ObjectType.numbers ~= type }

  @inline(__always)
  static func objectType(_ field: StaticString, _ type: Scope__V1__EntityType) throws(Failure) -> UInt8 {
    let number = type.rawValue
    guard number <= 255, ObjectType.numbers.contains(UInt8(truncatingIfNeeded: number)) else {
      throw .badType("\(field)", number)
    }
    return UInt8(truncatingIfNeeded: number)
  }

  @inline(__always)
  static func name(_ field: StaticString, _ bytes: UnsafeRawBufferPointer) throws(Failure) {
    if let error = Name.error(in: bytes) { throw .badName("\(field)", error) }
  }

  static func optionalName(_ field: StaticString, _ bytes: UnsafeRawBufferPointer) throws(Failure) -> Name? {
    if bytes.isEmpty { return nil }
    do throws(NameError) { return try Name(utf8: bytes) } catch { throw .badName("\(field)", error) }
  }
}

/// What FilterObjects asks of each id, with everything else looked up once.
struct Visibility {
  /// From so many projects of the subject on they are laid out as bits.
  private static let many = 16
  /// Work between two looks at the clock, in checks.
  private static let step = 2_048

  private let company: CompanyView?
  private let subject: ResolvedSubject?
  private let narrowing: Narrowing
  private let type: UInt8
  private var bits: ProjectBits?
  private var work = 0
  private var nextLook = 0

  fileprivate init(
    _ company: CompanyView?, kind: UInt8, type: UInt8,
    _ call: UnsafeMutablePointer<Scope__V1__FilterObjectsRequest>
  ) {
    self.company = company
    self.type = type
    subject = company?.subject(kind: kind, id: call.pointee.subject_id.key)
    narrowing = company?.narrowing(to: call.pointee.project.key) ?? .nothing
  }

  /// Whether so many ids may be looked at on an event loop: some tenths of a millisecond, a little over one at worst.
  static func isQuick(_ ids: Int, of subject: ResolvedSubject) -> Bool {
    ids <= Dispatcher.inlineWork && ids * (4 + subject.projectCount) <= 64 << 10
  }

  fileprivate func isQuick(_ ids: Int) -> Bool { subject.map { Visibility.isQuick(ids, of: $0) } ?? true }

  /// Lays the subject's projects out, where they are many.
  fileprivate mutating func lookUpAll(in arena: Arena) throws(Failure) {
    guard let company, let subject, subject.projectCount > Visibility.many else { return }
    guard let words = arena.allocate(UInt64.self, count: ProjectBits.wordCount(for: company)) else { throw Arena.full }
    bits = company.bits(of: subject, in: words)
  }

  /// Enough was looked at since the last time.
  fileprivate var isTimeToLook: Bool {
    mutating get {
      if work < nextLook { return false }
      nextLook = work + Visibility.step
      return true
    }
  }

  @inline(__always)
  fileprivate mutating func contains(_ id: Key) -> Bool {
    guard let company, let subject else { return false }
    if let bits { return company.isVisible(subject, bits, type: type, id: id, within: narrowing, &work) }
    work += 1
    return company.isVisible(subject, type: type, id: id, within: narrowing)
  }
}
