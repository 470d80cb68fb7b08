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

  @Test func whatIsAskedHasASecondChance() {
    let ids = (0..<6).map { Name(stringLiteral: "c\($0)") }
    let root = IndexRoot(revision: 1, companies: ids.map(index), seed: 9)
    let size = root.index(of: "c0")!.byteCount
    for id in ["c1", "c3"] { #expect(isThere(id, root)) }
    var hand = 0
    let first = root.leastUsed(freeing: 3 * size, from: &hand, sparing: ["c2"])
    #expect(Set(first) == ["c0", "c4", "c5"], "the unused ones but the one spared: \(first)")
    let second = root.dropping(first).leastUsed(freeing: 10 * size, from: &hand, sparing: ["c2"])
    #expect(Set(second) == ["c1", "c3"], "their second chance is used up: \(second)")
    #expect(root.leastUsed(freeing: size, from: &hand, sparing: Set(ids)).isEmpty)
  }

  /// Marks go over to the next root, where somebody else changes.
  @Test func useIsRememberedOverAPublication() {
    let root = IndexRoot(revision: 1, companies: ["a", "b", "c"].map(index), seed: 9)
    #expect(isThere("a", root))
    let next = root.replacing(["c": index("c")], revision: 2, seed: 9)
    var hand = 2
    #expect(next.leastUsed(freeing: 1, from: &hand, sparing: []) == ["b"])
  }

  @Test func aRootOfOneCompanyHoldsNoOther() {
    let root = IndexRoot(revision: 5, companies: ["a", "b"].map(index), cold: ["c"], seed: 9)
    let alone = Array("b".utf8).withUnsafeBytes { root.alone($0) }
    #expect(alone.index(of: "b") === root.index(of: "b") && alone.knownCount == 1 && alone.revision == 5)
    #expect(Array("c".utf8).withUnsafeBytes { root.alone($0) }.knownCount == 0)
  }
}
