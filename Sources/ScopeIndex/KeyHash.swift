/// A seeded 64-bit hash of a key's bytes. The seed is random in each process, so that nobody can choose
/// ids that collide; the mixing is a multiplication to 128 bits, folded.
@inline(__always)
func keyHash(_ key: UnsafeRawBufferPointer, kind: UInt8, seed: UInt64) -> UInt64 {
  var hash = seed
  let count = key.count
  // Kind and length go in behind the bytes: beside them, "b" and "ab" would be one.
  let shape = (UInt64(truncatingIfNeeded: count) << 8 | UInt64(kind)) &* 0x8EBC_6AF0_9C88_C6E3
  guard let base = key.baseAddress, count > 0 else { return fold(hash ^ shape, 0x9E37_79B9_7F4A_7C15) }
  if count < 8 {
    hash = fold(hash ^ shortKey(base, count), 0x9E37_79B9_7F4A_7C15)
  } else {
    var at = 0
    while at + 8 < count {
      hash = fold(hash ^ base.loadUnaligned(fromByteOffset: at, as: UInt64.self), 0x9E37_79B9_7F4A_7C15)
      at += 8
    }
    // The last eight bytes, some of them again: no tail to treat apart.
    hash = fold(hash ^ base.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self), 0xD6E8_FEB8_6659_FD93)
  }
  return fold(hash ^ shape, 0xA076_1D64_78BD_642F)
}

/// One to seven bytes as one number; with the count mixed in beside it, no two keys give the same.
@inline(__always)
private func shortKey(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
  if count >= 4 {
    let low = base.loadUnaligned(as: UInt32.self)
    let high = base.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)
    return UInt64(low) | UInt64(high) << 32
  }
  let first = base.load(as: UInt8.self)
  let middle = base.load(fromByteOffset: count >> 1, as: UInt8.self)
  let last = base.load(fromByteOffset: count - 1, as: UInt8.self)
  return UInt64(first) | UInt64(middle) << 8 | UInt64(last) << 16
}

@inline(__always)
private func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
  let product = a.multipliedFullWidth(by: b)
  return product.high ^ product.low
}

/// Equal as bytes. Keys are short: a loop of eight bytes at a time beats a call.
@inline(__always)
func bytesEqual(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, count: Int) -> Bool {
  var at = 0
  while at + 8 <= count {
    if a.loadUnaligned(fromByteOffset: at, as: UInt64.self) != b.loadUnaligned(fromByteOffset: at, as: UInt64.self) {
      return false
    }
    at += 8
  }
  while at < count {
    if a.load(fromByteOffset: at, as: UInt8.self) != b.load(fromByteOffset: at, as: UInt8.self) { return false }
    at += 1
  }
  return true
}

/// A checksum of much memory: four lanes of eight bytes each, so that no multiplication waits for the one before.
func checksumOf(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
  guard let base = bytes.baseAddress else { return keyHash(bytes, kind: 1, seed: seed) }
  var lanes = SIMD4<UInt64>(repeating: seed) ^ SIMD4(0, 1, 2, 3)
  let whole = bytes.count & ~31
  var at = 0
  while at < whole {
    for lane in 0..<4 {
      let word = base.loadUnaligned(fromByteOffset: at + lane * 8, as: UInt64.self)
      lanes[lane] = fold(lanes[lane] ^ word, 0x9E37_79B9_7F4A_7C15)
    }
    at += 32
  }
  let folded = fold(lanes[0] ^ 0xD6E8_FEB8_6659_FD93, lanes[1]) ^ fold(lanes[2] ^ 0xA076_1D64_78BD_642F, lanes[3])
  return keyHash(UnsafeRawBufferPointer(rebasing: bytes[whole...]), kind: 1, seed: folded)
}

/// Below, at or above zero as `a` comes before, with or behind `b` in the order of bytes.
func byteOrder(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  let shared = min(a.count, b.count)
  var at = 0
  while at + 8 <= shared {
    let x = UInt64(bigEndian: a.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    let y = UInt64(bigEndian: b.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    if x != y { return x < y ? -1 : 1 }
    at += 8
  }
  while at < shared {
    if a[at] != b[at] { return a[at] < b[at] ? -1 : 1 }
    at += 1
  }
  return a.count - b.count
}
