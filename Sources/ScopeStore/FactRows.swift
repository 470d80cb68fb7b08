import ScopeModel

/// A fact as texts: the columns of its table beside `company`, and what the change log says after the kind.
struct FactRow {
  let kind: FactKind
  let columns: [String]
}

/// A table of facts. Every column is text; the key is the company and the `key` columns.
struct FactTable {
  let name: String
  let key: [String]
  let values: [String]

  init(_ name: String, key: [String], values: [String] = []) {
    self.name = name
    self.key = key
    self.values = values
  }

  var columns: [String] { key + values }
}

extension FactKind {
  var table: FactTable {
    switch self {
    case .company: FactTable("companies", key: [], values: ["mode"])
    case .role: FactTable("roles", key: ["role"])
    case .roleRight: FactTable("role_rights", key: ["role", "right_name"])
    case .user: FactTable("users", key: ["id"], values: ["name", "state"])
    case .userRole: FactTable("user_roles", key: ["user_id", "role"])
    case .group: FactTable("groups", key: ["id"], values: ["name"])
    case .groupMember: FactTable("group_members", key: ["group_id", "user_id"])
    case .project: FactTable("projects", key: ["id"], values: ["name", "description"])
    case .projectUser: FactTable("project_users", key: ["project_id", "user_id"])
    case .projectGroup: FactTable("project_groups", key: ["project_id", "group_id"])
    case .object: FactTable("objects", key: ["type", "id"], values: ["name", "origin"])
    case .placement: FactTable("placements", key: ["type", "object_id", "project_id"])
    case .list: FactTable("lists", key: ["list_id"], values: ["purpose", "numbers", "block_set", "digest"])
    }
  }
}

// MARK: - Fact ↔ row

extension FactRow {
  init(_ fact: Fact) {
    switch fact {
    case .company(let mode): self.init(.company, mode.rawValue)
    case .role(let role): self.init(.role, role.text)
    case .roleRight(let role, let right): self.init(.roleRight, role.text, right.text)
    case .user(let user): self.init(.user, user.id.text, user.name.text, user.isBlocked ? "blocked" : "active")
    case .userRole(let user, let role): self.init(.userRole, user.text, role.text)
    case .group(let group): self.init(.group, group.id.text, group.name.text)
    case .groupMember(let group, let user): self.init(.groupMember, group.text, user.text)
    case .project(let project):
      self.init(.project, project.id.text, project.name.text, project.description.text)
    case .member(let project, .user(let id)): self.init(.projectUser, project.text, id.text)
    case .member(let project, .group(let id)): self.init(.projectGroup, project.text, id.text)
    case .object(let object):
      self.init(
        .object, object.ref.type.name, object.ref.id.text, object.name.text, object.isSystem ? "system" : "custom")
    case .placement(let ref, let project): self.init(.placement, ref.type.name, ref.id.text, project.text)
    case .list(let list):
      self.init(.list, list.id.text, list.purpose.name, "\(list.count)", "\(list.blockSet)", list.digest.text)
    }
  }

  private init(_ kind: FactKind, _ columns: String...) {
    self.kind = kind
    self.columns = columns
  }

  /// The fact, where the texts can be one.
  func fact() throws(DamagedRow) -> Fact {
    guard columns.count == kind.table.columns.count else { throw DamagedRow("has \(columns.count) columns") }
    return try Fact(kind, columns)
  }
}

/// The columns of a row of the right width, in whatever form they came.
protocol FactColumns {
  func name(_ index: Int) throws(DamagedRow) -> Name
  func remark(_ index: Int) throws(DamagedRow) -> Remark
  /// One of a few words.
  func word(_ index: Int) throws(DamagedRow) -> String
}

extension [String]: FactColumns {
  func name(_ index: Int) throws(DamagedRow) -> Name { try Name(stored: self[index]) }

  func remark(_ index: Int) throws(DamagedRow) -> Remark {
    do { return try Remark(self[index]) } catch { throw DamagedRow("a description \(error)") }
  }

  func word(_ index: Int) -> String { self[index] }
}

extension Fact {
  init(_ kind: FactKind, _ row: some FactColumns) throws(DamagedRow) {
    switch kind {
    case .company: self = .company(try row.mode(0))
    case .role: self = .role(try row.name(0))
    case .roleRight: self = .roleRight(role: try row.name(0), right: try row.name(1))
    case .user:
      self = .user(
        User(id: try row.name(0), name: try row.name(1), isBlocked: try row.flag(2, "active", "blocked")))
    case .userRole: self = .userRole(user: try row.name(0), role: try row.name(1))
    case .group: self = .group(Group(id: try row.name(0), name: try row.name(1)))
    case .groupMember: self = .groupMember(group: try row.name(0), user: try row.name(1))
    case .project:
      self = .project(Project(id: try row.name(0), name: try row.name(1), description: try row.remark(2)))
    case .projectUser: self = .member(project: try row.name(0), .user(try row.name(1)))
    case .projectGroup: self = .member(project: try row.name(0), .group(try row.name(1)))
    case .object:
      self = .object(Object(try row.ref(), name: try row.name(2), isSystem: try row.flag(3, "custom", "system")))
    case .placement: self = .placement(try row.ref(), project: try row.name(2))
    case .list:
      self = .list(
        NumberList(
          id: try row.name(0), purpose: try row.purpose(1), count: try row.integer(2), blockSet: try row.integer(3),
          digest: try row.name(4)))
    }
  }
}

extension FactColumns {
  fileprivate func mode(_ index: Int) throws(DamagedRow) -> SecurityMode {
    let word = try word(index)
    guard let mode = SecurityMode(rawValue: word) else { throw unknown(word) }
    return mode
  }

  fileprivate func flag(_ index: Int, _ no: String, _ yes: String) throws(DamagedRow) -> Bool {
    let word = try word(index)
    if word == no { return false }
    if word == yes { return true }
    throw unknown(word)
  }

  fileprivate func purpose(_ index: Int) throws(DamagedRow) -> ListPurpose {
    let word = try word(index)
    guard let purpose = ListPurpose(name: word) else { throw unknown(word) }
    return purpose
  }

  fileprivate func integer(_ index: Int) throws(DamagedRow) -> UInt64 {
    let word = try word(index)
    guard let number = UInt64(word) else { throw unknown(word) }
    return number
  }

  fileprivate func ref() throws(DamagedRow) -> ObjectRef {
    let word = try word(0)
    guard let type = objectTypes[word] else { throw unknown(word) }
    return ObjectRef(type, try name(1))
  }

  private func unknown(_ word: String) -> DamagedRow { DamagedRow("does not know '\(word)'") }
}

/// Types by name: `ObjectType(name:)` looks through a table, too slow for each of a million rows.
private let objectTypes = Dictionary(uniqueKeysWithValues: ObjectType.all.map { ($0.name, $0) })

extension Name {
  /// A name as it was stored.
  init(stored text: String) throws(DamagedRow) {
    do { try self.init(text) } catch { throw DamagedRow("a name \(error)") }
  }
}
