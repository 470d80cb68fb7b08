import Foundation
import ScopeTesting

/// An extensions.conf as Asterisk reads it: contexts, extensions, priorities with labels, includes, globals.
struct Dialplan {
  struct Step {
    var label: String?
    var application: String
    /// Between the parentheses, not yet substituted.
    var argument: String
  }

  private(set) var globals: [String: String] = [:]
  /// The steps of each extension of each context, by priority from 1.
  private var contexts: [String: [(pattern: String, steps: [Step])]] = [:]
  private var includes: [String: [String]] = [:]

  init(_ text: String) throws {
    var (context, pattern) = ("", "")
    for (number, raw) in text.components(separatedBy: "\n").enumerated() {
      let line = raw.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces)
      if line.isEmpty { continue }
      if line.hasPrefix("["), line.hasSuffix("]") {
        context = String(line.dropFirst().dropLast())
        if context != "globals" { contexts[context] = contexts[context] ?? [] }
        continue
      }
      guard let equals = line.firstIndex(of: "=") else { throw TestFailure("extensions.conf:\(number + 1): '\(line)'") }
      let key = line[..<equals].trimmingCharacters(in: .whitespaces)
      var value = line[line.index(after: equals)...]
      if value.hasPrefix(">") { value = value.dropFirst() }
      let words = value.trimmingCharacters(in: .whitespaces)
      switch key {
      case _ where context == "globals": globals[key] = words
      case "include": includes[context, default: []].append(words)
      case "exten":
        let parts = words.split(separator: ",", maxSplits: 1).map(String.init)
        pattern = parts[0]
        try add(parts[1], context, pattern, isSame: false, number + 1)
      case "same": try add(words, context, pattern, isSame: true, number + 1)
      default: throw TestFailure("extensions.conf:\(number + 1): '\(key)' is not known here")
      }
    }
  }

  /// `PRIORITY[(LABEL)],APPLICATION([ARGUMENT])`
  private mutating func add(_ text: String, _ context: String, _ pattern: String, isSame: Bool, _ line: Int) throws {
    let parts = text.split(separator: ",", maxSplits: 1).map(String.init)
    guard parts.count == 2, let open = parts[1].firstIndex(of: "("), parts[1].hasSuffix(")") else {
      throw TestFailure("extensions.conf:\(line): no application in '\(text)'")
    }
    let priority = parts[0].prefix { $0 != "(" }
    guard priority == (isSame ? "n" : "1") else { throw TestFailure("extensions.conf:\(line): priority '\(priority)'") }
    let label = parts[0].contains("(") ? String(parts[0].dropFirst(priority.count + 1).dropLast()) : nil
    let step = Step(
      label: label, application: String(parts[1][..<open]),
      argument: String(parts[1][parts[1].index(after: open)...].dropLast()))
    if isSame {
      contexts[context]![contexts[context]!.count - 1].steps.append(step)
    } else {
      contexts[context]!.append((pattern, [step]))
    }
  }

  /// The steps for what was dialled: the context's own, an exact match before a pattern, and only then what it includes,
  /// in order.
  func steps(_ context: String, _ exten: String) -> [Step]? {
    let own = contexts[context] ?? []
    if let exact = own.first(where: { $0.pattern == exten }) { return exact.steps }
    if let match = own.first(where: { Dialplan.matches($0.pattern, exten) }) { return match.steps }
    for included in includes[context] ?? [] {
      if let steps = steps(included, exten) { return steps }
    }
    return nil
  }

  static func matches(_ pattern: String, _ exten: String) -> Bool {
    guard pattern.hasPrefix("_") else { return pattern == exten }
    var rest = Substring(exten)
    for character in pattern.dropFirst() {
      if character == "." { return !rest.isEmpty }
      if character == "!" { return true }
      guard let next = rest.popFirst() else { return false }
      switch character {
      case "X": if !("0"..."9").contains(next) { return false }
      case "Z": if !("1"..."9").contains(next) { return false }
      case "N": if !("2"..."9").contains(next) { return false }
      default: if next != character { return false }
      }
    }
    return rest.isEmpty
  }
}

/// What the calls of one Asterisk share.
final class DialplanGlobals {
  fileprivate(set) var values: [String: String]
  /// Which call holds a LOCK().
  fileprivate var locks: [String: ObjectIdentifier] = [:]

  init(_ plan: Dialplan) { values = plan.globals }
}

/// One call on its way through a dialplan, as far as the applications that are used here go.
final class DialplanCall {
  enum Outcome: Equatable {
    case dialled(String)
    case queued(String)
    case hungUp(cause: String)
    /// The caller hung up while an AGI ran.
    case callerGone
    /// TIMEOUT(absolute) was over, and no extension `T` was there.
    case timedOut
    /// Nothing is there for what was dialled, or the last priority was done: Asterisk hangs up.
    case ranOut
  }

  private struct Place {
    var context: String
    var exten: String
    var priority: Int
  }

  /// How an AGI() goes, given its address, its arguments and the channel. Nil: it hangs.
  typealias AGI = (String, [String], DialplanCall) throws -> AsteriskAGI.Status?

  private let plan: Dialplan
  private let agi: AGI
  private(set) var variables: [String: String] = [:]
  /// The underscores that variables were set with: one, and the channel dialled has it; two, and those after it as well.
  private var underscores: [String: String] = [:]
  private let globals: DialplanGlobals
  private(set) var log: [String] = []
  /// AGI() calls so far.
  private(set) var asked = 0
  /// Seconds until the channel is hung up, TIMEOUT(absolute); nil: no limit. Time passes only while an AGI() hangs, and by
  /// `pass`.
  private(set) var limit: Double?
  /// After how many seconds the caller gives up; nil: never.
  private let patience: Double?
  private var place: Place
  private var returns: [(Place, arguments: [String: String?])] = []
  /// An application whose argument is substituted, and that is not yet executed.
  private var next: (application: String, argument: String)?

  init(
    _ plan: Dialplan, from context: String, to exten: String, variables: [String: String] = [:],
    globals: DialplanGlobals? = nil, limit: Double? = nil, patience: Double? = nil, agi: @escaping AGI
  ) {
    self.plan = plan
    self.agi = agi
    self.globals = globals ?? DialplanGlobals(plan)
    self.limit = limit
    self.patience = patience
    place = Place(context: context, exten: exten, priority: 1)
    for (name, value) in variables { assign(name, value) }
  }

  /// What a channel that this one dials starts with.
  var inherited: [String: String] {
    var inherited: [String: String] = [:]
    for (name, marks) in underscores {
      inherited[(marks.count > 1 ? marks : "") + name] = variables[name]
    }
    return inherited
  }

  /// Sets a variable as a daemon or a configuration does; underscores in front say who inherits.
  func assign(_ name: String, _ value: String) {
    let bare = String(name.drop { $0 == "_" })
    variables[bare] = value
    underscores[bare] = name == bare ? nil : String(name.dropLast(bare.count))
  }

  func pass(seconds: Double) { limit = limit.map { $0 - seconds } }

  func run() throws -> Outcome {
    for _ in 0..<2_000 {
      if let outcome = try step() { return outcome }
    }
    throw TestFailure("the dialplan goes in circles, or waits for a lock that is never free")
  }

  /// Half of a priority: its argument is substituted, then its application executed. Others may come between. While it waits
  /// for a lock, nothing happens.
  func step() throws -> Outcome? {
    if let (application, argument) = next {
      next = nil
      return try execute(application, argument)
    }
    guard let steps = plan.steps(place.context, place.exten), place.priority <= steps.count else { return .ranOut }
    let step = steps[place.priority - 1]
    do {
      next = (step.application, try substitute(step.argument))
      place.priority += 1
    } catch is LockIsHeld {}
    return nil
  }

  private func execute(_ application: String, _ argument: String) throws -> Outcome? {
    switch application {
    case "NoOp": break
    case "Log": log.append(argument)
    case "Set": try set(argument)
    case "Goto": try go(to: argument)
    case "GotoIf": try goIf(argument)
    case "ExecIf": return try executeIf(argument)
    case "Gosub": try enter(argument)
    case "Return": try leave()
    case "Dial": return .dialled(argument)
    case "Queue": return .queued(argument)
    case "Hangup": return .hungUp(cause: argument)
    case "AGI": return try ask(argument)
    default: throw TestFailure("application '\(application)' is not known here")
    }
    return nil
  }

  private func ask(_ argument: String) throws -> Outcome? {
    let parts = argument.components(separatedBy: ",")
    asked += 1
    guard let status = try agi(parts[0], Array(parts.dropFirst()), self) else { return try hang() }
    variables["AGISTATUS"] = status.rawValue
    return status == .hangup ? .callerGone : nil
  }

  /// Nothing comes of an AGI(): what ends it first?
  private func hang() throws -> Outcome? {
    let end = min(limit ?? .infinity, patience ?? .infinity)
    if end == limit {
      limit = nil
      guard plan.steps(place.context, "T") != nil else { return .timedOut }
      place = Place(context: place.context, exten: "T", priority: 1)
      return nil
    }
    guard end == patience, variables["AGIEXITONHANGUP"] == "yes" else {
      throw TestFailure("the channel is held without limit")
    }
    return .callerGone
  }
}

private struct LockIsHeld: Error {}

// MARK: - Going places

extension DialplanCall {
  /// `[[CONTEXT,]EXTEN,]PRIORITY`, where a priority may be a label.
  private func go(to target: String) throws {
    let parts = target.components(separatedBy: ",")
    var next = place
    if parts.count > 2 { next.context = parts[parts.count - 3] }
    if parts.count > 1 { next.exten = parts[parts.count - 2] }
    let steps = plan.steps(next.context, next.exten) ?? []
    guard let priority = Int(parts.last!) ?? steps.firstIndex(where: { $0.label == parts.last! }).map({ $0 + 1 }) else {
      throw TestFailure("there is no '\(target)'")
    }
    next.priority = priority
    place = next
  }

  private func goIf(_ argument: String) throws {
    guard let mark = argument.firstIndex(of: "?") else { throw TestFailure("no question mark in '\(argument)'") }
    let isTrue = !["", "0"].contains(argument[..<mark].trimmingCharacters(in: .whitespaces))
    let targets = argument[argument.index(after: mark)...].components(separatedBy: ":")
    if isTrue { try go(to: targets[0]) } else if targets.count > 1 { try go(to: targets[1]) }
  }

  /// `CONDITION?APPLICATION(ARGUMENT)`
  private func executeIf(_ argument: String) throws -> Outcome? {
    let parts = argument.split(separator: "?", maxSplits: 1).map(String.init)
    guard parts.count == 2, let open = parts[1].firstIndex(of: "("), parts[1].hasSuffix(")") else {
      throw TestFailure("ExecIf: \(argument)")
    }
    if ["", "0"].contains(parts[0]) { return nil }
    return try execute(String(parts[1][..<open]), String(parts[1][parts[1].index(after: open)...].dropLast()))
  }

  /// `CONTEXT,EXTEN,PRIORITY(ARGUMENTS)`; the arguments are ARG1, ARG2, … until Return.
  private func enter(_ argument: String) throws {
    guard let open = argument.firstIndex(of: "("), argument.hasSuffix(")") else {
      throw TestFailure("Gosub: \(argument)")
    }
    let arguments = argument[argument.index(after: open)...].dropLast().components(separatedBy: ",")
    var saved: [String: String?] = [:]
    for number in 1...9 { saved["ARG\(number)"] = .some(variables["ARG\(number)"]) }
    returns.append((place, saved))
    for number in 1...9 {
      variables["ARG\(number)"] = number <= arguments.count ? String(arguments[number - 1]) : nil
    }
    try go(to: String(argument[..<open]))
  }

  private func leave() throws {
    guard let (from, saved) = returns.popLast() else { throw TestFailure("Return without Gosub") }
    for (name, value) in saved { variables[name] = value }
    place = from
  }

  private func set(_ argument: String) throws {
    guard let equals = argument.firstIndex(of: "=") else { throw TestFailure("Set without '=': \(argument)") }
    let (name, value) = (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
    if name.hasPrefix("GLOBAL(") {
      globals.values[String(name.dropFirst(7).dropLast())] = value
    } else if name == "TIMEOUT(absolute)" {
      limit = Double(value).flatMap { $0 > 0 ? $0 : nil }
    } else {
      assign(name, value)
    }
  }
}

// MARK: - Substitution

extension DialplanCall {
  /// Goes through a text once: what is put in is not looked at again.
  private func substitute(_ text: String) throws -> String {
    var (out, rest) = ("", Substring(text))
    while !rest.isEmpty {
      if rest.hasPrefix("${") {
        out += try value(of: substitute(String(take(&rest, "{", "}"))))
      } else if rest.hasPrefix("$[") {
        out += try DialplanExpression.evaluate(substitute(String(take(&rest, "[", "]"))))
      } else {
        out.append(rest.removeFirst())
      }
    }
    return out
  }

  /// What stands in the brackets, which nest.
  private func take(_ rest: inout Substring, _ open: Character, _ close: Character) -> Substring {
    rest = rest.dropFirst(2)
    var depth = 1
    let inner = rest.prefix { character in
      depth += character == open ? 1 : character == close ? -1 : 0
      return depth > 0
    }
    rest = rest.dropFirst(inner.count + 1)
    return inner
  }

  private func value(of name: String) throws -> String {
    guard let open = name.firstIndex(of: "("), name.hasSuffix(")") else {
      return name == "EXTEN" ? place.exten : variables[name] ?? globals.values[name] ?? ""
    }
    return try call(String(name[..<open]), String(name[name.index(after: open)...].dropLast()))
  }

  private func call(_ function: String, _ text: String) throws -> String {
    let words = text.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    switch function {
    case "FILTER" where words.count > 1 && words[0] == "0-9":
      return text.dropFirst(4).filter { ("0"..."9").contains($0) }
    case "FILTER" where text.hasPrefix("\\n\\r,"):
      return String(text.dropFirst(5).unicodeScalars.filter { $0 == "\n" || $0 == "\r" })
    case "CALLERID": return variables["CALLERID(\(text))"] ?? ""
    case "LEN": return "\(text.utf8.count)"
    case "GLOBAL": return globals.values[text] ?? ""
    case "TIMEOUT" where text == "absolute": return limit.map { String(format: "%.3f", $0) } ?? "0"
    case "LOCK":
      let holder = globals.locks[text] ?? ObjectIdentifier(self)
      guard holder == ObjectIdentifier(self) else { throw LockIsHeld() }
      globals.locks[text] = holder
      return "1"
    case "UNLOCK": return globals.locks.removeValue(forKey: text) == nil ? "0" : "1"
    case "FIELDQTY" where words.count == 2: return "\(try value(of: words[0]).components(separatedBy: words[1]).count)"
    case "CUT" where words.count == 3 && words[2].hasPrefix("1-"):
      let fields = try value(of: words[0]).components(separatedBy: words[1])
      return fields.prefix(Int(words[2].dropFirst(2)) ?? 0).joined(separator: words[1])
    default: throw TestFailure("function '\(function)(\(text))' is not known here")
    }
  }
}

/// `$[…]`, as far as it is used here: blanks stand around each operator. Quotes are part of a text, as in Asterisk, but
/// where a text is matched.
private enum DialplanExpression {
  /// By precedence, the loosest first.
  private static let operators: [[String]] = [["|"], ["&"], ["=", "!=", "<", "<=", ">"], ["+", "-"], [":"]]

  static func evaluate(_ text: String) throws -> String { try evaluate(text, 0) }

  private static func evaluate(_ text: String, _ level: Int) throws -> String {
    guard level < operators.count else { return text }
    let found = operators[level].compactMap { name in
      text.range(of: " \(name) ", options: .backwards).map { (name, $0) }
    }
    guard let (name, range) = found.max(by: { $0.1.lowerBound < $1.1.lowerBound }) else {
      return try evaluate(text, level + 1)
    }
    let left = try evaluate(String(text[..<range.lowerBound]), level)
    let right = try evaluate(String(text[range.upperBound...]), level + 1)
    return try apply(name, left, right)
  }

  private static func apply(_ name: String, _ left: String, _ right: String) throws -> String {
    func truth(_ holds: Bool) -> String { holds ? "1" : "0" }
    let numbers = Double(left).flatMap { left in Double(right).map { (left, $0) } }
    switch name {
    case "|": return truth(left != "0" || right != "0")
    case "&": return truth(left != "0" && right != "0")
    case "=": return truth(numbers.map { $0 == $1 } ?? (left == right))
    case "!=": return truth(numbers.map { $0 != $1 } ?? (left != right))
    case ":":
      let match = try text(left).prefixMatch(of: Regex(text(right)))
      return "\(match?.0.count ?? 0)"
    default: break
    }
    guard let (left, right) = numbers else { throw TestFailure("'\(left) \(name) \(right)' are no numbers") }
    switch name {
    case "<": return truth(left < right)
    case "<=": return truth(left <= right)
    case ">": return truth(left > right)
    default:
      let sum = name == "+" ? left + right : left - right
      return sum == sum.rounded() ? "\(Int(sum))" : "\(sum)"
    }
  }

  private static func text(_ quoted: String) -> String {
    quoted.count > 1 && quoted.hasPrefix("\"") && quoted.hasSuffix("\"")
      ? String(quoted.dropFirst().dropLast()) : quoted
  }
}
