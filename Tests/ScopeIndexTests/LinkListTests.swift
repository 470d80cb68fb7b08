import ScopeTesting
import Testing

@testable import ScopeIndex

/// Where two lists of numbers meet, whatever their lengths.
@Suite struct LinkLists {
  private func withList<T>(_ numbers: [UInt32], _ body: (LinkList) -> T) -> T {
    numbers.withUnsafeBufferPointer { numbers in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 1) { none in
        body(
          LinkList(
            values: Words(start: numbers.baseAddress ?? UnsafePointer(none.baseAddress!), count: numbers.count),
            stride: 1))
      }
    }
  }

  @Test("the first shared number is the lowest that both have", arguments: 1...8 as ClosedRange<UInt64>)
  func firstShared(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let lengths = [0, 1, 7, 8, 9, 40, 300, 5_000]
    for own in lengths {
      for other in lengths {
        // Dense ones share much, sparse ones little or nothing.
        let range = UInt32(max(own, other, 1)) * [1, 3, 500].randomElement(using: &random)!
        let a = numbers(own, below: range, &random)
        let b = numbers(other, below: range, &random)
        let expected = a.firstIndex { Set(b).contains($0) }
        let found = withList(a) { a in withList(b) { a.firstShared(with: $0) } }
        #expect(found == expected, "\(a.count) and \(b.count) numbers, seed \(seed)")
      }
    }
  }

  /// What is charged for a look bounds what is looked at: two long lists cost their lengths, and a short one beside a
  /// long one little.
  @Test func workGrowsWithWhatIsLookedAt() {
    func work(_ own: Int, _ other: Int) -> Int {
      withList((0..<UInt32(own)).map { $0 * 2 }) { a in
        withList((0..<UInt32(other)).map { $0 * 2 + 1 }) { a.work(with: $0) }
      }
    }
    #expect(work(3, 1) == 1 && work(10_000, 8) == 1)
    #expect(work(10_000, 9_000) > 1_000)
    #expect(work(12, 9_000) < 32 && work(9_000, 12) < 32)
  }

  private func numbers(_ count: Int, below range: UInt32, _ random: inout SeededRandom) -> [UInt32] {
    var found: Set<UInt32> = []
    while found.count < count { found.insert(UInt32.random(in: 0..<range, using: &random)) }
    return found.sorted()
  }
}
