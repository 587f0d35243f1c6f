#!/bin/sh
# Builds the tiny guest that finds out whether this machine's KVM, and a CPU model, really work:
#   build-probe.sh OUTPUT-FOLDER
# writes vmlinuz (the small guest's kernel) and initrd. Booted with
#   -kernel vmlinuz -initrd initrd -append 'console=ttyS0 quiet panic=-1' -no-reboot
# it writes `troupe-probe: user space reached on CPU-MODEL` to the first serial port and powers off.
# 128 MiB of memory are enough. Cached like build.sh.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for step in common packages initrd; do . "$here/steps/$step.sh"; done

[ $# -eq 1 ] || fail 'usage: build-probe.sh OUTPUT-FOLDER'
output=$1
need apt-get apt-cache dpkg-deb tar gzip flock

open_work_directory
fetch_packages
digest=$(hash_inputs build-probe.sh steps probe)
if is_current "$output/initrd" "$digest" && [ -e "$output/vmlinuz" ]; then
  say "$output is up to date"
  exit 0
fi

tree="$work/tree"
unpack_packages "$tree"
mkdir -p "$work/probe/bin" "$output"
cp "$tree/usr/bin/busybox" "$work/probe/bin/"
cp "$here/probe/init" "$work/probe/init"
chmod 755 "$work/probe/init"
rm -f "$output/initrd.inputs"
pack_initrd "$work/probe" "$output/initrd"
cp "$tree"/boot/vmlinuz-* "$output/vmlinuz"
echo "$digest" >"$output/initrd.inputs"
say "$output: vmlinuz and initrd, $(($(du -k "$output" | cut -f1) / 1024)) MiB"
