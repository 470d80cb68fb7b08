import Foundation
import ScopeClient
import ScopeTesting
import Testing

@Suite struct WrittenTimes {
  private static func zone(_ name: String) -> TimeZone { TimeZone(identifier: name)! }
  /// 2026-05-20T10:00:00Z.
  private static let now = Date(timeIntervalSince1970: 1_779_271_200)

  private func seconds(_ text: String, _ zone: String = "Europe/Berlin") throws -> Double {
    Double(try WrittenTime(text, now: Self.now, zone: Self.zone(zone)).microseconds) / 1e6
  }

  @Test(
    arguments: [
      ("2026-05-20T12:00", 0), ("2026-05-20 12:00", 0), ("2026-05-20T12:00:00", 0), ("2026-05-20T10:00Z", 0),
      ("2026-05-20t10:00:00z", 0), ("2026-05-20T12:00:01.25+02:00", 1.25), ("2026-05-20T04:30-0530", 0),
      ("2026-05-20T20:00+10", 0), ("2026-05-20", -43_200), ("today", -43_200), ("yesterday", -129_600),
      ("2026-05-19", -129_600), ("90s", -90), ("30m", -1_800), ("2h", -7_200), ("7d", -604_800), ("1w", -604_800),
      ("2026-01-20T10:00", -10_371_600), ("0s", 0),
    ] as [(String, Double)])
  func areRead(_ text: String, _ fromNow: Double) throws {
    #expect(try seconds(text) - Self.now.timeIntervalSince1970 == fromNow)
  }

  @Test(arguments: [
    "", "now", "tomorrow", "26-05-20", "2026-5-20", "2026-05-20T", "2026-05-20T12", "2026-05-20T24:00",
    "2026-05-20T12:60", "2026-05-20T12:00:60", "2026-05-20T12:00:00.", "2026-05-20T12:00 CET", "2026-05-20T12:00+15",
    "2026-05-20T12:00+2", "2026-05-20Z", "2026-13-01", "2026-00-01", "2026-05-00", "7", "d", "-7d", "7D", "7 d",
    "99999999d", "1.5h", "２h", "2026-05-20T12:00Zx", "0000-12-31", "2026-05-20T1２:00",
  ])
  func areRefused(_ text: String) {
    #expect(throws: WrittenTimeError.unreadable(text)) { try WrittenTime(text, now: Self.now, zone: Self.zone("UTC")) }
  }

  @Test(arguments: ["2026-02-29", "2026-04-31T10:00", "2100-02-29"])
  func areOfNoSuchDay(_ text: String) {
    #expect(throws: WrittenTimeError.noSuchDay(text)) { try WrittenTime(text, now: Self.now, zone: Self.zone("UTC")) }
  }

  /// Where clocks go forward at midnight, the day begins at one o'clock.
  @Test(arguments: [
    ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00Z"), ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z"),
    ("America/Santiago", "2026-09-06", "2026-09-06T04:00Z"), ("America/Havana", "2026-03-08", "2026-03-08T05:00Z"),
    ("America/Havana", "2026-11-01", "2026-11-01T04:00Z"), ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30Z"),
  ])
  func aDayBeginsAtItsFirstInstant(_ zone: String, _ day: String, _ moment: String) throws {
    #expect(try seconds(day, zone) == seconds(moment))
  }

  /// In any zone, on any day.
  @Test(arguments: [
    "Asia/Beirut", "Africa/Cairo", "America/Santiago", "America/Havana", "Europe/Berlin", "Australia/Lord_Howe",
    "Asia/Kathmandu", "Atlantic/Azores", "America/St_Johns", "Pacific/Chatham", "Africa/Casablanca", "UTC",
  ])
  func noDayBeginsBeforeItDoes(_ name: String) throws {
    let zone = Self.zone(name)
    func day(_ moment: Double) -> Double {
      ((moment + Double(zone.secondsFromGMT(for: Date(timeIntervalSince1970: moment)))) / 86_400).rounded(.down)
    }
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = .withFullDate
    for number in 20_454..<20_454 + 366 {
      let text = formatter.string(from: Date(timeIntervalSince1970: Double(number) * 86_400))
      let first = try seconds(text, name)
      #expect(day(first) == Double(number) && day(first - 1) == Double(number - 1), "\(text)")
    }
  }

  @Test func anHourThatComesTwiceIsNamedByItsOffset() throws {
    #expect(
      throws: WrittenTimeError.twice("2026-10-25T02:30", zone: "Europe/Berlin", offsets: ["+02:00", "+01:00"])
    ) { try seconds("2026-10-25T02:30") }
    let (first, second) = (try seconds("2026-10-25T02:30+02:00"), try seconds("2026-10-25T02:30+01:00"))
    #expect(second - first == 3_600)
    #expect(try seconds("2026-10-25T00:30Z") == first)
    #expect(try seconds("2026-10-25T01:59") < first && second < seconds("2026-10-25T03:00"))
  }

  @Test func whatClocksSkipIsRefused() throws {
    let error = WrittenTimeError.notThere("2026-03-29T02:30", zone: "Europe/Berlin")
    #expect(throws: error) { try seconds("2026-03-29T02:30") }
    #expect("\(error)".contains("2026-03-29T02:30Z"))
    #expect(try seconds("2026-03-29T03:00") - seconds("2026-03-29T01:59") == 60)
    #expect(throws: WrittenTimeError.dayNotThere("2011-12-30", zone: "Pacific/Apia")) {
      try seconds("2011-12-30", "Pacific/Apia")
    }
  }
}
