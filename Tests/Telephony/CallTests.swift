import Foundation
import ScopeTesting
import Testing

extension TelephonyTests {
  /// Real calls through Debian's Kamailio to sipp, with a real daemon: each line names the verdict expected.
  @Suite struct CallTests {
    @Test(arguments: Configuration.allCases) func everyCallGetsItsVerdict(_ configuration: Configuration) async throws {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let answerers = try SippAnswerers(port: kamailio.farPort)
        let outbound = [
          "1001;+494066;allow", "1001;0049151;allow", "1001;880012;deny", "phone-301;880012;allow",
          "phone-301;+494066;deny",
          "1016;880012;deny", "9999;+494066;deny", "1001;7100;allow", "1001;7200;deny", "1019;7301;allow",
          // Covered by no setting.
          "1001;7999;deny", "1001;112;deny", "anna;+494066;deny", "10011;+494066;deny", "1001;+49a;deny",
          "1001;4949;deny",
        ]
        let takers = [
          "+494066": Site.trunkMain, "0049151": Site.trunkMain, "880012": Site.trunkCollections, "7100": Site.inside,
          "7301": Site.inside,
        ]
        let out = try SippCaller("call", lines: outbound, from: Site.inside, to: kamailio.port, calls: 64).finish()
        expectGood(out, 64)
        for record in out.records where record.verdict == "allow" {
          let number = outbound[(record.line - 1) % outbound.count].components(separatedBy: ";")[1]
          #expect(record.taker == "sip:\(takers[number] ?? "?"):\(kamailio.farPort)")
        }
        let inbound = [
          "0171;+494066969100;allow", "0171;494066969300;deny", "1001;494066969999;deny", "1001;7100;deny",
        ]
        let from = try SippCaller("call", lines: inbound, from: Site.trunkMain, to: kamailio.port).finish()
        expectGood(from, 4)
        #expect(from.records.first { $0.verdict == "allow" }?.taker == "sip:\(Site.inside):\(kamailio.farPort)")
        // The other carrier is no friend of the clinic's scenario.
        let foreign = ["0171;494066969100;deny"]
        expectGood(try SippCaller("call", lines: foreign, from: Site.trunkCollections, to: kamailio.port).finish(), 1)
        let strange = ["1001;+494066;deny", "1001;7100;deny", "1001;494066969100;deny"]
        expectGood(try SippCaller("call", lines: strange, from: Site.stranger, to: kamailio.port).finish(), 3)
        let counted = try kamailio.statistics()
        #expect(counted["scoped_allow"] == 4 * 5 + 2 + 1, "7100 inbound asks twice, 300 once; \(counted)")
        #expect(counted["scoped_deny"] == 4 * 5 + 1 + 1)
        #expect(counted["scoped_unavailable"] == 0 && counted["scoped_emergency"] == 0)
        _ = answerers
      }
    }

    @Test(arguments: Configuration.allCases) func aTransferIsAskedForAsACallIs(_ configuration: Configuration)
      async throws
    {
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(configuration, asking: daemon.address)
        let answerers = try SippAnswerers(port: kamailio.farPort)
        let lines = [
          "1001;+494066;allow;7100", "1001;+494066;deny;7200", "1001;+494066;allow;+49301", "1001;+494066;deny;880012",
          "1001;+494066;deny;7301", "1001;+494066;deny;7999", "1001;+494066;deny;112", "phone-301;880012;allow;7301",
        ]
        expectGood(
          try SippCaller("transfer", lines: lines, from: Site.inside, to: kamailio.port, calls: 32).finish(), 32)
        _ = answerers
      }
    }
  }
}

/// Each call got the verdict that its line names, none was sent again, none was left without an answer.
func expectGood(_ report: CallReport, _ calls: Int) {
  #expect(report.records.count == calls && report.failed == 0, "\(report.errors)")
  #expect(report.wrong.isEmpty, "\(report.wrong)")
  #expect(report.retransmissions == 0)
}
