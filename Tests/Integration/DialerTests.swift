import Foundation
import ScopeTesting
import Testing

/// The programs of Scripts/telephony/dialer, with the library and the modules that the commands of their page make.
@Suite(.enabled(if: isReady, "needs python3-protobuf and protobuf-compiler"))
struct DialerTests {
  /// Every command of the page against the sample; then their own tests, each with daemons of its own.
  @Test func workAsTheirPageSays() async throws {
    let home = TemporaryFolder()
    try await withSample { address in try await onThread { try runCommands(home, at: address) } }
    for name in ["test_dialer", "test_ivr"] {
      let tested = try await onThread { try runTests(name, home) }
      #expect(tested.status == 0, "\(tested.errors)")
      #expect(tested.errors.hasSuffix("\nOK\n"), "\(tested.errors)")
    }
  }
}

private let folder = packageFolder.appendingPathComponent("Scripts/telephony/dialer")
private let python = URL(fileURLWithPath: "/usr/bin/python3")

private let isReady: Bool = {
  guard FileManager.default.isExecutableFile(atPath: "/usr/bin/protoc") else { return false }
  return (try? run(python, ["-c", "import google.protobuf"]))?.status == 0
}()

/// Runs the commands in the page's order, from the repository. What they export counts for those behind them.
private func runCommands(_ home: TemporaryFolder, at address: String) throws {
  let programs = builtProduct("scopectl").deletingLastPathComponent().path
  let environment = [
    "HOME": home.path, "PATH": "\(programs):/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1",
    "SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht",
  ]
  var exports = ""
  var count = 0
  for step in try RecipePage(folder.appendingPathComponent("README.md")).steps {
    guard case .run(let command, let shown, let line) = step else { throw TestFailure("README.md: no command") }
    let script = "cd '\(packageFolder.path)' && exec 2>&1\n\(exports)\(command)"
    let done = try run(URL(fileURLWithPath: "/bin/bash"), ["-c", script], environment: environment)
    let lines = done.output.split(separator: "\n").map(String.init)
    let isLike = lines.count == shown.count && zip(lines, shown).allSatisfy(RecipePage.isLike)
    #expect(done.status == 0 && isLike, "README.md:\(line): it prints\n\(done.output)")
    if command.hasPrefix("export ") { exports += command + "\n" }
    count += 1
  }
  #expect(count == 24)
}

private func runTests(_ name: String, _ home: TemporaryFolder) throws -> Run {
  let modules = packageFolder.appendingPathComponent("Scripts/telephony/python").path
  let environment = [
    "SCOPED": builtProduct("scoped").path, "SCOPE_LIBRARY": home.file("scope/lib/libscope.so.1"),
    "PYTHONPATH": "\(modules):\(home.file("generated"))", "PYTHONDONTWRITEBYTECODE": "1",
  ]
  return try run(python, [folder.appendingPathComponent("tests/\(name).py").path], environment: environment)
}
