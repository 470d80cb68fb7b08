import Glibc

/// Where a contestant listens.
enum BenchAddress: Sendable {
  case unix(String)
  /// On loopback.
  case tcp(UInt16)
}

/// Why a benchmark could not be brought to its end. Never a slow contestant: a wrong or a broken one.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// A system call that failed.
  static func system(_ what: String) -> BenchFailure { BenchFailure("\(what): \(String(cString: strerror(errno)))") }
}

/// A connected socket, blocking unless asked otherwise: for greetings, loads, and the look at each verdict.
final class BenchSocket {
  let handle: Int32
  private lazy var chunk = [UInt8](repeating: 0, count: 256 << 10)

  /// - Parameter isBlocking: false: nothing waits, and the connection may still be under way.
  init(_ address: BenchAddress, isBlocking: Bool = true) throws(BenchFailure) {
    let flags = Int32(SOCK_CLOEXEC.rawValue) | (isBlocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
    switch address {
    case .unix(let path): handle = try BenchSocket.connectUnix(path, flags)
    case .tcp(let port): handle = try BenchSocket.connectTCP(port, flags)
    }
  }

  deinit { close(handle) }

  private static func connectUnix(_ path: String, _ flags: Int32) throws(BenchFailure) -> Int32 {
    let handle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | flags, 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    try connect(handle, &address, to: path)
    return handle
  }

  private static func connectTCP(_ port: UInt16, _ flags: Int32) throws(BenchFailure) -> Int32 {
    let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | flags, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    try connect(handle, &address, to: "port \(port)")
    var noDelay: Int32 = 1
    setsockopt(handle, Int32(IPPROTO_TCP), TCP_NODELAY, &noDelay, socklen_t(MemoryLayout<Int32>.size))
    return handle
  }

  private static func connect<A>(_ handle: Int32, _ address: inout A, to place: String) throws(BenchFailure) {
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(handle, $0, socklen_t(MemoryLayout<A>.size))
      }
    }
    if result == 0 || errno == EINPROGRESS { return }
    let failure = BenchFailure.system("connect to \(place)")
    close(handle)
    throw failure
  }

  func send(_ bytes: [UInt8]) throws(BenchFailure) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(handle, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { throw .system("send") }
      sent += count
    }
  }

  /// Sends one request and reads its whole answer.
  func ask(_ request: [UInt8], _ framing: Framing) throws(BenchFailure) -> [UInt8] {
    try send(request)
    var (answer, looked, lines) = ([UInt8](), 0, 0)
    while true {
      try readMore(into: &answer)
      let taken = answer.withUnsafeBytes {
        framing.take(UnsafeRawBufferPointer(rebasing: $0[looked...]), lines: &lines)
      }
      looked += taken.bytes
      if taken.answers > 0 { return answer }
    }
  }

  private func readMore(into bytes: inout [UInt8]) throws(BenchFailure) {
    let count = recv(handle, &chunk, chunk.count, 0)
    if count < 0 && errno == EINTR { return }
    if count == 0 { throw BenchFailure("the contestant closed the connection") }
    if count < 0 { throw .system("recv") }
    bytes += chunk[..<count]
  }
}
