// The main path of a single node: an image, a network and an instance are made, and deleted again. What
// holds afterwards is checked here, for whoever disturbs the path on its way.
import * as assert from 'uvu/assert';
import { artifactRef, type ArtifactState } from '../../actors/artifact/state.ts';
import { originOf } from '../../actors/blob/origin.ts';
import { blobRef } from '../../actors/blob/state.ts';
import {
  instanceRef,
  type InstanceMessage,
  type InstanceState,
} from '../../actors/instance/state.ts';
import { interfaceRef, type InterfaceState } from '../../actors/interface/state.ts';
import { unlessGone } from '../../actors/kernel/errors.ts';
import { RETENTION_MS } from '../../actors/kernel/object.ts';
import { routedAddresses } from '../../actors/network/routes.ts';
import { FLOATING, networkRef, type NetworkState } from '../../actors/network/state.ts';
import { nodeRef, type NodeState } from '../../actors/node/state.ts';
import { NODE, type World } from './world.ts';

export const ARTIFACT = artifactRef('artifact-1');
export const BLOB = blobRef('blob-1');
export const NETWORK = networkRef('network-1');
export const INTERFACE = interfaceRef('interface-1');
export const INSTANCE = instanceRef('instance-1');
export const POOL = networkRef(FLOATING);
export const URL = 'http://images.test/guest';

/** Longer than an image may take; virtual time costs little. */
const PATIENCE_MS = 2_400_000;

export async function makePool(world: World): Promise<void> {
  await world.request(POOL, { kind: 'create-pool', netblock: '192.168.20.0/24' });
}

export async function requestArtifact(world: World, url = URL): Promise<void> {
  const source = { kind: 'url', url } as const;
  const named = { type: 'image', name: 'guest', namespace: 'ns', sourceUrl: url, source } as const;
  const blob = { blobId: BLOB.id, node: NODE };
  const message = { kind: 'create', ...named, shared: false, maxVersions: 3, ...blob } as const;
  await world.request(ARTIFACT, message);
}

export async function requestNetwork(world: World): Promise<void> {
  const services = { dhcp: true, nat: true, dns: false };
  const message = { kind: 'create', name: 'net', namespace: 'ns', ...services } as const;
  await world.request(NETWORK, { ...message, netblock: '10.0.0.0/24' });
}

export function instanceMessage(): Extract<InstanceMessage, { kind: 'create' }> {
  const nic = { interfaceId: INTERFACE.id, networkId: NETWORK.id, order: 0, model: 'virtio' };
  const device = { spec: {}, sizeGiB: 8, bus: 'virtio', media: 'disk' } as const;
  const disk = {
    ...device,
    artifactId: ARTIFACT.id,
    blobId: null,
    transcodeId: null,
    isReady: false,
  };
  return {
    kind: 'create',
    name: 'vm',
    namespace: 'ns',
    cpus: 1,
    memoryMiB: 512,
    video: { model: 'cirrus', memoryKiB: 16_384, vdi: 'vnc' },
    videoSpec: {},
    sshKey: null,
    userData: null,
    configDrive: 'openstack-disk',
    uefi: false,
    secureBoot: false,
    nvramTemplate: null,
    sideChannels: [],
    requestedNode: null,
    seed: 'c2VlZA==',
    disks: [disk],
    nics: [{ ...nic, requested: 'auto', requestedMac: null, phase: 'none', mac: null, ipv4: null }],
    metadata: {},
  };
}

export async function requestInstance(world: World): Promise<void> {
  const message = instanceMessage();
  const nics = message.nics.map((nic) => ({ ...nic, float: true }));
  await world.request(INSTANCE, { ...message, nics });
}

/** One route at least: asked again after a crash, it is asked for once more. */
async function requestRoute(world: World): Promise<void> {
  await world.request(NETWORK, { kind: 'route' });
  const isRouted = () =>
    Object.values(stateOf<NetworkState>(world, NETWORK).routes).every(
      ({ phase }) => phase === 'held',
    );
  await world.untilUp('the address is routed', isRouted, PATIENCE_MS);
}

/** The floating and the routed addresses given back, what had them stays. */
export async function withdraw(world: World): Promise<void> {
  await world.request(INTERFACE, { kind: 'defloat' });
  for (const address of routedAddresses(stateOf<NetworkState>(world, NETWORK)))
    await world.request(NETWORK, { kind: 'unroute', address });
  const isBack = () =>
    stateOf<InterfaceState>(world, INTERFACE).float === null &&
    Object.keys(stateOf<NetworkState>(world, NETWORK).routes).length === 0;
  await world.untilUp('the addresses are back', isBack, PATIENCE_MS);
  await rest(world);
}

/** Everything asked for, and up. */
export async function create(world: World): Promise<void> {
  await makePool(world);
  await requestArtifact(world);
  await requestNetwork(world);
  await untilPhase(world, NETWORK, 'created');
  await requestInstance(world);
  await untilPhase(world, INSTANCE, 'created');
  await untilPhase(world, INTERFACE, 'created');
  await requestRoute(world);
  await rest(world);
}

/** Everything asked to go, and gone; also what was never made, or is gone already. */
export async function remove(world: World): Promise<void> {
  await unlessGone(world.request(INSTANCE, { kind: 'delete' }));
  await unlessGone(world.request(NETWORK, { kind: 'delete' }));
  await unlessGone(world.request(ARTIFACT, { kind: 'delete' }));
  for (const address of [INSTANCE, INTERFACE, NETWORK, ARTIFACT, BLOB])
    await untilPhase(world, address, 'deleted');
  await rest(world);
}

type Subject = Parameters<World['phaseOf']>[0];

export async function untilPhase(world: World, address: Subject, phase: string): Promise<void> {
  const what = () => `${address.kind} ${phase}, is ${world.phaseOf(address)}`;
  const isSo = () => {
    const is = world.phaseOf(address);
    if (phase === 'created' && (is === 'deleted' || is === 'error')) throw new Error('in vain');
    return is === phase || (is === undefined && phase === 'deleted');
  };
  await world.untilUp(what(), isSo, PATIENCE_MS).catch((error: unknown) => {
    throw new Error(`${what()}: ${JSON.stringify(world.journal.stateOf(address))}`, {
      cause: error,
    });
  });
}

/** Until the outcomes that nobody waits for are in, with a daemon running. */
async function rest(world: World): Promise<void> {
  let before = -1;
  const isQuiet = () => {
    const { revision } = world.journal;
    const isSame = revision === before;
    before = revision;
    return isSame;
  };
  await world.untilUp('nothing is written any more', isQuiet, PATIENCE_MS);
  await world.clock.advance(3_000);
  if (!world.isUp) await world.boot();
  await world.clock.advance(1_000);
  if (world.isUp) return;
  await world.untilUp('a daemon runs again', () => true, PATIENCE_MS);
  await world.clock.advance(3_000);
}

const reservationsOf = (world: World) => stateOf<NodeState>(world, nodeRef(NODE)).reservations;
const stateOf = <T>(world: World, address: Subject) => world.journal.stateOf(address) as T;

/** Exactly what was asked for is there, each thing once. */
export function assertCreated(world: World, where: string): void {
  const { machine, journal, claims } = world;
  const vm = stateOf<InstanceState>(world, INSTANCE);
  assert.is(vm.phase, 'created', where);
  assert.is(vm.observed?.power, 'on', where);
  assert.equal([...machine.hypervisor.domains.keys()], [INSTANCE.id], where);
  assert.equal([...machine.images.disks.keys()], [`${INSTANCE.id}/vda`], where);
  assert.equal([...machine.images.configDrives.keys()], [INSTANCE.id], where);
  assert.equal([...machine.images.replicas.keys()], [BLOB.id], where);
  assert.equal([...machine.images.partials.keys()], [], where);
  assert.equal([...machine.net.taps.keys()], [INTERFACE.id], where);
  assert.equal([...machine.net.segments.keys()], [NETWORK.id], where);
  assert.is(stateOf<ArtifactState>(world, ARTIFACT).phase, 'created', where);
  const nic = stateOf<InterfaceState>(world, INTERFACE);
  const net = stateOf<NetworkState>(world, NETWORK);
  assert.equal(heldAddresses(net, 'instance'), [nic.ipv4], where);
  assert.equal(heldAddresses(stateOf(world, POOL), 'gateway').sort(), poolOf(net), where);
  assertOutside(world, where);
  const expected = [
    [`content/sha512 of ${URL}`, `blob/${BLOB.id}`],
    [`mac/${nic.mac}`, 'interface/interface-1'],
    [`origin/${originOf({ kind: 'url', url: URL })}`, `blob/${BLOB.id}`],
    [`vni/${net.vni}`, 'network/network-1'],
  ];
  assert.equal([...claims.held].toSorted(byKey), expected, where);
  assertClean(world, where);
  assert.equal(Object.keys(reservationsOf(world)), [INSTANCE.id], where);
  assert.is(journal.objects.size, 7, where);
}

/** Who is reached from outside by which address: the owners, the pool and the machine agree. */
export function assertOutside({ machine, journal }: World, where: string): void {
  const nic = journal.stateOf(INTERFACE) as InterfaceState;
  const net = journal.stateOf(NETWORK) as NetworkState;
  const pool = journal.stateOf(POOL) as NetworkState;
  const floating = nic.float === null ? [] : [nic.float.address];
  const routed = routedAddresses(net);
  assert.equal(heldAddresses(pool, 'floating'), floating, where);
  assert.equal(heldAddresses(pool, 'routed').toSorted(), routed.toSorted(), where);
  const segment = machine.net.segments.get(NETWORK.id);
  assert.equal(segment?.routed, routed, where);
  assert.equal(segment?.ports[0]?.floating, nic.float?.address ?? null, where);
}

/** Nothing is left but the records of what was, and after an hour not even these. */
export async function assertGone(world: World, where: string): Promise<void> {
  const { machine, claims, journal } = world;
  assert.equal(machine.leftovers(), [], where);
  assert.equal(heldAddresses(stateOf(world, POOL), 'gateway'), ['192.168.20.1'], where);
  assert.equal(heldAddresses(stateOf(world, POOL), 'floating'), [], where);
  assert.equal(heldAddresses(stateOf(world, POOL), 'routed'), [], where);
  assertClean(world, where);
  await world.clock.advance(RETENTION_MS + 120_000);
  const left = [...journal.objects.keys()].toSorted();
  assert.equal(left, ['network/floating', 'node/n1'], where);
  assert.equal(reservationsOf(world), {}, where);
  assert.equal([...claims.held], [], where);
}

/** Holds at any time of rest: nothing acted on an outdated wish, nothing waits past its time. */
export function assertClean(world: World, where: string): void {
  assert.equal(world.machine.violations, [], where);
  assert.equal(world.stuck(), [], where);
}

function byKey([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : 1;
}

function heldAddresses(state: NetworkState, type: string): string[] {
  const rows = Object.entries(state.reservations).filter(([, one]) => one.type === type);
  return rows.map(([address]) => address);
}

/** The pool's own gateway, and the network's way out. */
function poolOf(net: NetworkState): string[] {
  return ['192.168.20.1', net.egressAddress ?? 'none'].sort();
}
