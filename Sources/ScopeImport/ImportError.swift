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

    fileprivate var reason: String {
      switch self {
      case .refused: "refused"
      case .unavailable: "unavailable"
      case .badData: "bad_input"
      case .noInput: "unreadable_file"
      case .cantWrite: "unwritable_file"
      case .inUse: "work_folder_in_use"
      }
    }
  }

  public let kind: Kind
  /// Stable, for machines: the daemon's, where it refused.
  public let reason: String
  /// For people.
  public let description: String

  init(_ kind: Kind, _ description: String, reason: String? = nil) {
    self.kind = kind
    self.reason = reason ?? kind.reason
    self.description = description
  }

  /// A call of the system that failed just now.
  static func system(_ kind: Kind, _ what: String) -> ImportError {
    ImportError(kind, "\(what): \(String(cString: strerror(errno)))")
  }
}
