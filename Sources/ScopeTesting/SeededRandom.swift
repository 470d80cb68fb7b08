/// Random numbers that are the same for the same seed, on every machine and in every version.
///
/// SplitMix64 (Steele, Lea, Flood 2014). The standard library's `random(in:using:)` is not used, as it may
/// draw differently in another version: what a test found would be lost.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// Numbers of their own for one thing among many, so that the thousandth can be made without the others.
  ///
  /// - Parameters:
  ///   - stream: what sort of thing it is.
  ///   - index: which of them.
  public init(seed: UInt64, stream: UInt64, index: Int) {
    var outer = SeededRandom(seed: seed &+ stream &* 0xD1B5_4A32_D192_ED03)
    state = outer.next() ^ (UInt64(truncatingIfNeeded: index) &* 0x9FB2_1C65_1E98_DF25)
    _ = next()  // neighbouring indexes begin with neighbouring states
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 to `bound` - 1, where `bound` is at least 1.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "there is no number below \(bound)")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number of the range.
  public mutating func number(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// True in so many cases of a thousand.
  public mutating func happens(perMille: Int) -> Bool { below(1_000) < perMille }

  /// One of the items, of which there is at least one.
  public mutating func pick<Items: RandomAccessCollection>(_ items: Items) -> Items.Element {
    items[items.index(items.startIndex, offsetBy: below(items.count))]
  }

  /// So many different items, in random order; all where there are fewer.
  public mutating func pick<Item>(_ count: Int, of items: [Item]) -> [Item] {
    var items = items
    let count = Swift.min(count, items.count)
    for place in 0..<count { items.swapAt(place, place + below(items.count - place)) }
    return Array(items.prefix(count))
  }
}
