#!/bin/sh
# npm test: sets this machine up as npm start does, then checks, then tests. Ends with one line:
# `N passed, N failed`. Arguments go to tests/run.ts: npm test -- tests/unit/kernel
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ "$(id -u)" = 0 ] || {
  echo 'troupe: the tests make virtual machines and networks, which needs root: run sudo npm test' >&2
  exit 1
}
sh "$root/deploy/setup/host.sh"
TROUPE_PACKAGE_LIST=$root/deploy/setup/test-packages.txt sh "$root/deploy/setup/host.sh"
sh "$root/deploy/with-node.sh"
if [ $# -gt 0 ]; then exec sh "$root/deploy/with-node.sh" tests/run.ts "$@"; fi

# A failed check is one more failed test, and does not hide the others.
failed_checks=0
(cd "$root" && PATH="$root/node_modules/.bin:$PATH" npm run --silent check) || failed_checks=1
exec sh "$root/deploy/with-node.sh" tests/run.ts --failed "$failed_checks" \
  tests/unit tests/sim tests/contract tests/lab
