import Glibc
import Testing

/// Words of the command line are bytes, whatever they mean to others.
@Suite struct ArgumentBytesTests {
  private static let script = """
    class H
      def initialize(path) = @path = path
      def on_getattr = @path == "/" ? FUSE::Stat.directory : FUSE::Stat.file(2)
      def on_read_all = "ok"
    end
    p ARGV.map(&:bytes), FUSE.path, $0.bytes.last(6)
    FUSE.run H

    """

  /// The shell makes the name: Latin 1, and so no UTF-8.
  @Test func namesOfAnyBytesCanBeUsed() throws {
    let folder = try Folder()
    try folder.write("script.rb", Self.script)
    let outcome = try run(
      [
        "sh", "-c",
        """
        name=$(printf 'caf\\351'); mkdir "$name"; cp script.rb "$name.rb"
        "$0" -d "$name.rb" "$name" --trace="$name.log" -- "$name" || exit
        cat "$name/file" && echo 'FUSE.mountpoint.bytes.last' | "$0" attach "$name"
        "$0" stats --once --interval 0.1 "$name" | grep -c "caf"
        "$0" script.rb "$name" 2>&1
        fusermount3 -u "$name" && test -s "$name.log" && echo traced
        "$0" "$name/absent.rb" "$name" 2>&1
        """, Mount.binary,
      ], in: folder.path)
    for text in [
      "[[99, 97, 102, 233]]", "[97, 102, 233, 46, 114, 98]", "ok=> 233\n1\n", "traced\n",
      "caf\\xe9 is busy", "cannot read the script caf\\xe9/absent.rb: No such file or directory",
    ] { #expect(outcome.output.contains(text), "no \(text) in \(outcome)") }
  }
}
