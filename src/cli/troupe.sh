#!/bin/sh
# The `troupe` command: finds the checkout it belongs to, through the links that npm makes to it, and
# runs the command line with the Node of that checkout; the machine's own may be too old.
set -eu
self=$(readlink -f -- "$0")
root=$(dirname -- "$(dirname -- "$(dirname -- "$self")")")
node="$root/node_modules/.bin/node"
if [ ! -x "$node" ]; then
  # Not set up yet. A machine whose own Node runs TypeScript can do without.
  node=$(command -v node || true)
  if [ -z "$node" ] || ! "$node" -e 'process.exit(process.features.typescript ? 0 : 1)'; then
    echo "troupe: $root is not set up yet: run \`npm install\` there, or \`npm start\`" >&2
    exit 1
  fi
fi
# What Node has compiled once is kept, where it may be: halves the time to start.
[ ! -w "$root/node_modules" ] || export NODE_COMPILE_CACHE="$root/node_modules/.cache/compiled"
exec "$node" "$root/src/cli/troupe.ts" "$@"
