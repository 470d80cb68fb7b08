import Foundation
import ScopeClient
import ScopeModel
import ScopeServer
import ScopeTesting
import Testing

/// Holds companies that are about to be handed back by the threads that compile them.
final class Gate: @unchecked Sendable {  // all of it under the condition's lock
  private let condition = NSCondition()
  private var closed: Set<Name>
  private var arrived: [Name] = []

  init(closed: Set<Name>) { self.closed = closed }

  func pass(_ company: Name) {
    condition.withLock {
      arrived.append(company)
      condition.broadcast()
      while closed.contains(company) { condition.wait() }
    }
  }

  /// Those that have come here, in their order.
  var order: [Name] { condition.withLock { arrived } }

  func waitUntilHeld(_ company: Name) {
    if !comesAbout({ order.contains(company) }) { Issue.record("\(company) has not come to the gate") }
  }

  func open(_ company: Name) {
    condition.withLock {
      closed.remove(company)
      condition.broadcast()
    }
  }

  func openAll() {
    condition.withLock {
      closed = []
      condition.broadcast()
    }
  }
}

/// A folder with companies c0, c1, …, each as `smallCompany` makes it, and user u0 in its project.
func folderWithCompanies(_ count: Int) async throws -> TemporaryFolder {
  let daemon = try await TestDaemon()
  let client = try daemon.client()
  for number in 0..<count {
    let join = Change.addMember(project: "p", .user("u0"))
    try client.applyAll(smallCompany() + [join], to: Name(stringLiteral: "c\(number)"))
  }
  try await daemon.stop()
  return daemon.folder
}

/// Runs a test against a daemon in a folder, with some companies held back.
func withCold(
  _ folder: TemporaryFolder, holding companies: Set<Name> = [], budgetBytes: Int? = nil,
  _ body: (TestDaemon, Gate) async throws -> Void
) async throws {
  let gate = Gate(closed: companies)
  let daemon = try await TestDaemon(in: folder) { configuration in
    configuration.loading.threads = 8
    configuration.loading.budgetBytes = budgetBytes
    configuration.loading.beforeHandingBack = gate.pass
  }
  do { try await body(daemon, gate) } catch {
    gate.openAll()
    try? await daemon.stop()
    throw error
  }
  gate.openAll()
  try await daemon.stop()
}

/// Asks until the daemon says that it is ready.
func waitUntilReady(_ client: Client) async throws {
  try await waitUntil("a daemon that is ready") { try client.health().isReady }
}

let userU0: (UInt64, [UInt8]) = (1, Array("u0".utf8))
let userU1: (UInt64, [UInt8]) = (1, Array("u1".utf8))
let queueQ: (UInt64, [UInt8]) = (16, Array("q".utf8))
