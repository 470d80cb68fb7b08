import ScopeModel

/// The lists that count for one asker, looked up once for many numbers.
public struct NumberScreen {
  /// The answer to one number.
  public struct Answer {
    public let verdict: NumberVerdict
    /// The first such list in byte order of ids; nil: the number is on none.
    public var unwanted: [UInt8]?
    public var vip: [UInt8]?
  }

  /// Why every number is out of scope; nil: the asker may ask.
  public let refusal: Reason?
  private var unwanted: [NumberLists.Entry] = []
  private var vip: [NumberLists.Entry] = []
  private var calling: NumberSet?

  /// - Parameters:
  ///   - index: nil: there is no such company.
  ///   - subject: who asks; as in a check.
  ///   - callingList: the list that the numbers come from; empty: none.
  public init(_ index: CompanyIndex?, kind: UInt8, subject id: Key, callingList: Key) {
    guard let index else {
      refusal = .unknownCompany
      return
    }
    let subject = index.view.subject(kind: kind, id: id)
    refusal = subject.refusal ?? NumberScreen.refusal(of: callingList, index.view, subject)
    if refusal != nil { return }
    if !callingList.isEmpty {
      // One that is not for calling (any more) has nothing that may be dialled.
      let entry = index.lists.entry(callingList)
      calling = entry?.purpose == .calling ? entry!.numbers : NumberSet()
    }
    for entry in index.lists.entries where entry.numbers.count > 0 {
      guard entry.purpose == .unwanted || entry.purpose == .vip, index.view.sees(subject, list: entry.id) else {
        continue
      }
      if entry.purpose == .unwanted { unwanted.append(entry) } else { vip.append(entry) }
    }
  }

  private static func refusal(of list: Key, _ view: CompanyView, _ subject: ResolvedSubject) -> Reason? {
    if list.isEmpty { return nil }
    let answer = view.check(subject, type: ObjectType.list.number, id: list, right: Key(start: nil, count: 0))
    return answer.reason.allows ? nil : answer.reason
  }

  /// How many lists each number is looked for on.
  public var listCount: Int { unwanted.count + vip.count + (calling == nil ? 0 : 1) }

  /// What a number is; nil: what was asked about is none.
  public func answer(_ number: PhoneNumber?) -> Answer {
    guard refusal == nil else { return Answer(verdict: .outOfScope) }
    guard let number else { return Answer(verdict: .invalid) }
    if let calling, !calling.contains(number) { return Answer(verdict: .outOfScope) }
    let unwanted = unwanted.first { $0.numbers.contains(number) }?.id
    let vip = vip.first { $0.numbers.contains(number) }?.id
    return Answer(verdict: unwanted != nil ? .unwanted : vip != nil ? .vip : .clear, unwanted: unwanted, vip: vip)
  }
}

extension CompanyView {
  /// Whether the subject may use a list.
  public func sees(_ subject: ResolvedSubject, list: [UInt8]) -> Bool {
    list.withUnsafeBytes {
      check(subject, type: ObjectType.list.number, id: $0, right: Key(start: nil, count: 0)).reason.allows
    }
  }
}
