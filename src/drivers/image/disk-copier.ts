// Copies of instances' disks on their way to a blob: made beside the disk, then flattened into the spool.
//
// X1  A copy has a name that starts with a dot, in the instance's folder: it goes with its instance, when the daemon starts,
//     and whatever becomes of the work it is made for.
// X2  What gets its name in the spool is complete: one qcow2 without a chain, or over one blob that it names by a path from
//     its own place; or the bytes as they are.
// X3  The reserve of the disk is kept: work that would go below is called off.
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessAbsent } from './absent.ts';
import { asDiskFull, requireSpace } from './disk-space.ts';
import { publish, sync } from './durable.ts';
import { watchGrowth } from './growth.ts';
import { TroupeError } from '../../../actors/kernel/errors.ts';
import { Layout } from './layout.ts';
import type { QemuImg, Request } from './qemu-img.ts';
import { readReport } from './replica-report.ts';
import { LONG, type RunTool, type ToolLimits } from './tool.ts';

export interface DiskCopierOptions {
  readonly layout: Layout;
  readonly run: RunTool;
  readonly qemuImg: QemuImg;
  readonly minFreeBytes: number;
}

/** Told how much of it is done, 0 to 1, now and then. */
interface PartRequest extends Request {
  readonly onPart?: (part: number) => void;
}

/** Compressing takes a core for as long as it takes. */
const FLATTENING = { ...LONG, cpuSeconds: 4 * 3600 };

export class DiskCopier {
  readonly #options: DiskCopierOptions;

  constructor(options: DiskCopierOptions) {
    this.#options = options;
  }

  /**
   * Gives `work` the paths of files that are not there, one for each blob, in the instance's folder, and removes them
   * afterwards. Its signal aborts also when the disk gets full. Errors: `host/disk-full`, whatever `work` throws.
   */
  async staged<T>(
    { instanceId, blobIds }: { readonly instanceId: string; readonly blobIds: readonly string[] },
    signal: AbortSignal,
    work: (paths: readonly string[], signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { layout, minFreeBytes: reserveBytes } = this.#options;
    const paths = blobIds.map((blobId) => layout.diskCopy(instanceId, blobId));
    const dir = layout.instances;
    const clear = () => Promise.all(paths.map((path) => rm(path, { force: true })));
    try {
      await clear();
      await requireSpace(dir, 0, reserveBytes);
      const growth = { path: paths[0] ?? dir, dir, reserveBytes, signal, onBytes: () => undefined };
      return await watchGrowth(growth, (inner) => work(paths, inner));
    } catch (error) {
      throw asDiskFull(error, dir);
    } finally {
      await clear();
    }
  }

  /** How many bytes flatten() and thin() of this copy go through, about. */
  async measure(path: string, request: Request): Promise<number> {
    return await this.#options.qemuImg.measure(path, request);
  }

  /** As the disk is now: nothing may write to it meanwhile. What it is based on is not copied. */
  async copyDisk(
    { instanceId, device }: { readonly instanceId: string; readonly device: string },
    path: string,
    { trace, signal, onPart = () => undefined }: PartRequest,
  ): Promise<void> {
    const { layout, run, minFreeBytes: reserveBytes } = this.#options;
    const disk = layout.disk(instanceId, device);
    const totalBytes = await this.sizeOf({ instanceId, device });
    const onBytes = (bytes: number) => onPart(Math.min(1, bytes / Math.max(1, totalBytes)));
    const args = ['--reflink=auto', '--sparse=always', '--', disk, path];
    const growth = { path, dir: layout.instances, reserveBytes, signal, onBytes };
    await watchGrowth(growth, (inner) => run('cp', args, { trace, signal: inner, limits: LONG }));
  }

  /** How many bytes copyDisk() has to copy, about; 0 for one that is not there, as copyDisk() will say. */
  async sizeOf(disk: { readonly instanceId: string; readonly device: string }): Promise<number> {
    const { layout } = this.#options;
    const found = await stat(layout.disk(disk.instanceId, disk.device)).catch(unlessAbsent);
    return (found?.blocks ?? 0) * 512;
  }

  /** Makes the spool's file of a copy of a disk. */
  async flatten(path: string, blobId: string, request: PartRequest): Promise<void> {
    const { qemuImg } = this.#options;
    const { onPart } = request;
    await this.#spooled(blobId, request, (half, limited) =>
      qemuImg.flatten(path, half, { ...limited, onPart }),
    );
  }

  /** The same of what differs from the blob, by which it is read from then on. Errors: `image/missing` without a replica. */
  async thin(
    path: string,
    baseBlobId: string,
    blobId: string,
    request: PartRequest,
  ): Promise<void> {
    const { layout, qemuImg } = this.#options;
    const { onPart } = request;
    const report = await readReport(layout.replica(baseBlobId));
    if (report === null) {
      const text = `blob ${baseBlobId}, which the disk is based on, has no replica here`;
      throw new TroupeError('image/missing', text);
    }
    const { format } = report;
    const name = Layout.fromChild(baseBlobId, format);
    const base = { path: layout.replicaImage(baseBlobId, format), format, name };
    const scratch = `${path}-changes`;
    try {
      await this.#spooled(blobId, request, (half, limited) =>
        qemuImg.extractChanges(path, half, base, { ...limited, scratch, onPart }),
      );
    } finally {
      await rm(scratch, { force: true });
    }
  }

  async #spooled(
    blobId: string,
    { trace, signal }: Request,
    make: (half: string, request: Request & { readonly limits: ToolLimits }) => Promise<void>,
  ): Promise<void> {
    const { layout, minFreeBytes: reserveBytes } = this.#options;
    const half = join(layout.spool, `.${blobId}`);
    try {
      await requireSpace(layout.spool, 0, reserveBytes);
      const growth = { path: half, dir: layout.spool, reserveBytes, signal };
      await watchGrowth({ ...growth, onBytes: () => undefined }, (inner) =>
        make(half, { trace, signal: inner, limits: FLATTENING }),
      );
      await sync(half);
      await publish(half, layout.spooled(blobId));
    } catch (error) {
      throw asDiskFull(error, layout.spool);
    } finally {
      await rm(half, { force: true });
    }
  }

  /** Puts a copy into the spool as it is. */
  async keep(path: string, blobId: string): Promise<void> {
    await sync(path);
    await rename(path, this.#options.layout.spooled(blobId));
    await sync(this.#options.layout.spool);
  }
}
