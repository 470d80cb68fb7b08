import Logging

/// A line a record, through a `LogWriter`: logging never waits. What repeats is counted; with level debug or below, all
/// is written.
public struct LineLogHandler: LogHandler {
  public var logLevel = Logger.Level.info
  public var metadata = Logger.Metadata()
  public var metadataProvider: Logger.MetadataProvider?
  private let label: String
  private let writer: LogWriter

  public init(label: String, writer: LogWriter = .standardError) {
    self.label = label
    self.writer = writer
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    let metadata = metadata.merging(metadataProvider?.get() ?? [:]) { $1 }.merging(event.metadata ?? [:]) { $1 }
    let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    let line = "\(event.level) \(label):\(pairs) [\(event.source)] \(event.message)"
    writer.write(line, repeating: event.level > .debug ? "\(event.message)" : nil)
  }
}
