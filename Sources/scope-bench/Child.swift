import Dispatch
import Foundation
import Synchronization

/// A program that the benchmark has started. It ends with the benchmark, however that ends.
final class Child: Sendable {
  let processor: Int32
  private let stopSignal: Int32
  private let said = Mutex(Said())

  private struct Said {
    var text = ""
    var isOver = false
  }

  /// Starts a program and waits until it says that it is ready.
  ///
  /// - Parameters:
  ///   - command: the program's path and its arguments.
  ///   - word: what it prints, on whichever output, when it is ready; nil: it is not waited for.
  ///   - processors: those it may run on; nil: all.
  ///   - user: whom it runs as; nil: as the benchmark.
  ///   - stopSignal: what ends it at once and in order.
  init(
    _ command: [String], readyWord word: String?, on processors: [Int]? = nil, as user: String? = nil,
    stopSignal: Int32 = SIGTERM
  ) throws {
    let name = stopSignal == SIGINT ? "INT" : "TERM"
    var words = ["/usr/bin/setpriv"] + Child.identity(user) + ["--pdeathsig", name]
    if let processors {
      words += ["/usr/bin/taskset", "-c", processors.map(String.init).joined(separator: ",")]
    }
    let (processor, output) = try Child.spawn(words + command)
    self.processor = processor
    self.stopSignal = stopSignal
    Workspace.current.add(self)
    let ready = listen(output, word ?? "")
    if word != nil { try wait(for: ready, command[0]) }
  }

  /// Runs a program to its end.
  static func run(_ command: [String], as user: String? = nil) throws {
    let child = try Child(command, readyWord: nil, as: user)
    var status: Int32 = 0
    waitpid(child.processor, &status, 0)
    _ = Workspace.current.remove(child)
    if status != 0 { throw BenchFailure("\(command[0]) failed: \(child.greeting)") }
  }

  /// What makes `setpriv` another user; nothing where the benchmark is not root.
  private static func identity(_ user: String?) -> [String] {
    guard let user, getuid() == 0 else { return [] }
    return ["--reuid", user, "--regid", user, "--init-groups"]
  }

  private static func spawn(_ words: [String]) throws -> (Int32, FileHandle) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw BenchFailure.system("pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for output in [STDOUT_FILENO, STDERR_FILENO] { posix_spawn_file_actions_adddup2(&actions, ends[1], output) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A group of its own: Ctrl-C is for the benchmark, which then stops it. And what the benchmark ignores or
    // blocks would be ignored or blocked there as well.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var processor: Int32 = 0
    let error = posix_spawn(&processor, words[0], &actions, &attributes, &arguments, environ)
    close(ends[1])
    if error != 0 { throw BenchFailure("\(words[0]): \(String(cString: strerror(error)))") }
    return (processor, FileHandle(fileDescriptor: ends[0], closeOnDealloc: true))
  }

  /// Goes on reading to the end, so that the program never waits for a full pipe. Signals when the word was said,
  /// and when nothing more will be.
  private func listen(_ output: FileHandle, _ word: String) -> DispatchSemaphore {
    let ready = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      var isWaiting = true
      while case let data = output.availableData, !data.isEmpty {
        let text = self.hear(String(decoding: data, as: UTF8.self))
        if isWaiting && text.contains(word) { ready.signal() }
        isWaiting = !text.contains(word)
      }
      self.said.withLock { $0.isOver = true }
      ready.signal()
    }
    return ready
  }

  private func wait(for ready: DispatchSemaphore, _ name: String) throws {
    let isLate = ready.wait(timeout: .now() + 120) == .timedOut
    if isLate || isOver { throw BenchFailure("\(name) did not start: \(greeting)") }
  }

  /// Keeps the first of what it says.
  private func hear(_ text: String) -> String {
    said.withLock {
      if $0.text.utf8.count < 16 << 10 { $0.text += text }
      return $0.text
    }
  }

  /// What it has said until it was ready.
  var greeting: String { said.withLock { $0.text } }

  /// It says nothing more: it has ended.
  var isOver: Bool { said.withLock { $0.isOver } }

  /// How it ended, if it has by itself, in words; once.
  func ending() -> String? {
    guard isOver, Workspace.current.remove(self) else { return nil }
    var status: Int32 = 0
    waitpid(processor, &status, 0)
    return status & 0x7F == 0 ? "exit code \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
  }

  /// Ends it, and waits for that.
  func stop() {
    guard Workspace.current.remove(self) else { return }
    kill(processor, stopSignal)
    waitpid(processor, nil, 0)
  }

  /// A figure of memory in the kernel's account of it, such as `VmRSS`; nil: it is gone.
  func statusBytes(_ key: String) -> Int? {
    let text = try? String(contentsOfFile: "/proc/\(processor)/status", encoding: .utf8)
    let line = text?.split(separator: "\n").first { $0.hasPrefix("\(key):") }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 << 10 }
  }

  /// Nanoseconds on a processor so far, of all threads of a process, by the scheduler's own accounts.
  static func processorNanoseconds(_ process: Int32) -> UInt64 {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
    return tasks.reduce(0) { sum, task in
      let account = try? String(contentsOfFile: "/proc/\(process)/task/\(task)/schedstat", encoding: .utf8)
      return sum + (account?.split(separator: " ").first.flatMap { UInt64($0) } ?? 0)
    }
  }
}

/// The folder and the programs of one run, which go whatever happens.
final class Workspace: Sendable {
  static let current = Workspace()

  let folder: String
  private let children = Mutex<[Child]>([])
  private let clearing = Mutex(())

  private init() {
    var template = Array("/tmp/scope-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("no temporary folder: \(String(cString: strerror(errno)))") }
    folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    chmod(folder, 0o755)  // PostgreSQL's user has a folder in it
  }

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  fileprivate func add(_ child: Child) { children.withLock { $0.append(child) } }

  fileprivate func remove(_ child: Child) -> Bool {
    children.withLock { children in
      guard let index = children.firstIndex(where: { $0 === child }) else { return false }
      children.remove(at: index)
      return true
    }
  }

  /// - Parameter next: done before anyone else may clear: a signal comes while the main thread clears because the
  ///   programs it measured are gone.
  func clear(_ next: () -> Void = {}) {
    clearing.withLock { _ in
      for child in children.withLock({ $0 }).reversed() { child.stop() }
      try? FileManager.default.removeItem(atPath: folder)
      next()
    }
  }

  /// Clears on Ctrl-C and its like. The sources must be kept.
  func clearOnSignals() -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM, SIGHUP].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        Workspace.current.clear { _exit(128 + number) }
      }
      source.resume()
      return source
    }
  }
}
