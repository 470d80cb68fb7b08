import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// A call that comes in pieces is refused, however it is read. What the first piece says would otherwise be lost: a
/// right, a narrowing, the acting user.
@Suite struct CallsInPieces {
  /// Field numbers of the calls, as the contract has them.
  private static func calls() throws -> [Int] {
    let file = packageFolder.appendingPathComponent("proto/scope/v1/envelope.proto")
    let text = try String(contentsOf: file, encoding: .utf8)
    let start = try #require(text.range(of: "oneof call {")).upperBound
    return text[start...].prefix { $0 != "}" }.matches(of: /\w+ = (\d+);/).map { Int($0.1)! }
  }

  /// How a frame is read.
  private enum Reading: CaseIterable {
    case quickly, unpacked, aside

    /// Keeps a frame from being read quickly, or on the loop.
    var before: [UInt8] {
      switch self {
      case .quickly: []
      case .unpacked: Proto.number(99, 1)
      case .aside: Proto.message(99, [UInt8](repeating: 0x61, count: 70 << 10))
      }
    }
  }

  private static let user = Proto.number(1, 1) + Proto.bytes(2, Array("u0".utf8))
  private static let queue = Proto.number(3, 16) + Proto.bytes(4, Array("q".utf8))

  private func frame(_ reading: Reading, _ pieces: [UInt8]..., at revision: UInt64 = 0) -> [UInt8] {
    reading.before + RawRequest(id: 77, company: "c", atRevision: revision).packed + pieces.flatMap { $0 }
  }

  private func refuses(_ connection: RawConnection, _ frame: [UInt8], _ reason: String = "call_in_pieces") throws
    -> Bool
  {
    connection.sendFrame(frame)
    let response = try connection.response()
    return response.code == 3 && response.reason == reason && response.id == 77 && response.result == 0
  }

  private func withPieces(_ body: @escaping @Sendable (TestDaemon, RawConnection) throws -> Void) async throws {
    try await withDaemon { daemon in
      let changes = [
        Change.addMember(project: "p", .user("u0")), .putUser(User(id: "boss", name: "b"), roles: ["admin"]),
      ]
      try daemon.client().applyAll(smallCompany() + changes, to: "c")
      for transport in Transport.allCases {
        let connection = try RawConnection(daemon.address(transport))
        try await onThread { try body(daemon, connection) }
      }
    }
  }

  @Test func areRefusedForEveryCall() async throws {
    let calls = try Self.calls()
    #expect(calls.count > 30)
    try await withPieces { _, connection throws in
      for reading in Reading.allCases {
        for call in calls {
          for other in [call, calls[(call + 1) % calls.count], 11, 16] {
            let frame = frame(reading, Proto.message(call, []), Proto.message(other, Proto.bytes(99, [1])))
            #expect(try refuses(connection, frame), "\(reading): \(call), then \(other)")
          }
        }
      }
    }
  }

  /// A CanSee that is allowed without its right, and a FilterObjects with a narrowing that nothing passes.
  @Test func loseNoRightAndNoNarrowing() async throws {
    try await withPieces { _, connection throws in
      for reading in Reading.allCases {
        let right = Proto.bytes(5, Array("section.pay".utf8))
        let check = Self.user + Self.queue
        let frames = [
          (Proto.message(11, right), Proto.message(11, check)), (Proto.message(11, check), Proto.message(11, right)),
          (Proto.message(11, Self.user), Proto.message(11, Self.queue)),
          (Proto.message(14, Proto.bytes(5, Array("other".utf8))), Proto.message(14, check)),
        ]
        for (first, second) in frames { #expect(try refuses(connection, frame(reading, first, second)), "\(reading)") }
        connection.sendFrame(frame(reading, Proto.message(11, check)))
        #expect(try connection.response().decision == 1, "whole, it is answered")
      }
    }
  }

  /// Without its first piece an Apply or Preview would be the platform's own.
  @Test func loseNoActor() async throws {
    try await withPieces { daemon, connection throws in
      let before = try daemon.client("c").health().revision
      let change = Proto.message(1, Proto.message(5, Proto.bytes(1, Array("u0".utf8))))
      for reading in Reading.allCases {
        for call in [16, 33] {
          let pieces = [Proto.bytes(2, Array("u1".utf8)), change].map { Proto.message(call, $0) }
          #expect(try refuses(connection, frame(reading, pieces[0], pieces[1])))
          #expect(try refuses(connection, frame(reading, pieces[1], pieces[0])))
        }
      }
      #expect(try daemon.client("c").health().revision == before)
    }
  }

  /// Every change of the contract, after one that is whole.
  @Test func areRefusedForEveryChange() async throws {
    let file = packageFolder.appendingPathComponent("proto/scope/v1/changes.proto")
    let text = try String(contentsOf: file, encoding: .utf8)
    let kinds = try #require(text.range(of: "oneof change {")).upperBound
    let numbers = text[kinds...].prefix { $0 != "}" }.matches(of: /\w+ = (\d+);/).map { Int($0.1)! }
    #expect(numbers.count > 20)
    try await withPieces { _, connection throws in
      for number in numbers {
        for (call, other) in [(16, number), (33, number), (16, numbers[number % numbers.count])] {
          let whole = Proto.message(1, Proto.message(5, Proto.bytes(1, [117])))
          let twice = Proto.message(1, Proto.message(number, Proto.bytes(99, [117])) + Proto.message(other, []))
          let frame = frame(.unpacked, Proto.message(call, whole + twice))
          connection.sendFrame(frame)
          let response = try connection.response()
          #expect(
            response.reason == "change_in_pieces" && response.change == 2, "\(number), then \(other): \(response)")
          #expect(response.code == 3 && response.id == 77)
        }
      }
    }
  }

  @Test func areRefusedInsideACallAndAsOfAnEarlierTime() async throws {
    try await withPieces { daemon, connection throws in
      let explain = Proto.message(19, Proto.message(1, Self.user) + Proto.message(1, Self.queue))
      #expect(try refuses(connection, frame(.unpacked, explain)))
      let check = [Self.user, Self.queue].map { Proto.message(11, $0) }
      #expect(try refuses(connection, frame(.unpacked, check[0], check[1], at: 1)))
    }
  }

  @Test func areRefusedForACompanyThatIsCold() async throws {
    let folder = try await folderWithCompanies(1)
    try await withCold(folder, holding: ["c0"]) { daemon, gate in
      let connection = try RawConnection(daemon.address(.unix))
      try await onThread { () throws -> Void in
        gate.waitUntilHeld("c0")
        let pieces = [Self.user, Self.queue].flatMap { Proto.message(11, $0) }
        connection.sendFrame(RawRequest(id: 77, company: "c0").packed + pieces)
        #expect(try connection.response().reason == "call_in_pieces", "at once, and never loaded for")
      }
    }
  }
}
