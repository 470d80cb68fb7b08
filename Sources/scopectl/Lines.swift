import ArgumentParser
import Foundation
import ScopeClient

/// Lines of a file or of standard input, without holding it all.
struct LineReader {
  struct Line {
    /// Bytes without the end of the line.
    let text: Data
    /// From 1.
    let number: Int
    /// `FILE:NUMBER`, for errors.
    let place: String

    func fault(_ words: String) -> CommandFailure { fail("\(place): \(words)", "bad_input", Exit.badData) }
  }

  /// The longest line, in bytes.
  private static let maximumBytes = 1 << 20

  private let name: String
  private let handle: FileHandle
  private var buffer = Data()
  private var number = 0
  private var isAtEnd = false

  /// - Parameter path: `-` for standard input.
  init(_ path: String) throws {
    name = path == "-" ? "standard input" : path
    if path == "-" {
      handle = .standardInput
    } else {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      if descriptor < 0 { throw unreadable(path, String(cString: strerror(errno))) }
      handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }
  }

  mutating func next() throws -> Line? {
    while true {
      if let end = buffer.firstIndex(of: 0x0A) {
        let text = buffer[buffer.startIndex..<end]
        buffer = buffer[buffer.index(after: end)...]
        return line(text)
      }
      if isAtEnd {
        if buffer.isEmpty { return nil }
        defer { buffer = Data() }
        return line(buffer)
      }
      if buffer.count > LineReader.maximumBytes {
        let words = "\(name):\(number + 1): the line is longer than \(LineReader.maximumBytes) bytes"
        throw fail(words, "bad_input", Exit.badData)
      }
      try fill()
    }
  }

  private mutating func fill() throws {
    do {
      let more = try handle.read(upToCount: 256 << 10) ?? Data()
      isAtEnd = more.isEmpty
      buffer = Data(buffer) + more
    } catch {
      throw unreadable(name, error.localizedDescription)
    }
  }

  private mutating func line(_ text: Data) -> Line {
    number += 1
    return Line(text: text.last == 0x0D ? text.dropLast() : text, number: number, place: "\(name):\(number)")
  }
}

private func unreadable(_ file: String, _ why: String) -> CommandFailure {
  fail("can't read \(file): \(why)", "unreadable_file", Exit.noInput)
}

/// The changes in a file of JSON Lines.
struct ChangeReader {
  struct Read {
    let line: ChangeLine
    let number: Int
    let place: String
    let bytes: Int
  }

  private var lines: LineReader
  private let from: Int

  /// - Parameter from: number of the first line to take, from 1.
  init(_ lines: LineReader, from: Int = 1) {
    self.lines = lines
    self.from = from
  }

  /// UTF-8's mark, with which some editors begin a file. Before JSON it is part of no name.
  private static func withoutMark(_ line: Data) -> Data {
    line.starts(with: [0xEF, 0xBB, 0xBF]) ? line.dropFirst(3) : line
  }

  /// The next change; empty lines are passed over.
  mutating func next() throws -> Read? {
    while let line = try lines.next() {
      let text = line.number == 1 ? ChangeReader.withoutMark(line.text) : line.text
      if text.isEmpty || line.number < from { continue }
      do throws(ChangeLineError) {
        return Read(
          line: try ChangeLine(json: text), number: line.number, place: line.place, bytes: line.text.count)
      } catch {
        throw line.fault("\(error)")
      }
    }
    return nil
  }
}
