#if canImport(Glibc)
  import Glibc
#endif

/// What to do about a connection that could not be made.
///
/// - Parameters:
///   - address: `unix:PATH` or `tcp:HOST:PORT`.
///   - words: the library's, which end in the system's.
func connectionAdvice(_ address: String, _ words: String) -> String {
  func isAbout(_ number: Int32) -> Bool {
    let reason = String(cString: strerror(number)).utf8
    return words.utf8.suffix(reason.count).elementsEqual(reason)
  }
  guard address.hasPrefix("unix:") else {
    return isAbout(ECONNREFUSED)
      ? "nothing listens there; is scoped running, and with --tcp?" : "is scoped running, and is --address right?"
  }
  var status = stat()
  if stat(String(address.dropFirst("unix:".count)), &status) != 0 {
    return errno == EACCES
      ? "a folder on the way there is closed to you; be in the group that may enter it"
      : "there is no such file; is scoped running, and is --address right?"
  }
  if status.st_mode & S_IFMT != S_IFSOCK { return "that is a file, and no socket; is --address right?" }
  if isAbout(EACCES) {
    let mode = String(status.st_mode & 0o777, radix: 8)
    return "the socket is closed to you (mode \(mode), owner \(owner(status))); be in its group, or ask its owner"
  }
  if isAbout(ECONNREFUSED) { return "nobody listens at this socket any more; start scoped again" }
  return isAbout(EAGAIN) ? "the daemon has too many connections waiting; try again" : "is scoped running?"
}

/// `scoped:scoped`, in numbers where they have no names.
private func owner(_ status: stat) -> String {
  let user = getpwuid(status.st_uid).map { String(cString: $0.pointee.pw_name) } ?? "\(status.st_uid)"
  let group = getgrgid(status.st_gid).map { String(cString: $0.pointee.gr_name) } ?? "\(status.st_gid)"
  return "\(user):\(group)"
}
