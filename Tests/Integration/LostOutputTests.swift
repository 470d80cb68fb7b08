import Foundation
import ScopeTesting
import Testing

/// Output that could not be written is noticed, by every command there is.
@Suite struct LostOutput {
  /// Each command, and what it is given behind the `|`; in an order in which each has something to do.
  private static let lines = """
    check|user:1001 queue:clinic-appointments
    check-many|FOLDER/checks
    projects|1001
    filter|user:1001 queue shop-orders clinic-appointments
    objects|user:1001
    explain|user:1001 queue:shop-orders
    who-can-see|queue:shop-orders
    what-sees|user:1001
    visible-to|user:1001
    check-up|
    user list|
    user show|1001
    user rights|1001 report.agents
    user create|n1
    user edit|n1 --name N
    user delete|n1
    group list|
    group create|n2
    group edit|n2 --name N
    group add|n2 1001
    group remove|n2 1001
    group delete|n2
    role list|
    role create|n3 --right x.y
    role edit|n3 --add-right x.z
    role delete|n3 --yes
    project list|
    project show|clinic
    project create|n4
    project edit|n4 --name N
    project add|n4 user:1001
    project remove|n4 user:1001
    project move|queue:shop-orders shop clinic
    project delete|n4
    object show|queue:clinic-appointments
    object create|queue:n5
    object edit|queue:n5 --name N
    object place|queue:n5 clinic
    object move|queue:n5 clinic shop
    object unplace|queue:n5 shop
    object delete|queue:n5
    field list|
    field create|n6
    field edit|n6 --name N
    field place|n6 clinic
    field unplace|n6 clinic
    field delete|n6
    list of|--as user:1080
    list purpose|do-not-call unwanted
    list add|do-not-call +4930555001
    list numbers|do-not-call --as user:1080
    list screen|--as user:1080 +4930555001
    list remove|do-not-call +4930555001
    company show|
    company create|--company n7 --mode simple
    company delete|--company n7 --yes
    mode|
    preview|FOLDER/changes
    apply|FOLDER/changes
    import|FOLDER/changes
    export|
    log|
    watch changes|--after 1
    watch access|user:1001
    verify|
    ping|
    """.split(separator: "\n")

  /// The commands of `scopectl` that have no others below them.
  private func commands() throws -> Set<String> {
    let dump = try run(builtProduct("scopectl"), ["--experimental-dump-help"]).output
    let tree = try #require(try JSONSerialization.jsonObject(with: Data(dump.utf8)) as? [String: Any])
    func leaves(_ command: [String: Any], _ path: [String]) -> [String] {
      let below = (command["subcommands"] as? [[String: Any]] ?? []).filter { $0["commandName"] as? String != "help" }
      if below.isEmpty { return [path.joined(separator: " ")] }
      return below.flatMap { leaves($0, path + [$0["commandName"] as? String ?? ""]) }
    }
    return Set(leaves(try #require(tree["command"] as? [String: Any]), []))
  }

  @Test func isNoticedByEveryCommand() async throws {
    try await onThread {
      #expect(try commands() == Set(Self.lines.map { String($0.prefix { $0 != "|" }) }), "every command has its line")
      let daemon = try ProcessDaemon(in: TemporaryFolder())
      try Sample.load(into: try daemon.client())
      let folder = daemon.folder.file("")
      try "user:1001 queue:shop-orders\n".write(toFile: folder + "checks", atomically: true, encoding: .utf8)
      let change = #"{"company":"nordlicht","put_user":{"id":"n8","name":"N","roles":[]}}"#
      try (change + "\n").write(toFile: folder + "changes", atomically: true, encoding: .utf8)
      let environment = ["SCOPED_ADDRESS": daemon.address, "SCOPED_COMPANY": "nordlicht"]
      for line in Self.lines {
        let words = line.replacing("FOLDER/", with: folder).split { $0 == "|" || $0 == " " }.map(String.init)
        for more in [[], ["--json"]] where !(more == ["--json"] && Self.changing(line)) {
          let command = [builtProduct("scopectl").path] + words + more
          let lost = try run(
            URL(fileURLWithPath: "/bin/sh"), ["-c", "exec \"$@\" >/dev/full", "sh"] + command, environment: environment)
          #expect(lost.status == 73 && !lost.errors.isEmpty, "\(line) \(more): \(lost)")
        }
      }
      #expect(daemon.stop() == 0)
    }
  }

  /// Its second run would be refused.
  private static func changing(_ line: Substring) -> Bool {
    ["create", "delete", "add", "remove", "move", "place", "unplace", "import"].contains {
      line.prefix { $0 != "|" }.hasSuffix($0)
    }
  }

  /// Nobody reads any more: it ends without a word, as SIGPIPE ends others.
  @Test(arguments: [["user", "list"], ["log"], ["watch", "access", "user:1001"], ["--help"]])
  func aClosedPipeEndsQuietly(_ words: [String]) async throws {
    try await onThread {
      let daemon = try ProcessDaemon(in: TemporaryFolder())
      try Sample.load(into: try daemon.client())
      let (process, output, errors) = (Process(), Pipe(), daemon.folder.file("errors"))
      _ = FileManager.default.createFile(atPath: errors, contents: nil)
      process.executableURL = builtProduct("scopectl")
      process.arguments = words
      process.environment = ["SCOPED_ADDRESS": daemon.address, "SCOPED_COMPANY": "nordlicht"]
      process.standardOutput = output
      process.standardError = FileHandle(forWritingAtPath: errors)
      try output.fileHandleForReading.close()
      try process.run()
      #expect(process.awaitEnd() == 128 + SIGPIPE, "\(words)")
      #expect(try String(contentsOfFile: errors, encoding: .utf8) == "")
      #expect(daemon.stop() == 0)
    }
  }
}
