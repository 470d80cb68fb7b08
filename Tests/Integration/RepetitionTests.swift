import CScopeWire
import Foundation
import ScopeModel
import ScopeTesting
import Testing

/// The same frame, thousands of times in one go: what one of them does once must do no harm when it is done again
/// and again. Random input does not find this; repetition does.
@Suite(.serialized) struct Repetition {
  /// 5,000 refused watches overran the stack once.
  private static let count = 8_000
  private static let lastID: UInt64 = 1 << 40

  /// How a frame is to be taken.
  enum Kind: String, CaseIterable { case valid, refused, cut }

  enum Listener: String, CaseIterable { case unix, tcp, tcpWithoutScopes }

  /// Another message that is refused for what it says, where no bad name does it.
  private static let refused: [Int: [UInt8]] = [
    10: Proto.bytes(1, [0xFF]), 12: Proto.message(1, []), 13: [], 17: [], 22: Proto.number(3, 5_000),
    32: Proto.number(1, 99), 34: Proto.number(3, 5), 35: Proto.number(1, 99),
  ]

  /// The bytes of one frame of a call.
  private static func frame(_ call: Int, _ kind: Kind) -> [UInt8] {
    let message = messages[call]!
    var request = RawRequest(company: "c", call: call, message)
    request.timeoutMilliseconds = 50
    switch kind {
    case .valid: break
    case .refused:
      request.company = [0xFF]
      if let message = refused[call] { request = RawRequest(company: "c", call: call, message) }
    case .cut: return RawConnection.frame(Array(request.packed.dropLast()) + [0x80])
    }
    return RawConnection.frame(request.packed)
  }

  @Test func everyCallHasAMessage() {
    let descriptor = scope__v1__request__descriptor
    let fields = (0..<Int(descriptor.n_fields)).map { descriptor.fields[$0] }
    let calls = fields.filter { $0.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0 }.map { Int($0.id) }
    #expect(Set(calls) == Set(Self.messages.keys))
  }

  /// Each answer stands in the field that belongs to its call. What can't be answered here says so.
  @Test func ofEveryCallTheAnswerIsItsOwn() async throws {
    try await withDaemon { daemon in
      try daemon.client().applyAll(
        smallCompany() + [.object("list:l"), .place("list:l", project: "p"), .addMember(project: "p", .user("u0"))],
        to: "c")
      try await onThread {
        var unanswered: [Int: String] = [:]
        for (call, message) in Self.messages {
          let connection = try RawConnection(daemon.address(.unix))
          // A watch that begins now has nothing to say for ten seconds.
          let message = call == 34 ? [] : message
          let response = try connection.ask(RawRequest(company: "c", call: call, message))
          if response.code == 0 {
            #expect(response.result == call, "call \(call)")
          } else {
            unanswered[call] = response.reason
          }
        }
        #expect(unanswered == [:])
      }
    }
  }

  /// A process of its own: whatever ends it, ends it alone, and is told.
  @Test(arguments: Kind.allCases, Listener.allCases) func ofEveryCallIsSurvived(_ kind: Kind, over listener: Listener)
    async throws
  {
    let daemon = try startDaemon(listener)
    let address = listener == .unix ? daemon.address : daemon.tcpAddress
    for call in Self.messages.keys.sorted() {
      let frame = Self.frame(call, kind)
      try await onThread { try Self.repeatFrame(frame, at: address) }
      #expect(daemon.isRunning, "call \(call), \(kind): the daemon has ended: \(daemon.log)")
      if !daemon.isRunning { return }
      #expect(try daemon.client("c").check("user:u0", "queue:q").verdict == .deny, "others are answered, call \(call)")
    }
    #expect(daemon.stop() == 0, "\(daemon.log)")
  }

  /// The same over FastAGI, where it is one line, a whole environment, or half of one.
  @Test(arguments: ["agi_network: yes\n", "\n", "HANGUP\n", "agi_arg_1: c\n", "200 result=1\n", "\0\n", "a"])
  func ofALineIsSurvived(_ line: String) async throws {
    let daemon = try startDaemon(.unix)
    let port = try #require(UInt16(daemon.ready.split(separator: ":").last!.filter(\.isNumber)))
    let whole = AsteriskEnvironment(script: "can-see", arguments: ["c", "user:u0", "queue:q"]).bytes
    for begin in [[], whole, Array(whole.dropLast())] {
      try await onThread {
        let connection = try RawConnection("tcp:127.0.0.1:\(port)")
        connection.send(begin + (0..<Self.count).flatMap { _ in Array(line.utf8) })
        connection.finishSending()
        var received = connection.receiveLine()
        while case .message = received { received = connection.receiveLine() }
        #expect(received == .closed)
      }
    }
    #expect(try daemon.client("c").check("user:u0", "queue:q").verdict == .deny)
    #expect(daemon.stop() == 0, "\(daemon.log)")
  }

  private func startDaemon(_ listener: Listener) throws -> ProcessDaemon {
    var arguments = ["--tcp", "127.0.0.1:0", "--fastagi", "127.0.0.1:0"]
    if listener == .tcp { arguments += ["--tcp-allows", "write", "platform", "audit"] }
    let daemon = try ProcessDaemon(in: TemporaryFolder(), arguments: arguments)
    try daemon.client().applyAll(smallCompany(), to: "c")
    return daemon
  }

  /// Sends the frame so often, then a question whose answer says that all before it was looked at.
  private static func repeatFrame(_ frame: [UInt8], at address: String) throws {
    let connection = try RawConnection(address)
    var last = RawRequest(call: 17)
    last.id = lastID
    let end = RawConnection.frame(last.packed)
    let all = (0..<count).flatMap { _ in frame } + end
    Thread.detachNewThread { connection.send(all) }
    while true {
      switch connection.receive() {
      case .message(let message): if try RawResponse(message).id == lastID { return }
      case .closed: return  // refused for good, or gone: the caller looks whether the daemon lives
      case .nothing: throw TestFailure("no answer to the last frame within two minutes")
      }
    }
  }
}

extension Repetition {
  private static let subject = Proto.number(1, 1) + Proto.bytes(2, Array("u0".utf8))
  private static let check = RawRequest.check((1, Array("u0".utf8)), (16, Array("q".utf8)))
  private static let list = Proto.bytes(3, Array("l".utf8))
  private static let user = Proto.bytes(1, Array("u0".utf8))
  private static let put = Proto.message(1, Proto.message(4, user + Proto.bytes(2, Array("Name".utf8))))
  private static let number = Proto.bytes(1, Array("4930123456".utf8))

  /// A message of each call that is answered, by the number of its field.
  fileprivate static let messages: [Int: [UInt8]] = [
    10: [], 11: check, 12: Proto.message(1, check), 13: user,
    14: subject + Proto.number(3, 16) + Proto.bytes(4, [0x71]),
    15: subject, 16: put, 17: [], 18: [], 19: Proto.message(1, check),
    20: Proto.number(1, 16) + Proto.bytes(2, [0x71]), 21: subject, 22: [], 23: [],
    24: user + Proto.bytes(2, [0x72]), 25: [], 26: user, 27: [], 28: [], 29: Proto.bytes(1, [0x70]),
    30: Proto.number(1, 16) + Proto.bytes(2, [0x71]), 31: [], 32: [], 33: put, 34: Proto.number(2, 1), 35: subject,
    36: [], 37: subject, 38: subject + list, 39: subject + list, 40: subject + Proto.bytes(3, Array("4930123456".utf8)),
    41: Proto.bytes(2, [0x6C]) + Proto.message(3, number),
    42: Proto.bytes(2, [0x6C]) + Proto.bytes(3, Array("4930123456".utf8)),
    43: Proto.bytes(2, [0x6C]) + Proto.bytes(3, [0x6B]) + Proto.number(4, 1) + Proto.message(5, number),
    44: [], 45: [],
  ]
}
