// A libvirtd of a test's own, beside the machine's and beside other tests'.
//
// D1  It runs in its own mount and PID namespaces, with its own /run, /etc, /var/lib, /var/log and
//     /var/cache/libvirt under one temporary directory; its socket is reachable by path from outside.
// D2  Nothing outlives the test, however the test ends: the outer process dies with the test
//     (parent-death signal), and with it the PID namespace, so libvirtd and every QEMU it started.
// D3  Directories that killed tests left behind are swept by the next start (the name has the pid).
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const PREFIX = 'troupe-libvirtd-';
const START_DEADLINE_MS = 30_000;
const PARTS = ['run', 'etc', 'var/lib', 'var/log', 'var/cache', 'lock'];

export interface TestLibvirtd {
  /** The read-write socket, for connectLibvirt() and for virsh. */
  readonly socketPath: string;
  readonly readonlySocketPath: string;
  /** The temporary directory; bind-mounted parts are below it (`run`, `var/log`, …). */
  readonly directory: string;
  /** Runs virsh (LC_ALL=C) against this libvirtd; returns what it printed, throws when it fails. */
  virsh(...words: string[]): string;
  /** Kills libvirtd with SIGKILL; its QEMUs live on. It comes back at once, or after resume(). */
  crash(options?: { hold?: boolean }): void;
  /** Lets a libvirtd that crash({ hold: true }) keeps down come back. */
  resume(): void;
  /** Ends libvirtd and all its QEMUs, and removes the directory. */
  stop(): Promise<void>;
}

/** Starts a private libvirtd and waits until its socket answers. `conf` goes over our libvirtd.conf. */
export async function startLibvirtd(
  options: { conf?: Readonly<Record<string, string>> } = {},
): Promise<TestLibvirtd> {
  sweep();
  const directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  for (const part of PARTS) mkdirSync(join(directory, part), { recursive: true });
  mkdirSync(join(directory, 'etc/console-tls'));
  writeFileSync(join(directory, 'etc/libvirtd.conf'), libvirtdConf(options.conf));
  writeFileSync(join(directory, 'etc/qemu.conf'), QEMU_CONF);
  writeFileSync(join(directory, 'init.sh'), initScript(directory));
  const child = spawn('setpriv', [...NAMESPACES, join(directory, 'init.sh')], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const socketPath = join(directory, 'run/libvirt-sock');
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    await removeDirectory(directory);
  };
  try {
    await untilAnswers(socketPath, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socketPath,
    readonlySocketPath: join(directory, 'run/libvirt-sock-ro'),
    directory,
    virsh: (...words) => virsh(socketPath, words),
    crash({ hold = false } = {}) {
      if (hold) writeFileSync(join(directory, 'hold'), '');
      process.kill(initPid(child), 'SIGUSR1');
    },
    resume: () => rmSync(join(directory, 'hold'), { force: true }),
    stop,
  };
}

// unshare's --kill-child ties the namespace's init to unshare; --pdeathsig ties unshare to the test.
const NAMESPACES =
  `--pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc sh`.split(' ');

const QEMU_CONF = `security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
user = "root"
group = "root"
spice_tls = 1
spice_tls_x509_cert_dir = "/etc/libvirt/console-tls"
`;

function libvirtdConf(conf: Readonly<Record<string, string>> = {}): string {
  const settings = {
    auth_unix_ro: 'none',
    auth_unix_rw: 'none',
    unix_sock_rw_perms: '0700',
    unix_sock_ro_perms: '0700',
    ...conf,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = "${value}"\n`);
  return lines.join('');
}

// /var/lock is its own because libvirt's lock on a console names a process id, which means somebody
// else in the next namespace. sh is the namespace's init so that the QEMUs that libvirt orphans are reaped: a zombie QEMU looks
// alive to libvirt's destroy, which would wait 15 s for it.
function initScript(directory: string): string {
  return `set -e
mkdir -p /run/libvirt /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind ${directory}/run /run/libvirt
mount --bind ${directory}/etc /etc/libvirt
mount --bind ${directory}/lock /var/lock
for part in lib log cache; do mount --bind ${directory}/var/$part /var/$part/libvirt; done
set +e
exec 2>>${directory}/init.out
trap 'kill -KILL $libvirtd' USR1
while :; do
  rm -f /run/libvirt/libvirtd.pid
  libvirtd --pid-file /run/libvirt/libvirtd.pid >>${directory}/libvirtd.out 2>&1 &
  libvirtd=$!
  while kill -0 $libvirtd 2>/dev/null; do wait $libvirtd; done
  while [ -e ${directory}/hold ]; do sleep 0.05; done
done
`;
}

async function untilAnswers(socketPath: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`libvirtd's namespace ended: ${child.exitCode}`);
    if (existsSync(socketPath) && (await answers(socketPath))) return;
    await delay(20);
  }
  throw new Error(`no libvirtd at ${socketPath} within ${START_DEADLINE_MS} ms`);
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function initPid(child: ChildProcess): number {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  const pid = Number(children.trim().split(' ')[0]);
  if (!(pid > 1)) throw new Error('the namespace of this libvirtd has no init any more');
  return pid;
}

function virsh(socketPath: string, words: string[]): string {
  const uri = `qemu+unix:///system?socket=${socketPath}`;
  return execFileSync('virsh', ['-q', '-c', uri, ...words], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    timeout: 30_000,
  });
}

function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}

/** The namespace's processes end shortly after their init: until then a file may still appear. */
async function removeDirectory(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}
