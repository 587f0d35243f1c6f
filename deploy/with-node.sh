#!/bin/sh
# Runs `node` with the arguments given: the Node that package.json pins, once `npm ci` has put it
# into node_modules. Called by the npm scripts; the machine's own Node only has to run npm.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
stamp="$root/node_modules/.troupe-lock"
if ! cmp -s "$root/package-lock.json" "$stamp"; then
  echo "troupe: installing the packages of package-lock.json (node, etcd3, ws, ...)" >&2
  (cd "$root" && npm ci --no-fund --no-audit --loglevel=error >&2) || {
    echo "troupe: npm ci failed; see its messages above (is the npm registry reachable?)" >&2
    exit 1
  }
  cp "$root/package-lock.json" "$stamp"
fi
PATH="$root/node_modules/.bin:$PATH"
export PATH
cd "$root"
MSGPACKR_NATIVE_ACCELERATION_DISABLED=true exec node "$@"
