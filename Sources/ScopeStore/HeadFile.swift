import Crypto
import Foundation

/// The newest head, kept beside the database: a write-ahead log that was damaged or lost leaves an older state, which is
/// whole in itself, and only what is kept apart shows that something is missing.
///
/// Two copies by turns, each in a block of the disk of its own, so that one outlives a torn write. Nobody waits for the
/// disk: it is written when a commit is durable, and so is never ahead of what is; after a power cut it may be behind.
final class HeadFile {
  /// A copy: "SCPDHEAD", the store's identity, the revision in eight bytes, most significant first, the hash, and
  /// SHA-256 over all that.
  struct Copy: Equatable {
    let identity: [UInt8]
    let head: Head

    static let bytes = 96

    var packed: [UInt8] {
      let body = Copy.magic + identity + withUnsafeBytes(of: head.revision.bigEndian, Array.init) + head.hash
      return body + Array(SHA256.hash(data: body))
    }

    /// Nil: this is no copy, or a damaged one.
    init?(_ bytes: ArraySlice<UInt8>) {
      guard bytes.count == Copy.bytes, Array(SHA256.hash(data: bytes.prefix(64))) == Array(bytes.suffix(32)),
        Array(bytes.prefix(8)) == Copy.magic
      else { return nil }
      let fields = Array(bytes)
      let revision = fields[24..<32].reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
      self.init(identity: Array(fields[8..<24]), head: Head(revision: revision, hash: Array(fields[32..<64])))
    }

    init(identity: [UInt8], head: Head) {
      self.identity = identity
      self.head = head
    }

    private static let magic = Array("SCPDHEAD".utf8)
  }

  /// Where the second copy begins.
  private static let distance = 4_096

  private let path: String
  private let descriptor: Int32
  private let identity: [UInt8]
  /// The copy to be written next: 0 or 1.
  private var next = 0
  /// What the disk did not take; nil: it holds the newest.
  private var missed: Head?

  /// The copies in the file, the newer first; nil: there is no such file.
  static func read(_ path: String) throws(StoreError) -> [Copy]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
      if errno == ENOENT { return nil }
      throw StoreError(call: "open", path: path)
    }
    defer { close(descriptor) }
    var copies: [Copy] = []
    for place in 0..<2 {
      var bytes = [UInt8](repeating: 0, count: Copy.bytes)
      let count = pread(descriptor, &bytes, bytes.count, off_t(place * distance))
      if count < 0 { throw StoreError(call: "read", path: path) }
      if let copy = Copy(bytes[..<count]) { copies.append(copy) }
    }
    return copies.sorted { $0.head.revision > $1.head.revision }
  }

  /// Makes the file say this head, durably, whatever it said.
  ///
  /// - Parameter identity: 16 bytes.
  init(_ configuration: StoreConfiguration, identity: [UInt8], head: Head) throws(StoreError) {
    path = configuration.headPath
    self.identity = identity
    let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if opened < 0 { throw StoreError(call: "open", path: path) }
    descriptor = opened  // from here on deinit closes it, also when this throws
    for _ in 0..<2 { try put(head) }
    if fsync(descriptor) != 0 { throw StoreError(call: "fsync", path: path) }
    try DatabaseFile.sync(configuration.directory, O_DIRECTORY)
  }

  deinit { close(descriptor) }

  /// Notes the head of a commit that is durable. A failure is told by the next `catchUp`: this commit stands.
  func note(_ head: Head) {
    missed = head
    try? catchUp()
  }

  /// Writes what the disk did not take before, so that no more than one commit is ever missing.
  func catchUp() throws(StoreError) {
    guard let head = missed else { return }
    try put(head)
    missed = nil
  }

  private func put(_ head: Head) throws(StoreError) {
    let bytes = Copy(identity: identity, head: head).packed
    let count = pwrite(descriptor, bytes, bytes.count, off_t(next * HeadFile.distance))
    if count != bytes.count { throw StoreError(call: "write", path: path, errno: count < 0 ? errno : ENOSPC) }
    next = 1 - next
  }
}
