import ScopeModel
import ScopeTesting

/// What is done to the daemon while an honest client is measured.
enum Flood: String, CaseIterable {
  case watches
  case sameFrame = "same-frame"
  case denseFilter = "dense-filter"
  case denseMany = "dense-many"
  case denseChecks = "dense-checks"
  case denseLists = "dense-lists"
  case unreadLog = "unread-log"
  case changesRefused = "changes-refused"
  case changesApplied = "changes-applied"
  case partialFrames = "partial-frames"
  case checkMany = "check-many"
  case slowFrame = "slow-frame"
  case slowReaders = "slow-readers"
  case cold
  case writers8 = "writers-8"
  case writers24 = "writers-24"
  case heartbeats
  case unreadWatches = "unread-watches"
  case neverRead = "never-read"
  case noWait = "no-wait"
  case idle
  case largeFrames = "large-frames"
  case badInput = "bad-input"
  case amplified
  case descriptors

  var words: String {
    switch self {
    case .watches: "16 WatchAccess, then 5,000 more in one go, over TCP; WatchChanges over Unix"
    case .sameFrame: "each call valid, empty and truncated: the same frame 20,000 times in one go"
    case .denseFilter: "8 FilterObjects of 64 KiB: a user in 10,000 projects, fields in 10,000 others"
    case .denseMany: "8 CheckMany of 8,192 such checks"
    case .denseChecks: "8 clients with 64 such CanSee under way"
    case .denseLists: "Explain, ListObjects, WhatSees, WhoCanSee of the same, 2 clients each"
    case .unreadLog: "100 clients that request 36 MiB of log pages each and never read"
    case .changesRefused: "2 clients with 256 changes of 4 MiB under way, all refused"
    case .changesApplied: "48 changes of 4 MiB sent in one go, applied"
    case .partialFrames: "500 clients that send a 4 MiB frame except for its last byte"
    case .checkMany: "100 clients that send CheckMany of 8,192, answers of 2 MiB, and never read"
    case .slowFrame: "5,000 clients that send a byte a second, 64 of them beside a watch that beats"
    case .slowReaders: "64 clients that read large answers at 20 KB a second"
    case .cold: "16 clients with 200 questions each about 100 cold companies; budget a twentieth"
    case .writers8: "8 clients with 250 changes under way"
    case .writers24: "24 clients with 250 changes under way"
    case .heartbeats: "64 clients with 16 watches each that beat every 100 ms, and never read"
    case .unreadWatches: "1,024 watches, never read, and 30 changes a second"
    case .neverRead: "100 clients that send checks and never read"
    case .noWait: "8 clients that send 100,000 frames of every kind without waiting"
    case .idle: "10,000 idle connections, and 16 clients that send every kind of question"
    case .largeFrames: "8 clients with valid frames of 3 and 4 MiB"
    case .badInput: "wrong lengths, nesting, 100,000 fields, unknown and wrong fields, invalid names"
    case .amplified: "16 clients with 4 MiB of empty checks, which take 44 times that in memory"
    case .descriptors: "a daemon that may open 64 files, and 150 connections to it"
    }
  }

  /// How long it is kept up, in seconds.
  func seconds(isQuick: Bool) -> Double {
    switch self {
    case .slowFrame, .sameFrame, .badInput: isQuick ? 8 : 25
    case .slowReaders: isQuick ? 8 : 20
    case .heartbeats: isQuick ? 8 : 30
    default: isQuick ? 4 : 10
    }
  }

  /// What the daemon's memory may grow by beside it, in MiB.
  var memoryBound: Double {
    switch self {
    case .neverRead: 100
    case .idle: 150
    default: 512
    }
  }

  /// How the daemon is started that is asked.
  var setting: FloodSetting {
    switch self {
    case .cold: .budget
    case .descriptors: .descriptors
    default: .plain
    }
  }

  /// What share of a processor the daemon may take beside it; nil: any.
  var processorBound: Double? { self == .descriptors ? 0.05 : nil }

  /// An honest client makes changes beside it as well.
  var concernsWriters: Bool { self == .writers8 || self == .writers24 }
}

// MARK: - What is sent

extension Flood {
  /// - Parameter isQuick: the largest are a tenth.
  func groups() throws -> [FloodGroup] {
    switch self {
    case .watches:
      return [(FloodFrames.watchAccess(), FloodGroup.Road.tcp), (FloodFrames.watchChanges(), .unix)].map {
        FloodGroup(connections: 2, road: $1, scripts: [FloodScript([$0], count: 5_016)], lifeSeconds: 1)
      }
    case .sameFrame:
      let scripts = FloodFrames.everyCall.map { FloodScript([$0], count: 20_000) }
      return [FloodGroup(connections: 6, scripts: scripts, lifeSeconds: 0.5)]
    case .denseFilter, .denseMany, .denseChecks, .denseLists: return dense
    case .unreadLog:
      let frames = (36 << 20) / FloodFrames.logPage.count
      let script = FloodScript([FloodFrames.logPage], count: frames)
      return [FloodGroup(connections: 100, road: .unix, scripts: [script], reading: .never)]
    case .changesRefused, .changesApplied: return largeChanges
    case .partialFrames:
      return [FloodGroup(connections: 500, scripts: [FloodScript([FloodFrames.partial], count: 1)])]
    case .checkMany:
      return [FloodGroup(connections: 100, scripts: [FloodScript([FloodFrames.wideMany])], reading: .never)]
    case .slowFrame: return slowFrames
    case .slowReaders:
      let script = FloodScript([FloodFrames.wideMany])
      return [FloodGroup(connections: 64, scripts: [script], reading: .bytesPerSecond(20_000), depth: 8)]
    case .cold: return cold
    case .writers8: return try writers(8)
    case .writers24: return try writers(24)
    case .heartbeats, .unreadWatches: return try unreadWatches
    case .neverRead:
      return [FloodGroup(connections: 100, scripts: [FloodScript([FloodFrames.check])], reading: .never)]
    case .noWait:
      let scripts = [FloodScript(FloodFrames.everyKind, count: 100_000)]
      return [FloodGroup(connections: 8, scripts: scripts, lifeSeconds: 30)]
    case .idle:
      let asking = FloodGroup(connections: 16, scripts: [FloodScript([FloodFrames.check])], depth: 256)
      return [FloodGroup(connections: 10_000, scripts: []), asking]
    case .largeFrames:
      let scripts = [FloodScript([FloodFrames.largeMany]), FloodScript([FloodFrames.largeFilter])]
      return [FloodGroup(connections: 8, scripts: scripts, depth: 4)]
    case .badInput:
      let scripts = FloodFrames.badInput.map { FloodScript([$0], count: 20_000) }
      return [FloodGroup(connections: 6, scripts: scripts, lifeSeconds: 0.5)]
    case .amplified:
      return [FloodGroup(connections: 16, scripts: [FloodScript([FloodFrames.emptyChecks])], depth: 4)]
    case .descriptors: return [FloodGroup(connections: 150, scripts: [], pauseSeconds: 1)]
    }
  }

  private var dense: [FloodGroup] {
    switch self {
    case .denseFilter:
      let mesh = FloodFrames.denseFilter(Dense.user, Dense.fields)
      let halves = FloodFrames.denseFilter(Dense.lowUser, Dense.highFields)
      return [FloodGroup(connections: 8, scripts: [FloodScript([mesh, halves])], depth: 4)]
    case .denseMany: return [FloodGroup(connections: 8, scripts: [FloodScript([FloodFrames.denseMany])], depth: 4)]
    case .denseChecks: return [FloodGroup(connections: 8, scripts: [FloodScript(FloodFrames.denseChecks)], depth: 64)]
    default:
      let frames = [
        FloodFrames.denseExplain, FloodFrames.denseListing(call: 15, Dense.user),
        FloodFrames.denseListing(call: 21, Dense.user), FloodFrames.denseViewers,
      ]
      return frames.map { FloodGroup(connections: 2, scripts: [FloodScript([$0])], depth: 8) }
    }
  }

  /// Each asks in an order of its own, so that few companies are asked by two at once.
  private var cold: [FloodGroup] {
    let questions = (0..<FloodCompanies.coldCount).map { number in
      FloodFrames.canSee(FloodCompanies.cold(number), FloodFrames.centreUser, FloodFrames.centreObject)
    }
    let scripts = (0..<64).map { number in
      var random = SeededRandom(seed: UInt64(number))
      return FloodScript(random.pick(200, of: questions), count: 200)
    }
    return [FloodGroup(connections: 16, scripts: scripts, lifeSeconds: 20)]
  }

  private var largeChanges: [FloodGroup] {
    if self == .changesRefused {
      let script = FloodScript([FloodFrames.largeApply("r", expectedRevision: 1)])
      return [FloodGroup(connections: 2, road: .unix, scripts: [script], depth: 256)]
    }
    let frames = ["x", "y"].map { FloodFrames.largeApply($0, expectedRevision: nil) }
    return [FloodGroup(connections: 1, road: .unix, scripts: [FloodScript(frames, count: 48)])]
  }

  private var slowFrames: [FloodGroup] {
    let script = FloodScript([FloodFrames.check])
    let beat = FloodFrames.watchChanges(heartbeatMilliseconds: 1_000)
    return [
      FloodGroup(connections: 4_936, scripts: [script], bytesPerSecond: 1),
      FloodGroup(connections: 64, road: .unix, scripts: [script], head: beat, bytesPerSecond: 1),
    ]
  }

  /// Each with a user of its own.
  private func writers(_ count: Int) throws -> [FloodGroup] {
    try BenchmarkCompany().changeable.prefix(count).map { user, project in
      let script = FloodScript(FloodFrames.memberships(user, project))
      return FloodGroup(connections: 1, road: .unix, scripts: [script], depth: 250)
    }
  }

  private var unreadWatches: [FloodGroup] {
    get throws {
      let beat: UInt64 = self == .heartbeats ? 100 : 0
      let frames = [
        FloodFrames.watchChanges(heartbeatMilliseconds: beat), FloodFrames.watchAccess(heartbeatMilliseconds: beat),
      ]
      let script = FloodScript(frames, count: 16)
      let watches = FloodGroup(connections: 64, road: .unix, scripts: [script], reading: .never)
      if self == .heartbeats { return [watches] }
      let changes = FloodFrames.manyMemberships(try BenchmarkCompany().changeable.prefix(50).map { $0 })
      let bytes = changes.reduce(0) { $0 + $1.count } / changes.count
      return [
        watches,
        FloodGroup(connections: 1, road: .unix, scripts: [FloodScript(changes)], bytesPerSecond: 30 * bytes),
      ]
    }
  }
}

/// How a daemon is started.
enum FloodSetting: CaseIterable {
  case plain
  /// Another folder, and memory for a tenth of its companies.
  case budget
  /// Few files may be open.
  case descriptors
}
