import CScopeWire
import ScopeModel

public typealias WireRequest = Scope__V1__Request
public typealias WireResponse = Scope__V1__Response

/// Why a request has no result: a status of gRPC, a stable code for machines, words for people.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: UInt32, Sendable {
    case cancelled = 1
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case unavailable = 14
    case dataLoss = 15
  }

  public let code: Code
  public let reason: String
  public let message: String
  /// Of a refused batch: position of the change at fault, from 1.
  public var change: Int32 = 0

  public init(_ code: Code, _ reason: String, _ message: String) {
    self.code = code
    self.reason = reason
    self.message = message
  }

  /// A batch that the rules refuse.
  public init(_ refused: RefusedBatch) {
    self.init(refused.error, "change \(refused.index + 1): \(refused.error)")
    change = Int32(refused.index + 1)
  }

  /// A change that the rules refuse.
  public init(_ error: ChangeError) { self.init(error, "\(error)") }

  private init(_ error: ChangeError, _ message: String) {
    let code: Code =
      switch error.category {
      case .notFound: .notFound
      case .alreadyExists: .alreadyExists
      case .precondition: .failedPrecondition
      case .limit: .resourceExhausted
      case .permission: .permissionDenied
      }
    self.init(code, error.code, message)
  }

  public var description: String { "\(message) (\(reason))" }
}

extension Failure {
  /// A field that should hold a name does not.
  public static func badName(_ field: String, _ error: NameError) -> Failure {
    Failure(.invalidArgument, "invalid_name", "\(field) \(error)")
  }

  /// A field that should hold a kind of thing does not.
  public static func badType(_ field: String, _ number: UInt32) -> Failure {
    number == 0
      ? Failure(.invalidArgument, "type_missing", "\(field) is missing")
      : Failure(.invalidArgument, "unknown_type", "\(field) \(number) is not known here")
  }

  /// More of something than one request may have.
  public static func tooMany(_ what: String, _ count: Int, limit: Int) -> Failure {
    Failure(.resourceExhausted, "too_many", "\(count) \(what) in one request; at most \(limit) are accepted")
  }
}
