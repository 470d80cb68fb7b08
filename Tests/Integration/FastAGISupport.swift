import Foundation
import ScopeServer
import ScopeTesting

/// What Asterisk tells of a channel when it connects, in its order.
struct AsteriskEnvironment {
  var script: String
  var arguments: [String]
  /// As the caller sent it: nothing in it is escaped.
  var callerName = Array("unknown".utf8)
  var callerNumber = "unknown"
  var context = "default"
  var exten = "s"

  var bytes: [UInt8] {
    var lines = [Array("agi_network: yes".utf8)]
    func add(_ name: String, _ value: [UInt8]) { lines.append(Array("agi_\(name): ".utf8) + value) }
    func add(_ name: String, _ value: String) { add(name, Array(value.utf8)) }
    if !script.isEmpty { add("network_script", script) }
    add("request", "agi://127.0.0.1:4573/\(script)")
    for (name, value) in [("channel", "PJSIP/phone-00000001"), ("language", "en"), ("type", "PJSIP")] {
      add(name, value)
    }
    for (name, value) in [("uniqueid", "1700000000.1"), ("version", "22.0.0"), ("callerid", callerNumber)] {
      add(name, value)
    }
    add("calleridname", callerName)
    for name in ["callingpres", "callingani2", "callington", "callingtns"] { add(name, "0") }
    for (name, value) in [("dnid", "unknown"), ("rdnis", "unknown"), ("context", context), ("extension", exten)] {
      add(name, value)
    }
    for (name, value) in [("priority", "6"), ("enhanced", "0.0"), ("accountcode", ""), ("threadid", "140000000000000")]
    {
      add(name, value)
    }
    for (number, argument) in arguments.enumerated() { add("arg_\(number + 1)", argument) }
    return lines.flatMap { $0 + [0x0A] } + [0x0A]
  }
}

/// Asterisk's side of one AGI(): takes commands apart and answers them as it does.
final class AsteriskAGI {
  enum Status: String {
    case success = "SUCCESS"
    case failure = "FAILURE"
    case hangup = "HANGUP"
  }

  /// What happens in place of the reply to a command, or before it.
  enum Event {
    case none
    /// The caller hangs up: `HANGUP` comes before the reply, and commands that need a live channel are refused.
    case hangup
    /// Something else than the reply.
    case reply(String)
    /// The test does something, such as ending the daemon.
    case act(() -> Void)
  }

  private(set) var variables: [String: String] = [:]
  private(set) var commands: [String] = []
  private let connection: RawConnection
  private let event: (Int) -> Event

  /// - Parameter event: what happens at each command, counted from 0.
  init(port: UInt16, event: @escaping (Int) -> Event = { _ in .none }) throws {
    connection = try RawConnection("tcp:127.0.0.1:\(port)")
    self.event = event
  }

  /// Sends an environment.
  func begin(_ environment: [UInt8]) { connection.send(environment) }

  /// Sends an environment, and carries commands out until the daemon closes.
  func run(_ environment: [UInt8]) throws -> Status {
    begin(environment)
    while true {
      switch connection.receiveLine() {
      case .message(let line): obey(String(decoding: line, as: UTF8.self))
      case .closed: return .success
      case .nothing: throw TestFailure("neither a command nor the end came after \(commands)")
      }
    }
  }

  private func obey(_ line: String) {
    let event = event(commands.count)
    commands.append(line)
    let reply = carryOut(AsteriskAGI.words(of: line))
    switch event {
    case .none: break
    case .hangup: send("HANGUP\n")
    case .reply(let other): return send(other)
    case .act(let body): body()
    }
    send(reply)
  }

  private func send(_ text: String) { connection.send(Array(text.utf8)) }

  private func carryOut(_ words: [String]?) -> String {
    guard let words, words.count > 1, words[0].uppercased() == "SET", words[1].uppercased() == "VARIABLE" else {
      return "510 Invalid or unknown command\n"
    }
    guard words.count == 4 else {
      return "520-Invalid command syntax.  Proper usage follows:\n Usage: SET VARIABLE <name> <value>\n"
        + "520 End of proper usage.\n"
    }
    variables[words[2]] = words[3]
    return "200 result=1\n"
  }

  /// Words stand between blanks; quotes hold blanks together, and a backslash has the next character stand for itself.
  /// Nil: more than Asterisk takes.
  static func words(of line: String) -> [String]? {
    if line.utf8.count > 8_192 { return nil }
    var (words, word, isQuoted, isEscaped) = ([String](), String?.none, false, false)
    for sign in line.unicodeScalars {  // it knows bytes, and no characters that combine
      if isEscaped {
        (word, isEscaped) = ((word ?? "") + String(sign), false)
      } else if sign == "\\" {
        isEscaped = true
      } else if sign == "\"" {
        (word, isQuoted) = (word ?? "", !isQuoted)
      } else if sign == " " && !isQuoted {
        if let word { words.append(word) }
        word = nil
      } else {
        word = (word ?? "") + String(sign)
      }
    }
    if let word { words.append(word) }
    return words.count <= 128 ? words : nil
  }
}

extension AsteriskAGI {
  /// What the channel has of the daemon's verdict.
  struct Verdict: Equatable, CustomStringConvertible {
    var result: String?
    var reason: String?
    var project: String?
    var revision: String?

    /// Without the revision.
    static func == (a: Verdict, b: Verdict) -> Bool {
      (a.result, a.reason, a.project) == (b.result, b.reason, b.project)
    }

    var description: String { "\(result ?? "none") \(reason ?? "none") '\(project ?? "none")'" }
  }

  var verdict: Verdict {
    Verdict(
      result: variables["SCOPE_RESULT"], reason: variables["SCOPE_REASON"], project: variables["SCOPE_PROJECT"],
      revision: variables["SCOPE_REVISION"])
  }

  /// Asks once.
  static func ask(_ port: UInt16, _ script: String, _ arguments: [String], callerName: String = "unknown") throws
    -> Verdict
  {
    let channel = try AsteriskAGI(port: port)
    let environment = AsteriskEnvironment(script: script, arguments: arguments, callerName: Array(callerName.utf8))
    _ = try channel.run(environment.bytes)
    return channel.verdict
  }
}

/// Runs a test against a daemon that serves FastAGI on loopback.
func withFastAGI(
  adjust: @escaping (inout ServerConfiguration) -> Void = { _ in }, _ body: (TestDaemon, UInt16) async throws -> Void
) async throws {
  try await withDaemon { configuration in
    configuration.addresses.append(.fastAGI(host: "127.0.0.1", port: 0))
    adjust(&configuration)
  } _: { daemon in
    try await body(daemon, daemon.fastAGIPort!)
  }
}

/// A daemon in a process of its own, with the sample, that serves FastAGI on loopback, with as long a time as it takes.
func fastAGIProcess(port: UInt16 = 0, arguments: [String] = []) throws -> (ProcessDaemon, UInt16) {
  let serving = ["--fastagi", "127.0.0.1:\(port)", "--fastagi-timeout", "60000"]
  let daemon = try ProcessDaemon(in: TemporaryFolder(), arguments: serving + arguments)
  try Sample.load(into: try daemon.client())
  guard let port = daemon.ready.split(separator: ":").last.flatMap({ UInt16($0.prefix { $0.isNumber }) }) else {
    throw TestFailure("the daemon did not name its port: \(daemon.ready)")
  }
  return (daemon, port)
}
