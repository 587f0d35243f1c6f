#!/bin/sh
# Installs what packages.txt lists and this machine lacks, on Debian and its relatives. Says what,
# why and how far it is; silent when nothing is missing. Safe to run twice at once and to kill.
#
# No service of an installed package is started, now or at boot: Troupe runs an etcd and a libvirtd
# of its own, and an operator who wants Debian's says so to systemd.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C
list=${TROUPE_PACKAGE_LIST:-$here/packages.txt}
log=${TROUPE_SETUP_LOG:-$here/../../.troupe/log/host-setup.log}
lock_wait_s=600

say() { echo "troupe: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

is_there() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Sets missing (packages) and reasons (one line each). Forks nothing: this runs at every start.
find_missing() {
  missing=
  reasons=
  while read -r package proof why; do
    case $package in '' | '#'*) continue ;; esac
    is_there "$proof" && continue
    missing="$missing $package"
    reasons="$reasons  $package: $why
"
  done <"$list"
}

# Without forking, as above.
has_user() {
  while IFS=: read -r name _; do
    [ "$name" != "$1" ] || return 0
  done </etc/passwd
  return 1
}

# Every libvirtd of Debian looks this user up and ends when there is none; it comes with
# libvirt-daemon-system, which would bring systemd, D-Bus and services that start by themselves.
add_qemu_user() {
  ! has_user libvirt-qemu || return 0
  say 'adding the system user libvirt-qemu, which libvirtd wants to exist'
  useradd --system --user-group --no-create-home --home-dir /var/lib/libvirt \
    --shell /usr/sbin/nologin libvirt-qemu || fail 'the user libvirt-qemu could not be added'
}

find_missing
if [ -z "$missing" ]; then
  add_qemu_user
  exit 0
fi

say "this machine lacks:
$reasons"
[ "$(id -u)" = 0 ] ||
  fail "installing packages needs root: run the same command with sudo, or have$missing installed"
{ command -v apt-get && command -v dpkg; } >/dev/null ||
  fail "only Debian's apt is known here: install the above with this system's own package tool"
. "$here/apt.sh"
install_missing
add_qemu_user
