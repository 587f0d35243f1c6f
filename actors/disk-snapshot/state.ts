// A disk snapshot's state and messages: disks of one instance, copied as they are at one moment, until each is a version of
// its artifact.
import type { Ref } from '../kernel/kind.ts';
import { lifeMembers } from '../kernel/object.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';
import { setbackMember } from '../kernel/setback.ts';
import { Progress, progressMembers } from '../blob/state.ts';
import { SnapshotDisk } from './devices.ts';

const Disk = closed({ ...SnapshotDisk.properties, artifactId: Type.String() });

export const DiskSnapshotState = closed({
  phase: oneOf(['none', 'initial', 'copying', 'keeping', 'complete', 'error', 'deleted']),
  namespace: Type.String(),
  instanceId: Type.String(),
  /** Of artifacts that are made for it. */
  maxVersions: Type.Integer({ minimum: 1 }),
  disks: Type.Array(Disk),
  /** The instance's node; null until the instance has taken it in. */
  node: nullable(Type.String()),
  /** Last progress that was worth an event. */
  progress: Progress,
  /** When it was asked for, ms since the epoch. */
  askedAtMs: Type.Number(),
  /** Instance and artifacts have heard how it ended. */
  isSettled: Type.Boolean(),
  /** Nothing of it is left on the node but what has become blobs, as far as can be known. */
  isCleared: Type.Boolean(),
  ...setbackMember,
  ...lifeMembers,
});
export type DiskSnapshotState = Static<typeof DiskSnapshotState>;

const MESSAGES = {
  create: {
    namespace: Type.String(),
    instanceId: Type.String(),
    maxVersions: Type.Integer({ minimum: 1 }),
    disks: Type.Array(Disk, { minItems: 1, maxItems: 64 }),
  },
  /** The instance has taken it in. */
  enlisted: { node: Type.String() },
  progressed: progressMembers,
  /** Outcomes of copy. */
  copied: {},
  'copy-failed': { code: Type.String(), reason: Type.String() },
  /** The artifacts see to the blobs from now on. */
  kept: {},
  settled: {},
  cleared: {},
  /** Calls it off; one that is over stays as it is. */
  delete: {},
  forgotten: {},
};
export type DiskSnapshotMessage = MessageOf<typeof MESSAGES>;
export const decodeDiskSnapshotMessage = messageDecoder('disksnapshot', MESSAGES);

export function diskSnapshotRef(id: string): Ref<DiskSnapshotMessage> {
  return { kind: 'disksnapshot', id };
}
