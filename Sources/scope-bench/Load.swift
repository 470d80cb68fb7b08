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
  /// Ends a wait at a given moment.
  private let timer: Int32
  private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 128)

  init(_ connections: [LoadConnection]) throws(BenchFailure) {
    self.connections = connections
    epoll = epoll_create1(0)
    timer = timerfd_create(CLOCK_MONOTONIC, 0)
    if epoll < 0 { throw .system("epoll_create1") }
    if timer < 0 { throw .system("timerfd_create") }
    for number in connections.indices {
      try watch(connections[number].socket.handle, as: number, for: EPOLLIN.rawValue, EPOLL_CTL_ADD)
    }
    try watch(timer, as: Load.timerNumber, for: EPOLLIN.rawValue, EPOLL_CTL_ADD)
  }

  deinit {
    close(epoll)
    close(timer)
    events.deallocate()
  }

  /// Asks so many questions more on a connection, and watches for room where the kernel has none.
  @inline(__always)
  func ask(_ number: Int, _ count: Int) throws(BenchFailure) {
    let connection = connections[number]
    let waits = try !connection.ask(count)
    if waits == connection.waitsForRoom { return }
    connection.waitsForRoom = waits
    let events = EPOLLIN.rawValue | (waits ? EPOLLOUT.rawValue : 0)
    try watch(connection.socket.handle, as: number, for: events, EPOLL_CTL_MOD)
  }

  private func watch(_ handle: Int32, as number: Int, for what: UInt32, _ operation: Int32) throws(BenchFailure) {
    var event = epoll_event(events: what, data: epoll_data_t(u64: UInt64(number)))
    guard epoll_ctl(epoll, operation, handle, &event) == 0 else { throw .system("epoll_ctl") }
  }

  /// What epoll calls the timer.
  private static let timerNumber = Int(Int32.max)

  /// Has the next wait end at this moment, in nanoseconds on the monotonic clock.
  @inline(__always)
  func wake(at moment: UInt64) throws(BenchFailure) {
    let (seconds, rest) = moment.quotientAndRemainder(dividingBy: 1_000_000_000)
    var time = itimerspec()
    time.it_value = timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
    if timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &time, nil) != 0 { throw .system("timerfd_settime") }
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
      if number == Load.timerNumber { continue }  // what is due is looked up anyway, and the timer set anew
      if events[index].events & EPOLLOUT.rawValue != 0 { try ask(number, 0) }
      let answers = try connections[number].receive()
      if answers > 0 { try each(number, answers) }
    }
    return count != 0
  }
}
