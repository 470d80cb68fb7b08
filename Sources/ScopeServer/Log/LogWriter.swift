import NIOConcurrencyHelpers
import NIOCore

#if canImport(Glibc)
  import Glibc
#endif

/// Writes lines to a file on a thread of its own, so that whoever logs never waits: not for a disk, nor for a pipe that
/// nobody reads. Lines beyond a bound are lost, and their number is written when there is room again.
public final class LogWriter: Sendable {
  /// Writes to standard error. Its thread lives as long as the process.
  public static let standardError = LogWriter(descriptor: STDERR_FILENO)

  private enum State {
    case idle, waiting, writing
  }

  private struct Content {
    var queue = LogQueue()
    var limiter = LogLimiter()
  }

  private let descriptor: Int32
  private let state = ConditionLock(value: State.idle)
  private let content = NIOLockedValueBox(Content())

  /// - Parameter descriptor: stays open as long as the process lives.
  init(descriptor: Int32) {
    self.descriptor = descriptor
    startThread()
  }

  /// Has a line written. Never waits for the file.
  ///
  /// - Parameters:
  ///   - line: what follows the time.
  ///   - message: its words, by which repetitions are known; nil: all are written.
  func write(_ line: String, repeating message: String? = nil) {
    let stamped = "\(timestamp()) \(line)"
    let isNews = content.withLockedValue { content in
      if let message, !content.limiter.admits(message, line, at: .now()) { return content.limiter.owesWord }
      content.queue.append(stamped)
      return true
    }
    if isNews { wake() }
  }

  /// Waits until all is written, or the time is over; false: it was.
  @discardableResult
  public func flush(within time: TimeAmount) -> Bool {
    guard state.lock(whenValue: .idle, timeoutSeconds: Double(time.nanoseconds) / 1e9) else { return false }
    state.unlock()
    return true
  }

  private func wake() {
    state.lock()
    state.unlock(withValue: .waiting)
  }
}

// MARK: - The thread

extension LogWriter {
  /// A thread without anything of NIO or Dispatch: the log must work where those don't.
  private func startThread() {
    var thread = pthread_t()
    let own = Unmanaged.passRetained(self).toOpaque()
    let code = pthread_create(
      &thread, nil,
      { own in
        Unmanaged<LogWriter>.fromOpaque(own!).takeRetainedValue().run()
        return nil
      }, own)
    precondition(code == 0, "no thread for the log: \(String(cString: strerror(code)))")
    pthread_detach(thread)
  }

  private func run() {
    while true {
      if state.lock(whenValue: .waiting, timeoutSeconds: 1) {
        state.unlock(withValue: .writing)
      }
      writeAll()
      state.lock()
      state.unlock(withValue: content.withLockedValue(\.queue.isEmpty) ? .idle : .waiting)
    }
  }

  private func writeAll() {
    let (lines, lost) = content.withLockedValue { content in
      for (line, count) in content.limiter.due(at: .now()) {
        content.queue.append("\(timestamp()) \(line) (and \(count) more)")
      }
      return content.queue.takeAll()
    }
    var written = 0
    while written < lines.count, write(lines[written]) { written += 1 }
    let missing = lost + lines.count - written
    if missing == 0 { return }
    let word = "\(timestamp()) warning scoped: lines of the log that are lost, since nobody read them: \(missing)\n"
    if written < lines.count || !write(Array(word.utf8)) { content.withLockedValue { $0.queue.lose(missing) } }
  }

  /// False: the file takes nothing, and never will.
  private func write(_ line: [UInt8]) -> Bool {
    var rest = line[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        awaitRoom()
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }

  private func awaitRoom() {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    poll(&waiting, 1, -1)
  }
}

/// As the system's clock and zone have it.
private func timestamp() -> String {
  var (now, parts) = (time(nil), tm())
  localtime_r(&now, &parts)
  return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { buffer in
    let count = strftime(buffer.baseAddress!, buffer.count, "%Y-%m-%dT%H:%M:%S%z", &parts)
    return String(decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]), as: UTF8.self)
  }
}
