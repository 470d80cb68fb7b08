import ScopeModel
import ScopeTesting
import Testing

/// Thousands of changes drawn at random, most of them on the border of some rule.
@Suite("Random changes") struct RandomTests {
  /// 10 × 10,000 steps.
  @Test("a walk by random actors agrees with the rules written down a second time", arguments: 0..<10)
  func walk(seed: UInt64) throws {
    var walk = try RandomWalk(seed: seed)
    for step in 0..<10_000 {
      if let difference = walk.step(step) {
        Issue.record("seed \(seed), step \(step): \(difference)")
        return  // from here on the two are of different companies
      }
    }
    let missed = RandomTests.expected.subtracting(walk.met)
    #expect(missed == [], "seed \(seed): the walk never met them")
    let (platform, actors) = walk.taken
    #expect(platform > 500 && actors > 500, "seed \(seed): \(platform) and \(actors) batches taken")
  }

  /// Every refusal but that of limits, both warnings, every answer.
  private static let expected: Set<String> = [
    "unknown_company", "unknown_user", "unknown_group", "unknown_role", "unknown_project", "unknown_object",
    "project_name_taken", "exclusively_placed", "not_placed", "system_field_fixed", "custom_field_fixed",
    "not_a_contact_field", "admin_role_fixed", "unknown_actor", "actor_blocked", "right_missing", "right_not_held",
    "role_not_held",
    "project_out_of_reach", "group_out_of_reach", "object_out_of_reach", "object_shared", "user_out_of_reach",
    "user_holds_more", "right_out_of_reach", "last_admin", "platform_only", "field_shared", "still_in_default",
    "gathered",
    "answer unknown_company", "answer unknown_subject", "answer subject_blocked", "answer unknown_object",
    "answer system_field", "answer simple_mode", "answer see_all", "answer shared_project",
    "answer no_shared_project", "answer right_missing",
  ]

  @Test("batches: a refused one leaves an equal company, a taken one can be taken back and replayed", arguments: 0..<10)
  func batches(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var (taken, refused) = (0, 0)
    for step in 0..<120 {
      let batch = walker.nextBatch(upTo: 3)
      let before = walker.company
      do {
        let outcome = try walker.apply(batch)
        taken += 1
        checkUndoAndReplay(outcome.edits, from: before, to: walker.company, "seed \(seed), step \(step)")
      } catch {
        refused += 1
        let isUnchanged = areEqual(walker.company, before)
        #expect(isUnchanged, "seed \(seed), step \(step): \(batch)")
        let faults = faults(in: walker.company)
        #expect(faults == [], "seed \(seed), step \(step): \(batch)")
      }
    }
    #expect(taken > 10 && refused > 20, "seed \(seed): \(taken) taken, \(refused) refused")
  }

  private func checkUndoAndReplay(_ edits: [Edit], from before: Company, to after: Company, _ place: Comment) {
    var undone = after
    undone.undo(edits)
    let isUndone = areEqual(undone, before) && faults(in: undone) == []
    #expect(isUndone, place)
    var replayed = before
    for edit in edits { replayed.write(edit) }
    let isReplayed = areEqual(replayed, after)
    #expect(isReplayed, place)
  }

  @Test("the edits say what changed: facts before, less those gone, and those new, are the facts after")
  func edits() throws {
    var walker = RandomCompany(seed: 7)
    for step in 0..<300 {
      var known = facts(of: walker.company)
      guard let outcome = try? walker.apply(walker.nextBatch(upTo: 3)) else { continue }
      for edit in outcome.edits {
        #expect(edit.before != edit.after, "seed 7, step \(step): an edit that edits nothing")
        if let before = edit.before { #expect(known.remove(before) != nil, "seed 7, step \(step): \(edit)") }
        if let after = edit.after { #expect(known.insert(after).inserted, "seed 7, step \(step): \(edit)") }
      }
      let difference = known.symmetricDifference(facts(of: walker.company))
      #expect(difference == [], "seed 7, step \(step)")
    }
  }

  @Test("a company rebuilt from its changes is equal: 1,000 companies", arguments: 0..<10)
  func rebuild(tenth: UInt64) throws {
    for seed in tenth * 100..<tenth * 100 + 100 {
      var original = RandomCompany(seed: seed)
      for _ in 0..<seed % 40 { _ = try? original.apply([original.nextChange()]) }
      var rebuilt = Company(id: original.company.id)
      _ = try rebuilt.apply(original.company.changesToRebuild())
      let isEqual = areEqual(rebuilt, original.company)
      #expect(isEqual, "seed \(seed)")
    }
  }

  @Test("the same change again changes nothing", arguments: 0..<5)
  func repeated(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    for _ in 0..<300 {
      let change = walker.nextChange()
      guard isRepeatable(change), (try? walker.apply([change])) != nil else { continue }
      let again = try walker.apply([change])
      #expect(again.edits.isEmpty, "seed \(seed): \(change)")
      #expect(again.warnings.isEmpty, "seed \(seed): \(change)")
    }
  }

  /// What is removed can't be removed again, nor moved from where it is no more.
  private func isRepeatable(_ change: Change) -> Bool {
    switch change {
    case .removeCompany, .removeUser, .removeGroup, .removeRole, .removeProject, .removeObject, .move: false
    default: true
    }
  }
}

/// What no acting user can do, whatever it tries.
@Suite("Random actors") struct RandomActorTests {
  /// 10 × 100 companies × 100 tries.
  @Test("no batch of an actor gives what the actor does not have", arguments: 0..<10)
  func noEscalation(seed: UInt64) {
    var taken = 0
    for company in 0..<100 {
      var search = EscalationSearch(seed: seed, company: company)
      if let found = search.escalation(inTries: 100) {
        Issue.record("seed \(seed), company \(company): \(found)")
        return
      }
      taken += search.taken
    }
    #expect(taken > 1_000, "seed \(seed): only \(taken) batches taken")
  }

  @Test("the same search finds each check that is left out", arguments: EscalationSearch.Hole.allCases)
  func escalation(hole: EscalationSearch.Hole) {
    for company in 0..<100 {
      var search = EscalationSearch(seed: 0, company: company, hole: hole)
      if search.escalation(inTries: 100) != nil { return }
    }
    Issue.record("seed 0: \(hole) was not found in 10,000 tries")
  }

  @Test("a refused batch of an actor leaves an equal company", arguments: 0..<5)
  func refused(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var refused = 0
    for step in 0..<200 {
      if step % 20 == 0 { try appoint(&walker) }
      let before = walker.company
      if (try? walker.apply(walker.nextBatch(upTo: 4), actor: walker.users[0])) != nil { continue }
      refused += 1
      let isUnchanged = areEqual(walker.company, before)
      #expect(isUnchanged, "seed \(seed), step \(step)")
    }
    #expect(refused > 50, "seed \(seed): \(refused)")
  }

  /// Makes the first user one who may do almost everything, within its reach.
  private func appoint(_ walker: inout RandomCompany) throws {
    if walker.company.mode == nil { _ = try walker.apply([.putCompany(.enhanced)]) }
    let rights = RandomCompany.rights.filter { $0 != Right.seeAll && $0 != "report.agents" }
    _ = try walker.apply([.putRole("manager", rights: rights), put(user: walker.users[0], roles: ["manager"])])
  }
}
