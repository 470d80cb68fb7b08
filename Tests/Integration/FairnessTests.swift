import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore
import ScopeTesting
import Testing

@testable import ScopeServer

/// An authority without sockets, whose thread a test can hold: what waits is then served in an order that no clock
/// decides.
private final class HeldAuthority: Sendable {
  let authority: Authority
  let folder: TemporaryFolder
  private let gate = DispatchSemaphore(value: 0)

  init(
    in folder: TemporaryFolder = TemporaryFolder(), limits: Limits = Limits(),
    loading: LoadingConfiguration = LoadingConfiguration()
  ) async throws {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    self.folder = folder
    authority = try await Authority.open(
      StoreConfiguration(directory: folder.file("data")), loading: loading, limits: limits, logger: logger,
      onFatal: { fatalError("\($0)") }
    ).get()
  }

  /// Returns when the thread is held: an answer is given on it.
  func hold() async {
    await withCheckedContinuation { continuation in
      authority.snapshot(of: "c", for: Waiter(Source(), until: .distantFuture)) { _ in
        continuation.resume()
        self.gate.wait()
      }
    }
  }

  func letGo() { gate.signal() }
}

/// Collects answers in the order in which they come.
private final class Answers: Sendable {
  struct Answer {
    let label: String
    let reason: String
    let revision: UInt64
  }

  private let answers = NIOLockedValueBox<[Answer]>([])

  func add<T>(_ label: String, _ result: Result<T, Failure>, _ revision: (T) -> UInt64 = { _ in 0 }) {
    let (reason, revision): (String, UInt64) =
      switch result {
      case .success(let value): ("", revision(value))
      case .failure(let failure): (failure.reason, 0)
      }
    answers.withLockedValue { $0.append(Answer(label: label, reason: reason, revision: revision)) }
  }

  var all: [Answer] { answers.withLockedValue(\.self) }
  var labels: [String] { all.map(\.label) }

  func wait(for count: Int) async throws {
    try await waitUntil("\(count) answers") { all.count >= count }
  }
}

extension Authority {
  /// Asks for one change that makes a user.
  fileprivate func put(_ user: String, _ source: Source, _ answers: Answers, count: Int = 1, bytes: Int = 0) {
    let changes = (0..<count).map { number in
      let id = Name(stringLiteral: "\(user)-\(number)")
      return Change.putUser(User(id: id, name: id), roles: [])
    }
    put(user, changes, source, answers, bytes: bytes)
  }

  fileprivate func put(_ label: String, _ changes: [Change], _ source: Source, _ answers: Answers, bytes: Int = 0) {
    var job = ApplyJob(
      company: "c", changes: changes, caller: "test", source: source, expectedRevision: 0, digest: [],
      deadline: .distantFuture)
    job.bytes = bytes
    submit(job) { answers.add(label, $0, \.revision) }
  }

  fileprivate func addNumbers(_ label: String, _ source: Source, _ answers: Answers) {
    var rows = NumberRows()
    rows.append(4_930_000, details: [])
    let job = NumberJob(
      company: "c", list: "l", step: .add(rows), caller: "test", source: source, deadline: .distantFuture)
    change(job) { answers.add(label, $0, \.revision) }
  }

  fileprivate func page(
    _ label: String, _ source: Source, _ answers: Answers, until deadline: NIODeadline = .distantFuture
  ) {
    changes(of: "c", LogQuery(), for: Waiter(source, until: deadline)) { answers.add(label, $0.map { $0.revision }) }
  }

  fileprivate func fill(_ companies: [Name]) async throws {
    let (source, answers) = (Source(), Answers())
    for company in companies {
      let job = ApplyJob(
        company: company, changes: smallCompany(), caller: "test", source: source, expectedRevision: 0, digest: [],
        deadline: .distantFuture)
      submit(job) { answers.add(company.text, $0) }
    }
    try await answers.wait(for: companies.count)
    guard answers.all.allSatisfy({ $0.reason == "" }) else { throw TestFailure("\(answers.all)") }
  }
}

/// Connections share the writer.
@Suite struct FairShares {
  private func withHeld(
    limits: Limits = Limits(), isClosed: Bool = false, _ body: (HeldAuthority, Authority) async throws -> Void
  ) async throws {
    let held = try await HeldAuthority(limits: limits)
    try await held.authority.fill(["c"])
    await held.hold()
    try await body(held, held.authority)
    if isClosed { return }
    held.letGo()  // again is no harm
    try await held.authority.close()
  }

  /// Large batches of others are not all made before a small one that came later.
  @Test func aSmallBatchBesideLargeOnes() async throws {
    try await withHeld { held, authority in
      let (answers, others) = (Answers(), (0..<3).map { _ in Source() })
      for number in 0..<2 {
        for (index, other) in others.enumerated() { authority.put("l\(index)-\(number)", other, answers, count: 600) }
      }
      authority.put("small", Source(), answers)
      held.letGo()
      try await answers.wait(for: 7)
      #expect(answers.all.min { $0.revision < $1.revision }?.label == "small")
    }
  }

  /// What shares a commit that fails is refused for that alone: another refusal may rest on what is taken back.
  @Test func noRefusalRestsOnWhatIsNotCommitted() async throws {
    try await withHeld { held, authority in
      let answers = Answers()
      for id in ["p1", "p2"] as [Name] {
        authority.put(id.text, [.putProject(Project(id: id, name: "X"))], Source(), answers)
      }
      try FileManager.default.moveItem(atPath: held.folder.file("data"), toPath: held.folder.file("moved"))
      held.letGo()
      try await answers.wait(for: 2)
      #expect(answers.all.map(\.label) == ["p1", "p2"])
      #expect(Set(answers.all.map(\.reason)) == ["data_replaced"], "\(answers.all)")
      try FileManager.default.moveItem(atPath: held.folder.file("moved"), toPath: held.folder.file("data"))
    }
  }

  @Test func memoryOfWhatWaitsIsBounded() async throws {
    var limits = Limits()
    limits.changesWaitingBytes = 1 << 20
    try await withHeld(limits: limits) { held, authority in
      let (answers, flood) = (Answers(), Source())
      for number in 0..<20 { authority.put("f-\(number)", flood, answers, bytes: 100_000) }
      #expect(answers.all.count == 15, "five are half of it")
      authority.put("honest", Source(), answers, bytes: 60_000)
      held.letGo()
      try await answers.wait(for: 21)
      #expect(answers.all.last { $0.label == "honest" }?.reason == "")
    }
  }

  /// What a connection sends first comes first, of rules and of numbers.
  @Test func rulesAndNumbersOfOneConnectionKeepTheirOrder() async throws {
    try await withHeld { held, authority in
      let (answers, source, flood) = (Answers(), Source(), Source())
      for number in 0..<300 { authority.put("f-\(number)", flood, answers) }
      for number in 0..<5 {
        authority.put("a\(number)", source, answers)
        authority.addNumbers("n\(number)", source, answers)
      }
      held.letGo()
      try await answers.wait(for: 310)
      let own = answers.all.filter { !$0.label.hasPrefix("f") }
      #expect(own.map(\.label) == ["a0", "n0", "a1", "n1", "a2", "n2", "a3", "n3", "a4", "n4"])
      #expect(own.allSatisfy { $0.reason == "" })
      #expect(answers.labels.firstIndex(of: "n0") ?? .max < 300, "in their turns beside the flood")
    }
  }

  @Test func oneReaderBesideFloods() async throws {
    try await withHeld { held, authority in
      let (answers, floods) = (Answers(), [Source(), Source(), Source()])
      for number in 0..<250 {
        for (index, flood) in floods.enumerated() { authority.page("f\(index)-\(number)", flood, answers) }
      }
      #expect(answers.all.isEmpty)
      for number in 0..<900 { authority.page("x-\(number)", floods[0], answers) }
      #expect(!answers.all.isEmpty && answers.all.allSatisfy { $0.reason == "too_many_reads_waiting" })
      let refused = answers.all.count
      authority.page("honest", Source(), answers)
      #expect(answers.all.count == refused)
      held.letGo()
      try await answers.wait(for: 3 * 250 + 900 + 1)
      #expect(answers.labels[refused...].prefix(4).contains("honest"))
    }
  }

  /// Whom nobody waits for any more is passed over.
  @Test func whatNobodyWaitsForIsNotBegun() async throws {
    try await withHeld { held, authority in
      let (answers, gone, late, there) = (Answers(), Source(), Source(), Source())
      authority.page("gone", gone, answers)
      authority.page("late", late, answers, until: .now() - .seconds(1))
      authority.page("there", there, answers)
      gone.leave()
      held.letGo()
      try await answers.wait(for: 3)
      let reasons = Dictionary(uniqueKeysWithValues: answers.all.map { ($0.label, $0.reason) })
      #expect(reasons == ["gone": "not_begun", "late": "not_begun", "there": ""])
    }
  }

  /// At the end what has not begun is answered at once, whatever the thread is at, and nothing gets in any more.
  @Test func theEndAnswersWhatWaits() async throws {
    try await withHeld(isClosed: true) { held, authority in
      let (answers, source) = (Answers(), Source())
      for number in 0..<40 {
        authority.put("w-\(number)", source, answers)
        authority.page("r-\(number)", source, answers)
      }
      #expect(answers.all.isEmpty)
      authority.end()
      #expect(answers.all.count == 80 && answers.all.allSatisfy { $0.reason == "stopping" }, "while the thread is held")
      ask(authority, source, answers)
      #expect(answers.all.count == 84)
      held.letGo()
      try await authority.close()
      ask(authority, source, answers)
      #expect(answers.all.count == 88 && answers.all.allSatisfy { $0.reason == "stopping" }, "\(answers.all)")
    }
  }

  private func ask(_ authority: Authority, _ source: Source, _ answers: Answers) {
    authority.put("late", source, answers)
    authority.addNumbers("late", source, answers)
    authority.page("late", source, answers)
    authority.load("c", for: Waiter(source, until: .distantFuture)) { answers.add("late", $0) }
  }
}

/// Connections share the loading of companies.
@Suite struct FairLoading {
  private static func id(_ prefix: String, _ number: Int) -> Name { Name(stringLiteral: "\(prefix)\(number)") }

  private static func folder(_ companies: [Name]) async throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    let held = try await HeldAuthority(in: folder)
    try await held.authority.fill(companies)
    try await held.authority.close()
    return folder
  }

  /// An authority in whose folder companies are cold, with its loads held back by a gate.
  private func withCold(
    _ companies: [Name], holding closed: Set<Name>, limits: Limits = Limits(),
    adjust: (inout LoadingConfiguration) -> Void, _ body: (Authority, Gate) async throws -> Void
  ) async throws {
    let gate = Gate(closed: closed)
    var loading = LoadingConfiguration()
    loading.beforeHandingBack = gate.pass
    adjust(&loading)
    let held = try await HeldAuthority(in: try await Self.folder(companies), limits: limits, loading: loading)
    do { try await body(held.authority, gate) } catch {
      gate.openAll()
      throw error
    }
    gate.openAll()
    try await held.authority.close()
  }

  /// Two hundred companies are wanted by each of four connections when a fifth wants one.
  @Test func oneCompanyBesideFloods() async throws {
    let floods = (0..<4).map { flood in (0..<50).map { Self.id("f\(flood)-", $0) } }
    try await withCold(floods.joined() + ["aaa", "honest"], holding: ["aaa"]) {
      $0.threads = 1
      $0.loadsAtStart = false
    } _: { authority, gate in
      let answers = Answers()
      authority.load("aaa", for: Waiter(Source(), until: .distantFuture)) { answers.add("aaa", $0) }
      gate.waitUntilHeld("aaa")  // and with it the one thread
      for companies in floods {
        let waiter = Waiter(Source(), until: .distantFuture)
        for company in companies { authority.load(company, for: waiter) { answers.add(company.text, $0) } }
      }
      authority.load("honest", for: Waiter(Source(), until: .distantFuture)) { answers.add("honest", $0) }
      try await settle(authority)
      gate.open("aaa")
      try await answers.wait(for: 202)
      #expect(answers.all.allSatisfy { $0.reason == "" })
      let place = gate.order.firstIndex(of: "honest")!
      #expect(place <= 8, "behind two that were begun and one of each flood: \(gate.order.prefix(12))")
      for companies in floods {
        let own = gate.order.filter(companies.contains)
        #expect(own == companies, "one connection's in their order")
      }
    }
  }

  /// A connection whose companies take for ever leaves a thread to others.
  @Test func oneConnectionNeverHasAllThreads() async throws {
    let large = (0..<12).map { Self.id("large", $0) }
    try await withCold(large + ["honest"], holding: Set(large)) {
      $0.threads = 4
      $0.loadsAtStart = false
    } _: { authority, gate in
      let (waiter, answers) = (Waiter(Source(), until: .distantFuture), Answers())
      for company in large { authority.load(company, for: waiter) { answers.add(company.text, $0) } }
      authority.load("honest", for: Waiter(Source(), until: .distantFuture)) { answers.add("honest", $0) }
      try await answers.wait(for: 1)
      #expect(answers.labels == ["honest"])
      try await settle(authority)
      for company in large.prefix(3) { gate.waitUntilHeld(company) }
      #expect(Set(gate.order) == Set(large.prefix(3) + ["honest"]))
    }
  }

  @Test func memoryOfQuestionsThatWaitIsBounded() async throws {
    var limits = Limits()
    limits.framesWaitingBytes = 1 << 20
    let companies = (0..<40).map { Self.id("c", $0) }
    try await withCold(companies, holding: Set(companies), limits: limits) {
      $0.threads = 1
    } _: { authority, gate in
      let (waiter, answers) = (Waiter(Source(), until: .distantFuture), Answers())
      for company in companies { authority.load(company, for: waiter, bytes: 60_000) { answers.add("flood", $0) } }
      #expect(answers.all.count == 31 && answers.all.allSatisfy { $0.reason == "too_many_companies_loading" })
      authority.load("c39", for: Waiter(Source(), until: .distantFuture), bytes: 60_000) { answers.add("honest", $0) }
      #expect(answers.all.count == 31)
      gate.openAll()
      try await answers.wait(for: 41)
      #expect(answers.all.suffix(10).allSatisfy { $0.reason == "" })
    }
  }

  /// What nobody waits for any more is not loaded.
  @Test func aConnectionThatIsGoneLoadsNothing() async throws {
    let companies = (0..<20).map { Self.id("c", $0) }
    try await withCold(companies + ["aaa"], holding: ["aaa"]) {
      $0.threads = 1
      $0.loadsAtStart = false
    } _: { authority, gate in
      let (gone, there, answers) = (Source(), Source(), Answers())
      authority.load("aaa", for: Waiter(there, until: .distantFuture)) { answers.add("aaa", $0) }
      gate.waitUntilHeld("aaa")
      for company in companies {
        authority.load(company, for: Waiter(gone, until: .distantFuture)) { answers.add(company.text, $0) }
      }
      gone.leave()
      authority.load("c7", for: Waiter(there, until: .distantFuture)) { answers.add("there", $0) }
      try await settle(authority)
      gate.open("aaa")
      try await answers.wait(for: 22)
      #expect(gate.order.count <= 3 && gate.order.contains("c7"), "aaa, c7, and what was begun before: \(gate.order)")
      #expect(answers.all.filter { $0.reason == "not_begun" }.count >= 18)
    }
  }

  /// Time is over for some of those who wait for a company at the very moment when somebody looks who still waits. A
  /// second reply would give room back twice, which ends the process.
  @Test func whoLeavesAsTheLoadBeginsIsRepliedToOnce() async throws {
    let count = 20_000
    var limits = Limits()
    (limits.coldWaiting, limits.framesWaitingBytes) = (4 * count, .max)
    var loading = LoadingConfiguration()
    loading.loadsAtStart = false
    let held = try await HeldAuthority(in: try await Self.folder(["c"]), limits: limits, loading: loading)
    await held.hold()
    let (answers, source, begun) = (Answers(), Source(), NIODeadline.now())
    for number in 0..<count {
      // One after the other, from now on and for longer than this takes, the looks at all of them included.
      let time = number % 100 == 99 ? .distantFuture : begun + .microseconds(Int64(500 * number))
      held.authority.load("c", for: Waiter(source, until: time)) { answers.add("\(number)", $0) }
    }
    held.letGo()
    try await answers.wait(for: count)
    try await held.authority.close()
    let replied = answers.all
    #expect(replied.count == count && Set(replied.map(\.label)).count == count)
    for reason in ["not_begun", ""] { #expect(replied.contains { $0.reason == reason }) }
  }

  /// Two companies in constant use beside sixteen connections with 200 cold questions each, in memory for a tenth.
  @Test(arguments: [true, false]) func whatIsInUseStays(isKept: Bool) async throws {
    let cold = (0..<190).map { Self.id("cold", $0) }
    let folder = try await Self.folder(cold + ["hot0", "hot1"])
    let gate = Gate(closed: [])
    var loading = LoadingConfiguration()
    (loading.beforeHandingBack, loading.threads, loading.loadsAtStart) = (gate.pass, 2, false)
    loading.budgetBytes = try await Self.budget(for: 19, in: folder)
    loading.keptMilliseconds = isKept ? 600_000 : 0  // no test's clock decides
    let held = try await HeldAuthority(in: folder, loading: loading)
    let user = ConstantUser(held.authority, ["hot0", "hot1"])
    try await user.ask(times: 2)
    let loadsBefore = gate.order.filter { $0.text.hasPrefix("hot") }.count
    #expect(loadsBefore == 2)
    let answers = Answers()
    for flood in 0..<16 {
      let waiter = Waiter(Source(), until: .distantFuture)
      for number in 0..<200 {
        let company = cold[(number * 7 + flood * 31) % cold.count]
        held.authority.load(company, for: waiter) { answers.add(company.text, $0) }
      }
    }
    try await answers.wait(for: 3_200)
    try await user.ask(times: 1)
    #expect(answers.all.allSatisfy { $0.reason == "" })
    let drops = held.authority.meter.drops
    #expect(drops > 160, "\(drops): there was no room for all")
    let loads = gate.order.filter { $0.text.hasPrefix("hot") }.count - loadsBefore
    #expect(isKept ? loads == 0 : loads > 0, "\(loads) loads of what was in use all the time")
    try await held.authority.close()
  }

  private static func budget(for count: Int, in folder: TemporaryFolder) async throws -> Int {
    let held = try await HeldAuthority(in: folder)
    try await waitUntil("an authority that is ready") { held.authority.meter.isReady }
    let root = held.authority.publisher.root
    let bytes = root.byteCount / root.loadedCount * count
    try await held.authority.close()
    return bytes
  }

  /// Returns when the authority's thread has done what it was given before.
  private func settle(_ authority: Authority) async throws {
    let answers = Answers()
    for round in 1...3 {
      authority.page("settled", Source(), answers)
      try await answers.wait(for: round)
    }
  }
}

/// Asks about companies as an event loop does: of memory where they are there, and has them loaded where not.
private final class ConstantUser {
  private let authority: Authority
  private let companies: [Name]
  private var cursor: IndexPublisher.Cursor
  private let source = Source()

  init(_ authority: Authority, _ companies: [Name]) {
    self.authority = authority
    self.companies = companies
    cursor = IndexPublisher.Cursor(authority.publisher)
  }

  func ask(times: Int) async throws {
    for _ in 0..<times {
      for company in companies { try await ask(company) }
    }
  }

  private func ask(_ company: Name) async throws {
    cursor.refresh()
    if Array(company.text.utf8).withUnsafeBytes({ cursor.root.company($0) }) != nil { return }
    let answers = Answers()
    authority.load(company, for: Waiter(source, until: .distantFuture)) { answers.add(company.text, $0) }
    try await answers.wait(for: 1)
  }
}
