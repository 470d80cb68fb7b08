import ArgumentParser
import ScopeClient
import ScopeModel

struct ApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply", abstract: "Applies the changes in FILE, all or none.",
    discussion: """
      FILE has one change a line in JSON, as for import, all of one company.

      Example:
        echo '{"company":"nordlicht","put_group":{"id":"night","name":"Night"}}' |
          scopectl apply - --actor 1080
      """)

  @Argument(help: "A file of JSON Lines, or - for standard input.", completion: .file())
  var file: String

  @Option(
    name: .long,
    help: """
      The user who acts, as 1080 or user:1080, within that user's rights and reach. (default: none; no rights are \
      checked)
      """,
    completion: .users, transform: userID)
  var actor: Name?

  @Option(name: .long, help: "Refuse the changes if the company has changed since this revision.")
  var expectedRevision: UInt64?

  @Option(name: .long, help: "Apply the changes once, however often they are sent with this key.")
  var idempotencyKey: String?

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let client = try connection.client()
    let batch = try Batch(file)
    do throws(RefusedApply) {
      let result = try client.apply(
        batch.changes, to: batch.company, actor: actor?.text ?? "", expectedRevision: expectedRevision ?? 0,
        idempotencyKey: idempotencyKey ?? "", timeoutMilliseconds: connection.workMilliseconds)
      result.show(isPreview: false, asJSON: connection.json)
    } catch {
      throw error.end(client, batch.places)
    }
  }
}

struct PreviewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preview", abstract: "Shows the effect of the changes in FILE without applying them.",
    discussion: """
      FILE is as for apply. Nothing is changed. What apply would refuse is refused here in the same words.

      Example:
        scopectl preview changes.jsonl --actor 1080 --first 100
      """)

  @Argument(help: "A file of JSON Lines, or - for standard input.", completion: .file())
  var file: String

  @Option(
    name: .long,
    help: """
      The user who acts, as 1080 or user:1080, within that user's rights and reach. (default: none; no rights are \
      checked)
      """,
    completion: .users, transform: userID)
  var actor: Name?

  @Option(name: .long, help: "Rows of who gains and loses what, from 1 to 1000.")
  var first: UInt32 = 20

  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard (1...1_000).contains(first) else { throw ValidationError("--first is from 1 to 1000.") }
  }

  func run() throws {
    let client = try connection.client()
    let batch = try Batch(file)
    do throws(RefusedApply) {
      let result = try client.preview(
        batch.changes, of: batch.company, actor: actor?.text ?? "", first: first,
        timeoutMilliseconds: connection.workMilliseconds)
      result.show(isPreview: true, asJSON: connection.json)
    } catch {
      throw error.end(client, batch.places)
    }
  }
}

/// The changes in a file, all of one company.
private struct Batch {
  let company: Name
  let changes: [Change]
  let places: [String]

  init(_ file: String) throws {
    var lines = ChangeReader(try LineReader(file))
    var reads: [ChangeReader.Read] = []
    while let read = try lines.next() { reads.append(read) }
    guard let company = reads.first?.line.company else {
      throw fail("\(file) has no changes", "bad_input", Exit.badData)
    }
    if let other = reads.first(where: { $0.line.company != company }) {
      throw fail(
        "\(other.place): another company than in the first line; one at a time is taken", "bad_input", Exit.badData)
    }
    self.company = company
    changes = reads.map(\.line.change)
    places = reads.map(\.place)
  }
}
