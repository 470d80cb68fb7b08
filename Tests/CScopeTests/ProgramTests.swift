import CScope
import Foundation
import ScopeTesting
import Testing

/// C programs that use the library as others will: compiled against the sources with `cc`, and in
/// processes of their own, which Swift can't fork. Each runs by itself and under what finds faults of
/// memory and races, which then end it with an error.
@Suite struct ProgramTests {
  @Test(arguments: Checker.allCases, ["fork", "fork_same_id"])
  func everyProcessOfAForkGetsItsOwnAnswers(_ checker: Checker, _ program: String) throws {
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
    #expect(try runProgram(program, [daemon.address], checker) == "ok\n")
    #expect(daemon.connectionCount == 5, "the parent's and one of each child")
  }

  /// A child of a fork that took place while another thread was inside a call. The memory of that call
  /// is lost to it, as scope.h says.
  @Test(arguments: Checker.allCases)
  func aForkInTheMiddleOfACallLeavesTheChildAWorkingHandle(_ checker: Checker) throws {
    let daemon = FakeDaemon { question in
      question.object == "16:silent" ? [] : [checkReply(to: question.id)]
    }
    defer { daemon.stop() }
    #expect(try runProgram("fork_busy", [daemon.address], checker, mayLose: true) == "ok\n")
  }

  @Test(arguments: Checker.allCases) func breakerAndBackoffAreNotInherited(_ checker: Checker) throws {
    let daemon = FakeDaemon { connection, number in
      while let question = connection.readQuestion(), number > 0 {
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    #expect(try runProgram("fork_breaker", [daemon.address], checker) == "ok\n")
    #expect(daemon.connectionCount == 2, "the parent does not try again")
  }

  @Test(arguments: Checker.allCases) func whatTheProgramClosedIsNotOursAnyMore(_ checker: Checker) throws {
    let daemon = FakeDaemon { question in [checkReply(to: question.id)] }
    defer { daemon.stop() }
    #expect(try runProgram("descriptors", [daemon.address], checker) == "ok\n")
  }

  /// Signals of a program's timers end system calls early, and no call of ours.
  @Test(arguments: Checker.allCases) func signalsDoNotDisturb(_ checker: Checker) throws {
    let daemon = FakeDaemon { connection, _ in
      while let question = connection.readQuestion() {
        if connection.hasEnded(within: 20) { return }  // so the client waits meanwhile
        connection.send(checkReply(to: question.id).frame)
      }
    }
    defer { daemon.stop() }
    #expect(try runProgram("signals", [daemon.address], checker) == "ok\n")
    #expect(daemon.connectionCount == 1)
  }

  @Test(arguments: Checker.allCases) func breakerAndBackoffDecideByTheTimeTheyAreTold(_ checker: Checker) throws {
    #expect(try runProgram("breaker", [], checker) == "ok\n")
  }

  @Test(arguments: Checker.allCases) func everyCallEndsWellWithADaemonThatDoesNot(_ checker: Checker) throws {
    let daemon = FakeDaemon { connection, number in
      var count = number
      while let question = connection.readQuestion() {
        count += 1
        if !misbehave(count % 64, connection, question) { return }
      }
    }
    defer { daemon.stop() }
    #expect(try runProgram("calls", [daemon.address], checker) == "ok\n")
    #expect(daemon.connectionCount > 10)
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

/// One of a daemon's ways to answer; false if the connection is to end.
private func misbehave(_ way: Int, _ connection: FakeConnection, _ question: Question) -> Bool {
  let frames = replies(to: question).map(\.frame)
  switch way {
  case 59:  // never
    connection.awaitEnd()
    return false
  case 60:  // in pieces
    frames.joined().forEach { connection.send([$0]) }
    return true
  case 61:  // another's answer, which would be an allow
    connection.send(checkReply(to: question.id + 1).frame)
    return true
  case 62:  // half of it
    connection.send(Array(frames[0].dropLast(3)))
    return false
  case 63: return false
  default:
    frames.forEach(connection.send)
    return true
  }
}

/// Denies, sees nothing, and lists two rows in two parts.
private func replies(to question: Question) -> [Message] {
  let row = Message().number(1, 16).text(2, "support").text(3, "Support")
  let tile = Message().text(1, "a").text(2, "Alpha").text(3, "first").number(4, 1)
  switch UInt64(question.call) {
  case Field.canSee:
    return [checkReply(to: question.id, decision: Decision.deny, reason: Reason.noSharedProject, project: "")]
  case Field.filterObjects:
    let bits = [UInt8](repeating: 0, count: (question.ids.count + 7) / 8)
    return [response(to: question.id).message(Field.filterObjects, Message().data(2, bits).number(3, 0))]
  case Field.listProjects:
    return parts(of: Field.listProjects, tile, to: question.id)
  case Field.listObjects:
    return parts(of: Field.listObjects, row, to: question.id)
  default:
    return [response(to: question.id).message(UInt64(question.call), Message())]
  }
}

private func parts(of field: UInt64, _ row: Message, to id: UInt64) -> [Message] {
  [true, false].map { response(to: id, more: $0).message(field, Message().message(1, row)) }
}

/// What looks over a program's shoulder.
enum Checker: String, CaseIterable {
  case nothing, memory, races, valgrind

  var flags: [String] {
    switch self {
    case .nothing, .valgrind: ["-O1"]
    case .memory: ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    case .races: ["-O1", "-fsanitize=thread"]
    }
  }

  func command(mayLose: Bool) -> [String] {
    guard self == .valgrind else { return [] }
    let leaks = mayLose ? "none" : "definite,indirect,possible"
    return [
      "valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=\(leaks)",
      "--show-leak-kinds=\(leaks)",
    ]
  }

  /// The library, compiled once for each kind of flags.
  private static let plain = Result { try makeLibrary(.nothing) }
  private static let withMemory = Result { try makeLibrary(.memory) }
  private static let withRaces = Result { try makeLibrary(.races) }

  var library: Result<String, any Error> {
    switch self {
    case .nothing, .valgrind: Self.plain
    case .memory: Self.withMemory
    case .races: Self.withRaces
    }
  }
}

private let commonFlags = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
private let includes = ["CScope", "CScope/include", "CScopeWire/include"].map { "-I\(repository.path)/Sources/\($0)" }

/// Compiles the library's sources; the path of one object file.
private func makeLibrary(_ checker: Checker) throws -> String {
  let root = repository.path
  let directory = "\(root)/.build/checked-client"
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  let sources = try ["CScope", "CScopeWire"].flatMap { folder in
    try FileManager.default.contentsOfDirectory(atPath: "\(root)/Sources/\(folder)")
      .filter { $0.hasSuffix(".c") }.map { "\(root)/Sources/\(folder)/\($0)" }
  }
  let output = "\(directory)/\(checker).o"
  _ = try run("/usr/bin/env", ["cc", "-r"] + commonFlags + checker.flags + includes + sources + ["-o", output])
  return output
}

/// Compiles Programs/`name`.c together with the library, runs it and gives what it printed.
private func runProgram(
  _ name: String, _ arguments: [String], _ checker: Checker, mayLose: Bool = false
) throws -> String {
  let directory = makeDirectory()
  defer { try? FileManager.default.removeItem(atPath: directory) }
  let source = "\(repository.path)/Tests/CScopeTests/Programs/\(name).c"
  let output = "\(directory)/\(name)"
  let inputs = [source, try checker.library.get(), "-lprotobuf-c", "-o", output]
  _ = try run("/usr/bin/env", ["cc"] + commonFlags + checker.flags + includes + inputs)
  return try run("/usr/bin/env", checker.command(mayLose: mayLose) + [output] + arguments)
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
  let status = process.awaitEnd()
  if status != 0 { throw ProgramFailed(status: status, output: output) }
  return output
}
