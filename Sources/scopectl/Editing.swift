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
    completion: .users, transform: userID)
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
        throw fail("\(thing) is there already; the subcommand edit alters it", "already_there", Exit.denied)
      }
      if !isNew && isKnown == false { throw missing("\(thing)", from: client) }
      return ([change], revision)
    }
  }

  /// Applies what is planned on the state at a revision, and plans again if somebody changes the company in between.
  func apply(_ plan: (Client) throws -> (changes: [Change], revision: UInt64)) throws {
    let company = try company.name()
    let client = try connection.client(company: company.text)
    var attempt = 1
    while true {
      let (changes, revision) = try asking(client) { try plan(client) }
      do throws(RefusedApply) {
        let result = try send(changes, revision, company, client)
        result.show(isPreview: preview, asJSON: connection.json)
        return
      } catch {
        guard error.error.reason == "revision_mismatch", attempt < EditOptions.attempts else { throw error.end(client) }
        attempt += 1
        Thread.sleep(forTimeInterval: .random(in: 0...0.05) * Double(attempt))  // others try again as well
      }
    }
  }

  /// What the changes would do.
  func trial(_ changes: [Change], _ client: Client) throws -> ApplyResult {
    let company = try company.name()
    do throws(RefusedApply) {
      return try client.preview(
        changes, of: company, actor: actor?.text ?? "", first: 1,
        timeoutMilliseconds: connection.workMilliseconds)
    } catch {
      throw error.end(client)
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
  ///   - isAsked: whether what it would do is asked about; by default where more goes than the one row.
  func apply(
    _ change: Change, that deed: String, of name: Name,
    isAsked: (ApplyResult, Client) throws -> Bool = { trial, _ in trial.edits > 1 }
  ) throws {
    var wasAsked = false
    try edit.apply { client in
      if yes || edit.preview { return ([change], 0) }
      let trial = try edit.trial([change], client)
      if wasAsked { StandardError.note("the company was changed meanwhile", reason: "changed_meanwhile") }
      if try isAsked(trial, client) {
        try ask(deed, name, trial)
        wasAsked = true
      }
      // Of what was shown: if somebody changes the company meanwhile, that is shown and asked about anew.
      return ([change], trial.revision)
    }
  }

  /// Also where only one row changes: nothing else goes with it, and yet all is another.
  static func whereAnythingChanges(_ trial: ApplyResult, _ client: Client) -> Bool { trial.edits > 0 }

  private func ask(_ deed: String, _ name: Name, _ trial: ApplyResult) throws {
    let access = trial.access.map { ", \($0.words)" } ?? ""
    let words = "this \(deed): \(counted(trial.edits, "row")) would change\(access)"
    switch Confirmation.ask(words, typing: name.text) {
    case .given: return
    case .refused: throw fail("nothing was changed", "not_confirmed", Exit.denied)
    case .noTerminal:
      let code = ExitCode.validationFailure
      throw fail("\(words); --preview shows what, --yes does it", "confirmation_needed", code)
    }
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
  /// What was refused, and what became of it.
  ///
  /// - Parameter places: where each change was read, for people.
  func end(_ client: Client, _ places: [String] = []) -> CommandFailure {
    if position > 0 {
      let words = error.message.parted(at: ":")?.behind.behind(" ") ?? ""
      let place = position <= places.count ? "\(places[position - 1]): " : ""
      return failure(error, place + (words.isEmpty ? error.message : words), from: client, Exit.denied)
    }
    if error.isSent && !error.isFromDaemon || error.reason == "deadline_exceeded" {
      let words = "\(error.message); the changes may or may not have been applied"
      return failure(error, words, from: client, Exit.unavailable)
    }
    return fail(error, from: client)
  }
}

// MARK: - What came of it

extension ApplyResult {
  func show(isPreview: Bool, asJSON: Bool) {
    if asJSON { return print(json(isPreview: isPreview)) }
    print(isPreview ? previewHead : head)
    if let gathered { print(gathered.words) }
    if let access, isPreview || access.gained + access.lost > 0 { print(access.styled) }
    if isPreview { access?.printFirst() }
    // Whoever joins a project sees all in it and is seen by them: --json names them.
    if let people, people.gained + people.lost > 0 { print(people.styled(of: "sight of people and projects")) }
    for warning in warnings { print(Styled("warning", .yellow) + ": \(warning.message)") }
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

  private func json(isPreview: Bool) -> JSONFields {
    let warnings: [JSONFields] = warnings.map { warning in
      [
        ("change", .count(warning.position)), ("reason", .text(warning.reason)), ("message", .text(warning.message)),
        ("projects", .refs("project", warning.projects)),
      ]
    }
    return [
      ("preview", .flag(isPreview)), ("edits", .count(edits)), ("repeated_key", .flag(isRepeated)),
      ("warnings", .objects(warnings)), ("gathered", gathered?.json ?? .null), ("access", access?.json ?? .null),
      ("people", people?.json ?? .null),
      ("revision", .number(revision)),
    ]
  }
}

extension ApplyResult.Gathered {
  fileprivate var words: String {
    let names = first.prefix(5)
    let more = users + objects - UInt64(names.count)
    return "into project '\(project)', because in none before: \(counted(Int(users), "user")) and "
      + "\(counted(Int(objects), "object")) (\(names.joined(separator: ", "))\(more > 0 ? ", … \(more) more" : ""))"
  }

  fileprivate var json: JSONValue {
    .object([
      ("project", .ref("project", project)), ("user_count", .number(users)), ("object_count", .number(objects)),
      ("first", .texts(first)), ("complete", .flag(isComplete)),
    ])
  }
}

extension AccessReport {
  /// `access: 12 gained, 3 lost`
  var words: String { "access: \(gained) gained, \(lost) lost" }

  var styled: Styled { styled(of: "access") }

  fileprivate func styled(of what: String) -> Styled {
    Styled("\(what): ") + Styled("\(gained) gained", gained > 0 ? .green : nil) + ", "
      + Styled("\(lost) lost", lost > 0 ? .red : nil)
  }

  var json: JSONValue {
    .object([
      ("gained", .number(gained)), ("lost", .number(lost)), ("first", .objects(first.map(\.json))),
      ("complete", .flag(isComplete)),
    ])
  }

  fileprivate func printFirst() {
    printTable(
      ["  USER", "OBJECT"],
      first.map { row in
        [
          Styled(cell: row.isGained ? "+" : "-", row.isGained ? .green : .red)
            + Styled(cell: " \(titled("user", row.user, row.userName))"),
          Styled(cell: titled(row.object.type, row.object.id, row.object.name)),
        ]
      })
    let more = gained + lost - min(gained + lost, UInt64(first.count))
    if more > 0 { print("and \(more) more") }
  }
}

extension AccessReport.Row {
  fileprivate var json: JSONFields {
    [
      ("change", .text(isGained ? "gained" : "lost")), ("user", .ref("user", user)), ("user_name", .text(userName)),
      ("object", .ref(object.type, object.id)), ("object_name", .text(object.name)),
    ]
  }
}
