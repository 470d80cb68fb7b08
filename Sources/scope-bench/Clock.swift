import CBench
import Glibc

/// Nanoseconds on the monotonic clock.
@inline(__always)
func nanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Seconds that something takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = nanoseconds()
  try body()
  return Double(nanoseconds() - start) / 1e9
}

/// Seconds on a processor that something takes on this thread: what else runs on the machine does not count.
func processorSeconds(_ body: () throws -> Void) rethrows -> Double {
  func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
  let start = now()
  try body()
  return now() - start
}

/// The processors a thread runs on.
enum Processors {
  /// Those this process was given, in order.
  static let all: [Int] = {
    var set = [UInt8](repeating: 0, count: bench_processors_bytes)
    if bench_processors(&set) != 0 { return [] }
    return (0..<set.count * 8).filter { set[$0 / 8] >> ($0 % 8) & 1 == 1 }
  }()

  /// Lets the calling thread run on these only.
  static func pin(to processors: [Int]) throws(BenchFailure) {
    var set = [UInt8](repeating: 0, count: bench_processors_bytes)
    for number in processors { set[number / 8] |= 1 << (number % 8) }
    if bench_set_processors(set) != 0 { throw .system("sched_setaffinity") }
  }
}
