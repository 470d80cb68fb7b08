/// Which users gained and lost sight of what by some changes: of objects, or of users, groups and projects.
public struct AccessSummary: Hashable, Sendable {
  /// A user who gained or lost sight of something.
  public struct Row: Hashable, Sendable {
    public let user: Name
    /// For people; of a removed user, its last.
    public let userName: Name
    public let object: Target
    /// For people; of something removed, its last.
    public let objectName: Name
    public let isGained: Bool

    public init(user: Name, userName: Name, object: Target, objectName: Name, isGained: Bool) {
      self.user = user
      self.userName = userName
      self.object = object
      self.objectName = objectName
      self.isGained = isGained
    }
  }

  /// Rows told where nobody asks for more.
  public static let standardRows = 20

  /// Pairs of a user and what it sees.
  public var gained = 0
  public var lost = 0
  /// The first pairs, by the user's name, then by the object.
  public var first: [Row] = []

  /// `first` has all of them.
  public var isComplete: Bool { first.count == gained + lost }

  public init() {}
}

extension Company {
  /// Who sees what now and did not before, and the other way round.
  ///
  /// Users and objects that were and are alike are counted together, and only what the edits touch is looked
  /// at: the time goes with the members and contents of the projects concerned.
  ///
  /// - Parameters:
  ///   - edits: those that led to this state, in order.
  ///   - first: how many pairs to tell.
  public func accessSummary(of edits: [Edit], first: Int = AccessSummary.standardRows) -> AccessSummary {
    let past = Past(self, undoing: edits)
    var comparison = Comparison(now: self, past: past, SeenObjects(now: self, past: past))
    comparison.compare()
    return comparison.summary(first: first)
  }

  /// The same of users, groups and projects in place of objects. Whoever joins a project sees everybody in it and is
  /// seen by them: this takes longer, and is told only where it is asked for.
  public func accessSummaryOfPeople(of edits: [Edit], first: Int = AccessSummary.standardRows) -> AccessSummary {
    let past = Past(self, undoing: edits)
    var comparison = Comparison(now: self, past: past, SeenPeople(now: self, past: past))
    comparison.compare()
    return comparison.summary(first: first)
  }
}

/// What a user sees by.
private enum Sight: Hashable {
  case nothing
  case everything
  case projects(Set<Name>)

  var projects: Set<Name>? {
    if case .projects(let own) = self { own } else { nil }
  }

  func sees(_ place: Place) -> Bool {
    switch (self, place) {
    case (.nothing, _), (_, .nowhere): false
    case (.everything, _), (_, .everywhere): true
    case (.projects(let own), .projects(let others)): !own.isDisjoint(with: others)
    }
  }
}

/// Where something is.
private enum Place: Hashable {
  /// There is no such thing.
  case nowhere
  /// A system field.
  case everywhere
  case projects(Set<Name>)
}

private struct Before<Value: Hashable>: Hashable {
  let before: Value
  let after: Value

  var isChanged: Bool { before != after }
}

// MARK: - How it was

/// What edits touched, as it was before them. Everything else was as it is now.
private struct Past {
  struct UserThen {
    var user: User
    var roles: Set<Name> = []
    var groups: Set<Name> = []
    var projects: Set<Name> = []
  }

  struct ObjectThen {
    var object: Object
    var projects: Set<Name> = []
  }

  private let now: Company
  private(set) var mode: SecurityMode?
  /// Nil within: it was not there.
  private(set) var users: [Name: UserThen?] = [:]
  private(set) var objects: [ObjectRef: ObjectThen?] = [:]
  /// The projects of groups.
  private(set) var groups: [Name: Set<Name>] = [:]
  /// Groups and projects that were made, altered or removed. Nil within: it was not there.
  private(set) var groupsThen: [Name: Group?] = [:]
  private(set) var projectsThen: [Name: Project?] = [:]
  /// Whether roles let see everything.
  private(set) var roles: [Name: Bool] = [:]

  init(_ now: Company, undoing edits: [Edit]) {
    self.now = now
    mode = now.mode
    for edit in edits.reversed() {
      switch (edit.before, edit.after) {
      case (let before?, nil): restore(before)
      case (nil, let after?): takeBack(after)
      case (let before?, _): replace(before)
      case (nil, nil): break
      }
    }
  }

  private mutating func restore(_ fact: Fact) {
    switch fact {
    case .company(let mode): self.mode = mode
    case .role: break
    case .roleRight(let role, let right): if right == Right.seeAll { roles[role] = true }
    case .user(let user): users[user.id] = .some(UserThen(user: user))
    case .userRole(let user, let role): alter(user) { $0.roles.insert(role) }
    case .group(let group):
      groups[group.id] = []
      groupsThen[group.id] = .some(group)
    case .groupMember(let group, let user): alter(user) { $0.groups.insert(group) }
    case .project(let project): projectsThen[project.id] = .some(project)
    case .member(let project, .user(let user)): alter(user) { $0.projects.insert(project) }
    case .member(let project, .group(let group)): alter(group: group) { $0.insert(project) }
    case .object(let object): objects[object.ref] = .some(ObjectThen(object: object))
    case .placement(let ref, let project): alter(ref) { $0.projects.insert(project) }
    case .list: break
    }
  }

  private mutating func takeBack(_ fact: Fact) {
    switch fact {
    case .company: mode = nil
    case .role: break
    case .roleRight(let role, let right): if right == Right.seeAll { roles[role] = false }
    case .user(let user): users[user.id] = .some(nil)
    case .userRole(let user, let role): alter(user) { $0.roles.remove(role) }
    case .group(let group):
      groups[group.id] = []
      groupsThen[group.id] = .some(nil)
    case .groupMember(let group, let user): alter(user) { $0.groups.remove(group) }
    case .project(let project): projectsThen[project.id] = .some(nil)
    case .member(let project, .user(let user)): alter(user) { $0.projects.remove(project) }
    case .member(let project, .group(let group)): alter(group: group) { $0.remove(project) }
    case .object(let object): objects[object.ref] = .some(nil)
    case .placement(let ref, let project): alter(ref) { $0.projects.remove(project) }
    case .list: break
    }
  }

  private mutating func replace(_ fact: Fact) {
    switch fact {
    case .company(let mode): self.mode = mode
    case .user(let user): alter(user.id) { $0.user = user }
    case .object(let object): alter(object.ref) { $0.object = object }
    case .group(let group): groupsThen[group.id] = .some(group)
    case .project(let project): projectsThen[project.id] = .some(project)
    default: break
    }
  }

  private mutating func alter(_ user: Name, _ change: (inout UserThen) -> Void) {
    guard var then = self.user(user) else { return }
    change(&then)
    users[user] = .some(then)
  }

  private mutating func alter(group: Name, _ change: (inout Set<Name>) -> Void) {
    change(&groups[group, default: now.groups[group]?.projects ?? []])
  }

  private mutating func alter(_ ref: ObjectRef, _ change: (inout ObjectThen) -> Void) {
    guard var then = object(ref) else { return }
    change(&then)
    objects[ref] = .some(then)
  }

  func user(_ id: Name) -> UserThen? {
    if let then = users[id] { return then }
    return now.users[id].map { UserThen(user: $0.user, roles: $0.roles, groups: $0.groups, projects: $0.projects) }
  }

  func object(_ ref: ObjectRef) -> ObjectThen? {
    if let then = objects[ref] { return then }
    return now.objects[ref].map { ObjectThen(object: $0.object, projects: Set($0.projects)) }
  }

  func sight(_ id: Name) -> Sight {
    guard let mode, let then = user(id), !then.user.isBlocked else { return .nothing }
    return mode == .simple || then.roles.contains(where: seesAll) ? .everything : .projects(projects(of: then))
  }

  private func projects(of user: UserThen) -> Set<Name> {
    user.groups.reduce(into: user.projects) { $0.formUnion(projects(ofGroup: $1)) }
  }

  private func seesAll(_ role: Name) -> Bool { roles[role] ?? now.seesAll(role) }

  private func projects(ofGroup group: Name) -> Set<Name> { groups[group] ?? now.groups[group]?.projects ?? [] }

  func group(_ id: Name) -> Group? { groupsThen[id] ?? now.groups[id]?.group }

  func project(_ id: Name) -> Project? { projectsThen[id] ?? now.projects[id]?.project }

  func place(_ ref: ObjectRef) -> Place { object(ref).map { Place($0.object, $0.projects) } ?? .nowhere }

  /// Of a user, a group or a project.
  func place(ofPerson target: Target) -> Place {
    if mode == nil { return .nowhere }
    switch target {
    case .user(let id): return user(id).map { .projects(projects(of: $0)) } ?? .nowhere
    case .group(let id): return group(id).map { _ in .projects(projects(ofGroup: id)) } ?? .nowhere
    case .project(let id): return project(id).map { _ in .projects([id]) } ?? .nowhere
    case .object(let ref): return place(ref)
    }
  }
}

extension Place {
  fileprivate init(_ object: Object, _ projects: Set<Name>) {
    self = object.isSystem ? .everywhere : .projects(projects)
  }
}

extension Company {
  fileprivate func seesAll(_ role: Name) -> Bool {
    role == Company.adminRole || roles[role]?.contains(Right.seeAll) == true
  }

  fileprivate func sight(_ id: Name) -> Sight {
    guard let mode, let state = users[id], !state.user.isBlocked else { return .nothing }
    if mode == .simple || state.roles.contains(where: seesAll) { return .everything }
    return .projects(projects(ofUser: id))
  }

  fileprivate func projects(ofUser id: Name) -> Set<Name> {
    guard let state = users[id] else { return [] }
    return state.groups.reduce(into: state.projects) { $0.formUnion(groups[$1]!.projects) }
  }

  /// Of a user, a group or a project.
  fileprivate func place(ofPerson target: Target) -> Place {
    switch target {
    case .user(let id): users[id] == nil ? .nowhere : .projects(projects(ofUser: id))
    case .group(let id): groups[id].map { .projects($0.projects) } ?? .nowhere
    case .project(let id): projects[id] == nil ? .nowhere : .projects([id])
    case .object(let ref): place(ref)
    }
  }

  fileprivate func place(_ ref: ObjectRef) -> Place {
    objects[ref].map { Place($0.object, Set($0.projects)) } ?? .nowhere
  }

  /// The same as what its sight sees.
  fileprivate func sees(_ id: Name, _ place: Place) -> Bool {
    guard let mode, let state = users[id], !state.user.isBlocked, place != .nowhere else { return false }
    if mode == .simple || state.roles.contains(where: seesAll) { return true }
    guard case .projects(let places) = place else { return true }
    return places.contains { project in
      state.projects.contains(project) || state.groups.contains { groups[$0]!.projects.contains(project) }
    }
  }

  /// Everyone in a project, some perhaps twice.
  fileprivate func users(in project: Name) -> [Name] {
    projects[project]?.members.flatMap { member in
      switch member {
      case .user(let id): [id]
      case .group(let id): Array(groups[id]!.users)
      }
    } ?? []
  }

  fileprivate func usersSeeingAll() -> [Name] {
    mode == .simple ? Array(users.keys) : roles.keys.filter(seesAll).flatMap(holders)
  }
}

// MARK: - What is seen

/// What users gain and lose sight of.
private protocol Seen {
  associatedtype Ref: Hashable & Comparable

  /// How many there are now.
  var count: Int { get }
  /// Those that may be somewhere else than before.
  var touched: [Ref] { get }
  /// Those that are in every project.
  var everywhere: Set<Ref> { get }
  /// All that there are now.
  var all: [Ref] { get }
  /// Those that were there and are gone.
  var gone: [Ref] { get }
  func placeBefore(_ ref: Ref) -> Place
  func placeAfter(_ ref: Ref) -> Place
  func isThere(_ ref: Ref) -> Bool
  /// It is somewhere else than before.
  func hasMoved(_ ref: Ref) -> Bool
  /// What is in a project now.
  func refs(in project: Name) -> Set<Ref>
  /// Whether what is in a project is in some others as well.
  func isIn(_ ref: Ref, _ project: Name, and others: Set<Name>) -> Bool
  func target(_ ref: Ref) -> Target
  func name(of ref: Ref) -> Name
}

private struct SeenObjects: Seen {
  let now: Company
  let past: Past

  var count: Int { now.objects.count }
  var touched: [ObjectRef] { Array(past.objects.keys) }
  var everywhere: Set<ObjectRef> { now.systemObjects }
  var all: [ObjectRef] { Array(now.objects.keys) }
  var gone: [ObjectRef] { past.objects.keys.filter { now.objects[$0] == nil } }
  func placeBefore(_ ref: ObjectRef) -> Place { past.place(ref) }
  func placeAfter(_ ref: ObjectRef) -> Place { now.place(ref) }
  func isThere(_ ref: ObjectRef) -> Bool { now.objects[ref] != nil }
  func hasMoved(_ ref: ObjectRef) -> Bool { past.objects[ref] != nil && past.place(ref) != now.place(ref) }
  func refs(in project: Name) -> Set<ObjectRef> { now.projects[project]?.objects ?? [] }

  func isIn(_ ref: ObjectRef, _ project: Name, and others: Set<Name>) -> Bool {
    if ref.type.isExclusive { return false }
    let places = now.objects[ref]!.projects
    return places.count > 1 && places.contains(where: others.contains)
  }

  func target(_ ref: ObjectRef) -> Target { .object(ref) }
  func name(of ref: ObjectRef) -> Name { (now.objects[ref]?.object ?? past.object(ref)!.object).name }
}

private struct SeenPeople: Seen {
  let now: Company
  let past: Past

  var count: Int { now.users.count + now.groups.count + now.projects.count }

  var touched: [Target] {
    var users = Set(past.users.keys)
    for group in past.groups.keys { users.formUnion(now.groups[group]?.users ?? []) }
    let groups = Set(past.groups.keys).union(past.groupsThen.keys)
    return users.map { .user($0) } + groups.map { .group($0) } + past.projectsThen.keys.map { .project($0) }
  }

  var everywhere: Set<Target> { [] }

  var all: [Target] {
    now.users.keys.map { .user($0) } + now.groups.keys.map { .group($0) } + now.projects.keys.map { .project($0) }
  }

  var gone: [Target] { touched.filter { placeAfter($0) == .nowhere } }

  func placeBefore(_ target: Target) -> Place { past.place(ofPerson: target) }
  func placeAfter(_ target: Target) -> Place { now.place(ofPerson: target) }

  func isThere(_ target: Target) -> Bool { placeAfter(target) != .nowhere }
  func hasMoved(_ target: Target) -> Bool { placeBefore(target) != placeAfter(target) }

  func refs(in project: Name) -> Set<Target> {
    guard let state = now.projects[project] else { return [] }
    let groups = state.members.compactMap { if case .group(let id) = $0 { Target.group(id) } else { nil } }
    return Set([.project(project)] + groups + now.users(in: project).map { .user($0) })
  }

  func isIn(_ target: Target, _ project: Name, and others: Set<Name>) -> Bool {
    if case .projects(let places) = placeAfter(target) { !places.isDisjoint(with: others) } else { false }
  }

  func target(_ target: Target) -> Target { target }

  func name(of target: Target) -> Name {
    switch target {
    case .user(let id): (now.users[id]?.user ?? past.user(id)!.user).name
    case .group(let id): (now.groups[id]?.group ?? past.group(id)!).name
    case .project(let id): (now.projects[id]?.project ?? past.project(id)!).name
    case .object: fatalError("objects are not among them")
    }
  }
}

// MARK: - Comparing

/// Objects alike in where they were and are.
private struct ObjectClasses<Ref: Hashable> {
  private(set) var members: [(places: Before<Place>, refs: [Ref])] = []
  /// How many objects there were, there are, or both.
  private(set) var all = Existence()
  private var byProject: [Name: [Int]] = [:]
  private var everywhere: [Int] = []

  var isEmpty: Bool { members.isEmpty }

  /// - Parameter others: how many objects there were and are beside these, out of reach of who does not see everything.
  init(_ objects: [Before<Place>: [Ref]], others: Int) {
    all = Existence(before: others, after: others, both: others)
    for (places, refs) in objects {
      var projects: Set<Name> = []
      for place in [places.before, places.after] {
        switch place {
        case .nowhere: break
        case .everywhere: everywhere.append(members.count)
        case .projects(let own): projects.formUnion(own)
        }
      }
      for project in projects { byProject[project, default: []].append(members.count) }
      members.append((places, refs))
      all.add(places, count: refs.count)
    }
  }

  /// The classes that can be seen by something less than everything.
  func concerned(by sights: Before<Sight>) -> Set<Int> {
    var found = Set(everywhere)
    for case .projects(let own) in [sights.before, sights.after] {
      for project in own { found.formUnion(byProject[project] ?? []) }
    }
    return found
  }
}

/// Counts of objects that were there, are there, or both.
private struct Existence {
  var before = 0
  var after = 0
  var both = 0

  mutating func add(_ places: Before<Place>, count: Int) {
    if places.before != .nowhere { before += count }
    if places.after != .nowhere { after += count }
    if places.before != .nowhere && places.after != .nowhere { both += count }
  }
}

/// Users alike in what they saw and see by.
private struct UserClass<Ref: Hashable> {
  let users: [Name]
  let sights: Before<Sight>
  private(set) var gained = 0
  private(set) var lost = 0
  private var objects = ObjectClasses<Ref>([:], others: 0)
  private var found: [(refs: [Ref], isGained: Bool)] = []

  /// Users for whom it is known what came and went, and who did not see everything before and after.
  init(_ users: [Name], gained: [Ref], lost: [Ref]) {
    self.users = users
    sights = Before(before: .nothing, after: .nothing)
    found = [(gained, true), (lost, false)]
    (self.gained, self.lost) = (gained.count, lost.count)
  }

  /// Most classes of objects are out of reach of most users: those are not looked at one by one, only counted
  /// where somebody saw or sees everything.
  init(_ users: [Name], _ sights: Before<Sight>, _ objects: ObjectClasses<Ref>) {
    self.users = users
    self.sights = sights
    self.objects = objects
    var looked = Existence()
    for index in objects.concerned(by: sights) {
      let (places, refs) = objects.members[index]
      let (saw, sees) = (sights.before.sees(places.before), sights.after.sees(places.after))
      if sees && !saw { gained += refs.count }
      if saw && !sees { lost += refs.count }
      looked.add(places, count: refs.count)
    }
    let (before, after) = (objects.all.before - looked.before, objects.all.after - looked.after)
    let both = objects.all.both - looked.both
    switch (sights.before == .everything, sights.after == .everything) {
    case (true, true): (gained, lost) = (gained + after - both, lost + before - both)
    case (true, false): lost += before
    case (false, true): gained += after
    case (false, false): break
    }
  }

  /// The objects of which sight was gained or lost.
  var differences: [(refs: [Ref], isGained: Bool)] {
    found
      + objects.members.compactMap { places, refs in
        let (saw, sees) = (sights.before.sees(places.before), sights.after.sees(places.after))
        return saw == sees ? nil : (refs, sees)
      }
  }
}

private struct Comparison<What: Seen> {
  typealias Ref = What.Ref

  let now: Company
  let past: Past
  let what: What
  private var classes: [UserClass<Ref>] = []

  init(now: Company, past: Past, _ what: What) {
    self.now = now
    self.past = past
    self.what = what
  }

  mutating func compare() {
    var movedUsers: [Before<Sight>: [Name]] = [:]
    var moved: Set<Name> = []
    for user in touchedUsers() {
      let sights = Before(before: past.sight(user), after: now.sight(user))
      if sights.isChanged, moved.insert(user).inserted { movedUsers[sights, default: []].append(user) }
    }
    var movedObjects: [Before<Place>: [Ref]] = [:]
    for ref in what.touched {
      let places = Before(before: what.placeBefore(ref), after: what.placeAfter(ref))
      if places.isChanged { movedObjects[places, default: []].append(ref) }
    }
    if movedObjects.isEmpty, movedUsers.count <= few,
      movedUsers.keys.allSatisfy({ $0.before.projects != nil && $0.after.projects != nil })
    {
      for (sights, users) in movedUsers { compare(users, sights.before.projects!, sights.after.projects!) }
    } else if movedUsers.isEmpty, movedObjects.count == 1 {
      for (places, refs) in movedObjects { compare(refs, places) }
    } else {
      compare(movedUsers, movedObjects)
      compareOthers(than: moved, movedObjects)
    }
  }

  /// So few that what each of them may see is gone through at once: to sort it into classes would cost more.
  private var few: Int { 8 }

  /// Users who came into projects or left some, against what is in those.
  private mutating func compare(_ users: [Name], _ before: Set<Name>, _ after: Set<Name>) {
    var gained: [Ref] = []
    var lost: [Ref] = []
    let projects = before.symmetricDifference(after)
    for project in projects {
      let isEntered = after.contains(project)
      for ref in what.refs(in: project) where !what.isIn(ref, project, and: isEntered ? before : after) {
        if isEntered { gained.append(ref) } else { lost.append(ref) }
      }
    }
    // It may be in several of them.
    if projects.count > 1 { (gained, lost) = (Array(Set(gained)), Array(Set(lost))) }
    append(UserClass(users, gained: gained, lost: lost))
  }

  /// Objects that came and went together, against those who may have seen or see them.
  private mutating func compare(_ refs: [Ref], _ places: Before<Place>) {
    var gaining: [Name] = []
    var losing: [Name] = []
    for user in usersConcerned(by: CollectionOfOne(places)) {
      switch (now.sees(user, places.before), now.sees(user, places.after)) {
      case (false, true): gaining.append(user)
      case (true, false): losing.append(user)
      default: break
      }
    }
    append(UserClass(gaining, gained: refs, lost: []))
    append(UserClass(losing, gained: [], lost: refs))
  }

  private mutating func append(_ found: UserClass<Ref>) {
    if !found.users.isEmpty && found.gained + found.lost > 0 { classes.append(found) }
  }

  private func touchedUsers() -> [Name] {
    if past.mode != now.mode { return Array(Set(now.users.keys).union(past.users.keys)) }
    var touched = Array(past.users.keys)
    for group in past.groups.keys { touched += now.groups[group]?.users ?? [] }
    for role in past.roles.keys { touched += now.holders(of: role) }
    return touched
  }

  /// Those who see by something else than before, against everything that this may concern.
  private mutating func compare(
    _ movedUsers: [Before<Sight>: [Name]], _ movedObjects: [Before<Place>: [Ref]]
  ) {
    if movedUsers.isEmpty { return }
    var objects = movedObjects
    var others = what.count
    for refs in movedObjects.values { others -= refs.count(where: what.isThere) }
    for ref in objectsConcerned(by: movedUsers.keys) where !what.hasMoved(ref) {
      let place = what.placeAfter(ref)
      objects[Before(before: place, after: place), default: []].append(ref)
      others -= 1
    }
    add(movedUsers, ObjectClasses(objects, others: others))
  }

  /// Where somebody saw or sees everything, what lies beside is counted, and not looked at.
  private func objectsConcerned(by sights: some Sequence<Before<Sight>>) -> Set<Ref> {
    var projects: Set<Name> = []
    for sights in sights {
      switch (sights.before, sights.after) {
      case (.everything, .projects(let own)), (.projects(let own), .everything): projects.formUnion(own)
      case (.everything, _), (_, .everything): break
      case (.projects(let before), .projects(let after)): projects.formUnion(before.symmetricDifference(after))
      case (.projects(let own), .nothing), (.nothing, .projects(let own)): projects.formUnion(own)
      case (.nothing, .nothing): break
      }
    }
    return projects.reduce(into: what.everywhere) { $0.formUnion(what.refs(in: $1)) }
  }

  /// Everyone else, against the objects that are somewhere else than before.
  private mutating func compareOthers(than moved: Set<Name>, _ movedObjects: [Before<Place>: [Ref]]) {
    if movedObjects.isEmpty { return }
    var others: [Before<Sight>: [Name]] = [:]
    for user in usersConcerned(by: movedObjects.keys) where !moved.contains(user) {
      let sight = now.sight(user)
      others[Before(before: sight, after: sight), default: []].append(user)
    }
    add(others, ObjectClasses(movedObjects, others: 0))
  }

  private func usersConcerned(by places: some Sequence<Before<Place>>) -> Set<Name> {
    var projects: Set<Name> = []
    var isForAll = false
    for places in places {
      switch (places.before, places.after) {
      case (.everywhere, _), (_, .everywhere): return Set(now.users.keys)
      case (.projects(let before), .projects(let after)): projects.formUnion(before.symmetricDifference(after))
      case (.projects(let own), .nowhere), (.nowhere, .projects(let own)):
        isForAll = true
        projects.formUnion(own)
      case (.nowhere, .nowhere): break
      }
    }
    let users = projects.reduce(into: Set<Name>()) { $0.formUnion(now.users(in: $1)) }
    return isForAll ? users.union(now.usersSeeingAll()) : users
  }

  private mutating func add(_ users: [Before<Sight>: [Name]], _ objects: ObjectClasses<Ref>) {
    for (sights, users) in users { append(UserClass(users, sights, objects)) }
  }
}

// MARK: - Telling

extension Comparison {
  func summary(first: Int) -> AccessSummary {
    var summary = AccessSummary()
    for found in classes {
      summary.gained += found.users.count * found.gained
      summary.lost += found.users.count * found.lost
    }
    summary.first = rows(first)
    return summary
  }

  /// Each user of a class has a row at least: no more users than rows are needed.
  private func rows(_ count: Int) -> [AccessSummary.Row] {
    var users = Smallest<(name: Name, id: Name, class: Int)>(count) { ($0.name, $0.id) < ($1.name, $1.id) }
    for (index, found) in classes.enumerated() {
      for user in found.users { users.add((now.users[user]?.user.name ?? past.user(user)!.user.name, user, index)) }
    }
    var rows: [AccessSummary.Row] = []
    for (name, id, index) in users.items where rows.count < count {
      var objects = Smallest<(ref: Ref, isGained: Bool)>(count - rows.count) { $0.ref < $1.ref }
      let found = classes[index]
      if found.sights.isChanged && [found.sights.before, found.sights.after].contains(.everything) {
        func add(_ ref: Ref) {
          let (saw, sees) = (
            found.sights.before.sees(what.placeBefore(ref)), found.sights.after.sees(what.placeAfter(ref))
          )
          if saw != sees { objects.add((ref, sees)) }
        }
        // Nearly all objects come behind the first few: those are not looked at.
        for ref in what.all where objects.isOpen(to: (ref, true)) { add(ref) }
        for ref in what.gone { add(ref) }
      } else {
        for difference in found.differences {
          for ref in difference.refs { objects.add((ref, difference.isGained)) }
        }
      }
      for (ref, isGained) in objects.items {
        rows.append(
          AccessSummary.Row(
            user: id, userName: name, object: what.target(ref), objectName: what.name(of: ref), isGained: isGained))
      }
    }
    return rows
  }
}

/// The smallest of many, in order.
private struct Smallest<Item> {
  private(set) var items: [Item] = []
  private let count: Int
  private let isBefore: (Item, Item) -> Bool

  init(_ count: Int, by isBefore: @escaping (Item, Item) -> Bool) {
    self.count = count
    self.isBefore = isBefore
  }

  /// The item would be among them.
  func isOpen(to item: Item) -> Bool { items.count < count || items.last.map { isBefore(item, $0) } == true }

  mutating func add(_ item: Item) {
    guard isOpen(to: item) else { return }
    if items.count == count { items.removeLast() }
    items.insert(item, at: items.firstIndex { isBefore(item, $0) } ?? items.endIndex)
  }
}
