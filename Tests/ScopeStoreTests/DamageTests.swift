import Foundation
import ScopeIndex
import ScopeModel
import ScopeTesting
import Testing

@testable import ScopeServer
@testable import ScopeStore

/// Damage of every kind, at random: what is answered from is what was acknowledged, or nothing is.
@Suite(.serialized) struct DamageTests {
  /// Of the long test; `SCOPED_DAMAGES=2000` for all.
  private static let rounds = Int(ProcessInfo.processInfo.environment["SCOPED_DAMAGES"] ?? "") ?? 240

  @Test func isNeverAnsweredFrom() throws {
    let seed = UInt64(ProcessInfo.processInfo.environment["SCOPED_SEED"] ?? "") ?? UInt64.random(in: 1...1_000_000_000)
    print("damages: \(DamageTests.rounds) of seed \(seed); SCOPED_SEED=\(seed) repeats them")
    let store = try DamagedStore(seed: seed)
    var random = SeededRandom(seed: seed)
    var counts: [String: Int] = [:]
    for round in 0..<DamageTests.rounds {
      let damage = Damage(&random, store.images)
      let outcome = try store.outcome(damage)
      if case .wrong(let what) = outcome { Issue.record("seed \(seed), round \(round), \(damage): \(what)") }
      counts["\(damage.file) \(outcome.word)", default: 0] += 1
    }
    for (what, count) in counts.sorted(by: { $0.key < $1.key }) { print("damages: \(what): \(count)") }
    #expect(counts.keys.contains { $0.contains("refused") } && counts.keys.contains { $0.contains("company") })
  }

  /// Broken variants: the same damages are answered from.
  @Test func isAnsweredFromWithoutDigests() throws {
    let wrong = try count(of: 11, where: { $0.file == .database }) { $0.checksDigests = false }
    #expect(wrong > 0)
  }

  @Test func takesChangesBackWithoutTheHead() throws {
    let wrong = try count(of: 12, where: { $0.file == .writeAheadLog }) { $0.checksHead = false }
    #expect(wrong > 0)
  }

  /// How many of some damages lead to wrong answers.
  private func count(
    of seed: UInt64, where isWanted: (Damage) -> Bool, _ adjust: @escaping (inout StoreConfiguration) -> Void
  ) throws -> Int {
    let store = try DamagedStore(seed: seed)
    var (random, wrong, rounds) = (SeededRandom(seed: seed), 0, 0)
    while rounds < 150 {
      let damage = Damage(&random, store.images)
      if !isWanted(damage) { continue }
      rounds += 1
      if case .wrong = try store.outcome(damage, adjust) { wrong += 1 }
    }
    return wrong
  }
}

/// The files of a store, as bytes.
private struct Image {
  var database: [UInt8]
  var writeAheadLog: [UInt8]?
  var head: [UInt8]?
}

private enum DamagedFile: String, CaseIterable {
  case database, writeAheadLog, head, blocks
}

/// One damage: which bytes of which file, and how.
private struct Damage: CustomStringConvertible {
  let file: DamagedFile
  let description: String
  let image: Image

  /// - Parameter images: a store that was stopped; one that was killed; and one as it was earlier.
  init(_ random: inout SeededRandom, _ images: [Image]) {
    file = random.pick(DamagedFile.allCases)
    var image = file == .writeAheadLog ? images[1] : images[random.below(2)]
    let how: String
    switch file {
    case .database: how = Damage.damage(&image.database, images[2].database, &random)
    case .blocks: how = Damage.damageBlock(&image.database, &random)
    case .writeAheadLog: how = Damage.damageOrRemove(&image.writeAheadLog, &random)
    case .head: how = Damage.damageOrRemove(&image.head, &random)
    }
    (self.image, description) = (image, "\(file): \(how)")
  }

  private static func damageOrRemove(_ bytes: inout [UInt8]?, _ random: inout SeededRandom) -> String {
    if random.below(20) == 0 {
      bytes = nil
      return "removed"
    }
    return damage(&bytes!, bytes!, &random)
  }

  private static func damage(_ bytes: inout [UInt8], _ older: [UInt8], _ random: inout SeededRandom) -> String {
    let place = random.below(bytes.count)
    switch random.below(8) {
    case 0, 1:
      bytes[place] ^= 1 << UInt8(random.below(8))
      return "a bit at \(place)"
    case 2:
      let count = min(random.below(16) + 1, bytes.count - place)
      for index in place..<place + count { bytes[index] = UInt8(random.below(256)) }
      return "\(count) bytes at \(place)"
    case 3:
      bytes.removeLast(bytes.count - place)
      return "cut at \(place)"
    case 4:
      let (start, length) = random.below(2) == 0 ? (place / 4_096 * 4_096, 4_096) : (place / 512 * 512, 512)
      for index in start..<min(start + length, bytes.count) { bytes[index] = 0 }
      return "\(length) zero bytes from \(start)"
    case 5:
      let (start, from) = (place / 4_096 * 4_096, random.below(older.count) / 4_096 * 4_096)
      let length = min(4_096, bytes.count - start, older.count - from)
      bytes.replaceSubrange(start..<start + length, with: older[from..<from + length])
      return "a page at \(start) from \(from)"
    case 6:
      let start = min(place, older.count - 1) / 4_096 * 4_096
      let length = min(4_096, bytes.count - start, older.count - start)
      bytes.replaceSubrange(start..<start + length, with: older[start..<start + length])
      return "an older page at \(start)"
    default: return overwriteText(&bytes, from: place, &random)
    }
  }

  /// Some letters are written over by others.
  private static func overwriteText(
    _ bytes: inout [UInt8], from place: Int, _ random: inout SeededRandom
  ) -> String {
    let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
    let start = (place..<bytes.count).first { letters.contains(bytes[$0]) } ?? 0
    let end = (start..<bytes.count).first { !letters.contains(bytes[$0]) } ?? bytes.count
    for index in start..<min(end, start + 1 + random.below(4)) {
      bytes[index] = letters.lowerBound + UInt8(random.below(26))
    }
    return "letters at \(start)"
  }

  /// One of the numbers of the lists, wherever it is stored.
  private static func damageBlock(_ bytes: inout [UInt8], _ random: inout SeededRandom) -> String {
    let number = DamagedStore.firstNumber + UInt64(random.below(DamagedStore.numbers))
    let pattern = Data(withUnsafeBytes(of: number.littleEndian, Array.init))
    guard let range = Data(bytes).range(of: pattern) else { return "none" }
    let place = range.lowerBound + random.below(8 * 3)
    bytes[min(place, bytes.count - 1)] ^= 1 << UInt8(random.below(8))
    return "a bit near number \(number), at \(place)"
  }
}

private enum Outcome {
  /// All is as it was acknowledged.
  case unharmed
  /// Some companies are refused, and the others are right.
  case companyRefused
  case startRefused
  case wrong(String)

  var word: String {
    switch self {
    case .unharmed: "unharmed"
    case .companyRefused: "company refused"
    case .startRefused: "start refused"
    case .wrong: "WRONG"
    }
  }
}

/// A store with companies of random shape and lists of numbers, and what is right of it.
private final class DamagedStore {
  static let firstNumber: UInt64 = 4_000_000_000
  static let numbers = 900

  /// Stopped, killed, and as it was earlier.
  private(set) var images: [Image] = []
  private let scratch = Scratch()
  private var expected: [Name: CompanyIndex] = [:]
  private var numbers: [Name: [UInt64]] = [:]
  private var facts: [Name: Set<Fact>] = [:]
  private var revision: UInt64 = 0

  init(seed: UInt64) throws {
    var walkers = (0..<5).map {
      RandomCompany(seed: seed &+ UInt64($0), id: Name(stringLiteral: "c\($0)"), mode: .enhanced)
    }
    var random = SeededRandom(seed: seed)
    let store = try Store(scratch.configuration)
    for walker in walkers { try store.commit([store.record(walker.company.id, walker.company.edits)]) }
    try fillLists(store)
    try walk(&walkers, 60, store, &random)
    images.append(try image())
    try store.checkpoint()
    try walk(&walkers, 40, store, &random)
    let killed = try image()
    revision = store.revision
    for id in try store.companies() { try expect(id, store) }
    try store.close()
    images = [try image(), killed] + images
  }

  private func walk(
    _ walkers: inout [RandomCompany], _ changes: Int, _ store: Store, _ random: inout SeededRandom
  ) throws {
    for _ in 0..<changes {
      let number = random.below(walkers.count)
      let change = walkers[number].nextChange()
      guard let outcome = try? walkers[number].apply([change]), !outcome.edits.isEmpty else { continue }
      try store.commit([store.record(walkers[number].company.id, outcome.edits)])
    }
  }

  private func fillLists(_ store: Store) throws {
    var company = Company(id: "lists")
    try store.apply(everyKind, to: &company)
    var rows = NumberRows()
    for number in 0..<UInt64(DamagedStore.numbers) {
      rows.append(DamagedStore.firstNumber + number, details: number % 2 == 0 ? Array("caller \(number)".utf8) : [])
    }
    var writes = BlockWrites(company: "lists", list: "dnc", set: try store.nextSet())
    writes.isNew = true
    writes.inserted = rows.blocks().map(StoredBlock.init)
    let outcome = try company.noteNumbers(
      of: "dnc", count: UInt64(rows.count), blockSet: writes.set,
      digest: BlockHash.digest(of: writes.inserted.map(\.hash)))
    try store.commit([store.record("lists", outcome.edits)], numbers: writes)
  }

  private func expect(_ id: Name, _ store: Store) throws {
    let rows = try store.rows(of: id, withNumbers: true)
    expected[id] = try CompanyIndex(rows, seed: 7)
    facts[id] = try rows.company().facts
    numbers[id] = rows.numbers.values.flatMap { $0.flatMap(\.numbers) }
  }

  private func image() throws -> Image {
    Image(
      database: try scratch.bytes(scratch.database),
      writeAheadLog: try? scratch.bytes(scratch.configuration.walPath),
      head: try scratch.bytes(scratch.configuration.headPath))
  }

  private func put(_ image: Image) throws {
    let configuration = scratch.configuration
    let files = [
      (configuration.databasePath, image.database), (configuration.walPath, image.writeAheadLog),
      (configuration.headPath, image.head),
    ]
    for (path, bytes) in files {
      unlink(path)
      if let bytes { try scratch.put(bytes, path) }
    }
  }

  /// Starts on the damaged files, and loads every company as the daemon does.
  func outcome(_ damage: Damage, _ adjust: (inout StoreConfiguration) -> Void = { _ in }) throws -> Outcome {
    try put(damage.image)
    var configuration = scratch.configuration
    adjust(&configuration)
    do {
      let store = try Store(configuration)
      defer { try? store.close() }
      return try outcome(store)
    } catch {
      return namesFile("\(error)") && saysWhatNext("\(error)") ? .startRefused : .wrong("refused with '\(error)'")
    }
  }

  private func outcome(_ store: Store) throws -> Outcome {
    if store.revision != revision { return .wrong("revision \(store.revision) in place of \(revision)") }
    let companies = try store.companies()
    if let lost = expected.keys.first(where: { !companies.contains($0) }) { return .wrong("'\(lost)' is not there") }
    var outcome = Outcome.unharmed
    for id in companies {
      do {
        if try !isRight(id, store.rows(of: id, withNumbers: true)) { return .wrong("'\(id)' is loaded, and another") }
      } catch {
        let words = "\(error)"
        guard namesFile(words), words.contains("company '\(id)'"), saysWhatNext(words) else {
          return .wrong("'\(id)' is refused with '\(words)'")
        }
        outcome = .companyRefused
      }
    }
    return outcome
  }

  private func isRight(_ id: Name, _ rows: CompanyRows) throws -> Bool {
    let index = try CompanyIndex(rows, seed: 7)
    guard let expected = expected[id] else { return false }
    return try index.hasSameContents(as: expected) && rows.company().facts == facts[id]
      && rows.numbers.values.flatMap { $0.flatMap(\.numbers) } == numbers[id]
  }

  private func namesFile(_ words: String) -> Bool {
    let configuration = scratch.configuration
    return [configuration.databasePath, configuration.headPath].contains { words.contains($0) }
  }

  private func saysWhatNext(_ words: String) -> Bool { words.lowercased().contains("restore a backup") }
}

extension Company {
  /// What makes it from nothing.
  fileprivate var edits: [Edit] {
    get throws {
      var company = Company(id: id)
      return try company.apply(changesToRebuild()).edits
    }
  }
}
