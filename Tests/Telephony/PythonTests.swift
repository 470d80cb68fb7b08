import Foundation
import ScopeTesting
import Testing

extension TelephonyTests {
  /// The start in Python, with Kamailio's own Python.
  @Suite struct PythonTests {
    @Test func callsGetTheirVerdicts() async throws {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(.python, asking: daemon.address)
        let carrier = try SIPCaller(at: Site.trunkMain, port: kamailio.farPort, to: kamailio.port)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        try caller.send(caller.request("INVITE", "+494066"))
        let invite = try #require(carrier.receive())
        #expect(invite.text.hasPrefix("INVITE sip:+494066@\(Site.trunkMain):\(kamailio.farPort) "))
        try carrier.reply(200, to: invite)
        let route = try #require(caller.final()?.header("Record-Route"))
        for (number, route, arrives) in [("1", route, true), ("2", route + "0", false), ("3", "<sip:x@h;lr>", false)] {
          try caller.send(
            caller.request(
              "BYE", "+494066", toTag: "t", branch: number, sequence: 2,
              target: "sip:x@\(carrier.host):\(carrier.port)",
              headers: ["Route: \(route)"]))
          if arrives { try carrier.reply(200, to: try #require(carrier.receive())) }
          #expect(caller.final()?.status == (arrives ? 200 : 403))
        }
        let long = "phone-" + String(repeating: "3", count: 2_000)
        let refused = [
          ("1001", "880012", 403), ("phone-301", "+494066", 403), ("9999", "+494066", 403), ("anna", "+494066", 403),
          ("1001", "7100", 403), ("", "+494066", 400), (long, "880012", 403),
        ]
        for (from, number, status) in refused {
          #expect(try ask(kamailio, from, number) == status, "\(from) \(number)")
        }
        #expect(try ask(kamailio, "1001", "+494066", host: Site.stranger) == 403)
        #expect(try ask(kamailio, "1001", "7100", method: "REFER") == 403)
        daemon.killNow()
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        let counted = try kamailio.statistics()
        #expect(counted["scoped_allow"] == 1 && counted["scoped_deny"] == 3 && counted["scoped_unavailable"] == 1)
      }
    }
  }
}
