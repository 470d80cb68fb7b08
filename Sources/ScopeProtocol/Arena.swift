import CScopeWire

/// Memory for the messages of one frame, given back all at once. Not shared between threads.
///
/// The structs of protobuf-c are plain memory full of pointers. What `unpack` and `make` return is valid
/// until the next `reset`, and never freed one by one.
public final class Arena {
  private let arena: UnsafeMutablePointer<scope_arena>

  /// - Parameters:
  ///   - keeping: bytes kept between frames; enough for a check is enough.
  ///   - limit: bytes that one frame may take beyond them.
  public init(keeping: Int = 64 << 10, limit: Int) {
    guard let arena = scope_arena_create(keeping, limit) else { fatalError("no memory for an arena") }
    self.arena = arena
  }

  deinit { scope_arena_destroy(arena) }

  /// Ends the life of everything made since the last reset.
  @inline(__always)
  public func reset() { scope_arena_reset(arena) }

  /// An allocation failed since the last reset: what could not be unpacked was too large.
  public var isFull: Bool { arena.pointee.is_full != 0 }

  /// The request in a frame; nil: malformed, or larger in memory than the limit.
  @inline(__always)
  public func unpackRequest(_ frame: UnsafeRawBufferPointer) -> UnsafeMutablePointer<WireRequest>? {
    scope__v1__request__unpack(&arena.pointee.allocator, frame.count, start(of: frame))
  }

  /// The response in a frame; nil as above.
  public func unpackResponse(_ frame: UnsafeRawBufferPointer) -> UnsafeMutablePointer<WireResponse>? {
    scope__v1__response__unpack(&arena.pointee.allocator, frame.count, start(of: frame))
  }

  /// Uninitialised memory; nil: the limit is reached.
  public func allocate<T>(_ type: T.Type, count: Int) -> UnsafeMutablePointer<T>? {
    scope_arena_allocate(arena, count * MemoryLayout<T>.stride)?.bindMemory(to: type, capacity: count)
  }

  /// An initialised message.
  public func make<T>(_ initialise: (UnsafeMutablePointer<T>?) -> Void) throws(Failure) -> UnsafeMutablePointer<T> {
    guard let message = allocate(T.self, count: 1) else { throw Arena.full }
    initialise(message)
    return message
  }

  /// Bytes of a text.
  public func copy(_ text: String) throws(Failure) -> ProtobufCBinaryData {
    let count = text.utf8.count
    if count == 0 { return ProtobufCBinaryData(len: 0, data: nil) }
    guard let bytes = allocate(UInt8.self, count: count) else { throw Arena.full }
    UnsafeMutableBufferPointer(start: bytes, count: count).update(fromContentsOf: text.utf8)
    return ProtobufCBinaryData(len: count, data: bytes)
  }

  /// Bytes.
  public func copy(_ bytes: [UInt8]) throws(Failure) -> ProtobufCBinaryData {
    if bytes.isEmpty { return ProtobufCBinaryData(len: 0, data: nil) }
    guard let copy = allocate(UInt8.self, count: bytes.count) else { throw Arena.full }
    copy.initialize(from: bytes, count: bytes.count)
    return ProtobufCBinaryData(len: bytes.count, data: copy)
  }

  /// What is thrown when the limit is reached.
  public static let full = Failure(.resourceExhausted, "message_too_large", "the message takes too much memory")

  /// protobuf-c wants an address even for no bytes.
  @inline(__always)
  private func start(of frame: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
    frame.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(arena.pointee.first)
  }
}

extension UnsafeMutableBufferPointer<UInt8> {
  fileprivate func update(fromContentsOf text: String.UTF8View) {
    _ = initialize(from: text)
  }
}

extension ProtobufCBinaryData {
  /// The bytes where they lie.
  @inline(__always)
  public var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: len) }

  /// A view of bytes that live elsewhere; protobuf-c's type has no const, but packing does not write.
  @inline(__always)
  public init(_ key: UnsafeRawBufferPointer) {
    self.init(
      len: key.count, data: UnsafeMutablePointer(mutating: key.baseAddress?.assumingMemoryBound(to: UInt8.self)))
  }
}
