#!/bin/sh
# Builds a real Debian with cloud-init, of the release this machine runs, for tests that need more
# than the small guest:
#   build-debian.sh OUTPUT.qcow2
# Takes some minutes and needs root, for debootstrap. Packages come from the sources that apt is
# configured with. Like build.sh it does nothing when OUTPUT was made from the same scripts.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for step in common packages disk; do . "$here/steps/$step.sh"; done

[ $# -eq 1 ] || fail 'usage: build-debian.sh OUTPUT.qcow2'
[ "$(id -u)" = 0 ] || fail 'debootstrap needs root'
need apt-get apt-cache dpkg-deb tar gzip qemu-img flock unshare debootstrap
# What debootstrap mounts in the new system ends with this namespace, however the build ends.
[ "${TROUPE_GUEST_MOUNTS:-}" = own ] || TROUPE_GUEST_MOUNTS=own exec unshare --mount "$0" "$@"
output=$1

. /etc/os-release
# The repository of the release itself, not of its updates, as apt knows it.
source_of_release() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $VERSION_CODENAME" \
    'Component: main' 'Label: Debian' | head -n 1
}

included='linux-image-cloud-amd64 cloud-init cloud-guest-utils fdisk netplan.io systemd-resolved
  systemd-sysv dbus udev openssh-server qemu-guest-agent sudo iproute2 iputils-ping ca-certificates'

# host_apt ARGUMENT...: the host's apt, with its sources and proxies, on the new system's packages.
host_apt() {
  apt-get -q -y --no-install-recommends -o APT::Sandbox::User=root \
    -o Dir::State::status="$root/var/lib/dpkg/status" \
    -o Dir::Cache::archives="$root/var/cache/apt/archives" "$@"
}

# The base, brought up to date, and the packages above. No service may start: it would on the host.
install_system() {
  debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$1"
  host_apt --download-only dist-upgrade
  # shellcheck disable=SC2086 # a list of package names
  host_apt --download-only install $included
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mount -t proc proc "$root/proc"
  # shellcheck disable=SC2016 # for the shell in there
  DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c \
    'apt-get -q -y --no-download --no-install-recommends install /var/cache/apt/archives/*.deb'
  umount "$root/proc"
  rm "$root/usr/sbin/policy-rc.d"
}

open_work_directory
fetch_packages
digest=$(hash_inputs build-debian.sh steps)
if is_current "$output" "$digest"; then
  say "$output is up to date"
  exit 0
fi

uri=$(source_of_release)
[ -n "$uri" ] || fail "apt has no source for Debian $VERSION_CODENAME main: run apt-get update"
tree="$work/tree"
root="$work/root"
unpack_packages "$tree"

say "debootstrap of Debian $VERSION_CODENAME: some minutes"
# Not `install_system || fail`: in a condition the shell would go on after a failed command.
log="$cache/debian.log"
trap 'say "failed: see $log"; umount "$root/proc" || true; remove_work_directory' EXIT
install_system "$uri" >"$log" 2>&1
trap remove_work_directory EXIT
release=$(ls "$root/lib/modules")

say 'making the disk'
echo "UUID=$root_uuid / ext4 errors=remount-ro 0 1" >"$root/etc/fstab"
# No locales are installed but this one.
printf 'datasource_list: [ConfigDrive, NoCloud, None]\nlocale: C.UTF-8\n' \
  >"$root/etc/cloud/cloud.cfg.d/90_troupe.cfg"
# Made anew by each instance.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/hostname" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
# The links in / follow kernel updates, so that GRUB's settings never change.
grub_config /vmlinuz /initrd.img "root=UUID=$root_uuid ro quiet" >"$work/grub.cfg"
make_disk "$root" 2048 "$work/disk.qcow2"
publish "$work/disk.qcow2" "$output" "$digest"
