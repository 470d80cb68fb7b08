import Glibc

/// Requests back to back in memory, so that several in a row go out in one send.
final class RequestList {
  let bytes: UnsafeMutableRawBufferPointer
  /// Where each begins, and in the end where the last ends.
  let offsets: UnsafeMutableBufferPointer<Int>
  var count: Int { offsets.count - 1 }

  init(_ requests: [[UInt8]]) {
    bytes = .allocate(byteCount: requests.reduce(0) { $0 + $1.count }, alignment: 16)
    offsets = .allocate(capacity: requests.count + 1)
    offsets[0] = 0
    for (number, request) in requests.enumerated() {
      UnsafeMutableRawBufferPointer(rebasing: bytes[offsets[number]...]).copyBytes(from: request)
      offsets[number + 1] = offsets[number] + request.count
    }
  }

  deinit {
    bytes.deallocate()
    offsets.deallocate()
  }
}

/// One connection of the load: sends requests of its share over and over, and counts answers. Not blocking, and
/// without allocation between a question and its answer.
final class LoadConnection {
  let socket: BenchSocket
  private let framing: Framing
  private let requests: RequestList
  /// The requests that are this connection's, and the next of them to be sent.
  private let share: Range<Int>
  private var next: Int
  /// Bytes of the next request that are sent already.
  private var sentOfNext = 0
  /// Requests asked for, and sent whole, and answered, since the start.
  private(set) var asked = 0
  private var sent = 0
  private(set) var answered = 0
  /// The kernel has taken no more; whoever runs the loop keeps this.
  var waitsForRoom = false
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
  private var filled = 0
  private var lines = 0

  /// - Parameter socket: connected and greeted.
  init(_ socket: BenchSocket, _ framing: Framing, _ requests: RequestList, share: Range<Int>) throws(BenchFailure) {
    self.socket = socket
    self.framing = framing
    self.requests = requests
    self.share = share
    next = share.lowerBound
    guard fcntl(socket.handle, F_SETFL, O_NONBLOCK) == 0 else { throw .system("fcntl") }
  }

  deinit { buffer.deallocate() }

  /// Asks so many questions more.
  ///
  /// - Returns: whether all are sent, those left over from before among them.
  func ask(_ count: Int) throws(BenchFailure) -> Bool {
    asked += count
    return try flush()
  }

  private func flush() throws(BenchFailure) -> Bool {
    while sent < asked {
      let last = min(next + asked - sent, share.upperBound)
      let start = requests.offsets[next] + sentOfNext
      let result = send(
        socket.handle, requests.bytes.baseAddress! + start, requests.offsets[last] - start, Int32(MSG_NOSIGNAL))
      if result < 0 && errno == EAGAIN { return false }
      if result < 0 && errno != EINTR { throw .system("send") }
      advance(by: max(0, result))
    }
    return true
  }

  private func advance(by count: Int) {
    sentOfNext += count
    while sentOfNext > 0 && sentOfNext >= requests.offsets[next + 1] - requests.offsets[next] {
      sentOfNext -= requests.offsets[next + 1] - requests.offsets[next]
      next += 1
      sent += 1
      if next == share.upperBound { next = share.lowerBound }
    }
  }

  /// Reads what has come; returns how many answers ended in it.
  func receive() throws(BenchFailure) -> Int {
    let result = recv(socket.handle, buffer.baseAddress! + filled, buffer.count - filled, 0)
    if result == 0 { throw BenchFailure("the contestant closed the connection") }
    if result < 0 {
      if errno == EAGAIN || errno == EINTR { return 0 }
      throw .system("recv")
    }
    filled += result
    let taken = framing.take(UnsafeRawBufferPointer(rebasing: buffer[..<filled]), lines: &lines)
    keep(from: taken.bytes)
    answered += taken.answers
    return taken.answers
  }

  /// Moves the start of an answer that is not whole to the front.
  private func keep(from position: Int) {
    if position > 0 && position < filled {
      memmove(buffer.baseAddress!, buffer.baseAddress! + position, filled - position)
    }
    filled -= position
  }
}
