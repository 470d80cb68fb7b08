import Glibc

/// How whole answers are told apart in what a contestant sends. Looks at as few bytes as it can, so that the
/// client costs little beside the server.
enum Framing: Sendable {
  /// Four bytes of length before each answer, big-endian.
  case frames
  /// Redis: so many lines make an answer.
  case lines(perAnswer: Int)
  /// PostgreSQL: ReadyForQuery ends an answer.
  case readyForQuery

  /// Counts the answers that end in `unread`.
  ///
  /// - Parameter lines: lines already seen of the answer under way; the next call goes on from it.
  /// - Returns: how many answers there are, and how many bytes need not be looked at again.
  @inline(__always)
  func take(_ unread: UnsafeRawBufferPointer, lines: inout Int) -> (answers: Int, bytes: Int) {
    switch self {
    case .frames: return Framing.takeFrames(unread)
    case .readyForQuery: return Framing.takeMessages(unread)
    case .lines(let perAnswer):
      lines += Framing.countLines(unread)
      let answers = lines / perAnswer
      lines -= answers * perAnswer
      return (answers, unread.count)
    }
  }

  private static func takeFrames(_ unread: UnsafeRawBufferPointer) -> (answers: Int, bytes: Int) {
    var (answers, position) = (0, 0)
    while unread.count - position >= 4 {
      let end = position + 4 + Int(UInt32(bigEndian: unread.loadUnaligned(fromByteOffset: position, as: UInt32.self)))
      if end > unread.count { break }
      position = end
      answers += 1
    }
    return (answers, position)
  }

  /// A type of one byte, then a length that counts itself.
  private static func takeMessages(_ unread: UnsafeRawBufferPointer) -> (answers: Int, bytes: Int) {
    var (answers, position) = (0, 0)
    while unread.count - position >= 5 {
      let length = UInt32(bigEndian: unread.loadUnaligned(fromByteOffset: position + 1, as: UInt32.self))
      let end = position + 1 + Int(length)
      if end > unread.count { break }
      if unread[position] == UInt8(ascii: "Z") { answers += 1 }
      position = end
    }
    return (answers, position)
  }

  /// Branchless, so that the compiler counts many bytes at a time.
  private static func countLines(_ unread: UnsafeRawBufferPointer) -> Int {
    unread.reduce(into: 0) { $0 &+= $1 == UInt8(ascii: "\n") ? 1 : 0 }
  }
}
