/// What a list of numbers is for.
public enum ListPurpose: UInt8, Sendable, CaseIterable {
  /// Nobody said: nothing is screened against it. The raw values are the wire's.
  case none = 0
  /// Numbers to be dialled.
  case calling = 1
  /// Numbers not to be dialled, or callers not to be let through.
  case unwanted = 2
  /// Callers to be preferred.
  case vip = 3
  /// For scripts of scenarios.
  case script = 4

  /// Name in text: the log, the command line.
  public var name: String {
    switch self {
    case .none: "none"
    case .calling: "calling"
    case .unwanted: "unwanted"
    case .vip: "vip"
    case .script: "script"
    }
  }

  /// The purpose with this name, if there is one.
  public init?(name: String) {
    guard let purpose = ListPurpose.allCases.first(where: { $0.name == name }) else { return nil }
    self = purpose
  }
}

/// What the rules know of a list of numbers: not the numbers themselves, of which there may be millions, but how many
/// there are and the digest by which a change of any one of them shows.
public struct NumberList: Hashable, Sendable {
  public let id: Name
  public var purpose: ListPurpose
  /// How many numbers.
  public var count: UInt64
  /// Number of the set of blocks that holds them; 0: there is none.
  public var blockSet: UInt64
  /// SHA-256 over the blocks' own, as lowercase hexadecimal digits; `NumberList.noDigest`: there are none.
  public var digest: Name

  /// Of a list without numbers.
  public static let noDigest: Name = "-"

  public init(
    id: Name, purpose: ListPurpose = .none, count: UInt64 = 0, blockSet: UInt64 = 0,
    digest: Name = NumberList.noDigest
  ) {
    self.id = id
    self.purpose = purpose
    self.count = count
    self.blockSet = blockSet
    self.digest = digest
  }

  /// Nothing is known of it that would not be so without a row.
  var isBare: Bool { purpose == .none && blockSet == 0 }

  /// The object it is.
  public var ref: ObjectRef { ObjectRef(.list, id) }
}

/// How much lists may hold.
public enum NumberLimits {
  /// Numbers on one list.
  public static let numbersPerList: UInt64 = 50_000_000
  /// Rows of one AddNumbers or RemoveNumbers.
  public static let numbersPerChange = 4_096
  /// Rows of one part of an import.
  public static let numbersPerPart = 65_536
  /// Candidates of one ScreenNumbers.
  public static let candidates = 1_000
  /// Numbers of one page.
  public static let numbersPerPage = 1_000
  /// What is known about one number, in bytes as packed.
  public static let detailBytes = 1_024
  /// Columns of one number.
  public static let columns = 32
}

extension Edit {
  /// The list object that is gone after it.
  public var removedList: Name? {
    guard case .object(let object)? = before, after == nil, object.ref.type == .list else { return nil }
    return object.ref.id
  }
}

/// What a number is to whoever asks. The raw values are the wire's.
public enum NumberVerdict: UInt8, Sendable, CaseIterable {
  /// On no unwanted and no VIP list that the asker sees.
  case clear = 1
  case unwanted = 2
  case vip = 3
  /// Not on the list it was taken from, or the asker may not ask.
  case outOfScope = 4
  /// No E.164 number.
  case invalid = 5

  /// It may be dialled, or let through.
  public var allows: Bool { self == .clear || self == .vip }

  /// Stable, for machines.
  public var code: String {
    switch self {
    case .clear: "clear"
    case .unwanted: "unwanted"
    case .vip: "vip"
    case .outOfScope: "out_of_scope"
    case .invalid: "invalid"
    }
  }
}
