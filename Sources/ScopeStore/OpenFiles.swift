import Foundation

/// The files that the store has open, and the paths they were found at.
///
/// Whoever removes, moves or replaces them leaves the store with files that nobody finds again.
struct OpenFiles {
  private var files: [(path: String, identity: FileIdentity?)]

  /// Takes down what is at the paths now.
  init(_ paths: [String]) { files = paths.map { ($0, FileIdentity(path: $0)) } }

  var paths: [String] { files.map(\.path) }

  /// A path that leads elsewhere by now, or nowhere; nil: all are as they were. Some microseconds.
  var strayed: String? { files.first { $0.identity == nil || $0.identity != FileIdentity(path: $0.path) }?.path }

  func isInPlace(_ path: String) -> Bool {
    files.contains { $0.path == path && $0.identity != nil && $0.identity == FileIdentity(path: path) }
  }
}

/// Which file it is, whatever it is called.
struct FileIdentity: Equatable {
  private let device: dev_t
  private let inode: ino_t

  /// Nil: there is none, or it can't be seen.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    (device, inode) = (status.st_dev, status.st_ino)
  }

  init?(descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    (device, inode) = (status.st_dev, status.st_ino)
  }
}
