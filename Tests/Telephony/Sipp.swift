import Foundation
import ScopeTesting

/// A call as sipp logged it.
struct CallRecord: Sendable {
  let line: Int
  /// What its line of the CSV file says.
  let expected: String
  /// `allow`, `deny` or `unavailable`.
  let verdict: String
  /// Who took the call, as `sip:host:port`; `-`: nobody.
  let taker: String
  /// When the INVITE or REFER left, in seconds since 1970.
  let sent: Double
}

/// What came of a run.
struct CallReport: Sendable {
  var records: [CallRecord]
  var retransmissions: Int
  /// Those without a final answer, or with one that nobody expects.
  var failed: Int
  var errors: String

  var wrong: [CallRecord] { records.filter { $0.verdict != $0.expected } }
}

/// The calling end: one call for each line, at a rate.
final class SippCaller {
  private let folder = TemporaryFolder()
  private let process = Process()
  private let calls: Int

  /// - Parameters:
  ///   - scenario: a file of Scenarios.
  ///   - lines: of the CSV file, taken in turn.
  ///   - rate: calls a second.
  init(_ scenario: String, lines: [String], from host: String, to port: Int, calls: Int? = nil, rate: Int = 100) throws
  {
    self.calls = calls ?? lines.count
    let csv = folder.file("calls.csv")
    try "SEQUENTIAL\n\(lines.joined(separator: "\n"))\n".write(toFile: csv, atomically: true, encoding: .utf8)
    process.executableURL = try systemProgram("sipp")
    process.arguments = [
      "\(Site.kamailio):\(port)", "-sf", testFolder.appendingPathComponent("Scenarios/\(scenario).xml").path, "-inf",
      csv,
      "-i", host, "-p", "\(freePort())", "-r", "\(rate)", "-m", "\(self.calls)", "-l", "8000", "-nostdin",
      "-trace_logs", "-log_file", folder.file("calls.log"), "-trace_err", "-error_file", folder.file("errors"),
      "-trace_stat", "-stf", folder.file("counts"), "-fd", "1", "-timeout", "240s",
    ]
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  private func text(_ name: String) -> String {
    (try? String(contentsOfFile: folder.file(name), encoding: .utf8)) ?? ""
  }

  /// What is logged so far.
  var records: [CallRecord] {
    text("calls.log").split(separator: "\n").compactMap { line in
      let cells = line.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
      guard cells.count == 7, cells[0] == "call", let seconds = Double(cells[5]), let micros = Double(cells[6]) else {
        return nil
      }
      return CallRecord(
        line: Int(cells[1]) ?? 0, expected: cells[2], verdict: cells[3], taker: cells[4], sent: seconds + micros / 1e6)
    }
  }

  /// Waits until so many calls have ended.
  func awaitRecords(_ count: Int) throws {
    guard comesAbout({ records.count >= count || !process.isRunning }), records.count >= count else {
      throw TestFailure("only \(records.count) of \(count) calls: \(text("errors").prefix(2_000))")
    }
  }

  func finish() throws -> CallReport {
    process.awaitEnd()
    let rows = text("counts").split(separator: "\n").map { $0.components(separatedBy: ";") }
    guard let names = rows.first, let last = rows.last, rows.count > 1 else {
      throw TestFailure("sipp left no counts: \(text("errors").prefix(2_000))")
    }
    let counts = Dictionary(zip(names, last)) { first, _ in first }
    guard let again = counts["Retransmissions(C)"].flatMap({ Int($0) }),
      let failed = counts["FailedCall(C)"].flatMap({ Int($0) })
    else { throw TestFailure("sipp counts otherwise: \(names)") }
    return CallReport(
      records: records, retransmissions: again, failed: max(failed, calls - records.count),
      errors: String(text("errors").prefix(2_000)))
  }
}

/// The far ends: PBX and carriers.
final class SippAnswerers {
  private var processes: [Process] = []
  private let folder = TemporaryFolder()

  init(port: Int) throws {
    for host in [Site.inside, Site.trunkMain, Site.trunkCollections] {
      let process = Process()
      process.executableURL = try systemProgram("sipp")
      process.arguments = [
        "-sf", testFolder.appendingPathComponent("Scenarios/answer.xml").path, "-i", host, "-p", "\(port)", "-nostdin",
      ]
      process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      processes.append(process)
      guard comesAbout({ isTaken(host, port) || !process.isRunning }), process.isRunning else {
        throw TestFailure("sipp does not answer at \(host):\(port)")
      }
    }
  }

  deinit { for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) } }
}
