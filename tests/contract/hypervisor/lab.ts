// What the conformance suite needs of a machine with a hypervisor on it, real or simulated.
import type {
  DiskCopies,
  DomainReport,
  DomainSpec,
  Hypervisor,
} from '../../../actors/instance/ports.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';

/** Guests print `guest ready` at each boot and `power button` when it is pressed; then they power off. */
export interface HypervisorLab {
  /** The daemon's driver; another object after restartDaemon(). */
  readonly hypervisor: Hypervisor;
  readonly ports: { readonly first: number; readonly last: number };
  /** A fresh instance whose disk is there. Powered on once, unless told. */
  newSpec(change?: Partial<DomainSpec>): Promise<DomainSpec>;
  /** The guest switches itself off. */
  guestPowersOff(instanceId: string): Promise<void>;
  /** QEMU dies, as by the kernel's out-of-memory killer. */
  killQEMU(instanceId: string): Promise<void>;
  /** libvirt does not answer until returnControl(); guests run on. */
  loseControl(): Promise<void>;
  returnControl(): Promise<void>;
  /** The daemon stops and starts again, with the same ledger. */
  restartDaemon(): Promise<void>;
  /** Everything that runs is gone, daemon and libvirt start again, with the same ledger. */
  rebootHost(): Promise<void>;
  /** Makes the instance's first disk unusable, or well again. */
  breakDisk(spec: DomainSpec, broken: boolean): Promise<void>;
  /** A path where a copy of a disk may be made, and whether one is there. */
  copyPath(name: string): string;
  hasCopy(path: string): boolean;
  /** What the ledger keeps of the instance, as names; empty when nothing. */
  ledgerOf(instanceId: string): readonly string[];
  close(): Promise<void>;
}

const DEADLINE_MS = 60_000;

/** A wish for one instance, as its actor would send it. */
export function wantedBy(
  instanceId: string,
  generation = 1,
  signal = new AbortController().signal,
): WantedBy {
  return {
    owner: { kind: 'instance', id: instanceId },
    epoch: 1,
    generation,
    trace: 'conformance',
    signal,
  };
}

/** A wish for copies of an instance's disks. */
export function copiesOf(
  instanceId: string,
  paths: Readonly<Record<string, string>>,
  change: Partial<DiskCopies> = {},
): DiskCopies {
  return {
    instanceId,
    disks: Object.entries(paths).map(([device, path]) => ({ device, path })),
    nvram: null,
    whileOff: () => Promise.reject(new Error('it is not off')),
    onProgress: () => undefined,
    owner: 'disksnapshot/one',
    trace: 'conformance',
    signal: new AbortController().signal,
    ...change,
  };
}

/** Waits until the condition holds; fails with `what` when it does not in time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = DEADLINE_MS,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How often the guest has booted, by its console. */
export async function boots(lab: HypervisorLab, instanceId: string): Promise<number> {
  return countOf(await consoleText(lab, instanceId), 'guest ready');
}

export async function consoleText(lab: HypervisorLab, instanceId: string): Promise<string> {
  return Buffer.from(await lab.hypervisor.readConsole(instanceId, -1)).toString('latin1');
}

export function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Collects what onChange tells, from now on. */
export class Changes {
  readonly seen: { readonly instanceId: string; readonly report: DomainReport }[] = [];
  readonly stop: () => void;

  constructor(hypervisor: Hypervisor) {
    this.stop = hypervisor.onChange((instanceId, report) => this.seen.push({ instanceId, report }));
  }

  /** Waits for a report of this instance that fits. */
  async next(
    instanceId: string,
    fits: (report: DomainReport) => boolean = () => true,
  ): Promise<DomainReport> {
    const find = () => this.seen.find((one) => one.instanceId === instanceId && fits(one.report));
    await until(`a fitting report of ${instanceId}`, () => find() !== undefined);
    const found = find();
    if (found === undefined) throw new Error('it was there a moment ago');
    return found.report;
  }
}
