# Sourced by apt.sh: keeps services of new packages from starting, during the installation and at
# boot, and puts the machine's own policy back exactly as it was.

policy=${TROUPE_POLICY_FILE:-/usr/sbin/policy-rc.d}
saved=$policy.before-troupe
mark='# made by the set-up of Troupe; removed when it ends'

# Debian asks policy-rc.d before it starts a service; 101 means: do not.
forbid_service_starts() {
  recover_policy
  trap allow_service_starts EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  [ ! -e "$policy" ] || mv "$policy" "$saved"
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy.troupe-new"
  chmod 755 "$policy.troupe-new"
  mv "$policy.troupe-new" "$policy"
}

allow_service_starts() {
  trap - EXIT
  recover_policy
}

# Also after a run that was killed: ours goes, theirs comes back.
recover_policy() {
  rm -f "$policy.troupe-new"
  if [ -e "$policy" ] && grep -qF "$mark" "$policy"; then rm -f "$policy"; fi
  if [ -e "$saved" ]; then mv "$saved" "$policy"; fi
}

# keep_services_off PACKAGE: a unit that came with it does not start at the next boot either.
keep_services_off() {
  for file in $(dpkg -L "$1"); do
    case $file in
      */systemd/system/*@.* | */systemd/system/*.*/*) ;;
      */systemd/system/*.service | */systemd/system/*.socket)
        logged deb-systemd-helper disable "${file##*/}" || true
        ;;
      /etc/init.d/*) logged update-rc.d "${file##*/}" disable || true ;;
      *) ;;
    esac
  done
}
