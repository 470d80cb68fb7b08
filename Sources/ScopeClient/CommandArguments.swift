#if canImport(Glibc)
  import Glibc
#endif

/// The arguments of a command line tool, byte for byte.
public enum CommandArguments {
  /// An argument, or a variable of the environment, that is not valid UTF-8. Swift would repair it, and the command would
  /// be about another name.
  public struct Unreadable: Error, CustomStringConvertible {
    let what: String

    public var description: String { "\(what) is not valid UTF-8" }
  }

  /// Those of this process, for a parser that takes a value behind its option.
  public static func read() throws(Unreadable) -> [String] {
    var arguments: [String] = []
    for position in 1..<max(1, Int(CommandLine.argc)) {
      guard let text = CommandLine.unsafeArgv[position], let argument = String(validatingCString: text) else {
        throw Unreadable(what: "argument \(position)")
      }
      arguments.append(argument)
    }
    return separated(arguments)
  }

  /// A variable of the environment; nil: it is empty, or not set.
  public static func environment(_ key: String) throws(Unreadable) -> String? {
    guard let value = getenv(key), value.pointee != 0 else { return nil }
    guard let text = String(validatingCString: value) else { throw Unreadable(what: key) }
    return text
  }

  /// ArgumentParser looks for the equals sign of `--name=VALUE` among characters, and finds none where VALUE begins with
  /// a combining mark: such a value goes to it by itself.
  static func separated(_ arguments: [String]) -> [String] {
    let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
    return arguments[..<end].flatMap(parts) + arguments[end...]
  }

  private static func parts(_ argument: String) -> [String] {
    guard argument.utf8.starts(with: "--".utf8), argument.firstIndex(of: "=" as Character) == nil,
      let sign = argument.utf8.firstIndex(of: UInt8(ascii: "="))
    else { return [argument] }
    return [String(argument[..<sign]), String(argument[argument.utf8.index(after: sign)...])]
  }
}
