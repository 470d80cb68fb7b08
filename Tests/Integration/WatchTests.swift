import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// Watches: all that changes is told, once, and nobody is harmed by a watcher.
@Suite struct Watches {
  private func watchAccess(_ user: Name, company: String = "company", heartbeat: UInt64 = 0) -> RawRequest {
    let message =
      Proto.number(1, 1) + Proto.bytes(2, Array(user.text.utf8)) + Proto.number(4, heartbeat)
    return RawRequest(company: company, call: 35, message)
  }

  private func watchChanges(after revision: UInt64 = 0, fromNow: Bool = false, heartbeat: UInt64 = 0) -> RawRequest {
    RawRequest(
      company: "c", call: 34,
      Proto.number(1, revision) + Proto.number(2, fromNow ? 1 : 0) + Proto.number(3, heartbeat))
  }

  @Test("what is gained and lost, added up, is what is seen: 400 random changes", arguments: [3, 4] as [UInt64])
  func accessAddsUp(seed: UInt64) async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("company")
      var walker = RandomCompany(seed: seed)
      try client.applyAll(walker.changes, to: "company")
      let watchers = try walker.users.prefix(4).map { user in
        let connection = try RawConnection(daemon.address(.unix))
        connection.sendFrame(watchAccess(user, heartbeat: 100).packed)
        return (user: user, connection: connection)
      }
      var known = [Set<ObjectRef>](repeating: [], count: watchers.count)
      for _ in 0..<100 {
        var revision: UInt64 = 0
        for _ in 0..<4 {
          let change = walker.nextChange()
          if (try? walker.apply([change])) == nil { continue }
          revision = try client.apply([change], to: "company", timeoutMilliseconds: .anHour).revision
        }
        for (index, watcher) in watchers.enumerated() {
          while true {
            let part = try watcher.connection.watchPart()
            #expect(known[index].isDisjoint(with: part.gained), "gained twice")
            #expect(known[index].isSuperset(of: part.lost), "lost what was not there")
            known[index].subtract(part.lost)
            known[index].formUnion(part.gained)
            if part.isSettled && part.revision >= revision { break }
          }
          let company = walker.company
          let seen = company.objects.keys.filter { company.mode != nil && company.sees(watcher.user, $0) }
          #expect(known[index] == Set(seen), "seed \(seed), user \(watcher.user), revision \(revision)")
        }
      }
    }
  }

  @Test func changesComeFromTheLogAndThenAsTheyAreMade() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      func flip(_ step: Int) throws {
        let member = Member.user("u0")
        try client.applyAll(
          [step % 2 == 0 ? .addMember(project: "p", member) : .removeMember(project: "p", member)], to: "c")
        let other = Name(stringLiteral: "d\(step)")
        try client.applyAll([.putCompany(.simple), .putGroup(Group(id: "g", name: "G"))], to: other)
      }
      let early = try RawConnection(daemon.address(.unix))
      early.sendFrame(watchChanges().packed)
      for step in 0..<20 { try flip(step) }
      // Began before most, from the middle, from now: all in order, each once, those of this company alone.
      let mine = [1] + (0..<40).map { UInt64(2 + $0 * 2) }
      let late = try RawConnection(daemon.address(.unix))
      late.sendFrame(watchChanges(after: 9).packed)
      let now = try RawConnection(daemon.address(.unix))
      now.sendFrame(watchChanges(fromNow: true, heartbeat: 100).packed)
      #expect(try now.watchPart().records.isEmpty, "a sign of life says that the watch has begun")
      for step in 20..<40 { try flip(step) }
      func take(_ connection: RawConnection, _ count: Int) throws -> [UInt64] {
        var taken: [UInt64] = []
        while taken.count < count { taken += try connection.watchPart().records.map(\.revision) }
        return taken
      }
      #expect(try take(early, 41) == mine)
      #expect(try take(late, 36) == mine.filter { $0 > 9 })
      #expect(try take(now, 20) == mine.suffix(20))
    }
  }

  @Test func aLongRecordComesInPieces() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      let connection = try RawConnection(daemon.address(.unix))
      connection.sendFrame(watchChanges(fromNow: true, heartbeat: 100).packed)
      #expect(try connection.watchPart().records.isEmpty)
      try client.applyAll(smallCompany(users: 4_500), to: "c")
      var edits = 0
      while edits < 4_504 {
        for record in try connection.watchPart().records {
          #expect(record.revision == 2)
          edits += record.edits
        }
      }
      #expect(edits == 4_504)
    }
  }

  /// Who goes on from a part's revision must not miss what that part had no room for.
  @Test func aPartSaysNoMoreThanItSent() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      for batch in 0..<20 {
        let groups = (0..<400).map { Change.putGroup(Group(id: Name(stringLiteral: "g\(batch)-\($0)"), name: "G")) }
        try client.applyAll(groups, to: "c")
      }
      for fromLog in [true, false] {
        let connection = try RawConnection(daemon.address(.unix))
        connection.sendFrame(watchChanges(after: fromLog ? 0 : 1).packed)
        var (whole, parts): (UInt64, Int) = (fromLog ? 0 : 1, 0)
        while whole < 21 {
          let part = try connection.watchPart()
          if let last = part.records.last { whole = last.isContinued ? last.revision - 1 : last.revision }
          #expect(part.revision <= whole, "after part \(parts)")
          parts += 1
        }
        #expect(parts > 5)
      }
    }
  }

  @Test func quietIsToldFromDeath() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      let connection = try RawConnection(daemon.address(.tcp))
      connection.sendFrame(watchAccess("u0", company: "c", heartbeat: 100).packed)
      let first = try connection.watchPart()
      #expect(first.isSettled && first.gained.count == 2 && first.revision == 1, "the system fields")
      for _ in 0..<3 {
        let beat = try connection.watchPart()
        #expect(beat.isSettled && beat.gained.isEmpty && beat.lost.isEmpty && beat.revision == 1)
      }
      // The connection is good for other questions meanwhile.
      var check = RawRequest.canSee("c", (1, Array("u0".utf8)), (16, Array("q".utf8)))
      check.id = 7
      connection.sendFrame(check.packed)
      var answer = try connection.response()
      while answer.id != 7 { answer = try connection.response() }
      #expect(answer.decision == 2)
    }
  }

  @Test func whoIsTooSlowIsToldAndGoesOnFromWhereItWas() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll([.putCompany(.enhanced)], to: "c")
      let slow = try RawConnection(daemon.address(.unix))
      slow.sendFrame(watchChanges(fromNow: true, heartbeat: 100).packed)
      #expect(try slow.watchPart().records.isEmpty)
      for _ in 0..<15 {
        try client.applyAll(smallCompany(users: 4_990).dropFirst(), to: "c")
        try client.applyAll((0..<4_990).map { .removeUser(Name(stringLiteral: "u\($0)")) }, to: "c")
      }
      #expect(client.check("user:u0", "queue:q").reason == "unknown_subject", "the others notice nothing")
      var last: UInt64 = 1
      var edits: [UInt64: Int] = [:]
      var reason = ""
      while reason.isEmpty {
        do {
          for record in try slow.watchPart().records {
            last = record.revision
            edits[record.revision, default: 0] += record.edits
          }
        } catch let error as TestFailure {
          reason = error.description
        }
      }
      #expect(reason == "watch_behind")
      #expect(last < 31, "it can't have had all")
      slow.sendFrame(watchChanges(after: last).packed)
      while last < 31 {
        for record in try slow.watchPart().records {
          last = record.revision
          edits[record.revision, default: 0] += record.edits
        }
      }
      #expect(Set(edits.keys) == Set(2...31))
    }
  }

  @Test func aLargeChangeOfOneCompanyEndsNoWatchOfAnother() async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("c")
      try client.applyAll(smallCompany(), to: "c")
      let quiet = try RawConnection(daemon.address(.unix))
      quiet.sendFrame(watchChanges(fromNow: true).packed)
      // A member of 24 projects by each of 10 groups, and all of it removed at once.
      var changes: [Change] = [.putCompany(.enhanced)]
      let groups = (0..<50).map { Name(stringLiteral: "g\($0)") }
      for group in groups { changes.append(.putGroup(Group(id: group, name: group))) }
      for number in 0..<2_200 {
        let user = Name(stringLiteral: "u\(number)")
        changes.append(.putUser(User(id: user, name: user), roles: []))
        for group in groups { changes.append(.addToGroup(group: group, user: user)) }
      }
      try client.applyAll(changes, to: "other")
      #expect(try client.apply([.removeCompany], to: "other", timeoutMilliseconds: .anHour).edits > 100_000)
      try client.applyAll([.addMember(project: "p", .user("u0"))], to: "c")
      var records: [UInt64] = []
      while records.isEmpty { records = try quiet.watchPart().records.map(\.revision) }
      #expect(records.count == 1)
    }
  }

  @Test func watchesAreCounted() async throws {
    try await withDaemon(adjust: { $0.limits.watches = 20 }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      func open(_ count: Int) throws -> (RawConnection, accepted: Int) {
        let connection = try RawConnection(daemon.address(.unix))
        for _ in 0..<count { connection.sendFrame(watchChanges(fromNow: true, heartbeat: 100).packed) }
        var (accepted, refused) = (0, 0)
        while accepted + refused < count {
          let response = try connection.response()
          if response.code == 0 { accepted += 1 } else { refused += 1 }
          if response.code != 0 { #expect(response.code == 8 && response.reason == "too_many_watches") }
        }
        return (connection, count - refused)
      }
      var first: (RawConnection, accepted: Int)? = try open(18)
      #expect(first?.accepted == 16, "of one connection")
      #expect(try open(8).accepted == 4, "of all")
      first = nil
      // Their places are free once the daemon has noticed.
      var accepted = 0
      while accepted < 16 { accepted = try open(16).accepted }
    }
  }

  @Test func whoWatchesIsToldThatTheDaemonStops() async throws {
    let daemon = try await TestDaemon()
    try daemon.client().applyAll(smallCompany(), to: "c")
    let connection = try RawConnection(daemon.address(.unix))
    connection.sendFrame(watchChanges(fromNow: true, heartbeat: 100).packed)
    #expect(try connection.watchPart().records.isEmpty)
    try await daemon.stop()
    var end = try connection.response()
    while end.code == 0 { end = try connection.response() }
    #expect(end.code == 14 && end.reason == "stopping")
    #expect(connection.receive() == .closed)
  }

  @Test func whatCannotBeWatchedIsRefused() async throws {
    try await withDaemon(adjust: { $0.tcpScopes = [] }) { daemon in
      try daemon.client().applyAll(smallCompany(), to: "c")
      func reason(_ request: RawRequest, _ transport: Transport = .unix) throws -> String {
        try RawConnection(daemon.address(transport)).ask(request).reason
      }
      #expect(try reason(watchChanges(after: 2)) == "revision_not_reached")
      #expect(try reason(watchChanges(heartbeat: 99)) == "bad_heartbeat")
      #expect(try reason(watchAccess("u0", company: "c", heartbeat: 60_001)) == "bad_heartbeat")
      #expect(try reason(watchChanges(), .tcp) == "log_not_shown")
      #expect(try reason(RawRequest(company: "c", call: 35)) == "type_missing")
    }
  }
}
