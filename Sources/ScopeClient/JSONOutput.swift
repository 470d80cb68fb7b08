import Foundation

/// JSON as the command line tools print it: keys in the order given, which is how people read it, and always all of
/// them. What there is not is null, or an empty list.
package enum JSONValue {
  case null
  case text(String)
  case number(UInt64)
  case flag(Bool)
  case list([JSONValue])
  case object([(key: String, value: JSONValue)])
  /// JSON already.
  case raw(String)

  package var encoded: String {
    switch self {
    case .null: "null"
    case .text(let text): JSONValue.encoded(text)
    case .number(let number): "\(number)"
    case .flag(let flag): flag ? "true" : "false"
    case .list(let values): "[" + values.map(\.encoded).joined(separator: ",") + "]"
    case .object(let fields):
      "{" + fields.map { "\(JSONValue.encoded($0.key)):\($0.value.encoded)" }.joined(separator: ",") + "}"
    case .raw(let json): json
    }
  }

  private static func encoded(_ text: String) -> String {
    guard let json = try? plain.encode(text) else { fatalError("a text can't be encoded") }
    return String(decoding: json, as: UTF8.self)
  }

  private static let plain: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    return encoder
  }()
}

extension JSONValue {
  /// An empty text is null.
  package static func optional(_ text: String) -> JSONValue { text.isEmpty ? .null : .text(text) }
  package static func count(_ count: Int) -> JSONValue { .number(UInt64(count)) }
  package static func texts(_ texts: [String]) -> JSONValue { .list(texts.map { .text($0) }) }
  package static func objects(_ objects: [[(key: String, value: JSONValue)]]) -> JSONValue {
    .list(objects.map { .object($0) })
  }

  /// `"user:1001"`; an empty id is null.
  package static func ref(_ type: String, _ id: String) -> JSONValue { id.isEmpty ? .null : .text("\(type):\(id)") }
  package static func refs(_ type: String, _ ids: [String]) -> JSONValue { .list(ids.map { .ref(type, $0) }) }
}

/// The fields of an object.
package typealias JSONFields = [(key: String, value: JSONValue)]

package func jsonObject(_ fields: JSONFields) -> String { JSONValue.object(fields).encoded }
