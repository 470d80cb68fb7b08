import CScopeWire

/// Writes protobuf by hand, so that the tests do not share the code they test and can write what no
/// correct program would.
struct Message {
  private(set) var bytes: [UInt8] = []

  /// A number field. Zero is written as well, which protobuf libraries leave out.
  func number(_ field: UInt64, _ value: UInt64) -> Message {
    var copy = self
    copy.bytes += Self.varint(field << 3) + Self.varint(value)
    return copy
  }

  func text(_ field: UInt64, _ value: String) -> Message { data(field, Array(value.utf8)) }

  func message(_ field: UInt64, _ value: Message) -> Message { data(field, value.bytes) }

  func data(_ field: UInt64, _ value: [UInt8]) -> Message {
    var copy = self
    copy.bytes += Self.varint(field << 3 | 2) + Self.varint(UInt64(value.count)) + value
    return copy
  }

  /// With the four bytes of length in front.
  var frame: [UInt8] { Self.length(UInt32(bytes.count)) + bytes }

  static func length(_ count: UInt32) -> [UInt8] {
    withUnsafeBytes(of: count.bigEndian) { Array($0) }
  }

  private static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}

/// The field numbers of scope.v1.Response's results, which are those of the calls as well.
enum Field {
  static let canSee: UInt64 = 11
  static let listProjects: UInt64 = 13
  static let filterObjects: UInt64 = 14
  static let listObjects: UInt64 = 15
  static let apply: UInt64 = 16
  static let health: UInt64 = 17
}

enum Decision { static let allow: UInt64 = 1, deny: UInt64 = 2 }
enum Reason { static let seeAll: UInt64 = 7, sharedProject: UInt64 = 8, noSharedProject: UInt64 = 9 }

/// An envelope without a result.
func response(to id: UInt64, revision: UInt64 = 7, more: Bool = false) -> Message {
  let envelope = Message().number(1, id).number(5, revision)
  return more ? envelope.number(6, 1) : envelope
}

func checkReply(
  to id: UInt64, decision: UInt64 = Decision.allow, reason: UInt64 = Reason.sharedProject,
  project: String = "clinic", group: String = ""
) -> Message {
  let answer = Message().number(1, decision).number(2, reason).text(3, project).text(4, group)
  return response(to: id).message(Field.canSee, answer)
}

func failure(
  to id: UInt64, code: UInt64, reason: String = "why", message: String = "in words"
) -> Message {
  Message().number(1, id).number(2, code).text(3, reason).text(4, message)
}

/// What the fake daemon understood of a request.
struct Question: Sendable {
  var id: UInt64
  var timeoutMilliseconds: UInt32
  var company: String
  var minRevision: UInt64
  var call: UInt32
  var subject = ""
  var object = ""
  var right = ""
  var ids: [String] = []
  var types: [UInt32] = []
  var project = ""

  init?(_ bytes: [UInt8]) {
    guard let request = scope__v1__request__unpack(nil, bytes.count, bytes) else { return nil }
    defer { scope__v1__request__free_unpacked(request, nil) }
    id = request.pointee.id
    timeoutMilliseconds = request.pointee.timeout_ms
    company = text(request.pointee.company)
    minRevision = request.pointee.min_revision
    call = request.pointee.call_case.rawValue
    readCall(request.pointee)
  }

  private mutating func readCall(_ request: Scope__V1__Request) {
    switch UInt64(call) {
    case Field.canSee:
      let asked = request.can_see.pointee
      subject = "\(asked.subject_type.rawValue):\(text(asked.subject_id))"
      object = "\(asked.object_type.rawValue):\(text(asked.object_id))"
      right = text(asked.right)
    case Field.listProjects:
      subject = text(request.list_projects.pointee.user)
    case Field.filterObjects:
      let asked = request.filter_objects.pointee
      subject = "\(asked.subject_type.rawValue):\(text(asked.subject_id))"
      types = [asked.object_type.rawValue]
      ids = (0..<asked.n_object_ids).map { text(asked.object_ids[$0]) }
      project = text(asked.project)
    case Field.listObjects:
      let asked = request.list_objects.pointee
      subject = "\(asked.subject_type.rawValue):\(text(asked.subject_id))"
      types = (0..<asked.n_object_types).map { asked.object_types[$0].rawValue }
      project = text(asked.project)
    default: break
    }
  }
}

private func text(_ data: ProtobufCBinaryData) -> String {
  String(decoding: UnsafeBufferPointer(start: data.data, count: data.len), as: UTF8.self)
}
