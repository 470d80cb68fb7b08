import CScopeSystem
import Dispatch

/// Gives memory that is not used any more back to the system. On a thread that gives way to no other: it holds locks
/// that everybody needs who asks for memory.
func trimHeap() { DispatchQueue.global().async { scope_heap_trim() } }
