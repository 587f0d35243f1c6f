// The disks of this machine's instances: overlays on replicas, blank disks, config drives.
//
// E1  A disk is made under a name that starts with a dot and gets its own name when it is complete; one that
//     has its name is never made again, so what the guest wrote is safe from a repeated request.
// E2  In the ledger, with its base, before it is made.
// E3  A base whose replica is not here yet may be read through a reader (nbd/reads.ts): the overlay's header then names
//     its socket, and the ledger says so before the reader is asked for. Once the replica is here the header is changed to
//     name that, at the first request at which no QEMU has the disk open: what the guest sees is the same either way.
// E4  An ISO is attached as it is, read-only: it has no overlay, only the ledger's note that it is in use.
import { constants, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type {
  DiskReport,
  DiskSpec,
  DiskStore,
  FileTree,
  ReplicaReport,
} from '../../../actors/blob/ports.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { formatAddress } from '../../../actors/kernel/kind.ts';
import type { WantedBy } from '../../../actors/network/ports.ts';
import type { Ledger } from '../ledger.ts';
import { ensureISO } from './config-drive-iso.ts';
import { asDiskFull, requireSpace } from './disk-space.ts';
import { publish, sync } from './durable.ts';
import { HEAD_BYTES } from './image-format.ts';
import { isPathSafe, type Layout } from './layout.ts';
import { readQcow2Header } from './qcow2-header.ts';
import type { QemuImg } from './qemu-img.ts';
import { DISK, type Replicas } from './replicas.ts';
import { LAZILY, type Reads } from './nbd/reads.ts';
import type { RunTool } from './tool.ts';
import { Turns } from '../turns.ts';

export interface DisksOptions {
  readonly layout: Layout;
  readonly ledger: Ledger;
  readonly run: RunTool;
  readonly qemuImg: QemuImg;
  readonly replicas: Pick<Replicas, 'report'>;
  readonly reads: Pick<Reads, 'isConnected' | 'ensure' | 'uriOf'>;
  readonly minFreeBytes: number;
  readonly maxVirtualSizeBytes: number;
}

interface Base {
  readonly path: string;
  readonly format: 'qcow2' | 'iso' | 'raw';
  readonly virtualSizeBytes: number;
  /** The blobs that it is read through, nearest first. */
  readonly below: readonly string[];
  /** Its replica is not here: E3. */
  readonly isLazy: boolean;
}

/** Of one that is read from other nodes. */
const LAZY = { below: [], isLazy: true } as const;

const GIB = 2 ** 30;
const { COPYFILE_FICLONE } = constants;
/** OVMF's have 528 KiB. */
const MAX_NVRAM_BYTES = 64 * 2 ** 20;
const CONFIG_DRIVE = 'config-drive';

export class Disks implements DiskStore {
  readonly #options: DisksOptions;
  readonly #turns = new Turns();

  constructor(options: DisksOptions) {
    this.#options = options;
  }

  ensureDisk(spec: DiskSpec, by: WantedBy): Promise<DiskReport> {
    return this.#turn(spec.instanceId, async () => {
      this.#options.ledger.fence(formatAddress(by.owner), by);
      const { baseBlobId } = spec;
      const base = baseBlobId === null ? null : await this.#diskBase(spec, baseBlobId, by);
      if (base?.format === 'iso') return this.#attachISO(spec, base, by);
      const path = this.#options.layout.disk(spec.instanceId, spec.device);
      const existing = await readDisk(path);
      const report = { path, format: 'qcow2', media: 'disk' } as const;
      if (existing === null) {
        const virtualSizeBytes = wantedSize(spec, base, this.#options.maxVirtualSizeBytes);
        await this.#create(spec, path, { base, virtualSizeBytes }, by);
        return { ...report, virtualSizeBytes };
      }
      await this.#settleBase(spec, existing.backingFile, base, by);
      return { ...report, virtualSizeBytes: existing.virtualSizeBytes };
    });
  }

  ensureConfigDrive(instanceId: string, files: FileTree, by: WantedBy): Promise<DiskReport> {
    return this.#turn(instanceId, async () => {
      const { ledger, layout, run, minFreeBytes } = this.#options;
      ledger.fence(formatAddress(by.owner), by);
      this.#record(CONFIG_DRIVE, instanceId, by, {});
      const path = layout.configDrive(instanceId);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await requireSpace(dirname(path), 0, minFreeBytes);
      const request = { trace: by.trace, signal: by.signal };
      const virtualSizeBytes = await ensureISO(path, files, { run, ...request });
      return { path, format: 'raw', media: 'disk', virtualSizeBytes };
    });
  }

  /** Copied once: libvirt may look at it as long as the domain is there, and the blob may go before that. */
  ensureNvramTemplate(instanceId: string, blobId: string, by: WantedBy): Promise<string> {
    return this.#turn(instanceId, async () => {
      const { ledger, layout, minFreeBytes } = this.#options;
      ledger.fence(formatAddress(by.owner), by);
      const path = layout.nvramTemplate(instanceId);
      if (existsSync(path)) return path;
      const base = await this.#base(blobId);
      const sizeBytes = base.format === 'raw' ? (await stat(base.path)).size : 0;
      if (sizeBytes === 0 || sizeBytes > MAX_NVRAM_BYTES) {
        const text = `the image is refused: blob ${blobId} holds no UEFI variables, which are at most ${MAX_NVRAM_BYTES} bytes as the firmware keeps them`;
        throw new TroupeError('image/refused', text);
      }
      this.#record(DISK, `${instanceId}/nvram-template`, by, { base: '' });
      const half = join(dirname(path), '.nvram-template.fd');
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await requireSpace(dirname(path), sizeBytes, minFreeBytes);
      await copyFile(base.path, half, COPYFILE_FICLONE);
      await chmod(half, 0o600);
      await sync(half);
      await publish(half, path);
      return path;
    });
  }

  removeDisks(instanceId: string, by: WantedBy): Promise<void> {
    return this.#turn(instanceId, async () => {
      const { ledger, layout } = this.#options;
      ledger.fence(formatAddress(by.owner), by);
      await rm(layout.instance(instanceId), { recursive: true, force: true });
      for (const { name } of ledger.list({ resource: DISK })) {
        if (name.startsWith(`${instanceId}/`)) ledger.forget(DISK, name);
      }
      ledger.forget(CONFIG_DRIVE, instanceId);
    });
  }

  /** Makes the directory; removes what was half made when the daemon was killed. */
  async start(): Promise<void> {
    const { instances } = this.#options.layout;
    await mkdir(instances, { recursive: true, mode: 0o755 });
    for (const instanceId of await readdir(instances)) {
      const dir = join(instances, instanceId);
      for (const name of await readdir(dir).catch(noDirectory)) {
        if (!isPathSafe(name)) await rm(join(dir, name), { recursive: true, force: true });
      }
    }
  }

  /** Waits for what runs. */
  close(): Promise<void> {
    return this.#turns.idle();
  }

  #turn<T>(instanceId: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(instanceId, () =>
      work().catch((error: unknown) => {
        throw asDiskFull(error, this.#options.layout.instances);
      }),
    );
  }

  async #create(
    spec: DiskSpec,
    path: string,
    disk: { base: Base | null; virtualSizeBytes: number },
    by: WantedBy,
  ): Promise<void> {
    const { qemuImg, minFreeBytes } = this.#options;
    const dir = dirname(path);
    const half = join(dir, `.${spec.device}.qcow2`);
    this.#recordDisk(spec, disk.base, by);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await requireSpace(dir, 0, minFreeBytes);
    await rm(half, { force: true });
    const request = { trace: by.trace, signal: by.signal };
    try {
      if (disk.base === null) await qemuImg.createBlank(half, disk.virtualSizeBytes, request);
      else await qemuImg.createOverlay(half, disk.base, disk.virtualSizeBytes, request);
      await chmod(half, 0o600);
      await sync(half);
      await publish(half, path);
    } finally {
      await rm(half, { force: true });
    }
  }

  #attachISO(spec: DiskSpec, base: Base, by: WantedBy): DiskReport {
    const { path, virtualSizeBytes } = base;
    this.#recordDisk(spec, base, by);
    return { path, format: 'raw', media: 'cdrom', virtualSizeBytes };
  }

  /** What the disk is to be based on now: the replica, else what is read through to others that hold one. */
  async #diskBase(spec: DiskSpec, baseBlobId: string, by: WantedBy): Promise<Base> {
    const { reads, replicas } = this.#options;
    const isHere = (await replicas.report(baseBlobId)) !== null;
    if (isHere || !reads.isConnected) return await this.#base(baseBlobId);
    this.#recordDisk(spec, LAZY, by);
    const { uri, virtualSizeBytes } = await reads.ensure(baseBlobId, by.trace);
    return { path: uri, format: 'raw', virtualSizeBytes, ...LAZY };
  }

  /** E3. Throws `object/exists` for a disk on another base than wanted. */
  async #settleBase(
    spec: DiskSpec,
    found: string | null,
    base: Base | null,
    by: WantedBy,
  ): Promise<void> {
    const { reads, layout, qemuImg } = this.#options;
    const { instanceId, device, baseBlobId } = spec;
    if (base !== null && found === base.path) return this.#recordDisk(spec, base, by);
    const readThrough = baseBlobId === null ? null : reads.uriOf(baseBlobId);
    const isSame = found === readThrough || base?.path === readThrough;
    if (base === null || !isSame) return requireSameBase(spec, found, base?.path ?? null);
    const request = { trace: by.trace, signal: by.signal };
    const isDone = await qemuImg.rebase(layout.disk(instanceId, device), base, request);
    // One that is open reads on as before, and so needs what it reads through.
    if (isDone) this.#recordDisk(spec, base, by);
  }

  #recordDisk(spec: DiskSpec, base: Pick<Base, 'below' | 'isLazy'> | null, by: WantedBy): void {
    const { instanceId, device } = spec;
    const name = `${instanceId}/${device}`;
    const known = this.#options.ledger.get(DISK, name)?.detail;
    const detail = { ...usedBy(spec, base), ...(base?.isLazy === true ? LAZILY : {}) };
    if (!isDeepStrictEqual(known, detail)) this.#record(DISK, name, by, detail);
  }

  async #base(baseBlobId: string): Promise<Base> {
    const { format, virtualSizeBytes, dependsOn } = await this.#report(baseBlobId);
    const below: string[] = [];
    for (let next = dependsOn; next !== undefined && !below.includes(next);) {
      below.push(next);
      next = (await this.#report(next)).dependsOn;
    }
    return {
      path: this.#options.layout.replicaImage(baseBlobId, format),
      format,
      virtualSizeBytes,
      below,
      isLazy: false,
    };
  }

  async #report(blobId: string): Promise<ReplicaReport> {
    const report = await this.#options.replicas.report(blobId);
    if (report !== null) return report;
    const text = `blob ${blobId} has no replica on this machine`;
    throw new TroupeError('image/missing', text, { blob: blobId });
  }

  #record(resource: string, name: string, by: WantedBy, detail: Record<string, string>): void {
    const { epoch, generation, trace } = by;
    const owner = formatAddress(by.owner);
    this.#options.ledger.record({ resource, name, owner, epoch, generation, trace, detail });
  }
}

/** What the ledger says of a disk: by these, replicas are kept that it is read through. */
function usedBy(
  { baseBlobId }: DiskSpec,
  base: Pick<Base, 'below'> | null,
): Record<string, string> {
  const below = base?.below ?? [];
  return { base: baseBlobId ?? '', ...(below.length === 0 ? {} : { below: below.join() }) };
}

/** Throws `image/too-small-disk` when the wanted size cannot hold the base, or there is neither. */
function wantedSize(spec: DiskSpec, base: Base | null, maxBytes: number): number {
  const { device, sizeGiB } = spec;
  const wanted = sizeGiB === null ? (base?.virtualSizeBytes ?? 0) : sizeGiB * GIB;
  const isSize = Number.isSafeInteger(wanted) && wanted > 0;
  if (!isSize) {
    throw new TroupeError(
      'image/too-small-disk',
      `disk ${device} is blank and needs a size in GiB`,
    );
  }
  if (wanted > maxBytes) {
    throw new TroupeError(
      'image/refused',
      `disk ${device} is to have ${sizeGiB} GiB, and ${Math.floor(maxBytes / GIB)} GiB are allowed`,
    );
  }
  if (base === null || wanted >= base.virtualSizeBytes) return wanted;
  const needed = Math.ceil(base.virtualSizeBytes / GIB);
  throw new TroupeError(
    'image/too-small-disk',
    `Image resize failed: disk ${device} is to have ${sizeGiB} GiB and its image needs ${needed} GiB; ask for at least that, or leave the size out`,
    { neededGiB: needed },
  );
}

/** The head of a disk that is there, read past QEMU's lock on it; null when there is none. */
async function readDisk(path: string) {
  try {
    await using file = await open(path, 'r');
    const head = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return readQcow2Header(head.subarray(0, bytesRead));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function requireSameBase(spec: DiskSpec, found: string | null, wanted: string | null): void {
  if (found === wanted) return;
  throw new TroupeError(
    'object/exists',
    `disk ${spec.device} of instance ${spec.instanceId} exists on base ${found ?? 'none'}, and is wanted on ${wanted ?? 'none'}; its content is kept as it is`,
  );
}

function noDirectory(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOTDIR' || error.code === 'ENOENT') return [];
  throw error;
}
