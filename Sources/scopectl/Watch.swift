import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel

struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Prints changes as they happen, until Ctrl-C.",
    discussion: "A lost connection is made again, and nothing is left out.",
    subcommands: [Changes.self, Access.self])
}

extension WatchCommand {
  struct Changes: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints every change of a company, as scopectl log does.",
      discussion: """
        Examples:
          scopectl watch changes
          scopectl watch changes --after 1200 --json | while read -r line; do …
        """)

    @Option(name: .long, help: "Start after this revision. (default: only new changes)")
    var after: UInt64?

    @Flag(name: .long, help: "Start with the first change ever made.")
    var fromStart = false

    @OptionGroup var watch: WatchOptions

    func validate() throws {
      if fromStart && after != nil { throw ValidationError("--after and --from-start exclude each other.") }
    }

    func run() throws {
      let client = try watch.client()
      // Known before the first change comes, so that a connection lost until then loses none.
      var had = try fromStart ? 0 : after ?? asking(client) { try client.health().revision }
      try watch.forever(client) { answered throws(ClientError) in
        try client.watchChanges(after: had) { records, revision in
          answered()
          for record in records {
            printNow(watch.connection.json ? Styled(json: record.json) : record.styled())
          }
          had = revision
          return true
        }
      }
    }
  }

  struct Access: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints what SUBJECT sees, then what it gains (+) and loses (-).",
      discussion: """
        After a lost connection comes a line 'reset', and then what differs from before.

        Example:
          scopectl watch access user:1001 --type queue
        """)

    @Argument(help: "Who: user:1001, dialer:…, ….", completion: .subjects, transform: subject)
    var who: Subject

    @Option(
      name: .long, help: "Only this type; may be repeated. (default: all)", completion: .objectTypes,
      transform: objectType)
    var type: [ObjectType] = []

    @OptionGroup var watch: WatchOptions

    func run() throws {
      let client = try watch.client()
      var view = View(asJSON: watch.connection.json)
      try watch.forever(client) { answered throws(ClientError) in
        view.beginAnew()
        try client.watchAccess(who, types: type) { part in
          answered()
          for line in view.take(part) { printNow(line) }
          return true
        }
      }
    }
  }
}

struct WatchOptions: ParsableArguments {
  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  private static let shortestMilliseconds: UInt32 = 500

  func validate() throws {
    if connection.workMilliseconds < WatchOptions.shortestMilliseconds {
      throw ValidationError("--timeout of a watch is at least \(WatchOptions.shortestMilliseconds).")
    }
  }

  func client() throws -> Client { try connection.workClient(company: try company.name().text) }

  /// Watches again whenever the connection is lost. `watch` calls what it is given for each answer.
  func forever(_ client: Client, _ watch: (_ answered: () -> Void) throws(ClientError) -> Void) throws {
    let interrupts = endOnInterrupt()
    defer { for interrupt in interrupts { interrupt.cancel() } }
    var reconnection = Reconnection()
    while true {
      do throws(ClientError) { try watch { reconnection.succeeded() } } catch {
        try reconnection.wait(after: error, from: client)
      }
    }
  }
}

/// When to try again.
private struct Reconnection {
  private static let shortestPause = 0.1
  private static let longestPause = 5.0

  private var hasAnswered = false
  private var isLost = false
  private var pause = shortestPause

  mutating func succeeded() {
    if isLost { StandardError.note("connected again", reason: "connected") }
    (hasAnswered, isLost, pause) = (true, false, Reconnection.shortestPause)
  }

  /// Throws where there is no use in trying again: a refusal, or a daemon that never answered.
  mutating func wait(after error: ClientError, from client: Client) throws {
    if error.reason == "watch_behind" { return }
    if error.isRefusal || !hasAnswered { throw fail(error, from: client) }
    if !isLost { StandardError.note("\(error); trying again until Ctrl-C", reason: "connection_lost") }
    isLost = true
    Thread.sleep(forTimeInterval: pause)
    pause = min(Reconnection.longestPause, pause * 2)
  }
}

/// An object by the bytes of its ref.
private struct Seen: Hashable, Comparable {
  let bytes: [UInt8]

  static func < (a: Seen, b: Seen) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

/// What a subject sees, as far as it is told.
private struct View {
  private let asJSON: Bool
  private var known: [Seen: ObjectRow] = [:]
  /// What comes at the beginning of a watch, until it is settled.
  private var arriving: [Seen: ObjectRow]?
  private var hasSettled = false

  init(asJSON: Bool) { self.asJSON = asJSON }

  mutating func beginAnew() { arriving = [:] }

  /// The lines to print for a part.
  mutating func take(_ part: AccessPart) -> [Styled] {
    guard var objects = arriving else {
      for object in part.lost { known[object.ref] = nil }
      for object in part.gained { known[object.ref] = object }
      return lines(lost: part.lost, gained: part.gained, part.revision)
    }
    for object in part.lost { objects[object.ref] = nil }
    for object in part.gained { objects[object.ref] = object }
    arriving = part.isSettled ? nil : objects
    return part.isSettled ? settle(objects, part.revision) : []
  }

  private mutating func settle(_ objects: [Seen: ObjectRow], _ revision: UInt64) -> [Styled] {
    let lost = known.values.filter { objects[$0.ref] == nil }
    let gained = objects.values.filter { object in known[object.ref].map { !isSame($0.name, object.name) } ?? true }
    let reset = hasSettled ? [asJSON ? event("reset", nil, revision) : Styled("reset", .yellow)] : []
    let settled = asJSON ? [event("settled", nil, revision)] : []
    (known, hasSettled) = (objects, true)
    return reset + lines(lost: lost.sorted { $0.ref < $1.ref }, gained: gained.sorted { $0.ref < $1.ref }, revision)
      + settled
  }

  private func lines(lost: [ObjectRow], gained: [ObjectRow], _ revision: UInt64) -> [Styled] {
    if asJSON { return lost.map { event("lost", $0, revision) } + gained.map { event("gained", $0, revision) } }
    return lost.map { Styled("-", .red) + " \($0.words)" } + gained.map { Styled("+", .green) + " \($0.words)" }
  }

  private func event(_ kind: String, _ object: ObjectRow?, _ revision: UInt64) -> Styled {
    let none: JSONFields = [("object", .null), ("name", .null), ("system", .null)]
    return Styled(json: [("event", .text(kind))] + (object?.json ?? none) + [("revision", .number(revision))])
  }
}

extension ObjectRow {
  fileprivate var ref: Seen { Seen(bytes: Array("\(type):\(id)".utf8)) }
  fileprivate var words: String { titled(type, id, name) }
}

// MARK: - Output

private let printing = NSLock()

/// Prints a line at once, and whole even if Ctrl-C comes.
private func printNow(_ line: Styled) {
  printing.lock()
  defer { printing.unlock() }
  print(line)
  StandardOutput.flush()
}

/// Makes Ctrl-C end the program with 0, between two lines. Where nobody takes the line at hand, it is cut short.
private func endOnInterrupt() -> [any DispatchSourceSignal] {
  let isRegistered = DispatchSemaphore(value: 0)
  // Until then a signal would be lost.
  defer { for _ in 0..<2 { isRegistered.wait() } }
  return [SIGINT, SIGTERM].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setRegistrationHandler { isRegistered.signal() }
    source.setEventHandler {
      if !printing.lock(before: Date(timeIntervalSinceNow: 1)) { _exit(128 + number) }
      if isatty(1) == 1 { print("") }  // the terminal has shown ^C
      exit(0)
    }
    source.resume()
    return source
  }
}
