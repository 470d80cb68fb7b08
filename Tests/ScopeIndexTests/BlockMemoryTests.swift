import ScopeTesting
import Testing

@testable import ScopeIndex

@Suite struct BlockMemoryTests {
  /// A block that takes the memory of another holds nothing of it.
  @Test func blocksInUsedMemoryAreThoseInNewMemory() {
    var random = SeededRandom(seed: 3)
    for _ in 0..<60 {
      let bytes = [100, (1 << 20) - 32, 1 << 20, 3 << 20][random.below(4)] + random.below(300) * 8
      func block() -> Block {
        Block(kind: .links, entities: 7, payloadBytes: bytes) { payload in
          for index in payload.indices { payload[index] = UInt8(truncatingIfNeeded: index &* 31) }
        }
      }
      let (first, second) = (block(), block())
      #expect(first.isWhole && first.memory.count == bytes + Block.headerBytes && first.hasSameContents(as: second))
      #expect(first.memory.baseAddress != second.memory.baseAddress)
    }
  }

  @Test func theNextOfTheSizeHasTheMemory() {
    let bytes = 29 << 20
    let isTaken = (0..<100).contains { _ in  // others may come between
      let memory = BlockMemory.allocate(bytes)
      BlockMemory.deallocate(memory)
      let next = BlockMemory.allocate(bytes - 1_000)
      defer { BlockMemory.deallocate(next) }
      return next.baseAddress == memory.baseAddress && next.count == bytes - 1_000
    }
    #expect(isTaken)
  }
}
