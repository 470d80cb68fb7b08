import Foundation
import ScopeModel
import ScopeTesting

/// The companies that floods ask about, beside the one that the honest client asks about.
enum FloodCompanies {
  /// Users in thousands of projects, and fields in thousands: `Dense`.
  static let dense: Name = "dense"
  /// Names of 128 bytes: its answers are as large as can be.
  static let wide: Name = "wide"
  /// Many projects with long descriptions, to be changed in large batches.
  static let scratch: Name = "scratch"

  /// In a data folder of their own, with a memory budget.
  static let hot: [Name] = ["hot-1", "hot-2"]
  /// Each takes some ten milliseconds to load; the budget has room for a few.
  static let coldCount = 100
  static let coldShape = ContactCentre.Shape(users: 500, groups: 33, projects: 100, objects: 10_000, customFields: 100)

  static func cold(_ number: Int) -> Name { Name(stringLiteral: "cold-\(number + 1)") }

  /// - Parameter isSmall: a tenth of everything, for a look at whether it works.
  static func fill(_ folder: String, isSmall: Bool) throws {
    var filler = try Filler(folder, 4)
    try filler.add(BenchmarkCompany.centre, id: BenchmarkCompany.id)
    try filler.add(Dense(isSmall: isSmall).changes, id: dense)
    try filler.add(wideChanges, id: wide)
    try filler.add(scratchChanges(0..<scratchProjects), id: scratch)
    try filler.close()
  }

  static func fillCold(_ folder: String) throws {
    var filler = try Filler(folder, hot.count + coldCount)
    for (number, id) in hot.enumerated() { try filler.add(hotCentre(number), id: id) }
    for number in 0..<coldCount {
      try filler.add(ContactCentre(coldShape, seed: UInt64(100 + number)), id: cold(number))
    }
    try filler.close()
  }

  static func hotCentre(_ number: Int) -> ContactCentre { ContactCentre(coldShape, seed: UInt64(1 + number)) }

  // MARK: - Wide

  private static func long(_ letter: String) -> Name { Name(stringLiteral: String(repeating: letter, count: 128)) }

  static let wideUser = long("u")
  static let wideQueue = ObjectRef(ObjectType(name: "queue")!, long("q"))

  private static var wideChanges: [Change] {
    [
      .putCompany(.enhanced), .putProject(Project(id: long("p"), name: long("p"))),
      .putGroup(Group(id: long("g"), name: long("g"))), .putUser(User(id: wideUser, name: wideUser), roles: []),
      .addToGroup(group: long("g"), user: wideUser), .addMember(project: long("p"), .group(long("g"))),
      .putObject(Object(wideQueue, name: wideQueue.id), projects: [long("p")]),
    ]
  }

  // MARK: - Scratch

  /// So many that a change of each of them is a frame of nearly 4 MiB.
  static let scratchProjects = 9_800
  static let scratchDescriptionBytes = 390

  static func scratchProject(_ number: Int) -> Name { Name(stringLiteral: "s\(10_000 + number)") }

  private static func scratchChanges(_ projects: Range<Int>) -> [Change] {
    [.putCompany(.enhanced)]
      + projects.map { .putProject(Project(id: scratchProject($0), name: scratchProject($0))) }
  }
}

/// Users and fields in as many projects as a company may well have, so that each check of them takes long.
struct Dense {
  /// In every other project, itself.
  static let user: Name = "d"
  /// In the first half.
  static let lowUser: Name = "b"
  /// In every other project, the others than the user's.
  static let fields: [Name] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"]
  /// In the second half.
  static let highFields: [Name] = ["c0", "c1"]
  /// In the projects of the first user, through one group.
  static let groupedUsers = 200

  let projects: Int

  init(isSmall: Bool) { projects = isSmall ? 2_000 : 20_000 }

  private func project(_ number: Int) -> Name { Name(stringLiteral: "p\(100_000 + number)") }

  var changes: [Change] {
    let half = projects / 2
    var changes: [Change] = [.putCompany(.enhanced), .putGroup(Group(id: "g", name: "g"))]
    changes += (0..<projects).map { .putProject(Project(id: project($0), name: project($0))) }
    changes += [Dense.user, Dense.lowUser].map { .putUser(User(id: $0, name: $0), roles: []) }
    for number in 0..<half {
      changes.append(.addMember(project: project(2 * number), .user(Dense.user)))
      changes.append(.addMember(project: project(number), .user(Dense.lowUser)))
      changes.append(.addMember(project: project(2 * number), .group("g")))
    }
    for number in 0..<Dense.groupedUsers {
      let id = Name(stringLiteral: "g\(number)")
      changes += [.putUser(User(id: id, name: id), roles: []), .addToGroup(group: "g", user: id)]
    }
    changes +=
      Dense.fields.flatMap { placed($0) { 2 * $0 + 1 } } + Dense.highFields.flatMap { placed($0) { half + $0 } }
    return changes
  }

  private func placed(_ field: Name, _ number: (Int) -> Int) -> [Change] {
    let ref = ObjectRef(.contactField, field)
    return [.putObject(Object(ref, name: field))]
      + (0..<projects / 2).map { .place(ref, project: project(number($0))) }
  }
}
