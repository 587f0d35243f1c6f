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
make_disk "$work/root" "$work/disk.qcow2"
mkdir -p "$(dirname -- "$output")"
rm -f "$output.inputs"
# Through a name of its own in the same folder, as the work directory may be on another disk.
cp --sparse=always "$work/disk.qcow2" "$output.new"
mv "$output.new" "$output"
echo "$digest" >"$output.inputs"
say "$output: $(($(stat -c %s "$output") / 1048576)) MiB, Linux $release"
