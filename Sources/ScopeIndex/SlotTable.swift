/// The slots of a directory while it is built: tag and number + 1 of each entry, or 0; `Directory` tells their order.
struct SlotTable {
  let homeCount: Int
  private(set) var entries: [UInt32]

  /// How many homes a directory has: a pure function of the count of its entities, in steps of a quarter at most, so
  /// that between a half and two thirds of the homes are taken.
  static func homeCount(for count: Int) -> Int {
    let least = max(1, (count * 3 + 1) / 2)
    let shift = max(0, Int.bitWidth - least.leadingZeroBitCount - 3)
    return ((least + (1 << shift) - 1) >> shift) << shift
  }

  /// Every entity.
  ///
  /// - Parameter hashes: in the order of numbers.
  init(hashes: [UInt64]) {
    homeCount = SlotTable.homeCount(for: hashes.count)
    var next = SlotTable.firstSlots(hashes, homeCount)
    entries = [UInt32](repeating: 0, count: max(SlotTable.leastCount(homeCount), Int(next.last!) + 1))
    for (number, hash) in hashes.enumerated() {
      let home = Directory.Slot.home(hash, of: homeCount)
      entries[Int(next[home])] = SlotTable.entry(number, hash)
      next[home] += 1
    }
  }

  /// The first slot of each home's keys, and at last the first behind them all.
  private static func firstSlots(_ hashes: [UInt64], _ homeCount: Int) -> [UInt32] {
    var slots = [UInt32](repeating: 0, count: homeCount + 1)
    for hash in hashes { slots[Directory.Slot.home(hash, of: homeCount)] += 1 }
    var end = 0
    for home in 0..<homeCount {
      let first = max(home, end)
      end = first + Int(slots[home])
      slots[home] = UInt32(first)
    }
    slots[homeCount] = UInt32(end)
    return slots
  }

  /// The entries of a directory, with their numbers.
  init(_ directory: Directory) {
    homeCount = directory.homes
    entries = directory.slotWords.map { UInt32(truncatingIfNeeded: $0) }
  }

  private static func entry(_ number: Int, _ hash: UInt64) -> UInt32 {
    Directory.Slot.tag(hash) << UInt32(Directory.Slot.numberBits) | UInt32(number + 1)
  }

  private func number(at position: Int) -> Int { Int(entries[position] & Directory.Slot.numberMask) - 1 }

  /// Takes an entry out; those behind it that are not at home move up.
  ///
  /// - Parameter hash: of the entity with a number.
  mutating func remove(_ number: Int, hash: (Int) -> UInt64) {
    var position = Directory.Slot.home(hash(number), of: homeCount)
    while self.number(at: position) != number { position += 1 }
    while entries[position + 1] != 0, home(at: position + 1, hash) <= position {
      entries[position] = entries[position + 1]
      position += 1
    }
    entries[position] = 0
    trim()
  }

  /// Puts an entry where the order wants it; those behind it move down as far as the next free slot.
  ///
  /// - Parameters:
  ///   - hash: of the entity with a number.
  ///   - isBefore: whether the first of two numbers is the lower one in the end.
  mutating func insert(_ number: Int, hash: (Int) -> UInt64, isBefore: (Int, Int) -> Bool) {
    let own = hash(number)
    let home = Directory.Slot.home(own, of: homeCount)
    var position = home
    while entries[position] != 0 {
      let other = self.home(at: position, hash)
      if other > home || other == home && isBefore(number, self.number(at: position)) { break }
      position += 1
    }
    shift(from: position)
    entries[position] = SlotTable.entry(number, own)
  }

  private mutating func shift(from position: Int) {
    var moved = entries[position]
    var position = position
    while moved != 0 {
      position += 1
      swap(&moved, &entries[position])
    }
    if position == entries.count - 1 { entries.append(0) }
  }

  private func home(at position: Int, _ hash: (Int) -> UInt64) -> Int {
    Directory.Slot.home(hash(number(at: position)), of: homeCount)
  }

  /// Enough for a search from the last home, unless the last keys run over.
  private static func leastCount(_ homeCount: Int) -> Int { homeCount + Directory.window - 1 }

  private mutating func trim() {
    while entries.count > SlotTable.leastCount(homeCount), entries[entries.count - 2] == 0 { entries.removeLast() }
  }
}
