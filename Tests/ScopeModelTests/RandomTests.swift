import ScopeModel
import ScopeTesting
import Testing

/// Thousands of changes drawn at random, most of them on the border of some rule.
@Suite("Random changes") struct RandomTests {
  @Test("a long walk keeps the structure sound and agrees with the rules written down a second time", arguments: 0..<10)
  func walk(seed: UInt64) {
    var walker = RandomCompany(seed: seed)
    var reference = ReferenceCompany()
    _ = reference.apply(walker.changes)
    var (taken, refused) = (0, 0)
    for step in 0..<1_000 {
      let change = walker.nextChange()
      let warnings = (try? walker.apply([change]))?.warnings.map { ReferenceCompany.Hint($0) }
      #expect(warnings == reference.apply([change]), "seed \(seed), step \(step): \(change)")
      let difference = facts(of: walker.company).symmetricDifference(reference.facts)
      #expect(difference == [], "seed \(seed), step \(step): \(change)")
      if step % 5 == 0 {
        let faults = faults(in: walker.company)
        #expect(faults == [], "seed \(seed), step \(step): \(change)")
      }
      if warnings == nil { refused += 1 } else { taken += 1 }
    }
    #expect(taken > 300 && refused > 100, "the walk should meet both: \(taken) taken, \(refused) refused")
  }

  @Test("batches: a refused one leaves an equal company, a taken one can be taken back and replayed", arguments: 0..<10)
  func batches(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var (taken, refused) = (0, 0)
    for step in 0..<120 {
      let batch = walker.nextBatch(upTo: 5)
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
    #expect(taken > 10 && refused > 20, "\(taken) taken, \(refused) refused")
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
        #expect(edit.before != edit.after, "an edit that edits nothing, step \(step)")
        if let before = edit.before { #expect(known.remove(before) != nil, "step \(step): \(edit)") }
        if let after = edit.after { #expect(known.insert(after).inserted, "step \(step): \(edit)") }
      }
      let difference = known.symmetricDifference(facts(of: walker.company))
      #expect(difference == [], "step \(step)")
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
      #expect(again.edits.isEmpty, "\(change)")
      #expect(again.warnings.isEmpty, "\(change)")
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
  @Test("without see_all, an actor shows no one what it does not see, and gives no right it lacks", arguments: 0..<10)
  func reach(seed: UInt64) throws {
    var walker = RandomCompany(seed: seed)
    var taken = 0
    for step in 0..<800 {
      if step % 20 == 0 { try appoint(&walker) }
      let batch = walker.nextBatch(upTo: 4)
      let before = walker.company
      if step % 2 == 0 {  // the platform's own changes keep the company from standing still
        _ = try? walker.apply(batch)
      } else if (try? walker.apply(batch, actor: walker.users[0])) != nil {
        taken += 1
        check(before, walker.company, actor: walker.users[0], "seed \(seed), step \(step): \(batch)")
      }
    }
    #expect(taken > 30, "only \(taken) batches by the actor were taken")
  }

  /// Makes the first user one who may do almost everything, within its reach.
  private func appoint(_ walker: inout RandomCompany) throws {
    if walker.company.mode == nil { _ = try walker.apply([.putCompany(.enhanced)]) }
    let rights = RandomCompany.rights.filter { $0 != Right.seeAll && $0 != "report.agents" }
    _ = try walker.apply([.putRole("manager", rights: rights), put(user: walker.users[0], roles: ["manager"])])
  }

  private func check(_ before: Company, _ after: Company, actor: Name, _ place: Comment) {
    if before.holds(actor, right: Right.seeAll) { return }
    for user in after.users.keys where before.users[user]?.user.isBlocked != true {
      let shown = after.objects.keys.filter { ref in
        before.objects[ref] != nil && after.sees(user, ref) && !before.sees(user, ref) && !before.sees(actor, ref)
      }
      #expect(shown == [], "shown to \(user); \(place)")
      let given = RandomCompany.rights.filter { right in
        after.holds(user, right: right) && !before.holds(user, right: right) && !before.holds(actor, right: right)
      }
      #expect(given == [], "given to \(user); \(place)")
    }
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
    #expect(refused > 50)
  }
}
