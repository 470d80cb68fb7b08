import Foundation
import ScopeTesting
import Testing

/// The package of Scripts/telephony/python, installed by the commands of its page and used in that place.
@Suite(.enabled(if: isPythonReady, "needs python3-venv, python3-pip, python3-protobuf and protobuf-compiler"))
struct PythonTests {
  /// Its page, then its own tests: those against sockets that hang, lie and die, those against a daemon, and the
  /// sessions shown.
  @Test func worksAsItsPageSays() async throws {
    let home = TemporaryFolder()
    try await onThread { try runCommands(home) }
    for name in ["test_failures", "test_daemon", "test_page"] {
      try await withSample { address in  // a new one each time: the page shows revisions
        let tested = try await onThread { try runTests(name, home, at: address) }
        #expect(tested.status == 0, "\(tested.errors)")
        #expect(tested.errors.hasSuffix("\nOK\n"), "\(tested.errors)")
      }
    }
  }
}

private let folder = packageFolder.appendingPathComponent("Scripts/telephony/python")
private let python = URL(fileURLWithPath: "/usr/bin/python3")

private let isPythonReady: Bool = {
  guard FileManager.default.isExecutableFile(atPath: "/usr/bin/protoc") else { return false }
  let needed =
    "import google.protobuf, ensurepip, importlib.util as u; [u.find_spec(n).name for n in ('setuptools', 'wheel')]"
  return (try? run(python, ["-c", needed]))?.status == 0
}()

/// What the page's commands put there.
private func environment(_ home: TemporaryFolder) -> [String: String] {
  ["HOME": home.path, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1"]
}

/// Runs the commands in the page's order, from the repository. What pip leaves beside the sources goes again: a later
/// installation would take stale files from it.
private func runCommands(_ home: TemporaryFolder) throws {
  defer {
    for name in ["build", "scope.egg-info"] { try? FileManager.default.removeItem(at: folder.appending(path: name)) }
  }
  var count = 0
  for step in try RecipePage(folder.appendingPathComponent("README.md")).steps {
    guard case .run(let command, let shown, let line) = step else {
      throw TestFailure("README.md:\(firstLine(of: step)): no command")
    }
    let script = "cd '\(packageFolder.path)' && exec 2>&1\n\(command)"
    let done = try run(URL(fileURLWithPath: "/bin/bash"), ["-c", script], environment: environment(home))
    let lines = done.output.split(separator: "\n").map(String.init)
    let isLike = lines.count == shown.filter { !$0.isEmpty }.count && zip(lines, shown).allSatisfy(RecipePage.isLike)
    #expect(done.status == 0 && isLike, "README.md:\(line): it prints\n\(done.output)")
    count += 1
  }
  #expect(count == 6)
}

private func firstLine(of step: RecipePage.Step) -> Int {
  switch step {
  case .run(_, _, let line), .watch(_, _, let line), .goOn(_, _, let line): line
  }
}

/// Runs one of the package's test programs with what is installed, and not from its sources.
private func runTests(_ name: String, _ home: TemporaryFolder, at address: String) throws -> Run {
  let tests = folder.appendingPathComponent("tests")
  let variables = [
    "SCOPE_LIBRARY": home.file("scope/lib/libscope.so.1"), "PYTHONPATH": home.file("generated"),
    "SCOPED_ADDRESS": address, "SAMPLE_CHECKS": Sample.folder.appendingPathComponent("checks.tsv").path,
  ]
  return try run(
    URL(fileURLWithPath: home.file("venv/bin/python")), [tests.appendingPathComponent("\(name).py").path],
    environment: environment(home).merging(variables) { $1 })
}
