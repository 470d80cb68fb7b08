import ScopeModel
import Testing

@Suite("Names") struct NameTests {
  private func fault(_ text: String) -> NameError? {
    do {
      _ = try name(text)
      return nil
    } catch {
      return error
    }
  }

  private func fault(utf8 bytes: [UInt8]) -> NameError? {
    bytes.withUnsafeBytes { (bytes) -> NameError? in
      do throws(NameError) {
        _ = try Name(utf8: bytes)
        return nil
      } catch {
        return error
      }
    }
  }

  @Test("a name has 1 to 128 bytes, not characters")
  func length() {
    #expect(fault("") == .empty)
    #expect(fault(utf8: []) == .empty)
    #expect(fault("a") == nil)
    #expect(fault(String(repeating: "a", count: 128)) == nil)
    #expect(fault(String(repeating: "a", count: 129)) == .tooLong(bytes: 129, limit: 128))
    #expect(fault(utf8: [UInt8](repeating: 0x61, count: 129)) == .tooLong(bytes: 129, limit: 128))
    #expect(fault(String(repeating: "😀", count: 32)) == nil)
    #expect(fault(String(repeating: "😀", count: 33)) == .tooLong(bytes: 132, limit: 128))
  }

  @Test("a name has no control characters: C0, DEL and C1, wherever they stand")
  func controlCharacters() {
    for value in Array(0x00...0x1F) + Array(0x7F...0x9F) {
      let control = String(Unicode.Scalar(UInt32(value))!)
      for text in [control, "a" + control, control + "a", "a" + control + "b"] {
        #expect(fault(text) == .controlCharacter, "U+\(String(value, radix: 16))")
        #expect(fault(utf8: Array(text.utf8)) == .controlCharacter, "U+\(String(value, radix: 16))")
      }
    }
  }

  @Test("every byte is looked at, whatever the length")
  func everyByte() {
    for length in 1...34 {
      for position in 0..<length {
        for byte in 0...255 as ClosedRange<UInt8> {
          var bytes = [UInt8](repeating: 0x61, count: length)
          bytes[position] = byte
          let isText = (0x20...0x7E).contains(byte)
          #expect((fault(utf8: bytes) == nil) == isText, "\(byte) at \(position) of \(length)")
        }
      }
    }
  }

  @Test("what only looks like control is allowed", arguments: [" ", "~", "\u{A0}", "\u{AD}", "\u{200B}", "\u{2028}"])
  func neighboursOfControl(text: String) {
    #expect(fault(text) == nil)
  }

  @Test("\"a\\0b\" is not taken for \"a\"")
  func embeddedNul() {
    #expect(fault(utf8: [0x61, 0x00, 0x62]) == .controlCharacter)
    #expect(fault(utf8: [0x61, 0x00]) == .controlCharacter)
  }

  @Test(
    "a name is valid UTF-8",
    arguments: [
      [0x80], [0xC3], [0xC3, 0x28], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
      [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
      [0x61, 0xFF, 0x62],
    ] as [[UInt8]])
  func invalidUTF8(bytes: [UInt8]) {
    #expect(fault(utf8: bytes) == .invalidUTF8)
  }

  @Test("bytes come out as they came in")
  func roundTrip() throws {
    for text in ["a", "é", "e\u{301}", "\u{FEFF}a", "\u{FFFF}", "\u{10FFFF}", String(repeating: "é", count: 64)] {
      let bytes = Array(text.utf8)
      let name = try bytes.withUnsafeBytes { try Name(utf8: $0) }
      #expect(Array(name.text.utf8) == bytes)
      #expect(try name == Name(text))
      #expect(try name.hashValue == Name(text).hashValue)
    }
  }

  @Test(
    "names that are one to Unicode and differ in bytes are two",
    arguments: [("é", "e\u{301}"), ("\u{C5}", "\u{212B}"), ("\u{C5}", "A\u{30A}"), ("가", "\u{1100}\u{1161}")])
  func unicodeEquivalents(first: String, second: String) throws {
    #expect(first == second, "the pair should be one to String, or this test shows nothing")
    let (a, b) = (try name(first), try name(second))
    #expect(a != b)
    #expect((a < b) != (b < a))
    #expect(Set([a, b]).count == 2)
    var numbers = [a: 1]
    numbers[b] = 2
    #expect(numbers[a] == 1)
  }

  @Test("case is not folded and blanks are not trimmed")
  func noFolding() {
    #expect(Set<Name>(["a", "A", "a ", " a"]).count == 4)
  }

  @Test("names are in byte order")
  func order() throws {
    // As UTF-16 the last two change places.
    let ordered: [Name] = [" ", "1", "10", "2", "A", "Z", "a", "aa", "b", "é", "\u{FFFF}", "😀"]
    #expect(ordered.reversed().sorted() == ordered)
    #expect(!(ordered[0] < ordered[0]))
  }

  @Test("things whose ids are one to Unicode live side by side")
  func equivalentIDs() throws {
    let ids: [Name] = ["é", "e\u{301}"]
    var company = try company(ids.map { put(user: $0) } + ids.map { put(group: $0) } + ids.map { put(project: $0) })
    _ = try company.apply(ids.map { put(object("list", $0)) })
    _ = try company.apply([.addMember(project: ids[0], .user(ids[0])), .place(object("list", ids[0]), project: ids[0])])
    #expect(company.users.count == 2 && company.groups.count == 2 && company.projects.count == 2)
    #expect(company.isMember(ids[0], of: ids[0]) && !company.isMember(ids[1], of: ids[0]))
    #expect(!company.sees(ids[1], object("list", ids[0])))
    _ = try company.apply([.removeUser(ids[1]), .removeProject(ids[1])])
    #expect(company.isMember(ids[0], of: ids[0]))
  }

  @Test("a remark may be empty, has at most 1,024 bytes and no control characters")
  func remarks() throws {
    #expect(try Remark("") == Remark.none)
    #expect(throws: Never.self) { try Remark(String(repeating: "x", count: 1_024)) }
    #expect(throws: NameError.tooLong(bytes: 1_025, limit: 1_024)) { try Remark(String(repeating: "x", count: 1_025)) }
    #expect(throws: NameError.controlCharacter) { try Remark("a\nb") }
    #expect(try Remark("é") != Remark("e\u{301}"))
  }

  @Test("a description edited from one form of a letter to the other is an edit")
  func remarkEdit() throws {
    var company = try company([.putProject(Project(id: "p", name: "p", description: try Remark("é")))])
    let edited = try Project(id: "p", name: "p", description: Remark("e\u{301}"))
    #expect(try company.apply([.putProject(edited)]).edits.count == 1)
  }
}
