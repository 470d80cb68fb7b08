import CScopeWire

/// Frames: four bytes of length, unsigned and big-endian, then a message.
public enum Frame {
  /// Bytes of the length before the message.
  public static let headerBytes = 4

  /// The message of the first frame in a run of bytes; nil: it has not arrived in full. The length is
  /// refused before anything waits for what it promises.
  @inline(__always)
  public static func first(
    in bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(FrameError) -> UnsafeRawBufferPointer? {
    if bytes.count < headerBytes { return nil }
    let length = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
    if length > limit { throw FrameError(bytes: length, limit: limit) }
    if bytes.count - headerBytes < Int(length) { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[headerBytes..<headerBytes + Int(length)])
  }

  /// The id of a request, where encoders write it: first. 0 where it is not there, or not whole.
  public static func requestID(_ message: UnsafeRawBufferPointer) -> UInt64 {
    guard message.first == 0x08 else { return 0 }
    var id: UInt64 = 0
    for (place, byte) in message.dropFirst().prefix(10).enumerated() {
      id |= UInt64(byte & 0x7F) << (7 * UInt64(place))
      if byte < 0x80 { return id }
    }
    return 0
  }

  /// Bytes that a response takes as a frame.
  @inline(__always)
  public static func bytes(of response: UnsafePointer<WireResponse>) -> Int {
    headerBytes + scope__v1__response__get_packed_size(response)
  }

  /// Packs a response of `bytes(of:)` bytes.
  @inline(__always)
  public static func pack(_ response: UnsafePointer<WireResponse>, into memory: UnsafeMutableRawBufferPointer) {
    let bytes = memory.count - headerBytes
    memory.storeBytes(of: UInt32(bytes).bigEndian, as: UInt32.self)
    let start = (memory.baseAddress! + headerBytes).assumingMemoryBound(to: UInt8.self)
    let packed = scope__v1__response__pack(response, start)
    precondition(packed == bytes, "protobuf-c packed another size than it announced")
  }

  /// Packs a response that fits into the memory whatever it says; returns its bytes. To count them first takes as long
  /// as to pack them.
  @inline(__always)
  public static func pack(
    _ response: UnsafePointer<WireResponse>, within memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    let start = (memory.baseAddress! + headerBytes).assumingMemoryBound(to: UInt8.self)
    let packed = scope__v1__response__pack(response, start)
    precondition(headerBytes + packed <= memory.count, "a response is longer than it may be")
    memory.storeBytes(of: UInt32(packed).bigEndian, as: UInt32.self)
    return headerBytes + packed
  }
}

/// A frame longer than is accepted. The stream can't be followed any further: the connection closes.
public struct FrameError: Error, Hashable, Sendable, CustomStringConvertible {
  public let bytes: UInt32
  public let limit: Int

  public var description: String { "a frame of \(bytes) bytes; at most \(limit) are accepted" }
}
