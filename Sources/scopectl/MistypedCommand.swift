import ArgumentParser
import ScopeModel

/// A word where a command belongs, that is none.
struct MistypedCommand {
  private let word: String
  /// The commands before it, and those that could stand there.
  private let path: [String]
  private let known: [String]

  /// Nil: the arguments begin with a command.
  static func find(in arguments: [String]) -> MistypedCommand? {
    var (command, path) = (Scopectl.self as any ParsableCommand.Type, [String]())
    for word in arguments {
      let below = command.configuration.subcommands
      if below.isEmpty || word.hasPrefix("-") || word == "help" { return nil }
      guard let next = below.first(where: { $0.names.contains { isSame($0, word) } }) else {
        let known = below.filter { $0.configuration.shouldDisplay }.flatMap { $0.names }
        return MistypedCommand(word: word, path: path, known: known)
      }
      command = next
      path.append(word)
    }
    return nil
  }

  var words: String {
    let near = Spelling.nearest(to: word, among: known).map {
      "; did you mean '\((path + [$0]).joined(separator: " "))'?"
    }
    return "there is no command '\((path + [word]).joined(separator: " "))'\(near ?? "")"
  }
}

extension ParsableCommand {
  fileprivate static var names: [String] { [_commandName] + configuration.aliases }
}
