import Foundation

/// Holds the data directory for this process, until it is released with the last reference.
///
/// The file stays: removing it would let a third process lock a new one beside the second.
final class DirectoryLock {
  private let descriptor: Int32

  init(_ configuration: StoreConfiguration) throws(StoreError) {
    let path = configuration.lockPath
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw StoreError(call: "open", path: path) }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let number = errno
      let holder = DirectoryLock.pid(in: descriptor)
      close(descriptor)
      if number == EWOULDBLOCK { throw .locked(pid: holder, directory: configuration.directory) }
      throw StoreError(call: "flock", path: path, errno: number)
    }
    do { try writePID(path) } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  private func writePID(_ path: String) throws(StoreError) {
    let line = Array("\(getpid())\n".utf8)
    if ftruncate(descriptor, 0) != 0 { throw StoreError(call: "ftruncate", path: path) }
    if pwrite(descriptor, line, line.count, 0) != line.count { throw StoreError(call: "write", path: path) }
  }

  private static func pid(in descriptor: Int32) -> Int32? {
    var line = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &line, line.count, 0)
    if count <= 0 { return nil }
    return Int32(String(decoding: line[..<count], as: UTF8.self).filter(\.isNumber))
  }
}
