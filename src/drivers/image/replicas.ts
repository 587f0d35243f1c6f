// The blobs of this machine: one directory per replica, published whole.
//
// B1  In the ledger before anything is on the disk, forgotten when nothing is left of it.
// B2  One piece of work per blob at a time; a removal calls off the making that runs.
// B3  A failed making leaves nothing, except bytes of a download or copy that can go on (the way failed, not the content).
// B4  One that was read again and is bad is marked, and stays until good bytes from another node take its place.
// B5  A replica that a disk on this machine is based on is not removed: the ledger knows.
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  BlobStore,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSpec,
  Verdict,
  VerifyOptions,
} from '../../../actors/blob/ports.ts';
import { TroupeError, codeOf, type ErrorCode } from '../../../actors/kernel/errors.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Ledger } from '../ledger.ts';
import { unlessAbsent } from './absent.ts';
import { calledOff } from './called-off.ts';
import { readChunkDigests, writeChunkDigests } from './chunk-digests.ts';
import { ComingReplicas } from './coming-replicas.ts';
import { asDiskFull } from './disk-space.ts';
import { HeldReplica } from './held-replica.ts';
import { Ingest, NOTE, type IngestTools } from './ingest.ts';
import { isPathSafe } from './layout.ts';
import { MAP, PeerCopy, type Peers } from './peer-copy.ts';
import type { Request } from './qemu-img.ts';
import { readReport } from './replica-report.ts';
import { Slots, Turns } from '../turns.ts';
import { checkedAt, isMarked, requireUnmarked, verifyReplica } from './verify.ts';
import { hashApart } from './worker-job.ts';

export interface ReplicasOptions extends IngestTools {
  readonly ledger: Ledger;
  readonly maxConcurrentIngests: number;
}

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
  readonly #closing = new AbortController();
  /** Hashing of chunks that runs, by blob. */
  readonly #hashings = new Map<string, Promise<void>>();
  readonly #coming = new ComingReplicas();
  #peers: Peers = NO_PEERS;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#slots = new Slots(options.maxConcurrentIngests);
  }

  /** From then on replicas can be copied from other nodes. */
  connect(peers: Peers): void {
    this.#peers = peers;
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
      // What was to become it, when it has come to nothing.
      await rm(layout.spooled(blobId), { force: true });
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

  /**
   * A complete replica for reading, by any text. Errors: `image/missing`; `image/unreachable` for one whose chunks have
   * to be hashed first (of an older version): it is begun, come again.
   */
  async open(blobId: string): Promise<HeldReplica> {
    const report = isPathSafe(blobId) ? await this.report(blobId) : null;
    if (report === null) throw noReplica(blobId);
    const { layout } = this.#options;
    await requireUnmarked(layout, blobId);
    const digests = await readChunkDigests(layout.replica(blobId), report.sizeBytes);
    if (digests === null) {
      this.#hashChunks(blobId, report);
      const text = `the chunks of blob ${blobId} are being hashed there; come again`;
      throw new TroupeError('image/unreachable', text);
    }
    return await HeldReplica.open(layout.replicaImage(blobId, report.format), report, digests);
  }

  /** The same for another node, which may have the chunks of one that is coming too. */
  async openForPeer(blobId: string): Promise<HeldReplica> {
    try {
      return await this.open(blobId);
    } catch (error) {
      const coming = codeOf(error) === 'image/missing' ? await this.#coming.open(blobId) : null;
      if (coming === null) throw error;
      return coming;
    }
  }

  checkedAt(): Promise<ReadonlyMap<string, number>> {
    return checkedAt(this.#options.layout);
  }

  /** See BlobStore. */
  async verify(blobId: string, signal: AbortSignal, asked: VerifyOptions = {}): Promise<Verdict> {
    return await verifyReplica(this.#options.layout, blobId, { ...asked, signal });
  }

  /** Makes the directories; removes what crashes left, but for downloads the ledger knows and that can go on. */
  async start(): Promise<void> {
    const { layout, ledger } = this.#options;
    await mkdir(layout.partials, { recursive: true, mode: 0o755 });
    const known = new Set(ledger.list({ resource: REPLICA }).map(({ name }) => name));
    for (const name of await readdir(layout.partials)) {
      const dir = join(layout.partials, name);
      const hasNote = (await isThere(join(dir, NOTE))) || (await isThere(join(dir, MAP)));
      const canGoOn = known.has(name) && hasNote && (await this.report(name)) === null;
      if (!canGoOn) await rm(dir, { recursive: true, force: true });
    }
    const left = new Set([...(await readdir(layout.partials)), ...(await readdir(layout.blobs))]);
    for (const name of known) if (!left.has(name)) ledger.forget(REPLICA, name);
  }

  /** Calls off what runs and waits for its end. */
  async close(): Promise<void> {
    this.#makings.abort();
    this.#closing.abort();
    await this.#turns.idle();
    await Promise.all(this.#hashings.values());
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
      return await this.#maker(spec, { trace, signal }, onProgress).run();
    } catch (cause) {
      const error = asDiskFull(cause, layout.blobs);
      await this.#discard(spec, error);
      throw error;
    }
  }

  #maker(
    { blobId, source, maxSizeBytes, sha512 }: ReplicaSpec,
    request: Request,
    onProgress: (progress: ReplicaProgress) => void,
  ): Ingest | PeerCopy {
    const tools = this.#options;
    const [peers, coming] = [this.#peers, this.#coming];
    return source.kind === 'peers'
      ? new PeerCopy(
          { ...tools, peers, coming },
          { blobId, source, maxSizeBytes },
          request,
          onProgress,
        )
      : new Ingest(tools, { blobId, source, maxSizeBytes, sha512 }, request, onProgress);
  }

  async #discard(spec: ReplicaSpec, error: unknown): Promise<void> {
    const dir = this.#options.layout.partial(spec.blobId);
    if (KEEPS_DOWNLOAD.has(codeOf(error)) && (await canGoOn(spec, dir))) return;
    await rm(dir, { recursive: true, force: true });
    this.#options.ledger.forget(REPLICA, spec.blobId);
  }

  /** For a replica that was made before chunks were hashed. One that has rotted is not served. */
  #hashChunks(blobId: string, report: ReplicaReport): void {
    if (this.#hashings.has(blobId) || this.#closing.signal.aborted) return;
    const { layout, log } = this.#options;
    const hashing = async () => {
      const path = layout.replicaImage(blobId, report.format);
      const shell = { signal: this.#closing.signal, onProgress: () => undefined };
      const hashed = await hashApart({ path, algorithms: ['sha512'], withChunks: true }, shell);
      if (hashed.digests.sha512 !== report.sha512)
        throw new TroupeError('image/damaged', `${path} rotted`);
      await writeChunkDigests(layout.replica(blobId), hashed.chunkDigests);
    };
    const ended = hashing()
      .catch((error: unknown) =>
        log('warn', 'chunks not hashed', { kind: 'blob', id: blobId, error }),
      )
      .finally(() => this.#hashings.delete(blobId));
    this.#hashings.set(blobId, ended);
  }

  /** Throws `image/damaged` for a replica of other content than wanted; one that does not fit together is cleared away. */
  async #kept(spec: ReplicaSpec): Promise<ReplicaReport | null> {
    const report = await this.report(spec.blobId);
    // B4: the good bytes are put in its place once they are there.
    const isFromPeers = spec.source.kind === 'peers';
    if (isFromPeers && (await isMarked(this.#options.layout, spec.blobId))) return null;
    if (report === null) {
      if (!isFromPeers) await this.#clearDamaged(spec.blobId);
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
    const user = disks.find(
      ({ detail }) =>
        detail['base'] === blobId ||
        String(detail['below'] ?? '')
          .split(',')
          .includes(blobId),
    );
    if (user === undefined) return;
    throw new TroupeError(
      'host/locked',
      `blob ${blobId} is the base of disk ${user.name} on this machine; delete the instance first`,
      { disk: user.name },
    );
  }
}

const NO_PEERS: Peers = {
  fetch: ({ blobId }) => {
    const text = `blob ${blobId} cannot be copied from other nodes: this daemon has no mesh`;
    return Promise.reject(new TroupeError('image/unreachable', text));
  },
};

function noReplica(blobId: string): TroupeError {
  const shown = isPathSafe(blobId) ? blobId : 'of that name';
  return new TroupeError('image/missing', `there is no replica of blob ${shown} here`);
}

/** Whether what has come is worth keeping for the next attempt. */
async function canGoOn({ source }: ReplicaSpec, dir: string): Promise<boolean> {
  if (source.kind === 'peers') return await isThere(join(dir, MAP));
  const found = await stat(join(dir, 'source')).catch(unlessAbsent);
  return source.kind === 'url' && found !== undefined && found.size > 0;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(unlessAbsent)) !== undefined;
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
