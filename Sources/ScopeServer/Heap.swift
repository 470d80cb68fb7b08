import CScopeSystem
import Dispatch
import ScopeIndex

/// Gives memory that is not used any more back to the system. On a thread that gives way to no other: it holds locks
/// that everybody needs who asks for memory.
func trimHeap() {
  DispatchQueue.global().async {
    releaseIndexMemory()
    scope_heap_trim()
  }
}
