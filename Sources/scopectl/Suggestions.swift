import ScopeClient
import ScopeModel

/// What somebody meant who named what there is not.
struct Suggestion {
  /// Most things that are looked through.
  private static let most: UInt32 = 1_000

  private let client: Client
  private let error: ClientError

  /// `; did you mean 'operator'?`; empty: nothing is near.
  static func words(for error: ClientError, from client: Client) -> String {
    guard error.isRefusal, error.reason.hasPrefix("unknown_") else { return "" }
    let suggestion = Suggestion(client: client, error: error)
    // What could be said better is not worth another error.
    guard let id = suggestion.missing, let known = try? suggestion.known(),
      let near = Spelling.nearest(to: id, among: known)
    else { return "" }
    let type = error.reason == "unknown_object" ? suggestion.objectType.map { "\($0.name):" } ?? "" : ""
    return "; did you mean '\(type)\(near)'?"
  }

  /// The id in the daemon's words; of an object without its type. Nil: a number, which has neighbours and no likeness.
  private var missing: String? {
    guard let behind = error.message.parted(at: "'")?.behind, let end = behind.utf8.lastIndex(of: UInt8(ascii: "'"))
    else { return nil }
    let id = String(behind[..<end])
    if id.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) { return nil }
    return error.reason == "unknown_object" ? id.parted(at: ":")?.behind : id
  }

  private var objectType: ObjectType? {
    guard error.reason == "unknown_object" else {
      return error.reason.behind("unknown_").flatMap { ObjectType(name: $0) }
    }
    return error.message.parted(at: "'")?.behind.parted(at: ":").flatMap { ObjectType(name: $0.before) }
  }

  private func known() throws(ClientError) -> [String] {
    var ids: [String] = []
    switch error.reason {
    case "unknown_role": ids = try client.roles().roles.map(\.name)
    case "unknown_group": try client.groups { ids.append($0.id) }
    case "unknown_project": _ = try client.projects(of: nil) { ids.append($0.id) }
    case "unknown_company": try client.companies { ids.append($0.id) }
    case "unknown_user":
      var query = UserQuery()
      query.limit = Suggestion.most
      if try client.users(query, each: { ids.append($0.id) }) > Int(Suggestion.most) { return [] }
    default:
      guard let objectType else { return [] }
      var query = ObjectQuery()
      (query.types, query.limit) = ([objectType], Suggestion.most)
      if try client.companyObjects(query, each: { ids.append($0.object.id) }) > Int(Suggestion.most) { return [] }
    }
    return ids
  }
}

/// Says if a right that is asked for is none of those the rules know, and looks like one.
func noteMisspelt(_ rights: [Name]) {
  for right in rights {
    guard let meant = Right.meant(by: right) else { continue }
    StandardError.note(
      "the right '\(right)' is none that the rules know; did you mean '\(meant)'?", reason: "right_misspelt",
      [("right", .text(right.text)), ("meant", .text(meant.text))])
  }
}
