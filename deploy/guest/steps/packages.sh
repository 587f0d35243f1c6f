# Sourced: Debian packages, downloaded once into the cache and unpacked without installing them.
# The host's apt does the downloading, so its configured sources and signature checks apply.

# What the guest runs (programs), and what only the build runs (tools).
programs='busybox-static dropbear-bin openssh-sftp-server qemu-guest-agent jq fdisk util-linux
  e2fsprogs'
tools='mtools cpio grub-common grub-pc-bin grub-efi-amd64-signed shim-signed'

apt_depends() {
  apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@"
}

# The kernel package that Debian's metapackage points to today.
kernel_package() {
  apt_depends linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

# with_libraries PACKAGE...: the packages and, followed to the end, the library packages they need.
# Other dependencies (debconf, perl, initramfs-tools) serve installation, which does not happen here.
with_libraries() {
  todo=$*
  seen=' '
  while [ -n "$todo" ]; do
    fresh=
    for package in $todo; do
      case $seen in *" $package "*) continue ;; esac
      seen="$seen$package "
      fresh="$fresh $package"
    done
    [ -n "$fresh" ] || break
    # shellcheck disable=SC2086 # a list of package names
    todo=$(apt_depends $fresh | sed -n 's/^[ |]*\(Pre\)\{0,1\}Depends: \(lib[^<]*\|zlib1g\)$/\2/p')
  done
  echo "$seen"
}

# Fills $cache/debs. A complete cache is used as it is, also without a network: remove it to get
# newer packages.
fetch_packages() {
  wanted=$(echo "linux-image-cloud-amd64 $programs $tools" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$cache/debs.complete" 2>/dev/null)" = "$wanted" ] && return
  kernel=$(kernel_package)
  [ -n "$kernel" ] ||
    fail 'apt knows no linux-image-cloud-amd64: run apt-get update (amd64 Debian, section main)'
  rm -rf "$cache/debs" "$cache/debs.complete"
  mkdir -p "$cache/debs"
  # shellcheck disable=SC2086 # lists of package names
  packages=$(with_libraries "$kernel" $programs $tools)
  say "downloading $(echo "$packages" | wc -w) Debian packages, about 45 MB, into $cache/debs"
  # shellcheck disable=SC2086
  (cd "$cache/debs" && apt-get -qq -o APT::Sandbox::User=root download $packages >&2) ||
    fail 'apt-get download failed (see above); when a version is gone, apt-get update helps'
  echo "$wanted" >"$cache/debs.complete"
}

# unpack_packages FOLDER: all packages over each other, everything below usr whether or not the
# Debian release has moved it there.
unpack_packages() {
  mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/usr/lib" "$1/usr/lib64"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$1/$name"; done
  for deb in "$cache/debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$1" --keep-directory-symlink --no-same-owner --exclude='./usr/share/*'
  done
}

# tool PROGRAM ARGUMENT...: runs a program of the unpacked packages with their libraries, so that
# the host needs none of them installed. Expects: tree.
tool() {
  program=$1
  shift
  MKE2FS_CONFIG="$tree/etc/mke2fs.conf" MTOOLSRC=/dev/null \
    "$(loader)" --library-path "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/$program" "$@"
}

loader() { echo "$tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"; }

# libraries_of PROGRAM...: the paths of the shared libraries they load. Not for use in $(...), where
# its failure would go unseen.
libraries_of() {
  for binary in "$@"; do
    "$(loader)" --library-path "$tree/usr/lib/x86_64-linux-gnu" --list "$binary" ||
      fail "no package named in steps/packages.sh has a library that $binary needs"
  done >"$work/list"
  sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' "$work/list" | sort -u
}
