import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeServer

/// A session as a test drives it: what it sends is collected, and what it asks is answered at once.
private struct Talk {
  var session: FastAGISession
  let verdict: FastAGIVerdict
  private(set) var asked: [FastAGIQuestion] = []
  private(set) var sent: [String] = []
  private(set) var ending: FastAGISession.Ending?

  init(_ verdict: FastAGIVerdict = allowed, limits: FastAGILimits = FastAGILimits()) {
    session = FastAGISession(limits)
    self.verdict = verdict
  }

  /// Hands over what has arrived, in pieces of so many bytes. Nothing more arrives until the session has acted.
  mutating func receive(_ bytes: [UInt8], inPiecesOf size: Int = .max) {
    var rest = bytes[...]
    while !rest.isEmpty {
      receiveAtOnce(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    act(on: session.proceed())
  }

  /// Confirms one command after the other.
  mutating func confirm(times: Int = 1) { for _ in 0..<times { receive(confirmation) } }

  private mutating func receiveAtOnce(_ piece: [UInt8]) {
    var taken = 0
    while taken < piece.count {
      let (count, step) = piece[taken...].withUnsafeBytes { session.receive($0) }
      #expect(count > 0 && taken + count <= piece.count)
      taken += count
      act(on: step)
    }
  }

  private mutating func act(on step: FastAGISession.Step) {
    switch step {
    case .goOn: break
    case .ask(let question):
      asked.append(question)
      session.answer(verdict)
    case .send(let bytes): sent.append(String(decoding: bytes, as: UTF8.self))
    case .close(let ending):
      #expect(self.ending == nil, "it is closed once")
      self.ending = ending
    }
  }

  mutating func receive(_ text: String) { receive(Array(text.utf8)) }
}

private let allowed = FastAGIVerdict(
  result: .allow, reason: "shared_project", project: Array("clinic".utf8), revision: 12)
private let denied = FastAGIVerdict(result: .deny, reason: "no_shared_project", revision: 12)
private let confirmation = "200 result=1\n"

private func set(_ name: String, _ value: String) -> String { "SET VARIABLE SCOPE_\(name) \"\(value)\"\n" }

private func environment(
  _ script: String = "can-see?company=c", _ arguments: [String] = ["user:u0", "queue:q"], callerName: String = "unknown"
) -> [UInt8] {
  AsteriskEnvironment(script: script, arguments: arguments, callerName: Array(callerName.utf8)).bytes
}

@Suite struct FastAGISessionTests {
  @Test(arguments: [Int.max, 1, 2, 7, 100]) func whatPermitsIsSetLast(pieces: Int) {
    var talk = Talk()
    talk.receive(environment(), inPiecesOf: pieces)
    let (user, queue) = (Subject.user("u0"), Target.object(ObjectRef(ObjectType(name: "queue")!, "q")))
    #expect(talk.asked == [.canSee(company: "c", user, queue, right: nil)])
    let expected = [
      set("REASON", "shared_project"), set("PROJECT", "clinic"), set("REVISION", "12"), set("RESULT", "allow"),
    ]
    for count in 1...4 {
      #expect(talk.sent == Array(expected.prefix(count)))
      talk.receive(Array(confirmation.utf8), inPiecesOf: pieces)
    }
    #expect(talk.ending == .told(allowed) && talk.sent == expected)
  }

  @Test func whatForbidsIsSetFirst() {
    var talk = Talk(denied)
    talk.receive(environment())
    #expect(talk.sent == [set("RESULT", "deny")])
    talk.confirm(times: 4)
    #expect(
      talk.sent == [
        set("RESULT", "deny"), set("REASON", "no_shared_project"), set("PROJECT", ""), set("REVISION", "12"),
      ])
    #expect(talk.ending == .told(denied))
  }

  @Test(arguments: [
    ("can-see?company=a%20b", ["group:g", "queue:q:r", "report.agents"], "a b"),
    ("can-see?company=%61%2b%C3%84", ["project:p", "list:a b"], "a+Ä"),
    ("can-see?company=a+b", ["list:l", "list:m"], "a+b"), ("can-see?company=c", ["user:1", "project:p"], "c"),
    ("can-see?company=a=b", ["user:u", "queue:\"q\\"], "a=b"), ("has-right?company=a%26b%3d", ["user:u", "r"], "a&b="),
    ("has-right?company=a%2520", ["user:u", "r, s"], "a%20"),
    ("screen-number?company=c", ["dialer:d", "+4315550001"], "c"),
    ("screen-number?company=c", ["dialer:d", "anonymous \"x\"", "list:l"], "c"),
  ])
  func aRequestIsReadAsItIsWritten(script: String, arguments: [String], company: String) throws {
    var talk = Talk()
    talk.receive(environment(script, arguments))
    let question = try #require(talk.asked.first)
    #expect(question.company == (try Name(company)))
    switch question {
    case .canSee(_, let subject, let object, let right):
      #expect(["\(subject)", "\(object)"] + (right.map { ["\($0)"] } ?? []) == arguments)
    case .hasRight(_, let user, let right): #expect(["user:\(user)", "\(right)"] == arguments)
    case .screenNumber(_, let subject, let number, let form, let list):
      #expect(form == .unknown)
      let digits = String(decoding: number, as: UTF8.self)
      #expect(["\(subject)", digits] + (list.map { ["list:\($0)"] } ?? []) == arguments)
    }
  }

  @Test(arguments: [
    ("", FastAGINumberForm.unknown), ("&country=DE", .national(country: Array("DE".utf8))),
    ("&plus=optional", .international),
  ])
  func theQuerySaysHowNumbersAreWritten(rest: String, form: FastAGINumberForm) {
    for query in ["company=c\(rest)", "\(rest.dropFirst())\(rest.isEmpty ? "" : "&")company=c"] {
      var talk = Talk()
      talk.receive(environment("screen-number?\(query)", ["dialer:d", "1"]))
      #expect(
        talk.asked == [
          .screenNumber(
            company: "c", .object(ObjectRef(ObjectType(name: "dialer")!, "d")), number: [0x31], form, callingList: nil)
        ])
    }
  }

  @Test(arguments: [
    ("", ["user:u", "queue:q"], FastAGIRefusal.unknownScript),
    ("can-see?company=c&country=DE", ["user:u", "queue:q"], .unknownParameter),
    ("screen-number?country=DE", ["dialer:d", "1"], .companyMissing),
    ("screen-number?company=c&country=DE&plus=optional", ["dialer:d", "1"], .unknownParameter),
    ("screen-number?company=c&plus=none", ["dialer:d", "1"], .unknownParameter),
    ("screen-number?company=c&country=DE&country=DE", ["dialer:d", "1"], .repeatedParameter),
    ("screen?company=c", ["user:u", "queue:q"], .unknownScript),
    ("can-see/?company=c", ["user:u", "queue:q"], .unknownScript), ("Can-see?company=c", [], .unknownScript),
    ("can%2dsee?company=c", ["user:u", "queue:q"], .unknownScript),
    ("can-see", ["user:u", "queue:q"], .companyMissing), ("can-see?", ["user:u", "queue:q"], .companyMissing),
    ("can-see?company", ["user:u", "queue:q"], .companyMissing), ("can-see?company=", ["user:u"], .companyMissing),
    ("can-see?company=c&right=r", ["user:u", "queue:q"], .unknownParameter),
    ("can-see?Company=c", [], .unknownParameter),
    ("can-see?c%6fmpany=c", ["user:u", "queue:q"], .unknownParameter), ("can-see?company=c&", [], .unknownParameter),
    ("can-see?company=c&company=d", ["user:u", "queue:q"], .repeatedParameter),
    ("can-see?company=c%", ["user:u", "queue:q"], .badEscape), ("can-see?company=c%4", [], .badEscape),
    ("can-see?company=%4g", ["user:u", "queue:q"], .badEscape), ("can-see?company=%+1", [], .badEscape),
    ("can-see?company=c%00", ["user:u", "queue:q"], .invalidName), ("can-see?company=%0a", [], .invalidName),
    ("can-see?company=%ff", ["user:u", "queue:q"], .invalidName), ("can-see?company=%C2%85", [], .invalidName),
    ("can-see?company=c", [], .argumentMissing), ("can-see?company=c", ["user:u"], .argumentMissing),
    ("can-see?company=c", ["user:u", "queue:q", "r", "s"], .tooManyArguments),
    ("can-see?company=c", ["user:u", "queue:q", "r", "s", "t", "u"], .tooManyArguments),
    ("can-see?company=c", ["user:u", "queue:q", ""], .invalidName), ("can-see?company=c", ["", "queue:q"], .badRef),
    ("can-see?company=c", ["user", "queue:q"], .badRef), ("can-see?company=c", ["user:u", "q"], .badRef),
    ("can-see?company=c", ["user:", "queue:q"], .invalidName), ("can-see?company=c", [":u", "queue:q"], .unknownType),
    ("can-see?company=c", [" user:u", "queue:q"], .unknownType),
    ("can-see?company=c", ["usr:u", "queue:q"], .unknownType),
    ("can-see?company=c", ["user:u", "role:r"], .unknownType),
    ("can-see?company=c", ["user:u", "queue:" + String(repeating: "q", count: 129)], .invalidName),
    ("can-see?company=c", ["user:u\t", "queue:q"], .controlCharacter), ("can-see?company=c\r", [], .controlCharacter),
    ("can-see?company=c", ["user:u", "queue:q\u{7F}"], .controlCharacter),
    ("has-right?company=c", ["user:u"], .argumentMissing),
    ("has-right?company=c", ["user:u", "r", "s"], .tooManyArguments),
    ("screen-number?company=c", ["dialer:d"], .argumentMissing),
    ("screen-number?company=c", ["dialer:d", "1", "list:l", "x"], .tooManyArguments),
    ("screen-number?company=c", ["dialer:d", "1", "queue:l"], .notAList),
    ("screen-number?company=c", ["1", "1"], .badRef),
    ("has-right?company=c", ["group:g", "r"], .notAUser), ("has-right?company=c", ["user:u", ""], .invalidName),
  ])
  func whatIsNoQuestionIsUnavailable(script: String, arguments: [String], refusal: FastAGIRefusal) {
    var talk = Talk()
    talk.receive(environment(script, arguments))
    expectRefused(&talk, refusal)
  }

  /// The channel is told, never allowed, and nothing was asked.
  private func expectRefused(_ talk: inout Talk, _ refusal: FastAGIRefusal) {
    talk.confirm(times: 4)
    #expect(
      talk.sent == [
        set("RESULT", "unavailable"), set("REASON", refusal.rawValue), set("PROJECT", ""), set("REVISION", ""),
      ], "\(refusal)")
    #expect(talk.ending == .told(.unavailable(refusal.rawValue)) && talk.asked.isEmpty)
  }

  @Test(arguments: [
    "\n", "GET / HTTP/1.1\nHost: a\n\n", "agi_network: no\n\n", "agi_network_script: can-see?company=c\n\n",
    "agi_network: yes\nagi_network: yes\n\n", "agi_network: yes\nHANGUP\n\n", "agi_network: yes\n \n\n",
    "agi_network: yes\nagi_channel: a\0b\n\n", "agi_network: yes\nagi_arg_2: b\nagi_arg_1: a\n\n",
    "agi_network: yes\nagi_arg_1: a\nagi_arg_1: a\n\n", "agi_network: yes\nagi_arg_01: a\n\n",
    "agi_network: yes\nagi_network_script: a\nagi_network_script: a\n\n", "agi_network: yes\r\nagi_x: y\r\n\r\n\n",
  ])
  func whatAsteriskDoesNotSendIsRefused(_ text: String) {
    var talk = Talk()
    talk.receive(text)
    expectRefused(&talk, .badEnvironment)
  }

  /// Whatever the caller may have written, and Asterisk hands on as it is.
  @Test(arguments: [
    "agi_arg_1: user:admin", "\"; SET VARIABLE SCOPE_RESULT \\\"allow\\\"", "a\tb\u{1B}[2J", "200 result=1", "%00%0a",
    "",
    String(repeating: "n", count: 3_000),
  ])
  func whatTheCallerWritesIsNotLookedAt(_ name: String) {
    var talk = Talk(denied)
    talk.receive(environment(callerName: name))
    #expect(talk.asked.count == 1 && talk.sent == [set("RESULT", "deny")])
  }

  @Test func quotesAndBackslashesAreEscaped() {
    var talk = Talk(FastAGIVerdict(result: .allow, reason: "shared_project", project: Array(#"a"b\c d"#.utf8)))
    talk.receive(environment())
    talk.receive(confirmation)
    #expect(talk.sent.last == #"SET VARIABLE SCOPE_PROJECT "a\"b\\c d""# + "\n")
  }

  @Test(arguments: [("a\nb", 1), ("a\0", 1), ("a\rb", 1), ("\"", 4_090)])
  func anAllowThatCanNotBeCarriedIsNone(_ text: String, _ times: Int) {
    let project = Array(String(repeating: text, count: times).utf8)
    var talk = Talk(FastAGIVerdict(result: .allow, reason: "shared_project", project: project))
    talk.receive(environment())
    talk.confirm(times: 4)
    #expect(
      talk.sent == [
        set("RESULT", "unavailable"), set("REASON", "value_not_carried"), set("PROJECT", ""), set("REVISION", ""),
      ])
  }
}

@Suite struct FastAGIReplies {
  /// After each command in turn comes something else than its confirmation; what permits is not sent then.
  @Test(arguments: [
    ("510 Invalid or unknown command\n", FastAGISession.Ending.refused), ("200 result=0\n", .refused),
    ("200 result=10\n", .refused), ("200 result=-1\n", .refused), ("520 Invalid command syntax.\n", .refused),
    ("520-Invalid command syntax.  Proper usage follows:\n200 result=1\nHANGUP\n520 End of proper usage.\n", .refused),
    ("511 Command Not Permitted on a dead channel or intercept routine\n", .dead),
    ("HANGUP\n511 Command Not Permitted on a dead channel or intercept routine\n", .dead),
    ("agi_arg_1: user:u0\n", .broken), ("200result=1\n", .broken), ("hangup\n", .broken),
    (String(repeating: "9", count: 8_193), .broken), (String(repeating: "HANGUP\n", count: 9), .broken),
    (String(repeating: "\n", count: 9), .broken),
    ("200 result=1 " + String(repeating: "x", count: 244) + "\n", .broken),
    ("520-" + String(repeating: "usage\n", count: 66), .broken), ("\0\n", .broken),
  ])
  func otherRepliesEndTheConversation(_ reply: String, _ ending: FastAGISession.Ending) {
    for confirmed in 0...3 {
      var talk = Talk()
      talk.receive(environment())
      talk.confirm(times: confirmed)
      talk.receive(reply)
      #expect(talk.ending == ending && talk.sent.count == confirmed + 1, "\(reply)")
      talk.confirm(times: 2)
      #expect(talk.sent.count == confirmed + 1, "nothing is sent once it is closed")
    }
  }

  @Test func aHangupBeforeTheReplyIsPassedOver() {
    var talk = Talk()
    talk.receive(environment())
    for arrived in [
      "HANGUP\n200 result=1\n", "200 result=1 (more)\nHANGUP\nHAN", "GUP\n", "200 result=1\n", "200 result=1\n",
    ] {
      talk.receive(arrived)
    }
    #expect(talk.ending == .told(allowed) && talk.sent.count == 4)
  }

  @Test func nothingButAHangupMayComeBeforeTheVerdict() {
    var session = FastAGISession()
    let first = environment().withUnsafeBytes { session.receive($0) }.step
    guard case .ask = first else { return #expect(Bool(false), "\(first)") }
    #expect(Array("HANGUP\n".utf8).withUnsafeBytes { session.receive($0) }.step == .goOn)
    #expect(Array("200 result=1\n".utf8).withUnsafeBytes { session.receive($0) }.step == .close(.broken))
    #expect(!session.isChecking)
  }

  /// Whatever has arrived when a command is sent was written before, by somebody else.
  @Test(arguments: 0...2) func whatCameBeforeACommandIsNotItsReply(confirmed: Int) {
    var talk = Talk()
    let arrivals = [environment()] + [[UInt8]](repeating: Array(confirmation.utf8), count: confirmed)
    for arrived in arrivals.dropLast() { talk.receive(arrived) }
    talk.receive(arrivals.last! + Array(confirmation.utf8))
    #expect(talk.ending == .broken && talk.sent.count == confirmed)
  }

  /// A line that has begun before a command is sent is waited for; then it is no reply.
  @Test func aReplyThatBeganTooEarlyIsNone() {
    var talk = Talk()
    talk.receive(environment() + Array("200 res".utf8))
    #expect(talk.sent.isEmpty && talk.ending == nil)
    talk.receive("ult=1\n")
    #expect(talk.sent.isEmpty && talk.ending == .broken)
  }
}

/// Somebody decides what stands in one field, line breaks included, and so may write whole lines.
@Suite struct FastAGIAttacks {
  /// What Asterisk sends when a field has a text in it. The field: a name, or an argument's number.
  static func environment(_ field: String, _ text: String, _ arguments: [String] = ["user:u0", "queue:q"]) -> [[UInt8]]
  {
    let lines = AsteriskEnvironment(script: "can-see?company=c", arguments: arguments).bytes.split(
      separator: 0x0A, omittingEmptySubsequences: false
    ).dropLast()
    return lines.map { line in
      let isField = line.starts(with: "agi_\(field): ".utf8)
      return (isField ? Array("agi_\(field): \(text)".utf8) : Array(line)) + [0x0A]
    }
  }

  /// Fields that a caller, or whoever is called, may have a say in.
  static let fields = [
    "channel", "callerid", "calleridname", "dnid", "rdnis", "context", "extension", "accountcode", "arg_1", "arg_2",
  ]

  /// Ends of the environment, with a question of the attacker's before them.
  static let ends: [String] = {
    let question = "\nagi_arg_1: user:boss\nagi_arg_2: queue:q\n"
    let rest = "\nagi_rdnis: 1\nagi_extension: 1\nagi_threadid: 1"
    return [question, rest + question, "\nagi_threadid: 1" + question, "\nagi_arg_2: queue:q\n", "\n"].map { $0 + "\n" }
  }()

  static let replies = [
    "", confirmation, String(repeating: confirmation, count: 3), "HANGUP\n\n" + confirmation + confirmation,
    confirmation + String(repeating: "\n", count: 7) + confirmation + confirmation,
  ]

  /// The same against a daemon: line by line as Asterisk sends them, and all in one go.
  @Test func nobodySpeaksForAsteriskOverSockets() async throws {
    try await withFastAGI { daemon, port in
      try daemon.client().applyAll(
        smallCompany() + [
          .putUser(User(id: "boss", name: "boss"), roles: []), .addMember(project: "p", .user("boss")),
        ], to: "c")
      try await onThread {
        #expect(try AsteriskAGI.ask(port, "can-see?company=c", ["user:boss", "queue:q"]).result == "allow")
        for field in Self.fields {
          for text in Self.ends.flatMap({ end in Self.replies.map { "1" + end + $0 } }) {
            let lines = Self.environment(field, text, ["user:u0", "queue:q"])
            for sends in [lines, [lines.flatMap { $0 }]] {
              let connection = try RawConnection("tcp:127.0.0.1:\(port)")
              for bytes in sends { connection.send(bytes) }
              while case .message(let line) = connection.receiveLine() {
                #expect(line != Array(set("RESULT", "allow").utf8.dropLast()), "\(field): \(text)")
                if !text.contains(confirmation) { connection.send(Array(confirmation.utf8)) }
              }
            }
          }
        }
      }
    }
  }

  /// Whatever is written, and however it arrives, nobody is asked about but whom the dialplan names, or the channel gets
  /// no allow.
  @Test(arguments: fields) func nobodySpeaksForAsterisk(field: String) {
    let asked = FastAGIQuestion.canSee(
      company: "c", .user("u0"), .object(ObjectRef(ObjectType(name: "queue")!, "q")), right: nil)
    for end in Self.ends {
      for replies in Self.replies {
        let lines = Self.environment(field, "1" + end + replies)
        for arrivals in [[lines.flatMap { $0 }], lines] {
          var talk = Talk()
          for arrived in arrivals { talk.receive(arrived) }
          let forged = talk.asked != [asked]
          talk.confirm(times: forged ? 1 : 4)  // a channel that was asked for something carries it out
          let isAllowed = talk.sent.contains(set("RESULT", "allow"))
          #expect(!isAllowed || !forged, "\(field): \(end) \(replies): asked \(talk.asked), sent \(talk.sent)")
        }
      }
    }
  }

  /// A line break at the end of a value ends the environment twice, or once too early: the answer is the same.
  @Test(arguments: fields.filter { $0 != "arg_1" }, ["", "\n", "\n\n\n"])
  func aLineBreakTooManyChangesNothing(field: String, breaks: String) {
    let value = field == "arg_2" ? "queue:q" : "1"
    for pieces in [Int.max, 1] {
      var talk = Talk()
      talk.receive(Self.environment(field, value + breaks).flatMap { $0 }, inPiecesOf: pieces)
      talk.confirm(times: 4)
      #expect(talk.ending == .told(allowed), "\(talk)")
    }
  }

  @Test func fieldsComeOnceAndInTheirOrder() {
    let names = ["callerid", "rdnis", "dnid"].map { "agi_\($0): 1\n" }
    for middle in [names.joined(), names[0] + names[0], "agi_threadid: 1\n" + names[0]] {
      var talk = Talk()
      talk.receive("agi_network: yes\nagi_network_script: can-see?company=c\n" + middle)
      talk.receive("agi_threadid: 2\nagi_arg_1: user:u0\nagi_arg_2: queue:q\n\n")
      #expect(talk.sent == [set("RESULT", "unavailable")] && talk.asked.isEmpty, "\(middle)")
    }
  }
}

@Suite struct FastAGILimitTests {
  private let head = "agi_network: yes\nagi_network_script: can-see?company=c\n"
  private let tail = "agi_arg_1: user:u0\nagi_arg_2: queue:q\n\n"

  private func reason(_ middle: String) -> String? {
    var talk = Talk()
    talk.receive(head + middle + tail)
    talk.receive(confirmation)
    return talk.asked.isEmpty ? talk.sent.last : nil
  }

  @Test func aLineHas8192BytesAtMost() {
    let longest = "agi_request: " + String(repeating: "c", count: 8_192 - 13)
    #expect(reason(longest + "\n") == nil)
    #expect(reason(longest + "c\n") == set("REASON", "line_too_long"))
    #expect(reason(String(repeating: longest, count: 3) + "\n") == set("REASON", "line_too_long"))
  }

  /// What no dialplan writes is bounded in all: a name and a number that callers send.
  @Test func aChannelHas4KiBAtMost() {
    let lines = ["agi_channel", "agi_callerid", "agi_calleridname"].map { $0 + ": " }
    let rest = 4_096 - "agi_networkyesagi_channelagi_calleridagi_calleridname".utf8.count - 2_000
    let most = lines[0] + String(repeating: "c", count: 1_000) + "\n" + lines[1] + String(repeating: "1", count: 1_000)
    #expect(reason(most + "\n" + lines[2] + String(repeating: "n", count: rest) + "\n") == nil)
    #expect(
      reason(most + "\n" + lines[2] + String(repeating: "n", count: rest + 1) + "\n") == set("REASON", "line_too_long"))
  }

  @Test func aLineHas128WordsAtMost() {
    let most = "agi_channel: " + String(repeating: "c  ", count: 127)
    #expect(reason(most + "\n") == nil)
    #expect(reason(most + "c\n") == set("REASON", "too_many_words"))
  }

  @Test func anEnvironmentHas64LinesAtMost() {
    let most = (0..<59).map { "agi_x\($0): y\n" }.joined()
    #expect(reason(most) == nil)
    #expect(reason(most + "agi_y: z\n") == set("REASON", "too_many_lines"))
  }

  @Test func anEnvironmentHas32KiBAtMost() {
    let line = "agi_x: " + String(repeating: "y", count: 8_184) + "\n"  // 8 KiB
    var talk = Talk()
    talk.receive(String(repeating: line, count: 4))
    #expect(talk.ending == nil)
    talk.receive("a")
    #expect(talk.ending == .broken && talk.sent.isEmpty)
  }

  @Test func anEndlessLineIsNotKept() {
    var session = FastAGISession()
    let piece = [UInt8](repeating: 0x61, count: 4_096)
    for _ in 0..<8 {
      #expect(piece.withUnsafeBytes { session.receive($0) }.step == .goOn)
      #expect(bytesHeld(by: session) <= 8_192)
    }
  }
}

/// All bytes in arrays within a value.
private func bytesHeld(by value: Any) -> Int {
  if let bytes = value as? [UInt8] { return bytes.count }
  return Mirror(reflecting: value).children.reduce(0) { $0 + bytesHeld(by: $1.value) }
}

/// Conversations with parts changed, left out, repeated and cut, against what must hold whatever comes.
@Suite struct FastAGIFuzz {
  private static let pieces: [[UInt8]] = [
    Array("HANGUP\n".utf8), Array(confirmation.utf8), Array("510 Invalid or unknown command\n".utf8),
    Array("520-usage\n".utf8), Array("520 End of proper usage.\n".utf8), Array("511 dead\n".utf8), [0x0A], [0], [0x22],
    Array("agi_arg_1: user:u0\n".utf8), Array("agi_network: yes\n".utf8), Array("%0".utf8),
    [UInt8](repeating: 0x61, count: 9_000), [UInt8](repeating: 0x20, count: 300),
  ]

  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func anythingEndsWell(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var (told, allowedOnes) = (0, 0)
    for round in 0..<400 {
      let verdict = random.happens(perMille: 700) ? allowed : denied
      var arrivals = [environment()] + [[UInt8]](repeating: Array(confirmation.utf8), count: 4)
      for _ in 0..<random.below(4) {
        let changed = random.below(2) * (1 + random.below(3))  // mostly what comes first
        mutate(&arrivals[changed], &random)
      }
      var (whole, cut) = (Talk(verdict), Talk(verdict))
      let size = 1 + random.below(60)
      for arrived in arrivals {
        whole.receive(arrived)
        cut.receive(arrived, inPiecesOf: size)
      }
      let place = Comment("seed \(seed), round \(round)")
      #expect(whole.sent == cut.sent && whole.ending == cut.ending, place)
      expectSound(whole, place)
      if case .told = whole.ending { told += 1 }
      if whole.sent.contains(set("RESULT", "allow")) { allowedOnes += 1 }
    }
    #expect(
      told > 100 && told < 400 && allowedOnes > 50,
      "\(told) told, \(allowedOnes) of them allowed: what is tried must differ")
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    let place = random.below(bytes.count)
    switch random.below(5) {
    case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
    case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(40)))
    case 2: bytes.insert(contentsOf: random.pick(FastAGIFuzz.pieces), at: place)
    case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + random.below(60))], at: place)
    default: bytes.removeLast(random.below(min(40, bytes.count)))
    }
    if bytes.isEmpty { bytes = [0x0A] }
  }

  private func expectSound(_ talk: Talk, _ place: Comment) {
    #expect(talk.asked.count <= 1 && talk.sent.count <= 4, place)
    let permits = talk.sent.firstIndex(of: set("RESULT", "allow"))
    #expect(permits == nil || permits == 3 && talk.asked.count == 1 && talk.verdict == allowed, place)
    for command in talk.sent {
      #expect(command.utf8.count <= 8_193 && command.filter { $0 == "\n" }.count == 1 && command.hasSuffix("\n"), place)
    }
    #expect(bytesHeld(by: talk.session) <= 5 * 8_192 + 512, place)
  }
}
