import ScopeModel

/// Refs as text: `user:1001`, `queue:support`. The id is everything behind the first colon.
extension Subject {
  public init(ref text: String) throws(RefError) {
    let (type, id) = try split(text)
    guard let type = TargetType(name: type) else { throw RefError.unknown(type, of: text, isSubject: true) }
    self.init(type, id)
  }
}

extension ObjectRef {
  public init(ref text: String) throws(RefError) {
    let (type, id) = try split(text)
    guard let type = ObjectType(name: type) else { throw RefError.unknown(type, of: text, isSubject: false) }
    self.init(type, id)
  }
}

extension Name {
  /// The id of a thing whose type is known where it stands: `1001` or `user:1001`. An id that begins as a ref does is
  /// written with its own type in front, `user:user:1001`: without it, nobody could tell what was meant.
  ///
  /// - Parameter type: `user`, `group`, `project`, `role`, or an object type.
  public init(id text: String, of type: String) throws(RefError) {
    var id = text
    if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
      let before = String(text[..<colon])
      if before.utf8.elementsEqual(type.utf8) {
        id = String(text[text.utf8.index(after: colon)...])
      } else if RefError.types.contains(before) {
        throw RefError("'\(text)' is a \(before), and a \(type) belongs here; if that is its id: \(type):\(text)")
      }
    }
    do throws(NameError) { self = try Name(id) } catch { throw RefError("it \(error)") }
  }
}

/// Why a text is not a ref.
public struct RefError: Error, CustomStringConvertible {
  public let description: String

  fileprivate static let types = Set(["role"] + TargetType.all.map(\.name))

  fileprivate init(_ words: String) { description = words }

  /// A type that is none, or none that is meant here.
  fileprivate static func unknown(_ type: String, of text: String, isSubject: Bool) -> RefError {
    let words = "'\(type)' is no type\(isSubject ? "" : " of object")"
    let known = isSubject ? TargetType.all.map(\.name) : ObjectType.all.map(\.name)
    if let near = Spelling.nearest(to: type, among: known) {
      return RefError(
        "'\(text)': \(words); did you mean '\(near)\(String(text.utf8.dropFirst(type.utf8.count)) ?? "")'?")
    }
    return RefError(text, words)
  }

  init(_ text: String, _ words: String) {
    let types = TargetType.all.map(\.name).joined(separator: ", ")
    description = "'\(text)': \(words). A ref is TYPE:ID; types are \(types)"
  }
}

private func split(_ text: String) throws(RefError) -> (type: String, id: Name) {
  // By bytes: to `Character` the colon and a combining mark behind it are one.
  guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw RefError(text, "there is no colon") }
  do throws(NameError) {
    return (String(text[..<colon]), try Name(String(text[text.utf8.index(after: colon)...])))
  } catch {
    throw RefError(text, "the id \(error)")
  }
}
