import Foundation
import ScopeTesting
import Testing

extension TelephonyTests {
  /// What has let denied calls through, or left calls without an answer, elsewhere.
  @Suite struct TrapTests {
    /// $var survives from one message to the next in a worker, and lua_run's $rc is 1 whatever happens: with one worker,
    /// an allowed call comes before each that must not profit from it.
    @Test(arguments: Configuration.allCases) func noVerdictIsLeftOverFromTheCallBefore(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address, workers: 1)
        let answerers = try SippAnswerers(port: kamailio.farPort)
        let denied = [("1001", "880012"), ("1016", "+494066"), ("", "+494066"), ("1001", "999"), ("1001", "")]
        for (from, number) in denied {
          #expect(try ask(kamailio, "1001", "+494066") == 200)
          #expect(try ask(kamailio, from, number) == 403, "\(from) \(number)")
        }
        daemon.killNow()
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        _ = answerers
      }
    }

    /// An error that leaves lua_run leaves the variable as it was: as it was set before, not as by the call before.
    @Test(arguments: Configuration.allCases) func anErrorLeavesNoVerdictBehind(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address, workers: 1) { name, text in
          guard name == "scoped.lua" else { return text }
          let raise = "  if subject == \"ip_phone:phone-301\" then error(\"raised\") end\n"
          return ["function scoped.check(settings, subject, object)\n", "function scoped_check(subject, object)\n"]
            .reduce(text) {
              $0.replacingOccurrences(of: $1, with: $1 + raise)
            }
        }
        let answerers = try SippAnswerers(port: kamailio.farPort)
        #expect(try ask(kamailio, "1001", "+494066") == 200)
        #expect(try ask(kamailio, "phone-301", "+494066") == 503)
        _ = answerers
      }
    }

    /// What is sent again is answered again, not asked again.
    @Test(arguments: Configuration.allCases) func aRetransmissionIsNotCheckedAgain(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        let invite = caller.request("INVITE", "880012")
        try caller.send(invite)
        #expect(caller.receive()?.status == 100, "before the answer")
        #expect(caller.final()?.status == 403)
        for _ in 0..<5 { #expect(try caller.ask(invite) == 403) }
        #expect(try kamailio.statistics()["scoped_deny"] == 1)
      }
    }

    /// An error in the script is answered with 503, not with silence. Here the daemon's side of it fails to load.
    @Test(arguments: Configuration.allCases) func anErrorInTheCheckIsUnavailable(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address) { name, text in
          guard name == "scoped.lua" else { return text }
          return text.replacingOccurrences(of: "  open(settings)\n", with: "  error({})\n")
        }
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        #expect(try kamailio.statistics()["scoped_unavailable"] == 1)
      }
    }

    /// The same outside the check, where only the route's own guard helps.
    @Test(arguments: Configuration.allCases) func anErrorBesideTheCheckIsUnavailable(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address) { name, text in
          text.replacingOccurrences(of: "/proc/sys/kernel/random/boot_id", with: "/proc/none")
        }
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        #expect(try ask(kamailio, "1001", "880012") == 403)
      }
    }

    /// An address that can't be right is noticed at the first call, and answered.
    @Test(arguments: Configuration.allCases) func aWrongAddressIsUnavailable(_ configuration: Configuration)
      async throws
    {
      try await onThread {
        let kamailio = try Kamailio(configuration, asking: "scoped.sock")
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        #expect(kamailio.log.contains("the address must begin with unix:"))
      }
    }

    /// A To tag and a Route make a request look like one inside a call that was let through.
    @Test(arguments: Configuration.allCases) func onlyCallsThatWereLetThroughGoOn(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let answerers = try SippAnswerers(port: kamailio.farPort)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        try caller.send(caller.request("INVITE", "+494066"))
        let answer = caller.final()
        let route = try #require(answer?.header("Record-Route"))
        let tag = try #require(answer?.header("To")?.components(separatedBy: "tag=").last)
        func status(_ caller: SIPCaller, _ method: String, _ branch: String, _ headers: [String]) throws -> Int {
          try caller.ask(caller.request(method, "880012", toTag: tag, branch: branch, sequence: 2, headers: headers))
        }
        let target = "<sip:880012@\(Site.trunkCollections):\(kamailio.farPort);lr>"
        let other = try SIPCaller(at: Site.inside, to: kamailio.port)
        for (number, method) in ["INVITE", "REFER", "BYE", "UPDATE"].enumerated() {
          #expect(try status(other, method, "a\(number)", []) == 403)
          #expect(
            try status(other, method, "b\(number)", ["Route: <sip:\(Site.kamailio):\(kamailio.port);lr>, \(target)"])
              == 403)
          #expect(try status(other, method, "c\(number)", ["Route: \(route), \(target)"]) == 403, "another call's mark")
          let forged = route.replacingOccurrences(of: "scoped=", with: "scoped=0")
          #expect(try status(caller, method, "d\(number)", ["Route: \(forged), \(target)"]) == 403)
        }
        #expect(try kamailio.statistics()["scoped_allow"] == 1)
        _ = answerers
      }
    }

    /// A Route that the caller brings along must not lead the call on from the carrier to where it was not asked for.
    @Test(arguments: Configuration.allCases) func aRouteOfTheCallersIsNotFollowed(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let carrier = try SIPCaller(at: Site.trunkMain, port: kamailio.farPort, to: kamailio.port)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        let route =
          "Route: <sip:\(Site.kamailio):\(kamailio.port);lr>,<sip:x@\(Site.trunkCollections):\(kamailio.farPort);lr>"
        try caller.send(caller.request("INVITE", "+494066", headers: [route]))
        let call = try #require(carrier.receive())
        #expect(call.text.hasPrefix("INVITE sip:+494066@\(Site.trunkMain):\(kamailio.farPort) "))
        #expect(call.header("Route") == nil)
        #expect(call.header("Record-Route")?.contains(";scoped=") == true)
      }
    }

    @Test(arguments: Configuration.allCases) func aTransferThatIsNotPlainIsDenied(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address, workers: 1)
        let answerers = try SippAnswerers(port: kamailio.farPort)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        try caller.send(caller.request("INVITE", "+494066"))
        let answer = caller.final()
        let route = try #require(answer?.header("Record-Route"))
        let tag = try #require(answer?.header("To")?.components(separatedBy: "tag=").last)
        let target = "sip:\(Site.trunkMain):\(kamailio.farPort)"
        let ack = ["Route: \(route)"]
        try caller.send(caller.request("ACK", "+494066", toTag: tag, branch: "ack", target: target, headers: ack))
        func status(_ branch: String, _ to: [String], from: String = "1001") throws -> Int {
          let headers = ["Route: \(route)"] + to
          return try caller.ask(
            caller.request(
              "REFER", "+494066", from: from, toTag: tag, branch: branch, sequence: 2, target: target, headers: headers)
          )
        }
        #expect(try status("good", ["Refer-To: <sip:7100@x>"]) == 202)
        #expect(try status("none", []) == 403)
        #expect(try status("two", ["Refer-To: <sip:7100@x>", "Refer-To: <sip:7200@x>"]) == 403)
        #expect(try status("short", ["Refer-To: <sip:7100@x>", "r: <sip:7200@x>"]) == 403)
        #expect(try status("userless", ["Refer-To: <sip:x>"]) == 403)
        #expect(try status("other", ["Refer-To: <sip:7100@x>"], from: "1019") == 403)
        #expect(try ask(kamailio, "1001", "7100", method: "REFER") == 403, "outside a call")
        #expect(try kamailio.statistics()["scoped_allow"] == 2)
        _ = answerers
      }
    }

    /// Emergency numbers: none unless the operator names them; those that are named ask nobody.
    @Test(arguments: Configuration.allCases) func emergencyNumbersAreTheOperatorsOwn(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let plain = try Kamailio(configuration, asking: daemon.address)
        let kamailio = try Kamailio(configuration, asking: daemon.address, farPort: plain.farPort) { name, text in
          withEmergency(text, "\(Site.trunkMain):\(plain.farPort)")
        }
        let answerers = try SippAnswerers(port: plain.farPort)
        // Of the sample, allowed, without the provider, blocked; nobody knows the others, or From is none of scoped's.
        let callers = ["1001", "phone-301", "1016", "9999", "anonymous", String(repeating: "9", count: 200)]
        for caller in callers { #expect(try ask(kamailio, caller, "112") == 200, "\(caller)") }
        #expect(try ask(kamailio, "phone-301", "+494066") == 403)
        daemon.pause()
        for caller in callers { #expect(try ask(kamailio, caller, "112") == 200, "\(caller)") }
        #expect(try ask(kamailio, "1001", "+494066") == 503)
        #expect(try ask(kamailio, "1001", "112", host: Site.stranger) == 403)
        for urn in ["urn:service:sos", "URN:service:sos.fire"] {
          let sos = { (kamailio: Kamailio) throws -> Int in
            let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
            return try caller.ask(caller.request("INVITE", "112", from: "anonymous", target: urn))
          }
          #expect(try sos(kamailio) == 200 && sos(plain) == 403, "\(urn)")
        }
        #expect(try ask(plain, "1001", "112") == 403)
        #expect(try kamailio.statistics()["scoped_emergency"] == 2 * callers.count + 2)
        #expect(kamailio.log.contains("emergency call let through"))
        daemon.signal(SIGCONT)
        _ = answerers
      }
    }
  }
}

/// The status of a call's final answer.
private func ask(
  _ kamailio: Kamailio, _ from: String, _ number: String, host: String = Site.inside, method: String = "INVITE"
) throws -> Int {
  let caller = try SIPCaller(at: host, to: kamailio.port)
  return try caller.ask(caller.request(method, number, from: from))
}

/// Puts in what the comments of the settings say.
private func withEmergency(_ text: String, _ address: String) -> String {
  let native = """
      if ($var(number) == "urn:service:sos") $var(number) = "112";
      if ($var(number) == "112") { $var(emergency) = 1; $var(address) = "\(address)"; }
      return;
    """
  return text.replacingOccurrences(of: "emergency = {},", with: "emergency = { [\"112\"] = \"trunk-main\" },")
    .replacingOccurrences(of: "sos = \"\",", with: "sos = \"112\",")
    .replacingOccurrences(of: "route[SETTINGS_EMERGENCY] {\n  return;", with: "route[SETTINGS_EMERGENCY] {\n\(native)")
}
