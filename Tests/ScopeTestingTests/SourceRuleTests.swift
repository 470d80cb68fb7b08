import Foundation
import ScopeTesting
import Testing

/// What makes tests fail on a busy machine, or hang, is in none of them.
@Suite struct SourceRules {
  struct Rule: CustomTestStringConvertible, Sendable {
    let description: String
    let pattern: String
    /// What breaks it, and what does not.
    let broken: [String]
    let kept: [String]

    var testDescription: String { description }
  }

  private static let rules = [
    Rule(
      description: "waits have a bound: waitUntil or comesAbout, not a loop that yields or sleeps",
      pattern: #"while[^\n]*\{\s*(try )?(await )?(Task\.(yield|sleep)|usleep|sleep|Thread\.sleep)\("#,
      broken: [
        "while !isReady { await Task.yield() }", "while try !client.health().isReady {\n  usleep(500)\n}",
        "while true { try await Task.sleep(for: .seconds(1)) }",
      ],
      kept: ["try await waitUntil { isReady }", "for await value in values { usleep(1) }"]),
    Rule(
      description: "the end of a program is waited for by awaitEnd, which has a bound",
      pattern: #"\.waitUntilExit\("#, broken: ["process.waitUntilExit()"], kept: ["process.awaitEnd()"]),
    Rule(
      description: "no test asserts a time",
      pattern: #"#(expect|require)\([^\n]*(Clock\.now|elapsed|[dD]uration|\.measure\()"#,
      broken: [
        "#expect(ContinuousClock.now - start < .seconds(1))", "#expect(elapsed < 3)",
        "#expect(clock.measure(work) < limit)",
      ],
      kept: ["#expect(row.seconds == 3)", "let start = ContinuousClock.now"]),
    Rule(
      description: "no test has a time limit of its own: who hangs is found by Scripts/suite",
      pattern: #"\.timeLimit\("#, broken: ["@Test(.timeLimit(.minutes(1)))"], kept: ["@Test(.serialized)"]),
  ]

  /// The helpers themselves, and the examples here.
  private static let exempt: Set = ["Waiting.swift", "SourceRuleTests.swift"]

  @Test(arguments: rules) func areKept(_ rule: Rule) throws {
    let breach = try Regex(rule.pattern)
    for text in rule.broken { #expect(text.contains(breach), "\(text)") }
    for text in rule.kept { #expect(!text.contains(breach), "\(text)") }
    let sources = try Self.sources()
    #expect(sources.count > 100)
    for (path, text) in sources {
      for match in text.matches(of: breach) {
        let line = text[..<match.range.lowerBound].count(where: \.isNewline) + 1
        Issue.record("\(path):\(line): \(text[match.range]): \(rule.description)")
      }
    }
  }

  private static func sources() throws -> [(path: String, text: String)] {
    try ["Tests", "Sources/ScopeTesting"].flatMap { folder in
      let root = packageFolder.appendingPathComponent(folder)
      let names = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { $0.hasSuffix(".swift") }
      return try names.filter { !exempt.contains(($0 as NSString).lastPathComponent) }.map { name in
        ("\(folder)/\(name)", try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8))
      }
    }
  }
}
