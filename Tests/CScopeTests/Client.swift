import CScope
import ScopeTesting

/// A handle that closes itself. What no test is about is off: breaker, backoff, deadline.
final class Client: @unchecked Sendable {  // the C handle is made for several threads
  let handle: OpaquePointer

  init(_ address: String, company: String? = "acme", change: (inout scope_options) -> Void = { _ in }) {
    var options = scope_options()
    scope_options_init(&options, MemoryLayout<scope_options>.size)
    options.timeout_ms = .anHour
    options.backoff_min_ms = 0
    options.breaker_failures = 0
    change(&options)
    handle = withOptionalCString(company) {
      options.company = $0
      guard let handle = scope_open(address, &options, nil) else { fatalError("scope_open failed") }
      return handle
    }
  }

  deinit { scope_close(handle) }

  func check(_ subject: String = "user:1001", _ object: String = "queue:support") -> Answer {
    var answer = scope_answer()
    let allowed = scope_check(handle, subject, object, &answer)
    return Answer(allowed, answer)
  }

  var counters: scope_counters {
    var counters = scope_counters()
    scope_counters_read(handle, &counters)
    return counters
  }
}

func withOptionalCString<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
  guard let text else { return body(nil) }
  return text.withCString { body($0) }
}

/// The context of a callback; the object must outlive the call.
func context(_ object: AnyObject) -> UnsafeMutableRawPointer {
  Unmanaged.passUnretained(object).toOpaque()
}

func object<T: AnyObject>(_ context: UnsafeMutableRawPointer?) -> T {
  Unmanaged<T>.fromOpaque(context!).takeUnretainedValue()
}

/// A `scope_answer` as Swift values.
struct Answer: Equatable {
  var allowed: Bool
  var verdict: scope_verdict
  var reason: scope_reason
  var reasonText: String
  var revision: UInt64
  var project: String
  var group: String
  var error: Failure

  init(_ allowed: Bool, _ answer: scope_answer) {
    self.allowed = allowed
    verdict = answer.verdict
    reason = answer.reason
    reasonText = String(cString: answer.reason_text)
    revision = answer.revision
    project = string(answer.project)
    group = string(answer.group)
    error = Failure(answer.error)
  }
}

struct Failure: Equatable {
  var status: scope_status
  var reason: String
  var message: String
  var fromDaemon: Bool
  var requestSent: Bool

  init(_ error: scope_error) {
    status = error.status
    reason = string(error.reason)
    message = string(error.message)
    fromDaemon = error.from_daemon
    requestSent = error.request_sent
  }
}

/// The text in a C array of characters, which Swift sees as a tuple.
private func string<T>(_ characters: T) -> String {
  withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
