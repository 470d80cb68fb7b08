import ScopeModel
import ScopeTesting

/// Frames that floods are made of. Those that have a limit of bytes come as close to it as they can.
enum FloodFrames {
  /// Of the wire.
  private static let frameBytes = 4 << 20
  /// Up to which a frame is answered on the event loop itself.
  private static let inlineBytes = 64 << 10

  static func frame(_ company: Name?, call: Int, _ message: [UInt8] = [], timeoutMilliseconds: UInt32 = 0) -> [UInt8] {
    var request = RawRequest(company: company?.text ?? "", call: call, message)
    request.timeoutMilliseconds = timeoutMilliseconds
    return RawConnection.frame(request.packed)
  }

  private static func bytes(_ name: Name) -> [UInt8] { Array(name.text.utf8) }

  private static func check(_ user: Name, _ object: ObjectRef, right: [UInt8] = []) -> [UInt8] {
    RawRequest.check((1, bytes(user)), (UInt64(object.type.number), bytes(object.id)), right: right)
  }

  private static func field(_ id: Name) -> ObjectRef { ObjectRef(.contactField, id) }

  // MARK: - Plain

  static let check = frame(BenchmarkCompany.id, call: 11, check(centreUser, centreObject))
  /// A user and an object of the company that the honest client asks about.
  static let centreUser = BenchmarkCompany.centre.userID(7)
  static let centreObject = BenchmarkCompany.centre.object(7)

  static func canSee(_ company: Name, _ user: Name, _ object: ObjectRef) -> [UInt8] {
    frame(company, call: 11, check(user, object))
  }

  /// A log page as large as may be asked for.
  static let logPage = frame(FloodCompanies.dense, call: 22, Proto.number(3, 1_000))

  // MARK: - Dense

  /// Fields of many projects, over and over, just under what is answered on the event loop; as a bitmap.
  static func denseFilter(_ user: Name, _ fields: [Name]) -> [UInt8] {
    let head = Proto.number(1, 1) + Proto.bytes(2, bytes(user)) + Proto.number(3, 24)
    let ids = filled(to: inlineBytes - 64) { number in Proto.message(4, bytes(fields[number % fields.count])) }
    return frame(FloodCompanies.dense, call: 14, head + ids + Proto.number(6, 1))
  }

  static let denseMany = frame(
    FloodCompanies.dense, call: 12,
    (0..<8_192).flatMap { Proto.message(1, check(Dense.user, field(Dense.fields[$0 % Dense.fields.count]))) })

  static let denseChecks = Dense.fields.map { canSee(FloodCompanies.dense, Dense.user, field($0)) }

  static let denseExplain = frame(
    FloodCompanies.dense, call: 19, Proto.message(1, check(Dense.user, field(Dense.fields[0]))))

  /// ListObjects and WhatSees.
  static func denseListing(call: Int, _ user: Name) -> [UInt8] {
    frame(FloodCompanies.dense, call: call, Proto.number(1, 1) + Proto.bytes(2, bytes(user)))
  }

  static let denseViewers = frame(
    FloodCompanies.dense, call: 20, Proto.number(1, 24) + Proto.bytes(2, bytes(Dense.fields[0])))

  // MARK: - Large

  /// 8,192 checks with the longest answers there are.
  static let wideMany = frame(
    FloodCompanies.wide, call: 12,
    (0..<8_192).flatMap { _ in
      Proto.message(1, check(FloodCompanies.wideUser, FloodCompanies.wideQueue))
    })

  /// The largest CheckMany: every name has 128 bytes.
  static let largeMany = frame(
    FloodCompanies.wide, call: 12,
    (0..<8_192).flatMap { _ in
      Proto.message(
        1,
        check(
          FloodCompanies.wideUser, FloodCompanies.wideQueue, right: Array(repeating: UInt8(ascii: "r"), count: 128)))
    })

  /// A FilterObjects of nearly 4 MiB.
  static let largeFilter: [UInt8] = {
    let ids = (0..<65_536).flatMap { number in
      Proto.message(4, Array("q\(number)".utf8) + Array(repeating: UInt8(ascii: "x"), count: 50))
    }
    let head = Proto.number(1, 1) + Proto.bytes(2, bytes(FloodCompanies.wideUser)) + Proto.number(3, 16)
    return frame(FloodCompanies.wide, call: 14, head + ids + Proto.number(6, 1))
  }()

  /// A frame of the greatest length, a byte short.
  static let partial: [UInt8] = {
    let length = withUnsafeBytes(of: UInt32(frameBytes).bigEndian) { Array($0) }
    return length + check[4...] + [UInt8](repeating: 0, count: frameBytes - check.count + 3)
  }()

  // MARK: - Changes

  /// A batch of nearly 4 MiB.
  ///
  /// - Parameter expectedRevision: a revision that is long past is refused; nil: it is applied.
  static func largeApply(_ letter: String, expectedRevision: UInt64?) -> [UInt8] {
    let description = Array(String(repeating: letter, count: FloodCompanies.scratchDescriptionBytes).utf8)
    let changes = (0..<FloodCompanies.scratchProjects).flatMap { number in
      let id = bytes(FloodCompanies.scratchProject(number))
      return Proto.message(
        1, Proto.message(12, Proto.bytes(1, id) + Proto.bytes(2, id) + Proto.bytes(3, description)))
    }
    return frame(
      FloodCompanies.scratch, call: 16, changes + Proto.number(3, expectedRevision ?? 0), timeoutMilliseconds: 60_000)
  }

  /// A membership, to and fro: each is a change.
  static func memberships(_ user: Name, _ project: Name) -> [[UInt8]] {
    [ScopedDialect.addMember(user, project), ScopedDialect.removeMember(user, project)].map { ScopedDialect.apply($0) }
  }

  /// Many memberships in one change, to and fro.
  static func manyMemberships(_ pairs: [(user: Name, project: Name)]) -> [[UInt8]] {
    [ScopedDialect.addMember, ScopedDialect.removeMember].map { change in
      frame(BenchmarkCompany.id, call: 16, pairs.flatMap { Proto.message(1, change($0.user, $0.project)) })
    }
  }

  // MARK: - Watches

  static func watchAccess(heartbeatMilliseconds: UInt64 = 0) -> [UInt8] {
    frame(
      BenchmarkCompany.id, call: 35,
      Proto.number(1, 1) + Proto.bytes(2, bytes(centreUser)) + Proto.number(4, heartbeatMilliseconds))
  }

  static func watchChanges(heartbeatMilliseconds: UInt64 = 0) -> [UInt8] {
    frame(BenchmarkCompany.id, call: 34, Proto.number(2, 1) + Proto.number(3, heartbeatMilliseconds))
  }

  // MARK: - Every call

  /// Each call as it may be, empty, and cut amid its message.
  static var everyCall: [[UInt8]] {
    (10...43).flatMap { call -> [[UInt8]] in
      let body = valid[call] ?? []
      let cut = RawRequest(company: BenchmarkCompany.id.text, call: call, body + Proto.key(1, 2) + [0x7F]).packed
      let company = BenchmarkCompany.id
      return [
        frame(company, call: call, body), frame(company, call: call), frame(nil, call: call, body),
        RawConnection.frame(cut), RawConnection.frame(Array(cut.dropLast(3))),
      ]
    }
  }

  private static let valid: [Int: [UInt8]] = {
    let (user, object) = (bytes(centreUser), check(centreUser, centreObject))
    let subject = Proto.number(1, 1) + Proto.bytes(2, user)
    let (type, id) = (UInt64(centreObject.type.number), bytes(centreObject.id))
    let change = Proto.message(1, Proto.message(1, Proto.number(1, 2)))  // PutCompany: nothing to do
    return [
      11: object, 12: Proto.message(1, object), 13: Proto.bytes(1, user),
      14: subject + Proto.number(3, type) + Proto.message(4, id), 15: subject, 16: change, 19: Proto.message(1, object),
      20: Proto.number(1, type) + Proto.bytes(2, id), 21: subject, 22: Proto.number(3, 1),
      24: Proto.bytes(1, user) + Proto.message(2, Array("projects.list".utf8)), 26: Proto.bytes(1, user),
      29: Proto.bytes(1, bytes(BenchmarkCompany.centre.projectID(1))),
      30: Proto.number(1, type) + Proto.bytes(2, id), 33: change, 34: Proto.number(2, 1), 35: subject,
    ]
  }()

  /// Quick questions and slower ones, changes that do nothing, and the daemon's own calls.
  static var everyKind: [[UInt8]] {
    let nothing = frame(BenchmarkCompany.id, call: 16, Proto.message(1, Proto.message(1, Proto.number(1, 2))))
    let projects = frame(BenchmarkCompany.id, call: 13, Proto.bytes(1, bytes(centreUser)))
    let company = frame(BenchmarkCompany.id, call: 36)
    return [check, frame(nil, call: 17), check, projects, nothing, frame(nil, call: 10), company]
  }

  // MARK: - Bad input

  static var badInput: [[UInt8]] { lengths + nested + fields + names }

  /// None, one, the longest, one more, and the most that can be said.
  private static var lengths: [[UInt8]] {
    let longest = RawConnection.frame([UInt8](repeating: 0x55, count: frameBytes))
    let (more, most): ([UInt8], [UInt8]) = ([0, 0x40, 0, 1], [0xFF, 0xFF, 0xFF, 0xFF])
    return [RawConnection.frame([]), RawConnection.frame([8]), longest, more, most]
  }

  /// Groups and messages in each other.
  private static var nested: [[UInt8]] {
    let groups = RawConnection.frame([UInt8](repeating: 0x5B, count: 10_000))
    let messages = [10, 10_000].map { depth in
      RawConnection.frame((0..<depth).reduce(into: [UInt8]()) { message, _ in message = Proto.message(11, message) })
    }
    return [groups] + messages
  }

  private static var fields: [[UInt8]] {
    let many = (0..<100_000).flatMap { _ in Proto.message(4, [0x71]) }
    let repeated = (0..<100_000).flatMap { _ in Proto.bytes(3, [0x63]) }
    let enumeration = Proto.number(1, 9_999) + Proto.bytes(2, [0x75]) + Proto.number(3, 9_999) + Proto.bytes(4, [0x71])
    return [
      frame(BenchmarkCompany.id, call: 14, Proto.number(1, 1) + Proto.bytes(2, [0x75]) + Proto.number(3, 16) + many),
      RawConnection.frame(repeated), frame(BenchmarkCompany.id, call: 99, [1, 2, 3]), frame(nil, call: 200),
      frame(BenchmarkCompany.id, call: 11, enumeration),
      RawConnection.frame(Proto.number(3, 7) + Proto.number(11, 7) + Proto.bytes(1, [7])),
    ]
  }

  private static var names: [[UInt8]] {
    let bad: [[UInt8]] = [
      [], [0x61, 0, 0x62], [0xFF, 0xFE], [0xC0, 0x80], [UInt8](repeating: 0x61, count: 129),
      [UInt8](repeating: 0x61, count: 1_000_000),
    ]
    return bad.map { frame(BenchmarkCompany.id, call: 11, RawRequest.check((1, $0), (16, [0x71]))) }
  }

  /// As many empty checks as go into the largest frame.
  static let emptyChecks = frame(
    BenchmarkCompany.id, call: 12,
    [UInt8](repeating: 0, count: frameBytes - 64).enumerated().map { $0.offset.isMultiple(of: 2) ? 0x0A : 0 })

  // MARK: -

  /// As many pieces as there is room for.
  private static func filled(to limit: Int, _ piece: (Int) -> [UInt8]) -> [UInt8] {
    var (all, number) = ([UInt8](), 0)
    while case let next = piece(number), all.count + next.count <= limit {
      all += next
      number += 1
    }
    return all
  }
}
