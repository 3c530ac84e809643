import Testing

@testable import System

/// Kernels by their names, and what is known of them.
@Suite struct LinuxReleaseTests {
  @Test(arguments: [
    ("6.12.64+deb13-amd64", 6, 12, 64), ("6.1.0-42-amd64", 6, 1, 0), ("7.0", 7, 0, 0),
    ("6.19-rc1", 6, 19, 0), ("6.18.44", 6, 18, 44), ("", 0, 0, 0), ("linux", 0, 0, 0),
  ])
  func aNameBeginsWithThreeNumbers(name: String, version: Int, patchLevel: Int, sublevel: Int) {
    let release = LinuxRelease(name)
    #expect(release.version == version)
    #expect(release.patchLevel == patchLevel)
    #expect(release.sublevel == sublevel)
  }

  @Test func onlyKernelsThatAreKnownToDropCachesCount() {
    for name in ["6.12.64", "6.12.100", "6.18.4", "6.19.0", "6.20.1", "7.0.0-1"] {
      #expect(LinuxRelease(name).dropsCacheOnWrites, "\(name)")
    }
    for name in ["5.15.200", "6.1.0-42", "6.12.63", "6.12.0-55.el10", "6.17.0-14", "6.18.3", "x"] {
      #expect(!LinuxRelease(name).dropsCacheOnWrites, "\(name)")
    }
  }
}
