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

  static let standardAddress = "unix:/run/scoped/scoped.sock"

  mutating func validate() throws {
    let isGiven = timeout != nil
    if !isGiven, let text = try CommandArguments.environment("SCOPED_TIMEOUT") { timeout = UInt32(text) ?? 0 }
    if let timeout, !(1...60_000).contains(timeout) {
      throw ValidationError("\(isGiven ? "--timeout" : "SCOPED_TIMEOUT") is from 1 to 60000.")
    }
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
  @Option(name: [.short, .long], help: "The company asked about. (default: $SCOPED_COMPANY)", completion: .companies)
  var company: String?

  func name() throws -> Name {
    guard let text = try company ?? CommandArguments.environment("SCOPED_COMPANY") else {
      throw ValidationError("Which company? Give --company, or set SCOPED_COMPANY.")
    }
    do { return try Name(text) } catch { throw ValidationError("--company \(error)") }
  }
}
