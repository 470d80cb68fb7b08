import CScope
import CScopeWire
import Testing

@Suite struct ClientTests {
  @Test(arguments: [
    "unix:/run/scoped/scoped.sock", "/run/scoped/scoped.sock", "tcp:127.0.0.1:7400", "tcp:[::1]:7400",
  ])
  func opensWithoutConnecting(_ address: String) {
    let client = scope_open(address, nil, nil)
    #expect(client != nil)
    scope_close(client)
  }

  @Test(arguments: [
    "", "unix:", "unix:scoped.sock", "scoped.sock", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:",
    "tcp::7400", "tcp:localhost:7400", "tcp:[::1:7400", "tcp:127.0.0.1:http", "http://127.0.0.1",
    "unix:/" + String(repeating: "x", count: 107), "tcp:" + String(repeating: "1", count: 100) + ":1",
  ])
  func refusesAddressesItCannotUse(_ address: String) {
    var error = scope_error()
    #expect(scope_open(address, nil, &error) == nil)
    #expect(Failure(error).reason == "bad_argument")
    #expect(Failure(error).message.hasPrefix("the address"))
  }

  @Test func optionsHaveTheirDefaults() {
    var options = scope_options()
    scope_options_init(&options, MemoryLayout<scope_options>.size)
    #expect(options.timeout_ms == 50)
    #expect(options.breaker_failures == 3)
    #expect(options.breaker_open_ms == 1000)
    #expect(options.connections == 4)
    #expect(options.company == nil)
  }

  @Test func tellsItsVersionAndTheSizesOfItsStructs() {
    #expect(String(cString: scope_version()) == SCOPE_VERSION)
    let sizes = [
      ("scope_error", MemoryLayout<scope_error>.stride), ("scope_answer", MemoryLayout<scope_answer>.stride),
      ("scope_result", MemoryLayout<scope_result>.stride), ("scope_options", MemoryLayout<scope_options>.stride),
      ("scope_call_options", MemoryLayout<scope_call_options>.stride),
      ("scope_counters", MemoryLayout<scope_counters>.stride), ("scope_ref", MemoryLayout<scope_ref>.stride),
      ("scope_project", MemoryLayout<scope_project>.stride), ("scope_object", MemoryLayout<scope_object>.stride),
    ]
    for (name, bytes) in sizes { #expect(scope_struct_bytes(name) == bytes, "\(name)") }
    #expect(scope_struct_bytes("scope_client") == 0)
    #expect(scope_struct_bytes(nil) == 0)
  }

  @Test func refusesOptionsThatWereNotInitialised() {
    var options = scope_options()
    var error = scope_error()
    #expect(scope_open("/s", &options, &error) == nil)
    #expect(error.status == SCOPE_STATUS_INVALID_ARGUMENT)
  }

  /// A program compiled when the options ended at `timeout_ms`: what lies behind is not read.
  @Test func takesTheOptionsOfAnOlderProgram() {
    let size = MemoryLayout<scope_options>.offset(of: \.backoff_min_ms)!
    var options = scope_options()
    scope_options_init(&options, size)
    #expect(options.breaker_failures == 0, "not written beyond the size")
    options.breaker_failures = 1
    options.backoff_min_ms = 3_600_000
    let client = "acme".withCString { company in
      options.company = company
      return scope_open("/nonexistent/s", &options, nil)
    }
    defer { scope_close(client) }
    var answer = scope_answer()
    _ = scope_check(client, "user:1", "queue:a", &answer)
    _ = scope_check(client, "user:1", "queue:a", &answer)
    #expect(Failure(answer.error).reason != "breaker_open")
  }

  @Test func refusesMoreConnectionsThanAHandleHas() {
    var options = scope_options()
    scope_options_init(&options, MemoryLayout<scope_options>.size)
    options.connections = 65
    var error = scope_error()
    #expect(scope_open("/s", &options, &error) == nil)
    #expect(Failure(error).message == "a handle has up to 64 connections")
  }

  @Test func refusesACompanyThatIsTooLong() {
    var options = scope_options()
    scope_options_init(&options, MemoryLayout<scope_options>.size)
    var error = scope_error()
    String(repeating: "c", count: 129).withCString {
      options.company = $0
      #expect(scope_open("/s", &options, &error) == nil)
    }
    #expect(Failure(error).message == "the company is longer than 128 bytes")
  }

  @Test func everyTypeOfTheContractHasItsName() {
    let names = values(of: scope__v1__entity_type__descriptor, prefix: "ENTITY_TYPE_")
    #expect(names.count >= 14)
    for (number, name) in names where number != 0 {
      #expect(scope_type_number(name) == number)
      #expect(scope_type_name(number).map { String(cString: $0) } == name)
    }
    #expect(scope_type_number("sip_provider") == 18)
    #expect(scope_type_number("unspecified") == 0)
    #expect(scope_type_number("Queue") == 0)
    #expect(scope_type_name(0) == nil)
    #expect(scope_type_name(15) == nil)
  }

  @Test func everyReasonAndStatusOfTheContractHasItsText() {
    for (number, name) in values(of: scope__v1__reason__descriptor, prefix: "REASON_")
    where number != 0 {
      #expect(scope_reason_text(number).map { String(cString: $0) } == name)
    }
    for (number, name) in values(of: scope__v1__code__descriptor, prefix: "CODE_") {
      #expect(scope_status_text(number).map { String(cString: $0) } == name)
    }
    #expect(scope_reason_text(0) == nil)
    #expect(scope_status_text(17) == nil)
  }

  @Test func takesRefsApart() {
    "queue:a:b:".withCString { text in
      var ref = scope_ref()
      #expect(scope_ref_parse(text, &ref, nil))
      #expect(ref.type == 16)
      #expect(ref.id == text + 6)
      #expect(ref.id_bytes == 4)
      #expect(String(cString: ref.id) == "a:b:")
    }
    var ref = scope_ref(type: 1, id: nil, id_bytes: 5)
    var error = scope_error()
    #expect(!scope_ref_parse("queue", &ref, &error))
    #expect(ref.type == 0 && ref.id_bytes == 0)
    #expect(Failure(error).reason == "bad_argument")
    #expect(!scope_ref_parse(nil, &ref, &error))
  }
}

private func values(
  of descriptor: ProtobufCEnumDescriptor, prefix: String
) -> [(number: Int32, name: String)] {
  (0..<Int(descriptor.n_values)).map {
    let value = descriptor.values[$0]
    return (value.value, String(cString: value.name).dropFirst(prefix.count).lowercased())
  }
}
