import CScopeWire
import Crypto
import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol
import ScopeStore

/// An answer in parts. It keeps the index it began with: all parts are of one revision. Between parts it
/// holds no place in anybody's way, and nothing that points into an arena.
struct PartStream: Sendable {
  enum Kind: Sendable {
    case projects(ProjectStream)
    case objects(ObjectStream)
    case viewers(ViewerStream)
    case changes(LogStream)
    case export(ExportStream)
    case listing(ListingStream)
    case watchedChanges(ChangeWatch)
    case watchedAccess(AccessWatch)
    case numberLists(NumberListStream)
    case numbers(NumberStream)
    case companies(CompanyStream)
  }

  /// Bounds of one part: rows sent, and entities looked at.
  static let rowsPerPart = 512
  static let looksPerPart = 4_096
  /// Changes of an export, as packed: a role may have a thousand rights.
  static let bytesPerPart = 256 << 10

  let id: UInt64
  /// When nobody waits for the next part any more. Of a watch: never.
  var deadline = NIODeadline.distantFuture
  private(set) var kind: Kind
  /// What was named and is not there: the first part says so.
  private var unknown: [String]

  init(id: UInt64, kind: Kind, unknown: [String] = []) {
    self.id = id
    self.kind = kind
    self.unknown = unknown
  }

  /// Makes the next part.
  mutating func next(using dispatcher: Dispatcher, into out: inout ByteBuffer) throws(Failure) -> Progress {
    if unknown.isEmpty { return try make(dispatcher, &out) }
    dispatcher.reply.unknown = UnsafeMutableBufferPointer(
      start: try dispatcher.arena.copy(unknown), count: unknown.count)
    defer { dispatcher.reply.unknown = nil }
    unknown = []
    return try make(dispatcher, &out)
  }

  private mutating func make(_ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Progress {
    switch kind {
    case .watchedChanges(var watch):
      let progress = try watch.next(id, dispatcher, &out)
      kind = .watchedChanges(watch)
      return progress
    case .watchedAccess(var watch):
      let progress = try watch.next(id, dispatcher, &out)
      kind = .watchedAccess(watch)
      return progress
    case .numbers(var stream):
      let progress = try stream.next(id, dispatcher, &out)
      kind = .numbers(stream)
      return progress
    default: return try nextPart(dispatcher, &out) ? .more : .done
    }
  }

  /// Lets go of the indexes of all companies but the one it tells of. To be called when there is more than one part.
  mutating func holdOne() {
    switch kind {
    case .projects(var stream):
      stream.holdOne()
      kind = .projects(stream)
    case .objects(var stream):
      stream.holdOne()
      kind = .objects(stream)
    case .viewers(var stream):
      stream.holdOne()
      kind = .viewers(stream)
    case .numberLists(var stream):
      stream.holdOne()
      kind = .numberLists(stream)
    case .changes, .export, .listing, .watchedChanges, .watchedAccess, .numbers, .companies: break
    }
  }

  private mutating func nextPart(_ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    switch kind {
    case .projects(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .projects(stream)
      return isMore
    case .objects(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .objects(stream)
      return isMore
    case .viewers(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .viewers(stream)
      return isMore
    case .changes(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .changes(stream)
      return isMore
    case .export(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .export(stream)
      return isMore
    case .listing(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .listing(stream)
      return isMore
    case .numberLists(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .numberLists(stream)
      return isMore
    case .companies(var stream):
      let isMore = try stream.next(id, dispatcher, &out)
      kind = .companies(stream)
      return isMore
    case .watchedChanges, .watchedAccess, .numbers: return false
    }
  }
}

/// An answer that is made from the index it began with. Clients may take it for a minute, and other companies' indexes
/// are not to be kept for as long.
protocol HoldsRoot: Sendable {
  var root: IndexRoot { get set }
  var company: [UInt8] { get }
}

extension HoldsRoot {
  fileprivate mutating func holdOne() { root = company.withUnsafeBytes { root.alone($0) } }
}

// MARK: - Watches

extension PartStream {
  /// Longest silence of a watch; nil: it is none.
  var heartbeat: TimeAmount? {
    switch kind {
    case .watchedChanges(let watch): watch.heartbeat
    case .watchedAccess(let watch): watch.heartbeat
    default: nil
    }
  }

  /// Makes the sign of life of a watch that waits.
  func beat(using dispatcher: Dispatcher, into out: inout ByteBuffer) {
    switch kind {
    case .watchedChanges(let watch): watch.beat(id, dispatcher, &out)
    case .watchedAccess(let watch): watch.beat(id, dispatcher, &out)
    default: break
    }
  }

  /// Takes a page of numbers that was asked for.
  mutating func take(_ page: NumberPage) {
    guard case .numbers(var stream) = kind else { return }
    stream.take(page)
    kind = .numbers(stream)
  }

  /// Takes a page of the log that a watch asked for.
  mutating func take(_ page: LogPage, revision: UInt64) {
    guard case .watchedChanges(var watch) = kind else { return }
    watch.take(page, revision: revision)
    kind = .watchedChanges(watch)
  }
}

/// The rows of a part, in the arena.
struct Rows<Row> {
  private let rows: UnsafeMutablePointer<Row>
  let list: UnsafeMutablePointer<UnsafeMutablePointer<Row>?>
  private(set) var count = 0

  init(_ arena: Arena) throws(Failure) {
    guard let rows = arena.allocate(Row.self, count: PartStream.rowsPerPart),
      let list = arena.allocate(UnsafeMutablePointer<Row>?.self, count: PartStream.rowsPerPart)
    else { throw Arena.full }
    self.rows = rows
    self.list = list
  }

  var isFull: Bool { count == PartStream.rowsPerPart }

  /// The next row, uninitialised.
  mutating func append() -> UnsafeMutablePointer<Row> {
    let row = rows + count
    list[count] = row
    count += 1
    return row
  }
}

/// The companies there are.
struct CompanyStream: Sendable {
  private let companies: [ListedCompany]
  private let revision: UInt64
  private var position = 0
  let heldBytes: Int

  init(_ companies: [ListedCompany], revision: UInt64) {
    self.companies = companies
    self.revision = revision
    heldBytes = companies.reduce(0) { $0 + MemoryLayout<ListedCompany>.stride + $1.id.text.utf8.count }
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    let arena = dispatcher.arena
    var rows = try Rows<Scope__V1__CompanyRow>(arena)
    while position < companies.count, !rows.isFull {
      let company = companies[position]
      let row = rows.append()
      scope__v1__company_row__init(row)
      row.pointee.id = try arena.copy(company.id.text)
      row.pointee.mode =
        switch company.mode {
        case .simple: SCOPE__V1__SECURITY_MODE__SECURITY_MODE_SIMPLE
        case .enhanced: SCOPE__V1__SECURITY_MODE__SECURITY_MODE_ENHANCED
        case nil: SCOPE__V1__SECURITY_MODE__SECURITY_MODE_UNSPECIFIED
        }
      position += 1
    }
    let isMore = position < companies.count
    let response = try arena.make(scope__v1__list_companies_response__init)
    (response.pointee.companies, response.pointee.n_companies) = (rows.list, rows.count)
    dispatcher.reply.begin(id, revision: revision, more: isMore)
    dispatcher.reply.setCompanies(response)
    dispatcher.reply.end(into: &out)
    return isMore
  }
}

/// The projects a user sees; without a user, every project.
struct ProjectStream: HoldsRoot {
  var root: IndexRoot
  let company: [UInt8]
  private let user: [UInt8]
  private var number = 0

  init(root: IndexRoot, company: Key, user: Key) {
    self.root = root
    self.company = Array(company)
    self.user = Array(user)
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    var rows = try Rows<Scope__V1__ProjectTile>(dispatcher.arena)
    var isMore = false
    if let view = company.withUnsafeBytes({ root.company($0) }) {
      let subject = user.withUnsafeBytes { view.subject(kind: SubjectKind.user, id: $0) }
      let end = min(number + PartStream.looksPerPart, view.projectCount)
      while number < end, !rows.isFull {
        let row = user.isEmpty ? view.project(number) : view.visibleProject(number, to: subject)
        if let row { rows.append().write(row) }
        number += 1
      }
      isMore = number < view.projectCount
    }
    dispatcher.reply.begin(id, revision: root.revision, more: isMore)
    dispatcher.reply.setProjects(rows.list, count: rows.count)
    dispatcher.reply.end(into: &out)
    return isMore
  }
}

/// The objects a subject sees.
struct ObjectStream: HoldsRoot {
  var root: IndexRoot
  let company: [UInt8]
  private let subjectKind: UInt8
  private let subject: [UInt8]
  private let project: [UInt8]
  /// WhatSees rather than ListObjects.
  private let tellsReasons: Bool
  /// What is still to be gone through.
  private var ranges: [(kind: UInt8, numbers: Range<Int>)]

  /// - Parameter types: what is wanted, be it objects, users, groups or projects; empty: objects of all types.
  init(
    root: IndexRoot, company: Key, subjectKind: UInt8, subject: Key, types: Set<UInt8>, project: Key,
    tellsReasons: Bool
  ) {
    self.root = root
    self.company = Array(company)
    self.subjectKind = subjectKind
    self.subject = Array(subject)
    self.project = Array(project)
    self.tellsReasons = tellsReasons
    let view = root.company(company)
    let wanted = types.isEmpty ? Array(ObjectType.numbers) : types.sorted()
    ranges = wanted.compactMap { kind in view.map { (kind, $0.numbers(ofKind: kind)) } }.filter { !$0.numbers.isEmpty }
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    var rows = try Rows<Scope__V1__ObjectRow>(dispatcher.arena)
    var seen = try Rows<Scope__V1__SeenObject>(dispatcher.arena)
    if let view = company.withUnsafeBytes({ root.company($0) }) {
      let subject = subject.withUnsafeBytes { view.subject(kind: subjectKind, id: $0) }
      let narrowing = project.withUnsafeBytes { view.narrowing(to: $0) }
      var looks = PartStream.looksPerPart
      while looks > 0, !rows.isFull, let (kind, number) = nextNumber() {
        guard let (row, answer) = view.seen(kind, number, by: subject, within: narrowing, &looks) else { continue }
        let wire = rows.append()
        wire.write(row)
        if tellsReasons { seen.append().write(wire, answer) }
      }
    }
    dispatcher.reply.begin(id, revision: root.revision, more: !ranges.isEmpty)
    if tellsReasons {
      let response = try dispatcher.arena.make(scope__v1__what_sees_response__init)
      (response.pointee.objects, response.pointee.n_objects) = (seen.list, seen.count)
      dispatcher.reply.setSeenObjects(response)
    } else {
      dispatcher.reply.setObjects(rows.list, count: rows.count)
    }
    dispatcher.reply.end(into: &out)
    return !ranges.isEmpty
  }

  private mutating func nextNumber() -> (kind: UInt8, number: Int)? {
    guard let (kind, numbers) = ranges.first else { return nil }
    let rest = numbers.dropFirst()
    if rest.isEmpty { ranges.removeFirst() } else { ranges[0].numbers = rest }
    return (kind, numbers.lowerBound)
  }
}

/// The users who see an object.
struct ViewerStream: HoldsRoot {
  var root: IndexRoot
  let company: [UInt8]
  private let type: UInt8
  private let object: [UInt8]
  private var number = 0

  init(root: IndexRoot, company: Key, type: UInt8, object: Key) {
    self.root = root
    self.company = Array(company)
    self.type = type
    self.object = Array(object)
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    var rows = try Rows<Scope__V1__Viewer>(dispatcher.arena)
    var isMore = false
    if let view = company.withUnsafeBytes({ root.company($0) }) {
      var looks = PartStream.looksPerPart
      object.withUnsafeBytes { object in
        while looks > 0, number < view.userCount, !rows.isFull {
          if let row = view.viewer(number, of: object, type: type, &looks) { rows.append().write(row) }
          number += 1
        }
      }
      isMore = number < view.userCount
    }
    let response = try dispatcher.arena.make(scope__v1__who_can_see_response__init)
    (response.pointee.viewers, response.pointee.n_viewers) = (rows.list, rows.count)
    dispatcher.reply.begin(id, revision: root.revision, more: isMore)
    dispatcher.reply.setViewers(response)
    dispatcher.reply.end(into: &out)
    return isMore
  }
}

/// A company as the changes that make it.
struct ExportStream: Sendable {
  var count: Int { changes.count }
  private let changes: [Change]
  private let revision: UInt64
  private var position = 0
  private var hash = SHA256()

  init(_ company: Company?, revision: UInt64) {
    changes = company?.changesToRebuild() ?? []
    self.revision = revision
  }

  mutating func next(_ id: UInt64, _ dispatcher: Dispatcher, _ out: inout ByteBuffer) throws(Failure) -> Bool {
    guard
      let list = dispatcher.arena.allocate(
        UnsafeMutablePointer<Scope__V1__Change>?.self, count: PartStream.rowsPerPart)
    else { throw Arena.full }
    var (count, bytes) = (0, 0)
    while position < changes.count, count < PartStream.rowsPerPart, bytes < PartStream.bytesPerPart {
      let change = try changes[position].wire(in: dispatcher.arena)
      bytes += try addToDigest(change, dispatcher.arena)
      list[count] = change
      count += 1
      position += 1
    }
    let isMore = position < changes.count
    let digest = isMore ? [] : Array(hash.finalize())
    dispatcher.reply.begin(id, revision: revision, more: isMore)
    digest.withUnsafeBytes {
      dispatcher.reply.setExport(list, count: count, digest: ProtobufCBinaryData($0))
      dispatcher.reply.end(into: &out)
    }
    return isMore
  }

  /// Returns how many bytes the change takes.
  private mutating func addToDigest(
    _ change: UnsafeMutablePointer<Scope__V1__Change>, _ arena: Arena
  ) throws(Failure) -> Int {
    let count = scope__v1__change__get_packed_size(change)
    guard let packed = arena.allocate(UInt8.self, count: count) else { throw Arena.full }
    scope__v1__change__pack(change, packed)
    withUnsafeBytes(of: UInt32(count).bigEndian) { hash.update(bufferPointer: $0) }
    hash.update(bufferPointer: UnsafeRawBufferPointer(start: packed, count: count))
    return count
  }
}

extension UnsafeMutablePointer<Scope__V1__ProjectTile> {
  fileprivate func write(_ row: ScopeIndex.ProjectRow) {
    scope__v1__project_tile__init(self)
    pointee.id = ProtobufCBinaryData(row.id)
    pointee.name = ProtobufCBinaryData(row.name)
    pointee.description = ProtobufCBinaryData(row.description)
    pointee.contents_visible = row.contentsVisible ? 1 : 0
  }
}

extension UnsafeMutablePointer<Scope__V1__ObjectRow> {
  func write(_ row: ScopeIndex.ObjectRow) {
    scope__v1__object_row__init(self)
    pointee.type = Scope__V1__EntityType(UInt32(row.type))
    pointee.id = ProtobufCBinaryData(row.id)
    pointee.name = ProtobufCBinaryData(row.name)
    pointee.system = row.isSystem ? 1 : 0
  }
}

extension UnsafeMutablePointer<Scope__V1__SeenObject> {
  fileprivate func write(_ object: UnsafeMutablePointer<Scope__V1__ObjectRow>, _ answer: CheckAnswer) {
    scope__v1__seen_object__init(self)
    pointee.object = object
    pointee.reason = Scope__V1__Reason(UInt32(answer.reason.rawValue))
    pointee.project = ProtobufCBinaryData(answer.project)
    pointee.group = ProtobufCBinaryData(answer.group)
  }
}

extension UnsafeMutablePointer<Scope__V1__Viewer> {
  fileprivate func write(_ row: ViewerRow) {
    scope__v1__viewer__init(self)
    pointee.id = ProtobufCBinaryData(row.id)
    pointee.name = ProtobufCBinaryData(row.name)
    pointee.reason = Scope__V1__Reason(UInt32(row.answer.reason.rawValue))
    pointee.project = ProtobufCBinaryData(row.answer.project)
    pointee.group = ProtobufCBinaryData(row.answer.group)
  }
}
