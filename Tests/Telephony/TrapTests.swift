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
        let refused = [
          ("1001", "880012", 403), ("1016", "+494066", 403), ("", "+494066", 400), ("1001", "999", 403),
          ("1001", "", 403),
        ]
        for (from, number, status) in refused {
          #expect(try ask(kamailio, "1001", "+494066") == 200)
          #expect(try ask(kamailio, from, number) == status, "\(from) \(number)")
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
          let heads = [
            "function scoped.check(settings, subject, object)\n",
            "function scoped_check()\n  local subject = KSR.pv.gete(\"$var(subject)\")\n",
          ]
          return text.replacingOccurrences(of: "function scoped_check()\n", with: heads[1])
            .replacingOccurrences(of: heads[0], with: heads[0] + raise)
            .replacingOccurrences(of: heads[1], with: heads[1] + raise)
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

    /// A caller must not be able to raise the alarm that "unavailable" is, nor to write lines of the log.
    @Test(arguments: Configuration.allCases) func aCallerThatNobodyCanBeIsAStranger(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address) { name, text in
          text.replacingOccurrences(of: "\"^(phone%-%d+)$\"", with: "\"^(phone.+)$\"")
            .replacingOccurrences(of: "^phone-[0-9]+$", with: "^phone.+$")
        }
        let callers = [
          "phone-" + String(repeating: "3", count: 122), "phone-" + String(repeating: "3", count: 123),
          "phone-" + String(repeating: "7", count: 3_000), "phone-" + String(repeating: "7", count: 12_000),
          "phone-\u{1}301", "phone-\u{7f}", "phone-é",
        ]
        for caller in callers { #expect(try ask(kamailio, caller, "880012") == 403, "\(caller.prefix(200))") }
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        let request = Array(caller.request("INVITE", "880012", from: "phone-\u{e9}").utf8)
        // In Latin-1, which is no UTF-8.
        let raw = Data(request).split(separator: 0xc3).joined().map { $0 == 0xa9 ? 0xe9 : $0 }
        try caller.send(bytes: raw)
        #expect(caller.final()?.status == 403)
        let counted = try kamailio.statistics()
        #expect(counted["scoped_unavailable"] == 0 && counted["scoped_allow"] == 0, "\(counted)")
        #expect(!kamailio.log.contains("unavailable"))
        daemon.killNow()
        #expect(try ask(kamailio, callers[1], "880012") == 403)
        #expect(try ask(kamailio, "phone-301", "880012") == 503)
      }
    }

    /// What can't be read is the caller's fault, and is not routed.
    @Test(arguments: Configuration.allCases) func aMalformedFromIsABadRequest(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let froms = [
          "<<sip:1001@h>;tag=f", "\"1001 <sip:1001@h>;tag=f", "<sip:1001@h;tag=f", "", ";tag=f", "<1001>;tag=f",
          "nothing",
        ]
        for (number, from) in froms.enumerated() {
          let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
          for method in ["INVITE", "OPTIONS", "REFER", "CANCEL"] {
            let lines = caller.request(method, "+494066", branch: "\(number)\(method)").components(separatedBy: "\r\n")
            let altered = lines.map { $0.hasPrefix("From: ") ? "From: \(from)" : $0 }
            #expect(try caller.ask(altered.joined(separator: "\r\n")) == 400, "\(method) \(from)")
          }
        }
        #expect(try kamailio.statistics()["scoped_allow"] == 0)
      }
    }

    /// Two carriers at one address are told apart by their ports, and nobody else there is one.
    @Test(arguments: Configuration.allCases) func twoCarriersAtOneAddressAreToldApart(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let ports = [freePort(), freePort(), freePort()]
        let kamailio = try Kamailio(configuration, asking: daemon.address, farPort: ports[0]) { name, text in
          let cases = """
            case "\(Site.trunkMain)":
              if ($sp == \(ports[0])) $var(source) = "trunk-main";
              else if ($sp == \(ports[1])) $var(source) = "trunk-collections-cli";
              break;
            """
          return text.replacingOccurrences(
            of: "\(Site.trunkCollections):\(ports[0])", with: "\(Site.trunkMain):\(ports[1])"
          ).replacingOccurrences(of: "case \"\(Site.trunkMain)\": $var(source) = \"trunk-main\"; break;", with: cases)
            .replacingOccurrences(
              of: "case \"\(Site.trunkCollections)\": $var(source) = \"trunk-collections-cli\"; break;", with: "")
        }
        // The clinic's scenario is the main trunk's.
        let expected = [0, 403, 403]
        for (port, status) in zip(ports, expected) {
          let carrier = try SIPCaller(at: Site.trunkMain, port: port, to: kamailio.port)
          let pbx = try SIPCaller(at: Site.inside, port: ports[0], to: kamailio.port)
          try carrier.send(carrier.request("INVITE", "+494066969100", from: "0171"))
          if status == 0 {
            #expect(pbx.receive()?.text.hasPrefix("INVITE sip:clinic-appointments@") == true)
          } else {
            #expect(carrier.final()?.status == status, "port \(port)")
          }
        }
        let counted = try kamailio.statistics()
        #expect(counted["scoped_allow"] == 2 && counted["scoped_deny"] == 1, "the third is nobody's: \(counted)")
      }
    }

    /// Settings that leave open whose a call is do not start.
    @Test func twoCarriersAtOneAddressAndPortAreRefused() async throws {
      try await onThread { () -> Void in
        #expect {
          _ = try Kamailio(.kemi, asking: "unix:/none") { name, text in
            text.replacingOccurrences(of: Site.trunkCollections, with: Site.trunkMain)
          }
        } throws: { "\($0)".contains("have one address and port") }
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
func ask(
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
