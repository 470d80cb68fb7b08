import ScopeModel

#if canImport(Glibc)
  import Glibc
#endif

/// This release, of the daemon and of its tools.
public enum Release {
  public static let version: StaticString = "0.1.0"
}

/// What the daemon accepts. Everything that grows has its limit here, and `Hello` tells them.
public struct Limits: Sendable {
  /// Version of the contract.
  public static let protocolVersion: UInt32 = 1
  /// Ids, names, rights and keys, in bytes.
  public static let nameBytes = Name.maximumBytes
  /// The description of a project, in bytes.
  public static let descriptionBytes = Remark.maximumBytes

  /// Length of one frame in bytes, the four of its length not counted. Default 4 MiB. The other limits keep
  /// answers below it as well.
  public var frameBytes = 4 << 20
  /// Ids in one FilterObjects. Default 65,536.
  public var idsPerRequest = 65_536
  /// Checks in one CheckMany. Default 8,192.
  public var checksPerRequest = 8_192
  /// Changes in one Apply. Default 10,000.
  public var changesPerBatch = 10_000
  /// Requests of one connection that are not answered at once (changes, long listings). Beyond it the
  /// daemon stops reading from the connection. Default 256.
  public var requestsInFlight = 256
  /// Answers of one connection that the client has not taken, as the memory that they take in bytes. Beyond it the
  /// daemon stops reading from the connection. Default 512 KiB.
  public var unsentBytes = 512 << 10
  /// Memory for what arrives, waits and is unsent, of all connections, in bytes. One may have an eighth of what is free
  /// of it. Default a quarter of the machine's memory, 192 MiB at most.
  public var connectionBytes = Limits.standardConnectionBytes
  /// Connections in all; a further one is closed at once. Default 16,384, less where the process may not
  /// open as many files.
  public var connections = 16_384
  /// Changes waiting for the authority, of numbers too, in requests of all connections. A connection may have as many
  /// as are free beside its own, and always one. Default 4,096.
  public var changesWaiting = 4_096
  /// Memory of these, in bytes. A small change of a connection that has none waiting is taken beyond it. Default
  /// 256 MiB.
  public var changesWaitingBytes = 256 << 20
  /// Exports, pages of numbers, previews and questions about the log waiting for the authority. A connection may have
  /// as many as are free beside its own, and always one. Their memory is bounded as that of `coldWaiting`. Default 1,024.
  public var readsWaiting = 1_024
  /// Questions that wait for their companies to be loaded, of all connections. A connection may have as many as are
  /// free beside its own, and always one. Default 16,384.
  public var coldWaiting = 16_384
  /// Memory of these, in bytes, since each holds a copy of its frame; once more that of questions as of an earlier
  /// time, and that of `readsWaiting`. Shared like them, but that a small one of a connection that has none waiting is taken beyond it. Default
  /// 64 MiB.
  public var framesWaitingBytes = 64 << 20
  /// Listings under way whose rows are found first (users, groups, roles, fields, a project, a check-up), of all
  /// connections. A connection may have as many as are free beside its own, and always one. Each holds up to 12 bytes a
  /// row. Default 64.
  public var listings = 64
  /// Questions as of an earlier time that wait for one company. A connection may have as many as are free beside its
  /// own, and always one. Default 16.
  public var pastPerCompany = 16
  /// Watches in all. Default 1,024.
  public var watches = 1_024
  /// Rows of the log that are gone through to answer a question as of an earlier time. Default 5,000,000: some
  /// seconds.
  public var pastEdits = 5_000_000
  /// Memory of indexes kept of earlier times, in bytes. Default 64 MiB.
  public var pastIndexBytes = 64 << 20
  /// Memory for unpacking one frame, in bytes. A frame of empty messages takes 44 times its length.
  /// Default 32 MiB.
  public var unpackBytes = 32 << 20
  /// Frames above this many bytes are handled beside the event loops, so that nobody waits behind one.
  /// Default 64 KiB.
  public var inlineFrameBytes = 64 << 10
  /// How long a request may take, in milliseconds, where it does not say. Default 5 s.
  public var timeoutMilliseconds: UInt32 = 5_000
  /// The longest a request may ask for, in milliseconds. Default 60 s.
  public var timeoutMaximumMilliseconds: UInt32 = 60_000
  /// How long a frame may take to arrive once it has begun, in milliseconds. Default 5 s.
  public var frameMilliseconds = 5_000
  /// How long a client may take nothing of its answers, or leave more than half of `unsentBytes` untaken once there was
  /// more than that, in milliseconds. Default 5 s.
  public var stallMilliseconds = 5_000

  public init() {}
}

extension Limits {
  private static let standardConnectionBytes: Int = {
    let (pages, pageBytes) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    let most = 192 << 20
    return pages > 0 && pageBytes > 0 ? min(pages * pageBytes / 4, most) : most
  }()
}
