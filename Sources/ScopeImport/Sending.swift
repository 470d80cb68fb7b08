import Foundation
import NIOConcurrencyHelpers
import ScopeClient
import ScopeModel

/// How the daemon is spoken to.
public struct SendingOptions: Sendable {
  /// Deadline of a call, in milliseconds, 1 to 60,000. Default 60 s: the last part of an import puts all in place.
  public var timeoutMilliseconds: UInt32 = 60_000
  /// How long a daemon that does not answer is tried again, in seconds. Default 60.
  public var retrySeconds = 60
  /// Another import under way on the list is forgotten.
  public var abandonsOther = false
  /// Nothing is sent if a line was refused.
  public var isStrict = false
  /// Of all lines, as a percentage: if more are refused, nothing is replaced. Nil: none for a list that protects, else
  /// `usualRefusedPercent`.
  public var refusedPercent: Double?
  /// Makes the list, where it is not there: in `projects`, with `purpose`, in one change before its numbers come.
  public var createsList = false
  /// Projects that a list is made in.
  public var projects: [Name] = []
  /// Given to the list before its numbers are changed; nil: it keeps the one it has.
  public var purpose: ListPurpose?

  public static let usualRefusedPercent = 5.0

  /// - Parameter known: what the list is for so far.
  func refusedPercent(_ known: ListPurpose?) -> Double {
    if let refusedPercent { return refusedPercent }
    return [.unwanted, .vip].contains(purpose ?? known) ? 0 : SendingOptions.usualRefusedPercent
  }

  public init() {}
}

/// A client that asks again while the daemon is away.
final class PatientClient {
  private static let firstPause = Duration.milliseconds(100)
  private static let longestPause = Duration.seconds(5)

  private let client: Client
  private let options: SendingOptions
  private let progress: ImportProgress

  init(_ client: Client, _ options: SendingOptions, _ progress: ImportProgress) {
    self.client = client
    self.options = options
    self.progress = progress
  }

  /// Of the last answer; nil: there was none.
  var revision: UInt64? { client.revision == 0 ? nil : client.revision }

  /// Makes a call that may be made twice.
  func call<T>(_ body: (Client) throws(ClientError) -> T) throws(ImportError) -> T {
    let deadline = ContinuousClock.now + .seconds(options.retrySeconds)
    var pause = PatientClient.firstPause
    while true {
      do throws(ClientError) { return try body(client) } catch {
        if error.isRefusal || ContinuousClock.now + pause > deadline { throw ImportError(error, options) }
        if pause == PatientClient.firstPause {
          progress.say("\(error); trying again for \(options.retrySeconds) s")
        }
        Thread.sleep(forTimeInterval: pause / .seconds(1))
        pause = min(pause * 2, PatientClient.longestPause)
      }
    }
  }
}

extension ImportError {
  fileprivate init(_ error: ClientError, _ options: SendingOptions) {
    let words = StandardError.isJSON ? error.message : "\(error)"
    let text = words + ImportError.hint(for: error)
    if error.isRefusal {
      self.init(.refused, text, reason: error.reason)
    } else {
      self.init(.unavailable, "\(text); tried for \(options.retrySeconds) s", reason: error.reason)
    }
  }

  private static func hint(for error: ClientError) -> String {
    if !error.advice.isEmpty { return "; \(error.advice)" }
    return switch error.reason {
    case "timeout", "deadline_exceeded": "; is the daemon busy? --timeout gives it longer"
    case "unknown_company": "; is --company right?"
    case "unknown_call", "call_missing": "; the daemon is older than this scope-import"
    case ImportError.otherImport:
      "; it is of another file, of other options, or of this file before it changed: --abandon-other forgets it"
    default: ""
    }
  }

  /// The daemon's reason when another import is under way on the list.
  static let otherImport = "import_under_way"
}

/// Rows as they go to the daemon.
struct Part: Sendable {
  /// From 1.
  let number: UInt32
  let numbers: PackedNumbers
}

/// Cuts ascending rows into parts; the same rows always into the same parts. The last may be empty.
struct PartCutter {
  private let call: PackedNumbers.Call
  private let merge: Merge
  private var number: UInt32 = 0
  private var isAtEnd = false
  private var pending: PackedNumbers

  init(_ call: PackedNumbers.Call, _ merge: Merge) {
    self.call = call
    self.merge = merge
    pending = PackedNumbers(call)
  }

  /// The next part; nil: that was the last.
  mutating func next() throws(ImportError) -> Part? {
    if isAtEnd { return nil }
    while let row = try merge.next() {
      if pending.hasRoom(for: row.beside) {
        pending.append(row.number, beside: row.beside)
      } else {
        let full = pending
        pending = PackedNumbers(call)
        pending.append(row.number, beside: row.beside)
        return part(full)
      }
    }
    isAtEnd = true
    return part(pending)
  }

  private mutating func part(_ numbers: PackedNumbers) -> Part {
    number += 1
    return Part(number: number, numbers: numbers)
  }
}

/// Parts made ahead by a thread of their own, while the daemon works on those before.
final class PartsAhead: Sendable {
  private static let depth = 2

  private struct State {
    var parts: [Result<Part?, ImportError>] = []
  }

  private let state = NIOLockedValueBox(State())
  private let room = DispatchSemaphore(value: PartsAhead.depth)
  private let ready = DispatchSemaphore(value: 0)
  private let isStopped = NIOLockedValueBox(false)

  /// - Parameter makeCutter: called on the thread.
  init(_ makeCutter: @escaping @Sendable () throws(ImportError) -> PartCutter) {
    Thread.detachNewThread { [self] in
      do throws(ImportError) {
        var cutter = try makeCutter()
        while let part = try cutter.next() {
          if !put(.success(part)) { return }
        }
        _ = put(.success(nil))
      } catch {
        _ = put(.failure(error))
      }
    }
  }

  private func put(_ part: Result<Part?, ImportError>) -> Bool {
    room.wait()
    if isStopped.withLockedValue({ $0 }) { return false }
    state.withLockedValue { $0.parts.append(part) }
    ready.signal()
    return true
  }

  /// The next part; nil: that was the last.
  func next() throws(ImportError) -> Part? {
    ready.wait()
    let part = state.withLockedValue { $0.parts.removeFirst() }
    room.signal()
    return try part.get()
  }

  /// Ends the thread. No part is asked for any more.
  func stop() {
    isStopped.withLockedValue { $0 = true }
    room.signal()
  }
}
