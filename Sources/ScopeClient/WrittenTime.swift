import Foundation

/// A moment as people write it.
///
/// - `2026-03-03T10:00`, with seconds or without, a blank in place of the T: a local time. With `Z` or an offset such as
///   `+02:00` behind it: that one.
/// - `2026-03-03`, `today`, `yesterday`: the first instant of the local day.
/// - `90s`, `30m`, `2h`, `7d`, `2w`: so long ago; a day has 24 hours.
public struct WrittenTime: Sendable {
  public let microseconds: Int64

  /// - Parameters:
  ///   - now: from which `today` and `2h` count.
  ///   - zone: of local times.
  public init(
    _ text: String, now: Date = Date(), zone: TimeZone = .current
  ) throws(WrittenTimeError) {
    let seconds: TimeInterval
    if let past = WrittenTime.past(text) {
      seconds = now.timeIntervalSince1970 - past
    } else if let daysAgo = ["today": 0, "yesterday": 1][text] {
      seconds = try WrittenTime.beginning(of: WrittenTime.day(of: now, zone) - daysAgo, text, zone)
    } else {
      let parts = try Parts(text)
      if let clock = parts.clock {
        seconds = try WrittenTime.moment(Double(parts.day) * 86_400 + clock, parts.offset, text, zone)
      } else {
        seconds = try WrittenTime.beginning(of: parts.day, text, zone)
      }
    }
    microseconds = Int64((seconds * 1e6).rounded())
  }

  private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]

  private static func past(_ text: String) -> TimeInterval? {
    guard let unit = text.last.flatMap({ units[$0] }), let count = digits(text.dropLast()), text.count <= 7 else {
      return nil
    }
    return Double(count) * unit
  }

  /// The moment of a clock's time, in seconds since 1970 as if it were of UTC.
  private static func moment(
    _ clock: TimeInterval, _ offset: Int?, _ text: String, _ zone: TimeZone
  ) throws(WrittenTimeError) -> TimeInterval {
    if let offset { return clock - Double(offset) }
    let offsets = offsets(at: clock, zone)
    if offsets.count == 1 { return clock - Double(offsets[0]) }
    if offsets.isEmpty { throw .notThere(text, zone: zone.identifier) }
    throw .twice(text, zone: zone.identifier, offsets: offsets.map(WrittenTime.text(ofOffset:)))
  }

  /// Offsets at which clocks of the zone show this, the earlier moment first.
  private static func offsets(at clock: TimeInterval, _ zone: TimeZone) -> [Int] {
    let near = [-86_400, 0, 86_400].map { zone.secondsFromGMT(for: Date(timeIntervalSince1970: clock + $0)) }
    return Set(near).sorted(by: >).filter {
      zone.secondsFromGMT(for: Date(timeIntervalSince1970: clock - Double($0))) == $0
    }
  }

  /// The first instant of a day, which is not midnight where clocks go forward then.
  private static func beginning(
    of day: Int, _ text: String, _ zone: TimeZone
  ) throws(WrittenTimeError) -> TimeInterval {
    let midnight = day * 86_400
    if let offset = offsets(at: Double(midnight), zone).first { return Double(midnight - offset) }
    var (before, first) = (midnight - 2 * 86_400, midnight + 2 * 86_400)
    while first - before > 1 {
      let middle = (before + first) / 2
      let isBefore = self.day(of: Date(timeIntervalSince1970: Double(middle)), zone) < day
      if isBefore { before = middle } else { first = middle }
    }
    let isThere = self.day(of: Date(timeIntervalSince1970: Double(first)), zone) == day
    if !isThere { throw .dayNotThere(text, zone: zone.identifier) }
    return Double(first)
  }

  /// Days since 1970 of the local day.
  private static func day(of moment: Date, _ zone: TimeZone) -> Int {
    let local = moment.timeIntervalSince1970 + Double(zone.secondsFromGMT(for: moment))
    return Int((local / 86_400).rounded(.down))
  }

  /// `+02:00`
  public static func text(ofOffset seconds: Int) -> String {
    let minutes = abs(seconds) / 60
    func two(_ number: Int) -> String { (number < 10 ? "0" : "") + "\(number)" }
    return (seconds < 0 ? "-" : "+") + two(minutes / 60) + ":" + two(minutes % 60)
  }

  fileprivate static func digits(_ text: Substring) -> Int? {
    text.utf8.isEmpty || !text.utf8.allSatisfy { 48...57 ~= $0 } ? nil : Int(text)
  }
}

/// The parts of `2026-03-03T10:00:30.5+01:00`.
private struct Parts {
  /// Since 1970.
  let day: Int
  /// Seconds of the day; nil: a day alone.
  var clock: TimeInterval?
  var offset: Int?

  init(_ text: String) throws(WrittenTimeError) {
    var rest = text[...]
    func number(_ count: Int, _ range: ClosedRange<Int>) throws(WrittenTimeError) -> Int {
      guard let number = WrittenTime.digits(rest.prefix(count)), range.contains(number), rest.count >= count else {
        throw .unreadable(text)
      }
      rest = rest.dropFirst(count)
      return number
    }
    func skip(_ sign: Character) -> Bool {
      guard rest.first == sign else { return false }
      rest = rest.dropFirst()
      return true
    }
    func expect(_ sign: Character) throws(WrittenTimeError) { if !skip(sign) { throw .unreadable(text) } }
    let year = try number(4, 1...9_999)
    try expect("-")
    let month = try number(2, 1...12)
    try expect("-")
    let ofMonth = try number(2, 1...31)
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0)!
    let components = DateComponents(year: year, month: month, day: ofMonth)
    guard let date = calendar.date(from: components), calendar.component(.day, from: date) == ofMonth else {
      throw .noSuchDay(text)
    }
    day = Int((date.timeIntervalSince1970 / 86_400).rounded(.down))
    if rest.isEmpty { return }
    if !skip("T") && !skip("t") { try expect(" ") }
    var seconds = Double(try number(2, 0...23) * 3_600)
    try expect(":")
    seconds += Double(try number(2, 0...59) * 60)
    if skip(":") {
      seconds += Double(try number(2, 0...59))
      if skip(".") {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, let fraction = Double("0.\(digits)") else { throw .unreadable(text) }
        seconds += fraction
        rest = rest.dropFirst(digits.count)
      }
    }
    clock = seconds
    if skip("Z") || skip("z") {
      offset = 0
    } else if rest.first == "+" || rest.first == "-" {
      let sign = rest.first == "-" ? -1 : 1
      rest = rest.dropFirst()
      let hours = try number(2, 0...14)
      _ = skip(":")
      offset = sign * (hours * 3_600 + (rest.isEmpty ? 0 : try number(2, 0...59) * 60))
    }
    if !rest.isEmpty { throw .unreadable(text) }
  }
}

/// Why a text is no moment.
public enum WrittenTimeError: Error, Equatable, CustomStringConvertible {
  case unreadable(String)
  case noSuchDay(String)
  /// The zone changed over to the other side of the date line.
  case dayNotThere(String, zone: String)
  /// Clocks go forward over it.
  case notThere(String, zone: String)
  /// Clocks go back over it.
  case twice(String, zone: String, offsets: [String])

  public var description: String {
    switch self {
    case .unreadable(let text):
      "'\(text)' is no time; write 2026-03-03, 2026-03-03T10:00, 2026-03-03T10:00:30Z, yesterday, 2h or 7d"
    case .noSuchDay(let text): "'\(text)': the month has no such day"
    case .dayNotThere(let text, let zone): "'\(text)': \(zone) left that day out"
    case .notThere(let text, let zone):
      "'\(text)' is skipped in \(zone), where clocks go forward then; write it with an offset, such as \(text)Z"
    case .twice(let text, let zone, let offsets):
      "'\(text)' comes twice in \(zone), where clocks go back then; write "
        + offsets.map { text + $0 }.joined(separator: " or ")
    }
  }
}
