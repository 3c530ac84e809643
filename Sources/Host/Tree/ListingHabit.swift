/// Whether those who list a directory look at its files too.
///
/// Handing attributes over with a listing makes `ls -l` many times as fast, and `ls` several times as
/// slow, for the kernel makes an inode of each. So a directory is watched: every listing but the first
/// two leaves the attributes of one name out, and where nobody asks for those, twice in a row, the next
/// listings are of names only, until somebody looks at a file.
struct ListingHabit {
  private var listings = 0
  private var ignored = 0
  private var awaitsLook = false

  /// Somebody looked at a file in the directory.
  mutating func looked() {
    awaitsLook = false
    ignored = 0
  }

  /// What the listing that begins now should hand over.
  mutating func begin() -> (entries: Bool, testsFirst: Bool) {
    if awaitsLook { ignored += 1 }
    listings += 1
    let entries = ignored < 2
    awaitsLook = entries && listings > 2
    return (entries, awaitsLook)
  }
}
