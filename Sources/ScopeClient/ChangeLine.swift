import ScopeModel

/// One line of JSON Lines: a change and the company it belongs to. The fields are those of
/// `proto/scope/v1/changes.proto`; types and modes are in lower case (`queue`, `enhanced`), and what is
/// empty or false may be left out.
///
///     {"company":"nordlicht","put_user":{"id":"1001","name":"Anna Berger","roles":["operator"]}}
public struct ChangeLine: Hashable, Sendable {
  public let company: Name
  public let change: Change

  public init(company: Name, change: Change) {
    self.company = company
    self.change = change
  }
}

/// What is wrong with a line.
public struct ChangeLineError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

// MARK: - Reading

extension ChangeLine {
  /// - Parameter line: one line of UTF-8, without its end.
  public init(json line: some Sequence<UInt8>) throws(ChangeLineError) {
    let value: JSON
    do throws(JSON.Fault) { value = try JSON(line) } catch {
      let example = "{\"company\":\"x\",\"remove_user\":{\"id\":\"1\"}}"
      throw ChangeLineError("\(error.description); each line is one object such as \(example)")
    }
    guard case .object(let members) = value else { throw ChangeLineError("not a JSON object") }
    var fields = try Fields(members, of: "the line")
    company = try fields.name("company")
    guard let kind = fields.keys.first, fields.keys.count == 1 else {
      throw ChangeLineError("beside \"company\" there must be exactly one change, such as \"put_user\"")
    }
    var body = try Fields(try fields.object(kind), of: "\"\(kind)\"")
    change = try Change(kind, &body)
    try body.finish()
  }
}

extension Change {
  fileprivate init(_ kind: String, _ fields: inout Fields) throws(ChangeLineError) {
    switch kind {
    case "put_company": self = .putCompany(try fields.mode())
    case "remove_company": self = .removeCompany
    case "set_mode": self = .setMode(try fields.mode())
    case "put_user":
      let id = try fields.name("id")
      let user = User(id: id, name: try fields.name("name", or: id), isBlocked: try fields.flag("blocked"))
      self = .putUser(user, roles: try fields.names("roles"), projects: try fields.names("projects"))
    case "remove_user": self = .removeUser(try fields.name("id"))
    case "put_group":
      let id = try fields.name("id")
      self = .putGroup(Group(id: id, name: try fields.name("name", or: id)))
    case "remove_group": self = .removeGroup(try fields.name("id"))
    case "add_to_group": self = .addToGroup(group: try fields.name("group"), user: try fields.name("user"))
    case "remove_from_group": self = .removeFromGroup(group: try fields.name("group"), user: try fields.name("user"))
    case "put_role": self = .putRole(try fields.name("name"), rights: try fields.names("rights"))
    case "remove_role": self = .removeRole(try fields.name("name"))
    case "put_project":
      let id = try fields.name("id")
      let description = try fields.remark("description")
      self = .putProject(Project(id: id, name: try fields.name("name", or: id), description: description))
    case "remove_project": self = .removeProject(try fields.name("id"))
    case "add_member": self = .addMember(project: try fields.name("project"), try fields.member())
    case "remove_member": self = .removeMember(project: try fields.name("project"), try fields.member())
    case "put_object":
      let ref = try fields.ref("type", "id")
      self = .putObject(
        Object(ref, name: try fields.name("name", or: ref.id), isSystem: try fields.flag("system")),
        projects: try fields.names("projects"))
    case "remove_object": self = .removeObject(try fields.ref("type", "id"))
    case "place": self = .place(try fields.ref("object_type", "object_id"), project: try fields.name("project"))
    case "unplace": self = .unplace(try fields.ref("object_type", "object_id"), project: try fields.name("project"))
    case "move":
      self = .move(
        try fields.ref("object_type", "object_id"), from: try fields.name("from_project"),
        to: try fields.name("to_project"))
    case "set_purpose": self = .setPurpose(list: try fields.name("list"), try fields.purpose())
    default: throw ChangeLineError("\"\(kind)\" is not a change; see proto/scope/v1/changes.proto")
    }
  }
}

/// The fields of a JSON object, each taken once: what is left over at the end is an error, since it may be
/// a misspelt name of something that matters.
private struct Fields {
  private var rest: [JSON.Member]
  private let place: String

  init(_ members: [JSON.Member], of place: String) throws(ChangeLineError) {
    rest = members
    self.place = place
    for (index, member) in members.enumerated()
    where members[..<index].contains(where: { isSame($0.key, member.key) }) {
      throw ChangeLineError("\(place) has the field \"\(member.key)\" twice")
    }
  }

  var keys: [String] { rest.map(\.key) }

  private mutating func take(_ key: String) -> JSON? {
    rest.firstIndex { isSame($0.key, key) }.map { rest.remove(at: $0).value }
  }

  func finish() throws(ChangeLineError) {
    if let key = keys.first { throw ChangeLineError("\(place) has the unknown field \"\(key)\"") }
  }

  mutating func object(_ key: String) throws(ChangeLineError) -> [JSON.Member] {
    guard case .object(let members)? = take(key) else { throw ChangeLineError("\"\(key)\" is not an object") }
    return members
  }

  private mutating func text(_ key: String) throws(ChangeLineError) -> String? {
    guard let value = take(key) else { return nil }
    guard case .text(let text) = value else { throw ChangeLineError("\"\(key)\" is not a text") }
    return text
  }

  mutating func name(_ key: String) throws(ChangeLineError) -> Name {
    guard let text = try text(key) else { throw ChangeLineError("\(place) lacks \"\(key)\"") }
    return try named(key, text)
  }

  mutating func name(_ key: String, or id: Name) throws(ChangeLineError) -> Name {
    guard let text = try text(key), !text.isEmpty else { return id }
    return try named(key, text)
  }

  private func named(_ key: String, _ text: String) throws(ChangeLineError) -> Name {
    do throws(NameError) { return try Name(text) } catch { throw ChangeLineError("\"\(key)\" \(error)") }
  }

  mutating func remark(_ key: String) throws(ChangeLineError) -> Remark {
    let text = try text(key) ?? ""
    do throws(NameError) { return try Remark(text) } catch { throw ChangeLineError("\"\(key)\" \(error)") }
  }

  mutating func names(_ key: String) throws(ChangeLineError) -> [Name] {
    guard let value = take(key) else { return [] }
    guard case .list(let values) = value else { throw ChangeLineError("\"\(key)\" is not a list of texts") }
    var names: [Name] = []
    for value in values {
      guard case .text(let text) = value else { throw ChangeLineError("\"\(key)\" is not a list of texts") }
      names.append(try named(key, text))
    }
    return names
  }

  mutating func flag(_ key: String) throws(ChangeLineError) -> Bool {
    guard let value = take(key) else { return false }
    guard case .flag(let flag) = value else { throw ChangeLineError("\"\(key)\" is neither true nor false") }
    return flag
  }

  mutating func purpose() throws(ChangeLineError) -> ListPurpose {
    guard let purpose = try text("purpose").flatMap(ListPurpose.init(name:)) else {
      let names = ListPurpose.allCases.map { "\"\($0.name)\"" }.joined(separator: ", ")
      throw ChangeLineError("\"purpose\" must be one of \(names)")
    }
    return purpose
  }

  mutating func mode() throws(ChangeLineError) -> SecurityMode {
    guard let mode = try text("mode").flatMap(SecurityMode.init(rawValue:)) else {
      throw ChangeLineError("\"mode\" must be \"simple\" or \"enhanced\"")
    }
    return mode
  }

  mutating func member() throws(ChangeLineError) -> Member {
    let type = try text("member_type")
    let id = try name("member_id")
    switch type {
    case "user": return .user(id)
    case "group": return .group(id)
    default: throw ChangeLineError("\"member_type\" must be \"user\" or \"group\"")
    }
  }

  mutating func ref(_ typeKey: String, _ idKey: String) throws(ChangeLineError) -> ObjectRef {
    let text = try text(typeKey) ?? ""
    guard let type = ObjectType(name: text) else {
      let known = ObjectType.all.map(\.name).joined(separator: ", ")
      throw ChangeLineError("\"\(typeKey)\" is '\(text)', not one of \(known)")
    }
    return ObjectRef(type, try name(idKey))
  }
}

/// Equal as bytes: `==` takes two forms of one letter for the same.
private func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

// MARK: - Writing

extension ChangeLine {
  /// The line, without its end. Fields come in the order of the proto; defaults are left out.
  public var json: String {
    "{\"company\":\(quoted(company.text)),\"\(change.body.kind)\":{\(change.body.fields.joined(separator: ","))}}"
  }
}

extension Change {
  fileprivate var body: (kind: String, fields: [String]) {
    switch self {
    case .putCompany(let mode): ("put_company", [field("mode", mode.rawValue)])
    case .removeCompany: ("remove_company", [])
    case .setMode(let mode): ("set_mode", [field("mode", mode.rawValue)])
    case .putUser(let user, let roles, let projects):
      (
        "put_user",
        named(user.id, user.name) + flag("blocked", user.isBlocked) + list("roles", roles) + list("projects", projects)
      )
    case .removeUser(let id): ("remove_user", [field("id", id.text)])
    case .putGroup(let group): ("put_group", named(group.id, group.name))
    case .removeGroup(let id): ("remove_group", [field("id", id.text)])
    case .addToGroup(let group, let user): ("add_to_group", [field("group", group.text), field("user", user.text)])
    case .removeFromGroup(let group, let user):
      ("remove_from_group", [field("group", group.text), field("user", user.text)])
    case .putRole(let role, let rights): ("put_role", [field("name", role.text)] + list("rights", rights))
    case .removeRole(let role): ("remove_role", [field("name", role.text)])
    case .putProject(let project):
      ("put_project", named(project.id, project.name) + remark("description", project.description))
    case .removeProject(let id): ("remove_project", [field("id", id.text)])
    case .addMember(let project, let member): ("add_member", [field("project", project.text)] + fields(of: member))
    case .removeMember(let project, let member):
      ("remove_member", [field("project", project.text)] + fields(of: member))
    case .putObject(let object, let projects):
      (
        "put_object",
        [field("type", object.ref.type.name)] + named(object.ref.id, object.name) + flag("system", object.isSystem)
          + list("projects", projects)
      )
    case .removeObject(let ref): ("remove_object", [field("type", ref.type.name), field("id", ref.id.text)])
    case .place(let ref, let project): ("place", fields(of: ref) + [field("project", project.text)])
    case .unplace(let ref, let project): ("unplace", fields(of: ref) + [field("project", project.text)])
    case .move(let ref, let from, let to):
      ("move", fields(of: ref) + [field("from_project", from.text), field("to_project", to.text)])
    case .setPurpose(let list, let purpose):
      ("set_purpose", [field("list", list.text), field("purpose", purpose.name)])
    }
  }
}

private func field(_ key: String, _ text: String) -> String { "\"\(key)\":\(quoted(text))" }

private func named(_ id: Name, _ name: Name) -> [String] {
  [field("id", id.text)] + (name == id ? [] : [field("name", name.text)])
}

private func flag(_ key: String, _ value: Bool) -> [String] { value ? ["\"\(key)\":true"] : [] }

private func list(_ key: String, _ names: [Name]) -> [String] {
  names.isEmpty ? [] : ["\"\(key)\":[\(names.map { quoted($0.text) }.joined(separator: ","))]"]
}

private func remark(_ key: String, _ remark: Remark) -> [String] {
  remark.text.isEmpty ? [] : [field(key, remark.text)]
}

private func fields(of member: Member) -> [String] {
  switch member {
  case .user(let id): [field("member_type", "user"), field("member_id", id.text)]
  case .group(let id): [field("member_type", "group"), field("member_id", id.text)]
  }
}

private func fields(of ref: ObjectRef) -> [String] {
  [field("object_type", ref.type.name), field("object_id", ref.id.text)]
}

/// Names and remarks have no control characters, so two characters are all there is to escape.
private func quoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    if scalar == "\"" || scalar == "\\" { out.unicodeScalars.append("\\") }
    out.unicodeScalars.append(scalar)
  }
  return out + "\""
}
