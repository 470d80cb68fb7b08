import Foundation
import ScopeTesting
import Testing

/// README, and what all pages have in common.
@Suite struct ReadmeTests {
  /// Every page there is, by its path.
  private static let pages: [String] = {
    var pages = ["README.md", "proto/README.md", "Tests/RULES.md"]
    for folder in ["Scripts", "Sources"] {
      let paths = try? FileManager.default.subpathsOfDirectory(
        atPath: packageFolder.appendingPathComponent(folder).path)
      pages += (paths ?? []).filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }
    }
    return pages.sorted()
  }()

  @Test func isShort() throws {
    let words = try Page("README.md").prose.flatMap { $0.text.split(separator: " ") }
    #expect(words.count <= 500)
  }

  /// The session is that of `Scripts/run`: its questions, in its layout, with the daemon's answers.
  @Test func showsWhatScriptsRunPrints() async throws {
    let fences = try Page("README.md").fences
    let session = try #require(fences.first { $0.lines.first == "$ Scripts/run" }).lines
    let script = try String(contentsOf: packageFolder.appendingPathComponent("Scripts/run"), encoding: .utf8)
    let questions = script.matches(of: /(?m)^ask (\S+) (\S+) (\S+)$/).map { [$0.1, $0.2, $0.3].map(String.init) }
    let files = script.matches(of: /(?m)^scopectl import (\S+)$/).map { String($0.1) }
    let layout = try #require(script.firstMatch(of: /(?m)^row='(.+?)\\n'$/)?.1)
    let widths = layout.matches(of: /%(?:-(\d+))?s/).map { $0.1.flatMap { Int($0) } ?? 0 }
    #expect(questions.count > 8 && files.count == 2 && widths.count == 4)
    /// As the script prints it.
    func row(_ cells: [String]) -> String {
      zip(cells, widths).map { $0.padding(toLength: max($0.count, $1), withPad: " ", startingAt: 0) }
        .joined(separator: " ")
    }
    try await withDaemon { daemon in
      let address = daemon.address(.unix)
      var lines: [String] = []
      for file in files {
        let path = packageFolder.appendingPathComponent(file).path
        lines.append(try await scopectl(["import", path], at: address).output.trimmingCharacters(in: .newlines))
      }
      lines += ["", row(["company", "who", "what", "answer"])]
      for question in questions {
        let check = try await scopectl(["check", question[1], question[2]], at: address, company: question[0])
        lines.append(row(question + [check.output.components(separatedBy: ", revision")[0]]))
      }
      #expect(session[1].hasPrefix("scoped: ready at unix:"))
      #expect(Array(session.dropFirst(2)) == lines)
    }
  }

  /// Every relative link leads to a file that is there, and to a heading that it has.
  @Test func everyLinkLeadsSomewhere() throws {
    #expect(Self.pages.count > 20)
    var anchors: [String: [String]] = [:]
    var links = 0
    for path in Self.pages {
      let page = try Page(path)
      for (target, line) in page.links where !target.contains(/^\w+:/) {
        let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let folder = page.url.deletingLastPathComponent()
        let file = parts[0].isEmpty ? page.url : folder.appendingPathComponent(parts[0]).standardizedFileURL
        links += 1
        guard FileManager.default.fileExists(atPath: file.path) else {
          Issue.record("\(path):\(line): there is no \(target)")
          continue
        }
        guard parts.count > 1 else { continue }
        if anchors[file.path] == nil { anchors[file.path] = try Page(file).anchors }
        #expect(anchors[file.path]!.contains(parts[1]), "\(path):\(line): there is no heading \(target)")
      }
    }
    #expect(links > 100)
  }

  /// A page that nothing leads to is not found.
  @Test func everyPageIsLinked() throws {
    var found: Set = ["README.md"]
    var next = ["README.md"]
    while let path = next.popLast() {
      let page = try Page(path)
      for (target, _) in page.links where !target.contains(/^\w+:/) {
        let file = target.prefix { $0 != "#" }
        if !file.hasSuffix(".md") { continue }
        let url = page.url.deletingLastPathComponent().appendingPathComponent(String(file)).standardizedFileURL
        let other = String(url.path.dropFirst(packageFolder.path.count + 1))
        if found.insert(other).inserted { next.append(other) }
      }
    }
    #expect(Set(Self.pages).subtracting(found) == [])
  }

  @Test func noPageHasAHeadingTwice() throws {
    for path in Self.pages {
      let anchors = try Page(path).anchors
      #expect(Set(anchors).count == anchors.count, "\(path)")
    }
  }
}
