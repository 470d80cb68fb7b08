import ScopeModel

/// What is known of a user; the names are valid as long as the index is.
public struct UserFacts {
  public let id: Key
  public let name: Key
  public let isBlocked: Bool
  public let roles: [Key]
  /// The first of them, in byte order of ids.
  public let groups: [Key]
  public let groupCount: Int
  /// The first projects the user is in, in byte order of ids.
  public let ways: [Way]
  public let projectCount: Int
}

/// A thing with the projects it is in: a group, or a contact field.
public struct PlacedFacts {
  public let id: Key
  public let name: Key
  /// The first of them, in byte order of ids.
  public let projects: [Key]
  public let projectCount: Int
}

extension CompanyView {
  public var mode: SecurityMode { isSimple ? .simple : .enhanced }
}

// MARK: - Users

extension CompanyView {
  public func userNumber(_ id: Key) -> Int? { users.find(id) }
  public func userID(_ number: Int) -> Key { users.key(of: number) }
  public func userName(_ number: Int) -> Key { users.name(of: number) }

  public func isBlocked(user: Int) -> Bool { userProjects.flags(of: user) & CompanyView.flagBlocked != 0 }
  public func isUser(_ number: Int, inGroup group: Int) -> Bool { userGroups[number].contains(UInt32(group)) }
  public func isUser(_ number: Int, inProject project: Int) -> Bool { userProjects[number].contains(UInt32(project)) }
  /// Holds `projects.see_all`, whatever projects it is in.
  public func seesAll(user: Int) -> Bool { userProjects.flags(of: user) & CompanyView.flagSeeAll != 0 }

  public func isInNoProject(user: Int) -> Bool { userProjects[user].count == 0 }

  /// The numbers of a user's groups.
  public func groups(ofUser number: Int) -> [Int] { numbers(userGroups[number]) }

  /// The numbers of the projects that a user is in itself, rather than by a group alone.
  public func ownProjects(ofUser number: Int) -> [Int] {
    let list = userProjects[number]
    return (0..<list.count).filter { list.second($0) == LinkList.none }.map { Int(list[$0]) }
  }

  /// The numbers of the projects that a user is in, itself or by a group.
  public func projects(ofUser number: Int) -> [Int] { numbers(userProjects[number]) }

  /// - Parameter most: how many groups and how many projects to tell.
  public func user(_ number: Int, telling most: Int) -> UserFacts {
    let (groupList, projectList) = (userGroups[number], userProjects[number])
    return UserFacts(
      id: users.key(of: number), name: users.name(of: number), isBlocked: isBlocked(user: number),
      roles: numbers(userRoles[number]).map(roles.key), groups: keys(groupList, groups, most),
      groupCount: groupList.count,
      ways: (0..<min(most, projectList.count)).map { way(projectList[$0], projectList.second($0)) },
      projectCount: projectList.count)
  }
}

// MARK: - Groups, roles, projects

extension CompanyView {
  public var groupCount: Int { groups.count }
  public func groupNumber(_ id: Key) -> Int? { groups.find(id) }
  public func groupID(_ number: Int) -> Key { groups.key(of: number) }
  public func groupName(_ number: Int) -> Key { groups.name(of: number) }
  public func isGroup(_ number: Int, inProject project: Int) -> Bool {
    groupProjects[number].contains(UInt32(project))
  }

  public func group(_ number: Int, telling most: Int) -> PlacedFacts {
    placed(groups, number, groupProjects[number], most)
  }

  public var roleCount: Int { roles.count }
  public func role(_ number: Int) -> Key { roles.key(of: number) }
  public func rights(ofRole number: Int) -> [Key] { numbers(roleRights[number]).map(rights.key) }
  /// The numbers of a user's roles.
  public func roles(ofUser number: Int) -> [Int] { numbers(userRoles[number]) }

  public func projectNumber(_ id: Key) -> Int? { projects.find(id) }
  public func projectID(_ number: Int) -> Key { projects.key(of: number) }

  /// The project with this number, whoever asks.
  public func project(_ number: Int) -> ProjectRow {
    ProjectRow(
      id: projects.key(of: number), name: projects.name(of: number), description: projects.description(of: number),
      contentsVisible: true)
  }
}

// MARK: - Objects

extension CompanyView {
  public var objectCount: Int { objects.count }
  public func objectNumber(_ id: Key, type: UInt8) -> Int? { objects.find(id, kind: type) }
  public func isSystem(object number: Int) -> Bool { objects.flags(of: number) & Directory.flagSystem != 0 }
  public func objectType(_ number: Int) -> UInt8 { objects.kind(of: number) }
  public func isObject(_ number: Int, inProject project: Int) -> Bool {
    objectProjects[number].contains(UInt32(project))
  }

  /// The numbers of the projects an object is in.
  public func projects(ofObject number: Int) -> [Int] { numbers(objectProjects[number]) }
  public func projectCount(ofObject number: Int) -> Int { objectProjects[number].count }

  /// The object with this number, whoever asks.
  public func object(_ number: Int) -> ObjectRow { row(number) }

  public func placedObject(_ number: Int, telling most: Int) -> PlacedFacts {
    placed(objects, number, objectProjects[number], most)
  }

  private func placed(_ directory: Directory, _ number: Int, _ list: LinkList, _ most: Int) -> PlacedFacts {
    PlacedFacts(
      id: directory.key(of: number), name: directory.name(of: number), projects: keys(list, projects, most),
      projectCount: list.count)
  }

  private func numbers(_ list: LinkList) -> [Int] { (0..<list.count).map { Int(list[$0]) } }

  private func keys(_ list: LinkList, _ directory: Directory, _ most: Int) -> [Key] {
    (0..<min(most, list.count)).map { directory.key(of: Int(list[$0])) }
  }
}
