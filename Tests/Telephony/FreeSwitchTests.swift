import Foundation
import FoundationXML
import ScopeTesting
import Testing

extension TelephonyTests {
  /// FreeSWITCH is not in Debian 12: the script runs under lua5.1 with the objects of mod_lua that it uses, and the
  /// dialplan is read and followed. No FreeSWITCH takes part.
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

    /// Each question starts as unavailable, and each way ends in a context that is there.
    @Test func theDialplanIsClosed() throws {
      let plan = try Dialplan(telephonyFolder.appendingPathComponent("freeswitch/scoped.xml"))
      let known: Set = ["set", "lua", "transfer", "respond", "bridge", "callcenter"]
      #expect(Set(plan.extensions.flatMap { $0.actions.map(\.application) }).isSubset(of: known))
      #expect(Set(plan.extensions.map(\.context)) == ["scoped", "scoped_allow", "scoped_deny", "scoped_unavailable"])
      for way in plan.extensions where way.actions.contains(where: { $0.application == "lua" }) {
        let actions = way.actions.map { "\($0.application) \($0.data)" }
        #expect(actions.suffix(3).dropLast() == ["set scoped_verdict=unavailable", "lua scoped.lua"])
        #expect(actions.last?.hasSuffix(" XML scoped_${scoped_verdict}") == true)
      }
      for way in plan.extensions
      where way.actions.contains(where: { ["bridge", "callcenter"].contains($0.application) }) {
        #expect(way.context == "scoped_allow" && way.conditions.first?.field == "${scoped_verdict}")
        #expect(way.conditions.first?.expression == "^allow$")
      }
      for context in ["scoped", "scoped_allow", "scoped_deny", "scoped_unavailable"] {
        let last = plan.extensions.last { $0.context == context }
        #expect(last?.conditions.map(\.expression) == ["^.*$"])
        let answer = context == "scoped_unavailable" ? "503 Service Unavailable" : "403 Forbidden"
        #expect(last?.actions.map { "\($0.application) \($0.data)" } == ["respond \(answer)"])
      }
      for condition in plan.extensions.flatMap(\.conditions) {
        #expect(["destination_number", "${scoped_verdict}", "${scoped_object}"].contains(condition.field))
        #expect(throws: Never.self) { try NSRegularExpression(pattern: condition.expression) }
      }
    }
  }
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

/// A dialplan as it stands in the file.
private final class Dialplan: NSObject, XMLParserDelegate {
  struct Extension {
    let context: String
    var conditions: [(field: String, expression: String)] = []
    var actions: [(application: String, data: String)] = []
  }

  private(set) var extensions: [Extension] = []
  private var context = ""
  private var unknown: [String] = []

  init(_ file: URL) throws {
    super.init()
    guard let parser = XMLParser(contentsOf: file) else { throw TestFailure("no \(file.path)") }
    parser.delegate = self
    guard parser.parse(), unknown.isEmpty else {
      throw TestFailure("\(file.path): \(String(describing: parser.parserError)) \(unknown)")
    }
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    switch name {
    case "include": break
    case "context": context = attributes["name"] ?? ""
    case "extension": extensions.append(Extension(context: context))
    case "condition":
      extensions[extensions.count - 1].conditions.append((attributes["field"] ?? "", attributes["expression"] ?? ""))
    case "action":
      extensions[extensions.count - 1].actions.append((attributes["application"] ?? "", attributes["data"] ?? ""))
    default: unknown.append(name)
    }
  }
}
