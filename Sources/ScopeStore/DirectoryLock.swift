import Foundation

/// Holds the data directory for this process, until it is released with the last reference.
///
/// The file stays: removing it would let a third process lock a new one beside the second. Where it can't be written,
/// it is locked all the same; where there is none and none can be made, the directory itself is.
final class DirectoryLock {
  private let descriptor: Int32

  init(_ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.lockPath
    descriptor = try DirectoryLock.open(path, configuration)  // from here on deinit closes it, also when this throws
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno != EWOULDBLOCK { throw StoreError(call: "flock", path: path) }
      throw .locked(pid: holder(), directory: configuration.directory)
    }
    if DirectoryLock.isWritable(descriptor) { try writePID(path) }
  }

  private static func open(_ path: String, _ configuration: StoreConfiguration) throws(StoreError) -> Int32 {
    var descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor >= 0 { return descriptor }
    let error = StoreError(call: "open", path: path)
    guard error.deniesWriting else { throw error }
    descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 && errno == ENOENT {
      descriptor = Foundation.open(configuration.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    if descriptor < 0 { throw error }
    return descriptor
  }

  private static func isWritable(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFL) & O_ACCMODE == O_RDWR }

  /// Unlocks outright: a child just forked would hold a lock that is merely closed until its exec.
  deinit {
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  private func writePID(_ path: String) throws(StoreError) {
    let line = Array("\(getpid())\n".utf8)
    if ftruncate(descriptor, 0) != 0 { throw StoreError(call: "ftruncate", path: path) }
    if pwrite(descriptor, line, line.count, 0) != line.count { throw StoreError(call: "write", path: path) }
  }

  private func holder() -> Int32? {
    var line = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &line, line.count, 0)
    if count <= 0 { return nil }
    return Int32(String(decoding: line[..<count], as: UTF8.self).filter(\.isNumber))
  }
}
