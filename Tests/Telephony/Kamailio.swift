import Foundation
import Glibc
import ScopeTesting

/// The addresses of the test's network, all on the loopback.
enum Site {
  static let kamailio = "127.0.0.1"
  /// The PBX and its phones.
  static let inside = "127.0.0.10"
  static let trunkMain = "127.0.0.20"
  static let trunkCollections = "127.0.0.30"
  /// Named in no settings.
  static let stranger = "127.0.0.99"
}

/// The ways in which the configurations are written. Python's is no more than a start, with a test of its own.
enum Configuration: String, CaseIterable, Sendable {
  case kemi, native, python

  static let allCases: [Self] = [.kemi, .native]
}

/// Debian's Kamailio with a configuration of Scripts/telephony/kamailio, of which only the settings are altered.
final class Kamailio {
  let folder = TemporaryFolder()
  let port: Int
  /// Where carriers and PBX take calls.
  let farPort: Int
  private let process = Process()

  /// - Parameter change: alters a file by its name, after addresses and ports were put in.
  init(
    _ configuration: Configuration, asking address: String, farPort: Int? = nil, workers: Int = 4,
    change: (_ name: String, _ text: String) -> String = { $1 }
  ) throws {
    port = freePort()
    self.farPort = farPort ?? freePort()
    for name in ["kemi.cfg", "kemi.lua", "native.cfg", "scoped.lua", "python.cfg", "kemi.py"] {
      let text = try String(contentsOf: telephonyFolder.appendingPathComponent("kamailio/\(name)"), encoding: .utf8)
      try change(name, settle(text, address)).write(toFile: folder.file(name), atomically: true, encoding: .utf8)
    }
    try start(configuration, workers)
    guard try comesAbout({ try isReady() }) else { throw TestFailure("Kamailio is not ready: \(log)") }
  }

  /// A test that fails half-way leaves none of the processes behind; they are one group. Nothing of theirs is kept, and
  /// an orderly end takes Kamailio seconds.
  deinit {
    kill(-process.processIdentifier, SIGKILL)
    process.awaitEnd()
  }

  var log: String { (try? String(contentsOfFile: folder.file("log"), encoding: .utf8)) ?? "" }

  private func settle(_ text: String, _ address: String) -> String {
    let settings = [
      ("unix:/run/scoped/scoped.sock", address), ("/etc/kamailio/scoped", folder.path),
      ("/run/kamailio/kamailio_ctl", folder.file("ctl")), ("192.0.2.10:5060", "\(Site.inside):\(farPort)"),
      ("192.0.2.10", Site.inside), ("192.0.2.1:5060", "\(Site.kamailio):\(port)"),
      ("198.51.100.20:5060", "\(Site.trunkMain):\(farPort)"), ("198.51.100.20", Site.trunkMain),
      ("198.51.100.30:5060", "\(Site.trunkCollections):\(farPort)"), ("198.51.100.30", Site.trunkCollections),
    ]
    return settings.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
  }

  private func start(_ configuration: Configuration, _ workers: Int) throws {
    _ = FileManager.default.createFile(atPath: folder.file("log"), contents: nil)
    process.executableURL = try systemProgram("kamailio")
    process.arguments = [
      "-f", folder.file("\(configuration.rawValue).cfg"), "-DD", "-E", "-n", "\(workers)", "-w", folder.path,
      "-m", "128", "-M", "16",
    ]
    let places = [
      "LUA_CPATH": try LuaModule.path(), "PYTHONPATH": telephonyFolder.appendingPathComponent("python").path,
      "SCOPE_LIBRARY": try LuaModule.prefix.get().file("lib/libscope.so.1"),
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(places) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle(forWritingAtPath: folder.file("log"))
    try process.run()
  }

  private func isReady() throws -> Bool {
    if !process.isRunning { throw TestFailure("Kamailio did not start: \(log)") }
    let caller = try SIPCaller(at: Site.stranger, to: port)
    try caller.send(caller.request("OPTIONS", "ping"))
    return caller.final(within: 200)?.status == 200
  }

  /// What is counted, by name, such as `scoped_allow`.
  func statistics() throws -> [String: Int] {
    let shown = try run(
      try systemProgram("kamcmd"), ["-s", "unix:\(folder.file("ctl"))", "stats.get_statistics", "script:"])
    var counts: [String: Int] = [:]
    for line in shown.output.split(separator: "\n") {
      let parts = line.components(separatedBy: " = ")
      if parts.count == 2 { counts[parts[0].replacingOccurrences(of: "script:", with: "")] = Int(parts[1]) }
    }
    if counts.isEmpty { throw TestFailure("no statistics: \(shown)") }
    return counts
  }
}

/// A UDP port that nobody uses now.
func freePort() -> Int {
  let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  defer { close(descriptor) }
  var address = ipv4("0.0.0.0", 0)
  var bytes = socklen_t(MemoryLayout<sockaddr_in>.size)
  return withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      guard bind(descriptor, $0, bytes) == 0, getsockname(descriptor, $0, &bytes) == 0 else {
        fatalError("no free port: errno \(errno)")
      }
    }
    return Int(UInt16(bigEndian: pointer.pointee.sin_port))
  }
}

/// Whether somebody receives there. The kernel's table tells: who binds to find out takes the port from who is to have it.
func isTaken(_ host: String, _ port: Int) -> Bool {
  let address = ipv4(host, port)
  let row = hexadecimal(address.sin_addr.s_addr, digits: 8) + ":" + hexadecimal(UInt32(port), digits: 4)
  let table = (try? FileHandle(forReadingAtPath: "/proc/net/udp")?.readToEnd()) ?? Data()
  return table.firstRange(of: Data(": \(row) ".utf8)) != nil
}

private func hexadecimal(_ value: UInt32, digits: Int) -> String {
  let text = String(value, radix: 16, uppercase: true)
  return String(repeating: "0", count: digits - text.count) + text
}

func ipv4(_ host: String, _ port: Int) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  inet_pton(AF_INET, host, &address.sin_addr)
  return address
}
