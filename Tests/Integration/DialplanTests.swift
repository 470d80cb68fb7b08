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
    /// Seconds that TIMEOUT(absolute) has left, and that the caller waits.
    var limit: Double?
    var patience: Double?
    let outcome: DialplanCall.Outcome
    /// AGI() calls on its way.
    let asked: Int

    var testDescription: String { name }
    var variables: [String: String] { more.merging(subject.map { ["SCOPE_SUBJECT": $0] } ?? [:]) { $1 } }

    /// The same call, which a phone is just transferring.
    var transferred: Case {
      var call = self
      call.more["BLINDTRANSFER"] = "PJSIP/phone-201-0000002a"
      return call
    }
  }

  /// A transfer that was refused.
  private static let back = DialplanCall.Outcome.dialled("PJSIP/phone-201,30")

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
      name: "a phone calls abroad", context: "scope-phones", exten: "+493055501", subject: "ip_phone:phone-201",
      outcome: .dialled("PJSIP/+493055501@trunk-main"), asked: 1),
    Case(
      name: "a phone calls a queue", context: "scope-phones", exten: "601", subject: "ip_phone:phone-201",
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
      name: "a phone of another project calls abroad", context: "scope-phones", exten: "+493055501",
      subject: "ip_phone:phone-301", outcome: .hungUp(cause: "21"), asked: 1),
    Case(
      name: "a transfer to another customer's queue", context: "scope-transfer", exten: "602",
      subject: "call_scenario:clinic-main-ivr", outcome: .hungUp(cause: "21"), asked: 1),
    Case(
      name: "a phone that nobody named", context: "scope-phones", exten: "040123456", outcome: .hungUp(cause: "42"),
      asked: 1),
    Case(
      name: "a transfer of a call without a scenario", context: "scope-transfer", exten: "601",
      outcome: .hungUp(cause: "42"), asked: 1),
    Case(
      name: "a number that is not ours", context: "scope-inbound", exten: "4940669699", outcome: .ranOut, asked: 0),
    Case(
      name: "a name that pretends to be three arguments", context: "scope-phones", exten: "0123",
      subject: "user:1001,queue:clinic-appointments", outcome: .hungUp(cause: "42"), asked: 0),
  ]

  /// Asterisk hands on what the caller sent, line breaks and all.
  private static let lines = ["num", "name", "dnid", "rdnis"].flatMap { field in
    ["0123\nagi_arg_1: user:1080", "0123\n\n200 result=1", "\r"].map { text in
      Case(
        name: "\(field) of two lines", context: "scope-phones", exten: "040123456", subject: "ip_phone:phone-201",
        more: ["CALLERID(\(field))": text], outcome: .hungUp(cause: "42"), asked: 0)
    }
  }

  @Test(arguments: allowed + refused + lines) func callsEndAsTheRulesSay(_ call: Case) async throws {
    try await withFastAGI { daemon, port in
      try Sample.load(into: try daemon.client())
      try await onThread {
        let run = try DialplanRun(port: port)
        #expect(try run.outcome(call) == call.outcome && run.asked == call.asked)
      }
    }
  }

  /// Refused while it is transferred, a call goes back to the phone, and to nothing but a phone.
  @Test(arguments: allowed + refused) func aRefusedTransferGoesBackToThePhone(_ call: Case) async throws {
    try await withFastAGI { daemon, port in
      try Sample.load(into: try daemon.client())
      try await onThread {
        let run = try DialplanRun(port: port)
        let isAllowed = DialplanTests.allowed.contains { $0.name == call.name }
        let isAsked = call.outcome != .ranOut
        #expect(try run.outcome(call.transferred) == (isAllowed || !isAsked ? call.outcome : DialplanTests.back))
        for other in ["PJSIP/trunk-main-0000002a", "Local/phone-201@x-0000002a;1", "xPJSIP/phone-1", ""] {
          var call = call
          call.more["BLINDTRANSFER"] = other
          #expect(try run.outcome(call) == call.outcome)
        }
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
      #expect(try run.outcome(call.transferred) == DialplanTests.back)
    }
  }

  /// The daemon is killed while a channel waits, after some variables are set.
  @Test(arguments: 1...4, [AsteriskAGI.Status.success, .failure])
  func aDaemonThatIsKilledLetsNothingHalfThrough(at command: Int, _ status: AsteriskAGI.Status) async throws {
    let (daemon, port) = try fastAGIProcess()
    let killed = UncheckedBox(daemon)
    try await onThread {
      let run = try DialplanRun(port: port, statusWhenCut: status) { number in
        number == command - 1 ? .act { killed.value.killNow() } : .none
      }
      let outcome = try run.outcome(DialplanTests.allowed[0])
      // With the fourth command everything is set: the answer was whole, and the daemon is gone after it.
      let isWhole = command == 4 && status == .success
      let cause = status == .failure ? "42" : "21"
      #expect(outcome == (isWhole ? DialplanTests.allowed[0].outcome : .hungUp(cause: cause)))
      #expect(try run.outcome(DialplanTests.allowed[0]) == .hungUp(cause: "42"), "and the next finds nobody")
    }
  }

  /// The daemon hangs: the channel ends after two seconds, or with its caller, or with a limit of its own.
  @Test func aDaemonThatHangsHoldsNoChannel() async throws {
    let (daemon, port) = try fastAGIProcess()
    daemon.pause()
    try await onThread {
      let run = try DialplanRun(port: port, hangs: true)
      var call = DialplanTests.allowed[0]
      #expect(try run.outcome(call) == .hungUp(cause: "42"))
      call.patience = 1.5
      #expect(try run.outcome(call) == .callerGone)
      call.limit = 1.25
      #expect(try run.outcome(call.transferred) == .hungUp(cause: "42"))
    }
    daemon.signal(SIGCONT)
    #expect(daemon.stop() == 0)
  }

  /// What is left of a limit of the operator's own goes on when the question is answered, and when it is not.
  @Test(arguments: [nil, 0.5, 2, 2.25, 90, 7_200]) func anOwnLimitIsKept(_ limit: Double?) async throws {
    try await onThread {
      for fault in [DialplanFault.allows, .denies, .silent] {
        let run = try DialplanRun(fault, seconds: 0.25)
        var call = DialplanTests.allowed[0]
        call.limit = limit
        _ = try run.outcome(call.transferred)
        #expect(run.last?.limit == limit.map { $0 - 0.25 }, "\(fault)")
      }
      let run = try DialplanRun(.hangs)
      var call = DialplanTests.allowed[0]
      call.limit = limit
      let isOver = limit.map { $0 <= 2 } ?? false
      #expect(try run.outcome(call.transferred) == (isOver ? .hungUp(cause: "42") : DialplanTests.back))
      #expect(run.last?.limit == (isOver ? nil : limit.map { $0 - 2 }))
    }
  }

  /// Emergency numbers that were named go through whoever calls and whatever the daemon does, and each is counted.
  @Test(arguments: DialplanFault.allCases + [.allows], [nil, "user:1016", "user:9999", "ip_phone:phone-301"])
  func namedEmergencyNumbersGoThrough(_ fault: DialplanFault, _ subject: String?) async throws {
    try await onThread {
      let run = try DialplanRun(fault, Dialplan(DialplanRun.withEmergencyNumbers()))
      for (count, (dialled, sent)) in [("112", "112"), ("110", "110"), ("sos", "112")].enumerated() {
        let call = Case(
          name: dialled, context: "scope-phones", exten: dialled, subject: subject,
          outcome: .dialled("PJSIP/\(sent)@trunk-main"), asked: 0)
        #expect(try run.outcome(call) == call.outcome && run.asked == 0)
        #expect(run.globals.values["SCOPE_EMERGENCY_CALLS"] == "\(count + 1)")
        #expect(run.last?.log == ["WARNING,scope: emergency call \(count + 1) to \(sent) without a check"])
      }
    }
  }

  /// What nobody named is asked for, and what only looks like one.
  @Test(arguments: ["112", "1120", "911", "00112"]) func noEmergencyNumberIsNamedAtFirst(_ exten: String) async throws {
    try await onThread {
      var call = DialplanTests.allowed[0]
      call = Case(
        name: exten, context: call.context, exten: exten, subject: call.subject, outcome: call.outcome, asked: 1)
      let run = try DialplanRun(.away)
      #expect(try run.outcome(call) == .hungUp(cause: "42") && run.asked == 1)
      if exten == "112" { return }
      let named = try DialplanRun(.away, Dialplan(DialplanRun.withEmergencyNumbers()))
      #expect(try named.outcome(call) == .hungUp(cause: "42") && named.asked == 1)
    }
  }

  /// Calls at the same moment, one step of each after the other: no count is lost. Without the lock it would be.
  @Test func emergencyCallsAtTheSameMomentAreAllCounted() throws {
    let text = try DialplanRun.withEmergencyNumbers()
    let lock = "Set(SCOPE_TURN=${LOCK(scope-emergency)})"
    #expect(text.contains(lock))
    for (text, isLocked) in [(text, true), (text.replacing(lock, with: "NoOp()"), false)] {
      let plan = try Dialplan(text)
      let globals = DialplanGlobals(plan)
      let calls = (0..<7).map { _ in
        DialplanCall(plan, from: "scope-phones", to: "112", globals: globals) { _, _, _ in nil }
      }
      var outcomes = [DialplanCall.Outcome?](repeating: nil, count: calls.count)
      for _ in 0..<1_000 {
        for (number, call) in calls.enumerated() where outcomes[number] == nil { outcomes[number] = try call.step() }
      }
      #expect(outcomes.allSatisfy { $0 == .dialled("PJSIP/112@trunk-main") })
      #expect((globals.values["SCOPE_EMERGENCY_CALLS"] == "7") == isLocked)
      #expect((Set(calls.flatMap(\.log)).count == 7) == isLocked)
    }
  }

  /// Each line that guards is needed: without it, something ends otherwise.
  @Test(arguments: [
    " same => n,Set(SCOPE_REASON=no_answer)", "exten => s,1,Set(SCOPE_RESULT=deny)",
    " same => n,Set(AGIEXITONHANGUP=yes)", #"GotoIf($["${AGISTATUS}" != "SUCCESS"]?failed)"#,
    #"GotoIf($["${SCOPE_REASON}" = "no_answer"]?failed)"#, "n(failed),Goto(scope-refused,42,1)",
    "n(denied),Goto(scope-refused,21,1)", "GotoIf(${LEN(${ARG3})}?failed)", "Set(SCOPE_CALLER=",
    "GotoIf(${LEN(${FILTER(", "Set(SCOPE_LIMIT=",
    "?Set(TIMEOUT(absolute)=2)", " - 2 + ", "?Set(TIMEOUT(absolute)=0)", "exten => T,1,", "=$[${SCOPE_LIMIT} - 2])",
    "n(over),Hangup(42)", "exten => _XX,1,", "n(back),", "n,Dial(${CUT(", "n(end),Hangup(${EXTEN})",
  ])
  func everyGuardIsNeeded(_ line: String) async throws {
    let text = try DialplanRun.text()
    #expect(text.components(separatedBy: line).count == 2, "'\(line)' stands there once")
    let rows = text.components(separatedBy: "\n").map { $0.contains(line) ? withoutApplication($0) : $0 }
    try await onThread {
      let (whole, without) = (try Dialplan(text), try Dialplan(rows.joined(separator: "\n")))
      let isSeen = try DialplanTests.probes.contains { fault, call in
        let expected = try DialplanRun(fault, whole, seconds: 0.25).trace(call)
        return (try? DialplanRun(fault, without, seconds: 0.25).trace(call)) != expected
      }
      #expect(isSeen, "nothing shows that '\(line)' is missing")
    }
  }

  /// Every fault, with and without a transfer, a limit, and a caller who gives up.
  private static let probes: [(DialplanFault, Case)] = (DialplanFault.allCases + [.allows]).flatMap { fault in
    [allowed[0], allowed[0].transferred, refused.last!, lines[0]].flatMap {
      call in
      [(nil, nil), (3_600, nil), (1.5, nil), (nil, 1.0)].map { limit, patience in
        var call = call
        (call.limit, call.patience) = (limit, patience)
        return (fault, call)
      }
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
    ("_112", "112", true), ("_112", "1123", false), ("_+X.", "+49", true), ("_+X.", "49", false), ("_+X.", "+4", false),
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
  /// It says nothing.
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
    case .reasonOnly, .denies: .hungUp(cause: "21")
    default: .hungUp(cause: "42")
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
  private let hangs: Bool
  private let seconds: Double
  private let event: (Int) -> AsteriskAGI.Event
  private var fake: FakeFastAGI?
  let globals: DialplanGlobals
  private(set) var last: DialplanCall?

  var asked: Int { last?.asked ?? 0 }

  static func text() throws -> String {
    let path = packageFolder.appendingPathComponent("Scripts/telephony/asterisk/extensions.conf")
    return try String(contentsOf: path, encoding: .utf8)
  }

  /// With the number that is shown, another, and a name for the first.
  static func withEmergencyNumbers() throws -> String {
    let (text, shown) = (try text(), "exten => 112,1,Goto(scope-emergency-call,112,1)")
    guard text.contains("\n;\(shown)\n") else { throw TestFailure("no emergency number is shown") }
    let names = ["112", "110"].map { shown.replacing("112", with: $0) } + [shown.replacing("=> 112", with: "=> sos")]
    return text.replacing(";\(shown)", with: names.joined(separator: "\n"))
  }

  /// - Parameters:
  ///   - statusWhenCut: what the channel says of the AGI; nil: what it is.
  ///   - hangs: nothing comes from the daemon.
  ///   - seconds: how long an AGI takes.
  ///   - event: what happens at each command.
  init(
    port: UInt16, _ plan: Dialplan? = nil, statusWhenCut: AsteriskAGI.Status? = nil, hangs: Bool = false,
    seconds: Double = 0, event: @escaping (Int) -> AsteriskAGI.Event = { _ in .none }
  ) throws {
    let plan = try plan ?? Dialplan(DialplanRun.text())
    self.plan = plan
    self.port = port
    self.statusWhenCut = statusWhenCut
    self.hangs = hangs
    self.seconds = seconds
    self.event = event
    globals = DialplanGlobals(plan)
  }

  convenience init(_ fault: DialplanFault, _ plan: Dialplan? = nil, seconds: Double = 0) throws {
    let fake = FakeFastAGI(listens: fault != .away, hangs: fault == .hangs, commands: fault.commands)
    try self.init(
      port: fake.port, plan, statusWhenCut: fault == .failed ? .failure : nil, hangs: fault == .hangs,
      seconds: seconds)
    self.fake = fake
  }

  func outcome(_ call: DialplanTests.Case) throws -> DialplanCall.Outcome {
    let old = ["SCOPE_RESULT": "allow", "SCOPE_REASON": "shared_project", "AGISTATUS": "SUCCESS"]
    let running = DialplanCall(
      plan, from: call.context, to: call.exten, variables: old.merging(call.variables) { $1 }, globals: globals,
      limit: call.limit, patience: call.patience, agi: ask)
    last = running
    return try running.run()
  }

  /// How a call ends, what it logs, and what is left of its limit.
  func trace(_ call: DialplanTests.Case) throws -> String {
    let outcome = try outcome(call)
    return "\(outcome) \(last?.log ?? []) \(last?.limit ?? 0)"
  }

  private func ask(_ address: String, _ arguments: [String], _ call: DialplanCall) throws -> AsteriskAGI.Status? {
    let head = "agi://127.0.0.1:4573/"
    guard address.hasPrefix(head) else { throw TestFailure("AGI(\(address)) goes elsewhere") }
    guard let channel = try? AsteriskAGI(port: port, event: event) else { return .failure }
    let environment = AsteriskEnvironment(
      script: String(address.dropFirst(head.count)), arguments: arguments, callerName: Array("\"; \\".utf8))
    if hangs {
      channel.begin(environment.bytes)
      return nil
    }
    let status = try channel.run(environment.bytes)
    call.pass(seconds: seconds)
    for (name, value) in channel.variables { call.assign(name, value) }
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
