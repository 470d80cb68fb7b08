// Ids and names are bytes. `String` compares by Unicode equivalence and cuts between what people see as characters:
// two ids could be one, and an id that begins with a combining mark could not be told from the colon before it.

/// Equal as bytes.
func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

func isSame(_ a: some Collection<String>, _ b: some Collection<String>) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { isSame($0, $1) }
}

extension StringProtocol {
  /// What stands behind the beginning; nil: it begins otherwise.
  func behind(_ beginning: String) -> String? {
    utf8.starts(with: beginning.utf8) ? String(self[utf8.index(startIndex, offsetBy: beginning.utf8.count)...]) : nil
  }

  /// What stands before and behind the first such sign, which is ASCII.
  func parted(at sign: Unicode.Scalar) -> (before: String, behind: String)? {
    guard let place = utf8.firstIndex(of: UInt8(ascii: sign)) else { return nil }
    return (String(self[..<place]), String(self[utf8.index(after: place)...]))
  }
}
