/// One immutable piece of an index: a header, arrays of 32-bit words and a run of bytes, all by offset,
/// so that it may lie at any address and be mapped from a file as it is.
///
/// Header, in words: magic, layout version, kind, entity count, and the counts of words and bytes that
/// follow; then a 64-bit checksum of all the rest.
final class Block: Sendable {
  static let magic: UInt32 = 0x5843_5353  // "SSCX" in memory
  static let layoutVersion: UInt32 = 1
  static let headerWords = 8

  enum Kind: UInt32 {
    case directory = 1
    case links = 2
  }

  /// Unsafe and unchecked: the memory is filled in `init`, never written again, and freed in `deinit`.
  nonisolated(unsafe) let memory: UnsafeRawBufferPointer

  /// Seals words and bytes into one block.
  init(kind: Kind, entities: Int, words: [UInt32], bytes: [UInt8] = []) {
    precondition(words.count < Int(UInt32.max) && bytes.count < Int(UInt32.max), "an index block is over 4 GiB")
    let byteCount = (Block.headerWords + words.count) * 4 + bytes.count
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    let header: [UInt32] = [
      Block.magic, Block.layoutVersion, kind.rawValue, UInt32(entities), UInt32(words.count), UInt32(bytes.count), 0, 0,
    ]
    memory.copyBytes(from: header.withUnsafeBytes { Array($0) })
    let payload = UnsafeMutableRawBufferPointer(rebasing: memory[(Block.headerWords * 4)...])
    words.withUnsafeBytes { payload.copyMemory(from: $0) }
    let tail = UnsafeMutableRawBufferPointer(rebasing: payload[(words.count * 4)...])
    bytes.withUnsafeBytes { tail.copyMemory(from: $0) }
    memory.storeBytes(of: Block.checksum(of: UnsafeRawBufferPointer(memory)), toByteOffset: 24, as: UInt64.self)
    self.memory = UnsafeRawBufferPointer(memory)
  }

  deinit { memory.deallocate() }

  /// The words behind the header.
  var words: Words {
    let count = Int(memory.load(fromByteOffset: 16, as: UInt32.self))
    let start = memory.baseAddress! + Block.headerWords * 4
    return Words(start: start.assumingMemoryBound(to: UInt32.self), count: count)
  }

  /// The bytes behind the words.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[((Block.headerWords + words.count) * 4)...])
  }

  var entities: Int { Int(memory.load(fromByteOffset: 12, as: UInt32.self)) }

  /// The checksum in the header is that of the memory, and the header fits it.
  var isWhole: Bool {
    memory.load(as: UInt32.self) == Block.magic
      && memory.load(fromByteOffset: 4, as: UInt32.self) == Block.layoutVersion
      && memory.load(fromByteOffset: 24, as: UInt64.self) == Block.checksum(of: memory)
  }

  /// Over everything but the checksum itself.
  private static func checksum(of memory: UnsafeRawBufferPointer) -> UInt64 {
    let head = keyHash(UnsafeRawBufferPointer(rebasing: memory[..<24]), kind: 0, seed: 0)
    return keyHash(UnsafeRawBufferPointer(rebasing: memory[32...]), kind: 1, seed: head)
  }
}

/// A run of words in a block that somebody else keeps alive. Every access is bounds-checked: a fault in
/// the builder must stop the process rather than answer from a neighbour's memory.
struct Words {
  let start: UnsafePointer<UInt32>
  let count: Int

  @inline(__always)
  subscript(_ index: Int) -> UInt32 {
    precondition(index >= 0 && index < count, "index block: word out of bounds")
    return start[index]
  }

  @inline(__always)
  func slice(_ from: Int, _ count: Int) -> Words {
    precondition(from >= 0 && count >= 0 && from <= self.count - count, "index block: slice out of bounds")
    return Words(start: start + from, count: count)
  }
}
