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

  /// The list, its place and its purpose are one change; nothing is made for a file of which nothing is sent.
  @Test func aListIsMadeWhereItBelongs() async throws {
    try await withSample { address in
      try await onThread {
        let folder = TemporaryFolder()
        func file(_ name: String, _ text: String) throws -> String {
          try ("number\n" + text).write(toFile: folder.file(name), atomically: true, encoding: .utf8)
          return folder.file(name)
        }
        func tool(_ program: String, _ arguments: [String]) throws -> Run {
          let environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]
          return try run(builtProduct(program), arguments, environment: environment)
        }
        let good = try file("good.csv", "4930555001\n4930555002\n")
        let base = ["--list", "autumn", "--no-normalise", "--quiet"]
        let create = base + ["--create", "--project", "shop", "--purpose", "calling"]
        for wrong in [["--project", "shop"], ["--create", "--mode", "remove"], ["--create", "--project", "user:1"]] {
          let usage = try tool("scope-import", base + wrong + [good])
          #expect(usage.status == 64, "\(wrong): \(usage)")
        }
        func isThere() throws -> Bool { try tool("scopectl", ["object", "show", "list:autumn"]).status == 0 }
        let nowhere = try tool("scope-import", base + ["--create", "--project", "none", good])
        #expect(nowhere.status == 1 && nowhere.errors.contains("there is no project 'none'"), "\(nowhere)")
        let unable = try tool("scope-import", create + ["--actor", "1001", good])
        #expect(unable.status == 1 && unable.errors.contains("right_missing"), "\(unable)")
        let bad = try file("bad.csv", "x\n")
        #expect(try tool("scope-import", create + [bad]).status == 65)
        let half = try file("half.csv", "x\n4930555001\n")
        #expect(try tool("scope-import", create + ["--strict", half]).status == 3)
        #expect(
          try tool("scope-import", create + ["--dry-run", good, "--work-folder", folder.file("dry")]).status == 0)
        #expect(try !isThere(), "none of these has made it")
        for mode in ["add", "replace"] {
          let made = try tool("scope-import", create + ["--mode", mode, "--json", good])
          #expect(made.status == 0 && made.output.contains(#""purpose":"calling","revision":"#), "\(made)")
          #expect(made.output.contains(#""created":\#(mode == "add")"#), "\(made)")
        }
        let log = try tool("scopectl", ["log", "--about", "list:autumn", "--oldest", "--json"]).output
        let first = try #require(log.split(separator: "\n").first)
        for part in [
          #""after":{"object":"list:autumn","name":"autumn","origin":"custom"}"#,
          #""after":{"object":"list:autumn","project":"project:shop"}"#,
          #""after":{"list":"list:autumn","purpose":"calling","numbers":0"#,
        ] {
          #expect(first.contains(part), "\(first)")
        }
        let elsewhere = try tool("scope-import", base + ["--create", "--project", "hotels", good])
        #expect(
          elsewhere.status == 1
            && elsewhere.errors.contains("list autumn is there already, and not in project 'hotels'"),
          "\(elsewhere)")
      }
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
