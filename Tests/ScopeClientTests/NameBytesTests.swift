import Foundation
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeClient

/// The bytes of names, as lines, refs and arguments are read and written.
@Suite struct BytesOfNames {
  private func changes(about name: Name, _ other: Name) -> [Change] {
    let (user, list) = (User(id: name, name: other, isBlocked: true), ObjectRef(.list, name))
    return [
      .putUser(user, roles: [name, other], projects: [other, name]), .removeUser(name),
      .putGroup(Group(id: name, name: other)), .addToGroup(group: name, user: other),
      .putRole(name, rights: [other, name]),
      .putProject(Project(id: name, name: other, description: try! Remark(other.text))),
      .addMember(project: name, .group(other)), .putObject(Object(list, name: other), projects: [name, other]),
      .move(list, from: name, to: other), .setPurpose(list: name, .vip),
    ]
  }

  @Test func surviveLines() throws {
    for (name, other) in zip(WorstNames.all, WorstNames.all.reversed()) {
      for change in changes(about: name, other) {
        let line = ChangeLine(company: other, change: change)
        #expect(try ChangeLine(json: line.json.utf8) == line, "\(line.json)")
      }
    }
  }

  /// As other programs may write them: every scalar escaped, in capitals or not.
  @Test func surviveEscapes() throws {
    for name in WorstNames.all {
      for isUpper in [false, true] {
        let escaped = name.text.utf16.map { unit in
          let digits = String(unit, radix: 16, uppercase: isUpper)
          return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined()
        let line = #"{ "company" : "c" , "remove_user" : {"id":"\#(escaped)"} }"#
        #expect(try ChangeLine(json: line.utf8).change == .removeUser(name), "\(line)")
      }
    }
    let short = #"{"company":"c","put_project":{"id":"\/\"\\","description":"a\/b"}}"#
    let project = Project(id: "/\"\\", name: "/\"\\", description: try Remark("a/b"))
    #expect(try ChangeLine(json: short.utf8).change == .putProject(project))
  }

  @Test(arguments: [
    (#"\ud83d"#, "half of a surrogate pair"), (#"\ud83dx"#, "half of a surrogate pair"),
    (#"\ude00"#, "half of a surrogate pair"), (#"\ud83d\ud83d"#, "half of a surrogate pair"),
    (#"a\u0000"#, "control character"), (#"a\r"#, "control character"), (#"\u0085"#, "control character"),
    (#"\u009f"#, "control character"), (#"\u007F"#, "control character"), (#"\x41"#, "not JSON"),
    (#"\u12"#, "not JSON"), (#"\u+123"#, "not JSON"), ("a\tb", "not JSON"), (#"\"#, "not JSON"),
  ]) func thatAreNoneAreRefused(id: String, words: String) {
    #expect(refusal(of: #"{"company":"c","remove_user":{"id":"\#(id)"}}"#)?.contains(words) == true)
  }

  @Test(arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3]] as [[UInt8]])
  func thatAreNoUTF8AreRefused(id: [UInt8]) {
    let line = Array(#"{"company":"c","remove_user":{"id":"x"#.utf8) + id + Array(#""}}"#.utf8)
    do {
      _ = try ChangeLine(json: line)
      Issue.record("taken: \(id)")
    } catch {
      #expect(error.description.contains("not valid UTF-8"), "\(error)")
    }
  }

  private func refusal(of line: String) -> String? {
    do {
      _ = try ChangeLine(json: line.utf8)
      return nil
    } catch { return error.description }
  }

  @Test func ofFieldsAreComparedToo() {
    #expect(refusal(of: #"{"company":"c","remove_user":{"id":"1","id":"2"}}"#)?.contains("\"id\" twice") == true)
    #expect(refusal(of: #"{"company":"c","company":"d","remove_user":{"id":"1"}}"#)?.contains("twice") == true)
    let twins = "{\"company\":\"c\",\"remove_user\":{\"id\":\"1\",\"\u{E9}\":1,\"e\u{301}\":2}}"
    #expect(refusal(of: twins)?.contains("unknown field") == true, "two fields, neither known")
    for text in ["\u{FEFF}{}", "{} x", "{}{}", "[1,]", "{\"a\":1,}", "01", "1.", "-", "nul", "{'a':1}", "{\"a\" 1}"] {
      #expect(refusal(of: text) != nil, "\(text)")
    }
    #expect(refusal(of: String(repeating: "[", count: 100_000))?.contains("too deep") == true)
  }

  @Test func surviveRefs() throws {
    for name in WorstNames.all {
      #expect(try Subject(ref: "user:\(name)") == .user(name), "\(name)")
      #expect(try Subject(ref: "project:" + name.text) == .project(name), "\(name)")
      #expect(try ObjectRef(ref: "contact_field:" + name.text) == ObjectRef(.contactField, name), "\(name)")
    }
    for text in ["user\u{301}:x", "\u{FEFF}user:x", "ｕser:x", "user：x", "user\u{37E}x"] {
      #expect(throws: RefError.self) { _ = try Subject(ref: text) }
    }
  }

  @Test func surviveArguments() {
    for name in WorstNames.all {
      let given = ["check", "user:\(name)", "--right=\(name)", name.text, "--", "--right=\(name)"]
      let read = CommandArguments.separated(given)
      // What the parser makes of an option that it can take apart is its own; otherwise the value comes by itself.
      let option = given[2].contains("=" as Character) ? [given[2]] : ["--right", name.text]
      let expected = ["check", "user:\(name)"] + option + [name.text, "--", "--right=\(name)"]
      #expect(read.map { Array($0.utf8) } == expected.map { Array($0.utf8) }, "\(name)")
    }
  }
}
