import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel

/// Options of every command that edits one company.
struct EditOptions: ParsableArguments {
  @Option(
    name: .long,
    help: """
      The user who acts, as 1080 or user:1080, within that user's rights and reach. (default: none; no rights are \
      checked)
      """,
    transform: userID)
  var actor: Name?

  @Flag(name: .long, help: "Show the effect without applying it.")
  var preview = false

  @Option(name: .long, help: "With --preview: name at most N of those who would gain or lose access, up to 1000.")
  var first: UInt32 = 20

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  /// A company that changes all the time must not keep an edit waiting for ever.
  private static let attempts = 5

  func validate() throws {
    if !(1...1_000).contains(first) { throw ValidationError("--first is from 1 to 1000.") }
  }

  func apply(_ changes: [Change]) throws { try apply { _ in (changes, 0) } }

  /// Applies a change that makes or replaces a thing, which must not, or must, be there already.
  func apply(_ change: Change, to thing: Subject, isNew: Bool) throws {
    try apply { client in
      let (isKnown, revision) = try client.knows(thing)
      if isNew && isKnown == true {
        throw fail("\(thing) is there already; the subcommand edit alters it", Exit.denied)
      }
      if !isNew && isKnown == false {
        throw fail("there is no \(thing); the subcommand create makes it", Exit.denied)
      }
      return ([change], revision)
    }
  }

  /// Applies what is planned on the state at a revision, and plans again if somebody changes the company in between.
  func apply(_ plan: (Client) throws -> (changes: [Change], revision: UInt64)) throws {
    let company = try company.name()
    let client = try connection.client(company: company.text)
    var attempt = 1
    while true {
      let (changes, revision) = try asking { try plan(client) }
      do throws(RefusedApply) {
        let result = try send(changes, revision, company, client)
        result.show(isPreview: preview, asJSON: connection.json)
        return
      } catch {
        guard error.error.reason == "revision_mismatch", attempt < EditOptions.attempts else { throw error.end() }
        attempt += 1
        Thread.sleep(forTimeInterval: .random(in: 0...0.05) * Double(attempt))  // others try again as well
      }
    }
  }

  /// What the changes would do.
  func trial(_ changes: [Change]) throws -> ApplyResult {
    let company = try company.name()
    let client = try connection.client(company: company.text)
    do throws(RefusedApply) {
      return try client.preview(
        changes, of: company, actor: actor?.text ?? "", first: 1, timeoutMilliseconds: connection.workMilliseconds)
    } catch {
      throw error.end()
    }
  }

  private func send(
    _ changes: [Change], _ revision: UInt64, _ company: Name, _ client: Client
  ) throws(RefusedApply) -> ApplyResult {
    let (actor, milliseconds) = (actor?.text ?? "", connection.workMilliseconds)
    if preview {
      return try client.preview(changes, of: company, actor: actor, first: first, timeoutMilliseconds: milliseconds)
    }
    return try client.apply(
      changes, to: company, actor: actor, expectedRevision: revision, timeoutMilliseconds: milliseconds)
  }
}

/// Options of commands that take away what nobody can bring back with one command.
struct DestructionOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Do not ask first. Needed where there is no terminal.")
  var yes = false

  @OptionGroup var edit: EditOptions

  /// Applies a change if somebody agrees to it.
  ///
  /// - Parameters:
  ///   - deed: `deletes project 'clinic'`.
  ///   - name: to be typed by who agrees.
  ///   - isAlwaysAsked: also where only one row changes: nothing else goes with it.
  func apply(_ change: Change, that deed: String, of name: Name, isAlwaysAsked: Bool = false) throws {
    if !yes && !edit.preview {
      let trial = try edit.trial([change])
      if trial.edits > (isAlwaysAsked ? 0 : 1) { try ask(deed, name, trial) }
    }
    try edit.apply([change])
  }

  private func ask(_ deed: String, _ name: Name, _ trial: ApplyResult) throws {
    let access = trial.access.map { ", \($0.words)" } ?? ""
    let words = "this \(deed): \(counted(trial.edits, "row")) would change\(access)"
    if isatty(0) != 1 || isatty(2) != 1 {
      throw fail("\(words); --preview shows what, --yes does it", ExitCode.validationFailure)
    }
    FileHandle.standardError.write(Data(escapedLines("scopectl: \(words).\nType \(name) to go on: ").utf8))
    if !(readLine() ?? "").utf8.elementsEqual(name.text.utf8) { throw fail("nothing was changed", Exit.denied) }
  }
}

/// To add and to remove the same is a slip of the pen, and a right given by it is hard to notice.
func refuseBoth(adding: [Name], removing: [Name]) throws {
  guard let both = adding.first(where: removing.contains) else { return }
  throw ValidationError("'\(both)' is both to be added and to be removed.")
}

/// Names after some were added and others taken away.
func edited(_ names: [String], adding: [Name], removing: [Name]) throws -> [Name] {
  let kept = try names.map { try Name($0) }.filter { !removing.contains($0) }
  return kept + adding.filter { !kept.contains($0) }
}

extension RefusedApply {
  /// Says what was refused, and what became of it.
  ///
  /// - Parameter places: where each change was read, for people.
  func end(_ places: [String] = []) -> ExitCode {
    if position > 0 {
      let words = error.message.parted(at: ":")?.behind.behind(" ") ?? ""
      let place = position <= places.count ? "\(places[position - 1]): " : ""
      return fail(
        "\(place)\(words.isEmpty ? error.message : words) (\(error.reason))\(hint(for: error))", Exit.denied)
    }
    if error.isSent && !error.isFromDaemon || error.reason == "deadline_exceeded" {
      return fail("\(error); the changes may or may not have been applied", Exit.unavailable)
    }
    return fail(error)
  }
}

// MARK: - What came of it

extension ApplyResult {
  func show(isPreview: Bool, asJSON: Bool) {
    if asJSON { return print(json(isPreview: isPreview)) }
    print(isPreview ? previewHead : head)
    if let gathered { print(gathered.words) }
    if let access, isPreview || access.gained + access.lost > 0 { print(access.words) }
    if isPreview { access?.printFirst() }
    for warning in warnings { print("warning: \(warning.message)") }
  }

  private var head: String {
    let done =
      isRepeated ? "applied before" : edits == 0 ? "nothing to change" : "applied, \(counted(edits, "row")) changed"
    return "\(done); revision \(revision)"
  }

  private var previewHead: String {
    "preview: \(edits == 0 ? "nothing to change" : "\(counted(edits, "row")) would change"); nothing was done; "
      + "revision \(revision)"
  }

  private func json(isPreview: Bool) -> String {
    let warnings = warnings.map { warning in
      jsonObject([
        ("change", .number(UInt64(warning.position))), ("reason", .text(warning.reason)),
        ("message", .text(warning.message)), ("projects", .list(warning.projects)),
      ])
    }
    var fields: [(String, JSONValue)] = [("revision", .number(revision)), ("edits", .number(UInt64(edits)))]
    if !isPreview { fields.append(("repeated_key", .flag(isRepeated))) }
    fields.append(("warnings", .objects(warnings)))
    if let gathered { fields.append(("gathered", .raw(gathered.json))) }
    if let access { fields.append(("access", .raw(access.json))) }
    return jsonObject(fields)
  }
}

extension ApplyResult.Gathered {
  fileprivate var words: String {
    let names = first.prefix(5)
    let more = users + objects - UInt64(names.count)
    return "into project '\(project)', because in none before: \(counted(Int(users), "user")) and "
      + "\(counted(Int(objects), "object")) (\(names.joined(separator: ", "))\(more > 0 ? ", … \(more) more" : ""))"
  }

  fileprivate var json: String {
    jsonObject([
      ("project", .text(project)), ("users", .number(users)), ("objects", .number(objects)), ("first", .list(first)),
      ("complete", .flag(isComplete)),
    ])
  }
}

extension AccessReport {
  /// `access: 12 gained, 3 lost`
  var words: String { "access: \(gained) gained, \(lost) lost" }

  var json: String {
    jsonObject([
      ("gained", .number(gained)), ("lost", .number(lost)), ("first", .objects(first.map(\.json))),
      ("complete", .flag(isComplete)),
    ])
  }

  fileprivate func printFirst() {
    printTable(
      first.map { row in
        [
          "\(row.isGained ? "+" : "-") \(titled("user", row.user, row.userName))",
          titled(row.object.type, row.object.id, row.object.name),
        ]
      })
    let more = gained + lost - min(gained + lost, UInt64(first.count))
    if more > 0 { print("and \(more) more") }
  }
}

extension AccessReport.Row {
  fileprivate var json: String {
    jsonObject([
      ("change", .text(isGained ? "gained" : "lost")), ("user", .text(user)), ("user_name", .text(userName)),
      ("type", .text(object.type)), ("id", .text(object.id)), ("name", .text(object.name)),
    ])
  }
}
