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

/// One call on its way through a dialplan, as far as the applications that are used here go.
final class DialplanCall {
  enum Outcome: Equatable {
    case dialled(String)
    case queued(String)
    case hungUp(cause: String)
    /// The caller hung up while an AGI ran.
    case callerGone
    /// Nothing is there for what was dialled, or the last priority was done: Asterisk hangs up.
    case ranOut
  }

  private struct Place {
    var context: String
    var exten: String
    var priority: Int
  }

  /// How an AGI() goes, given its address, its arguments and the channel.
  typealias AGI = (String, [String], DialplanCall) throws -> AsteriskAGI.Status

  private let plan: Dialplan
  private let agi: AGI
  var variables: [String: String]
  private(set) var globals: [String: String]
  private(set) var log: [String] = []
  /// AGI() calls so far.
  private(set) var asked = 0
  private var place: Place
  private var returns: [(Place, arguments: [String: String?])] = []

  init(
    _ plan: Dialplan, from context: String, to exten: String, variables: [String: String] = [:],
    globals: [String: String] = [:], agi: @escaping AGI
  ) {
    self.plan = plan
    self.agi = agi
    self.variables = variables
    self.globals = plan.globals.merging(globals) { $1 }
    place = Place(context: context, exten: exten, priority: 1)
  }

  func run() throws -> Outcome {
    for _ in 0..<1_000 {
      guard let steps = plan.steps(place.context, place.exten), place.priority <= steps.count else { return .ranOut }
      let step = steps[place.priority - 1]
      place.priority += 1
      if let outcome = try execute(step.application, substitute(step.argument)) { return outcome }
    }
    throw TestFailure("the dialplan goes in circles")
  }

  private func execute(_ application: String, _ argument: String) throws -> Outcome? {
    switch application {
    case "NoOp": break
    case "Log": log.append(argument)
    case "Set": try set(argument)
    case "Goto": try go(to: argument)
    case "GotoIf": try goIf(argument)
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
    let status = try agi(parts[0], Array(parts.dropFirst()), self)
    variables["AGISTATUS"] = status.rawValue
    return status == .hangup ? .callerGone : nil
  }
}

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

  /// Underscores in front say who inherits, and are no part of the name.
  private func set(_ argument: String) throws {
    guard let equals = argument.firstIndex(of: "=") else { throw TestFailure("Set without '=': \(argument)") }
    let (name, value) = (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
    if name.hasPrefix("GLOBAL(") {
      globals[String(name.dropFirst(7).dropLast())] = value
    } else {
      variables[String(name.drop { $0 == "_" })] = value
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
    if name.hasPrefix("FILTER(") {
      let parts = name.dropFirst(7).dropLast().split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "0-9" else { throw TestFailure("FILTER: \(name)") }
      return parts[1].filter { ("0"..."9").contains($0) }
    }
    if name.hasPrefix("LEN(") { return "\(name.utf8.count - "LEN()".utf8.count)" }
    if name.contains("(") { throw TestFailure("function '\(name)' is not known here") }
    return name == "EXTEN" ? place.exten : variables[name] ?? globals[name] ?? ""
  }
}

/// `$[…]`: comparisons of texts, and sums. Quotes are part of a text, as in Asterisk.
private enum DialplanExpression {
  static func evaluate(_ text: String) throws -> String {
    for (name, isWanted) in [(" != ", false), (" = ", true)] {
      guard let range = text.range(of: name) else { continue }
      let (left, right) = (String(text[..<range.lowerBound]), String(text[range.upperBound...]))
      return (left == right) == isWanted ? "1" : "0"
    }
    let terms = text.components(separatedBy: " + ")
    guard terms.count == 2, let sum = Int(terms[0]), let more = Int(terms[1]) else {
      throw TestFailure("expression '\(text)' is not known here")
    }
    return "\(sum + more)"
  }
}
