import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// Everything here runs one after another: real calls keep time by the clock.
@Suite(.serialized) struct TelephonyTests {}

let scripts = packageFolder.appendingPathComponent("Scripts")
let telephonyFolder = scripts.appendingPathComponent("telephony")
let testFolder = packageFolder.appendingPathComponent("Tests/Telephony")

/// The company `nordlicht` of Scripts/sample.
func loadSample(into client: Client) throws {
  let file = scripts.appendingPathComponent("sample/contact-centre.jsonl")
  let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
    try ChangeLine(json: Data($0.utf8))
  }
  try client.applyAll(lines.map(\.change), to: lines[0].company)
}

/// A program of the system. Not there is a failure: what these tests show can't be shown without it.
func systemProgram(_ name: String) throws -> URL {
  for folder in ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin", "/sbin", "/bin"] {
    let path = "\(folder)/\(name)"
    if FileManager.default.isExecutableFile(atPath: path) { return URL(fileURLWithPath: path) }
  }
  throw TestFailure("\(name) is not installed; run Scripts/install-packages --tests")
}

/// The Lua module, built once as its users build it.
enum LuaModule {
  /// What Scripts/build-client installs under a prefix.
  static let prefix: Result<TemporaryFolder, any Error> = Result {
    let folder = TemporaryFolder()
    let arguments = ["--lua", "--output", folder.file("build"), "--prefix", folder.path]
    let built = try ScopeTesting.run(scripts.appendingPathComponent("build-client"), arguments)
    guard built.status == 0 else { throw TestFailure("build-client failed: \(built.errors)") }
    return folder
  }

  static func path() throws -> String { try prefix.get().file("lib/lua/5.1/?.so") }

  /// Runs a script of Programs under lua5.1.
  static func run(_ script: String, _ arguments: [String], under checker: [String] = []) throws -> Run {
    let file = testFolder.appendingPathComponent("Programs/\(script)").path
    let command = checker + [try systemProgram("lua5.1").path, file] + arguments
    return try ScopeTesting.run(
      try systemProgram("env"), command, environment: ["LUA_CPATH": path(), "TELEPHONY": telephonyFolder.path])
  }
}

/// Runs a test with a daemon of its own that holds the sample. The daemon is a process, to be stopped and killed.
func withSampleProcess(_ body: @escaping @Sendable (ProcessDaemon) throws -> Void) async throws {
  try await onThread {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    try loadSample(into: try daemon.client())
    try body(daemon)
  }
}
