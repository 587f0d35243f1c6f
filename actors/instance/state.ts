// An instance's state and messages: a virtual machine, from the wish to what is observed of it.
import { artifactChanged } from '../artifact/state.ts';
import { blobChanged, blobProgressed } from '../blob/state.ts';
import { lifeMembers } from '../kernel/object.ts';
import { setbackMember } from '../kernel/setback.ts';
import { accountFor } from '../node/account.ts';
import type { Ref } from '../kernel/kind.ts';
import { nodeGone, nodeSeen } from '../node/presence.ts';
import {
  closed,
  messageDecoder,
  nullable,
  oneOf,
  Type,
  type MessageOf,
  type Static,
} from '../kernel/schema.ts';

const BUSES = ['virtio', 'sata', 'scsi', 'usb', 'nvme'] as const;

/** A disk as asked for, and what its base turned out to be. */
export const Disk = closed({
  /** As the caller sent it, for the view. */
  spec: Type.Record(Type.String(), Type.Unknown()),
  sizeGiB: nullable(Type.Integer()),
  bus: oneOf(BUSES),
  media: oneOf(['disk', 'cdrom']),
  /** Null: a blank disk, or a base that names its blob. */
  artifactId: nullable(Type.String()),
  blobId: nullable(Type.String()),
  /** What it starts from in place of that blob, whose bytes are no disk as they are (actors/blob/transcode.ts). */
  transcodeId: nullable(Type.String()),
  /** The blob is fetched and checked. */
  isReady: Type.Boolean(),
});
export type Disk = Static<typeof Disk>;

/** A blob that one of its disks is read through, though none is based on it (actors/blob/parent.ts). */
export const Below = closed({ blobId: Type.String(), isReady: Type.Boolean() });

/** One of its interfaces, as the interface actor last said. */
export const Nic = closed({
  interfaceId: Type.String(),
  networkId: Type.String(),
  order: Type.Integer(),
  model: Type.String(),
  requested: Type.String(),
  requestedMac: nullable(Type.String()),
  /** It comes with a floating address. */
  float: Type.Optional(Type.Boolean()),
  phase: oneOf(['none', 'initial', 'created', 'deleted', 'error']),
  mac: nullable(Type.String()),
  ipv4: nullable(Type.String()),
});
export type Nic = Static<typeof Nic>;

/** A device as built; for the view. */
export const BuiltDisk = closed({
  device: Type.String(),
  bus: Type.String(),
  sizeGiB: nullable(Type.Integer()),
  blobId: nullable(Type.String()),
  snapshotIgnores: Type.Boolean(),
});

/** The agent in the guest, of an instance that expects one. */
export const AgentSeen = closed({
  /** As clients see it: `ready`, or `not ready` and why in brackets (contract: instances 2.3). */
  state: Type.String(),
  /** When it last said hello, ms since the epoch by the node's clock; null: not yet. */
  startedAtMs: nullable(Type.Number()),
  /** When the guest booted, as the agent has it, ms since the epoch; null: it has not said. */
  bootedAtMs: nullable(Type.Number()),
});
export type AgentSeen = Static<typeof AgentSeen>;

export const Observed = closed({
  power: oneOf(['on', 'off', 'paused', 'crashed']),
  offReason: nullable(oneOf(['guest', 'requested', 'lost'])),
  consolePort: nullable(Type.Integer()),
  vdiPort: nullable(Type.Integer()),
  vdiTlsPort: nullable(Type.Integer()),
  accelerator: oneOf(['kvm', 'tcg']),
  agent: Type.Optional(nullable(AgentSeen)),
});
export type Observed = Static<typeof Observed>;

/** One of its agent operations (operations.ts). */
export const Operation = closed({
  id: Type.String(),
  /** `ready`: can be given to the guest. `over`: kept for reading. `dropped`: to be deleted. */
  phase: oneOf(['waiting', 'ready', 'started', 'over', 'dropped']),
});
export type Operation = Static<typeof Operation>;

const PHASES = [
  'none',
  'initial',
  'preflight',
  'creating',
  'created',
  'initial-error',
  'preflight-error',
  'creating-error',
  'created-error',
  'error',
  'delete-wait',
  'delete-wait-error',
  'deleted',
] as const;

/** What the caller decides; never changes after create. */
const specMembers = {
  name: Type.String(),
  namespace: Type.String(),
  cpus: Type.Integer(),
  memoryMiB: Type.Integer(),
  video: closed({ model: Type.String(), memoryKiB: Type.Integer(), vdi: Type.String() }),
  /** The video object as sent, for the view. */
  videoSpec: Type.Record(Type.String(), Type.Unknown()),
  sshKey: nullable(Type.String()),
  /** Base64. */
  userData: nullable(Type.String()),
  configDrive: oneOf(['openstack-disk', 'none']),
  uefi: Type.Boolean(),
  secureBoot: Type.Boolean(),
  /** Blob that its UEFI variables start from; without UEFI, only for the view. */
  nvramTemplate: nullable(Type.String()),
  sideChannels: Type.Array(Type.String()),
  /** A node the caller insists on. */
  requestedNode: nullable(Type.String()),
  /** 512 random bytes in base64: the config drive's random_seed. */
  seed: Type.String(),
};

export const InstanceState = closed({
  phase: oneOf(PHASES),
  ...specMembers,
  disks: Type.Array(Disk),
  below: Type.Array(Below),
  /** The blob that its NVRAM starts from is on its node, or it has none. */
  isTemplateReady: Type.Boolean(),
  nics: Type.Array(Nic),
  node: nullable(Type.String()),
  /** The boot of the daemon there that was told of the domain, or MISSING; null: none yet (actors/node/presence.ts). */
  nodeBoot: nullable(Type.String()),
  /** Wanted power, and how often each change was asked for (see ports.ts DomainSpec). */
  power: oneOf(['on', 'off', 'paused']),
  powerOns: Type.Integer(),
  hardReboots: Type.Integer(),
  softReboots: Type.Integer(),
  /** Of the wanted domain. */
  generation: Type.Integer(),
  /** The newest one whose domain has been observed: what was asked for until then has been carried out. */
  observedGeneration: Type.Integer(),
  builtDisks: Type.Array(BuiltDisk),
  observed: nullable(Observed),
  /** When the domain was lately lost without anybody's wish, ms since the epoch; see crash loops. */
  lostAtMs: Type.Array(Type.Number()),
  /** Clean-up: what has already been given back. */
  isDomainGone: Type.Boolean(),
  areImagesReleased: Type.Boolean(),
  /** In the order in which they were taken in. */
  operations: Type.Array(Operation),
  /** Blobs of pictures of its screen, oldest first (screenshots.ts). */
  screenshots: Type.Array(Type.String()),
  /** Snapshots of its disks that are being made. */
  snapshots: Type.Array(Type.String()),
  ...setbackMember,
  ...lifeMembers,
});
export type InstanceState = Static<typeof InstanceState>;

/** What was left of the nodes after one stage of the scheduler, and why the others were dropped. */
const Stage = closed({
  stage: Type.String(),
  candidates: Type.Array(Type.String()),
  dropped: Type.Record(Type.String(), Type.String()),
});

const MESSAGES = {
  create: {
    ...specMembers,
    disks: Type.Array(Disk),
    nics: Type.Array(Nic),
    metadata: Type.Record(Type.String(), Type.Unknown()),
  },
  /** Replies whether the instance wants (still) an interface of this id. */
  'interface-changed': {
    interfaceId: Type.String(),
    phase: oneOf(['initial', 'created', 'delete-wait', 'deleted', 'error', 'none']),
    mac: nullable(Type.String()),
    ipv4: nullable(Type.String()),
    failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
  },
  placed: { node: Type.String(), stages: Type.Array(Stage) },
  /** No node will do. */
  unplaceable: {
    code: oneOf(['scheduler/no-node', 'object/not-found']),
    reason: Type.String(),
    stages: Type.Array(Stage),
  },
  /** A node asks whether what it has reserved for the instance is to stay; replies true or false. */
  'claims-place': { node: Type.String() },
  /** The node has taken the job up. */
  'preflight-started': {},
  'artifact-changed': artifactChanged,
  /** Replies whether a disk of the instance is (still) based on the blob. */
  'blob-changed': blobChanged,
  /** Of one that it waits for. */
  'blob-progressed': blobProgressed,
  /** Outcome of sync-domain, and whatever the node notices by itself. */
  'domain-observed': {
    generation: Type.Integer(),
    observed: Observed,
    builtDisks: nullable(Type.Array(BuiltDisk)),
  },
  /** Another interface; its order is decided here. */
  plug: { nic: Nic },
  'set-power': {
    action: oneOf(['poweron', 'poweroff', 'pause', 'unpause', 'reboothard', 'rebootsoft']),
  },
  /** An agent operation wants its place in the queue; replies the node. */
  enlist: { operationId: Type.String() },
  /** It can be given to the guest; replies whether it is known here. */
  'operation-ready': { operationId: Type.String() },
  /** Outcome of start-operation. */
  'operation-started': { operationId: Type.String() },
  /** It has ended; `isGone`: and is deleted, or does not exist. */
  'operation-over': { operationId: Type.String(), isGone: Type.Boolean() },
  /** Outcome of drop-operations. */
  'operations-dropped': { operationIds: Type.Array(Type.String()) },
  /** A picture of the screen is about to become this blob; replies whether it is wanted. */
  'keep-screenshot': { blobId: Type.String() },
  /** Outcome of drop-screenshots. */
  'screenshots-dropped': { blobIds: Type.Array(Type.String()) },
  /** A snapshot of its disks wants to be made; replies the node. `answer`: what its requester was told. */
  'enlist-snapshot': {
    snapshotId: Type.String(),
    answer: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
  },
  /** It has ended. */
  'snapshot-over': {
    snapshotId: Type.String(),
    failure: nullable(closed({ code: Type.String(), reason: Type.String() })),
    devices: Type.Array(Type.String()),
    durationMs: Type.Number(),
  },
  /** Outcome of drop-snapshots. */
  'snapshots-dropped': { snapshotIds: Type.Array(Type.String()) },
  'node-seen': nodeSeen,
  'node-gone': nodeGone,
  'domain-removed': {},
  /** Outcome of delete-interfaces: all of them have given back what they held. */
  'interfaces-gone': {},
  'images-released': {},
  /** A node that has something of it, and has not heard of it since it started, asks whether that is to stay. */
  'account-for': accountFor,
  delete: {},
  forgotten: {},
};
export type InstanceMessage = MessageOf<typeof MESSAGES>;
export const decodeInstanceMessage = messageDecoder('instance', MESSAGES);

export function instanceRef(id: string): Ref<InstanceMessage> {
  return { kind: 'instance', id };
}
