import Foundation
import ScopeTesting

/// A page of Markdown: what stands in its fences, its headings, links and tables.
struct Page {
  struct Fence {
    /// The word behind the backticks; may be empty.
    let kind: String
    let lines: [String]
    /// Number of the first line.
    let line: Int
  }

  /// Below the package's folder.
  let path: String
  let text: String
  private(set) var fences: [Fence] = []
  /// The lines outside fences, each with its number.
  private(set) var prose: [(number: Int, text: String)] = []

  init(_ path: String) throws { try self.init(packageFolder.appendingPathComponent(path)) }

  init(_ url: URL) throws {
    path = String(url.path.dropFirst(packageFolder.path.count)).trimmingPrefix("/").description
    text = try String(contentsOf: url, encoding: .utf8)
    var open: (kind: String, lines: [String], line: Int)?
    for (index, line) in text.components(separatedBy: "\n").enumerated() {
      if line.hasPrefix("```") {
        if let fence = open {
          fences.append(Fence(kind: fence.kind, lines: fence.lines, line: fence.line))
          open = nil
        } else {
          open = (String(line.dropFirst(3)), [], index + 2)
        }
      } else if open == nil {
        prose.append((index + 1, line))
      } else {
        open?.lines.append(line)
      }
    }
    if let open { throw TestFailure("\(path):\(open.line): the fence is not closed") }
  }

  var url: URL { packageFolder.appendingPathComponent(path) }

  func fences(_ kind: String) -> [Fence] { fences.filter { $0.kind == kind } }

  /// Commands behind `$ `, each with the lines it prints.
  static func steps(_ lines: [String]) -> [(command: String, shown: [String])] {
    var steps: [(command: String, shown: [String])] = []
    for line in lines {
      if line.hasPrefix("$ ") {
        steps.append((String(line.dropFirst(2)), []))
      } else {
        steps[steps.count - 1].shown.append(line)
      }
    }
    return steps
  }

  /// The headings as code hosts name them in links.
  var anchors: [String] {
    prose.compactMap { line in
      guard let heading = line.text.wholeMatch(of: /#+ (.+)/)?.1 else { return nil }
      let kept = heading.lowercased().filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) }
      return String(kept.map { $0 == " " ? "-" : $0 })
    }
  }

  /// Where its links and pictures lead.
  var links: [(target: String, line: Int)] {
    prose.flatMap { line in
      line.text.replacing(/`[^`]*`/, with: "`").matches(of: /\]\(([^)]+)\)/).map { (String($0.1), line.number) }
    }
  }

  /// The cells of the rows of its tables, heads left out; of the section with this heading, or of all.
  func rows(below heading: String? = nil) -> [[String]] {
    var (section, rows, isHead) = ("", [[String]](), true)
    for line in prose {
      if line.text.hasPrefix("## ") { section = String(line.text.dropFirst(3)) }
      guard line.text.hasPrefix("|") else {
        isHead = true
        continue
      }
      let cells = line.text.dropFirst().dropLast().components(separatedBy: "|").map {
        $0.trimmingCharacters(in: .whitespaces)
      }
      if cells.allSatisfy({ $0.allSatisfy { $0 == "-" } && !$0.isEmpty }) {
        isHead = false
      } else if !isHead && (heading == nil || heading == section) {
        rows.append(cells)
      }
    }
    return rows
  }

  /// What stands in backticks.
  static func code(in text: String) -> [String] { text.matches(of: /`([^`]+)`/).map { String($0.1) } }
}

/// A shell that keeps its state from command to command, with the built programs in its path.
final class PageShell {
  private static let mark = "--done--"
  private let process = Process()
  private let (input, output) = (Pipe(), Pipe())
  private var unread = Data()
  /// Ends it if it does not print what is awaited.
  private let deadline: DispatchWorkItem

  /// - Parameter environment: beside a path with the built programs, and UTC.
  init(in folder: TemporaryFolder, environment: [String: String] = [:]) throws {
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", "exec 2>&1; exec bash"]
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    let programs = builtProduct("scoped").deletingLastPathComponent().path
    process.environment = ["PATH": "\(programs):/usr/bin:/bin", "TZ": "UTC"].merging(environment) { $1 }
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try output.fileHandleForWriting.close()
    let id = process.processIdentifier
    deadline = DispatchWorkItem { kill(id, SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + patience / .seconds(1), execute: deadline)
  }

  deinit {
    deadline.cancel()
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  /// Has a program take the shell's place, with no errors shown: a daemon logs there.
  func send(_ program: String) { write("exec 2>/dev/null </dev/null \(program)\n") }

  private func write(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

  /// Runs a command; returns the lines it prints.
  func run(_ command: String) -> [String] {
    write("{ \(command)\n} </dev/null\necho \(PageShell.mark)\n")
    var lines: [String] = []
    while let line = line(), line != PageShell.mark { lines.append(line) }
    return lines
  }

  /// The next line, awaited; nil: it has ended.
  func line() -> String? {
    while true {
      if let end = unread.firstIndex(of: 0x0A) {
        defer { unread = Data(unread[(end + 1)...]) }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { return nil }
      unread += more
    }
  }

  /// Asks it to end; returns its exit code.
  func stop(by signal: Int32 = SIGTERM) -> Int32 {
    kill(process.processIdentifier, signal)
    return process.awaitEnd()
  }
}
