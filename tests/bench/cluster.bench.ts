// Clusters of 10, 100 and 1,000 members: how many shards move and how many transactions the store takes when one member
// joins or leaves. The floor is what has to move in any case: one member's fair share.
//
// Of 1,000 members 100 are daemons with membership, directory and shard keeper on the store in memory; the others are their
// keys, which move as their daemons would move them.
import { placeShards } from '../../transport/sharding/placement.ts';
import { SHARDS } from '../../transport/sharding/shard.ts';
import { decodeMember, type Member } from '../../transport/sharding/member.ts';
import { decodeEnvelope, encodeEnvelope } from '../../transport/store/codec.ts';
import { clusterKeys, type Keys } from '../../transport/store/keys.ts';
import { MemoryStore } from '../../transport/store/memory-store.ts';
import type { Entry } from '../../transport/store/store.ts';
import { Cluster } from '../../src/daemon/cluster.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { MemoryJournal, seededRandom } from '../support/kernel.ts';
import { SimServer } from '../sim/cluster/store.ts';
import { VirtualClock } from '../sim/cluster/virtual-clock.ts';
import type { Report } from './row.ts';

const SIZES = [10, 100, 1_000] as const;
const MOST_STARTED = 100;
/** How many shards move is a matter of names: the average of so many joins, when only computed and with daemons. */
const JOINS = 50;
const CHANGES = 10;
const LEASE_TTL_MS = 10_000;
/** Time for a hand-over to come to rest. */
const REST_MS = 3_000;

/** Prints a row per size and figure. */
export async function bench(report: Report): Promise<void> {
  for (const size of SIZES) placement(report, size);
  for (const size of SIZES) await membership(report, size);
}

const carriers = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ node: `n${index}`, weight: 1 }));

function placement(report: Report, size: number): void {
  const members = carriers(size);
  const startedAt = performance.now();
  const before = placeShards(members);
  const tookMs = performance.now() - startedAt;
  let moved = 0;
  for (let join = 0; join < JOINS; join++) {
    const after = placeShards([...members, { node: `joins-${join}`, weight: 1 }]);
    moved += before.filter((node, shard) => node !== after[shard]).length / JOINS;
  }
  const share = SHARDS / (size + 1);
  report({ name: `${size} members: placement`, ours: tookMs, floor: 0, unit: 'ms' });
  report({ name: `${size} members: moved by a join`, ours: moved, floor: share, unit: 'shards' });
}

async function membership(report: Report, size: number): Promise<void> {
  const all = carriers(size).map(({ node }) => node);
  const here = new Installation(all.slice(MOST_STARTED));
  for (const node of all.slice(0, MOST_STARTED)) await here.start(node);
  await here.rest();
  const [joins, leaves]: [Figures[], Figures[]] = [[], []];
  for (let join = 0; join < CHANGES; join++) {
    joins.push(await here.measure(() => here.start(`joins-${join}`)));
    leaves.push(await here.measure(() => here.stop(`joins-${join}`)));
  }
  const floor = 2 * (SHARDS / (size + 1));
  const rows = { join: joins, leave: leaves };
  for (const [change, figures] of Object.entries(rows)) {
    const row = (what: string, unit: string, of: (one: Figures) => number, least = 0) => {
      const ours = figures.reduce((sum, one) => sum + of(one), 0) / figures.length;
      report({ name: `${size} members: ${what} by a ${change}`, ours, floor: least, unit });
    };
    row('owner keys changed', 'keys', ({ owners }) => owners, floor);
    row('transactions', 'txns', ({ txns }) => txns);
    row('changes told by watches', 'changes', ({ told }) => told);
  }
  const idle = await here.measure(() => here.clock.advance(10 * LEASE_TTL_MS));
  const perSecond = idle.calls / (idle.tookMs / 1_000) / Math.min(size, MOST_STARTED);
  const renewals = 3 / (LEASE_TTL_MS / 1_000);
  const name = `${size} members: calls at idle`;
  report({ name, ours: perSecond, floor: renewals, unit: '/s/daemon' });
  await here.stopAll();
}

interface Figures {
  readonly owners: number;
  readonly txns: number;
  readonly calls: number;
  readonly told: number;
  /** Of virtual time. */
  readonly tookMs: number;
}

/** Daemons of one cluster that have no objects. */
class Installation {
  readonly clock = new VirtualClock();
  readonly #server = new SimServer({ clock: this.clock });
  readonly #keys = clusterKeys('bench');
  readonly #daemons = new Map<string, { cluster: Cluster; runtime: Runtime; store: MemoryStore }>();
  readonly #standIns: StandIns;
  readonly #counts = { owners: 0, txns: 0, calls: 0 };

  constructor(standIns: readonly string[]) {
    this.#standIns = new StandIns(this.#server, this.#keys, standIns);
    this.#server.listen((changes) => {
      for (const { key } of changes) if (key.startsWith(this.#keys.owners())) this.#counts.owners++;
    });
  }

  async start(node: string): Promise<void> {
    const { clock } = this;
    const keys = this.#keys;
    const store = new MemoryStore({ cluster: this.#server });
    store.faults.fate = (call) => {
      this.#counts.calls++;
      if (call === 'txn') this.#counts.txns++;
      return 'pass';
    };
    const identity = { node, installation: node, bootId: node, version: '1' };
    const member = { ...identity, api: '', mesh: null, vtep: '', format: 1, weight: 1 };
    const common = { store, keys, clock, log: () => {} };
    const cluster = new Cluster({
      ...common,
      random: () => 0.5,
      membership: { ...common, member, leaseTtlMs: LEASE_TTL_MS },
      onRemoved: () => undefined,
      onJoined: async () => {},
    });
    const random = seededRandom(this.#daemons.size);
    const journal = new MemoryJournal();
    const runtime = new Runtime({ ...common, node, random, journal, ownership: cluster });
    this.#daemons.set(node, { cluster, runtime, store });
    await cluster.join(runtime);
    await clock.advance(1);
  }

  async stop(node: string): Promise<void> {
    const daemon = this.#daemons.get(node);
    if (daemon === undefined) return;
    this.#daemons.delete(node);
    await daemon.runtime.stop();
    await daemon.cluster.leave();
    await daemon.store.close();
  }

  async stopAll(): Promise<void> {
    for (const node of this.#daemons.keys()) await this.stop(node);
  }

  /** What `change` costs until all is at rest. Each change of a member or owner is told to every daemon's watch. */
  async measure(change: () => Promise<void>): Promise<Figures> {
    const before = { ...this.#counts };
    const [revision, begunMono] = [this.#server.revision, this.clock.monoMs()];
    await change();
    await this.rest();
    const { owners, txns, calls } = this.#counts;
    return {
      owners: owners - before.owners,
      txns: txns - before.txns,
      calls: calls - before.calls,
      told: this.#changesSince(revision) * (this.#daemons.size + this.#standIns.size),
      tookMs: this.clock.monoMs() - begunMono,
    };
  }

  /** Until no shard moves any more. */
  async rest(): Promise<void> {
    await this.clock.advance(REST_MS);
    const moved = this.#standIns.follow();
    this.#counts.txns += moved;
    if (moved > 0) await this.rest();
  }

  #changesSince(revision: number): number {
    const changes = this.#server.since(revision + 1, this.#keys.root);
    return changes.reduce((sum, one) => sum + one.length, 0);
  }
}

/** Members that are keys only: enough for the others to place shards by, and to hand shards over with. */
class StandIns {
  readonly #server: SimServer;
  readonly #keys: Keys;
  readonly #nodes: ReadonlySet<string>;

  constructor(server: SimServer, keys: Keys, nodes: readonly string[]) {
    this.#server = server;
    this.#keys = keys;
    this.#nodes = new Set(nodes);
    const member = { version: '1', api: '', mesh: null, vtep: '', weight: 1 };
    for (const node of nodes)
      this.#put(keys.member(node), { node, installation: node, bootId: node, ...member });
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Gives up what is another's to run by now, and takes what is free and theirs; how many keys that were. */
  follow(): number {
    if (this.size === 0) return 0;
    const wanted = placeShards(this.#members());
    let moved = 0;
    for (const [shard, node] of wanted.entries()) {
      const key = this.#keys.owner(shard);
      const owner = this.#stateOf(key)?.node;
      if (owner === node) continue;
      if (owner === undefined ? !this.#nodes.has(node ?? '') : !this.#nodes.has(owner)) continue;
      if (owner === undefined) this.#put(key, { node });
      else this.#server.txn({ compare: [], then: [{ op: 'delete', key }] });
      moved++;
    }
    return moved;
  }

  #members(): Member[] {
    const { entries } = this.#server.range({ prefix: this.#keys.members() });
    return entries.map((entry) => decodeMember(stateIn(entry)));
  }

  #stateOf(key: string): { readonly node: string } | undefined {
    const [entry] = this.#server.range({ prefix: key }).entries.filter((one) => one.key === key);
    return entry && (stateIn(entry) as { readonly node: string });
  }

  #put(key: string, state: unknown): void {
    const value = encodeEnvelope({ schema: 1, state });
    this.#server.txn({ compare: [], then: [{ op: 'put', key, value }] });
  }
}

function stateIn({ value }: Entry): unknown {
  const decoded = decodeEnvelope(value);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.envelope.state;
}
