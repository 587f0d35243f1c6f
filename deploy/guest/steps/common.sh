# Sourced by the build scripts: messages, the work directory, the cache and its lock.
# Sets: repository, cache, work (removed at exit). Expects: here (deploy/guest).

repository=$(CDPATH='' cd -- "$here/../.." && pwd)
cache=${TROUPE_CACHE:-$repository/.troupe/cache}/guest

# One time for every file made, so that the same inputs give the same image.
SOURCE_DATE_EPOCH=1700000000
export SOURCE_DATE_EPOCH

say() { echo "guest: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

need() {
  for program in "$@"; do
    command -v "$program" >/dev/null || fail "$program is missing: apt-get install $(package_of "$program")"
  done
}

package_of() {
  case $1 in
    qemu-img) echo qemu-utils ;;
    flock) echo util-linux ;;
    apt-get | apt-cache) echo apt ;;
    dpkg-deb) echo dpkg ;;
    *) echo "$1" ;;
  esac
}

# Waits until no other build uses this cache, then makes the work directory beside it, and removes
# one that a killed build left. One file system: a new system's /proc may still be mounted in there.
open_work_directory() {
  mkdir -p "$cache"
  cache=$(cd "$cache" && pwd)
  exec 9>"$cache/lock"
  flock 9
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap remove_work_directory EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  find "$cache" -maxdepth 1 -name 'work.*' ! -path "$work" -exec rm -rf --one-file-system {} +
}

remove_work_directory() { rm -rf --one-file-system "$work"; }

# hash_inputs FILE_OR_FOLDER...: one digest of their names and contents and of the package versions.
hash_inputs() {
  {
    (cd "$here" && find "$@" -type f | LC_ALL=C sort | xargs sha256sum)
    ls "$cache/debs"
  } | sha256sum | cut -d' ' -f1
}

# is_current OUTPUT DIGEST: whether OUTPUT was made from exactly these inputs.
is_current() { [ -e "$1" ] && [ "$(cat "$1.inputs" 2>/dev/null)" = "$2" ]; }
