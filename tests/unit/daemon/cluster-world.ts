// Daemons of one cluster on a store in memory, with a clock turned by hand and a toy kind.
import { Runtime } from '../../../actors/kernel/runtime.ts';
import { Cluster } from '../../../src/daemon/cluster.ts';
import { StoreJournal } from '../../../transport/sharding/journal.ts';
import { GroupCommit } from '../../../transport/store/group-commit.ts';
import { clusterKeys } from '../../../transport/store/keys.ts';
import { MemoryCluster } from '../../../transport/store/memory-cluster.ts';
import { MemoryStore } from '../../../transport/store/memory-store.ts';
import { keptLog, ManualClock, seededRandom } from '../../support/kernel.ts';
import { jobKind, type JobPerformers } from '../kernel/toy.ts';

export const keys = clusterKeys('test');
export const TTL_MS = 10_000;

/** A store with a clock, on which daemons of one installation can be started. */
export function world() {
  const clock = new ManualClock();
  const server = new MemoryCluster({ clock });
  let boots = 0;
  const daemon = (
    work: JobPerformers['work'],
    onJoined: () => Promise<void> = async () => {},
    node = 'n1',
    format = 1,
    installation = `installation of ${node}`,
  ) => {
    const store = new MemoryStore({ cluster: server });
    const { log, lines } = keptLog();
    const member = {
      node,
      installation,
      bootId: `b${++boots}`,
      version: '1',
      api: '',
      vtep: '',
      mesh: null,
      format,
      weight: 1,
    };
    const membership = { store, keys, clock, log, member, leaseTtlMs: TTL_MS };
    const cluster = new Cluster({
      store,
      keys,
      clock,
      log,
      random: () => 0.5,
      membership,
      onJoined,
      onRemoved: () => undefined,
    });
    const journal = new StoreJournal(store, new GroupCommit({ store, clock }), keys);
    const random = seededRandom(boots);
    const runtime = new Runtime({ node, clock, random, journal, ownership: cluster, log });
    runtime.register(jobKind(), { work });
    return { store, cluster, runtime, journal, lines, member };
  };
  return { clock, server, daemon };
}

export type Daemon = ReturnType<ReturnType<typeof world>['daemon']>;

export async function stop({ runtime, cluster, store }: Daemon): Promise<void> {
  await runtime.stop();
  await cluster.leave();
  await store.close();
}

/** Work that goes on until it is called off; counts its beginnings. */
export function endless() {
  const begun: number[] = [];
  const work: JobPerformers['work'] = (_, { epoch, signal }) => {
    begun.push(epoch);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('called off')), { once: true });
    });
  };
  return { begun, work };
}
