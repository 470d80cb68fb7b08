import Foundation
import ScopeModel
import ScopeTesting

/// What changes cost: one at a time in a large company, and from many writers at once.
struct ChangeBenchmark {
  /// One kind of change, one at a time, in milliseconds.
  struct Visible: Codable {
    let changes: Int
    /// From sending the change to its acknowledgement: it is on the disk, and every later check sees it.
    let p50Milliseconds: Double
    /// An append of as many bytes as a change writes, and fdatasync, in the same folder, between the changes.
    let syncP50Milliseconds: Double
    let bytesPerChange: Int

    /// What the change takes beside the disk.
    var beyondSyncMilliseconds: Double { p50Milliseconds - syncP50Milliseconds }

    enum CodingKeys: String, CodingKey {
      case changes
      case p50Milliseconds = "p50_ms"
      case syncP50Milliseconds = "fsync_p50_ms"
      case bytesPerChange = "bytes_per_change"
    }
  }

  /// Durable changes a second, closed loop.
  struct Writers: Codable {
    let one: Double
    let sixtyFour: Double
    /// The median over the rounds.
    let ratio: Double

    enum CodingKeys: String, CodingKey {
      case one = "per_second_1"
      case sixtyFour = "per_second_64"
      case ratio
    }
  }

  struct Result: Codable {
    let membership: Visible
    let object: Visible
    let writers: Writers
  }

  static let largeID: Name = "large"

  private let plan: Plan
  private let server: ScopedServer
  private let folder: String
  private let progress: Progress
  private let changes: LargeCompanyChanges
  private let medium: BenchmarkCompany

  /// Starts a daemon with both companies, pinned to nothing.
  init(_ plan: Plan, _ medium: BenchmarkCompany, _ large: SampleCompany, _ progress: Progress) throws {
    self.plan = plan
    self.medium = medium
    self.progress = progress
    folder = Workspace.current.path("changes")
    changes = try LargeCompanyChanges(large, count: plan.changes)
    progress.say("changes: filling a company of 200,000 objects")
    try ChangeBenchmark.fill(folder)
    server = try ScopedServer(folder, on: nil)
    try server.client().applyAll(BenchmarkCompany.centre, to: BenchmarkCompany.id)
  }

  /// The company of `SampleCompany.large`.
  private static func fill(_ folder: String) throws {
    let shape = ContactCentre.Shape.large
    let sizes = ["--users", "\(shape.users)", "--projects", "\(shape.projects)", "--objects", "\(shape.objects)"]
    try Child.run([builtProduct("scope-bench").path, "fill", folder, "--id", "\(largeID)"] + sizes)
  }

  func run() throws -> Result {
    defer { server.child.stop() }
    progress.say("changes: one at a time in a company of 200,000 objects")
    try Processors.pin(to: Processors.all)
    let membership = try visible(changes.memberships)
    let object = try visible(changes.objects)
    progress.say("changes: 1 writer and 64")
    return Result(membership: membership, object: object, writers: try writers())
  }

  /// Each change is followed by a check that must see it, and by the disk alone: all meet the same disk.
  private func visible(_ changes: [LargeCompanyChanges.One]) throws -> Visible {
    let socket = try BenchSocket(.unix(server.socket))
    let (first, rest) = (changes[0], changes.dropFirst())
    try apply(first, socket)
    let before = writtenBytes()
    try apply(rest.first!, socket)
    let bytes = max(1, writtenBytes() - before)
    let probe = try DiskProbe(folder: folder, bytes: bytes)
    var (times, syncs) = ([Double](), [Double]())
    for change in rest.dropFirst() {
      times.append(try apply(change, socket) * 1e3)
      syncs.append(try probe.append() * 1e3)
    }
    return Visible(
      changes: times.count, p50Milliseconds: times.median, syncP50Milliseconds: syncs.median, bytesPerChange: bytes)
  }

  /// Seconds until the acknowledgement.
  @discardableResult
  private func apply(_ change: LargeCompanyChanges.One, _ socket: BenchSocket) throws -> Double {
    var answer: [UInt8] = []
    let taken = try seconds { answer = try socket.ask(change.apply, .frames) }
    let outcome = try RawResponse(Array(answer.dropFirst(4)))
    if outcome.code != 0 { throw BenchFailure("a change was refused: \(outcome.message)") }
    let check = try RawResponse(Array(try socket.ask(change.check, .frames).dropFirst(4)))
    if check.code != 0 || check.decision != (change.isAllowedAfter ? 1 : 2) {
      throw BenchFailure("a check after the acknowledgement does not see the change")
    }
    return taken
  }

  /// Bytes that the daemon has sent to the disk, by the kernel's accounts.
  private func writtenBytes() -> Int {
    let account = try? String(contentsOfFile: "/proc/\(server.child.processor)/io", encoding: .utf8)
    let line = account?.split(separator: "\n").first { $0.hasPrefix("write_bytes: ") }
    return line.flatMap { Int($0.dropFirst("write_bytes: ".count)) } ?? 0
  }

  // MARK: - Writers

  private func writers() throws -> Writers {
    let pairs = medium.changeable.prefix(64).flatMap { user, project in
      [ScopedDialect.addMember(user, project), ScopedDialect.removeMember(user, project)]
    }
    let requests = RequestList(pairs.map { ScopedDialect.apply($0) })
    let rounds = try (0..<3).map { _ in
      (one: try rate(1, plan.writerChanges * 4, requests), many: try rate(64, plan.writerChanges, requests))
    }
    return Writers(
      one: rounds.map(\.one).median, sixtyFour: rounds.map(\.many).median, ratio: rounds.map { $0.many / $0.one }.median
    )
  }

  /// - Parameter changes: of each writer; even, so that every membership added is removed again.
  private func rate(_ count: Int, _ changes: Int, _ requests: RequestList) throws -> Double {
    let share = requests.count / count
    let connections = try (0..<count).map { number in
      try LoadConnection(
        BenchSocket(.unix(server.socket)), .frames, requests, share: number * share..<(number + 1) * share)
    }
    let before = try server.client().health().revision
    var loop = ClosedLoop(try Load(connections), depth: 1, .each(changes))
    let result = try loop.run()
    let committed = try server.client().health().revision - before
    if committed != UInt64(count * changes) {
      throw BenchFailure("\(committed) of \(count * changes) changes were committed")
    }
    return result.rate
  }
}

/// What the disk takes by itself.
private final class DiskProbe {
  private let handle: Int32
  private let bytes: [UInt8]

  init(folder: String, bytes count: Int) throws(BenchFailure) {
    handle = open("\(folder)/probe", O_CREAT | O_WRONLY | O_APPEND, 0o600)
    if handle < 0 { throw .system("\(folder)/probe") }
    bytes = Array(repeating: 0x5A, count: count)
  }

  deinit { close(handle) }

  /// Seconds of one append and fdatasync.
  func append() throws -> Double {
    try seconds {
      guard write(handle, bytes, bytes.count) == bytes.count, fdatasync(handle) == 0 else {
        throw BenchFailure.system("append to the probe")
      }
    }
  }
}

/// Changes of a large company, each with a check that tells whether it is seen.
private struct LargeCompanyChanges {
  struct One {
    let apply: [UInt8]
    let check: [UInt8]
    let isAllowedAfter: Bool
  }

  /// Put into a project, and taken out again, in turns.
  let memberships: [One]
  let objects: [One]

  init(_ large: SampleCompany, count: Int) throws {
    let id = ChangeBenchmark.largeID
    let pairs = LargeCompanyChanges.pairs(large, count: count / 2 + 2)
    memberships = pairs.flatMap { user, project, object in
      let check = ScopedDialect.canSee(user, object, in: id)
      return [
        One(
          apply: ScopedDialect.apply(ScopedDialect.addMember(user, project), to: id), check: check, isAllowedAfter: true
        ),
        One(
          apply: ScopedDialect.apply(ScopedDialect.removeMember(user, project), to: id), check: check,
          isAllowedAfter: false),
      ]
    }
    objects = try LargeCompanyChanges.members(large, count: count + 2).enumerated().map { number, member in
      let object = ObjectRef(ObjectType(name: "list")!, try Name("benchmark-list-\(number)"))
      return One(
        apply: ScopedDialect.apply(ScopedDialect.putObject(object, member.project), to: id),
        check: ScopedDialect.canSee(member.user, object, in: id), isAllowedAfter: true)
    }
  }

  /// Users, projects they are not in, and an object of each project that the user does not see.
  private static func pairs(_ large: SampleCompany, count: Int) -> [(Name, Name, ObjectRef)] {
    let company = large.company
    let found = zip(large.users, large.objects).lazy.compactMap { user, object -> (Name, Name, ObjectRef)? in
      guard let project = company.objects[object]!.projects.first else { return nil }
      return company.users[user]!.user.isBlocked || company.sees(user, object) ? nil : (user, project, object)
    }
    return Array(found.prefix(count))
  }

  /// Users with a project each that they are in.
  private static func members(_ large: SampleCompany, count: Int) -> [(user: Name, project: Name)] {
    let found = large.users.lazy.compactMap { user -> (user: Name, project: Name)? in
      let state = large.company.users[user]!
      guard !state.user.isBlocked, let project = state.projects.min() else { return nil }
      return (user, project)
    }
    return Array(found.prefix(count))
  }
}
