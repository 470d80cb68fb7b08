import Foundation
import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

@Suite struct ChangeLines {
  @Test func comeBackAsTheyWere() throws {
    for change in Samples.changes {
      let line = ChangeLine(company: Samples.oddName, change: change)
      #expect(try ChangeLine(json: Data(line.json.utf8)) == line, "\(line.json)")
    }
  }

  @Test func areWrittenAsDocumented() {
    let user = User(id: "1001", name: "Anna Berger")
    #expect(
      ChangeLine(company: "nordlicht", change: .putUser(user, roles: ["operator"])).json
        == #"{"company":"nordlicht","put_user":{"id":"1001","name":"Anna Berger","roles":["operator"]}}"#)
  }

  @Test(arguments: [
    ("", "not JSON"),
    ("[]", "not a JSON object"),
    (#"{"company":"c"}"#, "exactly one change"),
    (#"{"company":"c","remove_user":{"id":"1"},"remove_role":{"name":"r"}}"#, "exactly one change"),
    (#"{"remove_user":{"id":"1"}}"#, "lacks \"company\""),
    (#"{"company":"c","remove_user":{}}"#, "lacks \"id\""),
    (#"{"company":"c","remove_user":{"id":1}}"#, "not a text"),
    (#"{"company":"c","remove_user":{"id":""}}"#, "\"id\" is empty"),
    (#"{"company":"c","remove_user":{"id":"a\u0000b"}}"#, "control character"),
    (#"{"company":"c","remove_user":{"id":"1","force":true}}"#, "unknown field \"force\""),
    (#"{"company":"c","delete_user":{"id":"1"}}"#, "\"delete_user\" is not a change"),
    (#"{"company":"c","put_user":{"id":"1","blocked":1}}"#, "neither true nor false"),
    (#"{"company":"c","put_user":{"id":"1","roles":"operator"}}"#, "not a list"),
    (#"{"company":"c","put_company":{}}"#, "\"simple\" or \"enhanced\""),
    (#"{"company":"c","put_object":{"type":"phone","id":"1"}}"#, "'phone', not one of queue"),
    (#"{"company":"c","add_member":{"project":"p","member_type":"role","member_id":"r"}}"#, "\"user\" or \"group\""),
  ]) func thatAreWrongSayWhy(line: String, words: String) {
    do {
      _ = try ChangeLine(json: Data(line.utf8))
      Issue.record("taken: \(line)")
    } catch {
      #expect("\(error)".contains(words), "\(error)")
    }
  }
}

@Suite struct Refs {
  @Test func areATypeAndAnID() throws {
    #expect(try Subject(ref: "user:1001") == .user("1001"))
    #expect(try Subject(ref: "queue:a:b") == .object(ObjectRef(ObjectType(name: "queue")!, "a:b")))
    for text in ["", "user", "user:", "role:x", "User:1"] {
      #expect(throws: RefError.self) { _ = try Subject(ref: text) }
    }
    #expect(throws: RefError.self) { _ = try ObjectRef(ref: "user:1001") }
  }
}
