import Foundation
import NIOConcurrencyHelpers
import ScopeClient

/// Tells on standard error how far an import is: on a terminal in one line, elsewhere a line every few seconds.
public final class ImportProgress: Sendable {
  public enum Style: Sendable {
    case silent, lines, terminal
    /// For machines: what is said, and not how far it is.
    case notes
  }

  private struct State {
    var phase = "reading"
    var bytes = 0
    var totalBytes = 0
    var lines = 0
    var refused = 0
    var rows = 0
    var totalRows = 0
    var phaseStarted = ContinuousClock.now
    /// Of what the rate is told, when the phase began.
    var phaseBase = 0
    var shown = ContinuousClock.now
    var isLineOpen = false
  }

  private let style: Style
  private let state = NIOLockedValueBox(State())

  public init(_ style: Style) { self.style = style }

  /// - Parameter totalBytes: of the input; 0: nobody knows.
  func beginReading(_ manifest: Manifest, totalBytes: Int) {
    begin("reading") { state in
      (state.bytes, state.totalBytes) = (manifest.place.offset, totalBytes)
      (state.lines, state.refused) = (manifest.tally.lines, manifest.tally.refusedLines)
      state.phaseBase = state.lines
    }
  }

  func read(bytes: Int, lines: Int, refused: Int) {
    note { state in
      state.bytes += bytes
      state.lines += lines
      state.refused += refused
    }
  }

  func beginMerging() { begin("merging") { _ in } }

  /// - Parameter isCounting: nothing is sent.
  func beginSending(totalRows: Int, isCounting: Bool) {
    begin(isCounting ? "counting" : "sending") { state in
      (state.rows, state.totalRows, state.phaseBase) = (0, totalRows, 0)
    }
  }

  func sent(rows: Int) { note { $0.rows += rows } }

  /// Words on a line of their own.
  public func say(_ words: String) {
    if style == .silent { return }
    if style == .notes { return StandardError.note(words, reason: "progress") }
    state.withLockedValue { state in
      clear(&state)
      write("scope-import: \(escaped(words))\n")
    }
  }

  /// Leaves the terminal with the cursor at the beginning of an empty line.
  public func finish() { state.withLockedValue { clear(&$0) } }

  private func begin(_ phase: String, _ change: (inout State) -> Void) {
    state.withLockedValue { state in
      state.phase = phase
      state.phaseStarted = .now
      change(&state)
    }
  }

  private func note(_ change: (inout State) -> Void) {
    state.withLockedValue { state in
      change(&state)
      let pause: Duration = style == .terminal ? .milliseconds(200) : .seconds(5)
      guard style == .lines || style == .terminal, ContinuousClock.now - state.shown > pause else { return }
      state.shown = .now
      show(&state)
    }
  }

  private func show(_ state: inout State) {
    let text = ImportProgress.text(of: state, seconds: (ContinuousClock.now - state.phaseStarted) / .seconds(1))
    write(style == .terminal ? "\r\u{1B}[K\(text)" : "scope-import: \(text)\n")
    state.isLineOpen = style == .terminal
  }

  private func clear(_ state: inout State) {
    if state.isLineOpen { write("\r\u{1B}[K") }
    state.isLineOpen = false
  }

  private static func text(of state: State, seconds: Double) -> String {
    let isReading = state.phase == "reading"
    let done = (isReading ? state.lines : state.rows) - state.phaseBase
    let rate = Int(Double(done) / max(0.001, seconds))
    let share =
      isReading
      ? Double(state.bytes) / Double(max(1, state.totalBytes)) : Double(state.rows) / Double(max(1, state.totalRows))
    var text = "\(state.phase): \(isReading ? "\(state.lines) lines" : "\(state.rows) numbers"), \(rate) a second"
    if state.refused > 0 { text += ", \(state.refused) refused" }
    if share > 0 && share <= 1 && (isReading ? state.totalBytes : state.totalRows) > 0 {
      text += ", \(Int(share * 100)) %, \(duration(seconds / share - seconds)) left"
    }
    return text
  }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}

/// `40 s`, `3 min`
private func duration(_ seconds: Double) -> String {
  seconds < 100 ? "\(Int(seconds.rounded(.up))) s" : "\(Int((seconds / 60).rounded(.up))) min"
}
