import ScopeClient
import ScopeModel

/// Changes in few words. What is not told of a thing is as plain as can be; a name is the id.
extension Change {
  public static func user(
    _ id: Name, named name: Name? = nil, roles: [Name] = [], in projects: [Name] = [], isBlocked: Bool = false
  ) -> Change {
    .putUser(User(id: id, name: name ?? id, isBlocked: isBlocked), roles: roles, projects: projects)
  }

  public static func group(_ id: Name, named name: Name? = nil) -> Change {
    .putGroup(Group(id: id, name: name ?? id))
  }

  public static func project(_ id: Name, named name: Name? = nil) -> Change {
    .putProject(Project(id: id, name: name ?? id))
  }

  public static func object(_ ref: ObjectRef, named name: Name? = nil, in projects: [Name] = []) -> Change {
    .putObject(Object(ref, name: name ?? ref.id), projects: projects)
  }
}

/// Refs in tests' own words, `queue:desk`: a bad one stops the process.
extension ObjectRef: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) {
    do { try self.init(ref: text) } catch { fatalError("\(error)") }
  }
}

extension Subject: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) {
    do { try self.init(ref: text) } catch { fatalError("\(error)") }
  }
}
