import Dispatch
import Foundation
import ScopeIndex
import ScopeModel
import ScopeTesting

/// One check inside the index, without a socket: at sizes from one company of a thousand objects to ten thousand
/// such companies, and in one large company.
struct IndexBenchmark {
  /// What was found at one size.
  struct Size: Codable {
    let objects: Int
    let companies: Int
    let checkNanoseconds: Double
    let indexBytes: Int

    enum CodingKeys: String, CodingKey {
      case objects, companies
      case checkNanoseconds = "check_ns"
      case indexBytes = "index_bytes"
    }
  }

  /// Bytes of the index for one object with one placement, beyond those of its id.
  struct ObjectBytes: Codable {
    let perObject: Double
    /// Of them, what names for people take.
    let ofNames: Double
    let idBytes: Double

    enum CodingKeys: String, CodingKey {
      case perObject = "per_object"
      case ofNames = "of_names"
      case idBytes = "id_bytes"
    }
  }

  struct Result: Codable {
    let sizes: [Size]
    let large: Size
    let objectBytes: ObjectBytes

    enum CodingKeys: String, CodingKey {
      case sizes, large
      case objectBytes = "object_bytes"
    }
  }

  static let companies = [1, 10, 100, 1_000, 10_000]
  private static let questions = 1 << 20

  let repeats: Int
  let progress: Progress

  /// - Parameter large: one company to look at beside them.
  func run(_ large: SampleCompany) throws -> Result {
    let template = try SampleCompany(centre: SampleCompany.centre, objects: 1_000)
    progress.say("index: compiling \(IndexBenchmark.companies.last!) companies")
    let indexes = compile(template.company, count: IndexBenchmark.companies.last!)
    let sizes = try IndexBenchmark.companies.map { count in
      progress.say("index: \(count * template.objects.count) objects")
      return try measure(indexes.prefix(count), template)
    }
    progress.say("index: one company of 200,000 objects")
    let index = CompanyIndex(large.company, seed: 1)
    return Result(
      sizes: sizes, large: try measure([index], large), objectBytes: try objectBytes())
  }

  /// The same company under many ids, with other hashes in each.
  private func compile(_ template: Company, count: Int) -> [CompanyIndex] {
    let indexes = Slots(count)
    DispatchQueue.concurrentPerform(iterations: count) { number in
      let company = Company(id: IndexBenchmark.companyID(number), like: template)
      indexes.put(CompanyIndex(company, seed: UInt64(number)), at: number)
    }
    return indexes.all
  }

  private static func companyID(_ number: Int) -> Name { Name(stringLiteral: "company-\(10_000 + number)") }

  /// Unchecked: each slot is written once, by one thread, and read when all threads are done.
  private final class Slots: @unchecked Sendable {
    private let memory: UnsafeMutableBufferPointer<CompanyIndex?>

    init(_ count: Int) {
      memory = .allocate(capacity: count)
      memory.initialize(repeating: nil)
    }

    deinit {
      memory.deinitialize()
      memory.deallocate()
    }

    func put(_ index: CompanyIndex, at place: Int) { memory[place] = index }
    var all: [CompanyIndex] { memory.map { $0! } }
  }

  // MARK: - Checks

  private func measure(_ indexes: some Collection<CompanyIndex>, _ sample: SampleCompany) throws -> Size {
    let root = IndexRoot(revision: 1, companies: Array(indexes), seed: 1)
    let questions = IndexQuestions(IndexBenchmark.questions, of: sample, in: indexes.map(\.id))
    _ = try time(root, questions)  // warm
    let times = try (0..<repeats).map { _ in try time(root, questions) }
    return Size(
      objects: indexes.count * sample.objects.count, companies: indexes.count,
      checkNanoseconds: times.median, indexBytes: root.byteCount)
  }

  /// Nanoseconds on the processor of one check: company, subject and object are looked up, as for a question from the wire.
  private func time(_ root: IndexRoot, _ questions: IndexQuestions) throws -> Double {
    var allowed = 0
    let taken = processorSeconds {
      for question in questions.all {
        guard let view = root.company(question.company) else { continue }
        let answer = view.check(
          kind: SubjectKind.user, subject: question.user, type: question.type, object: question.object,
          right: Key(start: nil, count: 0))
        if answer.reason.allows { allowed += 1 }
      }
    }
    if allowed != questions.allowed {
      throw BenchFailure("the index allows \(allowed) of the questions, the model \(questions.allowed)")
    }
    return taken * 1e9 / Double(questions.all.count)
  }

  // MARK: - Memory

  /// Compares companies that differ in their objects, and in the names of these, alone.
  private func objectBytes() throws -> ObjectBytes {
    func bytes(_ company: SampleCompany) -> Double { Double(CompanyIndex(company.company, seed: 1).byteCount) }
    let centre = SampleCompany.centre
    let (with, without) = (
      try SampleCompany(centre: centre, objects: 1_000), try SampleCompany(centre: centre, objects: 0)
    )
    let unnamed = try SampleCompany(centre: centre, objects: 1_000, isNamed: false)
    let count = Double(with.objects.count)
    let ids = Double(with.objects.reduce(0) { $0 + $1.id.text.utf8.count }) / count
    let nameless = Double(with.objects.count)  // a name has one byte at least
    return ObjectBytes(
      perObject: (bytes(with) - bytes(without)) / count - ids,
      ofNames: (bytes(with) - bytes(unnamed) + nameless) / count, idBytes: ids)
  }
}

/// A company for the index: users, teams and projects of the generator, and objects that are in one project each.
struct SampleCompany {
  /// 100 users.
  static let centre = ContactCentre(
    ContactCentre.Shape(users: 100, groups: 10, projects: 10, objects: 0, customFields: 0), seed: 1)

  let company: Company
  let users: [Name]
  let objects: [ObjectRef]

  /// - Parameter isNamed: objects have names for people; otherwise the shortest there can be.
  init(centre: ContactCentre, objects count: Int, isNamed: Bool = true) throws {
    var company = try centre.company(id: "sample")
    let objects = (0..<count).map { centre.object($0) }
    for (number, ref) in objects.enumerated() {
      let name = isNamed ? Name(stringLiteral: ref.id.text.replacingOccurrences(of: "-", with: " ")) : "x"
      _ = try company.apply([
        .putObject(Object(ref, name: name), projects: [centre.projectID(number % centre.shape.projects)])
      ])
    }
    self.company = company
    self.objects = objects
    users = (0..<centre.shape.users).map { centre.userID($0) }
  }

  private init(_ centre: ContactCentre) throws {
    company = try centre.company(id: "large")
    users = (0..<centre.shape.users).map { centre.userID($0) }
    objects = (0..<centre.shape.objects).map { centre.object($0) }
  }

  /// 20,000 users, 2,000 projects, 200,000 objects.
  static func large() throws -> SampleCompany { try SampleCompany(ContactCentre(.large, seed: 1)) }
}

/// Questions prepared in memory, in the order in which they are asked: random companies, users and objects.
private final class IndexQuestions {
  struct One {
    let company: Key
    let user: Key
    let type: UInt8
    let object: Key
  }

  let all: [One]
  /// How many the model allows.
  let allowed: Int
  private let bytes: UnsafeMutableRawBufferPointer

  init(_ count: Int, of sample: SampleCompany, in companies: [Name]) {
    var random = SeededRandom(seed: 3)
    var (all, allowed, position) = ([One](), 0, 0)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count * 3 * 64, alignment: 16)
    func put(_ name: Name) -> Key {
      let place = UnsafeMutableRawBufferPointer(rebasing: bytes[position..<position + name.text.utf8.count])
      place.copyBytes(from: name.text.utf8)
      position += place.count
      return Key(place)
    }
    all.reserveCapacity(count)
    for _ in 0..<count {
      let (user, object) = (random.pick(sample.users), random.pick(sample.objects))
      if sample.company.sees(user, object) { allowed += 1 }
      let company = put(random.pick(companies))
      all.append(One(company: company, user: put(user), type: object.type.number, object: put(object.id)))
    }
    (self.all, self.allowed, self.bytes) = (all, allowed, bytes)
  }

  deinit { bytes.deallocate() }
}
