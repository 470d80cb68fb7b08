#if canImport(Glibc)
  import Glibc
#endif

/// Where the store lives and what it may use.
public struct StoreConfiguration: Sendable {
  /// The data directory, which belongs to one process at a time. Made with mode 0700 where it is missing; its
  /// parent must be there.
  public var directory: String

  /// Whether a new, empty store is made where there is none. False: opening it fails, for the folder may be that of a
  /// volume that is not mounted. Default true.
  public var createsIfMissing = true

  /// How long the write-ahead log may grow before its pages are moved into the database in the next idle moment, in pages
  /// of 4 KiB. More: rarer but longer pauses, and a longer start after a crash. Default 1,000; 1 to 1,000,000.
  public var checkpointPages = 1_000

  /// How long it may grow where there is no such moment: then the next change waits until its pages are moved. Default
  /// 4,000.
  public var checkpointPagesAtMost = 4_000

  /// What is kept of the write-ahead log's file after a batch that made it longer, in bytes.
  /// Default 64 MiB; 0 or more.
  public var walLimitBytes = 64 << 20

  /// SQLite's page cache, in bytes. Default 16 MiB; 1 MiB or more.
  public var cacheBytes = 16 << 20

  /// Go on without changes that are missing, of which the last start told: the last revision that is there. Nil, the
  /// default: a start that misses changes is refused.
  public var acceptedLoss: UInt64?

  /// What time it is, in microseconds since 1970, for the log and for questions about earlier times: deadlines run on
  /// the monotonic clock. Default: the system's clock.
  public var clock: @Sendable () -> Int64 = StoreConfiguration.systemClock

  /// For tests, which show that damage would be answered from without it: whether what is loaded is compared with its
  /// digests and hashes.
  package var checksDigests = true

  /// For tests, which show that changes would be taken back without it: whether the end of the log is compared with the
  /// head file, and the write-ahead log looked through.
  package var checksHead = true

  public init(directory: String) { self.directory = directory }

  private static let systemClock = { @Sendable () -> Int64 in
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
  }

  var databasePath: String { directory + "/scoped.sqlite" }

  /// The database while it is being created.
  var draftPath: String { databasePath + ".new" }

  var walPath: String { databasePath + "-wal" }

  var headPath: String { directory + "/scoped.head" }

  var lockPath: String { directory + "/scoped.lock" }
}
