import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// Ids that the shell completes from the daemon.
@Suite struct Completion {
  private static let lines: [(line: String, whole: String)] = [
    ("scopectl check user:1001 queue:clinic-ap", "scopectl check user:1001 queue:clinic-appointments "),
    ("scopectl user list --project cl", "scopectl user list --project clinic "),
    ("scopectl group show group:clin", "scopectl group show group:clinic-team "),
    ("scopectl role show tea", "scopectl role show team_leader "),
    ("scopectl user show user:108", "scopectl user show user:1080 "),
    ("scopectl object move queue:vip-desk hotels sh", "scopectl object move queue:vip-desk hotels shop "),
    ("scopectl mode --company nordl", "scopectl mode --company nordlicht "),
    ("scopectl list purpose list:do-n", "scopectl list purpose list:do-not-call "),
    ("scopectl field place patie", "scopectl field place patient-number "),
    ("scopectl project add clinic user:1001 schedule:shop-ch", "schedule:shop-christmas-peak "),
    ("scopectl user create x --role campai", "scopectl user create x --role campaign_manager "),
  ]

  /// Typed into a real bash, with the tabulator behind each line.
  @Test func bashCompletesFromTheDaemon() async throws {
    try await withSample { address in
      try await onThread {
        let folder = TemporaryFolder()
        let script = try run(builtProduct("scopectl"), ["--generate-completion-script", "bash"])
        try script.output.write(toFile: folder.file("script"), atomically: true, encoding: .utf8)
        // `#` makes of each line a comment once it is completed: nothing is run.
        let typed = Self.lines.map { "\($0.line)\t#done\n" }.joined()
        let keys = "PS1='> '; bind 'set enable-bracketed-paste off'; source '\(folder.file("script"))'\n\(typed)exit\n"
        // A machine that is too busy for 200 ms completes nothing: then it is typed again.
        var left = Self.lines.map(\.whole)
        try waitUntil("all lines are completed") {
          let shown = try type(keys, at: address)
          left.removeAll { shown.contains("\($0)#done") }
          return left.isEmpty
        }
      }
    }
  }

  private func type(_ keys: String, at address: String) throws -> String {
    let path = builtProduct("scopectl").deletingLastPathComponent().path
    return try run(
      URL(fileURLWithPath: "/usr/bin/script"),
      ["-qec", "stty cols 300; exec bash --norc --noprofile -i", "/dev/null"], input: Data(keys.utf8),
      environment: [
        "SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "TERM": "dumb",
        "PATH": "\(path):/usr/bin:/bin",
      ]
    ).output
  }

  /// What the shell is offered for the last word.
  private func offered(_ words: [String], _ argument: String, at address: String) async throws -> Run {
    let command = Array(words.prefix { !$0.hasPrefix("-") && !$0.contains(":") }.prefix(2))
    let line = ["scopectl"] + words
    let last = "\(line.count - 1)"
    let all = ["---completion"] + command + ["--", argument, last, "\(words.last!.count)"] + line
    return try await onThread {
      try run(
        builtProduct("scopectl"), all,
        environment: ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "SAP_SHELL": "bash"])
    }
  }

  /// A machine that is too busy for 200 ms offers nothing: then it is asked again.
  private func awaitOffer(_ words: [String], at address: String, _ isRight: (Set<String>) -> Bool) async throws {
    let deadline = ContinuousClock.now + patience
    while ContinuousClock.now < deadline {
      let offer = try await offered(words, "positional@0", at: address)
      #expect(offer.status == 0 && offer.errors.isEmpty, "\(offer)")
      if isRight(Set(offer.output.split(separator: "\n").map(String.init))) { return }
    }
    throw TestFailure("nothing right is offered for \(words)")
  }

  @Test func thereAreNoMoreThanAShellCanShow() async throws {
    try await withSample { address in
      try await awaitOffer(["user", "show", "108"], at: address) { $0 == ["1080"] }
      let client = try Client(address, timeoutMilliseconds: 10_000)
      try client.applyAll(
        (0..<201).map { .putGroup(Group(id: Name(stringLiteral: "g\($0)"), name: "G")) }, to: "nordlicht")
      let many = try await offered(["group", "show", "g"], "positional@0", at: address)
      #expect(many.output.isEmpty || many.output == "\n", "what is cut would be completed wrongly: \(many)")
      try await awaitOffer(["group", "show", "g1"], at: address) { $0.count == 111 }
      let other = ["group", "show", "--company", "solmar", "g1"]
      #expect(try await offered(other, "positional@0", at: address).output.split(separator: "\n").isEmpty)
    }
  }

  /// Bash would run what stands in an id.
  @Test func idsThatAShellWouldObeyAreNotOffered() async throws {
    try await withSample { address in
      let client = try Client(address, timeoutMilliseconds: 10_000)
      let names: [Name] = [
        "z$(touch x)", "z`id`", "z y", "z'", "z*", "z\\", "z-plain", "zürich", "z;w", "z&", "z|", "z#",
      ]
      try client.applyAll(names.map { .putGroup(Group(id: $0, name: $0)) }, to: "nordlicht")
      var offers: [Set<String>] = []
      try await awaitOffer(["group", "show", "z"], at: address) { offer in
        offers.append(offer)
        return !offer.isEmpty
      }
      #expect(offers.last == ["z-plain", "zürich"])
    }
  }

  /// A daemon that takes the connection and never answers, and one that is not there.
  @Test func nothingIsSaidOfADaemonThatIsAway() async throws {
    let folder = TemporaryFolder()
    let path = folder.file("socket")
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    #expect(bound == 0 && listen(listener, 4) == 0)
    for address in ["unix:\(path)", "unix:/nonexistent/socket", "nonsense"] {
      for (words, argument) in [
        (["check", "user:1"], "positional@0"), (["user", "show", "1"], "positional@0"),
        (["project", "show", "--company", "n"], "--company"),
      ] {
        let ended = try await offered(words, argument, at: address)
        #expect(ended.status == 0 && ended.errors.isEmpty, "\(address): \(ended)")
        #expect(ended.output.split(separator: "\n").isEmpty, "\(address): \(ended)")
      }
    }
  }
}
