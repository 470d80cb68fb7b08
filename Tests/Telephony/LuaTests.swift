import Foundation
import Glibc
import ScopeTesting
import Testing

extension TelephonyTests {
  /// `require "scope"` under Debian's Lua 5.1.
  @Suite struct LuaTests {
    private let timeout = "unavailable reason=timeout status=deadline_exceeded from_daemon=false revision=0"
    private let skipped = "unavailable reason=breaker_open status=unavailable from_daemon=false revision=0"

    @Test func answersAreTheDaemons() async throws {
      let verdicts = [
        "allow reason=shared_project project=clinic group=clinic-team status=ok revision=1",
        "deny reason=no_shared_project status=ok revision=1", "deny reason=subject_blocked status=ok revision=1",
        "allow reason=see_all status=ok revision=1",
        "allow reason=shared_project project=insurer group=quality status=ok revision=1",
        "deny reason=right_missing status=ok revision=1", "deny reason=unknown_company status=ok revision=1",
        "allow reason=shared_project project=clinic group=clinic-team status=ok revision=1",
      ]
      try await withSampleProcess { daemon in
        let lines = try printed("verdicts", daemon.address)
        #expect(lines.count == 13)
        for (line, verdict) in zip(lines, verdicts) {
          #expect(line.replacing(/revision=\d+/, with: "revision=1") == verdict)
        }
        #expect(lines[8].hasPrefix("unavailable reason="))
        #expect(
          Array(lines[9...11]) == [
            "clinic-appointments,clinic-appointments\tok\tnil", "clinic-appointments\tok\tnil", "\tok\tnil",
          ])
        #expect(lines[12] == "12\t4\t4\t1\t0")
      }
    }

    @Test func mistakesAreUnavailableAndNeverRaise() async throws {
      try await withSampleProcess { daemon in
        let lines = try printed("mistakes", daemon.address)
        #expect(lines == ["calls sent\t0"])
      }
    }

    @Test func aDeadDaemonIsUnavailable() throws {
      let folder = TemporaryFolder()
      let lines = try printed("trouble", "unix:\(folder.file("socket"))")
      let failed = "unavailable reason=connect_failed status=unavailable from_daemon=false revision=0"
      #expect(lines == [failed, failed, failed, skipped, "nil\tunavailable\tbreaker_open", "5\t5\t0\t2"])
    }

    /// One that takes connections and does no more, as a stopped process does.
    @Test func aHungDaemonIsUnavailable() throws {
      let listener = try Listener { _ in }
      let lines = try printed("trouble", listener.address)
      #expect(lines == [timeout, timeout, timeout, skipped, "nil\tunavailable\tbreaker_open", "5\t5\t3\t2"])
    }

    /// One whose answer does not end in time: half of the length, and then silence.
    @Test func aSlowDaemonIsUnavailable() throws {
      let listener = try Listener { _ = Glibc.send($0, [0, 0] as [UInt8], 2, Int32(MSG_NOSIGNAL)) }
      let lines = try printed("trouble", listener.address)
      #expect(lines == [timeout, timeout, timeout, skipped, "nil\tunavailable\tbreaker_open", "5\t5\t3\t2"])
    }

    @Test func aSharedHandleOutlivesItsUsers() async throws {
      try await withSampleProcess { daemon in
        let lines = try printed("shared", daemon.address)
        let allowed = lines.filter { $0.hasPrefix("allow") }.count
        let refused = lines.filter { $0.hasPrefix("unavailable reason=bad_argument") }.count
        #expect(allowed == 3 && refused == 3)
        #expect(
          Array(lines[6...]) == [
            "3\t3\t0", "0", "62\tmore than 64 different shared handles; open them all alike",
          ])
      }
    }

    @Test(arguments: ["verdicts", "mistakes", "many"]) func nothingIsLeakedOrReadBeyond(_ questions: String)
      async throws
    {
      try await withSampleProcess { daemon in
        let valgrind = [
          try systemProgram("valgrind").path, "--quiet", "--error-exitcode=99", "--leak-check=full",
          "--errors-for-leak-kinds=definite,indirect,possible",
        ]
        let checked = try LuaModule.run("answers.lua", [daemon.address, questions], under: valgrind)
        #expect(checked.status == 0, "\(checked.errors)\(checked.output)")
        #expect(checked.errors == "")
      }
    }

    /// Only the door is open: a program that has libscope or another protobuf of its own keeps them.
    @Test func onlyTheOpeningFunctionIsVisible() throws {
      let module = try LuaModule.path().replacingOccurrences(of: "?", with: "scope")
      let names = try run(try systemProgram("nm"), ["-D", "--defined-only", "--format=just-symbols", module])
      #expect(names.output == "luaopen_scope\n")
    }
  }
}

private func printed(_ questions: String, _ address: String) throws -> [String] {
  let shown = try LuaModule.run("answers.lua", [address, questions])
  guard shown.status == 0 else { throw TestFailure("answers.lua \(questions): \(shown.errors)") }
  return shown.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
}

/// A Unix socket whose connections get what a test sends, and then nothing.
private final class Listener {
  private let folder = TemporaryFolder()
  private let descriptor: Int32
  private let ended = DispatchSemaphore(value: 0)

  init(_ greet: @escaping @Sendable (Int32) -> Void) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = folder.file("socket")
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(descriptor, 16) == 0
      }
    }
    guard bound else { throw TestFailure("no socket at \(path): errno \(errno)") }
    let (listener, ended) = (descriptor, ended)
    Thread.detachNewThread {
      var accepted: [Int32] = []
      while case let connection = acceptConnection(listener), connection >= 0 {
        accepted.append(connection)
        greet(connection)
      }
      accepted.forEach { close($0) }
      ended.signal()
    }
  }

  deinit {
    shutdown(descriptor, Int32(SHUT_RDWR))
    ended.wait()
    close(descriptor)
  }

  var address: String { "unix:\(folder.file("socket"))" }
}
