import CScopeWire
import Logging
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore
import ScopeTesting
import Testing

@testable import ScopeServer

/// What an answer keeps in memory that its client takes its time with.
@Suite struct HeldIndexes {
  private static let user = Proto.number(1, 1) + Proto.bytes(2, Array("u".utf8))
  private static let list = Proto.number(1, 21) + Proto.bytes(2, Array("l0".utf8))

  /// Listings of more than one part.
  @Test(arguments: [
    (13, Proto.number(2, 1)), (15, user), (20, list), (21, user), (37, user), (25, []), (27, []),
  ])
  func areOfItsOwnCompanyAlone(call: Int, message: [UInt8]) async throws {
    let folder = TemporaryFolder()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let authority = try await Authority.open(
      StoreConfiguration(directory: folder.file("data")), limits: Limits(), logger: logger,
      onFatal: { fatalError("\($0)") }
    ).get()
    let large = try index("large", things: 600)
    let publisher = IndexPublisher(IndexRoot(revision: 1, companies: [large, try index("other", things: 1)], seed: 3))
    let dispatcher = Dispatcher(
      limits: Limits(), publisher: publisher, daemon: DaemonState(limits: Limits(), authority: authority))
    weak let other = publisher.root.index(of: "other")
    #expect(other != nil)
    var out = ByteBuffer()
    let caller = Caller(name: "test", scopes: .all, source: Source())
    let request = RawRequest(company: "large", call: call, message).packed
    let answer = request.withUnsafeBytes { dispatcher.answer($0, from: caller, into: &out) }
    switch answer {
    case .stream, .listing: break
    default: Issue.record("call \(call) is answered at once")
    }
    for revision in 2...3 as ClosedRange<UInt64> {
      publisher.publish(IndexRoot(revision: revision, companies: [large], seed: 3))
      dispatcher.refresh()
    }
    #expect(other == nil)
    withExtendedLifetime(answer) {}
    try await authority.close()
  }

  /// So many projects, users who are in each, groups and lists.
  private func index(_ id: Name, things: Int) throws -> CompanyIndex {
    var company = Company(id: id)
    let names = (0..<things).map { Name(stringLiteral: "\($0)") }
    var changes: [Change] = [.putCompany(.simple), .putUser(User(id: "u", name: "u"), roles: [])]
    changes += names.map { .putProject(Project(id: $0, name: $0)) }
    changes += names.map { .putUser(User(id: $0, name: $0), roles: []) }
    changes += names.map { .putGroup(Group(id: $0, name: $0)) }
    changes += names.map { .putObject(Object(ObjectRef(.list, Name(stringLiteral: "l\($0)")), name: $0)) }
    _ = try company.apply(changes)
    return CompanyIndex(company, seed: 3)
  }
}
