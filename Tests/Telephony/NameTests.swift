import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

extension TelephonyTests {
  /// The worst names through the Lua module and the Python package: byte for byte what they were.
  @Suite struct NameTests {
    private static let names = WorstNames.all.map(\.text)

    private func withWorst(_ body: @escaping @Sendable (ProcessDaemon) throws -> Void) async throws {
      try await onThread {
        let daemon = try ProcessDaemon(in: TemporaryFolder())
        try daemon.client().applyAll(WorstNames.company(), to: "c")
        try body(daemon)
      }
    }

    /// A line for each name: the project by which it is allowed, then what is left of all ids.
    private func expectSame(_ run: Run) {
      #expect(run.status == 0, "\(run.errors)")
      let lines = run.output.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
      #expect(lines.dropLast() == Self.names.flatMap { [Array($0.utf8), Array($0.utf8)] }[...], "\(run.output)")
    }

    @Test func areTheSameInLua() async throws {
      try await withWorst { daemon in
        expectSame(try LuaModule.run("names.lua", [daemon.address] + Self.names))
      }
    }

    @Test func areTheSameInPython() async throws {
      try await withWorst { daemon in
        let file = testFolder.appendingPathComponent("Programs/names.py").path
        let environment = [
          "SCOPE_LIBRARY": try LuaModule.prefix.get().file("lib/libscope.so.1"), "PYTHONDONTWRITEBYTECODE": "1",
          "PYTHONPATH": telephonyFolder.appendingPathComponent("python").path, "LC_ALL": "C",
        ]
        expectSame(
          try run(try systemProgram("python3"), [file, daemon.address] + Self.names, environment: environment))
      }
    }
  }
}
