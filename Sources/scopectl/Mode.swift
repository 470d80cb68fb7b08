import ArgumentParser
import ScopeModel

extension SecurityMode: ExpressibleByArgument {}

struct ModeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mode", abstract: "Switches a company to simple or enhanced mode.",
    discussion: """
      In simple mode everyone sees everything. In enhanced mode only what shares a project is seen; what is in no \
      project, users and objects alike, goes into the project named Default at the switch, so that nobody is locked \
      out.

      Example:
        scopectl mode enhanced --preview
      """)

  @Argument(help: "The mode to switch to.")
  var mode: SecurityMode

  @OptionGroup var edit: EditOptions

  func run() throws { try edit.apply([.setMode(mode)]) }
}
