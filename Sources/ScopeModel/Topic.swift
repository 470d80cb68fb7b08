/// What a change may be about.
public enum Topic: Hashable, Sendable {
  case user(Name)
  case group(Name)
  case project(Name)
  case role(Name)
  case object(ObjectRef)
}

extension Edit {
  /// The row before or after names the thing.
  public func concerns(_ topic: Topic) -> Bool {
    before?.concerns(topic) == true || after?.concerns(topic) == true
  }
}

extension Fact {
  fileprivate func concerns(_ topic: Topic) -> Bool {
    switch self {
    case .company: false
    case .role(let role), .roleRight(let role, _): topic == .role(role)
    case .user(let user): topic == .user(user.id)
    case .userRole(let user, let role): topic == .user(user) || topic == .role(role)
    case .group(let group): topic == .group(group.id)
    case .groupMember(let group, let user): topic == .group(group) || topic == .user(user)
    case .project(let project): topic == .project(project.id)
    case .member(let project, .user(let user)): topic == .project(project) || topic == .user(user)
    case .member(let project, .group(let group)): topic == .project(project) || topic == .group(group)
    case .object(let object): topic == .object(object.ref)
    case .placement(let ref, let project): topic == .object(ref) || topic == .project(project)
    case .list(let list): topic == .object(list.ref)
    }
  }
}
