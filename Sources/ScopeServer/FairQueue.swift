import NIOCore

/// A queue from which sources are served in turns. What comes from one source stays in its order.
struct FairQueue<Element> {
  fileprivate struct Node {
    var element: Element?
    var bytes = 0
    var cost = 0
    /// The next of the same source, or the next that is free; below 0: none.
    var next = -1
  }

  fileprivate struct Lane {
    var first: Int
    var last: Int
    var held: FairShare
    /// What the source has waited for: see `costPerTurn`.
    var credit = 0
  }

  let bounds: FairBounds
  /// An element that costs more than this waits for more than one turn of its source, so that turns are alike in work.
  let costPerTurn: Int
  /// What all sources hold.
  private(set) var held = FairShare()
  private var lanes: [UInt64: Lane] = [:]
  /// Sources with something waiting, in the order of their turns.
  private var turns = CircularBuffer<UInt64>()
  private var nodes: [Node] = []
  private var firstFree = -1

  init(_ bounds: FairBounds, costPerTurn: Int = .max) {
    self.bounds = bounds
    self.costPerTurn = costPerTurn
  }

  /// Adds an element; false: its source has too much waiting.
  mutating func append(_ element: Element, from source: UInt64, bytes: Int = 0, cost: Int = 1) -> Bool {
    let lane = lanes[source]
    guard bounds.allow(bytes, to: lane?.held ?? FairShare(), of: held) else { return false }
    let node = newNode(Node(element: element, bytes: bytes, cost: cost))
    if var lane {
      nodes[lane.last].next = node
      lane.last = node
      lane.held.add(bytes)
      lanes[source] = lane
    } else {
      lanes[source] = Lane(first: node, last: node, held: FairShare(elements: 1, bytes: bytes))
      turns.append(source)
    }
    held.add(bytes)
    return true
  }

  /// Takes the next element of those that are wanted. Sources whose first element is not wanted keep their turns.
  mutating func popFirst(where isWanted: (Element, UInt64) -> Bool = { _, _ in true }) -> Element? {
    var skipped = 0
    while skipped < turns.count {
      let source = turns[offset: skipped]
      var lane = lanes[source]!
      let node = nodes[lane.first]
      if !isWanted(node.element!, source) {
        skipped += 1
      } else if node.cost > costPerTurn && lane.credit < node.cost - costPerTurn {
        lane.credit += costPerTurn
        lanes[source] = lane
        removeTurn(at: skipped)
        turns.append(source)
      } else {
        removeTurn(at: skipped)
        return take(node, from: source, lane)
      }
    }
    return nil
  }

  private mutating func removeTurn(at offset: Int) {
    if offset == 0 { turns.removeFirst() } else { turns.remove(at: turns.index(turns.startIndex, offsetBy: offset)) }
  }

  /// Takes everything, in turns.
  mutating func removeAll() -> [Element] {
    var all: [Element] = []
    while let element = popFirst() { all.append(element) }
    return all
  }

  private mutating func take(_ node: Node, from source: UInt64, _ old: Lane) -> Element? {
    var lane = old
    nodes[lane.first] = Node(next: firstFree)
    firstFree = lane.first
    held.remove(node.bytes)
    if node.next < 0 {
      lanes[source] = nil
    } else {
      (lane.first, lane.credit) = (node.next, 0)
      lane.held.remove(node.bytes)
      lanes[source] = lane
      turns.append(source)
    }
    return node.element
  }

  private mutating func newNode(_ node: Node) -> Int {
    if firstFree < 0 {
      nodes.append(node)
      return nodes.count - 1
    }
    let number = firstFree
    firstFree = nodes[number].next
    nodes[number] = node
    return number
  }
}

extension FairQueue: Sendable where Element: Sendable {}
extension FairQueue.Node: Sendable where Element: Sendable {}

/// What one source holds of something, or all of them.
struct FairShare: Hashable, Sendable {
  private(set) var elements = 0
  private(set) var bytes = 0

  init(elements: Int = 0, bytes: Int = 0) { (self.elements, self.bytes) = (elements, bytes) }

  mutating func add(_ more: Int) { (elements, bytes) = (elements + 1, bytes + more) }

  mutating func remove(_ less: Int) { (elements, bytes) = (elements - 1, bytes - less) }
}

/// What all sources may hold.
///
/// One may hold as much as is still free beside it: alone half of the whole, beside n others that hold all they may one
/// part in n + 2. So there is room for whoever comes, and one that holds nothing is never refused because of what
/// others hold: but for an element too large for the memory that is left.
struct FairBounds: Sendable {
  var elements: Int
  var bytes = Int.max
  /// For a source that holds nothing there is always room for an element of this many bytes.
  static let alwaysBytes = 64 << 10

  /// Whether there is room for one more element, of this many bytes.
  func allow(_ more: Int, to own: FairShare, of all: FairShare) -> Bool {
    if own.elements == 0 { return more <= max(FairBounds.alwaysBytes, bytes - all.bytes) }
    return own.elements < elements - all.elements && more <= bytes - all.bytes - own.bytes
  }
}
