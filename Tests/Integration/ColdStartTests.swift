import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// Companies are loaded while the daemon serves: questions about one wait for that one.
@Suite struct ColdStart {
  private func canSee(_ company: String, id: UInt64 = 1) -> RawRequest {
    var request = RawRequest.canSee(company, userU0, queueQ)
    request.id = id
    return request
  }

  @Test func aCompanyAnswersWhileOthersAreLoading() async throws {
    try await withCold(try await folderWithCompanies(4), holding: ["c1", "c2", "c3"]) { daemon, gate in
      let client = try daemon.client("c0")
      #expect(client.check("user:u0", "queue:q").verdict == .allow)
      #expect(client.check("user:u1", "queue:q").verdict == .deny)
      let health = try client.health()
      #expect(!health.isReady && health.isWritable && health.companies == 1 && health.companiesKnown == 4)
      gate.openAll()
      try await waitUntilReady(client)
      #expect(try client.health().companies == 4)
    }
  }

  @Test(arguments: Transport.allCases)
  func aQuestionWaitsForItsCompanyAndNobodyForTheQuestion(over transport: Transport) async throws {
    try await withCold(try await folderWithCompanies(3), holding: ["c1", "c2"]) { daemon, gate in
      let client = try daemon.client()
      try await waitUntil { try client.health().companies == 1 }  // c0 would be loaded on demand as well
      let connection = try RawConnection(daemon.address(transport))
      for (id, company) in [(1, "c1"), (2, "c2"), (3, "c0")] as [(UInt64, String)] {
        connection.sendFrame(canSee(company, id: id).packed)
      }
      let first = try connection.response()
      #expect(first.id == 3 && first.decision == 1)
      gate.open("c2")
      let second = try connection.response()
      #expect(second.id == 2 && second.decision == 1 && second.code == 0)
      gate.open("c1")
      let third = try connection.response()
      #expect(third.id == 1 && third.decision == 1 && third.code == 0)
      #expect(try client.health().loadsOnDemand == 2)
    }
  }

  /// All threads are busy, and it is next when one of them is free: behind the one that may have been read meanwhile.
  @Test func beingAskedForMovesACompanyToTheFront() async throws {
    let held: Set<Name> = ["c0", "c1", "c10", "c11", "c12", "c13", "c14", "c15"]  // the first of 30
    try await withCold(try await folderWithCompanies(30), holding: held) { daemon, gate in
      for id in held { gate.waitUntilHeld(id) }
      let connection = try RawConnection(daemon.address(.unix))
      connection.sendFrame(canSee("c9", id: 7).packed)
      #expect(try connection.ask(RawRequest(call: 17)).id == 1, "the question before it has been looked at")
      gate.open("c0")
      let answer = try connection.response()
      #expect(answer.id == 7 && answer.decision == 1)
      let before = gate.order.prefix { $0 != "c9" }
      #expect(before.count <= held.count + 1 && held.isSubset(of: before), "\(gate.order)")
    }
  }

  @Test func anUnknownCompanyIsUnknownWhileOthersAreLoading() async throws {
    try await withCold(try await folderWithCompanies(2), holding: ["c0", "c1"]) { daemon, _ in
      let client = try daemon.client("nobody")
      let answer = client.check("user:u0", "queue:q")
      #expect(answer.verdict == .deny && answer.reason == "unknown_company", "\(answer)")
      let connection = try RawConnection(daemon.address(.unix))
      let facts = try connection.ask(RawRequest(company: "nobody", call: 36))
      #expect(facts.code == 5 && facts.reason == "unknown_company")
    }
  }

  @Test func theTimeOfAQuestionEndsItsWait() async throws {
    try await withCold(try await folderWithCompanies(1), holding: ["c0"]) { daemon, gate in
      let connection = try RawConnection(daemon.address(.unix))
      var request = canSee("c0")
      request.timeoutMilliseconds = 30
      let late = try connection.ask(request)
      #expect(late.code == 4 && late.reason == "company_loading" && late.decision == 0, "\(late)")
      gate.openAll()
      #expect(try connection.ask(canSee("c0")).decision == 1)
    }
  }

  /// Everything that can be asked of a company waits for it and is answered as if it had been there.
  @Test func everyQuestionOfAColdCompanyIsAnswered() async throws {
    let folder = try await folderWithCompanies(1)
    let subject = Proto.number(1, 1) + Proto.bytes(2, userU0.1)
    let thing = Proto.number(1, 16) + Proto.bytes(2, queueQ.1)
    let check = RawRequest.check(userU0, queueQ)
    let ids = (0..<40_000).flatMap { Proto.message(4, Array("\($0)".utf8)) } + Proto.message(4, queueQ.1)
    let calls: [(Int, [UInt8])] = [
      (11, check), (12, Proto.message(1, check)), (13, Proto.bytes(1, userU0.1)), (14, subject + Proto.number(3, 16)),
      (14, subject + Proto.number(3, 16) + ids), (15, subject), (18, []), (19, Proto.message(1, check)), (20, thing),
      (21, subject), (22, []), (24, Proto.bytes(1, userU0.1) + Proto.message(2, Array("x".utf8))), (25, []),
      (26, Proto.bytes(1, userU0.1)), (27, []), (28, []), (29, Proto.bytes(1, Array("p".utf8))), (30, thing), (31, []),
      (32, []), (36, []),
    ]
    func answers(_ daemon: TestDaemon, _ call: (Int, [UInt8]), at revision: UInt64 = 0) throws -> [[UInt8]] {
      var request = RawRequest(company: "c0", call: call.0, call.1)
      request.atRevision = revision
      request.timeoutMilliseconds = .anHour  // it is about the answers, on the slowest machine too
      return try RawConnection(daemon.address(.unix)).askForParts(request)
    }
    var expected: [[[UInt8]]] = []
    var then: [[UInt8]] = []
    try await withCold(folder) { daemon, _ in
      try await waitUntilReady(daemon.client())
      expected = try calls.map { try answers(daemon, $0) }
      then = try answers(daemon, calls[0], at: 1)
    }
    for (call, expected) in zip(calls, expected) {
      try await withCold(folder, budgetBytes: 1) { daemon, _ in
        let loaded = try daemon.client().health().companies
        #expect(loaded == 0)
        #expect(try answers(daemon, call) == expected, "call \(call.0)")
      }
    }
    try await withCold(folder, budgetBytes: 1) { daemon, _ in
      let answer = try answers(daemon, calls[0], at: 1)
      #expect(answer == then)
      #expect(try daemon.client().verify().isSound)
    }
  }
}

/// Changes meet companies that are not loaded, or just being.
@Suite struct ColdChanges {
  @Test func aChangeToAColdCompanyIsSeenAtOnce() async throws {
    try await withCold(try await folderWithCompanies(2), budgetBytes: 1) { daemon, _ in
      let client = try daemon.client("c1")
      #expect(try client.health().companies == 0)
      _ = try client.apply([.addMember(project: "p", .user("u1"))], to: "c1", timeoutMilliseconds: .anHour)
      #expect(client.check("user:u1", "queue:q").verdict == .allow)
      #expect(client.check("user:u2", "queue:q").verdict == .deny)
      #expect(try client.verify().isSound)
    }
  }

  /// The rows were read before the change, and what was compiled from them comes after it.
  @Test func whatWasReadBeforeAChangeIsNotPublishedOverIt() async throws {
    try await withCold(try await folderWithCompanies(1), holding: ["c0"]) { daemon, gate in
      gate.waitUntilHeld("c0")
      let client = try daemon.client("c0")
      let waiting = try RawConnection(daemon.address(.unix))
      waiting.sendFrame(RawRequest.canSee("c0", userU1, queueQ).packed)
      _ = try client.apply([.addMember(project: "p", .user("u1"))], to: "c0", timeoutMilliseconds: .anHour)
      #expect(try waiting.response().decision == 1, "the change has loaded the company: nobody waits any longer")
      #expect(client.check("user:u1", "queue:q").verdict == .allow)
      try client.applyAll([.putCompany(.simple)], to: "other")
      gate.openAll()
      // Each of these goes by the thread that publishes, behind what was handed back to it.
      for number in 0..<100 {
        let name = Name(stringLiteral: "g\(number)")
        _ = try client.apply([.putGroup(Group(id: name, name: name))], to: "other", timeoutMilliseconds: .anHour)
        try #require(
          client.check("user:u1", "queue:q").verdict == .allow, "an older index was published over a newer one")
      }
      #expect(try client.verify().isSound)
    }
  }

  @Test func aCompanyThatIsRemovedWhileItIsLoadedIsUnknown() async throws {
    try await withCold(try await folderWithCompanies(1), holding: ["c0"]) { daemon, gate in
      gate.waitUntilHeld("c0")
      let client = try daemon.client("c0")
      let waiting = try RawConnection(daemon.address(.unix))
      waiting.sendFrame(RawRequest(company: "c0", call: 36).packed)
      _ = try client.apply([.removeCompany], to: "c0", timeoutMilliseconds: .anHour)
      #expect(try waiting.response().reason == "unknown_company")
      gate.openAll()
      try await waitUntilReady(client)
      #expect(client.check("user:u0", "queue:q").reason == "unknown_company")
      #expect(try client.health().companiesKnown == 0)
    }
  }
}

/// One company's rows are damaged: it is not answered for, and the others are.
@Suite struct DamagedCompany {
  @Test func othersAreServedAndHealthSaysSo() async throws {
    let folder = try await folderWithCompanies(3)
    let sql = "UPDATE users SET name = CAST(x'FF' AS TEXT) WHERE company = 'c1' AND id = 'u0'"
    let altered = try run(
      URL(fileURLWithPath: "/usr/bin/sqlite3"), [folder.file("data/scoped.sqlite"), sql])
    #expect(altered.status == 0, "\(altered)")
    try await withCold(folder) { daemon, _ in
      let connection = try RawConnection(daemon.address(.unix))
      for _ in 0..<2 {
        let answer = try connection.ask(.canSee("c1", userU0, queueQ))
        #expect(answer.code == 15 && answer.reason == "damaged" && answer.decision == 0, "\(answer)")
      }
      #expect(try daemon.client("c0").check("user:u0", "queue:q").verdict == .allow)
      #expect(try daemon.client("c2").check("user:u0", "queue:q").verdict == .allow)
      #expect(throws: (any Error).self) {
        _ = try daemon.client().apply([.removeUser("u0")], to: "c1", timeoutMilliseconds: .anHour)
      }
      let health = try daemon.client().health()
      #expect(!health.isReady && health.companiesUnreadable == 1 && health.companies == 2)
      let report = try daemon.client().verify()
      #expect(!report.isSound && report.problems.contains { $0.contains("company 'c1'") }, "\(report.problems)")
    }
  }
}
