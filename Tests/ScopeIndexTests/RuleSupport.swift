import ScopeModel
import ScopeTesting

@testable import ScopeIndex

/// The index of a company, asked in plain values.
struct Asked {
  let index: CompanyIndex

  init(_ changes: [Change], mode: SecurityMode = .enhanced) throws {
    var company = Company(id: "c")
    _ = try company.apply([.putCompany(mode)] + changes)
    index = CompanyIndex(company, seed: 5)
  }

  @_disfavoredOverload  // a text is a target
  func check(_ subject: Subject, _ object: ObjectRef, right: Name? = nil) -> NaiveAnswer {
    check(subject, .object(object), right: right)
  }

  func check(_ subject: Subject, _ target: Target, right: Name? = nil) -> NaiveAnswer {
    with(subject) { view, subject in
      bytes(target.id.text) { id in
        bytes(right?.text ?? "") { right in
          let answer = view.check(subject, type: target.type.number, id: id, right: right)
          return NaiveAnswer(
            allowed: answer.reason.allows, reason: answer.reason.code, project: text(answer.project),
            group: text(answer.group))
        }
      }
    }
  }

  func holds(_ user: Name, _ right: String) -> Bool {
    with(.user(user)) { view, subject in bytes(right) { view.holds(subject, right: $0) } }
  }

  /// The objects that the subject sees, in a project if one is named; nil: of every type.
  func objects(_ subject: Subject, types: [String]? = nil, project: String = "") -> [ObjectRef] {
    with(subject) { view, subject in
      let narrowing = bytes(project) { view.narrowing(to: $0) }
      return ObjectType.all.filter { types?.contains($0.name) != false }.flatMap { type in
        view.objectNumbers(ofType: type.number).compactMap { number in
          view.visibleObject(number, to: subject, within: narrowing).map {
            ObjectRef(type, Name(stringLiteral: text($0.id)!))
          }
        }
      }
    }
  }

  /// Which of the ids the subject sees, in the order asked.
  func filter(_ subject: Subject, type: String, _ ids: [String], project: String = "") -> [Bool] {
    with(subject) { view, subject in
      let narrowing = bytes(project) { view.narrowing(to: $0) }
      let type = TargetType(name: type)!.number
      return ids.map { bytes($0) { view.isVisible(subject, type: type, id: $0, within: narrowing) } }
    }
  }

  /// Each project the user sees, and whether with its contents.
  func projects(_ user: Name) -> [Name: Bool] {
    with(.user(user)) { view, subject in
      (0..<view.projectCount).compactMap { view.visibleProject($0, to: subject) }.reduce(into: [:]) {
        $0[Name(stringLiteral: text($1.id)!)] = $1.contentsVisible
      }
    }
  }

  /// Users in the order of their ids, by what the index tells of them.
  func users(where isWanted: (CompanyView, Int) -> Bool) -> [Name] {
    view { view in
      (0..<view.userCount).filter { isWanted(view, $0) }.map { Name(stringLiteral: text(view.userID($0))!) }
    }
  }

  func view<T>(_ body: (CompanyView) throws -> T) rethrows -> T {
    try withExtendedLifetime(index) { try body(index.view) }
  }

  private func with<T>(_ subject: Subject, _ body: (CompanyView, ResolvedSubject) -> T) -> T {
    view { view in body(view, bytes(subject.id.text) { view.subject(kind: subject.type.number, id: $0) }) }
  }
}

func text(_ key: Key) -> String? { key.isEmpty ? nil : String(decoding: key, as: UTF8.self) }

func bytes<T>(_ text: String, _ body: (Key) -> T) -> T {
  var copy = text
  return copy.withUTF8 { body(Key($0)) }
}

/// Looks that nobody bounds.
extension CompanyView {
  func visibleObject(_ number: Int, to subject: ResolvedSubject, within narrowing: Narrowing) -> ScopeIndex.ObjectRow? {
    var looks = Int.max
    return visibleObject(number, to: subject, within: narrowing, &looks)
  }

  func seenObject(
    _ number: Int, by subject: ResolvedSubject, within narrowing: Narrowing
  ) -> (row: ScopeIndex.ObjectRow, answer: CheckAnswer)? {
    var looks = Int.max
    return seenObject(number, by: subject, within: narrowing, &looks)
  }

  func viewer(_ number: Int, of id: Key, type: UInt8) -> ViewerRow? {
    var looks = Int.max
    return viewer(number, of: id, type: type, &looks)
  }
}
