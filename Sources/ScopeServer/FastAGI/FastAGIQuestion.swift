import ScopeModel

/// What a channel can ask for: the part of `agi://HOST/SCRIPT` before its question mark. A further one is a case here
/// and where the compiler then asks for it.
enum FastAGIScript: String, CaseIterable {
  case canSee = "can-see"
  case hasRight = "has-right"
  case screenNumber = "screen-number"

  /// What the query may name.
  var parameters: [String] {
    switch self {
    case .canSee, .hasRight: ["company"]
    case .screenNumber: ["company", "country", "plus"]
    }
  }
}

/// A question that a channel asks, with names that are names.
enum FastAGIQuestion: Hashable, Sendable {
  /// May the subject see the object, and does it hold the right, if one is named?
  case canSee(company: Name, Subject, Target, right: Name?)
  case hasRight(company: Name, user: Name, right: Name)
  /// May this number be dialled, or let through? As it was dialled or came: whatever it is.
  case screenNumber(company: Name, Subject, number: [UInt8], FastAGINumberForm, callingList: Name?)

  var company: Name {
    switch self {
    case .canSee(let company, _, _, _), .hasRight(let company, _, _), .screenNumber(let company, _, _, _, _): company
    }
  }
}

/// How a number without a plus is meant. Nobody can tell by looking at it: `2125550123` is one of New York, or of Morocco.
enum FastAGINumberForm: Hashable, Sendable {
  /// As no number.
  case unknown
  /// As E.164.
  case international
  /// As it is dialled within this country.
  case national(country: [UInt8])
}

/// Why a request is no question. The texts are stable: a channel gets them in `SCOPE_REASON`.
enum FastAGIRefusal: String, Error, CaseIterable {
  /// Not what Asterisk sends: another protocol, a line without a name, a name twice, a NUL.
  case badEnvironment = "bad_environment"
  case lineTooLong = "line_too_long"
  case tooManyWords = "too_many_words"
  case tooManyLines = "too_many_lines"
  /// In the script or in an argument.
  case controlCharacter = "control_character"
  case unknownScript = "unknown_script"
  case companyMissing = "company_missing"
  case unknownParameter = "unknown_parameter"
  case repeatedParameter = "repeated_parameter"
  /// A percent sign without two hexadecimal digits behind it.
  case badEscape = "bad_escape"
  case argumentMissing = "argument_missing"
  case tooManyArguments = "too_many_arguments"
  /// Not `TYPE:ID`.
  case badRef = "bad_ref"
  case unknownType = "unknown_type"
  /// Only users hold rights.
  case notAUser = "not_a_user"
  /// Only lists have numbers.
  case notAList = "not_a_list"
  case invalidName = "invalid_name"
  /// No country has this code.
  case unknownCountry = "unknown_country"
  /// The answer is one that no command can carry.
  case valueNotCarried = "value_not_carried"
}

extension FastAGIQuestion {
  /// Arguments that any script takes.
  static let argumentsAtMost = 3

  /// - Parameters:
  ///   - script: what stands behind `agi://HOST/`: a script, and a query that names the company.
  ///   - arguments: those of `AGI()` behind the address, as they are: nothing in them is escaped.
  init(script: [UInt8], arguments: [[UInt8]]) throws(FastAGIRefusal) {
    let mark = script.firstIndex(of: UInt8(ascii: "?")) ?? script.endIndex
    guard let known = FastAGIScript(rawValue: String(decoding: script[..<mark], as: UTF8.self)) else {
      throw .unknownScript
    }
    let parameters = try Self.parameters(inQuery: script[mark...].dropFirst(), of: known)
    guard let company = parameters["company"], !company.isEmpty else { throw .companyMissing }
    let name = try Self.name(Self.decoded(company))
    switch known {
    case .canSee: self = try .canSee(name, arguments)
    case .hasRight: self = try .hasRight(name, arguments)
    case .screenNumber: self = try .screenNumber(name, arguments, form: Self.numberForm(parameters))
    }
  }

  private static func canSee(_ company: Name, _ arguments: [[UInt8]]) throws(FastAGIRefusal) -> FastAGIQuestion {
    try expect(2...3, arguments)
    let right = arguments.count == 3 ? try name(arguments[2]) : nil
    return .canSee(company: company, try thing(arguments[0]), try thing(arguments[1]), right: right)
  }

  private static func hasRight(_ company: Name, _ arguments: [[UInt8]]) throws(FastAGIRefusal) -> FastAGIQuestion {
    try expect(2...2, arguments)
    guard case .user(let user) = try thing(arguments[0]) else { throw .notAUser }
    return .hasRight(company: company, user: user, right: try name(arguments[1]))
  }

  private static func screenNumber(
    _ company: Name, _ arguments: [[UInt8]], form: FastAGINumberForm
  ) throws(FastAGIRefusal) -> FastAGIQuestion {
    try expect(2...3, arguments)
    let list = arguments.count == 3 ? try self.list(arguments[2]) : nil
    return .screenNumber(company: company, try thing(arguments[0]), number: arguments[1], form, callingList: list)
  }

  private static func expect(_ count: ClosedRange<Int>, _ arguments: [[UInt8]]) throws(FastAGIRefusal) {
    if arguments.count < count.lowerBound { throw .argumentMissing }
    if arguments.count > count.upperBound { throw .tooManyArguments }
  }
}

// MARK: - The query

extension FastAGIQuestion {
  /// `company=ACME`, and what else the script takes; values as they stand there.
  private static func parameters(
    inQuery query: ArraySlice<UInt8>, of script: FastAGIScript
  ) throws(FastAGIRefusal) -> [String: ArraySlice<UInt8>] {
    var found: [String: ArraySlice<UInt8>] = [:]
    for parameter in query.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: query.isEmpty) {
      let equals = parameter.firstIndex(of: UInt8(ascii: "=")) ?? parameter.endIndex
      let name = String(decoding: parameter[..<equals], as: UTF8.self)
      if !script.parameters.contains(name) { throw .unknownParameter }
      if found.updateValue(parameter[equals...].dropFirst(), forKey: name) != nil { throw .repeatedParameter }
    }
    return found
  }

  private static func numberForm(
    _ parameters: [String: ArraySlice<UInt8>]
  ) throws(FastAGIRefusal) -> FastAGINumberForm {
    switch (parameters["country"], parameters["plus"]) {
    case (nil, nil): return .unknown
    case (let country?, nil): return .national(country: Array(country))
    case (nil, let plus?) where plus.elementsEqual("optional".utf8): return .international
    default: throw .unknownParameter
    }
  }

  /// Takes escapes such as `%20` back, once. A plus sign stands for itself.
  static func decoded(_ text: ArraySlice<UInt8>) throws(FastAGIRefusal) -> [UInt8] {
    var (out, rest) = ([UInt8](), text)
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "%") {
        out.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hexadecimal), let low = rest.popFirst().flatMap(hexadecimal) else {
        throw .badEscape
      }
      out.append(high << 4 | low)
    }
    return out
  }

  private static func hexadecimal(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}

// MARK: - Names and refs

extension FastAGIQuestion {
  private static func name(_ bytes: [UInt8]) throws(FastAGIRefusal) -> Name {
    guard let name = bytes.withUnsafeBytes({ try? Name(utf8: $0) }) else { throw .invalidName }
    return name
  }

  /// Refs are read as `libscope` reads them: the id is everything behind the first colon.
  private static func split(_ ref: [UInt8]) throws(FastAGIRefusal) -> (type: String, id: Name) {
    guard let colon = ref.firstIndex(of: UInt8(ascii: ":")) else { throw .badRef }
    return (String(decoding: ref[..<colon], as: UTF8.self), try name(Array(ref[(colon + 1)...])))
  }

  private static func thing(_ ref: [UInt8]) throws(FastAGIRefusal) -> Subject {
    let (type, id) = try split(ref)
    guard let type = TargetType(name: type) else { throw .unknownType }
    return Subject(type, id)
  }

  private static func list(_ ref: [UInt8]) throws(FastAGIRefusal) -> Name {
    guard case .object(let object) = try thing(ref), object.type == .list else { throw .notAList }
    return object.id
  }
}
