import Foundation
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeServer

/// What Scripts/telephony/asterisk/README.md shows is what happens.
@Suite struct FastAGIPageTests {
  @Test func everyCommandPrintsWhatIsShown() async throws {
    let sessions = try FastAGIPage().blocks("console")
    #expect(sessions.count == 2 && sessions[0][0].hasPrefix("$ scoped "))
    try await onThread {
      let folder = TemporaryFolder()
      let scripts = packageFolder.appendingPathComponent("Scripts").path
      try FileManager.default.createSymbolicLink(atPath: folder.file("Scripts"), withDestinationPath: scripts)
      let daemon = try PageShell(in: folder)
      // Any free port, in place of the one shown.
      daemon.send(String(sessions[0][0].dropFirst(2)).replacing("4573", with: "0"))
      let ready = daemon.line() ?? "nothing"
      let port = String(ready.split(separator: ":").last ?? "")
      #expect(sessions[0][1...] == [ready.replacing(port, with: "4573")])
      let shell = try PageShell(in: folder)
      for (command, shown) in Page.steps(sessions[1]) {
        let output = shell.run(command.replacing("4573", with: port))
        #expect(output == shown, "\(command)")
      }
      #expect(daemon.stop() == 0)
    }
  }

  /// The phones shown call out through the dialplan, one of them in vain; and what they transfer of their own calls asks as
  /// the phone does. So do agents through the context shown. The carrier's line transfers nothing.
  @Test func theConfigurationShownWorks() async throws {
    let page = try FastAGIPage()
    let sections = try FastAGIPage.sections(page.only("pjsip"))
    let plan = try Dialplan(DialplanRun.text() + "\n" + page.only("dialplan").joined(separator: "\n"))
    try #require(sections.map(\.name) == ["phone-201", "phone-301", "trunk-main"])
    #expect(sections[2].options == ["type": "endpoint", "context": "scope-inbound", "allow_transfer": "no"])
    try await withFastAGI { daemon, port in
      try Sample.load(into: try daemon.client())
      try await onThread {
        let run = try DialplanRun(port: port)
        let outcomes = try sections.dropLast().map { name, options in
          #expect(options["type"] == "endpoint" && options["context"] == "scope-phones")
          let setting = try #require(options["set_var"]).split(separator: "=", maxSplits: 1).map(String.init)
          #expect(setting[1] == "ip_phone:\(name)")
          let phone = DialplanTests.Case(
            name: name, context: "scope-phones", exten: "0123", more: [setting[0]: setting[1]], outcome: .ranOut,
            asked: 1)
          let outcome = try run.outcome(phone)
          // The phone transfers whom it has called: that channel has what it inherited, and the phone's context.
          var inherited = try #require(run.last).inherited
          inherited["BLINDTRANSFER"] = "PJSIP/\(name)-00000007"
          return try [outcome]
            + ["0124", "601", "602"].map {
              let called = DialplanTests.Case(
                name: name, context: "scope-phones", exten: $0, more: inherited, outcome: .ranOut, asked: 1)
              return try run.outcome(called)
            }
        }
        let back = ["phone-201", "phone-301"].map { DialplanCall.Outcome.dialled("PJSIP/\($0),30") }
        let out = [DialplanCall.Outcome.dialled("PJSIP/0123@trunk-main"), .dialled("PJSIP/0124@trunk-main")]
        #expect(outcomes[0] == out + [.queued("clinic-appointments"), back[0]])
        #expect(outcomes[1] == [.hungUp(cause: "21"), back[1], back[1], back[1]])
        for (agent, outcome) in [
          ("1001", DialplanCall.Outcome.dialled("PJSIP/0123@trunk-main")), ("1016", .hungUp(cause: "21")),
          ("", .hungUp(cause: "42")), ("1001,queue:shop-orders", .hungUp(cause: "42")),
        ] {
          let call = DialplanTests.Case(
            name: agent, context: "own-agents", exten: "0123", more: ["OWN_AGENT": agent], outcome: outcome, asked: 1)
          #expect(try DialplanRun(port: port, plan).outcome(call) == outcome)
        }
      }
    }
  }

  @Test func theOptionsShownAreTaken() throws {
    let words = try FastAGIPage().only("options")[0].components(separatedBy: " ")
    #expect(words.count == 4 && words[0] == "--fastagi" && words[2] == "--fastagi-without-tls")
    #expect(try ListenAddress.fastAGI([words[1]], exposed: [words[3]]).map(\.description) == ["agi://\(words[1])"])
    #expect(throws: AddressError.notExposed(words[1], host: words[3])) {
      try ListenAddress.fastAGI([words[1]], exposed: [])
    }
  }

  @Test func everyReasonAndDefaultIsNamed() throws {
    let text = try FastAGIPage().text
    for reason in FastAGIRefusal.allCases { #expect(text.contains("`\(reason.rawValue)`")) }
    for reason in Reason.allCases { #expect(text.contains("`\(reason.code)`")) }
    for script in FastAGIScript.allCases { #expect(text.contains("| `\(script.rawValue)` |")) }
    let (limits, configuration) = (FastAGILimits(), FastAGIConfiguration())
    #expect(configuration.timeoutMilliseconds == 2_000 && text.contains("2 s, `--fastagi-timeout`"))
    #expect(configuration.connections == 1_024 && text.contains("1,024, `--fastagi-connections`"))
    #expect(limits.lineBytes == 8_192 && limits.lineWords == 128 && text.contains("8,192 bytes and 128 words"))
    #expect(limits.environmentLines == 64 && limits.environmentBytes == 32 << 10)
    #expect(limits.linesBeforeReply == 8 && text.contains("64 lines, and 4 KiB beside"))
  }

  /// The program that measures, for a moment: every verdict is right, and all that it tells is there.
  @Test func theMeasurementRuns() async throws {
    let output = try await onThread {
      try run(
        builtProduct("scope-bench"),
        ["fastagi", "--channels", "2", "--seconds", "0.2", "--rounds", "1", "--json"])
    }
    #expect(output.status == 0, "\(output.errors)")
    #expect(output.output.contains(#""per_second""#) && output.output.contains(#""channels":2"#), "\(output.output)")
  }

  @Test func askSaysWhenNobodyIsThere() async throws {
    try await onThread {
      let nobody = FakeFastAGI(listens: false, hangs: false, commands: [])
      let ask = packageFolder.appendingPathComponent("Scripts/telephony/asterisk/ask")
      let output = try run(ask, ["127.0.0.1:\(nobody.port)", "can-see?company=c", "user:u", "queue:q"])
      #expect(output.status == 2 && output.errors == "ask: nobody serves 127.0.0.1:\(nobody.port)\n")
      #expect(try run(ask, ["127.0.0.1:1"]).status == 64)
    }
  }
}

/// The page, and what stands in its fences.
private struct FastAGIPage {
  private let page: Page

  var text: String { page.text }

  init() throws { page = try Page("Scripts/telephony/asterisk/README.md") }

  /// The lines of each fence of a kind.
  func blocks(_ kind: String) throws -> [[String]] {
    let blocks = page.fences(kind).map(\.lines)
    if blocks.isEmpty { throw TestFailure("README.md has no fence '\(kind)'") }
    return blocks
  }

  func only(_ kind: String) throws -> [String] {
    let blocks = try blocks(kind)
    if blocks.count != 1 { throw TestFailure("README.md has \(blocks.count) fences '\(kind)'") }
    return blocks[0]
  }

  /// Sections with their options, in order.
  static func sections(_ block: [String]) throws -> [(name: String, options: [String: String])] {
    var sections: [(name: String, options: [String: String])] = []
    for line in block where !line.isEmpty {
      if line.hasPrefix("[") {
        sections.append((String(line.dropFirst().dropLast()), [:]))
      } else {
        let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
        sections[sections.count - 1].options[parts[0]] = parts[1]
      }
    }
    return sections
  }
}
