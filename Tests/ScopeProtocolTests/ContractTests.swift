import CScopeWire
import Foundation
import ScopeModel
import ScopeProtocol
import ScopeTesting
import Testing

/// What the protos say and what the code says are the same.
@Suite struct Contract {
  private static func proto(_ name: String) throws -> String {
    try String(contentsOf: packageFolder.appendingPathComponent("proto/scope/v1/\(name).proto"), encoding: .utf8)
  }

  private static let files = [
    "types", "checks", "changes", "overview", "audit", "watch", "numbers", "envelope", "service",
  ]

  @Test func everyCallIsInTheServiceWithItsMessages() throws {
    let service = try Self.proto("service")
    let rpcs = service.matches(of: /rpc (\w+)\((\w+)\) returns \((?:stream )?(\w+)\);/).map {
      (name: String($0.1), request: String($0.2), response: String($0.3))
    }
    let envelope = try Self.proto("envelope")
    func calls(_ oneof: String) throws -> [String: String] {
      let start = try #require(envelope.range(of: "oneof \(oneof) {")).upperBound
      let body = String(envelope[start...].prefix { $0 != "}" })
      let fields = body.matches(of: /(\w+) (\w+) = \d+;/).map { (String($0.2), String($0.1)) }
      return Dictionary(uniqueKeysWithValues: fields)
    }
    let (requests, responses) = (try calls("call"), try calls("result"))
    #expect(Set(requests.keys) == Set(responses.keys))
    #expect(rpcs.count == requests.count)
    for rpc in rpcs {
      let field = rpc.name.replacing(/([a-z])([A-Z])/) { "\($0.1)_\($0.2)" }.lowercased()
      #expect(requests[field] == rpc.request, "\(rpc.name)")
      #expect(responses[field] == rpc.response, "\(rpc.name)")
    }
  }

  /// The numbers of a call and its result are the same in request and response.
  @Test func callsAndResultsShareTheirNumbers() throws {
    let numbers = try Self.proto("envelope").matches(of: /(\w+) = (\d+);/).reduce(into: [String: Set<String>]()) {
      if Int($1.2)! >= 10 { $0[String($1.1), default: []].insert(String($1.2)) }
    }
    for name in ["hello", "can_see", "check_many", "apply", "export_company"] { #expect(numbers[name]?.count == 1) }
  }

  @Test func everyMessageFieldAndEnumValueHasAComment() throws {
    for file in Self.files {
      let lines = try Self.proto(file).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      for (index, line) in lines.enumerated() {
        let isDeclared = line.contains(#/^(message|enum|service|\ \ rpc)\ /#)
        if isDeclared { #expect(lines[index - 1].contains("//"), "\(file):\(index + 1): \(line)") }
        // The members of a oneof are described by the messages they name.
        if line.contains(#/^\ \ (repeated\ )?\w+\ \w+\ =\ \d+;|^\ \ [A-Z_0-9]+\ =\ \d+;/#) {
          #expect(line.contains("//"), "\(file):\(index + 1): \(line)")
        }
      }
    }
  }

  @Test func theTableOfObjectTypesIsTheProtos() throws {
    let values = try Self.proto("types").matches(of: /ENTITY_TYPE_(\w+) = (\d+);/)
    let inProto = Dictionary(uniqueKeysWithValues: values.map { (String($0.1).lowercased(), UInt8($0.2)!) })
    for type in ObjectType.all { #expect(inProto[type.name] == type.number) }
    #expect(inProto.count == ObjectType.all.count + 4, "beside them: unspecified, user, group, project")
    #expect(inProto["user"] == SubjectKind.user)
    #expect(inProto["group"] == SubjectKind.group)
    #expect(inProto["project"] == SubjectKind.project)
  }

  @Test func reasonsAndStatusesAreTheProtos() throws {
    let types = try Self.proto("types")
    let reasons = types.matches(of: /\ \ REASON_(\w+) = (\d+);/).map { (String($0.1).lowercased(), UInt8($0.2)!) }
    #expect(
      Dictionary(uniqueKeysWithValues: reasons.dropFirst().map { ($0.1, $0.0) })
        == Dictionary(uniqueKeysWithValues: Reason.allCases.map { ($0.rawValue, $0.code) }))
    let comments = types.matches(of: /REASON_(\w+) = \d+; *\/\/ (allow|deny):/)
    for comment in comments {
      let reason = try #require(Reason.allCases.first { $0.code == String(comment.1).lowercased() })
      #expect(reason.allows == (comment.2 == "allow"))
    }
    #expect(comments.count == Reason.allCases.count)
  }

  /// Thirty kilobytes of nesting would overflow the stack in protobuf-c, which has no limit of depth.
  @Test func noMessageContainsItself() throws {
    var fields: [String: Set<String>] = [:]
    for file in Self.files {
      var message = ""
      for line in try Self.proto(file).split(separator: "\n") {
        if let name = line.firstMatch(of: #/^message (\w+)/#) { message = String(name.1) }
        if let field = line.firstMatch(of: #/^ +(?:repeated )?([A-Z]\w+) \w+ = \d+;/#) {
          fields[message, default: []].insert(String(field.1))
        }
      }
    }
    func reaches(_ name: String, _ depth: Int = 0) -> Bool {
      depth > fields.count || (fields[name] ?? []).contains { reaches($0, depth + 1) }
    }
    for name in fields.keys { #expect(!reaches(name), "\(name) is recursive") }
    #expect(fields["Change"]?.contains("PutUser") == true, "the protos were read")
  }
}

@Suite struct Frames {
  private func first(_ bytes: [UInt8], limit: Int = 10) throws -> [UInt8]? {
    try bytes.withUnsafeBytes { bytes throws in try Frame.first(in: bytes, limit: limit).map(Array.init) }
  }

  @Test func areTakenOffWhole() throws {
    #expect(try first([0, 0, 0, 2, 7, 8, 0, 0]) == [7, 8])
    #expect(try first([0, 0, 0, 0, 9]) == [])
    for short in [[], [0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 2, 7]] as [[UInt8]] { #expect(try first(short) == nil) }
  }

  @Test(arguments: [11, 4 << 20, UInt32.max]) func longerThanTheLimitAreRefusedByTheirLengthAlone(length: UInt32) {
    let bytes = withUnsafeBytes(of: length.bigEndian) { Array($0) }
    let error = #expect(throws: FrameError.self) { try first(bytes) }
    #expect(error?.bytes == length && error?.limit == 10)
  }
}

@Suite struct Arenas {
  @Test func giveAlignedMemoryUpToTheirLimit() throws {
    let arena = Arena(keeping: 256, limit: 4_096)
    for count in [1, 15, 16, 17, 300] {
      let memory = try #require(arena.allocate(UInt8.self, count: count))
      #expect(UInt(bitPattern: memory) % 16 == 0)
      memory.initialize(repeating: 0xAA, count: count)
    }
    #expect(arena.allocate(UInt8.self, count: 8_192) == nil)
    arena.reset()
    #expect(arena.allocate(UInt8.self, count: 4_000) != nil)
  }

  /// Small blocks share memory, and none lies in another; nearly all of the limit can be had.
  @Test(arguments: [0, 1, 40, 5_000, 16_384, 16_385, 70_000]) func giveBlocksOfOneSizeApart(size: Int) {
    let limit = 1 << 20
    let arena = Arena(keeping: 256, limit: limit)
    for _ in 0..<2 {
      var blocks: [UnsafeMutablePointer<UInt8>] = []
      while blocks.count < 40_000, let block = arena.allocate(UInt8.self, count: size) {
        block.initialize(repeating: UInt8(truncatingIfNeeded: blocks.count), count: size)
        blocks.append(block)
      }
      let areApart = blocks.enumerated().allSatisfy { number, block in
        (0..<size).allSatisfy { block[$0] == UInt8(truncatingIfNeeded: number) }
      }
      #expect(areApart)
      #expect(size == 0 || blocks.count * size <= limit + 256)
      #expect(size == 0 || size == 1 || blocks.count * size > limit * 2 / 3, "\(blocks.count) blocks")
      #expect(arena.isFull == (size > 1))
      arena.reset()
    }
  }

  /// Empty messages take 44 times their length in memory; the limit holds it.
  @Test func refuseMessagesThatTakeTooMuch() {
    let changes = [UInt8](repeating: 0, count: 0) + (0..<200_000).flatMap { _ in Proto.message(1, []) }
    let request = RawRequest(company: "c", call: 16, changes).packed
    let (small, large) = (Arena(limit: 1 << 20), Arena(limit: 256 << 20))
    request.withUnsafeBytes { request in
      #expect(small.unpackRequest(request) == nil)
      #expect(large.unpackRequest(request) != nil)
    }
  }
}

@Suite struct ChangesOnTheWire {
  /// Every kind of change comes back as it was.
  @Test func comeBackAsTheyWere() throws {
    let arena = Arena(limit: 1 << 20)
    for change in Samples.changes {
      arena.reset()
      let wire = try change.wire(in: arena)
      var packed = [UInt8](repeating: 0, count: scope__v1__change__get_packed_size(wire))
      scope__v1__change__pack(wire, &packed)
      let unpacked = try #require(scope__v1__change__unpack(nil, packed.count, packed))
      defer { scope__v1__change__free_unpacked(unpacked, nil) }
      #expect(try Change(unpacked.pointee) == change)
    }
  }

  @Test func withoutAChangeAreRefused() {
    var wire = Scope__V1__Change()
    scope__v1__change__init(&wire)
    #expect(throws: Failure.self) { _ = try Change(wire) }
  }
}
