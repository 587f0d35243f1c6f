// One disk of POST /instances (contract: instances 3.1): what it is, and which image it starts from.
import type { Disk } from '../../../actors/instance/state.ts';
import type { Json } from '../../../actors/kernel/json.ts';
import { imageSource } from '../artifacts/image-source.ts';
import type { ImageCache } from '../artifacts/image-cache.ts';
import { namedBlob, type NamingContext } from '../artifacts/named-blob.ts';
import type { Dialect } from '../http/route.ts';
import { badRequest } from '../services.ts';
import { wholeNumber } from '../objects/whole-number.ts';

const BUSES = ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const;
/** What older clients call theirs: machines have no IDE any more. */
const OLD_BUSES = new Map<unknown, Disk['bus']>([['ide', 'sata']]);
/** Device letters a to z, less one for the config drive. */
const MAX_DISKS = 25;

export interface ParsedDisk {
  readonly disk: Disk;
  /** The address that its image comes from; null: none does. */
  readonly url: string | null;
}

export interface DiskContext extends NamingContext {
  readonly images: ImageCache;
  readonly dialect: Dialect;
}

/** All disks, checked one by one. Makes nothing. Errors: 400 and 404 with the contract's texts. */
export function diskSpecs(
  context: DiskContext,
  specs: readonly unknown[] | null | undefined,
): ParsedDisk[] {
  if (!specs || specs.length === 0) throw badRequest('instance must specify at least one disk');
  if (specs.length > MAX_DISKS) throw badRequest(`instance can have at most ${MAX_DISKS} disks`);
  return specs.map((spec) => diskSpec(context, spec));
}

function diskSpec(context: DiskContext, spec: unknown): ParsedDisk {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw badRequest('disk specification should contain JSON objects');
  }
  const { bus, size, base, type, blob_uuid: blobUuid } = spec as Readonly<Record<string, Json>>;
  const disk: Disk = {
    // Echoed as it came: clients compare it with what they sent.
    spec: { ...spec },
    bus: busOf(bus, context.dialect),
    sizeGiB: sizeGiB(size),
    media: type === 'cdrom' ? 'cdrom' : 'disk',
    artifactId: null,
    blobId: null,
    transcodeId: null,
    isReady: false,
  };
  if (blobUuid !== undefined && blobUuid !== null) {
    throw badRequest('a disk names its blob as base: sf://blob/<uuid>, not as blob_uuid');
  }
  const name = baseName(base);
  return name === null ? blank(disk) : withBase(context, disk, name);
}

function blank(disk: Disk): ParsedDisk {
  if (disk.sizeGiB === null) throw badRequest('a blank disk needs a size: give it in GiB');
  return { disk: { ...disk, spec: { ...disk.spec, disk_base: null }, isReady: true }, url: null };
}

function withBase(context: DiskContext, disk: Disk, base: string): ParsedDisk {
  const blobId = namedBlob(context, base);
  if (blobId !== null) {
    return { disk: { ...disk, blobId, spec: { ...disk.spec, blob_uuid: blobId } }, url: null };
  }
  const { images, caller, namespace, services } = context;
  if (images.find(namespace, base) === null) imageSource(base, caller, services.imageShortcuts);
  return { disk, url: base };
}

function baseName(base: Json | undefined): string | null {
  if (base === undefined || base === null || base === '') return null;
  if (typeof base !== 'string') throw badRequest('the base of a disk should be a string');
  return base.toLowerCase() === 'none' ? null : base;
}

/** An empty one is what the Go client sends for none. */
function busOf(bus: Json | undefined, dialect: Dialect): Disk['bus'] {
  if (bus === undefined || bus === null || bus === '') return 'virtio';
  const old = dialect === '0.4' ? OLD_BUSES.get(bus) : undefined;
  const known = old ?? BUSES.find((one) => one === bus);
  if (known !== undefined) return known;
  throw badRequest(`invalid disk bus ${typeof bus === 'string' ? bus : JSON.stringify(bus)}`);
}

function sizeGiB(size: Json | undefined): number | null {
  if (size === undefined || size === null) return null;
  const number = wholeNumber(size);
  if (number !== undefined && number > 0) return number;
  throw badRequest(`disk size should be a whole number of GiB, found ${JSON.stringify(size)}`);
}
