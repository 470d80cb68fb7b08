/// What a channel is told.
struct FastAGIVerdict: Hashable, Sendable {
  enum Result: String, Sendable {
    case allow, deny, unavailable
  }

  let result: Result
  /// Stable, for machines.
  let reason: String
  /// The project by which it was allowed; empty without one.
  var project: [UInt8] = []
  /// The revision of the rules it was computed at; nil: there is no answer.
  var revision: UInt64?

  static func unavailable(_ reason: String) -> FastAGIVerdict {
    FastAGIVerdict(result: .unavailable, reason: reason)
  }
}

/// What is taken from one connection. Lines and words are bounded as Asterisk bounds them.
struct FastAGILimits: Sendable {
  /// One line without its end, in bytes.
  var lineBytes = 8_192
  /// Words of one line, between spaces.
  var lineWords = 128
  /// Lines of the environment; Asterisk sends some twenty, and the arguments.
  var environmentLines = 64
  /// The environment, in bytes; beyond it the connection is closed without a word.
  var environmentBytes = 32 << 10
  /// Of it what is neither the script nor an argument: Asterisk sends about one KiB.
  var channelBytes = 4_096
  /// Lines before the reply that is waited for: `HANGUP`, and empty ones.
  var linesBeforeReply = 8
  /// The reply to a command, in bytes; Asterisk's have 12.
  var replyBytes = 256
  /// Lines of the usage of a command.
  var usageLines = 64
}

/// One conversation with a channel: reads its environment, has the question answered, and sets the channel's variables
/// one by one. Pure: the handler acts.
///
/// What forbids is set before the other variables, and what permits after them, when they are confirmed. So a
/// connection that is cut off at any point has not added an `allow`, and has mostly taken an old one away.
///
/// Asterisk does not escape what it tells, and callers write some of it: a line break in a dialled text may end the
/// environment early, and reply in Asterisk's name. So a command is sent only when nothing more has come, and whatever
/// came before it is not its reply. Behind a forged end there is always something left of the true environment.
struct FastAGISession {
  /// What is to be done.
  enum Step: Equatable {
    /// Nothing, until more has arrived, or nothing more has.
    case goOn
    /// Have it answered, and hand the verdict to `answer`.
    case ask(FastAGIQuestion)
    /// Send these bytes.
    case send([UInt8])
    case close(Ending)
  }

  /// How a conversation came to its end.
  enum Ending: Equatable {
    /// Every variable is set.
    case told(FastAGIVerdict)
    /// A command was not carried out.
    case refused
    /// The channel is dead.
    case dead
    /// Something came that belongs to no conversation.
    case broken
  }

  private enum State {
    case environment
    case checking
    /// These commands are left, and none is under way.
    case ready(ArraySlice<[UInt8]>, FastAGIVerdict)
    /// A command is sent, and its reply awaited; these are left. Usage: its explanation is being read.
    case setting(left: ArraySlice<[UInt8]>, FastAGIVerdict, isUsage: Bool)
    case closed
  }

  private let limits: FastAGILimits
  private var lines: FastAGILines
  private var state = State.environment
  private var environment: FastAGIEnvironment
  private var environmentBytes = 0
  private var linesBeforeReply = 0

  init(_ limits: FastAGILimits = FastAGILimits()) {
    self.limits = limits
    lines = FastAGILines(limit: limits.lineBytes)
    environment = FastAGIEnvironment(limits)
  }

  /// Anything has arrived.
  var hasBegun: Bool { environmentBytes > 0 }

  /// A verdict is waited for.
  var isChecking: Bool { if case .checking = state { true } else { false } }

  /// A command waits for nothing but that nothing more has arrived.
  var isReady: Bool { if case .ready = state { lines.isEmpty } else { false } }

  /// Takes bytes until something is to be done.
  ///
  /// - Returns: how many were taken; those behind are to be handed over again once it is done.
  mutating func receive(_ bytes: UnsafeRawBufferPointer) -> (taken: Int, step: Step) {
    var taken = 0
    while taken < bytes.count {
      let before = taken
      let line = lines.next(in: bytes, from: &taken)
      let step = isTooMuch(taken - before) ? close(.broken) : line.map { take($0) } ?? .goOn
      guard case .goOn = step else { return (taken, step) }
    }
    return (taken, .goOn)
  }

  private mutating func isTooMuch(_ bytes: Int) -> Bool {
    guard case .environment = state else { return false }
    environmentBytes += bytes
    return environmentBytes > limits.environmentBytes
  }

  private mutating func take(_ line: FastAGILine) -> Step {
    switch state {
    case .environment: takeEnvironment(line)
    case .checking, .ready: isPassedOver(line) ? .goOn : close(.broken)
    case .setting(_, _, isUsage: true): takeUsage(line)
    case .setting(let left, let verdict, isUsage: false): takeReply(line, left, verdict)
    case .closed: .goOn
    }
  }

  private mutating func takeEnvironment(_ line: FastAGILine) -> Step {
    environment.take(line)
    if line != .whole([]) || !environment.mayEnd { return .goOn }
    state = .checking
    do throws(FastAGIRefusal) { return .ask(try environment.question()) } catch {
      answer(.unavailable(error.rawValue))
      return .goOn
    }
  }

  private mutating func close(_ ending: Ending) -> Step {
    state = .closed
    return .close(ending)
  }
}

// MARK: - Setting variables

extension FastAGISession {
  /// Has the channel told; a verdict must be waited for.
  mutating func answer(_ verdict: FastAGIVerdict) {
    precondition(isChecking, "nothing was asked")
    guard let commands = FastAGISession.commands(verdict, limits) else {
      return answer(.unavailable(FastAGIRefusal.valueNotCarried.rawValue))
    }
    state = .ready(commands[...], verdict)
  }

  /// The next command, if there is one, and nothing more has arrived: to be asked for only then.
  mutating func proceed() -> Step {
    guard isReady, case .ready(let commands, let verdict) = state else { return .goOn }
    linesBeforeReply = 0
    state = .setting(left: commands.dropFirst(), verdict, isUsage: false)
    return .send(commands.first!)  // with none left it is closed
  }

  /// Nil: some value can't be carried.
  private static func commands(_ verdict: FastAGIVerdict, _ limits: FastAGILimits) -> [[UInt8]]? {
    guard let result = setVariable("SCOPE_RESULT", Array(verdict.result.rawValue.utf8), limits),
      let reason = setVariable("SCOPE_REASON", Array(verdict.reason.utf8), limits),
      let project = setVariable("SCOPE_PROJECT", verdict.project, limits),
      let revision = setVariable("SCOPE_REVISION", Array((verdict.revision.map { "\($0)" } ?? "").utf8), limits)
    else { return nil }
    return verdict.result == .allow ? [reason, project, revision, result] : [result, reason, project, revision]
  }

  /// A command with its end; nil: the value has a control character, or makes the line too long.
  static func setVariable(_ name: String, _ value: [UInt8], _ limits: FastAGILimits) -> [UInt8]? {
    var line = Array("SET VARIABLE \(name) \"".utf8)
    for byte in value {
      if FastAGIEnvironment.isControl(byte) { return nil }
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { line.append(UInt8(ascii: "\\")) }
      line.append(byte)
    }
    line.append(UInt8(ascii: "\""))
    return line.count <= limits.lineBytes ? line + [UInt8(ascii: "\n")] : nil
  }

  /// Only what says that the variable is set lets the next one go.
  private mutating func takeReply(
    _ line: FastAGILine, _ left: ArraySlice<[UInt8]>, _ verdict: FastAGIVerdict
  ) -> Step {
    if isPassedOver(line) { return .goOn }
    guard case .whole(let bytes) = line, bytes.count <= limits.replyBytes else { return close(.broken) }
    if bytes.elementsEqual("200 result=1".utf8) || bytes.starts(with: "200 result=1 ".utf8) {
      if left.isEmpty { return close(.told(verdict)) }
      state = .ready(left, verdict)
      return .goOn
    }
    if bytes.starts(with: "511".utf8) { return close(.dead) }
    if bytes.starts(with: "520-".utf8) {
      linesBeforeReply = 0
      state = .setting(left: [], verdict, isUsage: true)
      return .goOn
    }
    let isReply = ["200 ", "510", "520"].contains { bytes.starts(with: $0.utf8) }
    return close(isReply ? .refused : .broken)
  }

  /// The command was not understood; what it should have been follows, up to a line that says so.
  private mutating func takeUsage(_ line: FastAGILine) -> Step {
    linesBeforeReply += 1
    if linesBeforeReply > limits.usageLines { return close(.broken) }
    guard case .whole(let bytes) = line else { return close(.broken) }
    return bytes.starts(with: "520 ".utf8) ? close(.refused) : .goOn
  }

  /// The caller has hung up; the reply still comes. Or a value ended in a line break, and so the environment did twice.
  private mutating func isPassedOver(_ line: FastAGILine) -> Bool {
    linesBeforeReply += 1
    return linesBeforeReply <= limits.linesBeforeReply && (line == .whole(Array("HANGUP".utf8)) || line == .whole([]))
  }
}

// MARK: - Lines

enum FastAGILine: Equatable {
  /// Without its end.
  case whole([UInt8])
  /// Told once; the rest of it is dropped.
  case tooLong
}

/// Takes bytes apart into lines, and keeps no more than one of bounded length.
struct FastAGILines {
  private let limit: Int
  private var begun: [UInt8] = []
  private var isDropping = false

  init(limit: Int) { self.limit = limit }

  /// No line has begun.
  var isEmpty: Bool { begun.isEmpty && !isDropping }

  /// The next line; nil: it is not there in full. Moves `position` behind what was taken.
  mutating func next(in bytes: UnsafeRawBufferPointer, from position: inout Int) -> FastAGILine? {
    let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n"))
    let piece = UnsafeRawBufferPointer(rebasing: bytes[position..<(end ?? bytes.count)])
    position = end.map { $0 + 1 } ?? bytes.count
    if isDropping {
      isDropping = end == nil
      return nil
    }
    if begun.count + piece.count > limit {
      (begun, isDropping) = ([], end == nil)
      return .tooLong
    }
    begun.append(contentsOf: piece)
    if end == nil { return nil }
    defer { begun = [] }
    return .whole(begun)
  }
}

// MARK: - The environment

/// What Asterisk tells of a channel. Only the script and the arguments are looked into: much of the rest comes from the
/// caller, and nobody should be turned away for a tab in a name, nor gain anything by what a name says.
struct FastAGIEnvironment {
  /// In the order in which Asterisk sends them, some of them not always; the arguments follow. A later Asterisk may
  /// send more.
  private static let fields = [
    "network", "network_script", "request", "channel", "language", "type", "uniqueid", "version", "callerid",
    "calleridname", "callingpres", "callingani2", "callington", "callingtns", "dnid", "rdnis", "context", "extension",
    "priority", "enhanced", "accountcode", "threadid",
  ].map { Array("agi_\($0)".utf8) }
  private static let argument = Array("agi_arg_".utf8)
  private static let last = fields.count - 1

  private let limits: FastAGILimits
  private var lines = 0
  /// Of `fields`, how many may not come any more.
  private var passed = 0
  private var channelBytes = 0
  private var script: [UInt8]?
  private var arguments: [[UInt8]] = []
  /// The first thing that was wrong.
  private var refusal: FastAGIRefusal?

  init(_ limits: FastAGILimits) { self.limits = limits }

  static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

  /// An empty line is the end; but not before the last field, which Asterisk never leaves out.
  var mayEnd: Bool { refusal != nil || passed > FastAGIEnvironment.last || !arguments.isEmpty }

  /// The question, when all lines have come.
  func question() throws(FastAGIRefusal) -> FastAGIQuestion {
    if let refusal { throw refusal }
    return try FastAGIQuestion(script: script ?? [], arguments: arguments)
  }

  mutating func take(_ line: FastAGILine) {
    lines += 1
    if refusal != nil { return }
    do throws(FastAGIRefusal) { try look(line) } catch { refusal = error }
  }

  private mutating func look(_ line: FastAGILine) throws(FastAGIRefusal) {
    guard case .whole(let bytes) = line else { throw .lineTooLong }
    if lines > limits.environmentLines { throw .tooManyLines }
    if bytes.isEmpty && lines > 1 { return }  // the end, or a line break of a caller's
    if FastAGIEnvironment.words(in: bytes) > limits.lineWords { throw .tooManyWords }
    guard bytes.starts(with: "agi_".utf8), let colon = bytes.firstIndex(of: UInt8(ascii: ":")), !bytes.contains(0)
    else {
      throw .badEnvironment
    }
    let value = bytes[(colon + 1)...]
    try note(bytes[..<colon], Array(value.first == UInt8(ascii: " ") ? value.dropFirst() : value))
  }

  private mutating func note(_ name: ArraySlice<UInt8>, _ value: [UInt8]) throws(FastAGIRefusal) {
    let isFirst = name.elementsEqual(FastAGIEnvironment.fields[0]) && value.elementsEqual("yes".utf8)
    if (lines == 1) != isFirst { throw .badEnvironment }
    if name.starts(with: FastAGIEnvironment.argument) {
      return try noteArgument(name.dropFirst(FastAGIEnvironment.argument.count), value)
    }
    if !arguments.isEmpty { throw .badEnvironment }
    if let place = FastAGIEnvironment.fields.firstIndex(where: { name.elementsEqual($0) }) {
      if place < passed { throw .badEnvironment }
      passed = place + 1
    }
    if name.elementsEqual("agi_network_script".utf8) {
      script = try FastAGIEnvironment.plain(value)
    } else if !name.elementsEqual("agi_request".utf8) {
      channelBytes += name.count + value.count
      if channelBytes > limits.channelBytes { throw .lineTooLong }
    }
  }

  /// They come in the order of their numbers. One more than any script takes is kept, to be refused.
  private mutating func noteArgument(_ number: ArraySlice<UInt8>, _ value: [UInt8]) throws(FastAGIRefusal) {
    if arguments.count > FastAGIQuestion.argumentsAtMost { throw .tooManyArguments }
    guard number.elementsEqual("\(arguments.count + 1)".utf8) else { throw .badEnvironment }
    arguments.append(try FastAGIEnvironment.plain(value))
  }

  private static func plain(_ value: [UInt8]) throws(FastAGIRefusal) -> [UInt8] {
    if value.contains(where: isControl) { throw .controlCharacter }
    return value
  }

  private static func words(in line: [UInt8]) -> Int {
    var (words, isInWord) = (0, false)
    for byte in line {
      let isSpace = byte == UInt8(ascii: " ")
      if !isSpace && !isInWord { words += 1 }
      isInWord = !isSpace
    }
    return words
  }
}
