import ScopeModel

/// One company's rules, compiled: blocks that later versions share where nothing in them changed.
public final class CompanyIndex: Sendable {
  /// The blocks. Numbers in links are those of the directories beside them.
  struct Parts: Sendable {
    var projects: Block
    var groups: Block
    var groupProjects: Block
    var users: Block
    /// Each user's projects, its groups' among them, with the group beside each; flags of rights.
    var userProjects: Block
    var rights: Block
    var userRights: Block
    var userGroups: Block
    var roles: Block
    var roleRights: Block
    var userRoles: Block
    var objects: Block
    var objectProjects: Block

    var all: [Block] {
      [
        projects, groups, groupProjects, users, userProjects, rights, userRights, userGroups, roles, roleRights,
        userRoles, objects, objectProjects,
      ]
    }
  }

  public let id: Name
  /// Memory of the blocks, in bytes.
  public let byteCount: Int
  let parts: Parts
  /// Its number lists.
  public let lists: NumberLists
  /// Unsafe and unchecked: allocated and filled in `init`, never written again, freed in `deinit`. A
  /// pointer, so that readers reach it without counting a reference.
  private nonisolated(unsafe) let tables: UnsafePointer<CompanyTables>
  /// Valid as long as the index is held.
  public var view: CompanyView { CompanyView(tables) }

  /// Compiles a company.
  ///
  /// - Parameters:
  ///   - company: the state to compile; it must exist.
  ///   - seed: for the hashes; random in each process.
  ///   - previous: the index before `edits`, with the same seed; what they do not touch is taken over from it, and
  ///     of the parts they do touch, all but the rows of what they name.
  ///   - edits: what changed since; without `previous`, of no effect.
  ///   - numbers: of the lists whose numbers changed; without `previous`, of all that have any. Nil: nobody is to ask
  ///     about lists.
  public convenience init(
    _ company: Company, seed: UInt64, previous: CompanyIndex? = nil, edits: [Edit] = [],
    numbers: [Name: NumberSet]? = [:]
  ) {
    let builder = PartsBuilder(company, seed: seed, previous: previous?.parts, edits: edits)
    let lists =
      numbers.map { NumberLists.after(previous?.lists, edits, in: company, sets: $0) } ?? NumberLists.none
    self.init(id: company.id, mode: company.mode!, parts: builder.build(), lists: lists)
  }

  private init(id: Name, mode: SecurityMode, parts: Parts, lists: NumberLists) {
    let tables = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<CompanyTables>.size, alignment: 64)
      .bindMemory(to: CompanyTables.self, capacity: 1)
    tables.initialize(to: CompanyTables(parts, isSimple: mode == .simple))
    self.id = id
    self.parts = parts
    self.lists = lists
    self.tables = UnsafePointer(tables)
    byteCount = parts.all.reduce(MemoryLayout<CompanyTables>.size + lists.byteCount) { $0 + $1.memory.count }
  }

  deinit { tables.deallocate() }

  /// Every block's checksum holds.
  public var isWhole: Bool { parts.all.allSatisfy(\.isWhole) }

  /// The same blocks, byte by byte: what `verify` compares with an index built anew from the same seed.
  public func hasSameContents(as other: CompanyIndex) -> Bool {
    id == other.id && view.isSimple == other.view.isSimple
      && zip(parts.all, other.parts.all).allSatisfy { $0.hasSameContents(as: $1) }
      && lists.hasSameContents(as: other.lists)
  }
}
