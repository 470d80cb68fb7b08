import CScopeWire
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// A listing whose rows are found, and sorted where need be, before the first is sent: beside the event loops.
struct Listing: Sendable {
  enum Question: Sendable {
    case users(UserQuestion)
    case groups(text: String)
    case roles
    case project(id: [UInt8])
    case fields(UInt32)
    case objects(ObjectQuestion)
    case checkUp(Set<UInt32>)
  }

  let root: IndexRoot
  let company: [UInt8]
  let question: Question
  /// What the question names and the company does not have.
  let unknown: [String]
  let deadline: NIODeadline
  let ending: Ending

  /// Finds the rows.
  ///
  /// - Parameter place: held until the last row is sent.
  func stream(in place: Places.Place? = nil) throws(Failure) -> ListingStream {
    let view = company.withUnsafeBytes { root.company($0) }
    var finder = RowFinder(deadline: deadline, ending: ending)
    if let view {
      let lists = company.withUnsafeBytes { root.index(of: $0) }?.lists.entries ?? []
      try finder.find(question, in: view, lists)
    } else {
      try refuseWithoutCompany()
    }
    return ListingStream(
      root: root, company: company, question: question, unknown: unknown, rows: finder.rows, offset: finder.offset,
      end: finder.end, place: place)
  }

  /// Lists of a company that is not there are empty; one thing of it is not found.
  private func refuseWithoutCompany() throws(Failure) {
    if case .project = question { throw .unknownCompany(company) }
  }
}

extension Failure {
  static func unknownCompany(_ id: [UInt8]) -> Failure {
    Failure(.notFound, "unknown_company", "there is no company '\(String(decoding: id, as: UTF8.self))'")
  }
}

/// What ListUsers asks.
struct UserQuestion: Sendable {
  var text = ""
  var group: [UInt8] = []
  var project: [UInt8] = []
  var role: [UInt8] = []
  var right: [UInt8] = []
  var isInNoProject = false
  var isBlocked = false
  var isByGroup = false
  var offset = 0
  var limit = 0
}

/// What ListCompanyObjects asks.
struct ObjectQuestion: Sendable {
  /// Empty: all.
  var types: Set<UInt8> = []
  var text = ""
  var isInNoProject = false
  var limit = 0
}

/// A row found: what it is about, and how many belong to it.
struct FoundRow: Sendable {
  enum Kind: UInt32, Sendable {
    case row = 0
    // Findings have the numbers of the wire.
    case fieldInNoProject = 1
    case objectInNoProject, fieldShared, userInNoProject, userStillInDefault, projectWithoutUsers
    case projectWithoutObjects, groupWithoutMembers, listWithoutPurpose
    // Of a project.
    case group, user, object
  }

  let kind: Kind
  let number: UInt32
  /// Of a user still in `Default`, the number of that project.
  var count: UInt32 = 0
}

// MARK: - Finding

/// Goes through a company's index for the rows of a listing.
private struct RowFinder {
  private(set) var rows: [FoundRow] = []
  private(set) var offset = 0
  /// Behind the last row wanted.
  private(set) var end = 0
  private let deadline: NIODeadline
  private let ending: Ending
  private var looks = 0

  init(deadline: NIODeadline, ending: Ending) { (self.deadline, self.ending) = (deadline, ending) }

  mutating func find(
    _ question: Listing.Question, in view: CompanyView, _ lists: [NumberLists.Entry]
  ) throws(Failure) {
    switch question {
    case .users(let question): try findUsers(question, view)
    case .groups(let text): try findGroups(text, view)
    case .roles: try findRoles(view)
    case .project(let id): try findProject(id, view)
    case .fields(let filter): try findFields(filter, view)
    case .objects(let question): try findObjects(question, view)
    case .checkUp(let kinds):
      for kind in kinds.sorted() { try findFindings(FoundRow.Kind(rawValue: kind)!, view, lists) }
    }
    if end == 0 { end = rows.count }
  }

  private mutating func look() throws(Failure) {
    looks += 1
    if looks & 4_095 != 0 { return }
    try ending.check()
    if deadline < .now() {
      throw Failure(.deadlineExceeded, "deadline_exceeded", "the time was over before all was looked at")
    }
  }

  private mutating func add(_ number: Int, _ kind: FoundRow.Kind = .row, count: Int = 0) {
    rows.append(FoundRow(kind: kind, number: UInt32(number), count: UInt32(count)))
  }

  private mutating func findGroups(_ text: String, _ view: CompanyView) throws(Failure) {
    let counts = try memberCounts(view)
    let match = TextMatch(text)
    for number in 0..<view.groupCount where match.accepts(view.groupID(number), view.groupName(number)) {
      try look()
      add(number, count: counts[number])
    }
  }

  private mutating func memberCounts(_ view: CompanyView) throws(Failure) -> [Int] {
    var counts = [Int](repeating: 0, count: view.groupCount)
    for user in 0..<view.userCount {
      try look()
      for group in view.groups(ofUser: user) { counts[group] += 1 }
    }
    return counts
  }

  private mutating func findRoles(_ view: CompanyView) throws(Failure) {
    var counts = [Int](repeating: 0, count: view.roleCount)
    for user in 0..<view.userCount {
      try look()
      for role in view.roles(ofUser: user) { counts[role] += 1 }
    }
    for number in 0..<view.roleCount { add(number, count: counts[number]) }
  }

  private mutating func findProject(_ id: [UInt8], _ view: CompanyView) throws(Failure) {
    guard let project = id.withUnsafeBytes({ view.projectNumber($0) }) else {
      throw Failure(.notFound, "unknown_project", "there is no project '\(String(decoding: id, as: UTF8.self))'")
    }
    let counts = try memberCounts(view)
    for group in 0..<view.groupCount {
      try look()
      if view.isGroup(group, inProject: project) { add(group, .group, count: counts[group]) }
    }
    for user in 0..<view.userCount {
      try look()
      if view.isUser(user, inProject: project), view.ownProjects(ofUser: user).contains(project) { add(user, .user) }
    }
    for object in 0..<view.objectCount {
      try look()
      if view.isObject(object, inProject: project) { add(object, .object) }
    }
  }

  private mutating func findObjects(_ question: ObjectQuestion, _ view: CompanyView) throws(Failure) {
    let match = TextMatch(question.text)
    for number in 0..<view.objectCount {
      try look()
      if !question.types.isEmpty && !question.types.contains(view.objectType(number)) { continue }
      if question.isInNoProject && (view.isSystem(object: number) || view.projectCount(ofObject: number) > 0) {
        continue
      }
      let object = view.object(number)
      if match.accepts(object.id, object.name) { add(number) }
    }
    end = question.limit == 0 ? rows.count : min(rows.count, question.limit)
  }

  private mutating func findFields(_ filter: UInt32, _ view: CompanyView) throws(Failure) {
    for number in view.objectNumbers(ofType: ObjectType.contactField.number) {
      try look()
      let (isSystem, projects) = (view.isSystem(object: number), view.projectCount(ofObject: number))
      let isWanted =
        switch Scope__V1__FieldFilter(rawValue: filter) {
        case SCOPE__V1__FIELD_FILTER__FIELD_FILTER_SYSTEM: isSystem
        case SCOPE__V1__FIELD_FILTER__FIELD_FILTER_CUSTOM: !isSystem
        case SCOPE__V1__FIELD_FILTER__FIELD_FILTER_SHARED: projects > 1
        case SCOPE__V1__FIELD_FILTER__FIELD_FILTER_IN_NONE: !isSystem && projects == 0
        default: true
        }
      if isWanted { add(number) }
    }
  }
}

// MARK: - Users

extension RowFinder {
  private mutating func findUsers(_ question: UserQuestion, _ view: CompanyView) throws(Failure) {
    let group = question.group.withUnsafeBytes { view.groupNumber($0) }
    let project = question.project.withUnsafeBytes { view.projectNumber($0) }
    let isNowhere = (group == nil && !question.group.isEmpty) || (project == nil && !question.project.isEmpty)
    let match = TextMatch(question.text)
    let roles = wantedRoles(question, view)
    for user in 0..<(isNowhere ? 0 : view.userCount) {
      try look()
      if question.isBlocked && !view.isBlocked(user: user) { continue }
      if !roles.allSatisfy({ wanted in view.roles(ofUser: user).contains { wanted.contains($0) } }) { continue }
      if question.isInNoProject && !view.isInNoProject(user: user) { continue }
      if let group, !view.isUser(user, inGroup: group) { continue }
      if let project, !view.isUser(user, inProject: project) { continue }
      if match.accepts(view.userID(user), view.userName(user)) { add(user) }
    }
    sort(by: question, view)
    offset = min(question.offset, rows.count)
    end = question.limit == 0 ? rows.count : min(rows.count, offset + question.limit)
  }

  /// Sets of roles of each of which a user must have one.
  private func wantedRoles(_ question: UserQuestion, _ view: CompanyView) -> [Set<Int>] {
    func roles(where isWanted: (Int) -> Bool) -> Set<Int> { Set((0..<view.roleCount).filter(isWanted)) }
    let named = roles { view.role($0).elementsEqual(question.role) }
    let giving = roles { number in
      view.role(number).elementsEqual(Company.adminRole.text.utf8)
        || view.rights(ofRole: number).contains { $0.elementsEqual(question.right) }
    }
    return (question.role.isEmpty ? [] : [named]) + (question.right.isEmpty ? [] : [giving])
  }

  /// Users and groups have their numbers in the order of their ids: equal names stay so.
  private mutating func sort(by question: UserQuestion, _ view: CompanyView) {
    func rank(_ user: FoundRow) -> Int { view.groups(ofUser: Int(user.number)).first ?? .max }
    let keyed = rows.map { (row: $0, rank: question.isByGroup ? rank($0) : 0, name: view.userName(Int($0.number))) }
    rows = keyed.sorted { a, b in
      if a.rank != b.rank { return a.rank < b.rank }
      let order = a.name.order(b.name)
      return order == 0 ? a.row.number < b.row.number : order < 0
    }.map(\.row)
  }

}

extension Key {
  /// Below, at or above zero as the bytes come before, are, or come behind the other's.
  func order(_ other: Key) -> Int {
    let shared = Swift.min(count, other.count)
    for at in 0..<shared where self[at] != other[at] { return self[at] < other[at] ? -1 : 1 }
    return count - other.count
  }
}

/// Looks for a text in ids and names, in capitals or not.
private struct TextMatch {
  private let wanted: [UInt8]

  init(_ text: String) { wanted = Array(text.lowercased().utf8) }

  func accepts(_ id: Key, _ name: Key) -> Bool { wanted.isEmpty || isIn(id) || isIn(name) }

  private func isIn(_ text: Key) -> Bool {
    if text.count < wanted.count / 3 { return false }  // a letter may be longer in capitals
    let lower = Array(String(decoding: text, as: UTF8.self).lowercased().utf8)
    if lower.count < wanted.count { return false }
    return (0...lower.count - wanted.count).contains { lower[$0...].starts(with: wanted) }
  }
}

// MARK: - Check-up

extension RowFinder {
  private mutating func findFindings(
    _ kind: FoundRow.Kind, _ view: CompanyView, _ lists: [NumberLists.Entry]
  ) throws(Failure) {
    let fields = view.objectNumbers(ofType: ObjectType.contactField.number)
    switch kind {
    case .fieldInNoProject: try findLonely(fields, kind, view)
    case .objectInNoProject:
      try findLonely(0..<fields.lowerBound, kind, view)
      try findLonely(fields.upperBound..<view.objectCount, kind, view)
    case .fieldShared:
      for field in fields {
        try look()
        if view.projectCount(ofObject: field) > 1 { add(field, kind) }
      }
    case .userInNoProject:
      for user in 0..<view.userCount {
        try look()
        if view.isInNoProject(user: user) && !view.seesAll(user: user) { add(user, kind) }
      }
    case .userStillInDefault: try findUsersInDefault(view)
    case .projectWithoutUsers: try findEmptyProjects(kind, view.userCount, view, view.projects(ofUser:))
    case .projectWithoutObjects: try findEmptyProjects(kind, view.objectCount, view, view.projects(ofObject:))
    case .groupWithoutMembers:
      for (group, count) in try memberCounts(view).enumerated() {
        try look()
        if count == 0 { add(group, kind) }
      }
    case .listWithoutPurpose:
      for list in lists where list.purpose == .none && list.numbers.count > 0 {
        try look()
        let number = list.id.withUnsafeBytes { view.objectNumber($0, type: ObjectType.list.number) }
        if let number { add(number, kind) }
      }
    case .row, .group, .user, .object: break
    }
  }

  private mutating func findLonely(
    _ numbers: Range<Int>, _ kind: FoundRow.Kind, _ view: CompanyView
  ) throws(Failure) {
    for number in numbers {
      try look()
      if view.projectCount(ofObject: number) == 0 && !view.isSystem(object: number) { add(number, kind) }
    }
  }

  private mutating func findUsersInDefault(_ view: CompanyView) throws(Failure) {
    let name = Array(Company.defaultProjectName.text.utf8)
    var fallback: Int?
    for project in 0..<view.projectCount where fallback == nil {
      try look()
      if view.project(project).name.elementsEqual(name) { fallback = project }
    }
    guard let fallback else { return }
    for user in 0..<view.userCount {
      try look()
      let projects = view.projects(ofUser: user)
      if projects.count > 1, view.ownProjects(ofUser: user).contains(fallback) {
        add(user, .userStillInDefault, count: fallback)
      }
    }
  }

  private mutating func findEmptyProjects(
    _ kind: FoundRow.Kind, _ count: Int, _ view: CompanyView, _ projects: (Int) -> [Int]
  ) throws(Failure) {
    var isUsed = [Bool](repeating: false, count: view.projectCount)
    for number in 0..<count {
      try look()
      for project in projects(number) { isUsed[project] = true }
    }
    for (project, isUsed) in isUsed.enumerated() {
      try look()
      if !isUsed { add(project, kind) }
    }
  }
}

// MARK: - Sending

/// The rows found, in parts.
struct ListingStream: Sendable {
  /// Projects and groups told beside a row; `FactsWire.told` where there is only one.
  static let toldBeside = 20

  private let root: IndexRoot
  private let company: [UInt8]
  private let question: Listing.Question
  let unknown: [String]
  var count: Int { rows.count }
  private let rows: [FoundRow]
  private var position: Int
  private let end: Int
  private let place: Places.Place?

  init(
    root: IndexRoot, company: [UInt8], question: Listing.Question, unknown: [String], rows: [FoundRow], offset: Int,
    end: Int, place: Places.Place?
  ) {
    self.root = root
    self.company = company
    self.question = question
    self.unknown = unknown
    self.rows = rows
    self.end = end
    self.place = place
    position = offset
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    let part = Array(rows[position..<min(end, position + partLength)])
    position += part.count
    let isMore = position < end
    dispatcher.reply.begin(id, revision: root.revision, more: isMore)
    let view = company.withUnsafeBytes { root.company($0) }
    let wire = FactsWire(arena: dispatcher.arena, view: view)
    switch question {
    case .users: try wire.users(part, total: rows.count, dispatcher.reply)
    case .groups: try wire.groups(part, dispatcher.reply)
    case .roles: try wire.roles(part, dispatcher.reply)
    case .project(let id): try wire.project(id, part, counts: isMore ? nil : rows, dispatcher.reply)
    case .fields: try wire.fields(part, dispatcher.reply)
    case .objects: try wire.objects(part, total: rows.count, dispatcher.reply)
    case .checkUp: try wire.findings(part, dispatcher.reply)
    }
    dispatcher.reply.end(into: &out)
    return isMore
  }

  /// Rows of a part: those that tell of much beside them are up to 130 KB each.
  private var partLength: Int {
    switch question {
    case .roles: 16
    case .users, .groups, .fields, .objects, .checkUp: 64
    case .project: PartStream.rowsPerPart
    }
  }
}
