# Sourced by host.sh: installs $missing with apt. Expects: say, fail, find_missing, log, lock_wait_s.

. "$here/services.sh"

install_missing() {
  mkdir -p "$(dirname -- "$log")"
  wait_for_other_setup
  find_missing
  [ -n "$missing" ] || return 0
  forbid_service_starts
  # What an interrupted installation left unconfigured would make every later one fail.
  logged dpkg --configure -a || true
  apt_update_if_needed
  # shellcheck disable=SC2086 # a list of package names
  apt 'downloading' --download-only $missing || retry_download
  # shellcheck disable=SC2086
  apt 'installing' $missing || fail_with_log 'apt-get could not install them'
  for package in $missing; do keep_services_off "$package"; done
  allow_service_starts
  confirm
}

# Two starts at once: the second waits here, and then finds nothing missing.
wait_for_other_setup() {
  exec 8>"$log.lock"
  flock -n 8 || {
    say 'another set-up is at work; waiting for it'
    flock 8
  }
}

# The package lists are good enough when apt can plan the installation with them.
apt_update_if_needed() {
  # shellcheck disable=SC2086
  logged apt-get -qq --no-install-recommends --simulate install $missing || apt_update
}

# Lists older than the archive name versions that are no longer there.
retry_download() {
  apt_update
  # shellcheck disable=SC2086
  apt 'downloading' --download-only $missing ||
    fail_with_log 'the packages could not be downloaded: is this machine offline, or its apt set up?'
}

apt_update() {
  say 'fetching the package lists (apt-get update)'
  deadline=$(($(date +%s) + lock_wait_s))
  until logged apt-get -q update; do
    # Unlike installing, updating does not wait for another apt by itself.
    tail -n 5 "$log" | grep -q 'Could not get lock' && [ "$(date +%s)" -lt $deadline ] ||
      fail_with_log 'apt-get update failed: is this machine offline, or its apt set up?'
    say 'another apt is at work; waiting for it'
    sleep 5
  done
  # apt calls an unreachable archive a warning.
  # shellcheck disable=SC2086
  logged apt-get -qq --no-install-recommends --simulate install $missing ||
    fail_with_log 'the package lists do not have them: is this machine offline, or its apt set up?'
}

# apt DOING ARGUMENT...: apt-get install with the arguments, showing every tenth percent.
apt() {
  doing=$1
  shift
  {
    apt-get -q -y --no-install-recommends -o "DPkg::Lock::Timeout=$lock_wait_s" \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
      -o APT::Status-Fd=3 install "$@" 3>&1 >>"$log" 2>&1 </dev/null 8>&-
    echo "exit:$?"
  } | show_progress
}

# Reads apt's status lines (dlstatus:ITEM:PERCENT:TEXT, pmstatus:PACKAGE:PERCENT:TEXT); its own exit
# status is that of apt-get.
show_progress() {
  shown=-1
  result=1
  while IFS=: read -r kind value percent _; do
    case $kind in
      exit) result=$value ;;
      dlstatus | pmstatus)
        tenth=${percent%%.*}
        tenth=$((${tenth:-0} / 10))
        [ $tenth -eq $shown ] || say "$doing: $((tenth * 10)) %"
        shown=$tenth
        ;;
      *) ;;
    esac
  done
  return "$result"
}

logged() { "$@" >>"$log" 2>&1 </dev/null 8>&-; }

fail_with_log() {
  tail -n 8 "$log" | sed 's/^/  /' >&2
  fail "$1 The whole story is in $log"
}

confirm() {
  find_missing
  [ -z "$missing" ] || fail "installed, and still not to be found:
$reasons"
  say 'everything needed is installed'
}
