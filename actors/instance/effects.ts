// What an instance does to others: makes its interfaces, finds a node, asks for images, and keeps the node's
// executor told of the domain it wants. Every step may be repeated.
import { TroupeError, unlessGone } from '../kernel/errors.ts';
import type { EffectContext, Performers } from '../kernel/ports.ts';
import { decoder, nullable, closed, Type } from '../kernel/schema.ts';
import { artifactRef } from '../artifact/state.ts';
import { blobRef } from '../blob/state.ts';
import { interfaceRef } from '../interface/state.ts';
import { gatewayOf, parseNetblock } from '../network/netblock.ts';
import { NetworkFacts, networkRef } from '../network/state.ts';
import type { DomainWish } from '../node/domain-wish.ts';
import { want } from '../node/executor-message.ts';
import { layoutDisks } from './devices.ts';
import type { InstanceEffect } from './instance.ts';
import { schedule, type Candidate, type Overcommit } from './scheduler.ts';
import { BuiltDisk, Observed, type InstanceMessage, type InstanceState } from './state.ts';

type State = InstanceState;
type Context = EffectContext<InstanceMessage>;

/** What an instance's effects need to know of the cluster. */
export interface InstancePorts {
  /** The nodes and what is placed on them, as this daemon last read it. */
  candidates(): readonly Candidate[];
  readonly limits: Overcommit;
}

const decodeFacts = decoder('network facts', NetworkFacts, 'actor/bad-message');

const decodeReport = decoder(
  'domain report',
  closed({ observed: Observed, builtDisks: nullable(Type.Array(BuiltDisk)) }),
  'actor/bad-message',
);

export function instancePerformers(
  ports: InstancePorts,
): Performers<State, InstanceMessage, InstanceEffect> {
  return {
    'create-interfaces': createInterfaces,
    place: (state, context) => place(ports, state, context),
    'start-preflight': () => Promise.resolve({ kind: 'preflight-started' }),
    'request-images': requestImages,
    'place-interfaces': placeInterfaces,
    'sync-domain': syncDomain,
    'remove-domain': async (state, context) => {
      const { generation } = state;
      await want(context, { node: state.node ?? '', resource: 'domain', generation, spec: null });
      return { kind: 'domain-removed' };
    },
    'delete-interfaces': deleteInterfaces,
    'release-images': async (state, context) => {
      await Promise.all([...blobIds(state)].map((blobId) => releaseBlob(blobId, context)));
      await Promise.all([...artifactIds(state)].map((id) => stopAwaiting(id, context)));
      return { kind: 'images-released' };
    },
    forget: () => Promise.resolve({ kind: 'forgotten' }),
  };
}

async function createInterfaces(state: State, context: Context): Promise<undefined> {
  const { namespace, name: hostname } = state;
  const instanceId = context.self.id;
  for (const nic of state.nics) {
    const { interfaceId, networkId, order, model, requested, requestedMac } = nic;
    const wish = {
      networkId,
      instanceId,
      namespace,
      hostname,
      order,
      model,
      requested,
      requestedMac,
    };
    await context.ask(interfaceRef(interfaceId), { kind: 'create', ...wish });
  }
}

async function place(
  ports: InstancePorts,
  state: State,
  context: Context,
): Promise<InstanceMessage> {
  const wish = {
    namespace: state.namespace,
    cpus: state.cpus,
    memoryMiB: state.memoryMiB,
    diskGiB: state.disks.reduce((total, disk) => total + (disk.sizeGiB ?? 0), 0),
    requestedNode: state.requestedNode,
    affinity: affinityOf(state.metadata),
  };
  const choice = schedule(wish, ports.candidates(), ports.limits, context.random.number());
  if (!choice.ok) throw new TroupeError('scheduler/no-node', choice.reason);
  const candidates = choice.stages.at(-1)?.candidates ?? [];
  return Promise.resolve({ kind: 'placed', node: choice.node, candidates: [...candidates] });
}

/** Weights may come as text (the CLI of old sends them so). */
function affinityOf(metadata: State['metadata']): Record<string, number> {
  const affinity = metadata['affinity'];
  if (typeof affinity !== 'object' || affinity === null) return {};
  return Object.fromEntries(
    Object.entries(affinity).map(([word, weight]) => [word, Number(weight)]),
  );
}

async function requestImages(state: State, context: Context): Promise<undefined> {
  const waiter = `instance/${context.self.id}`;
  for (const disk of state.disks) {
    if (disk.isReady) continue;
    if (disk.blobId !== null) {
      await context.ask(blobRef(disk.blobId), { kind: 'use', user: waiter });
    } else if (disk.artifactId !== null) {
      await context.ask(artifactRef(disk.artifactId), { kind: 'await', waiter });
    }
  }
}

async function placeInterfaces(state: State, context: Context): Promise<undefined> {
  const node = state.node ?? '';
  for (const nic of state.nics) {
    await context.ask(interfaceRef(nic.interfaceId), { kind: 'place', node });
  }
}

async function syncDomain(state: State, context: Context): Promise<InstanceMessage> {
  const { generation } = state;
  const spec = await domainWish(state, context);
  const wish = { node: state.node ?? '', resource: 'domain', generation, spec } as const;
  return { kind: 'domain-observed', generation, ...decodeReport(await want(context, wish)) };
}

async function domainWish(state: State, context: Context): Promise<DomainWish> {
  const { name, namespace, cpus, memoryMiB, uefi, secureBoot, video, sideChannels } = state;
  const { power, powerOns, hardReboots, softReboots } = state;
  const { sshKey, userData, seed } = state;
  const layout = layoutDisks(state);
  return {
    name,
    namespace,
    cpus,
    memoryMiB,
    uefi,
    secureBoot,
    video,
    sideChannels,
    disks: layout.disks.map(({ disk: { bus, media, blobId, sizeGiB }, device, position }) => {
      return { device, position, bus, media, baseBlobId: blobId, sizeGiB };
    }),
    configDrive: layout.configDrive && { ...layout.configDrive, sshKey, userData, seed },
    nics: await Promise.all(state.nics.map((nic) => nicWish(nic, context))),
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

async function deleteInterfaces(state: State, context: Context): Promise<undefined> {
  for (const { interfaceId, phase } of state.nics) {
    if (phase === 'deleted') continue;
    const asked = context.ask(interfaceRef(interfaceId), { kind: 'delete' }).then(() => true);
    if (await unlessGone(asked)) continue;
    const gone = { phase: 'deleted', mac: null, ipv4: null, failure: null } as const;
    context.report({ kind: 'interface-changed', interfaceId, ...gone });
  }
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
  return new Set(state.disks.flatMap((disk) => disk.blobId ?? []));
}

function artifactIds(state: State): Set<string> {
  return new Set(state.disks.flatMap((disk) => disk.artifactId ?? []));
}
