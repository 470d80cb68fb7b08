import Foundation

/// What of an import is done, so that the same command goes on from it. Replaced as a whole after each step: whenever
/// the process ends, what it says is true.
struct Manifest: Codable, Equatable {
  /// Of this file itself; another version starts again.
  var version = 2
  var optionsDigest: String
  var file: FileIdentity
  /// Of the import in the daemon.
  var key: String
  /// Sending has begun: an import that the daemon calls finished is this one.
  var isSending = false
  /// Columns of the header, in bytes: Foundation would drop a byte order mark before a text that it reads. Nil: there is
  /// none.
  var header: [[UInt8]]?
  /// Up to here the runs and the report have everything.
  var place = InputPlace()
  var isRead = false
  var tally = Tally()
  var runs: [RunFile] = []
  var runsMade = 0
  var reportBytes = 0
  var sent = Sent()

  /// What of the modes `add` and `remove` is done.
  struct Sent: Codable, Equatable {
    /// Numbers up to this one.
    var through: UInt64 = 0
    var added: UInt64 = 0
    var altered: UInt64 = 0
    var removed: UInt64 = 0
  }
}

/// The folder with the runs and the manifest of one import. Belongs to one process at a time.
final class WorkFolder {
  let path: String
  private let lock: Int32

  /// Makes the folder where there is none.
  init(_ path: String) throws(ImportError) {
    self.path = path
    if mkdir(path, 0o700) != 0 && errno != EEXIST { throw .system(.cantWrite, "can't make the folder \(path)") }
    lock = open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if lock < 0 { throw .system(.cantWrite, "can't write \(path)/lock") }
    // From here on deinit closes it, also when this throws.
    if flock(lock, LOCK_EX | LOCK_NB) != 0 { throw ImportError(.inUse, "\(path) is used by another scope-import") }
  }

  /// Unlocks outright: a child just forked would hold a lock that is merely closed until its exec.
  deinit {
    flock(lock, LOCK_UN)
    close(lock)
  }

  private var manifestPath: String { "\(path)/manifest.json" }

  /// What is done; nil: nothing, or by another version.
  func readManifest() -> Manifest? {
    guard let bytes = FileManager.default.contents(atPath: manifestPath) else { return nil }
    return (try? JSONDecoder().decode(Manifest.self, from: bytes)).flatMap { $0.version == 2 ? $0 : nil }
  }

  func write(_ manifest: Manifest) throws(ImportError) {
    guard let bytes = try? JSONEncoder().encode(manifest) else { fatalError("the manifest can't be encoded") }
    let partial = manifestPath + ".partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw .system(.cantWrite, "can't write \(partial)") }
    defer { close(descriptor) }
    try writeAll([UInt8](bytes), to: descriptor, partial)
    guard fdatasync(descriptor) == 0, rename(partial, manifestPath) == 0 else {
      throw .system(.cantWrite, "can't write \(manifestPath)")
    }
  }

  /// Removes every run that is not of the manifest: those of an import that was begun before, or cut short.
  func removeRuns(except kept: [RunFile]) {
    let names = Set(kept.map(\.name))
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
      if name.hasPrefix("run-") && !names.contains(name) { unlink("\(path)/\(name)") }
    }
  }

  /// All runs are there in full.
  func has(_ runs: [RunFile]) -> Bool {
    runs.allSatisfy { run in
      var status = stat()
      return stat("\(path)/\(run.name)", &status) == 0 && Int(status.st_size) == run.bytes
    }
  }

  /// Removes what this type has made, and the folder if nothing else is in it.
  func remove() {
    removeRuns(except: [])
    for name in ["manifest.json", "manifest.json.partial", "lock"] { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}
