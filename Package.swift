// swift-tools-version: 6.2
import PackageDescription

let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let posix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let locks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let sqlite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")

let package = Package(
  name: "scoped",
  products: [
    .executable(name: "scoped", targets: ["scoped"]),
    .executable(name: "scopectl", targets: ["scopectl"]),
    .executable(name: "scope-import", targets: ["scope-import"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .target(name: "CScopeWire", dependencies: ["CProtobufC"]),
    .target(name: "CScope", dependencies: ["CScopeWire"]),
    .target(name: "CScopeSystem"),
    .target(name: "ScopeModel"),
    .systemLibrary(name: "CPrefetch"),
    .systemLibrary(name: "CKeepWAL"),
    .target(name: "ScopeIndex", dependencies: ["ScopeModel", "CPrefetch"]),
    .target(name: "ScopeStore", dependencies: ["ScopeModel", "CKeepWAL", grdb, sqlite, crypto]),
    .target(name: "ScopeProtocol", dependencies: ["ScopeModel", "CScopeWire"]),
    .target(
      name: "ScopeServer",
      dependencies: [
        "ScopeModel", "ScopeIndex", "ScopeStore", "ScopeProtocol", "CScopeSystem", "CPhoneNumber", nio, posix, locks,
        log, crypto,
      ]),
    .target(name: "ScopeClient", dependencies: ["CScope", "ScopeModel", "ScopeProtocol"]),
    .executableTarget(
      name: "scoped", dependencies: ["ScopeServer", "ScopeProtocol", "CScopeSystem", arguments, nio, locks, log]),
    .executableTarget(
      name: "scopectl", dependencies: ["CScopeSystem", "ScopeClient", "ScopeModel", "ScopeProtocol", arguments],
      exclude: ["JSON.md"]),
    .target(
      name: "CPhoneNumber", linkerSettings: [.linkedLibrary("phonenumber")]),
    .target(
      name: "ScopeImport",
      dependencies: ["CPhoneNumber", "ScopeClient", "ScopeModel", "ScopeProtocol", locks, crypto]),
    .executableTarget(
      name: "scope-import", dependencies: ["ScopeImport", "ScopeClient", "ScopeModel", "ScopeProtocol", arguments]),
    .target(
      name: "ScopeTesting",
      dependencies: [
        "ScopeModel", "ScopeProtocol", "ScopeStore", "ScopeServer", "ScopeClient", "CScopeWire", nio, log,
      ]),
    .executableTarget(
      name: "scope-bench",
      dependencies: [
        "ScopeTesting", "ScopeClient", "ScopeIndex", "ScopeModel", "ScopeStore", "ScopeProtocol", "CScopeWire",
        "CBench", "bench-echo", nio, posix, locks, arguments, histogram,
      ]),
    .target(name: "CBench"),
    .executableTarget(name: "bench-echo"),
    .executableTarget(
      name: "scope-counts",
      dependencies: ["ScopeTesting", "ScopeServer", "ScopeStore", "ScopeProtocol", "ScopeIndex", "ScopeModel", log]),
    .target(name: "CTestThreads"),
    .testTarget(name: "ScopeTestingTests", dependencies: ["ScopeTesting", "CTestThreads"]),
    .testTarget(name: "CScopeTests", dependencies: ["CScope", "CScopeWire", "ScopeTesting"], exclude: ["Programs"]),
    .testTarget(name: "ScopeModelTests", dependencies: ["ScopeModel", "ScopeIndex", "ScopeTesting"]),
    .testTarget(name: "ScopeIndexTests", dependencies: ["ScopeIndex", "ScopeModel", "ScopeTesting"]),
    .testTarget(
      name: "ScopeStoreTests",
      dependencies: ["ScopeStore", "ScopeServer", "ScopeIndex", "ScopeModel", "ScopeTesting", grdb, sqlite]),
    .testTarget(
      name: "ScopeProtocolTests", dependencies: ["ScopeProtocol", "ScopeModel", "CScopeWire", "ScopeTesting"]),
    .testTarget(name: "ScopeClientTests", dependencies: ["ScopeClient", "ScopeModel", "ScopeTesting"]),
    .testTarget(
      name: "ScopeImportTests",
      dependencies: [
        "ScopeImport", "CPhoneNumber", "ScopeClient", "ScopeModel", "ScopeProtocol", "ScopeTesting", "CScopeWire",
        locks,
        "scope-import", "scoped",
      ]),
    .testTarget(
      name: "ScopeBenchTests",
      dependencies: ["scope-bench", "scoped", "bench-echo", "ScopeClient", "ScopeModel", "ScopeTesting"]),
    .testTarget(
      name: "IntegrationTests",
      dependencies: [
        "ScopeClient", "ScopeModel", "ScopeProtocol", "ScopeServer", "ScopeTesting", locks,
        "scoped", "scopectl", "scope-bench", "scope-import",
      ],
      path: "Tests/Integration", exclude: ["Programs"]),
    .testTarget(
      name: "TelephonyTests",
      dependencies: ["ScopeClient", "ScopeModel", "ScopeTesting", "scoped", "scopectl"],
      path: "Tests/Telephony", exclude: ["Programs", "Scenarios"]),
  ]
)
