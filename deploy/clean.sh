#!/bin/sh
# Removes what a killed daemon left running on this machine: its etcd, libvirtd and virtual machines,
# its namespaces, network devices and rules. Keeps the data directory. Takes the daemon's settings,
# such as --data-dir; refuses while the daemon runs.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
TROUPE_DATA_DIR=${TROUPE_DATA_DIR:-$root/.troupe}
INIT_CWD=${INIT_CWD:-$PWD}
export TROUPE_DATA_DIR INIT_CWD
exec sh "$root/deploy/with-node.sh" src/embedded/clean.ts "$@"
