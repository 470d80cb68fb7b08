import Foundation
import ScopeTesting

/// The commands of a program and their options, as it tells them itself.
struct ProgramOptions {
  struct Option: Hashable {
    /// With their hyphens.
    let names: [String]
    let standard: String?
    let isHidden: Bool
  }

  /// A command without others below it.
  struct Leaf {
    /// `user create`; of a program without commands, its name.
    let path: String
    let options: [Option]
  }

  private(set) var leaves: [Leaf] = []

  init(_ program: String) throws {
    let dump = try run(builtProduct(program), ["--experimental-dump-help"]).output
    let tree = try JSONDecoder().decode(Dump.self, from: Data(dump.utf8))
    func visit(_ command: Dump.Command, _ path: [String]) {
      let below = (command.subcommands ?? []).filter { $0.commandName != "help" }
      for subcommand in below { visit(subcommand, path + [subcommand.commandName]) }
      if below.isEmpty {
        leaves.append(Leaf(path: path.isEmpty ? program : path.joined(separator: " "), options: command.options))
      }
    }
    visit(tree.command, [])
  }

  func leaf(_ path: String) throws -> Leaf {
    guard let leaf = leaves.first(where: { $0.path == path }) else {
      throw TestFailure("there is no command '\(path)'")
    }
    return leaf
  }

  private struct Dump: Decodable {
    let command: Command

    struct Command: Decodable {
      let commandName: String
      let subcommands: [Command]?
      let arguments: [Argument]?

      var options: [Option] {
        (arguments ?? []).filter { $0.kind != "positional" }.map { argument in
          let names = (argument.names ?? []).map { ($0.kind == "short" ? "-" : "--") + $0.name }
          return Option(names: names, standard: argument.defaultValue, isHidden: argument.shouldDisplay == false)
        }
      }
    }

    struct Argument: Decodable {
      let kind: String
      let names: [Name]?
      let defaultValue: String?
      let shouldDisplay: Bool?
    }

    struct Name: Decodable {
      let kind: String
      let name: String
    }
  }
}
