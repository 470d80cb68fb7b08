import Foundation
import ScopeServer
import ScopeTesting

/// What Asterisk tells of a channel when it connects, in its order.
struct AsteriskEnvironment {
  var script: String
  var arguments: [String]
  /// As the caller sent it: nothing in it is escaped.
  var callerName = Array("unknown".utf8)
  var callerNumber = "unknown"
  var context = "default"
  var exten = "s"

  var bytes: [UInt8] {
    var lines = [Array("agi_network: yes".utf8)]
    func add(_ name: String, _ value: [UInt8]) { lines.append(Array("agi_\(name): ".utf8) + value) }
    func add(_ name: String, _ value: String) { add(name, Array(value.utf8)) }
    if !script.isEmpty { add("network_script", script) }
    add("request", "agi://127.0.0.1:4573/\(script)")
    for (name, value) in [("channel", "PJSIP/phone-00000001"), ("language", "en"), ("type", "PJSIP")] {
      add(name, value)
    }
    for (name, value) in [("uniqueid", "1700000000.1"), ("version", "22.0.0"), ("callerid", callerNumber)] {
      add(name, value)
    }
    add("calleridname", callerName)
    for name in ["callingpres", "callingani2", "callington", "callingtns"] { add(name, "0") }
    for (name, value) in [("dnid", "unknown"), ("rdnis", "unknown"), ("context", context), ("extension", exten)] {
      add(name, value)
    }
    for (name, value) in [("priority", "6"), ("enhanced", "0.0"), ("accountcode", ""), ("threadid", "140000000000000")]
    {
      add(name, value)
    }
    for (number, argument) in arguments.enumerated() { add("arg_\(number + 1)", argument) }
    return lines.flatMap { $0 + [0x0A] } + [0x0A]
  }
}
