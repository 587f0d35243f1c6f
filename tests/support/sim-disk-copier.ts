// A simulated DiskCopier of one daemon, on a simulated machine: what it makes are names.
import { TroupeError } from '../../actors/kernel/errors.ts';
import type { Clock } from '../../actors/kernel/clock.ts';
import { DiskCopying, type DiskCopier } from '../../actors/node/disk-copying.ts';
import type { Hypervisor } from '../../actors/instance/ports.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { Slots, Turns } from '../../src/drivers/turns.ts';
import type { SimMachine } from './sim-machine.ts';

const MIB = 2 ** 20;

export class SimDiskCopier implements DiskCopier {
  readonly #machine: SimMachine;
  readonly #clock: Clock;
  readonly #isAlive: () => boolean;

  constructor(machine: SimMachine, clock: Clock, isAlive: () => boolean) {
    this.#machine = machine;
    this.#clock = clock;
    this.#isAlive = isAlive;
  }

  async staged<T>(
    { instanceId, blobIds }: { readonly instanceId: string; readonly blobIds: readonly string[] },
    signal: AbortSignal,
    work: (paths: readonly string[], signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { copied } = this.#machine.hypervisor;
    const paths = blobIds.map((blobId) => `/instances/${instanceId}/.copy-${blobId}`);
    const clear = () => paths.forEach((path) => copied.delete(path));
    clear();
    try {
      return await work(paths, signal);
    } finally {
      if (this.#isAlive()) clear();
    }
  }

  async copyDisk({ instanceId, device }: { instanceId: string; device: string }, path: string) {
    await this.#act('copyDisk', instanceId);
    if (!this.#machine.images.disks.has(`${instanceId}/${device}`)) {
      throw new TroupeError('host/tool-failed', `cp: there is no disk ${device}`);
    }
    this.#machine.hypervisor.copied.add(path);
  }

  async sizeOf() {
    return MIB;
  }

  async measure(path: string) {
    await this.#act('measure', path);
    return MIB;
  }

  async flatten(path: string, blobId: string) {
    await this.#act('flatten', blobId);
    this.#spool(path, blobId, 'qcow2');
  }

  async thin(path: string, baseBlobId: string, blobId: string) {
    await this.#act('thin', blobId);
    if (!this.#machine.images.replicas.has(baseBlobId)) {
      throw new TroupeError('image/missing', `blob ${baseBlobId} has no replica here`);
    }
    this.#spool(path, blobId, 'qcow2');
  }

  async keep(path: string, blobId: string) {
    await this.#act('keep', blobId);
    this.#spool(path, blobId, 'raw');
  }

  #spool(path: string, blobId: string, format: 'qcow2' | 'raw'): void {
    const { images, hypervisor } = this.#machine;
    if (!hypervisor.copied.has(path)) throw new TroupeError('host/tool-failed', `no ${path}`);
    images.spooled.set(blobId, { sizeBytes: MIB, virtualSizeBytes: MIB, format });
  }

  async #act(call: string, id: string): Promise<void> {
    const { calls, fault, stepMs, images } = this.#machine;
    calls.push(`image.${call}`);
    const failure = fault(`image.${call}`, id);
    if (failure !== null) throw failure;
    await new Promise<void>((resolve) => this.#clock.after(stepMs, resolve));
    if (!this.#isAlive()) return await new Promise<never>(() => {});
    if (images.isDiskFull) throw new TroupeError('host/disk-full', 'no space is left on the disk');
  }
}

/** The copying of one daemon. */
export function simDiskCopying(
  { machine, clock, log }: { machine: SimMachine; clock: Clock; log: Log },
  hypervisor: Pick<Hypervisor, 'copyDisks'>,
  isAlive: () => boolean,
): DiskCopying {
  const [turns, slots] = [new Turns(), new Slots(2)];
  return new DiskCopying({
    copier: new SimDiskCopier(machine, clock, isAlive),
    hypervisor,
    spool: { remove: async (id) => void machine.images.spooled.delete(id) },
    queues: { turn: (key, work) => turns.run(key, work), slot: (work) => slots.run(work) },
    clock,
    log,
  });
}
