import ArgumentParser
import Foundation
import ScopeClient

/// How a command ends.
enum Exit {
  static let denied = ExitCode(1)
  static let unavailable = ExitCode(2)
  static let badData = ExitCode(65)
  static let noInput = ExitCode(66)
  static let cantWrite = ExitCode(73)
}

/// Why a command ends without having done what it was asked; said on standard error.
struct CommandFailure: Error {
  let message: String
  /// Stable, for machines.
  let reason: String
  let code: ExitCode
}

func fail(_ message: String, _ reason: String, _ code: ExitCode) -> CommandFailure {
  CommandFailure(message: message, reason: reason, code: code)
}

/// An error of a call, with what to do about it.
///
/// - Parameter code: that the command ends with; nil: as the error is.
func fail(_ error: ClientError, from client: Client, _ code: ExitCode? = nil) -> CommandFailure {
  failure(error, error.message, from: client, code)
}

/// - Parameter words: of the error.
func failure(_ error: ClientError, _ words: String, from client: Client, _ code: ExitCode? = nil) -> CommandFailure {
  // Machines have the reason in a place of its own.
  let reason = StandardError.isJSON ? "" : " (\(error.reason))"
  let more = Suggestion.words(for: error, from: client)
  return fail(
    "\(words)\(reason)\(more.isEmpty ? hint(for: error) : more)", error.reason,
    code ?? (error.isRefusal ? Exit.denied : Exit.unavailable))
}

/// A thing that is to be edited is not there.
func missing(_ ref: String, from client: Client) -> CommandFailure {
  let error = ClientError(unknown: [ref])
  let more = Suggestion.words(for: error, from: client)
  return fail(
    "there is no \(ref)\(more.isEmpty ? "; the subcommand create makes it" : more)", error.reason, Exit.denied)
}

private func hint(for error: ClientError) -> String {
  if !error.advice.isEmpty { return "; \(error.advice)" }
  return switch error.reason {
  case "timeout", "deadline_exceeded": "; is the daemon busy? --timeout gives it longer"
  case "unknown_company": "; is --company right?"
  case "unknown_call", "call_missing": "; the daemon is older than this scopectl"
  case "revision_mismatch": "; look again, and send it again if it is still right"
  default: ""
  }
}

/// Asks, and ends the command where there is no answer.
func asking<T>(_ client: Client, _ body: () throws -> T) throws -> T {
  do { return try body() } catch let error as ClientError { throw fail(error, from: client) }
}

extension Scopectl {
  static func main() {
    StandardOutput.begin("scopectl")
    do {
      let arguments = try CommandArguments.read()
      if let script = BashCompletion.script(for: arguments) { return print(script) }
      var command = try parseAsRoot(arguments)
      try command.run()
    } catch {
      end(error)
    }
  }

  /// Says why, and ends.
  private static func end(_ error: any Error) -> Never {
    if let failure = error as? CommandFailure {
      StandardError.error(failure.message, reason: failure.reason, exit: failure.code.rawValue)
      exit(withError: failure.code)
    }
    let error = error is CommandArguments.Unreadable ? ValidationError("\(error)") : error
    let code = exitCode(for: error)
    if error is ExitCode || code.isSuccess { exit(withError: error) }
    let meant = MistypedCommand.find(in: Array(CommandLine.arguments.dropFirst()))?.words
    if StandardError.isJSON {
      StandardError.error(meant ?? message(for: error), reason: "usage", exit: code.rawValue)
    } else {
      StandardError.line(meant.map { "Error: \($0)\n" + usage(fullMessage(for: error)) } ?? fullMessage(for: error))
    }
    exit(withError: code)
  }

  /// What the parser says, without its own words for the error.
  private static func usage(_ message: String) -> String {
    message.split(separator: "\n", omittingEmptySubsequences: false).drop { !$0.hasPrefix("Usage:") }
      .joined(separator: "\n")
  }
}

/// In place of Swift's, which does not notice that nothing could be written.
func print(_ line: String) { StandardOutput.line(line) }
func print(_ line: Styled) { StandardOutput.line(line.encoded, isEscaped: true) }
func print(_ fields: JSONFields) { print(jsonObject(fields)) }

/// `1 row`, `2 rows`
func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }
