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
  private let address: String
  let company: String
  package let timeoutMilliseconds: UInt32
  /// What questions about the rules are answered as of.
  public var at = PointInTime.now
  /// Of the last response to a call: what was told is of this revision.
  public private(set) var revision: UInt64 = 0

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
    self.address = address
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
  /// What to do where no connection could be made, for people; empty otherwise.
  public let advice: String

  /// - Parameter address: that was tried; nil: none was.
  init(_ error: scope_error, at address: String? = nil) {
    let isAway = [SCOPE_STATUS_UNAVAILABLE, SCOPE_STATUS_DEADLINE_EXCEEDED].contains(error.status)
    let tried = error.from_daemon || !isAway ? nil : address
    let words = text(of: error.message)
    reason = text(of: error.reason)
    message = tried.map { "\($0): \(words)" } ?? words
    advice = reason == "connect_failed" ? tried.map { connectionAdvice($0, words) } ?? "" : ""
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
    advice = ""
  }

  /// What a question named and the company does not have, as the daemon says it; or did not have then.
  package init(unknown: [String], isPast: Bool = false) {
    // By bytes: to `Character` the colon and a combining mark behind it are one.
    let things = unknown.map { ref in
      let parts = ref.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 1).map { String(Substring($0)) }
      return (type: parts[0], id: parts.last!)
    }
    reason = "unknown_\(things[0].type)"
    let words = things.map { "no \($0.type) '\($0.id)'" }.joined(separator: " and ")
    message = isPast ? "there was \(words) then" : "there is \(words)"
    isFromDaemon = true
    isSent = true
    isRefusal = true
    advice = ""
  }

  static let noResult = ClientError(reason: "bad_reply", message: "the reply has no result")

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

  static func unavailable(_ error: ClientError) -> Answer {
    Answer(verdict: .unavailable, reason: "unavailable", project: "", group: "", revision: 0, error: error)
  }
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
    if at != .now { return checkThen(subject, object, right: right) }
    var answer = scope_answer()
    do throws(ClientError) { try refuseNUL(in: [subject, object, right ?? ""]) } catch { return .unavailable(error) }
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
      error: verdict == .unavailable ? ClientError(answer.error, at: address) : nil)
  }

  /// Which of the objects does the subject see? One for each id, in the order asked.
  public func filter(
    _ subject: String, type: String, ids: [String], project: String? = nil
  ) throws(ClientError) -> (visible: [Bool], revision: UInt64) {
    if at != .now { return try filterThen(subject, type: type, ids: ids, project: project) }
    var visible = [UInt8](repeating: 0, count: ids.count)
    var result = scope_result()
    try refuseNUL(in: ids + [subject, project ?? ""])
    let isDone = withCStrings(ids) { list in
      withOptions { scope_filter(handle, $0, subject, type, list, ids.count, project, &visible, &result) }
    }
    if !isDone { throw ClientError(result.error, at: address) }
    return (visible.map { $0 != 0 }, result.revision)
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

/// Carries a Swift closure through libscope's `void *context`, for the length of one call.
private final class Callback<Row> {
  let call: (Row) -> Bool

  init(_ call: @escaping (Row) -> Bool) { self.call = call }

  static func from(_ context: UnsafeMutableRawPointer?) -> Callback<Row> {
    Unmanaged<Callback<Row>>.fromOpaque(context!).takeUnretainedValue()
  }
}

private func withCallback<Row>(_ call: (Row) -> Bool, _ body: (UnsafeMutableRawPointer) -> Bool) -> Bool {
  withoutActuallyEscaping(call) { call in
    let callback = Callback(call)
    return withExtendedLifetime(callback) { body(Unmanaged.passUnretained(callback).toOpaque()) }
  }
}

// MARK: - Any other call

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
  /// Companies there are, loaded or not.
  public let companiesKnown: UInt64
  /// Companies whose stored rows are damaged.
  public let companiesUnreadable: UInt64
  /// Memory the indexes may take, in bytes; 0: any.
  public let budgetBytes: UInt64
  public let loadsOnDemand: UInt64
  public let drops: UInt64
  /// Connections closed at once since the start: too many were open.
  public let connectionsRefused: UInt64
}

/// A pair to check.
public struct Check: Sendable {
  public let subject: Subject
  public let object: Target
  public let right: Name?

  public init(subject: Subject, object: Target, right: Name? = nil) {
    self.subject = subject
    self.object = object
    self.right = right
  }

  public init(subject: Subject, object: ObjectRef, right: Name? = nil) {
    self.init(subject: subject, object: .object(object), right: right)
  }
}

extension Client {
  /// Checks many pairs in one frame; one answer for each, in their order, all of one revision.
  public func check(_ checks: [Check], timeoutMilliseconds: UInt32? = nil) throws(ClientError) -> [Answer] {
    var answers: [Answer] = []
    try ask(timeoutMilliseconds: timeoutMilliseconds) { (request, arena) throws(Failure) in
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
      version = text(response.pointee.hello.pointee.version)
    }
    var report: HealthReport?
    try call(company: "", timeoutMilliseconds: 0, mayRepeat: true) { (request, arena) throws(Failure) in
      request.pointee.health = try arena.make(scope__v1__health_request__init)
      request.pointee.call_case = SCOPE__V1__REQUEST__CALL_HEALTH
    } each: { response throws(Failure) in
      guard response.pointee.result_case == SCOPE__V1__RESPONSE__RESULT_HEALTH else { return }
      report = HealthReport(response.pointee.health.pointee, version: version, revision: response.pointee.revision)
    }
    guard let report else { throw ClientError.noResult }
    return report
  }
}

// MARK: - Requests and responses

extension Client {
  /// Sends a question about the client's company, as of the point in time it is set to. A list is empty, and an error,
  /// if the company does not have what was named.
  func ask(
    timeoutMilliseconds: UInt32? = nil,
    request fill: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    var unknown: [String] = []
    try call(company: company, timeoutMilliseconds: timeoutMilliseconds ?? self.timeoutMilliseconds, mayRepeat: true) {
      (request, arena) throws(Failure) in
      at.write(into: request)
      try fill(request, arena)
    } each: { response throws(Failure) in
      try at.check(response.pointee)
      unknown += response.pointee.named
      try each(response)
    }
    if !unknown.isEmpty { throw ClientError(unknown: unknown, isPast: at != .now) }
  }

  /// Sends a question with one answer, which `take` finds in the response.
  func askOne<T>(
    request: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    take: (WireResponse) throws(Failure) -> T?
  ) throws(ClientError) -> T {
    var answer: T?
    try ask(request: request) { response throws(Failure) in
      answer = try take(response.pointee)
    }
    guard let answer else { throw ClientError.noResult }
    return answer
  }

  /// Fills a request, sends it, and hands over each response.
  func call(
    company: String, timeoutMilliseconds: UInt32, mayRepeat: Bool,
    request: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    let flags = mayRepeat ? UInt32(SCOPE_CALL_RESENDABLE) : 0
    try exchange(company, timeoutMilliseconds, flags, request) { response throws(Failure) in
      try each(response)
      return true
    }
  }

  /// Sends a request that has no last response, until `each` says no. The client's deadline is for each response.
  func watch(
    request: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Bool
  ) throws(ClientError) {
    var isStopped = false
    let flags = UInt32(SCOPE_CALL_RESENDABLE) | UInt32(SCOPE_CALL_STREAM)
    do throws(ClientError) {
      try exchange(company, timeoutMilliseconds, flags, request) { response throws(Failure) in
        isStopped = try !each(response)
        return !isStopped
      }
    } catch {
      if !isStopped { throw error }
      return
    }
    throw ClientError(reason: "connection_lost", message: "the daemon has ended the watch")
  }

  private func exchange(
    _ company: String, _ timeoutMilliseconds: UInt32, _ flags: UInt32,
    _ fill: (UnsafeMutablePointer<WireRequest>, Arena) throws(Failure) -> Void,
    _ each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Bool
  ) throws(ClientError) {
    let id = scope_next_id(handle)
    let packed: [UInt8]
    do throws(Failure) {
      packed = try pack(id, company, timeoutMilliseconds, fill, Arena(limit: Client.arenaBytes))
    } catch {
      throw ClientError(reason: error.reason, message: error.message)
    }
    try send(packed, id: id, timeoutMilliseconds: timeoutMilliseconds, flags: flags, each)
  }

  /// Sends a request that `packed` makes of its id, which must come first, and hands over each response.
  func call(
    timeoutMilliseconds: UInt32, mayRepeat: Bool, packed: (UInt64) -> [UInt8],
    each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Void
  ) throws(ClientError) {
    let id = scope_next_id(handle)
    let flags = mayRepeat ? UInt32(SCOPE_CALL_RESENDABLE) : 0
    try send(packed(id), id: id, timeoutMilliseconds: timeoutMilliseconds, flags: flags) { response throws(Failure) in
      try each(response)
      return true
    }
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
    _ packed: [UInt8], id: UInt64, timeoutMilliseconds: UInt32, flags: UInt32,
    _ each: (UnsafeMutablePointer<WireResponse>) throws(Failure) -> Bool
  ) throws(ClientError) {
    var options = scope_call_options()
    options.timeout_ms = timeoutMilliseconds
    var result = scope_result()
    var failure: Failure?
    let arena = Arena(limit: Client.arenaBytes)
    let callback: scope_response_callback = { context, bytes, count in
      Callback<UnsafeRawBufferPointer>.from(context).call(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    let read: (UnsafeRawBufferPointer) -> Bool = { bytes in
      arena.reset()
      do throws(Failure) {
        guard let response = arena.unpackResponse(bytes) else { throw Arena.full }
        self.revision = response.pointee.revision
        return try each(response)
      } catch {
        failure = error
        return false
      }
    }
    let isDone = withCallback(read) { context in
      scope_call(handle, &options, id, packed, packed.count, flags, callback, context, &result)
    }
    if let failure { throw ClientError(reason: failure.reason, message: failure.message) }
    if !isDone { throw ClientError(result.error, at: address) }
  }
}

extension Arena {
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
    (wire.pointee.subject_type, wire.pointee.subject_id) = try arena.copy(subject)
    (wire.pointee.object_type, wire.pointee.object_id) = try arena.copy(object)
    if let right { wire.pointee.right = try arena.copy(right.text) }
    return wire
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
      verdict: verdict, reason: reasonCode(wire.reason) ?? "unavailable", project: text(wire.project),
      group: text(wire.group), revision: revision, error: nil)
  }
}

extension HealthReport {
  fileprivate init(_ wire: Scope__V1__HealthResponse, version: String, revision: UInt64) {
    self.init(
      version: version, isReady: wire.ready != 0, isWritable: wire.writable != 0, revision: revision,
      companies: wire.companies, connections: wire.connections, uptimeMilliseconds: wire.uptime_ms,
      indexBytes: wire.index_bytes, companiesKnown: wire.companies_known,
      companiesUnreadable: wire.companies_unreadable, budgetBytes: wire.budget_bytes,
      loadsOnDemand: wire.loads_on_demand, drops: wire.drops, connectionsRefused: wire.connections_refused)
  }
}
