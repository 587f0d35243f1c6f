// The promises that must hold at every moment, looked at after everything that happens.
//
// The numbers are those of the architecture page's promises.
// 1  Whatever the store takes in for an object was sent by the daemon that owns it at that revision.
// 2  What is acknowledged is stored; an event is stored with a state.
// 3  No address, MAC, VNI or address of the pool has two holders, and who believes to hold one does.
// 6  No machine acts on a wish older than one it has seen.
// 7  A guest that is wanted runs on, whatever becomes of daemons and store.
// 9  No instance runs on two machines.
import type { InstanceState } from '../../../actors/instance/state.ts';
import type { InterfaceState } from '../../../actors/interface/state.ts';
import { floatOwner } from '../../../actors/interface/float.ts';
import { routeOwner } from '../../../actors/network/routes.ts';
import { FLOATING, type NetworkState } from '../../../actors/network/state.ts';
import { shardOf } from '../../../transport/sharding/shard.ts';
import type { Txn, WriteOp } from '../../../transport/store/store.ts';
import type { SimNode } from './node.ts';
import type { Site } from './site.ts';
import type { StoredObject, Writer } from './store.ts';

/** A promise that was not kept. */
export interface Violation {
  /** Of the architecture page. */
  readonly promise: number;
  readonly object: string;
  readonly text: string;
  readonly atMs: number;
}

/** Phases in which an interface keeps what it was given. */
const HOLDING: readonly InterfaceState['phase'][] = ['initial', 'created', 'error'];
/** Not meant to run yet. */
const BUILDING: readonly InstanceState['phase'][] = ['initial', 'preflight'];

export class Watch {
  readonly violations: Violation[] = [];
  readonly #site: Site;
  readonly #nodes: readonly SimNode[];
  /** Instances that were at some time meant to be off, or to go: theirs is no loss. */
  readonly #mayBeOff = new Set<string>();
  /** `node instance` of what runs. */
  #running = new Set<string>();

  constructor(site: Site, nodes: readonly SimNode[]) {
    this.#site = site;
    this.#nodes = nodes;
    site.server.onTaken = (writer, txn) => this.#checkWrites(writer, txn);
    site.view.onObject = (object) => this.#noteInstance(object);
    site.clock.onRest = () => this.#checkMachines();
  }

  broken(promise: number, object: string, text: string): void {
    if (this.violations.some((one) => one.promise === promise && one.object === object)) return;
    const atMs = this.#site.clock.monoMs();
    this.violations.push({ promise, object, text, atMs });
    this.#site.trace.note(`BROKEN promise ${promise}, ${object}: ${text}`);
  }

  /** What is held by one owner only; from the states as stored, and floating addresses that were given to clients. */
  checkHolders(floating: ReadonlyMap<string, string>): void {
    for (const [owner, address] of floating) this.#checkPool(address, owner);
    const { view } = this.#site;
    const addresses = new Map<string, string>();
    const macs = new Map<string, string>();
    for (const [id, state] of view.all<InterfaceState>('interface')) {
      if (!HOLDING.includes(state.phase)) continue;
      const { networkId, ipv4, mac } = state;
      if (ipv4 !== null) this.#hold(addresses, `${ipv4} of network ${networkId}`, id);
      if (mac !== null) this.#hold(macs, mac, id);
      this.#checkHolds(id, state);
    }
    const outside = new Map<string, string>();
    for (const [id, { phase, float }] of view.all<InterfaceState>('interface')) {
      // What is being given back may be another's before its holder has heard so.
      if (!HOLDING.includes(phase) || float?.phase !== 'held' || float.address === null) continue;
      this.#hold(outside, float.address, `interface/${id}`);
      this.#checkPool(float.address, floatOwner(id, float));
    }
    const vnis = new Map<string, string>();
    for (const [id, state] of view.all<NetworkState>('network')) {
      if (id === FLOATING || state.phase !== 'created') continue;
      this.#hold(vnis, `VNI ${state.vni}`, id);
      const holder = view.claims.get(`vni/${state.vni}`);
      if (holder !== `network/${id}`)
        this.broken(3, `network/${id}`, `its VNI ${state.vni} is held by ${holder ?? 'nobody'}`);
      this.#checkOutside(outside, id, state);
    }
  }

  #checkOutside(outside: Map<string, string>, id: string, state: NetworkState): void {
    const { egressAddress, routes } = state;
    const held = Object.entries(routes).flatMap(([number, { phase, address }]) =>
      phase === 'held' && address !== null ? [[address, routeOwner(id, number)] as const] : [],
    );
    if (egressAddress !== null) held.push([egressAddress, `network/${id}`]);
    for (const [address, owner] of held) {
      this.#hold(outside, address, owner);
      this.#checkPool(address, owner);
    }
  }

  /** That an address of the pool is its owner's. */
  #checkPool(address: string, owner: string): void {
    const pool = this.#site.view.stateOf<NetworkState>('network', FLOATING);
    const holder = pool?.reservations[address]?.owner;
    if (holder !== owner)
      this.broken(3, owner, `its address ${address} is held by ${holder ?? 'nobody'}`);
  }

  #hold(held: Map<string, string>, value: string, id: string): void {
    const other = held.get(value);
    if (other !== undefined) this.broken(3, value, `held by ${other} and ${id}`);
    held.set(value, id);
  }

  #checkHolds(id: string, { networkId, ipv4, mac, requestedMac }: InterfaceState): void {
    const { view } = this.#site;
    const self = `interface/${id}`;
    const network = view.stateOf<NetworkState>('network', networkId);
    const owner = ipv4 === null ? self : network?.reservations[ipv4]?.owner;
    if (owner !== self)
      this.broken(3, self, `its address ${ipv4} on ${networkId} is held by ${owner ?? 'nobody'}`);
    const isClaimed = mac !== null && requestedMac === null;
    const claimant = isClaimed ? view.claims.get(`mac/${mac}`) : self;
    if (claimant !== self)
      this.broken(3, self, `its MAC ${mac} is held by ${claimant ?? 'nobody'}`);
  }

  #noteInstance({ kind, id, state }: StoredObject): void {
    if (kind !== 'instance') return;
    const { phase, power } = state as InstanceState;
    if (BUILDING.includes(phase)) return;
    if (power === 'off' || (phase !== 'creating' && phase !== 'created')) this.#mayBeOff.add(id);
  }

  #checkWrites(writer: Writer, txn: Txn): void {
    const withState = new Set<string>();
    const withEvents = new Set<string>();
    for (const op of txn.then) {
      const parsed = op.op === 'get' ? null : this.#site.keys.parse(keyOf(op));
      const isWhole = op.op === 'put' || op.op === 'delete';
      if (parsed?.area === 'objects' && isWhole) {
        withState.add(`${parsed.kind}/${parsed.id}`);
        this.#checkWriter(writer, parsed.kind, parsed.id);
      }
      if (parsed?.area === 'events' && op.op === 'put')
        withEvents.add(`${parsed.kind}/${parsed.id}`);
    }
    for (const object of withEvents)
      if (!withState.has(object))
        this.broken(2, object, 'an event was stored without the state that it tells of');
  }

  #checkWriter({ node, bootId }: Writer, kind: string, id: string): void {
    const { owners, members } = this.#site.view;
    const owner = kind === 'node' ? members.get(id) : owners.get(shardOf({ kind, id }));
    const member = members.get(node);
    const isOwner = owner?.node === node && owner.lease === member?.lease;
    if (isOwner && member?.bootId === bootId) return;
    // Who removes a node writes its record while nobody is a member under its name.
    if (kind === 'node' && owner === undefined && member?.bootId === bootId) return;
    const by =
      owner === undefined ? 'nobody' : `${owner.node} as ${members.get(owner.node)?.bootId}`;
    this.broken(1, `${kind}/${id}`, `${bootId} wrote it while ${by} owned it`);
  }

  #checkMachines(): void {
    const running = new Set<string>();
    const hosts = new Map<string, string>();
    for (const node of this.#nodes) {
      for (const [id, { observed }] of node.machine.hypervisor.domains) {
        if (observed.power === 'off') continue;
        running.add(`${node.name} ${id}`);
        const other = hosts.get(id);
        if (other !== undefined)
          this.broken(9, `instance/${id}`, `runs on ${other} and on ${node.name}`);
        hosts.set(id, node.name);
      }
      for (const violation of node.machine.violations.splice(0))
        this.broken(6, node.name, `acted on an outdated wish: ${violation}`);
    }
    for (const one of this.#running) if (!running.has(one)) this.#checkLoss(one);
    this.#running = running;
  }

  #checkLoss(one: string): void {
    const [name = '', id = ''] = one.split(' ');
    const node = this.#nodes.find((each) => each.name === name);
    if (node?.lossExpected.delete(id) === true || this.#mayBeOff.has(id)) return;
    this.broken(7, `instance/${id}`, `its guest on ${name} was ended, and nobody had asked for it`);
  }
}

function keyOf(op: WriteOp): string {
  return op.op === 'delete-prefix' ? op.prefix : op.key;
}
