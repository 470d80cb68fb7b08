import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// Each command of `scopectl`, met with all that can go wrong: what it exits with, where it says what, and in which
/// shape.
///
///     met with                exit        standard output        standard error
///     success                 0           what is told below     nothing, or notes
///     a wrong argument        64          nothing                words, with the usage
///     no daemon               2           nothing; check: its    words with the address
///                                         answer
///     an unknown company or
///     thing: refused          1           nothing                words
///            denied           1           the answer             nothing
///     a full disk             73          –                      words
///     nobody who reads        128+SIGPIPE –                      nothing
///
/// Words and JSON come from one place each, so not each command is met with everything in both. With --json words are one
/// object, `{"error":…}`, and so is each note; answers are as JSON.md says. On a terminal tables fit its width.
@Suite struct CommandTree {
  /// Command | arguments | with an unknown company | arguments that name what is not there | with these. In an order in
  /// which each has something to do; `%` differs in each run through them, `#` is a digit that does. Commands that print
  /// tables end in `:`; a line that begins with `+` is there for those behind it.
  private static let table = """
    check|user:1001 queue:clinic-appointments|denied|user:nobody queue:a|denied
    check-many|FOLDER/checks|denied|FOLDER/unknown|denied
    projects:|1001|refused|nobody|refused
    filter:|user:1001 queue shop-orders clinic-appointments|refused|user:nobody queue a|refused
    objects:|user:1001|refused|user:nobody|refused
    explain|user:1001 queue:clinic-appointments|denied|user:nobody queue:a|denied
    who-can-see:|queue:shop-orders|refused|queue:none|refused
    what-sees:|user:1001|refused|user:nobody|refused
    visible-to:|user:1001|refused|user:nobody|refused
    check-up|--kind field_shared|refused||
    user list:||refused|--role none|refused
    user show:|1001|refused|nobody|refused
    user rights:|1073 report.agents|denied|nobody report.agents|denied
    user create|%1 --role operator|refused|%9 --role none|refused
    user edit|%1 --name N|refused|nobody --block|refused
    user delete|%1|refused|nobody|refused
    group list:||refused||
    group create|%2|refused||
    group show:|clinic-team|refused|none|refused
    group edit|%2 --name N|refused|none --name N|refused
    group add|%2 1001|refused|none 1001|refused
    group remove|%2 1001|refused|%2 nobody|refused
    group delete|%2|refused|none|refused
    role list:||refused||
    role show:|operator|refused|none|refused
    role create|%3 --right x.y|refused||
    role edit|%3 --add-right x.z|refused|none --add-right x|refused
    role delete|%3 --yes|refused|none|refused
    project list:||refused|--user nobody|refused
    project show:|clinic|refused|none|refused
    project create|%4|refused||
    project edit|%4 --name N%|refused|none --name N|refused
    project add|%4 user:1001|refused|%4 user:nobody|refused
    project remove|%4 user:1001|refused|none user:1001|refused
    project delete|%4|refused|none|refused
    object list:|--in-no-project|refused||
    object show:|queue:clinic-appointments|refused|queue:none|refused
    object create|queue:%5 --project shop|refused|queue:%9 --project none|refused
    project move|queue:%5 shop clinic|refused|queue:none shop clinic|refused
    object move|queue:%5 clinic shop|refused|queue:none clinic shop|refused
    object edit|queue:%5 --name N|refused|queue:none --name N|refused
    object unplace|queue:%5 shop|refused|queue:none shop|refused
    object place|queue:%5 clinic|refused|queue:none clinic|refused
    object delete|queue:%5|refused|queue:none|refused
    field list:|--shared|refused||
    field create|%6|refused|%9 --project none|refused
    field edit|%6 --name N|refused|none --name N|refused
    field place|%6 clinic|refused|none clinic|refused
    field unplace|%6 clinic|refused|none clinic|refused
    field delete|%6|refused|none|refused
    list of:|--as user:1080|refused|--as user:nobody|refused
    list purpose|do-not-call unwanted|refused|none unwanted|refused
    list add|do-not-call +49305550#|refused|none +49305550#|refused
    list numbers:|do-not-call --as user:1080|refused|none --as user:1080|refused
    list screen:|--as user:1080 +493055559|denied|--as user:nobody +493055559|denied
    list remove|do-not-call +49305550#|refused|none +49305550#|refused
    +object create|list:%7|||
    list delete|%7 --yes|refused|none --yes|refused
    company list:||||
    company show:||refused||
    company create|--company %8 --mode simple|||
    company delete|--company %8 --yes|refused||
    mode||refused||
    preview|FOLDER/changes||FOLDER/refused|refused
    apply|FOLDER/changes||FOLDER/refused|refused
    import|FOLDER/changes||FOLDER/refused|refused
    export||refused||
    log|-n 5|refused|--about user:nobody|refused
    watch changes|--after 2|refused||
    watch access|user:1001|refused|user:nobody|refused
    verify||||
    ping||||
    """

  private enum Ending: String { case refused, denied }

  private struct Line: Sendable {
    let command: [String]
    let arguments: [String]
    let unknownCompany, unknownThing: Ending?
    let unknown: [String]
    let printsTable: Bool
    let isPreparation: Bool

    init(_ text: Substring, _ folder: String) {
      let cells = text.split(separator: "|", omittingEmptySubsequences: false)
      func words(_ cell: Int) -> [String] {
        cells[cell].replacing("FOLDER/", with: folder).split(separator: " ").map(String.init)
      }
      isPreparation = text.hasPrefix("+")
      printsTable = cells[0].hasSuffix(":")
      command = cells[0].filter { !":+".contains($0) }.split(separator: " ").map(String.init)
      (arguments, unknown) = (words(1), words(3))
      (unknownCompany, unknownThing) = (Ending(rawValue: "\(cells[2])"), Ending(rawValue: "\(cells[4])"))
    }

    var name: String { command.joined(separator: " ") }
    var isWatch: Bool { command[0] == "watch" }
  }

  /// A way of running through all commands, each with success if nothing else is in its way.
  private enum Pass: String, CaseIterable {
    case words, json, fullDisk, nobodyReads, wide, narrow

    var columns: Int? { self == .wide ? 80 : self == .narrow ? 40 : nil }
  }

  @Test func isAsWrittenDown() async throws {
    let folder = TemporaryFolder()
    let daemon = try ProcessDaemon(in: folder)
    try Sample.load(into: try daemon.client())
    try Self.write(in: folder)
    let lines = Self.table.split(separator: "\n").map { Line($0, folder.file("")) }
    #expect(try Self.commands() == Set(lines.map(\.name)), "every command has its line")
    let runner = Runner(address: daemon.address, page: try JSONPage())
    #expect(Set(runner.page.commands.keys).subtracting(lines.map(\.name)) == ["check --repeat", "scope-import"])
    let passes = Pass.allCases.map { pass in { @Sendable in runner.run(pass, lines) } }
    let mishaps = lines.filter { !$0.isPreparation }.map { line in { @Sendable in runner.meet(line) } }
    await inParallel(passes + mishaps + [{ @Sendable in runner.runTheRest(in: folder) }])
    let mistakes = runner.mistakes.withLockedValue { $0 }
    #expect(mistakes.isEmpty, "\(mistakes.sorted().joined(separator: "\n"))")
    #expect(daemon.stop() == 0)
  }

  private static func write(in folder: TemporaryFolder) throws {
    for (file, text) in [
      ("checks", "user:1001 queue:clinic-appointments\n"), ("unknown", "user:nobody queue:a\n"),
      ("changes", #"{"company":"nordlicht","put_user":{"id":"n8","name":"N","roles":[]}}"# + "\n"),
      ("refused", #"{"company":"nordlicht","remove_user":{"id":"nobody"}}"# + "\n"),
      ("numbers", "number\n4930555001\n"),
    ] {
      try text.write(toFile: folder.file(file), atomically: true, encoding: .utf8)
    }
  }

  /// The commands of `scopectl` that have no others below them.
  private static func commands() throws -> Set<String> {
    let dump = try run(builtProduct("scopectl"), ["--experimental-dump-help"]).output
    let tree = try #require(try JSONSerialization.jsonObject(with: Data(dump.utf8)) as? [String: Any])
    func leaves(_ command: [String: Any], _ path: [String]) -> [String] {
      let below = (command["subcommands"] as? [[String: Any]] ?? []).filter { $0["commandName"] as? String != "help" }
      if below.isEmpty { return [path.joined(separator: " ")] }
      return below.flatMap { leaves($0, path + [$0["commandName"] as? String ?? ""]) }
    }
    return Set(leaves(try #require(tree["command"] as? [String: Any]), []))
  }

  /// What a terminal would have to obey, and the usage, end as quietly where nobody reads.
  @Test func helpThatIsLostIsNoticed() async throws {
    try await onThread {
      let shell = URL(fileURLWithPath: "/bin/sh")
      let help = [builtProduct("scopectl").path, "--help"]
      let lost = try run(shell, ["-c", #"exec "$@" >/dev/full"#, "sh"] + help)
      #expect(lost.status == 73 && lost.errors.hasPrefix("scopectl: the output is incomplete: "), "\(lost)")
      let unread = try run(bash, ["-c", #""$@" | true; exit ${PIPESTATUS[0]}"#, "bash"] + help)
      #expect([0, 128 + SIGPIPE].contains(unread.status) && unread.errors.isEmpty, "\(unread)")
    }
  }

  // MARK: - Runs

  /// What a program printed and how it ended; also of one that could not be run.
  private struct Ended {
    let status: Int32
    let output, errors: String
  }

  /// Runs commands, and notes what is not as written down.
  private final class Runner: Sendable {
    let address: String
    let page: JSONPage
    let mistakes = NIOLockedValueBox<[String]>([])
    /// A daemon verifies for one at a time.
    private let verification = NSLock()

    init(address: String, page: JSONPage) { (self.address, self.page) = (address, page) }

    private func expect(_ isSo: Bool, _ what: String, _ arguments: [String], _ run: Ended) {
      if isSo { return }
      let output = run.output.prefix(600)
      mistakes.withLockedValue {
        $0.append("\(what): \(arguments.joined(separator: " ")): \(run.status) '\(output)' '\(run.errors.prefix(600))'")
      }
    }

    private func scopectl(_ arguments: [String], at address: String? = nil) -> Ended {
      start(builtProduct("scopectl"), arguments, at: address ?? self.address)
    }

    private func start(_ program: URL, _ arguments: [String], at address: String) -> Ended {
      let environment = ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": "nordlicht", "TERM": "dumb"]
      if arguments.contains("verify") { verification.lock() }
      defer { if arguments.contains("verify") { verification.unlock() } }
      do {
        let run = try ScopeTesting.run(program, arguments, environment: environment)
        return Ended(status: run.status, output: run.output, errors: run.errors)
      } catch {
        return Ended(status: -1, output: "", errors: "it could not be run: \(error)")
      }
    }

    // MARK: Success, and output that is lost

    /// All commands one after another.
    func run(_ pass: Pass, _ lines: [Line]) {
      let digit = Pass.allCases.firstIndex(of: pass)!
      for line in lines where pass.columns == nil || line.printsTable {
        let arguments =
          line.command
          + line.arguments.map { $0.replacing("%", with: pass.rawValue).replacing("#", with: "\(digit)") }
        if line.isPreparation {
          let run = scopectl(arguments)
          expect(run.status == 0, "prepares", arguments, run)
        } else {
          self.run(pass, line, arguments)
        }
      }
    }

    private func run(_ pass: Pass, _ line: Line, _ arguments: [String]) {
      switch pass {
      case .words:
        let run = line.isWatch ? firstLine(arguments) : scopectl(arguments)
        expect(run.status == 0 && !run.output.isEmpty && run.output.hasSuffix("\n"), "success", arguments, run)
        expect(line.name == "export" ? run.errors.contains("exported") : run.errors.isEmpty, "success", arguments, run)
      case .json:
        let arguments = arguments + ["--json"]
        let run = line.isWatch ? firstLine(arguments) : scopectl(arguments)
        expect(run.status == 0 && !run.output.isEmpty, "success", arguments, run)
        if line.name != "export" { checkJSON(run, line.name, arguments) }
        if !run.errors.isEmpty { checkErrors(run, isFailure: false, arguments) }
      case .fullDisk:
        let isJSON = line.printsTable
        let arguments = arguments + (isJSON ? ["--json"] : [])
        let script = ["-c", #"exec "$@" >/dev/full"#, "sh", builtProduct("scopectl").path] + arguments
        let run = start(URL(fileURLWithPath: "/bin/sh"), script, at: address)
        expect(run.status == 73 && run.errors.contains("No space left"), "full disk", arguments, run)
        if isJSON { checkErrors(run, isFailure: true, arguments) }
      case .nobodyReads:
        // What reads has gone before anything is written.
        let script = ["-c", #"exec 4> >(exec true); wait $!; exec "$@" >&4"#, "bash", builtProduct("scopectl").path]
        let run = start(bash, script + arguments, at: address)
        expect(run.status == 128 + SIGPIPE && run.errors.isEmpty, "nobody reads", arguments, run)
      case .wide, .narrow:
        fit(arguments, pass.columns!)
      }
    }

    private func fit(_ arguments: [String], _ columns: Int) {
      let command = ([builtProduct("scopectl").path] + arguments).joined(separator: " ")
      let script = ["-qec", "stty cols \(columns); unset COLUMNS; exec \(command)", "/dev/null"]
      let run = start(URL(fileURLWithPath: "/usr/bin/script"), script, at: address)
      expect(run.status == 0 && !run.output.isEmpty, "\(columns) columns", arguments, run)
      for line in run.output.replacing("\r\n", with: "\n").split(separator: "\n") where line.count > columns {
        // A ref is whole, so that it can be given to another command.
        let last = line.split(separator: " ").last ?? ""
        let isOnlyRef = columns == 40 && last.contains(":") && !last.hasSuffix("…")
        expect(isOnlyRef, "\(columns) columns: '\(line)'", arguments, run)
      }
    }

    /// What a watch prints first, ended by what ends it.
    private func firstLine(_ arguments: [String]) -> Ended {
      let script = #"""
        exec 3< <(exec "$@" 2>"$0.errors"); watch=$!
        IFS= read -r line <&3; cat <&3 >/dev/null & kill -TERM $watch; wait $watch; code=$?
        printf '%s\n' "$line"; cat "$0.errors" >&2; exit $code
        """#
      let folder = TemporaryFolder()
      return start(bash, ["-c", script, folder.file("watch"), builtProduct("scopectl").path] + arguments, at: address)
    }

    // MARK: What goes wrong

    func meet(_ line: Line) {
      let arguments =
        line.command + line.arguments.map { $0.replacing("%", with: "met").replacing("#", with: "9") }
      let wrong = arguments + ["--json", "--no-such-option"]
      let usage = scopectl(wrong)
      expect(usage.status == 64 && usage.output.isEmpty, "wrong argument", wrong, usage)
      expect(usage.errors.contains("Unknown option '--no-such-option'"), "wrong argument", wrong, usage)
      checkErrors(usage, isFailure: true, wrong)
      meetNoDaemon(line, arguments + (line.name == "check" ? ["--json"] : []))
      if let ending = line.unknownCompany {
        let rest = arguments.firstIndex(of: "--company").map { Array(arguments[..<$0] + arguments[($0 + 2)...]) }
        meet(ending, "unknown company", (rest ?? arguments) + ["--company", "nobody", "--json"], line)
      }
      if let ending = line.unknownThing {
        let unknown = line.unknown.map { $0.replacing("%", with: "met").replacing("#", with: "9") }
        meet(ending, "unknown thing", line.command + unknown, line)
      }
    }

    private func meetNoDaemon(_ line: Line, _ arguments: [String]) {
      let nowhere = "unix:/nonexistent/socket"
      let run = scopectl(arguments, at: nowhere)
      let isJSON = arguments.last == "--json"
      expect(run.status == 2 && run.errors.contains("\(nowhere): cannot connect"), "no daemon", arguments, run)
      if line.name == "check" {
        expect(isJSON || run.output == "unavailable\n", "no daemon", arguments, run)
        if isJSON { checkJSON(run, line.name, arguments) }
      } else {
        expect(run.output.isEmpty, "no daemon", arguments, run)
      }
      if isJSON { checkErrors(run, isFailure: true, arguments) }
    }

    private func meet(_ ending: Ending, _ what: String, _ arguments: [String], _ line: Line) {
      let run = scopectl(arguments)
      let isJSON = arguments.last == "--json"
      expect(run.status == 1, what, arguments, run)
      switch ending {
      case .refused:
        expect(run.output.isEmpty && !run.errors.isEmpty, what, arguments, run)
        if isJSON { checkErrors(run, isFailure: true, arguments) }
      case .denied:
        expect(!run.output.isEmpty && run.errors.isEmpty, what, arguments, run)
        if isJSON { checkJSON(run, line.name, arguments) }
      }
    }

    /// What has another shape by its options, and the other tool.
    func runTheRest(in folder: TemporaryFolder) {
      let checks = ["check", "user:1001", "queue:clinic-appointments", "--repeat", "2", "--json"]
      checkJSON(scopectl(checks), "check --repeat", checks)
      let mode = ["mode", "enhanced", "--preview", "--json"]
      checkJSON(scopectl(mode), "preview", mode)
      let move = ["object", "move", "queue:vip-desk", "hotels", "shop", "--preview", "--json"]
      checkJSON(scopectl(move), "preview", move)
      let field = ["field", "place", "patient-number", "shop", "--preview", "--json"]
      let placed = scopectl(field)
      checkJSON(placed, "preview", field)
      expect(placed.output.contains(#""reason":"field_shared""#), "a warning", field, placed)
      let file = ["--list", "do-not-call", "--no-normalise", "--json", folder.file("numbers")]
      for more in [["--dry-run", "--work-folder", folder.file("dry")], ["--mode", "add"]] {
        checkJSON(start(builtProduct("scope-import"), more + file, at: address), "scope-import", more + file)
      }
      let wrong = start(builtProduct("scope-import"), ["--mode", "x"] + file, at: address)
      expect(wrong.status == 64, "wrong argument", file, wrong)
      checkErrors(wrong, isFailure: true, file)
      let away = start(builtProduct("scope-import"), ["--retry", "0"] + file, at: "unix:/nonexistent/socket")
      expect(away.status == 2, "no daemon", file, away)
      checkErrors(away, isFailure: true, file)
    }

    // MARK: JSON

    private func checkJSON(_ run: Ended, _ command: String, _ arguments: [String]) {
      for line in run.output.split(separator: "\n") {
        for mistake in page.mistakes(in: String(line), of: command) { expect(false, mistake, arguments, run) }
      }
    }

    /// One object a line: notes, and where it has failed one error with the exit code.
    private func checkErrors(_ run: Ended, isFailure: Bool, _ arguments: [String]) {
      var exits: [JSONPage.Value] = []
      for line in run.errors.split(separator: "\n") {
        guard case .object(let object)? = JSONPage.Value(String(line)), object.count == 1, let kind = object.first,
          ["error", "note"].contains(kind.key), case .object(let fields) = kind.value, case .text? = fields["reason"],
          case .text? = fields["message"]
        else { return expect(false, "standard error as JSON", arguments, run) }
        if kind.key == "error" { exits.append(fields["exit"] ?? .null) }
      }
      expect(exits == (isFailure ? [.number(Int(run.status))] : []), "one error with its exit code", arguments, run)
    }
  }
}

private let bash = URL(fileURLWithPath: "/bin/bash")

/// Does the work by as many threads as there are processors.
private func inParallel(_ work: [@Sendable () -> Void]) async {
  let next = NIOLockedValueBox(0)
  await withTaskGroup(of: Void.self) { group in
    for _ in 0..<ProcessInfo.processInfo.activeProcessorCount {
      group.addTask {
        try? await onThread {
          while true {
            let index = next.withLockedValue { index in
              defer { index += 1 }
              return index
            }
            if index >= work.count { return }
            work[index]()
          }
        }
      }
    }
  }
}

/// Sources/scopectl/JSON.md: what each command prints.
private struct JSONPage: Sendable {
  /// A value, with numbers and flags apart.
  indirect enum Value: Decodable, Equatable {
    case null
    case flag(Bool)
    case number(Int)
    case text(String)
    case list([Value])
    case object([String: Value])

    init?(_ json: String) {
      guard let value = try? JSONDecoder().decode(Value.self, from: Data(json.utf8)) else { return nil }
      self = value
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let flag = try? container.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? container.decode(Int.self) {
        self = .number(number)
      } else if let text = try? container.decode(String.self) {
        self = .text(text)
      } else if let list = try? container.decode([Value].self) {
        self = .list(list)
      } else {
        self = .object(try container.decode([String: Value].self))
      }
    }
  }

  /// Keys with their types.
  typealias Keys = [String: String]

  let commands: [String: Keys]
  private let parts: [String: Keys]
  private let kinds: [String: Keys]

  init() throws {
    let path = packageFolder.appendingPathComponent("Sources/scopectl/JSON.md").path
    let page = try String(contentsOfFile: path, encoding: .utf8)
    func table(_ head: String) -> [String: Keys] {
      guard let start = page.range(of: "| \(head) |\n") else { return [:] }
      let rows = page[start.upperBound...].split(separator: "\n", omittingEmptySubsequences: false)
        .dropFirst().prefix { $0.hasPrefix("|") }
      var found: [String: Keys] = [:]
      for row in rows {
        let cells = row.split(separator: "|")
        let keys = cells[1].matches(of: #/`(\w+)` ([\w\[\]{}]+\??)/#).map { (String($0.1), String($0.2)) }
        for name in cells[0].prefix(while: { $0 != ";" }).matches(of: #/`([^`]+)`/#) {
          found[String(name.1)] = Keys(uniqueKeysWithValues: keys)
        }
      }
      return found
    }
    (commands, parts, kinds) = (table("command | keys"), table("part | keys"), table("kind | columns"))
    for kind in FactKind.allCases {
      let columns = Set(kind.columns.map(\.name))
      if Set((kinds[kind.rawValue] ?? [:]).keys) != columns {
        throw TestFailure("JSON.md has other columns of \(kind)")
      }
    }
  }

  func mistakes(in line: String, of command: String) -> [String] {
    guard let keys = commands[command] else { return ["JSON.md does not tell of '\(command)'"] }
    guard let value = Value(line) else { return ["it is no JSON: \(line)"] }
    let isLast = line.contains(#/"revision":(\d+|null)\}$/#)
    return mistakes(in: value, keys, at: command) + (isLast ? [] : ["the revision is not last"])
  }

  private func mistakes(in value: Value, _ keys: Keys, at place: String) -> [String] {
    guard case .object(let object) = value else { return ["\(place) is no object"] }
    if Set(object.keys) != Set(keys.keys) {
      return ["\(place) has the keys \(object.keys.sorted()), and JSON.md says \(keys.keys.sorted())"]
    }
    return object.flatMap { key, value in
      keys[key] == "row" || keys[key] == "row?"
        ? mistakes(inRow: value, object["kind"] ?? .null, at: "\(place).\(key)")
        : mistakes(in: value, of: keys[key]!, at: "\(place).\(key)")
    }
  }

  private func mistakes(inRow row: Value, _ kind: Value, at place: String) -> [String] {
    guard row != .null else { return [] }
    guard case .text(let kind) = kind, let keys = kinds[kind] else { return ["\(place) has an unknown kind"] }
    return mistakes(in: row, keys, at: place)
  }

  private func mistakes(in value: Value, of type: String, at place: String) -> [String] {
    if type.hasSuffix("?") {
      return value == .null ? [] : mistakes(in: value, of: String(type.dropLast()), at: place)
    }
    let inner = String(type.dropFirst().dropLast())
    switch (type, value) {
    case ("text", .text), ("flag", .flag), ("number", .number): return []
    case ("count", .number(let number)) where number >= 0: return []
    case ("ref", .text(let text)) where JSONPage.isRef(text): return []
    case (_, .list(let list)) where type.hasPrefix("["):
      return list.flatMap { mistakes(in: $0, of: inner, at: "\(place)[]") }
    case (_, .object(let object)) where type.hasPrefix("{"):
      return object.flatMap { mistakes(in: $0.value, of: inner, at: "\(place).\($0.key)") }
    default:
      if let keys = parts[type] { return mistakes(in: value, keys, at: place) }
      return ["\(place) is no \(type): \(value)"]
    }
  }

  private static func isRef(_ text: String) -> Bool {
    let types = ["user", "group", "project", "role", "company"] + ObjectType.all.map(\.name)
    return types.contains { text.hasPrefix("\($0):") && text.utf8.count > $0.utf8.count + 1 }
  }
}
