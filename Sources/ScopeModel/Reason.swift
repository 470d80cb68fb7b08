/// Why a check was answered as it was, in the order in which the rules are tried. The numbers are the
/// wire's.
public enum Reason: UInt8, Sendable, CaseIterable {
  case unknownCompany = 1
  case unknownSubject = 2
  case subjectBlocked = 3
  case unknownObject = 4
  case systemField = 5
  case simpleMode = 6
  case seeAll = 7
  case sharedProject = 8
  case noSharedProject = 9
  case rightMissing = 10
  case tileOnly = 11

  /// Whether the answer is yes.
  public var allows: Bool {
    switch self {
    case .systemField, .simpleMode, .seeAll, .sharedProject: true
    case .unknownCompany, .unknownSubject, .subjectBlocked, .unknownObject, .noSharedProject, .rightMissing,
      .tileOnly:
      false
    }
  }

  /// Stable, for machines.
  public var code: String {
    switch self {
    case .unknownCompany: "unknown_company"
    case .unknownSubject: "unknown_subject"
    case .subjectBlocked: "subject_blocked"
    case .unknownObject: "unknown_object"
    case .systemField: "system_field"
    case .simpleMode: "simple_mode"
    case .seeAll: "see_all"
    case .sharedProject: "shared_project"
    case .noSharedProject: "no_shared_project"
    case .rightMissing: "right_missing"
    case .tileOnly: "tile_only"
    }
  }
}

/// The numbers of users, groups and projects, on the wire. Objects have those of `ObjectType`.
public enum SubjectKind {
  public static let user: UInt8 = 1
  public static let group: UInt8 = 2
  public static let project: UInt8 = 3
  public static let all: ClosedRange<UInt8> = 1...3
}
