import Foundation
import ScopeModel
import ScopeTesting
import Testing

extension TelephonyTests {
  /// The daemon goes away, hangs, comes back and changes its mind while calls come in.
  @Suite struct FaultTests {
    @Test(arguments: Configuration.allCases) func aKilledDaemonLetsNothingThrough(_ configuration: Configuration)
      async throws
    {
      try await withLoad(configuration) { kamailio, load, daemon in
        try load.awaitRecords(100)
        daemon.killNow()
        let gone = now()
        try load.awaitRecords(300)
        let restart = now()
        let again = try ProcessDaemon(in: daemon.folder)
        let report = try load.finish()
        expectAnswered(report)
        expectNoneAllowed(report, from: gone, to: restart)
        #expect(try recovers(kamailio))
        _ = again
      }
    }

    @Test(arguments: Configuration.allCases) func aHungDaemonLetsNothingThrough(_ configuration: Configuration)
      async throws
    {
      try await withLoad(configuration) { kamailio, load, daemon in
        try load.awaitRecords(100)
        daemon.pause()
        let hung = now()
        try load.awaitRecords(300)
        let goesOn = now()
        daemon.signal(SIGCONT)
        let report = try load.finish()
        expectAnswered(report)
        expectNoneAllowed(report, from: hung, to: goesOn - 0.1)
        #expect(try recovers(kamailio))
      }
    }

    @Test(arguments: Configuration.allCases) func aRevocationHoldsFromItsAcknowledgement(_ configuration: Configuration)
      async throws
    {
      // Who is in the project by itself and through a group.
      try await withLoad(configuration, from: "1002") { kamailio, load, daemon in
        try load.awaitRecords(150)
        let client = try daemon.client()
        _ = try client.apply(
          [.removeMember(project: "clinic", .user("1002")), .removeFromGroup(group: "clinic-team", user: "1002")],
          to: "nordlicht", timeoutMilliseconds: .anHour)
        let revoked = now()
        let report = try load.finish()
        #expect(report.failed == 0 && report.retransmissions == 0, "\(report.errors)")
        expectNoneAllowed(report, from: revoked, to: .infinity)
        #expect(report.records.contains { $0.expected == "allow" && $0.verdict == "allow" && $0.sent < revoked })
        #expect(report.records.filter { $0.sent > revoked }.allSatisfy { $0.verdict == "deny" })
        #expect(report.records.filter { $0.sent > revoked }.count > 100)
      }
    }
  }
}

/// Half of the calls are allowed, half denied, at 150 a second.
private func withLoad(
  _ configuration: Configuration, from user: String = "1001",
  _ body: @escaping @Sendable (Kamailio, SippCaller, ProcessDaemon) throws -> Void
) async throws {
  try await withSampleProcess { daemon in
    let kamailio = try Kamailio(configuration, asking: daemon.address)
    let answerers = try SippAnswerers(port: kamailio.farPort)
    let lines = ["\(user);+494066;allow", "\(user);880012;deny"]
    let load = try SippCaller("call", lines: lines, from: Site.inside, to: kamailio.port, calls: 450, rate: 150)
    try body(kamailio, load, daemon)
    _ = answerers
  }
}

private func now() -> Double { Date().timeIntervalSince1970 }

/// Every call has a final answer, none was sent again, and no denied call went through.
private func expectAnswered(_ report: CallReport) {
  #expect(report.failed == 0, "\(report.errors)")
  #expect(report.retransmissions == 0)
  #expect(report.records.allSatisfy { $0.verdict == $0.expected || $0.verdict == "unavailable" })
  #expect(report.records.contains { $0.verdict == "allow" } && report.records.contains { $0.verdict == "deny" })
}

private func expectNoneAllowed(_ report: CallReport, from: Double, to: Double) {
  let between = report.records.filter { $0.sent > from && $0.sent < to }
  #expect(between.count > 20)
  #expect(between.allSatisfy { $0.verdict != "allow" })
}

/// Whether calls go through again by themselves.
private func recovers(_ kamailio: Kamailio) throws -> Bool {
  try comesAbout {
    let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
    return try caller.ask(caller.request("INVITE", "+494066")) == 200
  }
}
