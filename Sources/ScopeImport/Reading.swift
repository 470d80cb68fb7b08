import Dispatch
import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#endif

/// Reads the input into sorted runs, segment by segment, and keeps the manifest true.
final class Reading {
  private let options: ImportOptions
  private let input: Input
  private let folder: WorkFolder
  /// Some seconds' work, for each thread: what is lost when the process ends.
  private static let normalisedBytes = 6 << 20
  private static let plainBytes = 32 << 20

  private let workers: [LineWorker]
  private let segmentBytes: Int
  private let report: RefusedReport?
  private let progress: ImportProgress
  private(set) var manifest: Manifest

  init(
    _ options: ImportOptions, input: Input, folder: WorkFolder, manifest: Manifest, threads: Int,
    segmentBytes: Int?, progress: ImportProgress, limits: RecordLimits = .standard
  ) throws(ImportError) {
    self.options = options
    self.input = input
    self.folder = folder
    self.manifest = manifest
    self.progress = progress
    self.segmentBytes =
      segmentBytes ?? threads * (options.normalises ? Reading.normalisedBytes : Reading.plainBytes)
    let csv: CSVLayout? =
      options.format == .csv ? try CSVLayout(options, header: manifest.header) : nil
    workers = (0..<threads).map { _ in LineWorker(options, csv: csv, limits: limits) }
    report = try options.report.map { path throws(ImportError) in
      try RefusedReport(path, goingOnAt: manifest.reportBytes)
    }
  }

  /// Reads to the end of the input.
  func run() throws(ImportError) {
    while input.beginSegment(bytes: segmentBytes) { try readSegment() }
    if !options.isStandardInput && !input.isUnchanged {
      throw ImportError(.badData, "\(options.file) was changed while it was read; start again")
    }
    manifest.isRead = true
    try folder.write(manifest)
  }

  private func readSegment() throws(ImportError) {
    var yields: [LineWorker.Yield] = []
    for result in results() { yields.append(try result.get()) }
    for yield in yields {
      manifest.tally.add(yield.tally)
      manifest.runs += yield.runs
    }
    if let report { manifest.reportBytes = try report.append(yields.flatMap(\.report)) }
    manifest.place = input.current
    try folder.write(manifest)
  }

  private func results() -> [Result<LineWorker.Yield, ImportError>] {
    let results = NIOLockedValueBox<[Result<LineWorker.Yield, ImportError>]>([])
    let made = NIOLockedValueBox(manifest.runsMade)
    let (workers, input, progress, path) = (workers, input, progress, folder.path)
    DispatchQueue.concurrentPerform(iterations: workers.count) { index in
      let result = Result { () throws(ImportError) -> LineWorker.Yield in
        try workers[index].read(input) { () throws(ImportError) in
          try RunWriter(runPath(in: path, made))
        } progress: {
          progress.read(bytes: $0, lines: $1, refused: $2)
        }
      }
      results.withLockedValue { $0.append(result) }
    }
    manifest.runsMade = made.withLockedValue { $0 }
    return results.withLockedValue { $0 }
  }
}

/// Where the next run is written.
private func runPath(in folder: String, _ made: NIOLockedValueBox<Int>) -> String {
  let number = made.withLockedValue { made in
    made += 1
    return made
  }
  return "\(folder)/run-\(number)"
}

/// The report on refused lines.
final class RefusedReport {
  private let path: String
  private let descriptor: Int32
  private var bytes: Int

  /// - Parameter bytes: of the report as it was when the manifest was written; what is behind goes.
  init(_ path: String, goingOnAt bytes: Int) throws(ImportError) {
    self.path = path
    self.bytes = bytes
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0, ftruncate(descriptor, off_t(bytes)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
      throw .system(.cantWrite, "can't write \(path)")
    }
  }

  deinit { close(descriptor) }

  /// Appends in the order of the input, and has it on the disk; returns the length of the report.
  func append(_ pieces: [(offset: Int, lines: [UInt8])]) throws(ImportError) -> Int {
    for piece in pieces.sorted(by: { $0.offset < $1.offset }) {
      try writeAll(piece.lines, to: descriptor, path)
      bytes += piece.lines.count
    }
    if fdatasync(descriptor) != 0 && errno != EINVAL { throw .system(.cantWrite, "can't write \(path)") }
    return bytes
  }
}
