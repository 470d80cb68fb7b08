import Foundation
import NIOConcurrencyHelpers
import ScopeTesting
import Testing

/// The dialplan that is to be copied, run against the daemon and against everything that may happen to it. Asterisk itself
/// is played.
@Suite struct DialplanTests {
  /// A call, and what becomes of it where the daemon answers.
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let context: String
    let exten: String
    var subject: String?
    var more: [String: String] = [:]
    let outcome: DialplanCall.Outcome
    /// AGI() calls on its way.
    let asked: Int

    var testDescription: String { name }
    var variables: [String: String] { more.merging(subject.map { ["SCOPE_SUBJECT": $0] } ?? [:]) { $1 } }
  }

  private static let allowed = [
    Case(
      name: "a phone calls out", context: "scope-phones", exten: "040123456", subject: "ip_phone:phone-201",
      outcome: .dialled("PJSIP/040123456@trunk-main"), asked: 1),
    Case(
      name: "an agent calls out", context: "scope-phones", exten: "0123", subject: "user:1001",
      outcome: .dialled("PJSIP/0123@trunk-main"), asked: 1),
    Case(
      name: "a number leads to its scenario and queue", context: "scope-inbound", exten: "4940669690",
      outcome: .queued("clinic-appointments"), asked: 2),
    Case(
      name: "a caller is transferred", context: "scope-transfer", exten: "601",
      subject: "call_scenario:clinic-main-ivr",
      outcome: .queued("clinic-appointments"), asked: 1),
    Case(
      name: "what is dialled is digits alone", context: "scope-phones", exten: "0123&PJSIP/1@x,60,g",
      subject: "user:1001",
      outcome: .dialled("PJSIP/0123160@trunk-main"), asked: 1),
  ]

  private static let refused = [
    Case(
      name: "a phone of another project", context: "scope-phones", exten: "040123456", subject: "ip_phone:phone-301",
      outcome: .hungUp(cause: "21"), asked: 1),
    Case(
      name: "a blocked user", context: "scope-phones", exten: "040123456", subject: "user:1016",
      outcome: .hungUp(cause: "21"), asked: 1),
    Case(
      name: "a transfer to another customer's queue", context: "scope-transfer", exten: "602",
      subject: "call_scenario:clinic-main-ivr", outcome: .hungUp(cause: "21"), asked: 1),
    Case(
      name: "a phone that nobody named", context: "scope-phones", exten: "040123456", outcome: .hungUp(cause: "41"),
      asked: 1),
    Case(
      name: "a transfer of a call without a scenario", context: "scope-transfer", exten: "601",
      outcome: .hungUp(cause: "41"), asked: 1),
    Case(
      name: "a number that is not ours", context: "scope-inbound", exten: "4940669699", outcome: .ranOut, asked: 0),
    Case(
      name: "a name that pretends to be three arguments", context: "scope-phones", exten: "0123",
      subject: "user:1001,queue:clinic-appointments", outcome: .hungUp(cause: "41"), asked: 0),
  ]

  @Test(arguments: allowed + refused) func callsEndAsTheRulesSay(_ call: Case) async throws {
    try await withFastAGI { daemon, port in
      try Sample.load(into: try daemon.client())
      try await onThread {
        let run = try DialplanRun(port: port)
        #expect(try run.outcome(call) == call.outcome && run.asked == call.asked)
      }
    }
  }

  /// Whatever the channel has from before, a call that was to go through is refused as a failure.
  @Test(arguments: allowed, DialplanFault.allCases)
  func withoutAnAnswerNoCallGoesThrough(_ call: Case, _ fault: DialplanFault) async throws {
    try await onThread {
      let run = try DialplanRun(fault)
      let outcome = try run.outcome(call)
      #expect(outcome == fault.outcome, "\(fault), \(outcome)")
    }
  }

  /// The daemon is killed while a channel waits, after some variables are set.
  @Test(arguments: 1...3, [AsteriskAGI.Status.success, .failure])
  func aDaemonThatIsKilledLetsNothingHalfThrough(at command: Int, _ status: AsteriskAGI.Status) async throws {
    let (daemon, port) = try fastAGIProcess()
    let killed = UncheckedBox(daemon)
    try await onThread {
      let run = try DialplanRun(port: port, statusWhenCut: status) { number in
        number == command - 1 ? .act { killed.value.killNow() } : .none
      }
      let outcome = try run.outcome(DialplanTests.allowed[0])
      // With the third command everything is set: the answer was whole, and the daemon is gone after it.
      let isWhole = command == 3 && status == .success
      let cause = status == .failure ? "41" : "21"
      #expect(outcome == (isWhole ? DialplanTests.allowed[0].outcome : .hungUp(cause: cause)))
      #expect(try run.outcome(DialplanTests.allowed[0]) == .hungUp(cause: "41"), "and the next finds nobody")
    }
  }

  /// The daemon hangs; the channel ends with its caller, and not before.
  @Test func aDaemonThatHangsHoldsNoChannelWithoutACaller() async throws {
    let (daemon, port) = try fastAGIProcess()
    daemon.pause()
    try await onThread {
      let run = try DialplanRun(port: port, callerHangsUp: true)
      #expect(try run.outcome(DialplanTests.allowed[0]) == .callerGone)
    }
    daemon.signal(SIGCONT)
    #expect(daemon.stop() == 0)
  }

  /// Emergency numbers, and no others, go through without an answer, and each is counted.
  @Test func theOwnListGoesThroughAndIsCounted() async throws {
    try await onThread {
      let run = try DialplanRun(.away)
      let emergency = Case(
        name: "112", context: "scope-phones", exten: "112", outcome: .dialled("PJSIP/112@trunk-main"), asked: 0)
      for count in 1...3 {
        #expect(try run.outcome(emergency) == emergency.outcome && run.asked == 0)
        #expect(run.globals["SCOPE_EMERGENCY_CALLS"] == "\(count)")
        #expect(run.log == ["WARNING,scope: emergency call \(count) to 112 without a check"])
      }
      for exten in ["110", "1120", "11"] {
        var other = DialplanTests.allowed[0]
        other = Case(
          name: exten, context: other.context, exten: exten, subject: other.subject, outcome: other.outcome, asked: 1)
        #expect(try run.outcome(other) == .hungUp(cause: "41"))
      }
    }
  }

  /// Each line that guards is needed: without it, some call goes through that should not, or a channel stays.
  @Test(arguments: [
    " same => n,Set(SCOPE_REASON=no_answer)", "exten => s,1,Set(SCOPE_RESULT=deny)",
    " same => n,Set(AGIEXITONHANGUP=yes)", #"GotoIf($["${AGISTATUS}" != "SUCCESS"]?failed)"#,
    #"GotoIf($["${SCOPE_REASON}" = "no_answer"]?failed)"#, "n(failed),Hangup(41)", "n(denied),Hangup(21)",
    "GotoIf(${LEN(${ARG3})}?failed)",
  ])
  func everyGuardIsNeeded(_ line: String) async throws {
    let text = try DialplanRun.text()
    #expect(text.components(separatedBy: line).count == 2, "'\(line)' stands there once")
    let rows = text.components(separatedBy: "\n").map { $0.contains(line) ? withoutApplication($0) : $0 }
    try await onThread {
      let plan = try Dialplan(rows.joined(separator: "\n"))
      let isSeen = DialplanFault.allCases.contains { fault in
        (try? DialplanRun(fault, plan).outcome(DialplanTests.allowed[0])) != fault.outcome
      }
      let isDeceived = try DialplanRun(.allows, plan).outcome(DialplanTests.refused.last!) != .hungUp(cause: "41")
      #expect(isSeen || isDeceived, "nothing shows that '\(line)' is missing")
    }
  }

  /// The same priority and label, and nothing done.
  private func withoutApplication(_ row: String) -> String {
    let priority = row.prefix { $0 != "," }
    return priority + (row.hasPrefix("exten") ? ",1,NoOp()" : ",NoOp()")
  }

  @Test(arguments: [
    ("_X.", "12", true), ("_X.", "1", false), ("_X!", "1", true), ("_NXZ", "209", true), ("_NXZ", "109", false),
    ("s", "s", true),
    ("_112", "112", true), ("_112", "1123", false),
  ])
  func patternsMatchAsInAsterisk(_ pattern: String, _ exten: String, _ isMatch: Bool) {
    #expect(Dialplan.matches(pattern, exten) == isMatch)
  }
}

/// For a value that only one thread uses at a time, by the test's own order.
struct UncheckedBox<T>: @unchecked Sendable {
  let value: T

  init(_ value: T) { self.value = value }
}

/// What may be wrong with a daemon.
enum DialplanFault: Sendable {
  /// Nobody listens.
  case away
  /// It says nothing, and the caller hangs up.
  case hangs
  /// It closes without a command.
  case silent
  /// It closes after the reason of an allow.
  case reasonOnly
  /// It closes after an allow that comes before its reason; scoped does not do that.
  case resultOnly
  /// Everything was set, and the channel says that the AGI has failed.
  case failed
  /// It sends what is no result.
  case nonsense
  case unavailable
  case denies
  /// No fault; not among those that are tried.
  case allows

  static let allCases: [DialplanFault] = [
    .away, .hangs, .silent, .reasonOnly, .resultOnly, .failed, .nonsense, .unavailable, .denies,
  ]

  var outcome: DialplanCall.Outcome {
    switch self {
    case .hangs: .callerGone
    case .reasonOnly, .denies: .hungUp(cause: "21")
    default: .hungUp(cause: "41")
    }
  }

  fileprivate var commands: [String] {
    let (reason, project) = (DialplanFault.set("REASON", "shared_project"), DialplanFault.set("PROJECT", "clinic"))
    switch self {
    case .away, .hangs, .silent: return []
    case .reasonOnly: return [reason]
    case .resultOnly: return [DialplanFault.set("RESULT", "allow")]
    case .failed, .allows: return [reason, project, DialplanFault.set("RESULT", "allow")]
    case .nonsense: return [reason, project, DialplanFault.set("RESULT", "yes")]
    case .unavailable: return [DialplanFault.set("RESULT", "unavailable"), reason]
    case .denies: return [DialplanFault.set("RESULT", "deny"), reason]
    }
  }

  private static func set(_ name: String, _ value: String) -> String { "SET VARIABLE SCOPE_\(name) \"\(value)\"\n" }
}

/// Runs calls through a dialplan, one after the other, on channels that have an allow from before.
final class DialplanRun {
  private let plan: Dialplan
  private let port: UInt16
  private let statusWhenCut: AsteriskAGI.Status?
  private let callerHangsUp: Bool
  private let event: (Int) -> AsteriskAGI.Event
  private var fake: FakeFastAGI?
  private(set) var asked = 0
  private(set) var log: [String] = []
  private(set) var globals: [String: String] = [:]

  static func text() throws -> String {
    let path = packageFolder.appendingPathComponent("Scripts/telephony/asterisk/extensions.conf")
    return try String(contentsOf: path, encoding: .utf8)
  }

  /// - Parameters:
  ///   - statusWhenCut: what the channel says of the AGI; nil: what it is.
  ///   - event: what happens at each command.
  init(
    port: UInt16, _ plan: Dialplan? = nil, statusWhenCut: AsteriskAGI.Status? = nil, callerHangsUp: Bool = false,
    event: @escaping (Int) -> AsteriskAGI.Event = { _ in .none }
  ) throws {
    self.plan = try plan ?? Dialplan(DialplanRun.text())
    self.port = port
    self.statusWhenCut = statusWhenCut
    self.callerHangsUp = callerHangsUp
    self.event = event
  }

  convenience init(_ fault: DialplanFault, _ plan: Dialplan? = nil) throws {
    let fake = FakeFastAGI(listens: fault != .away, hangs: fault == .hangs, commands: fault.commands)
    try self.init(
      port: fake.port, plan, statusWhenCut: fault == .failed ? .failure : nil, callerHangsUp: fault == .hangs)
    self.fake = fake
  }

  func outcome(_ call: DialplanTests.Case) throws -> DialplanCall.Outcome {
    let old = ["SCOPE_RESULT": "allow", "SCOPE_REASON": "shared_project", "AGISTATUS": "SUCCESS"]
    let running = DialplanCall(
      plan, from: call.context, to: call.exten, variables: old.merging(call.variables) { $1 }, globals: globals,
      agi: ask)
    let outcome = try running.run()
    (asked, log, globals) = (running.asked, running.log, running.globals)
    return outcome
  }

  private func ask(_ address: String, _ arguments: [String], _ call: DialplanCall) throws -> AsteriskAGI.Status {
    let head = "agi://127.0.0.1:4573/"
    guard address.hasPrefix(head) else { throw TestFailure("AGI(\(address)) goes elsewhere") }
    guard let channel = try? AsteriskAGI(port: port, event: event) else { return .failure }
    let environment = AsteriskEnvironment(
      script: String(address.dropFirst(head.count)), arguments: arguments, callerName: Array("\"; \\".utf8))
    if callerHangsUp && call.variables["AGIEXITONHANGUP"] == "yes" {
      channel.begin(environment.bytes)
      return .hangup
    }
    let status = try channel.run(environment.bytes, within: callerHangsUp ? 0.2 : 30)
    call.variables.merge(channel.variables) { $1 }
    return statusWhenCut ?? status
  }
}

/// A daemon that sends certain commands, whatever it is asked.
final class FakeFastAGI: Sendable {
  let port: UInt16
  private let listener: Int32
  private let isListening: Bool

  /// - Parameters:
  ///   - listens: false: the port is taken, and refuses whoever comes.
  ///   - hangs: reads what comes, and says nothing.
  init(listens: Bool, hangs: Bool, commands: [String]) {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    isListening = listens
    var (address, bytes) = (sockaddr_in(), socklen_t(MemoryLayout<sockaddr_in>.size))
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let handle = listener
    port = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        guard bind(handle, address, bytes) == 0, getsockname(handle, address, &bytes) == 0 else {
          fatalError("no port on loopback: errno \(errno)")
        }
      }
      return UInt16(bigEndian: pointer.pointee.sin_port)
    }
    if listens { start(hangs, commands) }
  }

  /// The thread that accepts closes what it uses: its number may be another's as soon as it is free.
  deinit {
    if isListening { shutdown(listener, Int32(SHUT_RDWR)) } else { close(listener) }
  }

  private func start(_ hangs: Bool, _ commands: [String]) {
    listen(listener, 16)
    Thread.detachNewThread { [listener] in
      while case let client = acceptConnection(listener), client >= 0 {
        FakeFastAGI.serve(client, hangs, commands)
        close(client)
      }
      close(listener)
    }
  }

  private static func serve(_ client: Int32, _ hangs: Bool, _ commands: [String]) {
    guard read(client, until: hangs ? nil : "\n\n") else { return }
    for command in commands {
      _ = send(client, command, command.utf8.count, Int32(MSG_NOSIGNAL))
      guard read(client, until: "\n") else { return }
    }
  }

  /// False: it has hung up.
  private static func read(_ client: Int32, until end: String?) -> Bool {
    var text: [UInt8] = []
    while end.map({ !text.suffix($0.utf8.count).elementsEqual($0.utf8) }) ?? true {
      var chunk = [UInt8](repeating: 0, count: 4_096)
      let count = recv(client, &chunk, chunk.count, 0)
      if count <= 0 { return false }
      text += chunk[..<count]
    }
    return true
  }
}
