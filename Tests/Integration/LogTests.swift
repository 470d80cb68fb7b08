import Foundation
import Logging
import NIOCore
import Testing

@testable import ScopeServer

/// What is logged never waits, never grows without bound, and is counted where it is left out.
@Suite struct LogTests {
  private let start = NIODeadline.now()

  // MARK: - Repetitions

  @Test func aLineThatRepeatsIsWrittenOnceAWindow() {
    var limiter = LogLimiter()
    var admitted = 0
    for _ in 0..<500 where limiter.admits("refused", "refused: full", at: start) { admitted += 1 }
    #expect(admitted == 1 && limiter.owesWord)
    let early = limiter.due(at: start + .seconds(9))
    #expect(early.isEmpty)
    let due = limiter.due(at: start + .seconds(10))
    #expect(due.map(\.line) == ["refused: full"] && due.map(\.leftOut) == [499])
    #expect(!limiter.owesWord)
    let isAdmitted = limiter.admits("refused", "refused: full", at: start + .seconds(11))
    #expect(!isAdmitted)
    let (second, third) = (limiter.due(at: start + .seconds(20)), limiter.due(at: start + .seconds(30)))
    #expect(second.map(\.leftOut) == [1] && third.isEmpty)
    let isNews = limiter.admits("refused", "refused: full", at: start + .seconds(31))
    #expect(isNews)
  }

  @Test func linesOfOneKindAreBoundedAndOthersAreNot() {
    var limiter = LogLimiter()
    var admitted = 0
    for number in 0..<10_000 where limiter.admits("closed", "closed: \(number)", at: start) { admitted += 1 }
    #expect(admitted == LogLimiter.linesPerMessage)
    let isOtherAdmitted = limiter.admits("other", "other", at: start)
    #expect(isOtherAdmitted)
    let due = limiter.due(at: start + .seconds(10))
    #expect(due.map(\.leftOut) == [10_000 - admitted])
  }

  @Test func messagesBeyondTheBoundShareAnAccount() {
    var limiter = LogLimiter()
    var admitted = 0
    for number in 0..<5_000 where limiter.admits("m\(number)", "m\(number)", at: start) { admitted += 1 }
    #expect(admitted == LogLimiter.messages + LogLimiter.linesPerMessage)
    let due = limiter.due(at: start + .seconds(10))
    #expect(due.count == 1)
    let isAdmitted = limiter.admits("m4000", "m4000", at: start + .seconds(11))
    #expect(isAdmitted)
  }

  // MARK: - The queue

  @Test(arguments: [10, 1_000]) func theQueueIsBoundedAndCounts(bytes: Int) {
    var queue = LogQueue()
    let line = String(repeating: "x", count: bytes)
    for _ in 0..<20_000 { queue.append(line) }
    let (lines, lost) = queue.takeAll()
    #expect(lines.count + lost == 20_000)
    #expect(lines.count <= LogQueue.lines && lines.reduce(0) { $0 + $1.count } <= LogQueue.bytes)
    #expect(lines.count == min(LogQueue.lines, LogQueue.bytes / (bytes + 1)))
    let isEmpty = queue.isEmpty
    #expect(isEmpty)
  }

  @Test func aRecordIsOneLine() {
    var queue = LogQueue()
    queue.append("a\nb\u{7F}\u{1B}[31mä")
    queue.append(String(repeating: "é", count: 100_000))
    let lines = queue.takeAll().lines
    #expect(String(decoding: lines[0], as: UTF8.self) == "a b  [31mä\n")
    #expect(lines[1].count == LogQueue.lineBytes && lines[1].last == UInt8(ascii: "\n"))
  }

  // MARK: - The thread

  /// Nobody reads: logging goes on at once; whoever reads later learns how much was lost.
  @Test func aPipeThatNobodyReadsLosesLinesAndSaysSo() throws {
    let pipe = Pipe()
    let writer = writer(to: pipe)
    var logger = Logger(label: "test") { LineLogHandler(label: $0, writer: writer) }
    logger.logLevel = .trace
    let count = 40_000
    for number in 0..<count { logger.debug("line", metadata: ["number": "\(number)"]) }
    #expect(!writer.flush(within: .milliseconds(10)))
    var (text, lost, seen) = ("", nil as Int?, 0)
    while lost == nil {
      let chunk = pipe.fileHandleForReading.availableData
      try #require(!chunk.isEmpty)
      text += String(decoding: chunk, as: UTF8.self)
      var lines = text.components(separatedBy: "\n")
      text = lines.removeLast()
      for line in lines {
        if line.contains("number=") { seen += 1 }
        if let words = line.components(separatedBy: "since nobody read them: ").dropFirst().first { lost = Int(words) }
      }
    }
    #expect(lost! > 0 && seen + lost! == count, "\(seen) seen, \(lost!) lost")
    #expect(writer.flush(within: .seconds(120)))
  }

  @Test func whatRepeatsIsLeftOutOfTheFile() throws {
    let pipe = Pipe()
    let writer = writer(to: pipe)
    let logger = Logger(label: "test") { LineLogHandler(label: $0, writer: writer) }
    for _ in 0..<1_000 { logger.error("a change is refused", metadata: ["error": "full"]) }
    logger.notice("other", metadata: ["b": "2", "a": "1"])
    #expect(writer.flush(within: .seconds(120)))
    let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
    let lines = text.split(separator: "\n").map { $0.drop { $0 != " " }.dropFirst() }
    #expect(lines.count < 10 && lines.first == "error test: error=full [IntegrationTests] a change is refused")
    #expect(lines.last == "notice test: a=1 b=2 [IntegrationTests] other")
  }

  /// Its thread goes on after the test, and may have something left to write: the pipe stays open, lest another test's
  /// socket gets its number and the line.
  private func writer(to pipe: Pipe) -> LogWriter {
    _ = Unmanaged.passRetained(pipe)
    return LogWriter(descriptor: pipe.fileHandleForWriting.fileDescriptor)
  }
}
