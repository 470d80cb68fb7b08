import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// What the platform asks to see what there is, whoever sees it.
@Suite struct ListingCalls {
  @Test func companiesAreListedWithTheirModes() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client()
      func companies() throws -> [String] {
        var rows: [String] = []
        try client.companies { rows.append("\($0.id) \($0.mode?.rawValue ?? "damaged")") }
        return rows
      }
      #expect(try companies() == [])
      try client.applyAll(smallCompany(), to: "b")
      try client.applyAll([.putCompany(.simple)], to: "a")
      #expect(try companies() == ["a simple", "b enhanced"] && client.revision == 2)
      for number in 0..<600 { try client.applyAll([.putCompany(.simple)], to: Name(stringLiteral: "c\(number)")) }
      #expect(try companies().count == 602, "in parts")
      try client.applyAll([.removeCompany], to: "a")
      #expect(try companies().first == "b enhanced")
    }
  }

  /// Companies that a memory budget has dropped are there all the same.
  @Test func companiesThatAreNotLoadedAreListed() async throws {
    let folder = TemporaryFolder()
    let first = try ProcessDaemon(in: folder)
    for number in 0..<20 { try first.client().applyAll(smallCompany(), to: Name(stringLiteral: "c\(number)")) }
    #expect(first.stop() == 0)
    let second = try ProcessDaemon(in: folder, arguments: ["--memory-budget", "1"])
    var modes: [SecurityMode?] = []
    try second.client().companies { modes.append($0.mode) }
    #expect(modes == [SecurityMode?](repeating: .enhanced, count: 20))
    #expect(second.stop() == 0)
  }

  /// Who may not see the log learns of no company.
  @Test func companiesAreShownWhereTheLogIs() async throws {
    let folder = TemporaryFolder()
    for (more, isShown) in [
      ([], false), (["--tcp-allows", "write", "platform"], false), (["--tcp-allows", "audit"], true),
    ] {
      let daemon = try ProcessDaemon(in: folder, arguments: ["--tcp", "127.0.0.1:0"] + more)
      let client = try Client(daemon.tcpAddress, timeoutMilliseconds: 10_000)
      var reason = ""
      do throws(ClientError) { try client.companies { _ in } } catch { reason = error.reason }
      #expect(reason == (isShown ? "" : "log_not_shown"), "\(more)")
      #expect(daemon.stop() == 0)
    }
  }

  @Test func objectsAreListedWhoeverSeesThem() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let client = try daemon.client("c")
      func objects(_ change: (inout ObjectQuery) -> Void = { _ in }) throws -> (rows: [String], total: Int) {
        var query = ObjectQuery()
        change(&query)
        var rows: [String] = []
        let total = try client.companyObjects(query) { row in
          rows.append("\(row.object.type):\(row.object.id) \(row.projects)")
        }
        return (rows, total)
      }
      let all = [#"queue:q ["p"]"#, "list:l []", "contact_field:name []", "contact_field:phone []"]
      #expect(try objects().rows == all)
      #expect(try objects { $0.isInNoProject = true }.rows == ["list:l []"])
      #expect(try objects { $0.types = [.contactField, ObjectType(name: "queue")!] }.rows == [all[0], all[2], all[3]])
      #expect(try objects { $0.text = "QUEUE" }.rows == [all[0]], "by its name")
      let first = try objects { $0.limit = 1 }
      #expect(first.rows == [all[0]] && first.total == 4)
      let unknown = #expect(throws: ClientError.self) { try daemon.client("none").companyObjects { _ in } }
      #expect(unknown?.reason == "unknown_company")
      client.at = .revision(1)
      #expect(try objects().rows == all)
    }
  }

  /// By a role, by a right that a role gives, and by being blocked; all that is named counts.
  @Test func usersAreNarrowedByRoleRightAndBlocking() async throws {
    try await withDaemon { daemon in
      func user(_ id: Name, _ roles: [Name], isBlocked: Bool = false) -> Change {
        .putUser(User(id: id, name: id, isBlocked: isBlocked), roles: roles)
      }
      try daemon.client().applyAll(
        [
          .putCompany(.enhanced), .putRole("r", rights: ["x"]), .putRole("s", rights: ["x", "y"]), user("a", ["admin"]),
          user("b", ["r"]), user("c", ["s"], isBlocked: true), user("d", ["r", "s"]), user("e", []),
        ], to: "c")
      let client = try daemon.client("c")
      func users(_ role: String = "", _ right: String = "", blocked: Bool = false) throws -> String {
        var query = UserQuery()
        (query.role, query.right, query.isBlocked) = (role, right, blocked)
        var ids = ""
        let total = try client.users(query) { ids += $0.id }
        #expect(total == ids.count)
        return ids
      }
      #expect(try users("r") == "bd" && users("s") == "cd" && users("admin") == "a")
      #expect(try users("", "x") == "abcd" && users("", "y") == "acd" && users("", "z") == "a")
      #expect(
        try users("r", "y") == "d" && users("s", "y", blocked: true) == "c" && users("", "", blocked: true) == "c")
      let error = #expect(throws: ClientError.self) { try users("none") }
      #expect(error?.reason == "unknown_role" && error?.message == "there is no role 'none'")
    }
  }
}
