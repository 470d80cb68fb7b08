import CBench
import Glibc
import Histogram

typealias Latencies = Histogram<UInt64>

extension Latencies {
  /// Nanoseconds up to a minute, to three digits.
  init() { self.init(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three) }

  /// Microseconds below which so many percent are.
  func microseconds(_ percentile: Double) -> Double { Double(valueAtPercentile(percentile)) / 1e3 }
}

/// What one turn of load has measured.
struct LoadResult {
  /// In nanoseconds.
  var latencies: Latencies
  var answers: Int
  var seconds: Double
  /// Open loop only: how long after the intended time each request was sent, in nanoseconds.
  var lateness: Latencies?

  var rate: Double { Double(answers) / seconds }
}

/// One thread that puts load on a contestant over any number of connections: the same code for all of them.
final class Load {
  /// Longest time without any answer; a contestant that says nothing for so long has failed.
  static let patienceMilliseconds: Int32 = 10_000

  let connections: [LoadConnection]
  private let epoll: Int32
  private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 128)

  init(_ connections: [LoadConnection]) throws(BenchFailure) {
    self.connections = connections
    epoll = epoll_create1(0)
    if epoll < 0 { throw .system("epoll_create1") }
    for number in connections.indices { try watch(number, for: EPOLLIN.rawValue, EPOLL_CTL_ADD) }
  }

  deinit {
    close(epoll)
    events.deallocate()
  }

  /// Asks so many questions more on a connection, and watches for room where the kernel has none.
  @inline(__always)
  func ask(_ number: Int, _ count: Int) throws(BenchFailure) {
    let connection = connections[number]
    let waits = try !connection.ask(count)
    if waits == connection.waitsForRoom { return }
    connection.waitsForRoom = waits
    try watch(number, for: EPOLLIN.rawValue | (waits ? EPOLLOUT.rawValue : 0), EPOLL_CTL_MOD)
  }

  private func watch(_ number: Int, for what: UInt32, _ operation: Int32) throws(BenchFailure) {
    var event = epoll_event(events: what, data: epoll_data_t(u64: UInt64(number)))
    guard epoll_ctl(epoll, operation, connections[number].socket.handle, &event) == 0 else {
      throw .system("epoll_ctl")
    }
  }

  /// Waits so long for something to read, and reads it.
  ///
  /// - Parameter each: gets the number of a connection and how many answers have come on it.
  /// - Returns: whether anything happened.
  @inline(__always)
  func receive(milliseconds: Int32, each: (Int, Int) throws(BenchFailure) -> Void) throws(BenchFailure) -> Bool {
    let count = epoll_wait(epoll, events.baseAddress, Int32(events.count), milliseconds)
    if count < 0 && errno != EINTR { throw .system("epoll_wait") }
    for index in 0..<max(0, Int(count)) {
      let number = Int(events[index].data.u64)
      if events[index].events & EPOLLOUT.rawValue != 0 { try ask(number, 0) }
      let answers = try connections[number].receive()
      if answers > 0 { try each(number, answers) }
    }
    return count != 0
  }
}
