# Sourced: initial RAM disks.

# pack_initrd FOLDER OUTPUT: FOLDER as a compressed cpio archive, in one order and with one time.
pack_initrd() {
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  (cd "$1" && find . | LC_ALL=C sort | tool bin/cpio --quiet --reproducible -R 0:0 -H newc -o) |
    gzip -n -6 >"$2"
}

# make_initrd OUTPUT: loads the drivers, finds the root file system and starts the system on it.
make_initrd() {
  folder="$work/initrd"
  mkdir -p "$folder/usr/bin" "$folder/usr/lib" "$folder/proc" "$folder/sys" "$folder/dev" "$folder/root"
  for name in bin lib; do ln -s "usr/$name" "$folder/$name"; done
  ln -s usr/bin "$folder/sbin"
  cp "$tree/usr/bin/busybox" "$folder/usr/bin/"
  for applet in sh mount umount modprobe findfs sleep switch_root xargs cat sort uname; do
    ln -s busybox "$folder/usr/bin/$applet"
  done
  # shellcheck disable=SC2086 # a list of module names
  add_modules "$folder" $modules
  cp "$here/system/coldplug" "$folder/usr/bin/coldplug"
  cp "$here/initrd/init" "$folder/init"
  chmod 755 "$folder/init" "$folder/usr/bin/coldplug"
  pack_initrd "$folder" "$1"
}
