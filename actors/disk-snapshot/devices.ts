// Which of an instance's disks a snapshot is of (contract: artifacts 10.1).
import type { InstanceState } from '../instance/state.ts';
import { closed, Type, type Static } from '../kernel/schema.ts';

/** What the UEFI variables are called among the devices. */
export const NVRAM = 'nvram';

/** A disk, and the blob that is to hold what is on it. */
export const SnapshotDisk = closed({
  device: Type.String(),
  blobId: Type.String(),
  /** The blob that the disk is based on, of a thin snapshot: only what differs is kept. */
  baseBlobId: Type.Optional(Type.String()),
});
export type SnapshotDisk = Static<typeof SnapshotDisk>;

/** The one named; else all of them; else the first. None when there is no such one. Config drive and CD-ROMs never are. */
export function chooseDevices(
  { builtDisks, uefi }: Pick<InstanceState, 'builtDisks' | 'uefi'>,
  { all, device }: { readonly all: boolean; readonly device: string | null },
): string[] {
  const disks = builtDisks.filter(({ snapshotIgnores }) => !snapshotIgnores);
  const names = disks.map((disk) => disk.device);
  const every = uefi ? [...names, NVRAM] : names;
  if (device !== null) return every.filter((name) => name === device);
  return all ? every : names.slice(0, 1);
}

/** As an artifact's source URL names what it is a snapshot of. */
export function snapshotUrl(instanceId: string, device: string): string {
  return `sf://instance/${instanceId}/${device}`;
}
