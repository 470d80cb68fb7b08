import ArgumentParser

#if canImport(Glibc)
  import Glibc
#endif

/// What is left of the daemon when it crashes.
enum Crash: String, CaseIterable, ExpressibleByArgument {
  /// Nothing: it is gone at once, and a supervisor starts the next.
  case end
  /// A core, where the system's limit allows one. It holds the rules, and numbers of lists.
  case core
  /// A trace of the thread at fault in the log, made by the toolchain's `swift-backtrace`. Seconds go by before the
  /// process is gone.
  case trace

  /// Makes it so. First of all in the process: for a trace it may begin the program anew.
  func prepare() {
    switch self {
    case .end:
      endAtOnce()
      setCoreLimit { _ in 0 }
    case .core:
      endAtOnce()
      setCoreLimit { $0.rlim_max }
    case .trace: beginWithTrace()
    }
  }

  /// The runtime handles these to write a long trace, unless the environment says otherwise before `main`.
  private func endAtOnce() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] {
      signal(number, SIG_DFL)
      sigaddset(&signals, number)
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)  // whoever started the process may have had them blocked
  }

  private func setCoreLimit(_ soft: (rlimit) -> rlim_t) {
    let resource = __rlimit_resource_t(RLIMIT_CORE.rawValue)
    var limit = rlimit()
    if getrlimit(resource, &limit) != 0 { return }
    limit.rlim_cur = soft(limit)
    setrlimit(resource, &limit)
  }

  /// The runtime reads its settings once, before `main`: so the program is begun again with them, as the same process.
  private func beginWithTrace() {
    let (variable, mark) = ("SWIFT_BACKTRACE", "SCOPED_TRACES")
    if getenv(mark) != nil { return }
    setenv(mark, "1", 1)
    setenv(variable, "enable=yes,threads=crashed,limit=16,images=none,registers=none,color=no,interactive=no", 1)
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))  // one more than is read: it ends with a NUL
    if readlink("/proc/self/exe", &path, path.count - 1) > 0 { execv(path, CommandLine.unsafeArgv) }
    let words = "scoped: can't start with stack traces: \(String(cString: strerror(errno)))\n"
    _ = words.withCString { write(STDERR_FILENO, $0, strlen($0)) }
  }
}

/// Keeps the runtime's last words, and whoever else writes to standard error, from waiting for a reader that reads
/// nothing. The log waits by itself, on a thread of its own.
func keepStandardErrorFromBlocking() {
  signal(SIGPIPE, SIG_IGN)
  var status = stat()
  if fstat(STDERR_FILENO, &status) != 0 { return }
  switch status.st_mode & S_IFMT {
  case S_IFIFO: reopenWithoutBlocking()
  case S_IFSOCK:
    var patience = timeval(tv_sec: 0, tv_usec: 100_000)
    setsockopt(STDERR_FILENO, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  default: break
  }
}

/// Opened anew, so that it blocks no less than before for those who share the pipe.
private func reopenWithoutBlocking() {
  let descriptor = open("/proc/self/fd/\(STDERR_FILENO)", O_WRONLY | O_NONBLOCK | O_CLOEXEC)
  if descriptor < 0 { return }
  dup2(descriptor, STDERR_FILENO)
  close(descriptor)
}
