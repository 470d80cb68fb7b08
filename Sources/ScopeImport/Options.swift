import Crypto
import Foundation

/// What is to be imported, from where, and how it is read.
public struct ImportOptions: Codable, Equatable, Sendable {
  public enum Mode: String, Codable, CaseIterable, Sendable {
    /// The numbers of the file become the list's numbers.
    case replace
    /// They are put on the list beside those it has.
    case add
    /// They are taken off the list.
    case remove
  }

  public enum Format: String, Codable, CaseIterable, Sendable {
    case csv, jsonl
  }

  /// Which column holds what: names, or with `hasHeader` false numbers from 1.
  public struct Columns: Codable, Equatable, Sendable {
    public var number = "number"
    /// Nil: `label`, where there is such a column.
    public var label: String?
    /// Nil: `time_zone`, where there is such a column.
    public var timeZone: String?
    /// Columns kept beside these.
    public var kept: [String] = []
    public var keepsAll = false

    public init() {}
  }

  public var company: String
  public var list: String
  /// Path, or `-` for standard input.
  public var file: String
  public var mode = Mode.replace
  /// The user who acts; empty: the platform.
  public var actor = ""
  public var format = Format.csv
  public var delimiter = ASCII.comma
  public var hasHeader = true
  public var columns = Columns()
  /// Numbers are normalised; otherwise they must be E.164.
  public var normalises = true
  /// Region of national numbers, two capitals; empty: they are refused.
  public var region = ""
  /// Letters behind the first digits of a number stand for digits, as on a keypad: `1-800-FLOWERS`.
  public var readsLetters = false
  /// Where refused lines are written; nil: nowhere.
  public var report: String?

  public init(company: String, list: String, file: String) {
    self.company = company
    self.list = list
    self.file = file
  }

  var isStandardInput: Bool { file == "-" }

  /// Of everything that decides what is made of a file.
  var digest: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let bytes = try? encoder.encode(self) else { fatalError("options can't be encoded") }
    return hexadecimal(SHA256.hash(data: bytes))
  }

  /// The daemon knows by it that the same file goes on: of what its parts are made of.
  func importKey(_ file: FileIdentity) -> String {
    var alike = self
    alike.report = nil
    return "scope-import-" + hexadecimal(SHA256.hash(data: Data((alike.digest + file.text).utf8)).prefix(16))
  }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// What tells a file from another, and from itself after an edit.
struct FileIdentity: Codable, Equatable, Sendable {
  let device: UInt64
  let inode: UInt64
  let bytes: Int
  let modifiedNanoseconds: Int64

  /// Of an open file.
  init(_ descriptor: Int32) {
    var status = stat()
    fstat(descriptor, &status)
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    bytes = Int(status.st_size)
    modifiedNanoseconds = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
  }

  var text: String { "\(device) \(inode) \(bytes) \(modifiedNanoseconds)" }
}

extension ImportOptions {
  /// Whether national numbers of the region, two capitals, can be normalised.
  public static func knows(region: String) -> Bool { NumberReader.knows(region: region) }
}
