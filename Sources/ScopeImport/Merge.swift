/// The rows of several runs in ascending order, each number once: of several rows of a number the last of the file.
/// Used by one thread at a time.
final class Merge {
  private struct Node {
    var number: UInt64
    var sequence: UInt64
    var reader: Int

    static func < (a: Node, b: Node) -> Bool {
      a.number != b.number ? a.number < b.number : a.sequence < b.sequence
    }
  }

  private let readers: [RunReader]
  /// A heap, the lowest first.
  private var nodes: [Node] = []
  private var isStarted = false

  init(_ files: [RunFile], in folder: String) throws(ImportError) {
    var readers: [RunReader] = []
    for file in files { readers.append(try RunReader(file, in: folder)) }
    self.readers = readers
    for index in readers.indices where try readers[index].advance() { nodes.append(node(index)) }
    for index in nodes.indices.reversed() { sift(index) }
  }

  /// The next row, valid until the next call; nil: that was the last.
  func next() throws(ImportError) -> RunRow? {
    if isStarted { try advance() }
    isStarted = true
    while isFollowedByItsNumber { try advance() }
    return nodes.first.map { readers[$0.reader].row }
  }

  /// The row that comes after the first has the same number, and the higher sequence.
  private var isFollowedByItsNumber: Bool {
    let number = nodes.first?.number
    return nodes.count > 1 && nodes[1].number == number || nodes.count > 2 && nodes[2].number == number
  }

  private func node(_ reader: Int) -> Node {
    Node(number: readers[reader].row.number, sequence: readers[reader].row.sequence, reader: reader)
  }

  /// Takes the first row away.
  private func advance() throws(ImportError) {
    guard let reader = nodes.first?.reader else { return }
    if try readers[reader].advance() {
      nodes[0] = node(reader)
    } else {
      nodes.swapAt(0, nodes.count - 1)
      nodes.removeLast()
    }
    sift(0)
  }

  private func sift(_ index: Int) {
    nodes.withUnsafeMutableBufferPointer { nodes in
      var at = index
      while true {
        var least = 2 * at + 1
        if least >= nodes.count { return }
        if least + 1 < nodes.count && nodes[least + 1] < nodes[least] { least += 1 }
        if !(nodes[least] < nodes[at]) { return }
        nodes.swapAt(at, least)
        at = least
      }
    }
  }
}
