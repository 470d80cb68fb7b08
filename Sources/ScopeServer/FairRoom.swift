import NIOConcurrencyHelpers

/// Room for what sources hold, where it stands in no queue.
struct FairShares: Sendable {
  private(set) var all = FairShare()
  private var sources: [UInt64: FairShare] = [:]

  /// Takes room for one more; false: the source holds too much.
  mutating func enter(_ source: Source, bytes: Int = 0, within bounds: FairBounds) -> Bool {
    let own = sources[source.number] ?? FairShare()
    if !bounds.allow(bytes, to: own, of: all) { return false }
    all.add(bytes)
    sources[source.number, default: own].add(bytes)
    return true
  }

  /// Gives the room back.
  mutating func leave(_ source: Source, bytes: Int = 0) {
    all.remove(bytes)
    sources[source.number]!.remove(bytes)
    if sources[source.number]!.elements == 0 { sources[source.number] = nil }
  }
}

/// The same, from any thread.
final class FairRoom: Sendable {
  private let bounds: FairBounds
  private let shares = NIOLockedValueBox(FairShares())

  init(_ bounds: FairBounds) { self.bounds = bounds }

  func enter(_ source: Source, bytes: Int = 0) -> Bool {
    shares.withLockedValue { $0.enter(source, bytes: bytes, within: bounds) }
  }

  func leave(_ source: Source, bytes: Int = 0) { shares.withLockedValue { $0.leave(source, bytes: bytes) } }
}
