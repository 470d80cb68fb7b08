import CTestThreads
import Foundation
import ScopeTesting
import Testing

@Suite struct Threads {
  /// Tasks that block, more than the machine has cores, wait for one that comes after them.
  @Test func areThereForTasksThatBlock() async {
    let (count, gate) = (4 * ProcessInfo.processInfo.activeProcessorCount, DispatchSemaphore(value: 0))
    let isOpened = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<count {
        group.addTask { gate.wait(timeout: .now() + patience / .seconds(1)) == .success }
      }
      group.addTask {
        for _ in 0..<count { gate.signal() }
        return true
      }
      return await group.allSatisfy(\.self)
    }
    #expect(isOpened, "those that block hold up the one that wakes them")
    #expect(test_threads_count() > count)
  }
}

@Suite struct Waiting {
  @Test func endsWhenItIsSo() async throws {
    var looks = 0
    try await waitUntil {
      looks += 1
      return looks == 3
    }
    #expect(looks == 3)
    #expect(
      comesAbout {
        looks += 1
        return looks == 5
      } && looks == 5)
  }

  @Test func aProgramsEndIsItsStatus() throws {
    let (shell, folder) = (URL(fileURLWithPath: "/bin/sh"), TemporaryFolder())
    #expect(try run(shell, ["-c", "exit 3"]).status == 3)
    #expect(try run(shell, ["-c", "kill -9 $$"]).status == SIGKILL)
    let process = Process()
    (process.executableURL, process.arguments) = (shell, ["-c", "read -r line < \(folder.file("pipe")); exit $line"])
    try #require(mkfifo(folder.file("pipe"), 0o600) == 0)
    try process.run()
    try "4\n".write(toFile: folder.file("pipe"), atomically: false, encoding: .utf8)
    #expect(process.awaitEnd() == 4)
  }
}
