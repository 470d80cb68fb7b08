import ScopeModel

/// Collects the rows that are made; `seal` makes the block, alone or over the rows of the directory before.
struct DirectoryBuilder {
  private let seed: UInt64
  /// Of each row: where its bytes begin, and its lengths, kind and flags.
  private var records: [Directory.Record] = []
  private var bytes: [UInt8] = []

  init(seed: UInt64, reserving count: Int) {
    self.seed = seed
    records.reserveCapacity(count)
  }

  /// Adds an entity; keys come in their order.
  mutating func add(_ key: Name, kind: UInt8 = 0, name: Name? = nil, flags: UInt8 = 0) {
    let offset = bytes.count
    bytes.append(contentsOf: key.text.utf8)
    let keyLength = bytes.count - offset
    if let name, name != key { bytes.append(contentsOf: name.text.utf8) }
    let nameLength = bytes.count - offset - keyLength
    precondition(bytes.count < Int(UInt32.max), "the names of a company are over 4 GiB")
    let shape = UInt32(keyLength) | UInt32(nameLength) << 8 | UInt32(kind) << 16 | UInt32(flags) << 24
    records.append(Directory.Record(offset: UInt32(offset), shape: shape))
  }

  /// Adds a project's description behind the entity added last.
  mutating func addDescription(_ description: Remark) {
    let count = description.text.utf8.count
    bytes.append(UInt8(count & 0xFF))
    bytes.append(UInt8(count >> 8))
    bytes.append(contentsOf: description.text.utf8)
  }

  /// A block of the added rows alone.
  consuming func seal() -> Block { seal(over: nil, RowPlan(makingRows: records.count)) }

  /// A block of the rows that stay and those that were added, as the plan says.
  consuming func seal(over previous: Directory?, _ plan: RowPlan) -> Block {
    precondition(plan.newCount <= Directory.Slot.numberMask - 1, "a directory has over 4 million entities")
    let layout = Layout(plan, previous)
    let byteCount = self.byteCount(plan, previous)
    precondition(byteCount < Int(UInt32.max), "the names of a company are over 4 GiB")
    let slots = slots(plan, previous, layout)
    let payloadBytes = Directory.headBytes + (slots.table.entries.count + plan.newCount) * 8 + byteCount
    return Block(kind: .directory, entities: plan.newCount, payloadBytes: payloadBytes) { payload in
      let target = Target(payload, seed: seed, slots: slots.table, count: plan.newCount)
      write(plan, previous, to: target)
      target.write(slots.table, numbers: slots.isByOldNumbers ? layout.numbers : nil)
    }
  }

  private func byteCount(_ plan: RowPlan, _ previous: Directory?) -> Int {
    var count = bytes.count
    plan.forEachPart { part in
      switch part {
      case .kept(let range): count += previous!.byteOffset(range.upperBound) - previous!.byteOffset(range.lowerBound)
      case .dropped, .made: break
      }
    }
    return count
  }
}

// MARK: - Slots

extension DirectoryBuilder {
  /// New numbers: of each old row, and behind them of each row made for a new key.
  private struct Layout {
    var numbers: [UInt32] = []
    /// Old rows whose keys are gone.
    var gone: [Int] = []
    /// Of the rows that were added, those whose keys are new.
    var new: [Int] = []

    init(_ plan: RowPlan, _ previous: Directory?) {
      guard let previous else { return }
      numbers.reserveCapacity(previous.count + plan.keys.count)
      var (number, made) = (UInt32(0), 0)
      var newNumbers: [UInt32] = []
      plan.forEachPart { part in
        switch part {
        case .kept(let range):
          numbers.append(contentsOf: number..<number + UInt32(range.count))
          number += UInt32(range.count)
        case .dropped(let old):
          gone.append(old)
          numbers.append(Renumbering.gone)
        case .made(_, let replaced):
          if replaced != nil {
            numbers.append(number)
          } else {
            new.append(made)
            newNumbers.append(number)
          }
          number += 1
          made += 1
        }
      }
      numbers += newNumbers
    }
  }

  /// Few changes are made in the table there was, by old numbers. Many, or another count of homes, make a new one.
  private func slots(
    _ plan: RowPlan, _ previous: Directory?, _ layout: Layout
  ) -> (table: SlotTable, isByOldNumbers: Bool) {
    let changes = layout.gone.count + layout.new.count
    if let previous, SlotTable.homeCount(for: plan.newCount) == previous.homes, changes <= previous.count / 16 + 4,
      layout.numbers.count < Directory.Slot.numberMask
    {
      return (patchedSlots(previous, layout), true)
    }
    return (SlotTable(hashes: hashes(plan, previous)), false)
  }

  private func patchedSlots(_ previous: Directory, _ layout: Layout) -> SlotTable {
    var table = SlotTable(previous)
    func hash(_ number: Int) -> UInt64 {
      number < previous.count
        ? previous.hash(ofEntity: number) : self.hash(ofAdded: layout.new[number - previous.count])
    }
    for number in layout.gone { table.remove(number, hash: hash) }
    for added in layout.new.indices {
      table.insert(previous.count + added, hash: hash) { layout.numbers[$0] < layout.numbers[$1] }
    }
    return table
  }

  private func hashes(_ plan: RowPlan, _ previous: Directory?) -> [UInt64] {
    var hashes: [UInt64] = []
    hashes.reserveCapacity(plan.newCount)
    var made = 0
    plan.forEachPart { part in
      switch part {
      case .kept(let range): for number in range { hashes.append(previous!.hash(ofEntity: number)) }
      case .dropped: break
      case .made:
        hashes.append(hash(ofAdded: made))
        made += 1
      }
    }
    return hashes
  }

  private func hash(ofAdded index: Int) -> UInt64 {
    let record = records[index]
    return bytes.withUnsafeBytes { bytes in
      let key = UnsafeRawBufferPointer(rebasing: bytes[record.offset..<record.offset + record.keyLength])
      return keyHash(key, kind: record.kind, seed: seed)
    }
  }
}

// MARK: - Writing

extension DirectoryBuilder {
  /// The places in a block that is being filled.
  private struct Target {
    let slots: UnsafeMutablePointer<UInt64>
    let records: UnsafeMutablePointer<UInt64>
    let bytes: UnsafeMutableRawPointer

    init(_ payload: UnsafeMutableRawBufferPointer, seed: UInt64, slots table: SlotTable, count: Int) {
      payload.storeBytes(of: seed, as: UInt64.self)
      payload.storeBytes(of: UInt32(table.homeCount), toByteOffset: 8, as: UInt32.self)
      payload.storeBytes(of: UInt32(table.entries.count), toByteOffset: 12, as: UInt32.self)
      let start = payload.baseAddress! + Directory.headBytes
      slots = start.bindMemory(to: UInt64.self, capacity: table.entries.count + count)
      records = slots + table.entries.count
      bytes = start + (table.entries.count + count) * 8
    }

    /// - Parameter numbers: what the numbers of the entries have become; nil: they are as they shall be.
    func write(_ table: SlotTable, numbers: [UInt32]?) {
      for (position, entry) in table.entries.enumerated() {
        if entry == 0 {
          slots[position] = 0
          continue
        }
        let own = entry & Directory.Slot.numberMask - 1
        let number = numbers.map { $0[Int(own)] } ?? own
        let tagged = entry & ~Directory.Slot.numberMask | (number + 1)
        slots[position] = UInt64(tagged) | records[Int(number)] << 32
      }
    }
  }

  /// Records and bytes.
  private func write(_ plan: RowPlan, _ previous: Directory?, to target: Target) {
    var (number, offset, made) = (0, 0, 0)
    plan.forEachPart { part in
      switch part {
      case .kept(let range):
        offset += copy(range, of: previous!, to: target.records + number, target.bytes, at: offset)
        number += range.count
      case .dropped: break
      case .made:
        let record = records[made]
        let end = made + 1 < records.count ? records[made + 1].offset : bytes.count
        target.records[number] = Directory.Record(offset: UInt32(offset), shape: record.shape).word
        bytes.withUnsafeBytes {
          (target.bytes + offset).copyMemory(from: $0.baseAddress! + record.offset, byteCount: end - record.offset)
        }
        offset += end - record.offset
        number += 1
        made += 1
      }
    }
  }

  /// Copies rows that stay, and returns how many bytes they have.
  private func copy(
    _ range: Range<Int>, of previous: Directory, to records: UnsafeMutablePointer<UInt64>,
    _ bytes: UnsafeMutableRawPointer, at offset: Int
  ) -> Int {
    let start = previous.byteOffset(range.lowerBound)
    let count = previous.byteOffset(range.upperBound) - start
    (bytes + offset).copyMemory(from: previous.allBytes.baseAddress! + start, byteCount: count)
    // Offsets are in the lower half and stay below 2³²: what is added never carries over.
    let shift = UInt64(bitPattern: Int64(offset - start))
    let old = previous.recordWords
    for (index, number) in range.enumerated() { records[index] = old[number] &+ shift }
    return count
  }
}
