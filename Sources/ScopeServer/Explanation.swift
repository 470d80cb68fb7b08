import CScopeWire
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Everything an answer rests on, of the same index: for people who ask why.
struct Explanation {
  /// Projects told of each side.
  private static let waysTold = 1_000

  private let answer: CheckAnswer
  private let subjectWays: [Way]
  private let objectWays: [Way]
  private let shared: [Way]
  private let words: [String]

  /// How many projects there are to be told of.
  static func projects(_ check: Scope__V1__CanSeeRequest, _ company: CompanyView) -> Int {
    company.projectCount(ofKind: UInt8(check.subject_type.rawValue), check.subject_id.key)
      + company.projectCount(ofKind: UInt8(check.object_type.rawValue), check.object_id.key)
  }

  /// - Parameter company: nil where there is none such.
  init(_ check: Scope__V1__CanSeeRequest, _ answer: CheckAnswer, _ company: CompanyView?) {
    let (kind, type) = (UInt8(check.subject_type.rawValue), UInt8(check.object_type.rawValue))
    self.answer = answer
    subjectWays = company?.ways(ofKind: kind, check.subject_id.key) ?? []
    objectWays = company?.ways(ofKind: type, check.object_id.key) ?? []
    shared = Explanation.shared(subjectWays, objectWays)
    let facts = company?.facts(
      subjectKind: kind, subject: check.subject_id.key, objectType: type, object: check.object_id.key)
    words = Explanation.words(check, answer.reason, facts, subjectWays, objectWays, shared)
  }

  /// Both are in the order of the projects' numbers, and ids of one index lie where they lie once.
  private static func shared(_ subject: [Way], _ object: [Way]) -> [Way] {
    let places = Set(object.map(\.project.baseAddress))
    return subject.filter { places.contains($0.project.baseAddress) }
  }

  func wire(in arena: Arena) throws(Failure) -> UnsafeMutablePointer<Scope__V1__ExplainResponse> {
    let response = try arena.make(scope__v1__explain_response__init)
    let wireAnswer = try arena.make(scope__v1__can_see_response__init)
    Reply.write(answer, to: wireAnswer)
    response.pointee.answer = wireAnswer
    (response.pointee.subject_ways, response.pointee.n_subject_ways) = try lay(subjectWays, arena)
    (response.pointee.object_ways, response.pointee.n_object_ways) = try lay(objectWays, arena)
    (response.pointee.shared, response.pointee.n_shared) = try lay(shared, arena)
    response.pointee.complete = max(subjectWays.count, objectWays.count) <= Explanation.waysTold ? 1 : 0
    response.pointee.words = try arena.copy(words)
    response.pointee.n_words = words.count
    return response
  }

  private func lay(
    _ ways: [Way], _ arena: Arena
  ) throws(Failure) -> (UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Way>?>?, Int) {
    let told = ways.prefix(Explanation.waysTold)
    guard let list = arena.allocate(UnsafeMutablePointer<Scope__V1__Way>?.self, count: told.count) else {
      throw Arena.full
    }
    for (index, way) in told.enumerated() {
      let row = try arena.make(scope__v1__way__init)
      row.pointee.project = ProtobufCBinaryData(way.project)
      row.pointee.group = ProtobufCBinaryData(way.group)
      list[index] = row
    }
    return (list, told.count)
  }
}

// MARK: - In words

extension Explanation {
  /// One sentence for each rule that was tried, in their order; the last one decided.
  private static func words(
    _ check: Scope__V1__CanSeeRequest, _ reason: Reason, _ facts: CheckFacts?, _ subjectWays: [Way],
    _ objectWays: [Way], _ shared: [Way]
  ) -> [String] {
    guard let facts, reason != .unknownCompany else { return ["there is no such company: deny"] }
    let subject = describe(check.subject_type, check.subject_id, facts.subjectName)
    let object = describe(check.object_type, check.object_id, facts.objectName)
    if reason == .unknownSubject { return ["\(subject) is not known here: deny"] }
    if reason == .subjectBlocked { return ["\(subject) is known", "but blocked: deny"] }
    if reason == .unknownObject { return ["\(subject) is known", "\(object) is not: deny"] }
    var words = ["\(subject) and \(object) are known"]
    words.append(
      reason == .tileOnly
        ? "\(subject) holds projects.list, which shows the tile of \(object) and not its contents: deny"
        : visibility(facts, subject, object, subjectWays, objectWays, shared))
    let right = String(decoding: check.right.key, as: UTF8.self)
    if reason == .rightMissing {
      words.append("but \(subject) does not hold the right \(right): deny")
    } else if !right.isEmpty && reason.allows {
      words.append("and \(subject) holds the right \(right)")
    }
    return words
  }

  /// The rule by which the object is visible, or that none is.
  private static func visibility(
    _ facts: CheckFacts, _ subject: String, _ object: String, _ subjectWays: [Way], _ objectWays: [Way],
    _ shared: [Way]
  ) -> String {
    if facts.isSystemField { return "\(object) is a system contact field, which is in every project: allow" }
    if facts.isSimple { return "the company is in simple mode, where everyone sees everything: allow" }
    if facts.holdsSeeAll { return "\(subject) holds projects.see_all: allow" }
    guard let first = shared.first else {
      return "\(subject) is in \(names(subjectWays)) and \(object) in \(names(objectWays)): they share no project: deny"
    }
    let group = first.group.isEmpty ? "" : ", \(subject) through group \(text(first.group))"
    return "both are in project \(text(first.project))\(group): allow"
  }

  private static func names(_ ways: [Way]) -> String {
    if ways.isEmpty { return "no project" }
    let some = ways.prefix(5).map { text($0.project) }.joined(separator: ", ")
    let more = ways.count > 5 ? " and \(ways.count - 5) more" : ""
    return (ways.count == 1 ? "project " : "projects ") + some + more
  }

  /// `user:1001 (Anna Berger)`
  private static func describe(_ type: Scope__V1__EntityType, _ id: ProtobufCBinaryData, _ name: Key) -> String {
    let kind =
      switch UInt8(type.rawValue) {
      case SubjectKind.user: "user"
      case SubjectKind.group: "group"
      case SubjectKind.project: "project"
      case let number: ObjectType(number: number)?.name ?? "object"
      }
    let (id, name) = (text(id.key), text(name))
    return name.isEmpty || name == id ? "\(kind):\(id)" : "\(kind):\(id) (\(name))"
  }

  private static func text(_ key: Key) -> String { String(decoding: key, as: UTF8.self) }
}
