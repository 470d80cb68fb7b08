import Foundation
import FoundationXML
import ScopeClient
import ScopeTesting
import Testing

extension TelephonyTests {
  /// FreeSWITCH is not in Debian 12: the script runs under lua5.1 with the objects of mod_lua that it uses, and calls are
  /// followed through the dialplan as FreeSWITCH 1.10.12 takes them. No FreeSWITCH takes part.
  @Suite struct FreeSwitchTests {
    @Test func theScriptHandsOverTheVerdict() async throws {
      try await withSampleProcess { daemon throws in
        func verdict(_ subject: String, _ object: String) throws -> String {
          try runScript(daemon.address, subject, object)
        }
        #expect(try verdict("user:1001", "sip_provider:trunk-main") == "allow\tshared_project\t0\n")
        #expect(try verdict("user:1001", "sip_provider:trunk-collections-cli") == "deny\tno_shared_project\t1\n")
        #expect(try verdict("user:", "sip_provider:trunk-main") == "unavailable\tbad_argument\t1\n")
        #expect(try verdict("", "sip_provider:trunk-main") == "unavailable\tbad_argument\t1\n")
        daemon.pause()
        #expect(try verdict("user:1001", "sip_provider:trunk-main") == "unavailable\ttimeout\t1\n")
        daemon.killNow()
        #expect(try verdict("user:1001", "sip_provider:trunk-main") == "unavailable\tconnect_failed\t1\n")
      }
    }

    @Test func whatGoesWrongIsUnavailable() throws {
      let none = try runScript("scoped.sock", "user:1001", "queue:shop-orders")
      #expect(none == "unavailable\terror\t1\n")
      let missing = try runScript("unix:/x", "user:1001", "queue:shop-orders", modules: "/nowhere/?.so")
      #expect(missing == "unavailable\terror\t1\n")
    }

    /// Each question starts as unavailable, each verdict is used up before the call goes on, and each way ends in a context
    /// that is there.
    @Test func theDialplanIsClosed() throws {
      let plan = try Dialplan(scopedPlan())
      let known: Set = ["set", "export", "lua", "transfer", "respond", "bridge", "callcenter", "log", "hash"]
      #expect(Set(plan.extensions.flatMap { $0.actions.map(\.application) }).isSubset(of: known))
      let contexts = ["scoped", "scoped_emergency", "scoped_allow", "scoped_deny", "scoped_unavailable"]
      #expect(Set(plan.extensions.map(\.context)) == Set(contexts))
      #expect(
        plan.settings == [
          "force_transfer_context": "scoped", "force_transfer_dialplan": "XML", "outbound_redirect_fatal": "true",
          "confirm_blind_transfer": "true",
        ])
      for way in plan.extensions where way.actions.contains(where: { $0.application == "lua" }) {
        let actions = way.actions.map { "\($0.application) \($0.data)" }
        #expect(actions.suffix(3).dropLast() == ["set scoped_verdict=unavailable", "lua scoped.lua"])
        #expect(actions.last?.hasSuffix(" XML scoped_${scoped_verdict}") == true)
      }
      for way in plan.extensions where way.context != "scoped_emergency" {
        guard way.actions.contains(where: { ["bridge", "callcenter"].contains($0.application) }) else { continue }
        #expect(way.context == "scoped_allow" && way.conditions.first?.field == "${scoped_verdict}")
        #expect(way.conditions.first?.expression == "^allow$")
        #expect(way.actions.dropLast().map(\.data) == ["scoped_verdict=used"])
      }
      for (context, last) in zip(contexts, contexts.map { name in plan.extensions.last { $0.context == name } }) {
        let answer = [
          "scoped_unavailable": "respond 503 Service Unavailable", "scoped_deny": "respond 403 Forbidden",
          "scoped": "transfer refused XML scoped_deny", "scoped_allow": "transfer refused XML scoped_deny",
        ][context]
        guard let answer else { continue }
        #expect(last?.conditions.map(\.expression) == ["^.*$"])
        #expect(last?.actions.map { "\($0.application) \($0.data)" } == [answer])
      }
      // What a caller wrote may have blanks, which part the data of a transfer: only digits go into one.
      for way in plan.extensions where way.actions.contains(where: { $0.data.contains("$1") }) {
        let expressions = way.conditions.map(\.expression).filter { $0.contains("(") }
        let pinned: Set = [
          #"(?!)^(112|110)$"#, #"^(\d+)$"#, #"^(\+49\d+)$"#, #"^sip_provider:([\w-]+)$"#, #"^queue:([\w-]+)$"#,
          "^(.+)$",
        ]
        #expect(pinned.isSuperset(of: expressions))
        if expressions == ["^(.+)$"] { #expect(way.actions.allSatisfy { $0.application == "export" }) }
      }
    }

    /// Whoever transfers whichever side of a call, it is asked for again, and a refusal gives the call back.
    @Test(arguments: ["caller", "called"], [true, false]) func aTransferAsksAgain(by who: String, isAllowed: Bool)
      async throws
    {
      try await withSampleProcess { daemon in
        let plan = try Dialplan(scopedPlan())
        let caller = PlayedChannel(["user_name": "1001"])
        #expect(try caller.dial("+4930123", plan, daemon) == .bridged("sofia/gateway/trunk-main/+4930123"))
        #expect(caller.asked == 1 && caller.variables["scoped_verdict"] == "used")
        if !isAllowed { try block(daemon) }
        // By the called party's REFER it is the caller's channel that goes on, by the caller's the other one.
        let moved = who == "called" ? caller : PlayedChannel(caller.exported)
        let asked = moved.asked
        let outcome = try moved.refer("+4930999", plan, daemon)
        #expect(outcome == (isAllowed ? .bridged("sofia/gateway/trunk-main/+4930999") : .givenBack))
        #expect(moved.asked == asked + 1)
        for other in ["0190", "refused XML scoped_allow", "112"] {
          #expect(try moved.refer(other, plan, daemon) == .givenBack)
        }
        daemon.killNow()
        #expect(try moved.refer("+4930999", plan, daemon) == .givenBack)
      }
    }

    /// Each of the two that guard is enough against an old verdict; without both, the hole shows.
    @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
    func anOldVerdictOpensNothing(_ isForced: Bool, _ isUsedUp: Bool) async throws {
      try await withSampleProcess { daemon in
        var text = try scopedPlan()
        if !isForced { text = text.replacing("force_transfer_context=scoped", with: "force_transfer_context=") }
        if !isUsedUp { text = text.replacing("scoped_verdict=used", with: "scoped_note=used") }
        let plan = try Dialplan(text)
        let caller = PlayedChannel(["user_name": "1001"])
        #expect(try caller.dial("+4930123", plan, daemon) == .bridged("sofia/gateway/trunk-main/+4930123"))
        try block(daemon)
        let outcome = try caller.refer("0190", plan, daemon)
        #expect(outcome == (isForced || isUsedUp ? .givenBack : .bridged("sofia/gateway/trunk-main/0190")))
      }
    }

    @Test func callsGoWhereTheirAnswerSays() async throws {
      try await withSampleProcess { daemon in
        let plan = try Dialplan(scopedPlan())
        for (user, outcome) in [
          ("1016", PlayedChannel.Outcome.answered("403 Forbidden")), ("9999", .answered("403 Forbidden")),
        ] {
          #expect(try PlayedChannel(["user_name": user]).dial("+4930123", plan, daemon) == outcome)
        }
        #expect(try PlayedChannel([:]).dial("+4930123", plan, daemon) == .answered("503 Service Unavailable"))
        #expect(try PlayedChannel(["user_name": "1001"]).dial("0190", plan, daemon) == .answered("403 Forbidden"))
        for number in ["+494066969100", "494066969100"] {
          let customer = PlayedChannel([:])
          #expect(try customer.dial(number, plan, daemon) == .queued("clinic-appointments@default"))
          #expect(try customer.refer("+4930123", plan, daemon) == .bridged("sofia/gateway/trunk-main/+4930123"))
        }
      }
    }

    /// Off as it is to be copied; named, an emergency number goes through whoever calls, and whatever the daemon does.
    @Test func namedEmergencyNumbersGoThrough() async throws {
      try await withSampleProcess { daemon in
        let (text, callers) = (try scopedPlan(), [[:], ["user_name": "1016"], ["user_name": "9999"]])
        let (unnamed, named) = (try Dialplan(text), try Dialplan(text.replacing("(?!)", with: "")))
        for state in ["up", "hung", "away"] {
          if state == "hung" { daemon.pause() }
          if state == "away" { daemon.killNow() }
          for caller in callers {
            for number in ["112", "110"] {
              #expect(try PlayedChannel(caller).dial(number, unnamed, daemon) == .answered("403 Forbidden"))
              let channel = PlayedChannel(caller)
              #expect(try channel.dial(number, named, daemon) == .bridged("sofia/gateway/trunk-main/\(number)"))
              #expect(channel.asked == 0 && channel.variables["scoped_emergency"] == number)
              #expect(channel.counted == ["insert/scoped_emergency/\(channel.id)/\(number)"])
              #expect(channel.log == ["WARNING scoped: emergency call to \(number) without a check"])
            }
            let service = ["sip_full_to": "<urn:service:sos>"].merging(caller) { $1 }
            #expect(
              try PlayedChannel(service).dial("anonymous", named, daemon) == .bridged("sofia/gateway/trunk-main/112"))
            for number in ["1120", "911", "0112"] {
              #expect(try PlayedChannel(caller).dial(number, named, daemon) == .answered("403 Forbidden"))
            }
          }
        }
      }
    }
  }
}

private func scopedPlan() throws -> String {
  try String(contentsOf: telephonyFolder.appendingPathComponent("freeswitch/scoped.xml"), encoding: .utf8)
}

private func block(_ daemon: ProcessDaemon) throws {
  let line =
    #"{"company":"nordlicht","put_user":{"id":"1001","name":"Anna Berger","roles":["operator"],"blocked":true}}"#
  let change = try ChangeLine(json: Data(line.utf8))
  try daemon.client().applyAll([change.change], to: change.company)
}

private func runScript(_ address: String, _ subject: String, _ object: String, modules: String? = nil) throws -> String
{
  let folder = TemporaryFolder()
  let script = folder.file("scoped.lua")
  try String(contentsOf: telephonyFolder.appendingPathComponent("freeswitch/scoped.lua"), encoding: .utf8)
    .replacingOccurrences(of: "unix:/run/scoped/scoped.sock", with: address)
    .write(toFile: script, atomically: true, encoding: .utf8)
  let emulation = testFolder.appendingPathComponent("Programs/session.lua").path
  let shown = try run(
    try systemProgram("lua5.1"), [emulation, script, subject, object, "allow"],
    environment: ["LUA_CPATH": modules ?? LuaModule.path()])
  guard shown.status == 0 else { throw TestFailure("scoped.lua: \(shown.errors)") }
  return shown.output
}

/// A channel of a played FreeSWITCH, on its way through the dialplan.
private final class PlayedChannel {
  enum Outcome: Equatable {
    case bridged(String)
    case queued(String)
    case answered(String)
    /// The dialplan ended without connecting a transferred call: it goes back to who transferred it.
    case givenBack
    case ended
  }

  let id = "0f0e0d"
  private(set) var variables: [String: String]
  /// What a channel that is bridged to this one has of it.
  private(set) var exported: [String: String] = [:]
  private(set) var log: [String] = []
  private(set) var counted: [String] = []
  /// Questions asked so far.
  private(set) var asked = 0
  private var context = "scoped"

  init(_ variables: [String: String]) { self.variables = variables }

  func dial(_ number: String, _ plan: Dialplan, _ daemon: ProcessDaemon) throws -> Outcome {
    context = "scoped"
    return try route(number, plan, daemon)
  }

  /// The other side sends a REFER. Without a context to force it to, the channel stays in its own.
  func refer(_ number: String, _ plan: Dialplan, _ daemon: ProcessDaemon) throws -> Outcome {
    let forced = plan.settings["force_transfer_context"] ?? ""
    if !forced.isEmpty { context = forced }
    variables["blind_transfer_uuid"] = "0a0b0c"
    return try route(number, plan, daemon)
  }

  private func route(_ dialled: String, _ plan: Dialplan, _ daemon: ProcessDaemon) throws -> Outcome {
    var number = dialled
    for _ in 0..<70 {
      let fields = variables.merging(["destination_number": number, "uuid": id]) { $1 }
      var next: String?
      for action in plan.actions(in: context, fields) {
        let data = expand(action.data, fields.merging(variables) { $1 })
        switch action.application {
        case "set", "export":
          let parts = data.split(separator: "=", maxSplits: 1).map(String.init)
          variables[parts[0]] = parts[1]
          if action.application == "export" { exported[parts[0]] = parts[1] }
        case "log": log.append(data)
        case "hash": counted.append(data)
        case "lua": try ask(daemon)
        case "transfer": next = data
        case "bridge": return .bridged(data)
        case "callcenter": return .queued(data)
        case "respond": return .answered(data)
        default: throw TestFailure("application '\(action.application)' is not known here")
        }
        if next != nil { break }
      }
      guard let next else { return variables["blind_transfer_uuid"] == nil ? .ended : .givenBack }
      // At blanks, as FreeSWITCH does: what comes after the third word is not looked at.
      let words = next.split(separator: " ").map(String.init)
      (number, context) = (words[0], words[2])
    }
    throw TestFailure("the dialplan goes in circles")
  }

  private func ask(_ daemon: ProcessDaemon) throws {
    asked += 1
    let printed = try runScript(daemon.address, variables["scoped_subject"] ?? "", variables["scoped_object"] ?? "")
    variables["scoped_verdict"] = String(printed.prefix { $0 != "\t" })
  }

  private func expand(_ text: String, _ fields: [String: String]) -> String {
    text.replacing(/\$\{(\w+)\}/) { fields[String($0.1)] ?? "" }
  }
}

/// A dialplan as it stands in the file.
private final class Dialplan: NSObject, XMLParserDelegate {
  struct Extension {
    let context: String
    var conditions: [(field: String, expression: String)] = []
    var actions: [(application: String, data: String)] = []
    var continues = false
  }

  /// Variables of FreeSWITCH itself, which all channels have.
  private(set) var settings: [String: String] = [:]
  private(set) var extensions: [Extension] = []
  private var context = ""
  private var unknown: [String] = []

  init(_ text: String) throws {
    super.init()
    let parser = XMLParser(data: Data(text.utf8))
    parser.delegate = self
    guard parser.parse(), unknown.isEmpty else {
      throw TestFailure("scoped.xml: \(String(describing: parser.parserError)) \(unknown)")
    }
  }

  /// The actions of the first extension that fits, and of those before it that say `continue`. Conditions are all tested
  /// before any action runs; what the last one has matched in parentheses is put in.
  func actions(in context: String, _ fields: [String: String]) -> [(application: String, data: String)] {
    var actions: [(application: String, data: String)] = []
    for way in extensions where way.context == context {
      guard let captured = way.match(fields) else { continue }
      actions += way.actions.map { ($0.application, $0.data.replacingOccurrences(of: "$1", with: captured)) }
      if !way.continues { break }
    }
    return actions
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    switch name {
    case "include": break
    case "context": context = attributes["name"] ?? ""
    case "X-PRE-PROCESS":
      let parts = (attributes["data"] ?? "").split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if attributes["cmd"] != "set" || parts.count != 2 { unknown.append("\(attributes)") }
      settings[String(parts[0])] = parts.last.map(String.init)
    case "extension": extensions.append(Extension(context: context, continues: attributes["continue"] == "true"))
    case "condition":
      extensions[extensions.count - 1].conditions.append((attributes["field"] ?? "", attributes["expression"] ?? ""))
    case "action":
      extensions[extensions.count - 1].actions.append((attributes["application"] ?? "", attributes["data"] ?? ""))
    default: unknown.append(name)
    }
  }
}

extension Dialplan.Extension {
  /// What the last condition has in its first parentheses; nil: one does not hold.
  fileprivate func match(_ fields: [String: String]) -> String? {
    var captured = ""
    for condition in conditions {
      let name = condition.field.filter { !"${}".contains($0) }
      let text = fields[name] ?? ""
      guard let expression = try? NSRegularExpression(pattern: condition.expression),
        let match = expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text))
      else { return nil }
      let range = match.numberOfRanges > 1 ? Range(match.range(at: 1), in: text) : nil
      captured = range.map { String(text[$0]) } ?? ""
    }
    return captured
  }
}
