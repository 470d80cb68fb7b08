import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel

struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log", abstract: "Shows who changed what, and when.",
    discussion: """
      The newest changes come first.

      Times are local: 2026-03-03T10:00, with seconds or without; 2026-03-03, today or yesterday, which is the day's \
      first instant; 30m, 2h or 7d, which is so long ago, a day of 24 hours. With Z or an offset behind it, as in \
      2026-03-03T10:00+02:00, a time is of that zone.

      Examples:
        scopectl log --about queue:support
        scopectl log --since 7d
        scopectl log --actor 1080 --since 2026-03-01 --until 2026-04-01 --oldest
        scopectl log --kind placement
      """)

  @Option(
    name: .long, help: "Only changes to this thing: project:clinic, user:1001, role:operator, queue:…, ….",
    completion: .subjects)
  var about: String?

  @Option(name: .long, help: "Only changes by this user, 1080 or user:1080.", completion: .users, transform: userID)
  var actor: Name?

  @Option(name: .long, help: "Only changes through this caller, such as uid:1000.")
  var caller: String?

  @Option(name: .long, help: "Only changes to rows of this kind.")
  var kind: FactKind?

  @Option(name: .long, help: "Not before this time.", transform: microseconds)
  var since: Int64?

  @Option(name: .long, help: "Before this time.", transform: microseconds)
  var until: Int64?

  @Option(name: [.short, .long], help: "Show at most N changes. (default: 20; all with --json)")
  var number: Int?

  @Flag(name: .long, help: "Show the oldest changes first.")
  var oldest = false

  @Flag(name: .long, help: "Show date, seconds and offset of today's changes, too.")
  var fullTime = false

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    if let number, number < 1 { throw ValidationError("--number is at least 1.") }
  }

  func run() throws {
    let client = try connection.client(company: try company.name().text)
    let most = number ?? (connection.json ? .max : LogCommand.usual)
    var (shown, more) = (0, 0)
    do throws(ClientError) {
      try client.changes(filter) { record in
        if shown == most {
          more += 1
          return number == nil && more < LogCommand.mostCounted
        }
        if connection.json {
          print(record.json)
        } else {
          print(record.styled(about: about ?? "", withFullTime: fullTime))
        }
        shown += 1
        return true
      }
    } catch {
      throw fail(error, from: client)
    }
    if shown == 0 && !connection.json { StandardError.line("no changes match") }
    if more == 0 || number != nil { return }  // who gives a number knows where it ends
    let count = more == LogCommand.mostCounted ? "\(more) or more" : "\(more)"
    StandardError.note(
      "\(count) more; --number \(shown + more) shows them, and --since or --about narrows it down",
      reason: "more_changes")
  }

  private static let usual = 20
  /// Of what is not shown.
  private static let mostCounted = 10_000

  private var filter: LogFilter {
    var filter = LogFilter()
    filter.newestFirst = !oldest
    filter.sinceMicroseconds = since
    filter.untilMicroseconds = until
    filter.actor = actor?.text ?? ""
    filter.caller = caller ?? ""
    filter.about = about ?? ""
    filter.kind = kind?.rawValue ?? ""
    return filter
  }
}

extension FactKind: ExpressibleByArgument {}

extension LogRecord {
  /// `14:02 user:1080 moved queue:support from clinic to shop, caller uid:1000, r12`; what is longer goes into further
  /// lines. Times of other days have their date, seconds and offset.
  ///
  /// - Parameter about: `queue:support`; what touches it comes first.
  func styled(about: String = "", withFullTime: Bool = false) -> Styled {
    let date = Date(timeIntervalSince1970: Double(timeMicroseconds) / 1e6)
    let isShort = !withFullTime && Calendar.current.isDateInToday(date)
    let time = timeFormatter(isShort ? "HH:mm" : "yyyy-MM-dd HH:mm:ssxxx").string(from: date)
    let all = sentences
    let lines = (all.filter { $0.concerns(about) } + all.filter { !$0.concerns(about) }).map(\.text)
    let what = lines.isEmpty ? "changed nothing" : lines.count == 1 ? lines[0] : "made \(lines.count) edits"
    let head = "\(time) \(actor.isEmpty ? "platform" : "user:\(actor)") \(what), caller \(caller), r\(revision)"
    var further = lines.count > 1 ? Array(lines.prefix(10)) : []
    if lines.count > 10 { further.append("and \(lines.count - 10) more; --json shows all") }
    let text = Styled(([head] + further).joined(separator: "\n    "))
    guard let access, access.gained + access.lost > 0 else { return text }
    return text + "\n    " + access.styled
  }

  var json: JSONFields {
    let edits: [JSONFields] = edits.map { edit in
      let kind = (edit.after.isEmpty ? edit.before : edit.after).first ?? ""
      return [("kind", .text(kind)), ("before", row(edit.before)), ("after", row(edit.after))]
    }
    return [
      ("time", .text(utcTime)), ("time_us", .raw("\(timeMicroseconds)")), ("actor", .ref("user", actor)),
      ("caller", .text(caller)), ("edits", .objects(edits)), ("access", access?.json ?? .null),
      ("hash", .text(hex(hash))), ("revision", .number(revision)),
    ]
  }

  /// `2026-03-03T10:00:00.000000Z`
  private var utcTime: String {
    let (seconds, micro) = timeMicroseconds.quotientAndRemainder(dividingBy: 1_000_000)
    let (whole, rest) = micro < 0 ? (seconds - 1, micro + 1_000_000) : (seconds, micro)
    let formatter = timeFormatter("yyyy-MM-dd'T'HH:mm:ss")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    let digits = String(rest)
    let fraction = String(repeating: "0", count: 6 - digits.count) + digits
    return "\(formatter.string(from: Date(timeIntervalSince1970: Double(whole)))).\(fraction)Z"
  }

  /// One for each edit; a placement taken away and made anew for the same object is a move.
  private var sentences: [Sentence] {
    var sentences: [Sentence] = []
    var index = 0
    while index < edits.count {
      if index + 1 < edits.count, let move = moved(edits[index], edits[index + 1]) {
        sentences.append(Sentence(text: move, edit: edits[index]))
        index += 2
      } else {
        sentences.append(Sentence(text: sentence(edits[index]), edit: edits[index]))
        index += 1
      }
    }
    return sentences
  }
}

/// A row of the log by the names of its columns; null: there is none. What a newer daemon tells stands in a list.
private func row(_ texts: [String]) -> JSONValue {
  guard let kind = texts.first else { return .null }
  let columns = FactKind(rawValue: kind)?.columns ?? []
  guard !columns.isEmpty, columns.reduce(1, { $0 + $1.texts }) == texts.count else { return .texts(texts) }
  var rest = texts.dropFirst()
  return .object(
    columns.map { column in
      let value = rest.removeFirst()
      switch column.value {
      case .id: return (column.name, .ref(column.name, value))
      case .object: return (column.name, .ref(value, rest.removeFirst()))
      case .text: return (column.name, .text(value))
      case .number: return (column.name, UInt64(value).map { .number($0) } ?? .text(value))
      }
    })
}

/// What an edit did, in words.
private struct Sentence {
  let text: String
  let edit: LogRecord.Edit

  /// The edit's row has the thing among its columns.
  func concerns(_ thing: String) -> Bool {
    guard let (type, id) = thing.parted(at: ":") else { return false }
    let row = edit.after.isEmpty ? edit.before : edit.after
    guard row.dropFirst().contains(where: { isSame($0, id) }), let kind = row.first else { return false }
    return ObjectType(name: type) == nil ? kind.contains(type) || kind == "placement" : row.contains(type)
  }
}

private func moved(_ first: LogRecord.Edit, _ second: LogRecord.Edit) -> String? {
  guard first.before.first == "placement", first.after.isEmpty, second.after.first == "placement",
    second.before.isEmpty, first.before.count == 4, second.after.count == 4,
    isSame(first.before[1...2], second.after[1...2])
  else { return nil }
  return "moved \(first.before[1]):\(first.before[2]) from \(first.before[3]) to \(second.after[3])"
}

private func sentence(_ edit: LogRecord.Edit) -> String {
  let row = edit.after.isEmpty ? edit.before : edit.after
  let (isNew, isGone) = (edit.before.isEmpty, edit.after.isEmpty)
  guard let kind = row.first else { return "changed nothing" }
  func column(_ index: Int) -> String { index < row.count ? row[index] : "?" }
  switch kind {
  case "company":
    return isNew ? "created the company in \(column(1)) mode" : isGone ? "removed the company" : "set \(column(1)) mode"
  case "role_right":
    return isNew
      ? "gave role \(column(1)) the right \(column(2))" : "took the right \(column(2)) from role \(column(1))"
  case "user_role":
    return isNew ? "gave user \(column(1)) the role \(column(2))" : "took the role \(column(2)) from user \(column(1))"
  case "group_member":
    return isNew ? "put user \(column(2)) into group \(column(1))" : "took user \(column(2)) out of group \(column(1))"
  case "project_user", "project_group":
    let member = "\(kind == "project_user" ? "user" : "group") \(column(2))"
    return isNew ? "added \(member) to project \(column(1))" : "removed \(member) from project \(column(1))"
  case "placement":
    let object = "\(column(1)):\(column(2))"
    return isNew ? "placed \(object) in project \(column(3))" : "took \(object) out of project \(column(3))"
  case "list": return numbers(column(1), edit)
  case "object": return entity("\(column(1)):\(column(2))", edit, from: 3)
  default: return entity("\(kind) \(column(1))", edit, from: 2)
  }
}

/// What became of a list's purpose or numbers: `list`, id, purpose, how many, block set, digest.
private func numbers(_ list: String, _ edit: LogRecord.Edit) -> String {
  func column(_ row: [String], _ index: Int, or nothing: String) -> String { index < row.count ? row[index] : nothing }
  let purposes = (column(edit.before, 2, or: "none"), column(edit.after, 2, or: "none"))
  let counts = (column(edit.before, 3, or: "0"), column(edit.after, 3, or: "0"))
  if purposes.0 != purposes.1 { return "set the purpose of list \(list) to \(purposes.1)" }
  return "changed the numbers of list \(list): \(counts.0) to \(counts.1)"
}

/// A thing made, removed, or altered in the columns from `from` on.
private func entity(_ thing: String, _ edit: LogRecord.Edit, from: Int) -> String {
  if edit.before.isEmpty { return "created \(thing)" + title(edit.after, from) }
  if edit.after.isEmpty { return "removed \(thing)" }
  let changed = zip(edit.before, edit.after).dropFirst(from).filter { !isSame($0.0, $0.1) }
  return "changed \(thing): " + changed.map { "'\($0.0)' to '\($0.1)'" }.joined(separator: ", ")
}

/// The name of a new thing, where it has one beside its id.
private func title(_ row: [String], _ index: Int) -> String {
  index < row.count && !isSame(row[index], row[index - 1]) ? " '\(row[index])'" : ""
}

func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Verifies the data that the daemon has stored.",
    discussion: """
      The log's chain of hashes, the tables against the replayed log, and the indexes against the tables. Changes \
      wait meanwhile: some seconds for a million rows. Exits with 0 if all is sound, 1 if not. Keep the hash in \
      another place: a log that was cut short has another one.
      """)

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let client = try connection.workClient()
    let report: VerificationReport
    do throws(ClientError) { report = try client.verify() } catch {
      throw fail(error, from: client)
    }
    if connection.json {
      print([
        ("sound", .flag(report.isSound)), ("problems", .texts(report.problems)),
        ("company_count", .number(report.companies)), ("row_count", .number(report.facts)),
        ("hash", .text(hex(report.headHash))), ("revision", .number(report.revision)),
      ])
    } else {
      for problem in report.problems { print("problem: \(problem)") }
      let state = report.isSound ? Styled("sound", .green) : Styled("NOT sound", .red)
      print(
        state + ": \(report.companies) companies, \(report.facts) rows, revision \(report.revision), "
          + "hash \(hex(report.headHash))")
    }
    if !report.isSound { throw Exit.denied }
  }
}
