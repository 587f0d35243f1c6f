// Copying the disks of this machine's instances for snapshots: a run per snapshot, from the guest's disks to the spool.
//
// Z1  Asked again while it runs, it is the same run. After a failure, or in another daemon, it is begun anew: nobody has
//     been given anything of the one before.
// Z2  Runs for one instance follow each other; what takes the processor, compressing, is done for a few at a time.
// Z3  What was ended is not begun again by somebody who has not heard of it.
// Z4  What a run has spooled stays until it is a blob, or until `end` says that nobody wants it.
import type { DiskCopies, Hypervisor } from '../instance/ports.ts';
import type { Clock } from '../kernel/clock.ts';
import { codeOf, reasonOf, TroupeError } from '../kernel/errors.ts';
import type { Log } from '../kernel/ports.ts';
import { closed, received, nullable, oneOf, Type, type Static } from '../kernel/schema.ts';
import { progressMembers } from '../blob/state.ts';
import { progressMeter } from './progress.ts';
import { NVRAM, type SnapshotDisk } from '../disk-snapshot/devices.ts';

/** Makes files of disks; src/drivers/image implements it. */
export interface DiskCopier {
  /**
   * Gives `work` the paths of files that are not there, one for each blob, and removes them afterwards. Its signal aborts also
   * when the disk gets full. Errors: `host/disk-full`, whatever `work` throws.
   */
  staged<T>(
    where: { readonly instanceId: string; readonly blobIds: readonly string[] },
    signal: AbortSignal,
    work: (paths: readonly string[], signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /** As the disk is now: nothing may write to it meanwhile. */
  copyDisk(disk: Disk, path: string, request: PartRequest): Promise<void>;
  /** How many bytes copyDisk() has to copy, about. */
  sizeOf(disk: Disk): Promise<number>;
  /** How many bytes flatten() or thin() of this copy has to go through, about. */
  measure(path: string, request: Request): Promise<number>;
  /** Makes the spool's file of a copy of a disk: compressed, and based on nothing. */
  flatten(path: string, blobId: string, request: PartRequest): Promise<void>;
  /** The same of what differs from the blob, which has a replica on this machine. */
  thin(path: string, baseBlobId: string, blobId: string, request: PartRequest): Promise<void>;
  /** Puts a copy into the spool as it is. */
  keep(path: string, blobId: string): Promise<void>;
}

interface Request {
  readonly trace: string;
  readonly signal: AbortSignal;
}

interface Disk {
  readonly instanceId: string;
  readonly device: string;
}

interface PartRequest extends Request {
  /** Told how much of it is done, 0 to 1, now and then. */
  readonly onPart: (part: number) => void;
}

/** One run of each key at a time, and of all a few. */
export interface Queues {
  turn<T>(key: string, work: () => Promise<T>): Promise<T>;
  slot<T>(work: () => Promise<T>): Promise<T>;
}

export interface DiskCopyingOptions {
  readonly copier: DiskCopier;
  readonly hypervisor: Pick<Hypervisor, 'copyDisks'>;
  readonly spool: { remove(id: string): Promise<void> };
  readonly queues: Queues;
  readonly clock: Clock;
  readonly log: Log;
}

export interface CopyRequest {
  readonly snapshotId: string;
  readonly instanceId: string;
  readonly disks: readonly SnapshotDisk[];
}

/** How far it is. */
export const CopyProgress = closed({
  ...progressMembers,
  step: oneOf(['waiting', 'copying', 'compressing', 'done']),
  failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
});
export type CopyProgress = Static<typeof CopyProgress>;
export const decodeProgress = received('progress of a copy', CopyProgress);

interface Run {
  readonly abort: AbortController;
  progress: CopyProgress;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>;
}

type Meter = ReturnType<typeof progressMeter>;
type Staged = SnapshotDisk & { readonly path: string };

/** Under way or remembered. */
const MOST_RUNS = 1_000;
const KEPT_MS = 3_600_000;

export class DiskCopying {
  readonly #options: DiskCopyingOptions;
  readonly #runs = new Map<string, Run>();
  readonly #ended = new Set<string>();
  #isStopped = false;

  constructor(options: DiskCopyingOptions) {
    this.#options = options;
  }

  /** Begins it, unless it is begun; resolves when it has ended, or to how far it is after `waitMs`. */
  async run(request: CopyRequest, waitMs: number, trace: string): Promise<CopyProgress> {
    const { snapshotId } = request;
    const run = this.#runs.get(snapshotId) ?? this.#begin(request, trace);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(waitMs, () => resolve());
    await Promise.race([run.ended, promise]);
    timer.cancel();
    // Whoever hears of a failure decides whether there is another try.
    if (run.progress.failure !== null) this.#forget(snapshotId, run);
    return run.progress;
  }

  /** Nobody wants it any more, or it has become blobs: calls it off, and leaves nothing of it. */
  async end(snapshotId: string, blobIds: readonly string[]): Promise<void> {
    this.#ended.add(snapshotId);
    this.#options.clock.after(KEPT_MS, () => this.#ended.delete(snapshotId));
    const run = this.#runs.get(snapshotId);
    if (run === undefined) return await this.#remove(blobIds);
    run.abort.abort();
    this.#runs.delete(snapshotId);
    // It may stand in a queue behind another one that takes hours.
    void run.ended
      .then(() => this.#remove(blobIds))
      .catch((error: unknown) =>
        this.#options.log('warn', 'left in the spool until it is too old', { blobIds, error }),
      );
  }

  /** Calls everything off, and waits for it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const runs = [...this.#runs.values()];
    for (const { abort } of runs) abort.abort();
    await Promise.all(runs.map(({ ended }) => ended));
  }

  #begin(request: CopyRequest, trace: string): Run {
    if (this.#isStopped) throw new TroupeError('actor/stopped', 'this node is shutting down');
    if (this.#ended.has(request.snapshotId)) {
      throw new TroupeError('executor/stale-epoch', 'this snapshot was ended before');
    }
    if (this.#runs.size >= MOST_RUNS) {
      throw new TroupeError('actor/overloaded', 'this node copies too many disks already');
    }
    const { clock, queues } = this.#options;
    const abort = new AbortController();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const run: Run = { abort, progress: at('waiting'), ended };
    this.#runs.set(request.snapshotId, run);
    void queues
      .turn(request.instanceId, () => this.#copy(request, run, trace))
      .then(
        () => (run.progress = at('done')),
        (error: unknown) => {
          const failure = { code: codeOf(error), reason: reasonOf(error) };
          run.progress = { ...run.progress, failure };
        },
      )
      .then(() => {
        clock.after(KEPT_MS, () => this.#forget(request.snapshotId, run));
        end();
      });
    return run;
  }

  async #copy(request: CopyRequest, run: Run, trace: string): Promise<void> {
    const { copier, hypervisor, queues } = this.#options;
    const { instanceId, snapshotId, disks } = request;
    const blobIds = disks.map(({ blobId }) => blobId);
    const meter = this.#meterOf(run);
    await copier.staged({ instanceId, blobIds }, run.abort.signal, async (paths, signal) => {
      const files = disks.map((disk, index) => ({ ...disk, path: paths[index] ?? '' }));
      const wanted = { trace, signal };
      const real = files.filter(({ device }) => device !== NVRAM);
      const copies: DiskCopies = {
        instanceId,
        owner: `disksnapshot/${snapshotId}`,
        disks: real.map(({ device, path }) => ({ device, path })),
        nvram: files.find(({ device }) => device === NVRAM)?.path ?? null,
        whileOff: () => this.#copyOff(instanceId, real, wanted, meter),
        onProgress: (doneBytes, totalBytes) => meter({ step: 'copying', doneBytes, totalBytes }),
        ...wanted,
      };
      run.progress = at('copying');
      requireWanted(signal);
      await hypervisor.copyDisks(copies);
      await queues.slot(() => this.#compress(files, wanted, meter));
    });
  }

  /** Takes in how far it is; what is worth telling is the run's from then on. */
  #meterOf(run: Run): Meter {
    return progressMeter(this.#options.clock, (progress) => {
      const step = progress.step === 'copying' ? 'copying' : 'compressing';
      run.progress = { ...progress, step, failure: null };
    });
  }

  /** Of a guest that is off. */
  async #copyOff(
    instanceId: string,
    files: readonly Staged[],
    wanted: Request,
    meter: Meter,
  ): Promise<void> {
    const { copier } = this.#options;
    const sizeOf = ({ device }: Staged) => copier.sizeOf({ instanceId, device });
    const sizes = await inTurn(files, wanted.signal, sizeOf);
    const partOf = metered(sizes, (measured) => meter({ step: 'copying', ...measured }));
    await inTurn(files, wanted.signal, ({ device, path }, index) =>
      copier.copyDisk({ instanceId, device }, path, { ...wanted, onPart: partOf(index) }),
    );
  }

  async #compress(files: readonly Staged[], wanted: Request, meter: Meter): Promise<void> {
    const { copier } = this.#options;
    const measure = ({ device, path }: Staged) =>
      device === NVRAM ? Promise.resolve(0) : copier.measure(path, wanted);
    const sizes = await inTurn(files, wanted.signal, measure);
    const partOf = metered(sizes, (measured) => meter({ step: 'compressing', ...measured }));
    await inTurn(files, wanted.signal, ({ device, path, blobId, baseBlobId }, index) => {
      const request = { ...wanted, onPart: partOf(index) };
      request.onPart(0);
      if (device === NVRAM) return copier.keep(path, blobId);
      if (baseBlobId === undefined) return copier.flatten(path, blobId, request);
      return copier.thin(path, baseBlobId, blobId, request);
    });
  }

  async #remove(blobIds: readonly string[]): Promise<void> {
    for (const blobId of blobIds) await this.#options.spool.remove(blobId);
  }

  #forget(snapshotId: string, run: Run): void {
    if (this.#runs.get(snapshotId) === run) this.#runs.delete(snapshotId);
  }
}

function at(step: CopyProgress['step']): CopyProgress {
  return { step, percent: null, failure: null };
}

/** One after the other, until it is called off. */
async function inTurn<T, R>(
  all: readonly T[],
  signal: AbortSignal,
  work: (one: T, index: number) => Promise<R>,
): Promise<R[]> {
  const done: R[] = [];
  for (const [index, one] of all.entries()) {
    requireWanted(signal);
    done.push(await work(one, index));
  }
  return done;
}

/** By index, what takes in how much of that one is done; all before it are. */
function metered(
  sizes: readonly number[],
  tell: (measured: { readonly doneBytes: number; readonly totalBytes: number }) => void,
): (index: number) => (part: number) => void {
  const sum = (some: readonly number[]) => some.reduce((total, size) => total + size, 0);
  const totalBytes = sum(sizes);
  return (index) => {
    const before = sum(sizes.slice(0, index));
    return (part) =>
      tell({ doneBytes: before + Math.round(part * (sizes[index] ?? 0)), totalBytes });
  };
}

function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) throw new TroupeError('actor/stopped', 'called off');
}
