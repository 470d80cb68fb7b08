import ScopeModel

/// Keys to numbers and back: an open-addressed table over raw bytes. Numbers follow the order in which
/// keys were added, which the builder makes the order of bytes.
///
/// Words: seed (2), slot count, then the slots (tag of the hash, number + 1; 0: free), then a record for
/// each entity. Record: offset of its bytes; length of the key, length of the name, kind, flags (a byte
/// each). Bytes: key, then name where it differs from the key, then for projects the description with
/// its length before it (two bytes).
struct Directory {
  private let slots: Words
  private let records: Words
  private let bytes: UnsafeRawBufferPointer
  private let slotMask: Int
  private let seed: UInt64
  let count: Int

  static let flagSystem: UInt8 = 1
  private static let headWords = 3

  init(_ block: Block) {
    let words = block.words
    let slotCount = Int(words[2])
    count = block.entities
    seed = UInt64(words[0]) | UInt64(words[1]) << 32
    slotMask = slotCount - 1
    slots = words.slice(Directory.headWords, slotCount * 2)
    records = words.slice(Directory.headWords + slotCount * 2, count * 2)
    bytes = block.bytes
  }

  /// The same block.
  func isSame(as other: Directory) -> Bool { records.start == other.records.start }

  /// The number of the entity with this key.
  @inline(__always)
  func find(_ key: UnsafeRawBufferPointer, kind: UInt8 = 0) -> Int? {
    if key.isEmpty { return nil }  // no key is
    let hash = keyHash(key, kind: kind, seed: seed)
    let tag = UInt32(truncatingIfNeeded: hash >> 32)
    var slot = Int(truncatingIfNeeded: hash) & slotMask
    while true {  // ends: a quarter of the slots at least is free
      let entry = slots[slot * 2 + 1]
      if entry == 0 { return nil }
      let number = Int(entry) - 1
      if slots[slot * 2] == tag, self.kind(of: number) == kind, keyEquals(number, key) { return number }
      slot = (slot + 1) & slotMask
    }
  }

  @inline(__always)
  private func keyEquals(_ number: Int, _ key: UnsafeRawBufferPointer) -> Bool {
    let own = self.key(of: number)
    return own.count == key.count && bytesEqual(own.baseAddress!, key.baseAddress!, count: own.count)
  }

  /// The key; valid as long as the index is.
  @inline(__always)
  func key(of number: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[offset(number)..<offset(number) + keyLength(number)])
  }

  /// The name for people; the key where none is stored.
  func name(of number: Int) -> UnsafeRawBufferPointer {
    let length = nameLength(number)
    if length == 0 { return key(of: number) }
    let start = offset(number) + keyLength(number)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
  }

  /// The description of a project.
  func description(of number: Int) -> UnsafeRawBufferPointer {
    let start = offset(number) + keyLength(number) + nameLength(number)
    let length = Int(bytes[start]) | Int(bytes[start + 1]) << 8
    return UnsafeRawBufferPointer(rebasing: bytes[start + 2..<start + 2 + length])
  }

  @inline(__always)
  func kind(of number: Int) -> UInt8 { UInt8(truncatingIfNeeded: records[number * 2 + 1] >> 16) }

  @inline(__always)
  func flags(of number: Int) -> UInt8 { UInt8(truncatingIfNeeded: records[number * 2 + 1] >> 24) }

  /// The numbers of the entities of one kind: they lie together.
  func numbers(ofKind kind: UInt8) -> Range<Int> {
    let low = firstNumber { $0 >= kind }
    return low..<firstNumber { $0 > kind }
  }

  private func firstNumber(where reached: (UInt8) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if reached(kind(of: middle)) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  @inline(__always)
  private func offset(_ number: Int) -> Int { Int(records[number * 2]) }

  @inline(__always)
  private func keyLength(_ number: Int) -> Int { Int(records[number * 2 + 1] & 0xFF) }

  @inline(__always)
  private func nameLength(_ number: Int) -> Int { Int((records[number * 2 + 1] >> 8) & 0xFF) }
}

/// Fills a directory; `seal` makes the block.
struct DirectoryBuilder {
  private var records: [UInt32] = []
  private var bytes: [UInt8] = []
  private var hashes: [UInt64] = []
  private let seed: UInt64

  init(seed: UInt64, reserving count: Int) {
    self.seed = seed
    records.reserveCapacity(count * 2)
    hashes.reserveCapacity(count)
  }

  /// Adds an entity; its number is how many were added before.
  mutating func add(_ key: Name, kind: UInt8 = 0, name: Name? = nil, flags: UInt8 = 0) {
    let offset = bytes.count
    precondition(offset < Int(UInt32.max), "the names of a company are over 4 GiB")
    bytes.append(contentsOf: key.text.utf8)
    let keyLength = bytes.count - offset
    if let name, name != key { bytes.append(contentsOf: name.text.utf8) }
    let nameLength = bytes.count - offset - keyLength
    records.append(UInt32(offset))
    records.append(UInt32(keyLength) | UInt32(nameLength) << 8 | UInt32(kind) << 16 | UInt32(flags) << 24)
    hashes.append(bytes[offset..<offset + keyLength].withUnsafeBytes { keyHash($0, kind: kind, seed: seed) })
  }

  /// Adds a project's description behind the entity added last.
  mutating func addDescription(_ description: Remark) {
    let count = description.text.utf8.count
    bytes.append(UInt8(count & 0xFF))
    bytes.append(UInt8(count >> 8))
    bytes.append(contentsOf: description.text.utf8)
  }

  consuming func seal() -> Block {
    let slotCount = DirectoryBuilder.slotCount(for: hashes.count)
    var words: [UInt32] = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32), UInt32(slotCount)]
    words.reserveCapacity(words.count + slotCount * 2 + records.count)
    words.append(contentsOf: slots(slotCount))
    words.append(contentsOf: records)
    return Block(kind: .directory, entities: hashes.count, words: words, bytes: bytes)
  }

  private func slots(_ slotCount: Int) -> [UInt32] {
    var slots = [UInt32](repeating: 0, count: slotCount * 2)
    for (number, hash) in hashes.enumerated() {
      var slot = Int(truncatingIfNeeded: hash) & (slotCount - 1)
      while slots[slot * 2 + 1] != 0 { slot = (slot + 1) & (slotCount - 1) }
      slots[slot * 2] = UInt32(truncatingIfNeeded: hash >> 32)
      slots[slot * 2 + 1] = UInt32(number + 1)
    }
    return slots
  }

  /// A power of two of which at most three quarters are taken.
  private static func slotCount(for count: Int) -> Int {
    var slots = 2
    while slots * 3 < count * 4 { slots *= 2 }
    return slots
  }
}
