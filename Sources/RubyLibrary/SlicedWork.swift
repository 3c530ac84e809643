/// Work of more than a moment, in a box, with which Ruby goes on bit by bit: between two of them it waits.
package protocol SlicedWork: AnyObject {
  /// What has to be done before it can go on, on a thread of its own; nil where only others
  /// are to run meanwhile.
  func nextTask() -> (@Sendable () -> Void)?
}

/// How long such work holds up everything else at a time, in nanoseconds.
let stretchNanoseconds: UInt64 = 2_000_000
