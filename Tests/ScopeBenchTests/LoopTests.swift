import Foundation
import Glibc
import ScopeTesting
import Testing

@testable import scope_bench

@Suite(.serialized) struct LoopTests {
  /// Requests of many lengths, over many connections, against the C echo: each is answered once.
  @Test(arguments: [(1, 1), (1, 64), (8, 16)]) func closedLoopCountsEachAnswerOnce(
    connections count: Int, depth: Int
  ) throws {
    let folder = TemporaryFolder()
    let path = folder.file("echo")
    _ = try Child([builtProduct("bench-echo").path, path], readyWord: "ready")  // the workspace keeps it
    defer { Workspace.current.clear() }
    let requests = RequestList((0..<64).map { RawConnection.frame(Array(repeating: 7, count: $0 * 40)) })
    let connections = try (0..<count).map { number in
      let share = requests.count / count
      return try LoadConnection(
        BenchSocket(.unix(path)), .frames, requests, share: number * share..<(number + 1) * share)
    }
    var loop = ClosedLoop(try Load(connections), depth: depth, .each(1_000))
    let result = try loop.run()
    #expect(result.answers == count * 1_000)
    #expect(result.latencies.totalCount == UInt64(count) * 1_000)
    #expect(connections.allSatisfy { $0.answered == 1_000 && $0.asked == 1_000 })
  }

  /// A server that stalls is charged for every request that fell due meanwhile: the first waits for the time in
  /// which the others come, the second for one interval less, and so on.
  @Test func openLoopCountsFromTheTimeARequestWasDue() throws {
    let folder = TemporaryFolder()
    let (request, count, perSecond) = ([UInt8]([0, 0, 0, 1, 9]), 50, 1_000)
    let server = try StallingServer(folder.file("socket"), bytes: request.count * count)
    let requests = RequestList([request])
    let connection = try LoadConnection(BenchSocket(.unix(server.path)), .frames, requests, share: 0..<1)
    var loop = OpenLoop(try Load([connection]), perSecond: perSecond, seconds: Double(count) / Double(perSecond))
    let result = try loop.run()
    #expect(result.answers == count)
    let interval = 1_000_000_000 / UInt64(perSecond)
    for behind in [1, 10, 40] as [UInt64] {
      let waitedAtLeast = (UInt64(count) - 1 - behind) * interval
      let beyond = result.latencies.count(within: waitedAtLeast / 1_000 * 999...59_000_000_000)
      #expect(beyond > behind, "\(beyond) waited \(waitedAtLeast) ns")
    }
  }

  @Test func aScheduleDoesNotDrift() {
    let schedule = Schedule(start: 5, perSecond: 3, count: 10)
    #expect((0..<4).map(schedule.due) == [5, 333_333_338, 666_666_671, 1_000_000_005])
    #expect(schedule.due(3_000_000) == 1_000_000_000_000_005)
  }
}

/// Says nothing until so many bytes have come, and then all of them again.
private final class StallingServer {
  let path: String

  init(_ path: String, bytes: Int) throws {
    self.path = path
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, listen(listener, 1) == 0 else { throw TestFailure("listen at \(path): errno \(errno)") }
    Thread.detachNewThread {
      let client = acceptConnection(listener)
      var buffer = [UInt8](repeating: 0, count: bytes)
      _ = recv(client, &buffer, bytes, Int32(MSG_WAITALL))
      _ = send(client, buffer, bytes, Int32(MSG_NOSIGNAL))
      close(listener)
    }
  }
}
