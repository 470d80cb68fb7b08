import ScopeModel
import ScopeProtocol
import ScopeTesting
import Testing

/// CanSee and FilterObjects are read in two ways: quickly, and by protobuf-c. A field that nobody knows, before all
/// others, keeps a request from being read quickly and changes nothing else.
@Suite struct QuickAnswers {
  private static let unknownField = Proto.key(99, 0) + [1]

  @Test(arguments: 1...20 as ClosedRange<UInt64>) func areThoseOfUnpackedRequests(seed: UInt64) async throws {
    let made = RandomCompany(seed: seed, id: "c")
    try await withDaemon { daemon in
      try daemon.client().applyAll(made.changes, to: "c")
      try await onThread {
        var questions = RandomQuestions(made.company, seed: seed)
        for number in 1...500 as ClosedRange<UInt64> {
          let request = questions.next(id: number * 77).packed
          try QuickAnswers.expectSame(request, at: daemon.address(.unix))
        }
      }
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func areThoseOfUnpackedRequestsWhenBytesAreFlipped(
    seed: UInt64
  ) async throws {
    let made = RandomCompany(seed: seed, id: "c")
    try await withDaemon { daemon in
      try daemon.client().applyAll(made.changes, to: "c")
      try await onThread {
        var questions = RandomQuestions(made.company, seed: seed)
        for number in 1...2_000 as ClosedRange<UInt64> {
          try QuickAnswers.expectSame(questions.damage(questions.next(id: number).packed), at: daemon.address(.unix))
        }
      }
    }
  }

  private static func expectSame(_ request: [UInt8], at address: String) throws {
    let answers = try [request, unknownField + request].map { request in
      let connection = try RawConnection(address)
      connection.sendFrame(request)
      guard case .message(let answer) = connection.receive() else { throw TestFailure("no answer to \(request)") }
      return answer
    }
    // Damage can make another call of it, whose answer may tell the time; and without a call, the daemon says
    // whether there was a field that it does not know.
    let first = try RawResponse(answers[0])
    if ![0, 11, 14].contains(first.result) || ["call_missing", "unknown_call"].contains(first.reason) { return }
    #expect(answers[0] == answers[1], "the answers to \(request) differ")
  }

  @Test func areGivenToWhatEncodersWrite() throws {
    let check = RawRequest.canSee("c", (1, Array("u".utf8)), (16, Array("q".utf8)), right: Array("r".utf8))
    #expect(reads(check.packed))
    let filter = RawRequest(company: "c", call: 14, Proto.number(1, 1) + Proto.bytes(2, [117]) + Proto.number(3, 16))
    #expect(reads(filter.packed))
    #expect(reads(RandomQuestions.filter("c", (1, [117]), 16, [[97], [98]], project: [112], asBitmap: true).packed))
  }

  @Test func areNotGivenToAnythingElse() {
    let check = RawRequest.canSee("c", (1, Array("u".utf8)), (16, Array("q".utf8)))
    #expect(!reads(QuickAnswers.unknownField + check.packed))
    #expect(!reads(check.packed + QuickAnswers.unknownField))
    #expect(!reads(check.packed + check.packed))
    #expect(!reads([]))
    var past = check
    past.atRevision = 1
    #expect(!reads(past.packed))
    for count in 0..<check.packed.count { #expect(!reads(Array(check.packed[..<count])), "\(count) bytes of it") }
  }

  private func reads(_ request: [UInt8]) -> Bool { request.withUnsafeBytes { QuickRequest($0) != nil } }
}

/// Questions about what is in a company, and about what never could be.
private struct RandomQuestions {
  private var random: SeededRandom
  private let users: [[UInt8]]
  private let objects: [(type: UInt64, id: [UInt8])]
  private let projects: [[UInt8]]
  private let odd: [[UInt8]] = [
    [], [0], Array("nobody".utf8), [0xFF, 0xFE], Array(repeating: 97, count: 128), Array(repeating: 97, count: 129),
    Array(repeating: 97, count: 16_384), Array("a\u{85}b".utf8), Array("long-enough\u{7F}".utf8), Array("ä".utf8),
  ]
  private let rights: [[UInt8]] = ["section.contacts", "projects.see_all", "nothing", "\n"].map { Array($0.utf8) }

  init(_ company: Company, seed: UInt64) {
    random = SeededRandom(seed: seed)
    users = (Array(company.users.keys) + Array(company.groups.keys)).sorted().map { Array($0.text.utf8) }
    let people = company.users.keys.map(Target.user) + company.groups.keys.map(Target.group)
    let targets = people + company.projects.keys.map(Target.project) + company.objects.keys.map(Target.object)
    objects = targets.map { (UInt64($0.type.number), Array($0.id.text.utf8)) }.sorted {
      $0.type == $1.type ? $0.id.lexicographicallyPrecedes($1.id) : $0.type < $1.type
    }
    projects = company.projects.keys.sorted().map { Array($0.text.utf8) }
  }

  mutating func next(id: UInt64) -> RawRequest {
    var request = random.below(2) == 0 ? check() : filter()
    request.id = random.below(20) == 0 ? 0 : random.below(20) == 0 ? .max - id : id
    request.timeoutMilliseconds = UInt32(random.below(2) * 700)
    request.minRevision = random.below(20) == 0 ? UInt64(random.below(2_000)) : 0
    return request
  }

  private mutating func check() -> RawRequest {
    let right = random.below(2) == 0 ? [] : random.pick(rights + odd)
    return .canSee(company(), subject(), object(), right: right)
  }

  private mutating func filter() -> RawRequest {
    let type = object().0
    let ids = (0..<random.below(40)).map { _ in random.below(30) == 0 ? random.pick(odd) : object(ofType: type) }
    let project = random.below(2) == 0 ? [] : random.pick(projects + odd)
    return RandomQuestions.filter(
      company(), subject(), type, ids, project: project, asBitmap: random.below(2) == 0)
  }

  static func filter(
    _ company: String, _ subject: (UInt64, [UInt8]), _ type: UInt64, _ ids: [[UInt8]], project: [UInt8],
    asBitmap: Bool
  ) -> RawRequest {
    let list = ids.flatMap { Proto.message(4, $0) }
    let call =
      Proto.number(1, subject.0) + Proto.bytes(2, subject.1) + Proto.number(3, type) + list
      + Proto.bytes(5, project) + Proto.number(6, asBitmap ? 1 : 0)
    return RawRequest(company: company, call: 14, call)
  }

  private mutating func company() -> String { random.below(20) == 0 ? random.pick(["", "d", "\n"]) : "c" }

  private mutating func subject() -> (UInt64, [UInt8]) {
    switch random.below(10) {
    case 0: (UInt64(random.below(300)), random.pick(users + odd))
    case 1: (UInt64(3), random.pick(projects + odd))
    case 2: (UInt64(random.below(4)), random.pick(odd))
    case 3, 4: object()
    default: (UInt64(1 + random.below(2)), random.pick(users + odd.prefix(1)))
    }
  }

  private mutating func object() -> (UInt64, [UInt8]) {
    if objects.isEmpty || random.below(10) == 0 { return (UInt64(random.below(300)), random.pick(odd)) }
    return random.pick(objects)
  }

  private mutating func object(ofType type: UInt64) -> [UInt8] {
    random.pick(objects.filter { $0.type == type }.map(\.id) + [Array("none".utf8)])
  }

  /// Alters, drops or repeats some bytes.
  mutating func damage(_ request: [UInt8]) -> [UInt8] {
    var request = request
    for _ in 0...random.below(3) where !request.isEmpty {
      let at = random.below(request.count)
      switch random.below(4) {
      case 0: request.remove(at: at)
      case 1: request.insert(request[at], at: at)
      case 2: request[at] = UInt8(random.below(256))
      default: request[at] ^= 1 << UInt8(random.below(8))
      }
    }
    return request
  }
}
