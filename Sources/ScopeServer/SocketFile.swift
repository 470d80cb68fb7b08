import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore

/// The file of a Unix socket that is served. It may be taken away under the daemon, by a clean-up or by a successor: this
/// notices, and never takes away what is another's.
final class SocketFile: Sendable {
  private struct State {
    /// The last one is that of `own`. Those before it go on: their files may have been given another name.
    var channels: [any Channel] = []
    /// Of the file that leads to us.
    var own: FileID?
    var isBinding = false
    var isClosed = false
    /// What stands in our place, and was told of.
    var told: FileID?
    var looks = 0
  }

  let path: String
  private let mode: mode_t
  private let logger: Logger
  /// Serves a socket that is bound.
  private let serve: @Sendable (NIOBSDSocket.Handle) -> EventLoopFuture<any Channel>
  private let state = NIOLockedValueBox(State())

  init(
    _ path: String, mode: mode_t, logger: Logger,
    serve: @escaping @Sendable (NIOBSDSocket.Handle) -> EventLoopFuture<any Channel>
  ) {
    self.path = path
    self.mode = mode
    self.logger = logger
    self.serve = serve
  }

  func open() async throws {
    let (handle, id) = try bind()
    let channel = try await serve(handle).get()
    state.withLockedValue { ($0.channels, $0.own) = ([channel], id) }
  }

  /// Frees the path for a successor, unless one has it already, and takes no more connections.
  func close() async {
    let (channels, own) = state.withLockedValue { state in
      state.isClosed = true
      return (state.channels, state.own)
    }
    if let own, FileID(path) == own { unlink(path) }
    for channel in channels { try? await channel.close() }
  }

  // MARK: - Watching

  /// Looks whether the path still leads here, and serves it anew where it leads to nobody. To be called once a second.
  func look() {
    let found = FileID(path)
    let isDue = state.withLockedValue { state in
      if found == state.own { state.told = nil }
      if state.isClosed || state.isBinding || state.own == nil || found == state.own { return false }
      state.looks += 1
      // A living successor is asked now and then only: to ask is to connect.
      if found != nil && found == state.told && state.looks % SocketFile.looksBetween != 0 { return false }
      state.isBinding = true
      return true
    }
    if isDue { bindAgain(found) }
  }

  private static let looksBetween = 10
  private static let channelsKept = 8

  private func bindAgain(_ found: FileID?) {
    do throws(AddressError) {
      let (handle, id) = try bind()
      serve(handle).whenComplete { self.take($0, id) }
    } catch {
      let isNew = state.withLockedValue { state in
        defer { (state.told, state.isBinding) = (found, false) }
        return found != state.told || found == nil && state.looks % SocketFile.looksBetween == 1
      }
      if isNew {
        logger.error("the socket belongs to another process now, and is left alone", metadata: ["reason": "\(error)"])
      }
    }
  }

  private func take(_ result: Result<any Channel, any Error>, _ id: FileID) {
    switch result {
    case .failure(let error):
      logger.error("the socket can't be created again", metadata: ["path": "\(path)", "reason": "\(error)"])
      state.withLockedValue { $0.isBinding = false }
    case .success(let channel):
      let (surplus, isClosed) = state.withLockedValue { state -> ((any Channel)?, Bool) in
        (state.isBinding, state.told) = (false, nil)
        if state.isClosed { return (channel, true) }
        state.channels.append(channel)
        state.own = id
        return (state.channels.count > SocketFile.channelsKept ? state.channels.removeFirst() : nil, false)
      }
      surplus?.close(promise: nil)
      if isClosed {
        if FileID(path) == id { unlink(path) }
      } else {
        logger.warning(
          "the socket's file was removed or replaced, and has been created again", metadata: ["path": "\(path)"])
      }
    }
  }

  // MARK: - Binding

  /// A socket at the path, which takes connections from now on. Nobody connects before its mode is right: the kernel
  /// gives the file the mode of the socket, less what the umask takes, which is given back then.
  private func bind() throws(AddressError) -> (NIOBSDSocket.Handle, FileID) {
    let address = try address()
    try clearSocketFile(path)
    let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let handle = socket(AF_UNIX, type, 0)
    if handle < 0 { throw failure(errno) }
    if fchmod(handle, mode) == 0, address.withSockAddr({ Foundation.bind(handle, $0, socklen_t($1)) }) == 0 {
      if let id = FileID(path), listen(handle, SocketFile.backlog) == 0, chmod(path, mode) == 0 { return (handle, id) }
    }
    let number = errno
    Foundation.close(handle)
    if number == EADDRINUSE { throw .inUse(.unix(path: path)) }
    throw failure(number)
  }

  static let backlog: Int32 = 1_024

  private func address() throws(AddressError) -> SocketAddress {
    let longest = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1
    if path.utf8.count > longest { throw .pathTooLong(path, limit: longest) }
    do { return try SocketAddress(unixDomainSocketPath: path) } catch {
      throw .failed(.unix(path: path), "\(error)")
    }
  }

  private func failure(_ number: Int32) -> AddressError {
    .failed(.unix(path: path), String(cString: strerror(number)))
  }
}

/// Which file a path leads to.
private struct FileID: Equatable {
  private let device: UInt64
  private let inode: UInt64

  /// Nil: there is none, or nobody can tell.
  init?(_ path: String) {
    var status = stat()
    if lstat(path, &status) != 0 { return nil }
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
  }
}
