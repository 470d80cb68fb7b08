import CScopeWire
import Foundation
import NIOConcurrencyHelpers
import ScopeModel
import ScopeProtocol
import ScopeTesting

/// Stands in for the daemon: keeps one list by the contract of numbers.proto, and objects to whatever breaks it.
final class StandIn: Sendable {
  /// A row as it came, without its number.
  struct Row: Equatable, Sendable {
    var label = ""
    var timeZone = ""
    var columns: [String: String] = [:]
  }

  struct State {
    var rows: [UInt64: Row] = [:]
    var key: String?
    /// Of the import that made the list's numbers.
    var lastKey: String?
    var parts: [[(UInt64, Row)]] = []
    var purpose = ListPurpose.none
    var requests = 0
    var partsGot = 0
    var breaches: [String] = []
    /// Requests after which connections are cut; the one at hand is done, and not answered.
    var cutsAfter: Set<Int> = []
    var onRequest: (@Sendable (Int) -> Void)?
    var listener: Int32 = -1
  }

  let folder = TemporaryFolder()
  let state: NIOLockedValueBox<State>

  init(_ adjust: (inout State) -> Void = { _ in }) throws {
    var state = State()
    adjust(&state)
    self.state = NIOLockedValueBox(state)
    try listen()
  }

  var path: String { folder.file("socket") }
  var address: String { "unix:\(path)" }
  var rows: [UInt64: Row] { state.withLockedValue { $0.rows } }
  var breaches: [String] { state.withLockedValue { $0.breaches } }

  private func listen() throws {
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, Glibc.listen(listener, 16) == 0 else { throw TestFailure("no socket: errno \(errno)") }
    state.withLockedValue { $0.listener = listener }
    Thread.detachNewThread { [self] in
      while true {
        let connection = acceptConnection(listener)
        if connection < 0 { return }
        Thread.detachNewThread { self.serve(connection) }
      }
    }
  }

  /// Refuses connections from now on.
  func stop() { state.withLockedValue { _ = shutdown($0.listener, Int32(SHUT_RDWR)) } }

  private func serve(_ connection: Int32) {
    defer { close(connection) }
    while let head = receive(4, connection) {
      let length = head.reduce(0) { $0 << 8 | Int($1) }
      guard let request = receive(length, connection) else { return }
      let (reply, isCut, onRequest, number) = answer(request)
      onRequest?(number)
      if isCut {
        if onRequest != nil { _ = receive(1, connection) }  // until the client has ended
        return
      }
      let frame = RawConnection.frame(reply)
      if send(connection, frame, frame.count, Int32(MSG_NOSIGNAL)) < frame.count { return }
    }
  }

  private func receive(_ count: Int, _ connection: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes[have...].withUnsafeMutableBytes { recv(connection, $0.baseAddress, $0.count, 0) }
      if got <= 0 { return nil }
      have += got
    }
    return bytes
  }

  // MARK: - Answers

  private func answer(_ bytes: [UInt8]) -> ([UInt8], isCut: Bool, (@Sendable (Int) -> Void)?, Int) {
    let arena = Arena(limit: 32 << 20)
    return state.withLockedValue { state in
      state.requests += 1
      if bytes.count > 4 << 20 { state.breaches.append("a frame of \(bytes.count) bytes") }
      guard let request = bytes.withUnsafeBytes({ arena.unpackRequest($0) })?.pointee else {
        state.breaches.append("a request that can't be unpacked")
        return ([], true, nil, 0)
      }
      let result = StandIn.result(request, &state)
      let head = Proto.number(1, request.id) + Proto.number(5, 1)
      return (head + result, state.cutsAfter.contains(state.requests), state.onRequest, state.requests)
    }
  }

  private static func result(_ request: WireRequest, _ state: inout State) -> [UInt8] {
    switch request.call_case {
    case SCOPE__V1__REQUEST__CALL_IMPORT_NUMBERS: return take(request.import_numbers.pointee, &state)
    case SCOPE__V1__REQUEST__CALL_ADD_NUMBERS:
      let rows = rows(request.add_numbers.pointee.numbers, request.add_numbers.pointee.n_numbers)
      check(rows, limit: 4_096, &state)
      let added = rows.count { state.rows[$0.0] == nil }
      let altered = rows.count { state.rows[$0.0] != nil && state.rows[$0.0] != $0.1 }
      for (number, row) in rows { state.rows[number] = row }
      return Proto.message(
        41,
        Proto.number(1, UInt64(added)) + Proto.number(2, UInt64(altered)) + Proto.number(3, UInt64(state.rows.count))
          + Proto.number(4, UInt64(state.purpose.rawValue)))
    case SCOPE__V1__REQUEST__CALL_REMOVE_NUMBERS:
      let wire = request.remove_numbers.pointee
      let removed = (0..<wire.n_numbers).count { state.rows.removeValue(forKey: number(wire.numbers[$0])) != nil }
      return Proto.message(42, Proto.number(1, UInt64(removed)) + Proto.number(2, UInt64(state.rows.count)))
    case SCOPE__V1__REQUEST__CALL_APPLY:
      let change = request.apply.pointee.changes[0]!.pointee
      guard change.change_case == SCOPE__V1__CHANGE__CHANGE_SET_PURPOSE else { break }
      state.purpose = ListPurpose(rawValue: UInt8(change.set_purpose.pointee.purpose.rawValue))!
      return Proto.message(16, [])
    default: break
    }
    state.breaches.append("call \(request.call_case.rawValue)")
    return []
  }

  private static func take(_ wire: Scope__V1__ImportNumbersRequest, _ state: inout State) -> [UInt8] {
    let key = String(decoding: wire.key.key, as: UTF8.self)
    if wire.abandon != 0 { (state.key, state.parts) = (nil, []) }
    if let other = state.key, other != key {
      return Proto.number(2, 9) + Proto.bytes(3, Array("import_under_way".utf8)) + Proto.bytes(4, Array("another".utf8))
    }
    let purpose = Proto.number(7, UInt64(state.purpose.rawValue))
    if state.key == nil && state.lastKey == key {
      return Proto.message(43, Proto.number(3, 1) + Proto.number(5, UInt64(state.rows.count)) + purpose)
    }
    if wire.part > 0 { take(wire, key, &state) }
    if wire.finish == 0 {
      let numbers = state.parts.joined().map(\.0)
      let kept = wire.compare == 0 ? 0 : numbers.count { state.rows[$0] != nil }
      return Proto.message(
        43,
        Proto.number(1, UInt64(state.parts.count)) + Proto.number(2, UInt64(numbers.count))
          + Proto.number(4, UInt64(state.rows.count)) + Proto.number(6, UInt64(kept)) + purpose)
    }
    let before = state.rows.count
    state.rows = Dictionary(state.parts.flatMap { $0 }) { $1 }
    (state.key, state.parts, state.lastKey) = (nil, [], key)
    return Proto.message(
      43, Proto.number(3, 1) + Proto.number(4, UInt64(before)) + Proto.number(5, UInt64(state.rows.count)))
  }

  private static func take(_ wire: Scope__V1__ImportNumbersRequest, _ key: String, _ state: inout State) {
    state.key = key
    if Int(wire.part) <= state.parts.count { return }
    if Int(wire.part) != state.parts.count + 1 { state.breaches.append("part \(wire.part) leaves a gap") }
    let rows = rows(wire.numbers, wire.n_numbers)
    check(rows, limit: 65_536, &state)
    if let last = state.parts.last?.last?.0, let first = rows.first?.0, first <= last {
      state.breaches.append("part \(wire.part) goes back")
    }
    state.parts.append(rows)
    state.partsGot += 1
  }

  private static func check(_ rows: [(UInt64, Row)], limit: Int, _ state: inout State) {
    if rows.count > limit { state.breaches.append("\(rows.count) rows") }
    if !zip(rows, rows.dropFirst()).allSatisfy({ $0.0 < $1.0 }) { state.breaches.append("not ascending") }
  }

  private static func rows(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__NumberRow>?>?, _ count: Int
  ) -> [(UInt64, Row)] {
    (0..<count).map { index in
      let wire = list![index]!.pointee
      var row = Row(label: text(wire.label), timeZone: text(wire.time_zone))
      for column in 0..<wire.n_columns {
        let column = wire.columns[column]!.pointee
        row.columns[text(column.name)] = text(column.value)
      }
      return (number(wire.number), row)
    }
  }

  private static func text(_ bytes: ProtobufCBinaryData) -> String { String(decoding: bytes.key, as: UTF8.self) }

  private static func number(_ bytes: ProtobufCBinaryData) -> UInt64 { UInt64(text(bytes)) ?? 0 }
}
