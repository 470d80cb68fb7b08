import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting

/// scoped with a data folder of its own.
struct ScopedServer {
  let child: Child
  let socket: String
  /// Of TCP, on loopback.
  let port: UInt16

  /// - Parameters:
  ///   - folder: for its data, made if it is not there, and beside it for its socket.
  ///   - processors: those it may run on; nil: all.
  ///   - threads: that serve connections; nil: as it likes.
  ///   - options: of its command line, beside these.
  ///   - wrapper: a program that becomes it, with its arguments.
  init(
    _ folder: String, on processors: [Int]?, threads: Int? = nil, options: [String] = [], wrapper: [String] = []
  ) throws {
    socket = "\(folder).socket"
    var command = [
      builtProduct("scoped").path, "--data", folder, "--socket", socket, "--tcp", "127.0.0.1:0", "--create",
    ]
    command += ["--log-level", "warning"] + (threads.map { ["--threads", "\($0)"] } ?? []) + options
    child = try Child(wrapper + command, readyWord: "ready at", on: processors)
    guard let port = child.greeting.split(separator: ":").last.flatMap({ UInt16($0.prefix { $0.isNumber }) }) else {
      throw BenchFailure("scoped did not name its port: \(child.greeting)")
    }
    self.port = port
  }

  func client() throws -> Client { try Client("unix:\(socket)", timeoutMilliseconds: 60_000) }

  func contestant(_ key: String, _ name: String, _ address: BenchAddress) -> Contestant {
    Contestant(key: key, name: name, dialect: ScopedDialect(), address: address, child: child)
  }
}
