import Foundation
import ScopeTesting
import Testing

extension TelephonyTests {
  /// What the pages of Scripts/telephony show is what the commands print.
  @Suite struct PageTests {
    @Test(arguments: ["lua", "kamailio", "freeswitch"]) func everyCommandPrintsWhatIsShown(_ page: String) async throws
    {
      let steps = try steps(of: page)
      #expect(!steps.isEmpty)
      try await withSampleProcess { daemon in
        let kamailio = try Kamailio(.kemi, asking: daemon.address)
        let caller = try SIPCaller(at: Site.inside, to: kamailio.port)
        #expect(try caller.ask(caller.request("INVITE", "880012")) == 403)
        let folder = TemporaryFolder()
        let places = [
          ("/usr/local", folder.file("local")), ("/etc/", folder.file("etc/")),
          (".build/client", folder.file("client")),
          ("/run/kamailio/kamailio_ctl", kamailio.folder.file("ctl")),
        ]
        let put = { (text: String) in places.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) } }
        for step in steps {
          // The page builds where it says by default; a test must leave that folder alone.
          let command = put(step.command).replacingOccurrences(
            of: "build-client ", with: "build-client --output \(folder.file("client")) ")
          let printed = try shell(command, modules: folder.file("local/lib/lua/5.1/?.so"))
          let shown = step.shown.map(put)
          let isLike = printed.count == shown.count && zip(printed, shown).allSatisfy(isLike)
          #expect(isLike, "\(page): \(step.command) prints\n\(printed.joined(separator: "\n"))")
        }
      }
    }

    /// The example in Lua's page, with the sample.
    @Test func theExampleInLuaAnswers() async throws {
      let page = try String(contentsOf: telephonyFolder.appendingPathComponent("lua/README.md"), encoding: .utf8)
      let example = try #require(page.components(separatedBy: "```lua\n").last?.components(separatedBy: "```").first)
      try await withSampleProcess { daemon in
        let script = example.replacingOccurrences(of: "unix:/run/scoped/scoped.sock", with: daemon.address)
        let shown = try run(
          try systemProgram("lua5.1"), ["-e", script], environment: ["LUA_CPATH": LuaModule.path()])
        #expect(shown.output == "allow\tshared_project\tclinic\tclinic-team\n", "\(shown.errors)")
      }
    }

    /// What the unit starts is the daemon, in the folders that systemd makes for it; with the options of the page as well.
    @Test func theServiceStarts() async throws {
      let folder = scripts.appendingPathComponent("systemd")
      let unit = try String(contentsOf: folder.appendingPathComponent("scoped.service"), encoding: .utf8)
      let page = try String(contentsOf: folder.appendingPathComponent("README.md"), encoding: .utf8)
      let lines = unit.components(separatedBy: "\n")
      let start = try #require(lines.first { $0.hasPrefix("ExecStart=/usr/local/bin/scoped ") })
      let folders = ["StateDirectory=scoped", "RuntimeDirectory=scoped", "RuntimeDirectoryMode=0750", "User=scoped"]
      #expect(Set(folders).isSubset(of: lines) && page.contains("\nExecStart=\n\(start) --fastagi 127.0.0.1:4573\n"))
      try await onThread {
        let folder = TemporaryFolder()
        // The store is made once, before the unit is.
        #expect(try ProcessDaemon(in: folder).stop() == 0)
        let options = start.dropFirst("ExecStart=/usr/local/bin/scoped ".count)
          .replacing("/var/lib/scoped", with: folder.file("data"))
          .replacing("/run/scoped/scoped.sock", with: folder.file("socket"))
        for more in ["", " --fastagi 127.0.0.1:0"] {
          let launcher = ["/bin/sh", "-c", "exec \"$1\" \(options)\(more)", "sh"]
          let daemon = try ProcessDaemon(in: folder, launcher: launcher)
          try loadSample(into: try daemon.client())
          #expect(daemon.stop() == 0)
        }
      }
    }
  }
}

private struct Step: Sendable {
  let command: String
  var shown: [String] = []
}

/// The commands in a page's fences marked `console`, and what stands below each.
private func steps(of page: String) throws -> [Step] {
  let text = try String(contentsOf: telephonyFolder.appendingPathComponent("\(page)/README.md"), encoding: .utf8)
  var steps: [Step] = []
  for fence in text.components(separatedBy: "```console\n").dropFirst() {
    for line in fence.components(separatedBy: "\n```")[0].components(separatedBy: "\n") {
      if line.hasPrefix("$ ") {
        steps.append(Step(command: String(line.dropFirst(2))))
      } else {
        steps[steps.count - 1].shown.append(line)
      }
    }
  }
  return steps
}

/// Whether a line is what the page shows, where an ellipsis at its end stands for anything.
private func isLike(_ printed: String, _ shown: String) -> Bool {
  shown.hasSuffix("…") ? printed.hasPrefix(shown.dropLast()) : printed == shown
}

private func shell(_ command: String, modules: String) throws -> [String] {
  let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  let shown = try run(
    URL(fileURLWithPath: "/bin/bash"), ["-c", "exec 2>&1\ncd '\(packageFolder.path)'\n\(command)"],
    environment: ["PATH": path, "LUA_CPATH": modules])
  return shown.output.split(separator: "\n").map(String.init)
}
