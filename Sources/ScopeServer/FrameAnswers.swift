import NIOCore
import ScopeIndex
import ScopeModel
import ScopeProtocol

/// Answers questions as a connection does, without one: to measure what lies between the socket and the index.
package final class FrameAnswers {
  private let dispatcher: Dispatcher
  private let caller = Caller(name: "measure", scopes: [], source: Source())
  private var out = ByteBuffer()

  /// - Parameter authority: of a daemon; it is not asked.
  package init(_ publisher: IndexPublisher, authority: Authority, limits: Limits = Limits()) {
    let daemon = DaemonState(limits: limits, authority: authority)
    dispatcher = Dispatcher(limits: limits, publisher: publisher, daemon: daemon)
  }

  /// Answers whole frames of questions that are answered at once; returns the answers, valid until the next call.
  package func answer(_ frames: UnsafeRawBufferPointer) -> ByteBuffer {
    out.clear()
    dispatcher.refresh()
    var read = 0
    while read < frames.count {
      var turn = Turn(nil)
      let left = UnsafeRawBufferPointer(rebasing: frames[read...])
      let quick = dispatcher.answerQuickly(left, &turn, into: &out)
      read += quick > 0 ? quick : answerFirst(left)
    }
    return out
  }

  private func answerFirst(_ frames: UnsafeRawBufferPointer) -> Int {
    guard let frame = try? Frame.first(in: frames, limit: dispatcher.limits.frameBytes) else {
      fatalError("frames to be measured are whole")
    }
    guard case .answered = dispatcher.answer(frame, from: caller, into: &out) else {
      fatalError("questions to be measured are answered at once")
    }
    return Frame.headerBytes + frame.count
  }
}
