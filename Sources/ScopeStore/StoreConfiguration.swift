/// Where the store lives and what it may use.
public struct StoreConfiguration: Sendable {
  /// The data directory, which belongs to one process at a time. Made with mode 0700 where it is missing; its
  /// parent must be there.
  public var directory: String

  /// How long the write-ahead log may grow before its pages are moved into the database, in pages of 4 KiB.
  /// More: rarer but longer pauses, and a longer start after a crash. Default 1,000; 1 to 1,000,000.
  public var checkpointPages = 1_000

  /// What is kept of the write-ahead log's file after a batch that made it longer, in bytes.
  /// Default 64 MiB; 0 or more.
  public var walLimitBytes = 64 << 20

  /// SQLite's page cache, in bytes. Default 16 MiB; 1 MiB or more.
  public var cacheBytes = 16 << 20

  public init(directory: String) { self.directory = directory }

  var databasePath: String { directory + "/scoped.sqlite" }

  /// The database while it is being created.
  var draftPath: String { databasePath + ".new" }

  var lockPath: String { directory + "/scoped.lock" }
}
