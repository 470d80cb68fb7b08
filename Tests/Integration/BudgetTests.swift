import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// A memory budget, over which companies come and go.
@Suite struct MemoryBudget {
  /// Asks two daemons the same, and wants the same bytes.
  private struct Pair {
    let plain: RawConnection
    let scarce: RawConnection

    init(_ plain: TestDaemon, _ scarce: TestDaemon) throws {
      self.plain = try RawConnection(plain.address(.unix))
      self.scarce = try RawConnection(scarce.address(.unix))
    }

    /// All at once: the scarce one answers some before others.
    func compare(_ requests: [RawRequest]) throws {
      var frames: [UInt8] = []
      for (index, request) in requests.enumerated() {
        var request = request
        request.id = UInt64(index + 1)
        frames += RawConnection.frame(request.packed)
      }
      let answers = try [plain, scarce].map { connection in
        connection.send(frames)
        return try requests.map { _ in try next(connection) }.sorted { $0.id < $1.id }.map(\.bytes)
      }
      for (index, request) in requests.enumerated() where answers[0][index] != answers[1][index] {
        throw TestFailure("\(request) is answered \(answers[1][index]) in place of \(answers[0][index])")
      }
    }

    private func next(_ connection: RawConnection) throws -> (id: UInt64, bytes: [UInt8]) {
      guard case .message(let bytes) = connection.receive() else { throw TestFailure("no answer") }
      return (try RawResponse(bytes).id, bytes)
    }

    func compareParts(_ request: RawRequest) throws {
      let answers = try [plain, scarce].map { try $0.askForParts(request) }
      if answers[0] != answers[1] { throw TestFailure("\(request) is answered otherwise") }
    }
  }

  private static let companies = 24

  private func companyID(_ number: Int) -> Name { Name(stringLiteral: "c\(number)") }

  /// Questions with one answer each.
  private func question(_ number: Int, _ walker: RandomCompany, _ random: inout SeededRandom) -> RawRequest {
    let (user, object) = (Array(random.pick(walker.users).text.utf8), random.pick(walker.objects))
    let (type, id) = (UInt64(object.type.number), Array(object.id.text.utf8))
    let check = RawRequest.check((1, user), (type, id))
    let filter = Proto.number(1, 1) + Proto.bytes(2, user) + Proto.number(3, type) + Proto.message(4, id)
    let (field, message): (Int, [UInt8]) =
      switch random.below(10) {
      case 0: (12, Proto.message(1, check) + Proto.message(1, check))
      case 1: (14, filter)
      case 2: (19, Proto.message(1, check))
      case 3: (26, Proto.bytes(1, user))
      case 4: (30, Proto.number(1, type) + Proto.bytes(2, id))
      case 5: (36, [])
      default: (11, check)
      }
    let company = random.happens(perMille: 20) ? "nobody" : companyID(number).text
    return RawRequest(company: company, call: field, message)
  }

  /// Questions answered in parts.
  private func listing(_ number: Int, _ walker: RandomCompany, _ random: inout SeededRandom) -> RawRequest {
    let user = Array(random.pick(walker.users).text.utf8)
    let calls: [(Int, [UInt8])] = [
      (13, Proto.bytes(1, user)), (15, Proto.number(1, 1) + Proto.bytes(2, user)), (18, []), (25, []), (32, []),
    ]
    let (field, message) = random.pick(calls)
    return RawRequest(company: companyID(number).text, call: field, message)
  }

  @Test("20,000 answers over random changes are those of a daemon that holds everything, byte by byte")
  func answersAreTheSame() async throws {
    try await withDaemon { plain in
      try await withDaemon(adjust: { $0.loading.budgetBytes = 30_000 }) { scarce in
        try await compareAnswers(plain, scarce)
      }
    }
  }

  private func compareAnswers(_ plain: TestDaemon, _ scarce: TestDaemon) async throws {
    var random = SeededRandom(seed: 77)
    var walkers = (0..<MemoryBudget.companies).map { RandomCompany(seed: UInt64($0), id: companyID($0)) }
    let clients = try [plain.client(), scarce.client()]
    for walker in walkers { for client in clients { try client.applyAll(walker.changes, to: walker.company.id) } }
    let pair = try Pair(plain, scarce)
    var alike = 0
    while alike < 20_000 {
      let numbers = (0..<4).map { _ in random.below(MemoryBudget.companies) }
      let requests = (0..<50).map { _ in
        let number = random.pick(numbers)
        return question(number, walkers[number], &random)
      }
      try pair.compare(requests)
      alike += requests.count
      try pair.compareParts(listing(numbers[0], walkers[numbers[0]], &random))
      let number = random.below(MemoryBudget.companies)
      let change = walkers[number].nextChange()
      guard (try? walkers[number].apply([change])) != nil else { continue }
      for client in clients { _ = try client.apply([change], to: companyID(number), timeoutMilliseconds: .anHour) }
    }
    try expectCameAndWent(clients)
  }

  private func expectCameAndWent(_ clients: [Client]) throws {
    let health = try clients[1].health()
    #expect(health.isReady && health.drops > 200 && health.loadsOnDemand > 200, "\(health)")
    #expect(health.companies < health.companiesKnown && health.budgetBytes == 30_000)
    #expect(try clients[1].verify().isSound, "while some are not loaded")
    let plain = try clients[0].health()
    #expect(plain.drops == 0 && plain.loadsOnDemand == 0 && plain.companies == plain.companiesKnown)
  }

  /// Room for three of eight: the start loads those, and what is asked for comes in place of what is not.
  @Test func theStartLoadsAsManyAsThereIsRoomFor() async throws {
    let folder = try await folderWithCompanies(8)
    var bytes: UInt64 = 0
    try await withCold(folder) { daemon, _ in
      try await waitUntilReady(daemon.client())
      bytes = try daemon.client().health().indexBytes
    }
    try await withCold(folder, budgetBytes: Int(bytes) / 2) { daemon, _ in
      try await waitUntilReady(daemon.client())
      let health = try daemon.client().health()
      #expect((2...4).contains(health.companies) && health.indexBytes <= bytes / 2, "\(health)")
      #expect(health.loadsOnDemand == 0 && health.drops == 0)
      #expect(try daemon.client("c7").check("user:u0", "queue:q").verdict == .allow)
      let later = try daemon.client().health()
      #expect(later.loadsOnDemand == 1 && later.indexBytes <= bytes / 2, "\(later)")
    }
  }

  /// No company fits: the one that is asked for is there as long as the others are not asked for.
  @Test func aBudgetTooSmallForOneCompanyStillServes() async throws {
    try await withCold(try await folderWithCompanies(3), budgetBytes: 1) { daemon, _ in
      let client = try daemon.client("c0")
      for _ in 0..<50 { #expect(client.check("user:u0", "queue:q").verdict == .allow) }
      var health = try client.health()
      #expect(health.companies == 1 && health.loadsOnDemand == 1 && health.drops == 0, "\(health)")
      for number in 0..<30 {
        #expect(try daemon.client("c\(number % 3)").check("user:u0", "queue:q").verdict == .allow)
      }
      health = try client.health()
      #expect(health.companies == 1 && health.loadsOnDemand > 10, "\(health)")
      #expect(health.drops == health.loadsOnDemand - 1, "\(health)")
    }
  }

  /// Asks as often as takes the place of whatever else was in use.
  private func askUntilItStays(_ company: String, _ daemon: TestDaemon) throws {
    for _ in 0..<3 { #expect(try daemon.client(company).check("user:u0", "queue:q").verdict == .allow) }
  }

  /// A watch neither takes a dropped company for a removed one, nor misses what changes it.
  @Test func aWatchOutlivesTheDropOfItsCompany() async throws {
    try await withCold(try await folderWithCompanies(3), budgetBytes: 1) { daemon, _ in
      let watch = try RawConnection(daemon.address(.unix))
      let message = Proto.number(1, 1) + Proto.bytes(2, userU1.1) + Proto.number(4, 100)
      watch.sendFrame(RawRequest(company: "c0", call: 35, message).packed)
      let first = try watch.watchPart()
      #expect(first.isSettled)
      try askUntilItStays("c1", daemon)
      let change = Change.addMember(project: "p", .user("u1"))
      // Wakes the watch, while its company is not there.
      let elsewhere = try daemon.client().apply([change], to: "c2", timeoutMilliseconds: .anHour).revision
      while true {
        let part = try watch.watchPart()
        #expect(part.lost.isEmpty && part.gained.isEmpty, "\(part)")
        if part.revision >= elsewhere { break }
      }
      let here = try daemon.client().apply([change], to: "c0", timeoutMilliseconds: .anHour).revision
      var gained: [ObjectRef] = []
      while true {
        let part = try watch.watchPart()
        #expect(part.lost.isEmpty)
        gained += part.gained
        if part.revision >= here && part.isSettled { break }
      }
      #expect(gained == [ObjectRef(ObjectType(name: "queue")!, "q")])
    }
  }

  /// A watch that could not look before its company was changed and dropped says so, and not that all is as it was.
  @Test func aWatchThatIsBehindADropEnds() async throws {
    let folder = try await folderWithCompanies(2)
    let daemon = try await TestDaemon(in: folder) { configuration in
      configuration.loading.budgetBytes = 1
      configuration.limits.unsentBytes = 64 << 10
    }
    let client = try daemon.client()
    let long = String(repeating: "x", count: 110)
    let lists = (0..<4_000).map { ObjectRef(ObjectType(name: "list")!, Name(stringLiteral: "\(long)\($0)")) }
    try client.applyAll(lists.map { .putObject(Object($0, name: $0.id), projects: ["p"]) }, to: "c0")
    let watch = try RawConnection(daemon.address(.unix))
    let message = Proto.number(1, 1) + Proto.bytes(2, userU0.1) + Proto.number(4, 100)
    watch.sendFrame(RawRequest(company: "c0", call: 35, message).packed)
    var gained = try watch.watchPart().gained.count  // more waits for this client than the daemon sends ahead
    let leaves = Change.removeMember(project: "p", .user("u0"))
    let change = try client.apply([leaves], to: "c0", timeoutMilliseconds: .anHour).revision
    try askUntilItStays("c1", daemon)
    let ending = #expect(throws: TestFailure.self) {
      while true {
        let part = try watch.watchPart()
        gained += part.gained.count
        if part.revision >= change { return }
      }
    }
    #expect(ending?.description == "watch_behind")
    #expect(gained == lists.count + 3, "the queue and the system fields, too")
    try await daemon.stop()
  }
}
