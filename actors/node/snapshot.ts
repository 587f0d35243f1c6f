// A node's snapshot: what its schemas were, and how an old one becomes today's.
//
// 1  no roles, limits, gauges or reservations: nodes did everything, and nobody counted
// 2  no phase `deleted`
// 3  no role `events`
// 4  no failure domain
// 5  today's
import type { SnapshotFormat } from '../kernel/kind.ts';
import { decoder } from '../kernel/schema.ts';
import { LIMITS } from './capacity.ts';
import { NodeState } from './state.ts';

export const nodeSnapshot: SnapshotFormat<NodeState> = {
  schema: 5,
  decode: decoder('node', NodeState, 'actor/bad-snapshot'),
  migrations: { 1: withCapacity, 2: (state) => state, 3: (state) => state, 4: withFailureDomain },
};

/** Its daemon says at its start what is so. Until then it has measured nothing, and is given nothing. */
function withCapacity(old: unknown): unknown {
  const state = old as { readonly machine: object | null };
  const { machine } = state;
  const known =
    machine === null
      ? null
      : { ...machine, roles: ['hypervisor', 'storage', 'api'], limits: LIMITS };
  return {
    ...state,
    machine: known,
    gauges: null,
    reservations: {},
    isDraining: false,
    drainChanges: 0,
  };
}

/** None was named. */
function withFailureDomain(old: unknown): unknown {
  const state = old as { readonly machine: object | null };
  const { machine } = state;
  return { ...state, machine: machine === null ? null : { ...machine, failureDomain: null } };
}
