import CBench
import Glibc

/// Keeps up a flood on one thread, over any number of connections. Those that the daemon closes are opened anew.
struct FloodEngine {
  /// What is done by the clock is done so often.
  private static let tickNanoseconds: UInt64 = 10_000_000

  private let connections: [FloodConnection]
  private let epoll: Int32
  private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 512)
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
  private var counts = FloodCounts()
  private var closedAfter: [Double] = []

  init(_ groups: [FloodGroup], unix: BenchAddress, tcp: BenchAddress?) throws(BenchFailure) {
    connections = groups.flatMap { group in
      (0..<group.connections).map { number in
        let isTCP = group.road == .tcp || (group.road == .both && !number.isMultiple(of: 2))
        return FloodConnection(group, isTCP ? tcp ?? unix : unix, number: number)
      }
    }
    epoll = epoll_create1(0)
    if epoll < 0 { throw .system("epoll_create1") }
  }

  mutating func run(seconds: Double) throws(BenchFailure) -> FloodCounts {
    let end = nanoseconds() + UInt64(seconds * 1e9)
    var nextTick: UInt64 = 0
    while case let now = nanoseconds(), now < end {
      if now >= nextTick {
        for number in connections.indices { tick(number, now) }
        nextTick = now + FloodEngine.tickNanoseconds
      }
      let count = epoll_wait(epoll, events.baseAddress, Int32(events.count), 5)
      if count < 0 && errno != EINTR { throw .system("epoll_wait") }
      for index in 0..<max(0, Int(count)) { handle(events[index]) }
    }
    return finish()
  }

  private mutating func handle(_ event: epoll_event) {
    let (number, now) = (Int(event.data.u64), nanoseconds())
    let connection = connections[number]
    if connection.socket == nil { return }
    var isOpen = true
    if event.events & EPOLLOUT.rawValue != 0 { isOpen = connection.send(now) }
    if isOpen && connection.readsAtOnce && event.events & EPOLLIN.rawValue != 0 {
      isOpen = connection.receive(now, &counts, buffer) && connection.send(now)
    } else if event.events & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
      isOpen = false
    }
    if isOpen { watch(number, now) } else { close(number, now, byDaemon: true) }
  }

  /// Does what is due by the clock.
  private mutating func tick(_ number: Int, _ now: UInt64) {
    let connection = connections[number]
    if connection.socket == nil {
      if connection.mayOpen(now) { open(number, now) }
    } else if connection.isDone(now) {
      close(number, now, byDaemon: false)
      open(number, now)
    } else if connection.group.bytesPerSecond != nil || !connection.readsAtOnce {
      let isOpen = connection.send(now) && connection.receive(now, &counts, buffer)
      if isOpen { watch(number, now) } else { close(number, now, byDaemon: true) }
    }
  }

  private mutating func open(_ number: Int, _ now: UInt64) {
    guard connections[number].open(now) else { return counts.unopened += 1 }
    counts.opened += 1
    var event = epoll_event(events: 0, data: epoll_data_t(u64: UInt64(number)))
    epoll_ctl(epoll, EPOLL_CTL_ADD, connections[number].socket!.handle, &event)
    if connections[number].send(now) { watch(number, now) } else { close(number, now, byDaemon: true) }
  }

  private func watch(_ number: Int, _ now: UInt64) {
    let connection = connections[number]
    let interest =
      EPOLLRDHUP.rawValue | (connection.readsAtOnce ? EPOLLIN.rawValue : 0)
      | (connection.wantsRoom(now) ? EPOLLOUT.rawValue : 0)
    if interest == connection.interest { return }
    connection.interest = interest
    var event = epoll_event(events: interest, data: epoll_data_t(u64: UInt64(number)))
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection.socket!.handle, &event)
  }

  private mutating func close(_ number: Int, _ now: UInt64, byDaemon: Bool) {
    if byDaemon {
      counts.closed += 1
      closedAfter.append(connections[number].ageSeconds(now))
    }
    counts.frames += connections[number].close(now)
  }

  private mutating func finish() -> FloodCounts {
    let now = nanoseconds()
    let left = connections.filter { $0.socket != nil }
    counts.left = left.count
    counts.oldestLeft = left.map { $0.ageSeconds(now) }.max() ?? 0
    for connection in left { counts.frames += connection.close(now) }
    counts.closedAfterP50 = closedAfter.medianIfAny ?? 0
    counts.closedAfterMaximum = closedAfter.max() ?? 0
    return counts
  }
}
