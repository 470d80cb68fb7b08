import Foundation
import ScopeTesting
import Testing

/// Number lists at the command line.
@Suite struct NumberCommands {
  /// Each on what those before have left.
  private static let steps: [(arguments: String, status: Int32, words: String)] = [
    ("list of --as dialer:clinic-reminders", 0, "  none     0\n"),
    ("list purpose do-not-call unwanted", 0, "applied, 1 row changed"),
    ("list purpose list:do-not-call unwanted", 0, "nothing to change"),
    ("list purpose nowhere unwanted", 1, "there is no object 'list:nowhere'"),
    ("list purpose do-not-call vip --preview", 0, "preview: 1 row would change"),
    ("list add do-not-call +4315550001 4315550002 --label Asked --time-zone Europe/Vienna", 0, "2 added, 0 altered"),
    ("list add do-not-call 4315550002 4315550003", 0, "1 added, 1 altered; the list has 3 numbers"),
    ("list add nowhere 4315550002", 1, "there is no object 'list:nowhere'"),
    ("list add do-not-call 4315550009 --actor 1001", 1, "right_missing"),
    (
      "list numbers do-not-call --as user:1080 --limit 2", 0,
      "NUMBER       LABEL  TIME ZONE      COLUMNS\n+4315550001  Asked  Europe/Vienna\n+4315550002\n"
    ),
    ("list numbers do-not-call --as user:1080 --cursor 010000000101378b81", 0, "+4315550002\n+4315550003\n"),
    ("list numbers do-not-call --as user:1080 --cursor 01", 1, "bad_cursor"),
    ("list numbers nowhere --as user:1080", 1, "list_out_of_scope"),
    (
      "list numbers do-not-call --as user:1080 --all --json", 0,
      #"{"number":"4315550003","label":null,"time_zone":null"#
    ),
    ("list screen --as user:1080 4315550003", 1, "4315550003  unwanted  on list:do-not-call"),
    ("list screen --as user:1080 +4315550004", 0, "clear"),
    ("list screen --as user:1080 112 --json", 1, #"{"number":"112","verdict":"invalid","unwanted_list":null,"#),
    ("list screen --as user:nobody 4315550004", 1, "out_of_scope  unknown_subject"),
    ("list remove do-not-call 4315550003 4315559999", 0, "1 removed; the list has 2 numbers"),
    (
      "list remove do-not-call 4315550001 4315550002 --json", 0,
      #"{"list":"list:do-not-call","removed":2,"total":0,"revision""#
    ),
    ("list screen --as user:1080 4315550003", 0, "clear"),
    ("log --about list:do-not-call", 0, "changed the numbers of list do-not-call: 0 to 2"),
    ("verify", 0, "sound: "),
  ]

  @Test func showScreenAndEdit() async throws {
    try await withSample { address in
      for step in NumberCommands.steps {
        let run = try await scopectl(step.arguments.split(separator: " ").map(String.init), at: address)
        #expect(run.status == step.status, "\(step.arguments): \(run)")
        let words = run.output + run.errors
        #expect(words.contains(step.words), "\(step.arguments): \(run)")
      }
      let page = try await scopectl(["list", "numbers", "do-not-call", "--as", "user:1080"], at: address)
      #expect(page.output.isEmpty && page.status == 0)
    }
  }

  @Test func wrongArgumentsAreToldWithTheUsage() async throws {
    for (arguments, words) in [
      ("list of", "Missing expected argument '--as"), ("list screen --as user:1", "Missing expected argument"),
      ("list purpose l wanted", "calling, unwanted, vip"), ("list add l 112", "invalid for '<numbers>'"),
      ("list numbers l --as user:1 --limit 0", "--limit is from 1 to 1000"),
      ("list numbers l --as user:1 --cursor zz", "not what another page told"), ("list add l", "Missing expected"),
    ] {
      let run = try await scopectl(arguments.split(separator: " ").map(String.init), at: "unix:/nonexistent")
      #expect(run.status == 64, "\(arguments): \(run)")
      #expect(run.errors.contains(words) && run.errors.contains("Usage: scopectl"), "\(arguments): \(run)")
    }
  }
}
