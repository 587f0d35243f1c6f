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

/** What a node is there for: to run instances, to keep copies of blobs, to serve the API. */
export const ROLES = ['hypervisor', 'storage', 'api', 'events'] as const;
export type Role = (typeof ROLES)[number];

/** How far a machine may be filled (contract: instances 5, conventions 13). */
export const Limits = closed({
  /** Virtual CPUs per real one. */
  cpuRatio: Type.Number(),
  /** Memory of all instances, by that of the machine. */
  memoryRatio: Type.Number(),
  /** Left to the machine itself. */
  reservedMemoryMiB: Type.Integer(),
  reservedDiskGiB: Type.Integer(),
  maxCpusPerInstance: Type.Integer(),
});
export type Limits = Static<typeof Limits>;

/** What changes by the minute, as the machine last measured it. */
export const Gauges = closed({
  availableMemoryMiB: Type.Integer(),
  freeDiskGiB: Type.Integer(),
  /** One-minute load. */
  load: Type.Number(),
});
export type Gauges = Static<typeof Gauges>;

const amountMembers = {
  cpus: Type.Integer(),
  memoryMiB: Type.Integer(),
  diskGiB: Type.Integer(),
};

/** What an instance takes of its node. */
export const Amount = closed(amountMembers);
export type Amount = Static<typeof Amount>;

export const Reservation = closed({
  ...amountMembers,
  grantedAtMs: Type.Number(),
  /** The gauges were read while its guest ran: the memory they show available is without it. */
  isRunning: Type.Boolean(),
  /** The same of its disks and the free disk space. */
  isBuilt: Type.Boolean(),
});
export type Reservation = Static<typeof Reservation>;

/** What a daemon finds out about its machine at start. Memory in MiB, disk in GiB. */
export const Machine = closed({
  roles: Type.Array(oneOf(ROLES)),
  /** What it fails together with, such as a rack; null: with no other. */
  failureDomain: nullable(Type.String()),
  limits: Limits,
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
  phase: oneOf(['none', 'created', 'error', 'deleted']),
  bootId: Type.String(),
  machine: nullable(Machine),
  /** Null: it has not measured anything yet, and is given nothing. */
  gauges: nullable(Gauges),
  /** By instance: what is promised to those that are placed here, from their placing to their end. */
  reservations: Type.Record(Type.String(), Reservation),
  /** It takes no more instances, shards or copies. */
  isDraining: Type.Boolean(),
  /** How often that has changed: each change is announced. */
  drainChanges: Type.Integer(),
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
  register: { bootId: Type.String(), machine: Machine, gauges: Gauges },
  /** New gauges, and the instances that ran, or had their disks, while they were read. */
  measured: {
    gauges: Gauges,
    running: Type.Array(Type.String()),
    built: Type.Array(Type.String()),
  },
  /** Replies with a Grant. The same instance is granted the same again. */
  reserve: { instanceId: Type.String(), ...amountMembers },
  /** Quiet about instances that have no reservation. */
  release: { instanceIds: Type.Array(Type.String()) },
  /** Instances that are placed here, as they say themselves, and have no reservation: taken in whatever the limits. */
  adopt: { instances: Type.Array(closed({ instanceId: Type.String(), ...amountMembers })) },
  'set-draining': { isDraining: Type.Boolean() },
  /** Outcome of announce. */
  announced: {},
  /** What the machine has and uses, and which of its programs use much of a processor: told, not kept. */
  resources: {
    resources: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Boolean()])),
    hogs: Type.Record(Type.String(), Type.Number()),
  },
  /** An audit found differences between what is wanted, recorded and there. */
  'drift-found': { drifts: Type.Array(DriftRow) },
};
export type NodeMessage = MessageOf<typeof MESSAGES>;
export const decodeNodeMessage = messageDecoder('node', MESSAGES);

/** The answer to `reserve`. Refused: which check of the scheduler it fails, and by how much. */
export const Grant = Type.Union([
  closed({ isGranted: Type.Literal(true) }),
  closed({ isGranted: Type.Literal(false), check: Type.String(), reason: Type.String() }),
]);
export type Grant = Static<typeof Grant>;

/** A node's id is its name. */
export function nodeRef(name: string): Ref<NodeMessage> {
  return { kind: 'node', id: name };
}
