import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// What proto/README.md shows is what the daemon does.
@Suite struct WireExampleTests {
  @Test(arguments: ["allow", "deny", "error"])
  func theBytesShownAreTheDaemons(_ name: String) async throws {
    let document = try WireDocument()
    let request = try document.bytes("\(name) request")
    let response = try document.bytes("\(name) response")
    try await withDaemon { daemon in
      try importSample(into: daemon)
      let connection = try RawConnection(daemon.address(.unix))
      connection.send(request)
      guard case .message(let message) = connection.receive() else { throw TestFailure("no response") }
      #expect(hex(RawConnection.frame(message)) == hex(response))
    }
  }

  @Test(.enabled(if: isPythonReady, "needs python3-protobuf and protobuf-compiler"))
  func theClientShownPrintsWhatIsShown() async throws {
    let document = try WireDocument()
    let folder = TemporaryFolder()
    try document.block("client").write(toFile: folder.file("client.py"), atomically: true, encoding: .utf8)
    try generatePython(into: folder)
    let output = try document.block("client output")
    try await withDaemon { daemon in
      try importSample(into: daemon)
      let client = try run(python, [folder.file("client.py"), daemon.folder.file("socket")])
      #expect(client.output == output)
      #expect(client.status == 0, "\(client.errors)")
    }
  }
}

private let python = URL(fileURLWithPath: "/usr/bin/python3")
private let protoc = URL(fileURLWithPath: "/usr/bin/protoc")

private let isPythonReady: Bool = {
  let files = FileManager.default
  guard files.isExecutableFile(atPath: python.path), files.isExecutableFile(atPath: protoc.path) else { return false }
  return (try? run(python, ["-c", "import google.protobuf"]))?.status == 0
}()

private func generatePython(into folder: TemporaryFolder) throws {
  let protos = packageFolder.appendingPathComponent("proto")
  let version = protos.appendingPathComponent("scope/v1").path
  let files = try FileManager.default.contentsOfDirectory(atPath: version).filter { $0.hasSuffix(".proto") }
  let made = try run(
    protoc, ["-I", protos.path, "--python_out=\(folder.path)"] + files.sorted().map { "\(version)/\($0)" })
  #expect(made.status == 0, "\(made.errors)")
}

/// The sample company as one batch: revision 1.
private func importSample(into daemon: TestDaemon) throws {
  let path = packageFolder.appendingPathComponent("Scripts/sample/contact-centre.jsonl").path
  let text = try String(contentsOfFile: path, encoding: .utf8)
  var changes: [Change] = []
  for line in text.split(separator: "\n") { changes.append(try ChangeLine(json: Data(line.utf8)).change) }
  try daemon.client().applyAll(changes, to: "nordlicht")
}

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(separator: " ")
}

/// The blocks of proto/README.md that stand behind a line `<!-- example: NAME -->`.
private struct WireDocument {
  private let lines: [String]

  init() throws {
    let path = packageFolder.appendingPathComponent("proto/README.md").path
    lines = try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n")
  }

  /// The text between the fences.
  func block(_ name: String) throws -> String {
    guard let marker = lines.firstIndex(of: "<!-- example: \(name) -->"), lines[marker + 1].hasPrefix("```") else {
      throw TestFailure("proto/README.md has no example '\(name)'")
    }
    return lines[(marker + 2)...].prefix { $0 != "```" }.map { $0 + "\n" }.joined()
  }

  /// The bytes left of the bars.
  func bytes(_ name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for line in try block(name).split(separator: "\n") {
      for digits in line.prefix(while: { $0 != "|" }).split(separator: " ") {
        guard let byte = UInt8(digits, radix: 16) else { throw TestFailure("'\(digits)' is not a byte") }
        bytes.append(byte)
      }
    }
    return bytes
  }
}
