import Foundation
import ScopeTesting

/// PostgreSQL as Debian installs it, in a folder of its own, on a Unix socket alone.
struct PostgresServer {
  let child: Child
  private let folder: String

  var socket: String { "\(folder)/.s.PGSQL.5432" }

  /// It refuses to run as root: then it runs as the user of Debian's package.
  init(on processor: Int) throws {
    folder = Workspace.current.path("postgresql")
    let programs = try PostgresServer.programs()
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    let user = "postgres"
    if getuid() == 0 {
      guard let entry = getpwnam(user) else { throw BenchFailure("there is no user '\(user)' for PostgreSQL") }
      chown(folder, entry.pointee.pw_uid, entry.pointee.pw_gid)
    }
    let data = "\(folder)/data"
    let create = [
      "\(programs)/initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8",
    ]
    try Child.run(create, as: user)
    child = try Child(
      ["\(programs)/postgres", "-D", data, "-k", folder, "-c", "listen_addresses="], readyWord: "ready to accept",
      on: [processor], as: user, stopSignal: SIGINT)
  }

  private static func programs() throws -> String {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root))?.compactMap { Int($0) } ?? []
    guard let newest = versions.max() else {
      throw BenchFailure("no PostgreSQL; run: Scripts/install-packages --bench")
    }
    return "\(root)/\(newest)/bin"
  }

  /// Makes the tables and fills them.
  func load(_ company: BenchmarkCompany) throws {
    let id = BenchmarkCompany.id
    let memberships = company.users.flatMap { user in user.projects.map { "\(id)\t\(user.id)\t\($0)" } }
    let placements = company.placements.map { "\(id)\t\($0.object.type.name)\t\($0.object.id)\t\($0.project)" }
    let script =
      PostgresDialect.schema + PostgresServer.copy("memberships", memberships)
      + PostgresServer.copy("placements", placements) + "VACUUM ANALYZE;\n"
    let file = Workspace.current.path("postgresql.sql")
    try script.write(toFile: file, atomically: false, encoding: .utf8)
    try Child.run(["/usr/bin/psql", "-h", folder, "-U", "postgres", "-qX", "-v", "ON_ERROR_STOP=1", "-f", file])
  }

  private static func copy(_ table: String, _ rows: [String]) -> String {
    "\nCOPY \(table) FROM STDIN;\n\(rows.map { "\($0)\n" }.joined())\\.\n"
  }
}
