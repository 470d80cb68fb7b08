import Logging
import NIOCore
import NIOPosix
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore
import Synchronization

/// How companies come into memory.
public struct LoadingConfiguration: Sendable {
  /// Memory of the indexes beyond which those of companies asked least recently are dropped, in bytes; nil: none is.
  /// The models of companies changed last come on top. Default nil.
  public var budgetBytes: Int?
  /// Threads that compile companies beside the one that reads them. Default: one a core.
  public var threads = System.coreCount
  /// A company that was asked for in memory is not dropped for so long, in milliseconds, for one that was asked for
  /// once. Default 1 s.
  package var keptMilliseconds: UInt32 = 1_000
  /// For tests: whether companies are loaded that nobody asks for.
  package var loadsAtStart = true
  /// For tests: called on such a thread when a company is compiled, before it is handed back. May wait.
  package var beforeHandingBack: (@Sendable (Name) -> Void)?
  /// For tests: called on a thread that goes back in time, before it does. May wait.
  package var beforeGoingBack: (@Sendable (Name) -> Void)?

  public init() {}
}

/// How far loading has come. Written by the authority's thread, read by any.
final class LoadMeter: Sendable {
  let budgetBytes: Int?
  fileprivate let isStarting = Atomic<Bool>(true)
  fileprivate let unreadable = Atomic<Int>(0)
  fileprivate let onDemand = Atomic<UInt64>(0)
  fileprivate let dropped = Atomic<UInt64>(0)

  init(budgetBytes: Int?) { self.budgetBytes = budgetBytes }

  /// Every company is loaded, or as many as the budget has room for.
  var isReady: Bool { !isStarting.load(ordering: .relaxed) && unreadableCompanies == 0 }
  /// Companies whose rows are damaged.
  var unreadableCompanies: Int { unreadable.load(ordering: .relaxed) }
  /// Companies loaded because they were asked for.
  var loadsOnDemand: UInt64 { onDemand.load(ordering: .relaxed) }
  /// Companies dropped to keep within the budget.
  var drops: UInt64 { dropped.load(ordering: .relaxed) }
}

/// Has companies loaded, those that are asked for first: the authority's thread reads the rows of one at a time, and
/// others have their turn in between; threads beside it compile them; and it publishes what they hand back.
///
/// Used on the authority's thread alone.
final class Loader {
  typealias Reply = Authority.Reply<IndexRoot>

  private struct Waiting {
    let waiter: Waiter
    let reply: Reply
  }

  /// A company that somebody waits for.
  private struct Wanted {
    let company: Name
    let source: UInt64
  }

  private struct Load {
    let number: UInt64
    /// For whom it was begun; nil: for nobody.
    let source: UInt64?
  }

  let publisher: IndexPublisher
  let meter: LoadMeter
  private let store: Store
  private let seed: UInt64
  private let logger: Logger
  private let configuration: LoadingConfiguration
  let threads: NIOThreadPool
  private let loop: any EventLoop
  /// Those to be loaded at the start that have not had their turn.
  private var atStart: ArraySlice<Name>
  /// Those asked for that have not had their turn. The connections that wait take turns.
  private var wanted = FairQueue<Wanted>(FairBounds(elements: .max))
  /// Those that are being compiled: a change to a company takes it away, so that what was read before the change is not
  /// published over what came of it.
  private var underWay: [Name: Load] = [:]
  private var lastNumber: UInt64 = 0
  /// Compiled, and not yet published.
  private var compiled: [Name: CompanyIndex] = [:]
  private var waiting: [Name: [Waiting]] = [:]
  /// Of companies whose rows are damaged: they stay so.
  private var damaged: [Name: Failure] = [:]
  private var isStopped = false
  private var isTurnSet = false
  private var isPublishingSet = false
  private var isTidyingSet = false
  private var lastPublished = NIODeadline.now()
  private var lastTold = NIODeadline.now()
  private var lastWarned: NIODeadline?
  private let began = NIODeadline.now()
  private var hand = 0

  /// - Parameter loop: the authority's.
  init(
    _ store: Store, seed: UInt64, configuration: LoadingConfiguration, loop: any EventLoop, logger: Logger
  ) throws(StoreError) {
    let companies = try store.companies()
    publisher = IndexPublisher(IndexRoot(revision: store.revision, companies: [], cold: companies, seed: seed))
    meter = LoadMeter(budgetBytes: configuration.budgetBytes)
    threads = NIOThreadPool(numberOfThreads: configuration.threads)
    atStart = configuration.loadsAtStart ? companies[...] : []
    self.store = store
    self.seed = seed
    self.configuration = configuration
    self.loop = loop
    self.logger = logger
    threads.start()
    if companies.isEmpty { meter.isStarting.store(false, ordering: .relaxed) } else { setTurn() }
  }

  /// Loads nothing more: the daemon stops.
  func end() {
    isStopped = true
    for id in Array(waiting.keys) { reply(id, .failure(.stopping)) }
  }

  /// Replies with a root in which the company is loaded, or is not known at all.
  func load(_ id: Name, for waiter: Waiter, _ reply: @escaping Reply) {
    let root = publisher.root
    if !root.isCold(id) { return reply(.success(root)) }
    if let failure = damaged[id] { return reply(.failure(failure)) }
    if isStopped { return reply(.failure(.stopping)) }
    waiting[id, default: []].append(Waiting(waiter: waiter, reply: reply))
    if compiled[id] != nil { return setPublishing() }
    if underWay[id] != nil { return }
    let source = waiter.source.number
    _ = wanted.append(Wanted(company: id, source: source), from: source)  // how many, the authority bounds
    setTurn()
  }

  /// Takes note of companies that were changed, and published with the change.
  func noteChange(of ids: some Sequence<Name>) {
    for id in ids {
      underWay[id] = nil
      compiled[id] = nil
      if damaged.removeValue(forKey: id) != nil { meter.unreadable.store(damaged.count, ordering: .relaxed) }
      reply(id, .success(publisher.root))
    }
    setTurn()
  }

  private func reply(_ id: Name, _ result: Result<IndexRoot, Failure>) {
    for waiting in waiting.removeValue(forKey: id) ?? [] { waiting.reply(result) }
  }
}

// MARK: - One after the other

extension Loader {
  /// Behind whoever waits for this thread.
  private func setTurn() {
    if isTurnSet { return }
    isTurnSet = true
    let loader = NIOLoopBound(self, eventLoop: loop)
    loop.execute { loader.value.takeTurn() }
  }

  /// Has the next company loaded. There are never more under way than keep the threads busy.
  private func takeTurn() {
    isTurnSet = false
    if isStopped || underWay.count > configuration.threads || isWaitingForFirst { return }
    guard let (id, source) = next() else { return finishIfDone() }
    lastNumber += 1
    do throws(StoreError) {
      let rows = try store.rows(of: id, withNumbers: true)
      underWay[id] = Load(number: lastNumber, source: source)
      compile(rows, lastNumber)
    } catch {
      fail(id, error)
    }
    setTurn()
  }

  private func next() -> (id: Name, source: UInt64?)? {
    while let next = wanted.popFirst(where: { !isToBeLoaded($0.company) || !isFullyLoading(for: $1) }) {
      if isToBeLoaded(next.company) && isAwaited(next.company) { return (next.company, next.source) }
    }
    if isBudgetReached { atStart = [] }
    while let id = atStart.popFirst() {
      if isToBeLoaded(id) { return (id, nil) }
    }
    return nil
  }

  /// One connection never has all threads, where there are several: its companies may be large.
  private func isFullyLoading(for source: UInt64) -> Bool {
    let count = underWay.values.count { $0.source == source }
    return count >= max(1, configuration.threads - 1)
  }

  /// Somebody waits for it still. Whoever does not is told so.
  private func isAwaited(_ id: Name) -> Bool {
    guard let all = waiting.removeValue(forKey: id) else { return false }
    var others: [Waiting] = []
    for waiting in all {  // each is looked at once: whoever leaves meanwhile must not be replied to twice
      if waiting.waiter.isWaiting { others.append(waiting) } else { waiting.reply(.failure(.notBegun)) }
    }
    if !others.isEmpty { waiting[id] = others }
    return !others.isEmpty
  }

  private func isToBeLoaded(_ id: Name) -> Bool {
    underWay[id] == nil && compiled[id] == nil && damaged[id] == nil && publisher.root.isCold(id)
  }

  private func compile(_ rows: CompanyRows, _ number: UInt64) {
    let (loader, loop, seed, hook) = (
      NIOLoopBound(self, eventLoop: loop), loop, seed, configuration.beforeHandingBack
    )
    threads.submit { state in
      guard case .active = state else { return }
      let result = Result { () throws(StoreError) in try CompanyIndex(rows, seed: seed) }
      hook?(rows.id)
      loop.execute { loader.value.take(rows.id, number, result) }
    }
  }

  private func take(_ id: Name, _ number: UInt64, _ result: Result<CompanyIndex, StoreError>) {
    setTurn()
    if underWay[id]?.number != number { return }  // a change has come in between, and with it a newer index
    underWay[id] = nil
    switch result {
    case .success(let index):
      compiled[id] = index
      setPublishing()
    case .failure(let error): fail(id, error)
    }
  }

  /// The others go on being served. What is damaged stays so; what could not be read may be read the next time.
  private func fail(_ id: Name, _ error: StoreError) {
    if case .interrupted = error { return reply(id, .failure(.stopping)) }
    logger.error("a company can't be loaded", metadata: ["company": "\(id)", "error": "\(error)"])
    let failure = Failure(error)
    if failure.code == .dataLoss {
      damaged[id] = failure
      meter.unreadable.store(damaged.count, ordering: .relaxed)
    }
    reply(id, .failure(failure))
  }

  private func finishIfDone() {
    if !meter.isStarting.load(ordering: .relaxed) || !underWay.isEmpty || !compiled.isEmpty || !atStart.isEmpty {
      return
    }
    meter.isStarting.store(false, ordering: .relaxed)
    trimHeap()  // what was needed for loading alone
    tell("companies loaded")
  }

  private func tell(_ words: Logger.Message) {
    lastTold = .now()
    let root = publisher.root
    logger.info(
      words,
      metadata: [
        "loaded": "\(root.loadedCount)", "known": "\(root.knownCount)", "index_mib": "\(root.byteCount >> 20)",
        "damaged": "\(damaged.count)", "seconds": "\((lastTold - began).nanoseconds / 1_000_000_000)",
      ])
  }
}

extension CompanyIndex {
  /// Compiles what was read of a company, if it is what the last change has left.
  convenience init(_ rows: CompanyRows, seed: UInt64) throws(StoreError) {
    let company = try rows.company()
    if company.mode == nil {
      throw .damaged("\(rows.path): company '\(rows.id)' has no row in table companies", cause: nil)
    }
    let numbers = try company.numbers(in: rows.path) { set throws(StoreError) in rows.numbers[set] ?? [] }
    self.init(company, seed: seed, numbers: numbers)
  }
}

// MARK: - Publishing

extension Loader {
  /// A root costs as much as there are companies: while nobody waits, many share one.
  private static let pause = TimeAmount.milliseconds(50)
  private static let pauseWhileAsked = TimeAmount.milliseconds(2)

  private func setPublishing() {
    let isAsked = compiled.keys.contains { waiting[$0] != nil }
    let due = lastPublished + (isAsked ? Loader.pauseWhileAsked : Loader.pause)
    if due <= .now() { return publish() }
    if isPublishingSet && !isAsked { return }
    isPublishingSet = true
    let loader = NIOLoopBound(self, eventLoop: loop)
    loop.scheduleTask(deadline: due) { loader.value.publish() }
  }

  private func publish() {
    isPublishingSet = false
    if compiled.isEmpty { return }
    let new = compiled
    compiled = [:]
    let current = publisher.root
    let full = current.replacing(new.mapValues(Optional.some), revision: current.revision, seed: seed)
    let asked = new.keys.filter { waiting[$0] != nil }
    let root = fit(full, asked: asked)
    publisher.publish(root)
    lastPublished = .now()
    for id in asked {
      meter.onDemand.add(1, ordering: .relaxed)
      reply(id, .success(root.isCold(id) ? full : root))
    }
    if meter.isStarting.load(ordering: .relaxed) && lastPublished - lastTold > .seconds(1) { tell("loading companies") }
    setTurn()
  }
}

// MARK: - The budget

extension Loader {
  /// While the start goes on: what is under way counts as much as the others on average.
  private var isBudgetReached: Bool {
    guard let budget = configuration.budgetBytes else { return false }
    let root = publisher.root
    let bytes = compiled.values.reduce(root.byteCount) { $0 + $1.byteCount }
    let average = bytes / max(1, root.loadedCount + compiled.count)
    return bytes + average * (underWay.count + 1) > budget
  }

  /// Nobody knows yet how large companies are: the first is measured before others are begun.
  private var isWaitingForFirst: Bool {
    configuration.budgetBytes != nil && !underWay.isEmpty && publisher.root.loadedCount + compiled.count == 0
  }

  /// The root of a change, with others dropped if all take more than the budget.
  ///
  /// - Parameter spared: what the change is about.
  func fit(_ root: IndexRoot, sparing spared: Set<Name>) -> IndexRoot {
    guard let budget = configuration.budgetBytes, root.byteCount > budget else { return root }
    let root = dropping(unused(root, beyond: budget, sparing: spared, at: milliseconds), from: root)
    if root.byteCount > budget { warn(root.byteCount, budget) }
    return root
  }

  /// The root of companies that were loaded, with others dropped if all take more than the budget. Where all were asked
  /// for lately, those go that have rested longest. Those that were loaded had rested until they were asked for again:
  /// one that nobody asked for before answers those who wait for it, and is gone.
  ///
  /// - Parameter asked: those of the new ones that somebody waits for.
  private func fit(_ full: IndexRoot, asked: [Name]) -> IndexRoot {
    guard let budget = configuration.budgetBytes else { return full }
    let now = milliseconds
    let rests = Dictionary(uniqueKeysWithValues: asked.map { ($0, full.rest(of: $0, at: now)) })
    full.noteLoad(of: asked, at: now)
    if full.byteCount <= budget { return full }
    let root = dropping(unused(full, beyond: budget, sparing: Set(asked), at: now), from: full)
    if root.byteCount <= budget { return root }
    warn(root.byteCount, budget)
    return dropping(root.longestAtRest(freeing: root.byteCount - budget, rests, at: now), from: root)
  }

  private func unused(_ root: IndexRoot, beyond budget: Int, sparing spared: Set<Name>, at now: UInt32) -> [Name] {
    root.noteUse(at: now)
    return root.unused(
      freeing: root.byteCount - budget, from: &hand, sparing: spared, for: configuration.keptMilliseconds, at: now)
  }

  private func dropping(_ ids: [Name], from root: IndexRoot) -> IndexRoot {
    if ids.isEmpty { return root }
    meter.dropped.add(UInt64(ids.count), ordering: .relaxed)
    setTidying()
    return root.dropping(ids)
  }

  /// Since the start.
  private var milliseconds: UInt32 { UInt32(truncatingIfNeeded: (NIODeadline.now() - began).nanoseconds / 1_000_000) }

  /// What was dropped is free when every loop has taken a newer root, which an idle one does once a second.
  private func setTidying() {
    if isTidyingSet { return }
    isTidyingSet = true
    let loader = NIOLoopBound(self, eventLoop: loop)
    loop.scheduleTask(in: .seconds(5)) { loader.value.tidy() }
  }

  private func tidy() {
    isTidyingSet = false
    publisher.releaseOld()
    trimHeap()
  }

  private func warn(_ bytes: Int, _ budget: Int) {
    if let lastWarned, .now() - lastWarned < .seconds(10) { return }
    lastWarned = .now()
    logger.warning(
      "the companies in use take more than the memory budget; each is loaded again whenever it is asked about",
      metadata: ["index_bytes": "\(bytes)", "budget_bytes": "\(budget)"])
  }
}

extension Company {
  /// The numbers of all its lists, each checked against what the rules say of it.
  ///
  /// - Parameters:
  ///   - path: the file they are in.
  ///   - skeleton: the blocks of a set.
  func numbers(
    in path: String, _ skeleton: (UInt64) throws(StoreError) -> [Store.BlockSkeleton]
  ) throws(StoreError) -> [Name: NumberSet] {
    var numbers: [Name: NumberSet] = [:]
    for list in lists.values where list.blockSet != 0 {
      let set = NumberSet(try skeleton(list.blockSet))
      if set.count != list.count || BlockHash.digest(of: set.blockHashes) != list.digest {
        let words = "the numbers of \(list.ref) are not those the rules tell of"
        throw .damaged("\(path): company '\(id)': \(words)", cause: nil)
      }
      numbers[list.id] = set
    }
    return numbers
  }
}
