// The snapshots of an instance's disks that are being made (actors/disk-snapshot): the instance says where, has their events,
// and ends them when it goes.
import { next, refuse, type Step, type Turn } from '../kernel/kind.ts';
import type { InstanceMessage, InstanceState as State } from './state.ts';

type Of<K extends InstanceMessage['kind']> = Extract<InstanceMessage, { kind: K }>;

/** Under way at a time; they are made one after the other. */
export const MOST_SNAPSHOTS = 16;

/** Replies the node. Asked again: the same. */
export function enlistSnapshot(
  state: State,
  { snapshotId, answer }: Of<'enlist-snapshot'>,
  turn: Turn,
): Step<State> {
  const { snapshots, node, phase } = state;
  if (snapshots.includes(snapshotId)) return next(state, [], node);
  if (phase !== 'created' || node === null) {
    return refuse(state, 'object/not-ready', `instance ${turn.id} is not ready (${phase})`);
  }
  if (snapshots.length >= MOST_SNAPSHOTS) {
    const reason = `${MOST_SNAPSHOTS} snapshots of this instance are being made already; let some end first`;
    return refuse(state, 'actor/overloaded', reason);
  }
  // By these words existing clients find them (contract: artifacts 10.1).
  return next(
    { ...state, snapshots: [...snapshots, snapshotId] },
    [
      { type: 'audit', message: 'snapshot request from REST API' },
      { type: 'audit', message: 'snapshot', extra: answer },
    ],
    node,
  );
}

/** It has ended, well or not. */
export function snapshotOver(state: State, message: Of<'snapshot-over'>): Step<State> {
  const { snapshotId, failure, devices, durationMs } = message;
  if (!state.snapshots.includes(snapshotId)) return next(state);
  const left = snapshotsDropped(state, { snapshotIds: [snapshotId] });
  const extra = { devices, ...failure };
  const words = failure === null ? 'snapshot copied' : 'snapshot failed';
  return next(left, [{ type: 'audit', message: words, extra, durationMs }]);
}

export function snapshotsDropped(
  state: State,
  { snapshotIds }: Pick<Of<'snapshots-dropped'>, 'snapshotIds'>,
): State {
  return { ...state, snapshots: state.snapshots.filter((id) => !snapshotIds.includes(id)) };
}
