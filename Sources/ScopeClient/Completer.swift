import ScopeModel

/// Finds what a word on a command line could become: ids that the daemon has. A shell waits for it, so it takes 200 ms in
/// all or finds nothing; and it says nothing of what goes wrong.
package struct Completer {
  /// What the word is. A type that is known may stand before the id, and for `subject` and `object` must.
  package enum Kind: Sendable {
    case company, user, group, project, role
    case objectOf(ObjectType)
    /// A user, a group, a project or an object.
    case subject
    case object
  }

  package static let milliseconds: UInt64 = 200
  /// A list that is cut would have the shell complete what those left have in common: with more there are none.
  package static let most = 200
  /// Most rows that are looked through for those that begin with the word.
  private static let looked: UInt32 = 1_000

  private let connect: (_ timeoutMilliseconds: UInt32) throws -> Client
  private let now: () -> UInt64
  private let end: UInt64

  /// - Parameters:
  ///   - now: milliseconds of a clock that only goes forward.
  ///   - connect: makes a client of the company, whose calls take so long at most.
  package init(now: @escaping () -> UInt64, connect: @escaping (_ timeoutMilliseconds: UInt32) throws -> Client) {
    (self.now, self.connect) = (now, connect)
    end = now() + Completer.milliseconds
  }

  /// What begins with the word, by bytes.
  package func candidates(for word: String, _ kind: Kind) -> [String] {
    guard let all = try? found(word, kind) else { return [] }
    let fit = all.filter { $0.utf8.starts(with: word.utf8) }
    return fit.count > Completer.most ? [] : fit.filter(Completer.isPlain)
  }

  /// Bash expands what it is offered, so an id could be a command: `$(halt)`. What has such signs is to be typed by hand.
  private static func isPlain(_ id: String) -> Bool {
    !id.utf8.starts(with: "-".utf8)
      && id.unicodeScalars.allSatisfy { sign in
        sign.isASCII ? plainSigns.contains(sign) : sign.properties.isAlphabetic
      }
  }

  private static let plainSigns = Set(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@+%,/=".unicodeScalars)

  private func found(_ word: String, _ kind: Kind) throws -> [String] {
    switch kind {
    case .company: return try known(word, "company") { client, _ in try companies(client) }
    case .user: return try known(word, "user") { try users($0, $1) }
    case .group: return try known(word, "group") { try groups($0, $1) }
    case .project: return try known(word, "project") { client, _ in try projects(client) }
    case .role: return try known(word, "role") { client, _ in try roles(client) }
    case .objectOf(let type): return try known(word, type.name) { try objects($0, [type], $1).map(\.id) }
    case .object: return try refs(word)
    case .subject:
      let kinds: [(String, Kind)] = [("user", .user), ("group", .group), ("project", .project)]
      return try kinds.filter { type, _ in couldBegin("\(type):", word) }.flatMap { type, kind in
        try found(id(word, "\(type):") ?? "", kind).map { "\(type):\($0)" }
      } + refs(word)
    }
  }

  /// The word is a beginning of the text, or goes on behind it.
  private func couldBegin(_ text: String, _ word: String) -> Bool {
    text.utf8.starts(with: word.utf8) || word.utf8.starts(with: text.utf8)
  }

  private func id(_ word: String, _ type: String) -> String? {
    word.utf8.starts(with: type.utf8) ? String(word.utf8.dropFirst(type.utf8.count)) : nil
  }

  /// Ids whose type is known, with their type where the word has it.
  private func known(
    _ word: String, _ type: String, _ ask: (Client, _ text: String) throws -> [String]
  ) throws -> [String] {
    let behind = id(word, "\(type):")
    let ids = try ask(try client(), behind ?? word)
    return behind == nil ? ids : ids.map { "\(type):\($0)" }
  }

  /// Objects as `queue:support`.
  private func refs(_ word: String) throws -> [String] {
    let types = ObjectType.all.filter { couldBegin("\($0.name):", word) }
    if types.isEmpty { return [] }
    let text = types.count == 1 ? id(word, "\(types[0].name):") ?? "" : ""
    return try objects(try client(), types, text).map { "\($0.type):\($0.id)" }
  }

  /// For one call, within the time that is left.
  private func client() throws -> Client {
    let now = now()
    guard now < end else { throw Late() }
    return try connect(UInt32(end - now))
  }

  private struct Late: Error {}

  // MARK: - Asking

  private func companies(_ client: Client) throws -> [String] {
    var ids: [String] = []
    try client.companies { ids.append($0.id) }
    return ids
  }

  private func users(_ client: Client, _ text: String) throws -> [String] {
    var (query, ids) = (UserQuery(), [String]())
    (query.text, query.limit) = (text, Completer.looked)
    return try client.users(query) { ids.append($0.id) } > ids.count ? [] : ids
  }

  private func groups(_ client: Client, _ text: String) throws -> [String] {
    var ids: [String] = []
    try client.groups(text: text) { ids.append($0.id) }
    return ids
  }

  private func projects(_ client: Client) throws -> [String] {
    var ids: [String] = []
    _ = try client.projects(of: nil) { ids.append($0.id) }
    return ids
  }

  private func roles(_ client: Client) throws -> [String] { try client.roles().roles.map(\.name) }

  private func objects(_ client: Client, _ types: [ObjectType], _ text: String) throws -> [ObjectRow] {
    var (query, rows) = (ObjectQuery(), [ObjectRow]())
    (query.types, query.text, query.limit) = (types, text, Completer.looked)
    return try client.companyObjects(query) { rows.append($0.object) } > rows.count ? [] : rows
  }
}
