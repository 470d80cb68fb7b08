import CScope
import Foundation
import Testing

/// C programs that use the library as others will: compiled against the sources with `cc`, and in
/// processes of their own, which Swift can't fork.
@Suite struct ProgramTests {
  @Test func everyProcessOfAForkGetsItsOwnAnswers() throws {
    let daemon = FakeDaemon { question in
      let subject = question.subject.dropFirst(2)
      let same = subject == question.object.dropFirst(3)
      return [
        same
          ? checkReply(to: question.id, project: String(subject))
          : checkReply(to: question.id, decision: Decision.deny, reason: Reason.noSharedProject)
      ]
    }
    defer { daemon.stop() }
    #expect(try runProgram("fork", [daemon.address]) == "ok\n")
    #expect(daemon.connectionCount == 5, "the parent's and one of each child")
  }

  /// A child of a fork that took place while another thread was inside a call.
  @Test func aForkInTheMiddleOfACallLeavesTheChildAWorkingHandle() throws {
    let daemon = FakeDaemon { question in
      question.object == "16:silent" ? [] : [checkReply(to: question.id)]
    }
    defer { daemon.stop() }
    #expect(try runProgram("fork_busy", [daemon.address]) == "ok\n")
  }

  @Test func theHeaderIsGoodForCPlusPlus() throws {
    let root = repository.path
    let output = try run(
      "/usr/bin/env",
      ["cc", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
        + ["-I\(root)/Sources/CScope/include", "\(root)/Tests/CScopeTests/Programs/header.cc"])
    #expect(output == "")
  }
}

private var repository: URL {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
}

/// Compiles Programs/`name`.c together with the library, runs it and gives what it printed.
private func runProgram(_ name: String, _ arguments: [String]) throws -> String {
  let root = repository.path
  let directory = makeDirectory()
  defer { try? FileManager.default.removeItem(atPath: directory) }
  let sources = try ["CScope", "CScopeWire"].flatMap { folder in
    try FileManager.default.contentsOfDirectory(atPath: "\(root)/Sources/\(folder)")
      .filter { $0.hasSuffix(".c") }.map { "\(root)/Sources/\(folder)/\($0)" }
  }
  let includes = ["CScope", "CScopeWire"].map { "-I\(root)/Sources/\($0)/include" }
  let flags = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
  let source = "\(root)/Tests/CScopeTests/Programs/\(name).c"
  let output = "\(directory)/\(name)"
  _ = try run(
    "/usr/bin/env", ["cc"] + flags + includes + [source] + sources + ["-lprotobuf-c", "-o", output])
  return try run(output, arguments)
}

struct ProgramFailed: Error { var status: Int32, output: String }

/// What the program printed, errors included. Throws if it failed.
private func run(_ path: String, _ arguments: [String]) throws -> String {
  let process = Process()
  let pipe = Pipe()
  process.executableURL = URL(fileURLWithPath: path)
  process.arguments = arguments
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  if process.terminationStatus != 0 {
    throw ProgramFailed(status: process.terminationStatus, output: output)
  }
  return output
}
