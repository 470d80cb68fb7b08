import CScope
import Testing

@Suite struct ListingTests {
  @Test func listsProjectsOverSeveralParts() {
    let daemon = FakeDaemon { question in
      [
        response(to: question.id, revision: 5, more: true).message(
          Field.listProjects, Message().message(1, tile("a", "Alpha", "first", true))),
        response(to: question.id, revision: 5, more: true).message(Field.listProjects, Message()),
        response(to: question.id, revision: 5).message(
          Field.listProjects,
          Message().message(1, tile("b", "Beta", "", false)).message(1, tile("c", "Γ", "", true))),
      ]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let listing = listProjects(client)
    #expect(listing.complete)
    #expect(listing.rows == ["a|Alpha|first|true", "b|Beta||false", "c|Γ||true"])
    #expect(listing.result.rows == 3)
    #expect(listing.result.revision == 5)
    #expect(daemon.questions.map(\.subject) == ["1001"])
    #expect(listProjects(client).complete)
    #expect(daemon.connectionCount == 1)
  }

  @Test func anEmptyListingIsComplete() {
    let daemon = FakeDaemon { [response(to: $0.id).message(Field.listProjects, Message())] }
    defer { daemon.stop() }
    let listing = listProjects(Client(daemon.address))
    #expect(listing.complete)
    #expect(listing.rows.isEmpty)
  }

  @Test func tellsAnErrorFromTheEnd() {
    let daemon = FakeDaemon { question in
      [
        response(to: question.id, more: true).message(
          Field.listProjects, Message().message(1, tile("a", "Alpha", "", true))),
        failure(to: question.id, code: 1, reason: "stopping"),
      ]
    }
    defer { daemon.stop() }
    let listing = listProjects(Client(daemon.address))
    #expect(!listing.complete)
    #expect(listing.rows.count == 1)
    #expect(Failure(listing.result.error).reason == "stopping")
    #expect(listing.result.error.status == SCOPE_STATUS_CANCELLED)
  }

  @Test func aStreamCutBetweenPartsIsAnError() {
    let daemon = FakeDaemon { connection, _ in
      guard let question = connection.readQuestion() else { return }
      connection.send(
        response(to: question.id, more: true).message(
          Field.listProjects, Message().message(1, tile("a", "Alpha", "", true))
        ).frame)
    }
    defer { daemon.stop() }
    let listing = listProjects(Client(daemon.address))
    #expect(!listing.complete)
    #expect(Failure(listing.result.error).reason == "connection_lost")
  }

  @Test func refusesRowsThatNoDaemonSends() {
    for row in [tile("", "x", "", true), tile("a\0b", "x", "", true), tile("a", "x\0", "", true)] {
      let daemon = FakeDaemon {
        [response(to: $0.id).message(Field.listProjects, Message().message(1, row))]
      }
      defer { daemon.stop() }
      let listing = listProjects(Client(daemon.address))
      #expect(!listing.complete)
      #expect(listing.rows.isEmpty)
      #expect(Failure(listing.result.error).reason == "bad_reply")
    }
  }

  @Test func listsProjectsOfUsersOnly() {
    let listing = listProjects(Client("unix:/nonexistent/s"), user: "group:1001")
    #expect(!listing.complete)
    #expect(listing.result.error.status == SCOPE_STATUS_INVALID_ARGUMENT)
  }

  @Test func stopsWhenTheCallbackSaysSo() {
    let daemon = FakeDaemon { question in
      let row = Message().message(1, tile("a", "Alpha", "", true)).message(1, tile("b", "B", "", true))
      return [
        response(to: question.id, more: true).message(Field.listProjects, row),
        response(to: question.id).message(Field.listProjects, row),
      ]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let listing = listProjects(client, stopAfter: 1)
    #expect(!listing.complete)
    #expect(listing.rows.count == 1)
    #expect(Failure(listing.result.error).reason == "stopped")
    // What the daemon still sends is not taken for the next answer.
    #expect(listProjects(client).rows.count == 4)
    #expect(daemon.connectionCount == 2)
  }

  @Test func listsObjectsOfSomeTypesInAProject() {
    let daemon = FakeDaemon { question in
      let rows = Message()
        .message(1, Message().number(1, 16).text(2, "support").text(3, "Support"))
        .message(1, Message().number(1, 24).text(2, "phone").text(3, "Phone").number(4, 1))
      return [response(to: question.id).message(Field.listObjects, rows)]
    }
    defer { daemon.stop() }
    let listing = listObjects(
      Client(daemon.address), types: ["queue", "contact_field"], project: "clinic")
    #expect(listing.complete)
    #expect(listing.rows == ["queue|16|support|Support|false", "contact_field|24|phone|Phone|true"])
    let asked = daemon.questions[0]
    #expect(asked.subject == "3:clinic")
    #expect(asked.types == [16, 24])
    #expect(asked.project == "clinic")
  }

  @Test func refusesObjectsOfUnknownTypes() {
    let daemon = FakeDaemon { question in
      let rows = Message().message(1, Message().number(1, 4000).text(2, "x"))
      return [response(to: question.id).message(Field.listObjects, rows)]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    #expect(Failure(listObjects(client).result.error).reason == "bad_reply")
    #expect(Failure(listObjects(client, types: ["car"]).result.error).reason == "bad_argument")
  }

  @Test func takesAPartOfTheLongestSize() {
    // 4 MiB of rows: far beyond what the client keeps between calls.
    let name = String(repeating: "n", count: 100)
    let daemon = FakeDaemon { question in
      var rows: [UInt8] = []
      let row = Message().message(1, Message().number(1, 16).text(2, "q").text(3, name)).bytes
      for _ in 0..<(4_194_304 / row.count) { rows += row }
      return [response(to: question.id).data(Field.listObjects, rows)]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address)
    let listing = listObjects(client)
    #expect(listing.complete)
    #expect(listing.rows.count == 4_194_304 / 109)
    #expect(listObjects(client).rows.count == listing.rows.count)
    #expect(daemon.connectionCount == 1)
  }

  @Test func aCallbackThatUsesItsHandleFailsAtOnce() {
    let daemon = FakeDaemon {
      [
        response(to: $0.id).message(
          Field.listProjects, Message().message(1, tile("a", "Alpha", "", true)))
      ]
    }
    defer { daemon.stop() }
    let client = Client(daemon.address) { $0.timeout_ms = 600_000 }
    let inner = Inner(client)
    let complete = scope_list_projects(
      client.handle, nil, "user:1",
      { context, _ in
        let inner: Inner = object(context)
        inner.answer = inner.client.check()
        return true
      }, context(inner), nil)
    #expect(complete)
    expectUnavailable(inner.answer!, "handle_in_use", SCOPE_STATUS_FAILED_PRECONDITION)
  }
}

private final class Inner {
  let client: Client
  var answer: Answer?
  init(_ client: Client) { self.client = client }
}

private func tile(_ id: String, _ name: String, _ description: String, _ visible: Bool) -> Message {
  let tile = Message().text(1, id).text(2, name).text(3, description)
  return visible ? tile.number(4, 1) : tile
}

private final class Listing {
  var rows: [String] = []
  var stopAfter = Int.max
  var complete = false
  var result = scope_result()
}

private func listProjects(
  _ client: Client, user: String = "user:1001", stopAfter: Int = .max
) -> Listing {
  let listing = Listing()
  listing.stopAfter = stopAfter
  var result = scope_result()
  listing.complete = scope_list_projects(
    client.handle, nil, user,
    { context, row in
      let listing: Listing = object(context)
      let row = row!.pointee
      let texts = [row.id, row.name, row.description].map { String(cString: $0!) }
      listing.rows.append((texts + ["\(row.contents_visible)"]).joined(separator: "|"))
      return listing.rows.count < listing.stopAfter
    }, context(listing), &result)
  listing.result = result
  return listing
}

private func listObjects(
  _ client: Client, types: [String] = [], project: String? = nil
) -> Listing {
  let listing = Listing()
  var result = scope_result()
  listing.complete = withCStrings(types) { names in
    withOptionalCString(project) { project in
      scope_list_objects(
        client.handle, nil, "project:clinic", names, types.count, project,
        { context, row in
          let listing: Listing = object(context)
          let row = row!.pointee
          let texts = [String(cString: row.type_name), "\(row.type)", String(cString: row.id)]
          listing.rows.append(
            (texts + [String(cString: row.name), "\(row.system)"]).joined(separator: "|"))
          return true
        }, context(listing), &result)
    }
  }
  listing.result = result
  return listing
}

/// The texts as an array of C strings, valid in the body.
func withCStrings<R>(_ texts: [String], _ body: ([UnsafePointer<CChar>?]) -> R) -> R {
  var bytes: [CChar] = []
  let starts = texts.map { text in
    defer { bytes += text.utf8CString }
    return bytes.count
  }
  return bytes.withUnsafeBufferPointer { buffer in
    body(starts.map { buffer.baseAddress! + $0 })
  }
}
