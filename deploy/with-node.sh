#!/bin/sh
# Runs `node` with the arguments given: the Node that package.json pins, once npm has put it into
# node_modules. Called by the npm scripts; the machine's own Node only has to run npm.
# With no arguments it only sets up.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
modules="$root/node_modules"
# What node_modules was made from. Its name has the architecture, whose node it holds.
stamp="$modules/.troupe-lock.$(uname -m)"

is_current() { cmp -s "$root/package-lock.json" "$stamp"; }

fail() {
  echo "troupe: $*" >&2
  exit 1
}

install_packages() {
  command -v npm >/dev/null || fail 'npm is missing: install Node 20 or newer with its npm'
  echo 'troupe: installing the packages of package-lock.json (node, etcd3, ws, ...)' >&2
  # npm mends what an interrupted run left only when it starts from nothing.
  [ ! -e "$modules/.troupe-unfinished" ] || rm -rf "$modules"
  mkdir -p "$modules"
  rm -f "$modules"/.troupe-lock.*
  : >"$modules/.troupe-unfinished"
  # Not `npm ci`: it refuses a lock that names packages for other platforms when the registry in use
  # does not carry those. This installs the same versions, checked against the same digests, and
  # leaves the lock as it is. `optional` has our Node in it, `dev` the checks.
  (cd "$root" && npm install --no-save --include=optional --include=dev --loglevel=error \
    >&2 </dev/null) || fail 'npm failed; see its messages above (is the npm registry reachable?)'
  [ -x "$modules/.bin/node" ] ||
    fail "npm has no Node for $(uname -sm): Linux on x86_64 or aarch64 is needed"
  rm -f "$modules/.troupe-unfinished"
  cp "$root/package-lock.json" "$stamp.new"
  mv "$stamp.new" "$stamp"
}

if ! is_current; then
  # Two starts at once: the second waits here, and then finds the work done.
  exec 9<"$root/package-lock.json"
  flock 9
  is_current || install_packages 9<&-
  exec 9<&-
fi
[ $# -gt 0 ] || exit 0
# A user's path need not have the folders of ip, nft and libvirtd.
PATH="$modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# What Node has compiled once is kept: halves the time to start, and takes 15 MB less.
NODE_COMPILE_CACHE="$modules/.cache/compiled"
export PATH NODE_COMPILE_CACHE
cd "$root"
MSGPACKR_NATIVE_ACCELERATION_DISABLED=true exec node "$@"
