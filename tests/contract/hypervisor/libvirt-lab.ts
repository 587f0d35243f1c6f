// A machine with a libvirtd of its own and the real driver on it.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DomainSpec } from '../../../actors/instance/ports.ts';
import { systemClock } from '../../../actors/kernel/clock.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import { LibvirtHypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import type { LibvirtHypervisorOptions } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { Ledger } from '../../../src/drivers/ledger.ts';
import { startLibvirtd, type TestLibvirtd } from '../../support/libvirtd.ts';
import { bootSectorDisk } from './boot-sector.ts';
import { countOf, until, type HypervisorLab } from './lab.ts';

const PREFIX = 'troupe-hyp-';
/** Below what Linux gives to outgoing connections, so that those cannot clash. */
const PORTS = { first: 24_000, last: 29_999 };
const run = promisify(execFile);

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class LibvirtLab implements HypervisorLab {
  readonly ports = PORTS;
  readonly libvirtd: TestLibvirtd;
  readonly folder: string;
  readonly lines: LogLine[] = [];
  readonly #change: Partial<LibvirtHypervisorOptions>;
  #ledger: Ledger;
  #hypervisor: LibvirtHypervisor;

  private constructor(
    libvirtd: TestLibvirtd,
    folder: string,
    change: Partial<LibvirtHypervisorOptions>,
  ) {
    this.libvirtd = libvirtd;
    this.folder = folder;
    this.#change = change;
    this.#ledger = new Ledger(join(folder, 'ledger.db'));
    this.#hypervisor = this.newDaemon();
  }

  static async open(change: Partial<LibvirtHypervisorOptions> = {}): Promise<LibvirtLab> {
    sweep();
    const libvirtd = await startLibvirtd();
    const folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
    await mkdir(join(folder, 'instances'));
    await writeFile(join(folder, 'guest.raw'), bootSectorDisk());
    const lab = new LibvirtLab(libvirtd, folder, change);
    await lab.hypervisor.start();
    return lab;
  }

  get hypervisor(): LibvirtHypervisor {
    return this.#hypervisor;
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Another driver on the same libvirt and ledger, not started. */
  newDaemon(change: Partial<LibvirtHypervisorOptions> = {}): LibvirtHypervisor {
    const log: Log = (level, message, fields = {}) => this.lines.push({ level, message, fields });
    return new LibvirtHypervisor({
      socketPath: this.libvirtd.socketPath,
      ledger: this.#ledger,
      log,
      clock: systemClock,
      random: Math.random,
      instancesDir: join(this.folder, 'instances'),
      probed: { accelerator: 'tcg', cpuModel: 'qemu64', warning: null, qemuVersion: '' },
      consoleListen: '127.0.0.1',
      vdiListen: '127.0.0.1',
      portRange: PORTS,
      hostTag: 'conformance',
      runDir: join(this.libvirtd.directory, 'run'),
      ...this.#change,
      ...change,
    });
  }

  async newSpec(change: Partial<DomainSpec> = {}): Promise<DomainSpec> {
    const instanceId = randomUUID();
    const path = join(this.folder, `${instanceId}.qcow2`);
    const base = join(this.folder, 'guest.raw');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', path]);
    const device = 'vda';
    return {
      instanceId,
      name: 'conformance <&"\'> \u{1f42b}',
      namespace: 'lab',
      cpus: 1,
      memoryMiB: 48,
      uefi: false,
      secureBoot: false,
      disks: [{ device, path, format: 'qcow2', media: 'disk', bus: 'virtio', readonly: false }],
      nics: [],
      sideChannels: ['sf-agent'],
      video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'vnc' },
      power: 'on',
      powerOns: 1,
      hardReboots: 0,
      softReboots: 0,
      ...change,
    };
  }

  async guestPowersOff(instanceId: string): Promise<void> {
    await this.type(instanceId, 'q', 'power off');
  }

  /** The instance's console ports, as recorded; also while it is off. */
  portsOf(instanceId: string): { readonly consolePort: number; readonly vdiPort: number } {
    const detail = this.#ledger.get('domain', `troupe-${instanceId}`)?.detail;
    return {
      consolePort: Number(detail?.['consolePort']),
      vdiPort: Number(detail?.['vdiPort']),
    };
  }

  /** The process of the instance's QEMU. */
  pidOf(instanceId: string): number {
    const [pid] = qemuPids(`guest=troupe-${instanceId}`);
    if (pid === undefined) throw new Error(`no QEMU of ${instanceId} runs`);
    return pid;
  }

  /** Types on the serial console, through its TCP port, and waits for the guest to print `answer` once more. */
  async type(instanceId: string, text: string, answer: string): Promise<void> {
    const log = join(this.folder, 'instances', instanceId, 'console.log');
    const answers = () => countOf(readFileSync(log, 'latin1'), answer);
    const before = answers();
    const socket = connect(this.portsOf(instanceId).consolePort, '127.0.0.1');
    socket.resume();
    await once(socket, 'connect');
    socket.write(text);
    await until(`the guest to print ${answer}`, () => answers() > before);
    socket.destroy();
  }

  async killQEMU(instanceId: string): Promise<void> {
    process.kill(this.pidOf(instanceId), 'SIGKILL');
    const guest = `guest=troupe-${instanceId}`;
    await until('QEMU to be gone', () => qemuPids(guest).length === 0);
  }

  /** Where libvirt keeps the status of running domains. */
  get statusDir(): string {
    return join(this.libvirtd.directory, 'run/qemu');
  }

  /** Waits until nobody listens at libvirtd's socket, after a crash(). */
  async libvirtGone(): Promise<void> {
    const answers = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(this.libvirtd.socketPath, () => resolve(true));
        socket.once('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    await until('libvirtd to be gone', async () => !(await answers()));
  }

  async loseControl(): Promise<void> {
    this.libvirtd.crash({ hold: true });
    await until('the driver to notice', async () =>
      this.hypervisor.domains().then(
        () => false,
        () => true,
      ),
    );
  }

  async returnControl(): Promise<void> {
    this.libvirtd.resume();
    await until('libvirt to be back', async () =>
      this.hypervisor.domains().then(
        () => true,
        () => false,
      ),
    );
  }

  async restartDaemon(): Promise<void> {
    await this.#hypervisor.close();
    this.#ledger.close();
    this.#ledger = new Ledger(join(this.folder, 'ledger.db'));
    this.#hypervisor = this.newDaemon();
    await this.#hypervisor.start();
  }

  async rebootHost(): Promise<void> {
    await this.#hypervisor.close();
    this.libvirtd.crash({ hold: true });
    for (const pid of qemuPids(this.folder)) process.kill(pid, 'SIGKILL');
    await until('all QEMUs to be gone', () => qemuPids(this.folder).length === 0);
    // What a real /run loses with the machine.
    for (const name of ['qemu', 'libvirtd.pid', 'guests-boot-id']) {
      rmSync(join(this.libvirtd.directory, 'run', name), { recursive: true, force: true });
    }
    this.libvirtd.resume();
    await this.restartDaemon();
  }

  async breakDisk(spec: DomainSpec, broken: boolean): Promise<void> {
    const path = spec.disks[0]?.path ?? '';
    if (broken) await rename(path, `${path}.away`);
    else await rename(`${path}.away`, path);
  }

  copyPath(name: string): string {
    return join(this.folder, `copy-${name}.qcow2`);
  }

  hasCopy(path: string): boolean {
    return existsSync(path);
  }

  ledgerOf(instanceId: string): readonly string[] {
    const owner = `instance/${instanceId}`;
    return this.#ledger.list({ owner }).map(({ resource, name }) => `${resource} ${name}`);
  }

  async close(): Promise<void> {
    await this.#hypervisor.close();
    this.#ledger.close();
    await this.libvirtd.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Every QEMU with this text among its words, in this PID namespace. */
export function qemuPids(argument: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const words = readQuietly(`/proc/${pid}/cmdline`);
      return words.startsWith('/usr/bin/qemu-system') && words.includes(argument);
    })
    .map(Number);
}

/** Empty when the process is gone. */
function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** What killed tests left behind. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    }
  }
}
