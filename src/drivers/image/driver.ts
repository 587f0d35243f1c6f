// The image driver: blobs and disks of this machine, under one directory. Joins the two halves.
import type {
  BlobStore,
  DiskReport,
  DiskSpec,
  DiskStore,
  FileTree,
  ReplicaFacts,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSpec,
  Verdict,
  VerifyOptions,
} from '../../../actors/blob/ports.ts';
import type { SourceVerdict } from '../../../actors/artifact/state.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { systemClock, type Clock } from '../../../actors/kernel/clock.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import { join } from 'node:path';
import type { Exec } from '../exec.ts';
import { writeCredentials, type Certified } from './nbd/credentials.ts';
import { Exports, type ExportPlace } from './nbd/exports.ts';
import { Reads, type Holders } from './nbd/reads.ts';
import { StorageDaemons } from './nbd/storage-daemons.ts';
import type { Ledger } from '../ledger.ts';
import { Disks } from './disks.ts';
import { Describer } from './describer.ts';
import { DiskCopier } from './disk-copier.ts';
import { DEFAULT_TIMING, type DownloadTiming } from './download.ts';
import { resolved } from './cluster-services.ts';
import { checkFile } from './file-source.ts';
import {
  DEFAULT_FETCH_POLICY,
  DestinationCheck,
  type Endpoint,
  type FetchPolicy,
} from './fetch-policy.ts';
import type { HeldReplica } from './held-replica.ts';
import { Layout } from './layout.ts';
import type { Peers } from './peer-copy.ts';
import { QemuImg } from './qemu-img.ts';
import { Replicas } from './replicas.ts';
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
  /** Absolute and short, for what lasts until the machine stops; below `dir` unless told. */
  readonly runDir?: string;
  readonly clock?: Clock;
  readonly fetchPolicy?: FetchPolicy;
  readonly timing?: Partial<DownloadTiming>;
  /** How long an upload may rest. */
  readonly uploadIdleMs?: number;
}

/** Where other nodes read replicas of this machine, and by which certificate. */
export interface ReadPlace extends Omit<ExportPlace, 'tlsDir'> {
  readonly identity: Certified;
}

/** Of all hops together. */
const CHECK_MS = 30_000;

/** One per daemon and directory. Call start() before anything else, close() at the end. */
export class ImageDriver implements BlobStore, DiskStore {
  readonly layout: Layout;
  readonly #replicas: Replicas;
  readonly #disks: Disks;
  readonly #describer: Describer;
  readonly #answerTimeoutMs: number;
  readonly #policy: FetchPolicy;
  #services: () => readonly Endpoint[] = () => [];
  readonly #closing = new AbortController();
  readonly spool: Spool;
  readonly copier: DiskCopier;
  /** Bases that are read from other nodes before their replica is here. */
  readonly reads: Reads;
  /** Replicas of this machine that others read so. */
  readonly exports: Exports;
  readonly #nbdDir: string;

  /** Throws `config/invalid` for a relative directory or a fetch policy that cannot be read. */
  constructor(options: ImageDriverOptions) {
    const { exec, ledger, log, dir, runDir = dir, clock = systemClock } = options;
    const { fetchPolicy: policy = DEFAULT_FETCH_POLICY } = options;
    const limits = { ...DEFAULT_IMAGE_LIMITS, ...options.limits };
    new DestinationCheck(policy);
    this.layout = new Layout(dir);
    const run = limitedTools(exec, dir);
    const tools = { ...limits, layout: this.layout, ledger, run, qemuImg: new QemuImg(run) };
    const timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#answerTimeoutMs = timing.answerTimeoutMs;
    this.#policy = policy;
    const current = () => this.#currentPolicy();
    this.#replicas = new Replicas({ ...tools, log, policy: current, timing });
    this.#nbdDir = join(runDir, 'nbd');
    const daemons = new StorageDaemons(exec, this.#nbdDir);
    const report = (blobId: string) => this.#replicas.report(blobId);
    this.exports = new Exports({ ...tools, daemons, clock, report });
    this.reads = new Reads({ ...tools, daemons, log, clock, report });
    this.#disks = new Disks({ ...tools, replicas: this.#replicas, reads: this.reads });
    this.#describer = new Describer({ ...tools, log });
    this.spool = new Spool(this.layout, limits.minFreeBytes, 2 * (options.uploadIdleMs ?? 0));
    this.copier = new DiskCopier(tools);
  }

  /** Makes the directories and removes what a killed daemon left half made. */
  async start(): Promise<void> {
    await this.#replicas.start();
    await this.#disks.start();
    await this.spool.start();
    await this.exports.start();
    await this.reads.start();
  }

  /** Calls off what runs, waits for its end. Downloads go on after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    const parts = [this.#replicas, this.#disks, this.#describer, this.spool];
    await Promise.all(parts.map((part) => part.close()));
    await Promise.all([this.exports.close(), this.reads.close()]);
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

  /** From then on disks can start before their base is here, and other nodes read from here. */
  connectReads(holders: Holders, { identity, ...place }: ReadPlace): void {
    const tlsDir = writeCredentials(this.#nbdDir, identity);
    this.exports.connect({ ...place, tlsDir });
    this.reads.connect(holders, tlsDir);
  }

  /** Looks after what is read and served block by block; to be called every few seconds. */
  async tendReads(trace: string): Promise<void> {
    await this.reads.tend(trace);
    await this.exports.tend();
  }

  /** The machine's guests have ended: so does what they read through, and what others read here. */
  async endReads(): Promise<void> {
    await this.reads.endAll();
    await this.exports.endAll();
  }

  /** A complete replica for reading; close it. Errors: `image/missing`, `image/unreachable` (not yet: come again). */
  open(blobId: string): Promise<HeldReplica> {
    return this.#replicas.open(blobId);
  }

  /** The same for another node, which may have the chunks of one that is coming too. */
  openForPeer(blobId: string): Promise<HeldReplica> {
    return this.#replicas.openForPeer(blobId);
  }

  /** From then on nothing is fetched from these: the cluster's own services, wherever its members are. */
  refuseServices(services: () => readonly Endpoint[]): void {
    this.#services = services;
  }

  async #currentPolicy(): Promise<FetchPolicy> {
    return { ...this.#policy, services: await resolved(this.#services()) };
  }

  /** Whether a URL still gives what it gave. */
  async checkSource(known: KnownSource): Promise<SourceVerdict> {
    const answerTimeoutMs = this.#answerTimeoutMs;
    const policy = await this.#currentPolicy();
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(CHECK_MS)]);
    return checkSource(known, { policy, answerTimeoutMs, signal });
  }

  /** Whether a file of this machine is still as it was when it was copied. */
  checkFile(path: string, etag: string | null): Promise<SourceVerdict> {
    return checkFile(path, etag);
  }

  replicas(): Promise<readonly string[]> {
    return this.#replicas.replicas();
  }

  checkedAt(): Promise<ReadonlyMap<string, number>> {
    return this.#replicas.checkedAt();
  }

  verify(blobId: string, signal: AbortSignal, asked?: VerifyOptions): Promise<Verdict> {
    return this.#replicas.verify(blobId, signal, asked);
  }

  /**
   * What clients are told of a replica. Errors: `image/missing`, `image/damaged`; `image/unreachable` while it is being
   * found out, of one that an older version made: come again.
   */
  async describe(blobId: string, trace: string): Promise<ReplicaFacts> {
    const report = await this.#replicas.report(blobId);
    if (report !== null) return await this.#describer.facts(blobId, report, trace);
    throw new TroupeError('image/missing', `there is no replica of blob ${blobId} here`);
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
