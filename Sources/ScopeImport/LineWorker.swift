import ScopeModel

/// One thread's share of reading: takes chunks, makes rows of their records, and writes them as runs. Used by one
/// thread at a time.
final class LineWorker: @unchecked Sendable {  // each is used by one thread of a segment, and by none between two
  /// What is read when a segment ends.
  struct Yield {
    var tally = Tally()
    var runs: [RunFile] = []
    /// Lines of the report on refused lines, by where their chunks begin.
    var report: [(offset: Int, lines: [UInt8])] = []
  }

  typealias MakeRun = () throws(ImportError) -> RunWriter

  private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
  /// A report longer than this ends the segment.
  private static let reportBytes = 4 << 20

  private let options: ImportOptions
  private let csv: CSVLayout?
  private let json: JSONLayout
  private let numbers: NumberReader
  private let chunk: UnsafeMutableBufferPointer<UInt8>
  private let rows = RunBuffer()
  private var packer = RowPacker()
  private var object = JSONObject()
  /// Of the line that is read.
  private var numberText = LineWorker.nothing
  private var keptKeys: [UnsafeRawBufferPointer] = []
  /// Of the line that is read: what was wrong beside its number.
  private var mended: [Refusal] = []
  private let recordBytes: Int
  private var lines: [UInt8] = []
  private var reported = 0
  private var yield = Yield()

  init(_ options: ImportOptions, csv: CSVLayout?, limits: RecordLimits = .standard) {
    self.options = options
    self.csv = csv
    json = JSONLayout(options.columns)
    numbers = NumberReader(
      region: options.normalises ? options.region : nil, readsLetters: options.readsLetters)
    chunk = .allocate(capacity: limits.chunkBytes)
    recordBytes = limits.recordBytes
  }

  deinit { chunk.deallocate() }

  /// Reads until the segment is at its end.
  ///
  /// - Parameters:
  ///   - makeRun: where the next run is to be written.
  ///   - progress: told of each chunk's bytes, lines and refused lines.
  func read(
    _ input: Input, makeRun: MakeRun, progress: (Int, Int, Int) -> Void
  ) throws(ImportError) -> Yield {
    yield = Yield()
    reported = 0
    while let chunk = try input.next(into: chunk) {
      let before = yield.tally
      try take(chunk, makeRun)
      progress(
        chunk.bytes.count, yield.tally.lines - before.lines, yield.tally.refusedLines - before.refusedLines)
      if reported > LineWorker.reportBytes { input.endSegment() }
    }
    if rows.count > 0 { try writeRun(makeRun) }
    return yield
  }

  private func writeRun(_ makeRun: MakeRun) throws(ImportError) {
    let run = try makeRun()
    try rows.write(to: run)
    yield.runs.append(try run.finish())
  }

  private func take(_ chunk: Chunk, _ makeRun: MakeRun) throws(ImportError) {
    if let fault = chunk.fault {
      yield.tally.lines += 1
      refuse(fault, line: chunk.firstLine, number: LineWorker.nothing)
    } else if let csv {
      try takeRecords(of: chunk, csv, makeRun)
    } else {
      try takeLines(of: chunk, makeRun)
    }
    if !lines.isEmpty { yield.report.append((chunk.offset, lines)) }
    reported += lines.count
    lines = []
  }

  private func refuse(_ refusal: Refusal, line: Int, number: UnsafeRawBufferPointer) {
    yield.tally.note(refusal, line: line, number: ReportLine.shown(number))
    if options.report != nil { ReportLine.append(refusal, line: line, number: number, to: &lines) }
  }

  /// Has a text kept that stands beside a number: as it is, or cleaned, or else not. The number stays in any case.
  private func keepBeside(
    _ text: UnsafeRawBufferPointer, atMost bytes: Int,
    _ add: (inout RowPacker, UnsafeRawBufferPointer) throws(Refusal) -> Void
  ) {
    do throws(Refusal) { try add(&packer, text) } catch {
      mended.append(error)
      let clean = RowPacker.cleaned(text, atMost: bytes)
      clean.withUnsafeBytes { clean in
        do throws(Refusal) { try add(&packer, clean) } catch {}  // there is no room for it
      }
    }
  }

  /// Notes what was mended on a line that is taken.
  private func noteMended(line: Int, number: UnsafeRawBufferPointer) {
    for refusal in mended { yield.tally.noteMended(refusal, line: line, number: ReportLine.shown(number)) }
  }

  private func keep(_ number: UInt64, offset: Int, _ makeRun: MakeRun) throws(ImportError) {
    if rows.isFull { try writeRun(makeRun) }
    rows.append(number, sequence: UInt64(offset), beside: packer.packed)
  }

  // MARK: - CSV

  private func takeRecords(of chunk: Chunk, _ layout: CSVLayout, _ makeRun: MakeRun) throws(ImportError) {
    var records = CSVRecords(chunk.bytes, delimiter: options.delimiter, firstLine: chunk.firstLine)
    let base = UnsafePointer(chunk.bytes.baseAddress!)
    while true {
      let start = records.position
      guard let record = records.next() else { return }
      if record == .blank { continue }
      yield.tally.lines += 1
      let found: UInt64
      do throws(Refusal) {
        let isTooLong = records.position - start > recordBytes
        found = try pack(record, isTooLong, records.cells, layout)
      } catch {
        refuse(error, line: records.line, number: number(in: records.cells, layout))
        continue
      }
      noteMended(line: records.line, number: number(in: records.cells, layout))
      try keep(found, offset: chunk.offset + (start - base), makeRun)
    }
  }

  private func number(in cells: [UnsafeRawBufferPointer], _ layout: CSVLayout) -> UnsafeRawBufferPointer {
    layout.number < cells.count ? cells[layout.number] : LineWorker.nothing
  }

  /// The number of a record, and in `packer` what stands beside it.
  private func pack(
    _ record: CSVRecords.Record, _ isTooLong: Bool, _ cells: [UnsafeRawBufferPointer], _ layout: CSVLayout
  ) throws(Refusal) -> UInt64 {
    if isTooLong { throw .lineTooLong }
    if record == .badQuote { throw .badQuote }
    if let count = layout.columnCount, cells.count != count { throw .columnCount }
    packer.clear()
    mended.removeAll(keepingCapacity: true)
    let digits = try numbers.read(number(in: cells, layout))
    if options.mode == .remove { return digits }
    if let label = layout.label, label < cells.count { addLabel(cells[label]) }
    if let zone = layout.timeZone, zone < cells.count { addTimeZone(cells[zone]) }
    for column in layout.kept where column.index < cells.count {
      keepBeside(cells[column.index], atMost: RowLimits.besideBytes) { packer, text throws(Refusal) in
        try packer.addColumn(column.name, text)
      }
    }
    return digits
  }

  private func addLabel(_ text: UnsafeRawBufferPointer) {
    keepBeside(text, atMost: RowLimits.labelBytes) { packer, text throws(Refusal) in try packer.addLabel(text) }
  }

  private func addTimeZone(_ text: UnsafeRawBufferPointer) {
    keepBeside(text, atMost: RowLimits.timeZoneBytes) { packer, text throws(Refusal) in
      try packer.addTimeZone(text)
    }
  }

  // MARK: - JSON Lines

  private func takeLines(of chunk: Chunk, _ makeRun: MakeRun) throws(ImportError) {
    var (line, start) = (chunk.firstLine, 0)
    while start < chunk.bytes.count {
      let rest = chunk.bytes[start...]
      let end = rest.firstIndex(of: ASCII.lineFeed) ?? chunk.bytes.count
      try takeLine(UnsafeMutableBufferPointer(rebasing: rest[..<end]), line, chunk.offset + start, makeRun)
      start = end + 1
      line += 1
    }
  }

  private func takeLine(
    _ text: UnsafeMutableBufferPointer<UInt8>, _ line: Int, _ offset: Int, _ makeRun: MakeRun
  ) throws(ImportError) {
    if text.allSatisfy({ $0 == ASCII.space || $0 == ASCII.carriageReturn || $0 == ASCII.tab }) { return }
    yield.tally.lines += 1
    numberText = LineWorker.nothing
    let number: UInt64
    do throws(Refusal) { number = try packLine(text) } catch {
      return refuse(error, line: line, number: numberText)
    }
    noteMended(line: line, number: numberText)
    try keep(number, offset: offset, makeRun)
  }

  /// The number of a line, and in `packer` what stands beside it.
  private func packLine(_ text: UnsafeMutableBufferPointer<UInt8>) throws(Refusal) -> UInt64 {
    if text.count > recordBytes { throw .lineTooLong }
    try object.read(text)
    packer.clear()
    mended.removeAll(keepingCapacity: true)
    try takeMembers()
    return try numbers.read(numberText)
  }

  private func takeMembers() throws(Refusal) {
    var seen: Set<JSONLayout.Role> = []
    keptKeys.removeAll(keepingCapacity: true)
    for member in object.members {
      let role = json.role(member.key)
      if role == .other { continue }
      let isRepeated = role != .kept && !seen.insert(role).inserted
      if role == .number {
        if isRepeated { throw .repeatedColumn }
        if let fault = member.fault { throw fault }
        numberText = member.value
      } else if options.mode != .remove {
        if isRepeated { mended.append(.repeatedColumn) } else { take(member, role) }
      }
    }
  }

  /// Of members with the same key, the first is kept.
  private func take(_ member: JSONObject.Member, _ role: JSONLayout.Role) {
    if let fault = member.fault {
      mended.append(fault)
      if fault == .nestedValue { return }
    }
    switch role {
    case .label: addLabel(member.value)
    case .timeZone: addTimeZone(member.value)
    default:
      if Name.error(in: member.key) != nil { return mended.append(.badColumnName) }
      let isRepeated = keptKeys.contains { isEqual($0, member.key) }
      if isRepeated { return mended.append(.repeatedColumn) }
      keptKeys.append(member.key)
      keepBeside(member.value, atMost: RowLimits.besideBytes) { packer, text throws(Refusal) in
        try packer.addColumn(member.key, text)
      }
    }
  }
}
