// swift-tools-version: 6.2
import PackageDescription

/// One strictness for every Swift target: the Swift 6 language mode of the tools version, no
/// warning left standing, and imports that stay inside the file that wrote them, so that a foreign
/// library cannot leak through the face that wraps it.
let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  // One thread owns what it touches, and the faces are thin: in a release nothing is gained by
  // checking each access at run time, and much by inlining across targets.
  .unsafeFlags(
    ["-cross-module-optimization", "-enforce-exclusivity=unchecked"],
    .when(configuration: .release)),
]

let package = Package(
  name: "fusuma",
  products: [.executable(name: "fusuma", targets: ["fusuma"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // The only places that include a foreign header.
    .systemLibrary(name: "CFuse", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .systemLibrary(
      name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(
      name: "CSimdjson", cxxSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
      linkerSettings: [.linkedLibrary("simdjson")]),
    .systemLibrary(name: "CEdit", pkgConfig: "libedit", providers: [.apt(["libedit-dev"])]),
    .systemLibrary(
      name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .target(
      name: "CMRuby", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
      linkerSettings: [.linkedLibrary("mruby"), .linkedLibrary("m")]),

    // Swift faces of the C libraries; each could serve another program.
    .target(name: "Ruby", dependencies: ["CMRuby"], swiftSettings: strict),
    .target(name: "System", dependencies: ["CLinux"], swiftSettings: strict),
    .target(name: "FUSE", dependencies: ["CFuse", "CLinux", "System"], swiftSettings: strict),
    .target(name: "HTTP", dependencies: ["CCurl"], swiftSettings: strict),
    .target(name: "Formats", dependencies: ["CSimdjson"], swiftSettings: strict),
    .target(name: "Terminal", dependencies: ["CEdit", "System"], swiftSettings: strict),

    // What needs no host.
    .target(
      name: "Waiting", dependencies: ["HTTP", "System", "CLinux"], swiftSettings: strict),

    .target(name: "MessageLog", dependencies: ["System", "CLinux"], swiftSettings: strict),
    .target(
      name: "ControlProtocol", dependencies: ["System", "Formats", "CLinux"],
      swiftSettings: strict),
    .target(name: "Reports", dependencies: ["Ruby", "System"], swiftSettings: strict),
    .target(
      name: "RubyLibrary", dependencies: ["Ruby", "Formats", "System", "CLinux"],
      resources: [
        "errno", "turn", "fuse", "env", "kernel", "buffer", "io", "process", "json", "http", "curl",
        "blocks", "queue", "outbox", "console", "reload", "messages", "check",
      ].map { .embedInCode("Ruby/\($0).rb") },
      swiftSettings: strict),

    .target(
      name: "Host",
      dependencies: [
        "Ruby", "FUSE", "HTTP", "System", "Waiting", "MessageLog", "ControlProtocol", "Reports",
        "RubyLibrary", "CLinux", "CCrypto",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "fusuma",
      dependencies: [
        "Host", "ControlProtocol", "Reports", "Terminal", "System", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    .testTarget(name: "RubyTests", dependencies: ["Ruby"], swiftSettings: strict),
    .testTarget(name: "SystemTests", dependencies: ["System"], swiftSettings: strict),
    .testTarget(
      name: "FUSETests", dependencies: ["FUSE", "CFuse", "System"], swiftSettings: strict),
    .testTarget(name: "FormatsTests", dependencies: ["Formats"], swiftSettings: strict),
    .testTarget(name: "HTTPTests", dependencies: ["HTTP"], swiftSettings: strict),
    .testTarget(name: "WaitingTests", dependencies: ["Waiting", "HTTP"], swiftSettings: strict),
    .testTarget(
      name: "MessageLogTests", dependencies: ["MessageLog", "System"], swiftSettings: strict),
    .testTarget(
      name: "ControlProtocolTests", dependencies: ["ControlProtocol", "System"],
      swiftSettings: strict),
    .testTarget(name: "ReportsTests", dependencies: ["Reports"], swiftSettings: strict),
    .testTarget(
      name: "RubyLibraryTests", dependencies: ["RubyLibrary", "Ruby", "System"],
      swiftSettings: strict),
    .testTarget(name: "HostTests", dependencies: ["Host", "HTTP"], swiftSettings: strict),
    .systemLibrary(name: "CFiles", path: "Tests/CFiles"),
    .testTarget(
      name: "MountTests", dependencies: ["fusuma", "Host", "System", "CFiles"],
      swiftSettings: strict),
  ],
  cxxLanguageStandard: .cxx17
)
