// Makes one replica: fetches, unpacks, checks, converts, hashes, and publishes it by one rename.
//
// N1  All work is in the blob's own directory under .partial; what is published is complete and on the disk.
// N2  Until then the source stays as it came, so that a crash after a long download costs no second one.
// N3  Nothing that came from outside is looked into before inspect() let it through.
import { link, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  BlobSource,
  ReplicaFacts,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSpec,
} from '../../../actors/blob/ports.ts';
import { codeOf, TroupeError } from '../../../actors/kernel/errors.ts';
import type { Log } from '../../../actors/kernel/ports.ts';
import { listSha256 } from './chunk-digests.ts';
import type { DownloadTiming } from './download.ts';
import type { FetchPolicy } from './fetch-policy.ts';
import { factsOf } from './facts.ts';
import { copyFile } from './file-source.ts';
import { watchGrowth } from './growth.ts';
import type { Hashed } from './hash-file.ts';
import { identify, inspect, sampleOf, type Inspection } from './inspect.ts';
import { imageName, type KeptFormat, type Layout } from './layout.ts';
import { HEAD_BYTES } from './image-format.ts';
import { linkedKind } from './linked.ts';
import { mimeOf } from './mime.ts';
import { readQcow2Header } from './qcow2-header.ts';
import type { QemuImg, Request } from './qemu-img.ts';
import { readReport } from './replica-report.ts';
import { publishReplica, settle } from './settle.ts';
import { together } from './together.ts';
import { LONG, type RunTool } from './tool.ts';
import { unpack } from './unpack.ts';
import { downloadApart, hashApart } from './worker-job.ts';

export interface IngestTools {
  readonly layout: Layout;
  readonly run: RunTool;
  readonly qemuImg: QemuImg;
  readonly log: Log;
  /** As it is now: members come and go. */
  readonly policy: () => Promise<FetchPolicy>;
  readonly timing: DownloadTiming;
  readonly minFreeBytes: number;
  readonly maxVirtualSizeBytes: number;
}

type SpoolSource = Extract<BlobSource, { kind: 'spool' }>;

/** A replica whose bytes come from outside the cluster. */
export type IngestSpec = ReplicaSpec & { readonly source: BlobSource };

/** What came from the source; sha256 is null where nothing has read it all yet. */
interface Came {
  readonly sizeBytes: number;
  readonly sha256: string | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** One attempt at one replica; make a new one for the next. */
export class Ingest {
  readonly #tools: IngestTools;
  readonly #spec: IngestSpec;
  readonly #request: Request;
  readonly #onProgress: (progress: ReplicaProgress) => void;
  readonly #dir: string;
  readonly #source: string;

  constructor(
    tools: IngestTools,
    spec: IngestSpec,
    request: Request,
    onProgress: (progress: ReplicaProgress) => void,
  ) {
    this.#tools = tools;
    this.#spec = spec;
    this.#request = request;
    this.#onProgress = onProgress;
    this.#dir = tools.layout.partial(spec.blobId);
    this.#source = join(this.#dir, SOURCE);
  }

  async run(): Promise<ReplicaReport> {
    await this.#prepare();
    if (this.#spec.source.kind === 'spool') return await this.#keepSpooled(this.#spec.source);
    const came = await this.#requireChecksum(await this.#fetch());
    this.#step('checking', 0, null);
    const { path, mimeType, inspection } = await this.#check();
    const format: KeptFormat = inspection.format === 'iso' ? 'iso' : 'qcow2';
    const ready = join(this.#dir, 'ready');
    await mkdir(ready);
    const image = join(ready, imageName(format));
    const { sourceSha256, kept } = inspection.isKept
      ? await this.#keep(path, image, came)
      : await this.#convert(path, image, came, inspection);
    const { sizeBytes, chunkDigests } = kept;
    const { sha512 } = kept.digests;
    this.#requireExpected(sha512);
    const report: ReplicaReport = {
      sizeBytes,
      sha512,
      sourceSizeBytes: came.sizeBytes,
      sourceSha256,
      sourceFormat: inspection.format,
      format,
      mimeType,
      virtualSizeBytes: format === 'iso' ? sizeBytes : await virtualSizeOf(image),
      etag: came.etag,
      lastModified: came.lastModified,
      chunksSha256: listSha256(chunkDigests),
      facts: await this.#facts({ path: image, format }, kept),
    };
    const { layout } = this.#tools;
    const done = { dir: ready, report, chunkDigests };
    await publishReplica(layout, this.#spec.blobId, done, this.#request.signal);
    return report;
  }

  /** What it is decides only what it can be used for: its owner gets back the bytes that were sent. */
  async #keepSpooled({ id, dependsOn }: SpoolSource): Promise<ReplicaReport> {
    const spooled = this.#tools.layout.spooled(id);
    const ready = join(this.#dir, 'ready');
    await mkdir(ready);
    const { format, sourceFormat, mimeType } = await this.#kindOf(spooled, id, dependsOn);
    const image = join(ready, imageName(format));
    await link(spooled, image);
    const { signal } = this.#request;
    const kept = await this.#settle(image, signal);
    const { sha256, sha512 } = kept.digests;
    this.#requireExpected(sha512);
    const report: ReplicaReport = {
      sizeBytes: kept.sizeBytes,
      sha512,
      sourceSizeBytes: kept.sizeBytes,
      sourceSha256: sha256,
      sourceFormat,
      format,
      mimeType,
      virtualSizeBytes:
        format === 'qcow2' ? await virtualSizeOf(image) : wholeSectors(kept.sizeBytes),
      etag: null,
      lastModified: null,
      ...(dependsOn === undefined ? {} : { dependsOn }),
      chunksSha256: listSha256(kept.chunkDigests),
      facts: await this.#facts({ path: image, format }, kept),
    };
    const done = { dir: ready, report, chunkDigests: kept.chunkDigests };
    await publishReplica(this.#tools.layout, this.#spec.blobId, done, signal);
    await rm(spooled, { force: true });
    return report;
  }

  /**
   * A clean qcow2 or an ISO when it is one; else raw, which QEMU is told, so that nothing in it is ever followed. What it
   * was brought as tells whether a disk can start from it as it is.
   */
  async #kindOf(path: string, id: string, dependsOn?: string): Promise<Kind> {
    let found;
    try {
      if (dependsOn !== undefined) return await linkedKind(path, dependsOn);
      found = await identify(path);
    } catch (error) {
      if (isAbsent(error)) {
        const text = `the bytes of ${id} are not on this node any more: bring them again`;
        throw new TroupeError('image/refused', text, {}, error);
      }
      if (codeOf(error) !== 'image/refused' || dependsOn !== undefined) throw error;
      return { format: 'raw', sourceFormat: NO_DISK, mimeType: mimeOf(await sampleOf(path)) };
    }
    const { mimeType } = found;
    const sourceFormat = found.kind === 'packed' ? found.packing : found.format;
    if (sourceFormat === 'iso') return { format: 'iso', sourceFormat, mimeType };
    const bytes = { format: 'raw', sourceFormat, mimeType } as const;
    if (found.kind === 'packed' || sourceFormat !== 'qcow2') return bytes;
    try {
      const { isKept } = await inspect(path, found, { ...this.#tools, ...this.#request });
      return isKept ? { ...bytes, format: 'qcow2' } : bytes;
    } catch (error) {
      if (codeOf(error) !== 'image/refused') throw error;
      return bytes;
    }
  }

  /** Whatever an earlier attempt left, but for the source and its note. */
  async #prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#dir)) {
      if (name !== SOURCE && name !== NOTE) {
        await rm(join(this.#dir, name), { recursive: true, force: true });
      }
    }
  }

  async #fetch(): Promise<Came> {
    const { source, maxSizeBytes } = this.#spec;
    const { minFreeBytes, policy, timing, log, run } = this.#tools;
    const { signal, trace } = this.#request;
    if (source.kind === 'spool') throw new TroupeError('actor/bad-message', 'nothing to fetch');
    if (source.kind === 'blob') return await this.#takeReplica(source.blobId);
    if (source.kind === 'file') {
      await rm(join(this.#dir, NOTE), { force: true });
      const onProgress = (done: number, total: number) => this.#step('copying', done, total);
      const limits = { maxSizeBytes, minFreeBytes };
      const options = { ...this.#request, ...limits, run, onProgress };
      const copied = await copyFile(source.path, this.#source, options);
      return { ...copied, sha256: null };
    }
    const limits = { maxSizeBytes, minFreeBytes, policy: await policy(), timing };
    return await downloadApart(
      { url: source.url, path: this.#source, ...limits },
      {
        signal,
        onProgress: (done, total) => this.#step('downloading', done, total),
        onNotice: (text) => log('warn', text, { trace, kind: 'blob', id: this.#spec.blobId }),
      },
    );
  }

  /** The bytes of another blob's replica here, which is read-only and may be removed meanwhile: a link keeps them. */
  async #takeReplica(blobId: string): Promise<Came> {
    const { layout } = this.#tools;
    const report = await readReport(layout.replica(blobId));
    try {
      if (report === null) throw new TroupeError('image/missing', 'it has no replica here');
      await rm(this.#source, { force: true });
      await link(layout.replicaImage(blobId, report.format), this.#source);
    } catch (error) {
      if (!isAbsent(error) && codeOf(error) !== 'image/missing') throw error;
      const text = `blob ${blobId}, whose bytes are to become a disk, is not on this node any more`;
      throw new TroupeError('image/not-fetched', text, {}, error);
    }
    const { sizeBytes, sourceSha256: sha256 } = report;
    return { sizeBytes, sha256, etag: null, lastModified: null };
  }

  /** What the user said that the bytes hash to, before anything looks into them. */
  async #requireChecksum(came: Came): Promise<Came> {
    const { source } = this.#spec;
    const checksum = 'checksum' in source ? source.checksum : undefined;
    if (checksum === undefined) return came;
    const { algorithm, hex } = checksum;
    const isKnown = algorithm === 'sha256' && came.sha256 !== null;
    const found = isKnown ? came.sha256 : await this.#hashSource(algorithm);
    if (found !== hex) {
      const text = `the image is refused: its ${algorithm} should be ${hex} and is ${found}; check the address and the expected hash`;
      throw new TroupeError('image/refused', text, { expected: hex, found: String(found) });
    }
    return algorithm === 'sha256' ? { ...came, sha256: found } : came;
  }

  async #hashSource(algorithm: 'sha256' | 'sha512'): Promise<string> {
    const { signal } = this.#request;
    const onProgress = (done: number) => this.#step('hashing', done, null);
    const request = { path: this.#source, algorithms: [algorithm] };
    const { digests } = await hashApart(request, { signal, onProgress });
    return digests[algorithm];
  }

  async #check(): Promise<{ path: string; mimeType: string; inspection: Inspection }> {
    const first = await identify(this.#source);
    const options = { ...this.#tools, ...this.#request };
    if (first.kind === 'image') {
      const inspection = await inspect(this.#source, first, options);
      return { path: this.#source, mimeType: first.mimeType, inspection };
    }
    const path = join(this.#dir, 'unpacked');
    await this.#watched('converting', path, (signal) =>
      unpack(this.#source, path, {
        packing: first.packing,
        maxBytes: this.#tools.maxVirtualSizeBytes,
        trace: this.#request.trace,
        signal,
        run: this.#tools.run,
      }),
    );
    const inner = await identify(path);
    if (inner.kind === 'packed') {
      throw new TroupeError('image/refused', 'the image is refused: it is packed twice; unpack it');
    }
    return { path, mimeType: first.mimeType, inspection: await inspect(path, inner, options) };
  }

  async #keep(path: string, image: string, came: Came): Promise<Hashes> {
    await link(path, image);
    const isAsItCame = path === this.#source;
    if (isAsItCame) {
      const kept = await this.#settle(image, this.#request.signal, came.sha256);
      return { sourceSha256: kept.digests.sha256, kept };
    }
    const [sourceSha256, kept] = await together(
      this.#request.signal,
      (signal) => this.#sourceHash(came, signal),
      (signal) => this.#settle(image, signal),
    );
    return { sourceSha256, kept };
  }

  async #convert(
    path: string,
    image: string,
    came: Came,
    { format, virtualSizeBytes }: Inspection,
  ): Promise<Hashes> {
    // qcow2 tables take less than a thousandth of what they map, plus a few clusters.
    const fileBytes = Math.ceil(virtualSizeBytes * 1.01) + 16 * 2 ** 20;
    const { trace } = this.#request;
    const limits = { ...LONG, fileBytes };
    const [sourceSha256] = await together(
      this.#request.signal,
      (signal) => this.#sourceHash(came, signal),
      (outer) =>
        this.#watched(
          'converting',
          image,
          (signal) =>
            this.#tools.qemuImg.convert({ path, format }, image, { trace, signal, limits }),
          outer,
        ),
    );
    return { sourceSha256, kept: await this.#settle(image, this.#request.signal) };
  }

  async #sourceHash(came: Came, signal: AbortSignal): Promise<string> {
    if (came.sha256 !== null) return came.sha256;
    const request = { path: this.#source, algorithms: ['sha256'] } as const;
    return (await hashApart(request, { signal, onProgress: ignore })).digests.sha256;
  }

  #settle(path: string, signal: AbortSignal, sha256: string | null = null): Promise<Hashed> {
    return settle(path, signal, (done, total) => this.#step('hashing', done, total), sha256);
  }

  #facts(image: { path: string; format: KeptFormat }, { digests }: Hashed): Promise<ReplicaFacts> {
    return factsOf(image, digests, { qemuImg: this.#tools.qemuImg, ...this.#request });
  }

  #watched<T>(
    step: ReplicaProgress['step'],
    path: string,
    work: (signal: AbortSignal) => Promise<T>,
    signal = this.#request.signal,
  ): Promise<T> {
    const reserveBytes = this.#tools.minFreeBytes;
    const onBytes = (bytes: number) => this.#step(step, bytes, null);
    return watchGrowth({ path, dir: this.#dir, reserveBytes, signal, onBytes }, work);
  }

  #requireExpected(sha512: string): void {
    const expected = this.#spec.sha512;
    if (expected === null || expected === sha512) return;
    throw new TroupeError(
      'image/damaged',
      `blob ${this.#spec.blobId} should hash to ${expected.slice(0, 16)}… and this copy hashes to ${sha512.slice(0, 16)}…: its source has changed, or it was damaged on the way`,
      { expected, found: sha512 },
    );
  }

  #step(step: ReplicaProgress['step'], doneBytes: number, totalBytes: number | null): void {
    this.#onProgress({ step, doneBytes, totalBytes });
  }
}

interface Hashes {
  /** Of what came. */
  readonly sourceSha256: string;
  readonly kept: Hashed;
}

/** Bytes of which no disk can be made: text, archives, what is cut off. */
const NO_DISK = 'other';

/** What bytes are that were brought. */
export interface Kind {
  readonly format: KeptFormat;
  readonly sourceFormat: string;
  readonly mimeType: string;
}
const SECTOR = 512;

function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

const SOURCE = 'source';
/** Written by a download that can go on (partial-file.ts). */
export const NOTE = 'source.json';

async function virtualSizeOf(image: string): Promise<number> {
  await using file = await open(image, 'r');
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  return readQcow2Header(head.subarray(0, bytesRead)).virtualSizeBytes;
}

function ignore(): void {}
