import Foundation
import ScopeModel
import ScopeTesting
import Testing

/// What the system does to the process, and what it leaves.
@Suite(.serialized) struct ProcessFaultTests {
  /// Nobody reads what the daemon logs: it starts, serves, refuses and stops all the same.
  @Test(arguments: [true, false]) func aFullPipeForTheLogHoldsNothingUp(isReadInTheEnd: Bool) throws {
    let folder = TemporaryFolder()
    let first = try ProcessDaemon(in: folder)
    try first.client().applyAll(smallCompany(), to: "c")
    #expect(first.stop() == 0)
    let pipe = Pipe()
    fill(pipe)
    let daemon = try ProcessDaemon(in: folder, arguments: ["--log-level", "debug"], errors: pipe.fileHandleForWriting)
    let client = try daemon.client("c")
    for number in 0..<20 {
      let broken = try RawConnection(daemon.address)
      broken.send([0xFF, 0xFF, 0xFF, 0xFF])  // is closed, and that is logged
      #expect(broken.receive() != .nothing)
      try client.applyAll([.putGroup(Group(id: Name(stringLiteral: "g\(number)"), name: "g"))], to: "c")
      #expect(client.check("user:u0", "queue:q").verdict == .deny)
    }
    try pipe.fileHandleForWriting.close()
    if isReadInTheEnd {
      let reader = pipe.fileHandleForReading
      Thread.detachNewThread { while (try? reader.read(upToCount: 4_096))?.isEmpty == false {} }
    }
    daemon.signal(SIGTERM)
    try #require(daemon.ends())
    #expect(daemon.wait() == 0)
  }

  /// Whoever read the log is gone.
  @Test func aClosedPipeForTheLogIsNoHarm() throws {
    let pipe = Pipe()
    let daemon = try ProcessDaemon(in: TemporaryFolder(), errors: pipe.fileHandleForWriting)
    try pipe.fileHandleForReading.close()
    try pipe.fileHandleForWriting.close()
    try daemon.client().applyAll(smallCompany(), to: "c")
    #expect(RawConnectionClosed(daemon))
    #expect(daemon.stop() == 0)
  }

  /// A crash is the end, at once and without a word, unless a trace was asked for.
  @Test(arguments: [SIGSEGV, SIGILL, SIGABRT, SIGTRAP]) func aCrashEndsTheProcess(signal: Int32) throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder())
    #expect(softLimit(of: daemon, "Max core file size") == "0")
    daemon.signal(signal)
    try #require(daemon.ends())
    #expect(daemon.diedOf == signal)
    #expect(!daemon.log.contains("acktrac"), "\(daemon.log)")
  }

  /// The first signal is traced; since no instruction is at fault that would be tried again, it takes a second one to
  /// end the process.
  @Test func aCrashLeavesATraceWhereAskedFor() async throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder(), arguments: ["--on-crash", "trace"])
    daemon.signal(SIGILL)
    try await waitUntil { daemon.log.contains("Backtrace took") }
    daemon.signal(SIGILL)
    try #require(daemon.ends())
    #expect(daemon.diedOf == SIGILL)
    #expect(daemon.log.contains("crashed"), "\(daemon.log)")
  }

  @Test func aCoreIsLeftToTheSystemsLimit() throws {
    let daemon = try ProcessDaemon(in: TemporaryFolder(), arguments: ["--on-crash", "core"])
    #expect(softLimit(of: daemon, "Max core file size") == hardLimit(of: daemon, "Max core file size"))
    #expect(daemon.stop() == 0)
  }

  /// Each limit either serves or ends with a sentence; none traps.
  @Test(arguments: Array(5...40) + [52, 53, 64]) func aLimitOfDescriptorsServesOrIsRefused(descriptors: Int) throws {
    let folder = TemporaryFolder()
    do {
      let daemon = try ProcessDaemon(in: folder, arguments: ["--threads", "2"], descriptors: descriptors)
      #expect(try RawConnection(daemon.address).ask(RawRequest(call: 17)).code == 0)
      #expect(daemon.stop() == 0)
      #expect(descriptors >= 53)
    } catch let error as TestFailure {
      #expect(error.description.contains("the process may open \(descriptors) files, and needs 53"), "\(error)")
      #expect(error.description.contains("ulimit -n") && descriptors < 53)
    }
  }

  private func RawConnectionClosed(_ daemon: ProcessDaemon) -> Bool {
    guard let broken = try? RawConnection(daemon.address) else { return false }
    broken.send([0xFF, 0xFF, 0xFF, 0xFF])
    return broken.receive() != .nothing
  }

  private func fill(_ pipe: Pipe) {
    let descriptor = pipe.fileHandleForWriting.fileDescriptor
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    let line = [UInt8](repeating: UInt8(ascii: "x"), count: 4_096)
    while write(descriptor, line, line.count) > 0 {}
    while write(descriptor, line, 1) > 0 {}
    _ = fcntl(descriptor, F_SETFL, flags)
  }

  private func softLimit(of daemon: ProcessDaemon, _ name: String) -> String? { limits(of: daemon, name)?.first }

  private func hardLimit(of daemon: ProcessDaemon, _ name: String) -> String? {
    limits(of: daemon, name)?.dropFirst().first
  }

  private func limits(of daemon: ProcessDaemon, _ name: String) -> [String]? {
    let text = (try? String(contentsOfFile: "/proc/\(daemon.processIdentifier)/limits", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.dropFirst(name.count).split(separator: " ").map(String.init)
  }
}
