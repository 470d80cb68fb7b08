import Foundation
import ScopeTesting
import Testing

/// The command line as a user meets it.
@Suite struct Commands {
  @Test func checkTellsAllowDenyUnavailableAndWrongUsageApart() async throws {
    try await withSample { address in
      let allow = try await scopectl(["check", "user:1001", "queue:clinic-appointments"], at: address)
      #expect(allow.status == 0)
      #expect(allow.output.hasPrefix("allow: shared_project project:clinic through group:clinic-team, revision "))
      let deny = try await scopectl(["check", "user:1001", "queue:shop-orders", "--json"], at: address)
      #expect(deny.status == 1)
      let json = try #require(try JSONSerialization.jsonObject(with: Data(deny.output.utf8)) as? [String: Any])
      #expect(json["verdict"] as? String == "deny" && json["reason"] as? String == "no_shared_project")
      let down = try await scopectl(["check", "user:1001", "queue:shop-orders"], at: "unix:/nonexistent/socket")
      #expect(down.status == 2)
      #expect(down.output == "unavailable\n" && down.errors.contains("is scoped running"), "\(down)")
      for wrong in [
        ["check", "user:1001"], ["check", "user:1001", "quue:x"], ["check", "1001", "queue:x"], ["chek"],
        ["check", "user:1001", "queue:x", "--timeout", "0"], ["check", "user:1001", "queue:x", "--address", "here"],
      ] {
        let usage = try await scopectl(wrong, at: address)
        #expect(usage.status == 64, "\(wrong): \(usage)")
        #expect(usage.output.isEmpty && usage.errors.contains("Usage: scopectl"))
      }
      let right = try await scopectl(
        ["check", "user:1073", "sip_provider:trunk-main", "--right", "report.agents"], at: address)
      #expect(right.status == 0, "\(right)")
      let wrongRight = try await scopectl(
        ["check", "user:1001", "queue:clinic-appointments", "--right", "report.agents"], at: address)
      #expect(wrongRight.status == 1 && wrongRight.output.contains("right_missing"))
    }
  }

  /// Where no connection can be made, the words name the address, and what to do about it.
  @Test func connectionErrorsFitTheirCause() async throws {
    let folder = TemporaryFolder()
    let (file, dead) = (folder.file("file"), folder.file("socket"))
    _ = FileManager.default.createFile(atPath: file, contents: nil)
    try ProcessDaemon(in: folder).killNow()
    for (address, words) in [
      (
        "unix:\(folder.file("none"))",
        "No such file or directory (connect_failed); there is no such file; is scoped running"
      ),
      ("unix:\(file)", "Connection refused (connect_failed); that is a file, and no socket"),
      ("unix:\(dead)", "Connection refused (connect_failed); nobody listens at this socket any more; start scoped"),
      (
        "tcp:127.0.0.1:1",
        "Connection refused (connect_failed); nothing listens there; is scoped running, and with --tcp?"
      ),
    ] {
      let asked = try await scopectl(["company", "show"], at: address)
      #expect(asked.status == 2 && asked.errors.hasPrefix("scopectl: \(address): cannot connect to the daemon: "))
      #expect(asked.errors.contains(words), "\(asked)")
      let json = try await scopectl(["company", "show", "--json"], at: address)
      #expect(json.status == 2 && json.output.isEmpty)
      #expect(
        json.errors.hasPrefix(#"{"error":{"reason":"connect_failed","message":"\#(address): cannot connect"#), "\(json)"
      )
      #expect(json.errors.hasSuffix(#","exit":2}}"# + "\n") && !json.errors.dropLast().contains("\n"))
    }
  }

  /// To be kept out is not to be met by starting the daemon.
  @Test(.enabled(if: getuid() == 0, "another user can't be made")) func aClosedSocketIsSaidToBeClosed() async throws {
    try await withSample { address in
      let path = String(address.dropFirst("unix:".count))
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
      let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: parent)
      let stranger = ["--reuid=65534", "--regid=65534", "--clear-groups", builtProduct("scopectl").path, "ping"]
      let asked = try await onThread {
        try run(URL(fileURLWithPath: "/usr/bin/setpriv"), stranger, environment: ["SCOPED_ADDRESS": address])
      }
      #expect(asked.status == 2 && asked.errors.contains("Permission denied"), "\(asked)")
      #expect(asked.errors.contains("the socket is closed to you (mode 600, owner root:root)"), "\(asked)")
    }
  }

  /// What is there already leaves no trace, though each batch has a key.
  @Test func importingWhatIsThereLeavesNoTrace() async throws {
    try await withSample { address in
      let before = try await scopectl(["log", "--json"], at: address)
      let file = packageFolder.appendingPathComponent("Scripts/sample/contact-centre.jsonl").path
      let again = try await scopectl(["import", file], at: address)
      #expect(again.status == 0 && again.output.contains(" imported, 0 rows changed"), "\(again)")
      #expect(try await scopectl(["log", "--json"], at: address).output == before.output)
    }
  }

  /// An id stands alone or with its own type in front, wherever a type is known; with another one it is refused.
  /// What is not there is said, in every list that can name it; what is there and has no rows is a quiet success.
  @Test func aTypoIsNoEmptyList() async throws {
    try await withSample { address in
      func run(_ words: String) async throws -> Run {
        try await scopectl(words.split(separator: " ").map(String.init), at: address)
      }
      for (words, unknown) in [
        ("user list --project clnic", "no project 'clnic'"), ("user list --group nordic", "no group 'nordic'"),
        ("user list --group nordic --project clnic", "no group 'nordic' and no project 'clnic'"),
        ("who-can-see queue:shop", "no queue 'shop'"), ("what-sees user:12", "no user '12'"),
        ("what-sees dialer:x:y", "no dialer 'x:y'"), ("what-sees user:1001 --project clnic", "no project 'clnic'"),
        ("objects group:nordic", "no group 'nordic'"), ("objects user:1001 --project x", "no project 'x'"),
        ("filter user:12 queue shop-orders", "no user '12'"),
        ("filter user:1001 queue shop-orders --project clnic --json", "no project 'clnic'"),
        ("projects 12", "no user '12'"), ("projects 12 --json", "no user '12'"),
        ("watch access user:12", "no user '12'"), ("log --actor 12", "no user '12'"),
        ("log --about role:cook", "no role 'cook'"), ("log --about queue:shop", "no queue 'shop'"),
        ("log --about list:x --actor 12", "no user '12' and no list 'x'"), ("user list --role cook", "no role 'cook'"),
        ("group show cooks", "no group 'cooks'"), ("role show cook", "no role 'cook'"),
      ] {
        let shown = try await run(words)
        #expect(shown.status == 1 && shown.output.isEmpty, "\(words): \(shown)")
        let isJSON = words.hasSuffix("--json")
        let said = isJSON ? #""message":"there is \#(unknown)"# : "there is \(unknown) (unknown_"
        #expect(shown.errors.contains(said), "\(words): \(shown.errors)")
      }
      for words in [
        "user list", "check-up", "who-can-see queue:a", "what-sees user:1001", "objects user:1001", "projects 1001",
        "filter user:1001 queue a", "group list", "role list", "field list", "log", "log --about user:1001",
        "watch access user:1001", "project list", "object list", "group show a", "role show a",
      ] {
        let shown = try await run("\(words) --company nordlich")
        #expect(shown.status == 1 && shown.output.isEmpty, "\(words): \(shown)")
        #expect(
          shown.errors.contains("there is no company 'nordlich' (unknown_company); did you mean 'nordlicht'?"),
          "\(words): \(shown)")
      }
      for (words, none) in [
        ("user list --project clinic --text zzz", "no users match\n"),
        ("log --about user:1001 --since 2031-01-01", "no changes match\n"),
        ("what-sees user:1016", "it sees nothing of this\n"), ("log --actor 1001", "no changes match\n"),
        ("objects user:1016", "it sees nothing of this\n"), ("filter user:1001 queue nowhere", ""),
        ("user list --offset 80", "only 80 users match\n"), ("object list --text zzz", "no objects match\n"),
        ("user list --role trainee --blocked --json", ""),
      ] {
        let shown = try await run(words)
        #expect(shown.status == 0 && shown.output.isEmpty && shown.errors == none, "\(words): \(shown)")
      }
      let past = try await run("user list --at 2020-01-01")
      #expect(past.status == 1 && past.errors.contains("there was no company 'nordlicht' then"))
    }
  }

  @Test func idsAreTakenWithTheirTypeOrAlone() async throws {
    try await withSample { address in
      func run(_ words: String) async throws -> Run {
        try await scopectl(words.split(separator: " ").map(String.init), at: address)
      }
      #expect(try await run("user edit user:1001 --name Anna --actor user:1080").status == 0)
      for (typed, alone) in [
        ("objects user:1001 --project project:clinic", "objects user:1001 --project clinic"),
        ("what-sees user:1001 --project project:clinic", "what-sees user:1001 --project clinic"),
        (
          "filter user:1001 queue clinic-appointments --project project:clinic",
          "filter user:1001 queue clinic-appointments --project clinic"
        ),
        ("filter user:1001 queue queue:shop --json", "filter user:1001 queue shop --json"),
        ("log --actor user:1080", "log --actor 1080"),
        ("user list --group group:nordic-desk", "user list --group nordic-desk"),
        ("user list --project project:clinic", "user list --project clinic"), ("projects user:1001", "projects 1001"),
        ("role edit role:operator --add-right a --preview", "role edit operator --add-right a --preview"),
      ] {
        let (first, second) = (try await run(typed), try await run(alone))
        #expect(
          first.status == second.status && first.output == second.output && first.output != "", "\(typed): \(first)")
        #expect(first.status != 64, "\(typed): \(first)")
      }
      for (wrong, type) in [
        ("user create group:7", "group"), ("group create user:7", "user"), ("project create queue:7", "queue"),
        ("role create user:7", "user"), ("log --actor project:clinic", "project"),
        ("list purpose queue:x vip", "queue"), ("filter user:1001 queue list:x", "list"),
        ("objects user:1001 --project user:1001", "user"), ("user list --group project:clinic", "project"),
        ("user create x --role group:operator", "group"), ("user create x --actor group:a", "group"),
        ("user create x --project contact_field:a", "contact_field"),
      ] {
        let refused = try await run(wrong)
        #expect(refused.status == 64 && refused.errors.contains("is a \(type), and a "), "\(wrong): \(refused)")
      }
      #expect(try await run("user create user:group:7").status == 0)
      #expect(try await run("user show user:group:7").output.contains("group:7"))
      #expect(try await run("user create other:7").status == 0, "what no type is may stand in an id")
    }
  }

  @Test func checkManyAnswersInOrder() async throws {
    try await withSample { address in
      let pairs = "user:1001 queue:clinic-appointments\n\nuser:1001\tqueue:shop-orders\n"
      let both = try await scopectl(["check-many", "-"], at: address, input: pairs)
      #expect(both.status == 1)
      let verdicts = both.output.split(separator: "\n").map { $0.split(separator: "\t")[2].prefix { $0 != ":" } }
      #expect(verdicts == ["allow", "deny"])
      let allowed = try await scopectl(["check-many", "-"], at: address, input: "user:1080 queue:shop-orders\n")
      #expect(allowed.status == 0)
      let bad = try await scopectl(["check-many", "-"], at: address, input: "user:1080 queue:shop-orders\nuser:1\n")
      #expect(bad.status == 65 && bad.errors.contains("standard input:2"), "\(bad)")
      let many = (0..<3_500).map { "user:1001 queue:none-\($0)\n" }.joined()
      let run = try await scopectl(["check-many", "-", "--json"], at: address, input: many)
      #expect(run.output.split(separator: "\n").count == 3_500)
      #expect(
        run.output.hasSuffix(
          #""reason":"unknown_object","message":null,"project":null,"group":null,"revision":2}"# + "\n"))
    }
  }

  @Test func listsAreTablesOrJSON() async throws {
    try await withSample { address in
      let projects = try await scopectl(["projects", "1071"], at: address)
      #expect(projects.status == 0)
      #expect(projects.output.split(separator: "\n").count == 7)
      #expect(projects.output.contains(#/project:collections +Kessler & Vogt Receivables +contents /#))
      #expect(projects.output.contains(#/project:clinic +Elbufer Clinic Group +tile /#))
      let objects = try await scopectl(
        ["objects", "user:1001", "--type", "queue", "--project", "clinic", "--json"], at: address)
      #expect(objects.output.contains(#"{"object":"queue:clinic-appointments","name":"#))
      let filter = try await scopectl(
        ["filter", "user:1001", "queue", "shop-orders", "clinic-appointments", "clinic-appointments"], at: address)
      #expect(filter.output == "clinic-appointments\nclinic-appointments\n")
      let input = try await scopectl(
        ["filter", "user:1001", "queue", "-"], at: address, input: "clinic-appointments\nx\n")
      #expect(input.output == "clinic-appointments\n")
    }
  }

  @Test func importNamesTheLineAndGoesOnWhereItStopped() async throws {
    try await withDaemon { daemon in
      let address = daemon.address(.unix)
      let users = (1...250).map { #"{"company":"c","put_user":{"id":"\#($0)"}}"# }
      let lines = [#"{"company":"c","put_company":{"mode":"enhanced"}}"#] + users
      let file = daemon.folder.file("import.jsonl")
      var broken = lines
      broken[220] = #"{"company":"c","put_user":{"id":"220","roles":["none"]}}"#
      try broken.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
      let stopped = try await scopectl(["import", file, "--batch", "100"], at: address)
      #expect(stopped.status == 1)
      #expect(stopped.errors.contains("import.jsonl:221: there is no role 'none'"), "\(stopped.errors)")
      #expect(stopped.errors.contains("lines up to 200 are applied"), "\(stopped.errors)")
      try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
      let rest = try await scopectl(["import", file, "--from-line", "201"], at: address)
      #expect(rest.status == 0 && rest.output.contains("51 changes imported, 51 rows changed"), "\(rest)")
      let again = try await scopectl(["import", file, "--json"], at: address)
      #expect(again.output.contains(#""changes":251,"edits":0"#), "\(again.output)")
      for (bad, words) in [("{", "not JSON"), (#"{"company":"c","put_user":{"id":"1","rols":[]}}"#, "unknown field")] {
        let run = try await scopectl(["import", "-"], at: address, input: lines[0] + "\n" + bad + "\n")
        #expect(run.status == 65 && run.errors.contains("standard input:2: ") && run.errors.contains(words), "\(run)")
        #expect(run.errors.contains("nothing was applied"))
      }
      let missing = try await scopectl(["import", "/nonexistent/file"], at: address)
      #expect(missing.status == 66 && missing.errors.contains("can't read /nonexistent/file"))
    }
  }

  @Test func exportImportsToTheSameDigest() async throws {
    try await withSample { address in
      try await withDaemon { other in
        let file = other.folder.file("export.jsonl")
        let first = try await scopectl(["export", "--output", file], at: address)
        #expect(first.status == 0 && first.errors.contains("sha256"))
        #expect(try await scopectl(["import", file], at: other.address(.unix)).status == 0)
        let second = try await scopectl(["export"], at: other.address(.unix))
        #expect(second.errors == first.errors)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == second.output)
        #expect(!FileManager.default.fileExists(atPath: file + ".partial"))
        let unknown = try await scopectl(["export", "--output", file], at: address, company: "nobody")
        #expect(unknown.status == 1 && unknown.errors.contains("no company 'nobody'"))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == second.output, "the old file is left")
      }
    }
  }

  @Test func whatCantBeWrittenIsSaid() async throws {
    try await withSample { address in
      let environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]
      let full = try await onThread {
        try run(
          URL(fileURLWithPath: "/bin/sh"), ["-c", "\"$0\" export >/dev/full", builtProduct("scopectl").path],
          environment: environment)
      }
      #expect(full.status == 73 && full.errors.contains("the output is incomplete: No space left"), "\(full)")
      let denied = try await scopectl(["check", "user:1001", "queue:shop-orders", "--repeat", "10"], at: address)
      #expect(denied.status == 1 && denied.output.contains("10 checks one at a time"))
    }
  }

  @Test func applyIsOneBatch() async throws {
    try await withSample { address in
      let add = #"{"company":"nordlicht","add_member":{"project":"shop","member_type":"user","member_id":"1001"}}"#
      let bad = #"{"company":"nordlicht","remove_user":{"id":"nobody"}}"#
      let refused = try await scopectl(["apply", "-"], at: address, input: add + "\n" + bad + "\n")
      #expect(
        refused.status == 1 && refused.errors.contains("standard input:2: there is no user 'nobody'"), "\(refused)")
      #expect(try await scopectl(["check", "user:1001", "queue:shop-orders"], at: address).status == 1)
      let applied = try await scopectl(["apply", "-", "--actor", "1080"], at: address, input: add + "\n")
      #expect(applied.status == 0 && applied.output.contains("applied, 1 row changed"), "\(applied)")
      #expect(try await scopectl(["check", "user:1001", "queue:shop-orders"], at: address).status == 0)
      let unable = try await scopectl(["apply", "-", "--actor", "1001"], at: address, input: add + "\n")
      #expect(unable.status == 1 && unable.errors.contains("right_missing"))
    }
  }

  @Test func pingAndHelpAndCompletion() async throws {
    try await withSample { address in
      let ping = try await scopectl(["ping"], at: address)
      #expect(ping.status == 0 && ping.output.contains("is ready: revision 2, companies: 2, "))
      #expect(try await scopectl(["ping"], at: "tcp:127.0.0.1:1").status == 2)
      for command in ["check", "check-many", "projects", "filter", "objects", "apply", "import", "export", "ping"] {
        let help = try await scopectl([command, "--help"], at: address)
        #expect(help.status == 0 && help.output.contains("USAGE: scopectl \(command)"))
      }
      #expect(try await scopectl(["--generate-completion-script", "bash"], at: address).output.contains("check-many"))
    }
  }
}

@Suite struct DaemonCommand {
  @Test(arguments: [
    (["--tcp", "0.0.0.0:0"], 73, "not a loopback address"),
    (["--tcp", "192.168.1.1:7400"], 73, "not a loopback address"),
    (["--tcp", "[::]:0"], 73, "not a loopback address"), (["--tcp", "7400"], 73, "not HOST:PORT"),
    (["--tcp", "127.0.0.1:99999"], 73, "not HOST:PORT"), (["--socket-mode", "999"], 64, "octal"),
    (["--threads", "0"], 64, "--threads"), (["--colour"], 64, "Unknown option"),
  ]) func refusesWhatItCantServe(arguments: [String], status: Int32, words: String) throws {
    let folder = TemporaryFolder()
    let base = ["--data", folder.file("data"), "--socket", folder.file("socket")]
    let refused = try run(builtProduct("scoped"), base + arguments)
    #expect(refused.status == status && refused.errors.contains(words), "\(refused)")
    #expect(refused.output.isEmpty)
  }

  /// A volume that is not mounted must not become a store that knows nobody.
  @Test(arguments: ["nothing", "an empty folder", "other files", "a store"]) func makesAStoreOnlyWhenTold(
    what: String
  ) throws {
    let folder = TemporaryFolder()
    let (data, manager) = (folder.file("data"), FileManager.default)
    switch what {
    case "nothing": break
    case "a store":
      let daemon = try ProcessDaemon(in: folder)
      try daemon.client().applyAll(smallCompany(), to: "c")
      #expect(daemon.logs("a new, empty store was created in \(data)"))
      #expect(daemon.stop() == 0)
    default:
      try manager.createDirectory(atPath: data, withIntermediateDirectories: true)
      if what == "other files" { _ = manager.createFile(atPath: data + "/lost+found", contents: nil) }
    }
    if what != "a store" {
      let line = ["--data", data, "--socket", folder.file("socket")]
      for environment in [[:], ["SCOPED_CREATE": "0"], ["SCOPED_CREATE": ""]] as [[String: String]] {
        let refused = try run(builtProduct("scoped"), line, environment: environment)
        #expect(refused.status == 69 && refused.output.isEmpty)
        for word in [data, "mounted?", "--create"] { #expect(refused.errors.contains(word), "\(refused)") }
      }
      #expect(
        !manager.fileExists(atPath: data + "/scoped.sqlite") && !manager.fileExists(atPath: folder.file("socket")))
      #expect(manager.fileExists(atPath: data) == (what != "nothing"))
    }
    let daemon = try ProcessDaemon(in: folder, environment: ["SCOPED_CREATE": "1"], isCreating: false)
    if what == "a store" {
      #expect(!daemon.log.contains("a new, empty store was created"))
    } else {
      #expect(daemon.logs("a new, empty store was created"))
    }
    let answer = try daemon.client("c").check("user:u0", "queue:q")
    #expect((answer.reason == "unknown_company") == (what != "a store"))
    #expect(daemon.stop() == 0)
    let again = try ProcessDaemon(in: folder, isCreating: false)
    #expect(again.stop() == 0, "what is there needs no leave")
  }

  @Test func leavesAFileThatIsNoSocketAlone() throws {
    let folder = TemporaryFolder()
    try "mine".write(toFile: folder.file("socket"), atomically: true, encoding: .utf8)
    let base = ["--data", folder.file("data"), "--create"]
    let refused = try run(builtProduct("scoped"), base + ["--socket", folder.file("socket")])
    #expect(refused.status == 73 && refused.errors.contains("not a socket"), "\(refused)")
    #expect(try String(contentsOfFile: folder.file("socket"), encoding: .utf8) == "mine")
    let long = folder.file(String(repeating: "x", count: 120))
    let tooLong = try run(builtProduct("scoped"), base + ["--socket", long])
    #expect(tooLong.status == 73 && tooLong.errors.contains("longer than 107 bytes"), "\(tooLong)")
  }

  @Test func servesLoopbackByAnyOfItsNames() throws {
    for name in ["127.0.0.1:0", "localhost:0", "127.1.2.3:0", "[::1]:0"] {
      let folder = TemporaryFolder()
      let daemon = try ProcessDaemon(in: folder, arguments: ["--tcp", name])
      #expect(daemon.stop() == 0)
    }
  }

  @Test func takesOverTheSocketOfOneThatWasKilled() throws {
    let folder = TemporaryFolder()
    try ProcessDaemon(in: folder).killNow()
    #expect(FileManager.default.fileExists(atPath: folder.file("socket")))
    let next = try ProcessDaemon(in: folder)
    let mode = try FileManager.default.attributesOfItem(atPath: folder.file("socket"))[.posixPermissions] as? Int
    #expect(mode == 0o660)
    #expect(try next.client().health().isReady)
    #expect(next.stop() == 0)
  }
}
