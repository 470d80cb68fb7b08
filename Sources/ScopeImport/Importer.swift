import Foundation
import ScopeClient
import ScopeModel

/// What came of an import.
public struct ImportSummary: Sendable {
  public internal(set) var tally = Tally()
  /// Numbers, each counted once.
  public internal(set) var numbers = 0
  /// Lines whose number stands on a later line as well.
  public var duplicates: Int { tally.acceptedLines - numbers }
  /// Of the mode `replace`: numbers the list had, and those of them that the file has as well.
  public internal(set) var before: UInt64 = 0
  public internal(set) var kept: UInt64 = 0
  public internal(set) var added: UInt64 = 0
  public internal(set) var altered: UInt64 = 0
  public internal(set) var removed: UInt64 = 0
  /// Numbers on the list now; nil: nothing was sent.
  public internal(set) var total: UInt64?
  /// Why the list was left as it was; nil: it was not, or nothing was to be sent.
  public internal(set) var withheld: Withheld?
  /// What the list is for; nil: nobody asked the daemon.
  public internal(set) var purpose: ListPurpose?
  /// The list was made.
  public internal(set) var isCreated = false
  /// Of the rules, when the daemon was asked last; nil: it was not.
  public internal(set) var revision: UInt64?
}

/// Why an import left the list as it was.
public enum Withheld: Equatable, Sendable {
  /// Lines were refused, and none may be.
  case strict
  /// More lines were refused than this percentage of all.
  case refused(percent: Double)
  /// More numbers would go than may without an answer.
  case loss

  /// For machines.
  public var code: String {
    switch self {
    case .strict: "strict"
    case .refused: "too_many_refused"
    case .loss: "large_loss"
    }
  }
}

/// What would become of a list's numbers.
public struct Replacement: Equatable, Sendable {
  /// Numbers on the list, and in the file.
  public let before, numbers: UInt64
  /// In both.
  public let kept: UInt64

  init(before: UInt64, numbers: UInt64, kept: UInt64) {
    (self.before, self.numbers, self.kept) = (before, numbers, min(kept, before, numbers))
  }

  public var added: UInt64 { numbers - kept }
  public var gone: UInt64 { before - kept }
  /// More go than is usual from one file to the next: more than half, or ten and more than a tenth.
  public var isLargeLoss: Bool { gone * 2 > before || gone >= 10 && gone * 10 > before }
}

/// One import from beginning to end.
public final class Importer {
  /// Runs merged at once; more are merged among themselves first.
  private static let mergeWidth = 64

  private let options: ImportOptions
  private let sending: SendingOptions
  private let client: PatientClient?
  private let company: Name
  private let target: NumberListTarget
  private let folder: WorkFolder
  private let progress: ImportProgress
  private let threads: Int
  private let segmentBytes: Int?
  private let confirm: (Replacement) -> Bool
  /// Of the list, as far as the daemon said.
  private var purpose: ListPurpose?
  private var manifest: Manifest
  private let input: Input?

  /// Takes the work folder, and finds out what in it goes on.
  ///
  /// - Parameters:
  ///   - client: nil: everything is done but sending.
  ///   - workFolder: made where there is none; removed when all is done.
  ///   - threads: that read, at least 1; each takes some 64 MiB.
  ///   - segmentBytes: of the input, after which what is done is noted. Nil: some seconds' work.
  ///   - confirm: whether the list's numbers are to be replaced.
  public init(
    _ options: ImportOptions, client: Client?, sending: SendingOptions = SendingOptions(), workFolder: String,
    threads: Int, segmentBytes: Int? = nil, progress: ImportProgress, confirm: @escaping (Replacement) -> Bool
  ) throws(ImportError) {
    self.options = options
    self.sending = sending
    self.client = client.map { PatientClient($0, sending, progress) }
    self.progress = progress
    self.threads = threads
    self.segmentBytes = segmentBytes
    self.confirm = confirm
    do throws(NameError) {
      company = try Name(options.company)
      target = NumberListTarget(list: try Name(options.list), actor: options.actor)
    } catch {
      throw ImportError(.badData, "the company's or the list's id \(error)")
    }
    let opened = options.isStandardInput ? nil : try Input(options)
    folder = try WorkFolder(workFolder)
    if let old = folder.readManifest(), Importer.goesOn(old, options, opened), folder.has(old.runs) {
      (manifest, input) = (old, opened)
      folder.removeRuns(except: old.runs)
    } else {
      let fresh: Input
      if let opened { fresh = opened } else { fresh = try Input(options) }
      (manifest, input) = (Importer.newManifest(options, fresh), fresh)
      folder.removeRuns(except: [])
    }
  }

  /// Standard input can't be read again, so only what is read in full goes on.
  private static func goesOn(_ manifest: Manifest, _ options: ImportOptions, _ input: Input?) -> Bool {
    guard manifest.optionsDigest == options.digest else { return false }
    return input.map { $0.identity == manifest.file } ?? manifest.isRead
  }

  private static func newManifest(_ options: ImportOptions, _ input: Input) -> Manifest {
    let key =
      options.isStandardInput ? "scope-import-\(UUID().uuidString.lowercased())" : options.importKey(input.identity)
    return Manifest(optionsDigest: options.digest, file: input.identity, key: key)
  }

  /// What was read so far.
  public var tally: Tally { manifest.tally }

  /// Something is done already.
  public var isResumed: Bool { manifest.place.offset > 0 || manifest.isRead }

  public func run() throws(ImportError) -> ImportSummary {
    try greet()
    if !manifest.isRead { try read() }
    try mergeRuns()
    var summary = ImportSummary()
    summary.tally = manifest.tally
    summary.withheld = whyWithheld
    try send(&summary, summary.withheld == nil ? client : nil)
    summary.purpose = summary.withheld == nil ? sending.purpose ?? purpose : purpose
    summary.revision = client.flatMap(\.revision)
    if client != nil && summary.withheld == nil { folder.remove() }
    progress.finish()
    return summary
  }

  /// Decided before anything is sent, and again before anything is replaced.
  private var whyWithheld: Withheld? {
    let refused = manifest.tally.refusedLines
    if refused == 0 { return nil }
    if sending.isStrict { return .strict }
    let percent = sending.refusedPercent(purpose)
    let isTooMany = Double(refused) * 100 > percent * Double(manifest.tally.lines)
    // Without a daemon nobody knows what the list is for: a dry run tells what it is told.
    let isKnown = client != nil || sending.refusedPercent != nil || sending.purpose != nil
    return options.mode == .replace && isTooMany && isKnown ? .refused(percent: percent) : nil
  }

  /// What would be refused in the end is refused before hours of reading.
  private func greet() throws(ImportError) {
    guard let client else { return }
    if let changes = try creation(client) {
      // Tried only: no list should be left behind by a file that can't be read.
      try change(client) { client, company, actor, milliseconds throws(RefusedApply) in
        _ = try client.preview(changes, of: company, actor: actor, timeoutMilliseconds: milliseconds)
      }
      return
    }
    guard options.mode == .replace else { return }
    let known = try askHeld(client)
    purpose = known.purpose
    if known.isFinished && !manifest.isSending { manifest.key = Importer.otherKey(manifest.key) }
  }

  /// The daemon knows the last import of a list by its key, and does not do it again. An earlier run of the same command
  /// was that one.
  private static func otherKey(_ key: String) -> String {
    let suffix = "-again"
    return key.hasSuffix(suffix) ? String(key.dropLast(suffix.count)) : key + suffix
  }

  private func read() throws(ImportError) {
    guard let input else { return }
    if manifest.place.offset > 0 {
      progress.say("going on at line \(manifest.place.line)")
      try input.resume(at: manifest.place)
    } else if options.format == .csv && options.hasHeader {
      manifest.header = try input.readHeader()
    }
    progress.beginReading(manifest, totalBytes: options.isStandardInput ? 0 : input.identity.bytes)
    let reading = try Reading(
      options, input: input, folder: folder, manifest: manifest, threads: threads, segmentBytes: segmentBytes,
      progress: progress)
    try reading.run()
    manifest = reading.manifest
  }

  /// Leaves no more runs than are merged at once.
  private func mergeRuns() throws(ImportError) {
    if manifest.runs.count > Importer.mergeWidth { progress.beginMerging() }
    while manifest.runs.count > Importer.mergeWidth {
      let some = Array(manifest.runs.prefix(Importer.mergeWidth))
      let merge = try Merge(some, in: folder.path)
      manifest.runsMade += 1
      let writer = try RunWriter("\(folder.path)/run-\(manifest.runsMade)")
      while let row = try merge.next() { try writer.append(row) }
      manifest.runs = Array(manifest.runs.dropFirst(Importer.mergeWidth)) + [try writer.finish()]
      try folder.write(manifest)
      folder.removeRuns(except: manifest.runs)
    }
  }

  // MARK: - Sending

  /// - Parameter client: nil: the numbers are only counted.
  private func send(_ summary: inout ImportSummary, _ client: PatientClient?) throws(ImportError) {
    let rows = manifest.runs.reduce(0) { $0 + $1.rows }
    if rows == 0 {
      throw ImportError(.badData, "no line has a number that can be imported; the list is left as it is")
    }
    if let client { summary.isCreated = try createList(client) }
    progress.beginSending(totalRows: rows, isCounting: client == nil)
    let (call, runs, path) = (packedCall, manifest.runs, folder.path)
    let parts = PartsAhead { () throws(ImportError) in PartCutter(call, try Merge(runs, in: path)) }
    defer { parts.stop() }
    switch (client, options.mode) {
    case (nil, _): try each(parts, &summary) { (_, _) throws(ImportError) in }
    case (let client?, .replace): try replace(parts, client, &summary)
    case (let client?, .add), (let client?, .remove): try alter(parts, client, &summary)
    }
  }

  private var packedCall: PackedNumbers.Call {
    switch options.mode {
    case .replace: .importing
    case .add: .add
    case .remove: .remove
    }
  }

  private func each(
    _ parts: PartsAhead, _ summary: inout ImportSummary,
    _ body: (Part, inout ImportSummary) throws(ImportError) -> Void
  ) throws(ImportError) {
    while let part = try parts.next() {
      try body(part, &summary)
      summary.numbers += part.numbers.count
      progress.sent(rows: part.numbers.count)
    }
  }

  private func replace(
    _ parts: PartsAhead, _ client: PatientClient, _ summary: inout ImportSummary
  ) throws(ImportError) {
    manifest.isSending = true
    try folder.write(manifest)
    let known = try askHeld(client)
    (summary.before, summary.total) = (known.before, known.total)
    if known.parts > 0 { progress.say("the daemon holds \(known.parts) parts already") }
    let (target, key, milliseconds) = (target, manifest.key, sending.timeoutMilliseconds)
    try each(parts, &summary) { (part, _) throws(ImportError) in
      if known.isFinished || part.number <= known.parts { return }
      _ = try client.call { client throws(ClientError) in
        try client.importNumbers(
          target, key: key, part: part.number, numbers: part.numbers, timeoutMilliseconds: milliseconds)
      }
    }
    if known.isFinished {  // by this very command, which was ended before it noticed
      summary.kept = known.total
      return
    }
    let step = { (step: ImportStep) throws(ImportError) -> ImportState in
      try client.call { client throws(ClientError) in
        try client.importNumbers(target, key: key, part: 0, then: step, timeoutMilliseconds: milliseconds)
      }
    }
    let compared = try step(.compare)
    let replacement = Replacement(before: compared.before, numbers: compared.numbers, kept: compared.kept)
    (summary.before, summary.kept) = (replacement.before, replacement.kept)
    (summary.added, summary.removed) = (replacement.added, replacement.gone)
    purpose = compared.purpose  // it may have been given while the file was read
    summary.withheld = whyWithheld ?? (confirm(replacement) ? nil : .loss)
    if summary.withheld != nil {
      summary.total = replacement.before
      _ = try client.call { client throws(ClientError) in
        try client.abandonImport(target, key: key, timeoutMilliseconds: milliseconds)
      }
      return
    }
    try givePurpose(client)
    summary.total = try step(.finish).total
  }

  /// The changes that make the list; nil: it is not to be made, or is there already.
  private func creation(_ client: PatientClient) throws(ImportError) -> [Change]? {
    if !sending.createsList { return nil }
    let ref = ObjectRef(.list, target.list)
    let missing = try client.call { client throws(ClientError) -> [Name]? in
      do throws(ClientError) {
        let projects = try client.object(ref).projects
        return sending.projects.filter { wanted in !projects.contains { $0.utf8.elementsEqual(wanted.text.utf8) } }
      } catch {
        if error.reason == "unknown_object" { return nil }
        throw error
      }
    }
    // Whoever sees its projects would get numbers that are meant for others.
    if let project = missing?.first {
      throw ImportError(
        .refused,
        "list \(target.list) is there already, and not in project '\(project)'; put it there first: "
          + "scopectl object place \(ref) \(project)", reason: "list_elsewhere")
    }
    if missing != nil { return nil }
    let purpose = sending.purpose.map { [Change.setPurpose(list: target.list, $0)] } ?? []
    return [.putObject(Object(ref, name: target.list), projects: sending.projects)] + purpose
  }

  /// Makes the list, if it is to be made; says whether it was.
  private func createList(_ client: PatientClient) throws(ImportError) -> Bool {
    guard let changes = try creation(client) else { return false }
    try change(client) { client, company, actor, milliseconds throws(RefusedApply) in
      _ = try client.apply(changes, to: company, actor: actor, timeoutMilliseconds: milliseconds)
    }
    purpose = sending.purpose
    return true
  }

  /// Makes a call of a change that may be made twice.
  private func change(
    _ client: PatientClient, _ body: (Client, Name, String, UInt32) throws(RefusedApply) -> Void
  ) throws(ImportError) {
    let (target, company, milliseconds) = (target, company, sending.timeoutMilliseconds)
    try client.call { client throws(ClientError) in
      do throws(RefusedApply) { try body(client, company, target.actor, milliseconds) } catch { throw error.error }
    }
  }

  /// Before numbers are there that it is to protect.
  private func givePurpose(_ client: PatientClient) throws(ImportError) {
    guard let purpose = sending.purpose, purpose != self.purpose else { return }
    let changes = [Change.setPurpose(list: target.list, purpose)]
    try change(client) { client, company, actor, milliseconds throws(RefusedApply) in
      _ = try client.apply(changes, to: company, actor: actor, timeoutMilliseconds: milliseconds)
    }
  }

  /// How far this import is in the daemon.
  private func askHeld(_ client: PatientClient) throws(ImportError) -> ImportState {
    let (target, key, milliseconds) = (target, manifest.key, sending.timeoutMilliseconds)
    let (abandonsOther, progress) = (sending.abandonsOther, progress)
    return try client.call { client throws(ClientError) in
      do throws(ClientError) {
        return try client.importNumbers(target, key: key, part: 0, timeoutMilliseconds: milliseconds)
      } catch {
        guard error.reason == ImportError.otherImport && abandonsOther else { throw error }
        progress.say("forgetting the other import of list \(target.list)")
        return try client.abandonImport(target, key: key, timeoutMilliseconds: milliseconds)
      }
    }
  }

  /// Adds or removes; what is done is noted after each part, and one that was not noted may be sent again.
  private func alter(
    _ parts: PartsAhead, _ client: PatientClient, _ summary: inout ImportSummary
  ) throws(ImportError) {
    try givePurpose(client)
    try each(parts, &summary) { (part, summary) throws(ImportError) in
      if part.numbers.count == 0 || part.numbers.last <= manifest.sent.through { return }
      summary.total = try alter(part, client)
      manifest.sent.through = part.numbers.last
      try folder.write(manifest)
    }
    (summary.added, summary.altered) = (manifest.sent.added, manifest.sent.altered)
    summary.removed = manifest.sent.removed
  }

  /// Returns how many numbers the list has then.
  private func alter(_ part: Part, _ client: PatientClient) throws(ImportError) -> UInt64 {
    let (target, milliseconds) = (target, sending.timeoutMilliseconds)
    if options.mode == .add {
      let result = try client.call { client throws(ClientError) in
        try client.addNumbers(target, part.numbers, timeoutMilliseconds: milliseconds)
      }
      manifest.sent.added += UInt64(result.added)
      manifest.sent.altered += UInt64(result.altered)
      purpose = result.purpose
      return result.total
    }
    let result = try client.call { client throws(ClientError) in
      try client.removeNumbers(target, part.numbers, timeoutMilliseconds: milliseconds)
    }
    manifest.sent.removed += UInt64(result.removed)
    return result.total
  }
}
