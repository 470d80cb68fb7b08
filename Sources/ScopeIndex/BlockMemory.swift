import Synchronization

/// Memory of blocks.
///
/// A change of a large company makes blocks of the size of those it lets go. Memory that the system gives has to be
/// cleared page by page, which takes longer than to fill it; so some large pieces are kept for the next blocks.
enum BlockMemory {
  /// What is smaller comes from the heap soon enough.
  private static let leastBytes = 1 << 20
  /// Large pieces are multiples of it, so that a block that has grown a little takes the piece of the one before.
  private static let stepBytes = 256 << 10
  static let keptBytes = 32 << 20

  /// Unchecked: nobody has the memory but who took the piece out.
  private struct Piece: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
  }

  /// The oldest first.
  private static let kept = Mutex<[Piece]>([])

  static func allocate(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
    let size = size(bytes)
    if size < leastBytes { return .allocate(byteCount: size, alignment: 64) }
    let piece = kept.withLock { kept -> Piece? in
      guard let place = kept.lastIndex(where: { $0.memory.count == size }) else { return nil }
      return kept.remove(at: place)
    }
    let memory = piece?.memory ?? UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    return UnsafeMutableRawBufferPointer(rebasing: memory[..<bytes])
  }

  /// - Parameter memory: as it was allocated.
  static func deallocate(_ memory: UnsafeMutableRawBufferPointer) {
    if memory.count < leastBytes { return memory.deallocate() }
    let piece = Piece(memory: UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: size(memory.count)))
    let surplus = kept.withLock { kept in
      var surplus: [Piece] = []
      kept.append(piece)
      var bytes = kept.reduce(0) { $0 + $1.memory.count }
      while bytes > keptBytes {
        bytes -= kept[0].memory.count
        surplus.append(kept.removeFirst())
      }
      return surplus
    }
    for piece in surplus { piece.memory.deallocate() }
  }

  /// Gives back what is kept.
  static func release() {
    let pieces = kept.withLock { kept in
      defer { kept = [] }
      return kept
    }
    for piece in pieces { piece.memory.deallocate() }
  }

  private static func size(_ bytes: Int) -> Int {
    bytes < leastBytes ? bytes : (bytes + stepBytes - 1) / stepBytes * stepBytes
  }
}

/// Gives memory back that is kept for indexes to come.
public func releaseIndexMemory() { BlockMemory.release() }
