import Foundation
import ScopeTesting
import Testing

/// What README and the manual in Sources/scoped/Documentation.docc show is what happens.
@Suite struct ManualTests {
  private static let folder = "Sources/scoped/Documentation.docc"

  static let pages: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(
      atPath: packageFolder.appendingPathComponent(folder).path)
    return (names ?? []).filter { $0.hasSuffix(".md") }.sorted()
  }()

  static func page(_ name: String) throws -> Page { try Page("\(folder)/\(name)") }

  /// Sessions run in one shell a page, with the sample in a daemon; one that starts its own has it in another shell.
  @Test(arguments: pages) func everyCommandPrintsWhatIsShown(_ name: String) async throws {
    let page = try Self.page(name)
    let steps = page.fences("console").flatMap { Page.steps($0.lines) }
    if steps.isEmpty { return }
    try await withSample { address in
      try await onThread {
        let (folder, environment) = (try repository(), session(address))
        let shell = try PageShell(in: folder, environment: environment)
        var daemons: [PageShell] = []
        for (command, shown) in steps {
          let printed: [String]
          if command.hasPrefix("scoped ") {
            let daemon = try PageShell(in: folder, environment: environment)
            daemon.send(command)
            printed = shown.compactMap { _ in daemon.line() }
            daemons.append(daemon)
          } else {
            printed = shell.run(command)
          }
          let isLike = printed.count == shown.count && zip(printed, shown).allSatisfy(RecipePage.isLike)
          #expect(isLike, "\(name): \(command) prints\n\(printed.joined(separator: "\n"))")
        }
        for daemon in daemons { #expect(daemon.stop() == 0) }
      }
    }
  }

  /// The examples of the reference, in order: each does what it says.
  @Test func everyExampleRuns() async throws {
    let page = try Self.page("Commands.md")
    let files = page.fences("jsonl").map { $0.lines.joined(separator: "\n") + "\n" }
    try await withSample { address in
      try await onThread {
        let folder = try repository()
        try #require(files.count == 1)
        try files[0].write(toFile: folder.file("changes.jsonl"), atomically: true, encoding: .utf8)
        let shell = try PageShell(in: folder, environment: session(address))
        _ = shell.run("hang_up() { false; }")
        for line in page.fences("sh").flatMap(\.lines) {
          if line.hasPrefix("scopectl watch ") {
            let watch = try RunningWatch(line, at: address)
            #expect(watch.lines(1).count == 1, "\(line)")
            #expect(watch.interrupt() == 0, "\(line)")
          } else {
            let command = line.replacing("unix:/run/scoped/scoped.sock", with: address)
            let printed = shell.run("\(command)\necho \"exit code $?\"")
            let code = line.contains("exits with 1:") ? 1 : 0
            #expect(printed.last == "exit code \(code)", "\(line) prints\n\(printed.joined(separator: "\n"))")
          }
        }
      }
    }
  }

  @Test func everyCommandHasARowAndAnExample() throws {
    let page = try Self.page("Commands.md")
    let paths = Set(try ProgramOptions("scopectl").leaves.map(\.path))
    let (asked, rest) = (page.rows(), page.fences("sh").flatMap(\.lines))
    let named = asked.filter { $0.count == 2 && $0[0].hasPrefix("`") && !$0[0].contains("Scripts/") }
      .flatMap { Page.code(in: $0[0]) }
    #expect(named.count == Set(named).count && Set(named) == paths, "\(paths.symmetricDifference(named))")
    for path in paths {
      let isShown = rest.contains { $0.contains("scopectl \(path) ") || $0.hasSuffix("scopectl \(path)") }
      #expect(isShown, "scopectl \(path) has no example")
    }
  }

  @Test(arguments: ["scopectl", "scope-import"]) func everyOptionHasARow(_ program: String) throws {
    let page = try Self.page("Commands.md")
    let rows = page.rows().filter { $0.count == 3 && $0[0].hasPrefix("`-") }
    let common = page.rows(below: "Options of many commands")
    let leaves = try ProgramOptions(program).leaves
    let paths = Set(leaves.map(\.path))
    for leaf in leaves {
      for option in leaf.options where !option.isHidden {
        let own = rows.filter { Page.code(in: $0[1]).contains(leaf.path) && Self.names($0[0], option) }
        let found = own.isEmpty ? common.filter { Self.names($0[0], option) } : own
        #expect(found.count == 1, "\(leaf.path) \(option.names)")
        if let standard = option.standard, let row = found.first {
          let shown = Int(standard).map(Self.number) ?? standard
          #expect(row[1...].joined().contains(shown), "\(leaf.path) \(option.names) is \(standard) by default")
        }
      }
    }
    // Nothing is told of that is not there.
    for row in rows where !common.contains(row) {
      for path in Page.code(in: row[1]) where paths.contains(path) {
        let names = Page.code(in: row[0]).map { String($0.prefix { $0 != " " }) }
        let options = try #require(leaves.first { $0.path == path }).options.flatMap(\.names)
        for name in names { #expect(options.contains(name), "\(path) has no \(name)") }
      }
    }
  }

  private static func names(_ cell: String, _ option: ProgramOptions.Option) -> Bool {
    !Set(Page.code(in: cell).map { String($0.prefix { $0 != " " }) }).isDisjoint(with: option.names)
  }

  @Test func everyScriptHasARow() throws {
    let scripts = packageFolder.appendingPathComponent("Scripts")
    let rows = try Self.page("Commands.md").rows(below: "The daemon and scripts")
    let named = Set(rows.flatMap { Page.code(in: $0[0]) })
    let names = try FileManager.default.contentsOfDirectory(atPath: scripts.path)
    for name in names where !name.contains(".") {
      var isFolder: ObjCBool = false
      let path = scripts.appendingPathComponent(name).path
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else { continue }
      #expect(named.contains("Scripts/\(name)"), "Scripts/\(name)")
    }
    #expect(named.allSatisfy { FileManager.default.isExecutableFile(atPath: packageFolder.path + "/" + $0) })
  }

  // MARK: - The options of scoped

  @Test func everyOptionOfTheDaemonHasARowWithItsDefault() throws {
    let rows = try Self.page("Configuration.md").rows(below: "Options")
    let options = try ProgramOptions("scoped").leaf("scoped").options
    #expect(rows.count == options.count)
    for option in options {
      let row = try #require(rows.first { Self.names($0[0], option) }, "\(option.names)")
      #expect(Set(Page.code(in: row[0])) == Set(option.names))
      if let standard = option.standard { #expect(row[2] == Int(standard).map(Self.number) ?? standard) }
    }
  }

  /// What a row says is taken, and what lies beyond it refused: a start that is let through ends for want of a store.
  @Test func theLimitsOfTheDaemonsOptionsAreTheDaemons() throws {
    let folder = TemporaryFolder()
    func exitCode(_ arguments: [String]) throws -> Int32 {
      try run(builtProduct("scoped"), ["--data", folder.path, "--socket", folder.file("s")] + arguments).status
    }
    var ranges = 0
    for row in try Self.page("Configuration.md").rows(below: "Options") {
      let option = Page.code(in: row[0])[0]
      guard let match = row[3].wholeMatch(of: /([\d,]+) to ([\d,]+)/) else { continue }
      let radix = row[1].contains("octal") ? 8 : 10
      let (low, high) = (Self.value(match.1, radix), Self.value(match.2, radix))
      for (value, isTaken) in [(low - 1, false), (low, true), (high, true), (high + 1, false)] {
        let code = try exitCode(["\(option)=\(String(value, radix: radix))"])
        #expect(code == (isTaken ? 69 : 64), "\(option) \(String(value, radix: radix))")
      }
      ranges += 1
    }
    #expect(ranges == 4)
    let addresses = Array(repeating: ["--fastagi", "127.0.0.1:0"], count: 9)
    for (arguments, code) in [
      (["--connection-memory", "63MiB"], 64), (["--connection-memory", "64MiB"], 69), (["--tcp", "192.0.2.1:1"], 73),
      (Array(addresses[..<8].joined()), 69), (Array(addresses.joined()), 64), (["--tcp", "127.0.0.1:0"], 69),
    ] as [([String], Int32)] {
      #expect(try exitCode(arguments) == code, "\(arguments)")
    }
    let path = folder.path + "/" + String(repeating: "s", count: 200)
    let ended = try run(builtProduct("scoped"), ["--data", folder.file("data"), "--create", "--socket", path])
    #expect(ended.status == 73 && ended.errors.contains("longer than 107 bytes"), "\(ended)")
  }

  @Test func everyVariableOfTheEnvironmentHasARow() throws {
    let rows = try Self.page("Configuration.md").rows(below: "Environment")
    let named = Set(rows.flatMap { Page.code(in: $0[0]) })
    var read: Set<String> = []
    for folder in ["Sources/scoped", "Sources/scopectl", "Sources/scope-import", "Scripts/telephony/python/scope"] {
      let files = try FileManager.default.subpathsOfDirectory(atPath: packageFolder.appendingPathComponent(folder).path)
      for file in files where file.hasSuffix(".swift") || file.hasSuffix(".py") {
        let text = try String(contentsOf: packageFolder.appendingPathComponent("\(folder)/\(file)"), encoding: .utf8)
        read.formUnion(text.matches(of: /(?:environment|getenv|environ.get)\("(\w+)"/).map { String($0.1) })
      }
    }
    #expect(read.contains("SCOPED_CREATE") && read.contains("SCOPED_ADDRESS"))
    #expect(read.isSubset(of: named), "\(read.subtracting(named))")
    for script in ["Scripts/run", "Scripts/build-client"] {
      let text = try String(contentsOf: packageFolder.appendingPathComponent(script), encoding: .utf8)
      for row in rows where Page.code(in: row[1]).contains(script) {
        for name in Page.code(in: row[0]) { #expect(text.contains("${\(name):-"), "\(script) reads no \(name)") }
      }
    }
  }

  /// The commands of Operating, on a daemon's own folder: what was changed after the backup is gone after the restore.
  @Test func theBackupShownCanBeRestored() async throws {
    let blocks = try Self.page("Operating.md").fences("sh").map(\.lines)
    try #require(blocks.count == 2 && blocks.allSatisfy { $0.first == "systemctl stop scoped" })
    try await onThread {
      let folder = TemporaryFolder()
      var daemon = try ProcessDaemon(in: folder)
      func play(_ lines: [String]) throws {
        for line in lines {
          switch line {
          case "systemctl stop scoped": #expect(daemon.stop() == 0)
          case "systemctl start scoped": daemon = try ProcessDaemon(in: folder, isCreating: false)
          default:
            let command = line.replacing("/var/lib/scoped", with: folder.file("data"))
              .replacing("/var/backups/scoped", with: folder.file("copy"))
            let done = try run(URL(fileURLWithPath: "/bin/sh"), ["-c", command])
            #expect(done.status == 0, "\(done)")
          }
        }
      }
      func queueIsThere() throws -> Bool {
        let shown = try run(
          builtProduct("scopectl"), ["object", "show", "queue:q"], environment: session(daemon.address))
        return shown.status == 0
      }
      try Sample.load(into: try daemon.client())
      try play(blocks[0])
      let created = try run(
        builtProduct("scopectl"), ["object", "create", "queue:q"], environment: session(daemon.address))
      #expect(created.status == 0, "\(created)")
      #expect(try queueIsThere())
      try play(blocks[1])
      #expect(try !queueIsThere())
      let verified = try run(builtProduct("scopectl"), ["verify"], environment: session(daemon.address))
      #expect(verified.status == 0 && verified.output.contains("revision 2"), "\(verified)")
      #expect(daemon.stop() == 0)
    }
  }

  // MARK: - The code shown

  @Test func theExampleInCCompiles() throws {
    let fences = try Self.page("Integrations.md").fences("c")
    try #require(fences.count == 1)
    let program = """
      #include "scope.h"
      void route(void);
      void reject(int status);
      void ask(void);
      void ask(void) {
      \(fences[0].lines.joined(separator: "\n"))
        scope_close(client);
      }
      """
    let include = packageFolder.appendingPathComponent("Sources/CScope/include").path
    let compiled = try run(
      URL(fileURLWithPath: "/usr/bin/cc"), ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", include, "-xc", "-"],
      input: Data(program.utf8))
    #expect(compiled.status == 0, "\(compiled.errors)")
  }

  /// What is built as the tutorial says is there to be built.
  @Test func theProductsToBuildAreThePackages() throws {
    let package = try String(contentsOf: packageFolder.appendingPathComponent("Package.swift"), encoding: .utf8)
    let lines = try Self.page("Tutorial.md").fences("sh").flatMap(\.lines)
    let products = lines.compactMap { $0.wholeMatch(of: /swift build --product (\S+)/)?.1 }
    #expect(products == ["scoped", "scopectl"])
    for product in products { #expect(package.contains(".executable(name: \"\(product)\"")) }
  }

  @Test func theMapNamesEveryFolder() throws {
    let page = try Self.page("HowItWorks.md")
    let map = try #require(page.fences("").first).lines.joined(separator: "\n")
    let names = try FileManager.default.contentsOfDirectory(
      atPath: packageFolder.appendingPathComponent("Sources").path)
    #expect(names.count > 15)
    for name in names { #expect(map.contains(name), "\(name) is not on the map") }
  }

  /// A fence of a kind that nobody runs would go stale unseen.
  @Test func everyFenceIsOneThatATestRuns() throws {
    let run = [
      "Commands.md": ["sh", "jsonl"], "Configuration.md": ["sh"], "Operating.md": ["sh"], "Tutorial.md": ["sh"],
      "Integrations.md": ["c"], "HowItWorks.md": [""], "Performance.md": [""],
    ]
    #expect(Self.pages.count == 13)
    for name in Self.pages {
      for fence in try Self.page(name).fences where fence.kind != "console" {
        #expect(run[name]?.contains(fence.kind) == true, "\(name):\(fence.line): '\(fence.kind)'")
      }
    }
    #expect(try Page("README.md").fences.map(\.kind) == ["", ""])
  }

  @Test func theDaemonsExampleStarts() throws {
    let lines = try Self.page("Configuration.md").fences("sh").flatMap(\.lines)
    let folder = TemporaryFolder()
    for line in lines {
      let shell = try PageShell(in: folder)
      shell.send(
        line.replacing("/var/lib/scoped", with: folder.file("data"))
          .replacing("/run/scoped/scoped.sock", with: folder.file("socket")).replacing("7400", with: "0"))
      #expect(shell.line()?.hasPrefix("scoped: ready at unix:") == true, "\(line)")
      #expect(shell.stop() == 0)
    }
    #expect(lines.count == 1)
  }

  // MARK: - Numbers

  /// With a comma between thousands.
  static func number(_ value: Int) -> String {
    let digits = String(value)
    return String(
      digits.enumerated().flatMap { index, digit -> [Character] in
        index > 0 && (digits.count - index) % 3 == 0 ? [",", digit] : [digit]
      })
  }

  private static func value(_ text: Substring, _ radix: Int) -> Int {
    Int(text.replacing(",", with: ""), radix: radix)!
  }
}

/// A folder in which the repository's scripts can be had by their paths.
private func repository() throws -> TemporaryFolder {
  let folder = TemporaryFolder()
  try FileManager.default.createSymbolicLink(
    atPath: folder.file("Scripts"), withDestinationPath: packageFolder.appendingPathComponent("Scripts").path)
  return folder
}

private func session(_ address: String) -> [String: String] {
  ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]
}
