import Foundation

/// A value behind a lock. Thread sanitizer understands this one, and not Synchronization's Mutex.
final class Locked<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<R>(_ body: (inout Value) -> R) -> R {
    lock.lock()
    defer { lock.unlock() }
    return body(&value)
  }
}

/// A daemon that does what a test tells it, on a Unix socket in a directory of its own or on a TCP port
/// of the loopback. Each connection runs on its own thread.
final class FakeDaemon: Sendable {
  enum Transport { case unix, tcp }

  struct State {
    var listener: Int32 = -1
    var connections: [FakeConnection] = []
    var questions: [Question] = []
    var stopped = false
  }

  let address: String
  private let directory: String
  private let state = Locked(State())

  /// `behaviour` gets each connection, with its number from 0; the connection closes when it returns.
  init(_ transport: Transport = .unix, behaviour: @escaping @Sendable (FakeConnection, Int) -> Void) {
    directory = makeDirectory()
    let path = directory + "/s"
    let listener = transport == .unix ? listenUnix(path, backlog: 64) : listenTCP()
    address = transport == .unix ? "unix:" + path : "tcp:127.0.0.1:\(localPort(listener))"
    state.withLock { $0.listener = listener }
    Thread.detachNewThread { [self] in acceptAll(listener, behaviour) }
  }

  /// Answers each question with what `reply` gives.
  convenience init(
    _ transport: Transport = .unix, reply: @escaping @Sendable (Question) -> [Message]
  ) {
    self.init(transport) { connection, _ in
      while let question = connection.readQuestion() {
        for message in reply(question) { connection.send(message.frame) }
      }
    }
  }

  private func acceptAll(
    _ listener: Int32, _ behaviour: @escaping @Sendable (FakeConnection, Int) -> Void
  ) {
    while true {
      let descriptor = acceptConnection(listener)
      if descriptor < 0 { break }
      let connection = FakeConnection(descriptor, self)
      let number = state.withLock { state -> Int? in
        if state.stopped { return nil }
        state.connections.append(connection)
        return state.connections.count - 1
      }
      guard let number else { return connection.close() }
      Thread.detachNewThread {
        behaviour(connection, number)
        connection.close()
      }
    }
    Glibc.close(listener)
  }

  func note(_ question: Question) { state.withLock { $0.questions.append(question) } }
  var questions: [Question] { state.withLock { $0.questions } }
  var connectionCount: Int { state.withLock { $0.connections.count } }

  func hasClosed(_ number: Int) -> Bool { state.withLock { $0.connections[number] }.isClosed }

  /// Ends everything; the address refuses connections from then on.
  func stop() {
    let (listener, connections) = state.withLock { state -> (Int32, [FakeConnection]) in
      state.stopped = true
      defer {
        state.listener = -1
        state.connections = []  // each holds the daemon
      }
      return (state.listener, state.connections)
    }
    if listener >= 0 { shutdown(listener, Int32(SHUT_RDWR)) }
    connections.forEach { $0.hangUp() }
    try? FileManager.default.removeItem(atPath: directory)
  }
}

final class FakeConnection: Sendable {
  private let descriptor: Locked<Int32>
  private let daemon: FakeDaemon

  init(_ descriptor: Int32, _ daemon: FakeDaemon) {
    self.descriptor = Locked(descriptor)
    self.daemon = daemon
  }

  /// The next request, or nil at the end of the connection.
  func readQuestion() -> Question? {
    guard let head = read(4) else { return nil }
    let length = head.reduce(0) { $0 << 8 | Int($1) }
    guard let body = read(length), let question = Question(body) else { return nil }
    daemon.note(question)
    return question
  }

  /// Waits until the client ends the connection.
  func awaitEnd() { while read(1) != nil {} }

  /// The same without taking what the client sends.
  func awaitHangUp() {
    var wanted = pollfd(fd: descriptor.withLock { $0 }, events: 0, revents: 0)
    while poll(&wanted, 1, -1) < 0 && errno == EINTR {}
  }

  /// Whether the client, which has nothing more to say, ends the connection within so many milliseconds.
  func hasEnded(within milliseconds: Int32) -> Bool {
    var wanted = pollfd(fd: descriptor.withLock { $0 }, events: Int16(POLLIN), revents: 0)
    return poll(&wanted, 1, milliseconds) > 0
  }

  func send(_ bytes: [UInt8]) {
    let to = descriptor.withLock { $0 }
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return }
      sent += count
    }
  }

  private func read(_ count: Int) -> [UInt8]? {
    let from = descriptor.withLock { $0 }
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes[have...].withUnsafeMutableBytes { recv(from, $0.baseAddress, $0.count, 0) }
      if got <= 0 { return nil }
      have += got
    }
    return bytes
  }

  /// Wakes the thread that reads; that one closes.
  func hangUp() { descriptor.withLock { _ = shutdown($0, Int32(SHUT_RDWR)) } }

  var isClosed: Bool { descriptor.withLock { $0 < 0 } }

  func close() {
    descriptor.withLock {
      if $0 >= 0 { Glibc.close($0) }
      $0 = -1
    }
  }
}

func makeDirectory() -> String {
  var template = Array("/tmp/scope-test-XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else { fatalError("mkdtemp failed: \(errno)") }
  return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
}

func listenUnix(_ path: String, backlog: Int32) -> Int32 {
  let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  withUnixAddress(path) { address, bytes in
    guard bind(listener, address, bytes) == 0, listen(listener, backlog) == 0 else {
      fatalError("cannot listen on \(path): \(errno)")
    }
  }
  return listener
}

func withUnixAddress<R>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
}

func listenTCP(backlog: Int32 = 64) -> Int32 {
  let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  let bound = withLoopbackAddress(port: 0) { bind(listener, $0, $1) }
  guard bound == 0, listen(listener, backlog) == 0 else { fatalError("cannot listen on TCP: \(errno)") }
  return listener
}

/// A socket that begins to connect and does not wait for the end of it.
func connectTCP(_ port: UInt16) -> Int32 {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
  _ = withLoopbackAddress(port: port) { connect(descriptor, $0, $1) }
  return descriptor
}

private func withLoopbackAddress<R>(port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
  }
}

func localPort(_ listener: Int32) -> UInt16 {
  var address = sockaddr_in()
  var bytes = socklen_t(MemoryLayout<sockaddr_in>.size)
  withUnsafeMutablePointer(to: &address) {
    _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &bytes) }
  }
  return UInt16(bigEndian: address.sin_port)
}

/// Accepts a connection that programs started by other tests do not inherit.
private func acceptConnection(_ listener: Int32) -> Int32 {
  let connection = accept(listener, nil, nil)
  if connection >= 0 { _ = fcntl(connection, F_SETFD, FD_CLOEXEC) }
  return connection
}
