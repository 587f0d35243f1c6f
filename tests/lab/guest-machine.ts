// One virtual machine of the small guest on plain QEMU under TCG, without libvirt or Troupe.
//
// M1  QEMU dies with the test process, also when that is killed (parent-death signal).
// M2  Everything is in one folder whose name carries the test's pid; sweep() removes the folders
//     that dead processes left.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PREFIX = 'troupe-guest-test-';
const OVMF = '/usr/share/OVMF';

/** What goes on the config drive: the files of /openstack/latest by name. */
export type DriveFiles = Readonly<Record<string, string>>;

export type MachineOptions = Readonly<{
  type: 'pc' | 'q35';
  firmware: 'bios' | 'uefi' | 'secure-boot';
  /** The image the machine's own disk is an overlay of, and that disk's size, as qemu-img takes it. */
  image: string;
  diskSize?: string;
  /** No drive when absent. */
  drive?: DriveFiles;
  /** The first interface's MAC address: QEMU's user network, with DHCP and the internet's absence. */
  mac: string;
  /** MAC address of a second interface, on a wire where nobody answers. */
  silentMac?: string;
}>;

/** Makes this process's folder, after removing those of processes that are gone. */
export function makeFolder(): string {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = name.slice(PREFIX.length).split('-')[0] ?? '';
    if (!existsSync(`/proc/${pid}`)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  return mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/** Waits for `probe` to return something; `what` names it in the error after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`no ${what} within ${timeoutMs} ms`);
    await delay(50);
  }
}

export class Machine {
  readonly #folder: string;
  readonly #qemu: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(folder: string, qemu: ChildProcess) {
    this.#folder = folder;
    this.#qemu = qemu;
    this.#exited = once(qemu, 'exit');
  }

  /** Starts the machine in a folder below `parent`. The caller calls kill() in the end. */
  static async start(parent: string, name: string, options: MachineOptions): Promise<Machine> {
    const folder = join(parent, name);
    mkdirSync(folder);
    const size = options.diskSize === undefined ? [] : [options.diskSize];
    const overlay = ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', options.image];
    await run('qemu-img', [...overlay, join(folder, 'disk.qcow2'), ...size]);
    if (options.drive !== undefined) await writeDrive(folder, options.drive);
    const qemu = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...argumentsFor(folder, options)],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    return new Machine(folder, qemu);
  }

  /** All that the guest wrote to its serial console. */
  console(): string {
    const path = join(this.#folder, 'console.log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Waits until the console shows `pattern`, `times` times; fails with the console's end. */
  async shows(pattern: RegExp, times = 1, timeoutMs = 60_000): Promise<void> {
    const all = new RegExp(pattern.source, 'g');
    try {
      await eventually(`${pattern} on the console`, timeoutMs, () => {
        if (this.#qemu.exitCode !== null) throw new Error('QEMU has ended');
        return (this.console().match(all)?.length ?? 0) >= times ? true : undefined;
      });
    } catch (error) {
      throw new Error(`${String(error)}; its end:\n${this.console().slice(-1500)}`, {
        cause: error,
      });
    }
  }

  /** Waits for QEMU to end by itself, as it does when the guest powers off. */
  async ends(timeoutMs = 30_000): Promise<void> {
    await eventually('end of QEMU', timeoutMs, () =>
      this.#qemu.exitCode === null ? undefined : true,
    );
  }

  /** One command of QEMU's monitor protocol. */
  monitor(execute: string, args: object = {}): Promise<unknown> {
    const hello = { execute: 'qmp_capabilities' };
    return converse(join(this.#folder, 'monitor'), [hello, { execute, arguments: args }]);
  }

  /** One command of the guest agent. */
  agent(execute: string, args: object = {}): Promise<unknown> {
    return converse(join(this.#folder, 'agent'), [{ execute, arguments: args }]);
  }

  /** Runs a command over ssh; the server's key must stay the one first seen. */
  async ssh(keyFile: string, command: string): Promise<string> {
    const text = await this.monitor('human-monitor-command', { 'command-line': 'info usernet' });
    const port = /HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)/.exec(String(text))?.[1] ?? '0';
    const options = [
      'BatchMode=yes',
      'ConnectTimeout=20',
      'IdentitiesOnly=yes',
      'StrictHostKeyChecking=accept-new',
      `UserKnownHostsFile=${join(this.#folder, 'known-hosts')}`,
    ].flatMap((option) => ['-o', option]);
    const target = ['-F', 'none', '-i', keyFile, '-p', port, 'root@127.0.0.1', command];
    return (await run('ssh', [...options, ...target])).stdout.trim();
  }

  async kill(): Promise<void> {
    if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null) return;
    this.#qemu.kill('SIGKILL');
    await this.#exited;
  }
}

async function writeDrive(folder: string, files: DriveFiles): Promise<void> {
  const latest = join(folder, 'drive/openstack/latest');
  mkdirSync(latest, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(latest, name), text);
  const label = ['-quiet', '-R', '-J', '-V', 'config-2'];
  await run('genisoimage', [...label, '-o', join(folder, 'drive.iso'), join(folder, 'drive')]);
}

type Option = [name: string, value: string];

function argumentsFor(folder: string, options: MachineOptions): string[] {
  const secure = options.firmware === 'secure-boot';
  const all: Option[] = [
    ['-machine', secure ? `${options.type},smm=on` : options.type],
    ['-accel', 'tcg'],
    ['-cpu', 'max'],
    ['-m', secure ? '512' : '256'],
    ['-display', 'none'],
    ['-vga', 'std'],
    ...firmware(folder, options.firmware),
    ['-drive', `if=none,id=root,file=${folder}/disk.qcow2,format=qcow2`],
    ['-device', 'virtio-blk-pci,drive=root,bootindex=1'],
    ...configDrive(folder, options.drive),
    ['-netdev', 'user,id=net0,hostfwd=tcp:127.0.0.1:0-:22'],
    ['-device', `virtio-net-pci,netdev=net0,mac=${options.mac},romfile=`],
    ...silentInterface(options.silentMac),
    ['-device', 'virtio-rng-pci'],
    ['-device', 'virtio-serial-pci'],
    ['-chardev', `socket,id=agent,path=${folder}/agent,server=on,wait=off`],
    ['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
    ['-serial', `file:${folder}/console.log`],
    ['-qmp', `unix:${folder}/monitor,server=on,wait=off`],
  ];
  return ['-nodefaults', ...all.flat()];
}

function configDrive(folder: string, files: DriveFiles | undefined): Option[] {
  if (files === undefined) return [];
  return [
    ['-drive', `if=none,id=drive,file=${folder}/drive.iso,format=raw,readonly=on`],
    ['-device', 'virtio-blk-pci,drive=drive'],
  ];
}

function silentInterface(mac: string | undefined): Option[] {
  if (mac === undefined) return [];
  // A socket nobody else is on.
  return [
    ['-netdev', 'socket,id=net1,listen=127.0.0.1:0'],
    ['-device', `virtio-net-pci,netdev=net1,mac=${mac},romfile=`],
  ];
}

function firmware(folder: string, kind: MachineOptions['firmware']): Option[] {
  if (kind === 'bios') return [];
  const [code, vars] =
    kind === 'uefi'
      ? ['OVMF_CODE_4M.fd', 'OVMF_VARS_4M.fd']
      : ['OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.ms.fd'];
  writeFileSync(join(folder, 'vars.fd'), readFileSync(join(OVMF, vars)));
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${OVMF}/${code}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${folder}/vars.fd`],
  ];
}

/** Sends the commands over the socket and returns the last one's result. */
async function converse(path: string, commands: readonly object[]): Promise<unknown> {
  const socket = createConnection(path);
  socket.setTimeout(20_000, () => socket.destroy());
  try {
    socket.write(commands.map((command) => `${JSON.stringify(command)}\n`).join(''));
    let answers = 0;
    for await (const line of createInterface({ input: socket })) {
      const reply: unknown = JSON.parse(line);
      if (typeof reply !== 'object' || reply === null) continue;
      if ('error' in reply) throw new Error(JSON.stringify(reply.error));
      if ('return' in reply && ++answers === commands.length) return reply.return;
    }
    throw new Error(`no answer on ${path}`);
  } finally {
    socket.destroy();
  }
}
