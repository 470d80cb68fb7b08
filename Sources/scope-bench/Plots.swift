import Foundation
import Histogram
import ScopeTesting

/// Pictures of a run, drawn by gnuplot as SVG.
struct Plots {
  let folder: String
  let measurements: Measurements
  let report: Report

  func write() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try draw("latency", latency)
    try draw("open-loop", openLoop)
    try draw("throughput", throughput)
    try draw("index-time", indexTime)
    try draw("index-memory", indexMemory)
  }

  private func draw(_ name: String, _ script: String) throws {
    let start = """
      set terminal svg size 860,460 font "Helvetica,16" background "#ffffff"
      set output "\(folder)/\(name).svg"
      set border 3 lc rgb "#555555"
      set tics nomirror out
      set grid y lc rgb "#dddddd" lt 1
      set key outside right center reverse Left samplen 2 spacing 1.3

      """
    let program = URL(fileURLWithPath: "/usr/bin/gnuplot")
    let run = try ScopeTesting.run(program, ["-"], input: Data((start + script).utf8))
    if run.status != 0 { throw BenchFailure("gnuplot failed on \(name): \(run.errors)") }
  }

  // MARK: - Load

  /// One line or one colour: those of Okabe and Ito, which colour-blind people tell apart.
  private struct Line {
    let title: String
    let style: String
    let series: Series
  }

  private static let styles = [
    "scoped_unix": "lc rgb '#D55E00' lw 4", "scoped_tcp": "lc rgb '#E69F00' lw 2.5 dt (12,6)",
    "c_echo": "lc rgb '#777777' lw 2.5 dt (3,5)", "nio_echo": "lc rgb '#56B4E9' lw 2.5",
    "redis": "lc rgb '#0072B2' lw 2.5 dt (12,4,3,4)", "postgresql": "lc rgb '#009E73' lw 2.5",
  ]

  private func lines(_ turn: Turn) -> [Line] {
    report.contestants.compactMap { contestant in
      measurements[contestant.key, turn].map {
        Line(title: contestant.name, style: Plots.styles[contestant.key]!, series: $0)
      }
    }
  }

  private var latency: String {
    percentiles(
      "One check at a time over one connection", lines(.closed(depth: 1, connections: 1)), "latency of a check, µs")
  }

  private var openLoop: String {
    let quiet = lines(.open(perSecond: Turn.busyRate, isBusy: false))
    let busy = lines(.open(perSecond: Turn.busyRate, isBusy: true)).map {
      Line(title: "\($0.title), busy", style: "lc rgb '#000000' lw 4 dt (8,5)", series: $0.series)
    }
    let title = "2,000 checks a second; busy: \(Turn.changesPerSecond) changes a second beside them"
    return percentiles(title, quiet + busy, "latency from when it was due, µs")
  }

  /// Percentiles by their nines: each step to the right is a tenth of the answers that went before. The slowest
  /// line comes first in the legend.
  private func percentiles(_ title: String, _ lines: [Line], _ unit: String) -> String {
    let sorted = lines.sorted { $0.series.median.p50Microseconds > $1.series.median.p50Microseconds }
    let data = sorted.enumerated().map { number, line in Plots.block("d\(number)", Plots.nines(line.series.latencies)) }
    let curves = sorted.enumerated().map { number, line in
      "$d\(number) using 1:2 with lines \(line.style) title \"\(line.title)\""
    }
    return """
      set title "\(title)"
      set ylabel "\(unit)"
      set xlabel "percentile of answers"
      set logscale xy
      \(Plots.thousands)
      set xrange [1:100000]
      set xtics ("50 %%" 2, "90 %%" 10, "99 %%" 100, "99.9 %%" 1000, "99.99 %%" 10000, "99.999 %%" 100000)
      \(data.joined())
      plot \(curves.joined(separator: ", \\\n"))

      """
  }

  /// Points of 1 / (1 - percentile) and microseconds, eight a decade, as far as there are ten answers beyond.
  private static func nines(_ latencies: Latencies) -> [[Double]] {
    let last = log10(Double(latencies.totalCount) / 10)
    return stride(from: 0, through: max(0, last), by: 0.125).map { step in
      let nines = pow(10, step)
      return [nines, latencies.microseconds(100 * (1 - 1 / nines))]
    }
  }

  private var throughput: String {
    let turns = [1, 16, 64].map { Turn.closed(depth: $0, connections: 1) }
    let rows = turns.map { turn in
      report.contestants.map { Plots.text($0.turns[turn.key]!.perSecond / 1e3) }.joined(separator: " ")
    }
    let bars = report.contestants.enumerated().map { number, contestant in
      let colour = Plots.styles[contestant.key]!.split(separator: " ").prefix(3).joined(separator: " ")
      let bars = "$d using \(number + 2):xtic(1) with histograms \(colour) title \"\(contestant.name)\""
      let place = Double(number) - Double(report.contestants.count - 1) / 2
      let column = "\(number + 2)"
      let label = "(sprintf(column(\(column)) < 10 ? \"%.1f\" : \"%.0f\", column(\(column))))"
      let x = "($0 + \(place / Double(report.contestants.count + 1)))"
      return "\(bars), $d using \(x):\(column):\(label) with labels font \",11\" offset 0,0.5 notitle"
    }
    return """
      set title "Checks under way at a time on one connection"
      set ylabel "thousand checks a second"
      set logscale y
      \(Plots.thousands)
      set yrange [1:10000]
      set xrange [-0.5:2.5]
      set style data histograms
      set style histogram clustered gap 1
      set style fill solid 1
      $d << EOD
      \(zip(["1", "16", "64"], rows).map { "\"depth \($0)\" \($1)" }.joined(separator: "\n"))
      EOD
      plot \(bars.joined(separator: ", \\\n"))

      """
  }

  // MARK: - Index

  private var indexTime: String {
    let points = report.index.sizes.map { [Double($0.objects), $0.checkNanoseconds] }
    return """
      \(indexAxes("One check inside the index, random company, user and object", "nanoseconds"))
      set yrange [0:\(1.2 * max(170, points.map { $0[1] }.max()!))]
      set rmargin 14
      set label "target: 150" at graph 1.01, first 150 left tc rgb "#555555"
      \(Plots.block("d", points))
      plot $d using 1:2 with linespoints lc rgb '#D55E00' lw 3 pt 7 ps 1.1 notitle, \\
        $d using 1:2:(sprintf("%.0f", $2)) with labels offset 0,1.1 notitle, \\
        150 with lines lc rgb '#777777' dt (6,5) lw 1.5 notitle
      """
  }

  private var indexMemory: String {
    let points = report.index.sizes.map { [Double($0.objects), Double($0.indexBytes) / 1e6] }
    return """
      \(indexAxes("Memory of the index", "megabytes"))
      set logscale y
      \(Plots.thousands)
      set yrange [\(points[0][1] / 3):\(points.last![1] * 3)]
      \(Plots.block("d", points))
      plot $d using 1:2 with linespoints lc rgb '#0072B2' lw 3 pt 7 ps 1.1 notitle, \\
        $d using 1:2:(sprintf("%.3g", $2)) with labels offset 0,1.1 notitle
      """
  }

  private func indexAxes(_ title: String, _ unit: String) -> String {
    """
    set title "\(title)"
    set ylabel "\(unit)"
    set xlabel "objects, in companies of 1,000 each"
    set logscale x
    set xrange [600:20000000]
    set xtics ("1,000" 1e3, "10,000" 1e4, "100,000" 1e5, "1 million" 1e6, "10 million" 1e7)
    """
  }

  // MARK: - Data

  private static let thousands = """
    set ytics ("0.1" 0.1, "1" 1, "10" 10, "100" 100, "1,000" 1e3, "10,000" 1e4, "100,000" 1e5, "1,000,000" 1e6)
    """

  private static func block(_ name: String, _ rows: [[Double]]) -> String {
    "$\(name) << EOD\n" + rows.map { $0.map(text).joined(separator: " ") + "\n" }.joined() + "EOD\n"
  }

  private static func text(_ value: Double) -> String { String(format: "%.6g", value) }
}
