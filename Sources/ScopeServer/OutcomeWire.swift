import CScopeWire
import NIOCore
import ScopeModel
import ScopeProtocol

extension AccessSummary {
  func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__AccessSummary> {
    let summary = try arena.make(scope__v1__access_summary__init)
    summary.pointee.gained = UInt64(gained)
    summary.pointee.lost = UInt64(lost)
    summary.pointee.complete = isComplete ? 1 : 0
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__AccessChange>?.self, count: first.count) else {
      throw Arena.full
    }
    for (index, row) in first.enumerated() { list[index] = try row.wire(in: arena) }
    (summary.pointee.first, summary.pointee.n_first) = (list, first.count)
    return summary
  }
}

extension AccessSummary.Row {
  fileprivate func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__AccessChange> {
    let wire = try arena.make(scope__v1__access_change__init)
    wire.pointee.user = try arena.copy(user.text)
    wire.pointee.user_name = try arena.copy(userName.text)
    wire.pointee.object_type = Scope__V1__EntityType(UInt32(object.type.number))
    wire.pointee.object_id = try arena.copy(object.id.text)
    wire.pointee.object_name = try arena.copy(objectName.text)
    wire.pointee.gained = isGained ? 1 : 0
    return wire
  }
}

extension Gathered {
  /// Things told by name.
  private static let told = 100

  func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__Gathered> {
    let gathered = try arena.make(scope__v1__gathered__init)
    let texts = users.prefix(Gathered.told).map { "user:\($0)" } + objects.prefix(Gathered.told).map(\.description)
    let first = Array(texts.prefix(Gathered.told))
    gathered.pointee.project = try arena.copy(project.text)
    gathered.pointee.users = UInt64(users.count)
    gathered.pointee.objects = UInt64(objects.count)
    (gathered.pointee.first, gathered.pointee.n_first) = (try arena.copy(first), first.count)
    gathered.pointee.complete = first.count == users.count + objects.count ? 1 : 0
    return gathered
  }
}

extension Dispatcher {
  /// Lays warnings out in the arena.
  func wire(
    _ warnings: [Warning]
  ) throws(Failure) -> UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Warning>?>? {
    if warnings.isEmpty { return nil }
    typealias Row = UnsafeMutablePointer<Scope__V1__Warning>
    guard let list = arena.allocate(Row?.self, count: warnings.count) else { throw Arena.full }
    for (index, warning) in warnings.enumerated() {
      let row = try arena.make(scope__v1__warning__init)
      row.pointee.change = UInt32(warning.index + 1)
      row.pointee.reason = try arena.copy(warning.code)
      row.pointee.message = try arena.copy(warning.message)
      row.pointee.projects = try arena.copy(warning.projects)
      row.pointee.n_projects = warning.projects.count
      list[index] = row
    }
    return list
  }

  /// The answer to a batch that was applied.
  func answer(_ id: UInt64, _ applied: Applied, into out: inout ByteBuffer) {
    // It is applied: without memory for what else there is to tell it must not look refused.
    var applied = applied
    let warnings = (try? wire(applied.warnings)) ?? nil
    if warnings == nil { applied.warnings = [] }
    let gathered = try? applied.gathered?.wire(in: arena)
    let access = try? applied.access?.wire(in: arena)
    reply.begin(id, revision: applied.revision)
    reply.setApplied(applied, warnings: warnings, gathered: gathered, access: access)
    reply.end(into: &out)
  }

  /// The answer to Preview.
  func answer(_ id: UInt64, preview: Applied, into out: inout ByteBuffer) {
    do throws(Failure) {
      let response = try arena.make(scope__v1__preview_response__init)
      response.pointee.edits = UInt32(preview.edits)
      (response.pointee.warnings, response.pointee.n_warnings) = (try wire(preview.warnings), preview.warnings.count)
      if let gathered = preview.gathered { response.pointee.gathered = try gathered.wire(in: arena) }
      if let access = preview.access { response.pointee.access = try access.wire(in: arena) }
      if let people = preview.people { response.pointee.people = try people.wire(in: arena) }
      reply.begin(id, revision: preview.revision)
      reply.setPreview(response)
      reply.end(into: &out)
    } catch {
      fail(id, error, &out)
    }
  }
}
