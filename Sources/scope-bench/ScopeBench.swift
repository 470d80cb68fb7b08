import ArgumentParser

/// Measures the daemon beside others, with one client for all. `Scripts/bench` builds and runs it.
@main
struct ScopeBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scope-bench", abstract: "Measures scoped against bare echoes, Redis and PostgreSQL.",
    subcommands: [
      Run.self, Scale.self, NumberBenchmark.self, FastAGI.self, Floods.self, FloodCommand.self,
      Fill.self, Echo.self,
    ],
    defaultSubcommand: Run.self)
}
