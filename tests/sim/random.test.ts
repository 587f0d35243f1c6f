// Many objects at once, made and deleted in a random order on a node whose drivers fail now and then and
// whose daemon dies now and then. At no time does an address, MAC or VNI have two holders; when the trouble
// is over everything comes to its end, and after delete nothing is left. A failing seed is named, and replays.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { artifactRef } from '../../actors/artifact/state.ts';
import { instanceRef, type InstanceState } from '../../actors/instance/state.ts';
import { interfaceRef, type InterfaceState } from '../../actors/interface/state.ts';
import { codeOf, TroupeError, unlessGone, type ErrorCode } from '../../actors/kernel/errors.ts';
import { parseAddress, type Message, type Ref } from '../../actors/kernel/kind.ts';
import { routedAddresses } from '../../actors/network/routes.ts';
import { FLOATING, networkRef, type NetworkState } from '../../actors/network/state.ts';
import type { NodeState } from '../../actors/node/state.ts';
import { holdsPlace } from '../../actors/instance/place.ts';
import { seededRandom } from '../support/kernel.ts';
import { assertClean, instanceMessage, makePool, URL } from './main-path.ts';
import { NODE, World } from './world.ts';

const test = suite('random histories');
const SEEDS = 60;
const OPERATIONS = 40;
const BUILT = ['created', 'error', 'deleted'];

const FAULTS: readonly ErrorCode[] = ['host/tool-failed', 'host/disk-full', 'hypervisor/refused'];

const REFUSALS: readonly ErrorCode[] = ['object/wrong-phase', 'network/not-ready'];

class History {
  readonly world: World;
  readonly #random: () => number;
  readonly #made = { artifact: [] as string[], network: [] as string[], instance: [] as string[] };
  #hasTrouble = true;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#random = () => random.number();
    this.world = new World(seed);
    this.world.killsAt = () => this.#hasTrouble && this.#random() < 0.002;
    this.world.machine.fault = (call) => {
      if (!this.#hasTrouble || this.#random() >= 0.03) return null;
      return new TroupeError(this.#pick(FAULTS), `${call} met bad luck`);
    };
  }

  async begin(): Promise<void> {
    await makePool(this.world);
    await this.#makeArtifact();
    await this.#makeNetwork();
  }

  async operate(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.1) await this.#makeArtifact();
    else if (dice < 0.2) await this.#makeNetwork();
    else if (dice < 0.5) await this.#makeInstance();
    else if (dice < 0.55) await this.#setPower();
    else if (dice < 0.62) await this.#changeOutside();
    else if (dice < 0.75) await this.#delete();
    else if (dice < 0.8) this.world.kill();
    await this.world.clock.advance(this.#pick([0, 1, 500, 5_000, 60_000]));
  }

  endTrouble(): void {
    this.#hasTrouble = false;
  }

  async deleteAll(): Promise<void> {
    for (const id of this.#made.instance) await this.#ask(instanceRef(id), { kind: 'delete' });
    for (const id of this.#made.network) await this.#ask(networkRef(id), { kind: 'delete' });
    for (const id of this.#made.artifact) await this.#ask(artifactRef(id), { kind: 'delete' });
  }

  async #makeArtifact(): Promise<void> {
    const id = this.#name('artifact');
    const named = { type: 'image', name: id, namespace: 'ns', sourceUrl: URL } as const;
    const source = { kind: 'url', url: URL } as const;
    const where = { blobId: `blob-of-${id}`, node: NODE, shared: false, maxVersions: 3 };
    await this.#ask(artifactRef(id), { kind: 'create', ...named, source, ...where });
  }

  async #makeNetwork(): Promise<void> {
    const id = this.#name('network');
    const services = { dhcp: true, nat: this.#random() < 0.5, dns: false };
    const named = { name: id, namespace: 'ns', netblock: '10.0.0.0/29' };
    await this.#ask(networkRef(id), { kind: 'create', ...named, ...services });
  }

  async #makeInstance(): Promise<void> {
    const id = this.#name('instance');
    const message = instanceMessage();
    const nics = [0, 1].slice(0, this.#pick([0, 1, 1, 2])).map((order) => {
      const [nic] = message.nics;
      if (nic === undefined) throw new Error('the message has no NIC');
      const networkId = this.#pick(this.#made.network);
      const float = this.#random() < 0.2;
      return { ...nic, interfaceId: `nic${order}-of-${id}`, networkId, order, float };
    });
    const artifactId = this.#pick(this.#made.artifact);
    const disks = message.disks.map((disk) => ({ ...disk, artifactId }));
    await this.#ask(instanceRef(id), { ...message, name: id, nics, disks });
  }

  async #setPower(): Promise<void> {
    const action = this.#pick(['poweron', 'poweroff', 'pause', 'unpause', 'reboothard'] as const);
    await this.#ask(instanceRef(this.#anyOf('instance')), { kind: 'set-power', action });
  }

  /** A floating or a routed address more, or less. */
  async #changeOutside(): Promise<void> {
    const nic = interfaceRef(`nic0-of-${this.#anyOf('instance')}`);
    const net = networkRef(this.#anyOf('network'));
    const routes = (this.world.journal.stateOf(net) as NetworkState | undefined)?.routes ?? {};
    const [address] = Object.values(routes).flatMap((one) => one.address ?? []);
    const sort = this.#pick(['float', 'float', 'defloat', 'route', 'unroute'] as const);
    if (sort === 'unroute') {
      return this.#ask(net, { kind: 'unroute', address: address ?? '192.168.20.9' });
    }
    return sort === 'route' ? this.#ask(net, { kind: sort }) : this.#ask(nic, { kind: sort });
  }

  async #delete(): Promise<void> {
    const kind = this.#pick(['artifact', 'network', 'instance', 'instance'] as const);
    const id = this.#anyOf(kind);
    if (kind === 'instance') return this.#ask(instanceRef(id), { kind: 'delete' });
    if (kind === 'network') return this.#ask(networkRef(id), { kind: 'delete' });
    return this.#ask(artifactRef(id), { kind: 'delete' });
  }

  /** A refusal is an answer; what was asked for may be gone. */
  async #ask<M extends Message>(to: Ref<M>, message: NoInfer<M>): Promise<void> {
    try {
      await unlessGone(this.world.request(to, message));
    } catch (error) {
      if (!REFUSALS.includes(codeOf(error))) throw error;
    }
  }

  #name(kind: 'artifact' | 'network' | 'instance'): string {
    const id = `${kind}-${this.#made[kind].length}`;
    this.#made[kind].push(id);
    return id;
  }

  #anyOf(kind: 'artifact' | 'network' | 'instance'): string {
    return this.#made[kind].length === 0 ? 'nobody' : this.#pick(this.#made[kind]);
  }

  #pick<T>(values: readonly T[]): T {
    const picked = values[Math.floor(this.#random() * values.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }
}

function statesOf<S>(world: World, kind: string): (readonly [string, S])[] {
  return [...world.journal.objects].flatMap(([key, { snapshot }]) => {
    const address = parseAddress(key);
    return address?.kind === kind ? [[address.id, snapshot.state as S] as const] : [];
  });
}

/** No address of a network, and no MAC, belongs to two interfaces; no VNI to two networks. */
function assertSingleHolders(world: World, where: string): void {
  const nics = statesOf<InterfaceState>(world, 'interface').filter(
    ([, { phase }]) => phase !== 'deleted' && phase !== 'error',
  );
  const addresses = nics.map(([, { networkId, ipv4 }]) => ipv4 && `${networkId} ${ipv4}`);
  assertUnique(addresses, `${where}: addresses`);
  assertUnique(
    nics.map(([, { mac }]) => mac),
    `${where}: MACs`,
  );
  const networks = statesOf<NetworkState>(world, 'network').filter(([id]) => id !== 'floating');
  assertUnique(
    networks.map(([, { vni }]) => vni),
    `${where}: VNIs`,
  );
  const working = networks.filter(([, { phase }]) => phase === 'created').map(([, one]) => one);
  const outside = [
    ...working.map(({ egressAddress }) => egressAddress),
    ...working.flatMap(routedAddresses),
    ...nics.map(([, { float }]) => (float?.phase === 'held' ? float.address : null)),
  ];
  assertUnique(outside, `${where}: addresses of the pool`);
}

function assertUnique(values: readonly (string | number | null)[], where: string): void {
  const given = values.filter((value) => value !== null);
  assert.is(new Set(given).size, given.length, `${where} ${given.join()}`);
}

/** What runs is what is recorded, and the other way round. */
function assertMatches(world: World, where: string): void {
  const { machine } = world;
  const up = statesOf<InstanceState>(world, 'instance').filter(
    ([, { phase }]) => phase === 'created',
  );
  const ids = up.map(([id]) => id);
  assert.equal(sorted(machine.hypervisor.domains.keys()), sorted(ids), where);
  const taps = up.flatMap(([, { nics }]) => nics.map(({ interfaceId }) => interfaceId));
  assert.equal(sorted(machine.net.taps.keys()), sorted(taps), where);
  assert.equal(sorted(machine.images.disks.keys()), sorted(ids.map((id) => `${id}/vda`)), where);
  for (const [id, { power }] of up)
    assert.is(machine.hypervisor.domain(id).observed.power, power, `${where} ${id}`);
}

/** Who has a place on the node, as the node has it, and as the instances do. */
const reservations = (world: World) =>
  statesOf<NodeState>(world, 'node').flatMap(([, state]) =>
    sorted(Object.keys(state.reservations)),
  );
const placed = (world: World) =>
  sorted(
    statesOf<InstanceState>(world, 'instance').flatMap(([id, state]) =>
      holdsPlace(state) ? id : [],
    ),
  );

/** Owners of the pool's addresses, but for the pool. */
function leftInPool(world: World): string[] {
  const pool = world.journal.stateOf(networkRef(FLOATING)) as NetworkState;
  const owners = Object.values(pool.reservations).flatMap(({ owner }) => owner ?? []);
  return owners.filter((owner) => owner !== `network/${FLOATING}`);
}

const sorted = (names: Iterable<string>) => [...names].toSorted((a, b) => (a < b ? -1 : 1));

test('everything ends as it should, whatever the order and the trouble', async () => {
  const ends = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const history = new History(seed);
    const { world } = history;
    await history.begin();
    for (let operation = 1; operation <= OPERATIONS; operation++) {
      await history.operate();
      assertSingleHolders(world, `seed ${seed} operation ${operation}`);
    }
    history.endTrouble();
    const isOver = () =>
      statesOf<InstanceState>(world, 'instance').every(([, { phase }]) => BUILT.includes(phase));
    await world.untilUp(`seed ${seed}: all instances have ended`, isOver, 7_200_000);
    await world.clock.advance(1_500_000);
    const where = `seed ${seed}`;
    for (const [, { phase }] of statesOf<InstanceState>(world, 'instance'))
      ends.set(phase, (ends.get(phase) ?? 0) + 1);
    assertMatches(world, where);
    assert.equal(reservations(world), placed(world), where);
    assertClean(world, where);
    await history.deleteAll();
    await world.clock.advance(600_000);
    assert.equal(world.machine.leftovers(), [], where);
    assertClean(world, where);
    await world.clock.advance(4_000_000);
    assert.equal(sorted(world.journal.objects.keys()), ['network/floating', 'node/n1'], where);
    assert.equal(reservations(world), [], where);
    assert.equal(leftInPool(world), [], where);
    assert.equal([...world.claims.held], [], where);
  }
  for (const end of BUILT) assert.ok((ends.get(end) ?? 0) >= 10, `${end}: ${ends.get(end)}`);
});

test.run();
