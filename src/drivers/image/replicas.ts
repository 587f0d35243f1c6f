// The blobs of this machine: one directory per replica, published whole.
//
// B1  In the ledger before anything is on the disk, forgotten when nothing is left of it.
// B2  One piece of work per blob at a time; a removal calls off the making that runs.
// B3  A failed making leaves nothing, except the bytes of a download that can go on (the way failed, not the content).
// B4  A replica that a disk on this machine is based on is not removed: the ledger knows.
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  BlobStore,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSpec,
} from '../../../actors/blob/ports.ts';
import { TroupeError, codeOf, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Ledger } from '../ledger.ts';
import { calledOff } from './called-off.ts';
import { asDiskFull } from './disk-space.ts';
import { Ingest, NOTE, type IngestTools } from './ingest.ts';
import { isPathSafe } from './layout.ts';
import { readReport } from './replica-report.ts';
import { Slots, Turns } from '../turns.ts';
import { hashApart } from './worker-job.ts';

export interface ReplicasOptions extends IngestTools {
  readonly ledger: Ledger;
  readonly maxConcurrentIngests: number;
}

/** What re-reading a replica found. */
export type Verdict =
  | { readonly isGood: true }
  | { readonly isGood: false; readonly reason: string };

export const REPLICA = 'replica';
export const DISK = 'disk';
const REMOVED = '.removed';
const KEEPS_DOWNLOAD: ReadonlySet<ErrorCode> = new Set([
  'image/unreachable',
  'actor/stopped',
  'host/timeout',
]);

export class Replicas implements BlobStore {
  readonly #options: ReplicasOptions;
  readonly #turns = new Turns();
  readonly #slots: Slots;
  readonly #makings = new Makings();

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#slots = new Slots(options.maxConcurrentIngests);
  }

  async ensureReplica(
    spec: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<ReplicaReport> {
    const making = new AbortController();
    const signal = AbortSignal.any([by.signal, making.signal]);
    this.#makings.add(spec.blobId, making);
    try {
      return await this.#turns.run(spec.blobId, async () => {
        this.#options.ledger.fence(formatAddress(by.owner), by);
        const kept = await this.#kept(spec);
        if (kept !== null) return kept;
        return this.#slots.run(() => this.#make(spec, { ...by, signal }, onProgress));
      });
    } finally {
      this.#makings.delete(spec.blobId, making);
    }
  }

  async removeReplica(blobId: string, by: WantedBy): Promise<void> {
    const { ledger, layout } = this.#options;
    ledger.fence(formatAddress(by.owner), by);
    this.#makings.abort(blobId);
    await this.#turns.run(blobId, async () => {
      this.#requireUnused(blobId);
      const removed = layout.partial(`${blobId}${REMOVED}`);
      await rm(removed, { recursive: true, force: true });
      await rename(layout.replica(blobId), removed).catch(unlessAbsent);
      await rm(removed, { recursive: true, force: true });
      await rm(layout.partial(blobId), { recursive: true, force: true });
      ledger.forget(REPLICA, blobId);
    });
  }

  async replicas(): Promise<readonly string[]> {
    const names = await readdir(this.#options.layout.blobs);
    const complete = await Promise.all(
      names.filter(isPathSafe).map(async (id) => ((await this.report(id)) === null ? [] : [id])),
    );
    return complete.flat().sort();
  }

  /** The report of a complete replica; null when there is none, or it does not fit together. */
  async report(blobId: string): Promise<ReplicaReport | null> {
    try {
      return await readReport(this.#options.layout.replica(blobId));
    } catch (error) {
      if (codeOf(error) === 'image/damaged') return null;
      throw error;
    }
  }

  /** Reads all of a replica again and compares its hash. Throws `image/missing` when there is none. */
  async verify(blobId: string, signal: AbortSignal): Promise<Verdict> {
    const report = await this.report(blobId);
    if (report === null) {
      throw new TroupeError('image/missing', `there is no replica of blob ${blobId} here`);
    }
    const path = this.#options.layout.replicaImage(blobId, report.format);
    const { digest } = await hashApart(
      { path, algorithm: 'sha512' },
      { signal, onProgress: () => undefined },
    );
    if (digest === report.sha512) return { isGood: true };
    const reason = `${path} hashes to ${digest.slice(0, 16)}…, not ${report.sha512.slice(0, 16)}…`;
    return { isGood: false, reason };
  }

  /** Makes the directories; removes what crashes left, but for downloads the ledger knows and that can go on. */
  async start(): Promise<void> {
    const { layout, ledger } = this.#options;
    await mkdir(layout.partials, { recursive: true, mode: 0o755 });
    const known = new Set(ledger.list({ resource: REPLICA }).map(({ name }) => name));
    for (const name of await readdir(layout.partials)) {
      const dir = join(layout.partials, name);
      const note = await stat(join(dir, NOTE)).catch(unlessAbsent);
      const canGoOn = known.has(name) && note !== undefined && (await this.report(name)) === null;
      if (!canGoOn) await rm(dir, { recursive: true, force: true });
    }
    const left = new Set([...(await readdir(layout.partials)), ...(await readdir(layout.blobs))]);
    for (const name of known) if (!left.has(name)) ledger.forget(REPLICA, name);
  }

  /** Calls off what runs and waits for its end. */
  async close(): Promise<void> {
    this.#makings.abort();
    await this.#turns.idle();
  }

  async #make(
    spec: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<ReplicaReport> {
    const { ledger, layout } = this.#options;
    const { epoch, generation, trace, signal } = by;
    if (signal.aborted) throw calledOff();
    const owner = formatAddress(by.owner);
    try {
      const entry = { resource: REPLICA, name: spec.blobId, owner, epoch, generation, trace };
      ledger.record({ ...entry, detail: {} });
      return await new Ingest(this.#options, spec, { trace, signal }, onProgress).run();
    } catch (cause) {
      const error = asDiskFull(cause, layout.blobs);
      await this.#discard(spec, error);
      throw error;
    }
  }

  async #discard(spec: ReplicaSpec, error: unknown): Promise<void> {
    const dir = this.#options.layout.partial(spec.blobId);
    const source = await stat(join(dir, 'source')).catch(unlessAbsent);
    const canGoOn = spec.source.kind === 'url' && KEEPS_DOWNLOAD.has(codeOf(error));
    if (canGoOn && source !== undefined && source.size > 0) return;
    await rm(dir, { recursive: true, force: true });
    this.#options.ledger.forget(REPLICA, spec.blobId);
  }

  /** Throws `image/damaged` for a replica of other content than wanted; one that does not fit together is cleared away. */
  async #kept(spec: ReplicaSpec): Promise<ReplicaReport | null> {
    const report = await this.report(spec.blobId);
    if (report === null) {
      await this.#clearDamaged(spec.blobId);
      return null;
    }
    if (spec.sha512 === null || spec.sha512 === report.sha512) return report;
    throw new TroupeError(
      'image/damaged',
      `the replica of blob ${spec.blobId} here has other content than wanted; remove it first`,
      { expected: spec.sha512, found: report.sha512 },
    );
  }

  /** Another making of the blob may differ in its bytes, so what disks are based on is not replaced either. */
  async #clearDamaged(blobId: string): Promise<void> {
    const dir = this.#options.layout.replica(blobId);
    if ((await stat(dir).catch(unlessAbsent)) === undefined) return;
    this.#requireUnused(blobId);
    await rm(dir, { recursive: true, force: true });
  }

  #requireUnused(blobId: string): void {
    const disks = this.#options.ledger.list({ resource: DISK });
    const user = disks.find(({ detail }) => detail['base'] === blobId);
    if (user === undefined) return;
    throw new TroupeError(
      'host/locked',
      `blob ${blobId} is the base of disk ${user.name} on this machine; delete the instance first`,
      { disk: user.name },
    );
  }
}

/** The makings of each blob that run or wait, so that its removal can call them off. */
class Makings {
  readonly #byBlob = new Map<string, Set<AbortController>>();

  add(blobId: string, making: AbortController): void {
    const makings = this.#byBlob.get(blobId) ?? new Set();
    this.#byBlob.set(blobId, makings.add(making));
  }

  delete(blobId: string, making: AbortController): void {
    const makings = this.#byBlob.get(blobId);
    makings?.delete(making);
    if (makings?.size === 0) this.#byBlob.delete(blobId);
  }

  /** Of one blob, or of all. */
  abort(blobId?: string): void {
    const makings = blobId === undefined ? this.#byBlob.values() : [this.#byBlob.get(blobId) ?? []];
    for (const making of [...makings].flatMap((set) => [...set])) making.abort();
  }
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
