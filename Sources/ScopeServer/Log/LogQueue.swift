/// Lines that wait to be written. Beyond its limits they are lost, and counted.
struct LogQueue {
  static let lines = 4_096
  static let bytes = 1 << 20
  /// Of one line; a longer one is cut.
  static let lineBytes = 8 << 10

  private var waiting: [[UInt8]] = []
  private var byteCount = 0
  /// Lines lost that nobody was told of.
  private(set) var lost = 0

  var isEmpty: Bool { waiting.isEmpty && lost == 0 }

  mutating func append(_ text: String) {
    let line = LogQueue.line(text)
    if waiting.count >= LogQueue.lines || byteCount + line.count > LogQueue.bytes {
      lost += 1
      return
    }
    waiting.append(line)
    byteCount += line.count
  }

  mutating func lose(_ count: Int) { lost += count }

  /// Takes all lines, and how many were lost after them.
  mutating func takeAll() -> (lines: [[UInt8]], lost: Int) {
    defer { self = LogQueue() }
    return (waiting, lost)
  }

  /// One record is one line, whatever is in it.
  private static func line(_ text: String) -> [UInt8] {
    var line = text.utf8.prefix(lineBytes - 1).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 }
    line.append(UInt8(ascii: "\n"))
    return line
  }
}
