/// A figure that scoped is to reach.
struct Target {
  enum Bound {
    case atMost(Double)
    case atLeast(Double)
    case below(Double)

    func holds(_ value: Double) -> Bool {
      switch self {
      case .atMost(let limit): value <= limit
      case .atLeast(let limit): value >= limit
      case .below(let limit): value < limit
      }
    }

    var words: String {
      switch self {
      case .atMost(let limit): "≤ \(Table.number(limit))"
      case .atLeast(let limit): "≥ \(Table.number(limit))"
      case .below(let limit): "< \(Table.number(limit))"
      }
    }
  }

  /// Key among the ratios or the absolutes.
  let key: String
  let words: String
  let bound: Bound

  static let all = [
    Target(key: "depth1_p50_vs_nio_echo", words: "depth 1, p50, against NIO echo", bound: .atMost(1.10)),
    Target(key: "depth1_p50_vs_redis", words: "depth 1, p50, against Redis", bound: .atMost(1.15)),
    Target(key: "depth1_p50_vs_postgresql", words: "depth 1, p50, against PostgreSQL", bound: .atMost(0.2)),
    Target(key: "depth64_rate_vs_redis", words: "depth 64, checks a second, against Redis", bound: .atLeast(1.5)),
    Target(key: "depth64_cpu_vs_redis", words: "depth 64, CPU a check, against Redis", bound: .below(1)),
    Target(
      key: "filter1000_rate_vs_redis", words: "filter of 1,000, ids a second, against Redis", bound: .atLeast(1.5)),
    Target(key: "filter1000_ids_per_second", words: "filter of 1,000, ids a second", bound: .atLeast(5e6)),
    Target(key: "p999_busy_vs_quiet", words: "p99.9 at 2,000/s, 50 changes/s against quiet", bound: .atMost(2)),
    Target(key: "index_check_ns", words: "one check in the index, 10⁷ objects, ns", bound: .atMost(150)),
    Target(key: "index_bytes_per_object", words: "index bytes of an object beyond its id", bound: .atMost(48)),
    Target(
      key: "change_visible_ms_membership", words: "membership visible, 200,000 objects, beyond fsync, ms",
      bound: .atMost(5)),
    Target(
      key: "change_visible_ms_object", words: "new object visible, 200,000 objects, beyond fsync, ms",
      bound: .atMost(30)),
    Target(key: "durable_rate_64_vs_1", words: "durable changes a second, 64 writers against 1", bound: .atLeast(10)),
  ]
}
