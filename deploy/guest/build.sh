#!/bin/sh
# Builds the small guest for tests and the first-run tour from Debian's packages:
#   build.sh OUTPUT.qcow2
# Packages are kept in $TROUPE_CACHE/guest (default: .troupe/cache/guest of this checkout). Does
# nothing when OUTPUT was made from the same scripts and packages. README.md says what is inside.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for step in common packages system initrd disk; do . "$here/steps/$step.sh"; done

[ $# -eq 1 ] || fail 'usage: build.sh OUTPUT.qcow2'
output=$1
need apt-get apt-cache dpkg-deb tar gzip qemu-img flock

open_work_directory
fetch_packages
digest=$(hash_inputs build.sh steps system initrd)
if is_current "$output" "$digest"; then
  say "$output is up to date"
  exit 0
fi

say "building $output"
tree="$work/tree"
unpack_packages "$tree"
release=$(ls "$tree/usr/lib/modules")
make_system "$work/root"
cp "$tree/boot/vmlinuz-$release" "$work/root/boot/vmlinuz"
make_initrd "$work/root/boot/initrd"
find "$work/root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
grub_config /boot/vmlinuz /boot/initrd 'quiet random.trust_cpu=on' >"$work/grub.cfg"
make_disk "$work/root" 256 "$work/disk.qcow2"
publish "$work/disk.qcow2" "$output" "$digest"
