import CScopeSystem

#if canImport(Glibc)
  import Glibc
#endif

/// Has the event loops go before the current thread where both want one CPU: somebody waits for a check in a call
/// set-up, and a change waits for the disk anyway. On Linux both belong to the thread, and both may always be lowered.
///
/// `SCHED_BATCH` keeps the thread from taking the CPU from a loop when it wakes, and niceness has it give the CPU up
/// when a loop wakes; at 5 it still gets a quarter of a CPU that checks fill.
func giveWayToEventLoops() {
  var parameters = sched_param(sched_priority: 0)
  _ = sched_setscheduler(0, schedBatch, &parameters)
  _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5)
  scope_thread_set_slice(200_000)  // a loop that has had its share waits for no longer than that
}

/// Has the current thread, an event loop's, be let run soon when it wakes, also where others work through: what it does
/// mostly takes microseconds.
func takeShortTurns() { scope_thread_set_slice(100_000) }

/// Lets a waiting event loop have this thread's CPU now, between two steps of a change. A thread that was woken may
/// else run for as long as a change takes before a loop that was woken at the same moment.
@inline(__always)
func giveWayOnce() { sched_yield() }

/// `SCHED_BATCH`, which the module does not have: glibc declares it as an extension.
private let schedBatch: Int32 = 3
