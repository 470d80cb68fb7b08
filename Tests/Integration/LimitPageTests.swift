import Foundation
import ScopeModel
import ScopeProtocol
import ScopeTesting
import Testing

@testable import ScopeServer

/// The numbers in Limits.md are those of the code.
@Suite struct LimitPageTests {
  /// What a row must say, by the row's first cell.
  private static let rows: [String: [String]] = {
    let limits = Limits()
    let words = [
      "a frame": [bytes(limits.frameBytes)],
      "a frame's arrival, from its first byte": [seconds(limits.frameMilliseconds)],
      "a frame unpacked into memory": [bytes(limits.unpackBytes)],
      "ids, names, rights, keys": ["1 to \(number(Limits.nameBytes)) bytes"],
      "a project's description": ["\(number(Limits.descriptionBytes)) bytes"],
      "ids in one FilterObjects": [number(limits.idsPerRequest)],
      "checks in one CheckMany": [number(limits.checksPerRequest)],
      "changes in one Apply": [number(limits.changesPerBatch)],
      "time of a request": [
        seconds(Int(limits.timeoutMilliseconds)), seconds(Int(limits.timeoutMaximumMilliseconds)),
      ],
      "connections": [number(limits.connections)],
      "requests in flight on one connection": [number(limits.requestsInFlight)],
      "answers on one connection that the client has not taken": [bytes(limits.unsentBytes)],
      "a client that takes nothing of its answers": [seconds(limits.stallMilliseconds)],
      "watches on one connection": [number(Connection.watchesPerConnection)],
      "watches in all": [number(limits.watches)],
      "changes waiting": [number(limits.changesWaiting), bytes(limits.changesWaitingBytes)],
      "questions about the log, exports, pages of numbers, previews waiting": [
        number(limits.readsWaiting), bytes(limits.framesWaitingBytes),
      ],
      "questions waiting for companies to be loaded": [number(limits.coldWaiting), bytes(limits.framesWaitingBytes)],
      "lists of users, groups, roles, fields, and check-ups, under way at once": [number(limits.listings)],
      "questions as of an earlier time, waiting for one company": [number(limits.pastPerCompany)],
      "indexes of earlier times that are kept": [bytes(limits.pastIndexBytes)],
      "an earlier time": [number(limits.pastEdits)],
    ]
    let companies = [
      "users": CompanyLimits.users, "groups": CompanyLimits.groups, "roles": CompanyLimits.roles,
      "projects": CompanyLimits.projects, "objects": CompanyLimits.objects,
      "rights of a role": CompanyLimits.rightsPerRole, "roles of a user": CompanyLimits.rolesPerUser,
      "groups of a user": CompanyLimits.groupsPerUser, "projects of an object": CompanyLimits.projectsPerObject,
      "projects of a user or group": CompanyLimits.projectsPerMember,
      "ways from users to projects, each member of a group counted": CompanyLimits.ways,
    ].mapValues { [number($0)] }
    let numbers = [
      "numbers of a list": [number(Int(NumberLimits.numbersPerList))],
      "beside each number": ["\(number(NumberLimits.detailBytes)) bytes"],
      "columns beside each number": [number(NumberLimits.columns)],
      "numbers in one AddNumbers or RemoveNumbers": [number(NumberLimits.numbersPerChange)],
      "numbers in one part of an import": [number(NumberLimits.numbersPerPart)],
      "numbers in one ScreenNumbers": [number(NumberLimits.candidates)],
      "numbers on one page": [number(NumberLimits.numbersPerPage)],
    ]
    let log = [
      "lines of the daemon's log that nobody has read yet": [number(LogQueue.lines), bytes(LogQueue.bytes)],
      "a line of it": [bytes(LogQueue.lineBytes)],
      "lines that are alike": [
        "in \(LogLimiter.window.nanoseconds / 1_000_000_000) s", "words \(LogLimiter.linesPerMessage),",
      ],
    ]
    return [words, companies, numbers, log].reduce(into: [:]) { $0.merge($1) { $1 } }
  }()

  /// These have their numbers elsewhere: measured, of another program, or the next test's.
  private static let others: Set = [
    "a company whose stored rows are damaged", "an index", "a number list", "all indexes",
    "records or rows asked for in one ListChanges or Preview", "connections of a handle", "a call",
    "failures in a row before calls fail at once",
    "memory of what arrives, waits and is unsent, of all connections",
  ]

  @Test func everyRowSaysWhatTheCodeDoes() throws {
    let page = try ManualTests.page("Limits.md").rows()
    #expect(Set(page.map { $0[0] }) == Set(Self.rows.keys).union(Self.others))
    for row in page {
      for words in Self.rows[row[0]] ?? [] {
        let isThere = row[1].firstRange(of: words).map { range in
          // Not the end of a larger number.
          !(row[1][..<range.lowerBound].last?.isNumber ?? false) && row[1][..<range.lowerBound].last != ","
        }
        #expect(isThere == true, "\(row[0]): \(words)")
      }
    }
  }

  /// Those of libscope, which its source and header say.
  @Test func theLimitsOfTheClientAreTheClients() throws {
    let sources = try ["client.c", "include/scope.h"].map {
      try String(contentsOf: packageFolder.appendingPathComponent("Sources/CScope/\($0)"), encoding: .utf8)
    }
    func value(_ name: String) throws -> String {
      let match = try sources.lazy.compactMap { try Regex("\\b\(name) = (\\d+)").firstMatch(in: $0) }.first
      return try String(#require(match?.output[1].substring, "\(name)"))
    }
    let page = Dictionary(
      uniqueKeysWithValues: try ManualTests.page("Limits.md").rows(below: "libscope").map { ($0[0], $0[1]) })
    let (few, most) = (try value("CONNECTIONS_DEFAULT"), try value("SCOPE_CONNECTIONS"))
    #expect(page["connections of a handle"] == "\(few) unless told otherwise, \(most) at most")
    let (milliseconds, failures) = (try value("SCOPE_TIMEOUT_DEFAULT_MS"), try value("breaker_failures"))
    #expect(page["a call"] == "\(milliseconds) ms unless told otherwise")
    #expect(try value("breaker_open_ms") == "1000")
    #expect(page["failures in a row before calls fail at once"] == "\(failures), for a second")
  }

  private static func number(_ value: Int) -> String { ManualTests.number(value) }

  private static func bytes(_ value: Int) -> String {
    value % (1 << 20) == 0 ? "\(value >> 20) MiB" : "\(value >> 10) KiB"
  }

  private static func seconds(_ milliseconds: Int) -> String { "\(milliseconds / 1_000) s" }
}
