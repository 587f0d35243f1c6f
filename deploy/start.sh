#!/bin/sh
# npm start: sets this machine up, then runs the daemon in the foreground.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case " $* " in
  *' --help '* | *' -h '*) ;;
  *)
    [ "$(id -u)" = 0 ] || {
      echo 'troupe: virtual machines and networks need root: run sudo npm start' >&2
      exit 1
    }
    sh "$root/deploy/setup/host.sh"
    ;;
esac
TROUPE_DATA_DIR=${TROUPE_DATA_DIR:-$root/.troupe}
export TROUPE_DATA_DIR
# Several nodes: a lab of that many machines on this one.
case " $* " in
  *' --nodes'*) exec sh "$root/deploy/with-node.sh" deploy/lab/start.ts "$@" ;;
esac
exec sh "$root/deploy/with-node.sh" src/main.ts "$@"
