import Foundation

/// Standard error of a command-line tool: words for people, or where JSON is asked for, one object a line.
package enum StandardError {
  /// The name of the tool. Unsafe: set once, before anything is printed.
  nonisolated(unsafe) private static var tool = ""
  nonisolated(unsafe) package private(set) static var isJSON = false

  static func begin(_ name: String, asJSON: Bool) { (tool, isJSON) = (name, asJSON) }

  /// Why the tool ends.
  ///
  /// - Parameters:
  ///   - reason: stable, for machines.
  ///   - exit: the code it ends with.
  package static func error(_ message: String, reason: String, exit: Int32) {
    if !isJSON { return line("\(tool): \(message)") }
    let fields: JSONFields = [
      ("reason", .text(reason)), ("message", .text(message)), ("exit", .number(UInt64(exit))),
    ]
    write(jsonObject([("error", .object(fields))]))
  }

  /// Something worth knowing, with which it goes on.
  ///
  /// - Parameter fields: what a machine needs of it, beside the words.
  package static func note(_ message: String, reason: String, _ fields: JSONFields = []) {
    if !isJSON { return line("\(tool): \(message)") }
    write(jsonObject([("note", .object([("reason", .text(reason)), ("message", .text(message))] + fields))]))
  }

  /// Lines for people alone. What a terminal would obey is shown by its code.
  package static func line(_ text: String) { write(escapedLines(text)) }

  private static func write(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
