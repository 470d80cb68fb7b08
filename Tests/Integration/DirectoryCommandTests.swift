import Foundation
import ScopeTesting
import Testing

/// The commands that edit what there is.
@Suite struct EditingCommands {
  /// Each on what those before have left.
  private static let edits: [(arguments: String, status: Int32, words: String)] = [
    ("user create 1090 --name Ada --role operator --project clinic", 0, "applied, 3 rows changed"),
    ("user create 1090", 1, "user:1090 is there already; the subcommand edit alters it"),
    ("user create 1091 --role none", 1, "there is no role 'none' (unknown_role)"),
    ("user create 1091 --role operater", 1, "there is no role 'operater' (unknown_role); did you mean 'operator'?"),
    ("project show clinc", 1, "did you mean 'clinic'?"),
    ("object show queue:clinic-apointments", 1, "did you mean 'queue:clinic-appointments'?"),
    ("user show 1009a", 1, "there is no user '1009a' (unknown_user); did you mean '1009'?"),
    ("user show 1099", 1, "there is no user '1099' (unknown_user)\n"),
    ("group edit clinic-taem --name X", 1, "there is no group:clinic-taem; did you mean 'clinic-team'?"),
    ("role create viewers --right project.see_all", 0, "did you mean 'projects.see_all'?"),
    ("role delete viewers --yes", 0, "applied, "),
    ("group create bakers --name Bakers", 0, "applied, 1 row changed"),
    ("group create bakers", 1, "group:bakers is there already"),
    ("group rename bakers --name Bakery", 0, "applied, 1 row changed"),
    ("group edit cooks --name Cooks", 1, "there is no group:cooks; the subcommand create makes it"),
    ("group add bakers 1090 user:1001", 0, "applied, 2 rows changed"),
    ("group remove bakers 1001 nobody", 1, "there is no user 'nobody'"),
    ("group remove group:bakers 1001", 0, "applied, 1 row changed"),
    ("project create bakery --name Bakery --description Bread --actor 1080", 0, "applied, 2 rows changed"),
    ("project create bakery", 1, "project:bakery is there already"),
    ("project create bakery2 --name Bakery", 1, "project_name_taken"),
    ("project add bakery group:bakers user:1001 list:do-not-call", 0, "applied, 3 rows changed"),
    ("project add bakery user:1001", 0, "nothing to change"),
    ("project add bakery user:1002 queue:clinic-appointments", 1, "is in project 'clinic' and can be in one only"),
    ("project move queue:clinic-appointments clinic bakery", 0, "applied, 2 rows changed"),
    ("project remove bakery user:1001 list:do-not-call", 0, "applied, 2 rows changed"),
    ("object create queue:ovens --name Ovens --project bakery", 0, "applied, 2 rows changed"),
    ("object create queue:ovens", 1, "queue:ovens is there already"),
    ("object create queue:tins --system", 1, "only contact fields can"),
    ("object edit queue:ovens --name Oven", 0, "applied, 1 row changed"),
    ("object edit queue:tins --name Tins", 1, "there is no queue:tins"),
    ("object move queue:ovens bakery shop", 0, "applied, 2 rows changed"),
    ("object unplace queue:ovens project:shop", 0, "applied, 1 row changed"),
    ("object unplace queue:ovens shop", 0, "nothing to change"),
    ("object place queue:ovens bakery --actor 1001", 1, "right_missing"),
    ("object place queue:ovens bakery", 0, "applied, 1 row changed"),
    ("field create flour --name Flour --project bakery --project shop", 0, "warning: contact_field:flour is shared"),
    ("field edit flour --name Flours", 0, "applied, 1 row changed"),
    ("field place contact_field:flour hotels", 0, "'bakery', 'hotels', 'shop'"),
    ("field unplace flour shop", 0, "applied, 1 row changed"),
    ("field delete flour", 0, "applied, 3 rows changed"),
    ("field create bread --system", 0, "applied, 1 row changed"),
    ("field edit bread --name Loaf", 1, "is a system field"),
    ("field delete phone", 1, "is a system field"),
    ("mode simple", 64, "shows everyone in company 'nordlicht' everything: 1 row would change, access: "),
    ("mode simple --yes", 0, "applied, 1 row changed"),
    ("mode simple", 0, "nothing to change"),
    ("mode enhanced", 0, "applied, "),
    ("role delete admin", 1, "the role 'admin' can't be changed or removed"),
    ("role delete team_leader", 64, "this deletes role 'team_leader': "),
    ("role delete team_leader --yes", 0, "applied, "),
    ("object delete queue:ovens", 0, "applied, 2 rows changed"),
    ("object create list:autumn --project shop", 0, "applied, 2 rows changed"),
    ("list add autumn +4930555001", 0, "1 added"),
    ("object delete list:autumn", 64, "this deletes list 'autumn' with its purpose and numbers: 3 rows would change"),
    ("list delete autumn", 64, "--preview shows what, --yes does it"),
    ("list delete autumn --preview", 0, "preview: 3 rows would change"),
    ("list delete autumn --yes", 0, "applied, 3 rows changed"),
    ("list delete autumn --yes", 1, "there is no object 'list:autumn'"),
    ("object create list:empty --project shop", 0, "applied, 2 rows changed"),
    ("object delete list:empty", 0, "applied, 2 rows changed"),
    ("group delete bakers", 64, "--preview shows what, --yes does it"),
    ("group delete bakers -y", 0, "applied, "),
    ("group create idle", 0, "applied, 1 row changed"), ("group delete idle", 0, "applied, 1 row changed"),
    ("project delete bakery", 64, "this deletes project 'bakery': "),
    ("project delete bakery --yes", 0, "applied, "),
    ("user delete 1090", 0, "applied, "),
    ("user delete 1090", 1, "there is no user '1090'"),
  ]

  @Test func editAllThereIs() async throws {
    try await withSample { address in
      for edit in EditingCommands.edits {
        let run = try await scopectl(edit.arguments.split(separator: " ").map(String.init), at: address)
        #expect(run.status == edit.status, "\(edit.arguments): \(run)")
        #expect((edit.status == 0 ? run.output : run.errors).contains(edit.words), "\(edit.arguments): \(run)")
      }
      let placed = try await scopectl(["user", "create", "x", "--project", "clinic", "--json"], at: address)
      #expect(placed.output.hasPrefix(#"{"preview":false,"#) && placed.output.contains(#""edits":2,"#), "\(placed)")
      #expect(try await scopectl(["check", "user:x", "queue:clinic-lab-results"], at: address).status == 0)
      let empty = try await scopectl(["group", "create", "x"], at: address, company: "nobody")
      #expect(empty.status == 1 && empty.errors.contains("is --company right?"), "\(empty)")
    }
  }

  @Test func wrongArgumentsAreToldWithTheUsage() async throws {
    for (arguments, words) in [
      ("user", ""), ("user create", "Missing expected argument '<id>'"), ("user edit 1001", "Nothing to edit"),
      ("user edit 1001 --block --unblock", "already been set"), ("user list --sort age", "one of 'name' and 'group'"),
      ("user list --limit 0", "--limit"), ("user list --project p --no-project", "exclude each other"),
      ("user rights 1001", "Missing expected argument"), ("group edit g", "Missing expected argument"),
      ("role create r", "Missing expected argument"), ("role edit r", "Nothing to edit"),
      ("project edit p", "Nothing to edit"), ("project list --user", "Missing value"),
      ("project add p project:q", "a project can't be in a project"), ("project add p x", "there is no colon"),
      ("project move queue:q p", "Missing expected argument '<to>'"), ("object create quue:x", "'quue' is no type"),
      ("object create que:x", "did you mean 'queue:x'?"), ("objects user:1 --type lst", "did you mean 'list'?"),
      ("check usr:1001 queue:x", "did you mean 'user:1001'?"), ("object list --txet a", "Did you mean '--text'?"),
      ("user lst", "there is no command 'user lst'; did you mean 'user list'?"),
      ("chek a b", "there is no command 'chek'; did you mean 'check'?"), ("xyzzy", "there is no command 'xyzzy'\n"),
      ("object show user:1001", "'user' is no type of object"), ("field list --system --shared", "already been set"),
      ("mode strict", "one of 'simple' and 'enhanced'"),
      ("check-up --kind x", "field_shared"), ("preview - --first 0", "--first is from 1 to 1000"),
      ("watch", ""), ("watch access 1001", "there is no colon"), ("watch changes --after 1 --from-start", "exclude"),
      ("watch changes --timeout 100", "at least 500"),
      ("objects user:1 --type trunk", "it is none of user, group, project, queue, schedule"),
      ("check user:1 queue:q --at yesteryear", "is no time; write 2026-03-03"),
      ("group list --at r0", "revisions count from 1"),
      ("user edit 1 --add-role a --remove-role a", "both to be added and to be removed"),
      ("role edit r --add-right a --remove-right a", "both to be added and to be removed"),
      ("check user:1 queue:q --at 26-3-3", "is no time; write"),
      ("check user:1 queue:q --at 20260303", "is no time; write"),
      ("log --kind placment", "project_group"), ("log --since soon", "is no time; write"),
    ] {
      let run = try await scopectl(arguments.split(separator: " ").map(String.init), at: "unix:/nonexistent/socket")
      #expect(run.status == (words.isEmpty ? 0 : 64), "\(arguments): \(run)")
      if !words.isEmpty {
        #expect(run.errors.contains(words) && run.errors.contains("Usage: "), "\(arguments): \(run)")
      }
    }
  }

  @Test func everyCommandTeachesByAnExample() async throws {
    let groups = [
      "user": ["list", "show", "rights", "create", "edit", "delete"],
      "group": ["list", "show", "create", "edit", "delete", "add", "remove"],
      "role": ["list", "show", "create", "edit", "delete"],
      "project": ["list", "show", "create", "edit", "delete", "add", "remove", "move"],
      "object": ["list", "show", "create", "edit", "delete", "place", "unplace", "move"],
      "field": ["list", "create", "edit", "delete", "place", "unplace"], "watch": ["changes", "access"],
      "mode": [], "company": ["list", "show", "create", "delete"], "check-up": [], "preview": [],
    ]
    for (group, subcommands) in groups {
      for command in subcommands.isEmpty ? [[group]] : subcommands.map({ [group, $0] }) {
        let help = try await scopectl(command + ["--help"], at: "")
        #expect(help.status == 0 && help.output.contains("Example"), "\(command)")
        #expect(help.output.contains("  scopectl \(group)"), "\(command): \(help.output)")
      }
    }
    for shell in ["bash", "zsh", "fish"] {
      let script = try await scopectl(["--generate-completion-script", shell], at: "")
      #expect(script.status == 0 && script.output.contains("check-up") && script.output.contains("sip_provider"))
    }
  }

  @Test func tablesFitTheTerminalAndAreWholeInAPipe() async throws {
    try await withSample { address in
      let whole = try await scopectl(["projects", "1080"], at: address).output
      #expect(whole.contains("Medical confidentiality; inbound on +49 40 66969 100 to 129.\n") && !whole.contains("…"))
      for columns in [100, 60] {
        let table = try await onTerminal(["projects", "1080"], at: address, columns: columns)
        let lines = table.replacing("\r\n", with: "\n").split(separator: "\n")
        #expect(lines.count == whole.split(separator: "\n").count)
        #expect(lines.map(\.count).max() == columns && lines[1].hasSuffix("…"), "\(table)")
        #expect(lines[0].hasPrefix("PROJECT ") && table.contains("project:collections  "), "ids are not cut: \(table)")
      }
      #expect(try await onTerminal(["projects", "1011"], at: address, columns: 300).contains("100 to 129."))
      let none = try await scopectl(["projects", "1079"], at: address)
      #expect(none.output.isEmpty && none.errors == "the user sees no projects\n" && none.status == 0)
      let narrow = try await onTerminal(["user", "list", "--text", "berger"], at: address, columns: 40)
      #expect(
        narrow.replacing("\r\n", with: "\n").hasPrefix(
          "USER      user:1001\nNAME      Anna Berger\nSTATE     active\nROLES     role:operator\n"), "\(narrow)")
    }
  }

  /// Some scripts' signs take two columns.
  @Test func wideNamesFitTheTerminal() async throws {
    try await withSample { address in
      let name = "客服中心客服中心客服中心"
      #expect(try await scopectl(["group", "create", "wide", "--name", name], at: address).status == 0)
      let table = try await onTerminal(["group", "list", "--text", "wide"], at: address, columns: 44)
      #expect(table.contains("group:wide  客服中心客服中…  0\r\n"), "\(table)")
    }
  }

  /// Allowed green, denied red; nothing of it in a pipe, and for those who want none.
  @Test func coloursAreForTerminalsAlone() async throws {
    try await withSample { address in
      let check = ["check", "user:1001", "queue:shop-orders"]
      func shown(_ variables: String) async throws -> String {
        try await onTerminal(check, at: address, columns: 80, variables: variables)
      }
      let red = "\u{1B}[31mdeny\u{1B}[0m: no_shared_project, revision 2\r\n"
      #expect(try await shown("TERM=xterm") == red)
      #expect(try await shown("TERM=xterm NO_COLOR=") == red)
      for variables in ["TERM=dumb", "TERM=xterm NO_COLOR=1"] {
        #expect(try await shown(variables) == "deny: no_shared_project, revision 2\r\n")
      }
      #expect(try await scopectl(check, at: address).output == "deny: no_shared_project, revision 2\n")
      let allow = ["check", "user:1080", "queue:shop-orders"]
      let green = try await onTerminal(allow, at: address, columns: 80, variables: "TERM=xterm")
      #expect(green.hasPrefix("\u{1B}[32mallow\u{1B}[0m: "))
      let move = ["object", "move", "queue:vip-desk", "hotels", "shop", "--preview"]
      let preview = try await onTerminal(move, at: address, columns: 80, variables: "TERM=xterm")
      for part in ["\u{1B}[32m15 gained\u{1B}[0m, \u{1B}[31m10 lost", "\u{1B}[32m+\u{1B}[0m user:1039 "] {
        #expect(preview.contains(part), "\(preview)")
      }
    }
  }

  /// What a command prints on a terminal so many columns wide.
  private func onTerminal(
    _ arguments: [String], at address: String, columns: Int, variables: String = "TERM=dumb"
  ) async throws -> String {
    let command = ([variables, builtProduct("scopectl").path] + arguments).joined(separator: " ")
    return try await onThread {
      try run(
        URL(fileURLWithPath: "/usr/bin/script"),
        ["-qec", "stty cols \(columns); unset COLUMNS; \(command)", "/dev/null"],
        environment: ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]
      ).output
    }
  }
}

/// The commands that show what there is, and those that must read before they edit.
@Suite struct DirectoryCommands {
  @Test func userEditLeavesWhatIsNotNamed() async throws {
    try await withSample { address in
      func user(_ arguments: String...) async throws -> Run { try await scopectl(["user"] + arguments, at: address) }
      let before = try await json(["user", "show", "1001"], at: address)
      #expect(before["name"] as? String == "Anna Berger" && before["roles"] as? [String] == ["role:operator"])
      #expect(
        before["projects"] as? [[String: String]] == [["project": "project:clinic", "group": "group:clinic-team"]])
      let edited = try await user("edit", "1001", "--add-role", "team_leader", "--block", "--preview")
      #expect(edited.status == 0 && edited.output.contains("preview: 2 rows would change"), "\(edited)")
      #expect(edited.output.contains("- user:1001 Anna Berger  "))
      #expect(try await json(["user", "show", "1001"], at: address)["blocked"] as? Bool == false)
      #expect(try await user("edit", "1001", "--add-role", "team_leader", "--block").status == 0)
      #expect(try await user("edit", "1001", "--remove-role", "operator", "--unblock", "--name", "Anna B").status == 0)
      let after = try await json(["user", "show", "1001"], at: address)
      #expect(after["name"] as? String == "Anna B" && after["blocked"] as? Bool == false)
      #expect(after["roles"] as? [String] == ["role:team_leader"])
      #expect(
        after["projects"] as? [[String: String]] == [["project": "project:clinic", "group": "group:clinic-team"]])
      let unknown = try await user("edit", "9999", "--block")
      #expect(unknown.status == 1 && unknown.errors.contains("there is no user '9999'"), "\(unknown)")
    }
  }

  /// Edits of one user's roles at the same time lose none of each other.
  @Test func editsAtTheSameTimeAreAllKept() async throws {
    try await withSample { address in
      let roles = ["team_leader", "supervisor", "trainer"]
      try await withThrowingTaskGroup(of: Run.self) { group in
        for role in roles {
          group.addTask { try await scopectl(["user", "edit", "1001", "--add-role", role], at: address) }
        }
        for try await run in group { #expect(run.status == 0, "\(run)") }
      }
      let user = try await json(["user", "show", "1001"], at: address)
      #expect(Set(user["roles"] as? [String] ?? []) == Set((roles + ["operator"]).map { "role:\($0)" }))
    }
  }

  @Test func usersAreListedNarrowedAndSorted() async throws {
    try await withSample { address in
      func ids(_ arguments: String...) async throws -> [String] {
        try await jsonLines(["user", "list"] + arguments, at: address).compactMap { $0["user"] as? String }
      }
      #expect(try await ids().count == 80)
      #expect(try await ids("--text", "BERGER").contains("user:1001"))
      #expect(try await ids("--no-project") == ids("--no-project", "--at", "r1"))
      #expect(Set(try await ids("--no-project")) == ["user:1077", "user:1078", "user:1079", "user:1080"])
      #expect(try await ids("--blocked") == ["user:1016"])
      #expect(try await ids("--role", "admin") == ["user:1080"])
      #expect(try await ids("--right", "report.agents").count == 6, "admin holds it as well")
      #expect(try await ids("--right", "report.agents", "--role", "supervisor").count == 1)
      #expect(try await ids("--right", "none.such") == ["user:1080"])
      #expect(try await ids("--group", "onboarding").isEmpty)
      let clinic = try await ids("--project", "clinic", "--sort", "group")
      #expect(
        try await ids("--project", "clinic", "--sort", "group", "--offset", "1", "--limit", "2") == Array(clinic[1...2])
      )
      let some = try await scopectl(["user", "list", "--limit", "2"], at: address)
      #expect(
        some.output.split(separator: "\n").count == 3 && some.errors == "scopectl: users 1 to 2 of 80\n", "\(some)")
    }
  }

  @Test func rightsGroupsRolesProjectsObjectsAndFieldsAreShown() async throws {
    try await withSample { address in
      let rights = try await scopectl(["user", "rights", "1073", "report.agents", "projects.manage"], at: address)
      #expect(rights.status == 1, "\(rights)")
      #expect(rights.output == "RIGHT            HELD\nreport.agents    held\nprojects.manage  not held\n")
      #expect(try await scopectl(["user", "rights", "1080", "anything.at-all"], at: address).status == 0)
      let blocked = try await scopectl(["user", "rights", "1016", "x"], at: address)
      #expect(blocked.status == 1 && blocked.output == "RIGHT  HELD\nx      not held: subject_blocked\n")
      #expect(try await jsonLines(["group", "list"], at: address).count == 14)
      let roles = try await scopectl(["role", "list"], at: address)
      #expect(roles.output.split(separator: "\n").count == 12 && roles.output.contains("every right"))
      let project = try await scopectl(["project", "show", "clinic"], at: address)
      #expect(
        project.output.hasPrefix("project      project:clinic\nname         Elbufer Clinic Group\n"), "\(project)")
      #expect(project.output.contains("  group:clinic-team ") && project.output.contains("  queue:clinic-lab-results "))
      #expect(try await scopectl(["project", "show", "none"], at: address).status == 1)
      let object = try await scopectl(["object", "show", "queue:clinic-appointments"], at: address)
      #expect(object.output.hasSuffix("\nproject  project:clinic\n"), "\(object)")
      #expect(try await scopectl(["object", "show", "queue:none"], at: address).status == 1)
      let shared = try await jsonLines(["field", "list", "--shared"], at: address)
      #expect(
        shared.compactMap { $0["object"] as? String }
          == ["contact_field:date-of-birth", "contact_field:preferred-language"])
      #expect(try await jsonLines(["field", "list", "--system"], at: address).count == 3)
      let none = try await scopectl(["field", "list", "--in-none"], at: address)
      #expect(none.output.contains("\ncontact_field:legacy-crm-id ") && none.output.hasSuffix("  none\n"), "\(none)")
    }
  }

  @Test func rolesAndProjectsAreEditedAsTheyStand() async throws {
    try await withSample { address in
      func ctl(_ arguments: String) async throws -> Run {
        try await scopectl(arguments.split(separator: " ").map(String.init), at: address)
      }
      #expect(try await ctl("role create reviewer --right a --right b").status == 0)
      let again = try await ctl("role create reviewer --right c")
      #expect(again.status == 1 && again.errors.contains("the subcommand edit alters it"), "\(again)")
      #expect(try await ctl("role edit reviewer --add-right c --remove-right a").status == 0)
      let roles = try await jsonLines(["role", "list"], at: address)
      #expect(roles.first { $0["role"] as? String == "role:reviewer" }?["rights"] as? [String] == ["b", "c"])
      #expect(try await ctl("role edit nothing --add-right c").status == 1)
      #expect(try await ctl("role edit admin --add-right c").errors.contains("admin_role_fixed"))
      let old = try await json(["project", "show", "clinic"], at: address)
      #expect(try await ctl("project edit clinic --name Clinic").status == 0)
      let new = try await json(["project", "show", "clinic"], at: address)
      #expect(new["name"] as? String == "Clinic" && new["description"] as? String == old["description"] as? String)
      #expect((new["members"] as? [Any])?.count == (old["members"] as? [Any])?.count)
    }
  }

  /// A name may turn the direction of what a terminal shows behind it.
  @Test func namesDoNotReachTheTerminalAsTheyAre() async throws {
    try await withSample { address in
      let name = "Anna\u{202E}gro.elpmaxe\u{FEFF}"
      let created = try await scopectl(["user", "create", "turned", "--name", name], at: address)
      #expect(created.status == 0, "\(created)")
      for command in [
        "user show turned", "user list --text turned", "project add clinic user:turned", "project show clinic",
        "check user:turned queue:support", "explain user:turned queue:support", "log --about user:turned",
      ] {
        let words = command.split(separator: " ").map(String.init)
        let shown = try await scopectl(words, at: address)
        let all = shown.output + shown.errors
        #expect(!all.unicodeScalars.contains { ["\u{202E}", "\u{FEFF}"].contains($0) }, "\(command): \(all)")
        if words[0] == "user" {
          #expect(all.contains("Anna\\u{202e}gro.elpmaxe\\u{feff}"), "\(all)")
          let json = try await jsonLines(words, at: address)
          #expect(json.first?["name"] as? String == name)
        }
      }
    }
  }

  @Test func checkUpFindsWhatTheSampleHas() async throws {
    try await withSample { address in
      let findings = try await jsonLines(["check-up"], at: address).map { "\($0["kind"]!) \($0["thing"]!)" }
      #expect(findings.contains("field_in_no_project contact_field:legacy-crm-id"))
      #expect(findings.contains("object_in_no_project list:import-unsorted"))
      #expect(findings.filter { $0.hasPrefix("field_shared") }.count == 2)
      #expect(findings.filter { $0.hasPrefix("user_in_no_project") }.count == 2, "those who see all do not count")
      #expect(findings.contains("group_without_members group:onboarding"))
      let words = try await scopectl(["check-up", "--kind", "group_without_members"], at: address)
      #expect(words.status == 0 && words.output.hasPrefix("groups without members: 1\n  Nobody is in them: "))
      let list = ["import-unsorted", "+4315550777"]
      let added = try await scopectl(["list", "add"] + list, at: address)
      #expect(
        added.status == 0 && added.errors.hasSuffix("scopectl list purpose import-unsorted unwanted\n"), "\(added)")
      #expect(added.errors.contains("nothing is screened against it"), "\(added)")
      let lists = try await jsonLines(["check-up", "--kind", "list_without_purpose"], at: address)
      #expect(lists.map { "\($0["thing"]!)" } == ["list:import-unsorted"])
      #expect(try await scopectl(["list", "purpose", "import-unsorted", "vip"], at: address).status == 0)
      #expect(try await jsonLines(["check-up", "--kind", "list_without_purpose"], at: address).isEmpty)
      #expect(try await scopectl(["list", "add", "import-unsorted", "+4315550778"], at: address).errors == "")
      let none = try await scopectl(["check-up", "--kind", "user_still_in_default"], at: address)
      #expect(none.status == 0 && none.output == "" && none.errors == "nothing found\n")
    }
  }

  @Test func previewShowsAndDoesNothing() async throws {
    try await withSample { address in
      let line = #"{"company":"nordlicht","add_member":{"project":"shop","member_type":"user","member_id":"1001"}}"#
      let preview = try await scopectl(["preview", "-", "--first", "2"], at: address, input: line + "\n")
      #expect(preview.status == 0 && preview.output.hasPrefix("preview: 1 row would change; nothing was done; "))
      #expect(preview.output.contains("\n+ user:1001 Anna Berger  ") && preview.output.contains("\nand "), "\(preview)")
      #expect(try await scopectl(["check", "user:1001", "queue:shop-orders"], at: address).status == 1)
      let same = try await scopectl(["project", "add", "shop", "user:1001", "--preview", "--json"], at: address)
      #expect(same.output.contains(#""change":"gained","user":"user:1001""#), "\(same)")
      let bad = try await scopectl(["preview", "-"], at: address, input: line.replacing("1001", with: "none"))
      #expect(bad.status == 1 && bad.errors.contains("standard input:1: there is no user 'none'"), "\(bad)")
      let mode = try await scopectl(["mode", "simple", "--preview"], at: address)
      #expect(mode.status == 0 && mode.output.contains("access: "))
      let applied = try await scopectl(["project", "add", "shop", "user:1001"], at: address)
      #expect(applied.output.contains("\naccess: ") && applied.output.contains(" gained, 0 lost\n"), "\(applied)")
      let log = try await scopectl(["log", "-n", "1", "--kind", "project_user"], at: address)
      #expect(log.output.contains("\n    access: "), "\(log)")
    }
  }

  @Test func companiesAreShownCreatedAndRemoved() async throws {
    try await withSample { address in
      let created = try await scopectl(["company", "create", "--mode", "simple"], at: address, company: "bakery")
      #expect(created.status == 0, "\(created)")
      let facts = try await json(["company", "show"], at: address)
      #expect(facts["mode"] as? String == "enhanced" && (facts["user_count"] as? Int ?? 0) > 50)
      #expect(try await scopectl(["mode"], at: address, company: "bakery").output == "simple\n")
      #expect(
        try await scopectl(["mode", "--json"], at: address).output.hasPrefix(
          #"{"company":"company:nordlicht","mode":"enhanced","#))
      let all = try await jsonLines(["project", "list"], at: address)
      let tiles = try await jsonLines(["project", "list", "--user", "1080"], at: address)
      #expect(all.count == (facts["project_count"] as? Int) && tiles.count == all.count)
      let unasked = try await scopectl(["company", "delete"], at: address, company: "bakery")
      #expect(unasked.status == 64 && unasked.errors.contains("this deletes company 'bakery': "), "\(unasked)")
      for (typed, status) in [("bakry", 1), ("", 1), ("bakery", 0)] as [(String, Int32)] {
        let command = ["company", "delete", "--company", "bakery"]
        let asked = try await inTerminal(command, at: address, typing: typed + "\n")
        #expect(asked.status == status && asked.output.contains("Type bakery to go on: "), "\(asked)")
        #expect(asked.output.contains(status == 0 ? "applied, " : "nothing was changed"), "\(asked)")
      }
      let gone = try await scopectl(["company", "show"], at: address, company: "bakery")
      #expect(gone.status == 1 && gone.errors.contains("is --company right?"), "\(gone)")
      let then = try await scopectl(["company", "show", "--at", "r3"], at: address, company: "bakery")
      #expect(then.status == 0 && then.output.contains("mode      simple\n"), "\(then)")
    }
  }

  /// What was asked about is what is done: a change in between is shown, and asked about anew.
  @Test func aDeletionIsAskedAboutAnewIfTheCompanyChanges() async throws {
    try await withSample { address in
      try await onThread {
        let asked = try Dialogue(["project", "delete", "clinic"], at: address)
        try asked.awaitOutput { $0.hasSuffix("Type clinic to go on: ") }
        let environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]
        let between = ["object", "delete", "queue:clinic-lab-results"]
        #expect(try run(builtProduct("scopectl"), between, environment: environment).status == 0)
        asked.type("clinic\n")
        try asked.awaitOutput { $0.matches(of: #/Type clinic to go on: /#).count == 2 }
        asked.type("clinic\n")
        let (status, shown) = asked.end()
        let counts = shown.matches(of: #/this deletes project 'clinic': (\d+) rows would change/#).map { Int($0.1)! }
        #expect(status == 0 && counts.count == 2 && counts.last == counts[0] - 1, "\(shown)")
        #expect(shown.contains("the company was changed meanwhile"), "\(shown)")
        #expect(shown.contains("applied, \(counts.last ?? 0) rows changed"), "\(shown)")
      }
    }
  }

  /// Runs it with a terminal as its input and output.
  private func inTerminal(_ arguments: [String], at address: String, typing: String) async throws -> Run {
    let command = ([builtProduct("scopectl").path] + arguments).joined(separator: " ")
    return try await onThread {
      try run(
        URL(fileURLWithPath: "/usr/bin/script"), ["-qec", command, "/dev/null"], input: Data(typing.utf8),
        environment: ["SCOPED_ADDRESS": address])
    }
  }

  @Test func questionsAreAnsweredAsOfThen() async throws {
    try await withSample { address in
      for time in ["1960-01-01", "1970-01-01"] {  // on the wire the time 0 would be none
        let check = ["check", "user:1001", "queue:clinic-appointments", "--at", time]
        let environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "TZ": "UTC"]
        let then = try await onThread { try run(builtProduct("scopectl"), check, environment: environment) }
        #expect(then.status == 1 && then.output.contains("unknown_company"), "\(time): \(then)")
      }
      let move = ["object", "move", "queue:clinic-appointments", "clinic", "shop"]
      #expect(try await scopectl(move, at: address).status == 0)
      for (arguments, status) in [
        (["check", "user:1001", "queue:clinic-appointments"], 0 as Int32), (["check", "user:1001", "queue:none"], 1),
        (["explain", "user:1001", "queue:clinic-appointments"], 0),
      ] {
        let then = try await scopectl(arguments + ["--at", "r2"], at: address)
        #expect(then.status == status, "\(then)")
        #expect(try await scopectl(arguments, at: address).status == 1)
      }
      let filter = ["filter", "user:1001", "queue", "clinic-appointments", "shop-orders", "clinic-appointments"]
      #expect(try await scopectl(filter, at: address).output.isEmpty)
      let then = try await scopectl(filter + ["--at", "r2"], at: address)
      #expect(then.output == "clinic-appointments\nclinic-appointments\n", "\(then)")
      let objects = try await scopectl(["objects", "user:1001", "--type", "queue", "--at", "r2"], at: address)
      #expect(objects.output.contains("queue:clinic-appointments"))
      #expect(
        try await scopectl(["projects", "1071", "--at", "r2"], at: address).output.split(separator: "\n").count == 7)
      let before = try await scopectl(["check", "user:1001", "queue:shop-orders", "--at", "2020-01-01"], at: address)
      #expect(before.status != 0 && !before.output.hasPrefix("allow"), "\(before)")
    }
  }
}

/// Watches, over a restart of the daemon, until they are interrupted.
@Suite struct WatchCommands {
  @Test func changesComeOnceAndInOrderOverARestart() async throws {
    let folder = TemporaryFolder()
    let first = try ProcessDaemon(in: folder)
    try Sample.load(into: try first.client())
    let address = first.address
    let watch = try RunningCommand(["watch", "changes", "--from-start", "--json"], at: address)
    try await watch.awaitOutput { $0.hasSuffix(#","revision":1}"# + "\n") }
    #expect(try await scopectl(["group", "create", "one"], at: address).status == 0)
    try await watch.awaitOutput { $0.contains(#""after":{"group":"group:one","name":"one"}"#) }
    first.killNow()
    let second = try ProcessDaemon(in: folder)
    #expect(try await scopectl(["group", "create", "two"], at: address).status == 0)
    try await watch.awaitOutput { $0.contains(#""after":{"group":"group:two","name":"two"}"#) }
    #expect(watch.interrupt() == 0)
    let revisions = watch.output.split(separator: "\n").map { $0.suffix(13) }
    #expect(
      revisions == [#""revision":1}"#, #""revision":3}"#, #""revision":4}"#].map { $0.suffix(13) }, "\(watch.output)")
    #expect(watch.output.hasSuffix("}\n"))
    #expect(second.stop() == 0)
  }

  @Test func accessComesAsDifferencesOverARestart() async throws {
    let folder = TemporaryFolder()
    let first = try ProcessDaemon(in: folder)
    try Sample.load(into: try first.client())
    let address = first.address
    let watch = try RunningCommand(["watch", "access", "user:1001", "--type", "queue"], at: address)
    try await watch.awaitOutput { $0.contains("+ queue:clinic-appointments ") }
    let move = ["object", "move", "queue:clinic-appointments"]
    #expect(try await scopectl(move + ["clinic", "shop"], at: address).status == 0)
    try await watch.awaitOutput { $0.contains("- queue:clinic-appointments ") }
    first.killNow()
    let second = try ProcessDaemon(in: folder)
    try await watch.awaitOutput { $0.hasSuffix("\nreset\n") }
    #expect(try await scopectl(move + ["shop", "clinic"], at: address).status == 0)
    try await watch.awaitOutput { $0.contains("reset\n+ queue:clinic-appointments ") }
    #expect(watch.interrupt() == 0)
    #expect(second.stop() == 0)
  }

  @Test func aRefusedWatchEnds() async throws {
    try await withSample { address in
      let unknown = try await scopectl(["watch", "changes"], at: address, company: "nobody")
      #expect(unknown.status == 1 && unknown.errors.contains("is --company right?"), "\(unknown)")
    }
  }
}

/// The command line while it runs.
private final class RunningCommand: @unchecked Sendable {
  private let process = Process()
  private let folder = TemporaryFolder()

  init(_ arguments: [String], at address: String) throws {
    _ = FileManager.default.createFile(atPath: folder.file("output"), contents: nil)
    process.executableURL = builtProduct("scopectl")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht"]) { $1 }
    process.standardOutput = FileHandle(forWritingAtPath: folder.file("output"))
    process.standardError = FileHandle.nullDevice
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var output: String { (try? String(contentsOfFile: folder.file("output"), encoding: .utf8)) ?? "" }

  func awaitOutput(_ isThere: (String) -> Bool) async throws {
    try await waitUntil("more than: \(output)") { isThere(output) || !process.isRunning }
    if !isThere(output) { throw TestFailure("it printed only: \(output)") }
  }

  func interrupt() -> Int32 {
    process.interrupt()
    return process.awaitEnd()
  }
}

private func jsonLines(_ arguments: [String], at address: String) async throws -> [[String: Any]] {
  let run = try await scopectl(arguments + ["--json"], at: address)
  guard run.status == 0 else { throw TestFailure("\(arguments): \(run)") }
  return try run.output.split(separator: "\n").map { line in
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }
}

private func json(_ arguments: [String], at address: String) async throws -> [String: Any] {
  try #require(try await jsonLines(arguments, at: address).first)
}

/// The command line with a terminal, and somebody at it.
private final class Dialogue {
  private let process = Process()
  private let keyboard: FileHandle
  private var shown = ""

  init(_ arguments: [String], at address: String) throws {
    var (ours, its): (Int32, Int32) = (-1, -1)
    if openpty(&ours, &its, nil, nil, nil) != 0 { throw TestFailure("there is no terminal") }
    keyboard = FileHandle(fileDescriptor: ours, closeOnDealloc: true)
    let screen = FileHandle(fileDescriptor: its, closeOnDealloc: true)
    process.executableURL = builtProduct("scopectl")
    process.arguments = arguments
    process.environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "TERM": "dumb"]
    (process.standardInput, process.standardOutput, process.standardError) = (screen, screen, screen)
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  func awaitOutput(_ isThere: (String) -> Bool) throws {
    while !isThere(shown) {
      if !read() { throw TestFailure("it printed only: \(shown)") }
    }
  }

  func type(_ keys: String) { keyboard.write(Data(keys.utf8)) }

  /// Waits until it has ended; how it did, and all that was shown.
  func end() -> (status: Int32, shown: String) {
    let status = process.awaitEnd()
    while read(milliseconds: 0) {}
    return (status, shown)
  }

  private func read(milliseconds: Int32 = 120_000) -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    var ready = pollfd(fd: keyboard.fileDescriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, milliseconds) > 0 else { return false }
    let count = Glibc.read(keyboard.fileDescriptor, &bytes, bytes.count)
    if count > 0 { shown += String(decoding: bytes[..<count], as: UTF8.self) }
    return count > 0
  }
}
