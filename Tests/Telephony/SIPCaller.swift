import Foundation
import Glibc
import ScopeTesting

/// One socket that speaks SIP as a test writes it, right or wrong.
final class SIPCaller {
  struct Answer {
    let status: Int
    let text: String

    /// The first header of that name, without it.
    func header(_ name: String) -> String? {
      text.components(separatedBy: "\r\n").first { $0.hasPrefix("\(name): ") }.map {
        String($0.dropFirst(name.count + 2))
      }
    }
  }

  let host: String
  let port: Int
  private let to: Int
  private let descriptor: Int32
  /// Requests and their answers are told apart by it.
  let callId: String

  /// - Parameters:
  ///   - port: nil: any that is free.
  ///   - to: Kamailio's port.
  ///   - callId: that of the call whose other end this is.
  init(at host: String, port: Int? = nil, to: Int, callId: String = UUID().uuidString) throws {
    self.callId = callId
    self.host = host
    self.to = to
    descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var own = ipv4(host, port ?? 0)
    var bytes = socklen_t(MemoryLayout<sockaddr_in>.size)
    let sock = descriptor
    let bound = withUnsafeMutablePointer(to: &own) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(sock, $0, bytes) == 0 && getsockname(sock, $0, &bytes) == 0
      }
    }
    guard bound else { throw TestFailure("no socket at \(host): errno \(errno)") }
    self.port = Int(UInt16(bigEndian: own.sin_port))
  }

  deinit { close(descriptor) }

  /// A request outside any call, or inside one if it has a tag.
  ///
  /// - Parameter target: the URI it is for; nil: the number at Kamailio.
  func request(
    _ method: String, _ number: String, from: String = "1001", toTag: String? = nil, branch: String = "1",
    sequence: Int = 1, target: String? = nil,
    headers: [String] = []
  ) -> String {
    let user = number.isEmpty ? "" : "\(number)@"
    let lines = [
      "\(method) \(target ?? "sip:\(user)\(Site.kamailio):\(to)") SIP/2.0",
      "Via: SIP/2.0/UDP \(host):\(port);branch=z9hG4bK\(callId)-\(branch)",
      "From: <sip:\(from)@\(host)>;tag=f",
      "To: <sip:\(user)\(Site.kamailio)>\(toTag.map { ";tag=\($0)" } ?? "")",
      "Call-ID: \(callId)", "CSeq: \(sequence) \(method)", "Contact: <sip:\(from)@\(host):\(port)>", "Max-Forwards: 70",
    ]
    return (lines + headers + ["Content-Length: 0", "", ""]).joined(separator: "\r\n")
  }

  func send(_ text: String) throws { try send(bytes: Array(text.utf8)) }

  func send(bytes: [UInt8]) throws {
    var address = ipv4(Site.kamailio, to)
    let sent = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard sent == bytes.count else { throw TestFailure("sendto failed: errno \(errno)") }
  }

  /// Answers a request that arrived, as the one it was sent to.
  func reply(_ status: Int, to request: Answer) throws {
    let kept = ["Via: ", "Record-Route: ", "From: ", "To: ", "Call-ID: ", "CSeq: "]
    let lines = request.text.components(separatedBy: "\r\n").filter { line in kept.contains { line.hasPrefix($0) } }
    let tagged = lines.map { $0.hasPrefix("To: ") && !$0.contains(";tag=") ? "\($0);tag=t" : $0 }
    let all = ["SIP/2.0 \(status) Reply"] + tagged + ["Contact: <sip:\(host):\(port)>", "Content-Length: 0", "", ""]
    try send(all.joined(separator: "\r\n"))
  }

  /// What arrives next; nil if nothing does in time.
  func receive(within milliseconds: Int32 = 10_000) -> Answer? {
    var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&wanted, 1, milliseconds) > 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    guard count > 0 else { return nil }
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    let words = text.split(separator: " ", maxSplits: 2)
    return Answer(status: words.count > 1 ? Int(words[1]) ?? 0 : 0, text: text)
  }

  /// The next final answer.
  func final(within milliseconds: Int32 = 10_000) -> Answer? {
    while let answer = receive(within: milliseconds) {
      if answer.status >= 200 { return answer }
    }
    return nil
  }

  /// Asks, and gives the status of the final answer to it; 0: there was none.
  func ask(_ text: String) throws -> Int {
    let branch = text.components(separatedBy: "branch=")[1].prefix { $0 != "\r\n" }
    try send(text)
    while let answer = final() {
      if answer.text.contains("branch=\(branch)\r\n") { return answer.status }
    }
    return 0
  }
}
