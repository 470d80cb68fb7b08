import Foundation
import ScopeClient
import ScopeModel
import ScopeServer
import ScopeTesting
import Testing

/// What channels are told is what the protocol's calls answer.
@Suite struct FastAGIAnswers {
  private func verdict(_ answer: Answer) -> AsteriskAGI.Verdict {
    AsteriskAGI.Verdict(result: answer.verdict.rawValue, reason: answer.reason, project: answer.project)
  }

  @Test(arguments: ["checks.tsv", "checks-simple.tsv"]) func canSeeAnswersAsTheSampleSays(file: String) async throws {
    try await withFastAGI { daemon, port in
      let client = try daemon.client()
      try Sample.load(into: client)
      if file == "checks-simple.tsv" { try client.applyAll([.setMode(.simple)], to: "solmar") }
      try await onThread {
        for row in try Sample.rows(file) {
          let told = try AsteriskAGI.ask(port, "can-see?company=\(row.company)", [row.subject, row.object])
          let expected = AsteriskAGI.Verdict(result: row.expected, reason: row.reason, project: row.project)
          #expect(told == expected, "\(row)")
        }
      }
    }
  }

  @Test func theRevisionIsThatOfTheRules() async throws {
    try await withFastAGI { daemon, port in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
      for _ in 0..<2 {
        let revision = client.check("user:u0", "queue:q").revision
        for (object, result) in [("queue:q", "allow"), ("project:p", "allow"), ("user:u1", "deny")] {
          let told = try AsteriskAGI.ask(port, "can-see?company=c", ["user:u0", object])
          #expect(told.result == result && told.revision == "\(revision)", "\(object): \(told)")
        }
        try client.applyAll([.putGroup(Group(id: "another", name: "Another"))], to: "c")
      }
      let unavailable = try AsteriskAGI.ask(port, "can-see?company=c", ["user:u0", "nothing"])
      #expect(unavailable.result == "unavailable" && unavailable.revision == "")
    }
  }

  @Test func aRightIsAskedForAsTheCallsAskForIt() async throws {
    try await withFastAGI { daemon, port in
      try Sample.load(into: try daemon.client())
      let users: [Name] = ["1001", "1016", "1071", "1073", "1077", "1080", "9999"]
      let rights: [Name] = ["report.agents", "projects.see_all", "projects.list", "no.such.right"]
      try await onThread {
        let client = try daemon.client("nordlicht")
        for user in users {
          let (held, reason, _) = try client.hasRights(user, rights)
          for (right, isHeld) in zip(rights, held) {
            let told = try AsteriskAGI.ask(port, "has-right?company=nordlicht", ["user:\(user)", "\(right)"])
            let words = reason.isEmpty ? (isHeld ? "right_held" : "right_missing") : reason
            #expect(told == .init(result: isHeld ? "allow" : "deny", reason: words, project: ""), "\(user) \(right)")
            let check = client.check("user:\(user)", "queue:insurer-claims", right: "\(right)")
            let arguments = ["user:\(user)", "queue:insurer-claims", "\(right)"]
            #expect(try AsteriskAGI.ask(port, "can-see?company=nordlicht", arguments) == verdict(check))
          }
        }
        let told = try AsteriskAGI.ask(port, "has-right?company=nobody", ["user:1001", "report.agents"])
        #expect(told == .init(result: "deny", reason: "unknown_company", project: ""))
      }
    }
  }

  @Test func aNumberIsScreenedAsTheCallScreensIt() async throws {
    try await withFastAGI { daemon, port in
      try daemon.client().applyAll(numberCompany(), to: "c")
      let wire = WireCaller(daemon.address(.unix), company: "c")
      try wire.add([NumberRow("4310000001"), NumberRow("4310000002")], to: "shop-calls")
      try wire.add([NumberRow("4310000002")], to: "shop-dnc")
      try wire.add([NumberRow("4310000003")], to: "shop-vip")
      try await onThread {
        let client = try daemon.client("c")
        for asker in ["shop", "clinic", "nowhere"] as [Name] {
          for list in [nil, "shop-calls"] as [Name?] {
            for number in ["+4310000001", "4310000002", "4310000003", "112", "anonymous", ""] {
              let arguments = ["dialer:\(asker)", number] + (list.map { ["list:\($0)"] } ?? [])
              let told = try AsteriskAGI.ask(port, "screen-number?company=c&plus=optional", arguments)
              let screening = try client.screen([number], for: dialer(asker), callingList: list)
              let verdict = try #require(screening.answers[0].verdict)
              let expected = AsteriskAGI.Verdict(
                result: verdict.allows ? "allow" : "deny", reason: screening.refusal ?? verdict.code, project: "")
              #expect(told == expected, "\(arguments)")
            }
          }
        }
        let told = try AsteriskAGI.ask(port, "screen-number?company=nobody", ["dialer:shop", "4310000001"])
        #expect(told == .init(result: "deny", reason: "unknown_company", project: ""))
      }
    }
  }

  /// A carrier of another country sends the same digits, and means somebody else.
  @Test func aNumberWithoutAPlusIsOfTheCountryNamed() async throws {
    try await withFastAGI { daemon, port in
      try daemon.client().applyAll(numberCompany(), to: "c")
      let unwanted = ["12025550147", "442079460958", "390612345678"]
      try WireCaller(daemon.address(.unix), company: "c").add(unwanted.map { NumberRow($0) }, to: "shop-dnc")
      let cases = [
        ("", "2025550147", "invalid"), ("", "12025550147", "invalid"), ("", "+12025550147", "unwanted"),
        ("&plus=optional", "12025550147", "unwanted"), ("&plus=optional", "2025550147", "clear"),
        ("&country=US", "2025550147", "unwanted"), ("&country=US", "(202) 555-0147", "unwanted"),
        ("&country=CA", "12025550147", "unwanted"), ("&country=US", "+442079460958", "unwanted"),
        ("&country=GB", "02079460958", "unwanted"), ("&country=US", "02079460958", "invalid"),
        ("&country=IT", "0612345678", "unwanted"), ("&country=IT", "112", "invalid"), ("&country=US", "", "invalid"),
        ("&country=us", "2025550147", "unknown_country"), ("&country=XX", "2025550147", "unknown_country"),
        ("&country=", "2025550147", "unknown_country"),
      ]
      try await onThread {
        let client = try daemon.client("c")
        for (query, number, expected) in cases {
          let told = try AsteriskAGI.ask(port, "screen-number?company=c\(query)", ["dialer:shop", number])
          #expect(told.reason == expected, "\(query) \(number): \(told)")
          let result = expected == "clear" ? "allow" : expected == "unknown_country" ? "unavailable" : "deny"
          #expect(told.result == result)
          guard query.hasPrefix("&country="), expected != "unknown_country" else { continue }
          let screening = try client.screen(
            [number], for: dialer("shop"), country: String(query.dropFirst("&country=".count)))
          #expect(screening.answers[0].verdict?.code == expected, "the call says the same")
        }
      }
    }
  }

  @Test func namesGoThereAndBackAsTheyAre() async throws {
    try await withFastAGI { daemon, port in
      let (company, project): (Name, Name) = (#"a&b=c %"\"#, #"pro "ject" \ ${EXTEN}"#)
      let queue = ObjectRef(ObjectType(name: "queue")!, #"qu"eue: 1, 2\"#)
      try daemon.client().applyAll(
        [
          .putCompany(.enhanced), .putProject(Project(id: project, name: "P")),
          .putUser(User(id: "Zoë", name: "Z"), roles: []), .putObject(Object(queue, name: "Q")),
          .place(queue, project: project), .addMember(project: project, .user("Zoë")),
        ], to: company)
      let script = "can-see?company=a%26b%3dc%20%25%22%5c"
      let told = try AsteriskAGI.ask(port, script, ["user:Zoë", "\(queue)"], callerName: "\"; \\")
      #expect(told == .init(result: "allow", reason: "shared_project", project: project.text))
    }
  }

  /// What was acknowledged before a channel asks is in its answer.
  @Test func aChangeIsSeenByTheNextChannel() async throws {
    try await withFastAGI { daemon, port in
      let client = try daemon.client()
      try client.applyAll(smallCompany(), to: "c")
      for _ in 0..<20 {
        try client.applyAll([.addMember(project: "p", .user("u0"))], to: "c")
        #expect(try AsteriskAGI.ask(port, "can-see?company=c", ["user:u0", "queue:q"]).result == "allow")
        try client.applyAll([.removeMember(project: "p", .user("u0"))], to: "c")
        #expect(try AsteriskAGI.ask(port, "can-see?company=c", ["user:u0", "queue:q"]).result == "deny")
      }
    }
  }
}

/// Companies that are not in memory when a channel asks.
@Suite struct FastAGIColdCompanies {
  private func withHeld(
    timeoutMilliseconds: Int = 60_000, _ body: (TestDaemon, Gate, UInt16) async throws -> Void
  ) async throws {
    let (folder, gate) = (try await folderWithCompanies(1), Gate(closed: ["c0"]))
    let daemon = try await TestDaemon(in: folder) { configuration in
      configuration.addresses.append(.fastAGI(host: "127.0.0.1", port: 0))
      configuration.fastAGI.timeoutMilliseconds = timeoutMilliseconds
      configuration.loading.beforeHandingBack = gate.pass
    }
    do { try await body(daemon, gate, daemon.fastAGIPort!) } catch {
      gate.openAll()
      try? await daemon.stop()
      throw error
    }
    gate.openAll()
    try await daemon.stop()
  }

  private let environment = AsteriskEnvironment(script: "can-see?company=c0", arguments: ["user:u0", "queue:q"]).bytes

  @Test func aChannelWaitsForItsCompany() async throws {
    try await withHeld { daemon, gate, port in
      let connection = try RawConnection("tcp:127.0.0.1:\(port)")
      connection.send(environment + Array("HANGUP\n".utf8))
      gate.waitUntilHeld("c0")
      #expect(try AsteriskAGI.ask(port, "can-see?company=nobody", ["user:u0", "queue:q"]).reason == "unknown_company")
      #expect(connection.receiveLine(within: 0.01) == .nothing)
      gate.openAll()
      #expect(connection.receiveLine() == .message(Array(#"SET VARIABLE SCOPE_REASON "shared_project""#.utf8)))
    }
  }

  @Test func whoWaitsTooLongIsTold() async throws {
    try await withHeld(timeoutMilliseconds: 400) { daemon, gate, port in
      let channel = try AsteriskAGI(port: port)
      _ = try channel.run(environment)
      #expect(channel.verdict == .init(result: "unavailable", reason: "company_loading", project: ""))
    }
  }

  @Test func whoHangsUpMeanwhileIsForgotten() async throws {
    try await withHeld { daemon, gate, port in
      do {
        let gone = try RawConnection("tcp:127.0.0.1:\(port)")
        gone.send(environment)
        gate.waitUntilHeld("c0")
      }
      let client = try daemon.client()
      try await waitUntil { try client.health().connections <= 1 }
      gate.openAll()
      #expect(try AsteriskAGI.ask(port, "can-see?company=c0", ["user:u0", "queue:q"]).result == "allow")
    }
  }
}

/// Channels that do not behave, and daemons that stop.
@Suite struct FastAGIConnections {
  private let environment = AsteriskEnvironment(script: "can-see?company=c", arguments: ["user:u0", "queue:q"]).bytes

  private func withCompany(
    adjust: @escaping (inout ServerConfiguration) -> Void = { _ in }, _ body: (TestDaemon, UInt16) async throws -> Void
  ) async throws {
    try await withFastAGI(adjust: adjust) { daemon, port in
      try daemon.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
      try await body(daemon, port)
      #expect(try AsteriskAGI.ask(port, "can-see?company=c", ["user:u0", "queue:q"]).result == "allow", "others go on")
    }
  }

  /// However far a conversation has come, it ends at its deadline.
  @Test(arguments: [0, 1, 300, Int.max]) func aSlowChannelIsCutOff(sent: Int) async throws {
    try await withCompany(adjust: { $0.fastAGI.timeoutMilliseconds = 300 }) { _, port in
      let connection = try RawConnection("tcp:127.0.0.1:\(port)")
      connection.send(Array(environment.prefix(sent)))
      if sent == .max { #expect(connection.receiveLine() != .closed) }
      #expect(connection.receiveLine() == .closed)
    }
  }

  /// Bytes that come in small pieces do not put the deadline off.
  @Test func aTricklingChannelIsCutOff() async throws {
    try await withCompany(adjust: { $0.fastAGI.timeoutMilliseconds = 300 }) { _, port in
      try await onThread {
        let connection = try RawConnection("tcp:127.0.0.1:\(port)")
        while connection.receiveLine(within: 0.02) == .nothing { connection.send([0x61]) }
      }
    }
  }

  @Test(arguments: 0...3) func oneThatHangsUpInMidCommandHarmsNobody(confirmed: Int) async throws {
    try await withCompany { daemon, port in
      do {
        let connection = try RawConnection("tcp:127.0.0.1:\(port)")
        connection.send(environment)
        for _ in 0..<confirmed {
          #expect(connection.receiveLine() != .closed)
          connection.send(Array("200 result=1\n".utf8))
        }
        #expect(connection.receiveLine() != .closed)
      }
      let client = try daemon.client()
      try await waitUntil { try client.health().connections <= 1 }
    }
  }

  /// Nothing can be confirmed any more.
  @Test func aHalfClosedOneIsClosedAfterTheFirstCommand() async throws {
    try await withCompany(adjust: { $0.fastAGI.timeoutMilliseconds = 60_000 }) { _, port in
      let connection = try RawConnection("tcp:127.0.0.1:\(port)")
      connection.send(environment)
      connection.finishSending()
      #expect(connection.receiveLine() == .message(Array(#"SET VARIABLE SCOPE_REASON "shared_project""#.utf8)))
      #expect(connection.receiveLine() == .closed)
      let early = try RawConnection("tcp:127.0.0.1:\(port)")
      early.send(Array(environment.dropLast(2)))
      early.finishSending()
      #expect(early.receiveLine() == .closed)
    }
  }

  /// Whatever else speaks to the port is told nothing it could use, and is closed.
  @Test func floodsAndOtherProtocolsAreClosed() async throws {
    try await withCompany { _, port in
      try await onThread {
        for piece in ["a", "agi_x: y\n", "HANGUP\n", "200 result=1\n", "\0"] {
          let connection = try RawConnection("tcp:127.0.0.1:\(port)")
          let flood = (0..<10_000).flatMap { _ in Array(piece.utf8) }
          for _ in 0..<100 { if !connection.send(flood) { break } }
          #expect(connection.receiveLine() == .closed, "\(piece)")
        }
        let frames = try RawConnection("tcp:127.0.0.1:\(port)")
        frames.sendFrame(RawRequest.canSee("c", userU0, queueQ).packed)
        frames.finishSending()
        #expect(frames.receiveLine() == .closed)
      }
    }
  }

  @Test func oneMoreThanTheLimitIsClosedAtOnce() async throws {
    try await withCompany(adjust: { $0.fastAGI.connections = 2 }) { daemon, port in
      let client = try daemon.client()
      var open = try (0..<2).map { _ in try RawConnection("tcp:127.0.0.1:\(port)") }
      try await waitUntil { try client.health().connections >= 3 }
      #expect(try RawConnection("tcp:127.0.0.1:\(port)").receiveLine() == .closed)
      #expect(try client.health().connectionsRefused == 1)
      #expect(client.check("user:u0", "queue:q").verdict == .unavailable, "without a company")
      #expect(try daemon.client("c").check("user:u0", "queue:q").verdict == .allow, "others have places of their own")
      open.removeAll()
      try await waitUntil { try client.health().connections <= 2 }
    }
  }

  @Test func theyCountAmongAllConnections() async throws {
    try await withCompany(adjust: { $0.limits.connections = 3 }) { daemon, port in
      let client = try daemon.client()
      #expect(try client.health().connections >= 1)
      var open = try (0..<2).map { _ in try RawConnection("tcp:127.0.0.1:\(port)") }
      try await waitUntil { try client.health().connections >= 3 }
      #expect(try RawConnection("tcp:127.0.0.1:\(port)").receiveLine() == .closed)
      #expect(try RawConnection(daemon.address(.unix)).receive() == .closed)
      open.removeAll()
      try await waitUntil { try client.health().connections <= 1 }
    }
  }

  /// A conversation that has begun comes to its end; one that has not is closed; nobody new is let in.
  @Test func aDaemonThatStopsFinishesWhatHasBegun() async throws {
    let daemon = try await TestDaemon { configuration in
      configuration.addresses.append(.fastAGI(host: "127.0.0.1", port: 0))
      configuration.fastAGI.timeoutMilliseconds = 60_000  // so that no deadline closes what the stop should
    }
    let port = daemon.fastAGIPort!
    try daemon.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
    let (begun, idle) = (try RawConnection("tcp:127.0.0.1:\(port)"), try RawConnection("tcp:127.0.0.1:\(port)"))
    begun.send(environment)
    #expect(begun.receiveLine() != .closed)
    let client = try daemon.client()
    try await waitUntil { try client.health().connections >= 3 }
    async let stopping: Void = daemon.stop()
    // Off the pool that the stop itself needs a thread of.
    let ofIdle = try await onThread { idle.receiveLine() }
    #expect(ofIdle == .closed)
    #expect(throws: TestFailure.self) { try RawConnection("tcp:127.0.0.1:\(port)") }
    for command in [
      #"SET VARIABLE SCOPE_PROJECT "p""#, #"SET VARIABLE SCOPE_REVISION "1""#, #"SET VARIABLE SCOPE_RESULT "allow""#,
    ] {
      begun.send(Array("200 result=1\n".utf8))
      #expect(begun.receiveLine() == .message(Array(command.utf8)))
    }
    begun.send(Array("200 result=1\n".utf8))
    #expect(begun.receiveLine() == .closed)
    try await stopping
  }
}

@Suite struct FastAGIOptions {
  @Test(
    arguments: [
      (["127.0.0.1:4573"], [], ["agi://127.0.0.1:4573"]),
      (["[::1]:0", "localhost:1"], [], ["agi://[::1]:0", "agi://127.0.0.1:1"]),
      (["10.1.2.3:4573"], ["10.1.2.3"], ["agi://10.1.2.3:4573"]), ([], [], []),
      (["[2001:db8:0:0::5]:1"], ["2001:db8::5"], ["agi://[2001:db8:0:0::5]:1"]),
    ] as [([String], [String], [String])])
  func addressesAreReadAsWritten(_ texts: [String], _ exposed: [String], _ expected: [String]) throws {
    #expect(try ListenAddress.fastAGI(texts, exposed: exposed).map(\.description) == expected)
  }

  @Test(
    arguments: [
      (["10.1.2.3:4573"], [], "add --fastagi-without-tls 10.1.2.3"), (["0.0.0.0:1"], ["0.0.0.0"], "every address"),
      (["[::]:1"], ["::"], "every address"), (["[::ffff:0.0.0.0]:1"], ["::ffff:0.0.0.0"], "every address"),
      (["10.1.2.3:1"], ["10.1.2.4"], "add --fastagi-without-tls 10.1.2.3"),
      (["127.0.0.1:1"], ["10.1.2.3"], "matches no --fastagi address"), ([], ["10.1.2.3"], "matches no"),
      (["pbx.example:1"], ["pbx.example"], "not HOST:PORT"), (["127.0.0.1"], [], "not HOST:PORT"),
      (["127.0.0.1:65536"], [], "not HOST:PORT"),
    ] as [([String], [String], String)])
  func whatIsNotMeantIsRefused(_ texts: [String], _ exposed: [String], _ words: String) throws {
    let error = #expect(throws: AddressError.self) { try ListenAddress.fastAGI(texts, exposed: exposed) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test func itIsOffUnlessAskedFor() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    #expect(!daemon.ready.contains("agi:"))
    #expect(daemon.stop() == 0)
  }

  @Test(arguments: [
    ["--fastagi-timeout", "99"], ["--fastagi-timeout", "60001"], ["--fastagi-connections", "0"],
    ["--fastagi", "192.0.2.1:4573"],
  ])
  func whatCanNotBeServedEndsTheStart(_ arguments: [String]) throws {
    let error = #expect(throws: TestFailure.self) { try ProcessDaemon(in: TemporaryFolder(), arguments: arguments) }
    #expect(error?.description.contains("fastagi") == true, "\(error?.description ?? "")")
  }

  /// Counts, and neither numbers nor names of callers.
  @Test func theLogTellsHowManyAndNotWho() async throws {
    let (daemon, port) = try fastAGIProcess(arguments: ["--log-level", "trace"])
    for script in ["can-see?company=nordlicht", "can-see?company=%4"] {
      var environment = AsteriskEnvironment(script: script, arguments: ["user:1001", "queue:shop-orders"])
      (environment.callerName, environment.callerNumber) = (Array("Canary".utf8), "4940669694711")
      _ = try AsteriskAGI(port: port).run(environment.bytes)
    }
    #expect(daemon.stop() == 0)
    #expect(
      daemon.log.contains("denied=1 unavailable=1") || daemon.log.contains("denied=1 reason=bad_escape unavailable=1"))
    #expect(daemon.log.contains("reason=bad_escape") && daemon.log.contains("conversations served"), "\(daemon.log)")
    #expect(!daemon.log.contains("Canary") && !daemon.log.contains("4711"))
  }
}
