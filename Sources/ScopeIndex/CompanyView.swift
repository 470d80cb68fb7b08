import ScopeModel

/// Answers from a company's index. A view is an address: it counts no references, and is valid as long as the
/// `IndexRoot` it came from is held.
///
/// Nothing here allocates, locks or uses `String`.
public struct CompanyView: Equatable {
  private let tables: UnsafePointer<CompanyTables>

  /// - Parameter tables: kept by whoever keeps the index.
  init(_ tables: UnsafePointer<CompanyTables>) { self.tables = tables }

  /// The same index, not one like it.
  public static func == (a: CompanyView, b: CompanyView) -> Bool { a.tables == b.tables }

  static let flagBlocked: UInt8 = 1
  static let flagSeeAll: UInt8 = 2
  static let flagListProjects: UInt8 = 4
  /// The role `admin`: rights that no role lists, too.
  static let flagEveryRight: UInt8 = 8
  static let flagsEveryRight = flagEveryRight | flagSeeAll | flagListProjects
}

/// Where a company's blocks are.
struct CompanyTables {
  // What a check reads comes first, in three lines of cache.
  let users: Directory
  let objects: Directory
  let userProjects: Links
  let objectProjects: Links
  let isSimple: Bool
  let projects: Directory
  let groups: Directory
  let groupProjects: Links
  let rights: Directory
  let userRights: Links
  let userGroups: Links
  let roles: Directory
  let roleRights: Links
  let userRoles: Links

  init(_ parts: CompanyIndex.Parts, isSimple: Bool) {
    projects = Directory(parts.projects)
    groups = Directory(parts.groups)
    groupProjects = Links(parts.groupProjects)
    users = Directory(parts.users)
    userProjects = Links(parts.userProjects)
    rights = Directory(parts.rights)
    userRights = Links(parts.userRights)
    userGroups = Links(parts.userGroups)
    roles = Directory(parts.roles)
    roleRights = Links(parts.roleRights)
    userRoles = Links(parts.userRoles)
    objects = Directory(parts.objects)
    objectProjects = Links(parts.objectProjects)
    self.isSimple = isSimple
  }
}

extension CompanyView {
  @inline(__always) var users: Directory { tables.pointee.users }
  @inline(__always) var objects: Directory { tables.pointee.objects }
  @inline(__always) var userProjects: Links { tables.pointee.userProjects }
  @inline(__always) var objectProjects: Links { tables.pointee.objectProjects }
  @inline(__always) var isSimple: Bool { tables.pointee.isSimple }
  @inline(__always) var projects: Directory { tables.pointee.projects }
  @inline(__always) var groups: Directory { tables.pointee.groups }
  @inline(__always) var groupProjects: Links { tables.pointee.groupProjects }
  @inline(__always) var rights: Directory { tables.pointee.rights }
  @inline(__always) var userRights: Links { tables.pointee.userRights }
  @inline(__always) var userGroups: Links { tables.pointee.userGroups }
  @inline(__always) var roles: Directory { tables.pointee.roles }
  @inline(__always) var roleRights: Links { tables.pointee.roleRights }
  @inline(__always) var userRoles: Links { tables.pointee.userRoles }
}

/// An id as it came from the wire: bytes, not yet known to be a name.
public typealias Key = UnsafeRawBufferPointer

/// The answer to a check. The names are valid as long as the index is.
public struct CheckAnswer {
  public let reason: Reason
  /// What the check may have taken, in checks of a subject and an object with few projects.
  public var work: UInt32 = 1
  /// The first shared project in byte order of ids; empty without one.
  public var project = Key(start: nil, count: 0)
  /// The group by which the user is in it; empty: directly, or no user.
  public var group = Key(start: nil, count: 0)

  @inline(__always)
  public init(_ reason: Reason) { self.reason = reason }

  /// What it is where the right is not held.
  fileprivate var withoutRight: CheckAnswer {
    var answer = CheckAnswer(.rightMissing)
    answer.work = work
    return answer
  }
}

/// A subject looked up once, for one or many objects.
public struct ResolvedSubject {
  enum Finding {
    case refused(Reason)
    case sees(LinkList, flags: UInt8, user: Int?)
    /// A project is a list of one, its own number.
    case project(UInt32)
  }

  let finding: Finding
}

// MARK: - Checks

extension CompanyView {
  /// Looks a subject up. `kind` is one of `SubjectKind` or the number of an object type.
  @inline(__always)
  public func subject(kind: UInt8, id: Key) -> ResolvedSubject { ResolvedSubject(finding: find(kind, id)) }

  @inline(__always)
  private func find(_ kind: UInt8, _ id: Key) -> ResolvedSubject.Finding {
    switch kind {
    case SubjectKind.user:
      guard let number = users.find(id) else { return .refused(.unknownSubject) }
      let flags = userProjects.flags(of: number)
      if flags & CompanyView.flagBlocked != 0 { return .refused(.subjectBlocked) }
      return .sees(userProjects[number], flags: flags, user: number)
    case SubjectKind.group:
      guard let number = groups.find(id) else { return .refused(.unknownSubject) }
      return .sees(groupProjects[number], flags: 0, user: nil)
    case SubjectKind.project:
      guard let number = projects.find(id) else { return .refused(.unknownSubject) }
      return .project(UInt32(number))
    default:
      guard let number = objects.find(id, kind: kind) else { return .refused(.unknownSubject) }
      return .sees(objectProjects[number], flags: 0, user: nil)
    }
  }

  /// May the subject see the object, and does it hold the right (empty: none asked for)?
  @inline(__always)
  public func check(_ subject: ResolvedSubject, type: UInt8, id: Key, right: Key) -> CheckAnswer {
    if case .refused(let reason) = subject.finding { return CheckAnswer(reason) }
    let answer: CheckAnswer
    if type <= SubjectKind.all.upperBound {
      guard let number = number(ofKind: type, id) else { return CheckAnswer(.unknownObject) }
      answer = check(subject, kind: type, number: number)
    } else {
      guard let object = objects.find(id, kind: type) else { return CheckAnswer(.unknownObject) }
      answer = check(subject, object: object)
    }
    if right.isEmpty || !answer.reason.allows || holds(subject, right: right) { return answer }
    return answer.withoutRight
  }

  /// The same for a subject that is not yet looked up: both are searched for at once, so that their waits for memory
  /// overlap.
  @inline(__always)
  public func check(kind: UInt8, subject: Key, type: UInt8, object: Key, right: Key) -> CheckAnswer {
    guard kind == SubjectKind.user, type > SubjectKind.all.upperBound else {
      return check(self.subject(kind: kind, id: subject), type: type, id: object, right: right)
    }
    let userSearch = users.search(subject, kind: 0)
    let objectSearch = objects.search(object, kind: type)
    userProjects.prefetch(users.prefetch(userSearch))
    objectProjects.prefetch(objects.prefetch(objectSearch))
    guard let user = users.find(subject, kind: 0, userSearch) else { return CheckAnswer(.unknownSubject) }
    let flags = userProjects.flags(of: user)
    if flags & CompanyView.flagBlocked != 0 { return CheckAnswer(.subjectBlocked) }
    guard let number = objects.find(object, kind: type, objectSearch) else { return CheckAnswer(.unknownObject) }
    let answer = check(userProjects[user], flags, object: number)
    if right.isEmpty || !answer.reason.allows || holds(flags, user: user, right: right) { return answer }
    return answer.withoutRight
  }

  @inline(__always)
  private func check(_ subject: ResolvedSubject, object: Int) -> CheckAnswer {
    switch subject.finding {
    case .sees(let list, let flags, _): return check(list, flags, object: object)
    case .refused, .project: break
    }
    if objects.flags(of: object) & Directory.flagSystem != 0 { return CheckAnswer(.systemField) }
    if isSimple { return CheckAnswer(.simpleMode) }
    switch subject.finding {
    case .project(let number):
      guard objectProjects[object].contains(number) else { return CheckAnswer(.noSharedProject) }
      return shared(number, group: LinkList.none)
    case .refused(let reason): return CheckAnswer(reason)
    case .sees: fatalError("answered above")
    }
  }

  @inline(__always)
  private func check(_ list: LinkList, _ flags: UInt8, object: Int) -> CheckAnswer {
    if objects.flags(of: object) & Directory.flagSystem != 0 { return CheckAnswer(.systemField) }
    if isSimple { return CheckAnswer(.simpleMode) }
    if flags & CompanyView.flagSeeAll != 0 { return CheckAnswer(.seeAll) }
    let other = objectProjects[object]
    if other.count > LinkList.few { return check(list, ofMany: other) }
    guard let at = list.firstShared(with: other) else { return CheckAnswer(.noSharedProject) }
    return shared(list[at], group: list.second(at))
  }

  @inline(never)
  func check(_ list: LinkList, ofMany other: LinkList) -> CheckAnswer {
    var answer = CheckAnswer(.noSharedProject)
    if let at = list.firstShared(with: other) { answer = shared(list[at], group: list.second(at)) }
    answer.work = UInt32(clamping: list.work(with: other))
    return answer
  }

  @inline(__always)
  func shared(_ project: UInt32, group: UInt32) -> CheckAnswer {
    var answer = CheckAnswer(.sharedProject)
    answer.project = projects.key(of: Int(project))
    if group != LinkList.none { answer.group = groups.key(of: Int(group)) }
    return answer
  }

  /// Whether the subject holds the right. Only users hold rights.
  public func holds(_ subject: ResolvedSubject, right: Key) -> Bool {
    guard case .sees(_, let flags, let user?) = subject.finding else { return false }
    return holds(flags, user: user, right: right)
  }

  private func holds(_ flags: UInt8, user: Int, right: Key) -> Bool {
    if flags & CompanyView.flagEveryRight != 0 { return true }
    guard let number = rights.find(right) else { return false }
    return userRights[user].contains(UInt32(number))
  }
}

extension CompanyView {
  /// Whether the subject sees here what it saw in an earlier index of the same company, as far as can be told
  /// without a look at the objects; false: it may or may not.
  public func isAlike(_ other: CompanyView, forSubject id: Key, kind: UInt8) -> Bool {
    objects.isSame(as: other.objects) && objectProjects.isSame(as: other.objectProjects)
      && seesAlike(other, forSubject: id, kind: kind)
  }

  /// Whether the subject sees by the same as in an earlier index, so that it sees all objects that are as they were as
  /// it saw them; false: it may or may not.
  public func seesAlike(_ other: CompanyView, forSubject id: Key, kind: UInt8) -> Bool {
    guard isSimple == other.isSimple, projects.isSame(as: other.projects) else { return false }
    switch (find(kind, id), other.find(kind, id)) {
    case (.refused, .refused): return true
    case (.project(let a), .project(let b)): return a == b
    case (.sees(let a, let flags, _), .sees(let b, let otherFlags, _)):
      return (flags ^ otherFlags) & CompanyView.flagSeeAll == 0 && a.hasSameNumbers(as: b)
    default: return false
    }
  }
}

// MARK: - Lists

/// Narrows a question to one project.
public enum Narrowing {
  /// No narrowing.
  case none
  /// To what is in this project, and to system contact fields.
  case project(UInt32)
  /// The project is not there: nothing is in it.
  case nothing
}

/// A row of ListProjects; the names are valid as long as the index is.
public struct ProjectRow {
  public let id: Key
  public let name: Key
  public let description: Key
  public let contentsVisible: Bool
}

/// A row of ListObjects; the names are valid as long as the index is.
public struct ObjectRow {
  public let type: UInt8
  public let id: Key
  public let name: Key
  public let isSystem: Bool
}

extension CompanyView {
  /// The narrowing to the project with this id; empty: none.
  public func narrowing(to project: Key) -> Narrowing {
    if project.isEmpty { return .none }
    guard let number = projects.find(project) else { return .nothing }
    return .project(UInt32(number))
  }

  /// Whether the subject sees what has this type and id, within the narrowing.
  @inline(__always)
  public func isVisible(_ subject: ResolvedSubject, type: UInt8, id: Key, within narrowing: Narrowing) -> Bool {
    if type > SubjectKind.all.upperBound { return isObjectVisible(subject, type: type, id: id, within: narrowing) }
    var work = 0
    return isVisible(subject, kind: type, id: id, within: narrowing, &work)
  }

  /// The same of an object.
  @inline(__always)
  public func isObjectVisible(_ subject: ResolvedSubject, type: UInt8, id: Key, within narrowing: Narrowing) -> Bool {
    guard let object = objects.find(id, kind: type) else { return false }
    return isVisible(subject, object: object, within: narrowing)
  }

  @inline(__always)
  private func isVisible(_ subject: ResolvedSubject, object: Int, within narrowing: Narrowing) -> Bool {
    guard check(subject, object: object).reason.allows, !subject.isRefused else { return false }
    return isIn(narrowing, object: object)
  }

  @inline(__always)
  func isIn(_ narrowing: Narrowing, object: Int) -> Bool {
    switch narrowing {
    case .none: return true
    case .nothing: return false
    case .project(let number):
      return objects.flags(of: object) & Directory.flagSystem != 0 || objectProjects[object].contains(number)
    }
  }

  /// The numbers of the objects of one type, to be gone through with `visibleObject`.
  public func objectNumbers(ofType type: UInt8) -> Range<Int> { objects.numbers(ofKind: type) }

  /// The numbers of everything of one kind, be it a type of objects or one of `SubjectKind`, for `seen`.
  public func numbers(ofKind kind: UInt8) -> Range<Int> {
    SubjectKind.all ~= kind ? 0..<directory(of: kind).count : objects.numbers(ofKind: kind)
  }

  /// What has this kind and number, if the subject sees it within the narrowing, with the answer to the check.
  ///
  /// - Parameter looks: what may still be looked at; falls by what the look takes.
  public func seen(
    _ kind: UInt8, _ number: Int, by subject: ResolvedSubject, within narrowing: Narrowing, _ looks: inout Int
  ) -> (row: ObjectRow, answer: CheckAnswer)? {
    guard SubjectKind.all ~= kind else { return seenObject(number, by: subject, within: narrowing, &looks) }
    looks -= 1
    if subject.isRefused || !isIn(narrowing, kind: kind, number: number) { return nil }
    let answer = check(subject, kind: kind, number: number)
    looks -= Int(answer.work) - 1
    if !answer.reason.allows { return nil }
    let directory = directory(of: kind)
    return (
      ObjectRow(type: kind, id: directory.key(of: number), name: directory.name(of: number), isSystem: false), answer
    )
  }

  /// The object with this number, if the subject sees it within the narrowing.
  ///
  /// - Parameter looks: what may still be looked at; falls by what the look takes.
  public func visibleObject(
    _ number: Int, to subject: ResolvedSubject, within narrowing: Narrowing, _ looks: inout Int
  ) -> ObjectRow? {
    seenObject(number, by: subject, within: narrowing, &looks)?.row
  }

  /// The same, with the answer to the check.
  public func seenObject(
    _ number: Int, by subject: ResolvedSubject, within narrowing: Narrowing, _ looks: inout Int
  ) -> (row: ObjectRow, answer: CheckAnswer)? {
    looks -= 1
    if subject.isRefused || !isIn(narrowing, object: number) { return nil }
    let answer = check(subject, object: number)
    looks -= Int(answer.work) - 1
    return answer.reason.allows ? (row(number), answer) : nil
  }

  func row(_ number: Int) -> ObjectRow {
    ObjectRow(
      type: objects.kind(of: number), id: objects.key(of: number), name: objects.name(of: number),
      isSystem: objects.flags(of: number) & Directory.flagSystem != 0)
  }

  public var projectCount: Int { projects.count }

  /// The project with this number, if the user sees its tile.
  public func visibleProject(_ number: Int, to user: ResolvedSubject) -> ProjectRow? {
    guard case .sees(let list, let flags, _?) = user.finding else { return nil }
    let contents = isSimple || flags & CompanyView.flagSeeAll != 0 || list.contains(UInt32(number))
    guard contents || flags & CompanyView.flagListProjects != 0 else { return nil }
    return ProjectRow(
      id: projects.key(of: number), name: projects.name(of: number),
      description: projects.description(of: number), contentsVisible: contents)
  }
}

extension ResolvedSubject {
  /// How many projects it is in.
  @inline(__always)
  public var projectCount: Int {
    switch finding {
    case .sees(let list, _, _): list.count
    case .project: 1
    case .refused: 0
    }
  }

  @inline(__always)
  var isRefused: Bool { refusal != nil }

  /// Why the subject sees nothing and holds no right; nil: it may.
  @inline(__always)
  public var refusal: Reason? {
    if case .refused(let reason) = finding { reason } else { nil }
  }
}

// MARK: - Looking things over

/// A project, and the group by which a user is in it; empty: directly, or no user.
public struct Way {
  public let project: Key
  public let group: Key
}

/// A user who sees an object; the names are valid as long as the index is.
public struct ViewerRow {
  public let id: Key
  public let name: Key
  public let answer: CheckAnswer
}

/// What is known of the two sides of a check, beside the answer.
public struct CheckFacts {
  public let subjectName: Key
  public let objectName: Key
  public let isSimple: Bool
  public let isSystemField: Bool
  public let holdsSeeAll: Bool
}

extension CompanyView {
  /// The projects that something is in, in byte order of ids; of a blocked user, too.
  public func ways(ofKind kind: UInt8, _ id: Key) -> [Way] {
    guard let number = number(ofKind: kind, id) else { return [] }
    if kind == SubjectKind.project { return [way(UInt32(number), LinkList.none)] }
    let list = projectList(ofKind: kind, number)
    return (0..<list.count).map { way(list[$0], list.second($0)) }
  }

  /// How many projects something is in.
  public func projectCount(ofKind kind: UInt8, _ id: Key) -> Int {
    guard let number = number(ofKind: kind, id) else { return 0 }
    return kind == SubjectKind.project ? 1 : projectList(ofKind: kind, number).count
  }

  func way(_ project: UInt32, _ group: UInt32) -> Way {
    Way(
      project: projects.key(of: Int(project)),
      group: group == LinkList.none ? Key(start: nil, count: 0) : groups.key(of: Int(group)))
  }

  public var userCount: Int { users.count }

  /// The user with this number, if it sees the object.
  /// - Parameter looks: what may still be looked at; falls by what the look takes.
  public func viewer(_ number: Int, of id: Key, type: UInt8, _ looks: inout Int) -> ViewerRow? {
    let key = users.key(of: number)
    let answer = check(subject(kind: SubjectKind.user, id: key), type: type, id: id, right: Key(start: nil, count: 0))
    looks -= Int(answer.work)
    return answer.reason.allows ? ViewerRow(id: key, name: users.name(of: number), answer: answer) : nil
  }

  /// What an explanation tells about both sides; names are empty where there is no such thing.
  public func facts(subjectKind: UInt8, subject: Key, objectType: UInt8, object: Key) -> CheckFacts {
    let none = Key(start: nil, count: 0)
    let (number, object) = (number(ofKind: subjectKind, subject), number(ofKind: objectType, object))
    let flags = subjectKind == SubjectKind.user ? number.map(userProjects.flags) ?? 0 : 0
    let objectFlags = objectType > SubjectKind.all.upperBound ? object.map(objects.flags) ?? 0 : 0
    return CheckFacts(
      subjectName: number.map(directory(of: subjectKind).name) ?? none,
      objectName: object.map(directory(of: objectType).name) ?? none, isSimple: isSimple,
      isSystemField: objectFlags & Directory.flagSystem != 0, holdsSeeAll: flags & CompanyView.flagSeeAll != 0)
  }
}
