import ScopeModel

/// An outsourcing contact centre of any size, as the changes that make it.
///
/// The changes are made one by one while they are asked for, so a large centre needs no memory. The same
/// shape and seed give the same changes. Applied in order to an empty company, none is refused.
public struct ContactCentre: Sequence, Sendable {
  /// How large it is.
  public struct Shape: Hashable, Sendable {
    public var users: Int
    public var groups: Int
    public var projects: Int
    /// Objects of every type except contact fields.
    public var objects: Int
    /// Contact fields beside those of the system.
    public var customFields: Int
    public var mode: SecurityMode

    public init(
      users: Int, groups: Int, projects: Int, objects: Int, customFields: Int, mode: SecurityMode = .enhanced
    ) {
      let counts = [users, groups, projects, objects, customFields]
      precondition(counts.allSatisfy { $0 >= 0 }, "a contact centre can't have less than nothing: \(counts)")
      self.users = users
      self.groups = groups
      self.projects = projects
      self.objects = objects
      self.customFields = customFields
      self.mode = mode
    }

    /// One agency with a handful of customers.
    public static let small = Shape(users: 60, groups: 8, projects: 6, objects: 150, customFields: 20)
    /// Some 20,000 changes.
    public static let medium = Shape(users: 2_000, groups: 150, projects: 120, objects: 8_000, customFields: 300)
    /// Some 500,000 changes.
    public static let large = Shape(
      users: 20_000, groups: 2_500, projects: 2_000, objects: 200_000, customFields: 4_000)
  }

  public let shape: Shape
  public let seed: UInt64

  public init(_ shape: Shape, seed: UInt64 = 1) {
    self.shape = shape
    self.seed = seed
  }

  public func makeIterator() -> Iterator { Iterator(self) }

  /// The company that the changes make.
  public func company(id: Name = "contact-centre") throws(RefusedBatch) -> Company {
    var company = Company(id: id)
    var batch: [Change] = []
    for change in self {
      batch.append(change)
      if batch.count < 4_096 { continue }
      _ = try company.apply(batch)
      batch.removeAll(keepingCapacity: true)
    }
    _ = try company.apply(batch)
    return company
  }
}

// MARK: - Ids, for those who ask about a centre without building it

extension ContactCentre {
  /// The id of the user with this number, from 0. User 0 is an administrator.
  public func userID(_ index: Int) -> Name { Name(stringLiteral: String(1_001 + index)) }

  /// The id of the group with this number, from 0.
  public func groupID(_ index: Int) -> Name { Name(stringLiteral: "team-\(index + 1)") }

  /// The id of the project with this number, from 0. Project 0 is `Default`.
  public func projectID(_ index: Int) -> Name {
    index == 0 ? "default" : Name(stringLiteral: "\(Words.customers[index % Words.customers.count])-\(index)")
  }

  /// The object with this number, from 0, contact fields excepted.
  public func object(_ index: Int) -> ObjectRef { plan(object: index).ref }

  /// The custom contact field with this number, from 0.
  public func field(_ index: Int) -> ObjectRef {
    let word = Words.fields[index % Words.fields.count]
    return ObjectRef(.contactField, Name(stringLiteral: "\(word)-\(index + 1)"))
  }

  /// The roles of every centre and their rights, beside `admin`.
  public static let roles: [(name: Name, rights: [Name])] = [
    ("operator", ["section.contacts", "section.tasks"]),
    ("supervisor", ["section.call_journal", "section.contacts", "report.agents", Right.manageAccess]),
    ("project-manager", ["section.call_journal", Right.manageProjects, Right.manageAccess]),
    ("auditor", ["section.call_journal", "report.agents", Right.seeAll]),
    ("receptionist", ["section.contacts", Right.listProjects]),
    ("personnel", [Right.manageUsers]),
  ]
}

// MARK: - Who and what is where

extension ContactCentre {
  /// Where the numbers of each sort of thing begin.
  private enum Stream {
    static let user: UInt64 = 1
    static let group: UInt64 = 2
    static let object: UInt64 = 3
    static let field: UInt64 = 4
  }

  struct Placed {
    var ref: ObjectRef
    var projects: [Int]
  }

  fileprivate func changes(role index: Int) -> [Change] {
    let role = ContactCentre.roles[index]
    return [.putRole(role.name, rights: role.rights)]
  }

  fileprivate func changes(project index: Int) -> [Change] {
    let name = index == 0 ? Company.defaultProjectName : Words.projectName(index)
    let description = index % 3 == 1 ? Words.projectRemark : Remark.none
    return [.putProject(Project(id: projectID(index), name: name, description: description))]
  }

  /// A team serves one project, a few serve two, a few none.
  fileprivate func changes(group index: Int) -> [Change] {
    var random = SeededRandom(seed: seed, stream: Stream.group, index: index)
    let id = groupID(index)
    var changes: [Change] = [.putGroup(Group(id: id, name: Name(stringLiteral: "Team \(index + 1)")))]
    if shape.projects == 0 || random.happens(perMille: 30) { return changes }
    var projects = [index % shape.projects]
    if random.happens(perMille: 100) { projects.append(someProject(&random)) }
    for project in unique(projects) { changes.append(.addMember(project: projectID(project), .group(id))) }
    return changes
  }

  fileprivate func changes(user index: Int) -> [Change] {
    var random = SeededRandom(seed: seed, stream: Stream.user, index: index)
    let id = userID(index)
    let role = role(ofUser: index, &random)
    let isBlocked = index > 0 && random.happens(perMille: 25)
    let user = User(id: id, name: Words.person(&random), isBlocked: isBlocked)
    var changes: [Change] = [.putUser(user, roles: [role])]
    if random.happens(perMille: 15) { return changes }  // new here: in no team and no project yet
    for group in groups(ofUser: index, &random) { changes.append(.addToGroup(group: groupID(group), user: id)) }
    for project in projects(ofRole: role, &random) {
      changes.append(.addMember(project: projectID(project), .user(id)))
    }
    return changes
  }

  private func role(ofUser index: Int, _ random: inout SeededRandom) -> Name {
    switch index == 0 ? 0 : random.below(1_000) {
    case 0..<2: Company.adminRole
    case 2..<6: "auditor"
    case 6..<10: "personnel"
    case 10..<20: "project-manager"
    case 20..<30: "receptionist"
    case 30..<90: "supervisor"
    default: "operator"
    }
  }

  /// Every user is in a team, a few in two.
  private func groups(ofUser index: Int, _ random: inout SeededRandom) -> [Int] {
    if shape.groups == 0 { return [] }
    var groups = [index % shape.groups]
    if random.happens(perMille: 60) { groups.append(random.below(shape.groups)) }
    return unique(groups)
  }

  /// Projects a user is in beside those of the team.
  private func projects(ofRole role: Name, _ random: inout SeededRandom) -> [Int] {
    if shape.projects == 0 { return [] }
    let chosen: Int
    switch role {
    case "supervisor": chosen = random.number(in: 2...8)
    case "project-manager": chosen = random.number(in: 5...20)
    default: chosen = random.happens(perMille: 80) ? random.number(in: 1...3) : shape.groups == 0 ? 1 : 0
    }
    var projects = (0..<chosen).map { _ in someProject(&random) }
    if random.happens(perMille: 50) { projects.append(0) }  // still in `Default`
    return unique(projects)
  }

  fileprivate func changes(object index: Int) -> [Change] {
    let placed = plan(object: index)
    return changes(for: placed, name: Words.title(of: placed.ref))
  }

  fileprivate func changes(field index: Int) -> [Change] {
    var random = SeededRandom(seed: seed, stream: Stream.field, index: index)
    let ref = field(index)
    let projects = projects(sharedPerMille: 250, upTo: 6, &random)
    return changes(for: Placed(ref: ref, projects: projects), name: Words.title(of: ref))
  }

  private func changes(for placed: Placed, name: Name) -> [Change] {
    var changes: [Change] = [.putObject(Object(placed.ref, name: name))]
    for project in placed.projects { changes.append(.place(placed.ref, project: projectID(project))) }
    return changes
  }

  private func plan(object index: Int) -> Placed {
    var random = SeededRandom(seed: seed, stream: Stream.object, index: index)
    let kind = Words.kind(at: random.below(Words.kindsTotal))
    let projects = projects(
      sharedPerMille: kind.type.isExclusive ? 0 : kind.sharedPerMille, upTo: kind.mostProjects, &random)
    let customer = Words.customers[(projects.first ?? index) % Words.customers.count]
    let purpose = random.pick(kind.purposes)
    return Placed(
      ref: ObjectRef(kind.type, Name(stringLiteral: "\(customer)-\(purpose)-\(index + 1)")), projects: projects)
  }

  /// Mostly one project; for what is shared, two or more; now and then none.
  private func projects(sharedPerMille: Int, upTo most: Int, _ random: inout SeededRandom) -> [Int] {
    if shape.projects == 0 || random.happens(perMille: 30) { return [] }
    let count = random.happens(perMille: sharedPerMille) ? random.number(in: 2...most) : 1
    return unique((0..<count).map { _ in someProject(&random) })
  }

  /// Projects differ in size: the first tenth of them holds about a fifth of everything.
  private func someProject(_ random: inout SeededRandom) -> Int {
    let number = random.below(shape.projects)
    return random.happens(perMille: 500) ? number : random.below(number + 1)
  }

  private func unique(_ numbers: [Int]) -> [Int] {
    if numbers.count < 2 { return numbers }
    var kept: [Int] = []
    for number in numbers where !kept.contains(number) { kept.append(number) }
    return kept
  }
}

// MARK: - One by one

extension ContactCentre {
  /// Makes the changes of one thing when those of the thing before are used up.
  public struct Iterator: IteratorProtocol, Sendable {
    private enum Part: Int {
      case company, roles, projects, groups, users, fields, objects, end
    }

    private let centre: ContactCentre
    private var part = Part.company
    private var index = 0
    private var ready: [Change] = []
    private var position = 0

    fileprivate init(_ centre: ContactCentre) { self.centre = centre }

    public mutating func next() -> Change? {
      while position == ready.count {
        if part == .end { return nil }
        refill()
      }
      defer { position += 1 }
      return ready[position]
    }

    private mutating func refill() {
      position = 0
      if index < count(part) {
        ready = changes(part, index)
        index += 1
      } else {
        ready = []
        part = Part(rawValue: part.rawValue + 1)!
        index = 0
      }
    }

    private func count(_ part: Part) -> Int {
      switch part {
      case .company: 1
      case .roles: ContactCentre.roles.count
      case .projects: centre.shape.projects
      case .groups: centre.shape.groups
      case .users: centre.shape.users
      case .fields: centre.shape.customFields
      case .objects: centre.shape.objects
      case .end: 0
      }
    }

    private func changes(_ part: Part, _ index: Int) -> [Change] {
      switch part {
      case .company: [.putCompany(centre.shape.mode)]
      case .roles: centre.changes(role: index)
      case .projects: centre.changes(project: index)
      case .groups: centre.changes(group: index)
      case .users: centre.changes(user: index)
      case .fields: centre.changes(field: index)
      case .objects: centre.changes(object: index)
      case .end: []
      }
    }
  }
}

// MARK: - Words

/// What ids and names are made of.
private enum Words {
  static let customers = [
    "clinic", "shop", "bank", "agency", "insurer", "airline", "hotel", "telecom", "energy", "courier", "taxi",
    "pharmacy", "school", "charity", "garage", "dentist",
  ]

  private static let customerNames = [
    "Clinic", "Shop", "Bank", "Collection Agency", "Insurer", "Airline", "Hotel", "Telecom", "Energy", "Courier",
    "Taxi", "Pharmacy", "School", "Charity", "Garage", "Dentist",
  ]

  private static let places = [
    "Aurora", "Northgate", "Riverside", "São Paulo", "Zürich", "Łódź", "Центр", "Harbour", "Île-de-France", "Old Town",
  ]

  private static let firstNames = [
    "Anna", "Boris", "Chloë", "Daniel", "Elena", "Farid", "Grace", "Hanna", "Ivan", "José", "Kateřina", "Liam",
    "María", "Nikolai", "Olga", "Pavel", "Rashid", "Søren", "Tamara", "Юлия",
  ]

  private static let lastNames = [
    "Adams", "Bauer", "Costa", "Dvořák", "Evans", "Fischer", "García", "Horvat", "Ivanova", "Jensen", "Kowalski",
    "Lopez", "Müller", "Novák", "O'Brien", "Petrov", "Rossi", "Smith", "Weber", "Иванов",
  ]

  static let fields = [
    "policy-number", "contract", "debt", "birth-date", "address", "loyalty-card", "doctor", "vehicle", "language",
    "last-order",
  ]

  static let projectRemark = try! Remark("Inbound and outbound, weekdays 8 to 20")

  /// One type of object as it is found in a centre.
  struct Kind {
    let type: ObjectType
    /// How many of a hundred or so objects are of this type.
    let weight: Int
    let sharedPerMille: Int
    /// At least 2.
    let mostProjects: Int
    let purposes: [String]
  }

  static let kinds = [
    kind("list", 26, shared: 60, upTo: 4, ["vip", "unwanted", "leads", "debtors", "callback"]),
    kind("queue", 16, ["support", "sales", "appointments", "complaints"]),
    kind("call_scenario", 12, ["greeting", "night", "survey", "menu"]),
    kind("dialer", 12, ["reminders", "collection", "welcome", "renewals"]),
    kind("notification_template", 10, shared: 100, upTo: 5, ["confirmation", "receipt", "invitation"]),
    kind("schedule", 8, shared: 300, upTo: 10, ["weekdays", "holidays", "night"]),
    kind("crm_form", 7, ["script", "questionnaire"]),
    kind("ip_phone", 7, shared: 150, upTo: 3, ["desk", "softphone"]),
    kind("sip_provider", 2, shared: 500, upTo: 20, ["trunk", "carrier"]),
  ]

  static let kindsTotal = kinds.reduce(0) { $0 + $1.weight }

  private static func kind(
    _ type: String, _ weight: Int, shared: Int = 0, upTo most: Int = 2, _ purposes: [String]
  ) -> Kind {
    Kind(
      type: ObjectType(name: type)!, weight: weight, sharedPerMille: shared, mostProjects: most, purposes: purposes)
  }

  static func kind(at number: Int) -> Kind {
    var rest = number
    for kind in kinds {
      if rest < kind.weight { return kind }
      rest -= kind.weight
    }
    fatalError("there is no kind of object at \(number)")
  }

  static func projectName(_ index: Int) -> Name {
    let customer = customerNames[index % customerNames.count]
    return Name(stringLiteral: "\(customer) \(places[index / customerNames.count % places.count]) \(index)")
  }

  static func person(_ random: inout SeededRandom) -> Name {
    Name(stringLiteral: random.pick(firstNames) + " " + random.pick(lastNames))
  }

  static func title(of ref: ObjectRef) -> Name {
    var title = ref.id.text.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: " ") : $0 }
    title[0] -= 0x20  // ids of objects begin with a small letter
    return Name(stringLiteral: String(decoding: title, as: UTF8.self))
  }
}
