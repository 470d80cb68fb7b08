import Foundation
import NIOConcurrencyHelpers
import ScopeTesting
import Testing

/// The tool as a process.
@Suite(.serialized) struct CommandTests {
  @Test func wrongUsageAndBadFilesAreTold() async throws {
    try await onThread {
      let folder = TemporaryFolder()
      let file = folder.file("n.csv")
      try "phone\n1234567\n".write(toFile: file, atomically: true, encoding: .utf8)
      let base = ["--company", "acme", "--list", "dnc", "--dry-run", "--quiet"]
      for wrong in [
        ["--company", "acme", file], ["--list", "dnc", "--dry-run", file], base + ["--region", "de", file],
        base + ["--region", "DE", "--no-normalise", file], base + ["--mode", "x", file], base + ["-"],
        base + ["--delimiter", "ab", file], base + ["--keep", "a", "--keep-all", file],
        base + ["--threads", "0", file], ["--company", "acme", "--list", "queue:dnc", "--dry-run", file],
        base + ["--actor", "group:a", file],
      ] {
        let usage = try scopeImport(wrong)
        #expect(usage.status == 64 && usage.errors.contains("Usage: scope-import"), "\(wrong): \(usage)")
      }
      let missing = try scopeImport(base + [folder.file("none.csv")])
      #expect(missing.status == 66 && missing.errors.contains("No such file"), "\(missing)")
      let column = try scopeImport(base + [file])
      #expect(
        column.status == 65 && column.errors.contains("no column 'number'; the first line has 'phone'"), "\(column)")
      let help = try scopeImport(["--help"])
      #expect(help.status == 0 && help.output.contains("scope-import --company acme --list dnc --region DE dnc.csv"))
      #expect(try scopeImport(["--generate-completion-script", "bash"]).output.contains("--no-normalise"))
    }
  }

  @Test func aDaemonThatIsDownIsTriedAgainAndThenTold() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let file = try daemon.file("number\n1234567\n")
      let arguments = ["--company", "acme", "--list", "dnc", "--no-normalise", file]
      let down = try scopeImport(arguments + ["--socket", "/nonexistent/socket", "--retry", "0"])
      #expect(down.status == 2 && down.errors.contains("is scoped running"), "\(down)")
      #expect(down.errors.contains("the same command goes on where this one stopped"))
      let strict = try scopeImport(arguments + ["--socket", daemon.path, "--json", "--strict"])
      #expect(strict.status == 0 && strict.output.contains(#""total":1"#), "\(strict)")
      let bad = try daemon.file("number\n1234567\nx\n")
      let refused = try scopeImport(
        ["--company", "acme", "--list", "dnc", "--no-normalise", bad, "--socket", daemon.path, "--strict"])
      #expect(refused.output.contains("2 lines read: 1 number, 1 refused, 0 duplicates"), "\(refused)")
      #expect(refused.status == 3 && refused.output.contains("not_a_number: 1"), "\(refused)")
      #expect(refused.output.contains("list dnc is as it was: nothing is sent where lines were refused"))
      #expect(daemon.rows.count == 1 && refused.errors.contains("without --strict goes on from it"), "\(refused)")
      let none = try daemon.file("number,label\nx\u{1B}[31m,a\n")
      for more in [["--quiet"], ["--quiet", "--json"], ["--quiet", "--dry-run"]] {
        let all = try scopeImport(
          ["--company", "acme", "--list", "dnc", "--no-normalise", none, "--socket", daemon.path] + more)
        #expect(all.status == 65 && all.errors.contains(#"not_a_number: 1"#) && all.errors.contains(#"u{1b}[31m'"#))
        if more.contains("--json") {
          for line in all.errors.split(separator: "\n") {
            #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
          }
        }
      }
    }
  }

  /// The daily file is a stump: without a yes the list stays, and the command says how to go on.
  @Test func aLargeLossNeedsAYes() async throws {
    try await onThread {
      let old = Dictionary(uniqueKeysWithValues: (0..<50).map { (4_930_000_000 + UInt64($0), StandIn.Row()) })
      let daemon = try StandIn { ($0.rows, $0.purpose) = (old, .none) }
      defer { daemon.stop() }
      let file = try daemon.file("number\n4930000003\n4940000000\nnobody\n")
      let base = ["--company", "acme", "--list", "dnc", "--no-normalise", "--socket", daemon.path]
      let refused = try scopeImport(base + ["--purpose", "unwanted", file])
      #expect(refused.status == 3 && daemon.rows == old, "\(refused)")
      #expect(refused.output.contains("list dnc is as it was: no line may be refused for this list"))
      #expect(refused.errors.contains("the same command with a larger --max-refused goes on from it"), "\(refused)")
      let lost = try scopeImport(base + ["--max-refused", "34", "--json", file])
      #expect(lost.status == 3 && daemon.rows == old, "\(lost)")
      #expect(lost.errors.contains("list dnc: 50 numbers before, 2 now: 1 added, 49 gone, 1 kept"), "\(lost)")
      #expect(lost.errors.contains("the same command with --yes goes on from it"), "\(lost)")
      #expect(lost.output.contains(#""total":50,"withheld":"large_loss","#), "\(lost)")
      let done = try scopeImport(base + ["--max-refused", "34", "--yes", file])
      #expect(done.status == 0 && daemon.rows.count == 2, "\(done)")
      #expect(done.output.contains("list dnc is replaced: 50 before, 2 now; 1 added, 49 gone, 1 kept"), "\(done)")
      #expect(done.errors.contains("list dnc has no purpose, so nothing is screened against it"), "\(done)")
      let given = try scopeImport(base + ["--mode", "add", "--purpose", "unwanted", "--json", file])
      #expect(given.status == 0 && given.output.contains(#""purpose":"unwanted""#), "\(given)")
      #expect(!given.errors.contains("no purpose") && daemon.state.withLockedValue { $0.purpose } == .unwanted)
      for wrong in [
        ["--max-refused", "101"], ["--max-refused", "-1"], ["--mode", "add", "--yes"], ["--purpose", "dnc"],
      ] {
        #expect(try scopeImport(base + wrong + [file]).status == 64, "\(wrong)")
      }
    }
  }

  /// On a terminal it asks, and only the list's name is a yes.
  @Test(
    arguments: [("dnc\n", 0), ("y\n", 3), ("DNC\n", 3), ("\n", 3), ("dnc2\n", 3), ("\u{4}", 3)] as [(String, Int32)])
  func aLargeLossIsAskedAbout(_ answer: String, _ status: Int32) async throws {
    try await onThread {
      let old = Dictionary(uniqueKeysWithValues: (0..<50).map { (4_930_000_000 + UInt64($0), StandIn.Row()) })
      let daemon = try StandIn { $0.rows = old }
      defer { daemon.stop() }
      let file = try daemon.file("number\n4930000003\n")
      var (keyboard, screen): (Int32, Int32) = (-1, -1)
      #expect(openpty(&keyboard, &screen, nil, nil, nil) == 0)
      defer { close(keyboard) }
      let tool = try Tool(
        ["--company", "acme", "--list", "list:dnc", "--no-normalise", "--socket", daemon.path, "--quiet", file],
        terminal: FileHandle(fileDescriptor: screen, closeOnDealloc: true))
      var shown: [UInt8] = []
      let question = "this replaces the numbers of list 'dnc': 49 of 50 would go.\r\nType dnc to go on: "
      while !String(decoding: shown, as: UTF8.self).hasSuffix(question) {
        var bytes = [UInt8](repeating: 0, count: 1_024)
        var ready = pollfd(fd: keyboard, events: Int16(POLLIN), revents: 0)
        let count = poll(&ready, 1, 120_000) > 0 ? read(keyboard, &bytes, bytes.count) : 0
        if count <= 0 { throw TestFailure("it did not ask: \(String(decoding: shown, as: UTF8.self))") }
        shown += bytes[..<count]
      }
      #expect(write(keyboard, answer, answer.utf8.count) == answer.utf8.count)
      #expect(tool.wait() == status)
      #expect(status == 0 ? daemon.rows.count == 1 : daemon.rows == old)
    }
  }

  /// Killed while it reads, again and again, it ends as if nothing had happened.
  @Test func goesOnReadingAfterAKill() async throws {
    try await onThread {
      let daemon = try StandIn()
      defer { daemon.stop() }
      let text = "number,label\nx,bad\n" + (0..<60_000).map { "\(4_917_000_000 + $0 * 7 % 50_000),\($0)\n" }.joined()
      let file = try daemon.file(text + "x,bad\n")
      let report = daemon.folder.file("report")
      let arguments = [
        "--company", "acme", "--list", "dnc", "--no-normalise", "--address", daemon.address, "--threads", "1",
        "--segment-bytes", "1", "--report", report, file,
      ]
      var kills = 0
      for wanted in 1...2 {
        let tool = try Tool(arguments)
        if tool.awaitPlace(beyond: wanted * 200_000, in: file + ".scope-import") {
          tool.signal(SIGKILL)
          kills += tool.wait() == SIGKILL ? 1 : 0
        }
      }
      #expect(kills > 0, "it was always faster")
      let end = try scopeImport(arguments)
      #expect(
        end.status == 0 && end.output.contains("60002 lines read: 50000 numbers, 2 refused, 10000 duplicates"), "\(end)"
      )
      #expect(end.errors.contains("going on at line "), "\(end)")
      #expect(try String(contentsOfFile: report, encoding: .utf8).split(separator: "\n").count == 2)
      let last = Dictionary((0..<60_000).map { (UInt64(4_917_000_000 + $0 * 7 % 50_000), "\($0)") }) { $1 }
      #expect(daemon.rows.mapValues(\.label) == last && daemon.breaches == [])
    }
  }

  /// Ended after each of the requests in turn, it sends the parts that are missing, and no other.
  @Test(arguments: [(SIGKILL, SIGKILL), (SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func goesOnSendingAfterAnEnd(_ signal: Int32, _ status: Int32) async throws {
    try await onThread {
      for after in [2, 4, 5] {
        let daemon = try StandIn()
        defer { daemon.stop() }
        let file = try daemon.file("number\n" + (0..<140_000).map { "\(49_170_000_000 + $0)\n" }.joined())
        let arguments = [
          "--company", "acme", "--list", "dnc", "--no-normalise", "--address", daemon.address, "--quiet", file,
        ]
        let tool = try Tool(arguments)
        daemon.end(tool, with: signal, after: after)
        #expect(tool.wait() == status, "\(tool.errors)")
        if signal != SIGKILL { #expect(tool.errors.contains("stopped; the same command goes on"), "\(tool.errors)") }
        daemon.goOn()
        let end = try scopeImport(arguments)
        #expect(end.status == 0 && end.output.contains("140000 numbers"), "\(end)")
        #expect(daemon.rows.count == 140_000 && daemon.breaches == [])
        #expect(daemon.state.withLockedValue { $0.partsGot } == 3, "no part was sent twice for nothing")
      }
    }
  }

  @Test func theCommandLineDoesNotLinkThePhoneNumberLibrary() async throws {
    try await onThread {
      func needs(_ program: String) throws -> String {
        try run(URL(fileURLWithPath: "/usr/bin/env"), ["readelf", "-d", builtProduct(program).path]).output
      }
      for program in ["scope-import", "scoped"] { #expect(try needs(program).contains("libphonenumber.so")) }
      let libraries = try needs("scopectl")
      #expect(libraries.contains("NEEDED") && !libraries.contains("phonenumber"))
    }
  }
}

func scopeImport(_ arguments: [String]) throws -> Run {
  try run(builtProduct("scope-import"), arguments, environment: ["SCOPED_COMPANY": "", "SCOPED_ADDRESS": ""])
}

extension StandIn {
  /// Ends the tool once so many requests are done; their last is not answered before `goOn`.
  func end(_ tool: Tool, with signal: Int32, after requests: Int) {
    state.withLockedValue { state in
      if state.requests >= requests { tool.signal(signal) }
      state.cutsAfter = [requests]
      state.onRequest = { number in if number == requests { tool.signal(signal) } }
    }
  }

  func goOn() { state.withLockedValue { ($0.cutsAfter, $0.onRequest) = ([], nil) } }
}

/// The tool while it runs.
final class Tool: Sendable {
  private let process: NIOLockedValueBox<Process>
  private let identifier: pid_t
  private let folder = TemporaryFolder()

  /// - Parameter terminal: in place of standard input and error; nil: there is none.
  init(_ arguments: [String], terminal: FileHandle? = nil) throws {
    let process = Process()
    process.executableURL = builtProduct("scope-import")
    process.arguments = arguments
    _ = FileManager.default.createFile(atPath: folder.file("errors"), contents: nil)
    process.standardError = terminal ?? FileHandle(forWritingAtPath: folder.file("errors"))
    process.standardOutput = FileHandle.nullDevice
    process.standardInput = terminal ?? FileHandle.nullDevice
    try process.run()
    identifier = process.processIdentifier
    self.process = NIOLockedValueBox(process)
  }

  deinit { if process.withLockedValue({ $0.isRunning }) { kill(identifier, SIGKILL) } }

  var errors: String { (try? String(contentsOfFile: folder.file("errors"), encoding: .utf8)) ?? "" }

  func signal(_ number: Int32) { kill(identifier, number) }

  /// Its exit code, or the signal that ended it.
  func wait() -> Int32 {
    process.withLockedValue { $0.awaitEnd() }
  }

  /// Waits until its manifest is beyond so many bytes of the input; false: it has ended before.
  func awaitPlace(beyond bytes: Int, in folder: String) -> Bool {
    while process.withLockedValue({ $0.isRunning }) {
      let manifest = FileManager.default.contents(atPath: "\(folder)/manifest.json")
        .flatMap { try? JSONSerialization.jsonObject(with: $0) as? [String: Any] }
      if let place = manifest?["place"] as? [String: Any], let offset = place["offset"] as? Int, offset > bytes {
        return true
      }
      usleep(200)  // a file has no event that says so
    }
    return false
  }
}
