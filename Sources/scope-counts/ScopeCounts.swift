import Foundation
import Logging
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeServer
import ScopeStore
import ScopeTesting

/// Runs each part of the serving path by itself, for `Scripts/counts`: it counts instructions with callgrind and
/// allocations with a preloaded library, since both repeat where times do not. Prints a line for each: its name, how
/// often it did what it is named for, and its allocations.
///
/// The argument is the file in which that library counts; without it, no allocations are. No async main: callgrind
/// does not bear Dispatch's threads.
@main
enum ScopeCounts {
  static func main() throws {
    let counter = try CommandLine.arguments.dropFirst().first.map(AllocationCount.init)
    for subject in try Subjects().all() {
      subject.body()  // buffers find their size
      measuredBody = subject.body
      let before = counter?.value ?? 0
      runMeasured()
      let after = counter?.value ?? 0
      print(subject.name, subject.times, after - before, separator: "\t")
    }
  }
}

/// What `runMeasured` runs.
nonisolated(unsafe) private var measuredBody: () -> Void = {}  // one thread sets and runs it

/// Callgrind knows it by this name, and counts only while it runs.
@c(scope_measured) @inline(never)
public func runMeasured() { measuredBody() }

/// The number that the preloaded library counts up.
private struct AllocationCount {
  private let memory: UnsafeMutablePointer<UInt64>

  init(file path: String) throws {
    let file = open(path, O_RDWR)
    defer { close(file) }
    guard file >= 0, let mapped = mmap(nil, 8, PROT_READ, MAP_SHARED, file, 0), mapped != MAP_FAILED else {
      throw TestFailure("\(path): \(String(cString: strerror(errno)))")
    }
    memory = mapped.bindMemory(to: UInt64.self, capacity: 1)
  }

  var value: UInt64 { memory.pointee }
}

/// What is counted: a name, and something that is done so many times.
private struct Subject {
  let name: String
  let times: Int
  let body: () -> Void
}

private struct Subjects {
  private let centre = ContactCentre(.small, seed: 1)
  private let company: Company
  private let index: CompanyIndex
  private let publisher: IndexPublisher
  private let answers: FrameAnswers
  private let folder = TemporaryFolder()
  private let users: [Key]
  private let objects: [(type: UInt8, id: Key)]

  init() throws {
    company = try centre.company(id: "measure")
    index = CompanyIndex(company, seed: 1)
    publisher = IndexPublisher(IndexRoot(revision: 1, companies: [index], seed: 1))
    var logger = Logger(label: "counts")
    logger.logLevel = .critical
    let authority = try Authority.open(
      StoreConfiguration(directory: folder.path), limits: Limits(), logger: logger, onFatal: { fatalError("\($0)") }
    ).wait()
    answers = FrameAnswers(publisher, authority: authority)
    users = company.users.keys.sorted().map(\.immortal)
    objects = company.objects.keys.sorted().map { ($0.type.number, $0.id.immortal) }
  }

  func all() throws -> [Subject] {
    let (user, object) = (company.users.keys.sorted()[1], ObjectRef(.contactField, "measured"))
    return [
      indexCheck(), indexFilter(), indexBuild(), indexPublish(),
      try indexChange("index_change_membership", .addMember(project: centre.projectID(1), .user(user))),
      try indexChange("index_change_object", .putObject(Object(object, name: object.id))),
      frames("frame_can_see", (0..<1_024).map { check($0).packed }),
      frames("frame_filter_1000", [filter()], times: 1_000),
      frames("message_can_see", (0..<1_024).map { Proto.key(99, 0) + [1] + check($0).packed }),
      frames("message_check_many", [checkMany()], times: 1_024),
    ]
  }
}

// MARK: - The index

extension Subjects {
  private func indexCheck() -> Subject {
    Subject(name: "index_check", times: 1_024) { [users, objects, index] in
      let view = view(of: index)
      var allowed = 0
      for number in 0..<1_024 {
        let object = objects[number % objects.count]
        let answer = view.check(
          kind: SubjectKind.user, subject: users[number % users.count], type: object.type, object: object.id,
          right: .none)
        if answer.reason.allows { allowed += 1 }
      }
      precondition(allowed > 0 && allowed < 1_024, "questions of one answer measure one way")
    }
  }

  private func indexFilter() -> Subject {
    Subject(name: "index_filter", times: 1_000) { [users, objects, index] in
      let view = view(of: index)
      let subject = view.subject(kind: SubjectKind.user, id: users[1])
      var visible = 0
      for number in 0..<1_000 {
        let object = objects[number % objects.count]
        if view.isVisible(subject, type: object.type, id: object.id, within: .none) { visible += 1 }
      }
      precondition(visible > 0 && visible < 1_000, "questions of one answer measure one way")
    }
  }

  private func indexBuild() -> Subject {
    Subject(name: "index_build", times: company.objects.count) { [company] in
      precondition(CompanyIndex(company, seed: 1).byteCount > 0)
    }
  }

  private func indexChange(_ name: String, _ change: Change) throws -> Subject {
    var changed = company
    let edits = try changed.apply([change]).edits
    precondition(!edits.isEmpty, "\(change) changes nothing")
    return Subject(name: name, times: 1) { [index, changed] in
      precondition(CompanyIndex(changed, seed: 1, previous: index, edits: edits).byteCount > 0)
    }
  }

  /// With a reader that takes the new one.
  private func indexPublish() -> Subject {
    let publisher = IndexPublisher(IndexRoot(revision: 1, companies: [index], seed: 1))
    var cursor = IndexPublisher.Cursor(publisher)
    return Subject(name: "index_publish", times: 1) { [index] in
      let revision = publisher.root.revision + 1
      publisher.publish(publisher.root.replacing([index.id: index], revision: revision, seed: 1))
      cursor.refresh()
      precondition(cursor.root.revision == revision)
    }
  }

  private func view(of index: CompanyIndex) -> CompanyView {
    let id = index.id.immortal
    return publisher.root.company(id)!
  }
}

// MARK: - Frames and messages

extension Subjects {
  private func check(_ number: Int) -> RawRequest {
    let object = objects[number % objects.count]
    var request = RawRequest.canSee(
      "measure", (UInt64(SubjectKind.user), Array(users[number % users.count])),
      (UInt64(object.type), Array(object.id)))
    request.id = UInt64(number + 1)
    return request
  }

  private func filter() -> [UInt8] {
    let queues = objects.filter { $0.type == 16 }
    let ids = (0..<1_000).flatMap { Proto.message(4, Array(queues[$0 % queues.count].id)) }
    let call = Proto.number(1, 1) + Proto.bytes(2, Array(users[1])) + Proto.number(3, 16) + ids + Proto.number(6, 1)
    return RawRequest(company: "measure", call: 14, call).packed
  }

  private func checkMany() -> [UInt8] {
    let checks = (0..<1_024).flatMap { Proto.message(1, check($0).call!.message) }
    return RawRequest(company: "measure", call: 12, checks).packed
  }

  private func frames(_ name: String, _ messages: [[UInt8]], times: Int? = nil) -> Subject {
    let bytes = messages.flatMap(RawConnection.frame)
    return Subject(name: name, times: times ?? messages.count) { [answers] in
      precondition(bytes.withUnsafeBytes { answers.answer($0) }.readableBytes > 0)
    }
  }
}

extension Key {
  fileprivate static var none: Key { Key(start: nil, count: 0) }
}

extension Name {
  /// The bytes, in memory that is never freed: the process ends soon.
  fileprivate var immortal: Key {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
    memory.copyBytes(from: text.utf8)
    return Key(memory)
  }
}
