import Foundation
import ScopeTesting
import Testing

extension TelephonyTests {
  /// A REFER carries a whole address and, maybe, who sends it: both are judged.
  @Suite struct TransferTests {
    @Test(arguments: Configuration.allCases) func theWholeTargetIsJudged(_ configuration: Configuration) async throws {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address, workers: 1)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        let carrier = try SIPCaller(
          at: Site.trunkMain, port: kamailio.farPort, to: kamailio.port, callId: caller.callId)
        let call = try Call(from: caller, to: carrier, number: "+494066")
        func status(_ headers: [String], from: String = "1001") throws -> Int {
          try call.refer(from: caller, to: carrier, as: from, headers)
        }
        // Kamailio's own address and the PBX's are ours, as the settings say.
        let own = "\(Site.kamailio):\(kamailio.port)"
        let pbx = "\(Site.inside):\(kamailio.farPort)"
        let plain = [
          "<sip:7100@\(own)>", "sip:7100@\(pbx)", "<SIP:7100@\(own);user=phone>", "\"Desk, front\" <sip:7100@\(pbx)>",
          "Desk <sip:7100@\(own);transport=UDP>;early-only=no",
          "<sip:7100@\(pbx)?Replaces=12%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>",
        ]
        for to in plain {
          for name in ["Refer-To", "r", "REFER-TO"] { #expect(try status(["\(name): \(to)"]) == 202, "\(to)") }
        }
        let strange = [
          // Elsewhere.
          "<sip:7100@203.0.113.66>", "<sip:7100@\(Site.stranger):\(kamailio.port)>", "<sip:7100@\(Site.inside):9>",
          "<sip:7100@\(Site.inside)>", "<sip:7100@\(own);maddr=203.0.113.66>", "<sip:7100@\(own);MADDR=203.0.113.66>",
          "<sip:7100@\(own);user=phone;maddr=203.0.113.66>", "<sip:7100@\(own);%6daddr=203.0.113.66>",
          "<sip:7100@\(own);transport=tls>", "<sip:7100@\(own);lr;ttl=9>", "<sip:7100@\(own).example>",
          "<sip:7100@\(own)@203.0.113.66>", "<sip:7100@evil:x@\(own)>", "<sip:7100@\(own)#>",
          // With more in it than a target.
          "<sip:7100@\(own)?Route=%3Csip:203.0.113.66%3E>", "<sip:7100@\(own)?Replaces=a&From=sip:7200@x>",
          "<sip:7100@\(own)?From=sip:1019@x&Replaces=a>", "<sip:7100;x=y@\(own)>", "<sip:7100:secret@\(own)>",
          // Not one SIP address.
          "<sips:7100@\(own)>", "<tel:7100>", "<http://7100@\(own)>", "<urn:service:sos>", "<sip:\(own)>", "7100", "",
          "<sip:7100@\(own)", "sip:7100@\(own);maddr=203.0.113.66", "sip:7100@\(own), sip:7200@\(own)",
          "<sip:7100@\(own)>, <sip:7200@\(own)>", "\"<sip:7100@\(own)>\" <sip:7200@\(own)>",
          "<sip:7200@\(own)> <sip:7100@\(own)>", "\"a\\\"<sip:7100@\(own)>;x=\" <sip:7200@\(own)>",
          "<sip:%37100@\(own)>", "<sip:7100 @\(own)>",
        ]
        for to in strange { #expect((400...403).contains(try status(["Refer-To: \(to)"])), "\(to)") }
        #expect(try status([]) == 403)
        for name in ["Refer-To", "r"] {
          #expect(try status(["Refer-To: <sip:7100@\(own)>", "\(name): <sip:7200@\(own)>"]) == 403)
        }
        // From decides, and Referred-By does not help one who may not.
        #expect(try status(["Refer-To: <sip:7100@\(own)>"], from: "1019") == 403)
        #expect(try status(["Refer-To: <sip:7100@\(own)>", "Referred-By: <sip:1001@h>"], from: "1019") == 403)
        #expect(try status(["Refer-To: <sip:7100@\(own)>", "Referred-By: <sip:1019@h>"]) == 202)
        #expect(try status(["Refer-To: <sip:7100@\(own)>", "Referred-By: <sip:1001@h>", "b: <sip:1019@h>"]) == 403)
        #expect(try ask(kamailio, "1001", "7100", method: "REFER") == 403, "outside a call")
        #expect(try kamailio.statistics()["scoped_allow"] == 1 + 3 * plain.count + 1)
      }
    }

    /// In a call from outside the PBX's From is the number that was dialled: Referred-By says who transfers it, and
    /// without one it is the number's scenario.
    @Test(arguments: Configuration.allCases) func aCallFromOutsideIsTransferred(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address, workers: 1)
        let carrier = try SIPCaller(at: Site.trunkMain, port: kamailio.farPort, to: kamailio.port)
        let pbx = try SIPCaller(
          at: Site.inside, port: kamailio.farPort, to: kamailio.port, callId: carrier.callId)
        let call = try Call(from: carrier, to: pbx, number: "+494066969100", as: "0171")
        func status(_ number: String, by: [String], from: String = "+494066969100") throws -> Int {
          let to = "Refer-To: <sip:\(number)@\(Site.kamailio):\(kamailio.port)>"
          return try call.refer(from: pbx, to: carrier, as: from, [to] + by)
        }
        // 1001 may use the clinic's queue and the trunk; the scenario is the clinic's; 1019 is none of them.
        let rows: [(String, [String], Int)] = [
          ("7100", [], 202), ("7200", [], 403), ("7999", [], 403),
          ("7100", ["Referred-By: <sip:1001@\(Site.inside)>"], 202), ("7100", ["Referred-By: sip:1019@h"], 403),
          ("7301", ["Referred-By: <sip:1019@h>;cid=\"2@h\""], 202), ("7200", ["Referred-By: <sip:1001@h>"], 403),
          ("+49301", ["Referred-By: \"Anna\" <sip:1001@h>"], 202), ("7100", ["Referred-By: <sip:1016@h>"], 403),
          ("7100", ["Referred-By: <sip:494066969100@h>"], 202), ("7200", ["Referred-By: <sip:+494066969100@h>"], 403),
          // Another number's scenario, nobody, and what can't be read.
          ("7100", ["Referred-By: <sip:494066969300@h>"], 403), ("7100", ["Referred-By: <sip:anonymous@h>"], 403),
          ("7100", ["Referred-By: <sip:1001@h>, <sip:1019@h>"], 403), ("7100", ["Referred-By: <sip:h>"], 403),
          ("7100", ["Referred-By: <sip:1001@h>", "Referred-By: <sip:1001@h>"], 403), ("7100", ["b: <sip:1001@h>"], 202),
          ("7100", ["Referred-By: <sip:1001@h>", "b: <sip:1001@h>"], 403),
          ("7100", ["Referred-By: 1001"], 403),
        ]
        for (number, by, expected) in rows { #expect(try status(number, by: by) == expected, "\(number) \(by)") }
        #expect(try status("7100", by: [], from: "494066969999") == 403, "a number of nobody's")
        let to = "Refer-To: <sip:7100@\(Site.kamailio):\(kamailio.port)>"
        let refused = try call.refer(from: carrier, to: pbx, as: "0171", [to, "Referred-By: <sip:1001@h>"])
        #expect(refused == 403, "only the PBX transfers")
      }
    }
  }
}

/// A call that was let through, and what follows in it.
private final class Call {
  private let route: String
  private var requests = 1

  init(from caller: SIPCaller, to callee: SIPCaller, number: String, as name: String = "1001") throws {
    try caller.send(caller.request("INVITE", number, from: name))
    try callee.reply(200, to: try #require(callee.receive()))
    route = try #require(caller.final()?.header("Record-Route"))
  }

  /// The status of a transfer: the other end takes it if it comes there.
  func refer(from end: SIPCaller, to other: SIPCaller, as name: String, _ headers: [String]) throws -> Int {
    requests += 1
    try end.send(
      end.request(
        "REFER", "x", from: name, toTag: "t", branch: "\(requests)", sequence: requests,
        target: "sip:x@\(other.host):\(other.port)", headers: ["Route: \(route)"] + headers))
    let isOver = { (answer: SIPCaller.Answer) in
      answer.status >= 200 && answer.text.contains("CSeq: \(self.requests) REFER")
    }
    var status: Int?
    guard
      try comesAbout({
        if let got = other.receive(within: 10), got.text.hasPrefix("REFER ") { try other.reply(202, to: got) }
        if let answer = end.receive(within: 10), isOver(answer) { status = answer.status }
        return status != nil
      })
    else { return 0 }
    return status!
  }
}
