import ScopeModel
import Testing

@testable import ScopeClient

/// The time that completion may take, by a clock that stands where the test puts it.
@Suite struct CompletionTime {
  private final class Clock {
    var milliseconds: UInt64 = 1_000
  }

  private struct NoDaemon: Error {}

  @Test(arguments: [(0, [200]), (1, [199]), (150, [50]), (199, [1]), (200, []), (5_000, [])] as [(UInt64, [UInt32])])
  func aCallGetsWhatIsLeft(passed: UInt64, timeouts: [UInt32]) {
    let clock = Clock()
    var given: [UInt32] = []
    let completer = Completer(now: { clock.milliseconds }) { milliseconds in
      given.append(milliseconds)
      throw NoDaemon()
    }
    clock.milliseconds += passed
    #expect(completer.candidates(for: "1", .user) == [] && given == timeouts)
  }

  /// The client's calls, connecting among them, have that time and no more.
  @Test func theTimeIsTheClients() {
    var clients: [Client] = []
    let completer = Completer(now: { 0 }) { milliseconds in
      let client = try Client("unix:/nonexistent/socket", company: "c", timeoutMilliseconds: milliseconds)
      clients.append(client)
      return client
    }
    #expect(completer.candidates(for: "queue:", .object) == [])
    #expect(clients.map(\.timeoutMilliseconds) == [200])
    #expect(completer.candidates(for: "nothing:", .object) == [] && clients.count == 1, "there is nothing to ask")
  }
}
