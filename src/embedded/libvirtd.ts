// The embedded libvirtd: one for this data directory, beside the machine's own, which it does not see.
//
// M1  It runs in a mount namespace where /etc, /run and /var/{lib,log,cache}/libvirt are directories
//     of ours. Mounts of the host still come in (slave), none goes out. Each start makes such a
//     namespace anew over the same directories, so a new libvirtd finds the QEMUs of the last one.
// M2  QEMUs outlive libvirtd and the daemon. A reaper stands above them: where pid 1 is slow to reap
//     or does not, a killed QEMU would stay a zombie, and libvirt waits 15 s for it to go.
// M3  No default network, no cgroup, no D-Bus: it makes nothing on the host but what we ask for.
// M4  Its processes are known by their mount namespace, whatever they are called (owned-process.ts).
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../actors/kernel/ports.ts';
import { removeStillborn } from '../drivers/hypervisor/stillborn.ts';
import { connectLibvirt } from '../drivers/libvirt/client.ts';
import { consoleTlsDirectory, libvirtdSettings, qemuSettings } from './libvirtd-settings.ts';
import { processesInNamespacesOf } from './owned-process.ts';
import { endProcess } from './process-identity.ts';
import { startService, type Service } from './service.ts';

export interface EmbeddedLibvirtdOptions {
  readonly dataDirectory: string;
  /** Claimed with claimRunDirectory(); the socket and the state of running domains are below it. */
  readonly runDirectory: string;
  readonly logDirectory: string;
  /** Default 60 s: a fresh libvirtd asks every QEMU for what it can do. */
  readonly readyTimeoutMs?: number;
}

export interface EmbeddedLibvirtd extends Service {
  /** The read-write socket, for connectLibvirt() and `virsh -c qemu+unix:///system?socket=PATH`. */
  readonly socketPath: string;
  /** Ends the virtual machines that run without a libvirtd: SIGTERM, on which QEMU closes its images. */
  endDomains(): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const QEMU_STOP_TIMEOUT_MS = 10_000;

/** Starts or adopts the libvirtd of the data directory. Errors: those of startService(). */
export async function startLibvirtd(
  options: EmbeddedLibvirtdOptions,
  log: Log,
): Promise<EmbeddedLibvirtd> {
  const state = join(options.dataDirectory, 'libvirt');
  const run = join(options.runDirectory, 'libvirt');
  const socketPath = join(run, 'libvirt-sock');
  const service = await startService(
    {
      ...options,
      name: 'libvirtd',
      command: () => ['libvirtd', '--pid-file', '/run/libvirt/libvirtd.pid'],
      within: [...OWN_MOUNTS, 'mounts', state, run, 'perl', '-e', REAPER, '--'],
      prepare: async () => {
        if (processesInNamespacesOf(options.dataDirectory).length === 0) await tidy(state);
        await writeSettings(options.dataDirectory, state, run);
        // A libvirtd killed in the middle of a start leaves a record that would lock that domain for ever.
        for (const domain of await removeStillborn(join(run, 'qemu')))
          log('warn', 'a start that was cut off is forgotten', { domain });
      },
      ready: (signal) => checkAnswers(socketPath, signal),
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      stopTimeoutMs: STOP_TIMEOUT_MS,
    },
    log,
  );
  return {
    get pid() {
      return service.pid;
    },
    get isAdopted() {
      return service.isAdopted;
    },
    socketPath,
    stop: () => service.stop(),
    async endDomains() {
      const left = processesInNamespacesOf(options.dataDirectory);
      await Promise.all(left.map((process) => endProcess(process, QEMU_STOP_TIMEOUT_MS)));
    },
    release: () => service.release(),
  };
}

// Arguments: the state directory, the run directory, the program to become. D-Bus is hidden: over it
// libvirt would register our machines with the host's systemd-machined and ask its firewalld. In
// /var/lock libvirt locks consoles, and a killed one leaves those behind.
const MOUNTS = `set -eu
state=$1 run=$2; shift 2
mkdir -p /run/libvirt /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind "$run" /run/libvirt
mount --bind "$state/etc" /etc/libvirt
for part in lib log cache; do mount --bind "$state/$part" "/var/$part/libvirt"; done
if [ -d /var/lock ]; then mount --bind "$state/lock" /var/lock; fi
if [ -d /run/dbus ]; then mount -t tmpfs -o size=4k none /run/dbus; fi
exec "$@"
`;
const OWN_MOUNTS = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', MOUNTS];

// 36 is PR_SET_CHILD_SUBREAPER. It ends when libvirtd and every QEMU below it have ended, with
// libvirtd's exit code. Perl, because Debian always has it and no shell can call prctl.
const REAPER = `
use POSIX ();
my $prctl = (POSIX::uname())[4] eq "aarch64" ? 167 : 157;
syscall($prctl, 36, 1, 0, 0, 0);
my $service = fork() // die "fork: $!";
if (!$service) { exec { $ARGV[0] } @ARGV; POSIX::_exit(127) }
my $code = 0;
while ((my $pid = waitpid(-1, 0)) > 0) { $code = $? >> 8 if $pid == $service }
exit $code;
`;

/** What libvirt leaves behind of machines that ended without it, as at a power cut: sockets and keys. */
async function tidy(state: string): Promise<void> {
  const stale = join(state, 'lib/qemu');
  const names = await readdir(stale).catch(() => []);
  for (const name of names.filter((each) => each.startsWith('domain-')))
    await rm(join(stale, name), { recursive: true, force: true });
  for (const path of [join(stale, 'channel/target'), join(state, 'lock')])
    await rm(path, { recursive: true, force: true });
}

async function writeSettings(dataDirectory: string, state: string, run: string): Promise<void> {
  for (const part of ['etc', 'lib', 'log', 'cache', 'lock'])
    await mkdir(join(state, part), { recursive: true, mode: 0o700 });
  await mkdir(run, { recursive: true, mode: 0o700 });
  // A libvirtd whose settings name a folder that is not there has no QEMU driver; what is in it comes later.
  await mkdir(consoleTlsDirectory(dataDirectory), { recursive: true, mode: 0o700 });
  await writeFile(join(state, 'etc/libvirtd.conf'), libvirtdSettings(await hostUUID(state)));
  await writeFile(join(state, 'etc/qemu.conf'), qemuSettings(dataDirectory));
}

/** Made once for the data directory. */
async function hostUUID(state: string): Promise<string> {
  const path = join(state, 'host-uuid');
  try {
    await writeFile(path, randomUUID(), { flag: 'wx' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  return (await readFile(path, 'utf8')).trim();
}

/** Listening is not answering: libvirtd takes connections long before its drivers are ready. */
async function checkAnswers(socketPath: string, signal: AbortSignal): Promise<void> {
  const libvirt = await connectLibvirt({ socketPath, signal });
  await libvirt.close();
}
