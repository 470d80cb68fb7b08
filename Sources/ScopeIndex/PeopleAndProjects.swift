import ScopeModel

/// Users, groups and projects as what is asked about. Who shares a project with a user or group sees it, and a project
/// is seen by whoever is in it.
///
/// Call set-up asks about objects: this is kept out of that path.
extension CompanyView {
  @inline(never)
  func check(_ subject: ResolvedSubject, kind: UInt8, number: Int) -> CheckAnswer {
    if case .refused(let reason) = subject.finding { return CheckAnswer(reason) }
    if isSimple { return CheckAnswer(.simpleMode) }
    if subject.flags & CompanyView.flagSeeAll != 0 { return CheckAnswer(.seeAll) }
    if kind == SubjectKind.project { return check(subject, project: UInt32(number)) }
    let other = projectList(ofKind: kind, number)
    switch subject.finding {
    case .sees(let list, _, _): return check(list, ofMany: other)
    case .project(let own): return other.contains(own) ? shared(own, group: LinkList.none) : .notShared
    case .refused(let reason): return CheckAnswer(reason)
    }
  }

  private func check(_ subject: ResolvedSubject, project: UInt32) -> CheckAnswer {
    switch subject.finding {
    case .sees(let list, let flags, _):
      let at = list.lowerBound(project)
      if at < list.count && list[at] == project { return shared(project, group: list.second(at)) }
      return flags & CompanyView.flagListProjects != 0 ? CheckAnswer(.tileOnly) : .notShared
    case .project(let own): return own == project ? shared(own, group: LinkList.none) : .notShared
    case .refused(let reason): return CheckAnswer(reason)
    }
  }

  /// - Parameter work: grows by what the look takes beyond a check of few projects.
  @inline(never)
  func isVisible(
    _ subject: ResolvedSubject, kind: UInt8, id: Key, within narrowing: Narrowing, _ work: inout Int
  ) -> Bool {
    guard let number = number(ofKind: kind, id), isIn(narrowing, kind: kind, number: number) else { return false }
    let answer = check(subject, kind: kind, number: number)
    work += Int(answer.work) - 1
    return answer.reason.allows
  }

  func isIn(_ narrowing: Narrowing, kind: UInt8, number: Int) -> Bool {
    switch narrowing {
    case .none: true
    case .nothing: false
    case .project(let project):
      kind == SubjectKind.project ? project == number : projectList(ofKind: kind, number).contains(project)
    }
  }

  /// The number of something of any kind; nil: there is none such, or no such kind.
  func number(ofKind kind: UInt8, _ id: Key) -> Int? {
    SubjectKind.all ~= kind ? directory(of: kind).find(id) : objects.find(id, kind: kind)
  }

  /// The projects of a user, a group or an object.
  func projectList(ofKind kind: UInt8, _ number: Int) -> LinkList {
    switch kind {
    case SubjectKind.user: userProjects[number]
    case SubjectKind.group: groupProjects[number]
    default: objectProjects[number]
    }
  }

  func directory(of kind: UInt8) -> Directory {
    switch kind {
    case SubjectKind.user: users
    case SubjectKind.group: groups
    case SubjectKind.project: projects
    default: objects
    }
  }
}

extension CheckAnswer {
  fileprivate static var notShared: CheckAnswer { CheckAnswer(.noSharedProject) }
}

extension ResolvedSubject {
  fileprivate var flags: UInt8 {
    if case .sees(_, let flags, _) = finding { flags } else { 0 }
  }
}
