import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel
import ScopeProtocol

/// The command line tool.
@main
struct Scopectl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scopectl",
    abstract: "Asks scoped who may see and use what, and changes the rules.",
    discussion: """
      Things are written TYPE:ID. Subjects are user:1001, group:night-shift, project:clinic, or any object; \
      objects are queue, schedule, sip_provider, call_scenario, dialer, list, notification_template, crm_form, \
      contact_field and ip_phone.

      The daemon and the company can be set once for all commands:
        export SCOPED_ADDRESS=unix:/run/scoped/scoped.sock SCOPED_COMPANY=nordlicht
        scopectl check user:1001 queue:clinic-appointments

      With --preview, an edit shows its effect without applying it. With --at, a question is answered as of an earlier \
      time.

      Exit codes: 0 done, or allowed; 1 denied, or refused by the rules; 2 unavailable: the daemon did not answer in time; 64 \
      wrong usage; 65 bad input data; 73 the output, or a file, could not be \
      written.

      Completion for your shell: scopectl --generate-completion-script bash
      """,
    version: "\(Release.version)",
    subcommands: [WhatSeesCommand.self],
    groupedSubcommands: [
      CommandGroup(
        name: "Question",
        subcommands: [
          CheckCommand.self, CheckManyCommand.self, ExplainCommand.self, ProjectsCommand.self, ObjectsCommand.self,
          FilterCommand.self, WhoCanSeeCommand.self, VisibleToCommand.self, CheckUpCommand.self,
        ]),
      CommandGroup(
        name: "Editing",
        subcommands: [
          UserCommand.self, GroupCommand.self, RoleCommand.self, ProjectCommand.self, ObjectCommand.self,
          FieldCommand.self, NumberListCommand.self, CompanyCommand.self, ModeCommand.self,
        ]),
      CommandGroup(
        name: "File",
        subcommands: [PreviewCommand.self, ApplyCommand.self, ImportCommand.self, ExportCommand.self]),
      CommandGroup(
        name: "Log and daemon",
        subcommands: [LogCommand.self, WatchCommand.self, VerifyCommand.self, PingCommand.self]),
    ])
}

extension Scopectl {
  static func main() {
    StandardOutput.begin("scopectl")
    do { main(try CommandArguments.read()) } catch { exit(withError: ValidationError("\(error)")) }
  }
}

/// Options of every command.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help: "The daemon's address: unix:PATH or tcp:HOST:PORT. (default: $SCOPED_ADDRESS, or \(standardAddress))")
  var address: String?

  @Option(
    name: .long,
    help: """
      Timeout of a call, in milliseconds, from 1 to 60000. (default: $SCOPED_TIMEOUT, or 1000; changes and exports \
      10000)
      """)
  var timeout: UInt32?

  @Flag(name: .long, help: "Print JSON.")
  var json = false

  private static let standardAddress = "unix:/run/scoped/scoped.sock"

  mutating func validate() throws {
    let isGiven = timeout != nil
    if !isGiven, let text = try CommandArguments.environment("SCOPED_TIMEOUT") { timeout = UInt32(text) ?? 0 }
    if let timeout, !(1...60_000).contains(timeout) {
      throw ValidationError("\(isGiven ? "--timeout" : "SCOPED_TIMEOUT") is from 1 to 60000.")
    }
    if json { StandardOutput.beExact() }
  }

  /// Deadline of questions.
  var askMilliseconds: UInt32 { timeout ?? 1_000 }
  /// Deadline of changes and exports.
  var workMilliseconds: UInt32 { timeout ?? 10_000 }

  func client(company: String = "") throws -> Client {
    try client(company: company, milliseconds: askMilliseconds)
  }

  /// A client with the deadline of changes and exports.
  func workClient(company: String = "") throws -> Client {
    try client(company: company, milliseconds: workMilliseconds)
  }

  private func client(company: String, milliseconds: UInt32) throws -> Client {
    let address = try address ?? CommandArguments.environment("SCOPED_ADDRESS") ?? ConnectionOptions.standardAddress
    do throws(ClientError) {
      return try Client(address, company: company, timeoutMilliseconds: milliseconds)
    } catch {
      throw ValidationError("--address: \(error.message)")
    }
  }
}

/// Options of commands about one company.
struct CompanyOptions: ParsableArguments {
  @Option(name: [.short, .long], help: "The company asked about. (default: $SCOPED_COMPANY)")
  var company: String?

  func name() throws -> Name {
    guard let text = try company ?? CommandArguments.environment("SCOPED_COMPANY") else {
      throw ValidationError("Which company? Give --company, or set SCOPED_COMPANY.")
    }
    do { return try Name(text) } catch { throw ValidationError("--company \(error)") }
  }
}

/// How a command ends.
enum Exit {
  static let denied = ExitCode(1)
  static let unavailable = ExitCode(2)
  static let badData = ExitCode(65)
}

/// Ends the command with words on standard error.
func fail(_ message: String, _ code: ExitCode) -> ExitCode {
  printError("scopectl: \(message)")
  return code
}

/// An error of a call, with what to do about it.
func fail(_ error: ClientError) -> ExitCode {
  fail("\(error)\(hint(for: error))", error.isRefusal ? Exit.denied : Exit.unavailable)
}

func hint(for error: ClientError) -> String {
  switch error.reason {
  case "connect_failed": "; is scoped running, and is --address right?"
  case "timeout", "deadline_exceeded": "; is the daemon busy? --timeout gives it longer"
  case "unknown_company": "; is --company right?"
  case "unknown_call", "call_missing": "; the daemon is older than this scopectl"
  case "revision_mismatch": "; look again, and send it again if it is still right"
  default: ""
  }
}

/// Asks, and ends the command where there is no answer.
func asking<T>(_ body: () throws -> T) throws -> T {
  do { return try body() } catch let error as ClientError { throw fail(error) }
}

/// In place of Swift's, which does not notice that nothing could be written.
func print(_ line: String) { StandardOutput.line(line) }

func printError(_ text: String) { FileHandle.standardError.write(Data((escapedLines(text) + "\n").utf8)) }

/// JSON with the keys in the order given, which is how people read it.
func jsonObject(_ fields: [(String, JSONValue)]) -> String {
  "{" + fields.map { "\(JSONValue.text($0.0).encoded):\($0.1.encoded)" }.joined(separator: ",") + "}"
}

enum JSONValue {
  case text(String)
  case number(UInt64)
  case flag(Bool)
  case list([String])
  /// JSON already.
  case raw(String)
  case objects([String])

  var encoded: String {
    switch self {
    case .text(let text): String(decoding: (try? JSONEncoder.plain.encode(text)) ?? Data(), as: UTF8.self)
    case .number(let number): "\(number)"
    case .flag(let flag): flag ? "true" : "false"
    case .list(let texts): "[" + texts.map { JSONValue.text($0).encoded }.joined(separator: ",") + "]"
    case .raw(let json): json
    case .objects(let objects): "[" + objects.joined(separator: ",") + "]"
    }
  }
}

extension JSONEncoder {
  fileprivate static let plain: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return encoder
  }()
}

/// `1 row`, `2 rows`
func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }
