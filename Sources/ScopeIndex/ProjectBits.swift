import ScopeModel

/// The projects of a subject as bits, for questions about many objects: an object then takes a look for each of its own
/// projects, however many the subject is in.
public struct ProjectBits {
  private let words: UnsafeMutablePointer<UInt64>

  /// How many words of memory the projects of a company take.
  public static func wordCount(for view: CompanyView) -> Int { (view.projectCount + 63) / 64 }

  /// - Parameter words: as many as `wordCount`, uninitialised; kept as long as the bits are asked.
  init(_ list: LinkList, in words: UnsafeMutablePointer<UInt64>, count: Int) {
    words.initialize(repeating: 0, count: count)
    for index in 0..<list.count { words[Int(list[index] >> 6)] |= 1 << UInt64(list[index] & 63) }
    self.words = words
  }

  @inline(__always)
  func sharesAny(of list: LinkList) -> Bool {
    for index in 0..<list.count where words[Int(list[index] >> 6)] & 1 << UInt64(list[index] & 63) != 0 { return true }
    return false
  }
}

extension CompanyView {
  /// The subject's projects as bits; nil: it is no subject with a list of projects.
  public func bits(of subject: ResolvedSubject, in words: UnsafeMutablePointer<UInt64>) -> ProjectBits? {
    guard case .sees(let list, _, _) = subject.finding else { return nil }
    return ProjectBits(list, in: words, count: ProjectBits.wordCount(for: self))
  }

  /// Whether the subject, whose bits these are, sees the object with this type and id, within the narrowing.
  ///
  /// - Parameter work: grows by what the look takes, in checks of few projects.
  public func isVisible(
    _ subject: ResolvedSubject, _ bits: ProjectBits, type: UInt8, id: Key, within narrowing: Narrowing,
    _ work: inout Int
  ) -> Bool {
    work += 1
    if type <= SubjectKind.all.upperBound { return isVisible(subject, kind: type, id: id, within: narrowing, &work) }
    guard case .sees(_, let flags, _) = subject.finding, let object = objects.find(id, kind: type),
      isIn(narrowing, object: object)
    else { return false }
    if objects.flags(of: object) & Directory.flagSystem != 0 || isSimple || flags & CompanyView.flagSeeAll != 0 {
      return true
    }
    let projects = objectProjects[object]
    work += projects.count / 32
    return bits.sharesAny(of: projects)
  }
}
