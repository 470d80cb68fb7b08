/// One immutable piece of an index: a header and a payload, all by offset, so that it may lie at any address and be
/// mapped from a file as it is. Numbers are little-endian.
///
/// Header, in 32-bit words: magic, layout version, kind, entity count; then 64-bit words: bytes of the payload, and a
/// checksum of all the rest. What the payload holds, the readers of each kind say. A block has one form for one
/// content: a block patched many times is, byte for byte, the one built anew.
final class Block: Sendable {
  static let magic: UInt32 = 0x5843_5353  // "SSCX" in memory
  static let layoutVersion: UInt32 = 2
  static let headerBytes = 32

  enum Kind: UInt32 {
    case directory = 1
    case links = 2
  }

  /// Unsafe and unchecked: the memory is filled in `init`, never written again, and freed in `deinit`.
  nonisolated(unsafe) let memory: UnsafeRawBufferPointer

  /// Makes and seals a block.
  ///
  /// - Parameter fill: writes the payload, every byte of it.
  init(kind: Kind, entities: Int, payloadBytes: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let memory = BlockMemory.allocate(Block.headerBytes + payloadBytes)
    memory.storeBytes(of: Block.magic, as: UInt32.self)
    memory.storeBytes(of: Block.layoutVersion, toByteOffset: 4, as: UInt32.self)
    memory.storeBytes(of: kind.rawValue, toByteOffset: 8, as: UInt32.self)
    memory.storeBytes(of: UInt32(entities), toByteOffset: 12, as: UInt32.self)
    memory.storeBytes(of: UInt64(payloadBytes), toByteOffset: 16, as: UInt64.self)
    fill(UnsafeMutableRawBufferPointer(rebasing: memory[Block.headerBytes...]))
    memory.storeBytes(of: Block.checksum(of: UnsafeRawBufferPointer(memory)), toByteOffset: 24, as: UInt64.self)
    self.memory = UnsafeRawBufferPointer(memory)
  }

  deinit { BlockMemory.deallocate(UnsafeMutableRawBufferPointer(mutating: memory)) }

  var payload: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[Block.headerBytes...]) }

  var entities: Int { Int(memory.load(fromByteOffset: 12, as: UInt32.self)) }

  /// The checksum in the header is that of the memory, and the header fits it.
  var isWhole: Bool {
    memory.load(as: UInt32.self) == Block.magic
      && memory.load(fromByteOffset: 4, as: UInt32.self) == Block.layoutVersion
      && memory.load(fromByteOffset: 16, as: UInt64.self) == UInt64(memory.count - Block.headerBytes)
      && memory.load(fromByteOffset: 24, as: UInt64.self) == Block.checksum(of: memory)
  }

  /// Byte for byte.
  func hasSameContents(as other: Block) -> Bool {
    self === other
      || memory.count == other.memory.count
        && bytesEqual(memory.baseAddress!, other.memory.baseAddress!, count: memory.count)
  }

  /// Over everything but the checksum itself.
  private static func checksum(of memory: UnsafeRawBufferPointer) -> UInt64 {
    let head = keyHash(UnsafeRawBufferPointer(rebasing: memory[..<24]), kind: 0, seed: 0)
    return checksumOf(UnsafeRawBufferPointer(rebasing: memory[headerBytes...]), seed: head)
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
}
