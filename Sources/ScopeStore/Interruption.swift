import GRDBSQLite
import Synchronization

/// Ends what a store is reading, and whatever it is asked to read afterwards: for the end of the process, when nobody
/// waits for it. What is being written is never interrupted, nor is a COMMIT.
public final class Interruption: Sendable {
  private struct State {
    /// Nil: the store is not open yet, or closed. Unsafe: SQLite says that this one call may come from any thread as
    /// long as the connection is open, and under the lock it is.
    nonisolated(unsafe) var connection: OpaquePointer?
    /// Something is being written.
    var isShielded = false
    var isSet = false
  }

  private let state = Mutex(State())
  /// Set, and nothing is being written: what SQLite asks now and then.
  private let isDue = Atomic<Bool>(false)
  /// Between two looks, in SQLite's own steps: a few rows.
  private static let steps: Int32 = 100

  init() {}

  /// Has come. Never goes.
  public var isSet: Bool { state.withLock(\.isSet) }

  /// Ends what is being read, for good. From any thread, at any time.
  public func set() {
    state.withLock { state in
      state.isSet = true
      if state.isShielded { return }
      isDue.store(true, ordering: .relaxed)
      // Where SQLite does not ask: in the one step of an integrity check.
      if let connection = state.connection { sqlite3_interrupt(connection) }
    }
  }

  /// Has SQLite ask. This must outlive the connection.
  func watch(_ connection: OpaquePointer?) {
    state.withLock { $0.connection = connection }
    let me = Unmanaged.passUnretained(self).toOpaque()
    sqlite3_progress_handler(
      connection, Interruption.steps,
      { me in Unmanaged<Interruption>.fromOpaque(me!).takeUnretainedValue().isDue.load(ordering: .relaxed) ? 1 : 0 }, me
    )
  }

  /// The connection is about to be closed.
  func forget() { state.withLock { $0.connection = nil } }

  /// Runs what must not be interrupted.
  func shield<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
    let wasShielded = state.withLock { state in
      defer { state.isShielded = true }
      if state.isSet && !state.isShielded { forgetInterrupt(state.connection) }
      isDue.store(false, ordering: .relaxed)
      return state.isShielded
    }
    defer {
      state.withLock { state in
        state.isShielded = wasShielded
        isDue.store(state.isSet && !wasShielded, ordering: .relaxed)
      }
    }
    return try body()
  }

  /// An interrupt that met no statement would end the next checkpoint; the next statement takes it away.
  private func forgetInterrupt(_ connection: OpaquePointer?) {
    isDue.store(false, ordering: .relaxed)
    if let connection { sqlite3_exec(connection, "SELECT 1", nil, nil, nil) }
  }
}
