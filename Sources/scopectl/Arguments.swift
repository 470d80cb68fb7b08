import ArgumentParser
import Foundation
import ScopeClient
import ScopeModel

/// Turns what is wrong with an argument into wrong usage.
func parsing<T>(_ body: () throws -> T) throws -> T {
  do { return try body() } catch { throw ValidationError("\(error)") }
}

// Ids are taken with or without their type in front, and with no other.
func userID(_ text: String) throws -> Name { try id(text, of: "user") }
func groupID(_ text: String) throws -> Name { try id(text, of: "group") }
func projectID(_ text: String) throws -> Name { try id(text, of: "project") }
func fieldID(_ text: String) throws -> Name { try id(text, of: "contact_field") }

func listID(_ text: String) throws -> Name { try id(text, of: "list") }
func roleName(_ text: String) throws -> Name { try id(text, of: "role") }

private func id(_ text: String, of type: String) throws -> Name { try parsing { try Name(id: text, of: type) } }

/// An id or a name without a type.
func plainName(_ text: String) throws -> Name {
  do throws(NameError) { return try Name(text) } catch { throw ValidationError("it \(error)") }
}

func remark(_ text: String) throws -> Remark {
  do throws(NameError) { return try Remark(text) } catch { throw ValidationError("it \(error)") }
}

func objectRef(_ text: String) throws -> ObjectRef { try parsing { try ObjectRef(ref: text) } }

func subject(_ text: String) throws -> Subject { try parsing { try Subject(ref: text) } }

func objectType(_ text: String) throws -> ObjectType {
  if let type = ObjectType(name: text) { return type }
  throw unknownType(text, ObjectType.all.map(\.name))
}

func targetType(_ text: String) throws -> TargetType {
  if let type = TargetType(name: text) { return type }
  throw unknownType(text, TargetType.all.map(\.name))
}

private func unknownType(_ text: String, _ names: [String]) -> ValidationError {
  if let near = Spelling.nearest(to: text, among: names) {
    return ValidationError("'\(text)' is no type; did you mean '\(near)'?")
  }
  return ValidationError("it is none of \(names.joined(separator: ", "))")
}

extension CompletionKind {
  static var targetTypes: CompletionKind { .list(TargetType.all.map(\.name)) }
  static var objectTypes: CompletionKind { .list(ObjectType.all.map(\.name)) }
}

// MARK: - Time

/// Options of questions about the rules of one company.
struct QuestionOptions: ParsableArguments {
  @Option(
    name: .long,
    help: "Answer as of then: 2026-03-03T10:00, 2026-03-03, yesterday, 2h, or a revision such as r1234. (default: now)",
    transform: pointInTime)
  var at: PointInTime?

  @OptionGroup var company: CompanyOptions
  @OptionGroup var connection: ConnectionOptions

  var json: Bool { connection.json }

  func client() throws -> Client {
    let company = try company.name().text
    // To go back in time takes longer than to answer.
    let client = try at == nil ? connection.client(company: company) : connection.workClient(company: company)
    client.at = at ?? .now
    return client
  }
}

private func pointInTime(_ text: String) throws -> PointInTime {
  if let digits = text.behind("r"), let revision = UInt64(digits) {
    if revision > 0 { return .revision(revision) }
    throw ValidationError("revisions count from 1")
  }
  return .time(try microseconds(text))
}

/// Microseconds since 1970 of a time as people write it.
func microseconds(_ text: String) throws -> Int64 { try parsing { try WrittenTime(text).microseconds } }

func timeFormatter(_ format: String) -> DateFormatter {
  let formatter = DateFormatter()
  formatter.locale = Locale(identifier: "en_US_POSIX")
  formatter.dateFormat = format
  return formatter
}
