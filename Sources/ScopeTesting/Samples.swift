import ScopeModel

/// One change of each kind, with awkward names.
public enum Samples {
  public static let oddName: Name = "O'Brien \"quoted\" \\ naïve 📞 e\u{301}"

  public static let changes: [Change] = [
    .putCompany(.simple),
    .removeCompany,
    .setMode(.enhanced),
    .putUser(User(id: "1001", name: oddName, isBlocked: true), roles: ["operator", oddName]),
    .putUser(User(id: "1002", name: "1002"), roles: []),
    .removeUser("1001"),
    .putGroup(Group(id: "night", name: "Night shift")),
    .removeGroup("night"),
    .addToGroup(group: "night", user: oddName),
    .removeFromGroup(group: "night", user: "1001"),
    .putRole("operator", rights: ["projects.list", oddName]),
    .removeRole("operator"),
    .putProject(Project(id: "clinic", name: oddName, description: try! Remark("Quiet \"hours\" \\ ü"))),
    .removeProject("clinic"),
    .addMember(project: "clinic", .user("1001")),
    .addMember(project: "clinic", .group(oddName)),
    .removeMember(project: "clinic", .group("night")),
    .putObject(Object(ObjectRef(.contactField, "email"), name: "E-mail", isSystem: true)),
    .putObject(Object(ObjectRef(ObjectType(name: "ip_phone")!, oddName), name: "Desk")),
    .removeObject(ObjectRef(ObjectType(name: "queue")!, "support")),
    .place(ObjectRef(ObjectType(name: "dialer")!, "autumn"), project: oddName),
    .unplace(ObjectRef(ObjectType(name: "list")!, "leads"), project: "clinic"),
    .move(ObjectRef(ObjectType(name: "queue")!, "support"), from: "clinic", to: oddName),
    .setPurpose(list: oddName, .unwanted),
    .setPurpose(list: "leads", .none),
  ]
}
