// Three daemons on a real etcd: how long until 10,000 actors of one that is gone answer elsewhere, and until a fourth has
// its share of them. The floor reads as many snapshots with the bare client, in the same run.
//
// The lease's end is not in the figures: who is gone has its lease revoked at once. After a death the rest of the TTL
// comes on top, whatever the actors weigh.
import { Etcd3 } from 'etcd3';
import { systemClock } from '../../actors/kernel/clock.ts';
import { defineKind, next, type Address } from '../../actors/kernel/kind.ts';
import type { Log } from '../../actors/kernel/ports.ts';
import { Runtime } from '../../actors/kernel/runtime.ts';
import { Cluster } from '../../src/daemon/cluster.ts';
import { StoreJournal } from '../../transport/sharding/journal.ts';
import { placeShards } from '../../transport/sharding/placement.ts';
import { shardOf } from '../../transport/sharding/shard.ts';
import { encodeEnvelope } from '../../transport/store/codec.ts';
import { EtcdStore } from '../../transport/store/etcd-store.ts';
import { GroupCommit } from '../../transport/store/group-commit.ts';
import { clusterKeys } from '../../transport/store/keys.ts';
import type { WriteOp } from '../../transport/store/store.ts';
import { startEtcd } from '../support/etcd.ts';
import type { Report } from './row.ts';

const ACTORS = 10_000;
const NODES = ['n1', 'n2', 'n3'] as const;
const DIES = 'n3';
const LEASE_TTL_MS = 10_000;
const IN_FLIGHT = 64;
const PAGE = 5_000;
const OPS_PER_TXN = 100;
const LOOK_MS = 2;
const keys = clusterKeys('bench');
const trace = { trace: 'bench' };

interface Sleeper {
  readonly wakeAtMs: number;
  readonly padding: string;
}

/** It waits for a time that does not come: an actor that is started when its shard is taken. */
const sleeper = defineKind<Sleeper, { readonly kind: 'read' }, never>({
  kind: 'sleeper',
  placement: 'sharded',
  initial: { wakeAtMs: 0, padding: '' },
  decodeMessage: (value) => value as { readonly kind: 'read' },
  transition: (state) => next(state, [], state.wakeAtMs),
  effects: () => [],
  policies: {},
  passing: () => null,
  timer: (state) => state.wakeAtMs,
  index: () => null,
  onCrash: () => 'park',
  parked: (state) => state,
  snapshot: { schema: 1, decode: (value) => value as Sleeper, migrations: {} },
});

/** Of what is stored, those of the node that dies are ACTORS exactly; the others have about as many each. */
function addresses(): Address[] {
  const placed = placeShards(NODES.map((node) => ({ node, weight: 1 })));
  const found: Address[] = [];
  for (let mine = 0; mine < ACTORS;) {
    const address = { kind: 'sleeper', id: crypto.randomUUID() };
    if (placed[shardOf(address)] === DIES) mine++;
    found.push(address);
  }
  return found;
}

interface Daemon {
  readonly node: string;
  readonly cluster: Cluster;
  readonly runtime: Runtime;
  readonly counts: { started: number };
  close(): Promise<void>;
}

/** Joined, with the actors of its shards started. */
async function startDaemon(url: string, node: string): Promise<Daemon> {
  const clock = systemClock;
  const store = new EtcdStore({ hosts: [url], clock });
  const counts = { started: 0 };
  const log: Log = (_level, message, fields) => {
    if (message === 'took shards') counts.started += Number(fields?.['actors']);
  };
  const common = { store, keys, clock, log };
  const identity = { node, installation: node, bootId: node, version: '1' };
  const member = { ...identity, api: '', mesh: null, format: 1, vtep: '', weight: 1 };
  const membership = { ...common, member, leaseTtlMs: LEASE_TTL_MS };
  const onJoined = () => Promise.resolve();
  const cluster = new Cluster({
    onRemoved: () => undefined,
    ...common,
    random: Math.random,
    membership,
    onJoined,
  });
  const commits = new GroupCommit({ store, clock });
  const journal = new StoreJournal(store, commits, keys);
  const random = { number: Math.random, uuid: () => crypto.randomUUID() };
  const runtime = new Runtime({ ...common, node, random, journal, ownership: cluster });
  runtime.register(sleeper, {});
  await cluster.join(runtime);
  const close = async () => {
    await runtime.stop();
    await cluster.leave();
    await commits.close();
    await store.close();
  };
  return { node, cluster, runtime, counts, close };
}

/** `send` for each of the items, IN_FLIGHT at a time. */
async function forEach<T>(
  items: readonly T[],
  send: (item: T) => Promise<unknown>,
  atOnce = IN_FLIGHT,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async () => {
    for (const item of queue) await send(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function store(url: string, all: readonly Address[]): Promise<void> {
  const state: Sleeper = { wakeAtMs: Date.now() + 3_600_000, padding: 'x'.repeat(900) };
  const value = encodeEnvelope({ schema: 1, state });
  const puts = (key: (address: Address) => string, some: readonly Address[]): WriteOp[] =>
    some.map((address) => ({ op: 'put', key: key(address), value }));
  const floor = ({ id }: Address) => `/floor/${id}`;
  const ops = [
    ...puts(({ kind, id }) => keys.object(kind, id), all),
    ...puts(floor, all.slice(0, ACTORS)),
  ];
  const groups = Array.from({ length: Math.ceil(ops.length / OPS_PER_TXN) }, (_, at) =>
    ops.slice(at * OPS_PER_TXN, (at + 1) * OPS_PER_TXN),
  );
  const client = new EtcdStore({ hosts: [url], clock: systemClock });
  await forEach(groups, (then) => client.txn({ compare: [], then }), 4);
  await client.close();
}

/** Milliseconds to read as many snapshots as move, with nothing done to them. */
async function bareRead(url: string, count: number): Promise<number> {
  const bare = new Etcd3({ hosts: url, grpcOptions: { 'grpc.max_receive_message_length': -1 } });
  const begun = performance.now();
  let [start, left] = ['/floor/', count];
  while (left > 0) {
    const range = bare.getAll().inRange({ start, end: '/floor0' });
    const names = Object.keys(await range.limit(Math.min(PAGE, left)).buffers());
    left -= names.length;
    start = `${names.at(-1)}\0`;
  }
  const tookMs = performance.now() - begun;
  bare.close();
  return tookMs;
}

interface Taken {
  /** Until a living daemon owns every shard. */
  readonly ownedMs: number;
  /** Until every actor has been started, and then has answered there. */
  readonly answeredMs: number;
}

/** How long until each of the addresses is decided for by one of the daemons, and has answered. */
async function untilAnswered(
  moved: readonly Address[],
  by: readonly Daemon[],
  { begun, started }: { readonly begun: number; readonly started: number },
): Promise<Taken> {
  const ownerOf = (address: Address) => by.find(({ cluster }) => cluster.epochOf(address) !== null);
  const oneOfEach = [...new Map(moved.map((one) => [shardOf(one), one])).values()];
  await look(() => oneOfEach.every((address) => ownerOf(address) !== undefined));
  const ownedMs = performance.now() - begun;
  // Asked earlier they would be loaded one by one: that is for those whom somebody needs at once.
  await look(() => sum(by) >= started + moved.length);
  await forEach(moved, async (address) => {
    const owner = ownerOf(address);
    if (owner === undefined) throw new Error(`nobody decides for ${address.id}`);
    await owner.runtime.ask(address, { kind: 'read' }, trace);
  });
  return { ownedMs, answeredMs: performance.now() - begun };
}

async function look(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}

/** Actors that were started with their shards, since the daemons' own start. */
function sum(daemons: readonly Daemon[]): number {
  return daemons.reduce((all, { counts }) => all + counts.started, 0);
}

/** Reports one row per figure; a quarter of a minute in all. */
export async function bench(report: Report): Promise<void> {
  const etcd = await startEtcd();
  const alive = new Map<string, Daemon>();
  try {
    const all = addresses();
    await store(etcd.url, all);
    for (const node of NODES) alive.set(node, await startDaemon(etcd.url, node));
    await benchDeath({ url: etcd.url, all, alive }, report);
    await benchJoin({ url: etcd.url, all, alive }, report);
  } finally {
    await Promise.all([...alive.values()].map((daemon) => daemon.close()));
    await etcd.stop();
  }
}

interface Rig {
  readonly url: string;
  readonly all: readonly Address[];
  readonly alive: Map<string, Daemon>;
}

async function benchDeath({ url, all, alive }: Rig, report: Report): Promise<void> {
  const dead = alive.get(DIES);
  if (dead === undefined) throw new Error(`no ${DIES}`);
  const moved = all.filter((address) => dead.cluster.epochOf(address) !== null);
  alive.delete(DIES);
  const floor = await bareRead(url, moved.length);
  const heirs = [...alive.values()];
  const before = { begun: performance.now(), started: sum(heirs) };
  // Its actors are not stopped: nobody asks the dead.
  await dead.cluster.leave();
  const { ownedMs, answeredMs } = await untilAnswered(moved, heirs, before);
  const name = `take-over of ${moved.length} actors`;
  report({ name: `${name}: shards owned again`, ours: ownedMs, floor: 0, unit: 'ms' });
  report({ name: `${name}: all have answered`, ours: answeredMs, floor, unit: 'ms' });
  await dead.close();
}

async function benchJoin({ url, all, alive }: Rig, report: Report): Promise<void> {
  const members = [...alive.keys(), DIES].map((node) => ({ node, weight: 1 }));
  const placed = placeShards(members);
  const moved = all.filter((address) => placed[shardOf(address)] === DIES);
  const floor = await bareRead(url, moved.length);
  const begun = performance.now();
  const joined = await startDaemon(url, DIES);
  alive.set(DIES, joined);
  const { answeredMs } = await untilAnswered(moved, [joined], { begun, started: 0 });
  const name = `hand-over of ${moved.length} actors to one that joins`;
  report({ name: `${name}`, ours: answeredMs, floor, unit: 'ms' });
}
