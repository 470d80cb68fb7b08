import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// The worst names through everything that reads and writes names: byte for byte what they were.
@Suite struct NamesThroughEveryReaderAndWriter {
  private func withWorst(_ body: @escaping @Sendable (TestDaemon) async throws -> Void) async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(WorstNames.company(), to: "c")
      try await body(daemon)
    }
  }

  private func output(
    _ arguments: [String], _ daemon: TestDaemon, input: String? = nil, company: String = "c", status: Int32 = 0
  ) async throws -> String {
    let run = try await scopectl(arguments, at: daemon.address(.unix), company: company, input: input)
    #expect(run.status == status, "\(arguments): \(run.errors)")
    return run.output
  }

  private func has(_ text: String, _ part: String) -> Bool {
    let (text, part) = (Data(text.utf8), Data(part.utf8))
    return text.range(of: part) != nil
  }

  /// Out of one store, through a file, into another; and through the disk. Two users that became one would show.
  @Test func areTheSameAfterExportImportAndRestart() async throws {
    let file = TemporaryFolder()
    var digest: [UInt8] = []
    try await withWorst { daemon in
      _ = try await output(["export", "--output", file.file("export")], daemon)
    }
    let lines = try Data(contentsOf: URL(fileURLWithPath: file.file("export"))).split(separator: 0x0A)
    #expect(lines.count > WorstNames.all.count * 9)
    let marked = Data([0xEF, 0xBB, 0xBF]) + (try Data(contentsOf: URL(fileURLWithPath: file.file("export"))))
    try marked.write(to: URL(fileURLWithPath: file.file("marked")))
    for name in ["export", "marked"] {
      try await withDaemon { daemon in
        _ = try await output(["import", file.file(name)], daemon)
        let found = try daemon.client("c").export("c", timeoutMilliseconds: .anHour) { _ in }
        digest = digest.isEmpty ? try await digestOfTheSame() : digest
        #expect(found == digest, "\(name)")
        let again = try await output(["export"], daemon)
        #expect(Data(again.utf8).split(separator: 0x0A) == lines, "\(name)")
        #expect(try daemon.client().verify().isSound)
      }
    }
    let folder = TemporaryFolder()
    let first = try await TestDaemon(in: folder)
    try first.client().applyAll(WorstNames.company(), to: "c")
    try await first.stop()
    let second = try await TestDaemon(in: folder)
    #expect(try second.client("c").export("c", timeoutMilliseconds: .anHour) { _ in } == digest)
    #expect(try second.client().verify().isSound)
    try await second.stop()
  }

  private func digestOfTheSame() async throws -> [UInt8] {
    let daemon = try await TestDaemon()
    try daemon.client().applyAll(WorstNames.company(), to: "c")
    let digest = try daemon.client("c").export("c", timeoutMilliseconds: .anHour) { _ in }
    try await daemon.stop()
    return digest
  }

  /// All at once: as arguments, on standard input, in answers.
  @Test func areTheSameInWhatIsAskedOfMany() async throws {
    try await withWorst { daemon in
      let texts = WorstNames.all.map { "list:\($0)" }  // some begin as refs do
      let pairs = WorstNames.all.map { "user:\($0)\tqueue:\($0)\t\($0)\n" }.joined()
      let checks = try await output(["check-many", "-", "--json"], daemon, input: pairs)
      for (name, line) in zip(WorstNames.all, checks.utf8.split(separator: 0x0A)) {
        let quoted = WorstNames.quoted(name).utf8.dropFirst().dropLast()
        let line = String(Substring(line))
        #expect(has(line, "\"subject\":\"user:\(String(Substring(quoted)))\""), "\(line)")
        #expect(has(line, "\"verdict\":\"allow\"") && has(line, "\"project\":" + ref("project", name)), "\(line)")
      }
      // Of the lists each user sees the one of its name alone.
      for user in WorstNames.all.enumerated().filter({ $0.offset % 9 == 0 }).map(\.element) {
        let seen = try await output(
          ["filter", "user:\(user)", "list", "-"], daemon, input: texts.joined(separator: "\n"))
        #expect(Array(seen.utf8) == Array(user.text.utf8) + [0x0A], "\(user)")
        let json = try await output(["filter", "user:\(user)", "list", "--json", "--"] + texts, daemon)
        #expect(has(json, "\"objects\":[\(ref("list", user))]"), "\(json)")
      }
      let users = try await output(["user", "list", "--json", "--limit", "1000"], daemon)
      for name in WorstNames.all { #expect(has(users, "\"user\":" + ref("user", name)), "\(name)") }
    }
  }

  /// One by one, in every kind of command that takes a ref, an id, a right or a file.
  @Test func areTheSameInEveryCommand() async throws {
    try await withWorst { daemon in
      for (place, name) in WorstNames.all.enumerated() {
        let text = name.text
        let check = try await output(["check", "user:\(text)", "queue:\(text)", "--right=\(text)", "--json"], daemon)
        #expect(has(check, "\"project\":\(ref("project", name))"), "\(check)")
        let user = try await output(["user", "show", "user:\(text)", "--json"], daemon)
        #expect(has(user, "\"user\":\(ref("user", name))"), "\(user)")
        if place % 4 == 0 { try await askFurther(name, daemon) }
      }
    }
  }

  private func askFurther(_ name: Name, _ daemon: TestDaemon) async throws {
    let text = name.text
    let (list, queue) = ("\"object\":\(ref("list", name))", "\"object\":\(ref("queue", name))")
    let (project, user) = ("\"project\":\(ref("project", name))", "\"user\":\(ref("user", name))")
    let questions: [([String], String)] = [
      (["objects", "user:\(text)", "--project=project:\(text)", "--type", "list"], list),
      (["objects", "project:\(text)", "--type", "queue"], queue),
      (["what-sees", "group:\(text)"], queue), (["who-can-see", "queue:\(text)"], user),
      (["explain", "user:\(text)", "list:\(text)"], list), (["projects", "user:\(text)"], project),
      (["project", "show", "project:\(text)"], project), (["object", "show", "queue:\(text)"], queue),
      (["user", "list", "--project=project:\(text)"], user),
      (["group", "show", "group:\(text)"], ref("project", name)),
      (["object", "list", "--text=\(text)"], queue),
    ]
    for (arguments, part) in questions {
      let answer = try await output(arguments + ["--json"], daemon)
      #expect(has(answer, part), "\(arguments): \(answer)")
    }
    try await edit(name, daemon)
  }

  /// As JSON has it.
  private func ref(_ type: String, _ name: Name) -> String {
    "\"\(type):" + String(Substring(WorstNames.quoted(name).utf8.dropFirst()))
  }

  /// Changes it by a command and by a file, and reads it back out of the log.
  private func edit(_ name: Name, _ daemon: TestDaemon) async throws {
    let text = name.text
    _ = try await output(["project", "remove", "project:\(text)", "group:\(text)"], daemon)
    let line = ChangeLine(company: "c", change: .addMember(project: name, .group(name))).json
    _ = try await output(["apply", "-"], daemon, input: "\u{FEFF}" + line + "\n")
    let about = try await output(["log", "--about=project:\(text)", "--number", "2", "--json"], daemon)
    let row = "{\"project\":\(ref("project", name)),\"group\":\(ref("group", name))}"
    #expect(
      has(about, "\"before\":null,\"after\":\(row)}") && has(about, "\"before\":\(row),\"after\":null}"), "\(about)")
    let words = try await output(["log", "--about", "project:\(text)", "--number", "1"], daemon)
    let shown = escaped(text)
    #expect(has(words, "added group \(shown) to project \(shown), caller"), "\(words)")
  }

  /// Two forms of one letter are two things, in what is said of changes too.
  @Test func areToldApartInWords() async throws {
    let (composed, apart): (Name, Name) = ("é", "e\u{301}")
    try await withWorst { daemon in
      _ = try await output(["user", "edit", composed.text, "--name", apart.text], daemon)
      _ = try await output(["user", "edit", composed.text, "--name", composed.text], daemon)
      let log = try await output(["log", "--about", "user:\(composed)", "--number", "1"], daemon)
      #expect(has(log, "changed user é: '\(apart)' to '\(composed)'"), "\(log)")
      let (queue, other) = (
        ObjectRef(ObjectType(name: "queue")!, composed), ObjectRef(ObjectType(name: "queue")!, apart)
      )
      let batch: [Change] = [
        .unplace(other, project: apart), .unplace(queue, project: composed), .place(other, project: "K"),
      ]
      try daemon.client().applyAll(batch, to: "c")
      let moves = try await output(["log", "--number", "1"], daemon)
      #expect(!has(moves, "moved") && has(moves, "took queue:\(composed) out of project \(composed)"), "\(moves)")
      #expect(has(moves, "placed queue:\(apart) in project K"), "\(moves)")
    }
  }

  @Test func thatAreNoUTF8AreNotRepaired() async throws {
    try await withWorst { daemon in
      let script = #"exec "$0" check "user:$(printf 'x\351')" queue:1001 --json"#
      let done = try await onThread {
        try run(
          URL(fileURLWithPath: "/bin/sh"), ["-c", script, builtProduct("scopectl").path],
          environment: ["SCOPED_ADDRESS": daemon.address(.unix), "SCOPED_COMPANY": "c"])
      }
      #expect(done.status == 64 && done.errors.contains("argument 2 is not valid UTF-8"), "\(done)")
    }
  }

  @Test func areTheSameForChannels() async throws {
    try await withFastAGI { daemon, port in
      try daemon.client().applyAll(WorstNames.company(), to: "c")
      try await onThread { () throws -> Void in
        for name in WorstNames.all {
          let found = try AsteriskAGI.ask(port, "can-see?company=c", ["user:\(name)", "queue:\(name)", name.text])
          #expect(found.result == "allow" && found.reason == "shared_project", "\(name): \(found)")
          #expect(found.project.map { Array($0.utf8) } == Array(name.text.utf8), "\(name): \(found)")
        }
      }
    }
  }
}
