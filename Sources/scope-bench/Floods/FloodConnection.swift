import Glibc

/// One connection of a flood. Never waits.
final class FloodConnection {
  let group: FloodGroup
  private let address: BenchAddress
  private var scriptNumber: Int
  private(set) var socket: BenchSocket?
  private var openedAt: UInt64 = 0
  private var closedAt: UInt64?
  private var headSent = 0
  /// Bytes of the script that were sent.
  private var position = 0
  private var bytesRead = 0
  private var answered = 0
  private var answers = AnswerReader()
  /// What epoll was asked for.
  var interest: UInt32 = 0

  init(_ group: FloodGroup, _ address: BenchAddress, number: Int) {
    self.group = group
    self.address = address
    scriptNumber = number
  }

  private var script: FloodScript? {
    group.scripts.isEmpty ? nil : group.scripts[scriptNumber % group.scripts.count]
  }

  /// Whether its pause is over.
  func mayOpen(_ now: UInt64) -> Bool {
    closedAt.map { Double(now - $0) / 1e9 >= group.pauseSeconds } ?? true
  }

  /// Begins to connect; false: there is no room now, or nobody listens.
  func open(_ now: UInt64) -> Bool {
    socket = try? BenchSocket(address, isBlocking: false)
    (position, bytesRead, answered, headSent, openedAt) = (0, 0, 0, 0, now)
    (answers, interest) = (AnswerReader(), 0)
    return socket != nil
  }

  /// Returns how many frames were sent whole.
  func close(_ now: UInt64) -> Int {
    let frames = script?.frames(inBytes: position) ?? 0
    scriptNumber += group.connections
    (socket, closedAt) = (nil, now)
    return frames
  }

  func ageSeconds(_ now: UInt64) -> Double { Double(now - openedAt) / 1e9 }

  /// All is answered, or its time is over.
  func isDone(_ now: UInt64) -> Bool {
    guard let life = group.lifeSeconds else { return false }
    if ageSeconds(now) >= life { return true }
    guard let script, let limit = script.limit, position == limit else { return false }
    return answered >= script.frames(inBytes: limit)
  }

  // MARK: - Sending

  private static let bytesAtOnce = 1 << 20

  /// Bytes of the script that may be sent by now.
  private func allowed(_ script: FloodScript, _ now: UInt64) -> Int {
    var most = script.limit ?? .max
    if let depth = group.depth { most = min(most, script.offset(ofFrame: answered + depth)) }
    if let rate = group.bytesPerSecond { most = min(most, Int(ageSeconds(now) * Double(rate))) }
    return most
  }

  /// Whether the kernel should say when there is room: something could be sent at once.
  func wantsRoom(_ now: UInt64) -> Bool {
    guard let script, group.bytesPerSecond == nil || headSent < group.head.count else {
      return headSent < group.head.count
    }
    return position < allowed(script, now)
  }

  /// Sends what it may, up to a measure; false: the connection is gone.
  func send(_ now: UInt64) -> Bool {
    guard let handle = socket?.handle else { return true }
    while headSent < group.head.count {
      guard let sent = send(handle, group.head, headSent, group.head.count - headSent) else { return isAlive }
      headSent += sent
    }
    guard let script else { return true }
    let end = min(position + FloodConnection.bytesAtOnce, allowed(script, now))
    while position < end {
      let offset = position % script.chunk.count
      let count = min(script.chunk.count - offset, end - position)
      guard let sent = send(handle, script.chunk, offset, count) else { return isAlive }
      position += sent
    }
    return true
  }

  private func send(_ handle: Int32, _ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int? {
    let sent = bytes.withUnsafeBytes { Glibc.send(handle, $0.baseAddress! + offset, count, Int32(MSG_NOSIGNAL)) }
    return sent < 0 ? nil : sent
  }

  /// The last call was refused for now only.
  private var isAlive: Bool { errno == EAGAIN || errno == EINTR || errno == EINPROGRESS || errno == ENOTCONN }

  // MARK: - Reading

  var readsAtOnce: Bool { group.reading == .all }

  /// Reads what it may by now, and counts the answers; false: the daemon has closed the connection.
  func receive(_ now: UInt64, _ counts: inout FloodCounts, _ buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard let handle = socket?.handle else { return true }
    var most = buffer.count
    switch group.reading {
    case .all: break
    case .never: return true
    case .bytesPerSecond(let rate): most = min(most, Int(ageSeconds(now) * Double(rate)) - bytesRead)
    }
    if most <= 0 { return true }
    let count = recv(handle, buffer.baseAddress, most, 0)
    if count == 0 { return false }
    if count < 0 { return isAlive }
    bytesRead += count
    answered += answers.read(UnsafeRawBufferPointer(rebasing: buffer[..<count]), &counts)
    return true
  }
}

/// Takes a stream of responses apart, of each no more than its first bytes.
struct AnswerReader {
  private static let headBytes = 64

  private var length: [UInt8] = []
  private var head: [UInt8] = []
  /// Of the response under way, not yet come.
  private var missing = 0

  /// Counts what comes; returns how many requests are answered by it: all but the parts before the last.
  mutating func read(_ bytes: UnsafeRawBufferPointer, _ counts: inout FloodCounts) -> Int {
    var (rest, answered) = (bytes[...], 0)
    while !rest.isEmpty {
      if missing == 0 {
        length.append(rest.removeFirst())
        if length.count == 4 { begin() }
      } else {
        let part = rest.prefix(missing)
        if head.count < AnswerReader.headBytes { head += part.prefix(AnswerReader.headBytes - head.count) }
        missing -= part.count
        rest = rest.dropFirst(part.count)
      }
      if length.isEmpty && missing == 0 { answered += end(&counts) }
    }
    return answered
  }

  private mutating func begin() {
    missing = length.reduce(0) { $0 << 8 | Int($1) }
    length.removeAll(keepingCapacity: true)
    head.removeAll(keepingCapacity: true)
  }

  private func end(_ counts: inout FloodCounts) -> Int {
    let (code, hasMore) = AnswerReader.codeAndMore(head)
    if hasMore {
      counts.parts += 1
      return 0
    }
    if code == 0 { counts.answered += 1 } else { counts.refused[code, default: 0] += 1 }
    return 1
  }

  /// Fields 2 and 6 of a Response; an answer's come before its result, an error's words are the last.
  private static func codeAndMore(_ head: [UInt8]) -> (code: Int, hasMore: Bool) {
    var (position, code, hasMore) = (0, 0, false)
    while position < head.count {
      let tag = head[position]
      position += 1
      if tag > 0x30 || tag & 7 == 2 { break }
      let value = number(head, &position)
      if tag == 0x10 { code = value }
      if tag == 0x30 { hasMore = value != 0 }
    }
    return (code, hasMore)
  }

  private static func number(_ head: [UInt8], _ position: inout Int) -> Int {
    var (value, shift) = (0, 0)
    while position < head.count, shift < 63 {
      let byte = head[position]
      position += 1
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { break }
      shift += 7
    }
    return value
  }
}

/// What became of a flood.
struct FloodCounts: Codable {
  /// Connections that were opened, could not be, and were closed by the daemon.
  var opened = 0
  var unopened = 0
  var closed = 0
  var frames = 0
  /// Requests answered; parts of answers before their last; errors, by their code.
  var answered = 0
  var parts = 0
  var refused: [Int: Int] = [:]
  /// How long connections had been open that the daemon closed, in seconds: the median, and the longest.
  var closedAfterP50 = 0.0
  var closedAfterMaximum = 0.0
  /// Connections open when the flood ended, and the age of the oldest.
  var left = 0
  var oldestLeft = 0.0

  enum CodingKeys: String, CodingKey {
    case opened, unopened, closed, frames, answered, parts, refused, left
    case closedAfterP50 = "closed_after_p50_s"
    case closedAfterMaximum = "closed_after_max_s"
    case oldestLeft = "oldest_left_s"
  }
}
