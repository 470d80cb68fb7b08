import ScopeIndex
import ScopeModel
import Testing

/// Companies that are known and not in memory.
@Suite struct ColdCompanies {
  private func index(_ id: Name) -> CompanyIndex {
    var company = Company(id: id)
    _ = try! company.apply([.putCompany(.simple)])
    return CompanyIndex(company, seed: 9)
  }

  private func isThere(_ id: String, _ root: IndexRoot) -> Bool {
    Array(id.utf8).withUnsafeBytes { root.company($0) } != nil
  }

  @Test func aColdCompanyIsNeitherThereNorUnknown() {
    let root = IndexRoot(revision: 4, companies: [index("b")], cold: ["c", "a"], seed: 9)
    #expect(root.knownCount == 3 && root.loadedCount == 1)
    #expect(isThere("b", root) && !root.isCold("b" as Name) && root.contains("b"))
    for id in ["a", "c"] as [Name] {
      #expect(!isThere(id.text, root) && root.isCold(id) && root.contains(id) && root.index(of: id) == nil)
      #expect(Array(id.text.utf8).withUnsafeBytes { root.isCold($0) })
    }
    #expect(!isThere("d", root) && !root.isCold("d" as Name) && !root.contains("d"))
  }

  @Test func loadingAndDroppingCountTheBytes() {
    let (a, b) = (index("a"), index("b"))
    let empty = IndexRoot(revision: 1, companies: [], cold: ["a", "b"], seed: 9)
    let one = empty.replacing(["a": a], revision: 1, seed: 9)
    #expect(isThere("a", one) && one.isCold("b" as Name))
    #expect(one.byteCount == empty.byteCount + a.byteCount && one.loadedCount == 1)
    let both = one.replacing(["b": b], revision: 2, seed: 9)
    #expect(both.loadedCount == 2 && both.revision == 2)
    let dropped = both.dropping(["a"])
    #expect(dropped.isCold("a" as Name) && dropped.index(of: "b") === b && dropped.revision == 2)
    #expect(dropped.byteCount == empty.byteCount + b.byteCount)
    let gone = dropped.replacing(["a": CompanyIndex?.none], revision: 3, seed: 9)
    #expect(!gone.contains("a") && gone.knownCount == 1)
  }

  private func dropped(
    _ root: IndexRoot, _ bytes: Int, _ hand: inout Int, sparing spared: Set<Name> = [], at now: UInt32
  ) -> [Name] {
    root.noteUse(at: now)
    return root.unused(freeing: bytes, from: &hand, sparing: spared, for: 1_000, at: now)
  }

  @Test func whatIsAskedStaysForASecond() {
    let ids = (0..<6).map { Name(stringLiteral: "c\($0)") }
    let root = IndexRoot(revision: 1, companies: ids.map(index), seed: 9)
    let size = root.index(of: "c0")!.byteCount
    for id in ["c1", "c3"] { #expect(isThere(id, root)) }
    var hand = 0
    let first = dropped(root, 3 * size, &hand, sparing: ["c2"], at: 500)
    #expect(Set(first) == ["c0", "c4", "c5"], "the unused ones but the one spared: \(first)")
    let left = root.dropping(first)
    #expect(dropped(left, 10 * size, &hand, sparing: ["c2"], at: 1_500).isEmpty)
    #expect(isThere("c3", left))
    let second = dropped(left, 10 * size, &hand, sparing: ["c2"], at: 1_501)
    #expect(second == ["c1"], "asked for a second ago; the other one was asked again")
    #expect(dropped(left, size, &hand, sparing: Set(ids), at: 9_000).isEmpty)
    #expect(Set(dropped(left, 10 * size, &hand, at: 9_000)) == ["c1", "c2", "c3"])
  }

  /// As many times as the hand goes round, and from one root to the next.
  @Test func whatIsAskedAllTheTimeStays() {
    let ids = (0..<20).map { Name(stringLiteral: "c\($0)") }
    var root = IndexRoot(revision: 1, companies: [index("hot")], cold: ids, seed: 9)
    let size = root.index(of: "hot")!.byteCount
    var hand = 0
    for round in 0..<500 {
      if round % 7 == 0 { #expect(isThere("hot", root)) }
      let id = ids[round % ids.count]
      root = root.replacing([id: index(id)], revision: 1, seed: 9)
      let gone = dropped(root, size, &hand, sparing: [id], at: UInt32(round) * 100)
      #expect(round == 0 || gone == [ids[(round - 1) % ids.count]])
      root = root.dropping(gone)
    }
  }

  /// Marks go over to the next root, where somebody else changes.
  @Test func useIsRememberedOverAPublication() {
    let root = IndexRoot(revision: 1, companies: ["a", "b", "c"].map(index), seed: 9)
    #expect(isThere("a", root))
    let next = root.replacing(["c": index("c")], revision: 2, seed: 9)
    var hand = 2
    #expect(dropped(next, 1, &hand, at: 7) == ["b"])
    let last = next.replacing(["c": index("c"), "b": index("b")], revision: 3, seed: 9)
    #expect(Set(dropped(last, .max, &hand, at: 900)) == ["b", "c"], "and times as well")
  }

  @Test func ofThoseThatAreAllUsedTheLongestAtRestGo() {
    let root = IndexRoot(revision: 1, companies: ["a", "b", "c", "d"].map(index), seed: 9)
    let size = root.index(of: "a")!.byteCount
    for (time, ids) in [(10, ["b", "d"]), (20, ["a"]), (30, ["d"])] as [(UInt32, [String])] {
      for id in ids { #expect(isThere(id, root)) }
      root.noteUse(at: time)
    }
    #expect(root.longestAtRest(freeing: 0, [:], at: 40).isEmpty)
    #expect(root.longestAtRest(freeing: 2 * size, [:], at: 40) == ["c", "b"])
    #expect(root.longestAtRest(freeing: .max, [:], at: 40) == ["c", "b", "a"], "one stays, however large it is")
  }

  /// One that is loaded again and again takes the place of those alone that rest for longer than it does.
  @Test func whatIsLoadedAgainHasRestedAsWell() {
    let root = IndexRoot(revision: 1, companies: ["busy", "calm", "new"].map(index), seed: 9)
    for (time, id) in [(500, "calm"), (990, "busy")] as [(UInt32, String)] {
      #expect(isThere(id, root))
      root.noteUse(at: time)
    }
    let size = root.index(of: "new")!.byteCount
    for (rest, dropped) in [(nil, "new"), (700, "new"), (500, "new"), (499, "calm"), (5, "calm")] as [(UInt32?, Name)] {
      #expect(root.longestAtRest(freeing: size, ["new": rest], at: 1_000) == [dropped], "\(String(describing: rest))")
    }
    #expect(root.longestAtRest(freeing: 2 * size, ["new": 100], at: 1_000) == ["calm", "new"])
  }

  /// However often the others are loaded: the one that is asked every 4 ms is not the one that rested longest.
  @Test func whatIsAskedAllTheTimeStaysAmongWhatIsLoadedAgain() {
    let ids = (0..<9).map { Name(stringLiteral: "c\($0)") }
    var root = IndexRoot(revision: 1, companies: ["hot", "c7", "c8"].map(index), cold: Array(ids.prefix(7)), seed: 9)
    let size = root.index(of: "hot")!.byteCount
    for now in UInt32(1)...2_000 {
      if now % 4 == 0 { #expect(isThere("hot", root)) }
      if now % 50 == 0 { for id in ids { _ = isThere(id.text, root) } }
      guard now % 3 == 0, case let id = ids[Int(now / 3) % 9], root.isCold(id) else { continue }
      let full = root.replacing([id: index(id)], revision: 1, seed: 9)
      let rest = full.rest(of: id, at: now)
      full.noteLoad(of: [id], at: now)
      full.noteUse(at: now)
      root = full.dropping(full.longestAtRest(freeing: size, [id: rest], at: now))
      #expect(!root.isCold("hot" as Name) && root.loadedCount == 3, "\(now) ms")
    }
  }

  /// To ask for a cold company is no use of what is in memory.
  @Test func whatWasAskedWhileColdIsNotUsedYet() {
    let root = IndexRoot(revision: 1, companies: [], cold: ["a"], seed: 9)
    #expect(!isThere("a", root))
    root.noteUse(at: 5)
    #expect(root.rest(of: "a", at: 9) == nil)
    var hand = 0
    #expect(dropped(root.replacing(["a": index("a")], revision: 1, seed: 9), 1, &hand, at: 10) == ["a"])
  }

  @Test func aLoadIsRememberedWhenTheCompanyIsGone() {
    let root = IndexRoot(revision: 1, companies: [index("a")], cold: ["b"], seed: 9)
    #expect(root.rest(of: "a", at: 2_000) == nil && root.rest(of: "zz", at: 2_000) == nil)
    root.noteLoad(of: ["a", "b"], at: 5_000)
    let next = root.dropping(["a"])
    for id in ["a", "b"] as [Name] { #expect(next.rest(of: id, at: 6_000) == 1_000) }
  }

  @Test func aRootOfOneCompanyHoldsNoOther() {
    let root = IndexRoot(revision: 5, companies: ["a", "b"].map(index), cold: ["c"], seed: 9)
    let alone = Array("b".utf8).withUnsafeBytes { root.alone($0) }
    #expect(alone.index(of: "b") === root.index(of: "b") && alone.knownCount == 1 && alone.revision == 5)
    #expect(Array("c".utf8).withUnsafeBytes { root.alone($0) }.knownCount == 0)
  }
}
