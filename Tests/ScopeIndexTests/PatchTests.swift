import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeIndex

/// A company and its index, each patched from the one before. What it is asked, it says by comparison with an index
/// built anew.
private struct Patched {
  private(set) var company: Company
  private(set) var index: CompanyIndex
  private let seed: UInt64

  init(seed: UInt64 = 1, _ changes: [Change]) throws {
    company = Company(id: "c")
    _ = try company.apply([.putCompany(.enhanced)] + changes)
    index = CompanyIndex(company, seed: seed)
    self.seed = seed
  }

  /// Applies a batch; true: the patched index is the one built anew, byte for byte, and whole.
  mutating func agrees(after batch: [Change]) throws -> Bool {
    let edits = try company.apply(batch).edits
    index = CompanyIndex(company, seed: seed, previous: index, edits: edits)
    return index.isWhole && index.hasSameContents(as: CompanyIndex(company, seed: seed))
  }

  /// Applies each batch in turn, and counts those after which the two agree.
  mutating func agreements(after batches: [[Change]]) throws -> Int {
    try batches.reduce(0) { try agrees(after: $1) ? $0 + 1 : $0 }
  }
}

/// Enough of everything that no batch here is worth a full build.
private func crowd(_ count: Int = 120) -> [Change] {
  let numbers = 0..<count
  return [.putRole("r", rights: ["a", "m", "z"]), .putRole("s", rights: [Right.seeAll])]
    + numbers.map { .project(name("p", $0)) }
    + numbers.map { .group(name("g", $0)) }
    + numbers.map { .addMember(project: name("p", $0), .group(name("g", ($0 + 1) % count))) }
    + numbers.map { .user(name("u", $0), named: name("U", $0), roles: ["r"], in: [name("p", $0)]) }
    + numbers.map { .addToGroup(group: name("g", $0 / 2), user: name("u", $0)) }
    + numbers.map { .object(ObjectRef(ObjectType.all[$0 % 10], name("o", $0)), in: [name("p", $0)]) }
}

private func name(_ letter: String, _ number: Int) -> Name { Name(stringLiteral: "\(letter)\(number)") }

@Suite struct IndexPatches {
  /// The first, one in the middle and the last of each kind, by byte order, come and go.
  @Test func ofTheFirstTheLastAndThoseBetween() throws {
    var patched = try Patched(crowd())
    for id in ["a", "g5x", "m", "p5x", "u5x", "zz", "\u{10FFFF}"] as [Name] {
      let coming: [[Change]] = [
        [.project(id)], [.group(id)], [.user(id, in: [id, "p7"])], [.addToGroup(group: id, user: id)],
        [.addMember(project: id, .group(id))], [.object(ObjectRef(.contactField, id), in: [id, "p3", "p9"])],
        [.object(ObjectRef(ObjectType.all[0], id), in: [id])], [.putRole(id, rights: [id])],
        [.user(id, roles: [id, "r"])],
      ]
      #expect(try patched.agreements(after: coming) == coming.count, "\(id)")
      let going: [[Change]] = [
        [.removeRole(id)], [.removeProject(id)], [.removeGroup(id)], [.removeUser(id)],
        [.removeObject(ObjectRef(.contactField, id))], [.removeObject(ObjectRef(ObjectType.all[0], id))],
      ]
      #expect(try patched.agreements(after: going) == going.count, "\(id)")
    }
  }

  /// The batch's end counts, not the way there.
  @Test func ofBatchesThatTouchOneThingOften() throws {
    var patched = try Patched(crowd())
    let new: ObjectRef = "list:new"
    let batches: [[Change]] = [
      [.user("new", in: ["p1"]), .removeUser("new")],
      [.removeUser("u5"), .user("u5", named: "again", roles: ["s"], in: ["p2"])],
      [.user("u6", named: "x", isBlocked: true), .user("u6", named: "y"), .user("u6", roles: ["s"])],
      [.object(new, in: ["p1"]), .place(new, project: "p2"), .unplace(new, project: "p1"), .object(new, named: "n")],
      [.removeObject(new), .object(new, in: ["p4"]), .removeObject(new)],
      [.project("new"), .addMember(project: "new", .group("g3")), .removeProject("new")],
      [.removeProject("p3"), .project("p3", named: "third"), .addMember(project: "p3", .user("u3"))],
      [
        .removeGroup("g1"), .group("g1"), .addToGroup(group: "g1", user: "u9"), .addMember(project: "p8", .group("g1")),
      ],
      [.removeRole("r"), .putRole("r", rights: ["m"]), .user("u1", roles: ["r"])],
      [.putRole("t", rights: ["q"]), .user("u2", roles: ["t"]), .removeRole("t")],
    ]
    #expect(try patched.agreements(after: batches) == batches.count)
  }

  /// What numbers stand for shifts in lists of those whom no edit names.
  @Test func renumbersTheListsThatStay() throws {
    var patched = try Patched(crowd())
    let batches: [[Change]] = [
      [.project("a")], [.project("p0x"), .project("p99x")], [.removeProject("p0")],
      [.removeProject("p50"), .project("b")],
      [.group("a")], [.removeGroup("g0")], [.group("b"), .removeGroup("g50")],
      [.putRole("a", rights: ["b"])], [.putRole("r", rights: ["m", "n"])], [.removeRole("a")],
      [.project("c"), .group("c"), .putRole("c", rights: ["aa"]), .user("a"), .object("queue:a")],
    ]
    #expect(try patched.agreements(after: batches) == batches.count)
  }

  /// The flags of rights are those of every holder, whose lists stay.
  @Test func setsTheFlagsOfAllWhoHoldARole() throws {
    var patched = try Patched(crowd())
    let batches: [[Change]] = [
      [.user("u1", roles: ["s"])], [.putRole("s", rights: [Right.listProjects])],
      [.putRole("r", rights: [Right.seeAll])],
      [.putRole("r", rights: [])], [.user("u2", isBlocked: true)], [.user("u2", roles: [Company.adminRole])],
      [.removeRole("s")], [.putRole("r", rights: [Right.seeAll, "k"]), .user("u3", isBlocked: true)],
    ]
    #expect(try patched.agreements(after: batches) == batches.count)
  }

  /// From nothing to something and back, where each is the only one of its kind.
  @Test func ofTheOnlyOne() throws {
    var patched = try Patched([])
    let batches: [[Change]] = [
      [.user("u")], [.project("p")], [.addMember(project: "p", .user("u"))], [.group("g")],
      [.addToGroup(group: "g", user: "u")], [.addMember(project: "p", .group("g"))],
      [.removeMember(project: "p", .user("u"))], [.object("queue:q", in: ["p"])], [.removeProject("p")],
      [.removeGroup("g")], [.removeUser("u")], [.removeObject("queue:q")],
    ]
    #expect(try patched.agreements(after: batches) == batches.count)
  }

  /// The company goes and is made again in one batch.
  @Test func ofACompanyMadeAgain() throws {
    var patched = try Patched(crowd(20))
    #expect(
      try patched.agrees(after: [.removeCompany, .putCompany(.enhanced), .project("p3"), .user("u3", in: ["p3"])]))
    #expect(try patched.agrees(after: crowd(20)))
  }

  /// Every size from none to some hundreds and back, and so every step of the table's size both ways.
  @Test func throughEveryStepOfTheTable() throws {
    var patched = try Patched([.project("p")])
    for number in 0..<300 {
      let ref = ObjectRef(ObjectType.all[1], name("o", number * 7919 % 1_000))
      #expect(try patched.agrees(after: [.object(ref, in: ["p"]), .user(name("u", number * 31 % 307))]), "\(number)")
    }
    for number in 0..<300 {
      let ref = ObjectRef(ObjectType.all[1], name("o", number * 7919 % 1_000))
      #expect(try patched.agrees(after: [.removeObject(ref), .removeUser(name("u", number * 31 % 307))]), "\(number)")
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func ofRandomBatchesInALargerCompany(seed: UInt64) throws {
    var walker = LargerWalk(seed: seed)
    var patched = try Patched(seed: seed, crowd(200))
    for step in 0..<250 {
      var batch: [Change] = []
      var trial = patched.company
      for _ in 0..<walker.random.number(in: 1...12) {
        let change = walker.nextChange()
        if (try? trial.apply([change])) != nil { batch.append(change) }
      }
      let agrees = try patched.agrees(after: batch)
      #expect(agrees, "seed \(seed), step \(step): \(batch)")
      if !agrees { return }
    }
  }
}

/// Changes of every kind about a few hundred things.
private struct LargerWalk {
  var random: SeededRandom

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  private mutating func any(_ letter: String) -> Name { name(letter, random.below(260)) }
  private mutating func role() -> Name { random.pick(["r", "s", "t", "a", Company.adminRole]) }
  private mutating func ref() -> ObjectRef {
    let number = random.below(400)
    return ObjectRef(ObjectType.all[number % 10], name("o", number))
  }

  mutating func nextChange() -> Change {
    switch random.below(20) {
    case 0: .project(any("p"), named: any("P"))
    case 1: .removeProject(any("p"))
    case 2: .group(any("g"), named: any("G"))
    case 3: .removeGroup(any("g"))
    case 4, 5: .user(any("u"), named: any("U"), roles: [role()], in: [any("p")], isBlocked: random.below(4) == 0)
    case 6: .removeUser(any("u"))
    case 7: .addToGroup(group: any("g"), user: any("u"))
    case 8: .removeFromGroup(group: any("g"), user: any("u"))
    case 9: .putRole(role(), rights: random.pick(random.below(4), of: RandomCompany.rights))
    case 10: .removeRole(role())
    case 11: .addMember(project: any("p"), .user(any("u")))
    case 12: .addMember(project: any("p"), .group(any("g")))
    case 13: .removeMember(project: any("p"), .group(any("g")))
    case 14, 15: .object(ref(), named: any("O"), in: random.below(2) == 0 ? [any("p")] : [])
    case 16: .removeObject(ref())
    case 17: .place(ref(), project: any("p"))
    case 18: .unplace(ref(), project: any("p"))
    default: .setMode(random.pick(SecurityMode.allCases))
    }
  }
}

/// The table alone, with hashes chosen so that homes collide.
@Suite struct SlotTables {
  /// Keys by number: what a table of them looks like when filled at once.
  private func filled(_ hashes: [UInt64]) -> [UInt32] { SlotTable(hashes: hashes).entries }

  /// Few homes, many of them shared, the last one above all: the table runs over its end.
  private func crowdedHashes(_ count: Int, _ random: inout SeededRandom) -> [UInt64] {
    (0..<count).map { _ in
      let end: UInt64 = random.below(3) == 0 ? 0xFFFF_FFFF : UInt64(random.below(4)) << 30
      return random.next() << 54 | end
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func haveOneFormHoweverTheyCameAbout(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for count in 1...24 {
      let all = crowdedHashes(count, &random)
      let leaving = Int.random(in: 0..<count, using: &random)
      var table = SlotTable(hashes: all)
      table.remove(leaving) { all[$0] }
      table.insert(leaving, hash: { all[$0] }, isBefore: <)
      #expect(table.entries == filled(all), "seed \(seed), \(count) keys")
    }
  }

  /// Taken out to the last in any order, each time as if filled so; and put in again in any order.
  @Test func canBeEmptiedAndFilledInAnyOrder() {
    var random = SeededRandom(seed: 3)
    for count in [1, 2, 3, 7, 16, 40] {
      let all = crowdedHashes(count, &random)
      var table = SlotTable(hashes: all)
      let order = random.pick(count, of: Array(0..<count))
      for (gone, number) in order.enumerated() {
        table.remove(number) { all[$0] }
        let left = Set(order.dropFirst(gone + 1))
        #expect(Set(table.entries.filter { $0 != 0 }.map { Int($0 & Directory.Slot.numberMask) - 1 }) == left)
        #expect(table.entries.last == 0)
      }
      for number in random.pick(count, of: order) { table.insert(number, hash: { all[$0] }, isBefore: <) }
      #expect(table.entries == filled(all), "\(count) keys")
    }
  }

  @Test func haveRoomInStepsOfAQuarter() {
    var previous = 0
    for count in 0...100_000 {
      let homes = SlotTable.homeCount(for: count)
      #expect(homes >= previous && homes * 2 >= count * 3 && homes > 0)
      if count > 5 { #expect(homes * 16 <= count * 31) }
      previous = homes
    }
  }
}
