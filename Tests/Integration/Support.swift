import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting

/// The sample's files, read through the same code as `scopectl import`.
enum Sample {
  static let folder = packageFolder.appendingPathComponent("Scripts/sample")

  static func lines(_ file: String) throws -> [ChangeLine] {
    try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8).split(separator: "\n").map {
      try ChangeLine(json: Data($0.utf8))
    }
  }

  /// A row of `checks.tsv`: a question and the answer worked out apart from this code.
  struct Row {
    let company, subject, object, expected, reason, project, group: String
  }

  static func rows(_ file: String) throws -> [Row] {
    let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
    return text.split(separator: "\n").dropFirst().map { line in
      let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      return Row(
        company: cells[0], subject: cells[1], object: cells[2], expected: cells[3], reason: cells[4],
        project: cells[5], group: cells[6])
    }
  }

  static func load(into client: Client) throws {
    for file in ["contact-centre.jsonl", "mirror.jsonl"] {
      let lines = try lines(file)
      try client.applyAll(lines.map(\.change), to: lines[0].company)
    }
  }
}

/// A company with users u0…, a project p, a queue q in it and a list l beside it.
func smallCompany(users: Int = 4) -> [Change] {
  var changes: [Change] = [.putCompany(.enhanced), .putProject(Project(id: "p", name: "Project"))]
  for number in 0..<users {
    let id = Name(stringLiteral: "u\(number)")
    changes.append(.putUser(User(id: id, name: id), roles: []))
  }
  let (queue, list) = (ObjectRef(ObjectType(name: "queue")!, "q"), ObjectRef(ObjectType(name: "list")!, "l"))
  changes += [.putObject(Object(queue, name: "Queue")), .putObject(Object(list, name: "List"))]
  return changes + [.place(queue, project: "p")]
}

/// Runs the command line against a daemon.
func scopectl(
  _ arguments: [String], at address: String, company: String = "nordlicht", input: String? = nil
) async throws -> Run {
  try await onThread {
    try run(
      builtProduct("scopectl"), arguments, input: input.map { Data($0.utf8) },
      environment: ["SCOPED_ADDRESS": address, "SCOPED_COMPANY": company])
  }
}

/// A daemon with the sample, by its address.
func withSample(_ body: (String) async throws -> Void) async throws {
  try await withDaemon { daemon in
    try Sample.load(into: try daemon.client())
    try await body(daemon.address(.unix))
  }
}
