import Logging
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// What the authority's thread owns. Used on that thread alone.
final class AuthorityState {
  let loader: Loader
  let feed: Feed
  let seed: UInt64
  /// Changes are taken, as far as is known.
  var isWritable: Bool { !hasWriteFailed && refusal == nil }
  /// The last write failed.
  private var hasWriteFailed = false
  /// Why the store takes no change; nil: it does, as far as can be seen.
  private var refusal: String?
  /// There may be blocks of numbers that no list names any more.
  private(set) var needsSweep: Bool
  private let store: Store
  private let logger: Logger
  private let onFatal: @Sendable (StoreError) -> Never
  private var models: ModelCache
  /// The one under way.
  private var verification: VerificationOfAll?

  /// - Parameter loop: the one whose thread owns this.
  init(
    _ configuration: StoreConfiguration, loading: LoadingConfiguration, loop: any EventLoop, logger: Logger,
    onFatal: @escaping @Sendable (StoreError) -> Never
  ) throws(StoreError) {
    let store = try Store(configuration)
    for note in store.notes { logger.warning("\(note)") }
    let seed = UInt64.random(in: .min ... .max)
    loader = try Loader(store, seed: seed, configuration: loading, loop: loop, logger: logger)
    feed = Feed(revision: store.revision)
    needsSweep = !store.isReadOnly
    self.store = store
    self.seed = seed
    self.logger = logger
    self.onFatal = onFatal
    models = ModelCache(budgetBytes: loading.budgetBytes)
    look()
  }

  var publisher: IndexPublisher { loader.publisher }
  /// Ends what is being read, for good.
  var interruption: Interruption { store.interruption }

  func close() throws(StoreError) { try store.close() }

  /// Looks whether the store takes changes, which nobody may have tried for long.
  func look() {
    do throws(StoreError) {
      try store.checkWritable()
      if refusal != nil { logger.notice("changes are accepted again") }
      refusal = nil
    } catch {
      refuse(error)
    }
  }

  private func refuse(_ error: StoreError) {
    if refusal != error.code { logger.error("changes are refused", metadata: ["error": "\(error)"]) }
    refusal = error.code
  }

  func snapshot(of id: Name) throws(Failure) -> (company: Company?, revision: UInt64) {
    let company = try model(of: id).company
    models.evict()
    return (company.mode == nil ? nil : company, store.revision)
  }

  func preview(_ job: ApplyJob, first: Int) throws(Failure) -> Applied {
    if job.deadline < .now() { throw Failure(.deadlineExceeded, "not_begun", "the time was over") }
    try model(of: job.company)
    defer { models.evict() }
    do throws(RefusedBatch) {
      let outcome = try models[job.company].company.apply(job.changes, actor: job.actor)
      defer { models[job.company].company.undo(outcome.edits) }
      let access = models[job.company].company.accessSummary(of: outcome.edits, first: first)
      let people = models[job.company].company.accessSummaryOfPeople(of: outcome.edits, first: first)
      return Applied(
        revision: store.revision, edits: outcome.edits.count, warnings: outcome.warnings, gathered: outcome.gathered,
        access: access.told(to: job, models), people: people.told(to: job, models))
    } catch {
      throw Failure(error)
    }
  }

  func point(_ moment: PastMoment, of company: Name) throws(Failure) -> PastPoint {
    if case .time(let time) = moment, time > store.time { throw .notYet }
    do throws(StoreError) { return try store.point(moment, of: company) } catch { throw unreadable(error) }
  }

  func edits(
    of company: Name, in revisions: ClosedRange<UInt64>, newestFirst: Bool
  ) throws(Failure) -> [LoggedEdits] {
    do throws(StoreError) {
      return try store.edits(of: company, in: revisions, newestFirst: newestFirst)
    } catch {
      throw unreadable(error)
    }
  }

  func changes(of company: Name, _ query: LogQuery) throws(Failure) -> (LogPage, revision: UInt64) {
    do throws(StoreError) { return (try store.changes(of: company, query), store.revision) } catch {
      throw unreadable(error)
    }
  }

  func companies() throws(Failure) -> ([ListedCompany], revision: UInt64) {
    do throws(StoreError) { return (try store.listedCompanies(), store.revision) } catch { throw unreadable(error) }
  }

  /// What one step of a verification leaves to be done.
  enum VerificationStep: Sendable {
    case next
    /// Whether this is the index that these rows give, beside this thread. Nil: there are no rows that could be read.
    case compare(CompanyIndex, CompanyRows?)
    case done(Verification, revision: UInt64)
  }

  /// One at a time: it may take memory.
  func beginVerification() throws(Failure) {
    if verification != nil {
      throw Failure(.resourceExhausted, "verify_under_way", "the store is being verified already; ask again later")
    }
    verification = VerificationOfAll(VerificationWalk(store))
  }

  func endVerification() { verification = nil }

  /// Goes on: the store first, then whether the indexes that answer are those its tables give.
  func verify() throws(Failure) -> VerificationStep {
    do throws(StoreError) {
      if try verification!.walk.step(in: store) { return .next }
      if verification!.companies == nil { verification!.companies = try store.companies()[...] }
    } catch {
      throw unreadable(error)
    }
    guard let id = verification!.companies!.popFirst() else {
      return .done(verification!.found, revision: store.revision)
    }
    // A company that is cold has no index that could be wrong; what is wrong with its rows was found before.
    guard let index = publisher.root.index(of: id) else { return .next }
    return .compare(index, try? store.rows(of: id, withNumbers: true))
  }

  func reportWrongIndex(of company: Name) {
    verification?.wrong.append("the index of company '\(company)' is not the one its tables give")
  }

  /// Applies batches in order with one commit; the results are in the same order.
  func apply(_ jobs: [ApplyJob]) -> [Result<Applied, Failure>] {
    let (results, error) = applyTogether(jobs)
    guard let error else { return results }
    if jobs.count == 1 || error.concernsEveryChange {
      logRefusal(of: jobs.count, error)
      return results
    }
    // One batch that can't be written must not fail those that happened to wait with it.
    var (refused, last) = (0, error)
    let alone = jobs.map { job in
      let (results, error) = applyTogether([job])
      if let error { (refused, last) = (refused + 1, error) }
      return results[0]
    }
    logRefusal(of: refused, last)
    return alone
  }

  /// - Returns: with the error of the commit, if it failed: then each result is a failure.
  private func applyTogether(_ jobs: [ApplyJob]) -> ([Result<Applied, Failure>], StoreError?) {
    var group = CommitGroup(after: store)
    let results = jobs.map { job in
      Result { () throws(Failure) in try apply(job, &group) }
    }
    defer { models.evict() }
    if group.records.isEmpty { return (results, nil) }
    do throws(StoreError) {
      try commit(group)
      return (results, nil)
    } catch {
      let failure = refusal(of: error)
      return (results.map { _ in .failure(failure) }, error)  // refusals too: they may rest on what is taken back
    }
  }

  /// One line, however many were refused for it: they may be thousands a second.
  private func logRefusal(of count: Int, _ error: StoreError) {
    if count == 0 { return }
    if case .replaced = error { return }  // told where it was noticed
    logger.error("changes are refused", metadata: ["count": "\(count)", "error": "\(error)"])
  }

  /// Commits, and publishes what came of it. Thrown out of here, all is as before, unless the error says otherwise.
  private func commit(_ group: CommitGroup, _ patch: NumberPatch? = nil) throws(StoreError) {
    let numbers: [Name: [Name: NumberSet]]
    do throws(StoreError) { numbers = try numbersOfCold(group) } catch {
      takeBack(group)  // one company's damage; the others' changes go on
      throw error
    }
    do throws(StoreError) {
      var root: IndexRoot?
      let logged = try store.commit(group.records, numbers: patch?.writes) {
        giveWayOnce()
        root = self.root(after: group, numbers)
        giveWayOnce()
      }
      publisher.publish(root!)
      loader.noteChange(of: group.edits.keys)
      feed.append(logged)
      hasWriteFailed = false
      if group.leavesBlocks || patch?.changed.isFinished == true { needsSweep = true }
      try store.confirmFiles()
    } catch {
      if error.isFatal { onFatal(error) }
      takeBack(group)
      noteFailure(error)
      throw error
    }
  }

  private func noteFailure(_ error: StoreError) {
    if case .replaced = error { return refuse(error) }
    hasWriteFailed = true
  }

  /// The numbers of companies that have no index they could be taken over from.
  private func numbersOfCold(_ group: CommitGroup) throws(StoreError) -> [Name: [Name: NumberSet]] {
    var numbers = group.numbers
    for id in group.edits.keys where numbers[id] == nil && publisher.root.index(of: id) == nil {
      numbers[id] = try models[id].company.numbers(in: store.path, store.skeleton)
    }
    return numbers
  }

  private func apply(_ job: ApplyJob, _ group: inout CommitGroup) throws(Failure) -> Applied {
    if interruption.isSet { throw .stopping }
    if job.deadline < .now() {
      throw Failure(
        .deadlineExceeded, "not_begun", "the time was over before the changes were begun: nothing was changed")
    }
    if let earlier = try earlierAnswer(to: job, group) { return earlier }
    try model(of: job.company)
    let lastRevision = group.lastRevisions[job.company] ?? models[job.company].lastRevision
    if job.expectedRevision != 0 && lastRevision > job.expectedRevision {
      throw Failure(
        .aborted, "revision_mismatch",
        "the company changed at revision \(lastRevision), after the expected \(job.expectedRevision)")
    }
    if job.expectedRevision > group.revision {
      throw Failure(
        .aborted, "revision_mismatch",
        "revision \(job.expectedRevision) is expected, and the newest is \(group.revision): was another daemon asked?")
    }
    let outcome: Outcome
    do throws(RefusedBatch) {
      outcome = try models[job.company].company.apply(job.changes, actor: job.actor)
    } catch {
      throw Failure(error)
    }
    giveWayOnce()
    let access = models[job.company].company.accessSummary(of: outcome.edits)
    giveWayOnce()
    // A batch that changes nothing leaves no trace. Its key need not be remembered: sent again, it is made then, once.
    if !outcome.edits.isEmpty { group.append(job, outcome, access) }
    models.noteGrowth()
    return Applied(
      revision: group.revision, edits: outcome.edits.count, warnings: outcome.warnings, gathered: outcome.gathered,
      access: access.told(to: job, models))
  }

  /// The answer given to the same idempotency key before.
  private func earlierAnswer(to job: ApplyJob, _ group: CommitGroup) throws(Failure) -> Applied? {
    guard let key = job.idempotencyKey else { return nil }
    var earlier = group.earlier(company: job.company, key: key)
    if earlier == nil {
      do throws(StoreError) {
        earlier = try store.idempotent(company: job.company, key: key).map { ($0.revision, $0.digest, $0.editCount) }
      } catch {
        throw unreadable(error)
      }
    }
    guard let (revision, digest, edits) = earlier else { return nil }
    if digest != job.digest {
      throw Failure(
        .alreadyExists, "idempotency_key_reused",
        "the idempotency key '\(key)' was used for other changes at revision \(revision)")
    }
    return Applied(revision: revision, edits: edits, isRepeated: true)
  }

  private func unreadable(_ error: StoreError) -> Failure {
    if case .interrupted = error { return .stopping }
    logger.error("the store can't be read", metadata: ["error": "\(error)"])
    return Failure(error)
  }

  /// What a client is told whose change could not be written.
  private func refusal(of error: StoreError) -> Failure {
    if case .interrupted = error { return .stopping }
    let failure = Failure(error)
    return error.leftNothing
      ? Failure(failure.code, failure.reason, "nothing was changed: \(failure.message)") : failure
  }

  /// The model of a company, loaded if need be.
  @discardableResult
  private func model(of id: Name) throws(Failure) -> Model {
    do throws(StoreError) { return try models.load(id, from: store) } catch { throw unreadable(error) }
  }

  private func root(after group: CommitGroup, _ numbers: [Name: [Name: NumberSet]]) -> IndexRoot {
    let current = publisher.root
    var changed: [Name: CompanyIndex?] = [:]
    for (id, edits) in group.edits {
      let company = models[id].company
      models[id].lastRevision = group.lastRevisions[id]!
      changed[id] = .some(
        company.mode == nil
          ? nil
          : CompanyIndex(
            company, seed: seed, previous: current.index(of: id), edits: edits, numbers: numbers[id] ?? [:]))
    }
    return loader.fit(
      current.replacing(changed, revision: group.revision, seed: seed), sparing: Set(group.edits.keys))
  }

  /// After a failed commit the models must be what the store holds: they are loaded anew when needed.
  private func takeBack(_ group: CommitGroup) {
    for id in group.edits.keys { models.drop(id) }
  }
}

// MARK: - Numbers

extension AuthorityState {
  /// Changes the numbers of a list, or goes on with an import.
  func change(_ job: NumberJob) throws(Failure) -> NumbersChanged {
    if interruption.isSet { throw .stopping }
    if job.deadline < .now() { throw Failure(.deadlineExceeded, "not_begun", "the time was over before it was begun") }
    try model(of: job.company)
    defer { models.evict() }
    let company = models[job.company].company
    try authorize(job, company, taking: job.step.takes)
    let list = company.lists[job.list] ?? NumberList(id: job.list)
    var changed = try takeStep(job, list, company)
    changed.purpose = list.purpose
    return changed
  }

  private func authorize(_ job: NumberJob, _ company: Company, taking: Bool) throws(Failure) {
    do throws(ChangeError) {
      try company.authorizeNumbers(of: job.list, actor: job.actor, taking: taking)
    } catch {
      throw Failure(error)
    }
  }

  private func takeStep(_ job: NumberJob, _ list: NumberList, _ company: Company) throws(Failure) -> NumbersChanged {
    switch job.step {
    case .add(let rows):
      return try change(job, list, company) { numbers throws(StoreError) in
        try NumberPatch(adding: rows, to: list, of: job.company, numbers, store)
      }
    case .remove(let others):
      return try change(job, list, company) { numbers throws(StoreError) in
        try NumberPatch(removing: others, from: list, of: job.company, numbers, store)
      }
    case .stage(let key, let part, let blocks, let then):
      return try stage(job, list, company, key, part, blocks, then)
    case .abandon:
      return try abandon(job, list)
    }
  }

  /// A page of a list's numbers, from blocks that are those the index knows.
  func numbers(_ query: NumberQuery) throws(Failure) -> NumberPage {
    if publisher.root.isCold(query.company) { throw .companyLoading(query.company) }
    let index = publisher.root.index(of: query.company)
    guard let known = index?.lists.entry(query.list.text.utf8)?.numbers, known.count > 0 else {
      return NumberPage(rows: NumberRows(), isLast: true, revision: store.revision)
    }
    let rows = try stored { () throws(StoreError) in
      let set = try store.list(query.list, of: query.company)?.blockSet ?? 0
      return try store.numbers(ofSet: set, in: known.blocks(from: query.after), after: query.after, limit: query.limit)
    }
    return NumberPage(rows: rows, isLast: rows.count < query.limit, revision: store.revision)
  }

  /// The write-ahead log is long enough to be moved into the database in an idle moment.
  var wantsCheckpoint: Bool { store.wantsCheckpoint }

  func checkpoint() {
    do throws(StoreError) { try store.checkpoint() } catch {
      if error.isFatal { onFatal(error) }
      if case .interrupted = error { return }
      logger.error("the write-ahead log can't be moved into the database", metadata: ["error": "\(error)"])
    }
  }

  /// Removes some of the blocks that no list names any more.
  func sweep() {
    do throws(StoreError) { needsSweep = try store.sweep() } catch {
      if error.isFatal { onFatal(error) }
      needsSweep = false  // until something leaves blocks again
      if case .interrupted = error { return }
      logger.error("blocks of numbers that no list names can't be removed", metadata: ["error": "\(error)"])
    }
  }

  private func change(
    _ job: NumberJob, _ list: NumberList, _ company: Company,
    _ patch: (NumberSet) throws(StoreError) -> NumberPatch
  ) throws(Failure) -> NumbersChanged {
    let index = publisher.root.index(of: job.company)
    var numbers: [Name: NumberSet] = [:]
    if index == nil {
      numbers = try stored { () throws(StoreError) in try company.numbers(in: store.path, store.skeleton) }
    }
    let known = numbers[job.list] ?? index?.lists.entry(job.list.text.utf8)?.numbers ?? NumberSet()
    let made = try stored { () throws(StoreError) in try patch(known) }
    // What stood beside a number is gone then, for the others who share the list, too.
    if made.changed.altered > 0 { try authorize(job, company, taking: true) }
    return try commit(job, list, numbers, made)
  }

  /// - Parameter numbers: of the company's other lists, where it is cold.
  private func commit(
    _ job: NumberJob, _ list: NumberList, _ numbers: [Name: NumberSet], _ patch: NumberPatch
  ) throws(Failure) -> NumbersChanged {
    var changed = patch.changed
    (changed.total, changed.revision) = (UInt64(patch.numbers.count), store.revision)
    if patch.isEmpty { return changed }
    if changed.total > NumberLimits.numbersPerList { throw .tooManyNumbers }
    var group = CommitGroup(after: store)
    do throws(ChangeError) {
      let outcome = try models[job.company].company.noteNumbers(
        of: job.list, count: changed.total, blockSet: patch.writes.set,
        digest: BlockHash.digest(of: patch.numbers.blockHashes))
      group.append(ApplyJob(job), outcome, AccessSummary())
    } catch {
      throw Failure(error)
    }
    group.numbers[job.company] = numbers.merging([job.list: patch.numbers]) { $1 }
    do throws(StoreError) { try commit(group, patch) } catch {
      logRefusal(of: 1, error)
      throw refusal(of: error)
    }
    changed.revision = store.revision
    return changed
  }

  private func stage(
    _ job: NumberJob, _ list: NumberList, _ company: Company, _ key: Name, _ part: UInt32, _ blocks: [StoredBlock],
    _ then: NumberJob.Step.Then
  ) throws(Failure) -> NumbersChanged {
    let known = try stored { () throws(StoreError) in try store.stagedImport(of: job.list, company: job.company) }
    if known?.key != key, try stored({ () throws(StoreError) in try store.lastImport(of: list.blockSet) }) == key {
      return NumbersChanged(revision: store.revision, before: list.count, total: list.count, isFinished: true)
    }
    var staged: StagedImport
    if let known {
      staged = known
    } else {
      staged = StagedImport(set: try stored { () throws(StoreError) in try store.nextSet() }, key: key)
    }
    if staged.key != key { throw .importUnderWay(job.list, staged.key) }
    if part > staged.parts { staged = try stage(job, part, blocks, staged) }
    if then == .finish { return try finish(job, list, company, staged) }
    return NumbersChanged(
      revision: store.revision, before: list.count, total: list.count, parts: staged.parts, staged: staged.numbers,
      kept: then == .compare ? try kept(list, of: job.company, staged) : 0)
  }

  private func stage(
    _ job: NumberJob, _ part: UInt32, _ blocks: [StoredBlock], _ staged: StagedImport
  ) throws(Failure) -> StagedImport {
    if part > staged.parts + 1 { throw .partMissing(staged.parts + 1) }
    if blocks[0].first <= staged.last { throw .notAscending }
    if staged.numbers + UInt64(blocks.reduce(0) { $0 + $1.rows.count }) > NumberLimits.numbersPerList {
      throw .tooManyNumbers
    }
    return try written { () throws(StoreError) in
      try store.stage(blocks, of: staged, list: job.list, company: job.company)
    }
  }

  private func finish(
    _ job: NumberJob, _ list: NumberList, _ company: Company, _ staged: StagedImport
  ) throws(Failure) -> NumbersChanged {
    if staged.parts == 0 { throw .importEmpty }
    let isCold = publisher.root.index(of: job.company) == nil
    let numbers =
      isCold ? try stored { () throws(StoreError) in try company.numbers(in: store.path, store.skeleton) } : [:]
    let patch = try stored { () throws(StoreError) in
      try NumberPatch(finishing: staged, of: list, of: job.company, store)
    }
    return try commit(job, list, numbers, patch)
  }

  /// How many of the list's numbers are in the parts.
  private func kept(
    _ list: NumberList, of company: Name, _ staged: StagedImport
  ) throws(Failure) -> UInt64 {
    if list.blockSet == 0 || staged.parts == 0 { return 0 }
    let known = publisher.root.index(of: company)?.lists.entry(list.id.text.utf8)?.numbers
    return try stored { () throws(StoreError) in
      let held = if let known { known } else { NumberSet(try store.skeleton(ofSet: list.blockSet)) }
      return UInt64(held.countOfNumbers(alsoIn: NumberSet(try store.skeleton(ofSet: staged.set))))
    }
  }

  private func abandon(_ job: NumberJob, _ list: NumberList) throws(Failure) -> NumbersChanged {
    try written { () throws(StoreError) in try store.abandonImport(of: job.list, company: job.company) }
    needsSweep = true
    return NumbersChanged(revision: store.revision, before: list.count, total: list.count)
  }

  /// Writes something that is no commit of changes.
  private func written<T>(_ body: () throws(StoreError) -> T) throws(Failure) -> T {
    do throws(StoreError) {
      let result = try body()
      hasWriteFailed = false
      return result
    } catch {
      if error.isFatal { onFatal(error) }
      noteFailure(error)
      logRefusal(of: 1, error)
      throw refusal(of: error)
    }
  }

  /// Reads something.
  private func stored<T>(_ body: () throws(StoreError) -> T) throws(Failure) -> T {
    do throws(StoreError) { return try body() } catch {
      if error.isFatal { onFatal(error) }
      throw unreadable(error)
    }
  }
}

extension Failure {
  fileprivate static let notYet = Failure(
    .invalidArgument, "time_not_reached",
    "the time asked about is in the future, and nobody knows what the rules will be then")

  /// Of the store, in the words that are for clients.
  init(_ error: StoreError) {
    self.init(error.code == "damaged" ? .dataLoss : .unavailable, error.code, error.words)
  }
}

extension ApplyJob {
  fileprivate init(_ job: NumberJob) {
    self.init(
      company: job.company, changes: [], actor: job.actor, caller: job.caller, source: job.source,
      expectedRevision: 0, digest: [], deadline: job.deadline)
  }
}

/// The batches that share a commit.
private struct CommitGroup {
  private(set) var records: [ChangeRecord] = []
  /// The revision after the last batch.
  private(set) var revision: UInt64
  private(set) var edits: [Name: [Edit]] = [:]
  private(set) var lastRevisions: [Name: UInt64] = [:]
  /// Of companies whose numbers it changes: those of the lists changed, or, where the company is cold, of all lists.
  var numbers: [Name: [Name: NumberSet]] = [:]

  /// Of its changes.
  private let time: Int64

  init(after store: Store) { (revision, time) = (store.revision, store.time) }

  /// A list is gone, and with it what it had of numbers.
  var leavesBlocks: Bool { edits.values.contains { $0.contains { $0.removedList != nil } } }

  /// The batch of this group that had this idempotency key.
  func earlier(company: Name, key: Name) -> (revision: UInt64, digest: [UInt8], edits: Int)? {
    for record in records where record.company == company {
      guard let used = record.idempotency, used.key == key else { continue }
      return (record.revision, used.digest, record.edits.count)
    }
    return nil
  }

  mutating func append(_ job: ApplyJob, _ outcome: Outcome, _ access: AccessSummary) {
    revision += 1
    edits[job.company, default: []] += outcome.edits
    lastRevisions[job.company] = revision
    records.append(
      ChangeRecord(
        revision: revision, company: job.company, timeMicroseconds: time, actor: job.actor,
        caller: job.caller, edits: outcome.edits,
        idempotency: job.idempotencyKey.map { Idempotency(key: $0, digest: job.digest) }, access: access))
  }
}

extension AccessSummary {
  /// What the acting user may be told: the counts, and what it sees or is gone.
  fileprivate func told(to job: ApplyJob, _ models: ModelCache) -> AccessSummary {
    guard let actor = job.actor else { return self }
    let company = models[job.company].company
    var told = self
    told.first = first.filter { !company.has($0.object) || company.sees(actor, target: $0.object) }
    return told
  }
}

/// How far a verification is.
private struct VerificationOfAll {
  let walk: VerificationWalk
  /// Whose indexes are still to be compared; nil: the store comes first.
  var companies: ArraySlice<Name>?
  /// Beside what is wrong with the store.
  var wrong: [String] = []

  init(_ walk: VerificationWalk) { self.walk = walk }

  var found: Verification { wrong.reduce(into: walk.found) { $0.report($1) } }
}

/// A company's state beside the revision of its last change.
struct Model {
  var company: Company
  var lastRevision: UInt64
}

/// The models of the companies changed last. Reading a company costs the authority about a second for a
/// million objects, holding it about 500 bytes an object: so those in use stay, within a bound.
private struct ModelCache {
  /// Objects and users of all companies held, at most.
  private let maximumWeight: Int
  private var models: [Name: Model] = [:]
  private var lastUse: [Name: UInt64] = [:]
  private var uses: UInt64 = 0
  /// Something was loaded or changed since the last eviction.
  private var hasGrown = false

  /// - Parameter budgetBytes: of the indexes; models are not to take more than these.
  init(budgetBytes: Int?) { maximumWeight = min(2_000_000, (budgetBytes ?? .max) / 500) }

  subscript(id: Name) -> Model {
    get { models[id]! }
    _modify { yield &models[id]! }
  }

  mutating func load(_ id: Name, from store: Store) throws(StoreError) -> Model {
    uses += 1
    lastUse[id] = uses
    if let model = models[id] { return model }
    let model = Model(company: try store.load(id), lastRevision: try store.lastRevision(of: id))
    models[id] = model
    hasGrown = true
    return model
  }

  mutating func noteGrowth() { hasGrown = true }

  mutating func drop(_ id: Name) {
    models[id] = nil
    lastUse[id] = nil
  }

  /// Drops what does not exist, and the least recently used beyond the bound; the last one used stays.
  mutating func evict() {
    if !hasGrown { return }
    hasGrown = false
    for (id, model) in models where model.company.mode == nil { drop(id) }
    var weight = models.values.reduce(0) { $0 + ModelCache.weight($1) }
    if weight <= maximumWeight { return }
    for (id, _) in lastUse.sorted(by: { $0.value < $1.value }).dropLast() where weight > maximumWeight {
      weight -= models[id].map(ModelCache.weight) ?? 0
      drop(id)
    }
  }

  private static func weight(_ model: Model) -> Int {
    let company = model.company
    let rights = company.roles.values.reduce(0) { $0 + $1.count }
    return 1 + company.objects.count + company.users.count + company.groups.count + rights + company.wayCount / 8
  }
}
