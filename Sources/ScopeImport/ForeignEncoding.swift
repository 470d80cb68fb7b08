/// What a file is by its first bytes, where it is no text in UTF-8.
enum ForeignEncoding: CaseIterable {
  // The mark of UTF-32 begins as that of UTF-16 does: it is looked for first.
  case utf32, utf16, spreadsheet, gzip

  /// - Parameter bytes: the beginning of the file; of an empty one nothing can be said.
  init?(_ bytes: UnsafeRawBufferPointer) {
    let known = ForeignEncoding.allCases.first { encoding in
      encoding.beginnings.contains { bytes.count >= $0.count && bytes.prefix($0.count).elementsEqual($0) }
    }
    if let known {
      self = known
    } else if ForeignEncoding.hasZeros(bytes.prefix(256)) {
      self = .utf16
    } else {
      return nil
    }
  }

  private var beginnings: [[UInt8]] {
    switch self {
    case .utf16: [[0xFE, 0xFF], [0xFF, 0xFE]]
    case .utf32: [[0, 0, 0xFE, 0xFF], [0xFF, 0xFE, 0, 0]]
    case .spreadsheet: [[0x50, 0x4B, 3, 4], [0xD0, 0xCF, 0x11, 0xE0]]
    case .gzip: [[0x1F, 0x8B]]
    }
  }

  /// Without a mark: of Latin letters and digits, every second byte is zero.
  private static func hasZeros(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    let zeros = bytes.indices.filter { bytes[$0] == 0 }
    return zeros.count * 4 >= bytes.count && bytes.count >= 4 && Set(zeros.map { $0 & 1 }).count == 1
  }

  /// For people, with what to do.
  var words: String {
    switch self {
    case .utf16: "UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8"
    case .utf32: "UTF-32, not UTF-8; convert it: iconv -f UTF-32 -t UTF-8"
    case .spreadsheet: "a spreadsheet's own file or a ZIP archive; save it as CSV in UTF-8, or unpack it"
    case .gzip: "compressed; unpack it: gzip -dc"
    }
  }
}
