# What the scripts beside this file share. It is sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What a build links with, and fusermount3, which mounts for ordinary users.
# shellcheck disable=SC2034 # used by the scripts that source this file
build_packages=(
  libfuse3-dev libmruby-dev libcurl4-openssl-dev libsimdjson-dev libedit-dev libssl-dev fuse3 g++
  pkg-config
)

# The programs that the tests, and the benchmark's C side, are made of.
# shellcheck disable=SC2034
test_packages=(
  attr bc curl fio gcc git libc6-dev make perl procps rsync shellcheck sqlite3 stress-ng tar vim
)

# Says one line on stderr; stdout belongs to the program that is run.
say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

fail() {
  say "$@"
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

# Runs a command and shows what it printed only if it fails.
quietly() {
  local output status=0
  output=$("$@" 2>&1 </dev/null) || status=$?
  ((status == 0)) || printf '%s\n' "$output" >&2
  return "$status"
}

# Installs those of the named Debian packages that are missing. Where there is no dpkg the libraries
# are the system's own affair, and the build names what it lacks.
need_packages() {
  local installed package missing=()
  command -v dpkg-query >/dev/null || return 0
  # dpkg-query's status says that a package is unknown to it; the list that follows says which.
  installed=$(dpkg-query -W -f '${db:Status-Status}:${Package}\n' "$@" 2>/dev/null) || true
  for package in "$@"; do
    [[ $'\n'$installed$'\n' == *$'\n'"installed:$package"$'\n'* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  # Package lists that cannot be refreshed may still be good enough: the installation decides.
  quietly apt_get update || true
  quietly apt_get install --no-install-recommends "${missing[@]}" ||
    fail "could not install ${missing[*]}"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}

need_swift() {
  command -v swift >/dev/null || fail "Swift 6.2 or newer is needed: https://www.swift.org/install"
}

# Builds the release binary unless it is newer than every source, and sets $fusuma to its path.
# The stamp, not the binary, tells the time of the last build: a build that changes nothing leaves
# the binary as old as it was.
build_fusuma() {
  local stamp=$root/.build/release.stamp
  fusuma=$root/.build/release/fusuma
  if [[ -x $fusuma && -e $stamp ]] &&
    [[ -z $(find "$root/Package.swift" "$root/Sources" -newer "$stamp" -print -quit) ]]; then
    return
  fi
  need_swift
  [[ -x $fusuma ]] || say "building fusuma; the first time takes some minutes"
  mkdir -p "$root/.build"
  # Made before the build, so that what is saved while it runs is built the next time.
  touch "$stamp.new"
  quietly swift build --package-path "$root" -c release --product fusuma || fail "the build failed"
  mv "$stamp.new" "$stamp"
}
