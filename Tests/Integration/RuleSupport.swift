import ScopeClient
import ScopeModel
import ScopeTesting

/// A daemon with one company, `c`, asked over the wire in plain values.
struct RuleCompany {
  let daemon: TestDaemon
  let client: Client
  let wire: WireCaller

  /// Verdict, reason, and project and group where there are any.
  func check(_ subject: String, _ object: String, right: String? = nil) -> [String] {
    let answer = client.check(subject, object, right: right)
    return [answer.verdict.rawValue, answer.reason, answer.project, answer.group].filter { !$0.isEmpty }
  }

  func allows(_ subject: String, _ object: String) -> Bool { client.check(subject, object).verdict == .allow }

  /// Applies changes; returns the reason they are refused for, or `applied`.
  func outcome(of changes: Change..., actor: String = "") -> String {
    do throws(RefusedApply) {
      _ = try client.apply(changes, to: "c", actor: actor, timeoutMilliseconds: .anHour)
      return "applied"
    } catch {
      return error.error.reason
    }
  }

  @discardableResult
  func apply(_ changes: Change..., actor: String = "") throws -> ApplyResult {
    try client.apply(changes, to: "c", actor: actor, timeoutMilliseconds: .anHour)
  }

  /// A list of what is not there is empty, and says so.
  private func listing(_ body: () throws -> Void) throws {
    do { try body() } catch let error as ClientError where error.reason.hasPrefix("unknown_") {}
  }

  /// What the subject sees, as `queue:desk`.
  func objects(_ subject: String, types: [String] = [], project: String? = nil) throws -> [Name] {
    var rows: [Name] = []
    try listing {
      _ = try client.objects(subject, types: types, project: project) {
        rows.append(Name(stringLiteral: "\($0.type):\($0.id)"))
      }
    }
    return rows
  }

  /// Each project the user sees, and whether with its contents.
  func projects(_ user: String) throws -> [Name: Bool] {
    var rows: [Name: Bool] = [:]
    try listing { _ = try client.projects("user:\(user)") { rows[Name(stringLiteral: $0.id)] = $0.contentsVisible } }
    return rows
  }

  /// The records of the log.
  func log(_ adjust: (inout LogFilter) -> Void = { _ in }) throws -> [LogRecord] {
    var (filter, records) = (LogFilter(), [LogRecord]())
    adjust(&filter)
    try client.changes(filter) {
      records.append($0)
      return true
    }
    return records
  }

  /// A hash over all there is.
  func digest() throws -> [UInt8] { try client.export("c", timeoutMilliseconds: .anHour) { _ in } }
}

/// Runs a test against a daemon with the company that these changes make.
func withCompany(
  _ changes: [Change] = [], mode: SecurityMode = .enhanced, _ body: (RuleCompany) async throws -> Void
) async throws {
  try await withDaemon { daemon in
    let client = try daemon.client("c")
    try client.applyAll([.putCompany(mode)] + changes, to: "c")
    try await body(
      RuleCompany(daemon: daemon, client: client, wire: WireCaller(daemon.address(.unix), company: "c")))
  }
}
