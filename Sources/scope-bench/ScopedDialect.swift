import CScopeWire
import ScopeModel
import ScopeProtocol
import ScopeTesting

/// Length-prefixed protobuf: `CanSee`, and `FilterObjects` with a bitmap for an answer.
struct ScopedDialect: Dialect {
  let framing = Framing.frames

  func check(_ question: Question) -> [UInt8] {
    ScopedDialect.canSee(question.user, question.object)
  }

  static func canSee(_ user: Name, _ object: ObjectRef, in company: Name = BenchmarkCompany.id) -> [UInt8] {
    let (type, id) = (UInt64(object.type.number), Array(object.id.text.utf8))
    return frame(company, call: 11, RawRequest.check((1, Array(user.text.utf8)), (type, id)))
  }

  func filter(_ question: FilterQuestion) -> [UInt8] {
    let ids = question.ids.flatMap { Proto.message(4, Array($0.text.utf8)) }
    let call =
      Proto.number(1, 1) + Proto.bytes(2, Array(question.user.text.utf8))
      + Proto.number(3, UInt64(question.type.number)) + ids + Proto.number(6, 1)
    return ScopedDialect.frame(BenchmarkCompany.id, call: 14, call)
  }

  /// A change of a large company may take longer than the daemon waits unasked.
  private static func frame(_ company: Name, call: Int, _ message: [UInt8], timeoutMilliseconds: UInt32 = 0) -> [UInt8]
  {
    var request = RawRequest(company: company.text, call: call, message)
    request.timeoutMilliseconds = timeoutMilliseconds
    return RawConnection.frame(request.packed)
  }

  /// Apply of one change.
  static func apply(_ change: [UInt8], to company: Name = BenchmarkCompany.id) -> [UInt8] {
    frame(company, call: 16, Proto.message(1, change), timeoutMilliseconds: 60_000)
  }

  /// A user is put into a project.
  static func addMember(_ user: Name, _ project: Name) -> [UInt8] { Proto.message(14, member(user, project)) }

  /// A user is taken out of a project.
  static func removeMember(_ user: Name, _ project: Name) -> [UInt8] { Proto.message(15, member(user, project)) }

  private static func member(_ user: Name, _ project: Name) -> [UInt8] {
    Proto.bytes(1, Array(project.text.utf8)) + Proto.number(2, 1) + Proto.bytes(3, Array(user.text.utf8))
  }

  /// A new object, placed.
  static func putObject(_ object: ObjectRef, _ project: Name) -> [UInt8] {
    let id = Array(object.id.text.utf8)
    return Proto.message(
      16,
      Proto.number(1, UInt64(object.type.number)) + Proto.bytes(2, id) + Proto.bytes(3, id)
        + Proto.bytes(5, Array(project.text.utf8)))
  }

  func verify(_ answer: [UInt8], to question: Question) throws {
    let response = try RawResponse(Array(answer.dropFirst(4)))
    try require(response.code == 0 && response.decision == (question.isAllowed ? 1 : 2), question)
  }

  func verify(_ answer: [UInt8], to question: FilterQuestion) throws {
    let arena = Arena(limit: 1 << 20)
    let bitmap = try withExtendedLifetime(arena) {
      let wire = answer.dropFirst(4).withUnsafeBytes { arena.unpackResponse($0) }?.pointee
      guard let wire, wire.result_case == SCOPE__V1__RESPONSE__RESULT_FILTER_OBJECTS else {
        throw BenchFailure("no answer to FilterObjects")
      }
      return Array(wire.filter_objects.pointee.bitmap.key)
    }
    try require(question.isVisible.indices.allSatisfy { isSet(bitmap, $0) == question.isVisible[$0] }, question)
  }

  /// A bitmap may end with its last set bit.
  private func isSet(_ bitmap: [UInt8], _ index: Int) -> Bool {
    index / 8 < bitmap.count && bitmap[index / 8] >> (index % 8) & 1 == 1
  }
}
