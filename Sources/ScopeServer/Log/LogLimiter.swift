import NIOCore

/// Keeps a fault that repeats from filling the log: of lines with the same words a few are let through in ten seconds,
/// of lines that are wholly alike one, and the rest are counted.
///
/// Pure: it is told the time, and holds no more than its limits say.
struct LogLimiter {
  static let window = TimeAmount.seconds(10)
  /// Lines that differ in what stands beside the same words, in one window.
  static let linesPerMessage = 20
  /// Messages told apart; further ones share one account.
  static let messages = 256

  /// What was said with the same words since its window began.
  private struct Account {
    var end: NIODeadline
    var lines: Set<String> = []
    var leftOut = 0
    /// The last of those left out.
    var last = ""
  }

  private var accounts: [String: Account] = [:]

  /// Something was left out that has not been told of.
  var owesWord: Bool { accounts.values.contains { $0.leftOut > 0 } }

  /// Whether a line may be written.
  ///
  /// - Parameters:
  ///   - message: its words, the same each time.
  ///   - line: all of it but the time.
  mutating func admits(_ message: String, _ line: String, at now: NIODeadline) -> Bool {
    let key = accounts[message] != nil || accounts.count < LogLimiter.messages ? message : ""
    var account = accounts.removeValue(forKey: key) ?? Account(end: now + LogLimiter.window)
    defer { accounts[key] = account }
    if account.leftOut == 0 && account.end <= now { account = Account(end: now + LogLimiter.window) }
    if account.lines.contains(line) || account.lines.count >= LogLimiter.linesPerMessage {
      account.leftOut += 1
      account.last = line
      return false
    }
    account.lines.insert(line)
    return true
  }

  /// For each message whose window is over: the last line left out, and how many there were. Their next windows begin.
  mutating func due(at now: NIODeadline) -> [(line: String, leftOut: Int)] {
    var due: [(line: String, leftOut: Int)] = []
    for (key, account) in accounts where account.end <= now {
      if account.leftOut == 0 {
        accounts[key] = nil
      } else {
        due.append((account.last, account.leftOut))
        accounts[key] = Account(end: now + LogLimiter.window, lines: [account.last])
      }
    }
    return due
  }
}
