import System

/// A backtrace as it is shown.
package enum Backtrace {
  /// How many frames are shown: endless recursion has thousands, all alike.
  private static let most = 12

  /// A line for each of the frames, innermost first, and one for those that are left out.
  package static func text(of frames: some Collection<String>) -> String {
    let shown = frames.prefix(most).map { "    from \(Printable.line($0))\n" }.joined()
    let hidden = frames.count - most
    return hidden > 0 ? shown + "    ... and \(hidden) more\n" : shown
  }
}
