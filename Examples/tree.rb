# A filesystem that is written down as a tree.
#
#   fusuma Examples/tree.rb /tmp/tree
#   cat /tmp/tree/hello /tmp/tree/system/uptime
#   echo 'a word' > /tmp/tree/note

class Written < FUSE::Tree
  NOTES = []

  file "hello", "Hello from Ruby!\n"
  file("count") { "#{NOTES.size}\n" }
  file("note", 0644) { NOTES.last }.written { |text| NOTES << text }

  directory "system" do
    file("time") { "#{Time.now}\n" }
    file("uptime") { File.read("/proc/uptime") }
    symlink "greeting", "../hello"
  end
end

FUSE.run Written
