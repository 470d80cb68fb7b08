import CScopeWire
import Foundation
import ScopeProtocol

/// A connection that sends whatever bytes a test likes, and reads frames. Blocking, with a deadline.
public final class RawConnection: @unchecked Sendable {  // one thread at a time, by the test's own order
  private let handle: Int32
  private var unread: [UInt8] = []

  /// - Parameter address: `unix:PATH`, or anything that ends in a port of this machine.
  public init(_ address: String) throws {
    if address.hasPrefix("unix:") {
      handle = try RawConnection.connectUnix(String(address.dropFirst("unix:".count)))
    } else {
      handle = try RawConnection.connectTCP(UInt16(address.split(separator: ":").last!)!)
    }
  }

  deinit { Glibc.close(handle) }

  private static func connectUnix(_ path: String) throws -> Int32 {
    let handle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(handle, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    if result != 0 { throw TestFailure("connect to \(path): errno \(errno)") }
    return handle
  }

  private static func connectTCP(_ port: UInt16) throws -> Int32 {
    let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(handle, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result != 0 { throw TestFailure("connect to port \(port): errno \(errno)") }
    return handle
  }

  /// Sends bytes as they are; false: the daemon has closed the connection.
  @discardableResult
  public func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { Glibc.send(handle, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return false }
      sent += count
    }
    return true
  }

  /// Sends as much as the kernel takes without waiting; returns how many bytes.
  public func sendWithoutWaiting(_ bytes: [UInt8]) -> Int {
    let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
    return max(0, bytes.withUnsafeBytes { Glibc.send(handle, $0.baseAddress, $0.count, flags) })
  }

  /// Sends a message behind its length.
  @discardableResult
  public func sendFrame(_ message: [UInt8]) -> Bool { send(RawConnection.frame(message)) }

  public static func frame(_ message: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
  }

  /// Takes some bytes of what has come, whatever they are; 0: the daemon has closed the connection.
  public func take(_ bytes: Int) -> Int {
    var chunk = [UInt8](repeating: 0, count: bytes)
    return max(0, recv(handle, &chunk, bytes, 0))
  }

  /// Waits for the daemon to close the connection, and takes nothing of what it sends; false: it did not.
  public func isClosed(within seconds: Double = patience / .seconds(1)) -> Bool {
    let hangup: Int16 = 0x2000  // POLLRDHUP, which the module does not have: glibc declares it as an extension
    var ended = pollfd(fd: handle, events: hangup, revents: 0)
    return poll(&ended, 1, Int32(seconds * 1_000)) == 1
  }

  /// Says that no more will be sent.
  public func finishSending() { shutdown(handle, Int32(SHUT_WR)) }

  public enum Received: Equatable, Sendable {
    case message([UInt8])
    /// The daemon has closed the connection.
    case closed
    /// Nothing within the time.
    case nothing
  }

  /// Reads the next frame's message.
  public func receive(within seconds: Double = patience / .seconds(1)) -> Received {
    receive(nextMessage, within: seconds)
  }

  /// Reads the next line, without its end.
  public func receiveLine(within seconds: Double = patience / .seconds(1)) -> Received {
    receive(nextLine, within: seconds)
  }

  private func receive(_ next: () -> [UInt8]?, within seconds: Double) -> Received {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      if let message = next() { return .message(message) }
      var ready = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
      let left = max(0, (deadline - .now) / .milliseconds(1))  // at 0, what is there is taken all the same
      if poll(&ready, 1, Int32(left.rounded(.up))) == 0 { return .nothing }
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      let count = recv(handle, &chunk, chunk.count, 0)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return .closed }
      unread += chunk[..<count]
    }
  }

  private func nextMessage() -> [UInt8]? {
    guard unread.count >= 4 else { return nil }
    let length = unread[..<4].reduce(0) { $0 << 8 | Int($1) }
    guard unread.count >= 4 + length else { return nil }
    defer { unread.removeFirst(4 + length) }
    return Array(unread[4..<4 + length])
  }

  private func nextLine() -> [UInt8]? {
    guard let end = unread.firstIndex(of: 0x0A) else { return nil }
    defer { unread.removeFirst(end + 1) }
    return Array(unread[..<end])
  }

  /// Reads the next frame as a response.
  public func response(within seconds: Double = patience / .seconds(1)) throws -> RawResponse {
    switch receive(within: seconds) {
    case .message(let message): return try RawResponse(message)
    case .closed: throw TestFailure("the daemon has closed the connection")
    case .nothing: throw TestFailure("no response in \(seconds) s")
    }
  }

  /// Sends a request and reads all parts of its response, as they came.
  public func askForParts(_ request: RawRequest) throws -> [[UInt8]] {
    sendFrame(request.patient.packed)
    var parts: [[UInt8]] = []
    repeat {
      guard case .message(let part) = receive() else { throw TestFailure("no whole answer to call \(request)") }
      parts.append(part)
    } while try RawResponse(parts.last!).more
    return parts
  }

  /// Sends a request and reads its response.
  public func ask(_ request: RawRequest) throws -> RawResponse {
    sendFrame(request.patient.packed)
    return try response()
  }
}

/// A request to be packed by protobuf's own rules, without libscope: any field may hold any bytes.
public struct RawRequest: Sendable {
  public var id: UInt64 = 1
  public var timeoutMilliseconds: UInt32 = 0
  public var company: [UInt8] = []
  public var minRevision: UInt64 = 0
  public var atRevision: UInt64 = 0
  public var atTimeMicroseconds: Int64 = 0
  /// Number of the call's field, and its message.
  public var call: (field: Int, message: [UInt8])?

  public init(
    id: UInt64 = 1, company: String = "", atRevision: UInt64 = 0, call field: Int? = nil, _ message: [UInt8] = []
  ) {
    (self.id, self.atRevision) = (id, atRevision)
    self.company = Array(company.utf8)
    if let field { call = (field, message) }
  }

  public var packed: [UInt8] {
    var out = Proto.number(1, id) + Proto.number(2, UInt64(timeoutMilliseconds)) + Proto.bytes(3, company)
    out += Proto.number(4, minRevision) + Proto.number(5, atRevision)
    out += Proto.number(6, UInt64(bitPattern: atTimeMicroseconds))
    if let call { out += Proto.message(call.field, call.message) }
    return out
  }

  /// With a time that no test outlasts, where it has none of its own.
  fileprivate var patient: RawRequest {
    var request = self
    if request.timeoutMilliseconds == 0 { request.timeoutMilliseconds = .anHour }
    return request
  }

  /// CanSee, with types by number and ids as bytes.
  public static func canSee(
    _ company: String, _ subject: (UInt64, [UInt8]), _ object: (UInt64, [UInt8]), right: [UInt8] = []
  ) -> RawRequest {
    RawRequest(company: company, call: 11, check(subject, object, right: right))
  }

  /// The message of one check.
  public static func check(_ subject: (UInt64, [UInt8]), _ object: (UInt64, [UInt8]), right: [UInt8] = []) -> [UInt8] {
    Proto.number(1, subject.0) + Proto.bytes(2, subject.1) + Proto.number(3, object.0) + Proto.bytes(4, object.1)
      + Proto.bytes(5, right)
  }
}

/// Protobuf's encoding, as far as tests need it.
public enum Proto {
  public static func varint(_ value: UInt64) -> [UInt8] {
    var (value, out) = (value, [UInt8]())
    while value >= 0x80 {
      out.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    return out + [UInt8(value)]
  }

  public static func key(_ field: Int, _ wireType: UInt64) -> [UInt8] { varint(UInt64(field) << 3 | wireType) }

  /// A number; nothing for zero, as proto3 has it.
  public static func number(_ field: Int, _ value: UInt64) -> [UInt8] {
    value == 0 ? [] : key(field, 0) + varint(value)
  }

  /// Bytes or a string; nothing if empty.
  public static func bytes(_ field: Int, _ value: [UInt8]) -> [UInt8] { value.isEmpty ? [] : message(field, value) }

  /// A message, even an empty one.
  public static func message(_ field: Int, _ value: [UInt8]) -> [UInt8] {
    key(field, 2) + varint(UInt64(value.count)) + value
  }
}

/// A response as a test looks at it.
public struct RawResponse: Sendable, Equatable {
  public let id: UInt64
  /// gRPC's number; 0: OK.
  public let code: UInt32
  public let reason: String
  public let message: String
  public let revision: UInt64
  public let more: Bool
  public let change: Int32
  /// Field number of the result; 0: none.
  public let result: UInt32
  /// Of CanSee: 1 allow, 2 deny, and the reason's number; 0 otherwise.
  public let decision: UInt32
  public let decisionReason: UInt32
  /// Of FilterObjects.
  public let visible: UInt32
  /// Of Hello: frame_bytes, name_bytes, ids_per_request, checks_per_request, changes_per_batch; empty otherwise.
  public let limits: [UInt32]
  /// Rows of ListObjects or ListProjects, answers of CheckMany, changes of ExportCompany.
  public let rows: Int

  public init(_ message: [UInt8]) throws {
    let arena = Arena(limit: 256 << 20)
    guard let wire = message.withUnsafeBytes({ arena.unpackResponse($0) })?.pointee else {
      throw TestFailure("\(message.count) bytes are not a scope.v1.Response")
    }
    id = wire.id
    code = wire.code.rawValue
    reason = String(decoding: wire.reason.key, as: UTF8.self)
    self.message = String(decoding: wire.message.key, as: UTF8.self)
    revision = wire.revision
    more = wire.more != 0
    change = wire.change
    result = wire.result_case.rawValue
    let isCheck = wire.result_case == SCOPE__V1__RESPONSE__RESULT_CAN_SEE
    decision = isCheck ? wire.can_see.pointee.decision.rawValue : 0
    decisionReason = isCheck ? wire.can_see.pointee.reason.rawValue : 0
    visible =
      wire.result_case == SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS ? wire.filter_objects.pointee.visible : 0
    let told = wire.result_case == SCOPE__V1__RESPONSE__RESULT_HELLO ? wire.hello.pointee.limits.pointee : nil
    limits =
      told.map {
        [$0.frame_bytes, $0.name_bytes, $0.ids_per_request, $0.checks_per_request, $0.changes_per_batch]
      } ?? []
    switch wire.result_case {
    case SCOPE__V1__RESPONSE__RESULT_LIST_OBJECTS: rows = wire.list_objects.pointee.n_objects
    case SCOPE__V1__RESPONSE__RESULT_LIST_PROJECTS: rows = wire.list_projects.pointee.n_projects
    case SCOPE__V1__RESPONSE__RESULT_CHECK_MANY: rows = wire.check_many.pointee.n_answers
    case SCOPE__V1__RESPONSE__RESULT_EXPORT_COMPANY: rows = wire.export_company.pointee.n_changes
    default: rows = 0
    }
  }
}

/// Accepts a connection that programs started by other tests do not inherit: they would keep it open. Below 0: none.
public func acceptConnection(_ listener: Int32) -> Int32 {
  let connection = accept(listener, nil, nil)
  if connection >= 0 { _ = fcntl(connection, F_SETFD, FD_CLOEXEC) }
  return connection
}
