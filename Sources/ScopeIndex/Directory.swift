import CPrefetch
import ScopeModel

/// Keys to numbers and back: an open-addressed table over raw bytes. Numbers follow the order of keys: by kind, then
/// by bytes.
///
/// Payload: seed (8 bytes), count of homes and of slots (4 each), then slots and records (8 bytes each), then bytes.
///
/// Slot: number + 1 in the lowest 22 bits (0: free), 10 bits of the hash as a tag, and in the upper half the offset of
/// the key's bytes, so that they are fetched together with the record. A key's home is `hash * homes / 2³²` of the
/// hash's lower half; its slot is its home, or right behind the slot before it where keys of an earlier home, or of the
/// same home and lower number, take up the home. The order of slots is thus that of (home, number), however they came
/// about. There are a few more slots than homes, so that a search can look at several from the last home on, and more
/// where the last keys run over; the last is free, so that a search ends.
///
/// Record: offset of the bytes; length of the key, length of the name, kind, flags (a byte each). Bytes: key, then
/// name where it differs from the key, then for projects the description with its length before it (two bytes).
struct Directory {
  private let slots: UnsafePointer<UInt64>
  private let seed: UInt64
  private let homeCount: UInt32
  private let slotCount: UInt32
  private let entityCount: UInt32
  private let byteCount: UInt32

  static let flagSystem: UInt8 = 1
  static let headBytes = 16
  /// How many slots a search looks at as one; there are so many from each home.
  static let window = 4

  init(_ block: Block) {
    let payload = block.payload
    seed = payload.load(as: UInt64.self)
    homeCount = payload.load(fromByteOffset: 8, as: UInt32.self)
    slotCount = payload.load(fromByteOffset: 12, as: UInt32.self)
    entityCount = UInt32(block.entities)
    let before = Directory.headBytes + (Int(slotCount) + block.entities) * 8
    precondition(before <= payload.count, "index block: a directory is cut off")
    byteCount = UInt32(payload.count - before)
    slots = (payload.baseAddress! + Directory.headBytes).assumingMemoryBound(to: UInt64.self)
  }

  @inline(__always)
  var count: Int { Int(entityCount) }

  /// The same block.
  func isSame(as other: Directory) -> Bool { slots == other.slots }

  /// The number of the entity with this key.
  @inline(__always)
  func find(_ key: UnsafeRawBufferPointer, kind: UInt8 = 0) -> Int? {
    find(key, kind: kind, search(key, kind: kind))
  }

  /// A search that has begun: the slot that most likely has the key, if any. Searches in several directories are begun
  /// before the first is gone on with, so that they wait for memory together.
  struct Search {
    fileprivate let hash: UInt64
    fileprivate let likely: Slot
  }

  @inline(__always)
  func search(_ key: UnsafeRawBufferPointer, kind: UInt8) -> Search {
    let hash = keyHash(key, kind: kind, seed: seed)
    return Search(hash: hash, likely: likelySlot(hash))
  }

  /// The first of the slots from the key's home that has its tag. No branch: which it is can't be foretold.
  @inline(__always)
  private func likelySlot(_ hash: UInt64) -> Slot {
    let home = Slot.home(hash, of: Int(homeCount))
    precondition(home >= 0 && home &+ Directory.window <= Int(slotCount), "index block: slot out of bounds")
    let tag = Slot.tag(hash)
    let (first, second) = (slots[home], slots[home &+ 1])
    let (third, fourth) = (slots[home &+ 2], slots[home &+ 3])
    var likely = Slot(word: fourth).tag == tag ? fourth : 0
    likely = Slot(word: third).tag == tag ? third : likely
    likely = Slot(word: second).tag == tag ? second : likely
    likely = Slot(word: first).tag == tag ? first : likely
    return Slot(word: likely)
  }

  /// Asks for the record and the bytes of the entity that a search most likely finds, and gives its number.
  @inline(__always)
  func prefetch(_ search: Search) -> Int {
    let slot = search.likely
    scope_prefetch(slots + Int(slotCount) + slot.number)
    scope_prefetch(UnsafeRawPointer(slots + Int(slotCount) + Int(entityCount)) + slot.offset)
    return slot.number
  }

  @inline(__always)
  func find(_ key: UnsafeRawBufferPointer, kind: UInt8, _ search: Search) -> Int? {
    if key.isEmpty || key.count > 255 { return nil }  // no key is
    if !search.likely.isFree, holds(search.likely, key, kind) { return search.likely.number }
    return findSlowly(key, kind, search.hash)
  }

  @inline(never)
  private func findSlowly(_ key: UnsafeRawBufferPointer, _ kind: UInt8, _ hash: UInt64) -> Int? {
    let tag = Slot.tag(hash)
    var position = Slot.home(hash, of: Int(homeCount))
    while true {  // ends: the last slot is free
      let slot = slot(position)
      if slot.isFree { return nil }
      if slot.tag == tag, holds(slot, key, kind) { return slot.number }
      position += 1
    }
  }

  @inline(__always)
  private func holds(_ slot: Slot, _ key: UnsafeRawBufferPointer, _ kind: UInt8) -> Bool {
    let shape = UInt32(truncatingIfNeeded: key.count) | UInt32(kind) << 16
    return shapeOf(slot.number) & 0x00FF_00FF == shape
      && bytesEqual(key.baseAddress!, bytes(slot.offset, key.count), count: key.count)
  }

  /// The number of a key that is there; otherwise the number it would have.
  func position(of key: RowKey) -> (number: Int, isThere: Bool) {
    var text = key.id.text
    return text.withUTF8 { bytes in
      let bytes = UnsafeRawBufferPointer(bytes)
      var (low, high) = (0, count)
      while low < high {
        let middle = (low + high) >> 1
        let order = order(of: middle, bytes, kind: key.kind)
        if order == 0 { return (middle, true) }
        if order < 0 { low = middle + 1 } else { high = middle }
      }
      return (low, false)
    }
  }

  /// Below, at or above zero as the entity's key comes before, with or behind this one.
  private func order(of number: Int, _ key: UnsafeRawBufferPointer, kind: UInt8) -> Int {
    let own = self.kind(of: number)
    return own == kind ? byteOrder(self.key(of: number), key) : Int(own) - Int(kind)
  }

  /// The key; valid as long as the index is.
  @inline(__always)
  func key(of number: Int) -> UnsafeRawBufferPointer {
    let record = record(number)
    let length = record.keyLength
    return UnsafeRawBufferPointer(start: bytes(record.offset, length), count: length)
  }

  /// The name for people; the key where none is stored.
  func name(of number: Int) -> UnsafeRawBufferPointer {
    let record = record(number)
    let length = record.nameLength
    if length == 0 { return key(of: number) }
    return UnsafeRawBufferPointer(start: bytes(record.offset + record.keyLength, length), count: length)
  }

  /// The description of a project.
  func description(of number: Int) -> UnsafeRawBufferPointer {
    let record = record(number)
    let start = record.offset + record.keyLength + record.nameLength
    let length = Int(bytes(start, 2).loadUnaligned(as: UInt16.self))
    return UnsafeRawBufferPointer(start: bytes(start + 2, length), count: length)
  }

  @inline(__always)
  func kind(of number: Int) -> UInt8 { UInt8(truncatingIfNeeded: shapeOf(number) >> 16) }

  @inline(__always)
  func flags(of number: Int) -> UInt8 { UInt8(truncatingIfNeeded: shapeOf(number) >> 24) }

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
}

// MARK: - Memory

extension Directory {
  /// A slot of the table.
  struct Slot {
    let word: UInt64

    static let numberBits = 22
    static let numberMask: UInt32 = 1 << numberBits - 1

    @inline(__always)
    static func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> (32 + UInt64(numberBits))) }

    @inline(__always)
    static func home(_ hash: UInt64, of homeCount: Int) -> Int {
      Int(truncatingIfNeeded: (hash & 0xFFFF_FFFF &* UInt64(truncatingIfNeeded: homeCount)) >> 32)
    }

    @inline(__always)
    var isFree: Bool { UInt32(truncatingIfNeeded: word) == 0 }
    @inline(__always)
    var tag: UInt32 { UInt32(truncatingIfNeeded: word) >> UInt32(Slot.numberBits) }
    @inline(__always)
    var number: Int { Int(UInt32(truncatingIfNeeded: word) & Slot.numberMask) - 1 }
    @inline(__always)
    var offset: Int { Int(truncatingIfNeeded: word >> 32) }
  }

  /// What is known of an entity, beside its bytes.
  struct Record {
    let word: UInt64

    init(word: UInt64) { self.word = word }

    init(offset: UInt32, shape: UInt32) { word = UInt64(offset) | UInt64(shape) << 32 }

    @inline(__always)
    var offset: Int { Int(truncatingIfNeeded: word & 0xFFFF_FFFF) }
    @inline(__always)
    var shape: UInt32 { UInt32(truncatingIfNeeded: word >> 32) }
    @inline(__always)
    var keyLength: Int { Int(shape & 0xFF) }
    @inline(__always)
    var nameLength: Int { Int(shape >> 8 & 0xFF) }
    @inline(__always)
    var kind: UInt8 { UInt8(truncatingIfNeeded: shape >> 16) }
  }

  @inline(__always)
  private func slot(_ position: Int) -> Slot {
    precondition(position >= 0 && position < Int(slotCount), "index block: slot out of bounds")
    return Slot(word: slots[position])
  }

  @inline(__always)
  func record(_ number: Int) -> Record {
    precondition(number >= 0 && number < Int(entityCount), "index block: record out of bounds")
    return Record(word: (slots + Int(slotCount))[number])
  }

  /// Lengths, kind and flags.
  @inline(__always)
  private func shapeOf(_ number: Int) -> UInt32 { record(number).shape }

  @inline(__always)
  private func bytes(_ offset: Int, _ length: Int) -> UnsafeRawPointer {
    precondition(
      offset >= 0 && length >= 0 && offset &+ length <= Int(byteCount), "index block: bytes out of bounds")
    return UnsafeRawPointer(slots + Int(slotCount) + Int(entityCount)) + offset
  }

  // What the builder takes over from the directory before.

  var homes: Int { Int(homeCount) }
  var hashSeed: UInt64 { seed }
  var slotWords: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(start: slots, count: Int(slotCount)) }
  var recordWords: UnsafeBufferPointer<UInt64> {
    UnsafeBufferPointer(start: slots + Int(slotCount), count: Int(entityCount))
  }
  var allBytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: bytes(0, Int(byteCount)), count: Int(byteCount))
  }

  /// Where the bytes of an entity begin; those of the one behind the last: where all end.
  func byteOffset(_ number: Int) -> Int { number == count ? Int(byteCount) : record(number).offset }

  func hash(ofEntity number: Int) -> UInt64 { keyHash(key(of: number), kind: kind(of: number), seed: seed) }

  /// From the numbers here to those in a directory that came after; nil: no number has changed. Numbers of keys that are gone
  /// become `Renumbering.gone`.
  func renumbering(to new: Directory) -> Renumbering? {
    if isSame(as: new) { return nil }
    var numbers: [UInt32] = []
    numbers.reserveCapacity(count)
    var (next, isSame) = (0, true)
    for number in 0..<count {
      let (key, kind) = (key(of: number), kind(of: number))
      while next < new.count, new.order(of: next, key, kind: kind) < 0 { next += 1 }
      let isThere = next < new.count && new.order(of: next, key, kind: kind) == 0
      numbers.append(isThere ? UInt32(next) : Renumbering.gone)
      if next != number || !isThere { isSame = false }
    }
    return isSame ? nil : Renumbering(numbers: numbers)
  }
}

/// From old numbers to new ones.
struct Renumbering {
  static let gone = UInt32.max
  let numbers: [UInt32]
}
