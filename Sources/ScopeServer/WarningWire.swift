import CScopeWire
import ScopeModel
import ScopeProtocol

extension Dispatcher {
  /// Lays warnings out in the arena.
  func wire(
    _ warnings: [Warning]
  ) throws(Failure) -> UnsafeMutablePointer<UnsafeMutablePointer<Scope__V1__Warning>?>? {
    if warnings.isEmpty { return nil }
    typealias Row = UnsafeMutablePointer<Scope__V1__Warning>
    guard let list = arena.allocate(Row?.self, count: warnings.count) else { throw Arena.full }
    for (index, warning) in warnings.enumerated() {
      let row = try arena.make(scope__v1__warning__init)
      row.pointee.change = UInt32(warning.index + 1)
      row.pointee.reason = try arena.copy(warning.code)
      row.pointee.message = try arena.copy(warning.message)
      row.pointee.projects = try arena.copy(warning.projects)
      row.pointee.n_projects = warning.projects.count
      list[index] = row
    }
    return list
  }
}
