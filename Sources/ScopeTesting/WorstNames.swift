import ScopeModel

/// Names that some reader, writer or comparison would alter, cut, split or take for one another.
public enum WorstNames {
  public static let all: [Name] = [
    // What some readers drop, at each place, and what is left then.
    "\u{FEFF}1001", "1001\u{FEFF}", "10\u{FEFF}01", "1001", "\u{FEFF}", "\u{FEFF}\u{FEFF}1001", "\u{FFFE}x",
    // One letter in several forms: different names.
    "é", "e\u{301}", "\u{C5}", "A\u{30A}", "\u{212B}", "가", "\u{1100}\u{1161}", "\u{212A}", "K", "\u{37E}", ";",
    // Marks that join what stands before them: a colon, an equals sign, a tab, a quote.
    "\u{301}x", "\u{301}", "\u{20DD}1", "\u{FE0F}", "\u{200D}x", "=\u{301}", ":\u{301}:", "\"\u{301}\"",
    // Many scalars to a character, and half of such.
    "👩‍👩‍👧‍👦", "🇩🇪🇦", "🇩", "😀", "\u{1F3FD}", "\u{1160}",
    // Unseen, turned round, ends of lines to some.
    "\u{202E}abc\u{202C}", "\u{2066}x\u{2069}", "\u{200B}", "\u{AD}x", "\u{2028}", "a\u{2029}b", "\u{A0}x\u{A0}",
    "\u{3000}",
    // Signs of JSON, CSV, shells, refs, options and formats.
    "\"", "\\", "\\\"", "a\"b\\c", "'", ",", "a,b;c", ":", ":x", "x:", "user:1001", "{\"id\":\"1\"}", "[", "null",
    "true",
    "%s%n", "%FE", "$(x)", "&amp;", "\\u0041", "\\n", "=", "a=b", "#", "?", "&", "|", "*", "..", "/",
    // Spaces at the ends.
    " ", "  ", " x", "x ", " x ",
    // At the ends of what UTF-8 holds, and as long as a name may be.
    "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}",
    Name(stringLiteral: "\u{FEFF}" + String(repeating: "x", count: 125)),
    Name(stringLiteral: String(repeating: "😀", count: 32)),
    Name(stringLiteral: String(repeating: "\u{301}", count: 64)),
    Name(stringLiteral: String(repeating: "\"", count: 128)), Name(stringLiteral: String(repeating: "\\", count: 128)),
  ]

  /// A company in which each is the id of a user, a group, a role with a right, a project, a queue, a list and a field,
  /// named by the next; the user, the queue, the list and the field are in the project of their name, the user through
  /// its group as well.
  public static func company() -> [Change] {
    var changes: [Change] = [.putCompany(.enhanced)]
    for (place, id) in all.enumerated() {
      let name = all[(place + 1) % all.count]
      changes += [
        .putRole(id, rights: [id, name]), .putProject(Project(id: id, name: id, description: try! Remark(name.text))),
        .putUser(User(id: id, name: name), roles: [id], projects: [id]), .putGroup(Group(id: id, name: name)),
        .addToGroup(group: id, user: id), .addMember(project: id, .group(id)),
      ]
      for type in ["queue", "list", "contact_field"] {
        let ref = ObjectRef(ObjectType(name: type)!, id)
        changes.append(.putObject(Object(ref, name: name), projects: [id]))
      }
    }
    return changes
  }

  /// As JSON writes it: two signs are escaped, since no name has a control character.
  public static func quoted(_ name: Name) -> String {
    var text = "\""
    for scalar in name.text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { text.unicodeScalars.append("\\") }
      text.unicodeScalars.append(scalar)
    }
    return text + "\""
  }
}
