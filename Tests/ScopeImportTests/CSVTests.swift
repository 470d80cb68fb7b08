import Foundation
import ScopeTesting
import Testing

@testable import ScopeImport

@Suite struct CSVTests {
  private let folder = TemporaryFolder()

  @Test(arguments: [
    ("a,b\nc,d\n", [["a", "b"], ["c", "d"]]), ("a,b", [["a", "b"]]), ("a,b\r\nc,\r\n", [["a", "b"], ["c", ""]]),
    ("\"a,b\",\"c\nd\"\r\ne,f\n", [["a,b", "c\nd"], ["e", "f"]]), ("\"a\"\"b\",\"\"\n", [["a\"b", ""]]),
    ("\n\r\na\n", [["a"]]), ("\"\"\n", [[""]]), (",\n", [["", ""]]), ("a\"b,c\n", [["a\"b", "c"]]),
  ])
  func readsRecords(_ text: String, _ expected: [[String]]) {
    #expect(records(text) == expected.map(Parsed.cells))
  }

  @Test func whatStandsBehindAQuoteSpoilsItsRecordOnly() {
    #expect(records("\"a\"b,c\nd\n") == [.badQuote, .cells(["d"])])
  }

  @Test func linesAreCountedThroughQuotes() {
    var bytes = Array("\"a\nb\nc\"\n\nd\n".utf8)
    bytes.withUnsafeMutableBufferPointer { bytes in
      var reader = CSVRecords(bytes, delimiter: 0x2C, firstLine: 5)
      #expect(reader.next() == .cells && reader.line == 5)
      #expect(reader.next() == .blank && reader.line == 8)
      #expect(reader.next() == .cells && reader.line == 9)
      #expect(reader.next() == nil)
    }
  }

  /// Random bytes out of those that matter, cut wherever a small chunk has it, against a parser that takes one
  /// character after the other and knows of no chunks.
  @Test(arguments: 0..<8) func agreesWithTheReferenceHoweverItIsCut(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let signs: [UInt8] = Array("ab,,\"\"\n\r".utf8)
    for _ in 0..<1_500 {
      let limits = RecordLimits(chunkBytes: 96 + Int.random(in: 0..<40, using: &random), recordBytes: 16)
      let bytes = (0..<Int.random(in: 1..<300, using: &random)).map { _ in signs.randomElement(using: &random)! }
      // A line longer than a chunk has a test of its own.
      if bytes.split(separator: 0x0A).contains(where: { $0.count > 60 }) { continue }
      let expected = ReferenceCSV.lines(bytes, limits: limits)
      let found = try cutAndRead(bytes, limits)
      #expect(found == expected, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
      if found != expected { return }
    }
  }

  @Test func aQuoteThatIsNotClosedSpoilsItsLineOnly() throws {
    let limits = RecordLimits(chunkBytes: 256, recordBytes: 64)
    let found = try cutAndRead(Array("\"open,1\nb,2\nc,3\n".utf8), limits)
    #expect(found == [.fault(1, .unclosedQuote), .record(2, ["b", "2"]), .record(3, ["c", "3"])])
    let far = "\"open,1\n" + String(repeating: "b,2\n", count: 100) + "\"closed\"\n"
    #expect(try cutAndRead(Array(far.utf8), limits).count { $0 == .fault(1, .unclosedQuote) } == 1)
    #expect(try cutAndRead(Array(far.utf8), limits).count == 102)
  }

  @Test func aLineWithoutEndIsPassedOver() throws {
    let limits = RecordLimits(chunkBytes: 64, recordBytes: 16)
    let found = try cutAndRead(Array(("a\n" + String(repeating: "x", count: 1_000) + "\nb\n").utf8), limits)
    #expect(found == [.record(1, ["a"]), .fault(2, .lineTooLong), .record(3, ["b"])])
  }

  private enum Parsed: Equatable {
    case cells([String])
    case badQuote
  }

  private func records(_ text: String) -> [Parsed] {
    var bytes = Array(text.utf8)
    var found: [Parsed] = []
    bytes.withUnsafeMutableBufferPointer { bytes in
      var reader = CSVRecords(bytes, delimiter: 0x2C, firstLine: 1)
      while let record = reader.next() {
        if record == .badQuote { found.append(.badQuote) }
        if record == .cells { found.append(.cells(reader.cells.map { String(decoding: $0, as: UTF8.self) })) }
      }
    }
    return found
  }

  private func cutAndRead(_ bytes: [UInt8], _ limits: RecordLimits) throws -> [ReferenceCSV.Line] {
    let file = folder.file("input")
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)  // Foundation would have each of thousands synced
    #expect(write(descriptor, bytes, bytes.count) == bytes.count && close(descriptor) == 0)
    var options = ImportOptions(company: "c", list: "l", file: file)
    options.hasHeader = false
    let input = try Input(options, limits: limits)
    let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: limits.chunkBytes)
    defer { memory.deallocate() }
    var lines: [ReferenceCSV.Line] = []
    _ = input.beginSegment(bytes: .max - 1)
    while let chunk = try input.next(into: memory) { lines += read(chunk, limits) }
    #expect(input.current.offset == bytes.count)
    return lines
  }

  private func read(_ chunk: Chunk, _ limits: RecordLimits) -> [ReferenceCSV.Line] {
    if let fault = chunk.fault { return [.fault(chunk.firstLine, fault)] }
    var reader = CSVRecords(chunk.bytes, delimiter: 0x2C, firstLine: chunk.firstLine)
    var lines: [ReferenceCSV.Line] = []
    while true {
      let start = reader.position
      guard let record = reader.next() else { return lines }
      if record == .blank { continue }
      let isTooLong = reader.position - start > limits.recordBytes
      let cells = reader.cells.map { String(decoding: $0, as: UTF8.self) }
      lines.append(
        isTooLong
          ? .fault(reader.line, .lineTooLong)
          : record == .badQuote ? .fault(reader.line, .badQuote) : .record(reader.line, cells))
    }
  }
}

/// CSV read one byte after the other, all of it in memory.
enum ReferenceCSV {
  enum Line: Equatable {
    case record(Int, [String])
    case fault(Int, Refusal)
  }

  static func lines(_ bytes: [UInt8], limits: RecordLimits) -> [Line] {
    var (lines, at, line): ([Line], Int, Int) = ([], 0, 1)
    while at < bytes.count {
      let (found, end) = record(bytes, from: at, line, limits)
      if let found { lines.append(found) }
      line += bytes[at..<end].count { $0 == 0x0A }
      at = end
    }
    return lines
  }

  /// One record and where the next begins.
  private static func record(_ bytes: [UInt8], from start: Int, _ line: Int, _ limits: RecordLimits) -> (Line?, Int) {
    var cells: [[UInt8]] = []
    var (at, isBad) = (start, false)
    while true {
      var cell: [UInt8] = []
      if at < bytes.count, bytes[at] == 0x22 {
        var isTooFar = at - start >= limits.recordBytes
        at += 1
        while true {
          if isTooFar || at == bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.count
            return (.fault(line, .unclosedQuote), end)
          }
          if bytes[at] == 0x22 {
            at += 1
            if at == bytes.count || bytes[at] != 0x22 { break }
          }
          cell.append(bytes[at])
          isTooFar = at - start >= limits.recordBytes
          at += 1
        }
        let rest = bytes[at...].prefix { $0 != 0x2C && $0 != 0x0A }
        let isAtEnd = at + rest.count == bytes.count || bytes[at + rest.count] == 0x0A
        if !(rest.isEmpty || Array(rest) == [0x0D] && isAtEnd) { isBad = true }
        at += rest.count
      } else {
        cell = Array(bytes[at...].prefix { $0 != 0x2C && $0 != 0x0A })
        at += cell.count
        if (at == bytes.count || bytes[at] == 0x0A) && cell.last == 0x0D { cell.removeLast() }
      }
      cells.append(cell)
      if at == bytes.count { break }
      at += 1
      if bytes[at - 1] == 0x0A { break }
    }
    if cells == [[]] && bytes[start] != 0x22 { return (nil, at) }
    if at - start > limits.recordBytes { return (.fault(line, .lineTooLong), at) }
    return (isBad ? .fault(line, .badQuote) : .record(line, cells.map { String(decoding: $0, as: UTF8.self) }), at)
  }
}
