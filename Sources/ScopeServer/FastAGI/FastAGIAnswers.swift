import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Answers what channels ask, as `CanSee` and `HasRights` answer it.
extension Dispatcher {
  /// Nil: the company is there, and to be loaded first.
  func answer(_ question: FastAGIQuestion) -> FastAGIVerdict? {
    let name = question.company
    var verdict = name.withKey { key -> FastAGIVerdict? in
      guard let company = cursor.root.company(key) else {
        return cursor.root.isCold(key) ? nil : FastAGIVerdict(CheckAnswer(.unknownCompany))
      }
      return answer(question, in: company, key)
    }
    if verdict?.result != .unavailable { verdict?.revision = cursor.root.revision }
    return verdict
  }

  private func answer(_ question: FastAGIQuestion, in company: CompanyView, _ key: Key) -> FastAGIVerdict {
    switch question {
    case .canSee(_, let subject, let object, let right):
      let answer = subject.id.withKey { id in
        company.check(company.subject(kind: subject.type.number, id: id), object, right: right)
      }
      return FastAGIVerdict(answer)
    case .hasRight(_, let user, let right):
      return user.withKey { id in
        let subject = company.subject(kind: SubjectKind.user, id: id)
        if let refusal = subject.refusal { return FastAGIVerdict(CheckAnswer(refusal)) }
        return FastAGIVerdict(holding: right.withKey { company.holds(subject, right: $0) })
      }
    case .screenNumber(_, let subject, let number, let form, let list):
      guard let number = read(number, form) else { return .unavailable(FastAGIRefusal.unknownCountry.rawValue) }
      return FastAGIVerdict(screen(number, for: subject, callingList: list, in: cursor.root.index(of: key)))
    }
  }

  /// Nil: no country has this code. Within: nil: it is no number, or nobody knows which.
  private func read(_ text: [UInt8], _ form: FastAGINumberForm) -> PhoneNumber?? {
    text.withUnsafeBytes { text -> PhoneNumber?? in
      switch form {
      case .unknown: .some(text.first == UInt8(ascii: "+") ? PhoneNumber(digits: text) : nil)
      case .international: .some(PhoneNumber(digits: text))
      case .national(let country):
        country.withUnsafeBytes { nationalNumbers.country($0) }.map { $0.read(text) }
      }
    }
  }

  private func screen(
    _ number: PhoneNumber?, for subject: Subject, callingList: Name?, in index: CompanyIndex?
  ) -> (NumberScreen.Answer, Reason?) {
    let screen = subject.id.withKey { id in
      guard let callingList else {
        return NumberScreen(index, kind: subject.type.number, subject: id, callingList: Key(start: nil, count: 0))
      }
      return callingList.withKey { NumberScreen(index, kind: subject.type.number, subject: id, callingList: $0) }
    }
    return (screen.answer(number), screen.refusal)
  }
}

extension CompanyView {
  fileprivate func check(_ subject: ResolvedSubject, _ object: Target, right: Name?) -> CheckAnswer {
    object.id.withKey { id in
      guard let right else {
        return check(subject, type: object.type.number, id: id, right: Key(start: nil, count: 0))
      }
      return right.withKey { check(subject, type: object.type.number, id: id, right: $0) }
    }
  }
}

extension FastAGIVerdict {
  /// The project's name is copied: a channel takes its time, and the index may go meanwhile.
  fileprivate init(_ answer: CheckAnswer) {
    self.init(
      result: answer.reason.allows ? .allow : .deny, reason: answer.reason.code, project: Array(answer.project))
  }

  /// The reason is the verdict itself, or why the asker may not ask.
  fileprivate init(_ screened: (answer: NumberScreen.Answer, refusal: Reason?)) {
    self.init(
      result: screened.answer.verdict.allows ? .allow : .deny,
      reason: screened.refusal?.code ?? screened.answer.verdict.code)
  }

  fileprivate init(holding isHeld: Bool) {
    self.init(result: isHeld ? .allow : .deny, reason: isHeld ? "right_held" : Reason.rightMissing.code)
  }
}

extension Name {
  fileprivate func withKey<T>(_ body: (Key) -> T) -> T {
    var text = text
    return text.withUTF8 { body(Key($0)) }
  }
}
