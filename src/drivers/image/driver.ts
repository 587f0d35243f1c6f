// The image driver: blobs and disks of this machine, under one directory. Joins the two halves.
import type {
  BlobStore,
  DiskReport,
  DiskSpec,
  DiskStore,
  FileTree,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSpec,
} from '../../../actors/blob/ports.ts';
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Exec } from '../exec.ts';
import type { Ledger } from '../ledger.ts';
import { Disks } from './disks.ts';
import { DiskCopier } from './disk-copier.ts';
import { DEFAULT_TIMING, type DownloadTiming } from './download.ts';
import { DEFAULT_FETCH_POLICY, DestinationCheck, type FetchPolicy } from './fetch-policy.ts';
import type { HeldReplica } from './held-replica.ts';
import { Layout } from './layout.ts';
import type { Peers } from './peer-copy.ts';
import { QemuImg } from './qemu-img.ts';
import { Replicas, type Verdict } from './replicas.ts';
import { checkSource, type KnownSource } from './source-check.ts';
import { Spool } from './spool.ts';
import { limitedTools } from './tool.ts';

export interface ImageLimits {
  /** Kept free on the file system; work that would go below is refused or stopped. */
  readonly minFreeBytes: number;
  /** Largest disk that an image may describe, and that an instance may ask for. */
  readonly maxVirtualSizeBytes: number;
  readonly maxConcurrentIngests: number;
}

export const DEFAULT_IMAGE_LIMITS: ImageLimits = {
  minFreeBytes: 2 ** 30,
  maxVirtualSizeBytes: 2 * 2 ** 40,
  maxConcurrentIngests: 4,
};

export interface ImageDriverOptions {
  readonly exec: Exec;
  readonly ledger: Ledger;
  readonly log: Log;
  /** Absolute; holds blobs/ and instances/. */
  readonly dir: string;
  readonly limits?: Partial<ImageLimits>;
  readonly fetchPolicy?: FetchPolicy;
  readonly timing?: Partial<DownloadTiming>;
}

/** Of all hops together. */
const CHECK_MS = 30_000;

/** One per daemon and directory. Call start() before anything else, close() at the end. */
export class ImageDriver implements BlobStore, DiskStore {
  readonly layout: Layout;
  readonly #replicas: Replicas;
  readonly #disks: Disks;
  readonly #fetching: { readonly policy: FetchPolicy; readonly answerTimeoutMs: number };
  readonly #closing = new AbortController();
  readonly spool: Spool;
  readonly copier: DiskCopier;

  /** Throws `config/invalid` for a relative directory or a fetch policy that cannot be read. */
  constructor(options: ImageDriverOptions) {
    const { exec, ledger, log, dir, fetchPolicy: policy = DEFAULT_FETCH_POLICY } = options;
    const limits = { ...DEFAULT_IMAGE_LIMITS, ...options.limits };
    new DestinationCheck(policy);
    this.layout = new Layout(dir);
    const run = limitedTools(exec, dir);
    const tools = { ...limits, layout: this.layout, ledger, run, qemuImg: new QemuImg(run) };
    const timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#fetching = { policy, answerTimeoutMs: timing.answerTimeoutMs };
    this.#replicas = new Replicas({ ...tools, log, policy, timing });
    this.#disks = new Disks({ ...tools, replicas: this.#replicas });
    this.spool = new Spool(this.layout, limits.minFreeBytes);
    this.copier = new DiskCopier(tools);
  }

  /** Makes the directories and removes what a killed daemon left half made. */
  async start(): Promise<void> {
    await this.#replicas.start();
    await this.#disks.start();
    await this.spool.start();
  }

  /** Calls off what runs, waits for its end. Downloads go on after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#replicas.close(), this.#disks.close(), this.spool.close()]);
  }

  ensureReplica(
    spec: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<ReplicaReport> {
    return this.#replicas.ensureReplica(spec, by, onProgress);
  }

  removeReplica(blobId: string, by: WantedBy): Promise<void> {
    return this.#replicas.removeReplica(blobId, by);
  }

  /** From then on replicas can be copied from other nodes. */
  connect(peers: Peers): void {
    this.#replicas.connect(peers);
  }

  /** A complete replica for reading; close it. Errors: `image/missing`, `image/unreachable` (not yet: come again). */
  open(blobId: string): Promise<HeldReplica> {
    return this.#replicas.open(blobId);
  }

  /** The same for another node, which may have the chunks of one that is coming too. */
  openForPeer(blobId: string): Promise<HeldReplica> {
    return this.#replicas.openForPeer(blobId);
  }

  /** Whether a URL still gives what it gave. */
  checkSource(known: KnownSource): Promise<SourceVerdict> {
    const { policy, answerTimeoutMs } = this.#fetching;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(CHECK_MS)]);
    return checkSource(known, { policy, answerTimeoutMs, signal });
  }

  replicas(): Promise<readonly string[]> {
    return this.#replicas.replicas();
  }

  /** Reads all of a replica again and compares its hash. Throws `image/missing` when there is none. */
  verify(blobId: string, signal: AbortSignal): Promise<Verdict> {
    return this.#replicas.verify(blobId, signal);
  }

  ensureDisk(spec: DiskSpec, by: WantedBy): Promise<DiskReport> {
    return this.#disks.ensureDisk(spec, by);
  }

  ensureNvramTemplate(instanceId: string, blobId: string, by: WantedBy): Promise<string> {
    return this.#disks.ensureNvramTemplate(instanceId, blobId, by);
  }

  ensureConfigDrive(instanceId: string, files: FileTree, by: WantedBy): Promise<DiskReport> {
    return this.#disks.ensureConfigDrive(instanceId, files, by);
  }

  removeDisks(instanceId: string, by: WantedBy): Promise<void> {
    return this.#disks.removeDisks(instanceId, by);
  }
}
