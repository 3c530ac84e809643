/// How a directory is used: whether those who list it look at its files too, and whether those who open
/// it list it.
///
/// Handing attributes over with a listing makes `ls -l` many times as fast, and `ls` several times as
/// slow, for the kernel makes an inode of each. So a directory is watched: every listing but the first
/// two leaves the attributes of one name out, and where nobody asks for those, twice in a row, the next
/// listings are of names only, until somebody looks at a file.
///
/// A listing of names only may stay in the kernel where the script answers the same names again. To
/// know that when the directory is opened it has to be listed then, which is done once whoever opens it
/// lists it; now and then the kernel has to ask, which shows whether they still do.
struct ListingHabit {
  private var listings = 0
  private var ignored = 0
  private var awaitsLook = false
  private var openedAndListed = 0
  private var awaitsListing = false
  private var foreseen = 0

  /// How many in a row must have listed what they opened before that is foreseen, and how many times
  /// it is foreseen before it is looked at again.
  private static let convincing = 2
  private static let foreseenInARow = 15

  /// Somebody looked at a file in the directory.
  mutating func looked() {
    awaitsLook = false
    ignored = 0
  }

  /// Somebody opens the directory: whether they are going to list it, names only.
  mutating func open(attributes: Bool) -> Bool {
    if awaitsListing { openedAndListed = 0 }
    if openedAndListed >= ListingHabit.convincing, ignored >= 2 || !attributes,
      foreseen < ListingHabit.foreseenInARow
    {
      foreseen += 1
      return true
    }
    foreseen = 0
    awaitsListing = true
    return false
  }

  /// What the listing that begins now should hand over, where it can have attributes at all.
  mutating func begin(attributes: Bool) -> (entries: Bool, testsFirst: Bool) {
    if awaitsListing {
      awaitsListing = false
      openedAndListed += 1
    }
    guard attributes else { return (false, false) }
    if awaitsLook { ignored += 1 }
    listings += 1
    let entries = ignored < 2
    awaitsLook = entries && listings > 2
    return (entries, awaitsLook)
  }
}
