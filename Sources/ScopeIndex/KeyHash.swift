/// A seeded 64-bit hash of a key's bytes. The seed is random in each process, so that nobody can choose ids that
/// collide; the mixing is a multiplication to 128 bits, folded, of two words that both have the seed in them: neither
/// can be made zero from outside.
@inline(__always)
func keyHash(_ key: UnsafeRawBufferPointer, kind: UInt8, seed: UInt64) -> UInt64 {
  let count = key.count
  var (low, high) = (seed ^ 0x9E37_79B9_7F4A_7C15, (seed << 32 | seed >> 32) ^ 0xD6E8_FEB8_6659_FD93)
  if let base = key.baseAddress, count > 0 {
    if count > 16 {
      var at = 0
      while at &+ 16 < count {
        low = fold(low ^ word(base, at), high ^ word(base, at &+ 8))
        at &+= 16
      }
      // The last sixteen bytes, some of them again: no tail to treat apart.
      low ^= word(base, count &- 16)
      high ^= word(base, count &- 8)
    } else if count >= 8 {
      low ^= word(base, 0)
      high ^= word(base, count &- 8)
    } else {
      low ^= shortKey(base, count)
    }
  }
  // Kind and length go in behind the bytes: beside them, "b" and "ab" would be one.
  let shape = UInt64(truncatingIfNeeded: count) << 8 | UInt64(kind)
  return fold(fold(low, high) ^ shape, 0xA076_1D64_78BD_642F)
}

@inline(__always)
private func word(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
  (base + offset).loadUnaligned(as: UInt64.self)
}

/// One to seven bytes as one number; with the count mixed in beside it, no two keys give the same.
@inline(__always)
private func shortKey(_ base: UnsafeRawPointer, _ count: Int) -> UInt64 {
  if count >= 4 {
    let low = base.loadUnaligned(as: UInt32.self)
    let high = base.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
    return UInt64(low) | UInt64(high) << 32
  }
  let first = base.load(as: UInt8.self)
  let middle = base.load(fromByteOffset: count >> 1, as: UInt8.self)
  let last = base.load(fromByteOffset: count &- 1, as: UInt8.self)
  return UInt64(first) | UInt64(middle) << 8 | UInt64(last) << 16
}

@inline(__always)
private func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
  let product = a.multipliedFullWidth(by: b)
  return product.high ^ product.low
}

/// Equal as bytes: eight at a time, the last of them some again.
@inline(__always)
func bytesEqual(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, count: Int) -> Bool {
  @inline(__always)
  func differ<Word: FixedWidthInteger>(_ at: Int, _: Word.Type) -> Word {
    a.loadUnaligned(fromByteOffset: at, as: Word.self) ^ b.loadUnaligned(fromByteOffset: at, as: Word.self)
  }
  if count >= 8 {
    var at = 0
    while at &+ 8 < count {
      if differ(at, UInt64.self) != 0 { return false }
      at &+= 8
    }
    return differ(count &- 8, UInt64.self) == 0
  }
  if count >= 4 { return differ(0, UInt32.self) | differ(count &- 4, UInt32.self) == 0 }
  if count == 0 { return true }
  return differ(0, UInt8.self) | differ(count >> 1, UInt8.self) | differ(count &- 1, UInt8.self) == 0
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
