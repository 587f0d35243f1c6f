#!/bin/sh
# troupe-lab: see `troupe-lab --help`, or deploy/lab/main.ts.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/../.." && pwd)
[ "$(id -u)" = 0 ] || {
  echo 'troupe-lab: namespaces and virtual machines need root: use sudo' >&2
  exit 1
}
INIT_CWD=${INIT_CWD:-$PWD}
export INIT_CWD
exec sh "$root/deploy/with-node.sh" deploy/lab/main.ts "$@"
