import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Imports the changes in FILE, batch by batch.",
    discussion: """
      FILE is JSON Lines: one change a line, with the company it belongs to, in the fields of \
      proto/scope/v1/changes.proto:

        {"company":"nordlicht","put_user":{"id":"1001","roles":["operator"]}}
        {"company":"nordlicht","put_group":{"id":"night","name":"Night shift"}}

      Each batch is applied as a whole or not at all. An error names its line, and the line to go on from with \
      --from-line once it is mended. Lines that say what is so already change nothing, so a file of put, add and \
      place can simply be imported again.
      """)

  @Argument(help: "A file of JSON Lines, or - for standard input.", completion: .file())
  var file: String

  @Option(name: .long, help: "Changes in one batch, from 1 to 10000.")
  var batch = 1_000

  @Option(name: .long, help: "Skip the lines before this one.")
  var fromLine = 1

  @OptionGroup var connection: ConnectionOptions

  /// A batch stays well below the longest frame.
  private static let batchBytes = 2 << 20

  func validate() throws {
    guard (1...10_000).contains(batch) else { throw ValidationError("--batch is from 1 to 10000.") }
    guard fromLine >= 1 else { throw ValidationError("--from-line counts from 1.") }
  }

  func run() throws {
    let client = try connection.client()
    var lines = ChangeReader(try LineReader(file), from: fromLine)
    var progress = Progress()
    var pending: [ChangeReader.Read] = []
    var bytes = 0
    while let read = try reading(&lines, &progress) {
      if let first = pending.first,
        pending.count == batch || bytes + read.bytes > ImportCommand.batchBytes
          || first.line.company != read.line.company
      {
        try send(pending, client, &progress)
        (pending, bytes) = ([], 0)
      }
      pending.append(read)
      bytes += read.bytes
    }
    try send(pending, client, &progress)
    progress.finish(asJSON: connection.json)
  }

  /// The next line; what is applied already is told when one is bad.
  private func reading(_ lines: inout ChangeReader, _ progress: inout Progress) throws -> ChangeReader.Read? {
    do { return try lines.next() } catch {
      progress.stop()
      throw error
    }
  }

  private func send(_ batch: [ChangeReader.Read], _ client: Client, _ progress: inout Progress) throws {
    guard let first = batch.first else { return }
    do throws(RefusedApply) {
      let result = try apply(batch.map(\.line.change), to: first.line.company, client)
      progress.note(batch.count, result, lastLine: batch.last!.number)
    } catch {
      progress.stop()
      throw error.end(client, batch.map(\.place))
    }
  }

  /// Sends a batch; where it is not known whether it was applied, once more under the same key.
  private func apply(_ changes: [Change], to company: Name, _ client: Client) throws(RefusedApply) -> ApplyResult {
    let key = "import-\(UUID().uuidString)"
    let milliseconds = connection.workMilliseconds
    do throws(RefusedApply) {
      return try client.apply(changes, to: company, idempotencyKey: key, timeoutMilliseconds: milliseconds)
    } catch {
      guard error.error.isSent && !error.error.isFromDaemon || error.error.reason == "deadline_exceeded" else {
        throw error
      }
      return try client.apply(changes, to: company, idempotencyKey: key, timeoutMilliseconds: milliseconds)
    }
  }
}

/// Tells on standard error how far an import is.
private struct Progress {
  private var changes = 0
  private var edits = 0
  private var lastLine = 0
  private var revision: UInt64 = 0
  private var shown = ContinuousClock.now
  private let started = ContinuousClock.now
  private let isTerminal = isatty(2) == 1 && !StandardError.isJSON

  mutating func note(_ count: Int, _ result: ApplyResult, lastLine: Int) {
    changes += count
    edits += result.edits
    revision = result.revision
    self.lastLine = lastLine
    guard isTerminal, ContinuousClock.now - shown > .milliseconds(200) else { return }
    shown = .now
    FileHandle.standardError.write(Data("\r\(changes) changes, \(rate) a second".utf8))
  }

  private var rate: Int { Int(Double(changes) / max(0.001, (ContinuousClock.now - started) / .seconds(1))) }

  /// Says what is applied when the rest is not.
  func stop() {
    if isTerminal && changes > 0 { StandardError.line("") }
    let words =
      lastLine == 0
      ? "nothing was applied"
      : "lines up to \(lastLine) are applied; when the error is mended: --from-line \(lastLine + 1)"
    StandardError.note(words, reason: "applied_so_far", [("from_line", .count(lastLine + 1))])
  }

  func finish(asJSON: Bool) {
    if isTerminal && changes > 0 { FileHandle.standardError.write(Data("\r".utf8)) }
    if asJSON {
      return print([("changes", .count(changes)), ("edits", .count(edits)), ("revision", .number(revision))])
    }
    print(
      "\(counted(changes, "change")) imported, \(counted(edits, "row")) changed; revision \(revision)")
  }
}

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Exports a company as the changes that would create it.",
    discussion: """
      Equal companies give equal files. The digest on standard error is that of the contents alone: it stays the \
      same after an import into another daemon.

      Example:
        scopectl export --company nordlicht --output nordlicht.jsonl
      """)

  @Option(
    name: .long, help: "A file to write; it is replaced when the export is complete. (default: standard output)",
    completion: .file())
  var output: String?

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let company = try company.name()
    let client = try connection.client(company: company.text)
    let partial = output.map { $0 + ".partial" }
    let file = try partial.map(create)
    if file == nil { StandardOutput.beExact() }
    signal(SIGXFSZ, SIG_IGN)  // a file that may not grow is an error like any other
    var count = 0
    var writeError: (any Error)?
    let digest: [UInt8]
    do throws(ClientError) {
      digest = try client.export(company, timeoutMilliseconds: connection.workMilliseconds) { changes in
        count += changes.count
        let lines = changes.map { ChangeLine(company: company, change: $0).json }
        guard let file else { return lines.forEach { print($0) } }
        let text = lines.map { $0 + "\n" }.joined()
        do { if writeError == nil { try file.write(contentsOf: Data(text.utf8)) } } catch { writeError = error }
      }
    } catch {
      if let partial { unlink(partial) }
      throw fail(error, from: client)
    }
    if writeError != nil, let partial {
      unlink(partial)
      throw unwritable(output!, "no space, or a limit")
    }
    StandardOutput.flush()
    if let partial, let output, let file { try replace(output, with: partial, file) }
    StandardError.note(
      "\(counted(count, "change")) exported, sha256 \(hex(digest))", reason: "exported",
      [("changes", .count(count)), ("sha256", .text(hex(digest))), ("revision", .number(client.revision))])
  }

  private func create(_ path: String) throws -> FileHandle {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw unwritable(path, String(cString: strerror(errno))) }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  private func replace(_ output: String, with partial: String, _ file: FileHandle) throws {
    guard fsync(file.fileDescriptor) == 0, rename(partial, output) == 0 else {
      throw unwritable(output, String(cString: strerror(errno)))
    }
  }
}

private func unwritable(_ file: String, _ why: String) -> CommandFailure {
  fail("can't write \(file): \(why)", "unwritable_file", Exit.cantWrite)
}
