import Foundation
import Logging
import NIOCore
import ScopeClient
import ScopeModel
import ScopeProtocol
import ScopeServer
import ScopeStore

/// How a test reaches a daemon.
public enum Transport: String, Sendable, CaseIterable {
  case unix, tcp
}

/// A folder that goes with the value.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() {
    var template = Array((NSTemporaryDirectory() + "scoped-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("no temporary folder: errno \(errno)") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  public func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// A daemon in this process, on a Unix socket and on TCP.
public final class TestDaemon: Sendable {
  public let folder: TemporaryFolder
  private let server: Server

  /// - Parameters:
  ///   - folder: one that another daemon has left, to go on from; nil: a new one.
  ///   - adjust: alters the configuration before the start.
  public init(
    in folder: TemporaryFolder? = nil, adjust: (inout ServerConfiguration) -> Void = { _ in }
  ) async throws {
    let folder = folder ?? TemporaryFolder()
    var configuration = ServerConfiguration(
      store: StoreConfiguration(directory: folder.file("data")),
      addresses: [.unix(path: folder.file("socket")), try .tcp("127.0.0.1:0")])
    configuration.tcpScopes = .all
    configuration.outlastTests()
    adjust(&configuration)
    var logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .critical
    self.folder = folder
    server = try await Server.start(configuration, logger: logger)
  }

  public func address(_ transport: Transport) -> String {
    let wanted = transport == .unix ? "unix:" : "tcp:"
    return server.addresses.map(\.description).first { $0.hasPrefix(wanted) }!
  }

  /// Memory charged to its connections.
  public var heldBytes: Int { server.heldBytes }

  /// The port that channels of Asterisk ask at, where the configuration has an address for them.
  public var fastAGIPort: UInt16? {
    server.addresses.lazy.compactMap { if case .fastAGI(_, let port) = $0 { UInt16(port) } else { nil } }.first
  }

  public func client(
    _ company: String = "", over transport: Transport = .unix, timeoutMilliseconds: UInt32 = .anHour
  ) throws -> Client {
    try Client(address(transport), company: company, timeoutMilliseconds: timeoutMilliseconds)
  }

  /// Stops, and gives a busy machine more time than a daemon in service has. Clients that take nothing use it up.
  public func stop(within limit: TimeAmount = .seconds(60)) async throws { try await server.stop(within: limit) }
}

extension ServerConfiguration {
  /// Lets no deadline end what a test is in the middle of on a busy machine. Tests that are about one set it.
  public mutating func outlastTests() {
    (limits.timeoutMilliseconds, limits.timeoutMaximumMilliseconds) = (.anHour, .anHour)
    (limits.frameMilliseconds, limits.stallMilliseconds) = (Int(UInt32.anHour), Int(UInt32.anHour))
    fastAGI.timeoutMilliseconds = 60_000
  }
}

/// How many daemons of tests run at once. Tests all run at the same time; with some hundred daemons the process has
/// descriptors beyond 1,023, at which Foundation's `Process` crashes.
private actor Slots {
  private var free = 16
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func enter() async {
    if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
  }

  func leave() {
    if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
  }
}

private let slots = Slots()

/// Runs a test against a daemon that is stopped afterwards, whatever happens. Within another it takes a second slot.
@discardableResult
public func withDaemon<T>(
  adjust: (inout ServerConfiguration) -> Void = { _ in }, _ body: (TestDaemon) async throws -> T
) async throws -> T {
  await slots.enter()
  do {
    let value = try await withDaemonAtOnce(adjust: adjust, body)
    await slots.leave()
    return value
  } catch {
    await slots.leave()
    throw error
  }
}

private func withDaemonAtOnce<T>(
  adjust: (inout ServerConfiguration) -> Void, _ body: (TestDaemon) async throws -> T
) async throws -> T {
  let daemon = try await TestDaemon(adjust: adjust)
  do {
    let value = try await body(daemon)
    try await daemon.stop()
    return value
  } catch {
    try? await daemon.stop()
    throw error
  }
}

extension Client {
  /// Applies changes in batches that fit.
  public func applyAll(_ changes: some Sequence<Change>, to company: Name) throws {
    var batch: [Change] = []
    func send() throws {
      if batch.isEmpty { return }
      do throws(RefusedApply) {
        _ = try apply(batch, to: company, timeoutMilliseconds: .anHour)
      } catch {
        throw TestFailure("batch refused: \(error.error) at \(error.position)")
      }
      batch = []
    }
    for change in changes {
      batch.append(change)
      if batch.count == 5_000 { try send() }
    }
    try send()
  }
}

/// A test's own error.
public struct TestFailure: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
