import ScopeModel

/// The key of an entity. Numbers follow the order of keys: by kind, then by the bytes of the id.
struct RowKey: Hashable, Comparable {
  /// The number of an object's type; 0: not an object.
  let kind: UInt8
  let id: Name

  init(_ id: Name) {
    kind = 0
    self.id = id
  }

  init(_ ref: ObjectRef) {
    kind = ref.type.number
    id = ref.id
  }

  static func < (a: RowKey, b: RowKey) -> Bool { a.kind == b.kind ? a.id < b.id : a.kind < b.kind }
}

/// How the rows of a new block come from those of the one before: in runs that stay, and rows in between that go, are
/// new, or take another's place.
struct RowPlan {
  /// What a step writes behind the rows that stay.
  enum Made {
    case nothing
    case row
    /// The old row's list with other flags.
    case flags
  }

  struct Step {
    /// Old rows up to this one, from where the step before ended, stay as they are.
    let keptUpTo: Int32
    /// The old row after these goes, or is replaced by what is made: then both have one key.
    let dropsOld: Bool
    let made: Made
  }

  private(set) var steps: [Step] = []
  /// The keys of what is made, in the order of the steps.
  private(set) var keys: [RowKey] = []
  /// Nothing is taken over.
  let isFull: Bool
  private(set) var newCount: Int
  private let oldCount: Int

  /// Every row is made.
  init(making keys: [RowKey]) {
    self.init(makingRows: keys.count)
    self.keys = keys
  }

  init(makingRows count: Int) {
    steps = Array(repeating: Step(keptUpTo: 0, dropsOld: false, made: .row), count: count)
    isFull = true
    newCount = count
    oldCount = 0
  }

  /// The rows of some keys are made anew where they are still there, and gone otherwise; all others stay.
  ///
  /// - Parameter touched: with what is made of a row that is there before and after.
  init(_ previous: Directory, touched: [RowKey: Made], isThere: (RowKey) -> Bool) {
    isFull = false
    newCount = previous.count
    oldCount = previous.count
    for (key, made) in touched.sorted(by: { $0.key < $1.key }) {
      let (position, wasThere) = previous.position(of: key)
      let isThere = isThere(key)
      guard wasThere || isThere else { continue }
      precondition(wasThere && isThere || made == .row, "a row that comes or goes is made or dropped as a whole")
      steps.append(Step(keptUpTo: Int32(position), dropsOld: wasThere, made: isThere ? made : .nothing))
      newCount += (isThere ? 1 : 0) - (wasThere ? 1 : 0)
      if isThere { keys.append(key) }
    }
  }

  /// What is made of each key.
  var made: [Made] { steps.map(\.made).filter { $0 != .nothing } }

  /// The new block would be the old one.
  var changesNothing: Bool { !isFull && steps.isEmpty }

  /// One stretch of the new rows.
  enum Part {
    /// Old rows that stay.
    case kept(Range<Int>)
    /// An old row that goes, or whose place is taken.
    case dropped(Int)
    case made(RowPlan.Made, replaces: Int?)
  }

  /// Goes through the new rows in their order.
  @inline(__always)
  func forEachPart(_ body: (Part) -> Void) {
    var old = 0
    for step in steps {
      let kept = Int(step.keptUpTo)
      if old < kept { body(.kept(old..<kept)) }
      old = kept
      if step.made != .nothing {
        body(.made(step.made, replaces: step.dropsOld ? old : nil))
      } else {
        body(.dropped(old))
      }
      if step.dropsOld { old += 1 }
    }
    if old < oldCount { body(.kept(old..<oldCount)) }
  }
}
