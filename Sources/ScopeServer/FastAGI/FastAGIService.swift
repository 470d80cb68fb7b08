import Logging
import NIOConcurrencyHelpers
import NIOCore
import ScopeProtocol
import Synchronization

/// How channels of Asterisk are served. Where stands in `ServerConfiguration.addresses`.
public struct FastAGIConfiguration: Sendable {
  /// How long one conversation may take, in milliseconds, from 100 to 60,000. A company that is not loaded in half of
  /// it is not waited for any longer, so that there is time to say so. Default 2 s.
  public var timeoutMilliseconds = 2_000
  /// Connections at once, from 1; they count among the daemon's as well. A further one is closed at once. Default 1,024.
  public var connections = 1_024

  public init() {}
}

/// What the FastAGI connections of a daemon share.
final class FastAGIService: Sendable {
  /// Of a conversation.
  let timeout: TimeAmount
  /// For its company to be loaded, from the same moment.
  let loadTimeout: TimeAmount
  let connections: ConnectionCount
  private let logger: Logger
  private let counts = NIOLockedValueBox(Counts())

  /// Conversations that came to their end.
  struct Counts {
    var allowed = 0
    var denied = 0
    var unavailable = 0
    /// Cut off before every variable was set, by whichever side.
    var cut = 0
    fileprivate var lastTold: NIODeadline?
  }

  init(_ configuration: FastAGIConfiguration, logger: Logger) {
    timeout = .milliseconds(Int64(configuration.timeoutMilliseconds))
    loadTimeout = .milliseconds(Int64(configuration.timeoutMilliseconds) / 2)
    connections = ConnectionCount(limit: configuration.connections)
    self.logger = logger
  }

  /// Counts a conversation; nil: it was cut off. Some that went wrong are told of, not each: there may be thousands.
  func note(_ result: FastAGIVerdict.Result?, _ reason: @autoclosure () -> String) {
    let isWrong = result == nil || result == .unavailable
    let due = counts.withLockedValue { counts -> Counts? in
      counts.add(result)
      return isWrong && counts.takeTurn() ? counts : nil
    }
    guard let due else { return }
    logger.warning(
      "FastAGI: a channel got no answer", metadata: due.metadata.merging(["reason": "\(reason())"]) { $1 })
  }

  /// Tells how many there were, if there were any.
  func sumUp() {
    let counts = counts.withLockedValue(\.self)
    if counts.total > 0 { logger.info("FastAGI: conversations served", metadata: counts.metadata) }
  }
}

extension FastAGIService.Counts {
  fileprivate static let pause = TimeAmount.seconds(10)

  fileprivate var total: Int { allowed + denied + unavailable + cut }

  fileprivate mutating func add(_ result: FastAGIVerdict.Result?) {
    switch result {
    case .allow: allowed += 1
    case .deny: denied += 1
    case .unavailable: unavailable += 1
    case nil: cut += 1
    }
  }

  fileprivate mutating func takeTurn() -> Bool {
    let now = NIODeadline.now()
    if let lastTold, now - lastTold < Self.pause { return false }
    lastTold = now
    return true
  }

  fileprivate var metadata: Logger.Metadata {
    ["allowed": "\(allowed)", "denied": "\(denied)", "unavailable": "\(unavailable)", "cut": "\(cut)"]
  }
}
