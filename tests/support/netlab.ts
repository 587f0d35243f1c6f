// A network of machines on one kernel, for tests of the dataplane: hosts, guests and an outside world as namespaces.
//
// A1  Everything happens in network, mount and PID namespaces of the test's own: nothing is visible on the machine, and
//     all of it, dnsmasq included, dies with the test process however that ends.
// A2  A host is a namespace that the driver's programs are run in; a guest is a namespace behind a real tap.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { exec, type Exec } from '../../src/drivers/exec.ts';

const DIRECTORY = 'TROUPE_NETLAB';
const PREFIX = 'troupe-netlab-';
const ECHO = fileURLToPath(new URL('./netlab-echo.ts', import.meta.url));
const RELAY = fileURLToPath(new URL('./netlab-guest.pl', import.meta.url));

/** Runs the test file again inside namespaces of its own; returns only in there. */
export function enterLab(testFile: string): void {
  if (labDirectory === '') process.exit(runInside(fileURLToPath(testFile)));
  // ip keeps namespaces in /run/netns; what the machine has there is not ours to see.
  for (const command of ['mount -t tmpfs lab /run', 'mkdir /run/netns', 'ip link set lo up']) {
    const [program = '', ...args] = command.split(' ');
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command}: ${stderr}`);
  }
}

/** Directory for this test's files, open to dnsmasq's user; removed by the process outside. */
export const labDirectory = process.env[DIRECTORY] ?? '';

function runInside(testFile: string): number {
  sweep();
  const directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  chmodSync(directory, 0o755);
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const command = ['--pdeathsig', 'KILL', '--', 'unshare', ...namespaces, process.execPath];
  const { status } = spawnSync('setpriv', [...command, testFile], {
    stdio: 'inherit',
    env: { ...process.env, [DIRECTORY]: directory },
  });
  rmSync(directory, { recursive: true, force: true });
  return status ?? 1;
}

/** Removes the directories of tests that were killed. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length).split('-')[0] ?? '';
    if (!existsSync(`/proc/${pid}`)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

export interface LabGuest {
  readonly namespace: string;
  /** Brings eth0 up with this MAC. */
  start(mac: string): Promise<void>;
  /** Runs a program in the guest; its standard output. Throws when it fails. */
  run(command: string): Promise<string>;
  /** Same, but tells whether it succeeded. */
  can(command: string): Promise<boolean>;
  /** One run of a DHCP client; the variables it was given, or null when nobody answered. */
  dhcp(): Promise<Readonly<Record<string, string>> | null>;
  /** Unplugs the card. */
  stop(): Promise<void>;
}

/** Runs programs as if on that host. */
export function execOn(host: string): Exec {
  return (program, args, options) =>
    exec('nsenter', [`--net=/run/netns/${host}`, '--', program, ...args], options);
}

/** Runs a command, split at blanks, in a namespace (null: the lab's own); returns its standard output. */
export async function run(namespace: string | null, command: string): Promise<string> {
  const words = command.split(' ');
  const inside =
    namespace === null ? words : ['nsenter', `--net=/run/netns/${namespace}`, '--', ...words];
  const [program = '', ...args] = inside;
  return (await exec(program, args, { trace: 'lab', timeoutMs: 20_000 })).stdout;
}

export async function can(namespace: string | null, command: string): Promise<boolean> {
  return run(namespace, command).then(
    () => true,
    () => false,
  );
}

/** Makes a namespace with an address on the lab's underlay bridge; returns its name. */
export async function makeHost(name: string, address: string, mtu = 1500): Promise<string> {
  if (!(await can(null, 'ip link show dev underlay'))) {
    await run(null, 'ip link add underlay type bridge');
    await run(null, 'ip link set underlay mtu 9000 up');
  }
  await run(null, `ip netns add ${name}`);
  await run(
    null,
    `ip link add ${name} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${name}`,
  );
  await run(null, `ip link set ${name} master underlay up`);
  await run(name, 'ip link set lo up');
  await run(name, 'ip link set eth0 up');
  await run(name, `ip addr add ${address} dev eth0`);
  // A new namespace has the machine's setting, whatever that is.
  await run(name, 'busybox sysctl -q -w net.ipv4.ip_forward=0');
  return name;
}

/** Plugs a namespace's eth0 into a host's tap. */
export async function plugGuest(host: string, tap: string, namespace: string): Promise<LabGuest> {
  if (!existsSync(`/run/netns/${namespace}`)) await run(null, `ip netns add ${namespace}`);
  const relay = spawn(
    'nsenter',
    [`--net=/run/netns/${host}`, '--', 'perl', RELAY, tap, namespace],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  relay.unref();
  await until(`eth0 in ${namespace}`, () => can(namespace, 'ip link show dev eth0'));
  return guest(namespace, relay);
}

/** A server that tells each client its address, by TCP and UDP; ends with the lab. */
export async function serve(namespace: string, port: number): Promise<void> {
  const command = [process.execPath, ECHO, 'serve', String(port)];
  spawn('nsenter', [`--net=/run/netns/${namespace}`, '--', ...command], {
    stdio: 'ignore',
  }).unref();
  const listing = `ss -H -l -n -u -t sport = :${port}`;
  const listens = async () => (await run(namespace, listing)).split('\n').length > 2;
  await until(`port ${port} in ${namespace}`, listens);
}

/** As whom a server (serve) sees a client in a namespace; null when it cannot be reached. */
export async function seenAs(
  namespace: string,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string | null> {
  const command = `${process.execPath} ${ECHO} ask ${protocol} ${address} ${port}`;
  return run(namespace, command).catch(() => null);
}

/** Pings without pause until stopped, from the first answer on; tells what was sent and what came back. */
export async function pingSteadily(namespace: string, address: string) {
  const command = ['ping', '-n', '-i', '0.05', '-W', '1', address];
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, '--', ...command]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await until(`${address} answers`, () => output.includes('bytes from'));
  return async (): Promise<{ sent: number; received: number }> => {
    // On a busy machine what it is to outlast may be over before it has sent enough to say anything.
    await until(`${address} answers again`, () => output.split('bytes from').length > 4);
    child.kill('SIGINT');
    await exited;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
    return { sent: Number(sent), received: Number(received) };
  };
}

/** Waits for a condition; throws with `what` at the deadline. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await delay(20);
  }
}

function guest(namespace: string, relay: ChildProcess): LabGuest {
  const lease = join(labDirectory, `${namespace}.lease`);
  const script = join(labDirectory, `${namespace}.sh`);
  writeFileSync(script, DHCP_SCRIPT(lease), { mode: 0o755 });
  return {
    namespace,
    async start(mac) {
      await run(namespace, 'ip link set lo up');
      await run(namespace, `ip link set eth0 address ${mac} up`);
    },
    run: (command) => run(namespace, command),
    can: (command) => can(namespace, command),
    async dhcp() {
      rmSync(lease, { force: true });
      const client = `busybox udhcpc -i eth0 -s ${script} -f -q -n -t 2 -T 1 -O mtu -O search`;
      const got = await can(namespace, client);
      return got ? variables(readFileSync(lease, 'utf8')) : null;
    },
    async stop() {
      relay.kill('SIGKILL');
      await until(
        'the card is unplugged',
        () => relay.exitCode !== null || relay.signalCode !== null,
      );
    },
  };
}

/** Configures eth0 as the server says, and writes down what it said. */
const DHCP_SCRIPT = (lease: string) => `#!/bin/sh
case "$1" in bound|renew) ;; *) exit 0 ;; esac
env > ${lease}
ip addr flush dev $interface
ip link set dev $interface mtu $mtu
ip addr add $ip/$mask dev $interface
ip route replace default via $router
`;

function variables(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.includes('='));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}
