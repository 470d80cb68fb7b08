import CBench
import Foundation
import ScopeModel
import ScopeTesting

/// A request of the honest client, and how its answer is judged.
struct HonestRequest {
  /// The frame; its id is put in when it is sent.
  let frame: [UInt8]
  /// Of a check: 1 allow, 2 deny; nil: any answer without an error is right.
  let decision: UInt32?

  init(company: Name, call: Int, _ message: [UInt8], decision: UInt32?) {
    var request = RawRequest(company: company.text, call: call, message)
    request.id = HonestRequest.firstID
    frame = RawConnection.frame(request.packed)
    self.decision = decision
  }

  init(_ question: Question, in company: Name) {
    let check = RawRequest.check(
      (1, Array(question.user.text.utf8)),
      (UInt64(question.object.type.number), Array(question.object.id.text.utf8)))
    self.init(company: company, call: 11, check, decision: question.isAllowed ? 1 : 2)
  }

  /// Ids from here on take four bytes on the wire.
  static let firstID: UInt64 = 1 << 21

  func frame(number: Int) -> [UInt8] {
    var frame = frame
    let id = Proto.varint(HonestRequest.firstID + UInt64(number))
    frame.replaceSubrange(5..<5 + id.count, with: id)
    return frame
  }
}

/// What the honest client has met.
struct HonestResult {
  /// Nanoseconds from when each was due. One that was never answered counts until it was given up.
  var latencies = Latencies()
  /// How late the client itself was to ask.
  var lateness = Latencies()
  var asked = 0
  /// Answered with another decision than the model's, or to a question that was not asked.
  var wrong = 0
  /// Errors, by their code.
  var refused: [UInt32: Int] = [:]
  /// Never answered: the connection was closed, or nobody listened, or it took too long.
  var unanswered = 0

  var unserved: Int { unanswered + refused.values.reduce(0, +) }
}

/// Asks at a fixed rate, in turns over connections of its own, and looks at each answer. Latency counts from the
/// moment a request was due. Whatever the daemon does is a result, not a failure of the benchmark.
final class HonestClient: @unchecked Sendable {  // used by one thread at a time
  private final class Line {
    let socket: BenchSocket
    var waiting: Set<Int> = []
    var unsent: [UInt8] = []
    var unread: [UInt8] = []

    init(_ socket: BenchSocket) { self.socket = socket }
  }

  private let address: BenchAddress
  private let requests: [HonestRequest]
  private let perSecond: Int
  /// How long answers are waited for when all is asked.
  private let patience: Double
  /// A bare echo is asked: an answer is the question.
  private let isEcho: Bool
  private var lines: [Line?]
  private let timer = timerfd_create(CLOCK_MONOTONIC, 0)
  private var schedule = Schedule(start: 0, perSecond: 1, count: 0)
  private var result = HonestResult()

  init(
    _ address: BenchAddress, _ requests: [HonestRequest], perSecond: Int, connections: Int, patience: Double,
    isEcho: Bool = false
  ) {
    self.address = address
    self.requests = requests
    self.perSecond = perSecond
    self.patience = patience
    self.isEcho = isEcho
    lines = (0..<connections).map { _ in (try? BenchSocket(address, isBlocking: false)).map(Line.init) }
  }

  deinit { close(timer) }

  /// May be called again: each time is counted by itself.
  func run(seconds: Double) -> HonestResult {
    schedule = Schedule(
      start: nanoseconds() + 1_000_000, perSecond: perSecond, count: Int(Double(perSecond) * seconds))
    result = HonestResult()
    let end = schedule.due(schedule.count) + UInt64(patience * 1e9)
    setPrecedence(true)
    defer { setPrecedence(false) }
    while case let now = nanoseconds(), now < end {
      askWhatIsDue(now)
      if result.asked == schedule.count && lines.allSatisfy({ $0?.waiting.isEmpty ?? true }) { break }
      wait(until: result.asked < schedule.count ? schedule.due(result.asked) : now + 50_000_000)
    }
    for place in lines.indices where !(lines[place]?.waiting.isEmpty ?? true) { giveUp(place) }
    return result
  }

  /// Runs before all others, where the system lets it, as if it had a machine of its own: it takes a processor for some
  /// microseconds a check, and what is measured is then the daemon's time, not its own.
  private func setPrecedence(_ isAhead: Bool) {
    var parameter = sched_param()
    parameter.sched_priority = isAhead ? 1 : 0
    pthread_setschedparam(pthread_self(), isAhead ? SCHED_RR : SCHED_OTHER, &parameter)
  }

  private func askWhatIsDue(_ now: UInt64) {
    while result.asked < schedule.count && schedule.due(result.asked) <= now {
      _ = result.lateness.record(now - schedule.due(result.asked))
      ask(result.asked)
      result.asked += 1
    }
  }

  private func ask(_ number: Int) {
    let place = number % lines.count
    if lines[place] == nil { lines[place] = (try? BenchSocket(address, isBlocking: false)).map(Line.init) }
    guard let line = lines[place] else { return result.unanswered += 1 }
    line.waiting.insert(number)
    line.unsent += requests[number % requests.count].frame(number: number)
    flush(place)
  }

  private func flush(_ place: Int) {
    guard let line = lines[place], !line.unsent.isEmpty else { return }
    let sent = send(line.socket.handle, line.unsent, line.unsent.count, Int32(MSG_NOSIGNAL))
    if sent > 0 { line.unsent.removeFirst(sent) }
    if sent < 0 && errno != EAGAIN && errno != EINTR { giveUp(place) }
  }

  private func wait(until moment: UInt64) {
    var (ready, places) = ([pollfd(fd: timer, events: Int16(POLLIN), revents: 0)], [Int]())
    for (place, line) in lines.enumerated() {
      guard let line else { continue }
      let events = POLLIN | (line.unsent.isEmpty ? 0 : POLLOUT)
      ready.append(pollfd(fd: line.socket.handle, events: Int16(events), revents: 0))
      places.append(place)
    }
    wake(at: moment)
    if poll(&ready, nfds_t(ready.count), 1_000) <= 0 { return }
    for (index, place) in places.enumerated() where ready[index + 1].revents != 0 {
      flush(place)
      receive(place)
    }
  }

  /// A poll's own time is in milliseconds: too coarse for a check every two.
  private func wake(at moment: UInt64) {
    let (seconds, rest) = moment.quotientAndRemainder(dividingBy: 1_000_000_000)
    var time = itimerspec()
    time.it_value = timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
    timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &time, nil)
  }

  private func receive(_ place: Int) {
    guard let line = lines[place] else { return }
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(line.socket.handle, &chunk, chunk.count, Int32(MSG_DONTWAIT))
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
    if count <= 0 { return giveUp(place) }
    let now = nanoseconds()
    line.unread += chunk[..<count]
    var position = 0
    while let message = HonestClient.message(line.unread, from: &position) { settle(message, line, now) }
    line.unread.removeFirst(position)
  }

  private static func message(_ bytes: [UInt8], from position: inout Int) -> [UInt8]? {
    guard bytes.count - position >= 4 else { return nil }
    let end = position + 4 + bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count >= end else { return nil }
    defer { position = end }
    return Array(bytes[(position + 4)..<end])
  }

  private func settle(_ message: [UInt8], _ line: Line, _ now: UInt64) {
    if isEcho { return settleEcho(message, line, now) }
    guard let response = try? RawResponse(message), response.id >= HonestRequest.firstID,
      case let number = Int(response.id - HonestRequest.firstID), line.waiting.remove(number) != nil
    else { return result.wrong += 1 }
    note(now, number)
    if response.code != 0 {
      result.refused[response.code, default: 0] += 1
    } else if let decision = requests[number % requests.count].decision, response.decision != decision {
      result.wrong += 1
    }
  }

  private func settleEcho(_ message: [UInt8], _ line: Line, _ now: UInt64) {
    let number = line.waiting.min { $0 < $1 } ?? 0
    line.waiting.remove(number)
    note(now, number)
    if requests[number % requests.count].frame(number: number)[4...] != message[...] { result.wrong += 1 }
  }

  /// A time beyond what the histogram holds counts as the longest it does.
  private func note(_ now: UInt64, _ number: Int) {
    _ = result.latencies.record(min(now - schedule.due(number), 59_000_000_000))
  }

  /// What waits on a connection will not be answered any more; the next question gets a new one.
  private func giveUp(_ place: Int) {
    guard let line = lines[place] else { return }
    let now = nanoseconds()
    for number in line.waiting { note(now, number) }
    result.unanswered += line.waiting.count
    line.waiting = []
    lines[place] = nil
  }
}
