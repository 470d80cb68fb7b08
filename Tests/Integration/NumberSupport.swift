import CScopeWire
import ScopeClient
import ScopeModel
import ScopeProtocol
import ScopeTesting

/// Changes of numbers in the contract's own messages.
extension WireCaller {
  struct Changed: Hashable {
    var added = 0
    var altered = 0
    var removed = 0
    var total = 0
  }

  struct Staged: Hashable {
    var parts = 0
    var numbers = 0
    var isFinished = false
    var before = 0
    var total = 0
    var kept = 0
    var purpose = 0
  }

  /// What a call is refused for; nil: it is answered.
  func reason(_ call: (WireCaller) throws -> some Any) -> String? {
    do {
      _ = try call(self)
      return nil
    } catch { return (error as? WireRefusal)?.reason ?? "\(error)" }
  }

  @discardableResult
  func add(_ numbers: [NumberRow], to list: String, actor: String = "") throws -> Changed {
    try ask(SCOPE__V1__REQUEST__CALL_ADD_NUMBERS) { request, arena in
      let call = try arena.make(scope__v1__add_numbers_request__init)
      call.pointee.actor = try arena.copy(actor)
      call.pointee.list = try arena.copy(list)
      (call.pointee.numbers, call.pointee.n_numbers) = (try arena.copy(numbers), numbers.count)
      request.pointee.add_numbers = call
    } read: { response in
      let wire = response.add_numbers.pointee
      return [Changed(added: Int(wire.added), altered: Int(wire.altered), total: Int(wire.total))]
    }[0]
  }

  @discardableResult
  func remove(_ numbers: [String], from list: String, actor: String = "") throws -> Changed {
    try ask(SCOPE__V1__REQUEST__CALL_REMOVE_NUMBERS) { request, arena in
      let call = try arena.make(scope__v1__remove_numbers_request__init)
      call.pointee.actor = try arena.copy(actor)
      call.pointee.list = try arena.copy(list)
      (call.pointee.numbers, call.pointee.n_numbers) = (try arena.copy(numbers), numbers.count)
      request.pointee.remove_numbers = call
    } read: { response in
      let wire = response.remove_numbers.pointee
      return [Changed(removed: Int(wire.removed), total: Int(wire.total))]
    }[0]
  }

  @discardableResult
  func stage(
    _ part: UInt32, _ numbers: [NumberRow] = [], of list: String, key: String = "k", finish: Bool = false,
    compare: Bool = false, abandon: Bool = false, actor: String = ""
  ) throws -> Staged {
    try ask(SCOPE__V1__REQUEST__CALL_IMPORT_NUMBERS) { request, arena in
      let call = try arena.make(scope__v1__import_numbers_request__init)
      call.pointee.actor = try arena.copy(actor)
      call.pointee.list = try arena.copy(list)
      call.pointee.key = try arena.copy(key)
      call.pointee.part = part
      (call.pointee.numbers, call.pointee.n_numbers) = (try arena.copy(numbers), numbers.count)
      call.pointee.finish = finish ? 1 : 0
      call.pointee.compare = compare ? 1 : 0
      call.pointee.abandon = abandon ? 1 : 0
      request.pointee.import_numbers = call
    } read: { response in
      let wire = response.import_numbers.pointee
      return [
        Staged(
          parts: Int(wire.parts), numbers: Int(wire.numbers), isFinished: wire.finished != 0, before: Int(wire.before),
          total: Int(wire.total), kept: Int(wire.kept), purpose: Int(wire.purpose.rawValue))
      ]
    }[0]
  }
}

extension Arena {
  fileprivate func copy(_ rows: [NumberRow]) throws -> UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__NumberRow>?>
  {
    guard let list = allocate(UnsafeMutablePointer<Scope__V1__NumberRow>?.self, count: rows.count) else {
      throw TestFailure("no memory for \(rows.count) rows")
    }
    for (index, row) in rows.enumerated() {
      let wire = try make(scope__v1__number_row__init)
      wire.pointee.number = try copy(row.number)
      wire.pointee.label = try copy(row.label)
      wire.pointee.time_zone = try copy(row.timeZone)
      guard
        let columns = allocate(UnsafeMutablePointer<Scope__V1__NumberColumn>?.self, count: row.columns.count)
      else { throw TestFailure("no memory for columns") }
      for (place, column) in row.columns.enumerated() {
        let wire = try make(scope__v1__number_column__init)
        wire.pointee.name = try copy(column.name)
        wire.pointee.value = try copy(column.value)
        columns[place] = wire
      }
      (wire.pointee.columns, wire.pointee.n_columns) = (columns, row.columns.count)
      list[index] = wire
    }
    return list
  }
}

/// A company with two projects, in each a dialer, a calling list, an unwanted and a VIP list; and one unwanted list
/// that both share.
func numberCompany() -> [Change] {
  var changes: [Change] = [.putCompany(.enhanced)]
  for project in ["shop", "clinic"] as [Name] {
    changes += [
      .putProject(Project(id: project, name: project)),
      .putUser(User(id: project, name: project), roles: [], projects: [project]),
      .putObject(Object(ObjectRef(ObjectType(name: "dialer")!, project), name: project), projects: [project]),
    ]
    for (list, purpose) in [("calls", .calling), ("dnc", .unwanted), ("vip", .vip)] as [(String, ListPurpose)] {
      let id = Name(stringLiteral: "\(project)-\(list)")
      changes += [
        .putObject(Object(ObjectRef(.list, id), name: id), projects: [project]), .setPurpose(list: id, purpose),
      ]
    }
  }
  return changes + [
    .putObject(Object(ObjectRef(.list, "all-dnc"), name: "All"), projects: ["shop", "clinic"]),
    .setPurpose(list: "all-dnc", .unwanted),
  ]
}

func dialer(_ id: Name) -> Subject { .object(ObjectRef(ObjectType(name: "dialer")!, id)) }
