// The names that the kernel was told are absent.

import FUSE

/// The latest absent names, which have no nodes, so that the kernel can be told to forget them.
///
/// Whether the time is over that the kernel believes one for is not looked at: to forget what it does
/// not know costs it nothing.
final class NegativeDentries {
  /// How many are kept, a megabyte or two; older ones stay absent until their time is over.
  private static let most = 16_384

  private var names: [(parent: NodeID, name: [UInt8])] = []
  private var oldest = 0

  func note(_ name: [UInt8], under parent: NodeID) {
    if names.count < NegativeDentries.most { return names.append((parent, name)) }
    names[oldest] = (parent, name)
    oldest = (oldest + 1) % NegativeDentries.most
  }

  /// All of them; none are kept any more.
  func take() -> [(parent: NodeID, name: [UInt8])] {
    defer {
      names = []
      oldest = 0
    }
    return names
  }
}
