// A node's state and messages: one machine of the cluster, as it last said of itself.
import { lifeMembers } from '../kernel/object.ts';
import type { Ref } from '../kernel/kind.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

/** What a daemon finds out about its machine at start. Memory in MiB, disk in GiB. */
export const Machine = closed({
  vtep: Type.String(),
  /** Of guests, after VXLAN's overhead. */
  mtu: Type.Integer(),
  cpus: Type.Integer(),
  memoryMiB: Type.Integer(),
  diskGiB: Type.Integer(),
  accelerator: oneOf(['kvm', 'tcg']),
  cpuModel: Type.String(),
  /** Why guests run slower than they could; shown to the operator. */
  warning: nullable(Type.String()),
  versions: Type.Record(Type.String(), Type.String()),
});
export type Machine = Static<typeof Machine>;

export const NodeState = closed({
  phase: oneOf(['none', 'created', 'error']),
  bootId: Type.String(),
  machine: nullable(Machine),
  /** What the last audit found and could not repair. */
  drifts: Type.Array(Type.String()),
  ...lifeMembers,
});
export type NodeState = Static<typeof NodeState>;

const DriftRow = closed({
  owner: Type.String(),
  resource: Type.String(),
  name: Type.String(),
  problem: Type.String(),
  reason: Type.String(),
  repaired: Type.Boolean(),
});

const MESSAGES = {
  /** Its daemon has started. */
  register: { bootId: Type.String(), machine: Machine },
  /** An audit found differences between what is wanted, recorded and there. */
  'drift-found': { drifts: Type.Array(DriftRow) },
};
export type NodeMessage = MessageOf<typeof MESSAGES>;
export const decodeNodeMessage = messageDecoder('node', MESSAGES);

/** A node's id is its name. */
export function nodeRef(name: string): Ref<NodeMessage> {
  return { kind: 'node', id: name };
}
