/// Collects the lists that are made; `seal` makes the block, alone or over the lists of the links before.
struct LinksBuilder {
  private let stride: UInt32
  private var records: [Links.Record] = []
  private var values: [UInt32] = []

  /// - Parameter stride: words in an item.
  init(stride: Int, reserving count: Int) {
    self.stride = UInt32(stride)
    records.reserveCapacity(count)
  }

  /// Adds a list: items with sorted first words.
  mutating func add(_ list: [UInt32], flags: UInt8 = 0) {
    let count = list.count / Int(stride)
    precondition(count <= Links.Record.maximumCount, "an entity has over 16 million links")
    let record = Links.Record(head: list.first ?? 0, count: count, flags: flags)
    records.append(record)
    if !record.isInline(stride: stride) { values.append(contentsOf: list) }
  }

  /// Adds flags alone, where the plan leaves the list as it is.
  mutating func addFlags(_ flags: UInt8) { records.append(Links.Record(head: 0, count: 0, flags: flags)) }

  /// A block of the lists that stay and those that were added, as the plan says.
  ///
  /// - Parameters:
  ///   - items: what became of the numbers in the lists that stay; nil: nothing.
  ///   - seconds: the same, of the second words.
  consuming func seal(
    over previous: Links?, _ plan: RowPlan, items: Renumbering? = nil, seconds: Renumbering? = nil
  ) -> Block {
    let valueCount = valueCount(plan, previous)
    precondition(valueCount < Int(UInt32.max), "a company has over 4 billion links")
    let payloadBytes = Links.headBytes + plan.newCount * 8 + valueCount * 4
    return Block(kind: .links, entities: plan.newCount, payloadBytes: payloadBytes) { payload in
      payload.storeBytes(of: stride, as: UInt32.self)
      payload.storeBytes(of: UInt32(valueCount), toByteOffset: 4, as: UInt32.self)
      var writer = Writer(
        payload, previous, stride: stride, count: plan.newCount, items: items?.numbers, seconds: seconds?.numbers)
      write(plan, to: &writer)
      precondition(writer.isFull(valueCount), "the links that stay are not those of the plan")
    }
  }

  private func valueCount(_ plan: RowPlan, _ previous: Links?) -> Int {
    var count = values.count + (plan.isFull ? 0 : previous!.valueWords.count)
    plan.forEachPart { part in
      switch part {
      case .dropped(let old), .made(.row, let old?):
        count -= Links.Record(word: previous!.recordWords[old]).valueCount(stride: stride)
      case .kept, .made: break
      }
    }
    return count
  }

  private func write(_ plan: RowPlan, to writer: inout Writer) {
    var (made, value) = (0, 0)
    plan.forEachPart { part in
      switch part {
      case .kept(let range): writer.keep(range)
      case .dropped(let old): writer.skip(old)
      case .made(.flags, let old?):
        writer.keep(old..<old + 1)
        writer.setFlags(records[made].flags)
        made += 1
      case .made(_, let old):
        if let old { writer.skip(old) }
        let count = records[made].valueCount(stride: stride)
        writer.add(records[made], values[value..<value + count])
        value += count
        made += 1
      }
    }
  }

  /// Fills a block from the front.
  private struct Writer {
    private let records: UnsafeMutablePointer<UInt64>
    private let values: UnsafeMutablePointer<UInt32>
    private let oldRecords: UnsafeBufferPointer<UInt64>
    private let oldValues: UnsafeBufferPointer<UInt32>
    private let stride: UInt32
    private let items: [UInt32]?
    private let seconds: [UInt32]?
    private let count: Int
    private var entity = 0
    private var value = 0
    private var oldValue = 0

    init(
      _ payload: UnsafeMutableRawBufferPointer, _ previous: Links?, stride: UInt32, count: Int, items: [UInt32]?,
      seconds: [UInt32]?
    ) {
      let start = payload.baseAddress! + Links.headBytes
      records = start.bindMemory(to: UInt64.self, capacity: count)
      let valueCount = (payload.count - Links.headBytes - count * 8) / 4
      values = (start + count * 8).bindMemory(to: UInt32.self, capacity: valueCount)
      oldRecords = previous?.recordWords ?? UnsafeBufferPointer(start: nil, count: 0)
      oldValues = previous?.valueWords ?? UnsafeBufferPointer(start: nil, count: 0)
      self.stride = stride
      self.count = count
      self.items = items
      self.seconds = seconds
    }

    func isFull(_ valueCount: Int) -> Bool { entity == count && value == valueCount }

    mutating func add(_ record: Links.Record, _ list: ArraySlice<UInt32>) {
      let isInline = record.isInline(stride: stride)
      records[entity] = (isInline ? record : record.with(head: UInt32(value))).word
      for item in list {
        values[value] = item
        value += 1
      }
      entity += 1
    }

    mutating func skip(_ old: Int) { oldValue += Links.Record(word: oldRecords[old]).valueCount(stride: stride) }

    mutating func setFlags(_ flags: UInt8) {
      let record = Links.Record(word: records[entity - 1])
      records[entity - 1] = Links.Record(head: record.head, count: record.count, flags: flags).word
    }

    /// Lists that stay: their values lie together, and go as one.
    mutating func keep(_ range: Range<Int>) {
      let shift = UInt32(truncatingIfNeeded: value &- oldValue)
      var end = oldValue
      for old in range {
        let record = Links.Record(word: oldRecords[old])
        let isInline = record.isInline(stride: stride)
        let head = isInline ? renumbered(record.head, items) : record.head &+ shift
        records[entity] = record.with(head: head).word
        end += record.valueCount(stride: stride)
        entity += 1
      }
      keepValues(oldValue..<end)
    }

    private mutating func keepValues(_ range: Range<Int>) {
      if items == nil && seconds == nil {
        (values + value).update(from: oldValues.baseAddress! + range.lowerBound, count: range.count)
      } else if stride == 1 {
        for (place, old) in range.enumerated() { values[value + place] = renumbered(oldValues[old], items) }
      } else {
        for (place, old) in range.enumerated() {
          values[value + place] = renumbered(oldValues[old], place & 1 == 0 ? items : seconds)
        }
      }
      value += range.count
      oldValue = range.upperBound
    }

    /// `LinkList.none` stays what it is.
    @inline(__always)
    private func renumbered(_ number: UInt32, _ numbers: [UInt32]?) -> UInt32 {
      guard let numbers, number != LinkList.none else { return number }
      let new = numbers[Int(number)]
      precondition(new != Renumbering.gone, "a list that stays names what is gone")
      return new
    }
  }
}
