import Dispatch
import Foundation
import ScopeClient
import ScopeImport

/// Ctrl-C and SIGTERM. The work folder is in order at every moment, so they end the process at once.
struct StopSignals {
  private let sources: [any DispatchSourceSignal]

  /// - Parameter words: how to go on.
  init(_ progress: ImportProgress, words: String) {
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        progress.finish()
        StandardError.error("stopped; \(words)", reason: "stopped", exit: 128 + number)
        _exit(128 + number)
      }
      source.activate()
      return source
    }
  }

  /// All is done: nothing is left to stop.
  func disarm() { for source in sources { source.cancel() } }
}
