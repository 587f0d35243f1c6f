// One disk of POST /instances (contract: instances 3.1): what it is, and which image it starts from.
import type { Disk } from '../../actors/instance/state.ts';
import { isUuid } from './reference.ts';
import { badRequest, notFound, type ApiServices } from './services.ts';

const BUSES = ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const;
const BLOB = 'sf://blob/';

export interface ParsedDisk {
  readonly disk: Disk;
  /** A URL that no artifact of the namespace stands for yet; null otherwise. */
  readonly url: string | null;
}

/** Errors: 400 and 404 with the contract's texts. */
export function diskSpec(services: ApiServices, namespace: string, spec: unknown): ParsedDisk {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) {
    throw badRequest('disk specification should contain JSON objects');
  }
  const { bus, size, base, type } = spec as Record<string, unknown>;
  const blank = { ...spec, disk_base: null };
  const disk: Disk = {
    spec: { ...spec },
    sizeGiB: sizeGiB(size),
    bus: busOf(bus),
    media: type === 'cdrom' ? 'cdrom' : 'disk',
    artifactId: null,
    blobId: null,
    isReady: false,
  };
  const name = baseName(base);
  if (name !== null) return withBase(services, namespace, disk, name);
  if (disk.sizeGiB === null) throw badRequest('a blank disk needs a size: give it in GiB');
  return { disk: { ...disk, spec: blank, isReady: true }, url: null };
}

function withBase(services: ApiServices, namespace: string, disk: Disk, base: string): ParsedDisk {
  if (base.startsWith(BLOB)) {
    const blobId = base.slice(BLOB.length);
    if (!isUuid(blobId)) throw notFound('blob');
    return { disk: { ...disk, blobId, spec: { ...disk.spec, blob_uuid: blobId } }, url: null };
  }
  const artifactId = findArtifact(services, namespace, base);
  if (artifactId !== null) return { disk: { ...disk, artifactId }, url: null };
  if (base.startsWith('sf://') || base.startsWith('label:')) throw notFound('artifact');
  return { disk, url: base };
}

/** The image artifact for a URL that the namespace may use: its own first, then a shared one (contract: artifacts 5.1). */
export function findArtifact(services: ApiServices, namespace: string, url: string): string | null {
  const usable = [...services.read.artifacts.all()].filter(({ state }) => {
    const isMatchable = state.phase === 'initial' || state.phase === 'created';
    return (
      isMatchable && state.sourceUrl === url && (state.shared || state.namespace === namespace)
    );
  });
  const own = usable.filter(({ state }) => state.namespace === namespace);
  const candidates = own.length > 0 ? own : usable;
  if (candidates.length > 1)
    throw badRequest(`several artifacts stand for ${url}; name one by sf://blob/<uuid>`);
  return candidates[0]?.id ?? null;
}

function baseName(base: unknown): string | null {
  if (base === undefined || base === null || base === '') return null;
  if (typeof base !== 'string') throw badRequest('the base of a disk should be a string');
  return base.toLowerCase() === 'none' ? null : base;
}

function busOf(bus: unknown): Disk['bus'] {
  if (bus === undefined || bus === null) return 'virtio';
  const known = BUSES.find((one) => one === bus);
  if (known === undefined) throw badRequest(`invalid disk bus ${JSON.stringify(bus)}`);
  return known;
}

function sizeGiB(size: unknown): number | null {
  if (size === undefined || size === null) return null;
  const number = typeof size === 'string' && size.trim() !== '' ? Number(size) : size;
  if (typeof number === 'number' && Number.isInteger(number) && number > 0) return number;
  throw badRequest(`disk size should be a whole number of GiB, found ${JSON.stringify(size)}`);
}
