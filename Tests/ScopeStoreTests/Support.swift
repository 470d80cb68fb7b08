import Foundation
import GRDB
import ScopeModel
import Testing

@testable import ScopeStore

/// A data directory of its own, removed at the end.
final class Scratch {
  let configuration: StoreConfiguration

  init() {
    var template = Array("/tmp/scope-store-XXXXXX".utf8CString)
    configuration = StoreConfiguration(directory: String(cString: mkdtemp(&template)))
  }

  deinit { try? FileManager.default.removeItem(atPath: configuration.directory) }

  var directory: String { configuration.directory }
  var database: String { configuration.databasePath }

  /// Opens the store, and closes it after the body: cleanly, with all of it in one file.
  func withStore<T>(_ body: (Store) throws -> T) throws -> T { try withStore({ _ in }, body) }

  /// The same, opened in another way.
  func withStore<T>(_ adjust: (inout StoreConfiguration) -> Void, _ body: (Store) throws -> T) throws -> T {
    var configuration = configuration
    adjust(&configuration)
    let store = try Store(configuration)
    let result: T
    do { result = try body(store) } catch {
      try? store.close()
      throw error
    }
    try store.close()
    #expect(files() == ["scoped.head", "scoped.lock", "scoped.sqlite"])
    return result
  }

  /// Opens the closed database as a stranger would.
  func withDatabase<T>(_ body: (Database) throws -> T) throws -> T {
    let queue = try DatabaseQueue(path: database)
    let result = try queue.writeWithoutTransaction(body)
    try queue.close()
    return result
  }

  func files() -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
  }

  func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

  func put(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

  /// Replaces bytes in the closed database file; how often they were there.
  func replace(_ old: String, with new: String) throws -> Int {
    precondition(old.utf8.count == new.utf8.count)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: database))
    var count = 0
    while let range = bytes.range(of: Data(old.utf8)) {
      bytes.replaceSubrange(range, with: Data(new.utf8))
      count += 1
    }
    try bytes.write(to: URL(fileURLWithPath: database))
    return count
  }

  func mode(_ path: String) throws -> Int {
    try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
  }
}

extension Store {
  /// Applies changes to the model and writes them as the next revision.
  func apply(_ changes: [Change], to company: inout Company) throws {
    let outcome = try company.apply(changes)
    try commit([record(company.id, outcome.edits)])
  }

  func record(_ company: Name, _ edits: [Edit], ahead: UInt64 = 1, _ idempotency: Idempotency? = nil) -> ChangeRecord {
    ChangeRecord(
      revision: revision + ahead, company: company, timeMicroseconds: 1_700_000_000_000_000 + Int64(ahead),
      actor: "anna", caller: "pbx", edits: edits, idempotency: idempotency)
  }

  /// What a pragma says on the store's own connection.
  func pragma(_ name: String) throws -> String? {
    try queue.unsafeRead { try String.fetchOne($0, sql: "PRAGMA \(name)") }
  }
}

extension Company {
  var facts: Set<Fact> {
    var facts = Set(mode.map { [Fact.company($0)] } ?? [])
    for (role, rights) in roles {
      facts.insert(.role(role))
      for right in rights { facts.insert(.roleRight(role: role, right: right)) }
    }
    for state in users.values {
      facts.insert(.user(state.user))
      for role in state.roles { facts.insert(.userRole(user: state.user.id, role: role)) }
    }
    for state in groups.values {
      facts.insert(.group(state.group))
      for user in state.users { facts.insert(.groupMember(group: state.group.id, user: user)) }
    }
    for state in projects.values {
      facts.insert(.project(state.project))
      for member in state.members { facts.insert(.member(project: state.project.id, member)) }
    }
    for (ref, state) in objects {
      facts.insert(.object(state.object))
      for project in state.projects { facts.insert(.placement(ref, project: project)) }
    }
    for list in lists.values { facts.insert(.list(list)) }
    return facts
  }
}

extension StoreConfiguration {
  /// Takes whatever the file says.
  mutating func lookAway() { (checksDigests, checksHead) = (false, false) }
}

/// Changes that make facts of every kind.
let everyKind: [Change] = [
  .putCompany(.enhanced),
  .putRole("lead", rights: ["projects.list", "section.call_journal"]),
  .putUser(User(id: "anna", name: "Anna"), roles: ["lead", "admin"]),
  .putUser(User(id: "boris", name: "Boris", isBlocked: true), roles: []),
  .putGroup(Group(id: "night", name: "Night shift")),
  .addToGroup(group: "night", user: "boris"),
  .putProject(Project(id: "clinic", name: "Clinic", description: try! Remark("Calls of the clinic"))),
  .putProject(Project(id: "shop", name: "Shop")),
  .addMember(project: "clinic", .user("anna")),
  .addMember(project: "clinic", .group("night")),
  .putObject(Object(ObjectRef(.contactField, "diagnosis"), name: "Diagnosis")),
  .putObject(Object(ObjectRef(ObjectType(name: "queue")!, "support"), name: "Support line")),
  .place(ObjectRef(.contactField, "diagnosis"), project: "clinic"),
  .place(ObjectRef(.contactField, "diagnosis"), project: "shop"),
  .place(ObjectRef(ObjectType(name: "queue")!, "support"), project: "shop"),
  .putObject(Object(ObjectRef(.list, "dnc"), name: "Do not call"), projects: ["shop"]),
  .setPurpose(list: "dnc", .unwanted),
]

/// The code of the error a call throws; nil: it throws none, or another kind.
func code(_ body: () throws -> Void) -> String? {
  do { try body() } catch { return (error as? StoreError)?.code }
  return nil
}

/// The error a call must throw.
func failure(_ body: () throws -> Void) throws -> StoreError {
  do { try body() } catch { return try #require(error as? StoreError) }
  return try #require(nil as StoreError?, "nothing was thrown")
}

extension Scratch {
  /// For a process that ends without letting go.
  func remove() { try? FileManager.default.removeItem(atPath: configuration.directory) }
}

extension VerificationWalk.Pace {
  /// So that even a small store takes many steps.
  static var short: VerificationWalk.Pace {
    var pace = VerificationWalk.Pace()
    (pace.bytes, pace.rows, pace.blocks) = (100, 3, 2)
    return pace
  }
}
