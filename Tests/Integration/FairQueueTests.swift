import ScopeTesting
import Testing

@testable import ScopeServer

/// The queue in which connections take turns.
@Suite struct FairQueues {
  private func filled(_ counts: [UInt64: Int], limit: Int = 1_000) -> FairQueue<String> {
    var queue = FairQueue<String>(FairBounds(elements: limit))
    for (source, count) in counts.sorted(by: { $0.key < $1.key }) {
      for number in 0..<count { _ = queue.append("\(source)-\(number)", from: source) }
    }
    return queue
  }

  @Test func sourcesTakeTurnsAndKeepTheirOrder() {
    var queue = filled([1: 4, 2: 1, 3: 2])
    let first = queue.popFirst()
    let areIn = [queue.append("2-1", from: 2), queue.append("9-0", from: 9)]
    #expect(first == "1-0" && areIn == [true, true])
    let rest = queue.removeAll()
    #expect(rest == ["2-0", "3-0", "1-1", "9-0", "2-1", "3-1", "1-2", "1-3"])
    let last = queue.popFirst()
    #expect(last == nil && queue.held == FairShare())
  }

  /// Whatever others hold, one that comes is served after one element of each at most.
  @Test func whoComesLastWaitsForOneTurnOfEachOther() {
    var queue = filled(Dictionary(uniqueKeysWithValues: (1...24).map { ($0, 170) }), limit: 4_096)
    let isIn = queue.append("late", from: 99)
    let place = (1...10_000).first { _ in queue.popFirst() == "late" }
    #expect(isIn && place == 25)
  }

  @Test func aSourceMayHoldWhatIsFreeBesideIt() {
    var queue = FairQueue<Int>(FairBounds(elements: 120))
    func fill(_ source: UInt64) -> Int { (0...).prefix { _ in queue.append(0, from: source) }.count }
    #expect(fill(1) == 60)
    #expect(fill(2) == 30)
    #expect(fill(3) == 15)
    let areIn = (4...500 as ClosedRange<UInt64>).map { queue.append(1, from: $0) }
    #expect(!areIn.contains(false), "of those that have nothing waiting, each has room for one")
    #expect(fill(77) == 0 && fill(1) == 0)
    _ = queue.removeAll()
    #expect(fill(1) == 60, "all is free again")
  }

  @Test func memoryIsSharedLikewise() {
    let (limit, small) = (64 << 20, FairBounds.alwaysBytes)
    var queue = FairQueue<Int>(FairBounds(elements: 1_000, bytes: limit))
    func fill(_ source: UInt64) -> Int { (0...).prefix { _ in queue.append(0, from: source, bytes: 1 << 20) }.count }
    #expect(fill(1) == 32)
    #expect(fill(2) == 16)
    while queue.held.bytes < limit { _ = queue.append(0, from: UInt64(queue.held.elements + 10), bytes: 1 << 20) }
    let areIn = [small + 1, small, 1].map { queue.append(0, from: 7, bytes: $0) }
    #expect(areIn == [false, true, false])
    _ = queue.removeAll()
    #expect(queue.held == FairShare())
    let isIn = queue.append(0, from: 7, bytes: limit)
    #expect(isIn)
  }

  /// Turns are alike in work: what costs forty turns lets a small one by that came later.
  @Test func whatCostsMuchWaitsForMoreTurns() {
    var queue = FairQueue<String>(FairBounds(elements: 100), costPerTurn: 250)
    for source in 1...3 as ClosedRange<UInt64> { _ = queue.append("large\(source)", from: source, cost: 10_000) }
    for number in 0..<20 { _ = queue.append("small\(number)", from: 8, cost: 250) }
    _ = queue.append("other", from: 9, cost: 1)
    let order = queue.removeAll()
    #expect(order.prefix(3) == ["small0", "other", "small1"])
    #expect(order.suffix(3) == ["large1", "large2", "large3"], "and come when nobody else is there, or long enough")
    for number in 0..<60 { _ = queue.append("small\(number)", from: 8, cost: 250) }
    _ = queue.append("large", from: 1, cost: 10_000)
    let second = queue.removeAll()
    #expect(second.firstIndex(of: "large") == 40)
  }

  @Test func sourcesThatAreNotWantedKeepTheirTurns() {
    var queue = filled([1: 2, 2: 2, 3: 1])
    let taken = [
      queue.popFirst { _, source in source != 1 }, queue.popFirst { _, source in source == 7 },
      queue.popFirst { element, _ in element == "3-0" },
    ]
    #expect(taken == ["2-0", nil, "3-0"])
    let rest = queue.removeAll()
    #expect(rest == ["1-0", "2-1", "1-1"])
  }

  @Test("100,000 random steps do what a plain model does") func random() {
    var random = SeededRandom(seed: 606)
    let (bounds, costPerTurn) = (FairBounds(elements: 60, bytes: 200_000), 10)
    var queue = FairQueue<Int>(bounds, costPerTurn: costPerTurn)
    var model: [(source: UInt64, elements: [(number: Int, bytes: Int, cost: Int)], credit: Int)] = []
    func take() -> Int? {
      while var first = model.first {
        model.removeFirst()
        defer { if !first.elements.isEmpty { model.append(first) } }
        let cost = first.elements[0].cost
        if cost <= costPerTurn || first.credit >= cost - costPerTurn {
          first.credit = 0
          return first.elements.removeFirst().number
        }
        first.credit += costPerTurn
      }
      return nil
    }
    for number in 0..<100_000 {
      if random.below(100) < 47 {
        let (taken, expected) = (queue.popFirst(), take())
        #expect(taken == expected)
        continue
      }
      let (source, bytes, cost) = (UInt64(random.below(12)), random.below(20_000), random.below(25))
      let all = model.flatMap(\.elements)
      let lane = model.firstIndex { $0.source == source }
      let own = lane.map { model[$0].elements } ?? []
      let (freeElements, freeBytes) = (60 - all.count, 200_000 - all.reduce(0) { $0 + $1.bytes })
      let isAllowed =
        own.isEmpty
        ? bytes <= max(64 << 10, freeBytes)
        : own.count < freeElements && own.reduce(bytes) { $0 + $1.bytes } <= freeBytes
      let isIn = queue.append(number, from: source, bytes: bytes, cost: cost)
      #expect(isIn == isAllowed)
      if !isAllowed { continue }
      if let lane { model[lane].elements.append((number, bytes, cost)) }
      if lane == nil { model.append((source, [(number, bytes, cost)], 0)) }
    }
    #expect(queue.held.elements == model.reduce(0) { $0 + $1.elements.count })
  }
}
