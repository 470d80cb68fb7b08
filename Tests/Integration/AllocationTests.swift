import Foundation
import ScopeModel
import ScopeTesting
import Testing

/// The way of a check takes no memory of its own: what NIO takes for a read is all.
@Suite(.serialized) struct Allocations {
  /// Counts the daemon's allocations over as many reads with one check each and with many: the difference is
  /// what the checks themselves cost.
  @Test(arguments: [Question.allowed, .denied, .filtered]) fileprivate func ofAHundredThousandChecksAreNone(
    question: Question
  ) async throws {
    let counter = try AllocationCounter()
    let daemon = try ProcessDaemon(in: counter.folder, arguments: ["--threads", "1"], environment: counter.environment)
    try daemon.client().applyAll(smallCompany() + [.addMember(project: "p", .user("u0"))], to: "c")
    let connection = try RawConnection(daemon.address)
    let (reads, depth) = (2_000, 51)
    try exchange(connection, question, reads: 200, depth: depth)  // buffers find their size
    let single = try counter.count { try exchange(connection, question, reads: reads, depth: 1) }
    let many = try counter.count { try exchange(connection, question, reads: reads, depth: depth) }
    let checks = reads * (depth - 1)
    #expect(checks == 100_000)
    print("\(question): \(single) allocations for \(reads) reads of one, \(many) for \(reads) reads of \(depth)")
    #expect(many - single < checks / 100, "\(many - single) allocations more for \(checks) checks more")
    #expect(single > 0, "the counter counts")
    #expect(daemon.stop() == 0)
  }

  private func exchange(_ connection: RawConnection, _ question: Question, reads: Int, depth: Int) throws {
    let burst = (0..<depth).flatMap { _ in RawConnection.frame(question.request.packed) }
    for _ in 0..<reads {
      connection.send(burst)
      for _ in 0..<depth {
        guard case .message = connection.receive() else { throw TestFailure("no answer") }
      }
    }
  }
}

private enum Question: CaseIterable {
  case allowed, denied, filtered

  var request: RawRequest {
    let queue = (16 as UInt64, Array("q".utf8))
    switch self {
    case .allowed: return .canSee("c", (1, Array("u0".utf8)), queue)
    case .denied: return .canSee("c", (1, Array("u1".utf8)), queue)
    case .filtered:
      let ids = Proto.message(4, queue.1) + Proto.message(4, Array("none".utf8)) + Proto.number(6, 1)
      let call = Proto.number(1, 1) + Proto.bytes(2, Array("u0".utf8)) + Proto.number(3, 16) + ids
      return RawRequest(company: "c", call: 14, call)
    }
  }
}

/// A library to preload into a daemon, and the number it counts up.
private struct AllocationCounter {
  let folder = TemporaryFolder()
  private let memory: UnsafeMutablePointer<UInt64>

  init() throws {
    let source = packageFolder.appendingPathComponent("Tests/Integration/Programs/count_malloc.c").path
    let built = try run(
      URL(fileURLWithPath: "/usr/bin/cc"), ["-O1", "-shared", "-fPIC", "-o", folder.file("count.so"), source])
    if built.status != 0 { throw TestFailure("cc: \(built.errors)") }
    let file = open(folder.file("count"), O_RDWR | O_CREAT, 0o600)
    defer { close(file) }
    guard ftruncate(file, 8) == 0, let mapped = mmap(nil, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
      mapped != MAP_FAILED
    else { throw TestFailure("mmap: errno \(errno)") }
    memory = mapped.bindMemory(to: UInt64.self, capacity: 1)
  }

  var environment: [String: String] { ["LD_PRELOAD": folder.file("count.so"), "COUNT_FILE": folder.file("count")] }

  func count(_ body: () throws -> Void) rethrows -> Int {
    let before = memory.pointee
    try body()
    return Int(memory.pointee - before)
  }
}
