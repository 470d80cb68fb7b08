import ScopeClient
import ScopeModel
import ScopeTesting
import Testing

/// What a preview tells, against the answers before and after.
@Suite struct Previews {
  @Test(
    "a preview is what comes of it, and what the answers differ by: 300 random batches", arguments: [5, 6] as [UInt64])
  func agreesWithTheAnswers(seed: UInt64) async throws {
    try await withDaemon { daemon in
      let client = try daemon.client("company")
      var walker = RandomCompany(seed: seed)
      try client.applyAll(walker.changes, to: "company")
      func seen() throws -> Set<[String]> {
        // A switch makes `Default`, which is among those of the company alone.
        let targets = Set(
          walker.subjects + walker.objects.map { Target.object($0) } + walker.company.projects.keys.map { .project($0) }
        )
        let checks = walker.users.flatMap { user in targets.map { Check(subject: .user(user), object: $0) } }
        let answers = try client.check(checks, timeoutMilliseconds: .anHour)
        return Set(
          zip(checks, answers).filter { $0.1.verdict == .allow }.map { ["\($0.0.subject)", "\($0.0.object)"] })
      }
      var told: UInt64 = 0
      for step in 0..<150 {
        let batch = walker.nextBatch(upTo: 2)
        let before = try seen()
        let place: Comment = "seed \(seed), step \(step)"
        do throws(RefusedApply) {
          let preview = try client.preview(batch, of: "company", first: 1_000, timeoutMilliseconds: .anHour)
          #expect((try? seen()) == before, "a preview changes nothing; \(place)")
          let applied = try client.apply(batch, to: "company", timeoutMilliseconds: .anHour)
          _ = try? walker.apply(batch)
          let after = (try? seen()) ?? []
          func count(_ a: Set<[String]>, _ b: Set<[String]>, ofPeople: Bool) -> UInt64 {
            UInt64(
              a.subtracting(b).count { pair in
                ["user", "group", "project"].contains { pair[1].hasPrefix("\($0):") } == ofPeople
              })
          }
          let (gained, lost) = (
            count(after, before, ofPeople: false), count(before, after, ofPeople: false)
          )
          #expect(preview.people?.gained == count(after, before, ofPeople: true), place)
          #expect(preview.people?.lost == count(before, after, ofPeople: true), place)
          #expect(preview.access?.gained == gained && preview.access?.lost == lost, place)
          #expect(applied.access?.gained == gained && applied.access?.lost == lost, place)
          #expect(
            preview.edits == applied.edits && preview.warnings.map(\.message) == applied.warnings.map(\.message), place)
          told += gained + lost
        } catch {
          let refused = error
          // What is refused is refused in the same way.
          do throws(RefusedApply) {
            _ = try client.apply(batch, to: "company", timeoutMilliseconds: .anHour)
            Issue.record("a preview refused what is applied; \(place)")
          } catch {
            #expect(error.error.reason == refused.error.reason && error.position == refused.position, place)
          }
        }
      }
      #expect(told > 100)
    }
  }
}
