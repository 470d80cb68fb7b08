/// What a file is by its first bytes, where it is no text in UTF-8.
enum ForeignEncoding: CaseIterable {
  // The mark of UTF-32 begins as that of UTF-16 does: it is looked for first.
  case utf32, utf16, utf16LittleEndian, utf16BigEndian, spreadsheet, gzip

  /// - Parameter bytes: the beginning of the file; of an empty one nothing can be said.
  init?(_ bytes: UnsafeRawBufferPointer) {
    let known = ForeignEncoding.allCases.first { encoding in
      encoding.beginnings.contains { bytes.count >= $0.count && bytes.prefix($0.count).elementsEqual($0) }
    }
    guard let found = known ?? ForeignEncoding.withoutMark(bytes.prefix(256)) else { return nil }
    self = found
  }

  private var beginnings: [[UInt8]] {
    switch self {
    case .utf16: [[0xFE, 0xFF], [0xFF, 0xFE]]
    case .utf16LittleEndian, .utf16BigEndian: []  // without a mark
    case .utf32: [[0, 0, 0xFE, 0xFF], [0xFF, 0xFE, 0, 0]]
    case .spreadsheet: [[0x50, 0x4B, 3, 4], [0xD0, 0xCF, 0x11, 0xE0]]
    case .gzip: [[0x1F, 0x8B]]
    }
  }

  /// Of Latin letters and digits, every second byte is zero: the first or the second.
  private static func withoutMark(_ bytes: Slice<UnsafeRawBufferPointer>) -> ForeignEncoding? {
    let zeros = bytes.indices.filter { bytes[$0] == 0 }
    if bytes.count < 4 || zeros.count * 4 < bytes.count { return nil }
    return zeros.allSatisfy { $0 & 1 == 1 }
      ? .utf16LittleEndian : zeros.allSatisfy { $0 & 1 == 0 } ? .utf16BigEndian : nil
  }

  /// For people, with what to do.
  var words: String {
    switch self {
    case .utf16: ForeignEncoding.conversion(from: "UTF-16")
    case .utf16LittleEndian: ForeignEncoding.conversion(from: "UTF-16LE")
    case .utf16BigEndian: ForeignEncoding.conversion(from: "UTF-16BE")
    case .utf32: ForeignEncoding.conversion(from: "UTF-32")
    case .spreadsheet: "a spreadsheet's own file or a ZIP archive; save it as CSV in UTF-8, or unpack it"
    case .gzip: "compressed; unpack it: gzip -dc FILE >NEW"
    }
  }
  private static func conversion(from name: String) -> String {
    "\(name), not UTF-8; convert it: iconv -f \(name) -t UTF-8 FILE >NEW"
  }
}
