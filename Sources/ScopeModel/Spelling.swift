/// What somebody who mistyped a word may have meant.
public enum Spelling {
  /// The nearest of some words, as bytes: one edit away, or two where one of both has more than four letters. An edit is
  /// a letter too many, too few, wrong, or changed places with its neighbour. Nil: none is near enough, or the word is
  /// one of them.
  public static func nearest(to word: String, among words: some Sequence<String>) -> String? {
    let bytes = Array(word.utf8)
    var (best, least) = (String?.none, bytes.count < 3 ? 1 : 2)
    for other in words {
      let bound = max(bytes.count, other.utf8.count) > 4 ? least : min(least, 1)
      guard let distance = distance(bytes, Array(other.utf8), atMost: bound) else { continue }
      if distance == 0 { return nil }
      (best, least) = (other, distance - 1)
    }
    return best
  }

  /// Nil: it is longer than `bound`.
  private static func distance(_ a: [UInt8], _ b: [UInt8], atMost bound: Int) -> Int? {
    if bound < 0 || abs(a.count - b.count) > bound { return nil }
    var before = [Int](repeating: 0, count: b.count + 1)
    var (last, next) = (Array(0...b.count), before)
    for row in 0..<a.count {
      next[0] = row + 1
      for column in 0..<b.count {
        var least = min(last[column + 1], next[column]) + 1
        least = min(least, last[column] + (a[row] == b[column] ? 0 : 1))
        if row > 0, column > 0, a[row] == b[column - 1], a[row - 1] == b[column] {
          least = min(least, before[column - 1] + 1)
        }
        next[column + 1] = least
      }
      if min(next.min()!, last.min()!) > bound { return nil }  // two rows: a change of places leaps over one
      swap(&before, &last)
      swap(&last, &next)
    }
    return last[b.count] <= bound ? last[b.count] : nil
  }
}
