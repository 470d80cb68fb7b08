import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// A question about a company that is not loaded: it is put again when that is done.
struct ColdQuestion: Sendable {
  let company: Name
  /// The whole request, once more.
  let frame: [UInt8]
  let id: UInt64
  /// Of the whole, from when the question was first looked at.
  let timeout: TimeAmount
  let begun: NIODeadline

  var timeLeft: TimeAmount { max(.zero, begun + timeout - .now()) }

  /// When the time is over, or loading and dropping go in circles.
  func failure(_ code: Failure.Code) -> Failure {
    Failure(code, "company_loading", "company '\(company)' is still being loaded; ask again")
  }
}

extension Dispatcher {
  /// Notes that the company is cold; what it returns ends the work on the question.
  func becomeCold() -> Failure {
    isCold = true
    return Failure(.unavailable, "company_loading", "the company is not loaded")
  }

  /// Has the company loaded.
  func cold(_ request: UnsafeMutablePointer<WireRequest>, _ frame: UnsafeRawBufferPointer) -> Disposition {
    isCold = false
    do throws(Failure) {
      return .load(
        ColdQuestion(
          company: try companyName(request), frame: Array(frame), id: request.pointee.id, timeout: timeout(request),
          begun: .now()))
    } catch {
      fatalError("a company with a bad name is known: \(error)")
    }
  }

  /// Reads by a root of this company alone: what waited for it is no sign that it is asked for once it is there.
  ///
  /// - Parameter root: where the company was loaded, if it is not there any more.
  func useAlone(_ company: Name, elseFrom root: IndexRoot) {
    refresh()
    let newest = cursor.root
    var text = company.text
    cursor.use(text.withUTF8 { (newest.isCold(company) ? root : newest).alone(Key($0)) })
  }

  /// Answers a question whose company was loaded for it.
  ///
  /// - Parameter root: where the company was loaded: it may have been dropped since.
  func answerAgain(
    _ question: ColdQuestion, _ root: IndexRoot, from caller: Caller, patience: Patience? = nil,
    into out: inout ByteBuffer
  ) -> Disposition {
    useAlone(question.company, elseFrom: root)
    waited = .now() - question.begun
    defer { waited = .zero }
    let disposition = question.frame.withUnsafeBytes { answer($0, from: caller, patience: patience, into: &out) }
    switch disposition {
    // A long screening is not begun behind others that waited as well: it is asked again, of a company in memory.
    case .load, .aside: break
    default: return disposition
    }
    fail(question.id, question.failure(.unavailable), &out)
    return .answered
  }
}

extension Connection {
  /// Puts the question again when its company is loaded. The connection waits behind a large frame, as it does while
  /// one is answered.
  func load(_ question: ColdQuestion) {
    let ticket = wait(question.id, question.timeLeft, question.failure(.deadlineExceeded)) {
      worker.authority.load(
        question.company, for: Waiter(caller.source, within: question.timeLeft), bytes: question.frame.count, reply: $0)
    } then: { connection, ticket, root in
      connection.answerAgain(ticket, question, root)
    }
    if question.frame.count > worker.limits.inlineFrameBytes { holdBack(for: ticket) }
  }

  private func answerAgain(_ ticket: UInt64, _ question: ColdQuestion, _ root: IndexRoot) {
    if question.frame.count > worker.limits.inlineFrameBytes {
      if leave(ticket) { answerAside(ByteBuffer(), after: (question, root)) }
      return
    }
    finish(ticket) { caller, dispatcher, out in dispatcher.answerAgain(question, root, from: caller, into: &out) }
  }
}
