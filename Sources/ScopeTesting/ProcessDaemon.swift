import Foundation
import ScopeClient

/// A daemon as a process of its own, to be killed.
public final class ProcessDaemon {
  public let folder: TemporaryFolder
  private let process = Process()
  private let output = Pipe()
  private let errors: FileHandle
  /// The line that it printed when it was ready.
  public let ready: String

  /// Starts the daemon built beside the tests, and waits until it says that it is ready.
  ///
  /// - Parameters:
  ///   - descriptors: how many files it may have open; nil: as many as the tests.
  ///   - launcher: a program and its arguments that start it in their turn; none: it is started as it is.
  ///   - isCreating: where there is no store, it makes one.
  ///   - errors: its standard error; nil: what it writes there is `log`.
  public init(
    in folder: TemporaryFolder, arguments: [String] = [], environment: [String: String] = [:], descriptors: Int? = nil,
    launcher: [String] = [], errors: FileHandle? = nil, isCreating: Bool = true
  ) throws {
    self.folder = folder
    _ = FileManager.default.createFile(atPath: folder.file("log"), contents: nil)
    self.errors = errors ?? FileHandle(forWritingAtPath: folder.file("log"))!
    let command =
      ["--data", folder.file("data"), "--socket", folder.file("socket")] + (isCreating ? ["--create"] : []) + arguments
    let program = builtProduct("scoped")
    let limit = descriptors.map { ["/bin/sh", "-c", "ulimit -n \($0); exec \"$@\"", "sh"] }
    let line = (limit ?? launcher) + [program.path] + command
    process.executableURL = URL(fileURLWithPath: line[0])
    process.arguments = Array(line.dropFirst())
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = self.errors
    try process.run()
    ready = nextText(of: output.fileHandleForReading)
    guard ready.contains("ready") else {
      let status = process.awaitEnd()
      throw TestFailure("the daemon did not start, and ended with \(status): \(log)")
    }
  }

  /// A test that fails half-way leaves no daemon behind.
  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  public var address: String { "unix:\(folder.file("socket"))" }
  /// Where it serves over TCP, as it has said; it must have been told to.
  public var tcpAddress: String {
    let word = ready.split(separator: " ").first { $0.hasPrefix("tcp:") }
    return word.map { String($0.filter { !$0.isWhitespace }) } ?? ""
  }
  public var isRunning: Bool { process.isRunning }
  public var processIdentifier: pid_t { process.processIdentifier }
  public var log: String { (try? String(contentsOfFile: folder.file("log"), encoding: .utf8)) ?? "" }

  /// Whether the log has the text, or gets it: lines are written by a thread of their own, behind what they tell of.
  public func logs(_ text: String) -> Bool {
    comesAbout { log.contains(text) || !isRunning } && log.contains(text)
  }

  public func client(_ company: String = "") throws -> Client {
    try Client(address, company: company, timeoutMilliseconds: .anHour)
  }

  /// Sends a signal.
  public func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// Stops it as it is, until SIGCONT. Returns when it has stopped: the signal alone may come after the next question.
  public func pause() {
    signal(SIGSTOP)
    var information = siginfo_t()
    while waitid(P_PID, id_t(process.processIdentifier), &information, WSTOPPED | WEXITED | WNOWAIT) != 0
      && errno == EINTR
    {}
  }

  /// Ends the daemon as a power cut would end the process, and waits for that.
  public func killNow() {
    signal(SIGKILL)
    process.awaitEnd()
  }

  /// Asks the daemon to stop; returns its exit code.
  public func stop() -> Int32 {
    signal(SIGTERM)
    return wait()
  }

  /// Waits until it has ended; its exit code, or the signal that it died of.
  public func wait() -> Int32 { process.awaitEnd() }

  /// Waits until it has ended; false: it has not.
  public func ends() -> Bool { comesAbout { !isRunning } }

  /// The signal that it died of; nil: it ended by itself. Only after its end.
  public var diedOf: Int32? { process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil }
}

/// What has come through a pipe, awaited; nothing where its other end is closed, or nothing comes.
private func nextText(of pipe: FileHandle) -> String {
  var ready = pollfd(fd: pipe.fileDescriptor, events: Int16(POLLIN), revents: 0)
  guard poll(&ready, 1, Int32(patience / .milliseconds(1))) > 0 else { return "" }
  return String(decoding: pipe.availableData, as: UTF8.self)
}

/// A program built beside the tests.
public func builtProduct(_ name: String) -> URL {
  let own = try! FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name)
}

/// The top folder of the package.
public let packageFolder = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// What a program printed and how it ended.
public struct Run: Sendable {
  public let status: Int32
  public let output: String
  public let errors: String
}

/// Runs a program to its end.
public func run(
  _ program: URL, _ arguments: [String], input: Data? = nil, environment: [String: String] = [:]
) throws -> Run {
  let process = Process()
  let folder = TemporaryFolder()
  let (output, errors) = (folder.file("output"), folder.file("errors"))
  for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
  process.executableURL = program
  process.arguments = arguments
  let patient = ["SCOPED_TIMEOUT": "60000"]
  process.environment = ProcessInfo.processInfo.environment.merging(patient) { $1 }.merging(environment) { $1 }
  process.standardOutput = FileHandle(forWritingAtPath: output)
  process.standardError = FileHandle(forWritingAtPath: errors)
  if let input {
    _ = FileManager.default.createFile(atPath: folder.file("input"), contents: input)
    process.standardInput = FileHandle(forReadingAtPath: folder.file("input"))
  } else {
    process.standardInput = FileHandle.nullDevice
  }
  try process.run()
  return Run(
    status: process.awaitEnd(), output: try text(of: output), errors: try text(of: errors))
}

/// A file's text as its bytes are: Foundation's reader would drop a byte order mark at the beginning.
private func text(of path: String) throws -> String {
  String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
}
