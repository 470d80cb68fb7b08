import ArgumentParser
import Foundation
import ScopeModel
import ScopeStore
import ScopeTesting

/// Fills a data directory without a daemon: some minutes for ten million objects.
struct Fill: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fills a data folder with contact centres.",
    discussion: """
      The folder must be new, or at least hold none of the companies, and no daemon may have it open. It then holds \
      what a daemon would have written, the log with its hashes and the tables, so that `scopectl verify` finds nothing \
      wrong. Progress goes to standard error; a JSON summary goes to standard output.
      """)

  @Argument(help: "The data folder; created if missing.")
  var directory: String

  @Option(help: ArgumentHelp("Number of companies: company-00001, company-00002, …", valueName: "n"))
  var companies = 1

  @Option(help: ArgumentHelp("Users in each company.", valueName: "n"))
  var users = 100

  @Option(help: ArgumentHelp("Projects in each company.", valueName: "n"))
  var projects = 20

  @Option(
    help: ArgumentHelp("Objects in each company; contact fields, a fiftieth of that, come on top.", valueName: "n"))
  var objects = 1_000

  @Option(help: ArgumentHelp("Id of the company, if there is only one.", valueName: "name"))
  var id: String?

  @Option(
    help: ArgumentHelp("Random seed of the first company; each further one uses the next number.", valueName: "n"))
  var seed: UInt64 = 1

  func validate() throws {
    let sizes = [
      ("companies", companies, 1...1_000_000), ("users", users, 0...CompanyLimits.users),
      ("projects", projects, 0...CompanyLimits.projects), ("objects", objects, 0...CompanyLimits.objects),
    ]
    for (name, size, range) in sizes where !range.contains(size) {
      throw ValidationError("--\(name) must be from \(range.lowerBound) to \(range.upperBound).")
    }
    if id != nil && companies != 1 { throw ValidationError("--id is for a single company, not for \(companies).") }
    if let id, (try? Name(id)) == nil { throw ValidationError("--id '\(id)' is not a name.") }
  }

  func run() throws {
    var filler = try Filler(directory, companies)
    for number in 1...companies {
      try filler.add(centre(number), id: id.map { try Name($0) } ?? Fill.companyID(number))
    }
    try filler.close()
    try filler.printWritten()
  }

  private func centre(_ number: Int) -> ContactCentre {
    let shape = ContactCentre.Shape(
      users: users, groups: (users + 7) / 8, projects: projects, objects: objects, customFields: objects / 50)
    return ContactCentre(shape, seed: seed + UInt64(number - 1))
  }

  /// `company-00001`: in the order of the numbers as long as there are at most 99,999.
  static func companyID(_ number: Int) -> Name {
    let digits = String(number)
    return Name(stringLiteral: "company-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits)")
  }
}

/// Writes companies into a store, many records a commit.
struct Filler {
  private static let changesPerRecord = 1_000
  /// Of a commit: enough that its fsync does not count, and that memory stays small.
  private static let editsPerCommit = 100_000

  private let store: Store
  private let file: String
  private let total: Int
  private let start = ContinuousClock.now
  private var told = ContinuousClock.now
  private var records: [ChangeRecord] = []
  private var editsWaiting = 0
  private var written = Written()

  private struct Written: Encodable {
    var companies = 0
    var users = 0
    var projects = 0
    var objects = 0
    var placements = 0
    var edits = 0
    var revision: UInt64 = 0
    var bytes = 0
    var seconds = 0.0
  }

  init(_ directory: String, _ total: Int) throws {
    var configuration = StoreConfiguration(directory: directory)
    configuration.checkpointPagesAtMost = 50_000
    configuration.cacheBytes = 256 << 20
    store = try Store(configuration)
    file = directory + "/scoped.sqlite"
    written.revision = store.revision
    self.total = total
  }

  /// Adds a company by the changes that make it.
  mutating func add(_ changes: some Sequence<Change>, id: Name) throws {
    if try store.lastRevision(of: id) > 0 { throw ValidationError("the company '\(id)' exists already, or once did.") }
    var company = Company(id: id)
    var batch: [Change] = []
    for change in changes {
      batch.append(change)
      if batch.count == Filler.changesPerRecord { try write(&batch, &company) }
    }
    try write(&batch, &company)
    note(company)
  }

  mutating func close() throws {
    try commit()
    try store.close()
  }

  mutating func printWritten() throws {
    written.bytes = try URL(fileURLWithPath: file).resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
    written.seconds = seconds(since: start)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    print(String(decoding: try encoder.encode(written), as: UTF8.self))
  }

  private mutating func write(_ batch: inout [Change], _ company: inout Company) throws {
    if batch.isEmpty { return }
    let edits = try company.apply(batch).edits
    batch.removeAll(keepingCapacity: true)
    written.revision += 1
    written.edits += edits.count
    written.placements += edits.count { if case .placement? = $0.after { true } else { false } }
    records.append(
      ChangeRecord(
        revision: written.revision, company: company.id, timeMicroseconds: Int64(Date().timeIntervalSince1970 * 1e6),
        caller: "fill", edits: edits))
    editsWaiting += edits.count
    if editsWaiting >= Filler.editsPerCommit { try commit() }
  }

  private mutating func commit() throws {
    try store.commit(records)
    records.removeAll(keepingCapacity: true)
    editsWaiting = 0
    tell()
  }

  private mutating func note(_ company: Company) {
    written.companies += 1
    written.users += company.users.count
    written.projects += company.projects.count
    written.objects += company.objects.count
  }

  private mutating func tell() {
    if seconds(since: told) < 1 { return }
    told = .now
    let line = String(
      format: "%d of %d companies, %d edits, %.0f s\n", written.companies, total, written.edits, seconds(since: start))
    FileHandle.standardError.write(Data(line.utf8))
  }

  private func seconds(since start: ContinuousClock.Instant) -> Double { (ContinuousClock.now - start) / .seconds(1) }
}
