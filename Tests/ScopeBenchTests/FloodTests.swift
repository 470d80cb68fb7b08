import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@testable import scope_bench

@Suite struct FloodReportTests {
  @Test func aRowTellsWhatItMisses() {
    var row = FloodRow("flood", "words")
    row.note(result(milliseconds: [1, 2, 4.9]))
    row.memory = FloodRow.Memory(quiet: 40, peak: 512, last: 32, backAfterSeconds: 1, descriptors: 9)
    #expect(row.misses.isEmpty)
    row.note(result(milliseconds: [1, 2, 5.2]))
    #expect(row.misses == ["p99"])
    row.unserved = 2
    #expect(row.misses == ["p99", "lost"])
    row.wrong = 1
    row.memory!.peak = 512.1
    row.memory!.backAfterSeconds = nil
    #expect(row.misses == ["p99", "wrong", "peak", "back"])
    row.ended = "signal 11"
    row.writer = FloodRow.Writer(p50: 1, p99: 1, maximum: 1, asked: 5, unserved: 1)
    #expect(row.misses == ["died", "p99", "wrong", "peak", "changes"])
  }

  @Test func theTableFitsAHundredColumns() {
    var report = FloodReport(isQuick: true, afterSeconds: 60)
    for flood in Flood.allCases {
      var row = FloodRow(flood.rawValue, flood.words)
      row.note(result(milliseconds: [25_000.4, 59_000]))
      row.unserved = 12_500
      row.memory = FloodRow.Memory(quiet: 40, peak: 22_000, last: 21_000, backAfterSeconds: nil, descriptors: 10_000)
      row.flood = FloodCounts(
        opened: 10_016, closed: 250_123, frames: 98_765_432, answered: 1_234_567, refused: [8: 7_654_321], left: 10_000)
      row.writer = FloodRow.Writer(p50: 30_000, p99: 30_000, maximum: 30_000, asked: 200, unserved: 200)
      report.rows.append(row)
    }
    #expect(!report.holds)
    for line in report.text.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
  }

  @Test func aFloodsFiguresComeBackAsTheyWerePrinted() throws {
    let counts = FloodCounts(opened: 3, closed: 2, frames: 7, answered: 4, refused: [8: 2, 10: 1])
    let line = FloodCommand.result(counts)
    let back = try #require(FloodCommand.counts(in: "\(FloodCommand.readyWord)\n\(line)\n"))
    #expect(back.opened == 3 && back.refused == [8: 2, 10: 1] && back.answered == 4)
    #expect(FloodCommand.counts(in: FloodCommand.readyWord) == nil)
  }
}

private func result(milliseconds: [Double]) -> HonestResult {
  var result = HonestResult()
  for value in milliseconds { _ = result.latencies.record(UInt64(value * 1e6)) }
  result.asked = milliseconds.count
  return result
}

@Suite struct FloodScriptTests {
  private let script = FloodScript([[0, 1], [2], [3, 4, 5]], count: 8)

  @Test func framesAndBytesAreCountedAlike() {
    #expect((0...7).map(script.offset(ofFrame:)) == [0, 2, 3, 6, 8, 9, 12, 14])
    #expect(script.limit == 15)
    #expect((0...14).map(script.frames(inBytes:)) == [0, 0, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5, 6, 6, 7])
    let round = script.chunk.count
    #expect(script.offset(ofFrame: script.ends.count) == round && script.frames(inBytes: round) == script.ends.count)
  }

  /// Parts before the last of an answer are not answers; however the bytes are cut, each is counted once.
  @Test func answersAreCountedOnceWhereverTheStreamIsCut() {
    let part = Proto.number(1, 300) + Proto.number(5, 70_000) + Proto.number(6, 1) + Proto.bytes(15, [1, 2, 3])
    let last = Proto.number(1, 300) + Proto.number(5, 70_000) + Proto.bytes(15, [UInt8](repeating: 0x30, count: 200))
    let refusal = Proto.number(1, 9) + Proto.number(2, 8) + Proto.bytes(3, Array("too_many".utf8))
    let bytes = [part, part, last, refusal, []].flatMap(RawConnection.frame)
    for cut in 0...bytes.count {
      var (reader, counts, answered) = (AnswerReader(), FloodCounts(), 0)
      for piece in [bytes[..<cut], bytes[cut...]] {
        piece.withUnsafeBytes { answered += reader.read($0, &counts) }
      }
      #expect(answered == 3 && counts.answered == 2 && counts.parts == 2 && counts.refused == [8: 1], "cut at \(cut)")
    }
  }
}

@Suite struct HonestClientTests {
  /// A flood for a moment, with everything about it: the daemon, the filling, the flooder, the table. No time counts.
  @Test func aFloodIsMeasuredFromEndToEnd() throws {
    let arguments = ["floods", "--small", "--seconds", "1", "--after", "5", "--json", "--only", "dense-checks"]
    let run = try run(builtProduct("scope-bench"), arguments)
    let report = try JSONDecoder().decode(FloodReport.self, from: Data(run.output.utf8))
    #expect(report.rows.map(\.name) == ["echo", "quiet", "dense-checks"], "\(run.errors)")
    #expect(report.rows.allSatisfy { $0.wrong == 0 && $0.asked >= 500 })
    let row = report.rows[2]
    #expect(row.ended == nil && row.memory!.quiet > 0)
    #expect(row.flood!.answered > 0 && row.flood!.refused.isEmpty && row.flood!.opened == 8)
    #expect(run.status == (report.holds ? 0 : 1))
  }

  /// Answers that are not the model's are seen: without that, nothing is shown by none.
  @Test func aWrongAnswerIsCounted() async throws {
    let daemon = try await TestDaemon()
    let changes: [Change] = [
      .putCompany(.enhanced), .project("p"), .object("queue:q", in: ["p"]), .user("u", in: ["p"]),
    ]
    try daemon.client().applyAll(changes, to: "c")
    let requests = [true, false].map {
      HonestRequest(Question(user: "u", object: "queue:q", isAllowed: $0), in: "c")
    }
    let address = BenchAddress.unix(daemon.folder.file("socket"))
    let client = HonestClient(address, requests, perSecond: 500, connections: 1, patience: 60)
    let result = client.run(seconds: 0.2)
    #expect(result.asked == 100 && result.wrong == 50 && result.unserved == 0)
    #expect(result.latencies.totalCount == 100)
    try await daemon.stop()
  }

  /// Nobody listens: each check counts as lost, and the client comes to its end.
  @Test func whatIsNeverAnsweredIsLost() {
    let folder = TemporaryFolder()
    let request = HonestRequest(Question(user: "u", object: "queue:q", isAllowed: true), in: "c")
    let client = HonestClient(
      .unix(folder.file("nobody")), [request], perSecond: 500, connections: 2, patience: 60)
    let result = client.run(seconds: 0.1)
    #expect(result.asked == 50 && result.unanswered == 50 && result.wrong == 0)
  }

  @Test func anUnknownFloodIsRefusedWithTheNames() throws {
    let run = try run(builtProduct("scope-bench"), ["floods", "--only", "tide"])
    #expect(run.status == 64 && run.errors.contains("no flood begins with 'tide'") && run.errors.contains("heartbeats"))
  }
}
