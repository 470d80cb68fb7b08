import ScopeModel
import ScopeTesting
import Testing

@Suite struct PhoneNumbers {
  @Test(arguments: [
    ("+4315551234", 4_315_551_234), ("4315551234", 4_315_551_234), ("1000000", 1_000_000),
    ("+999999999999999", 999_999_999_999_999),
  ])
  func areSevenToFifteenDigits(_ text: String, _ value: UInt64) {
    #expect(PhoneNumber(text)?.value == value)
    #expect(PhoneNumber(text)?.description == "\(value)")
  }

  @Test(arguments: [
    "", "+", "112", "+911", "123456", "0431555123", "+0431555123", "1234567890123456", "++4315551234", "431 5551234",
    "43155512a4", "4315551234+", "٤٣١٥٥٥١٢٣٤", "43155512\u{0}4",
  ])
  func areNothingElse(_ text: String) { #expect(PhoneNumber(text) == nil) }
}

@Suite struct RowsOfNumbers {
  private func rows(_ numbers: some Sequence<UInt64>, _ details: (UInt64) -> String = { "\($0)" }) -> NumberRows {
    var rows = NumberRows()
    for number in numbers { rows.append(number, details: Array(details(number).utf8)) }
    return rows
  }

  private func table(_ rows: NumberRows) -> [UInt64: [UInt8]] {
    Dictionary(uniqueKeysWithValues: (0..<rows.count).map { (rows.numbers[$0], Array(rows.details(of: $0))) })
  }

  /// Against dictionaries: random rows, random runs of others, numbers in common and not.
  @Test func areMergedAndRemovedAsInADictionary() {
    var random = SeededRandom(seed: 5)
    for _ in 0..<2_000 {
      func some() -> [UInt64] { Set((0..<random.below(20)).map { _ in UInt64(1 + random.below(40)) }).sorted() }
      let (mine, others) = (rows(some()), rows(some()) { "\($0 % 3 == 0 ? $0 : $0 + 1)" })
      let start = random.below(others.count + 1)
      let range = start..<random.number(in: start...others.count)
      let merged = mine.merged(with: others, range)
      var expected = table(mine)
      var (added, altered) = (0, 0)
      for index in range {
        let old = expected.updateValue(Array(others.details(of: index)), forKey: others.numbers[index])
        if old == nil { added += 1 } else if old! != Array(others.details(of: index)) { altered += 1 }
      }
      #expect(table(merged.rows) == expected)
      #expect(merged.added == added && merged.altered == altered)
      let gone = some()
      #expect(table(mine.removing(gone[...])) == table(mine).filter { !gone.contains($0.key) })
    }
  }

  @Test(arguments: [0, 1, 255, 256, 257, 512, 513, 4_352])
  func areCutIntoBlocksThatFit(_ count: Int) {
    let all = rows((0..<count).map { 1_000_000 + 3 * UInt64($0) })
    let blocks = all.blocks()
    #expect(blocks.allSatisfy { !$0.isEmpty && $0.count <= NumberRows.rowsPerBlock })
    #expect(blocks.count == (count + NumberRows.rowsPerBlock - 1) / NumberRows.rowsPerBlock)
    #expect(blocks.flatMap(\.numbers) == all.numbers)
    #expect(blocks.reduce(into: [:]) { $0.merge(table($1)) { $1 } } == table(all))
  }
}

extension RowsOfNumbers {
  /// However much is known of some numbers, and little of others.
  @Test func areCutIntoBlocksOfBoundedBytes() {
    var random = SeededRandom(seed: 9)
    for _ in 0..<200 {
      var all = NumberRows()
      for number in 0..<UInt64(random.number(in: 1...600)) {
        let bytes = random.below(3) == 0 ? 1_024 : random.below(40)
        all.append(1_000_000 + number, details: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
      }
      let blocks = all.blocks()
      #expect(
        blocks.allSatisfy {
          !$0.isEmpty && $0.count <= NumberRows.rowsPerBlock && $0.details.count <= NumberRows.detailBytesPerBlock
        })
      #expect(blocks.flatMap(\.numbers) == all.numbers && blocks.flatMap(\.details) == all.details)
    }
  }
}

@Suite struct PurposesOfLists {
  @Test func areKeptWithTheListAndGoWithIt() throws {
    var company = Company(id: "c")
    let list = ObjectRef(.list, "dnc")
    _ = try company.apply([.putCompany(.enhanced), .putObject(Object(list, name: "DNC"))])
    #expect(try company.apply([.setPurpose(list: "dnc", .none)]).edits.isEmpty)
    #expect(try company.apply([.setPurpose(list: "dnc", .unwanted)]).edits.count == 1)
    #expect(company.lists["dnc"]?.purpose == .unwanted)
    #expect(company.changesToRebuild().last == .setPurpose(list: "dnc", .unwanted))
    _ = try company.apply([.removeObject(list)])
    #expect(company.lists.isEmpty)
    #expect(throws: RefusedBatch.self) { try company.apply([.setPurpose(list: "dnc", .vip)]) }
  }

  @Test func thatAreTakenBackLeaveNothingUnlessThereAreNumbers() throws {
    var company = Company(id: "c")
    _ = try company.apply([
      .putCompany(.simple), .putObject(Object(ObjectRef(.list, "l"), name: "L")), .setPurpose(list: "l", .vip),
    ])
    let noted = try company.noteNumbers(of: "l", count: 2, blockSet: 7, digest: "d")
    #expect(noted.edits.count == 1 && company.lists["l"]?.purpose == .vip)
    _ = try company.apply([.setPurpose(list: "l", .none)])
    #expect(company.lists["l"]?.count == 2)
    _ = try company.noteNumbers(of: "l", count: 0, blockSet: 0, digest: NumberList.noDigest)
    #expect(company.lists.isEmpty)
  }
}
