import Foundation
import ScopeTesting
import Testing

@testable import scope_bench

@Suite struct ReportTests {
  @Test func aMedianIsTheMiddleOneOrBetweenTheTwoInTheMiddle() {
    #expect([3.0, 1, 2].median == 2)
    #expect([4.0, 1, 2, 3].median == 2.5)
    #expect([Double]().medianIfAny == nil)
  }

  /// A round in which the machine is slow counts as much as any other: the ratio is taken within it.
  @Test func aRatioIsTheMedianOfTheRatiosOfTheRounds() {
    var measurements = Measurements()
    let turn = Turn.filter
    for (own, other) in [(1.0, 2.0), (30, 40), (9, 3)] {
      measurements.add(sample(p50: own), Latencies(), of: "a", turn)
      measurements.add(sample(p50: other), Latencies(), of: "b", turn)
    }
    #expect(measurements.ratio(of: \.p50Microseconds, "a", turn, to: "b") == 0.75)
    #expect(measurements["a", turn]!.median.p50Microseconds == 9)
    #expect(measurements["a", .closed(depth: 1, connections: 1)] == nil)
  }

  @Test func percentilesComeFromTheHistogramInMicroseconds() {
    var latencies = Latencies()
    for value in 1...1_000 as ClosedRange<UInt64> { latencies.record(value * 1_000) }
    let sample = Sample(LoadResult(latencies: latencies, answers: 1_000, seconds: 0.5), processorNanoseconds: 4_000_000)
    #expect(abs(sample.p50Microseconds - 500) < 1)
    #expect(abs(sample.p999Microseconds - 999) < 1.1)
    #expect(sample.perSecond == 2_000)
    #expect(sample.processorNanosecondsPerAnswer == 4_000)
  }

  @Test(arguments: [
    (0.834, "0.83"), (12.34, "12.3"), (123.4, "123"), (48, "48"), (5e6, "5,000,000"), (9_535_706.2, "9,535,706"),
    (1_000, "1,000"),
  ]) func numbersHaveThreeDigitsThatCount(value: Double, text: String) {
    #expect(Table.number(value) == text)
  }

  @Test func boundsTellWhatHolds() {
    #expect(Target.Bound.atMost(1.1).holds(1.1) && !Target.Bound.atMost(1.1).holds(1.11))
    #expect(Target.Bound.atLeast(10).holds(10) && !Target.Bound.atLeast(10).holds(9.9))
    #expect(!Target.Bound.below(1).holds(1))
  }
}

private func sample(p50: Double) -> Sample {
  var latencies = Latencies()
  latencies.record(UInt64(p50 * 1e3))
  var sample = Sample(LoadResult(latencies: latencies, answers: 1, seconds: 1))
  sample.p50Microseconds = p50
  return sample
}

/// Performance.md shows a report of this program: the targets are today's, and each verdict follows from its figure.
@Suite struct PerformancePageTests {
  @Test func theTargetsShownAreTheProgramsOwn() throws {
    let page = packageFolder.appendingPathComponent("Sources/scoped/Documentation.docc/Performance.md")
    let lines = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "\n")
    var missed = 0
    for target in Target.all {
      let line = try #require(lines.first { $0.hasPrefix(target.words + "  ") }, "\(target.words)")
      let cells = line.dropFirst(target.words.count).matches(of: /(\S+) +([≤≥<] \S+) +(\S+)/).map { $0.output }
      try #require(cells.count == 1, "\(line)")
      let value = try #require(Double(cells[0].1.replacing(",", with: "")))
      #expect(cells[0].2 == target.bound.words)
      #expect(cells[0].3 == (target.bound.holds(value) ? "holds" : "MISSED"), "\(line)")
      missed += target.bound.holds(value) ? 0 : 1
    }
    #expect(missed == 3 && lines.contains("Three targets are missed."))
  }
}
