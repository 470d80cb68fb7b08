import Foundation
import ScopeTesting
import Testing

/// scope-import against the daemon itself.
@Suite struct NumberImportTests {
  @Test func everyCommandOfThePagePrintsWhatIsShown() async throws {
    let page = packageFolder.appendingPathComponent("Scripts/telephony/lists/README.md")
    let sessions = try sessions(in: String(contentsOf: page, encoding: .utf8))
    #expect(sessions.count == 3)
    try await withSample { address in
      try await onThread {
        let folder = TemporaryFolder()
        let programs = builtProduct("scope-import").deletingLastPathComponent().path
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        for step in sessions.joined() {
          let found = try run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", "exec 2>&1\ncd '\(folder.path)'\n\(step.command)"],
            environment: ["PATH": "\(programs):\(path)", "SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"])
          #expect(found.output == step.shown, "\(step.command)")
        }
      }
    }
  }

  /// The daemon is killed under the import, and started again: the same command goes on.
  @Test func goesOnWhenTheDaemonIsRestarted() async throws {
    try await onThread {
      let folder = TemporaryFolder()
      var daemon = try ProcessDaemon(in: folder)
      try daemon.client().applyAll([.putCompany(.enhanced)] + smallCompany(), to: "acme")
      let file = folder.file("numbers.csv")
      let columns = (0..<32).map { "c\($0)" }
      let rows = (0..<30_000).map { "\(49_170_000_000 + $0)," + columns.map { _ in "v" }.joined(separator: ",") + "\n" }
      try ("number," + columns.joined(separator: ",") + "\n" + rows.joined()).write(
        toFile: file, atomically: true, encoding: .utf8)
      let arguments = ["--company", "acme", "--list", "l", "--no-normalise", "--keep-all", "--quiet", file]
      let environment = ["SCOPED_ADDRESS": daemon.address]
      daemon.killNow()
      let down = try run(builtProduct("scope-import"), arguments + ["--retry", "0"], environment: environment)
      #expect(down.status == 2 && down.errors.contains("the same command goes on"), "\(down)")
      daemon = try ProcessDaemon(in: folder)
      for again in 0..<2 {
        let end = try run(builtProduct("scope-import"), arguments, environment: environment)
        #expect(end.status == 0, "\(end)")
        let back = try run(
          builtProduct("scope-import"),
          ["--company", "acme", "--list", "l", "--mode", "remove", "--no-normalise", "--no-header", "-"]
            + ["--work-folder", folder.file("back")], input: Data("49170000000\n".utf8), environment: environment)
        #expect(back.output.hasSuffix("list l: 1 removed; it has 29999 now\n"), "\(back)")
        #expect(
          end.output.hasSuffix(
            again == 0
              ? "list l is replaced: 0 before, 30000 now; 30000 added, 0 gone, 0 kept\n"
              : "list l is replaced: 29999 before, 30000 now; 1 added, 0 gone, 29999 kept\n"), "\(end.output)")
      }
      #expect(daemon.stop() == 0)
    }
  }

  private struct Step {
    let command: String
    let shown: String
  }

  /// What stands in fences marked `console`.
  private func sessions(in text: String) throws -> [[Step]] {
    text.components(separatedBy: "```console\n").dropFirst().map { rest in
      let block = rest.components(separatedBy: "\n```")[0]
      return ("\n" + block).components(separatedBy: "\n$ ").dropFirst().map { step in
        let lines = step.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        return Step(command: String(lines[0]), shown: lines.count > 1 ? "\(lines[1])\n" : "")
      }
    }
  }
}
