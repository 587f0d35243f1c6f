// A simulated image driver: behaves like src/drivers/image, without files. What a URL gives is said by the
// test; a fetch that breaks off keeps what has come, as the real one does.
import { TroupeError } from '../../actors/kernel/errors.ts';
import { formatAddress } from '../../actors/kernel/kind.ts';
import type {
  BlobStore,
  DiskReport,
  DiskSpec,
  DiskStore,
  FileTree,
  ReplicaProgress,
  ReplicaReport,
  ReplicaSource,
  ReplicaSpec,
} from '../../actors/blob/ports.ts';
import type { WantedBy } from '../../actors/network/ports.ts';
import { Turns } from '../../src/drivers/turns.ts';
import type { SimMachine } from './sim-machine.ts';

const GIB = 2 ** 30;
const CHUNKS = 4;

/** What is to be had under a URL. */
export interface SimImage {
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
  readonly format: 'qcow2' | 'iso' | 'raw';
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
  readonly replicas = new Map<string, ReplicaReport>();
  /** Half-made replicas: chunks that have come. */
  readonly partials = new Map<string, number>();
  /** `instance/device`. */
  readonly disks = new Map<string, SimDisk>();
  readonly configDrives = new Map<string, FileTree>();
  /** What is to become a blob of the same id. */
  readonly spooled = new Map<string, SimImage>();
  isDiskFull = false;
  /** The disks of other machines that can be reached, by node. */
  peers = new Map<string, SimImages>();

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
      if (kept !== undefined) return kept;
      this.#record('replica', blobId, by);
      const image = await this.#download(spec, by, onProgress);
      return await this.#act('keepReplica', blobId, by, () => {
        this.#needSpace();
        if (image.refusal !== undefined) {
          images.partials.delete(blobId);
          throw new TroupeError('image/refused', image.refusal);
        }
        const report = source.kind === 'peers' ? source.content : reportOf(nameOf(source), image);
        images.partials.delete(blobId);
        images.replicas.set(blobId, report);
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
        const user = [...images.disks].find(([, { baseBlobId }]) => baseBlobId === blobId);
        if (user !== undefined) {
          throw new TroupeError('host/locked', `blob ${blobId} is the base of disk ${user[0]}`);
        }
        images.replicas.delete(blobId);
        images.partials.delete(blobId);
        ledger.forget('replica', blobId);
      });
    });
  }

  replicas(): Promise<readonly string[]> {
    return Promise.resolve([...this.#machine.images.replicas.keys()]);
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
    for (let chunk = images.partials.get(blobId) ?? 0; chunk < CHUNKS;) {
      chunk = await this.#act('download', blobId, by, () => {
        const image = imageAt(images, source, blobId);
        if (image === undefined)
          throw new TroupeError('image/unreachable', `${from} cannot be reached`);
        this.#needSpace();
        images.partials.set(blobId, chunk + 1);
        const { sizeBytes } = image;
        const doneBytes = ((chunk + 1) * sizeBytes) / CHUNKS;
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
  const holders = source.nodes.map((node) => images.peers.get(node)?.replicas.get(blobId));
  return holders.find((report) => report?.sha512 === source.content.sha512);
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

function reportOf(url: string, image: SimImage): ReplicaReport {
  const { sizeBytes, virtualSizeBytes, format } = image;
  return {
    sizeBytes,
    sha512: `sha512 of ${url}`,
    sourceSizeBytes: sizeBytes,
    sourceSha256: `sha256 of ${url}`,
    sourceFormat: format,
    format,
    mimeType: 'application/octet-stream',
    virtualSizeBytes,
    etag: null,
    lastModified: null,
  };
}
