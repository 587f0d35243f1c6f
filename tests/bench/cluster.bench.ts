// Clusters of 10, 100 and 1,000 members: how many shards move and how many transactions the store takes when one member
// joins or leaves. The floor is what has to move in any case: one member's fair share.
//
// Placement alone is computed for all sizes; daemons with membership, directory and shard keeper on the store in memory are
// started for 10 and 100 of them.
import { placeShards } from '../../transport/sharding/placement.ts';
import { SHARDS } from '../../transport/sharding/shard.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import { MemoryStore } from '../../transport/store/memory-store.ts';
import { Cluster } from '../../src/daemon/cluster.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { MemoryJournal, seededRandom } from '../support/kernel.ts';
import { SimServer } from '../sim/cluster/store.ts';
import { VirtualClock } from '../sim/cluster/virtual-clock.ts';
import type { Report } from './row.ts';

const SIZES = [10, 100, 1_000] as const;
const LARGEST_STARTED = 100;
const LEASE_TTL_MS = 10_000;
/** Time for a hand-over to come to rest. */
const REST_MS = 3_000;

/** Prints a row per size and figure. */
export async function bench(report: Report): Promise<void> {
  for (const size of SIZES) placement(report, size);
  for (const size of SIZES) if (size <= LARGEST_STARTED) await membership(report, size);
}

const carriers = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ node: `n${index}`, weight: 1 }));

function placement(report: Report, size: number): void {
  const members = carriers(size);
  const startedAt = performance.now();
  const before = placeShards(members);
  const tookMs = performance.now() - startedAt;
  const after = placeShards([...members, { node: 'joins', weight: 1 }]);
  const moved = before.filter((node, shard) => node !== after[shard]).length;
  const share = SHARDS / (size + 1);
  report({ name: `${size} members: placement`, ours: tookMs, floor: 0, unit: 'ms' });
  report({ name: `${size} members: moved by a join`, ours: moved, floor: share, unit: 'shards' });
}

async function membership(report: Report, size: number): Promise<void> {
  const here = new Installation();
  for (const { node } of carriers(size)) await here.start(node);
  await here.clock.advance(REST_MS);
  const name = `${size} daemons:`;
  const joined = await here.measure(() => here.start('joins'));
  const floor = 2 * (SHARDS / (size + 1));
  report({
    name: `${name} owner keys changed by a join`,
    ours: joined.owners,
    floor,
    unit: 'keys',
  });
  report({ name: `${name} transactions of a join`, ours: joined.txns, floor: 0, unit: 'txns' });
  report({ name: `${name} changes told by watches`, ours: joined.told, floor: 0, unit: 'changes' });
  const left = await here.measure(() => here.stop('joins'));
  report({ name: `${name} owner keys changed by a leave`, ours: left.owners, floor, unit: 'keys' });
  const idle = await here.measure(() => here.clock.advance(10 * LEASE_TTL_MS));
  const perSecond = idle.calls / (10 * (LEASE_TTL_MS / 1_000)) / size;
  report({ name: `${name} calls at idle`, ours: perSecond, floor: 3 / 10, unit: '/s/daemon' });
  await here.stopAll();
}

interface Figures {
  readonly owners: number;
  readonly txns: number;
  readonly calls: number;
  readonly told: number;
}

/** Daemons of one cluster that have no objects. */
class Installation {
  readonly clock = new VirtualClock();
  readonly #server = new SimServer({ clock: this.clock });
  readonly #keys = clusterKeys('bench');
  readonly #daemons = new Map<string, { cluster: Cluster; runtime: Runtime; store: MemoryStore }>();
  readonly #counts = { owners: 0, txns: 0, calls: 0 };

  constructor() {
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
    const revision = this.#server.revision;
    await change();
    await this.clock.advance(REST_MS);
    const { owners, txns, calls } = this.#counts;
    return {
      owners: owners - before.owners,
      txns: txns - before.txns,
      calls: calls - before.calls,
      told: this.#changesSince(revision) * this.#daemons.size,
    };
  }

  #changesSince(revision: number): number {
    const changes = this.#server.since(revision + 1, this.#keys.root);
    return changes.reduce((sum, one) => sum + one.length, 0);
  }
}
