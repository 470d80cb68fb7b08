import CScope
import CScopeWire
import ScopeModel
import ScopeProtocol

#if canImport(Glibc)
  import Glibc
#endif

/// A client of the daemon: Swift's face of libscope, which does all the talking. Not shared between
/// threads.
public final class Client {
  private let handle: OpaquePointer
  private let company: String
  private let timeoutMilliseconds: UInt32

  /// Opens a client; connects at the first call.
  ///
  /// - Parameters:
  ///   - address: `unix:/run/scoped/scoped.sock` or `tcp:127.0.0.1:7400`.
  ///   - company: the company asked about, where a call does not name another; may be empty.
  ///   - timeoutMilliseconds: deadline of each call.
  public init(_ address: String, company: String = "", timeoutMilliseconds: UInt32) throws(ClientError) {
    var options = scope_options()
    scope_options_init(&options, MemoryLayout<scope_options>.size)
    options.timeout_ms = timeoutMilliseconds
    options.breaker_failures = 0  // a tool asks once and wants to know why
    options.backoff_min_ms = 0
    var error = scope_error()
    guard let handle = scope_open(address, &options, &error) else { throw ClientError(error) }
    self.handle = handle
    self.company = company
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  deinit { scope_close(handle) }

  private func withOptions<T>(_ body: (UnsafePointer<scope_call_options>) -> T) -> T {
    company.withCString { company in
      var options = scope_call_options()
      if !self.company.isEmpty { options.company = company }
      return body(&options)
    }
  }
}

/// Why a call has no result: the daemon's own words, or the library's.
public struct ClientError: Error, Sendable, CustomStringConvertible {
  /// Stable, for machines.
  public let reason: String
  /// For people.
  public let message: String
  /// The daemon answered so; otherwise no answer was had.
  public let isFromDaemon: Bool
  /// The request left this process: a change may have been applied.
  public let isSent: Bool
  /// The daemon has looked at the request and will not do it; asking again will not help.
  public let isRefusal: Bool

  init(_ error: scope_error) {
    reason = text(of: error.reason)
    message = text(of: error.message)
    isFromDaemon = error.from_daemon
    isSent = error.request_sent
    let later = [
      SCOPE_STATUS_UNAVAILABLE, SCOPE_STATUS_DEADLINE_EXCEEDED, SCOPE_STATUS_RESOURCE_EXHAUSTED, SCOPE_STATUS_CANCELLED,
      SCOPE_STATUS_DATA_LOSS, SCOPE_STATUS_INTERNAL,
    ]
    let isLimit = reason == "too_many" || reason == "message_too_large"
    isRefusal = error.from_daemon && (isLimit || !later.contains(error.status))
  }

  init(reason: String, message: String) {
    self.reason = reason
    self.message = message
    isFromDaemon = false
    isSent = false
    isRefusal = false
  }

  public var description: String { "\(message) (\(reason))" }
}

/// The text in an array of characters that ends in NUL.
private func text<T>(of characters: T) -> String {
  withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

// MARK: - Questions

/// The answer to one check.
public struct Answer: Sendable {
  public enum Verdict: String, Sendable {
    case allow, deny, unavailable
  }

  public let verdict: Verdict
  /// Stable, such as `shared_project`.
  public let reason: String
  /// With `shared_project`: the project shared, and the group by which the user is in it.
  public let project: String
  public let group: String
  public let revision: UInt64
  /// Why unavailable.
  public let error: ClientError?
}

/// A row of `projects`.
public struct ProjectTile: Sendable {
  public let id: String
  public let name: String
  public let description: String
  public let contentsVisible: Bool
}

/// A row of `objects`.
public struct ObjectRow: Sendable {
  public let type: String
  public let id: String
  public let name: String
  public let isSystem: Bool
}

extension Client {
  /// May the subject see the object, and does it hold the right, if one is named?
  public func check(_ subject: String, _ object: String, right: String? = nil) -> Answer {
    var answer = scope_answer()
    do throws(ClientError) { try refuseNUL(in: [subject, object, right ?? ""]) } catch {
      return Answer(verdict: .unavailable, reason: "unavailable", project: "", group: "", revision: 0, error: error)
    }
    withOptions { _ = scope_check_with(handle, $0, subject, object, right, &answer) }
    let verdict: Answer.Verdict =
      switch answer.verdict {
      case SCOPE_ALLOW: .allow
      case SCOPE_DENY: .deny
      default: .unavailable
      }
    return Answer(
      verdict: verdict, reason: String(cString: answer.reason_text), project: text(of: answer.project),
      group: text(of: answer.group), revision: answer.revision,
      error: verdict == .unavailable ? ClientError(answer.error) : nil)
  }

  /// Which of the objects does the subject see? One for each id, in the order asked.
  public func filter(
    _ subject: String, type: String, ids: [String], project: String? = nil
  ) throws(ClientError) -> (visible: [Bool], revision: UInt64) {
    var visible = [UInt8](repeating: 0, count: ids.count)
    var result = scope_result()
    try refuseNUL(in: ids + [subject, project ?? ""])
    let isDone = withCStrings(ids) { list in
      withOptions { scope_filter(handle, $0, subject, type, list, ids.count, project, &visible, &result) }
    }
    if !isDone { throw ClientError(result.error) }
    return (visible.map { $0 != 0 }, result.revision)
  }

  /// The projects a user sees.
  public func projects(_ user: String, each: (ProjectTile) -> Void) throws(ClientError) -> UInt64 {
    var result = scope_result()
    try refuseNUL(in: [user])
    let row: scope_project_callback = { context, row in
      Callback<ProjectTile>.from(context).call(ProjectTile(row!.pointee))
      return true
    }
    let isDone = withCallback(each) { context in
      withOptions { scope_list_projects(handle, $0, user, row, context, &result) }
    }
    if !isDone { throw ClientError(result.error) }
    return result.revision
  }

  /// Everything of some types (none: of all) that the subject sees.
  public func objects(
    _ subject: String, types: [String], project: String?, each: (ObjectRow) -> Void
  ) throws(ClientError) -> UInt64 {
    var result = scope_result()
    try refuseNUL(in: types + [subject, project ?? ""])
    let row: scope_object_callback = { context, row in
      Callback<ObjectRow>.from(context).call(ObjectRow(row!.pointee))
      return true
    }
    let isDone = withCallback(each) { context in
      withCStrings(types) { list in
        withOptions { scope_list_objects(handle, $0, subject, list, types.count, project, row, context, &result) }
      }
    }
    if !isDone { throw ClientError(result.error) }
    return result.revision
  }
}

/// C would take the text as ending there, and ask about another thing.
private func refuseNUL(in texts: [String]) throws(ClientError) {
  guard texts.contains(where: { $0.utf8.contains(0) }) else { return }
  throw ClientError(reason: "bad_argument", message: "a text has a NUL in it; nothing was sent")
}

private func withCStrings<T>(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> T) -> T {
  let copies = texts.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  let list = copies.map { UnsafePointer($0) }
  return list.withUnsafeBufferPointer { pointers in
    if let base = pointers.baseAddress { return body(base) }
    var none: UnsafePointer<CChar>?
    return body(&none)
  }
}

extension ProjectTile {
  fileprivate init(_ row: scope_project) {
    self.init(
      id: String(cString: row.id), name: String(cString: row.name), description: String(cString: row.description),
      contentsVisible: row.contents_visible)
  }
}

extension ObjectRow {
  fileprivate init(_ row: scope_object) {
    self.init(
      type: String(cString: row.type_name), id: String(cString: row.id), name: String(cString: row.name),
      isSystem: row.system)
  }
}

/// Carries a Swift closure through libscope's `void *context`, for the length of one call.
private final class Callback<Row> {
  let call: (Row) -> Void

  init(_ call: @escaping (Row) -> Void) { self.call = call }

  static func from(_ context: UnsafeMutableRawPointer?) -> Callback<Row> {
    Unmanaged<Callback<Row>>.fromOpaque(context!).takeUnretainedValue()
  }
}

private func withCallback<Row>(_ call: (Row) -> Void, _ body: (UnsafeMutableRawPointer) -> Bool) -> Bool {
  withoutActuallyEscaping(call) { call in
    let callback = Callback(call)
    return withExtendedLifetime(callback) { body(Unmanaged.passUnretained(callback).toOpaque()) }
  }
}

// MARK: - Any other call

/// What came of a batch.
public struct ApplyResult: Sendable {
  public struct Warning: Sendable {
    /// Position of the change in the batch, from 1.
    public let position: Int
    public let reason: String
    public let message: String
    public let projects: [String]
  }

  public let revision: UInt64
  /// Rows made, altered or removed.
  public let edits: Int
  public let warnings: [Warning]
  /// The idempotency key was known.
  public let isRepeated: Bool
}

/// State of the daemon.
public struct HealthReport: Sendable {
  public let version: String
  public let isReady: Bool
  public let isWritable: Bool
  public let revision: UInt64
  public let companies: UInt64
  public let connections: UInt64
  public let uptimeMilliseconds: UInt64
  public let indexBytes: UInt64
}

/// A pair to check.
public struct Check: Sendable {
  public let subject: Subject
  public let object: ObjectRef
  public let right: Name?

  public init(subject: Subject, object: ObjectRef, right: Name? = nil) {
    self.subject = subject
    self.object = object
    self.right = right
  }
}

extension Client {
  /// Applies changes to a company: all or none.
  ///
  /// - Throws: with `position` of the change at fault, from 1, where the daemon names one.
  public func apply(
    _ changes: [Change], to company: Name, actor: String = "", expectedRevision: UInt64 = 0,
    idempotencyKey: String = "",
    timeoutMilliseconds: UInt32
  ) throws(RefusedApply) -> ApplyResult {
    var applied: ApplyResult?
    var position = 0
    do throws(ClientError) {
      try call(company: company.text, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: false) {
        (request, arena) throws(Failure) in
        let call = try arena.make(scope__v1__apply_request__init)
        try arena.fill(call, changes)
        call.pointee.actor = try arena.copy(actor)
        call.pointee.expected_revision = expectedRevision
        call.pointee.idempotency_key = try arena.copy(idempotencyKey)
        request.pointee.apply = call
        request.pointee.call_case = SCOPE__V1__REQUEST__CALL_APPLY
      } each: { response throws(Failure) in
        position = Int(response.pointee.change)
        guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_APPLY else { return }
        applied = ApplyResult(response.pointee.apply.pointee, revision: response.pointee.revision)
      }
    } catch {
      throw RefusedApply(error: error, position: position)
    }
    guard let applied else {
      throw RefusedApply(error: ClientError(reason: "bad_reply", message: "the reply has no result"), position: 0)
    }
    return applied
  }

  /// Checks many pairs in one frame; one answer for each, in their order, all of one revision.
  public func check(_ checks: [Check], timeoutMilliseconds: UInt32) throws(ClientError) -> [Answer] {
    var answers: [Answer] = []
    try call(company: company, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: true) {
      (request, arena) throws(Failure) in
      let call = try arena.make(scope__v1__check_many_request__init)
      try arena.fill(call, checks)
      request.pointee.check_many = call
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_CHECK_MANY
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_CHECK_MANY else { return }
      let wire = response.pointee.check_many.pointee
      for index in 0..<wire.n_answers {
        answers.append(Answer(wire.answers[index]!.pointee, revision: response.pointee.revision))
      }
    }
    if answers.count == checks.count { return answers }
    throw ClientError(reason: "bad_reply", message: "\(checks.count) checks got \(answers.count) answers")
  }

  /// Reads a company back as the changes that would make it, in parts; returns the digest of the whole.
  public func export(
    _ company: Name, timeoutMilliseconds: UInt32, part: ([Change]) throws(Failure) -> Void
  ) throws(ClientError) -> [UInt8] {
    var digest: [UInt8] = []
    try call(company: company.text, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: false) {
      (request, arena) throws(Failure) in
      request.pointee.export_company = try arena.make(scope__v1__export_company_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_EXPORT_COMPANY
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_EXPORT_COMPANY else { return }
      let wire = response.pointee.export_company.pointee
      var changes: [Change] = []
      for index in 0..<wire.n_changes { changes.append(try Change(wire.changes[index]!.pointee)) }
      try part(changes)
      digest = Array(wire.digest.key)
    }
    return digest
  }

  /// Asks how the daemon is.
  public func health() throws(ClientError) -> HealthReport {
    var version = ""
    try call(company: "", timeoutMilliseconds: 0, mayRepeat: true) { (request, arena) throws(Failure) in
      request.pointee.hello = try arena.make(scope__v1__hello_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_HELLO
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_HELLO else { return }
      version = String(decoding: response.pointee.hello.pointee.version.key, as: UTF8.self)
    }
    var report: HealthReport?
    try call(company: "", timeoutMilliseconds: 0, mayRepeat: true) { (request, arena) throws(Failure) in
      request.pointee.health = try arena.make(scope__v1__health_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_HEALTH
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_HEALTH else { return }
      report = HealthReport(response.pointee.health.pointee, version: version, revision: response.pointee.revision)
    }
    if let report { return report }
    throw ClientError(reason: "bad_reply", message: "the reply has no result")
  }
}

/// A batch that was not applied, or may have been: see `error.isSent`.
public struct RefusedApply: Error, Sendable {
  public let error: ClientError
  /// Position of the change at fault, from 1; 0: none is.
  public let position: Int
}

// MARK: - Requests and responses

extension Client {
  /// Sends a question about the client's company, with the client's deadline.
  func ask(
    request: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    try call(
      company: company, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: true, request: request, each: each)
  }

  /// Fills a request, sends it, and hands over each response.
  private func call(
    company: String, timeoutMilliseconds: UInt32, mayRepeat: Bool,
    request fill: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    let arena = Arena(limit: Client.arenaBytes)
    let id = scope_next_id(handle)
    let packed: [UInt8]
    do throws(Failure) {
      packed = try pack(id, company, timeoutMilliseconds, fill, arena)
    } catch {
      throw ClientError(reason: error.reason, message: error.message)
    }
    try send(packed, id: id, timeoutMilliseconds: timeoutMilliseconds, mayRepeat: mayRepeat, each)
  }

  private static let arenaBytes = 256 << 20

  private func pack(
    _ id: UInt64, _ company: String, _ timeoutMilliseconds: UInt32,
    _ fill: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void, _ arena: Arena
  ) throws(Failure) -> [UInt8] {
    let request = try arena.make(scope__v1__request__init)
    request.pointee.id = id
    request.pointee.company = try arena.copy(company)
    request.pointee.timeout_ms = timeoutMilliseconds
    try fill(request, arena)
    return [UInt8](unsafeUninitializedCapacity: scope__v1__request__get_packed_size(request)) { memory, count in
      count = scope__v1__request__pack(request, memory.baseAddress)
    }
  }

  private func send(
    _ packed: [UInt8], id: UInt64, timeoutMilliseconds: UInt32, mayRepeat: Bool,
    _ each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    var options = scope_call_options()
    options.timeout_ms = timeoutMilliseconds
    var result = scope_result()
    var failure: Failure?
    let arena = Arena(limit: Client.arenaBytes)
    let flags = mayRepeat ? UInt32(SCOPE_CALL_RESENDABLE) : 0
    let callback: scope_response_callback = { context, bytes, count in
      Callback<UnsafeRawBufferPointer>.from(context).call(UnsafeRawBufferPointer(start: bytes, count: count))
      return true
    }
    let read: (UnsafeRawBufferPointer) -> Void = { bytes in
      arena.reset()
      do throws(Failure) {
        guard let response = arena.unpackResponse(bytes) else { throw Arena.full }
        if failure == nil { try each(response) }
      } catch {
        failure = error
      }
    }
    let isDone = withCallback(read) { context in
      scope_call(handle, &options, id, packed, packed.count, flags, callback, context, &result)
    }
    if let failure { throw ClientError(reason: failure.reason, message: failure.message) }
    if !isDone { throw ClientError(result.error) }
  }
}

extension Arena {
  fileprivate func fill(
    _ call: UnsafeMutablePointer<Scope__V1__ApplyRequest>, _ changes: [Change]
  ) throws(Failure) {
    typealias Row = UnsafeMutablePointer<Scope__V1__Change>
    guard let list = allocate(Row?.self, count: changes.count) else { throw Arena.full }
    for (index, change) in changes.enumerated() { list[index] = try change.wire(in: self) }
    call.pointee.changes = list
    call.pointee.n_changes = changes.count
  }

  fileprivate func fill(
    _ call: UnsafeMutablePointer<Scope__V1__CheckManyRequest>, _ checks: [Check]
  ) throws(Failure) {
    typealias Row = UnsafeMutablePointer<Scope__V1__CanSeeRequest>
    guard let list = allocate(Row?.self, count: checks.count) else { throw Arena.full }
    for (index, check) in checks.enumerated() {
      list[index] = try check.wire(in: self)
    }
    call.pointee.checks = list
    call.pointee.n_checks = checks.count
  }
}

extension Check {
  func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__CanSeeRequest> {
    let wire = try arena.make(scope__v1__can_see_request__init)
    let (kind, id) = subject.onTheWire
    wire.pointee.subject_type = Scope__V1__EntityType(UInt32(kind))
    wire.pointee.subject_id = try arena.copy(id.text)
    wire.pointee.object_type = Scope__V1__EntityType(UInt32(object.type.number))
    wire.pointee.object_id = try arena.copy(object.id.text)
    if let right { wire.pointee.right = try arena.copy(right.text) }
    return wire
  }
}

extension Subject {
  /// Kind and id as they travel.
  var onTheWire: (kind: UInt8, id: Name) {
    switch self {
    case .user(let id): (SubjectKind.user, id)
    case .group(let id): (SubjectKind.group, id)
    case .project(let id): (SubjectKind.project, id)
    case .object(let ref): (ref.type.number, ref.id)
    }
  }
}

extension Answer {
  init(_ wire: Scope__V1__CanSeeResponse, revision: UInt64) {
    let verdict: Verdict =
      switch wire.decision {
      case SCOPE__V1__DECISION__DECISION_ALLOW: .allow
      case SCOPE__V1__DECISION__DECISION_DENY: .deny
      default: .unavailable
      }
    self.init(
      verdict: verdict, reason: UInt8(exactly: wire.reason.rawValue).flatMap(Reason.init)?.code ?? "unavailable",
      project: String(decoding: wire.project.key, as: UTF8.self),
      group: String(decoding: wire.group.key, as: UTF8.self), revision: revision, error: nil)
  }
}

extension ApplyResult {
  fileprivate init(_ wire: Scope__V1__ApplyResponse, revision: UInt64) {
    let warnings = (0..<wire.n_warnings).map { Warning(wire.warnings[$0]!.pointee) }
    self.init(
      revision: revision, edits: Int(wire.edits), warnings: warnings, isRepeated: wire.repeated_key != 0)
  }
}

extension ApplyResult.Warning {
  fileprivate init(_ wire: Scope__V1__Warning) {
    self.init(
      position: Int(wire.change), reason: String(decoding: wire.reason.key, as: UTF8.self),
      message: String(decoding: wire.message.key, as: UTF8.self),
      projects: (0..<wire.n_projects).map { String(decoding: wire.projects[$0].key, as: UTF8.self) })
  }
}

extension HealthReport {
  fileprivate init(_ wire: Scope__V1__HealthResponse, version: String, revision: UInt64) {
    self.init(
      version: version, isReady: wire.ready != 0, isWritable: wire.writable != 0, revision: revision,
      companies: wire.companies, connections: wire.connections, uptimeMilliseconds: wire.uptime_ms,
      indexBytes: wire.index_bytes)
  }
}
