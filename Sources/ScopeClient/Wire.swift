import CScope
import CScopeWire
import ScopeModel
import ScopeProtocol

/// What the calls share in reading and writing messages.

extension WireResponse {
  /// What the request named and the company does not have, as refs.
  var named: [String] { texts(unknown, n_unknown) }
}

func text(_ bytes: ProtobufCBinaryData) -> String { String(decoding: bytes.key, as: UTF8.self) }

func texts(_ list: UnsafeMutablePointer<ProtobufCBinaryData>?, _ count: Int) -> [String] {
  (0..<count).map { text(list![$0]) }
}

func rows<Wire, Row>(
  _ list: UnsafeMutablePointer<UnsafeMutablePointer<Wire>?>?, _ count: Int, _ make: (Wire) -> Row
) -> [Row] {
  (0..<count).map { make(list![$0]!.pointee) }
}

/// Stable text of a reason; nil: there is none.
func reasonCode(_ reason: Scope__V1__Reason) -> String? {
  UInt8(exactly: reason.rawValue).flatMap(Reason.init)?.code
}

/// `user`, `queue`; of a type not known here its number.
func typeName(_ type: Scope__V1__EntityType) -> String {
  scope_type_name(Int32(type.rawValue)).map { String(cString: $0) } ?? "\(type.rawValue)"
}

extension ObjectType {
  var onTheWire: Scope__V1__EntityType { Scope__V1__EntityType(UInt32(number)) }
}

extension TargetType {
  var onTheWire: Scope__V1__EntityType { Scope__V1__EntityType(UInt32(number)) }
}

extension ObjectRow {
  init(_ wire: Scope__V1__ObjectRow) {
    self.init(type: typeName(wire.type), id: text(wire.id), name: text(wire.name), isSystem: wire.system != 0)
  }
}

extension Arena {
  func copy(_ subject: Subject) throws(Failure) -> (Scope__V1__EntityType, ProtobufCBinaryData) {
    (subject.type.onTheWire, try copy(subject.id.text))
  }

  func copy(_ types: [TargetType]) throws(Failure) -> UnsafeMutablePointer<Scope__V1__EntityType> {
    guard let list = allocate(Scope__V1__EntityType.self, count: types.count) else { throw Arena.full }
    for (index, type) in types.enumerated() { (list + index).initialize(to: type.onTheWire) }
    return list
  }
}
