// How fast guarded changes reach a real etcd and come back, against the bare client doing as much in
// the same run: four transactions of 32 keys in flight, one guarded transaction at a time, plain pages.
import { Etcd3 } from 'etcd3';
import { systemClock } from '../../actors/kernel/clock.ts';
import { EtcdStore } from '../../transport/store/etcd-store.ts';
import { GroupCommit } from '../../transport/store/group-commit.ts';
import type { Compare } from '../../transport/store/store.ts';
import { startEtcd } from '../support/etcd.ts';
import type { Report } from './row.ts';

const CHANGES = 16_384;
const GROUP = 32;
const IN_FLIGHT = 4;
/** Actors that have a change under way at the same time. */
const ACTORS = 512;
const SINGLES = 400;
const PAGE = 5_000;
const value = Buffer.alloc(1_024, 7);

interface Rig {
  readonly bare: Etcd3;
  readonly store: EtcdStore;
  readonly commits: GroupCommit;
  readonly owned: Compare;
  readonly epoch: number;
}

/** A few seconds on an etcd of its own. */
export async function bench(report: Report): Promise<void> {
  const etcd = await startEtcd();
  // By default a page of 5,000 entries is over gRPC's 4 MiB, and fails.
  const grpcOptions = { 'grpc.max_receive_message_length': -1 };
  const bare = new Etcd3({ hosts: etcd.url, grpcOptions });
  const store = new EtcdStore({ hosts: [etcd.url], clock: systemClock });
  try {
    const epoch = await store.put('/owner', value);
    const owned: Compare = { target: 'create', key: '/owner', is: '==', than: epoch };
    const commits = new GroupCommit({ store, clock: systemClock });
    const rig = { bare, store, commits, owned, epoch };
    // Once to warm up, once to count.
    await bareGroups(rig, 4_096);
    await packedChanges(rig, 4_096);
    const [floor, ours] = [await bareGroups(rig, CHANGES), await packedChanges(rig, CHANGES)];
    report({ name: 'guarded changes, packed', ours, floor, unit: 'changes/s' });
    await benchSingle(rig, report);
    await benchListing(rig, report);
  } finally {
    await store.close();
    bare.close();
    await etcd.stop();
  }
}

async function bareGroups({ bare, epoch }: Rig, changes: number): Promise<number> {
  return perSecond(changes, async () => {
    let next = 0;
    const sender = async () => {
      while (next < changes) {
        const from = next;
        next += GROUP;
        const puts = Array.from({ length: GROUP }, (_, i) =>
          bare.put(`/bare/${from + i}`).value(value),
        );
        await bare
          .if('/owner', 'Create', '==', epoch)
          .then(...puts)
          .commit();
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  });
}

/** Each actor hands in its next change when it has the outcome of the one before. */
async function packedChanges({ commits, owned }: Rig, changes: number): Promise<number> {
  return perSecond(changes, async () => {
    let next = 0;
    const actor = async () => {
      while (next < changes) {
        const key = `/ours/${next++}`;
        await commits.commit({ guards: [owned], ops: [{ op: 'put', key, value }] });
      }
    };
    await Promise.all(Array.from({ length: ACTORS }, actor));
  });
}

async function benchSingle({ bare, commits, owned, epoch }: Rig, report: Report): Promise<void> {
  const floor = await perSecond(SINGLES, async () => {
    for (let i = 0; i < SINGLES; i++) {
      await bare
        .if('/owner', 'Create', '==', epoch)
        .then(bare.put(`/s/${i}`).value(value))
        .commit();
    }
  });
  const ours = await perSecond(SINGLES, async () => {
    for (let i = 0; i < SINGLES; i++) {
      await commits.commit({ guards: [owned], ops: [{ op: 'put', key: `/s/${i}`, value }] });
    }
  });
  report({ name: 'guarded changes, one after the other', ours, floor, unit: 'changes/s' });
}

async function benchListing({ bare, store }: Rig, report: Report): Promise<void> {
  let read = 0;
  const floor = await perSecond(CHANGES, async () => {
    let start = '/ours/';
    for (let count = PAGE; count === PAGE;) {
      const page = await bare.getAll().inRange({ start, end: '/ours0' }).limit(PAGE).buffers();
      const keys = Object.keys(page);
      count = keys.length;
      start = `${keys.at(-1)}\0`;
    }
  });
  const ours = await perSecond(CHANGES, async () => {
    for await (const page of store.rangeAll({ prefix: '/ours/' })) read += page.entries.length;
  });
  if (read !== CHANGES) throw new Error(`listed ${read} of ${CHANGES} keys`);
  report({ name: 'listing of 1 KiB entries', ours, floor, unit: 'entries/s' });
}

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return Math.round(count / ((performance.now() - startedAt) / 1_000));
}
