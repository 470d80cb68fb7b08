import Foundation
import ScopeTesting
import Testing

@testable import ScopeImport

@Suite struct JSONTests {
  @Test(arguments: [
    (#"{"a":"b"}"#, ["a": "b"]), (#" { "a" : 12 , "b" : null,"c":true } "#, ["a": "12", "b": "", "c": "true"]),
    (#"{}"#, [:]), (#"{"a":"\u00e4\"\\\n\/\ud83d\ude00"}"#, ["a": "ä\"\\\n/😀"]), (#"{"a":-1.5e+3}"#, ["a": "-1.5e+3"]),
  ])
  func readsObjects(_ line: String, _ expected: [String: String]) throws {
    #expect(try members(Array(line.utf8)) == expected)
  }

  @Test(arguments: [
    "", "{", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":\"\t\"}",
    "{\"a\":1}x", "{a:1}", "{\"a\":+1}", "{\"a\":\"\\x\"}", "{\"a\":\"", "{\"a\":tru}",
  ])
  func refusesWhatIsNone(_ line: String) { #expect(throws: Refusal.notJSON) { try members(Array(line.utf8)) } }

  @Test(arguments: [#"{"a":{},"b":"c"}"#, #"{"a":[1,"]",{"x":[null]}],"b":"c"}"#])
  func passesOverWhatIsNested(_ line: String) throws {
    #expect(try members(Array(line.utf8)) == ["a": "", "b": "c"])
  }

  @Test(arguments: [31, 32, 100_000]) func isNestedOnlySoDeep(_ depth: Int) throws {
    let line = #"{"a":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
    if depth < 32 {
      #expect(try members(Array(line.utf8)) == ["a": ""])
    } else {
      #expect(throws: Refusal.nestedValue) { try members(Array(line.utf8)) }
    }
  }

  /// Objects with a byte changed here and there, against Foundation's reader.
  @Test(arguments: 0..<4) func agreesWithTheReference(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let signs = Array("{}[]\":,\\ u0n1eE-.at\t".utf8)
    for _ in 0..<3_000 {
      var line = Array(#"{"number":"+49\u0031 \"x","n":-12.5e3,"t":[true,{"z":null}],"y":{}}"#.utf8)
      for _ in 0..<Int.random(in: 0..<3, using: &random) {
        line[line.indices.randomElement(using: &random)!] = signs.randomElement(using: &random)!
      }
      let text = String(decoding: line, as: UTF8.self)
      let expected = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
      let found: [String: String]?
      do { found = try members(line) } catch { found = nil }
      #expect((found == nil) == (expected == nil), "\(text)")
      for (key, value) in expected ?? [:] {
        if let value = value as? String { #expect(found?[key] == value, "\(text)") }
      }
    }
  }

  private func members(_ line: [UInt8]) throws -> [String: String] {
    var line = line
    var found: [String: String] = [:]
    try line.withUnsafeMutableBufferPointer { line in
      var object = JSONObject()
      if line.isEmpty { throw Refusal.notJSON }
      try object.read(line)
      for member in object.members {
        found[String(decoding: member.key, as: UTF8.self)] = String(decoding: member.value, as: UTF8.self)
      }
    }
    return found
  }
}
