#if canImport(Glibc)
  import Glibc
#endif

/// Why an import ends before its end.
public struct ImportError: Error, Sendable, CustomStringConvertible {
  /// Exit codes, as `scopectl` has them, and those of sysexits.h.
  public enum Kind: Int32, Sendable {
    case refused = 1
    case unavailable = 2
    case badData = 65
    case noInput = 66
    case cantWrite = 73
    case inUse = 75
  }

  public let kind: Kind
  /// For people.
  public let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// A call of the system that failed just now.
  static func system(_ kind: Kind, _ what: String) -> ImportError {
    ImportError(kind, "\(what): \(String(cString: strerror(errno)))")
  }
}
