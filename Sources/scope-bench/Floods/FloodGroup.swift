/// Frames that a connection sends, over and over.
struct FloodScript {
  /// The frames back to back, often enough that a send carries many.
  let chunk: [UInt8]
  /// Where each frame ends in it.
  let ends: [Int]
  /// Bytes after which all is sent; nil: it never is.
  private(set) var limit: Int?

  /// - Parameter count: how many frames are sent in all, the list over and over; nil: without end.
  init(_ frames: [[UInt8]], count: Int? = nil) {
    let bytes = frames.reduce(0) { $0 + $1.count }
    let copies = max(1, FloodScript.chunkBytes / bytes)
    let ends = frames.reduce(into: [Int]()) { $0.append(($0.last ?? 0) + $1.count) }
    chunk = Array(repeatElement(frames.flatMap(\.self), count: copies).joined())
    self.ends = (0..<copies).flatMap { copy in ends.map { copy * bytes + $0 } }
    limit = nil
    limit = count.map { offset(ofFrame: $0) }
  }

  private static let chunkBytes = 64 << 10

  /// Where so many frames end in the stream.
  func offset(ofFrame count: Int) -> Int {
    let (rounds, rest) = count.quotientAndRemainder(dividingBy: ends.count)
    return rounds * chunk.count + (rest == 0 ? 0 : ends[rest - 1])
  }

  /// How many frames are whole in so many bytes of the stream.
  func frames(inBytes count: Int) -> Int {
    let (rounds, rest) = count.quotientAndRemainder(dividingBy: chunk.count)
    return rounds * ends.count + (ends.firstIndex { $0 > rest } ?? ends.count)
  }
}

/// Connections of a flood that all do the same.
struct FloodGroup {
  enum Road {
    case unix, tcp
    /// In turns.
    case both
  }

  enum Reading: Equatable {
    case all, never
    case bytesPerSecond(Int)
  }

  var connections: Int
  var road = Road.both
  /// Each connection takes another, and after it was closed the next.
  var scripts: [FloodScript]
  /// Sent at once, before the script.
  var head: [UInt8] = []
  var reading = Reading.all
  /// Requests under way on each connection; nil: all that can be sent is.
  var depth: Int?
  /// At which the script is sent; nil: as fast as it is taken.
  var bytesPerSecond: Int?
  /// A connection is closed and made anew when all is answered, or after this time.
  var lifeSeconds: Double?
  /// Between being closed by the daemon and connecting anew.
  var pauseSeconds = 0.0
}
