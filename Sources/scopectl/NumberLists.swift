import ArgumentParser
import ScopeClient
import ScopeModel

struct NumberListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Shows, screens and edits lists of phone numbers.",
    discussion: """
      A list is an object (scopectl object create list:do-not-call) with a purpose and numbers. Numbers are E.164 \
      digits with the country's code, with or without a plus. Whole files are brought in by scope-import.

      Example: may the dialer 'autumn' dial these?
        scopectl list screen --as dialer:autumn +4315550001 +4315550002
      """,
    subcommands: [
      Of.self, Numbers.self, Screen.self, Purpose.self, Add.self, Remove.self,
      DeleteObjectCommand<NumberListCommand>.self,
    ])

  /// Who asks.
  struct AskerOptions: ParsableArguments {
    @Option(
      name: .customLong("as"), help: "Who asks: dialer:autumn, call_scenario:main, user:1001, ….",
      completion: .subjects, transform: subject)
    var asker: Subject

    @OptionGroup var company: CompanyOptions
    @OptionGroup var connection: ConnectionOptions

    var json: Bool { connection.json }

    func client() throws -> Client { try connection.client(company: company.name().text) }
    func workClient() throws -> Client { try connection.workClient(company: company.name().text) }
  }

  struct Of: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "of", abstract: "Shows the lists that somebody may use.",
      discussion: """
        Example:
          scopectl list of --as dialer:autumn --purpose calling
        """)

    @Option(help: "Only lists for this: calling, unwanted, vip, script or none. May be repeated.")
    var purpose: [ListPurpose] = []

    @OptionGroup var asker: AskerOptions

    func run() throws {
      let client = try asker.client()
      var lists: [NumberListRow] = []
      try asking(client) {
        try client.numberLists(of: asker.asker, purposes: purpose) { lists.append($0) }
        if lists.isEmpty { try client.expectKnown([asker.asker]) }
      }
      if asker.json { return lists.forEach { print($0.json(client.revision)) } }
      printTable(
        ["LIST", "NAME", "PURPOSE", "NUMBERS"],
        lists.map { [String]("list", $0.id, $0.name) + [$0.purpose.name, "\($0.numbers)"] },
        none: "no lists match")
    }
  }

  struct Numbers: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows the numbers of a list, page by page.",
      discussion: """
        With --all the whole list, for a file. What is told in the end, or when that is cut off, goes on from there.

        Example:
          scopectl list numbers autumn-leads --as dialer:autumn --limit 20
        """)

    @Argument(help: "The list, as its id or list:ID.", completion: .lists, transform: listID)
    var list: Name

    @Option(help: "Continue after a page: the cursor that was printed below it.", transform: hexadecimal)
    var cursor: [UInt8] = []

    @Option(help: "Show at most N numbers, from 1 to 1000.")
    var limit: UInt32 = 100

    @Flag(help: "Show all of them.")
    var all = false

    @OptionGroup var asker: AskerOptions

    func validate() throws {
      if !(1...1_000).contains(limit) { throw ValidationError("--limit is from 1 to 1000.") }
    }

    func run() throws {
      if all { return try export() }
      let client = try asker.client()
      let page = try asking(client) {
        try client.numbers(of: list, for: asker.asker, cursor: cursor, limit: limit)
      }
      if page.rows.isEmpty && !asker.json { StandardError.line(Numbers.none) }
      show(page, withHeader: true)
      if !page.nextCursor.isEmpty { noteCursor("there are more", page.nextCursor) }
    }

    private static let none = "there are no numbers"

    private func noteCursor(_ words: String, _ cursor: [UInt8]) {
      StandardError.note(
        "\(words): --cursor \(hex(cursor))", reason: "more_numbers", [("cursor", .text(hex(cursor)))])
    }

    private func export() throws {
      let client = try asker.workClient()
      var (next, isBegun) = (cursor, false)
      do throws(ClientError) {
        try client.exportNumbers(of: list, for: asker.asker, cursor: cursor) { page in
          show(page, withHeader: !isBegun)
          if !page.rows.isEmpty { isBegun = true }
          next = page.nextCursor
          return true
        }
      } catch {
        if isBegun { noteCursor("cut off; go on with", next) }
        throw fail(error, from: client)
      }
      if !isBegun && !asker.json { StandardError.line(Numbers.none) }
    }

    private func show(_ page: NumbersPage, withHeader: Bool) {
      if asker.json { return page.rows.forEach { print($0.json(page.revision)) } }
      let rows = page.rows.map { row in
        [
          "+\(row.number)", row.label, row.timeZone,
          row.columns.map { "\($0.name)=\($0.value)" }.joined(separator: "  "),
        ]
      }
      printTable(withHeader ? ["NUMBER", "LABEL", "TIME ZONE", "COLUMNS"] : [], rows)
    }
  }

  struct Screen: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks whether numbers may be dialled, or let through.",
      discussion: """
        Verdicts are clear, vip, unwanted, out_of_scope and invalid; only clear and vip may be dialled. Exits with 0 \
        if all may, 1 if one may not, 2 if the daemon did not answer in time.

        Example:
          scopectl list screen --as dialer:autumn --from autumn-leads +4315550001
        """)

    @Argument(help: "The numbers, at most 1000.")
    var numbers: [String]

    @Option(help: "The list they were taken from: they must stand on it still.", completion: .lists, transform: listID)
    var from: Name?

    @Option(help: "Numbers without a plus are as they are dialled in this country, such as US. (default: E.164)")
    var country: String?

    @OptionGroup var asker: AskerOptions

    func validate() throws {
      if numbers.count > 1_000 { throw ValidationError("At most 1000 numbers at a time.") }
    }

    func run() throws {
      let client = try asker.client()
      let found = try asking(client) {
        try client.screen(numbers, for: asker.asker, callingList: from, country: country)
      }
      let answers = Array(zip(numbers, found.answers))
      if asker.json {
        for (number, answer) in answers { print(answer.json(number, found)) }
      } else {
        printTable(
          ["NUMBER", "VERDICT", "WHY"],
          answers.map { number, answer in
            let colour: Colour = answer.verdict?.allows == true ? .green : .red
            return [
              Styled(cell: number), Styled(cell: answer.code, colour), Styled(cell: answer.words(found.refusal)),
            ]
          })
      }
      if found.answers.contains(where: { $0.verdict?.allows != true }) { throw Exit.denied }
    }
  }

  struct Purpose: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Sets what a list is for.",
      discussion: """
        calling: to be dialled; unwanted: not to be dialled or let through; vip: to be preferred; script: for \
        scenarios' own use; none: nothing is screened against it.

        Example:
          scopectl list purpose do-not-call unwanted
        """)

    @Argument(help: "The list, as its id or list:ID.", completion: .lists, transform: listID)
    var list: Name

    @Argument(help: "calling, unwanted, vip, script or none.")
    var purpose: ListPurpose

    @OptionGroup var edit: EditOptions

    func run() throws { try edit.apply([.setPurpose(list: list, purpose)]) }
  }

  /// Options of changes of numbers.
  struct ChangeOptions: ParsableArguments {
    @Argument(help: "The list, as its id or list:ID.", completion: .lists, transform: listID)
    var list: Name

    @Argument(help: "The numbers, at most 4096.")
    var numbers: [PhoneNumber]

    @Option(
      name: .long,
      help: """
        The user who acts, as 1080 or user:1080, within that user's rights and reach. (default: none; no rights are \
        checked)
        """,
      completion: .users, transform: userID)
    var actor: Name?

    @OptionGroup var company: CompanyOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
      let limit = NumberLimits.numbersPerChange
      if numbers.count > limit { throw ValidationError("At most \(limit) numbers at a time; scope-import takes more.") }
    }

    var target: NumberListTarget { NumberListTarget(list: list, actor: actor?.text ?? "") }

    func packed(_ call: PackedNumbers.Call, beside: [UInt8] = []) -> PackedNumbers {
      var packed = PackedNumbers(call)
      beside.withUnsafeBytes { beside in
        for number in Set(numbers).sorted() { packed.append(number.value, beside: beside) }
      }
      return packed
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds numbers to a list.",
      discussion: """
        Example:
          scopectl list add do-not-call +4315550001 --label "asked on the phone"
        """)

    @OptionGroup var change: ChangeOptions

    @Option(help: "Name for people, of each of the numbers.", transform: plainName)
    var label: Name?

    @Option(help: "Their time zone, such as Europe/Vienna.", transform: plainName)
    var timeZone: Name?

    func run() throws {
      let client = try change.connection.workClient(company: change.company.name().text)
      let numbers = change.packed(.add, beside: PackedNumbers.details(label: label, timeZone: timeZone))
      let found = try asking(client) {
        try client.addNumbers(change.target, numbers, timeoutMilliseconds: change.connection.workMilliseconds)
      }
      if change.connection.json {
        print([
          ("list", .ref("list", change.list.text)), ("added", .count(Int(found.added))),
          ("altered", .count(Int(found.altered))), ("total", .number(found.total)),
          ("purpose", .text(found.purpose.name)), ("revision", .number(client.revision)),
        ])
      } else {
        print("\(found.added) added, \(found.altered) altered; the list has \(counted(Int(found.total), "number"))")
      }
      if found.purpose == .none {
        StandardError.note(
          "list \(change.list) has no purpose, so nothing is screened against it: "
            + "scopectl list purpose \(change.list) unwanted", reason: "purpose_missing")
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes numbers from a list.",
      discussion: """
        Example:
          scopectl list remove do-not-call +4315550001
        """)

    @OptionGroup var change: ChangeOptions

    func run() throws {
      let client = try change.connection.workClient(company: change.company.name().text)
      let found = try asking(client) {
        try client.removeNumbers(
          change.target, change.packed(.remove), timeoutMilliseconds: change.connection.workMilliseconds)
      }
      if change.connection.json {
        return print([
          ("list", .ref("list", change.list.text)), ("removed", .count(Int(found.removed))),
          ("total", .number(found.total)), ("revision", .number(client.revision)),
        ])
      }
      print("\(found.removed) removed; the list has \(counted(Int(found.total), "number"))")
    }
  }
}

private func hexadecimal(_ text: String) throws -> [UInt8] {
  let digits = Array(text)
  let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...].prefix(2)), radix: 16) }
  if digits.count % 2 == 0 && 2 * bytes.count == digits.count { return bytes }
  throw ValidationError("it is not what another page told")
}

extension ListPurpose: ExpressibleByArgument {
  public init?(argument: String) { self.init(name: argument) }
  public static var allValueStrings: [String] { allCases.map(\.name) }
  public var defaultValueDescription: String { name }
}

extension PhoneNumber: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

// MARK: - Words

extension NumberListRow {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [
      ("list", .ref("list", id)), ("name", .text(name)), ("purpose", .text(purpose.name)),
      ("number_count", .number(numbers)), ("revision", .number(revision)),
    ]
  }
}

extension NumberRow {
  fileprivate func json(_ revision: UInt64) -> JSONFields {
    [
      ("number", .text(number)), ("label", .optional(label)), ("time_zone", .optional(timeZone)),
      ("columns", .object(columns.map { ($0.name, .text($0.value)) })), ("revision", .number(revision)),
    ]
  }
}

extension Screening.Answer {
  fileprivate var code: String { verdict?.code ?? "none" }

  fileprivate func words(_ refusal: String?) -> String {
    switch verdict {
    case .unwanted: "on list:\(unwantedList)" + (vipList.isEmpty ? "" : ", and on the VIP list:\(vipList)")
    case .vip: "on list:\(vipList)"
    case .outOfScope: refusal ?? "not on the list it was taken from"
    case .invalid: "no E.164 number"
    case .clear, nil: ""
    }
  }

  fileprivate func json(_ number: String, _ screening: Screening) -> JSONFields {
    [
      ("number", .text(number)), ("verdict", .text(code)), ("unwanted_list", .ref("list", unwantedList)),
      ("vip_list", .ref("list", vipList)), ("reason", .optional(screening.refusal ?? "")),
      ("revision", .number(screening.revision)),
    ]
  }
}
