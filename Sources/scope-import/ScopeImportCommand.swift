import ArgumentParser
import Foundation
import ScopeClient
import ScopeImport
import ScopeModel
import ScopeProtocol

extension ImportOptions.Mode: ExpressibleByArgument {}
extension ImportOptions.Format: ExpressibleByArgument {}
extension ListPurpose: ExpressibleByArgument {
  public init?(argument: String) { self.init(name: argument) }
  public static var allValueStrings: [String] { allCases.filter { $0 != .none }.map(\.name) }
}

/// The import tool for number lists.
@main
struct ScopeImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scope-import",
    abstract: "Imports numbers from a file into a number list.",
    discussion: """
      FILE is CSV (RFC 4180, UTF-8, names of columns in the first line) or JSON Lines, of any length. Numbers are \
      normalised to E.164; what is no valid number is refused, counted, and with --report written to a file. Of several \
      lines with a number, the last counts.

      Examples:
        scope-import --company acme --list dnc --region DE dnc.csv
        scope-import --list dnc --no-normalise --report refused.jsonl --dry-run dnc.csv
        scope-import --list leads --number-column phone --label-column name --keep city --keep plan leads.csv
        scope-import --list leads --mode add --format jsonl --keep-all --region US new.jsonl
        scope-import --list dnc --mode remove --no-normalise --no-header --number-column 1 back.csv
        scope-import --list autumn --create --project shop --purpose calling --region DE autumn.csv

      Whatever ends it, the same command goes on where it stopped. With --mode replace, the list keeps its old numbers \
      until all new ones are there. It keeps them for good if too many lines were refused (--max-refused), or if many of \
      them would go and nobody says yes to it.

      Exit codes: 0 done; 1 refused by the daemon's rules; 2 unavailable: the daemon did not answer; 3 the list was \
      left as it was, since lines were refused or many of its numbers would go; 64 wrong usage; 65 bad input data; 66 the file can't be read; 73 a file can't \
      be written; 75 another scope-import has the work folder; 130, 143 ended by Ctrl-C, SIGTERM. Completion for your \
      shell: scope-import --generate-completion-script bash
      """,
    version: "\(Release.version)")

  @Argument(
    help: "A file, or - for standard input, which goes on only once it is read in full.", completion: .file())
  var file: String

  @Option(name: .long, help: "The list, as its id or list:ID.", transform: { try id($0, of: "list") })
  var list: Name

  @Option(
    name: .long,
    help: "replace: the file's numbers become the list's; add: they join those there are; remove: they go off it.")
  var mode = ImportOptions.Mode.replace

  @Option(
    name: .long,
    help: "The user who acts, as 1080 or user:1080; needs that user's rights and reach. (default: the platform)",
    transform: { try id($0, of: "user") })
  var actor: Name?

  @OptionGroup var reading: ReadingOptions
  @OptionGroup var connection: ConnectionOptions

  @Option(name: .long, help: "Write refused lines to this file, as JSON Lines.", completion: .file())
  var report: String?

  @Option(
    name: .long, help: "Where what is done so far is kept. (default: FILE.scope-import)", completion: .directory)
  var workFolder: String?

  @Option(name: .long, help: "Threads that read, from 1 to 256, some 70 MiB each. (default: one for each processor)")
  var threads: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Note what is done after so many bytes of the file. (default: some seconds' work)", visibility: .hidden))
  var segmentBytes: Int?

  @Flag(name: .long, help: "Do everything but send.")
  var dryRun = false

  @Flag(name: .long, help: "Forget another import that is under way on the list.")
  var abandonOther = false

  @Flag(name: .long, help: "If any line is refused, leave the list as it is, and exit with 3.")
  var strict = false

  @Option(
    name: .long,
    help: ArgumentHelp(
      """
      Replace nothing if more than this percentage of the lines is refused. (default: 0 for lists that protect, \
      unwanted and vip; \(percent(SendingOptions.usualRefusedPercent)) for others)
      """, valueName: "percent"))
  var maxRefused: Double?

  @Flag(
    name: .shortAndLong,
    help: "Replace even if many of the list's numbers go: ten and more than a tenth, or more than half.")
  var yes = false

  @Flag(
    name: .long,
    help: "Make the list if it is not there, with its projects and its purpose in one change before the numbers.")
  var create = false

  @Option(
    name: .long, help: "With --create: a project that the list is placed in; may be repeated.",
    transform: { try id($0, of: "project") })
  var project: [Name] = []

  @Option(name: .long, help: "What the list is for. (default: as it is)")
  var purpose: ListPurpose?

  @Flag(name: .long, help: "Print the summary as JSON.")
  var json = false

  @Flag(name: .shortAndLong, help: "Do not tell how far it is.")
  var quiet = false

  static func main() {
    StandardOutput.begin("scope-import")
    do {
      var command = try parseAsRoot(try CommandArguments.read())
      try command.run()
    } catch {
      end(error)
    }
  }

  private static func end(_ error: any Error) -> Never {
    let error = error is CommandArguments.Unreadable ? ValidationError("\(error)") : error
    let code = exitCode(for: error)
    if error is ExitCode || code.isSuccess || !StandardError.isJSON { exit(withError: error) }
    StandardError.error(message(for: error), reason: "usage", exit: code.rawValue)
    exit(withError: code)
  }

  func validate() throws {
    if let maxRefused, !(0...100).contains(maxRefused) { throw ValidationError("--max-refused is from 0 to 100.") }
    if mode != .replace && (maxRefused != nil || yes) {
      throw ValidationError("--max-refused and --yes are for --mode replace.")
    }
    if !create && !project.isEmpty { throw ValidationError("--project is for --create.") }
    if create && mode == .remove { throw ValidationError("--create is for the modes replace and add.") }
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads is from 1 to 256.") }
    if let segmentBytes, segmentBytes < 1 { throw ValidationError("--segment-bytes is at least 1.") }
    if file == "-" && workFolder == nil {
      throw ValidationError("With standard input, --work-folder says where what is read is kept.")
    }
  }

  func run() throws {
    let options = try importOptions()
    let client = dryRun ? nil : try connection.client()
    let progress = ImportProgress(quiet ? .silent : json ? .notes : isatty(2) == 1 ? .terminal : .lines)
    let workFolder = workFolder ?? "\(file).scope-import"
    let words = stopWords(workFolder)
    let signals = StopSignals(progress, words: words)
    var withheld: Withheld?
    var read: Importer?
    do throws(ImportError) {
      let importer = try Importer(
        options, client: client, sending: sending, workFolder: workFolder,
        threads: threads ?? ProcessInfo.processInfo.activeProcessorCount, segmentBytes: segmentBytes,
        progress: progress, confirm: { confirm($0, progress) })
      read = importer
      let summary = try importer.run()
      signals.disarm()
      print(json ? summary.json(options, isDryRun: dryRun) : summary.text(options, isDryRun: dryRun))
      if let way = summary.withheld.map(\.wayOn) ?? (dryRun ? "without --dry-run" : nil) {
        progress.say("\(workFolder) stays: the same command \(way) goes on from it")
      }
      if summary.withheld == nil, let purpose = summary.purpose, purpose == .none {
        StandardError.note(purposeMissing, reason: "purpose_missing")
      }
      withheld = summary.withheld
    } catch {
      progress.finish()
      let refused = error.kind == .badData ? read?.tally.texts ?? [] : []
      if json {
        for line in refused { StandardError.note(line, reason: "lines_refused") }
      } else {
        for line in refused { StandardError.line(line) }
      }
      let goesOn = error.kind == .unavailable || error.kind == .refused
      if goesOn && json { StandardError.note(words, reason: "goes_on") }
      StandardError.error(escaped("\(error)"), reason: error.reason, exit: error.kind.rawValue)
      if goesOn && !json { StandardError.note(words, reason: "goes_on") }
      throw ExitCode(error.kind.rawValue)
    }
    if withheld != nil { throw ExitCode(3) }
  }

  private var sending: SendingOptions {
    var options = connection.sending
    (options.abandonsOther, options.isStrict) = (abandonOther, strict)
    (options.refusedPercent, options.purpose) = (maxRefused, purpose)
    (options.createsList, options.projects) = (create, project)
    return options
  }

  /// Shows what would become of the list, and asks if much of it would go.
  private func confirm(_ replacement: Replacement, _ progress: ImportProgress) -> Bool {
    progress.say(
      "list \(list): \(replacement.before) numbers before, \(replacement.numbers) now: \(replacement.added) added, "
        + "\(replacement.gone) gone, \(replacement.kept) kept")
    if yes || !replacement.isLargeLoss { return true }
    if file == "-" { return false }
    progress.finish()
    let words =
      "this replaces the numbers of list '\(list)': \(replacement.gone) of \(replacement.before) would go"
    return Confirmation.ask(words, typing: list.text) == .given
  }

  private var purposeMissing: String {
    "list \(list) has no purpose, so nothing is screened against it; give it one with --purpose, or with: "
      + "scopectl list purpose \(list) unwanted"
  }

  /// What is true whenever it ends.
  private func stopWords(_ folder: String) -> String {
    file == "-"
      ? "if standard input was read in full, the same command goes on, from \(folder); else it must be given again"
      : "the same command goes on where this one stopped, from \(folder)"
  }

  private func importOptions() throws -> ImportOptions {
    var options = ImportOptions(company: try connection.company().text, list: list.text, file: file)
    (options.mode, options.actor, options.report) = (mode, actor?.text ?? "", report)
    try reading.fill(&options)
    return options
  }
}

/// In place of Swift's, which does not notice that nothing could be written.
func print(_ line: String) { StandardOutput.line(line) }

private func id(_ text: String, of type: String) throws -> Name {
  do throws(RefError) { return try Name(id: text, of: type) } catch { throw ValidationError("\(error)") }
}

/// Options of how the file is read.
struct ReadingOptions: ParsableArguments {
  @Option(name: .long, help: "csv or jsonl. (default: by the end of the file's name, else csv)")
  var format: ImportOptions.Format?

  @Option(name: .long, help: "Country of numbers without a country's code, such as DE.")
  var region: String?

  @Flag(name: .long, help: "Numbers are E.164 already: 7 to 15 digits, with or without a plus. Ten times as fast.")
  var noNormalise = false

  @Flag(name: .long, help: "Letters behind a number's first digits stand for digits, as on a keypad: 1-800-FLOWERS.")
  var vanity = false

  @Option(name: .long, help: "What stands between two cells of CSV: a sign such as ';', or tab.")
  var delimiter = ","

  @Flag(name: .long, help: "The first line is no header; columns are numbers from 1.")
  var noHeader = false

  @Option(name: .long, help: "Column of the number. (default: number; with --no-header 1)")
  var numberColumn: String?

  @Option(name: .long, help: "Column of the name for people. (default: label, where there is one)")
  var labelColumn: String?

  @Option(name: .long, help: "Column of the time zone. (default: time_zone, where there is one)")
  var timeZoneColumn: String?

  @Option(name: .long, help: "A further column to keep; may be given up to 32 times.")
  var keep: [String] = []

  @Flag(name: .long, help: "Keep all further columns.")
  var keepAll = false

  func validate() throws {
    if noNormalise && vanity { throw ValidationError("--vanity is for numbers that are normalised.") }
    if noNormalise && region != nil { throw ValidationError("--region is for numbers that are normalised.") }
    if let region, !ImportOptions.knows(region: region) {
      throw ValidationError("--region '\(region)' is none; it is two capitals such as DE.")
    }
    if keepAll && !keep.isEmpty { throw ValidationError("--keep-all keeps what --keep names, too.") }
    if keepAll && noHeader {
      throw ValidationError("--keep-all needs the names of the columns, which --no-header lacks.")
    }
    if delimiterByte == nil { throw ValidationError("--delimiter is one ASCII sign that is no quote, or tab.") }
  }

  private var delimiterByte: UInt8? {
    if delimiter == "tab" || delimiter == "\\t" { return 0x09 }
    guard delimiter.utf8.count == 1, let byte = delimiter.utf8.first else { return nil }
    return byte == 0x22 || byte == 0x0A || byte == 0x0D || byte == 0 ? nil : byte
  }

  func fill(_ options: inout ImportOptions) throws {
    options.format = format ?? (options.file.hasSuffix(".jsonl") || options.file.hasSuffix(".ndjson") ? .jsonl : .csv)
    (options.normalises, options.region, options.readsLetters) = (!noNormalise, region ?? "", vanity)
    (options.delimiter, options.hasHeader) = (delimiterByte ?? 0x2C, !noHeader)
    options.columns.number = numberColumn ?? (noHeader && options.format == .csv ? "1" : "number")
    (options.columns.label, options.columns.timeZone) = (labelColumn, timeZoneColumn)
    (options.columns.kept, options.columns.keepsAll) = (keep, keepAll)
  }
}

/// Options of where the daemon is.
struct ConnectionOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help: "Where the daemon is: unix:PATH or tcp:HOST:PORT. (default: $SCOPED_ADDRESS, or \(standardAddress))")
  var address: String?

  @Option(name: .long, help: "The same as --address unix:PATH.", completion: .file())
  var socket: String?

  @Option(name: [.customShort("c"), .customLong("company")], help: "The list's company. (default: $SCOPED_COMPANY)")
  var companyID: String?

  @Option(name: .long, help: "How long a call may take, in milliseconds, from 1 to 60000.")
  var timeout: UInt32 = 60_000

  @Option(name: .long, help: "How long a daemon that does not answer is tried again, in seconds, up to 86400.")
  var retry = 60

  private static let standardAddress = "unix:/run/scoped/scoped.sock"

  func validate() throws {
    if !(1...60_000).contains(timeout) { throw ValidationError("--timeout is from 1 to 60000.") }
    if !(0...86_400).contains(retry) { throw ValidationError("--retry is from 0 to 86400.") }
    if socket != nil && address != nil { throw ValidationError("--socket and --address say the same.") }
  }

  func company() throws -> Name {
    guard let text = try companyID ?? CommandArguments.environment("SCOPED_COMPANY") else {
      throw ValidationError("Which company? Give --company, or set SCOPED_COMPANY.")
    }
    do { return try Name(text) } catch { throw ValidationError("--company \(error)") }
  }

  func client() throws -> Client {
    let address =
      try socket.map { "unix:\($0)" } ?? address ?? CommandArguments.environment("SCOPED_ADDRESS")
      ?? ConnectionOptions.standardAddress
    let company = try company().text
    do throws(ClientError) {
      return try Client(address, company: company, timeoutMilliseconds: timeout)
    } catch {
      throw ValidationError("--address: \(error.message)")
    }
  }

  var sending: SendingOptions {
    var options = SendingOptions()
    (options.timeoutMilliseconds, options.retrySeconds) = (timeout, retry)
    return options
  }
}
