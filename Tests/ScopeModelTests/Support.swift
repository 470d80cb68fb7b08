import ScopeModel

/// A company that these changes make.
func company(_ changes: [Change], mode: SecurityMode = .enhanced) throws -> Company {
  var company = Company(id: "c")
  _ = try company.apply([.putCompany(mode)] + changes)
  return company
}

/// A refused batch. (The model's own can't be made here.)
struct Refusal: Error, Equatable {
  let index: Int
  let error: ChangeError
}

/// Why the company refuses the changes; nil: it takes them.
func refusal(of changes: [Change], in company: Company, actor: Name? = nil) -> Refusal? {
  var copy = company
  do {
    _ = try copy.apply(changes, actor: actor)
    return nil
  } catch {
    return Refusal(index: error.index, error: error.error)
  }
}

/// Why the company refuses the change; nil: it takes it.
func refusal(of change: Change, in company: Company, actor: Name? = nil) -> ChangeError? {
  refusal(of: [change], in: company, actor: actor)?.error
}

func object(_ type: String, _ id: Name) -> ObjectRef { ObjectRef(ObjectType(name: type)!, id) }

func put(_ ref: ObjectRef) -> Change { .putObject(Object(ref, name: ref.id)) }

func put(project id: Name) -> Change { .putProject(Project(id: id, name: id)) }

func put(user id: Name, roles: [Name] = []) -> Change { .putUser(User(id: id, name: id), roles: roles) }

func put(group id: Name) -> Change { .putGroup(Group(id: id, name: id)) }

/// A text as a name. (`Name("a\0b")` is a literal to Swift, and a bad literal stops the process.)
func name(_ text: String) throws(NameError) -> Name { try Name(text) }

// MARK: - The whole state

/// Everything a company says, as facts. Two companies with equal facts are equal.
func facts(of company: Company) -> Set<Fact> {
  var facts: Set<Fact> = []
  if let mode = company.mode { facts.insert(.company(mode)) }
  for (role, rights) in company.roles {
    facts.insert(.role(role))
    for right in rights { facts.insert(.roleRight(role: role, right: right)) }
  }
  for state in company.users.values {
    facts.insert(.user(state.user))
    for role in state.roles { facts.insert(.userRole(user: state.user.id, role: role)) }
  }
  for state in company.groups.values {
    facts.insert(.group(state.group))
    for user in state.users { facts.insert(.groupMember(group: state.group.id, user: user)) }
  }
  for state in company.projects.values {
    facts.insert(.project(state.project))
    for member in state.members { facts.insert(.member(project: state.project.id, member)) }
    for ref in state.objects { facts.insert(.placement(ref, project: state.project.id)) }
  }
  for state in company.objects.values { facts.insert(.object(state.object)) }
  for list in company.lists.values { facts.insert(.list(list)) }
  return facts
}

/// Equal in every fact, and in the changes that would make it again.
func areEqual(_ a: Company, _ b: Company) -> Bool {
  facts(of: a) == facts(of: b) && a.changesToRebuild() == b.changesToRebuild()
}

// MARK: - What must hold at any time

/// What is wrong with the company's structure, in words; empty: nothing.
func faults(in company: Company) -> [String] {
  var faults: [String] = []
  if company.mode == nil {
    if !facts(of: company).isEmpty { faults.append("a company that is not there has facts") }
    return faults
  }
  if company.roles[Company.adminRole] != [] { faults.append("the role admin is missing or lists rights") }
  for field in Company.systemFields {
    let state = company.objects[ObjectRef(.contactField, field)]
    if state?.object.isSystem != true { faults.append("the system field \(field) is missing") }
  }
  return faults + faultsOfUsers(company) + faultsOfGroups(company) + faultsOfProjects(company)
    + faultsOfObjects(company)
}

private func faultsOfUsers(_ company: Company) -> [String] {
  var faults: [String] = []
  for (id, state) in company.users {
    if state.user.id != id { faults.append("user \(id) is kept as \(state.user.id)") }
    for role in state.roles where company.roles[role] == nil { faults.append("user \(id) holds no role: \(role)") }
    for group in state.groups where company.groups[group]?.users.contains(id) != true {
      faults.append("user \(id) is in group \(group), which does not know")
    }
    for project in state.projects where company.projects[project]?.members.contains(.user(id)) != true {
      faults.append("user \(id) is in project \(project), which does not know")
    }
  }
  return faults
}

private func faultsOfGroups(_ company: Company) -> [String] {
  var faults: [String] = []
  for (id, state) in company.groups {
    if state.group.id != id { faults.append("group \(id) is kept as \(state.group.id)") }
    for user in state.users where company.users[user]?.groups.contains(id) != true {
      faults.append("group \(id) has user \(user), who does not know")
    }
    for project in state.projects where company.projects[project]?.members.contains(.group(id)) != true {
      faults.append("group \(id) is in project \(project), which does not know")
    }
  }
  return faults
}

private func faultsOfProjects(_ company: Company) -> [String] {
  var faults: [String] = []
  for (id, state) in company.projects {
    if state.project.id != id { faults.append("project \(id) is kept as \(state.project.id)") }
    if company.projectID(named: state.project.name) != id { faults.append("project \(id) is not found by name") }
    for member in state.members where !knows(company, member, project: id) {
      faults.append("project \(id) has \(member), who does not know")
    }
    for ref in state.objects where company.objects[ref]?.projects.contains(id) != true {
      faults.append("project \(id) has \(ref), which does not know")
    }
  }
  return faults
}

private func knows(_ company: Company, _ member: Member, project: Name) -> Bool {
  switch member {
  case .user(let id): company.users[id]?.projects.contains(project) == true
  case .group(let id): company.groups[id]?.projects.contains(project) == true
  }
}

private func faultsOfObjects(_ company: Company) -> [String] {
  var faults: [String] = []
  for (ref, state) in company.objects {
    if state.object.ref != ref { faults.append("\(ref) is kept as \(state.object.ref)") }
    if state.object.isSystem && ref.type != .contactField { faults.append("\(ref) is of the system") }
    if state.object.isSystem && !state.projects.isEmpty { faults.append("\(ref) of the system is placed") }
    if ref.type.isExclusive && state.projects.count > 1 { faults.append("\(ref) is in \(state.projects)") }
    if Set(state.projects).count != state.projects.count { faults.append("\(ref) is twice in a project") }
    for project in state.projects where company.projects[project]?.objects.contains(ref) != true {
      faults.append("\(ref) is in project \(project), which does not know")
    }
  }
  return faults
}
