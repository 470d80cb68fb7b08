import CScopeWire
import NIOCore
import ScopeModel
import ScopeProtocol
import ScopeStore

/// A page of the log in parts: one record may have hundreds of thousands of edits.
struct LogStream: Sendable {
  /// Edits of one part, and rows of summaries; each takes at most about two kilobytes.
  private static let editsPerPart = 1_024

  private let page: LogPage
  let heldBytes: Int
  private let revision: UInt64
  private var record = 0
  /// Of that record, the edits sent.
  private var edit = 0
  /// Of the last record sent as a whole; 0: none was.
  private(set) var wholeRevision: UInt64 = 0

  init(_ page: LogPage, revision: UInt64) {
    self.page = page
    self.revision = revision
    heldBytes = page.heldBytes
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    let response = try dispatcher.arena.make(scope__v1__list_changes_response__init)
    let isMore = try writePart(dispatcher) { (response.pointee.records, response.pointee.n_records) = ($0, $1) }
    if !isMore { response.pointee.next_after_revision = page.next }
    dispatcher.reply.begin(id, revision: revision, more: isMore)
    dispatcher.reply.setChanges(response)
    dispatcher.reply.end(into: &out)
    return isMore
  }

  /// The changes go in one part.
  static func isOnePart(_ changes: [LoggedChange]) -> Bool {
    let room = changes.reduce(0) { $0 + 1 + $1.record.edits.count + ($1.record.access?.first.count ?? 0) }
    return room <= editsPerPart
  }

  /// Lays the next records out; returns whether there are more.
  mutating func writePart(
    _ dispatcher: Dispatcher,
    _ write: (UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__ChangeRecord>?>, Int) -> Void
  ) throws(Failure) -> Bool {
    let arena = dispatcher.arena
    var records: [UnsafeMutablePointer<Scope__V1__ChangeRecord>?] = []
    var room = LogStream.editsPerPart
    while room > 0, record < page.changes.count { records.append(try takeRecord(&room, arena)) }
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__ChangeRecord>?.self, count: records.count) else {
      throw Arena.full
    }
    for (index, record) in records.enumerated() { list[index] = record }
    write(list, records.count)
    return record < page.changes.count
  }

  /// As much of the record at hand as there is room for; the record itself takes the room of one edit.
  private mutating func takeRecord(
    _ room: inout Int, _ arena: Arena
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ChangeRecord> {
    let change = page.changes[record]
    let edits = change.record.edits[edit...].prefix(room)
    let wire = try change.wire(edits, in: arena)
    room -= 1 + edits.count
    edit += edits.count
    wire.pointee.continued = edit < change.record.edits.count ? 1 : 0
    if edit == change.record.edits.count, let access = change.record.access {
      wire.pointee.access = try access.wire(in: arena)
      room -= access.first.count
    }
    if edit == change.record.edits.count { (record, edit, wholeRevision) = (record + 1, 0, change.record.revision) }
    return wire
  }
}

extension LoggedChange {
  /// The whole change as a `ChangeRecord`.
  func packed(in arena: Arena) throws(Failure) -> [UInt8] {
    let wire = try wire(record.edits[...], in: arena)
    if let access = record.access { wire.pointee.access = try access.wire(in: arena) }
    return [UInt8](unsafeUninitializedCapacity: scope__v1__change_record__get_packed_size(wire)) { memory, count in
      count = scope__v1__change_record__pack(wire, memory.baseAddress)
    }
  }

  fileprivate func wire(
    _ edits: ArraySlice<Edit>, in arena: Arena
  ) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ChangeRecord> {
    let wire = try arena.make(scope__v1__change_record__init)
    wire.pointee.revision = record.revision
    wire.pointee.time_us = record.timeMicroseconds
    wire.pointee.actor = try arena.copy(record.actor?.text ?? "")
    wire.pointee.caller = try arena.copy(record.caller.text)
    wire.pointee.hash = try arena.copy(hash)
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__Edit>?.self, count: edits.count) else {
      throw Arena.full
    }
    for (index, edit) in edits.enumerated() { list[index] = try edit.wire(in: arena) }
    (wire.pointee.edits, wire.pointee.n_edits) = (list, edits.count)
    return wire
  }
}

extension Edit {
  fileprivate func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__Edit> {
    let wire = try arena.make(scope__v1__edit__init)
    let (before, after) = (before?.texts ?? [], after?.texts ?? [])
    (wire.pointee.before, wire.pointee.n_before) = (try arena.copy(before), before.count)
    (wire.pointee.after, wire.pointee.n_after) = (try arena.copy(after), after.count)
    return wire
  }
}

extension Dispatcher {
  /// The answer to Verify.
  func answer(_ id: UInt64, _ found: Verification, _ revision: UInt64, into out: inout ByteBuffer) {
    do throws(Failure) {
      let wire = try arena.make(scope__v1__verify_response__init)
      wire.pointee.sound = found.isSound ? 1 : 0
      (wire.pointee.problems, wire.pointee.n_problems) = (try arena.copy(found.problems), found.problems.count)
      wire.pointee.companies = UInt64(found.companies)
      wire.pointee.facts = UInt64(found.facts)
      wire.pointee.head_hash = try arena.copy(found.head.hash)
      reply.begin(id, revision: revision)
      reply.setVerification(wire)
      reply.end(into: &out)
    } catch {
      fail(id, error, &out)
    }
  }
}
