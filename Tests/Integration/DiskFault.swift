import Foundation
import ScopeTesting

/// A library to preload into a daemon, by which the test makes calls on a file of its fail.
final class DiskFault {
  enum Call: Int {
    case read, write, sync
  }

  let folder: TemporaryFolder
  private let memory: UnsafeMutableRawPointer
  /// Of a plan of the library's: how many calls go well, how many then fail, with which number, how many have.
  private static let planBytes = 32

  init(in folder: TemporaryFolder) throws {
    self.folder = folder
    let source = packageFolder.appendingPathComponent("Tests/Integration/Programs/fail_disk.c").path
    let built = try run(
      URL(fileURLWithPath: "/usr/bin/cc"), ["-O1", "-shared", "-fPIC", "-o", folder.file("fault.so"), source])
    if built.status != 0 { throw TestFailure("cc: \(built.errors)") }
    let file = open(folder.file("fault"), O_RDWR | O_CREAT, 0o600)
    defer { close(file) }
    guard ftruncate(file, 4_096) == 0, let mapped = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
      mapped != MAP_FAILED
    else { throw TestFailure("mmap: errno \(errno)") }
    memory = mapped
  }

  deinit { munmap(memory, 4_096) }

  var environment: [String: String] { ["LD_PRELOAD": folder.file("fault.so"), "FAULT_FILE": folder.file("fault")] }

  /// From now on, after some that go well, as many calls fail. Of a daemon that is between two calls.
  func set(_ call: Call, of suffix: String, after left: Int, failing: Int = 1, errno number: Int32) {
    let name = Array(suffix.utf8) + [0]
    name.withUnsafeBytes { (memory + 3 * DiskFault.planBytes).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let plan = plan(call)
    (plan[0], plan[2], plan[3]) = (Int64(left), Int64(number), 0)
    plan[1] = Int64(failing)
  }

  func lift(_ call: Call) { plan(call)[1] = 0 }

  /// How many calls have failed.
  func met(_ call: Call) -> Int { Int(plan(call)[3]) }

  private func plan(_ call: Call) -> UnsafeMutablePointer<Int64> {
    (memory + call.rawValue * DiskFault.planBytes).assumingMemoryBound(to: Int64.self)
  }
}

/// Whether this process may mount file systems.
let canMount: Bool = {
  let folder = TemporaryFolder()
  if mount("none", folder.path, "tmpfs", 0, nil) != 0 { return false }
  umount2(folder.path, Int32(MNT_DETACH))
  return true
}()

/// Runs the body while the folder is mounted read-only.
func withReadOnly(_ path: String, _ body: () throws -> Void) throws {
  guard mount(path, path, nil, UInt(MS_BIND), nil) == 0 else { throw TestFailure("mount: errno \(errno)") }
  defer { umount2(path, Int32(MNT_DETACH)) }
  guard mount(path, path, nil, UInt(MS_BIND | MS_RDONLY | MS_REMOUNT), nil) == 0 else {
    throw TestFailure("remount: errno \(errno)")
  }
  try body()
}
