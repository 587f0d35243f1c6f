# Sourced: the disk image, made without mounting anything: a GPT disk with GRUB for BIOS (boot
# sector and BIOS boot partition) and for UEFI (ESP), and one ext4 root partition, the last one, so
# that it can grow. The UEFI side is Debian's signed shim and GRUB: it also boots under secure boot.

# Sectors of 512 bytes.
core_start=34
core_size=2014
esp_start=2048
esp_size=20480
root_start=$((esp_start + esp_size))

root_uuid=7472f0e0-0000-4000-8000-000000000003
disk_uuid=7472f0e0-0000-4000-8000-000000000000

# make_disk ROOT MEBIBYTES OUTPUT: ROOT as a compressed qcow2 image of that virtual size. Expects
# $work/grub.cfg, which boots it.
make_disk() {
  raw="$work/disk.raw"
  root_size=$(($2 * 2048 - root_start - 2048))
  truncate -s "$2M" "$raw"
  partition "$raw"
  write_boot_sectors "$raw"
  make_esp "$work/esp.img"
  make_root "$1" "$work/root.img"
  put "$work/esp.img" "$raw" $esp_start
  put "$work/root.img" "$raw" $root_start
  rm "$work/root.img"
  qemu-img convert -c -f raw -O qcow2 "$raw" "$3"
}

# publish IMAGE OUTPUT DIGEST: puts a finished image in place, at once, with the digest of what it
# was made from. By a name in the same folder first: the work directory may be on another disk.
publish() {
  mkdir -p "$(dirname -- "$2")"
  rm -f "$2.inputs"
  cp --sparse=always "$1" "$2.new"
  mv "$2.new" "$2"
  echo "$3" >"$2.inputs"
  say "$2: $(($(stat -c %s "$2") / 1048576)) MiB, Linux $release"
}

# put FILE DISK SECTOR
put() { dd if="$1" of="$2" bs=512 seek="$3" conv=notrunc,sparse status=none; }

partition() {
  tool sbin/sfdisk --quiet "$1" <<END
label: gpt
label-id: $disk_uuid
first-lba: 34
start=$core_start, size=$core_size, type=21686148-6449-6E6F-744E-656564454649, uuid=7472f0e0-0000-4000-8000-000000000001
start=$esp_start, size=$esp_size, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=7472f0e0-0000-4000-8000-000000000002
start=$root_start, size=$root_size, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$root_uuid
END
}

# grub_config KERNEL INITRD ARGUMENTS: the same file serves both firmwares. The serial console comes
# last: it is the one that /dev/console means. no_timer_check: a busy host delays the timer that the
# kernel tests at boot, and it panics when that test fails.
grub_config() {
  echo "search --no-floppy --fs-uuid --set=root $root_uuid"
  echo "linux $1 console=tty0 console=ttyS0,115200 no_timer_check $3"
  echo "initrd $2"
  echo boot
}

# GRUB's boot sector loads the first sector of the core image, which loads the rest; each holds the
# place of the next (boot.S and diskboot.S of GRUB). Bytes 440 on belong to the partition table.
write_boot_sectors() {
  tool bin/grub-mkimage -O i386-pc -d "$tree/usr/lib/grub/i386-pc" -c "$work/grub.cfg" \
    -p /boot/grub -o "$work/core.img" biosdisk part_gpt ext2 search search_fs_uuid linux
  sectors=$((($(stat -c %s "$work/core.img") + 511) / 512))
  [ $sectors -le $core_size ] || fail "GRUB's core image takes $sectors sectors of $core_size"
  cp "$tree/usr/lib/grub/i386-pc/boot.img" "$work/boot.img"
  little_endian 8 $core_start | poke "$work/boot.img" 92
  little_endian 8 $((core_start + 1)) | poke "$work/core.img" 500
  little_endian 2 $((sectors - 1)) | poke "$work/core.img" 508
  dd if="$work/boot.img" of="$1" bs=440 count=1 conv=notrunc status=none
  put "$work/core.img" "$1" $core_start
}

# little_endian BYTES NUMBER
little_endian() {
  number=$2
  for _ in $(seq "$1"); do
    printf "\\$(printf %03o $((number % 256)))"
    number=$((number / 256))
  done
}

# poke FILE OFFSET < BYTES
poke() { dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

make_esp() {
  truncate -s $((esp_size * 512)) "$1"
  mtool mformat -i "$1" -T $esp_size -h 64 -s 32 -N 74726f75 -v TROUPE-ESP ::
  mtool mmd -i "$1" ::/EFI ::/EFI/BOOT ::/EFI/debian
  # The signed GRUB reads its settings from /EFI/debian, wherever it was started from.
  mtool mcopy -i "$1" "$work/grub.cfg" ::/EFI/debian/grub.cfg
  mtool mcopy -i "$1" "$tree/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
  mtool mcopy -i "$1" "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
}

mtool() { tool bin/mtools -c "$@"; }

# Reserves what the file system needs to grow online to 1 TiB.
make_root() {
  truncate -s $((root_size * 512)) "$2"
  E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH tool sbin/mke2fs -q -t ext4 -b 4096 -i 32768 -m 0 \
    -L troupe-root -U $root_uuid -d "$1" \
    -E "hash_seed=$root_uuid,resize=268435456,root_owner=0:0,lazy_itable_init=1" "$2"
}
