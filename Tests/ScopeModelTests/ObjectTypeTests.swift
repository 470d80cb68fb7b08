import Foundation
import ScopeModel
import Testing

@Suite("Object types") struct ObjectTypeTests {
  @Test("the table is in order of numbers, without gaps, names differ")
  func table() {
    let first = Int(ObjectType.numbers.lowerBound)
    #expect(ObjectType.table.map { Int($0.number) } == Array(first..<first + ObjectType.table.count))
    #expect(Int(ObjectType.numbers.upperBound) == first + ObjectType.table.count - 1)
    #expect(Set(ObjectType.table.map { "\($0.name)" }).count == ObjectType.table.count)
  }

  @Test("every type is found by number and by name")
  func lookup() throws {
    #expect(ObjectType.all.count == ObjectType.table.count)
    for (type, row) in zip(ObjectType.all, ObjectType.table) {
      #expect(type.number == row.number && type.name == "\(row.name)" && type.isExclusive == row.isExclusive)
      #expect(ObjectType(number: row.number) == type)
      #expect(ObjectType(name: "\(row.name)") == type)
    }
    #expect(ObjectType.contactField.name == "contact_field")
  }

  @Test("users, groups, projects and what is not known are no object types")
  func unknown() {
    for number in UInt8.min...UInt8.max where !ObjectType.numbers.contains(number) {
      #expect(ObjectType(number: number) == nil)
    }
    for name in ["", "user", "group", "project", "Queue", "queue ", "queues"] { #expect(ObjectType(name: name) == nil) }
  }

  @Test("queue, call_scenario, dialer and crm_form are exclusive, no other")
  func exclusive() {
    let exclusive = ObjectType.all.filter(\.isExclusive).map(\.name)
    #expect(Set(exclusive) == ["queue", "call_scenario", "dialer", "crm_form"])
  }

  @Test("table and types.proto say the same")
  func proto() throws {
    let onTheWire = try values(ofEnum: "ENTITY_TYPE").filter { $0.value >= 16 }
    let inTheTable = ObjectType.table.map { ("\($0.name)", Int($0.number)) }
    #expect(onTheWire == Dictionary(uniqueKeysWithValues: inTheTable))
  }

  @Test("reasons and types.proto say the same")
  func reasons() throws {
    let onTheWire = try values(ofEnum: "REASON").filter { $0.value > 0 }
    let inTheModel = Reason.allCases.map { ($0.code, Int($0.rawValue)) }
    #expect(onTheWire == Dictionary(uniqueKeysWithValues: inTheModel))
  }

  /// Names in small letters, without the prefix.
  private func values(ofEnum prefix: String) throws -> [String: Int] {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    let text = try String(contentsOf: root.appending(path: "proto/scope/v1/types.proto"), encoding: .utf8)
    var values: [String: Int] = [:]
    for match in text.matches(
      of: try Regex("\\b\(prefix)_([A-Z_]+) = ([0-9]+);", as: (Substring, Substring, Substring).self))
    {
      values[match.output.1.lowercased()] = Int(match.output.2)
    }
    return values
  }

  @Test("refs are in order of type, then of bytes, and read type:id")
  func refs() {
    let refs = [object("queue", "b"), object("schedule", "a"), object("list", "A"), object("list", "a")]
    #expect(refs.reversed().sorted() == refs)
    #expect(object("queue", "support").description == "queue:support")
  }
}
