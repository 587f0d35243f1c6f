// Makes one replica from those that other nodes hold: the same bytes, chunk by chunk, verified by chunk and as a whole.
//
// E1  All work is in the blob's own directory under .partial, as for every replica (ingest.ts, N1).
// E2  What has come and is verified stays when it is broken off (chunk-file.ts); only damage as a whole throws it away.
// E3  It counts only when the whole is right: when the hash of the chunks' digests is, each of which was verified; of one whose
//     hash of digests nobody knows (made by an older version), when its own is, read from the file while it comes.
// E4  While it comes, what has come is served to others who copy it (coming-replicas.ts).
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeersSource, ReplicaProgress, ReplicaReport } from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import { listSha256 } from './chunk-digests.ts';
import { mapPath } from './chunk-file.ts';
import { SharedChunks, type ComingReplicas } from './coming-replicas.ts';
import { requireSpace } from './disk-space.ts';
import { sync } from './durable.ts';
import { Frontier } from './follow-hash.ts';
import { imageName, type Layout } from './layout.ts';
import type { Request } from './qemu-img.ts';
import { publishReplica } from './settle.ts';
import { Takers } from './takers.ts';
import { together } from './together.ts';
import { followApart, type JobShell } from './worker-job.ts';

export interface PeerRequest {
  readonly blobId: string;
  readonly nodes: readonly string[];
  /** That are copying it too. */
  readonly peers: readonly string[];
  readonly sizeBytes: number;
  readonly sha512: string;
  /** Of the list of its chunks' digests; absent: not known. */
  readonly chunksSha256?: string;
  /** Where a ChunkFile (chunk-file.ts) of the copy is, or is to be. */
  readonly path: string;
  readonly frontier: SharedArrayBuffer;
  /** Somebody waits for it. */
  readonly isUrgent?: boolean;
  /** Of SharedChunks.make(). */
  readonly shared: SharedArrayBuffer;
}

export interface CopyShell extends JobShell {
  /** Called once, with what is to be told of nodes that turn out to copy it too. */
  readonly meet: (met: (node: string) => void) => void;
}

/** How bytes of replicas come from other nodes; the daemon joins it with the mesh (src/daemon/blobs.ts). */
export interface Peers {
  /**
   * Resolves to the digests of the chunks once all are in the file. Errors: `image/unreachable`, `image/missing`,
   * `image/damaged`, `actor/stopped`, those of the file system.
   */
  fetch(request: PeerRequest, shell: CopyShell): Promise<Uint8Array>;
}

export interface PeerCopyTools {
  readonly layout: Layout;
  readonly log: Log;
  readonly minFreeBytes: number;
  readonly peers: Peers;
  readonly coming: ComingReplicas;
}

export interface PeerCopySpec {
  readonly blobId: string;
  readonly source: PeersSource;
  readonly maxSizeBytes: number;
}

const COPY = 'copy';
/** Written by a copy that can go on. */
export const MAP = mapPath(COPY);

/** One attempt at one replica. */
export class PeerCopy {
  readonly #tools: PeerCopyTools;
  readonly #spec: PeerCopySpec;
  readonly #request: Request;
  readonly #onProgress: (progress: ReplicaProgress) => void;
  readonly #dir: string;
  readonly #path: string;
  readonly #takers = new Takers();

  constructor(
    tools: PeerCopyTools,
    spec: PeerCopySpec,
    request: Request,
    onProgress: (progress: ReplicaProgress) => void,
  ) {
    this.#tools = tools;
    this.#spec = spec;
    this.#request = request;
    this.#onProgress = onProgress;
    this.#dir = tools.layout.partial(spec.blobId);
    this.#path = join(this.#dir, COPY);
  }

  async run(): Promise<ReplicaReport> {
    try {
      return await this.#run();
    } finally {
      this.#tools.coming.end(this.#spec.blobId);
    }
  }

  async #run(): Promise<ReplicaReport> {
    const { blobId, source } = this.#spec;
    const { layout } = this.#tools;
    const { signal } = this.#request;
    const report = source.content;
    await this.#prepare();
    const chunkDigests = await this.#fetch(report);
    await chmod(this.#path, 0o444);
    await sync(this.#path);
    const dir = join(this.#dir, 'ready');
    await mkdir(dir);
    await rename(this.#path, join(dir, imageName(report.format)));
    await publishReplica(layout, blobId, { dir, report, chunkDigests }, signal);
    return report;
  }

  /** Whatever an earlier attempt left, but for a copy that can go on. */
  async #prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const names = await readdir(this.#dir);
    const canGoOn = names.includes(MAP) && names.includes(COPY);
    for (const name of names) {
      if (canGoOn && (name === COPY || name === MAP)) continue;
      await rm(join(this.#dir, name), { recursive: true, force: true });
    }
    // Two threads open it, in whatever order.
    await writeFile(this.#path, '', { flag: 'a', mode: 0o600 });
  }

  async #fetch({ sizeBytes, sha512 }: ReplicaReport): Promise<Uint8Array> {
    const { maxSizeBytes, blobId } = this.#spec;
    const { minFreeBytes } = this.#tools;
    if (sizeBytes > maxSizeBytes) {
      const text = `blob ${blobId} has ${sizeBytes} bytes, and an image may have ${maxSizeBytes}; raise the limit`;
      throw new TroupeError('image/refused', text, { maxSizeBytes });
    }
    await requireSpace(this.#dir, sizeBytes - (await this.#hereBytes()), minFreeBytes);
    const frontier = Frontier.make();
    const shared = SharedChunks.make(sizeBytes);
    const chunks = new SharedChunks(shared, sizeBytes);
    const report = this.#spec.source.content;
    this.#tools.coming.begin(blobId, {
      path: this.#path,
      report,
      chunks,
      takenBy: (node) => this.#takers.add(node),
    });
    const wanted = { sizeBytes, sha512, frontier, shared };
    const { chunksSha256 } = report;
    if (chunksSha256 !== undefined) {
      const digests = await this.#bring(wanted, this.#request.signal);
      this.#require(chunksSha256, listSha256(digests));
      return digests;
    }
    const [digests, found] = await together(
      this.#request.signal,
      (signal) => this.#bring(wanted, signal),
      (signal) => this.#hash({ sizeBytes, frontier }, signal),
    );
    this.#require(sha512, found);
    return digests;
  }

  #require(expected: string, found: string): void {
    if (found === expected) return;
    const { blobId, source } = this.#spec;
    throw new TroupeError(
      'image/damaged',
      `blob ${blobId} should hash to ${expected.slice(0, 16)}… and the copy of ${source.nodes.join()} hashes to ${found.slice(0, 16)}…: one of them was damaged`,
      { expected, found },
    );
  }

  #bring(
    request: Pick<PeerRequest, 'sizeBytes' | 'sha512' | 'frontier' | 'shared'>,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { blobId, source } = this.#spec;
    const { peers, log } = this.#tools;
    const { trace } = this.#request;
    const onProgress = (doneBytes: number, totalBytes: number | null) =>
      this.#onProgress({ step: 'copying', doneBytes, totalBytes });
    const onNotice = (text: string) => log('warn', text, { trace, kind: 'blob', id: blobId });
    const meet = (met: (node: string) => void) => this.#takers.listen(met);
    const { nodes, peers: also = [], isUrgent = false } = source;
    const { chunksSha256 } = source.content;
    const list = chunksSha256 === undefined ? {} : { chunksSha256 };
    const whole = { blobId, nodes, peers: also, isUrgent, path: this.#path, ...list, ...request };
    return peers.fetch(whole, { signal, onProgress, onNotice, meet });
  }

  async #hash(
    { sizeBytes, frontier }: { sizeBytes: number; frontier: SharedArrayBuffer },
    signal: AbortSignal,
  ): Promise<string> {
    const onProgress = () => undefined;
    return await followApart({ path: this.#path, sizeBytes, frontier }, { signal, onProgress });
  }

  /** Blocks of the copy that are on the disk already; of one that cannot be looked at none are counted on. */
  async #hereBytes(): Promise<number> {
    const found = await stat(this.#path).catch(() => null);
    return found === null ? 0 : found.blocks * 512;
  }
}
