# Sourced: the guest's root file system as a folder. Everything executable is in /usr/bin and every
# library in /usr/lib; /bin, /sbin, /lib and /lib64 point there.

# Drivers for the hardware of our virtual machines. The cloud kernel has ext4, NVMe, the i8042
# keyboard and the EFI frame buffer built in, and no AHCI, SATA or emulated network card at all.
modules='virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio-rng virtio_balloon
  virtio_input sd_mod sr_mod ata_piix ata_generic isofs nls_utf8 button evdev qemu_fw_cfg'

make_system() {
  root=$1
  mkdir -p "$root/usr/bin" "$root/usr/lib/troupe-guest" "$root/etc/acpi/PWRF" "$root/etc/dropbear" \
    "$root/var/log" "$root/var/lib/troupe-guest" "$root/boot" "$root/proc" "$root/sys" "$root/dev" \
    "$root/run" "$root/tmp" "$root/mnt" "$root/root/.ssh"
  chmod 700 "$root/root" "$root/root/.ssh"
  chmod 1777 "$root/tmp"
  ln -s bin "$root/usr/sbin"
  ln -s /run "$root/var/run"
  for name in bin sbin lib; do ln -s "usr/$name" "$root/$name"; done
  ln -s usr/lib "$root/lib64"
  add_programs "$root"
  # shellcheck disable=SC2086 # a list of module names
  add_modules "$root" $modules
  add_settings "$root"
}

add_programs() {
  for program in sbin/dropbear bin/dropbearkey sbin/qemu-ga bin/jq sbin/sfdisk bin/resizepart \
    sbin/resize2fs lib/openssh/sftp-server; do
    cp "$tree/usr/$program" "$1/usr/bin/"
  done
  libraries_of "$1"/usr/bin/* >"$work/libraries"
  while read -r library; do cp -L "$library" "$1/usr/lib/"; done <"$work/libraries"
  cp -L "$(loader)" "$1/usr/lib/"
  # Where Debian's dropbear looks for it: with it scp and sftp work.
  mv "$1/usr/bin/sftp-server" "$1/usr/lib/sftp-server"
  cp "$tree/usr/bin/busybox" "$1/usr/bin/"
  add_applets "$1"
}

# Debian's programs are there already, so that an applet of busybox never hides a real one.
add_applets() {
  for applet in $("$tree/usr/bin/busybox" --list); do
    case $applet in dpkg | dpkg-deb | rpm | rpm2cpio) continue ;; esac
    [ -e "$1/usr/bin/$applet" ] || ln -s busybox "$1/usr/bin/$applet"
  done
}

# add_modules ROOT NAME...: the modules, what they depend on, and the index modprobe reads.
add_modules() {
  target=$1
  shift
  todo=$*
  while [ -n "$todo" ]; do
    depends=
    for module in $todo; do
      file=$(find_module "$module")
      [ -n "$file" ] || continue
      place="$target/usr/lib/modules/$release/${file#"$tree/usr/lib/modules/$release/"}"
      [ -e "$place" ] && continue
      mkdir -p "${place%/*}"
      cp "$file" "$place"
      depends="$depends $(depends_of "$file")"
    done
    todo=$(echo "$depends" | xargs)
  done
  "$tree/usr/bin/busybox" depmod -b "$target" "$release"
}

# The names in a module's own `depends=`; its information is a list of strings that end in NUL.
depends_of() { tr '\0' '\n' <"$1" | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' '; }

# A module's file by its name, in which - and _ are the same; nothing for a built-in one.
find_module() {
  pattern=$(echo "$1" | sed 's/[-_]/[-_]/g')
  file=$(find "$tree/usr/lib/modules/$release" -name "$pattern.ko*" | head -n 1)
  [ -n "$file" ] || grep -q "/$pattern\.ko" "$tree/usr/lib/modules/$release/modules.builtin" ||
    fail "kernel $release has no module $1"
  echo "$file"
}

add_settings() {
  cp "$here"/system/* "$1/usr/lib/troupe-guest/"
  mv "$1/usr/lib/troupe-guest/inittab" "$1/etc/inittab"
  mv "$1/usr/lib/troupe-guest/profile" "$1/etc/profile"
  mv "$1/usr/lib/troupe-guest/shutdown" "$1/usr/bin/shutdown"
  mv "$1/usr/lib/troupe-guest/power-button" "$1/etc/acpi/PWRF/00000080"
  chmod 755 "$1/usr/lib/troupe-guest"/* "$1/usr/bin/shutdown" "$1/etc/acpi/PWRF/00000080"
  # The password is locked: ssh takes the config drive's key, the console belongs to the owner.
  echo 'root:*:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\n' >"$1/etc/group"
  echo '127.0.0.1 localhost' >"$1/etc/hosts"
  ln -s /run/resolv.conf "$1/etc/resolv.conf"
  ln -s /proc/self/mounts "$1/etc/mtab"
  printf 'NAME="Troupe guest"\nID=troupe-guest\nID_LIKE=debian\nPRETTY_NAME="Troupe guest, Linux %s"\n' \
    "$release" >"$1/etc/os-release"
}
