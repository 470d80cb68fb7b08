import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@Suite(.serialized) struct NumberDurability {
  /// Kills the daemon at random moments under changes of numbers. After each restart every number acknowledged is
  /// there, every block has its hash, and an import is held up to the part acknowledged last at least.
  @Test func ofAcknowledgedNumbersOutlivesKill9() async throws {
    let folder = TemporaryFolder()
    let seed = UInt64.random(in: 1...1_000_000)
    var random = SeededRandom(seed: seed)
    var (acknowledged, parts) = ([UInt64](), 0)
    for round in 0..<8 {
      let daemon = try ProcessDaemon(in: folder)
      if round == 0 { try daemon.client("c").applyAll(numberCompany(), to: "c") }
      try expect(acknowledged, parts, in: daemon, "seed \(seed), round \(round)")
      let (killed, added, staged) = (
        NIOLockedValueBox(false), NIOLockedValueBox([UInt64]()), NIOLockedValueBox(parts)
      )
      let first = UInt64(acknowledged.count)
      let wire = WireCaller(daemon.address, company: "c")
      async let adding: Void = onThread { addNumbers(wire, from: first, killed, added) }
      async let importing: Void = onThread { stageParts(wire, killed, staged) }
      let wanted = Int.random(in: 1...40, using: &random)
      try await waitUntil("\(wanted) numbers") { added.withLockedValue { $0.count } >= wanted }
      daemon.killNow()
      killed.withLockedValue { $0 = true }
      try await adding
      try await importing
      acknowledged += added.withLockedValue { $0 }
      parts = staged.withLockedValue { $0 }
    }
    let last = try ProcessDaemon(in: folder)
    try expect(acknowledged, parts, in: last, "seed \(seed), at the end")
    #expect(last.stop() == 0)
    #expect(acknowledged.count > 50 && parts > 1, "\(acknowledged.count) numbers, \(parts) parts")
  }

  private func expect(_ numbers: [UInt64], _ parts: Int, in daemon: ProcessDaemon, _ place: String) throws {
    let client = try daemon.client("c")
    for some in stride(from: 0, to: numbers.count, by: 1_000) {
      let asked = numbers[some..<min(some + 1_000, numbers.count)].map(String.init)
      let answers = try client.screen(asked, for: dialer("shop")).answers
      #expect(answers.allSatisfy { $0.verdict == .unwanted }, "\(place): a number was acknowledged and is lost")
    }
    let problems = try client.verify().problems
    #expect(problems.isEmpty, "\(place)")
    let held = try WireCaller(daemon.address, company: "c").stage(0, of: "clinic-dnc")
    #expect(held.parts >= parts && held.parts <= parts + 1, "\(place): \(held) for \(parts)")
  }
}

/// One number at a time, far from each other and close by turns, so that blocks are split.
private func addNumbers(
  _ wire: WireCaller, from first: UInt64, _ killed: NIOLockedValueBox<Bool>, _ added: NIOLockedValueBox<[UInt64]>
) {
  var number = first
  while !killed.withLockedValue({ $0 }) {
    let value = 4_000_000_000 + (number % 2 == 0 ? number * 1_000 : number)
    guard (try? wire.add([NumberRow("\(value)", label: "n\(number)")], to: "shop-dnc")) != nil else { return }
    added.withLockedValue { $0.append(value) }
    number += 1
  }
}

/// Goes on where the daemon says that the import stands.
private func stageParts(
  _ wire: WireCaller, _ killed: NIOLockedValueBox<Bool>, _ staged: NIOLockedValueBox<Int>
) {
  while !killed.withLockedValue({ $0 }) {
    guard let held = try? wire.stage(0, of: "clinic-dnc").parts else { return }
    let rows = (0..<300).map { NumberRow("\(5_000_000_000 + held * 300 + $0)") }
    guard let now = try? wire.stage(UInt32(held + 1), rows, of: "clinic-dnc") else { return }
    staged.withLockedValue { $0 = now.parts }
  }
}
