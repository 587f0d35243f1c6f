// A simulated image driver: behaves like src/drivers/image, without files. What a URL gives is said by the
// test; a fetch that breaks off keeps what has come, as the real one does.
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress } from '../../actors/kernel/kind.ts';
import type {
  BlobStore,
  DiskReport,
  DiskSpec,
  DiskStore,
  ReplicaFacts,
  FileTree,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSource,
  ReplicaSpec,
  Verdict,
} from '../../actors/blob/ports.ts';
import type { WantedBy } from '../../actors/network/ports.ts';
import { Turns } from '../../src/drivers/turns.ts';
import type { SimMachine } from './sim-machine.ts';

const GIB = 2 ** 30;

/** What is to be had under a URL. */
export interface SimImage {
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
  readonly format: 'qcow2' | 'iso' | 'raw';
  /** Of its content there. */
  readonly etag?: string | null;
  /** What its bytes are known by, if that is not where they are. */
  readonly content?: string;
  /** What its bytes are, whatever its etag says. */
  readonly bytes?: string;
  /** What is wrong with its content, found once it is all there. */
  readonly refusal?: string;
}

interface SimDisk {
  readonly baseBlobId: string | null;
  readonly sizeBytes: number;
}

/** The disks of one machine, and the web as seen from it. */
export class SimImages {
  readonly web = new Map<string, SimImage>();
  /** In so many an image comes. */
  pieces = 4;
  readonly replicas = new Map<string, ReplicaReport>();
  /** Half-made replicas: chunks that have come. */
  readonly partials = new Map<string, number>();
  /** `instance/device`. */
  readonly disks = new Map<string, SimDisk>();
  /** Addresses from which a download has begun, each time. */
  readonly downloads: string[] = [];
  readonly configDrives = new Map<string, FileTree>();
  /** What is to become a blob of the same id. */
  readonly spooled = new Map<string, SimImage>();
  /** Replicas with a byte that has rotted on the disk, found or not. */
  readonly rotten = new Set<string>();
  /** Those that were read again and found bad. */
  readonly marked = new Set<string>();
  /** When each was last found good; 0: when it was made. */
  readonly checked = new Map<string, number>();
  readonly nowMs: () => number;
  isDiskFull = false;
  /** The disks of other machines that can be reached, by node. */
  peers = new Map<string, SimImages>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** As a disk reads it: of this machine, else of another one. */
  readable(blobId: string): ReplicaReport | undefined {
    const own = this.replicas.get(blobId);
    const others = [...this.peers.values()].flatMap((peer) => peer.replicas.get(blobId) ?? []);
    return own ?? others[0];
  }

  list(): string[] {
    return [
      ...[...this.replicas.keys()].map((id) => `replica ${id}`),
      ...[...this.partials.keys()].map((id) => `partial ${id}`),
      ...[...this.disks.keys()].map((name) => `disk ${name}`),
      ...[...this.spooled.keys()].map((id) => `spooled ${id}`),
      ...[...this.configDrives.keys()].map((id) => `config drive ${id}`),
    ];
  }
}

/** The driver of one daemon. */
export class SimImageDriver implements BlobStore, DiskStore {
  readonly #machine: SimMachine;
  readonly #isAlive: () => boolean;
  readonly #turns = new Turns();

  constructor(machine: SimMachine, isAlive: () => boolean) {
    this.#machine = machine;
    this.#isAlive = isAlive;
  }

  async ensureReplica(
    spec: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<ReplicaReport> {
    const { images } = this.#machine;
    const { blobId, source } = spec;
    return await this.#turns.run(blobId, async () => {
      this.#fence(by);
      const kept = images.replicas.get(blobId);
      const isMarked = images.marked.has(blobId) && source.kind === 'peers';
      if (kept !== undefined && !isMarked) return kept;
      this.#record('replica', blobId, by);
      const image = await this.#download(spec, by, onProgress);
      return await this.#act('keepReplica', blobId, by, () => {
        this.#needSpace();
        if (image.refusal !== undefined) {
          images.partials.delete(blobId);
          throw new TroupeError('image/refused', image.refusal);
        }
        const report = source.kind === 'peers' ? source.content : reportOf(source, image);
        images.partials.delete(blobId);
        images.replicas.set(blobId, report);
        images.rotten.delete(blobId);
        images.marked.delete(blobId);
        images.checked.set(blobId, images.nowMs());
        if (source.kind === 'spool') images.spooled.delete(source.id);
        return report;
      });
    });
  }

  async removeReplica(blobId: string, by: WantedBy): Promise<void> {
    const { images, ledger } = this.#machine;
    await this.#turns.run(blobId, async () => {
      this.#fence(by);
      await this.#act('removeReplica', blobId, by, () => {
        const user = [...images.disks].find(([, { baseBlobId }]) =>
          chainOf(images, baseBlobId).includes(blobId),
        );
        if (user !== undefined) {
          throw new TroupeError('host/locked', `blob ${blobId} is the base of disk ${user[0]}`);
        }
        images.replicas.delete(blobId);
        images.rotten.delete(blobId);
        images.marked.delete(blobId);
        images.checked.delete(blobId);
        images.partials.delete(blobId);
        images.spooled.delete(blobId);
        ledger.forget('replica', blobId);
      });
    });
  }

  replicas(): Promise<readonly string[]> {
    return Promise.resolve([...this.#machine.images.replicas.keys()]);
  }

  checkedAt(): Promise<ReadonlyMap<string, number>> {
    const { replicas, checked } = this.#machine.images;
    return Promise.resolve(new Map([...replicas.keys()].map((id) => [id, checked.get(id) ?? 0])));
  }

  verify(blobId: string): Promise<Verdict> {
    const { images } = this.#machine;
    if (!images.replicas.has(blobId)) {
      const text = `there is no replica of blob ${blobId} here`;
      return Promise.reject(new TroupeError('image/missing', text));
    }
    if (images.rotten.has(blobId)) {
      images.marked.add(blobId);
      const reason = `blob ${blobId} hashes to something else`;
      return Promise.resolve({ isGood: false, problem: 'checksum', reason });
    }
    images.marked.delete(blobId);
    images.checked.set(blobId, images.nowMs());
    return Promise.resolve({ isGood: true });
  }

  async ensureDisk(spec: DiskSpec, by: WantedBy): Promise<DiskReport> {
    const { instanceId, device, baseBlobId, sizeGiB } = spec;
    const { images } = this.#machine;
    return await this.#turns.run(instanceId, async () => {
      this.#fence(by);
      const name = `${instanceId}/${device}`;
      return await this.#act('ensureDisk', instanceId, by, () => {
        const base = baseBlobId === null ? undefined : images.readable(baseBlobId);
        if (baseBlobId !== null && base === undefined)
          throw new TroupeError('image/missing', `there is no replica of blob ${baseBlobId} here`);
        const hole = chainOf(images, baseBlobId).find((id) => !images.replicas.has(id));
        if (hole !== undefined)
          throw new TroupeError('image/missing', `there is no replica of blob ${hole} here`);
        if (base?.format === 'iso') return diskReport(`/blobs/${baseBlobId}.iso`, base);
        const sizeBytes = sizeGiB === null ? (base?.virtualSizeBytes ?? 0) : sizeGiB * GIB;
        if (sizeBytes < (base?.virtualSizeBytes ?? 1))
          throw new TroupeError('image/too-small-disk', `Image resize failed: disk ${device}`);
        this.#needSpace();
        this.#record('disk', name, by);
        // Never made again once it exists: it holds the tenant's data.
        if (!images.disks.has(name)) images.disks.set(name, { baseBlobId, sizeBytes });
        return diskReport(`/instances/${name}.qcow2`, base);
      });
    });
  }

  async ensureNvramTemplate(instanceId: string, blobId: string, by: WantedBy): Promise<string> {
    const { images } = this.#machine;
    return await this.#turns.run(instanceId, async () => {
      this.#fence(by);
      return await this.#act('ensureNvramTemplate', instanceId, by, () => {
        if (!images.replicas.has(blobId))
          throw new TroupeError('image/missing', `there is no replica of blob ${blobId} here`);
        return `/instances/${instanceId}/nvram-template.fd`;
      });
    });
  }

  async ensureConfigDrive(instanceId: string, files: FileTree, by: WantedBy): Promise<DiskReport> {
    return await this.#turns.run(instanceId, async () => {
      this.#fence(by);
      return await this.#act('ensureConfigDrive', instanceId, by, () => {
        this.#needSpace();
        this.#record('config-drive', instanceId, by);
        this.#machine.images.configDrives.set(instanceId, files);
        const path = `/instances/${instanceId}/config-drive.iso`;
        return { path, format: 'raw', media: 'disk', virtualSizeBytes: 1 };
      });
    });
  }

  async removeDisks(instanceId: string, by: WantedBy): Promise<void> {
    const { images, ledger } = this.#machine;
    await this.#turns.run(instanceId, async () => {
      this.#fence(by);
      await this.#act('removeDisks', instanceId, by, () => {
        for (const name of images.disks.keys()) {
          if (!name.startsWith(`${instanceId}/`)) continue;
          images.disks.delete(name);
          ledger.forget('disk', name);
        }
        images.configDrives.delete(instanceId);
        ledger.forget('config-drive', instanceId);
      });
    });
  }

  async #download(
    { blobId, source }: ReplicaSpec,
    by: WantedBy,
    onProgress: (progress: ReplicaProgress) => void,
  ): Promise<SimImage> {
    const { images } = this.#machine;
    const from = nameOf(source);
    for (let chunk = images.partials.get(blobId) ?? 0; chunk < images.pieces;) {
      chunk = await this.#act('download', blobId, by, () => {
        const image = imageAt(images, source, blobId);
        if (image === undefined)
          throw new TroupeError('image/unreachable', `${from} cannot be reached`);
        this.#needSpace();
        images.partials.set(blobId, chunk + 1);
        if (source.kind === 'url' && chunk === 0) images.downloads.push(source.url);
        const { sizeBytes } = image;
        const doneBytes = ((chunk + 1) * sizeBytes) / images.pieces;
        onProgress({ step: 'downloading', doneBytes, totalBytes: sizeBytes });
        return chunk + 1;
      });
    }
    const image = imageAt(images, source, blobId);
    if (image === undefined) throw new TroupeError('image/unreachable', `${from} is gone`);
    return image;
  }

  #needSpace(): void {
    if (!this.#machine.images.isDiskFull) return;
    throw new TroupeError('host/disk-full', 'no space is left on the disk; make room');
  }

  #fence(by: WantedBy): void {
    this.#machine.ledger.fence(formatAddress(by.owner), by);
  }

  #act<T>(call: string, id: string, by: WantedBy, act: () => T): Promise<T> {
    return this.#machine.act(`image.${call}`, { id, by, isAlive: this.#isAlive }, act);
  }

  #record(resource: string, name: string, by: WantedBy): void {
    const { epoch, generation, trace } = by;
    const owner = formatAddress(by.owner);
    this.#machine.ledger.record({ resource, name, owner, epoch, generation, trace, detail: {} });
  }
}

/** The blob, and those that it is read through, as far as they are there. */
function chainOf(images: SimImages, blobId: string | null): string[] {
  const chain: string[] = [];
  for (let next: string | null | undefined = blobId; next && !chain.includes(next);) {
    chain.push(next);
    next = images.replicas.get(next)?.dependsOn;
  }
  return chain;
}

/** What is to be had there now. */
function imageAt(images: SimImages, source: ReplicaSource, blobId: string): SimImage | undefined {
  if (source.kind === 'spool') {
    return images.spooled.get(source.id) ?? images.web.get(nameOf(source));
  }
  if (source.kind === 'blob') {
    const kept = images.replicas.get(source.blobId);
    return kept === undefined ? undefined : { ...kept, format: 'qcow2' };
  }
  if (source.kind !== 'peers') return images.web.get(nameOf(source));
  // A chunk that has rotted is noticed, and its holder refused.
  const sound = source.nodes.flatMap((node) => {
    const peer = images.peers.get(node);
    return peer === undefined || peer.rotten.has(blobId) ? [] : [peer.replicas.get(blobId)];
  });
  return sound.find((report) => report?.sha512 === source.content.sha512);
}

function nameOf(source: ReplicaSource): string {
  if (source.kind === 'peers') return source.nodes.join();
  if (source.kind === 'spool') return `spool:${source.id}`;
  if (source.kind === 'blob') return `blob:${source.blobId}`;
  return source.kind === 'url' ? source.url : source.path;
}

function diskReport(path: string, base: ReplicaReport | undefined): DiskReport {
  const media = base?.format === 'iso' ? 'cdrom' : 'disk';
  const format = media === 'cdrom' ? 'raw' : 'qcow2';
  return { path, format, media, virtualSizeBytes: base?.virtualSizeBytes ?? GIB };
}

function factsOf(url: string, { sizeBytes, format }: SimImage): ReplicaFacts {
  const hashes = { sha1: `sha1 of ${url}`, sha256: `sha256 of ${url}`, xxh128: `xxh128 of ${url}` };
  const none = { clusterBytes: null, compat: null, compression: null, extendedL2: null };
  const about = { ...hashes, ...none, diskBytes: sizeBytes };
  if (format !== 'qcow2') return about;
  return { ...about, clusterBytes: 65_536, compat: '1.1', compression: 'zlib', extendedL2: false };
}

function reportOf(
  source: Exclude<ReplicaSource, { kind: 'peers' }>,
  image: SimImage,
): ReplicaReport {
  const { etag = null } = image;
  const { content: name = nameOf(source) } = image;
  const content = image.bytes ?? (etag === null ? name : `${name} ${etag}`);
  const dependsOn = source.kind === 'spool' ? source.dependsOn : undefined;
  const { sizeBytes, virtualSizeBytes, format } = image;
  return {
    sizeBytes,
    sha512: `sha512 of ${content}`,
    sourceSizeBytes: sizeBytes,
    sourceSha256: `sha256 of ${content}`,
    sourceFormat: format,
    format,
    mimeType: 'application/octet-stream',
    virtualSizeBytes,
    etag,
    lastModified: null,
    ...(dependsOn === undefined ? {} : { dependsOn }),
    facts: factsOf(content, image),
  };
}
