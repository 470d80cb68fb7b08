import ScopeIndex
import ScopeModel

/// The compiled index of one company, with its answers as plain values. It is rebuilt as the daemon does it: from
/// the one before and the edits since.
struct IndexAnswers {
  private var root: IndexRoot
  /// The index and the edits since; nil: the company was gone in between.
  private var previous: CompanyIndex?
  private var edits: [Edit] = []
  private let id: Name

  private static let seed: UInt64 = 7

  init(_ company: Company) {
    id = company.id
    root = IndexRoot(revision: 0, companies: [], seed: IndexAnswers.seed)
    rebuild(company)
  }

  mutating func note(_ edits: [Edit], company: Company) {
    self.edits += edits
    if company.mode == nil { previous = nil }
  }

  mutating func rebuild(_ company: Company) {
    previous = company.mode.map { _ in
      CompanyIndex(company, seed: IndexAnswers.seed, previous: previous, edits: edits)
    }
    edits = []
    root = IndexRoot(revision: 0, companies: previous.map { [$0] } ?? [], seed: IndexAnswers.seed)
  }

  func answer(_ subject: Subject, _ ref: ObjectRef, right: Name?) -> ReferenceCompany.Answer {
    withView { view in
      guard let view else { return ReferenceCompany.Answer(reason: .unknownCompany) }
      let subject = resolve(subject, view)
      return withKey(ref.id.text) { id in
        withKey(right?.text ?? "") { right in
          let answer = view.check(subject, type: ref.type.number, id: id, right: right)
          return ReferenceCompany.Answer(
            reason: answer.reason, project: name(answer.project), group: name(answer.group))
        }
      }
    }
  }

  /// The projects listed to a user; true: with their contents.
  func listing(for user: Name) -> [Name: Bool] {
    withView { view in
      guard let view else { return [:] }
      let subject = resolve(.user(user), view)
      let rows = (0..<view.projectCount).compactMap { view.visibleProject($0, to: subject) }
      return Dictionary(uniqueKeysWithValues: rows.map { (name($0.id)!, $0.contentsVisible) })
    }
  }

  private func withView<T>(_ body: (CompanyView?) -> T) -> T {
    withExtendedLifetime(root) { body(withKey(id.text) { root.company($0) }) }
  }

  private func resolve(_ subject: Subject, _ view: CompanyView) -> ResolvedSubject {
    switch subject {
    case .user(let id): withKey(id.text) { view.subject(kind: SubjectKind.user, id: $0) }
    case .group(let id): withKey(id.text) { view.subject(kind: SubjectKind.group, id: $0) }
    case .project(let id): withKey(id.text) { view.subject(kind: SubjectKind.project, id: $0) }
    case .object(let ref): withKey(ref.id.text) { view.subject(kind: ref.type.number, id: $0) }
    }
  }

  private func name(_ key: Key) -> Name? { key.isEmpty ? nil : try? Name(utf8: key) }

  private func withKey<T>(_ text: String, _ body: (Key) -> T) -> T {
    var copy = text
    return copy.withUTF8 { body(Key($0)) }
  }
}
