import NIOCore

#if canImport(Glibc)
  import Glibc
#endif

/// A place to listen at.
public enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
  /// A socket in the file system, guarded by its mode and that of its folder.
  case unix(path: String)
  /// A port on this machine's loopback interface.
  case loopback(host: String, port: Int)
  /// A port for channels of Asterisk, which are asked neither who they are nor to speak in secret.
  case fastAGI(host: String, port: Int)

  /// Reads `HOST:PORT`, and refuses what is not loopback.
  public static func tcp(_ text: String) throws(AddressError) -> ListenAddress {
    let (host, port) = try split(text)
    guard isLoopback(host) else { throw .notLoopback(text) }
    return .loopback(host: host, port: port)
  }

  /// Reads each `HOST:PORT` for FastAGI, and refuses what is not loopback.
  ///
  /// - Parameter exposed: addresses beside loopback that are to be served all the same, each by itself.
  public static func fastAGI(_ texts: [String], exposed: [String]) throws(AddressError) -> [ListenAddress] {
    var (addresses, unused) = ([ListenAddress](), exposed)
    for text in texts {
      let (host, port) = try split(text)
      guard let address = try? SocketAddress(ipAddress: host, port: 0) else { throw .malformed(text) }
      if address.isEveryAddress { throw .everyAddress(text) }
      let isNamed = exposed.contains { isAddress($0, address) }
      guard isLoopback(host) || isNamed else { throw .notExposed(text, host: host) }
      unused.removeAll { isAddress($0, address) }
      addresses.append(.fastAGI(host: host, port: port))
    }
    if let host = unused.first { throw .exposedInVain(host) }
    return addresses
  }

  private static func isAddress(_ host: String, _ address: SocketAddress) -> Bool {
    (try? SocketAddress(ipAddress: host, port: 0)) == address
  }

  private static func split(_ text: String) throws(AddressError) -> (host: String, port: Int) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { throw .malformed(text) }
    var host = String(text[..<colon])
    if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    if host == "localhost" { host = "127.0.0.1" }
    return (host, port)
  }

  private static func isLoopback(_ host: String) -> Bool {
    guard let address = try? SocketAddress(ipAddress: host, port: 0) else { return false }
    switch address {
    case .v4(let v4): return UInt32(bigEndian: v4.address.sin_addr.s_addr) >> 24 == 127
    case .v6(let v6):
      return withUnsafeBytes(of: v6.address.sin6_addr) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
    case .unixDomainSocket: return false
    }
  }

  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .loopback(let host, let port): host.contains(":") ? "tcp:[\(host)]:\(port)" : "tcp:\(host):\(port)"
    case .fastAGI(let host, let port): host.contains(":") ? "agi://[\(host)]:\(port)" : "agi://\(host):\(port)"
    }
  }
}

extension SocketAddress {
  /// 0.0.0.0, :: and what else stands for every address of the machine.
  fileprivate var isEveryAddress: Bool {
    switch self {
    case .v4(let v4): v4.address.sin_addr.s_addr == 0
    case .v6(let v6):
      withUnsafeBytes(of: v6.address.sin6_addr) { bytes in
        bytes.prefix(10).allSatisfy { $0 == 0 } && bytes.suffix(4).allSatisfy { $0 == 0 }
      }
    case .unixDomainSocket: false
    }
  }
}

/// Why a place can't be listened at.
public enum AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  case malformed(String)
  case notLoopback(String)
  case notExposed(String, host: String)
  case exposedInVain(String)
  case everyAddress(String)
  case pathTooLong(String, limit: Int)
  case inUse(ListenAddress)
  case notASocket(String)
  case failed(ListenAddress, String)

  public var description: String {
    switch self {
    case .malformed(let text): "'\(text)' is not HOST:PORT; for example 127.0.0.1:7400"
    case .notLoopback(let text):
      "'\(text)' is not a loopback address: TCP has neither encryption nor authentication yet, "
        + "so only 127.0.0.0/8, ::1 and localhost are served"
    case .notExposed(let text, let host):
      "'\(text)' is not a loopback address: FastAGI has neither encryption nor authentication, so whoever reaches "
        + "the address may ask about every company; if that is intended, add --fastagi-without-tls \(host)"
    case .exposedInVain(let host):
      "--fastagi-without-tls \(host) matches no --fastagi address; add --fastagi \(host):4573, or remove it"
    case .everyAddress(let text):
      "'\(text)' means every address of this machine; name the one that Asterisk connects to, such as 127.0.0.1:4573"
    case .pathTooLong(let path, let limit):
      "the socket path '\(path)' is longer than \(limit) bytes, the most the system allows"
    case .inUse(let address): "another process is already serving \(address)"
    case .notASocket(let path): "'\(path)' exists and is not a socket; it is left alone"
    case .failed(let address, let cause): "can't listen at \(address): \(cause)"
    }
  }
}

/// The other end's user, read from the kernel.
func peerUser(_ handle: CInt) -> UInt32? {
  var credentials = (pid: Int32(0), uid: UInt32.max, gid: UInt32.max)
  var bytes = socklen_t(MemoryLayout.size(ofValue: credentials))
  let isKnown = getsockopt(handle, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) == 0
  return isKnown && credentials.uid != .max ? credentials.uid : nil
}

/// Lets the kernel hand over what it holds and then report the end of the input.
func shutdownInput(_ handle: CInt) -> Bool { shutdown(handle, CInt(SHUT_RD)) == 0 }

/// Bytes that have arrived and were not read; nil: nobody can tell.
func unreadBytes(_ handle: CInt) -> Int? {
  var count: CInt = 0
  return ioctl(handle, UInt(FIONREAD), &count) == 0 ? Int(count) : nil
}

/// Makes way for a socket file: removes one that nobody serves, and refuses to touch anything else.
func clearSocketFile(_ path: String) throws(AddressError) {
  var status = stat()
  guard lstat(path, &status) == 0 else { return }
  if status.st_mode & S_IFMT != S_IFSOCK { throw .notASocket(path) }
  if isServed(path) { throw .inUse(.unix(path: path)) }
  unlink(path)
}

/// Only a refusal says that nobody is there: a full backlog or a lack of rights does not.
private func isServed(_ path: String) -> Bool {
  let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
  guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return true }
  let handle = socket(AF_UNIX, type, 0)
  if handle < 0 { return true }
  defer { close(handle) }
  return address.withSockAddr { connect(handle, $0, socklen_t($1)) == 0 || errno != ECONNREFUSED }
}

/// How many connections the process can hold beside its own files. Raises the soft limit to the hard one.
func connectionsPossible(atMost wanted: Int, eventLoops: Int) throws(TooFewDescriptors) -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
  if limit.rlim_cur < limit.rlim_max {
    var raised = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
    if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
  }
  // The store, listeners, standard streams and some to spare; and four for each loop, the authority's with them.
  let own = 40 + 4 * (eventLoops + 1)
  let possible = Int(clamping: limit.rlim_cur) - own
  if possible < 1 {
    throw TooFewDescriptors(limit: Int(clamping: limit.rlim_cur), needed: own + 1, eventLoops: eventLoops)
  }
  return min(wanted, possible)
}

/// The process may not open the files it needs.
public struct TooFewDescriptors: Error, CustomStringConvertible {
  let limit: Int
  let needed: Int
  let eventLoops: Int

  public var description: String {
    "the process may open \(limit) files, and needs \(needed) to serve one connection with \(eventLoops) threads: raise "
      + "the limit (`ulimit -n`, or LimitNOFILE= of the systemd unit), or give it fewer --threads"
  }
}
