import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting

/// The daemon that is flooded, and its memory.
final class FloodDaemon {
  let server: ScopedServer
  /// Resident bytes at rest, before anything was done to it.
  private(set) var quietBytes = 0

  init(_ folder: String, options: [String] = [], wrapper: [String] = []) throws {
    server = try ScopedServer(folder, on: nil, options: options, wrapper: wrapper)
    let client = try server.client()
    // a daemon with a budget is ready when as many companies are loaded as there is room for
    while try !client.health().isReady { usleep(10_000) }
  }

  var unix: BenchAddress { .unix(server.socket) }

  /// Notes its memory now as that at rest.
  func noteQuiet() { quietBytes = residentBytes ?? 0 }

  /// Resident bytes now; nil: it is gone.
  var residentBytes: Int? { server.child.statusBytes("VmRSS") }

  /// The most since it was last forgotten.
  var peakBytes: Int? { server.child.statusBytes("VmHWM") }

  func forgetPeak() { try? "5".write(toFile: "/proc/\(process)/clear_refs", atomically: false, encoding: .utf8) }

  /// Files it has open.
  var descriptors: Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd"))?.count ?? 0 }

  private var process: Int32 { server.child.processor }
}
