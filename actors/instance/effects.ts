// What an instance does to others: makes its interfaces (interfaces.ts), finds a node, asks for images, and
// keeps the node's executor told of the domain it wants. Every step may be repeated.
import { unlessGone } from '../kernel/errors.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { received, nullable, closed, Type, type Static } from '../kernel/schema.ts';
import { agentOperationRef } from '../agent-operation/state.ts';
import { artifactRef } from '../artifact/state.ts';
import { blobRef, type BlobMessage } from '../blob/state.ts';
import { diskSnapshotRef } from '../disk-snapshot/state.ts';
import { gatewayOf, parseNetblock } from '../network/netblock.ts';
import { NetworkFacts, networkRef } from '../network/state.ts';
import type { DomainWish } from '../node/domain-wish.ts';
import { want } from '../node/executor-message.ts';
import { machineRef } from '../node/machine-message.ts';
import { isCleaning } from './clean.ts';
import { keepConsole } from './console-archive.ts';
import { layoutDisks } from './devices.ts';
import { createInterfaces, deleteInterfaces, placeInterfaces } from './interfaces.ts';
import { operationsToDrop } from './operations.ts';
import { giveBack, place, type Candidates } from './place.ts';
import { screenshotsToDrop } from './screenshots.ts';
import { BuiltDisk, Observed, type InstanceMessage, type InstanceState } from './state.ts';
import { baseOf, templateOf, type InstanceEffect } from './wanted.ts';

type State = InstanceState;
type Context = EffectContext<InstanceMessage>;

/** What an instance's effects need to know of the cluster. */
export interface InstancePorts {
  readonly candidates: Candidates;
  /** Disks on images of at least so many bytes start before their copy is complete; null, or left out: none does. */
  readonly lazyFromBytes?: number | null;
  /** For how long the consoles of deleted instances are kept; 0, or left out: they are not. */
  readonly consoleDays?: number;
}

const decodeBoot = received('boot of a daemon', Type.String());
const decodeFacts = received('network facts', NetworkFacts);

const Report = closed({ observed: Observed, builtDisks: nullable(Type.Array(BuiltDisk)) });
type Report = Static<typeof Report>;
const decodeReport = received('domain report', Report);

export function instancePerformers(
  ports: InstancePorts,
): Performers<State, InstanceMessage, InstanceEffect> {
  return {
    'create-interfaces': createInterfaces,
    place: (state, context) => place(ports.candidates, state, context),
    'start-preflight': () => Promise.resolve({ kind: 'preflight-started' }),
    'request-images': (state, context) => requestImages(ports, state, context),
    'place-interfaces': placeInterfaces,
    'sync-domain': syncDomain,
    'remove-domain': async (state, context) => {
      await keepConsole(ports.consoleDays ?? 0, state, context);
      const { generation } = state;
      await want(context, { node: state.node ?? '', resource: 'domain', generation, spec: null });
      return { kind: 'domain-removed' };
    },
    'delete-interfaces': deleteInterfaces,
    'release-images': async (state, context) => {
      await Promise.all([...blobIds(state)].map((blobId) => releaseBlob(blobId, context)));
      await Promise.all([...artifactIds(state)].map((id) => stopAwaiting(id, context)));
      // The last that it holds: what takes its place needs the memory and the disk.
      if (state.node !== null) giveBack(state.node, context);
      return { kind: 'images-released' };
    },
    'start-operation': startOperation,
    'drop-operations': async (state, context) => {
      const operationIds = operationsToDrop(state, isCleaning(state));
      const asked = operationIds.map((id) =>
        unlessGone(context.ask(agentOperationRef(id), { kind: 'delete' })),
      );
      await Promise.all(asked);
      return { kind: 'operations-dropped', operationIds };
    },
    'drop-screenshots': async (state, context) => {
      const blobIds = [...screenshotsToDrop(state, isCleaning(state))];
      await Promise.all(blobIds.map((blobId) => releaseBlob(blobId, context)));
      return { kind: 'screenshots-dropped', blobIds };
    },
    'drop-snapshots': async ({ snapshots }, context) => {
      const asked = snapshots.map((id) =>
        unlessGone(context.ask(diskSnapshotRef(id), { kind: 'delete' })),
      );
      await Promise.all(asked);
      return { kind: 'snapshots-dropped', snapshotIds: [...snapshots] };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

/** Tells the first in the queue that it is its turn; one that is over, or gone, holds nobody up. */
async function startOperation(state: State, context: Context): Promise<InstanceMessage> {
  const operationId = context.key;
  // Not as it was last heard of: a daemon that was started again a moment ago would refuse what was never begun.
  const instanceId = context.self.id;
  const machine = machineRef(state.node ?? '');
  const boot = decodeBoot(await context.ask(machine, { kind: 'guest-boot', instanceId }));
  const message = { kind: 'start', boot } as const;
  const isWanted = await unlessGone(context.ask(agentOperationRef(operationId), message));
  if (isWanted === true) return { kind: 'operation-started', operationId };
  return { kind: 'operation-over', operationId, isGone: isWanted === undefined };
}

async function requestImages(
  { lazyFromBytes }: InstancePorts,
  state: State,
  context: Context,
): Promise<undefined> {
  const waiter = `instance/${context.self.id}`;
  for (const disk of state.disks) {
    if (disk.isReady) continue;
    const blobId = baseOf(disk);
    if (blobId !== null) {
      await context.ask(
        blobRef(blobId),
        needed(state, waiter, { lazyFromBytes: lazyFromBytes ?? null }),
      );
    } else if (disk.artifactId !== null) {
      await context.ask(artifactRef(disk.artifactId), { kind: 'await', waiter });
    }
  }
  for (const { blobId, isReady } of state.below) {
    if (!isReady) await context.ask(blobRef(blobId), needed(state, waiter, null));
  }
  const template = templateOf(state);
  if (template !== null && !state.isTemplateReady) {
    await context.ask(blobRef(template), needed(state, waiter, null));
  }
}

/** On its own node, where its disks will be based on the replica. */
function needed(
  { node }: State,
  user: string,
  disk: Pick<InstancePorts, 'lazyFromBytes'> | null,
): BlobMessage {
  if (node === null) return { kind: 'use', user };
  const forDisk = disk !== null;
  const { lazyFromBytes = null } = disk ?? {};
  const patience = lazyFromBytes === null ? {} : { lazyFromBytes };
  return { kind: 'need', user, node, forDisk, ...patience };
}

async function syncDomain(state: State, context: Context): Promise<InstanceMessage> {
  const { generation } = state;
  const spec = await domainWish(state, context);
  const wish = { node: state.node ?? '', resource: 'domain', generation, spec } as const;
  const report = decodeReport(await want(context, wish));
  return { kind: 'domain-observed', generation, ...report, builtDisks: asNamed(state, report) };
}

/** Shown with the blob that was asked for, whatever the disk starts from in its place. */
function asNamed({ disks }: State, { builtDisks }: Report): Report['builtDisks'] {
  return (
    builtDisks?.map((built) => {
      const disk = disks.find(({ transcodeId }) => transcodeId && transcodeId === built.blobId);
      return disk === undefined ? built : { ...built, blobId: disk.blobId };
    }) ?? null
  );
}

async function domainWish(state: State, context: Context): Promise<DomainWish> {
  const { name, namespace, cpus, memoryMiB, uefi, secureBoot, video, sideChannels } = state;
  const { power, powerOns, hardReboots, softReboots } = state;
  const { sshKey, userData, seed } = state;
  const layout = layoutDisks(state);
  const template = templateOf(state);
  return {
    name,
    namespace,
    cpus,
    memoryMiB,
    uefi,
    secureBoot,
    ...(template === null ? {} : { nvramTemplate: template }),
    video,
    sideChannels,
    disks: layout.disks.map(({ disk, device, position }) => {
      const { bus, media, sizeGiB } = disk;
      return { device, position, bus, media, baseBlobId: baseOf(disk), sizeGiB };
    }),
    configDrive: layout.configDrive && { ...layout.configDrive, sshKey, userData, seed },
    // Those that are still being plugged come with a later generation.
    nics: await Promise.all(
      state.nics.filter(({ phase }) => phase === 'created').map((nic) => nicWish(nic, context)),
    ),
    power,
    powerOns,
    hardReboots,
    softReboots,
  };
}

async function nicWish(
  nic: State['nics'][number],
  context: Context,
): Promise<DomainWish['nics'][number]> {
  const { interfaceId, networkId, order, model, ipv4 } = nic;
  const facts = decodeFacts(await context.ask(networkRef(networkId), { kind: 'describe' }));
  const { netblock, dns } = facts;
  const network = { networkId, netblock, gateway: gatewayOf(parseNetblock(netblock)), hasDNS: dns };
  return { interfaceId, order, model, ipv4, mac: nic.mac ?? '', network };
}

function releaseBlob(blobId: string, context: Context): Promise<unknown> {
  const user = `instance/${context.self.id}`;
  return unlessGone(context.ask(blobRef(blobId), { kind: 'unuse', user }));
}

function stopAwaiting(artifactId: string, context: Context): Promise<unknown> {
  const waiter = `instance/${context.self.id}`;
  return unlessGone(context.ask(artifactRef(artifactId), { kind: 'await-done', waiter }));
}

function blobIds(state: State): Set<string> {
  const ids = state.disks.flatMap(({ blobId, transcodeId }) => [blobId, transcodeId]);
  const below = state.below.map(({ blobId }) => blobId);
  return new Set([...ids, ...below, templateOf(state)].filter((id) => id !== null));
}

function artifactIds(state: State): Set<string> {
  return new Set(state.disks.flatMap((disk) => disk.artifactId ?? []));
}
