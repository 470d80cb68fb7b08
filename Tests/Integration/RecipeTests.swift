import Foundation
import ScopeTesting
import Testing

/// What Scripts/sample/RECIPES.md shows is what the commands print.
@Suite struct RecipeTests {
  @Test func everyCommandPrintsWhatIsShown() async throws {
    let steps = try RecipePage().steps
    #expect(steps.count > 40)
    try await withSample { address in
      try await onThread {
        var watch: RunningWatch?
        for step in steps {
          switch step {
          case .run(let command, let shown, let line):
            expect(try shell(command, at: address), shown, line)
          case .watch(let command, let shown, let line):
            if watch != nil { throw TestFailure("RECIPES.md:\(line): another watch still runs") }
            let started = try RunningWatch(command, at: address)
            expect(started.lines(shown.count), shown, line)
            watch = started
          case .goOn(let shown, let isLast, let line):
            guard let running = watch else { throw TestFailure("RECIPES.md:\(line): no command runs on") }
            expect(running.lines(shown.count), shown, line)
            if isLast {
              #expect(running.interrupt() == 0, "RECIPES.md:\(line)")
              watch = nil
            }
          }
        }
        if watch != nil { throw TestFailure("RECIPES.md: a watch has no ^C") }
      }
    }
  }

  @Test(arguments: [
    ("allow: clinic", "allow: clinic", true), ("allow: clinic", "allow: clini", false), ("a", "ab", false),
    ("…", "", true), ("…", "anything", true), ("… by …, r3", "14:02 by uid:0, r3", true),
    ("… by …, r3", "14:02 by uid:0, r30", false), ("a…a", "a", false), ("a…b…c", "a-c-b-c", true), ("", "x", false),
  ])
  func anEllipsisStandsForAnything(_ shown: String, _ line: String, _ isLike: Bool) {
    #expect(RecipePage.isLike(line, shown) == isLike)
  }

  private func expect(_ output: [String], _ shown: [String], _ line: Int) {
    let isLike = output.count == shown.count && zip(output, shown).allSatisfy(RecipePage.isLike)
    #expect(isLike, "RECIPES.md:\(line): it prints\n\(output.joined(separator: "\n"))")
  }
}

/// The sessions of a page, which stand in fences marked `console`; of Scripts/sample/RECIPES.md unless it says.
struct RecipePage {
  enum Step {
    /// `$ COMMAND` and what it prints.
    case run(String, shown: [String], line: Int)
    /// `$ scopectl watch …`, which runs on, and what it prints at first.
    case watch(String, shown: [String], line: Int)
    /// A fence that begins without a command: what a watch prints further; `^C` ends it.
    case goOn(shown: [String], isLast: Bool, line: Int)
  }

  private(set) var steps: [Step] = []

  init(_ page: URL = Sample.folder.appendingPathComponent("RECIPES.md")) throws {
    for fence in try Page(page).fences("console") { take(fence.lines, fence.line) }
  }

  private mutating func take(_ lines: [String], _ first: Int) {
    var index = 0
    while index < lines.count {
      let command = lines[index].hasPrefix("$ ") ? String(lines[index].dropFirst(2)) : nil
      let start = command == nil ? index : index + 1
      let end = lines[start...].firstIndex { $0.hasPrefix("$ ") } ?? lines.count
      let shown = Array(lines[start..<end])
      if let command {
        let runsOn = command.hasPrefix("scopectl watch")
        steps.append(
          runsOn
            ? .watch(command, shown: shown, line: first + index) : .run(command, shown: shown, line: first + index))
      } else {
        let isLast = shown.last == "^C"
        steps.append(.goOn(shown: isLast ? shown.dropLast() : shown, isLast: isLast, line: first + index))
      }
      index = end
    }
  }

  /// Whether a line is what the page shows, where `…` stands for any run of characters.
  static func isLike(_ line: String, _ shown: String) -> Bool {
    let pieces = shown.components(separatedBy: "…")
    guard pieces.count > 1 else { return line == shown }
    guard line.hasPrefix(pieces[0]) else { return false }
    var rest = line.dropFirst(pieces[0].count)
    for piece in pieces[1..<(pieces.count - 1)] where !piece.isEmpty {
      guard let range = rest.range(of: piece) else { return false }
      rest = rest[range.upperBound...]
    }
    return rest.hasSuffix(pieces.last!)
  }
}

/// A command in a shell, and what it prints as in a terminal: errors too.
private func shell(_ command: String, at address: String) throws -> [String] {
  let output = try run(bash, ["-c", "exec 2>&1\n\(command)"], environment: environment(address)).output
  if output.isEmpty { return [] }
  if !output.hasSuffix("\n") { throw TestFailure("the last line of '\(command)' has no end: \(output)") }
  return output.dropLast().components(separatedBy: "\n")
}

private let bash = URL(fileURLWithPath: "/bin/bash")

private func environment(_ address: String) -> [String: String] {
  let programs = builtProduct("scopectl").deletingLastPathComponent().path
  let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
  return ["PATH": "\(programs):\(path)", "SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "TZ": "UTC"]
}

/// A command that runs on.
final class RunningWatch {
  private let folder = TemporaryFolder()
  private let shell: PageShell

  init(_ command: String, at address: String) throws {
    shell = try PageShell(in: folder, environment: environment(address))
    shell.send(command)
  }

  /// The next lines, awaited; fewer if it ends.
  func lines(_ count: Int) -> [String] {
    var lines: [String] = []
    while lines.count < count, let line = shell.line() { lines.append(line) }
    return lines
  }

  /// Ends it as Ctrl-C would; returns its exit code.
  func interrupt() -> Int32 { shell.stop(by: SIGINT) }
}
